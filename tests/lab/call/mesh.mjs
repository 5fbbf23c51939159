/**
 * A room of N in which everybody sends to everybody, on loopback: what encoding, sending and all of it cost each one.
 * Prints one JSON object as its last line.
 *
 *   node tests/lab/call/mesh.mjs '{"group": "mesh", "scenario": "4 peers", "contender": "native", "peers": 4, "seconds": 10, "seed": 1}'
 *
 * Contenders: native (one headless process each), chromium (one browser each, with all its processes: as if each had a computer
 * of their own), mixed (the two in turn, native first). All play the same film as their camera. Environment: PARLOR, PARLOR_SERVER, CHROMIUM.
 *
 * First all send, and every figure but one is taken; then only the first one sends, all the others watch, and `sender_cpu_cores`
 * is all that the first one's processes use: capture, encoder, packets, encryption, sending, and what comes back about it.
 */

import { availableParallelism } from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { joinRoom, launchMortalBrowser, newPage, startServer, temporaryFolder, until } from '../../browser/lib.mjs';
import { startNative } from '../../browser/native.mjs';
import { writeFilm } from './film.mjs';
import { cpuOf, machineCpu, memoryOf, used } from './processes.mjs';
import { invalidReason } from './validity.mjs';

const { group = 'mesh', scenario, contender, peers: count = 2, seconds = 10, seed = 1 } = JSON.parse(process.argv[2]);
/** Rates settle where they can, and who came last has its key frame. */
const SETTLE_MS = 5_000;
/** What all cameras play; a native peer sends this size and no other. */
const FILM = { width: 640, height: 360, seed };
const ROOM = 'bench';
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** A headless process. @param {{url: string}} server @param {string} name @param {string} film */
async function nativePeer(server, name, film) {
  const native = startNative(server, { room: ROOM, name, flags: ['--video', `file:${film}`, '--audio', 'tone:440', '--speaker', 'none'] });
  await native.wait('joined');
  const stats = () => native.wait('stats', () => true, native.events.length);
  return {
    pid: native.pid,
    connected: () => native.wait('stats', ({ peers: all }) => all.filter(({ frames_decoded: frames }) => frames > 0).length === count - 1),
    /** What it captured, encoded, was shown and sent so far; `ages_s` is for how long it is connected with each other. */
    figures: async () => {
      const { sent, peers: all } = await stats();
      const sum = (key) => all.reduce((total, one) => total + one[key], 0);
      return {
        captured: sent.frames_captured, encoded: sent.frames_encoded, shown: sum('frames_shown'), bytesOut: sum('bytes_out'), width: FILM.width,
        ages_s: all.map((one) => one.connected_seconds).filter((age) => age !== null),
      };
    },
    stopSending: async () => { native.command('camera off'); native.command('mute'); },
    end: () => native.end(),
    version: async () => ({ parlor: execFileSync(process.env.PARLOR, ['--version'], { encoding: 'utf8' }).trim() }),
  };
}

/** A browser with one page. @param {{url: string}} server @param {string} name @param {string} film */
async function pagePeer(server, name, film) {
  const { browser, pid, kill } = await launchMortalBrowser({ args: [`--use-file-for-fake-video-capture=${film}`] });
  const page = await newPage(browser, { settings: { audioProcessing: false }, viewport: { width: 800, height: 600 } });
  await joinRoom(page, server, { room: ROOM, name });
  return {
    pid,
    connected: () => until(page, async (wanted) => {
      const shown = [...globalThis.parlor.peers.values()].filter(({ isMediaAlive }) => isMediaAlive);
      const stats = await Promise.all(shown.map((peer) => peer.connection.pc.getStats()));
      return stats.filter((report) => [...report.values()].some((stat) => stat.type === 'inbound-rtp' && stat.kind === 'video' && stat.framesDecoded > 0)).length === wanted;
    }, count - 1, `${name} sees all others`),
    figures: () => page.evaluate(async () => {
      const figures = { captured: 0, encoded: 0, shown: 0, bytesOut: 0, width: Infinity, ages_s: [] };
      const begins = globalThis.labBegins ??= new WeakMap();
      for (const { connection, isMediaAlive } of globalThis.parlor.peers.values()) {
        // A page does not tell: since it was first looked at.
        if (!begins.has(connection.pc)) begins.set(connection.pc, performance.now());
        if (isMediaAlive) figures.ages_s.push((performance.now() - begins.get(connection.pc)) / 1000);
        for (const stat of (await connection.pc.getStats()).values()) {
          // Each connection has a source of its own, of the same camera.
          if (stat.type === 'media-source' && stat.kind === 'video') figures.captured = Math.max(figures.captured, stat.frames);
          if (stat.type === 'outbound-rtp' && stat.kind === 'video') {
            figures.encoded += stat.framesEncoded;
            figures.width = Math.min(figures.width, stat.frameWidth ?? Infinity);
          }
          if (stat.type === 'inbound-rtp' && stat.kind === 'video') figures.shown += stat.framesDecoded - stat.framesDropped;
          if (stat.type === 'transport') figures.bytesOut += stat.bytesSent;
        }
      }
      return figures;
    }),
    stopSending: async () => {
      await page.getByRole('button', { name: 'Turn camera off' }).click();
      await page.getByRole('button', { name: 'Mute microphone' }).click();
    },
    end: () => kill(),
    version: async () => ({ chromium: browser.version() }),
  };
}

