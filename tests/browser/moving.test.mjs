/** An address that dies in the middle of a call of two pages: the page notices it by the silence, and the picture goes on. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fixture } from './fixture.mjs';
import { LAB_FLAGS, startLab } from './lab.mjs';
import { joinRoom, until, waitForFrames, waitForPeer } from './lib.mjs';

const shared = fixture({ args: LAB_FLAGS });
let lab;
after(() => lab?.stop());

test('an address that dies is given up when nothing comes from it, whatever the browser says', () => shared.withPages(async (open) => {
  lab = await startLab(shared.server, ['--seed', '7']);
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
  await lab.apply('Ana: address dies');
  const restarts = () => [...globalThis.parlor.peers.values()][0].connection.counters.ice_restarts;
  await waitForFrames(ana, 'Bo', 30);
  await waitForFrames(bo, 'Ana', 30);
  const made = await Promise.all([ana, bo].map((page) => page.evaluate(restarts)));
  assert.ok(made[0] + made[1] >= 1, 'an end restarted ICE');
}));
