/** The native client and Chromium in one room: each joins first in turn, and each sees, hears and reads the other. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { barcodeFilm, readBarcode } from './barcode.mjs';
import { fixture, holdSignals, onlyPeer, onlyVideoCodec } from './fixture.mjs';
import {
  grabPicture, inboundStats, joinRoom, launchBrowser, newPage, PATIENCE_MS, sendChat, temporaryFolder, tileOf, until, waitForChat, waitForFrames, waitForPeer, waitForPeerGone, waitForSound,
} from './lib.mjs';
import { startNative, synthetic } from './native.mjs';
import { readPng } from './png.mjs';

const shared = fixture();
const { withPages, freshRoom } = shared;

/** The beeps are to come through as they are. */
const asItIs = { settings: { audioProcessing: false } };
/** A beep of Chromium's fake microphone, in the last second. */
const isBeeping = (figures) => figures.audio_dbfs > -60 && figures.audio_tone_hz !== null;

/** Runs a test with native peers that are ended afterwards. @param {(start: (options: object) => ReturnType<typeof startNative>) => Promise<void>} body */
async function withNatives(body) {
  const natives = [];
  try {
    await body((options) => {
      const native = startNative(shared.server, options);
      natives.push(native);
      return native;
    });
  } finally {
    for (const native of natives) await native.end();
  }
}

/** Ana in Chromium and Nat, native, connected; who is first in the room is asked by the newcomer for nothing. */
async function callOfTwo(open, start, nativeFirst) {
  const room = freshRoom();
  const page = await open(asItIs);
  let native;
  if (nativeFirst) {
    native = start({ room, name: 'Nat' });
    await native.wait('joined');
    await joinRoom(page, shared.server, { room, name: 'Ana' });
  } else {
    await joinRoom(page, shared.server, { room, name: 'Ana' });
    native = start({ room, name: 'Nat' });
  }
  await waitForPeer(page, 'Nat');
  await native.wait('peer_connected', ({ name }) => name === 'Ana');
  return [page, native];
}

/** The time in the picture of a native peer, as the page shows it. */
async function barcodeOf(page, name) {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const picture = await grabPicture(page, name);
    const capturedAt = picture && readBarcode(picture);
    if (capturedAt) return { capturedAt, ageMs: picture.atMs - capturedAt };
  }
  throw new Error(`no barcode could be read in the picture of ${name}`);
}

/** The page sees and hears the native peer. */
async function pageSeesAndHears(page, name, hertz) {
  await waitForFrames(page, name, 30);
  const stats = await inboundStats(page, name);
  assert.equal(stats.video.codec, 'H264');
  assert.equal(stats.audio.codec, 'opus');
  const first = await barcodeOf(page, name);
  await waitForFrames(page, name, 10);
  const second = await barcodeOf(page, name);
  assert.ok(second.capturedAt > first.capturedAt, 'the picture moves on');
  // Both clocks are this machine's; the bound only tells minutes from milliseconds.
  assert.ok(first.ageMs > -5 && first.ageMs < 10_000, `the picture is ${first.ageMs} ms old`);
  const heard = await waitForSound(page, name);
  assert.ok(Math.abs(heard.hertz - hertz) < 30, `${heard.hertz} Hz instead of ${hertz}`);
}

/** The native peer sees and hears the page. */
async function nativeSeesAndHears(native, name) {
  const figures = await native.statsOf(name, ({ frames_decoded: frames, width }) => frames >= 30 && width > 0);
  assert.equal(figures.video_codec, 'H264');
  await native.statsOf(name, isBeeping);
}

for (const nativeFirst of [true, false]) {
  test(`${nativeFirst ? 'Chromium joins a native peer' : 'a native peer joins Chromium'}: picture, sound, chat, marks, leaving`, () => withPages((open) => withNatives(async (start) => {
    const [page, native] = await callOfTwo(open, start, nativeFirst);
    await pageSeesAndHears(page, 'Nat', 880);
    await nativeSeesAndHears(native, 'Ana');

    await sendChat(page, 'Hello, Nat');
    assert.equal((await native.wait('chat')).text, 'Hello, Nat');
    native.command('say Hello, Ana');
    await waitForChat(page, 'Nat', 'Hello, Ana');

    native.command('mute');
    native.command('camera off');
    await page.getByRole('group', { name: 'Nat, muted, camera off' }).waitFor();
    native.command('unmute');
    native.command('camera on');
    await page.getByRole('group', { name: 'Nat', exact: true }).waitFor();
    await waitForFrames(page, 'Nat', 10);
    await waitForSound(page, 'Nat');

    let seen = native.events.length;
    await page.getByRole('button', { name: 'Mute microphone' }).click();
    await page.getByRole('button', { name: 'Turn camera off' }).click();
    await native.wait('peer_media', ({ microphone, camera }) => microphone === 'muted' && camera === 'off', seen);
    const { frames_decoded: before } = await native.statsOf('Ana', ({ fps, audio_dbfs: dbfs }) => fps === 0 && dbfs < -100);
    seen = native.events.length;
    await page.getByRole('button', { name: 'Unmute microphone' }).click();
    await page.getByRole('button', { name: 'Turn camera on' }).click();
    await native.wait('peer_media', ({ microphone, camera }) => microphone === 'on' && camera === 'on', seen);
    await native.statsOf('Ana', (figures) => figures.frames_decoded >= before + 10 && isBeeping(figures));

    // Mute and camera renegotiated nothing: there was the one offer of who was first.
    const { counters } = await page.evaluate(onlyPeer);
    assert.deepEqual([counters.offers_sent, counters.answers_sent], nativeFirst ? [0, 1] : [1, 0]);
    const summary = await native.leave();
    assert.equal(summary.peers[0].chat_received, 1);
    await waitForPeerGone(page, 'Nat');
  })));
}

