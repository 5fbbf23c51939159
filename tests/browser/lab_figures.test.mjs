/** What the lab says of a call (tests/lab/call), from made-up pictures, sound and bytes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrivedBps, charted, delays, freezes, longestGapMs, pathDelayMs, pauseSeconds, quantile, rateSteps, starvedSeconds, utilisation } from '../lab/call/figures.mjs';
import { figuresOf } from '../lab/call/groups.mjs';
import { filmOf } from '../lab/call/film.mjs';
import { pageRecording } from '../lab/call/peers.mjs';
import { bursts, findBursts, firstSoundMs, lipSyncMs, readWav, soundDelays, tone, wav } from '../lab/call/sound.mjs';
import { invalidReason } from '../lab/call/validity.mjs';

/** Times at an even pace, from one on. */
const steady = (from, count, every = 40) => Array.from({ length: count }, (_, index) => from + index * every);
const WAY = { from: 'Ana', to: 'Bo' };

test('a quantile is a value that is there, and of nothing there is none', () => {
  assert.equal(quantile([3, 1, 2, 4], 0.5), 2);
  assert.equal(quantile([5], 0.95), 5);
  assert.equal(quantile([], 0.5), undefined);
});

test('a gap of 150 ms more than usual is a freeze, a slow even picture is none', () => {
  const first = steady(0, 50);
  const last = first.at(-1);
  assert.deepEqual(freezes([...first, ...steady(last + 180, 50)], 0, last + 2_100), { count: 0, frozenMs: 0 });
  assert.deepEqual(freezes([...first, ...steady(last + 200, 50)], 0, last + 2_100), { count: 1, frozenMs: 200 });
  assert.deepEqual(freezes(steady(0, 20, 700), 0, 14_000), { count: 0, frozenMs: 0 });
});

test('a picture that stops for good is frozen to the end, and one that never comes all of the time', () => {
  const shown = steady(0, 50);
  assert.deepEqual(freezes(shown, 1_000, 10_000), { count: 1, frozenMs: 10_000 - shown.at(-1) });
  assert.deepEqual(freezes(shown, 5_000, 10_000), { count: 1, frozenMs: 5_000 });
  assert.deepEqual(freezes([], 0, 10_000), { count: 1, frozenMs: 10_000 });
});

test('time without a picture begins with the last one before the event', () => {
  const shown = [...steady(0, 26), ...steady(4_000, 26)];
  assert.equal(longestGapMs(shown, 1_010, 5_000), 3_000);
  assert.equal(longestGapMs(shown, 2_000, 5_000), 3_000);
  assert.equal(longestGapMs(shown, 4_100, 5_000), 40);
  assert.equal(longestGapMs(steady(0, 26), 1_010, 9_000), 8_000);
  assert.equal(pauseSeconds(shown, 0, 5_000), 3);
  assert.equal(pauseSeconds(shown, 0, 5_000, 4_000), 0);
});

test('delays leave out what could not be read, and a chart keeps the peaks', () => {
  const pictures = [{ shownMs: 1_010, stampMs: 1_000 }, { shownMs: 1_050, stampMs: null }, { shownMs: 1_090, stampMs: 1_020 }, { shownMs: 9_000, stampMs: 8_000 }];
  const found = delays(pictures, 1_000, 2_000);
  assert.deepEqual(found, [[1_010, 10], [1_090, 70]]);
  assert.deepEqual(charted(found, 1_000), [[0, 70]]);
});

test('rules tell delay and rate of the way between two', () => {
  assert.equal(pathDelayMs(['up delay=50ms,jitter=20ms', 'Ana: down delay=9ms', 'Bo: down delay=1.5ms'], WAY), 51.5);
  assert.equal(pathDelayMs(['up loss=10%'], WAY), 0);
  const steps = [[8, 'up rate=600kbps'], [9, 'Bo: up rate=1kbps'], [12, 'up loss=1%']];
  assert.deepEqual(rateSteps(['up rate=2.8Mbps,queue=300ms'], steps, WAY, 1_000), [[1_000, 2_800_000], [9_000, 600_000]]);
  assert.deepEqual(rateSteps([], [], WAY, 0), []);
});

