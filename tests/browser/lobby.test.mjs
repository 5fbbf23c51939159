/** The lobby, devices, and what is said when something is missing. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixture, onlyPeer } from './fixture.mjs';
import { joinRoom, launchBrowser, newPage, openLobby, screenshot, startServer, until, waitForFrames, waitForPeer, waitForSound } from './lib.mjs';

// Also a page of another host's name, which is not secure without TLS.
const shared = fixture({ args: ['--use-fake-device-for-media-stream=device-count=3,fps=30', '--host-resolver-rules=MAP parlor.test 127.0.0.1'] });
const { withPages, callOf, freshRoom } = shared;

test('a new call gets a readable random room, which stands in the address', () => withPages(async (open) => {
  const page = await open();
  await openLobby(page, shared.server, { name: 'Ana' });
  assert.equal(await page.getByLabel('Your name').inputValue(), 'Ana');
  await page.getByRole('button', { name: 'New call' }).click();
  await until(page, () => globalThis.parlor?.state === 'joined', null, 'joined');
  assert.match(page.url(), /\/r\/[a-z]+-[a-z]+-[0-9a-z]{4}-[0-9a-z]{4}$/);
  await page.reload();
  await page.getByRole('heading', { name: 'Who’s in?' }).waitFor();
  assert.equal(await page.getByLabel('Your name').inputValue(), 'Ana', 'the name is remembered');
  assert.match(await page.getByLabel('Room name or link').inputValue(), /^[a-z]+-[a-z]+-/);
}));

test('a wrong name or room is told beside its field', () => withPages(async (open) => {
  const page = await open();
  await openLobby(page, shared.server);
  await page.getByLabel('Room name or link').fill('What is this?');
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.getByText('A room name has only letters a–z, digits and hyphens.').waitFor();
  await page.getByText('Type your name, so that the others know who you are.').waitFor();
  assert.equal(await page.getByLabel('Your name').getAttribute('aria-invalid'), 'true');
  await page.getByLabel('Your name').fill('Ana');
  await page.getByLabel('Room name or link').fill(`${shared.server.url}/r/Pasted-Link`);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await until(page, () => globalThis.parlor?.room === 'pasted-link', null, 'the room of the link is joined');
}));

test('picture, level and devices are shown before joining, and what is off stays off', () => withPages(async (open) => {
  const page = await open();
  const room = freshRoom();
  await openLobby(page, shared.server, { room, name: 'Mira' });
  await until(page, () => document.querySelector('.preview.has-picture'), null, 'the preview');
  await page.getByText('Microphone works').waitFor();
  assert.ok(await page.getByRole('combobox', { name: 'Camera' }).locator('option').count() >= 3);
  await page.getByRole('button', { name: 'Turn camera off' }).click();
  await page.getByText('Your camera is off').waitFor();
  await page.getByRole('button', { name: 'Turn microphone off' }).click();
  await page.getByText('Microphone off').waitFor();
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.getByRole('group', { name: 'You, Mira, muted, camera off' }).waitFor();
  assert.deepEqual(await page.evaluate(() => globalThis.parlor.mediaState), { microphone: 'muted', camera: 'off', microphone_reason: null, camera_reason: null });
}));

test('switching devices in a call keeps muted what is muted, and renegotiates nothing', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  await waitForFrames(ana, 'Bo', 5);
  await bo.getByRole('button', { name: 'Mute microphone' }).click();
  await bo.getByRole('button', { name: 'Settings' }).click();
  const camera = bo.getByRole('dialog').getByRole('combobox', { name: 'Camera' });
  const microphone = bo.getByRole('dialog').getByRole('combobox', { name: 'Microphone' });
  const opened = () => bo.evaluate(() => globalThis.parlor.tracks.camera?.getSettings().deviceId ?? '');
  const before = await opened();
  const cameras = await camera.locator('option').evaluateAll((options) => options.map(({ value }) => value));
  // The second fake camera is a depth camera, whose picture cannot be encoded.
  const next = cameras[3];
  assert.notEqual(next, before);
  await camera.selectOption(next);
  await microphone.selectOption({ index: 2 });
  await until(bo, (id) => globalThis.parlor.tracks.camera?.getSettings().deviceId === id, next, 'the other camera is open');
  await bo.keyboard.press('Escape');
  await waitForFrames(ana, 'Bo', 10);
  await ana.getByRole('group', { name: 'Bo, muted', exact: true }).waitFor();
  assert.equal(await bo.evaluate(() => globalThis.parlor.tracks.microphone), null);
  await bo.getByRole('button', { name: 'Switch camera' }).click();
  await until(bo, (id) => ![id, undefined].includes(globalThis.parlor.tracks.camera?.getSettings().deviceId), next, 'the camera is switched back');
  await bo.getByRole('button', { name: 'Unmute microphone' }).click();
  await waitForSound(ana, 'Bo');
  assert.equal((await ana.evaluate(onlyPeer)).counters.offers_sent, 1);
}));

test('the speaker is chosen in the call, for everybody heard', () => withPages(async (open) => {
  const [ana] = await callOf(open, ['Ana', 'Bo']);
  await ana.getByRole('button', { name: 'Settings' }).click();
  const speaker = ana.getByRole('dialog').getByRole('combobox', { name: 'Speaker' });
  await speaker.selectOption({ index: 1 });
  const chosen = await speaker.inputValue();
  await until(ana, (id) => [...document.querySelectorAll('audio')].every((audio) => audio.sinkId === id), chosen, 'the sound goes to the chosen speaker');
  await ana.getByRole('button', { name: 'Test sound' }).click();
  await ana.keyboard.press('Escape');
  await waitForSound(ana, 'Bo');
}));

test('an unplugged microphone is told to both sides', () => withPages(async (open) => {
  const [ana, bo] = await callOf(open, ['Ana', 'Bo']);
  await bo.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError'));
    const { microphone } = globalThis.parlor.tracks;
    microphone.stop();
    microphone.dispatchEvent(new Event('ended'));
  });
  await bo.getByText('Your microphone was unplugged. You can still listen and write.').waitFor();
  await ana.getByRole('group', { name: 'Bo, microphone unplugged' }).waitFor();
}));

test('a busy camera is told apart, and the others see why', () => withPages(async (open) => {
  const init = `{
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = (constraints) => (constraints.video ? Promise.reject(new DOMException('', 'NotReadableError')) : open(constraints));
  }`;
  const room = freshRoom();
  const ana = await open();
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  const bo = await open({ init });
  await openLobby(bo, shared.server, { room, name: 'Bo' });
  await bo.getByText('Your camera is in use by another program. The others can still hear and read you.').waitFor();
  await joinRoom(bo, shared.server, { room, name: 'Bo' });
  await waitForPeer(ana, 'Bo');
  await ana.getByRole('group', { name: 'Bo, camera in use elsewhere' }).waitFor();
  await waitForSound(ana, 'Bo');
}));

test('a page that is not secure says so, and the call works without devices', () => withPages(async (open) => {
  const room = freshRoom();
  const [ana, bo] = [await open(), await open({ permissions: [] })];
  await joinRoom(ana, shared.server, { room, name: 'Ana' });
  const url = `http://parlor.test:${shared.server.port}`;
  await openLobby(bo, { url }, { room, name: 'Bo' });
  await bo.getByRole('button', { name: 'Turn on now' }).click();
  await bo.getByText('This page is not secure, so the browser gives it no camera and no microphone.').waitFor();
  await screenshot(bo, 'insecure');
  await joinRoom(bo, { url }, { room, name: 'Bo' });
  await waitForPeer(bo, 'Ana');
  await waitForFrames(bo, 'Ana', 5);
  await ana.getByRole('group', { name: 'Bo, microphone not allowed, camera not allowed' }).waitFor();
}));

test('no devices and no permission are told apart in words', async (context) => {
  const browser = await launchBrowser({ fakeDevices: false });
  context.after(() => browser.close());
  const none = await newPage(browser);
  await openLobby(none, shared.server, { room: freshRoom(), name: 'Ana' });
  await none.getByText('No camera was found. The others can still hear and read you.').waitFor();
  await none.getByText('No microphone was found. You can still listen and write.').waitFor();

  const denied = await newPage(browser, {
    permissions: [],
    init: `navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'));`,
  });
  await openLobby(denied, shared.server, { room: freshRoom(), name: 'Ana' });
  await denied.getByRole('button', { name: 'Turn on now' }).click();
  await denied.getByText('The browser may not use your camera. The others can still hear and read you.').waitFor();
  await denied.getByText('The browser may not use your microphone. You can still listen and write.').waitFor();
  await joinRoom(denied, shared.server, { room: freshRoom(), name: 'Ana' });
  await denied.getByRole('group', { name: 'You, Ana, microphone not allowed, camera not allowed' }).waitFor();
  assert.deepEqual([...none.problems, ...denied.problems], []);
});

test('a refused join says why and offers another try', () => withPages(async (open) => {
  const [ana] = await callOf(open, ['Ana', 'Bo']);
  const room = await ana.evaluate(() => globalThis.parlor.room);
  // Eight is the limit: six more sockets fill the room.
  const crowd = await open({ permissions: [], settings: { cameraOn: false, microphoneOn: false } });
  await openLobby(crowd, shared.server);
  await crowd.evaluate(async (name) => {
    const { SignalingClient } = await import('/protocol.js');
    const { webSocketUrl } = await import('/rooms.js');
    globalThis.crowd = await Promise.all(Array.from({ length: 6 }, (_, index) => new Promise((resolve, reject) => {
      const client = new SignalingClient(webSocketUrl(location), {
        onState: () => {}, onMessage: () => {}, onError: () => {}, onJoined: () => resolve(client), onFailed: (error) => reject(new Error(error.message)),
      });
      client.join(name, `Crowd ${index}`);
    })));
  }, room);
  const late = await open();
  await openLobby(late, shared.server, { room, name: 'Late' });
  await late.getByRole('button', { name: 'Join', exact: true }).click();
  await late.getByRole('heading', { name: 'You could not join' }).waitFor();
  await late.getByText(/full/).waitFor();
  await screenshot(late, 'ended');
  await crowd.evaluate(() => globalThis.crowd[0].leave());
  await late.getByRole('button', { name: 'Rejoin' }).click();
  await until(late, () => globalThis.parlor?.state === 'joined', null, 'joined at the second try');
}));

test('a server with its own certificate puts the fingerprint into links', async (context) => {
  const server = await startServer({ args: ['--tls-self-signed'] });
  context.after(() => server.stop());
  await withPages(async (open) => {
    const room = freshRoom();
    const [ana, bo] = [await open({ ignoreHTTPSErrors: true }), await open({ ignoreHTTPSErrors: true })];
    await joinRoom(ana, server, { room, name: 'Ana' });
    const { fingerprint } = await ana.evaluate(async () => (await fetch('/version')).json());
    assert.match(fingerprint, /^[0-9a-f]{64}$/);
    await ana.getByText(`${server.url}/r/${room}#fp=${fingerprint}`, { exact: true }).waitFor();
    await joinRoom(bo, server, { room, name: 'Bo' });
    await waitForFrames(ana, 'Bo', 5);
  });
});

test('a server that can’t be reached is told at once in words, and given up after 15 s', () => withPages(async (open) => {
  let server = await startServer();
  try {
    const page = await open();
    await page.clock.install();
    await openLobby(page, server, { room: freshRoom(), name: 'Ana' });
    await server.stop('SIGKILL');
    await page.getByRole('button', { name: 'Join', exact: true }).click();
    await page.getByRole('heading', { name: 'Joining…' }).waitFor();
    await page.getByText('The server can’t be reached; trying again.', { exact: true }).waitFor();
    await page.clock.runFor(13_000);
    assert.equal(await page.evaluate(() => globalThis.parlor.state), 'connecting', 'not before its time');
    await page.clock.runFor(3_000);
    await page.getByRole('heading', { name: 'The server can’t be reached' }).waitFor();
    await page.getByText('The server did not answer within 15 seconds. Check the link and your network, then try again.').waitFor();
    server = await startServer({ port: server.port });
    await page.getByRole('button', { name: 'Rejoin' }).click();
    await until(page, () => globalThis.parlor?.state === 'joined', null, 'joined');
    await page.clock.runFor(16_000);
    assert.equal(await page.evaluate(() => globalThis.parlor?.state), 'joined', 'a call that began is not given up');
  } finally {
    await server.stop();
  }
}));
