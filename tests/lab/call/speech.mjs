/**
 * Speech to be sent, and how well it is still understood: PESQ by PyPI's `pesq`, installed into target/lab/venv. Where that can't be had,
 * or there is no espeak-ng or sox, the reason is told and the score left out.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readWav, wav } from './sound.mjs';

const LAB = fileURLToPath(new URL('../../../target/lab', import.meta.url));
const VENV = path.join(LAB, 'venv');
/** Why there is none, so that not each run tries again. */
const REASON = path.join(LAB, 'pesq-is-missing.txt');
const SCRIPT = fileURLToPath(new URL('opinion.py', import.meta.url));
const INSTALL_TIMEOUT_MS = 300_000;
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

/** Sees to it that PESQ can be computed. @returns {string|undefined} why it can't */
export function preparePesq() {
  const python = path.join(VENV, 'bin/python');
  const works = () => { tool(python, '-c', 'import numpy, pesq'); };
  if (existsSync(REASON)) return readFileSync(REASON, 'utf8').trim();
  try {
    if (existsSync(python)) {
      works();
      return undefined;
    }
    mkdirSync(LAB, { recursive: true });
    tool('python3', '-m', 'venv', VENV);
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', 'numpy', 'pesq'], { stdio: ['ignore', 'pipe', 'pipe'], timeout: INSTALL_TIMEOUT_MS });
    works();
    return undefined;
  } catch (error) {
    const reason = `no PESQ: ${String(error.stderr ?? error.message).trim().split('\n').at(-1)}`;
    mkdirSync(LAB, { recursive: true });
    writeFileSync(REASON, `${reason}\nRemove this file to try again.\n`);
    return reason;
  }
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
      tool('sox', `${file}-48.wav`, '-r', '16000', `${file}.wav`);
      return `${file}.wav`;
    });
    lines.push(files.join(' '));
  }
  if (lines.length === 0) return undefined;
  const scores = execFileSync(path.join(VENV, 'bin/python'), [SCRIPT], { input: `${lines.join('\n')}\n`, encoding: 'utf8' }).trim().split('\n');
  const worst = 1;
  return scores.reduce((sum, score) => sum + (score === 'none' ? worst : Number(score)), 0) / scores.length;
}