test('utilisation is that of the second before, and nothing where the way changed again by then', () => {
  // 1 Mbit/s for five seconds, then half of it.
  const arrivals = { beganMs: 0, bytes: [...Array(50).fill(12_500), ...Array(150).fill(6_250)] };
  assert.equal(arrivedBps(arrivals, 1_000, 2_000), 1_000_000);
  const changes = [[0, 2_000_000], [5_000, 1_000_000]];
  assert.equal(utilisation(changes, arrivals, 2, 20_000), 0.5);
  assert.equal(utilisation(changes.slice(0, 1), arrivals, 10, 20_000), 0.25);
  assert.equal(utilisation(changes, arrivals, 10, 14_000), undefined);
  // Nothing arrives: that is a share too.
  assert.equal(utilisation([[0, 1_000_000]], { beganMs: 0, bytes: [] }, 2, 20_000), 0);
});

/** The bursts over and over, late by so much, some of them left out. */
function recorded(lateMs, { seconds = 12, firstMs = 0, leftOut = [] } = {}) {
  const { samples, rate } = bursts();
  const played = new Float32Array(seconds * rate);
  for (let at = 0; at < played.length; at += 1) {
    const from = at - Math.round(lateMs * rate / 1_000);
    if (from >= 0 && !leftOut.includes(Math.floor(from / rate * 2))) played[at] = samples[from % samples.length] * 0.7;
  }
  return { samples: played, rate, firstMs };
}

test('each burst is found again, however late, by its pitch', () => {
  const spoken = findBursts(recorded(0));
  assert.equal(spoken.length, 24);
  for (const lateMs of [0, 43, 730, 2_600]) {
    const found = soundDelays(spoken, findBursts(recorded(lateMs, { firstMs: 0 })));
    assert.ok(found.length >= 18, `${lateMs}: ${found.length}`);
    for (const [, delay] of found) assert.ok(Math.abs(delay - lateMs) <= 1, `${lateMs}: ${delay}`);
  }
});

test('a burst that is lost moves none of the others, and noise is no burst', () => {
  const found = soundDelays(findBursts(recorded(0)), findBursts(recorded(80, { leftOut: [3, 4, 9] })));
  assert.equal(found.length, 21);
  for (const [, delay] of found) assert.ok(Math.abs(delay - 80) <= 1, `${delay}`);
  let state = 1;
  const noise = Float32Array.from({ length: 96_000 }, () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0;
    return state / 2 ** 33 - 0.25;
  });
  assert.deepEqual(findBursts({ samples: noise, rate: 48_000, firstMs: 0 }), []);
  assert.deepEqual(findBursts({ samples: new Float32Array(48_000), rate: 48_000, firstMs: 0 }), []);
});

test('the first sound is where it stays loud, not where it clicks', () => {
  const samples = new Float32Array(48_000);
  samples.fill(0.5, 4_800, 4_850);
  samples.set(tone().samples.subarray(0, 9_600), 24_000);
  assert.equal(firstSoundMs({ samples, rate: 48_000, firstMs: 7_000 }), 7_500);
  assert.equal(firstSoundMs({ samples: samples.subarray(0, 20_000), rate: 48_000, firstMs: 7_000 }), undefined);
});

test('lips are late by what the picture is later than the sound', () => {
  const video = steady(0, 100).map((at) => [at, 90]);
  assert.equal(lipSyncMs(video, [[500, 60], [1_000, 70], [1_500, 80]]), 20);
  assert.equal(lipSyncMs(video, [[60_000, 60]]), undefined);
});

test('a WAV file reads back as it was, and one that was cut off as far as it goes', () => {
  const { samples, rate } = bursts();
  const file = wav({ samples, rate });
  const back = readWav(file);
  assert.equal(back.rate, rate);
  assert.ok(back.samples.every((sample, index) => Math.abs(sample - samples[index]) < 1e-4));
  assert.equal(readWav(file.subarray(0, 1_045)).samples.length, 500);
  assert.throws(() => readWav(Buffer.from('a text, not a sound, of some length.........')));
});

test('where a page’s sound came late the earliest blocks tell its time', () => {
  const base64 = Buffer.alloc(960 * 2 * 40).toString('base64');
  // Blocks of 10 ms, two at a time, each 20 ms; some held up.
  const blocks = Array.from({ length: 40 }, (_, index) => [index * 480, 480, 1_000 + Math.floor(index / 2) * 20 + (index % 10 > 7 ? 15 : 0)]);
  assert.equal(pageRecording({ rate: 48_000, blocks, base64 }, 'heard').firstMs, 1_000);
  assert.equal(pageRecording({ rate: 48_000, blocks, base64 }, 'spoken').firstMs, 980);
  assert.equal(pageRecording(null, 'heard'), null);
});

