/** The page's pure parts, run in the page's own engine. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launchBrowser, newPage, startServer } from './lib.mjs';

let server;
let browser;
let page;
before(async () => {
  server = await startServer();
  browser = await launchBrowser();
  page = await newPage(browser);
  await page.goto(`${server.url}/healthz`);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Calls an exported function of a module with each list of arguments. @param {string} module @param {string} name @param {unknown[][]} calls */
const results = (module, name, calls) => page.evaluate(async ([from, called, lists]) => {
  const exported = (await import(from))[called];
  return lists.map((list) => exported(...list));
}, [module, name, calls]);

test('room names, links and wrong ones are told apart', async () => {
  const host = 'calls.example:8080';
  const [name, link, elsewhere, empty, wrong, long, noRoom, script] = await results('/rooms.js', 'readRoom', [
    ['  Quiet-Otter ', host], [`https://${host}/r/Abc#fp=00`, host], ['https://other.example/r/abc', host], [' ', host], ['a b', host], ['x'.repeat(65), host],
    [`https://${host}/`, host], ['javascript:alert(1)', host],
  ]);
  assert.deepEqual(name, { room: 'quiet-otter' });
  assert.deepEqual(link, { room: 'abc', hash: '#fp=00' });
  assert.deepEqual(elsewhere, { elsewhere: 'https://other.example/r/abc' });
  for (const refused of [empty, wrong, long, noRoom, script]) assert.ok('problem' in refused, JSON.stringify(refused));
});

