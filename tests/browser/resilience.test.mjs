/** Glare, lost offers, lost sockets and lost servers: a call goes on, and people stay who they are. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixture, holdSignals, notes, onlyPeer } from './fixture.mjs';
import { joinRoom, launchMortalBrowser, newPage, screenshot, sendChat, startServer, temporaryFolder, until, waitForChat, waitForFrames, waitForPeer, waitForPeerGone, waitForSound } from './lib.mjs';

const shared = fixture();
const { withPages, callOf, freshRoom } = shared;

/** PROTOCOL.md: 10 s; a little more, since the page's clock runs on between the steps. */
const OFFER_TIMEOUT_MS = 10_500;
let said = 0;

/** The chat goes both ways: the data channels live. */
async function talk(ana, bo) {
  const text = `line ${said += 1}`;
  await sendChat(ana, text);
  await waitForChat(bo, 'Ana', text);
  await sendChat(bo, text);
  await waitForChat(ana, 'Bo', text);
}

/** In the page: the only peer's negotiation is at rest. */
const isAtRest = () => {
  const [peer] = globalThis.parlor.peers.values();
  return peer?.connection?.pc.signalingState === 'stable' && peer.isMediaAlive;
};

test('offers that cross on one connection settle, and the connection stays', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  const before = (await ana.evaluate(onlyPeer)).connection;
  // Both hold their messages back until both have offered: the offers must cross.
  for (const page of [ana, bo]) {
    await page.evaluate(holdSignals);
    await page.evaluate(() => { [...globalThis.parlor.peers.values()][0].connection.restartIce(); });
    await until(page, () => [...globalThis.parlor.peers.values()][0].connection.pc.signalingState === 'have-local-offer', null, 'an offer is made');
  }
  await Promise.all([ana, bo].map((page) => page.evaluate(() => globalThis.release())));
  for (const page of [ana, bo]) {
    await until(page, () => [...globalThis.parlor.peers.values()][0].connection.counters.glare > 0, null, 'the offers crossed');
    await until(page, isAtRest, null, 'negotiation at rest');
  }
  const [atAna, atBo] = [await ana.evaluate(onlyPeer), await bo.evaluate(onlyPeer)];
  assert.deepEqual([atAna.connection, atBo.connection], [before, before]);
  assert.equal(atAna.counters.rollbacks + atBo.counters.rollbacks, 1, 'the polite one alone rolled back');
  assert.equal((atAna.selfId < atAna.id ? atAna : atBo).counters.rollbacks, 1);
  assert.equal(atAna.counters.failed + atBo.counters.failed, 0);
  await waitForFrames(ana, 'Bo', 10);
  await waitForFrames(bo, 'Ana', 10);
  await talk(ana, bo);
}));

test('fresh connections offered to each other at once leave one', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  for (const page of [ana, bo]) {
    await page.evaluate(holdSignals);
    await page.evaluate(() => { [...globalThis.parlor.peers.values()][0].offer(); });
    await until(page, () => [...globalThis.parlor.peers.values()][0].connection.pc.signalingState === 'have-local-offer', null, 'a fresh offer is made');
  }
  await Promise.all([ana, bo].map((page) => page.evaluate(() => globalThis.release())));
  for (const page of [ana, bo]) await until(page, isAtRest, null, 'connected anew');
  const [atAna, atBo] = [await ana.evaluate(onlyPeer), await bo.evaluate(onlyPeer)];
  assert.equal(atAna.connection, atBo.connection);
  await waitForFrames(ana, 'Bo', 10);
  await waitForFrames(bo, 'Ana', 10);
  await talk(ana, bo);
}));

test('an ICE restart changes the credentials and loses nobody', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  const before = await ana.evaluate(onlyPeer);
  await ana.evaluate(() => [...globalThis.parlor.peers.values()][0].connection.restartIce());
  await until(ana, (ufrag) => {
    const [{ connection }] = globalThis.parlor.peers.values();
    return connection.pc.signalingState === 'stable' && !connection.pc.localDescription.sdp.includes(`a=ice-ufrag:${ufrag}`);
  }, before.ufrag, 'new credentials');
  await until(ana, isAtRest, null, 'connected');
  assert.equal((await ana.evaluate(onlyPeer)).connection, before.connection);
  await waitForFrames(ana, 'Bo', 10);
  await waitForFrames(bo, 'Ana', 10);
  await talk(ana, bo);
}));