test('what a page lost of a track is silence, so that what follows stays at its time', () => {
  // Three seconds, of which the page stood still for 80 ms after the first.
  const sound = Buffer.alloc(300 * 480 * 2);
  for (let at = 0; at < sound.length; at += 2) sound.writeInt16LE(9_000, at);
  const blocks = Array.from({ length: 300 }, (_, index) => [index * 480, 480, 5_000 + index * 10 + (index >= 100 ? 80 : 0) + index % 3 / 10]);
  const { samples, firstMs } = pageRecording({ rate: 48_000, blocks, base64: sound.toString('base64') }, 'heard');
  assert.ok(Math.abs(firstMs - 5_000) < 1 && Math.abs(samples.length - (300 * 480 + 80 * 48)) < 48, `${firstMs} ${samples.length}`);
  assert.ok(samples[99 * 480] > 0.2 && samples[100 * 480 + 40 * 48] === 0 && samples[100 * 480 + 82 * 48] > 0.2);
});

test('the film follows from its seed, and no two pictures are alike where they overlap', () => {
  const film = { width: 160, height: 90, frames: 4, seed: 5 };
  const [one, two] = [filmOf(film), filmOf(film)];
  assert.equal(one.length, 4);
  assert.deepEqual(one.map((picture) => Buffer.compare(picture, two[one.indexOf(picture)])), [0, 0, 0, 0]);
  assert.notEqual(Buffer.compare(one[0], filmOf({ ...film, seed: 6 })[0]), 0);
  const differing = one[0].subarray(0, 160 * 90).filter((luma, index) => luma !== one[1][index]).length;
  assert.ok(differing > 160 * 90 * 0.8, `${differing}`);
});

test('a run is invalid when the relay was late, the machine busy with other work, or a clock off', () => {
  const good = { lateness: { valid: true, p99_us: 100, packets: 9 }, scheduling: 'realtime', clockOffsetsMs: [0, -4], othersCores: 0.4, cores: 2 };
  assert.equal(invalidReason(good), undefined);
  assert.match(invalidReason({ ...good, lateness: { valid: false, p99_us: 1_500, packets: 9 } }), /late: p99 1500 µs of 9 packets \(realtime\)/);
  assert.match(invalidReason({ ...good, othersCores: 0.6 }), /0\.6 cores of 2/);
  assert.match(invalidReason({ ...good, clockOffsetsMs: [0, 8] }), /8 ms off/);
});

/** Both ends see and hear the same. */
function run(group, end, more = {}) {
  const ends = [WAY, { from: 'Bo', to: 'Ana' }].map((way) => ({ pictures: [], heard: null, spokenByOther: null, concealed: 0, samples: 0, link: { arrived_bytes_per_100ms: [] }, way, ...end }));
  return figuresOf({ group, rules: [], steps: [], from: 0, to: 12_000, joinedMs: 0, beganMs: 0, ends, ...more });
}
const pictures = (times, ageMs = 50) => times.map((shownMs) => ({ shownMs, stampMs: shownMs - ageMs }));

test('set-up counts from the click, and flights only where the path has a delay', () => {
  const seen = { pictures: pictures([250, 290]), heard: recorded(0, { firstMs: 100 }), link: { flights_to_media: 11 } };
  const { first_frame_ms: frame, first_sound_ms: sound, ...rest } = run('set-up', seen).figures;
  assert.deepEqual([frame, rest], [[250, 250], {}]);
  assert.ok(sound.every((ms) => Math.abs(ms - 300) <= 1), `${sound}`);
  assert.deepEqual(run('set-up', seen, { rules: ['up delay=50ms'] }).figures.round_trips, [5.5, 5.5]);
});

test('delay tells picture, sound and the difference', () => {
  const { figures, missing } = run('delay', { pictures: pictures(steady(0, 300)), heard: recorded(70), spokenByOther: recorded(0) });
  assert.deepEqual(missing, []);
  assert.deepEqual(figures, { video_delay_p50_ms: [50, 50], video_delay_p95_ms: [50, 50], mouth_to_ear_p50_ms: [70, 70], mouth_to_ear_p95_ms: [70, 70], lip_sync_ms: [-20, -20], lips_apart_ms: [20, 20] });
});

