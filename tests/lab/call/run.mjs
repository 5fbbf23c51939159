/**
 * One call of two through a network with faults, measured at both ends. The last line it prints is one JSON object.
 *
 *   node tests/lab/call/run.mjs '{"group": "loss", "scenario": "10 %", "contender": "native-native", "rules": ["up loss=10%"], "seconds": 20, "seed": 1}'
 *
 * Groups: set-up, delay, loss, capacity, outage; they differ in which figures are told. Contenders: native-native, native-chromium,
 * chromium-chromium; the first is in the room when the second joins, and figures stand in that order, each that of the one who sees and hears.
 * `steps` are rules with the second of the measurement at which they begin to hold: [[10, "down rate=600kbps"]]. `height` is 360 or 720; rates settle for
 * `settle_seconds` (5) before.
 * In delay each end has a sound card (cards.mjs), unless `sound_cards` is false: then sound is taken where it leaves the programs.
 * Two pages notice what the browser notices, unless `page_watch` is true: then the page's own watch for silences (silence.js; in outage it is taken
 * away otherwise) and for ways that carry no picture (narrow.js) are there.
 * In set-up signaling takes as long as the path does, unless `signaling_delay_ms` says otherwise.
 * Environment: PARLOR, PARLOR_SERVER, PARLOR_LAB_NET, CHROMIUM.
 */

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { startLab } from '../../browser/lab.mjs';
import { startServer, temporaryFolder } from '../../browser/lib.mjs';
import { startCard } from './cards.mjs';
import { pathDelayMs } from './figures.mjs';
import { filmOf, writeFilm } from './film.mjs';
import { figuresOf } from './groups.mjs';
import { prepareFfmpeg, ssim } from './likeness.mjs';
import { nativePeer, nowMs, pagePeer } from './peers.mjs';
import { cpuOf, machineCpu, used } from './processes.mjs';
import { bursts, tone, wav } from './sound.mjs';
import { pesq, preparePesq, speech } from './speech.mjs';
import { invalidReason } from './validity.mjs';

const MAKERS = { native: nativePeer, chromium: pagePeer };
const NAMES = ['Ana', 'Bo'];
const ROOM = 'bench';
/** How long the second one looks at the lobby before joining, in set-up. */
const LOBBY_MS = 2_000;
/** A camera that gives less was not the one that all are to have: 30 a second. */
const CAPTURED_MIN = 28;
/** In seconds: how long getting together may take at most. */
const SPOKEN_BEFORE_S = 60;
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, Math.max(0, ms)); });

const wanted = { rules: [], steps: [], seconds: 20, seed: 1, height: 360, group: 'loss', settle_seconds: 5, ...JSON.parse(process.argv[2]) };

/** Both in the room; when each was asked to join. @param {import('./peers.mjs').LabPeer[]} peers */
async function meet(peers) {
  const joined = [];
  for (const [index, peer] of peers.entries()) {
    // Whoever stands in the lobby has been there for a moment: what is opened ahead of a call is open.
    if (index > 0 && wanted.group === 'set-up') await sleep(LOBBY_MS);
    joined.push(await peer.join());
  }
  await Promise.all(peers.map((peer) => peer.connected()));
  return joined;
}

/** Lets the time of the measurement pass, with its steps; from when to when it was, in Unix ms. */
async function pass({ steps, seconds }, lab) {
  const from = nowMs();
  for (const [second, rule] of steps) {
    await sleep(from + second * 1_000 - nowMs());
    await lab.apply(rule);
  }
  await sleep(from + seconds * 1_000 - nowMs());
  return { from, to: nowMs() };
}

/** Begins to count; what it gives tells how many cores all used that we have not started ourselves, on average since then. */
function watchOthers() {
  const [began, machine, [ours]] = [nowMs(), machineCpu(), cpuOf([process.pid])];
  return () => Math.max(0, machineCpu() - machine - used(ours, cpuOf([process.pid])[0])) * 1_000 / (nowMs() - began);
}

/** What everybody says: what the group's figures need. @param {string} folder @param {string|undefined} noPesq why there is no score for speech */
function soundOf(folder, noPesq) {
  if (wanted.group === 'set-up') return tone();
  return wanted.group === 'loss' && !noPesq ? speech(folder) : bursts();
}

/** So long that it is not at its end before the measurement is: with what getting there takes. @param {{samples: Float32Array, rate: number}} sound */
function repeated({ samples, rate }) {
  const times = Math.ceil((wanted.seconds + wanted.settle_seconds + SPOKEN_BEFORE_S) * rate / samples.length);
  const whole = new Float32Array(times * samples.length);
  for (let time = 0; time < times; time += 1) whole.set(samples, time * samples.length);
  return { samples: whole, rate };
}

/** How well one understands the other. */
function pesqOf({ spokenByOther, heard, way }, { from, to }, folder) {
  return spokenByOther && heard ? pesq(spokenByOther, heard, from, to, folder, way.to) : undefined;
}

/** One more figure. @param {(number|undefined)[]} values of both ends */
function add({ figures, missing }, name, values) {
  if (values.some(Number.isFinite)) figures[name] = values.map((value) => (Number.isFinite(value) ? Math.round(value * 1_000) / 1_000 : null));
  if (!values.every(Number.isFinite)) missing.push(name);
}

