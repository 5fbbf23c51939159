/**
 * What browser tests share: the server, Chromium, and words for what a person does in the page. Waits are always on
 * a condition.
 *
 * Environment: PARLOR_SERVER (the server's binary, needed), CHROMIUM (default /usr/bin/chromium), SCREENSHOTS (a
 * folder, default target/screenshots).
 */

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** How long a condition may take on a slow machine; a test that passes never waits so long. */
export const PATIENCE_MS = 45_000;
/** How often a condition is looked at. */
export const POLL_MS = 40;

/** A folder of its own for each run, removed by `remove`. */
export function temporaryFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'parlor-browser-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }) };
}

/**
 * A running server on loopback.
 * @param {{port?: number, stateDir?: string, args?: string[]}} [options] port 0 takes a free one; the same folder and port make
 *   a restarted server know its members again
 */
export async function startServer({ port = 0, stateDir, args = [] } = {}) {
  const binary = process.env.PARLOR_SERVER;
  if (!binary) throw new Error('PARLOR_SERVER must name the parlor-server binary');
  const own = stateDir ? null : temporaryFolder();
  const state = stateDir ?? own.folder;
  const child = spawn(binary, ['--bind', `127.0.0.1:${port}`, '--ice-server', 'none', '--state-dir', state, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, RUST_LOG: process.env.RUST_LOG ?? 'warn' },
  });
  const exited = new Promise((resolve) => { child.once('exit', resolve); });
  const errors = [];
  createInterface({ input: child.stderr }).on('line', (line) => { errors.push(line); if (errors.length > 200) errors.shift(); });
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const match = /^listening on (https?:\/\/\S+)/.exec(line);
      if (match) resolve(match[1].replace(/\/+$/, ''));
    });
    child.once('error', reject);
    exited.then(() => reject(new Error(`the server did not start:\n${errors.join('\n')}`)));
  });
  return {
    url,
    port: Number(new URL(url).port),
    stateDir: state,
    errors,
    /** @param {NodeJS.Signals} [signal] */
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await exited;
      own?.remove();
    },
  };
}

/** What a machine without GPU, camera and sound card needs. */
const CHROMIUM_FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--autoplay-policy=no-user-gesture-required',
];
const FAKE_DEVICE_FLAGS = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=fps=30'];

/** @param {{fakeDevices?: boolean, isAudible?: boolean, args?: string[], env?: NodeJS.ProcessEnv, executablePath?: string}} options */
function launchOptions({ fakeDevices = true, isAudible = false, args = [], env, executablePath }) {
  return {
    executablePath: executablePath ?? process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    ...env ? { env } : {},
    // Without it nothing reaches the sound server.
    ...isAudible ? { ignoreDefaultArgs: ['--mute-audio'] } : {},
    args: [...CHROMIUM_FLAGS, ...(fakeDevices ? FAKE_DEVICE_FLAGS : []), ...args],
  };
}

/**
 * Chromium, with a moving picture and a beeping sound for devices.
 * @param {Parameters<typeof launchOptions>[0]} [options] `args` go after the others, e.g. --use-file-for-fake-video-capture=F
 */
export async function launchBrowser(options = {}) {
  return chromium.launch(launchOptions(options));
}

/** A Chromium that can be killed without a chance to say goodbye, and whose process is known. @param {Parameters<typeof launchBrowser>[0]} [options] */
export async function launchMortalBrowser(options = {}) {
  const host = await chromium.launchServer(launchOptions(options));
  return { browser: await chromium.connect(host.wsEndpoint()), pid: host.process().pid, kill: () => host.kill() };
}

/**
 * A page of its own person: contexts share neither storage nor permissions. Errors of the page fail the test that
 * asks `page.problems`.
 * @param {import('playwright-core').Browser} browser
 * @param {{viewport?: {width: number, height: number}, permissions?: string[], settings?: Record<string, unknown>, init?: string, hasTouch?: boolean, ignoreHTTPSErrors?: boolean}} [options]
 *   `settings` are what the page remembers (see settings.js), e.g. {audioProcessing: false}; `init` runs before the page does
 */