test('a first offer that is never answered is made again on a fresh connection', () => withPages(async (open) => {
  const room = freshRoom();
  const ana = await open({
    init: `{
      const send = WebSocket.prototype.send;
      globalThis.lost = 0;
      WebSocket.prototype.send = function (text) {
        if (lost === 0 && text.includes('"offer"')) { globalThis.lost += 1; return; }
        send.call(this, text);
      };
    }`,
  });
  const bo = await open();
  // The clock is the page's own, so that ten seconds need not pass.
  await ana.clock.install();
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  await until(ana, () => globalThis.lost === 1, null, 'the first offer is lost');
  const before = await ana.evaluate(() => [...globalThis.parlor.peers.values()][0].connection.id);
  await ana.clock.fastForward(OFFER_TIMEOUT_MS);
  await waitForPeer(ana, 'Bo');
  assert.notEqual((await ana.evaluate(onlyPeer)).connection, before);
  await waitForFrames(bo, 'Ana', 5);
  await talk(ana, bo);
}));

test('a later offer that is never answered is rolled back and made again', () => withPages(async (open) => {
  const room = freshRoom();
  const [ana, bo] = [await open(), await open()];
  await ana.clock.install();
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  await waitForPeer(ana, 'Bo');
  const before = await ana.evaluate(onlyPeer);
  await ana.evaluate(() => {
    const { signaling } = globalThis.parlor;
    const send = signaling.signal.bind(signaling);
    globalThis.lost = 0;
    signaling.signal = (to, connection, signal) => {
      if (signal.kind !== 'offer' || globalThis.lost > 0) return send(to, connection, signal);
      globalThis.lost += 1;
      return true;
    };
    [...globalThis.parlor.peers.values()][0].connection.restartIce();
  });
  await until(ana, () => globalThis.lost === 1, null, 'the offer is lost');
  await ana.clock.fastForward(OFFER_TIMEOUT_MS);
  await until(ana, (sent) => [...globalThis.parlor.peers.values()][0].connection.counters.offers_sent >= sent + 2, before.counters.offers_sent, 'the offer is made again');
  await until(ana, isAtRest, null, 'negotiation at rest');
  const after = await ana.evaluate(onlyPeer);
  assert.deepEqual([after.connection, after.counters.rollbacks], [before.connection, 1]);
  assert.notEqual(after.ufrag, before.ufrag, 'the restart that was asked for took place');
  await waitForFrames(bo, 'Ana', 5);
  await talk(ana, bo);
}));

test('a lost socket resumes with the same id, and nothing is negotiated anew', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  const before = await ana.evaluate(onlyPeer);
  await bo.evaluate(() => globalThis.parlor.signaling.dropSocket());
  await until(ana, () => globalThis.parlor.lines.some(({ text }) => text === 'Bo is reconnecting'), null, 'Bo is away');
  await until(bo, () => globalThis.parlor.signaling.state === 'joined', null, 'Bo resumed');
  await until(ana, () => [...globalThis.parlor.peers.values()][0].presence === 'present', null, 'Bo is back');
  const after = await ana.evaluate(onlyPeer);
  assert.deepEqual([after.id, after.connection, after.counters.offers_sent], [before.id, before.connection, 1]);
  assert.deepEqual(await ana.evaluate(notes), ['Bo joined', 'Bo is reconnecting', 'Bo is back']);
  await waitForFrames(ana, 'Bo', 5);
}));

test('somebody who comes while one is away is met when one is back', () => withPages(async (open) => {
  const room = freshRoom();
  const [ana, bo] = [await open(), await open()];
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  // Held away until Bo has joined: no socket opens meanwhile.
  await ana.evaluate(() => {
    const RealWebSocket = globalThis.WebSocket;
    globalThis.WebSocket = class extends RealWebSocket { constructor() { super(`ws://${location.host}/nobody`); } };
    globalThis.letBack = () => { globalThis.WebSocket = RealWebSocket; };
    globalThis.parlor.signaling.dropSocket();
  });
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  await bo.evaluate(() => { if ([...globalThis.parlor.peers.values()][0].presence !== 'away') throw new Error('Ana is not away'); });
  await ana.evaluate(() => globalThis.letBack());
  await waitForPeer(ana, 'Bo');
  await waitForPeer(bo, 'Ana');
  await waitForFrames(bo, 'Ana', 5);
}));

