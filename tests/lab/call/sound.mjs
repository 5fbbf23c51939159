/**
 * Sound that can be found again: a burst each half second, each of another pitch than the seven before it. Pure, but for files.
 *
 * A recording is `{samples, rate, firstMs}`: numbers from -1 to 1, how many a second, and the Unix time in ms of the first one.
 */

import { readFileSync } from 'node:fs';

const RATE = 48_000;
const EVERY_MS = 500;
const BURST_MS = 60;
const PITCHES_HZ = [620, 810, 1_040, 1_310, 1_620, 1_990, 2_430, 2_960];
/** The louder half of its edge: what a codec smears before a burst is far below it. */
const EDGE = 0.35;
/** Quieter is none. */
const LEVEL_MIN = 0.02;

/** One round of bursts, to be played over and over. */
export function bursts() {
  const samples = new Float32Array(PITCHES_HZ.length * EVERY_MS * RATE / 1_000);
  PITCHES_HZ.forEach((hertz, index) => {
    const start = (index * EVERY_MS + 200) * RATE / 1_000;
    const length = BURST_MS * RATE / 1_000;
    for (let at = 0; at < length; at += 1) {
      const edge = Math.min(1, at / 96, (length - at) / 96);
      samples[start + at] = 0.5 * edge * Math.sin(2 * Math.PI * hertz * at / RATE);
    }
  });
  return { samples, rate: RATE };
}

/** A second of a tone without an edge, to be played over and over: something is heard from the first moment on. */
export function tone() {
  return { samples: Float32Array.from({ length: RATE }, (_, at) => 0.4 * Math.sin(2 * Math.PI * PITCHES_HZ[0] * at / RATE)), rate: RATE };
}

/** When a recording is first louder than silence for five milliseconds together. @param {{samples: Float32Array, rate: number, firstMs: number}} recording */
export function firstSoundMs({ samples, rate, firstMs }) {
  const step = Math.round(rate / 1_000);
  let loudMs = 0;
  for (let ms = 0; (ms + 1) * step <= samples.length; ms += 1) {
    const isLoud = samples.subarray(ms * step, (ms + 1) * step).some((sample) => Math.abs(sample) >= LEVEL_MIN);
    loudMs = isLoud ? loudMs + 1 : 0;
    if (loudMs === 5) return firstMs + ms - 4;
  }
  return undefined;
}

/** As a WAV file of 16 bit, one channel. @param {{samples: ArrayLike<number>, rate: number}} sound @returns {Buffer} */
export function wav({ samples, rate }) {
  const file = Buffer.alloc(44 + samples.length * 2);
  file.write('RIFF', 0, 'latin1');
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8, 'latin1');
  [16, 0x1_0001, rate, rate * 2, 0x10_0002].forEach((value, index) => file.writeUInt32LE(value, 16 + index * 4));
  file.write('data', 36, 'latin1');
  file.writeUInt32LE(samples.length * 2, 40);
  for (let at = 0; at < samples.length; at += 1) file.writeInt16LE(Math.round(Math.max(-1, Math.min(1, samples[at])) * 32_767), 44 + at * 2);
  return file;
}

/** Reads 16 bit, one channel; a file that was cut off as far as it goes. @param {Buffer} file */
export function readWav(file) {
  if (file.toString('latin1', 0, 4) !== 'RIFF') throw new Error('that is no WAV file');
  for (let at = 12; at + 8 <= file.length;) {
    const [kind, length] = [file.toString('latin1', at, at + 4), file.readUInt32LE(at + 4)];
    if (kind === 'data') {
      const bytes = file.subarray(at + 8, at + 8 + Math.min(length, file.length - at - 8 & ~1));
      const samples = Float32Array.from({ length: bytes.length >> 1 }, (_, index) => bytes.readInt16LE(index * 2) / 32_768);
      return { samples, rate: file.readUInt32LE(24) };
    }
    at += 8 + length + length % 2;
  }
  throw new Error('a WAV file without sound');
}

/** What `parlor --record-audio` left under this name. @param {string} folder @param {'spoken'|'heard'} name */
export function recordingOf(folder, name) {
  const { first_sample_unix_ms: firstMs } = JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8'));
  return { ...readWav(readFileSync(`${folder}/${name}.wav`)), firstMs };
}

/** Blocks that come within so many ms came together. */
const TOGETHER_MS = 4;
/** About half a second of blocks. */
const WINDOW = 50;
/** What a stalled page lost of a track is at least a block of 10 ms; less is unevenness. */
const LOST_MIN_MS = 5;

