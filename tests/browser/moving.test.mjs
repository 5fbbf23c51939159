/** An address that dies in the middle of a call of two pages, and a way that is lost for a while: the page notices it by the silence, and the picture goes on. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fixture } from './fixture.mjs';
import { LAB_FLAGS, startLab } from './lab.mjs';
import { joinRoom, until, waitForFrames, waitForPeer } from './lib.mjs';

const shared = fixture({ args: LAB_FLAGS });
let lab;
after(() => lab?.stop());

/** @param {() => Promise<import('playwright-core').Page>} open @returns a call of two whose ends would miss each other */
async function livelyCall(open) {
  lab ??= await startLab(shared.server, ['--seed', '7']);
  const [room, ana, bo] = [shared.freshRoom(), await open(), await open()];
  await joinRoom(ana, lab, { room, name: 'Ana' });
  await joinRoom(bo, lab, { room, name: 'Bo' });
  for (const [page, other] of [[ana, 'Bo'], [bo, 'Ana']]) {
    await waitForPeer(page, other);
    await waitForFrames(page, other, 5);
    // The browser's own word, seconds later, is not heard: only the silence can be what is noticed.
    await page.evaluate(() => { [...globalThis.parlor.peers.values()][0].tick = () => false; });
    await until(page, () => [...globalThis.parlor.peers.values()][0].silence.isLively, null, `${other} would be missed`);
  }
  return [ana, bo];
}

const restarts = () => [...globalThis.parlor.peers.values()][0].connection.counters.ice_restarts;

test('an address that dies is given up when nothing comes from it, whatever the browser says', () => shared.withPages(async (open) => {
  const [ana, bo] = await livelyCall(open);
  await lab.apply('Ana: address dies');
  await waitForFrames(ana, 'Bo', 30);
  await waitForFrames(bo, 'Ana', 30);
  const made = await Promise.all([ana, bo].map((page) => page.evaluate(restarts)));
  assert.ok(made[0] + made[1] >= 1, 'an end restarted ICE');
}));

test('a way that the other end looks for is not looked for once more', () => shared.withPages(async (open) => {
  const [ana, bo] = await livelyCall(open);
  // However long Bo's offer takes: Ana looks once it is there.
  await ana.evaluate(() => {
    const [peer] = globalThis.parlor.peers.values();
    const look = peer.look.bind(peer);
    globalThis.looks = 0;
    peer.look = () => {
      if (peer.connection.restarts === 0) return;
      globalThis.looks += 1;
      look();
    };
  });
  await lab.apply('up blackout');
  await bo.evaluate(() => [...globalThis.parlor.peers.values()][0].connection.restartIce());
  await until(ana, () => globalThis.looks > 8, null, 'Ana would have missed Bo');
  await lab.apply('up clear');
  await waitForFrames(ana, 'Bo', 30);
  await waitForFrames(bo, 'Ana', 30);
  assert.equal(await ana.evaluate(restarts), 0);
}));
