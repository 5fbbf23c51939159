/** Bad networks: one packet of ten is lost between the native client and Chromium, each way; or a link carries sound and no more. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fixture } from './fixture.mjs';
import { LAB_FLAGS, startLab } from './lab.mjs';
import { grabPicture, inboundStats, joinRoom, PATIENCE_MS, sendChat, until, waitForChat, waitForFrames, waitForPeer, waitForSound } from './lib.mjs';
import { readBarcode } from './barcode.mjs';
import { startNative, synthetic } from './native.mjs';

/** About ten seconds of picture. */
const FRAMES = 240;
/** A freeze that people would call one; what loss alone makes is far shorter, and a slow machine makes some of it. */
const FREEZE_MAX_MS = 2_500;

const shared = fixture({ args: LAB_FLAGS });
let lab;
/** One for all tests here, made when the server is there. */
const openLab = async () => { lab ??= await startLab(shared.server, ['--up', 'loss=10%', '--seed', '7']); };
after(() => lab?.stop());

/** In the page: measures from now on the longest time between two pictures of the one peer. */
const watchPicture = () => {
  const [peer] = globalThis.parlor.peers.values();
  const video = document.querySelector(`[data-peer="${peer.id}"] video`);
  globalThis.seen = { pictures: 0, longestMs: 0, lastMs: performance.now() };
  const next = (now) => {
    globalThis.seen.longestMs = Math.max(globalThis.seen.longestMs, now - globalThis.seen.lastMs);
    globalThis.seen.lastMs = now;
    globalThis.seen.pictures += 1;
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
};

/** In the page: pictures that were encoded for the one peer. */
const encoded = async () => {
  const [peer] = globalThis.parlor.peers.values();
  const report = await peer.connection.pc.getStats();
  return [...report.values()].find(({ type, kind }) => type === 'outbound-rtp' && kind === 'video').framesEncoded;
};

async function barcodeIn(page, name) {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const picture = await grabPicture(page, name);
    const time = picture && readBarcode(picture);
    if (time) return time;
  }
  throw new Error(`no barcode could be read in the picture of ${name}`);
}

for (const nativeFirst of [true, false]) {
  test(`at 10 % loss both ways each sees, hears and reads the other (${nativeFirst ? 'native' : 'browser'} first)`, () => shared.withPages(async (open) => {
    await openLab();
    const room = shared.freshRoom();
    const page = await open({ settings: { audioProcessing: false } });
    const joinPage = () => joinRoom(page, lab, { room, name: 'Ana' });
    if (!nativeFirst) await joinPage();
    const native = startNative(lab, { room, name: 'Nat', flags: synthetic(880) });
    try {
      await native.wait('joined');
      if (nativeFirst) await joinPage();
      await waitForPeer(page, 'Nat');
      await native.wait('peer_connected', ({ name }) => name === 'Ana');
      await waitForFrames(page, 'Nat', 5);
      const { frames_decoded: before } = await native.statsOf('Ana', ({ frames_decoded: frames }) => frames > 5);

      await page.evaluate(watchPicture);
      const first = await barcodeIn(page, 'Nat');
      await until(page, (frames) => globalThis.seen.pictures >= frames, FRAMES, `${FRAMES} pictures of Nat`);
      const { longestMs } = await page.evaluate(() => globalThis.seen);
      assert.ok(longestMs < FREEZE_MAX_MS, `the page saw nothing new for ${longestMs} ms`);
      assert.ok(await barcodeIn(page, 'Nat') > first, 'the picture moves on');
      const heard = await waitForSound(page, 'Nat');
      assert.ok(Math.abs(heard.hertz - 880) < 30, `${heard.hertz} Hz instead of 880`);

      const figures = await native.statsOf('Ana', ({ frames_decoded: frames }) => frames >= before + FRAMES);
      const eachMs = figures.frozen_ms / Math.max(1, figures.freezes);
      assert.ok(eachMs < FREEZE_MAX_MS, `the native peer’s picture stood for ${eachMs} ms at a time`);
      // Chromium takes this loss for a slow link and makes its picture too coarse for a barcode: that frames come is what counts here.
      await native.statsOf('Ana', ({ audio_dbfs: dbfs, audio_tone_hz: tone }) => dbfs > -60 && tone !== null);

      await sendChat(page, 'Through the rain');
      await native.wait('chat', ({ text }) => text === 'Through the rain');
      native.command('say Loud and clear');
      await waitForChat(page, 'Nat', 'Loud and clear');
      await native.leave();
    } finally {
      await native.end();
    }
    // All of it came through the lab, and the lab lost what it should.
    const { links } = await lab.report();
    for (const { up } of links.slice(-2)) {
      const share = up.lost / up.entered;
      assert.ok(up.entered > 1_000 && share > 0.07 && share < 0.13, `${up.lost} of ${up.entered} were lost`);
    }
  }));
}

test('on a link for sound alone a page sends no picture, says so, and sends it again when there is room', () => shared.withPages(async (open) => {
  const narrowing = await startLab(shared.server);
  try {
    const room = shared.freshRoom();
    const [ana, bo] = [await open(), await open()];
    await joinRoom(ana, narrowing, { room, name: 'Ana' });
    await joinRoom(bo, narrowing, { room, name: 'Bo' });
    await waitForFrames(ana, 'Bo', 30);
    // One way alone: were both narrow, one would try again, in vain and then later, while the other has not given up yet.
    await narrowing.apply('Ana: up rate=50kbps');
    const pictureIs = (wanted) => [...globalThis.parlor.peers.values()][0].narrow.picture === wanted;
    await until(ana, pictureIs, 'small', 'Ana sends a small picture');
    // Looked for anew, as by who hears nothing for a moment, it is the way of before with its queue.
    const lookAnew = () => [...globalThis.parlor.peers.values()][0].connection.restartIce();
    await bo.evaluate(lookAnew);
    const isSuspended = (wanted) => [...globalThis.parlor.peers.values()].some(({ videoSuspended }) => (videoSuspended === 'bandwidth') === wanted);
    await until(bo, isSuspended, true, 'Ana says that there is only sound');
    await bo.getByText('sound only, slow network').first().waitFor();
    // What was on its way is there when there is room.
    await narrowing.apply('Ana: up clear');
    await waitForSound(bo, 'Ana');
    const { video } = await inboundStats(bo, 'Ana');
    // What Ana encodes: Bo may still be decoding what came before.
    const [before, after] = [await ana.evaluate(encoded), await ana.evaluate(encoded)];
    if (await ana.evaluate(pictureIs, 'none')) assert.equal(after, before, 'no picture is sent');
    // More is tried after a while, and sooner where the way may be another.
    await bo.evaluate(lookAnew);
    await until(bo, isSuspended, false, 'Ana sends a picture again');
    await waitForFrames(bo, 'Ana', video.frames + 30);
  } finally {
    await narrowing.stop();
  }
}));