/** Where the first sample of all would have been, by what came nearly the earliest of these: others were held up on their way to us. */
function startOf(blocks, before, rate, kind) {
  const starts = blocks
    .filter(([, , atMs], index) => kind === 'spoken' || atMs - (blocks[index - 1] ?? before)[2] > TOGETHER_MS)
    .map(([first, count, atMs]) => atMs - (kind === 'spoken' ? first + count : first) * 1_000 / rate)
    .sort((one, other) => one - other);
  return starts[Math.floor(starts.length / 10)];
}

/**
 * Samples that came block by block, as a recording. A block of a microphone is there when its last sample was taken; of blocks that are
 * pulled for the speaker together the first is played at once. Where a page that stood still lost some of a track, silence takes its
 * place, so that sample and time stay in step.
 * @param {Float32Array} samples @param {number} rate @param {[number, number, number][]} blocks first sample, count, when @param {'spoken'|'heard'} kind
 */
export function fromBlocks(samples, rate, blocks, kind) {
  const parts = [];
  let firstMs;
  let lostMs = 0;
  for (let at = 0; at < blocks.length; at += WINDOW) {
    const window = blocks.slice(at, at + WINDOW);
    const start = startOf(window, blocks[at - 1] ?? [0, 0, -Infinity], rate, kind);
    firstMs ??= start;
    // What is left at the end is too little to judge by.
    if (start - firstMs - lostMs >= LOST_MIN_MS && window.length === WINDOW) {
      parts.push(new Float32Array(Math.round((start - firstMs - lostMs) * rate / 1_000)));
      lostMs = start - firstMs;
    }
    parts.push(samples.subarray(window[0][0], window.at(-1)[0] + window.at(-1)[1]));
  }
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => {
    whole.set(part, at);
    return at + part.length;
  }, 0);
  return { samples: whole, rate, firstMs };
}

/** How much of a frequency is in it (Goertzel), 0 to 1 for a steady tone. */
function share(samples, rate, hertz) {
  const turn = 2 * Math.cos(2 * Math.PI * hertz / rate);
  let [last, beforeLast, energy] = [0, 0, 0];
  for (const sample of samples) {
    [last, beforeLast] = [sample + turn * last - beforeLast, last];
    energy += sample * sample;
  }
  return energy > 0 ? (last ** 2 + beforeLast ** 2 - turn * last * beforeLast) * 2 / (samples.length * energy) : 0;
}

/** Each burst in a recording: when it began, and which pitch it has. @param {{samples: Float32Array, rate: number, firstMs: number}} recording @returns {{atMs: number, pitch: number}[]} */
export function findBursts({ samples, rate, firstMs }) {
  const step = Math.round(rate / 1_000);
  const levels = [];
  for (let at = 0; at + step <= samples.length; at += step) {
    let peak = 0;
    for (let index = at; index < at + step; index += 1) peak = Math.max(peak, Math.abs(samples[index]));
    levels.push(peak);
  }
  const loudest = levels.toSorted((one, other) => one - other)[Math.floor(levels.length * 0.95)] ?? 0;
  const threshold = Math.max(LEVEL_MIN, loudest * EDGE);
  const found = [];
  let quietMs = Infinity;
  levels.forEach((level, ms) => {
    if (level >= threshold) {
      // A burst that is cut in two by a lost packet is still one.
      if (quietMs >= BURST_MS) {
        const inside = samples.subarray(ms * step + 5 * step, ms * step + (BURST_MS - 15) * step);
        const shares = PITCHES_HZ.map((hertz) => share(inside, rate, hertz));
        const pitch = shares.indexOf(Math.max(...shares));
        if (shares[pitch] > 0.5) found.push({ atMs: firstMs + ms, pitch });
      }
      quietMs = 0;
    } else quietMs += 1;
  });
  return found;
}

/** From each burst said to the same heard, `[heardMs, delayMs]`; one that was not heard is left out. @param {{atMs: number, pitch: number}[]} spoken @param {{atMs: number, pitch: number}[]} heard */
export function soundDelays(spoken, heard) {
  const roundMs = PITCHES_HZ.length * EVERY_MS;
  return heard.flatMap(({ atMs, pitch }) => {
    const said = spoken.findLast((one) => one.pitch === pitch && one.atMs <= atMs && one.atMs > atMs - roundMs);
    return said ? [[atMs, atMs - said.atMs]] : [];
  });
}

/** Picture later than sound by so much at the same moments, in ms; the median. @param {[number, number][]} video @param {[number, number][]} sound */
export function lipSyncMs(video, sound) {
  const differences = sound.flatMap(([atMs, delay]) => {
    const nearest = video.reduce((best, one) => (Math.abs(one[0] - atMs) < Math.abs(best[0] - atMs) ? one : best), [Infinity, 0]);
    return Math.abs(nearest[0] - atMs) <= EVERY_MS / 2 ? [nearest[1] - delay] : [];
  }).sort((one, other) => one - other);
  return differences[Math.floor(differences.length / 2)];
}
