/** Rooms that are not open to everyone: the door, the lock, who is removed, and what a link carries. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixture, notes } from './fixture.mjs';
import { joinRoom, openLobby, screenshot, until, waitForPeer, waitForPeerGone } from './lib.mjs';

const shared = fixture();
const { withPages, callOf, freshRoom } = shared;
const PHONE = { width: 360, height: 740 };
const PASSWORD = 'drei grüne Äpfel & #1';

/** Presses Join in the lobby of a room, whatever comes of it. */
async function knock(page, { room, name }) {
  await openLobby(page, shared.server, { room, name });
  await page.getByRole('button', { name: 'Join', exact: true }).click();
}

const roomSheet = (page) => page.getByRole('dialog', { name: 'Room' });

async function openRoom(page) {
  await page.getByRole('button', { name: /^\d+ (person|people)/ }).click();
  await roomSheet(page).waitFor();
  return roomSheet(page);
}

const isJoined = () => globalThis.parlor?.state === 'joined';

/** In the page: whatever stands out of the window. */
const cutOff = () => [...document.querySelectorAll('button, input, dialog')].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.left < -0.5 || box.right > innerWidth + 0.5);
}).map((element) => element.outerHTML.slice(0, 80));

test('a password is set, asked for, asked again after a wrong one, and known after a refresh', () => withPages(async (open) => {
  const room = freshRoom();
  const ana = await open();
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  const sheet = await openRoom(ana);
  await sheet.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await sheet.getByRole('button', { name: 'Set password' }).click();
  await sheet.getByRole('button', { name: 'Take password away' }).waitFor();
  assert.equal(await sheet.getByLabel('New password').inputValue(), '', 'it does not stay in sight');

  const bo = await open({ viewport: PHONE, hasTouch: true });
  await knock(bo, { room, name: 'Bo' });
  await bo.getByRole('heading', { name: 'This room has a password' }).waitFor();
  await screenshot(bo, 'door-phone');
  assert.deepEqual(await bo.evaluate(cutOff), []);
  await bo.keyboard.type('pears');
  await bo.keyboard.press('Enter');
  await bo.getByRole('heading', { name: 'This is not the password' }).waitFor();
  await screenshot(bo, 'door-wrong-phone');
  await bo.getByLabel(`Password of ${room}`).fill(PASSWORD);
  await bo.getByRole('button', { name: 'Join', exact: true }).click();
  await until(bo, isJoined, null, 'the right password lets in');
  await waitForPeer(ana, 'Bo');
  assert.ok(!bo.url().includes('#'), 'it is not in the address');

  await bo.reload();
  await bo.getByRole('button', { name: 'Join', exact: true }).click();
  await until(bo, isJoined, null, 'a refreshed page knows it');
}));

test('a link carries the password only by wish, and the address forgets it', () => withPages(async (open) => {
  const room = freshRoom();
  const ana = await open({ permissions: ['camera', 'microphone', 'clipboard-read', 'clipboard-write'] });
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  const sheet = await openRoom(ana);
  await sheet.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await sheet.getByLabel('Password', { exact: true }).press('Enter');
  await sheet.getByLabel('Copied links include the password').waitFor();
  const copied = async () => {
    await sheet.getByRole('button', { name: 'Copy the room’s link' }).click();
    return until(ana, () => navigator.clipboard.readText(), null, 'a link is copied');
  };
  assert.equal(await copied(), `${shared.server.url}/r/${room}`);
  await sheet.getByLabel('Copied links include the password').check();
  await sheet.getByRole('button', { name: 'Copy the room’s link' }).click();
  const link = await until(ana, async () => { const text = await navigator.clipboard.readText(); return text.includes('#') && text; }, null, 'a link with the password');

  const bo = await open();
  await bo.goto(`${link}&access=a.b.c`);
  await bo.getByLabel('Your name').fill('Bo');
  assert.equal(new URL(bo.url()).hash, '', 'nothing secret stays in the address');
  await bo.getByRole('button', { name: 'Join', exact: true }).click();
  await until(bo, isJoined, null, 'whoever has the link is not asked');

  // Pasted into the lobby it does the same.
  const chen = await open();
  await openLobby(chen, shared.server, { name: 'Chen' });
  await chen.getByLabel('Room name or link').fill(link);
  await chen.getByRole('button', { name: 'Join', exact: true }).click();
  await until(chen, isJoined, null, 'a pasted link is enough');
}));

