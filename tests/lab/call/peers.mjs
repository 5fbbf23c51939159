/**
 * The two kinds of people in a call of the lab: the shipped native program, and the shipped page in Chromium. Both play the same film
 * and the same sound, and keep what they are shown and what they hear.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BARCODE_SOURCE } from '../../browser/barcode.mjs';
import { LAB_FLAGS } from '../../browser/lab.mjs';
import { launchBrowser, newPage, openLobby, until } from '../../browser/lib.mjs';
import { startNative } from '../../browser/native.mjs';
import { FILM_SOURCE } from './film.mjs';
import { keepSnapshots } from './likeness.mjs';
import { fromBlocks, recordingOf } from './sound.mjs';

const PAGE_SOURCE = readFileSync(new URL('stamps.js', import.meta.url), 'utf8');

/** Unix time in ms, with its fraction. */
export const nowMs = () => performance.timeOrigin + performance.now();

/**
 * @typedef {object} Kept
 * @property {{shownMs: number, stampMs: number|null}[]} pictures of the other one
 * @property {object|null} spoken a recording (sound.mjs) of what this one's source gave
 * @property {object|null} heard one of what was heard of the other
 *
 * @typedef {object} LabPeer
 * @property {() => Promise<number>} join goes into the room; when that was asked for, in Unix ms
 * @property {() => Promise<unknown>} connected until the other's picture is shown
 * @property {() => Promise<{concealed: number, samples: number, captured: number}>} figures counted so far: sound of the other, pictures of its own camera
 * @property {(from: number, to: number) => Promise<string[]>} whole some of the pictures shown then, as PNG files
 * @property {() => Promise<Kept>} kept ends the call and gives all that was kept
 * @property {() => Promise<void>} end
 * @property {() => Promise<number>} clockOffsetMs how far its clock is ahead of ours
 * @property {Record<string, string>} versions
 */

/**
 * A native peer with everything open, before it joins.
 * @param {{lab: {url: string}, room: string, name: string, other: string, folder: string, film: {width: number, height: number, seed: number}, filmFile: string, soundFile: string, recordsSound: boolean, keepsPictures: boolean, card?: Awaited<ReturnType<typeof import('./cards.mjs').startCard>>}} options
 * @returns {Promise<LabPeer>}
 */
export async function nativePeer({ lab, room, name, other, folder, film, filmFile, soundFile, recordsSound, keepsPictures, card }) {
  const snapshots = path.join(folder, `${name}-snapshots`);
  mkdirSync(snapshots);
  const [pictureFile, soundFolder] = [path.join(folder, `${name}.jsonl`), path.join(folder, name)];
  const flags = [
    '--video', `file:${filmFile}`, '--stamp-pictures', '--video-size', `${film.width}x${film.height}`,
    ...card ? ['--audio', 'default', '--speaker', 'default', '--audio-processing', 'off'] : ['--audio', `file:${soundFile}`, '--speaker', 'none'],
    '--record-pictures', pictureFile, '--join-on-command', ...recordsSound && !card ? ['--record-audio', soundFolder] : [],
    ...keepsPictures ? ['--snapshots', snapshots] : [],
  ];
  const native = startNative(lab, { room, name, flags, env: card?.env });
  await native.wait('ready');
  const isOther = (peer) => peer.name === other && peer.present;
  const shots = keepSnapshots(snapshots, folder);
  const pictures = () => readFileSync(pictureFile, 'utf8').split('\n').filter((line) => line.endsWith('}')).map((line) => JSON.parse(line));
  return {
    versions: { parlor: execFileSync(process.env.PARLOR, ['--version'], { encoding: 'utf8' }).trim() },
    clockOffsetMs: async () => 0,
    join: async () => {
      const at = nowMs();
      native.command('join');
      await native.wait('joined');
      return at;
    },
    connected: () => native.statsOf(other, ({ frames_shown: frames }) => frames > 0),
    figures: async () => {
      const { sent, peers } = await native.wait('stats', ({ peers: all }) => all.some(isOther), native.events.length);
      const of = peers.find(isOther);
      // The program counts its peer's own samples and the made-up ones apart.
      return { concealed: of.audio_concealed, samples: of.audio_played + of.audio_concealed, captured: sent.frames_captured };
    },
    whole: async (from, to) => shots.kept.filter(({ atMs }) => atMs >= from && atMs < to).map(({ file }) => file),
    kept: async () => {
      await native.leave();
      const sound = (kind) => (recordsSound && existsSync(path.join(soundFolder, `${kind}.json`)) ? recordingOf(soundFolder, kind) : null);
      return {
        pictures: pictures().map(({ shown_ms: shownMs, stamp_ms: stampMs }) => ({ shownMs, stampMs })),
        ...card ? card.recordings() : { spoken: sound('spoken'), heard: sound('heard') },
      };
    },
    end: async () => {
      shots.stop();
      await native.end();
    },
  };
}