test('what could not be measured is missing, not nought', () => {
  const { figures, missing } = run('loss', { pictures: [{ shownMs: 100, stampMs: null }] });
  assert.deepEqual(missing, ['video_delay_p50_ms', 'video_delay_p95_ms', 'concealed_share']);
  assert.ok(figures.frozen_share[0] > 0.9 && figures.frames_per_second[0] < 0.1);
});

test('capacity tells the peak after the last change and what stays of it', () => {
  const before = pictures(steady(0, 100), 900);
  const peak = pictures(steady(4_000, 50), 700);
  const after = pictures(steady(6_000, 150), 60);
  const { figures, series } = run('capacity', { pictures: [...before, ...peak, ...after], concealed: 480, samples: 48_000, link: { arrived_bytes_per_100ms: Array(120).fill(6_250) } }, { rules: ['up rate=2Mbps'], steps: [[4, 'up rate=1Mbps']] });
  assert.equal(figures.video_delay_peak_ms[0], 700);
  assert.equal(figures.video_delay_standing_ms[0], 60);
  assert.equal(figures.utilisation_2s_share[0], 0.5);
  assert.equal(figures.starved_s[0], 0);
  assert.equal(figures.utilisation_10s_share, undefined);
  assert.equal(figures.concealed_share[0], 0.01);
  assert.equal(figures.video_pause_s[0], 0);
  assert.deepEqual(series.arrived_kbps[0], [0, 500]);
  assert.equal(series.video_delay_ms[0][1], 900);
});

test('a way that carries the same all the time is used as much as it is, after no change', () => {
  const { figures, missing } = run('capacity', { pictures: pictures(steady(0, 500)), concealed: 0, samples: 48_000, link: { arrived_bytes_per_100ms: Array(200).fill(6_250) } }, { rules: ['up rate=1Mbps'], to: 20_000 });
  assert.deepEqual([figures.utilisation_10s_share, figures.utilisation_2s_share, figures.starved_s], [[0.5, 0.5], undefined, undefined]);
  assert.deepEqual(missing, []);
});

test('where little arrives after a change, it is told for how long', () => {
  const arrivals = { beganMs: 0, bytes: [...Array(20).fill(6_250), ...Array(12).fill(1_800), ...Array(20).fill(2_000)] };
  assert.equal(starvedSeconds(arrivals, 1_000, 5_000), 1, 'a half that is not whole is not counted');
  assert.equal(starvedSeconds({ beganMs: 0, bytes: [] }, 0, 2_000), 2);
});

test('what delays were read of too few pictures is said', () => {
  const readable = (share) => pictures(steady(0, 100)).map((picture, index) => ({ ...picture, stampMs: index < share * 100 ? picture.stampMs : null }));
  const [note, ...more] = run('loss', { pictures: readable(0.9), concealed: 0, samples: 1 }).notes;
  assert.match(note, /too coarse/);
  assert.deepEqual([more.length, run('loss', { pictures: readable(0.96), concealed: 0, samples: 1 }).notes], [1, []]);
});

test('an outage is told from the event on, of a blackout and of an address that dies', () => {
  const seen = { pictures: pictures([...steady(0, 51), ...steady(5_000, 100)]) };
  for (const rule of ['up blackout', 'Ana: address dies']) {
    assert.deepEqual(run('outage', seen, { steps: [[2.01, rule], [3, 'up blackout=off']] }).figures, { without_picture_ms: [3_040, 3_040] });
  }
  assert.deepEqual(run('outage', seen, { steps: [[2, 'up blackout']], to: 8_900 }).notes, []);
  const { figures, notes } = run('outage', { pictures: pictures(steady(0, 51)) }, { steps: [[2.01, 'up blackout']] });
  assert.deepEqual(figures.without_picture_ms, [10_000, 10_000]);
  assert.equal(notes[0], "the picture of Ana was not back at Bo's when the measurement ended");
  assert.deepEqual(run('outage', seen, { steps: [[1, 'up blackout=off']] }).missing, ['without_picture_ms']);
});