export async function newPage(browser, { viewport = { width: 1280, height: 800 }, permissions = ['camera', 'microphone'], settings = {}, init, hasTouch = false, ignoreHTTPSErrors = false } = {}) {
  const context = await browser.newContext({ viewport, permissions, hasTouch, ignoreHTTPSErrors, reducedMotion: 'reduce', locale: 'en-GB' });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addInitScript((values) => {
    for (const [key, value] of Object.entries(values)) {
      if (localStorage.getItem(`parlor.${key}`) === null) localStorage.setItem(`parlor.${key}`, JSON.stringify(value));
    }
  }, settings);
  if (init) await context.addInitScript(init);
  const page = await context.newPage();
  page.problems = [];
  page.log = [];
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (message) => {
    page.log.push(`${message.type()}: ${message.text()}`);
    if (message.type() === 'error' && /Content Security Policy|Uncaught/.test(message.text())) page.problems.push(message.text());
  });
  return page;
}

/** Opens the lobby of a room. @param {import('playwright-core').Page} page @param {{url: string}} server @param {{room?: string, name?: string}} [to] */
export async function openLobby(page, server, { room = '', name = '' } = {}) {
  const query = name ? `?name=${encodeURIComponent(name)}` : '';
  await page.goto(`${server.url}${room ? `/r/${room}` : '/'}${query}`);
  await page.getByRole('heading', { name: 'Who’s in?' }).waitFor();
}

/** Joins a room as a person does: opens the link, types the name, presses Join. @param {import('playwright-core').Page} page @param {{url: string}} server @param {{room: string, name: string}} to */
export async function joinRoom(page, server, { room, name }) {
  await openLobby(page, server, { room });
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await until(page, () => globalThis.parlor?.state === 'joined', null, `${name} joins ${room}`);
}

/**
 * Waits until a function of the page, which may be async, gives something true.
 * @template A
 * @param {import('playwright-core').Page} page @param {(argument: A) => unknown} condition @param {A} argument @param {string} what
 * @returns {Promise<any>} what the condition gave
 */
export async function until(page, condition, argument, what) {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const value = await page.evaluate(condition, argument);
    if (value) return value;
    await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
  }
  const state = await page.evaluate(describeCall).catch(() => 'the page is gone');
  throw new Error(`waited in vain for: ${what}\n${JSON.stringify(state)}\n${page.log.slice(-8).join('\n')}`);
}

/** In the page: what a failed wait wants to know. */
function describeCall() {
  const call = globalThis.parlor;
  return call && {
    state: call.state,
    signaling: call.signaling.state,
    peers: [...call.peers.values()].map((peer) => ({
      name: peer.name, presence: peer.presence, connection: peer.connection?.state, signaling: peer.connection?.pc.signalingState,
      counters: peer.connection?.counters, error: peer.connection?.lastError,
    })),
  };
}

/** Waits until a peer of that name is connected. @param {import('playwright-core').Page} page @param {string} name */
export async function waitForPeer(page, name) {
  await until(page, (wanted) => [...globalThis.parlor.peers.values()].some((peer) => peer.name === wanted && peer.isMediaAlive && peer.connection.isOpen('chat')), name, `${name} is connected`);
}

/** Waits until no peer of that name is left. @param {import('playwright-core').Page} page @param {string} name */
export async function waitForPeerGone(page, name) {
  await until(page, (wanted) => ![...globalThis.parlor.peers.values()].some((peer) => peer.name === wanted), name, `${name} is gone`);
}

/** Waits until that many pictures of a peer were decoded from now on. @param {import('playwright-core').Page} page @param {string} name @param {number} frames */
export async function waitForFrames(page, name, frames) {
  const before = (await inboundStats(page, name))?.video?.frames ?? 0;
  await until(page, async ([wanted, more]) => {
    const call = globalThis.parlor;
    const peer = [...call.peers.values()].find((candidate) => candidate.name === wanted);
    return peer && ((await call.stats())[peer.id]?.inbound.video?.frames ?? 0) >= more;
  }, [name, before + frames], `${frames} more pictures of ${name}`);
}

/** What arrives of a peer: `{video: {codec, frames, width, height, …}, audio: {codec, …}}`. @param {import('playwright-core').Page} page @param {string} name */
export async function inboundStats(page, name) {
  return page.evaluate(async (wanted) => {
    const call = globalThis.parlor;
    const peer = [...call.peers.values()].find((candidate) => candidate.name === wanted);
    return peer ? (await call.stats())[peer.id]?.inbound ?? null : null;
  }, name);
}