const makers = { native: () => nativePeer, chromium: () => pagePeer, mixed: (index) => index % 2 === 0 ? nativePeer : pagePeer };
if (!makers[contender]) throw new Error(`no contender ${contender}: they are ${Object.keys(makers).join(', ')}`);
if (!(Number.isInteger(count) && count >= 2 && count <= 16)) throw new Error('peers is a number from 2 to 16');

/** Whether everybody was connected with everybody. */
const isWhole = ({ figures }) => figures.every(({ ages_s: ages }) => ages.length === count - 1);

/** Looks at all of them, waits, looks again. @param {any[]} of */
async function measure(of) {
  const ids = of.map(({ pid }) => pid);
  const look = async () => ({ figures: await Promise.all(of.map((peer) => peer.figures())), cpu: cpuOf(ids), own: cpuOf([process.pid])[0], machine: machineCpu(), atMs: performance.now() });
  const before = await look();
  await sleep(seconds * 1000);
  const after = await look();
  const took = (after.atMs - before.atMs) / 1000;
  const more = (key) => after.figures.map((figures, index) => figures[key] - before.figures[index][key]);
  const cpu = after.cpu.map((one, index) => used(before.cpu[index], one) / took);
  const machine = (after.machine - before.machine) / took;
  const others = machine - used(before.own, after.own) / took;
  // Those that are there now were there then.
  const isSteady = after.figures.every(({ ages_s: ages }) => ages.every((age) => age > took * 0.9));
  return { took, more, cpu, machine, othersCores: others, width: after.figures.map(({ width }) => width), isWhole: isWhole(before) && isWhole(after), isSteady };
}

/** Why there is nothing to be counted: counters begin anew with a connection. @param {any[]} looks */
function spoiled(looks) {
  if (!looks.every((look) => look.isWhole)) return 'not everyone was connected with everyone';
  return looks.every((look) => look.isSteady) ? undefined : 'a connection was made anew';
}

const server = await startServer({ args: ['--room-capacity', String(Math.max(count, 8))] });
const films = temporaryFolder();
const peers = [];
try {
  const film = path.join(films.folder, 'film.y4m');
  writeFilm(film, FILM);
  for (let index = 0; index < count; index += 1) peers.push(await makers[contender](index)(server, `P${index}`, film));
  for (const peer of peers) await peer.connected();
  await sleep(SETTLE_MS);
  const all = await measure(peers);
  const captured = all.more('captured');
  const memory = memoryOf(peers.map(({ pid }) => pid));
  for (const peer of peers.slice(1)) await peer.stopSending();
  await sleep(SETTLE_MS / 2);
  const one = await measure(peers.slice(0, 1));
  const totalCaptured = captured.reduce((sum, frames) => sum + frames, 0);
  const totalShown = all.more('shown').reduce((sum, frames) => sum + frames, 0);
  const versions = Object.assign({}, ...await Promise.all(peers.slice(0, 2).map((peer) => peer.version())));
  const figures = {
    encodes_per_frame: all.more('encoded').map((frames, index) => frames / captured[index]),
    process_cpu_cores: all.cpu,
    sender_cpu_cores: one.cpu,
    shown_share: [totalShown / (totalCaptured * (count - 1))],
    captured_frames_per_second: captured.map((frames) => frames / all.took),
    sent_kbps_to_each: all.more('bytesOut').map((bytes) => bytes * 8 / 1000 / all.took / (count - 1)),
    // Chromium sends smaller pictures where it finds that they fit better: the least of its connections.
    sent_width_px: all.width,
    memory_mb: memory,
    machine_cpu_cores: [all.machine],
  };
  // Nothing is relayed here and no clock is read: only what others do on the machine can spoil it.
  const othersCores = Math.max(all.othersCores, one.othersCores);
  const busy = invalidReason({ lateness: { valid: true, p99_us: 0, packets: 0 }, scheduling: '', clockOffsetsMs: [], othersCores, cores: availableParallelism() });
  // Who loses connections under the load of its own has failed, and is not excused.
  const failure = busy === undefined && spoiled([all, one]);
  const reason = busy ?? (failure || undefined);
  for (const [name, values] of Object.entries(figures)) if (!values.every(Number.isFinite)) delete figures[name];
  console.log(JSON.stringify({ group, scenario, contender, seed, peers: count, valid: reason === undefined, ...failure && { failed: true }, invalid_reason: reason, versions, figures, series: {} }));
} finally {
  for (const peer of peers) await peer.end().catch(() => {});
  films.remove();
  await server.stop();
}
