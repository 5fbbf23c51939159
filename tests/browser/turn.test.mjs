/** The native client and Chromium, each behind a NAT of its own, call through coturn. Skipped, in words, where no networks can be made. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onlyPeer } from './fixture.mjs';
import { joinRoom, launchBrowser, newPage, PATIENCE_MS, POLL_MS, until, waitForFrames, waitForPeer } from './lib.mjs';
import { makeNats, PUBLIC, startPublicServers } from './nat.mjs';
import { startNative } from './native.mjs';

/** Waits for something outside the page. @param {() => boolean} condition @param {string} what */
async function untilHere(condition, what) {
  const deadline = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
  }
}

test('a native peer and a page that hides its address call through the relay', async (context) => {
  let nats;
  try { nats = makeNats(); } catch (error) { context.skip(error.message); return; }
  const cleanUp = [() => nats.remove()];
  try {
    const server = await startPublicServers(nats);
    cleanUp.push(() => server.stop());
    const native = startNative(server, { room: 'tea', name: 'Nat', launcher: nats.launcher(server.folder, 0, process.env.PARLOR) });
    cleanUp.push(() => native.end());
    await native.wait('joined');

    // A page has a camera only where it came over TLS, or is named here.
    const chromium = nats.launcher(server.folder, 1, process.env.CHROMIUM ?? '/usr/bin/chromium');
    const browser = await launchBrowser({ executablePath: chromium, args: [`--unsafely-treat-insecure-origin-as-secure=${server.url}`] });
    cleanUp.push(() => browser.close());
    const page = await newPage(browser, { settings: { relayOnly: true } });
    let said = '';
    let renewedAt = null;
    page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => { said += payload; });
      socket.on('framereceived', ({ payload }) => { if (String(payload).startsWith('{"type":"ice_servers"')) renewedAt ??= Date.now(); });
    });
    await joinRoom(page, server, { room: 'tea', name: 'Ana' });
    await waitForPeer(page, 'Nat');

    await waitForFrames(page, 'Nat', 30);
    await native.statsOf('Ana', (figures) => figures.frames_decoded >= 30 && figures.relayed === true);
    await until(page, async () => Object.values(await globalThis.parlor.stats())[0]?.path === 'relayed', null, 'the details say relayed');

    // A live allocation stays on the credentials that made it, though newer ones are there by now.
    const { selfId } = await page.evaluate(onlyPeer);
    const allocated = (what) => server.allocations.filter((one) => one.what === what && one.name.endsWith(`:${selfId}`));
    const first = new Set(allocated('new').map(({ name }) => name));
    await untilHere(() => renewedAt !== null && allocated('refreshed').some(({ at }) => at > renewedAt), 'an allocation is refreshed after the credentials were renewed');
    assert.deepEqual(new Set(allocated('refreshed').map(({ name }) => name)), first);

    // Over an ICE restart too, which gathers anew.
    await page.evaluate(() => [...globalThis.parlor.peers.values()][0].connection.restartIce());
    await until(page, () => [...globalThis.parlor.peers.values()][0].connection.counters.offers_sent + [...globalThis.parlor.peers.values()][0].connection.counters.answers_sent >= 2, null, 'the restart is negotiated');
    await waitForFrames(page, 'Nat', 30);

    await untilHere(() => allocated('new').some(({ name }) => !first.has(name)), 'the restart allocates with newer credentials');

    const relayed = said.match(/typ relay raddr 0\.0\.0\.0 rport 0/g) ?? [];
    assert.ok(relayed.length > 0, said);
    assert.equal(said.match(/typ [a-z]+ /g).length, relayed.length, 'no candidate of another type');
    assert.ok(said.includes(PUBLIC), 'the relay is named');
    for (const address of nats.addressesOf(1)) assert.ok(!said.includes(address), `${address} was told:\n${said}`);
    assert.deepEqual(page.problems, []);
  } finally {
    for (const step of cleanUp.reverse()) await step();
  }
});