test('offers of the page and of the native peer that cross settle, and the connection stays', () => withPages((open) => withNatives(async (start) => {
  const [page, native] = await callOfTwo(open, start, true);
  await waitForFrames(page, 'Nat', 5);
  const before = await page.evaluate(onlyPeer);
  // The page holds its offer back until that of the native peer has come: they must cross.
  await page.evaluate(holdSignals);
  await page.evaluate(() => { [...globalThis.parlor.peers.values()][0].connection.restartIce(); });
  await until(page, () => [...globalThis.parlor.peers.values()][0].connection.pc.signalingState === 'have-local-offer', null, 'an offer is made');
  native.command('restart-ice');
  await until(page, () => [...globalThis.parlor.peers.values()][0].connection.counters.glare > 0, null, 'the offers cross');
  await page.evaluate(() => globalThis.release());
  await until(page, () => {
    const [peer] = globalThis.parlor.peers.values();
    return peer.connection.pc.signalingState === 'stable' && peer.isMediaAlive;
  }, null, 'negotiation at rest');
  const after = await page.evaluate(onlyPeer);
  assert.equal(after.connection, before.connection);
  assert.equal(after.counters.failed, 0);
  await waitForFrames(page, 'Nat', 30);
  const { frames_decoded: frames } = await native.statsOf('Ana', () => true);
  await native.statsOf('Ana', ({ frames_decoded: now }) => now >= frames + 30);
  native.command('say Still here');
  await waitForChat(page, 'Nat', 'Still here');
})));

for (const nativeFirst of [true, false]) {
  test(`with a browser that lacks H.264 the sound goes on, and both sides say why there is no picture (${nativeFirst ? 'native' : 'browser'} first)`, () => withPages((open) => withNatives(async (start) => {
    const [page, native] = await callOfTwo((options) => open({ ...options, init: onlyVideoCodec('VP8') }), start, nativeFirst);
    await page.getByRole('group', { name: 'Nat, no picture format in common' }).waitFor();
    await waitForSound(page, 'Nat');
    const figures = await native.statsOf('Ana', isBeeping);
    assert.equal(figures.video_codec, null);
    assert.equal(figures.frames_decoded, 0);
  })));
}

test('two in Chromium and two native peers are one room', () => withPages((open) => withNatives(async (start) => {
  const room = freshRoom();
  const small = { ...asItIs, viewport: { width: 480, height: 360 } };
  const ana = await open(small);
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  const nat = start({ room, name: 'Nat', flags: synthetic(880) });
  await nat.wait('joined');
  const bo = await open(small);
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  const nel = start({ room, name: 'Nel', flags: synthetic(660) });
  await nel.wait('joined');

  const pages = { Ana: ana, Bo: bo };
  const natives = { Nat: nat, Nel: nel };
  const everybody = ['Ana', 'Bo', 'Nat', 'Nel'];
  for (const [name, page] of Object.entries(pages)) {
    for (const other of everybody.filter((one) => one !== name)) await waitForPeer(page, other);
  }
  for (const [name, native] of Object.entries(natives)) {
    for (const other of everybody.filter((one) => one !== name)) await native.wait('peer_connected', (event) => event.name === other);
  }
  for (const [name, page] of Object.entries(pages)) {
    for (const other of everybody.filter((one) => one !== name)) await waitForFrames(page, other, 5);
    await barcodeOf(page, 'Nat');
    await barcodeOf(page, 'Nel');
    assert.equal(await tileOf(page, 'Nel').count(), 1);
  }
  for (const [name, native] of Object.entries(natives)) {
    for (const other of everybody.filter((one) => one !== name)) await native.statsOf(other, (figures) => figures.frames_decoded >= 5 && isBeeping(figures));
  }
  await sendChat(ana, 'Hello, all');
  await waitForChat(bo, 'Ana', 'Hello, all');
  for (const native of Object.values(natives)) await native.wait('chat', ({ name, text }) => name === 'Ana' && text === 'Hello, all');
  nel.command('say Hello from Nel');
  for (const page of Object.values(pages)) await waitForChat(page, 'Nel', 'Hello from Nel');
  await nat.wait('chat', ({ name }) => name === 'Nel');
})));

test('the native peer reads the barcode before Chromium’s camera', () => withNatives(async (start) => {
  const files = temporaryFolder();
  const film = path.join(files.folder, 'film.y4m');
  const pictures = path.join(files.folder, 'pictures');
  const timeMs = 1_795_765_432_109.8;
  writeFileSync(film, barcodeFilm({ width: 640, height: 360, timeMs, frames: 10 }));
  const browser = await launchBrowser({ args: [`--use-file-for-fake-video-capture=${film}`] });
  try {
    const room = freshRoom();
    await joinRoom(await newPage(browser, asItIs), shared.server, { room, name: 'Ana' });
    const native = start({ room, name: 'Nat', flags: ['--snapshots', pictures] });
    // Chromium begins with small pictures; their barcode can be read too.
    let read = null;
    const deadline = performance.now() + PATIENCE_MS;
    while (read === null) {
      assert.ok(performance.now() < deadline, 'no barcode could be read in the picture of Ana');
      await native.statsOf('Ana', ({ frames_decoded: frames }) => frames > 0);
      const [picture] = readdirSync(pictures).filter((file) => file.startsWith('Ana-') && file.endsWith('.png'));
      read = picture ? readBarcode(readPng(readFileSync(path.join(pictures, picture)))) : null;
    }
    assert.equal(read, timeMs);
  } finally {
    await browser.close();
    files.remove();
  }
}));