async function measure({ folder, lab, kinds }) {
  const film = { width: Math.round(wanted.height * 16 / 9), height: wanted.height, seed: wanted.seed };
  const recordsSound = wanted.group !== 'outage';
  const [filmFile, soundFile] = [path.join(folder, 'film.y4m'), path.join(folder, 'sound.wav')];
  if (kinds.includes('native')) writeFilm(filmFile, film);
  const isLoss = wanted.group === 'loss';
  const noPesq = isLoss ? preparePesq() : undefined;
  const { ffmpeg, reason: noFfmpeg } = isLoss ? prepareFfmpeg() : {};
  const hasCards = wanted.group === 'delay' && wanted.sound_cards !== false;
  const sound = soundOf(folder, noPesq);
  writeFileSync(soundFile, wav(hasCards ? repeated(sound) : sound));
  const [peers, cards] = [[], []];
  try {
    for (const name of hasCards ? NAMES : []) cards.push(await startCard(folder, name));
    for (const [index, kind] of kinds.entries()) {
      // What native calls are measured beside is Chromium's own WebRTC, without what our page does besides.
      const isPlain = wanted.page_watch !== true && !kinds.includes('native');
      peers.push(await MAKERS[kind]({ hasNoWatch: isPlain && wanted.group === 'outage', isPlain, lab, room: ROOM, name: NAMES[index], other: NAMES[1 - index], folder, film, filmFile, soundFile, recordsSound, keepsPictures: ffmpeg !== undefined, card: cards[index] }));
    }
    const isSetUp = wanted.group === 'set-up';
    // A path has its delay from the beginning: one that becomes longer in a call is another matter.
    const beginsSo = isSetUp || wanted.group === 'delay';
    if (beginsSo) for (const rule of wanted.rules) await lab.apply(rule);
    const begin = async () => {
      await lab.measure();
      return watchOthers();
    };
    let others = await begin();
    for (const card of cards) card.say(soundFile);
    const joined = await meet(peers);
    if (!isSetUp) {
      if (!beginsSo) for (const rule of wanted.rules) await lab.apply(rule);
      await sleep(wanted.settle_seconds * 1_000);
      others = await begin();
    }
    const offsets = () => Promise.all(peers.map((peer) => peer.clockOffsetMs()));
    const offsetsBefore = await offsets();
    const before = await Promise.all(peers.map((peer) => peer.figures()));
    const { from, to } = await pass(wanted, lab);
    const after = await Promise.all(peers.map((peer) => peer.figures()));
    const clockOffsetsMs = [...offsetsBefore, ...await offsets()];
    const report = await lab.report();
    const othersCores = Math.round(others() * 100) / 100;
    const whole = ffmpeg ? await Promise.all(peers.map((peer) => peer.whole(from, to))) : [];
    // Pages first: they need nobody to leave, and who is left alone goes on being shown.
    const order = [...peers.keys()].sort((one, other) => kinds[one].localeCompare(kinds[other]));
    const kept = [];
    for (const index of order) kept[index] = await peers[index].kept();
    const ends = peers.map((_, index) => ({
      ...kept[index],
      concealed: after[index].concealed - before[index].concealed,
      samples: after[index].samples - before[index].samples,
      way: { from: NAMES[1 - index], to: NAMES[index] },
      link: report.links.find(({ name }) => name === NAMES[index]),
      spokenByOther: kept[1 - index].spoken,
    }));
    const measured = figuresOf({ ...wanted, from, to, joinedMs: joined[1], beganMs: report.began_unix_ms, ends });
    if (isLoss && !noPesq) add(measured, 'pesq_mos', ends.map((end) => pesqOf(end, { from, to }, folder)));
    if (ffmpeg) add(measured, 'ssim', whole.map((files) => ssim(files, filmOf(film), film, ffmpeg, folder)));
    const captured = peers.map((_, index) => (after[index].captured - before[index].captured) * 1_000 / (to - from));
    const slow = NAMES.filter((_, index) => captured[index] < CAPTURED_MIN).map((name) => `${name}'s camera gave less than ${CAPTURED_MIN} pictures a second`);
    const notes = [...measured.notes, ...slow, noPesq, noFfmpeg].filter(Boolean);
    const reason = invalidReason({ ...report, clockOffsetsMs, othersCores, cores: availableParallelism() });
    const versions = Object.assign({}, ...peers.map(({ versions: of }) => of), { node: process.version });
    return {
      valid: reason === undefined, ...reason && { invalid_reason: reason }, lateness: { ...report.lateness, scheduling: report.scheduling },
      others_cpu_cores: othersCores, clock_offsets_ms: clockOffsetsMs, captured_per_second: captured.map((rate) => Math.round(rate * 10) / 10), versions, ...measured, notes,
    };
  } finally {
    for (const peer of [...peers, ...cards]) await peer.end();
  }
}

const { group, scenario, contender, seed, rules, steps, seconds, height } = wanted;
const kinds = contender?.split('-') ?? [];
if (kinds.length !== 2 || !kinds.every((kind) => MAKERS[kind])) throw new Error(`no contender ${contender}`);
const facts = { group, scenario, contender, seed, rules, steps, seconds, height };
const signalingDelayMs = wanted.signaling_delay_ms ?? (group === 'set-up' ? pathDelayMs(rules, { from: NAMES[1], to: NAMES[0] }) : 0);
const own = temporaryFolder();
// Whoever stops us stops those we have started too; the film is all that would stay behind.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    own.remove();
    process.exit(130);
  });
}
const server = await startServer();
const lab = await startLab(server, ['--seed', String(seed), '--signaling-delay', `${signalingDelayMs}ms`]);
try {
  const result = await measure({ folder: own.folder, lab, kinds }).catch((error) => {
    // A benchmark takes the last line of the log for the reason.
    console.error(error);
    console.error(String(error.message).split('\n')[0]);
    process.exitCode = 1;
    return { valid: false, failed: true, invalid_reason: String(error.message).split('\n')[0], lateness: null, versions: { node: process.version }, figures: {}, series: {} };
  });
  console.log(JSON.stringify({ ...facts, ...result }));
} finally {
  await lab.stop();
  await server.stop();
  own.remove();
}