test('who hides their address tells relay candidates only, without where they come from', async () => {
  const relay = 'candidate:1 1 udp 1677 203.0.113.1 50000 typ relay raddr 192.168.1.7 rport 4711 generation 0 ufrag ab';
  const hidden = 'candidate:1 1 udp 1677 203.0.113.1 50000 typ relay raddr 0.0.0.0 rport 0 generation 0 ufrag ab';
  const host = 'candidate:1 1 udp 2122 192.168.1.7 4711 typ host';
  const srflx = 'candidate:1 1 udp 1686 198.51.100.2 4711 typ srflx raddr 192.168.1.7 rport 4711';
  assert.deepEqual(await results('/relay.js', 'hiddenCandidate', [[relay], [hidden], [host], [srflx], ['']]), [hidden, hidden, null, null, null]);
  const described = (address, candidates) => ['v=0', `o=- 7 2 IN IP4 ${address}`, 's=-', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', `c=IN IP4 ${address}`, `a=rtcp:9 IN IP4 ${address}`, ...candidates, 'a=mid:0', ''].join('\r\n');
  const sdp = described('192.168.1.7', [host, srflx, relay].map((line) => `a=${line}`));
  assert.deepEqual(await results('/relay.js', 'hiddenDescription', [[sdp], ['']]), [described('0.0.0.0', [`a=${hidden}`]), '']);
});

test('credentials are renewed at half of their life, and used by ICE restarts alone', async () => {
  assert.deepEqual(await results('/relay.js', 'renewalDelayMs', [[43_200], [null], [undefined], [-1], ['x'], [1e300], [0]]), [21_600_000, null, null, null, null, 1_296_000_000, 0]);
  const sdp = (ufrag, pwd) => `v=0\r\nm=audio 9 X 111\r\na=ice-ufrag:${ufrag}\r\na=ice-pwd:${pwd}\r\n`;
  const restarts = await results('/relay.js', 'restartsIce', [[sdp('a', 'b'), sdp('a', 'b')], [sdp('a', 'b'), sdp('c', 'd')], [sdp('a', 'b'), 'v=0']]);
  assert.deepEqual(restarts, [false, true, false]);
  assert.deepEqual(await results('/relay.js', 'hasRelay', [[[{ urls: ['stun:a', 'turns:b'] }]], [[{ urls: 'stun:a' }]], [[]]]), [true, false, false]);
});

test('names are refused as the server would refuse them', async () => {
  const read = await results('/rooms.js', 'readName', [[' Ana '], ['😀'.repeat(64)], ['😀'.repeat(65)], [''], ['a\u0007b'], ['  ']]);
  assert.deepEqual(read.map((result) => 'name' in result), [true, true, false, false, false, false]);
  assert.equal(read[0].name, 'Ana');
});

test('generated rooms are valid, readable and never the same', async () => {
  const rooms = await results('/rooms.js', 'makeRoomId', Array.from({ length: 500 }, () => []));
  assert.equal(new Set(rooms).size, 500);
  for (const room of rooms) assert.match(room, /^[a-z]+-[a-z]+-[0-9a-z]{4}-[0-9a-z]{4}$/);
});

test('rooms are named as the native client names them', async () => {
  const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const [script, rust] = [read('assets/web/rooms.js'), read('signaling/proto/src/room_name.rs')];
  /** The words between the brackets of a list. */
  const words = (source, name) => {
    const [, list] = new RegExp(`const ${name}\\b[^=]*= \\[([^\\]]*)\\];`).exec(source) ?? assert.fail(`no list of ${name}`);
    return [...list.matchAll(/["']([a-z]+)["']/g)].map(([, word]) => word);
  };
  const digits = (source) => /const DIGITS[^=]*= b?["']([0-9a-z]+)["'];/.exec(source)?.[1] ?? assert.fail('no digits');
  for (const name of ['ADJECTIVES', 'ANIMALS']) {
    assert.equal(new Set(words(rust, name)).size, 64);
    assert.deepEqual(words(script, name), words(rust, name));
  }
  assert.equal(digits(rust).length, 32);
  assert.equal(digits(script), digits(rust));
  const ends = await page.evaluate(async () => {
    const { makeRoomId } = await import('/rooms.js');
    return [makeRoomId(new Uint8Array(10)), makeRoomId(new Uint8Array(10).fill(255))];
  });
  for (const end of ends) assert.ok(rust.includes(`"${end}"`), `${end} is among the native examples`);
});

test('a link carries the fingerprint it came with, or the server’s', async () => {
  const fingerprint = 'ab'.repeat(32);
  assert.deepEqual(await results('/rooms.js', 'linkTo', [
    [{ origin: 'https://h', hash: '' }, 'r'], [{ origin: 'https://h', hash: `#fp=${fingerprint}` }, 'r'], [{ origin: 'https://h', hash: '#fp=zz' }, 'r'],
    [{ origin: 'https://h', hash: '' }, 'r', fingerprint], [{ origin: 'https://h', hash: '' }, 'r', fingerprint, 'a&b ü'], [{ origin: 'https://h', hash: '' }, 'r', null, 'x'],
  ]), ['https://h/r/r', `https://h/r/r#fp=${fingerprint}`, 'https://h/r/r', `https://h/r/r#fp=${fingerprint}`,
    `https://h/r/r#fp=${fingerprint}&password=a%26b%20%C3%BC`, 'https://h/r/r#password=x']);
});

test('secrets are read out of a link, and what is left of it holds none', async () => {
  const none = { password: null, access: null };
  assert.deepEqual(await results('/secrets.js', 'readFragment', [['#fp=00&password=gr%C3%BCn%20%26&access=a.b.c'], [''], ['#password='], ['#password=%ff&access='], ['#xpassword=a']]),
    [{ password: 'grün &', access: 'a.b.c' }, none, none, none, none]);
  assert.deepEqual(await results('/secrets.js', 'withoutSecrets', [['#fp=00&password=a&access=b'], ['#password=a'], ['#fp=00'], ['']]), ['#fp=00', '', '#fp=00', '']);
});

test('secrets are kept for the tab, each room its own, and distrusted when read', async () => {
  const read = await page.evaluate(async () => {
    const { RoomSecrets } = await import('/secrets.js');
    const stored = { 'parlor.room.odd': '{"password":7,"access":""}', 'parlor.room.broken': '{' };
    const storage = { getItem: (key) => stored[key] ?? null, setItem: (key, value) => { stored[key] = value; } };
    const secrets = new RoomSecrets(storage);
    secrets.keepFound('tea', { password: 'apples', access: null });
    secrets.keepFound('tea', { password: null, access: 'jwt' });
    const again = new RoomSecrets(storage);
    const forbidden = new RoomSecrets({ getItem: () => { throw new Error('forbidden'); }, setItem: () => { throw new Error('forbidden'); } });
    forbidden.keep('tea', { password: 'apples' });
    return [again.get('tea'), again.get('coffee'), again.get('odd'), again.get('broken'), forbidden.get('tea').password];
  });
  const none = { password: null, access: null };
  assert.deepEqual(read, [{ password: 'apples', access: 'jwt' }, none, none, none, 'apples']);
});

test('refusals and what changes in a room have the desktop’s words', async () => {
  const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const rust = read('app/src/refusals.rs');
  const snake = (name) => name.replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
  const table = [...rust.matchAll(/\(ErrorCode::(\w+), "([^"]+)", "([^"]+)", (true|false)\)/g)]
    .map(([, code, title, text, again]) => [snake(code), { title, text, again: again === 'true' }]);
  const here = await page.evaluate(async () => (await import('/words.js')).REFUSALS);
  assert.ok(table.length >= 9);
  assert.deepEqual(here, Object.fromEntries(table));
  const policies = [false, true].flatMap((locked) => [false, true].flatMap((has_password) => [false, true].map((may_moderate) => ({ locked, has_password, may_moderate }))));
  const news = await results('/words.js', 'policyNews', policies.flatMap((policy) => policies.map((before) => [policy, before])));
  for (const words of new Set(news.flat())) assert.ok(rust.includes(`news.push("${words}")`), words);
  assert.equal(new Set(news.flat()).size, rust.match(/news\.push\(/g).length);
  const sheet = read('app/src/ui/room.rs').replace(/\\\n\s*/g, '');
  for (const name of ['standingWords', 'removalWords']) {
    for (const words of (await results('/words.js', name, policies.map((policy) => [policy]))).flat()) assert.ok(sheet.includes(`"${words}"`), words);
  }
});

test('rooms are remembered by day', async () => {
  const noon = new Date(2026, 10, 21, 12).getTime();
  const hours = 3_600_000;
  assert.deepEqual(await results('/rooms.js', 'whenInWords', [[noon - 2 * hours, noon], [noon - 13 * hours, noon], [noon - 50 * hours, noon], [noon - 400 * hours, noon]]),
    ['today', 'yesterday', 'Thursday', 'Nov 4']);
});

test('tiles never overlap, never leave the surface, and fill it', async () => {
  const surfaces = [[1248, 640], [888, 640], [336, 600], [448, 200], [1888, 960]];
  const calls = surfaces.flatMap(([width, height]) => Array.from({ length: 9 }, (_, index) => [index + 1, width, height, 12]));
  const layouts = await results('/ui/grid.js', 'layoutGrid', calls);
  layouts.forEach((boxes, at) => {
    const [count, width, height] = calls[at];
    assert.equal(boxes.length, count);
    for (const [index, box] of boxes.entries()) {
      assert.ok(box.left >= -1 && box.top >= -1 && box.left + box.width <= width + 1 && box.top + box.height <= height + 1, `${count} in ${width}x${height}`);
      for (const other of boxes.slice(index + 1)) {
        const apart = box.left + box.width <= other.left || other.left + other.width <= box.left || box.top + box.height <= other.top || other.top + other.height <= box.top;
        assert.ok(apart, `${count} in ${width}x${height} overlap`);
      }
    }
    const covered = boxes.reduce((sum, box) => sum + box.width * box.height, 0) / (width * height);
    assert.ok(covered > 0.42, `${count} in ${width}x${height} cover ${covered}`);
  });
  assert.deepEqual(await results('/ui/grid.js', 'layoutGrid', [[0, 100, 100, 12], [3, 0, 0, 12]]), [[], []]);
});

test('links in chat are found, and only web addresses', async () => {
  const texts = ['see https://a.example/x?y=1#z.', '(example.org/notes), yes', 'javascript:alert(1)', 'a.b c.d 1.5/2 me@mail.example', 'https://a.example/wiki/A_(b)', 'http://[bad', 'data:text/html,<b>'];
  const pieces = await results('/ui/linkify.js', 'linkify', texts.map((text) => [text]));
  pieces.forEach((list, index) => assert.equal(list.map(({ text }) => text).join(''), texts[index]));
  assert.deepEqual(pieces.map((list) => list.filter(({ href }) => href).map(({ href }) => href)),
    [['https://a.example/x?y=1#z'], ['https://example.org/notes'], [], [], ['https://a.example/wiki/A_(b)'], [], []]);
});

test('linkifying a hostile text takes no time', async () => {
  const texts = ['a.'.repeat(2_000), 'https://'.repeat(500), `${'a-'.repeat(1_990)}.com/x`, '('.repeat(4_000), `http://x/${')'.repeat(3_900)}`];
  for (const [index, list] of (await results('/ui/linkify.js', 'linkify', texts.map((text) => [text]))).entries()) {
    assert.equal(list.map(({ text }) => text).join(''), texts[index]);
  }
});

test('device failures are told apart in words, and say what still works', async () => {
  const names = ['NotAllowedError', 'NotFoundError', 'NotReadableError', 'OverconstrainedError', 'Surprise'];
  const problems = await results('/words.js', 'mediaProblem', [...names.map((name) => [{ name }, true]), [{ name: 'NotAllowedError' }, false], [null, true]]);
  assert.deepEqual(problems, ['denied', 'no_device', 'busy', 'no_device', 'failed', 'insecure', 'failed']);
  const sentences = await results('/words.js', 'problemInWords', ['denied', 'no_device', 'busy', 'unplugged', 'no_sound_server', 'failed', 'insecure'].flatMap((problem) => [[problem, 'camera'], [problem, 'microphone']]));
  for (const sentence of sentences) assert.match(sentence, /still/);
  assert.ok(new Set(sentences).size >= 12);
});

test('the state of a connection is said in words', async () => {
  const peer = { name: 'Bo', state: 'connected', everConnected: true, restarts: 0, presence: 'present' };
  assert.deepEqual(await results('/words.js', 'connectionInWords', [
    [peer], [{ ...peer, presence: 'away' }], [{ ...peer, state: 'none', everConnected: false }], [{ ...peer, state: 'failed' }],
    [{ ...peer, state: 'connecting', everConnected: false, restarts: 2 }], [{ ...peer, state: 'disconnected', presence: 'absent' }],
  ]), [null, null, 'Connecting…', 'Reconnecting…', 'Bo can’t be reached directly; trying another way', 'Reconnecting…']);
});

test('control messages are read with distrust', async () => {
  const media = { type: 'media_state', microphone: 'on', camera: 'off', microphone_reason: null, camera_reason: 'from_the_future' };
  assert.deepEqual(await results('/messages.js', 'readControl', [
    [JSON.stringify(media)], [JSON.stringify({ ...media, camera: 'maybe' })], ['{"type":"bye"}'], ['{"type":"toString"}'], ['null'], ['[]'], ['{'], [5],
    [JSON.stringify({ type: 'bye', padding: 'é'.repeat(2_100) })], ['{"type":"video_suspended","reason":7}'], ['{"type":"video_reduced","reason":"bandwidth"}'], ['{"type":"hello","versions":"1"}'],
  ]), [{ ...media, camera_reason: 'failed' }, null, { type: 'bye' }, null, null, null, null, null, null, { type: 'video_suspended', reason: 'bandwidth' }, { type: 'video_reduced' }, null]);
});

test('descriptions are read for codecs and sources', async () => {
  const sdp = (port, codec, mid = '1') => `v=0\r\nm=audio 9 X 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\nm=video ${port} X 96 97\r\na=mid:${mid}\r\na=rtpmap:96 ${codec}/90000\r\na=rtpmap:97 rtx/90000\r\n`;
  assert.deepEqual(await results('/sdp.js', 'hasCommonVideoCodec', [
    [sdp(9, 'H264'), sdp(9, 'h264')], [sdp(9, 'H264'), sdp(9, 'VP8')], [sdp(9, 'H264'), sdp(0, 'H264')], ['', ''], [sdp(9, 'H264'), 'v=0\r\n'],
  ]), [true, false, false, false, false]);
  const sources = await page.evaluate(async (text) => {
    const { sourcesByMid } = await import('/sdp.js');
    const streams = [{ mid: '1', owner: 'them', source: 'hologram' }, { mid: '0', owner: 'somebody else', source: 'screen' }, null, 7];
    return [[...sourcesByMid(text, streams, 'them')], [...sourcesByMid(text, 'nonsense', 'them')]];
  }, sdp(9, 'H264'));
  assert.deepEqual(sources, [[['0', 'microphone'], ['1', 'hologram']], [['0', 'microphone'], ['1', 'camera']]]);
});

test('H264 is preferred and nothing is lost', async () => {
  const codecs = [
    { mimeType: 'video/VP8' }, { mimeType: 'video/rtx' }, { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=0;profile-level-id=42e01f' },
    { mimeType: 'video/H264', sdpFmtpLine: 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f' }, { mimeType: 'video/AV1' },
  ];
  const [ordered] = await results('/sdp.js', 'preferH264', [[codecs]]);
  assert.deepEqual(ordered.map((codec) => codecs.findIndex((other) => JSON.stringify(other) === JSON.stringify(codec))), [3, 2, 0, 1, 4]);
});

test('waiting before a reconnect is random, capped, and obeys the server', async () => {
  assert.deepEqual(await results('/protocol.js', 'reconnectDelayMs', [[0, 0.5], [1, 1], [10, 1], [10, 0], [500, 0.5], [3, 0.9, 700], [0, 0, 1e12]]), [50, 200, 2_000, 0, 1_000, 700, 60_000]);
});

test('who is sent away comes back when the server said, and after any other loss at random', async () => {
  const waits = await page.evaluate(async () => {
    const { SignalingClient } = await import('/protocol.js');
    const kept = [globalThis.WebSocket, globalThis.setTimeout];
    const sockets = [];
    const timers = [];
    globalThis.WebSocket = class { static OPEN = 1; readyState = 1; constructor() { sockets.push(this); } send() {} close() {} };
    globalThis.setTimeout = (act, wait) => timers.push([act, wait]);
    try {
      const ignore = () => {};
      const client = new SignalingClient('ws://a/ws', { onState: ignore, onJoined: ignore, onMessage: ignore, onError: ignore, onFailed: ignore }, { random: () => 0.5 });
      const hear = (message) => sockets.at(-1).onmessage({ data: JSON.stringify(message) });
      const refuse = (code, wait) => hear({ type: 'error', code, message: 'm', to: null, retry_after_ms: wait });
      const comeIn = () => {
        sockets.at(-1).onopen();
        hear({ type: 'joined', room: 'a', peer_id: 'p', name: 'Ana', resume_token: 't', resumed: false, peers: [], ice_servers: [], limits: {} });
      };
      const lose = (code) => {
        const before = sockets.length;
        sockets.at(-1).onclose({ code });
        const [act, wait] = timers.at(-1);
        if (sockets.length !== before) throw new Error('back at once');
        act();
        return wait;
      };
      client.join('a', 'Ana');
      comeIn();
      refuse('rate_limited', 9_000);
      const waited = [lose(1006)];
      comeIn();
      refuse('going_away', 1_234);
      waited.push(lose(1001));
      waited.push(lose(1006));
      return waited;
    } finally {
      [globalThis.WebSocket, globalThis.setTimeout] = kept;
    }
  });
  assert.deepEqual(waits, [50, 1_234, 100]);
});

test('server messages that are malformed or unknown are ignored', async () => {
  const peer = { peer_id: 'a', name: 'A', away: false };
  const good = [{ type: 'policy', policy: { locked: true }, resume_token: 't' }, { type: 'roster', peers: [peer] }, { type: 'peer_joined', peer }, { type: 'peer_left', peer_id: 'a', reason: 'left' }, { type: 'signal', from: 'a', connection: 'c', signal: { kind: 'end_of_candidates' } }, { type: 'error', code: 'x', message: 'y' }];
  const bad = [
    { type: 'policy', policy: { locked: true } }, { type: 'policy', resume_token: 't' }, { type: 'roster', peers: [{}] }, { type: 'peer_joined' }, { type: 'peer_joined', peer: { peer_id: 1, name: 'A' } }, { type: 'signal', from: 'a', connection: 'c', signal: { kind: 'offer' } },
    { type: 'signal', from: 'a', connection: 'c', signal: { kind: 'candidate', candidate: null } }, { type: '__proto__' }, { type: 'constructor' }, { type: 'joined' }, [], null, 7, { type: 7 },
  ];
  const read = await results('/protocol.js', 'parseServerMessage', [...good, ...bad].map((message) => [JSON.stringify(message)]).concat([['{'], [null]]));
  assert.deepEqual(read.slice(0, good.length), good);
  assert.ok(read.slice(good.length).every((message) => message === null));
});

test('what is remembered is taken only in the form expected', async () => {
  const read = await page.evaluate(async () => {
    const { SettingsStore } = await import('/settings.js');
    const stored = { 'parlor.name': '"Ana"', 'parlor.cameraOn': '"yes"', 'parlor.recent': '[{"room":"<b>","atMs":1},{"room":"ok","atMs":2},null]', 'parlor.speakerId': '{' };
    const settings = new SettingsStore({ getItem: (key) => stored[key] ?? null, setItem: () => { throw new Error('full'); } });
    settings.addRecent('new', 3);
    return [settings.get('name'), settings.get('cameraOn'), settings.get('recent'), settings.get('speakerId')];
  });
  assert.deepEqual(read, ['Ana', true, [{ room: 'new', atMs: 3 }, { room: 'ok', atMs: 2 }], '']);
});

test('ICE servers that a connection would refuse are left out', async () => {
  const [usable] = await results('/call.js', 'usableIceServers', [[[
    { urls: ['stun:stun.example.org:3478', 'http://x', 7], username: null, credential: null },
    { urls: ['turn:turn.example.org?transport=tcp'], username: 'u', credential: 'c' },
    { urls: ['turn:turn.example.org', 'stun:[::1]:3478'], username: 'u', credential: null },
    { urls: 'stun:no-list' }, { urls: ['turn:a b'], username: 'u', credential: 'c' },
  ]]]);
  assert.deepEqual(usable, [
    { urls: ['stun:stun.example.org:3478'] }, { urls: ['turn:turn.example.org?transport=tcp'], username: 'u', credential: 'c' }, { urls: ['stun:[::1]:3478'] },
  ]);
  await page.evaluate((iceServers) => new RTCPeerConnection({ iceServers }).close(), usable);
});

test('a peer may replace the transport ten times in ten seconds, and no more', async () => {
  const seen = await page.evaluate(async () => {
    const { Peer, REPLACEMENTS_MAX, REPLACEMENT_WINDOW_MS } = await import('/peer.js');
    const { RTCPeerConnection: Real } = globalThis;
    let made = 0;
    globalThis.RTCPeerConnection = class extends Real { constructor(...config) { super(...config); made += 1; } };
    let now = 5_000;
    const peer = new Peer({ peer_id: 'b', name: 'Bo', away: false }, {
      selfId: 'a', iceServers: () => [], tracks: () => ({ microphone: null, camera: null }), certificate: undefined,
      mediaState: () => ({ microphone: 'off', camera: 'off', microphone_reason: null, camera_reason: null }),
      signal: () => true, isSignalingUp: () => true, isHoldingSignals: () => false, onChange() {}, onChat() {}, onBye() {}, now: () => now, random: () => 0.5,
    });
    const offer = (id) => { peer.handleSignal(id, { kind: 'offer', sdp: 'v=0', streams: [] }); return [peer.connection.id, made, peer.dropped]; };
    const steps = [];
    for (let index = 0; index < REPLACEMENTS_MAX + 5; index += 1) steps.push(offer(`c${index}`));
    // An offer on the transport that stands makes none.
    steps.push(offer('c9'));
    now += REPLACEMENT_WINDOW_MS - 1;
    steps.push(offer('early'));
    now += 1;
    steps.push(offer('later'));
    peer.close();
    globalThis.RTCPeerConnection = Real;
    return steps;
  });
  assert.deepEqual(seen[9], ['c9', 10, 0]);
  assert.deepEqual(seen.slice(10, 15), [1, 2, 3, 4, 5].map((dropped) => ['c9', 10, dropped]));
  assert.deepEqual(seen.slice(15), [['c9', 10, 5], ['c9', 10, 6], ['later', 11, 6]]);
});

test('who sends all the time is missed after a second of silence, and once in half a minute', async () => {
  const seen = await page.evaluate(async () => {
    const { Silence, LOOK_MS, SILENCE_REST_MS } = await import('/silence.js');
    /** At which looks somebody is missed: a letter a look, `x` when something came, `h` when the network changed and nothing came. */
    const missed = (looks, isPolite = false) => {
      const silence = new Silence(isPolite);
      let came = 0;
      return [...looks].flatMap((look, index) => {
        if (look === 'x') came += 1;
        if (look === 'h') silence.hint();
        return silence.look(`${came}`, index * LOOK_MS) ? [index] : [];
      });
    };
    const [heard, rest] = ['x'.repeat(10), 'x'.repeat(SILENCE_REST_MS / LOOK_MS)];
    return {
      once: missed(`${heard}${'.'.repeat(50)}`), polite: missed(`${heard}${'.'.repeat(50)}`, true), gaps: missed(`${heard}...`.repeat(20)),
      nowAndThen: missed('x....'.repeat(40)), never: missed('.'.repeat(40)), hinted: missed(`${heard}h...`),
      again: missed(`${heard}....${heard}....`), later: missed(`${heard}....${rest}....`).map((index) => index % rest.length),
    };
  });
  assert.deepEqual(seen, { once: [13], polite: [14], gaps: [], nowAndThen: [], never: [], hinted: [11], again: [13], later: [13, 17] });
});

test('what is lost before the other end listens is said once more', async () => {
  const seen = await page.evaluate(async () => {
    const { Peer } = await import('/peer.js');
    const realSend = RTCDataChannel.prototype.send;
    const said = [];
    let lossy = null;
    let lost = 0;
    RTCDataChannel.prototype.send = function send(text) {
      said.push(JSON.parse(text).type);
      lossy ??= this;
      if (this === lossy && lost < 2) lost += 1;
      else realSend.call(this, text);
    };
    const lines = [];
    const make = (selfId, id, name, other) => new Peer({ peer_id: id, name, away: false }, {
      selfId, iceServers: () => [], relayOnly: false, tracks: () => ({ microphone: null, camera: null }), certificate: undefined,
      mediaState: () => ({ microphone: 'off', camera: 'off', microphone_reason: null, camera_reason: null }),
      signal: (_to, connection, signal) => { queueMicrotask(() => other().handleSignal(connection, signal)); return true; },
      isSignalingUp: () => true, isHoldingSignals: () => false, onChange() {}, onChat: (_peer, { text }) => lines.push(text), onBye() {},
      now: () => performance.now(), random: () => 0.5,
    });
    const bo = make('a', 'b', 'Bo', () => ana);
    const ana = make('b', 'a', 'Ana', () => bo);
    const until = async (isTrue) => {
      for (let tries = 0; !isTrue(); tries += 1) {
        if (tries > 1_000) throw new Error(`in vain: ${isTrue}, after ${said}`);
        await new Promise((resolve) => { setTimeout(resolve, 20); });
      }
    };
    bo.offer();
    await until(() => ana.mediaState && bo.mediaState && said.length >= 8);
    const sends = [bo, ana].map((peer, index) => peer.sendChat({ type: 'message', id: `${index}`, text: peer.name, sent_at_ms: 1 }));
    await until(() => lines.length === 2);
    for (const peer of [ana, bo]) peer.close();
    RTCDataChannel.prototype.send = realSend;
    return { sends, lost, hellos: said.filter((type) => type === 'hello').length, clients: [ana.client, bo.client] };
  });
  assert.deepEqual(seen, { sends: [true, true], lost: 2, hellos: 4, clients: ['parlor-web 0.1.0', 'parlor-web 0.1.0'] });
});

test('what stands between the page and the server is said in words', async () => {
  const full = { code: 'room_full', message: 'This room is full (2 people).' };
  assert.deepEqual(await results('/words.js', 'signalingInWords', [[null, 3], [{ code: 'unreachable', message: '' }, 0], [{ code: 'unreachable', message: '' }, 1], [full, 0], [full, 1]]), [
    null, 'The server can’t be reached; trying again.', 'The server can’t be reached; trying again. The call goes on, but nobody new can join.',
    'This room is full (2 people). Trying again.', 'This room is full (2 people). Trying again. The call goes on.',
  ]);
});
