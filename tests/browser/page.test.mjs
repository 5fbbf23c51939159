/** Two people and more in Chromium: pictures, sound, chat, marks, leaving. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixture, notes, onlyPeer, onlyVideoCodec } from './fixture.mjs';
import {
  inboundStats, joinRoom, openLobby, screenshot, sendChat, tileOf, until, waitForChat, waitForFrames, waitForPeer, waitForPeerGone, waitForSound,
} from './lib.mjs';

const shared = fixture();
const { withPages, callOf, freshRoom } = shared;

test('two tabs see and hear each other', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  await waitForFrames(ana, 'Bo', 20);
  await waitForFrames(bo, 'Ana', 20);
  await waitForSound(ana, 'Bo');
  await waitForSound(bo, 'Ana');
  const stats = await inboundStats(ana, 'Bo');
  assert.equal(stats.video.codec, 'H264');
  assert.equal(stats.audio.codec, 'opus');
  await until(ana, () => document.querySelector('.tile[data-peer]:not(.is-self).has-picture.is-speaking'), null, 'the picture is shown, and the outline while Bo beeps');
}));

test('the newcomer answers and nothing renegotiates when microphone and camera go off and on', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  await waitForFrames(ana, 'Bo', 5);
  await bo.getByRole('button', { name: 'Mute microphone' }).click();
  await bo.getByRole('button', { name: 'Turn camera off' }).click();
  await ana.getByRole('group', { name: 'Bo, muted, camera off' }).waitFor();
  await bo.getByRole('group', { name: 'You, Bo, muted, camera off' }).waitFor();
  await until(ana, () => document.querySelector('.tile[data-peer]:not(.is-self):not(.has-picture)'), null, 'the picture is gone');
  await bo.getByRole('button', { name: 'Unmute microphone' }).click();
  await bo.getByRole('button', { name: 'Turn camera on' }).click();
  await ana.getByRole('group', { name: 'Bo', exact: true }).waitFor();
  await waitForFrames(ana, 'Bo', 10);
  await waitForSound(ana, 'Bo');
  assert.equal((await ana.evaluate(onlyPeer)).counters.offers_sent, 1);
  const { counters } = await bo.evaluate(onlyPeer);
  assert.deepEqual([counters.offers_sent, counters.answers_sent], [0, 1]);
}));

test('chat goes both ways, counts what is unread, and tells what did not arrive', () => withPages(async (open) => {
  const room = freshRoom();
  const ana = await open();
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  await sendChat(ana, 'Anybody here?');
  await ana.getByText('Not delivered: nobody is connected yet.').waitFor();
  const bo = await open();
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  await waitForPeer(ana, 'Bo');
  await waitForPeer(bo, 'Ana');
  await sendChat(ana, 'Notes are here: example.org/notes');
  await waitForChat(bo, 'Ana', 'Notes are here: example.org/notes');
  await bo.getByRole('button', { name: 'Open chat, 1 unread' }).waitFor();
  assert.match(await bo.title(), /^\(1\) /);
  await sendChat(bo, 'Thanks, reading.');
  await waitForChat(ana, 'Bo', 'Thanks, reading.');
  await bo.getByRole('button', { name: 'Close chat', exact: true }).first().waitFor();
  assert.equal(await bo.locator('.badge').isVisible(), false);
  assert.equal(await bo.getByRole('link', { name: 'example.org/notes' }).getAttribute('href'), 'https://example.org/notes');
  assert.equal(await ana.getByText('Not delivered').count(), 1);
}));

test('hostile chat is shown as text or dropped', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  const hostile = '<img src=x onerror="globalThis.hacked=1"><b>bold</b> javascript:alert(1) data:text/html,hi';
  await sendChat(bo, hostile);
  await waitForChat(ana, 'Bo', hostile);
  await sendChat(ana, 'open the panel');
  assert.equal(await ana.locator('.chat-line .chat-text').first().textContent(), hostile);
  assert.equal(await ana.locator('.chat-text img, .chat-text b, .chat-text a').count(), 0);
  assert.equal(await ana.evaluate(() => globalThis.hacked), undefined);
  await bo.evaluate(() => {
    const [{ connection }] = globalThis.parlor.peers.values();
    connection.send('chat', { type: 'message', id: 'same', text: 'once', sent_at_ms: 1 });
    connection.send('chat', { type: 'message', id: 'same', text: 'twice', sent_at_ms: 1 });
    connection.send('chat', { type: 'message', id: 'UPPER', text: 'bad id', sent_at_ms: 1 });
    connection.send('chat', { type: 'message', id: 'long', text: 'x'.repeat(4_001), sent_at_ms: 1 });
    connection.send('chat', { type: 'message', id: 'empty', text: '', sent_at_ms: 1 });
    connection.send('chat', { type: 'message', id: 'large', text: 'ok', padding: 'x'.repeat(21_000) });
    connection.send('chat', ['not an object']);
    connection.send('control', { type: 'media_state', microphone: 'loud', camera: 'on' });
    connection.send('control', { type: 'from_the_future' });
    connection.send('chat', { type: 'message', id: 'last', text: 'the end', sent_at_ms: 1 });
  });
  await waitForChat(ana, 'Bo', 'the end');
  await until(ana, () => [...globalThis.parlor.peers.values()][0].dropped === 8, null, 'eight messages are dropped');
  const texts = await ana.evaluate(() => globalThis.parlor.lines.filter((line) => line.kind === 'chat' && !line.mine).map(({ text }) => text));
  assert.deepEqual(texts, [hostile, 'once', 'the end']);
}));

test('a chat line of 4,000 characters goes, one more does not', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  const longest = '😀'.repeat(4_000);
  await sendChat(ana, longest);
  await waitForChat(bo, 'Ana', longest);
  await sendChat(ana, `${longest}x`);
  await ana.getByText('1 characters too many').waitFor();
  assert.equal(await ana.getByRole('textbox', { name: 'Write to everyone' }).inputValue(), `${longest}x`);
}));

test('leaving is known at once and leads back to the lobby', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  await bo.getByRole('button', { name: 'Leave' }).click();
  await bo.getByRole('heading', { name: 'Who’s in?' }).waitFor();
  await waitForPeerGone(ana, 'Bo');
  await ana.getByRole('heading', { name: 'Waiting for others…' }).waitFor();
  assert.deepEqual(await ana.evaluate(notes), ['Bo joined', 'Bo left']);
}));

test('refreshing leaves no ghost', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  const room = await bo.evaluate(() => globalThis.parlor.room);
  await bo.reload();
  await waitForPeerGone(ana, 'Bo');
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  await waitForPeer(ana, 'Bo');
  await waitForFrames(ana, 'Bo', 5);
  assert.equal(await ana.evaluate(() => globalThis.parlor.peers.size), 1);
  assert.deepEqual(await ana.evaluate(notes), ['Bo joined', 'Bo left', 'Bo joined']);
}));

test('closing the tab leaves at once', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  await bo.close({ runBeforeUnload: false });
  await waitForPeerGone(ana, 'Bo');
  assert.ok(!(await ana.evaluate(notes)).includes('Bo lost the connection'));
}));

test('two of the same name are two people', () => withPages(async (open) => {
  const [one] = await callOf(open, ['Ana', 'Bo', 'Bo']);
  assert.equal(await one.evaluate(() => new Set([...globalThis.parlor.peers.values()].map(({ id }) => id)).size), 2);
  assert.equal(await tileOf(one, 'Bo').count(), 2);
}));

test('keys work in the call but not while typing', () => withPages(async (open) => {
  const [ana] = await callOf(open, ['Ana', 'Bo']);
  await ana.locator('body').click({ position: { x: 5, y: 795 } });
  await ana.keyboard.press('m');
  await ana.getByRole('button', { name: 'Unmute microphone' }).waitFor();
  await ana.keyboard.press('v');
  await ana.getByRole('button', { name: 'Turn camera on' }).waitFor();
  await ana.keyboard.press('d');
  await ana.getByRole('button', { name: 'Undeafen' }).waitFor();
  assert.equal(await ana.evaluate(() => [...document.querySelectorAll('audio')].every((audio) => audio.muted)), true);
  await ana.keyboard.press('c');
  await ana.getByRole('textbox', { name: 'Write to everyone' }).waitFor();
  await ana.keyboard.type('mvdcf');
  assert.equal(await ana.getByRole('textbox', { name: 'Write to everyone' }).inputValue(), 'mvdcf');
  await ana.getByRole('button', { name: 'Unmute microphone' }).waitFor();
  await ana.keyboard.press('Escape');
  await ana.getByRole('complementary', { name: 'Chat' }).waitFor({ state: 'hidden' });
  await ana.keyboard.press('f');
  await until(ana, () => document.fullscreenElement !== null, null, 'full screen');
  await ana.keyboard.press('f');
  await until(ana, () => document.fullscreenElement === null, null, 'no full screen');
}));

test('a double click fills the screen with one person', () => withPages(async (open) => {
  const [ana] = await callOf(open, ['Ana', 'Bo']);
  await tileOf(ana, 'Bo').dblclick();
  await until(ana, () => document.fullscreenElement?.matches('.tile'), null, 'the tile fills the screen');
}));

test('speaking while muted brings a hint', () => withPages(async (open) => {
  // The fake microphone only beeps now and then; speech is louder for longer.
  const [ana] = await callOf(open, ['Ana', 'Bo'], { init: `{
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      const stream = await open(constraints);
      if (!constraints.audio) return stream;
      const context = new AudioContext();
      const tone = context.createOscillator();
      const output = context.createMediaStreamDestination();
      tone.connect(output);
      tone.start();
      return new MediaStream([...stream.getVideoTracks(), ...output.stream.getAudioTracks()]);
    };
  }` });
  await ana.getByRole('button', { name: 'Mute microphone' }).click();
  await ana.getByText('You are muted. Press M to speak.').waitFor();
}));

test('the details tell codec, rate, delay, loss and path', () => withPages(async (open) => {
  const [ana] = await callOf(open, ['Ana', 'Bo']);
  await waitForFrames(ana, 'Bo', 10);
  await tileOf(ana, 'Bo').getByRole('button', { name: 'Details' }).click();
  const sheet = ana.getByRole('dialog', { name: 'Details: Bo' });
  await sheet.getByText(/^H264, \d+×\d+, \d+ fps, [\d.]+ [kM]bit\/s$/).first().waitFor();
  await sheet.getByText(/^opus, /).first().waitFor();
  await sheet.getByText(/^direct \(UDP\)$/).waitFor();
  await sheet.getByText(/^\d+ ms$/).waitFor();
  await screenshot(ana, 'details');
  await ana.keyboard.press('Escape');
  await sheet.waitFor({ state: 'detached' });
}));

test('alone there is the link, and a way back', () => withPages(async (open) => {
  const ana = await open();
  const room = freshRoom();
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  await ana.getByRole('heading', { name: 'Waiting for others…' }).waitFor();
  await ana.getByText(`${shared.server.url}/r/${room}`, { exact: true }).waitFor();
  await ana.getByRole('button', { name: 'Cancel' }).click();
  await ana.getByRole('heading', { name: 'Who’s in?' }).waitFor();
  assert.equal(await ana.evaluate(() => globalThis.parlor), null);
  await openLobby(ana, shared.server);
  await ana.getByText(room).waitFor();
}));

test('without a video codec in common the sound goes on and both tiles say why', () => withPages(async (open) => {
  const room = freshRoom();
  const [ana, bo] = [await open({ init: onlyVideoCodec('H264') }), await open({ init: onlyVideoCodec('VP8') })];
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  await waitForPeer(ana, 'Bo');
  await waitForPeer(bo, 'Ana');
  await ana.getByRole('group', { name: 'Bo, no picture format in common' }).waitFor();
  await bo.getByRole('group', { name: 'Ana, no picture format in common' }).waitFor();
  await waitForSound(ana, 'Bo');
  await waitForSound(bo, 'Ana');
}));

test('the chat is in the order of arrival, whatever clock the sender has', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  const setClock = (ms) => bo.evaluate((now) => { Date.now = () => now; }, ms);
  await setClock(Date.UTC(2100, 0));
  await sendChat(bo, 'one');
  await waitForChat(ana, 'Bo', 'one');
  await sendChat(ana, 'two');
  await waitForChat(bo, 'Ana', 'two');
  await setClock(Date.UTC(1980, 0));
  await sendChat(bo, 'three');
  await waitForChat(ana, 'Bo', 'three');
  for (const page of [ana, bo]) {
    assert.deepEqual(await page.getByRole('log').locator('.chat-text').allTextContents(), ['one', 'two', 'three']);
  }
}));
