/** protocol.js against the real server, without a user interface. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launchBrowser, newPage, startServer, temporaryFolder, until } from './lib.mjs';

const state = temporaryFolder();
let server;
let browser;
let page;
let rooms = 0;

before(async () => {
  server = await startServer({ stateDir: state.folder });
  browser = await launchBrowser();
  page = await newPage(browser);
  await page.goto(`${server.url}/healthz`);
  await page.evaluate(async () => {
    const { SignalingClient } = await import('/protocol.js');
    const { webSocketUrl } = await import('/rooms.js');
    /** A client that keeps what it is told. */
    globalThis.connect = (room, name) => {
      const log = [];
      const client = new SignalingClient(webSocketUrl(location), {
        onState: (value) => log.push({ event: 'state', state: value }),
        onJoined: (message) => log.push({ event: 'joined', message }),
        onMessage: (message) => log.push({ event: message.type, message }),
        onError: (message) => log.push({ event: 'error', message }),
        onFailed: (message) => log.push({ event: 'failed', message }),
      });
      client.join(room, name);
      return { client, log, last: (event) => log.findLast((entry) => entry.event === event)?.message };
    };
    globalThis.people = {};
  });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  state.remove();
});

const freshRoom = () => `protocol-${rooms += 1}`;

/** @param {string} room @param {string} name */
async function join(room, name) {
  await page.evaluate(([where, who]) => { globalThis.people[who] = globalThis.connect(where, who); }, [room, name]);
  return until(page, (who) => globalThis.people[who].last('joined'), name, `${name} joined`);
}

/** @param {string} name @param {string} event */
const heard = (name, event) => until(page, ([who, what]) => globalThis.people[who].last(what), [name, event], `${name} hears ${event}`);

test('a newcomer gets the roster, the others get the newcomer, and leaving is told at once', async () => {
  const room = freshRoom();
  const ana = await join(` ${room.toUpperCase()} `, 'Ana');
  assert.deepEqual([ana.room, ana.name, ana.resumed, ana.peers], [room, 'Ana', false, []]);
  assert.match(ana.peer_id, /^[a-z2-7]{26}$/);
  assert.equal(ana.limits.room_capacity, 8);
  const bo = await join(room, 'Bo');
  assert.deepEqual(bo.peers, [{ peer_id: ana.peer_id, name: 'Ana', away: false }]);
  assert.equal((await heard('Ana', 'peer_joined')).peer.peer_id, bo.peer_id);
  await page.evaluate(() => globalThis.people.Bo.client.leave());
  assert.deepEqual(await heard('Ana', 'peer_left'), { type: 'peer_left', peer_id: bo.peer_id, reason: 'left' });
});

test('signals reach their addressee alone, stamped with the sender', async () => {
  const room = freshRoom();
  const [ana, bo] = [await join(room, 'Ana'), await join(room, 'Bo')];
  await join(room, 'Chen');
  await page.evaluate((to) => globalThis.people.Ana.client.signal(to, 'c0ffee', { kind: 'offer', sdp: 'v=0', streams: [] }), bo.peer_id);
  assert.deepEqual(await heard('Bo', 'signal'), { type: 'signal', from: ana.peer_id, connection: 'c0ffee', signal: { kind: 'offer', sdp: 'v=0', streams: [] } });
  await page.evaluate(() => globalThis.people.Chen.client.signal('a'.repeat(26), 'c0ffee', { kind: 'end_of_candidates' }));
  assert.equal((await heard('Chen', 'error')).code, 'unknown_peer');
  assert.equal(await page.evaluate(() => globalThis.people.Chen.last('signal')), undefined);
});

test('a lost socket comes back with the same id, and a probe changes nothing', async () => {
  const room = freshRoom();
  const [ana, bo] = [await join(room, 'Ana'), await join(room, 'Bo')];
  await page.evaluate(() => globalThis.people.Bo.client.dropSocket());
  assert.equal((await heard('Ana', 'peer_away')).peer_id, bo.peer_id);
  assert.equal((await heard('Ana', 'peer_back')).peer.peer_id, bo.peer_id);
  const again = await until(page, () => { const last = globalThis.people.Bo.last('joined'); return last.resumed && last; }, null, 'Bo resumed');
  assert.equal(again.peer_id, bo.peer_id);
  assert.equal(again.peers[0].peer_id, ana.peer_id);
  const count = await page.evaluate(() => { const { client, log } = globalThis.people.Ana; client.probe(); return log.filter(({ event }) => event === 'joined').length; });
  await until(page, (before) => globalThis.people.Ana.log.filter(({ event }) => event === 'joined').length > before, count, 'the probe is answered');
  assert.equal((await heard('Ana', 'joined')).peer_id, ana.peer_id);
});

