/** A server that lets in only who was invited: the page with an access token, and without. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { fixture } from './fixture.mjs';
import { openLobby, screenshot, temporaryFolder, until } from './lib.mjs';

const { folder, remove } = temporaryFolder();
after(remove);
const key = path.join(folder, 'key');
writeFileSync(key, 'a secret of at least thirty-two bytes');
const shared = fixture({}, { args: ['--access', 'token', '--access-key-file', key] });
const { withPages, freshRoom } = shared;

/** @param {string} room @param {...string} flags */
const invitation = (room, ...flags) => execFileSync(process.env.PARLOR_SERVER, ['token', '--key-file', key, '--room', room, ...flags], { encoding: 'utf8' }).trim();
const isJoined = () => globalThis.parlor?.state === 'joined';
const join = (page) => page.getByRole('button', { name: 'Join', exact: true }).click();

test('without an invitation the page says what is missing', () => withPages(async (open) => {
  const page = await open();
  await openLobby(page, shared.server, { room: freshRoom(), name: 'Ana' });
  await join(page);
  await page.getByRole('heading', { name: 'You need an invitation' }).waitFor();
  await screenshot(page, 'invitation-needed');
  assert.equal(await page.getByRole('button', { name: 'Rejoin' }).count(), 0, 'the same again can’t help');
  await page.goto(`${shared.server.url}/r/${freshRoom()}#access=${invitation('elsewhere')}`);
  await page.getByLabel('Your name').fill('Ana');
  await join(page);
  await page.getByRole('heading', { name: 'This invitation is for another room' }).waitFor();
}));

test('an invitation opens its room, is taken out of the address, and is the same person after a refresh', () => withPages(async (open) => {
  const room = freshRoom();
  const page = await open();
  await page.goto(`${shared.server.url}/r/${room}#access=${invitation(room, '--name', 'Bo', '--moderate')}`);
  await page.getByLabel('Your name').fill('Anybody');
  await join(page);
  await until(page, isJoined, null, 'the invited is let in');
  assert.equal(new URL(page.url()).hash, '');
  const who = () => page.evaluate(() => [globalThis.parlor.selfId, globalThis.parlor.name, globalThis.parlor.policy.may_moderate]);
  const [id, name, mayModerate] = await who();
  assert.deepEqual([name, mayModerate], ['Bo', true]);
  await page.reload();
  await join(page);
  await until(page, isJoined, null, 'and again after a refresh');
  assert.equal((await who())[0], id);
}));