test('a locked room lets nobody new in, and whoever is inside comes back', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  const room = await ana.evaluate(() => globalThis.parlor.room);
  const sheet = await openRoom(ana);
  await sheet.getByLabel('Lock the room').check();
  await until(bo, () => globalThis.parlor.policy.locked, null, 'Bo hears of it');
  assert.ok((await bo.evaluate(notes)).includes('The room is locked: nobody new can come in'));
  await bo.getByRole('button', { name: '2 people, room locked' }).waitFor();
  await screenshot(ana, 'room-sheet');
  await ana.setViewportSize(PHONE);
  await screenshot(ana, 'room-sheet-phone');
  assert.deepEqual(await ana.evaluate(cutOff), []);

  const chen = await open();
  await knock(chen, { room, name: 'Chen' });
  await chen.getByRole('heading', { name: 'This room is locked' }).waitFor();
  await screenshot(chen, 'locked');

  await bo.evaluate(() => globalThis.parlor.signaling.dropSocket());
  await until(bo, () => globalThis.parlor.signaling.state === 'joined', null, 'Bo resumes');

  await sheet.getByLabel('Lock the room').uncheck();
  await until(bo, () => !globalThis.parlor.policy.locked, null, 'it is open again');
  await chen.getByRole('button', { name: 'Rejoin' }).click();
  await until(chen, isJoined, null, 'Chen comes in');
}));

test('someone is removed after a question, and is told; who may not moderate is offered nothing', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  const his = await openRoom(bo);
  await his.getByText('Whoever has the link can come in.').waitFor();
  assert.equal(await his.getByLabel('Lock the room').isVisible(), false);
  assert.equal(await his.getByRole('button', { name: 'Remove Ana' }).count(), 0);

  const sheet = await openRoom(ana);
  await sheet.getByRole('button', { name: 'Remove Bo' }).click();
  const question = ana.getByRole('dialog', { name: 'Remove Bo?' });
  await screenshot(ana, 'remove');
  await question.getByRole('button', { name: 'Keep' }).click();
  assert.equal(await ana.evaluate(() => globalThis.parlor.peers.size), 1);
  await sheet.getByRole('button', { name: 'Remove Bo' }).click();
  await question.getByRole('button', { name: 'Remove', exact: true }).click();
  await waitForPeerGone(ana, 'Bo');
  assert.ok((await ana.evaluate(notes)).includes('Bo was removed'));
  await bo.getByRole('heading', { name: 'You were removed' }).waitFor();
  assert.equal(await bo.getByRole('button', { name: 'Rejoin' }).count(), 0);
  assert.equal(await bo.getByRole('dialog').count(), 0, 'sheets go with the call');
}));

test('a fresh roster is taken like that of a resumed join', () => withPages(async (open) => {
  const [ana] = await callOf(open, ['Ana', 'Bo']);
  const presence = () => [...globalThis.parlor.peers.values()].map((peer) => [peer.name, peer.presence, peer.connection.counters.offers_sent + peer.connection.counters.answers_sent]);
  const [[, , before]] = await ana.evaluate(presence);
  assert.ok(before > 0);
  const roster = (peers) => ana.evaluate((list) => globalThis.parlor.signaling.handlers.onMessage({ type: 'roster', peers: list }), peers);
  const bo = await ana.evaluate(() => { const [peer] = globalThis.parlor.peers.values(); return { peer_id: peer.id, name: peer.name, away: false }; });
  await roster([]);
  assert.deepEqual(await ana.evaluate(presence), [['Bo', 'absent', before]], 'kept while media lives');
  await roster([bo]);
  assert.deepEqual(await ana.evaluate(presence), [['Bo', 'present', before]], 'with no new offer');
}));