test('when the server stops, a page alone in its room says so, and its icons are still there', () => withPages(async (open) => {
  const server = await startServer();
  try {
    const page = await open();
    await joinRoom(page, server, { room: freshRoom(), name: 'Ana' });
    await page.getByText('Waiting for others…').waitFor();
    await server.stop();
    await page.getByText('Nobody else is here, and nobody can join for now').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Copy', exact: true }).count(), 0, 'a link that leads nowhere is not offered');
    await page.getByRole('button', { name: 'Mute microphone' }).click();
    const muted = page.getByRole('button', { name: 'Unmute microphone' }).locator('.icon');
    const icon = await muted.evaluate((element) => getComputedStyle(element).getPropertyValue('--icon'));
    assert.match(icon, /^url\("data:image\/svg\+xml,/);
    await screenshot(page, 'server-gone');
  } finally {
    await server.stop();
  }
}));

test('the server is killed and restarted in a call: media goes on, ids stay, the roster is whole', () => withPages(async (open) => {
  const state = temporaryFolder();
  let server = await startServer({ stateDir: state.folder });
  try {
    const room = freshRoom();
    const names = ['Ana', 'Bo', 'Chen'];
    const pages = [];
    for (const name of names) {
      const page = await open();
      await joinRoom(page, server, { room, name });
      pages.push(page);
    }
    for (const page of pages) for (const name of names) if (page !== pages[names.indexOf(name)]) await waitForPeer(page, name);
    const mesh = (page) => page.evaluate(() => Object.fromEntries([...globalThis.parlor.peers.values()].map((peer) => [peer.id, peer.connection.id])));
    const before = await Promise.all(pages.map(mesh));
    const ids = await Promise.all(pages.map((page) => page.evaluate(() => globalThis.parlor.selfId)));

    await server.stop('SIGKILL');
    for (const page of pages) await page.getByText('The server can’t be reached; trying again. The call goes on').waitFor();
    await waitForFrames(pages[0], 'Bo', 15);
    await waitForSound(pages[0], 'Bo');

    server = await startServer({ stateDir: state.folder, port: server.port });
    for (const page of pages) {
      await until(page, () => globalThis.parlor.signaling.state === 'joined' && [...globalThis.parlor.peers.values()].every(({ presence }) => presence === 'present'), null, 'the roster is whole');
    }
    assert.deepEqual(await Promise.all(pages.map((page) => page.evaluate(() => globalThis.parlor.selfId))), ids);
    assert.deepEqual(await Promise.all(pages.map(mesh)), before, 'the same people on the same connections');
    await waitForFrames(pages[0], 'Bo', 10);
    const late = await open();
    await joinRoom(late, server, { room, name: 'Dara' });
    for (const name of names) await waitForPeer(late, name);
  } finally {
    await server.stop();
    state.remove();
  }
}));

test('a killed browser is away at once and gone after its time', () => withPages(async (open) => {
  const room = freshRoom();
  const ana = await open();
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  const mortal = await launchMortalBrowser();
  try {
    const bo = await newPage(mortal.browser);
    await joinRoom(bo, shared.server, { room, name: 'Bo' });
    await waitForPeer(ana, 'Bo');
  } finally {
    await mortal.kill();
  }
  await until(ana, () => globalThis.parlor.lines.some(({ text }) => text === 'Bo is reconnecting'), null, 'Bo is away');
  await ana.getByText('Reconnecting…').waitFor();
  await waitForPeerGone(ana, 'Bo');
  assert.deepEqual(await ana.evaluate(notes), ['Bo joined', 'Bo is reconnecting', 'Bo lost the connection']);
}));

test('nonsense from a peer is counted, and the call goes on', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  await waitForFrames(ana, 'Bo', 5);
  const before = await ana.evaluate(onlyPeer);
  await bo.evaluate(() => {
    const { signaling, peers } = globalThis.parlor;
    const [peer] = peers.values();
    const { id } = peer.connection;
    const candidate = { candidate: 'candidate:nonsense', sdpMid: '7', sdpMLineIndex: 99 };
    signaling.signal(peer.id, id, { kind: 'offer', sdp: 'nonsense', streams: [] });
    signaling.signal(peer.id, id, { kind: 'answer', sdp: 'nonsense', streams: [] });
    signaling.signal(peer.id, id, { kind: 'candidate', candidate });
    signaling.signal(peer.id, 'unknown', { kind: 'answer', sdp: 'nonsense', streams: [] });
    for (let index = 0; index < 80; index += 1) signaling.signal(peer.id, 'early', { kind: 'candidate', candidate });
  });
  await until(ana, () => {
    const [{ connection, dropped }] = globalThis.parlor.peers.values();
    return connection.counters.failed >= 2 && dropped >= 16;
  }, null, 'the nonsense is counted');
  assert.equal((await ana.evaluate(onlyPeer)).connection, before.connection);
  await waitForFrames(ana, 'Bo', 10);
  await talk(ana, bo);
}));

