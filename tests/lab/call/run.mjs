/**
 * One call of two through a network with faults, measured at both ends; prints one JSON object.
 *
 *   node tests/lab/call/run.mjs '{"contender": "native-native", "rules": ["up loss=10%"], "seconds": 20, "seed": 1}'
 *
 * Contenders: native-native, native-chromium, chromium-chromium. Environment: PARLOR, PARLOR_SERVER, PARLOR_LAB_NET, CHROMIUM.
 * `steps` are rules with the second of the measurement at which they begin to hold: [[10, "down rate=600kbps"]].
 */

import { readFileSync } from 'node:fs';
import { LAB_FLAGS, startLab } from '../../browser/lab.mjs';
import { joinRoom, launchBrowser, newPage, startServer, until, waitForPeer } from '../../browser/lib.mjs';
import { startNative, synthetic } from '../../browser/native.mjs';

const { contender, rules = [], steps = [], seconds = 20, seed = 1 } = JSON.parse(process.argv[2]);
const NAMES = ['Ana', 'Bo'];
/** Before measuring: rates have settled where they can. */
const SETTLE_MS = 5_000;
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const quantile = (values, share) => {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : null;
};

/** A native peer; its figures are those of its last statistics line, one a second. */
async function nativePeer(lab, room, name, other) {
  const native = startNative(lab, { room, name, flags: synthetic(name === 'Ana' ? 440 : 880) });
  const figures = async () => {
    const stats = await native.wait('stats', ({ peers: all }) => all.some(({ name: one }) => one === other), native.events.length);
    const of = stats.peers.find(({ name: one }) => one === other);
    return { atSeconds: stats.seconds, frames: of.frames_decoded, frozenMs: of.frozen_ms, freezes: of.freezes, width: of.width, concealed: of.audio_concealed, samples: of.audio_played, latencyMs: of.latency_ms_p50 };
  };
  return {
    ready: () => native.wait('joined'),
    connected: async () => {
      await native.wait('peer_connected', (event) => event.name === other);
      await native.statsOf(other, ({ frames_decoded: frames }) => frames > 0);
    },
    watch: async () => {},
    figures,
    /** The program gives the median of all of the call; the rest of the distribution it keeps to itself. */
    ages: async () => ({ p50: (await figures()).latencyMs, p95: null }),
    end: () => native.end(),
  };
}

async function pagePeer(lab, room, name, other) {
  const browser = await launchBrowser({ args: LAB_FLAGS });
  const init = readFileSync(new URL('stamps.js', import.meta.url), 'utf8');
  const page = await newPage(browser, { init, settings: { audioProcessing: false }, viewport: { width: 800, height: 600 } });
  await joinRoom(page, lab, { room, name });
  return {
    ready: async () => {},
    connected: async () => {
      await waitForPeer(page, other);
      await until(page, async () => (await globalThis.inboundFigures()).frames > 0, null, `a picture of ${other}`);
    },
    watch: () => page.evaluate(() => globalThis.watchPictures()),
    figures: async () => ({ atSeconds: performance.now() / 1000, ...await page.evaluate(() => globalThis.inboundFigures()) }),
    ages: async () => {
      const { agesMs, unread } = await page.evaluate(() => globalThis.pictures);
      return { p50: quantile(agesMs, 0.5), p95: quantile(agesMs, 0.95), read: agesMs.length, unread };
    },
    end: () => browser.close(),
  };
}

const makers = { native: nativePeer, chromium: pagePeer };
const kinds = contender.split('-');
if (kinds.length !== 2 || !kinds.every((kind) => makers[kind])) throw new Error(`no contender ${contender}`);

const server = await startServer();
const lab = await startLab(server, ['--seed', String(seed)]);
const peers = [];
try {
  for (const [index, kind] of kinds.entries()) {
    const peer = await makers[kind](lab, 'bench', NAMES[index], NAMES[1 - index]);
    peers.push(peer);
    await peer.ready();
  }
  for (const peer of peers) await peer.connected();
  for (const rule of rules) await lab.apply(rule);
  await sleep(SETTLE_MS);
  for (const peer of peers) await peer.watch();
  const before = await Promise.all(peers.map((peer) => peer.figures()));
  const start = performance.now();
  for (const [second, rule] of steps) {
    await sleep(Math.max(0, start + second * 1000 - performance.now()));
    await lab.apply(rule);
  }
  await sleep(Math.max(0, start + seconds * 1000 - performance.now()));
  const after = await Promise.all(peers.map((peer) => peer.figures()));
  const ages = await Promise.all(peers.map((peer) => peer.ages()));
  const report = await lab.report();
  const at = peers.map((_, index) => {
    const more = (key) => after[index][key] - before[index][key];
    const took = more('atSeconds');
    return {
      receiver: kinds[index],
      sender: kinds[1 - index],
      seconds: took,
      frames_per_second: more('frames') / took,
      frozen_share: more('frozenMs') / 1000 / took,
      freezes: more('freezes'),
      concealed_share: more('concealed') / Math.max(1, more('samples')),
      width: after[index].width,
      latency_ms: ages[index],
    };
  });
  console.log(JSON.stringify({ contender, rules, steps, seconds, seed, valid: report.lateness.valid, lateness: report.lateness, links: report.links, at }));
} finally {
  for (const peer of peers) await peer.end();
  await lab.stop();
  await server.stop();
}
