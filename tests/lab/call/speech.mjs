/**
 * Speech to be sent, and how well it is still understood: PESQ by PyPI's `pesq`, installed into target/lab/venv. Where that can't be had,
 * or there is no espeak-ng or sox, the reason is told and the score left out.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readWav, wav } from './sound.mjs';
import { prepared, PYTHON } from './venv.mjs';

const SCRIPT = fileURLToPath(new URL('opinion.py', import.meta.url));
/** ITU-T P.862.3 §7: 8 to 12 s a sample. */
const PART_SECONDS = 8;
/** The codec's and the jitter buffer's delay, which the score finds by itself, must not cut words off at the end. */
const MARGIN_SECONDS = 0.25;

const SENTENCES = [
  ['en-gb', 'The boats came home early, because the wind had turned before noon.'],
  ['en-us+f3', 'Please put the blue cups on the shelf above the window.'],
  ['en-gb+m2', 'Nobody had told her that the road was closed until Friday.'],
];

const tool = (name, ...rest) => execFileSync(name, rest, { stdio: ['ignore', 'pipe', 'pipe'] });

/**
 * A few sentences at 48 kHz, to be played over and over.
 * @param {string} folder for what lies between @returns {{samples: Float32Array, rate: number}}
 */
export function speech(folder) {
  const parts = SENTENCES.map(([voice, text], index) => {
    const file = path.join(folder, `sentence-${index}.wav`);
    tool('espeak-ng', '-v', voice, '-s', '150', '-w', file, text);
    return file;
  });
  const whole = path.join(folder, 'sentences.wav');
  tool('sox', ...parts, '-r', '48000', '-c', '1', '-b', '16', whole, 'norm', '-3', 'pad', '0.3', '0.3');
  return readWav(readFileSync(whole));
}

/** Sees to it that PESQ can be computed, and speech be had. @returns {string|undefined} why not */
export function preparePesq() {
  for (const name of ['espeak-ng', 'sox']) if (spawnSync(name, ['--version']).status !== 0) return `there is no ${name}`;
  return prepared('numpy pesq', 'pesq');
}

/** What was between two moments. @param {{samples: Float32Array, rate: number, firstMs: number}} recording @param {number} from @param {number} to */
export function cut({ samples, rate, firstMs }, from, to) {
  const [start, end] = [from, to].map((at) => Math.round((at - firstMs) * rate / 1_000));
  return { samples: samples.subarray(Math.max(0, start), Math.max(0, end)), rate };
}

/**
 * The mean opinion score of what was heard against what was said, over all whole parts between two moments; 1 to 4.6. A part in which
 * nothing is heard counts as the worst.
 * @param {object} spoken a recording @param {object} heard @param {number} from @param {number} to @param {string} folder @param {string} name
 * @returns {number|undefined}
 */
export function pesq(spoken, heard, from, to, folder, name) {
  const lines = [];
  for (let at = from; at + PART_SECONDS * 1_000 <= to; at += PART_SECONDS * 1_000) {
    const end = at + PART_SECONDS * 1_000;
    const files = [[spoken, end, 'spoken'], [heard, end + MARGIN_SECONDS * 1_000, 'heard']].map(([recording, until, kind]) => {
      const file = path.join(folder, `${name}-${lines.length}-${kind}`);
      writeFileSync(`${file}-48.wav`, wav(cut(recording, at, until)));
      // Without dither: silence stays silence, of which the package gives another score at each call.
      tool('sox', '-D', `${file}-48.wav`, '-r', '16000', `${file}.wav`);
      return `${file}.wav`;
    });
    lines.push(files.join(' '));
  }
  if (lines.length === 0) return undefined;
  const scores = execFileSync(PYTHON, [SCRIPT], { input: `${lines.join('\n')}\n`, encoding: 'utf8' }).trim().split('\n');
  const worst = 1;
  return scores.reduce((sum, score) => sum + (score === 'none' ? worst : Number(score)), 0) / scores.length;
}