/**
 * Waits until a peer is heard: the level of its sound, by an AnalyserNode (inbound totalAudioEnergy stays 0 there), and
 * the loudest frequency at that moment.
 * @param {import('playwright-core').Page} page @param {string} name @param {number} [dbfs]
 * @returns {Promise<{dbfs: number, hertz: number}>}
 */
export async function waitForSound(page, name, dbfs = -50) {
  return until(page, async ([wanted, least]) => {
    const peer = [...globalThis.parlor.peers.values()].find((candidate) => candidate.name === wanted);
    const track = peer?.streams.get('microphone')?.getAudioTracks()[0];
    if (!track) return false;
    const { audioContext, levelDbfs } = await import('/levels.js');
    globalThis.listeners ??= new Map();
    if (!globalThis.listeners.has(track.id)) {
      const analyser = audioContext().createAnalyser();
      analyser.fftSize = 4096;
      audioContext().createMediaStreamSource(new MediaStream([track])).connect(analyser);
      globalThis.listeners.set(track.id, analyser);
    }
    const analyser = globalThis.listeners.get(track.id);
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    const level = levelDbfs(samples);
    if (level < least) return false;
    const spectrum = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(spectrum);
    const loudest = spectrum.indexOf(Math.max(...spectrum));
    return { dbfs: level, hertz: loudest * audioContext().sampleRate / analyser.fftSize };
  }, [name, dbfs], `${name} is heard`);
}

/**
 * The pixels of a peer's picture as it is decoded now, e.g. to read its barcode.
 * @param {import('playwright-core').Page} page @param {string} name
 * @param {{rows?: number}} [options] only that many rows from the top
 * @returns {Promise<{width: number, height: number, rgba: Buffer, atMs: number}|null>} null before the first picture; `atMs` is Unix time
 */
export async function grabPicture(page, name, { rows } = {}) {
  const grabbed = await page.evaluate(async ([wanted, most]) => {
    const peer = [...globalThis.parlor.peers.values()].find((candidate) => candidate.name === wanted);
    const video = peer && document.querySelector(`[data-peer="${peer.id}"] video`);
    if (!video?.videoWidth) return null;
    const canvas = new OffscreenCanvas(video.videoWidth, Math.min(video.videoHeight, most ?? Infinity));
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    const atMs = performance.timeOrigin + performance.now();
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let binary = '';
    for (let start = 0; start < data.length; start += 32_768) binary += String.fromCharCode(...data.subarray(start, start + 32_768));
    return { width: canvas.width, height: canvas.height, base64: btoa(binary), atMs };
  }, [name, rows ?? null]);
  return grabbed && { width: grabbed.width, height: grabbed.height, atMs: grabbed.atMs, rgba: Buffer.from(grabbed.base64, 'base64') };
}

/** Writes a chat line as a person does. @param {import('playwright-core').Page} page @param {string} text */
export async function sendChat(page, text) {
  const field = page.getByRole('textbox', { name: 'Write to everyone' });
  if (!await field.isVisible()) await page.getByRole('button', { name: /^Open chat/ }).click();
  await field.fill(text);
  await field.press('Enter');
}

/** Waits until a chat line of the others stands in the panel's list. @param {import('playwright-core').Page} page @param {string} name @param {string} text */
export async function waitForChat(page, name, text) {
  await until(page, ([from, wanted]) => globalThis.parlor.lines.some((line) => line.kind === 'chat' && !line.mine && line.name === from && line.text === wanted), [name, text], `"${text}" from ${name}`);
}

/** The tile of a person. @param {import('playwright-core').Page} page @param {string} name */
export function tileOf(page, name) {
  return page.getByRole('region', { name: 'People' }).getByRole('group', { name: new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(,|$)`) });
}

/** Keeps a picture of the page as target/screenshots/web-NAME.png. @param {import('playwright-core').Page} page @param {string} name */
export async function screenshot(page, name) {
  const folder = process.env.SCREENSHOTS ?? path.join(ROOT, 'target/screenshots');
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `web-${name}.png`) });
}
