/** Pictures of every view, and what can be measured about them: nothing overlaps, overflows or is cut off. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixture } from './fixture.mjs';
import { joinRoom, openLobby, screenshot, sendChat, until, waitForChat, waitForPeer } from './lib.mjs';

const shared = fixture();
const { withPages, freshRoom } = shared;
const PHONE = { width: 360, height: 740 };

/** In the page: elements that stand out of the window or lie over each other where they must not. */
const faults = () => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  for (const element of document.querySelectorAll('button, input, select, textarea, .pill')) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || element.closest('[hidden]')) continue;
    if (box.left < -0.5 || box.right > innerWidth + 0.5) found.push(`${element.className || element.tagName} is cut off`);
  }
  const controls = document.querySelector('.controls')?.getBoundingClientRect();
  if (controls && controls.bottom > innerHeight + 0.5) found.push('the controls are below the window');
  for (const tile of document.querySelectorAll('.grid .tile')) {
    if (controls && tile.getBoundingClientRect().bottom > controls.top + 0.5) found.push('a tile lies over the controls');
  }
  return found;
};

/** In the page: buttons and fields without a name for a screen reader. */
const nameless = () => [...document.querySelectorAll('button, input, select, textarea')]
  .filter((element) => !element.closest('[hidden]') && !element.getAttribute('aria-label') && !element.textContent.trim() && !element.labels?.length)
  .map((element) => element.outerHTML.slice(0, 120));

const isShowing = (count) => document.querySelectorAll('.tile.has-picture').length >= count;

test('the lobby', () => withPages(async (open) => {
  const page = await open({ settings: { recent: [{ room: 'family-sunday', atMs: Date.now() - 86_400_000 }, { room: 'standup-blue', atMs: Date.now() - 3 * 86_400_000 }] } });
  await openLobby(page, shared.server, { room: 'quiet-otter-71k2', name: 'Mira' });
  await until(page, () => document.querySelector('.preview.has-picture'), null, 'the preview');
  await page.getByText('Microphone works').waitFor();
  await page.getByText('yesterday').waitFor();
  await screenshot(page, 'lobby');
  assert.deepEqual(await page.evaluate(faults), []);
  assert.deepEqual(await page.evaluate(nameless), []);
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('dialog', { name: 'Settings' }).waitFor();
  await screenshot(page, 'settings');
  assert.deepEqual(await page.evaluate(nameless), []);
  await page.keyboard.press('Escape');
  await page.setViewportSize(PHONE);
  await screenshot(page, 'lobby-phone');
  assert.deepEqual(await page.evaluate(faults), []);
}));

test('a call of two, and alone', () => withPages(async (open) => {
  const room = freshRoom();
  const ana = await open();
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  await until(ana, isShowing, 1, 'the self view');
  await screenshot(ana, 'alone');
  const bo = await open({ viewport: PHONE, hasTouch: true });
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  for (const page of [ana, bo]) await until(page, isShowing, 2, 'both pictures');
  await screenshot(ana, 'call-2');
  await screenshot(bo, 'call-phone');
  for (const page of [ana, bo]) {
    assert.deepEqual(await page.evaluate(faults), []);
    assert.deepEqual(await page.evaluate(nameless), []);
  }
  await waitForPeer(bo, 'Ana');
  await sendChat(ana, 'Notes are here: example.org/notes');
  await waitForChat(bo, 'Ana', 'Notes are here: example.org/notes');
  await sendChat(bo, 'Thanks, reading.');
  await screenshot(bo, 'chat-phone');
  assert.deepEqual(await bo.evaluate(faults), []);
  await ana.setViewportSize({ width: 480, height: 360 });
  await ana.keyboard.press('Escape');
  await screenshot(ana, 'call-small');
  assert.deepEqual(await ana.evaluate(faults), []);
}));

test('a call of five with the chat beside, as the drawing has it', () => withPages(async (open) => {
  // Three of the five send no picture, and four small windows: two cores are to be enough.
  const small = { viewport: { width: 400, height: 300 } };
  const room = freshRoom();
  const mira = await open({ settings: { microphoneOn: false } });
  await joinRoom(mira, shared.server, { room, name: 'Mira' });
  const others = [
    ['Ana', small], ['Bo', { ...small, settings: { microphoneOn: false } }],
    ['Chen', { ...small, settings: { cameraOn: false } }], ['Dara', { ...small, settings: { cameraOn: false, microphoneOn: false } }],
  ];
  const pages = new Map();
  for (const [name, options] of others) {
    const page = await open(options);
    await joinRoom(page, shared.server, { room, name });
    pages.set(name, page);
  }
  for (const [name, page] of pages) { await waitForPeer(mira, name); await waitForPeer(page, 'Mira'); }
  await until(mira, isShowing, 3, 'the pictures of Ana and Bo, and the self view');
  await sendChat(pages.get('Ana'), 'Notes are here: example.org/notes');
  await waitForChat(mira, 'Ana', 'Notes are here: example.org/notes');
  await screenshot(mira, 'call-5-unread');
  await sendChat(mira, 'Thanks, reading.');
  await sendChat(pages.get('Dara'), 'My train is about to enter a tunnel, carry on without me for a minute.');
  await waitForChat(mira, 'Dara', 'My train is about to enter a tunnel, carry on without me for a minute.');
  // Dara's socket is lost and cannot come back; her media goes down with it.
  await pages.get('Dara').evaluate(() => {
    globalThis.WebSocket = class extends WebSocket { constructor() { super(`ws://${location.host}/nobody`); } };
    globalThis.parlor.signaling.dropSocket();
    for (const { connection } of globalThis.parlor.peers.values()) connection.pc.close();
  });
  await mira.getByText('Reconnecting…').waitFor();
  await until(mira, () => document.querySelector('.tile.is-speaking'), null, 'somebody speaks');
  await screenshot(mira, 'call-5');
  assert.deepEqual(await mira.evaluate(faults), []);
  assert.deepEqual(await mira.evaluate(nameless), []);
  await mira.setViewportSize(PHONE);
  await mira.getByRole('button', { name: 'Close chat' }).first().click();
  await screenshot(mira, 'call-5-phone');
  assert.deepEqual(await mira.evaluate(faults), []);
}));