test('without the server nobody is dropped while media lives, and after 15 s once it is dead too', () => withPages(async (open) => {
  const server = await startServer();
  try {
    const room = freshRoom();
    const [ana, bo] = [await open(), await open()];
    await ana.clock.install();
    await joinRoom(ana, server, { room, name: 'Ana' });
    await joinRoom(bo, server, { room, name: 'Bo' });
    await waitForPeer(ana, 'Bo');
    await server.stop('SIGKILL');
    await until(ana, () => globalThis.parlor.signaling.state === 'reconnecting', null, 'the server is gone');
    await ana.clock.runFor(60_000);
    await waitForFrames(ana, 'Bo', 5);
    await ana.evaluate(() => [...globalThis.parlor.peers.values()][0].connection.pc.close());
    await ana.clock.runFor(13_000);
    assert.equal(await ana.evaluate(() => globalThis.parlor.peers.size), 1, 'not before its time');
    await ana.clock.runFor(4_000);
    await waitForPeerGone(ana, 'Bo');
  } finally {
    await server.stop();
  }
}));

test('a room that filled up meanwhile costs no living call, and takes its member back once there is room', () => withPages(async (open) => {
  const state = temporaryFolder();
  const args = ['--room-capacity', '2'];
  let server = await startServer({ stateDir: state.folder, args });
  try {
    const room = freshRoom();
    const [ana, bo, chen] = [await open(), await open(), await open()];
    for (const [page, name] of [[ana, 'Ana'], [bo, 'Bo']]) await joinRoom(page, server, { room, name });
    await waitForPeer(ana, 'Bo');
    const before = await ana.evaluate(onlyPeer);
    // Ana's socket opens only after the room has filled.
    await ana.evaluate(() => {
      const RealWebSocket = globalThis.WebSocket;
      globalThis.WebSocket = class extends RealWebSocket { constructor() { super(`ws://${location.host}/nobody`); } };
      globalThis.letBack = () => { globalThis.WebSocket = RealWebSocket; };
    });
    await server.stop('SIGKILL');
    await until(ana, () => globalThis.parlor.signaling.state === 'reconnecting', null, 'the server is gone');
    server = await startServer({ stateDir: state.folder, port: server.port, args });
    await until(bo, () => globalThis.parlor.signaling.state === 'joined', null, 'Bo is back');
    await joinRoom(chen, server, { room, name: 'Chen' });
    await ana.evaluate(() => globalThis.letBack());
    await ana.getByText('This room is full (2 people). Trying again. The call goes on.').waitFor();
    await waitForFrames(ana, 'Bo', 10);
    await waitForFrames(bo, 'Ana', 10);
    await talk(ana, bo);
    assert.equal((await ana.evaluate(onlyPeer)).connection, before.connection);
    await chen.getByRole('button', { name: 'Leave' }).click();
    await until(ana, () => globalThis.parlor.signaling.state === 'joined', null, 'Ana is back');
    const after = await ana.evaluate(onlyPeer);
    assert.deepEqual([after.selfId, after.id, after.connection], [before.selfId, before.id, before.connection]);
    await ana.getByText('This room is full').waitFor({ state: 'hidden' });
  } finally {
    await server.stop();
    state.remove();
  }
}));

test('an offer and candidates that were sent too fast are sent again', () => withPages(async (open) => {
  const room = freshRoom();
  const ana = await open({
    init: `{
      const send = WebSocket.prototype.send;
      globalThis.limited = 0;
      globalThis.flooded = false;
      WebSocket.prototype.send = function (text) {
        // More than the server takes at once, right before the first offer.
        if (!flooded && text.includes('"offer"')) {
          globalThis.flooded = true;
          this.addEventListener('message', ({ data }) => { if (data.includes('"rate_limited"')) globalThis.limited += 1; });
          const { to } = JSON.parse(text);
          const noise = JSON.stringify({ type: 'signal', to, connection: 'noise', signal: { kind: 'end_of_candidates' } });
          for (let index = 0; index < 1500; index += 1) send.call(this, noise);
        }
        send.call(this, text);
      };
    }`,
  });
  const bo = await open();
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  await until(ana, () => globalThis.flooded && globalThis.parlor.peers.size === 1, null, 'the first offer is made');
  const first = await ana.evaluate(() => [...globalThis.parlor.peers.values()][0].connection.id);
  await waitForPeer(ana, 'Bo');
  await waitForPeer(bo, 'Ana');
  const after = await ana.evaluate(onlyPeer);
  assert.ok(await ana.evaluate(() => globalThis.limited) > 0, 'the server dropped something');
  assert.deepEqual([after.connection, after.counters.rollbacks], [first, 0], 'the same offer arrived in the end, long before it counts as unanswered');
  await waitForFrames(bo, 'Ana', 5);
  await talk(ana, bo);
}));
