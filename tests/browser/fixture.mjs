/** One server and one browser for the tests of a file, closed after them; each test makes its own people. */

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { joinRoom, launchBrowser, newPage, startServer, waitForPeer } from './lib.mjs';

/**
 * @param {Parameters<typeof launchBrowser>[0]} [browserOptions]
 * @param {Parameters<typeof startServer>[0]} [serverOptions]
 */
export function fixture(browserOptions, serverOptions) {
  const shared = { server: null, browser: null };
  let rooms = 0;
  before(async () => {
    shared.server = await startServer(serverOptions);
    shared.browser = await launchBrowser(browserOptions);
  });
  after(async () => {
    await shared.browser?.close();
    await shared.server?.stop();
  });
  const freshRoom = () => `room-${process.pid}-${rooms += 1}`;
  return {
    get server() { return shared.server; },
    get browser() { return shared.browser; },
    freshRoom,

    /** Runs a test with pages that are closed afterwards and must have had no errors. @param {(open: (options?: object) => Promise<import('playwright-core').Page>) => Promise<void>} body */
    async withPages(body) {
      const pages = [];
      try {
        await body(async (options) => {
          const page = await newPage(shared.browser, options);
          pages.push(page);
          return page;
        });
        for (const page of pages) assert.deepEqual(page.problems, [], 'the page had errors');
      } finally {
        for (const page of pages) await page.context().close();
      }
    },

    /** People of these names in one room, all connected. @param {(options?: object) => Promise<import('playwright-core').Page>} open @param {string[]} names @param {object} [options] */
    async callOf(open, names, options) {
      const room = freshRoom();
      const pages = [];
      for (const name of names) {
        const page = await open(options);
        await joinRoom(page, shared.server, { room, name });
        pages.push(page);
      }
      for (const [index, page] of pages.entries()) {
        for (const [other, name] of names.entries()) if (other !== index) await waitForPeer(page, name);
      }
      return pages;
    },
  };
}

/** A script for the page's start: a browser that has no other video codec. @param {string} codec such as H264 */
export const onlyVideoCodec = (codec) => `{
  const original = RTCRtpReceiver.getCapabilities.bind(RTCRtpReceiver);
  RTCRtpReceiver.getCapabilities = (kind) => {
    const capabilities = original(kind);
    return kind === 'video' ? { ...capabilities, codecs: capabilities.codecs.filter(({ mimeType }) => mimeType === 'video/${codec}') } : capabilities;
  };
}`;

/** In the page: holds back what it would signal, until `release()`: so offers can be made to cross. */
export const holdSignals = () => {
  const { signaling } = globalThis.parlor;
  const send = signaling.signal.bind(signaling);
  const held = [];
  signaling.signal = (...signal) => { held.push(signal); return true; };
  globalThis.release = () => { signaling.signal = send; for (const signal of held) send(...signal); };
};

/** In the page: the one peer of a call of two. */
export const onlyPeer = () => {
  const [peer] = globalThis.parlor.peers.values();
  return {
    id: peer.id, connection: peer.connection.id, selfId: globalThis.parlor.selfId, state: peer.connection.state,
    signaling: peer.connection.pc.signalingState, counters: { ...peer.connection.counters }, dropped: peer.dropped,
    ufrag: /a=ice-ufrag:(\S+)/.exec(peer.connection.pc.localDescription.sdp)[1],
  };
};

/** In the page: the notes among the chat's lines. */
export const notes = () => globalThis.parlor.lines.filter(({ kind }) => kind === 'note').map(({ text }) => text);