test('a silent server is noticed by a probe and replaced by a new socket', async () => {
  const room = freshRoom();
  const ana = await join(room, 'Ana');
  await page.clock.install();
  await page.evaluate(() => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = () => {};
    globalThis.people.Ana.client.probe();
    WebSocket.prototype.send = send;
  });
  await page.clock.fastForward(5_100);
  await until(page, () => globalThis.people.Ana.log.some(({ state: value }) => value === 'reconnecting'), null, 'the socket is given up');
  await page.clock.fastForward(2_000);
  const again = await until(page, () => { const last = globalThis.people.Ana.last('joined'); return last.resumed && last; }, null, 'resumed');
  assert.equal(again.peer_id, ana.peer_id);
  await page.clock.resume();
});

test('what the server refuses for good ends with its words', async () => {
  for (const [room, name, code] of [['not a room!', 'Ana', 'invalid_room'], [freshRoom(), 'x'.repeat(65), 'invalid_name']]) {
    await page.evaluate(([where, who]) => { globalThis.people.refused = globalThis.connect(where, who); }, [room, name]);
    const error = await heard('refused', 'failed');
    assert.equal(error.code, code);
    assert.ok(error.message.length > 10);
    assert.equal(await page.evaluate(() => globalThis.people.refused.client.state), 'closed');
  }
});

test('a killed server is waited for, and known again with the same id', async () => {
  const room = freshRoom();
  const [ana] = [await join(room, 'Ana'), await join(room, 'Bo')];
  await server.stop('SIGKILL');
  await until(page, () => ['Ana', 'Bo'].every((name) => globalThis.people[name].client.state === 'reconnecting'), null, 'both lost the server');
  server = await startServer({ stateDir: state.folder, port: server.port });
  const again = await until(page, () => { const last = globalThis.people.Ana.last('joined'); return last.resumed && last; }, null, 'Ana resumed');
  assert.equal(again.peer_id, ana.peer_id);
  await until(page, () => globalThis.people.Bo.last('joined').resumed, null, 'Bo resumed');
  await page.evaluate(() => { for (const { client } of Object.values(globalThis.people)) client.leave(); });
});

test('TURN credentials come with the join and anew when asked for', async () => {
  const secret = path.join(state.folder, 'turn-secret');
  writeFileSync(secret, 'known to both\n');
  const other = await startServer({ args: ['--turn-url', 'turn:203.0.113.1:3478', '--turn-secret-file', secret, '--turn-lifetime-seconds', '600'] });
  const visitor = await newPage(browser);
  try {
    await visitor.goto(`${other.url}/healthz`);
    await visitor.evaluate(async () => {
      const { SignalingClient } = await import('/protocol.js');
      const { webSocketUrl } = await import('/rooms.js');
      globalThis.told = [];
      const ignore = () => {};
      const tell = (message) => globalThis.told.push(message);
      const client = new SignalingClient(webSocketUrl(location), { onState: ignore, onJoined: (message) => { tell(message); client.refreshIceServers(); }, onMessage: tell, onError: tell, onFailed: tell });
      client.join('tea', 'Ana');
    });
    const [joined, fresh] = await until(visitor, () => globalThis.told.length >= 2 && globalThis.told, null, 'two answers');
    assert.deepEqual([joined.type, fresh.type], ['joined', 'ice_servers']);
    for (const { ice_servers: [turn], ice_lifetime_seconds: lifetime } of [joined, fresh]) {
      assert.equal(lifetime, 600);
      assert.deepEqual(turn.urls, ['turn:203.0.113.1:3478']);
      assert.match(turn.username, new RegExp(`^\\d+:${joined.peer_id}$`));
      assert.match(turn.credential, /^[A-Za-z0-9+/]{27}=$/);
    }
  } finally {
    await visitor.context().close();
    await other.stop();
  }
});