/**
 * A page in the lobby of the room, with camera and microphone open and the name filled in.
 * `hasNoWatch` takes from the page what it watches for silences, so that the browser alone notices an outage; `isPlain` lets it send the
 * picture whatever the way carries, as the browser would.
 * @param {Parameters<typeof nativePeer>[0] & {hasNoWatch?: boolean, isPlain?: boolean}} options @returns {Promise<LabPeer>}
 */
export async function pagePeer({ lab, room, name, other, folder, film, soundFile, recordsSound: records, keepsPictures, card, hasNoWatch = false, isPlain = false }) {
  const recordsSound = records && !card;
  const browser = await launchBrowser(card
    ? { args: [...LAB_FLAGS, '--use-fake-ui-for-media-stream'], fakeDevices: false, isAudible: true, env: card.env }
    : { args: [...LAB_FLAGS, `--use-file-for-fake-audio-capture=${soundFile}`] });
  const init = `${hasNoWatch ? 'delete RTCRtpReceiver.prototype.getSynchronizationSources;' : ''}
globalThis.labFilm = ${JSON.stringify({ ...film, recordsSound, keepsPictures })};\n${FILM_SOURCE}\n${BARCODE_SOURCE}\nObject.assign(globalThis, { makeFilm, stampBarcode, readBarcode });\n${PAGE_SOURCE}`;
  const page = await newPage(browser, { init, settings: { audioProcessing: false }, viewport: { width: 1_400, height: 900 } });
  await openLobby(page, lab, { room });
  if (isPlain) await page.evaluate(async () => { (await import('/narrow.js')).Narrow.prototype.look = () => false; });
  await page.getByLabel('Your name').fill(name);
  return {
    versions: { chromium: browser.version() },
    clockOffsetMs: () => clockOffsetMs(page),
    join: async () => {
      await page.getByRole('button', { name: 'Join', exact: true }).click();
      await until(page, () => globalThis.parlor?.state === 'joined', null, `${name} joins ${room}`);
      return page.evaluate(() => globalThis.lab.clickedMs);
    },
    connected: () => until(page, () => globalThis.lab.pictures.length > 0, null, `a picture of ${other}`),
    figures: () => page.evaluate(() => globalThis.inboundFigures()),
    whole: async (from, to) => {
      const pictures = await page.evaluate(([begin, end]) => globalThis.picturesKept(begin, end), [from, to]);
      return pictures.map((base64, index) => {
        const file = path.join(folder, `${name}-shown-${index}.png`);
        writeFileSync(file, Buffer.from(base64, 'base64'));
        return file;
      });
    },
    kept: async () => {
      const pictures = await page.evaluate(() => globalThis.lab.pictures);
      const sound = async (kind) => (recordsSound ? page.evaluate((which) => globalThis.soundKept(which), kind) : null);
      return {
        pictures: pictures.map(([shownMs, stampMs]) => ({ shownMs, stampMs })),
        ...card ? card.recordings() : { spoken: pageRecording(await sound('spoken'), 'spoken'), heard: pageRecording(await sound('heard'), 'heard') },
      };
    },
    end: () => browser.close(),
  };
}

/** How far the page's clock is ahead of ours, by the quickest of some questions. @param {import('playwright-core').Page} page */
async function clockOffsetMs(page) {
  let best = { roundTrip: Infinity, offset: 0 };
  for (let tries = 0; tries < 12; tries += 1) {
    const asked = nowMs();
    const there = await page.evaluate(() => performance.timeOrigin + performance.now());
    const roundTrip = nowMs() - asked;
    if (roundTrip < best.roundTrip) best = { roundTrip, offset: there - asked - roundTrip / 2 };
  }
  return Math.round(best.offset * 10) / 10;
}

/** What a page kept, as a recording. @param {{rate: number, blocks: [number, number, number][], base64: string}|null} kept @param {'spoken'|'heard'} kind */
export function pageRecording(kept, kind) {
  if (!kept) return null;
  const bytes = Buffer.from(kept.base64, 'base64');
  const samples = Float32Array.from({ length: bytes.length >> 1 }, (_, index) => bytes.readInt16LE(index * 2) / 32_767);
  return fromBlocks(samples, kept.rate, kept.blocks, kind);
}
