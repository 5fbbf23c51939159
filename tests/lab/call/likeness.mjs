/**
 * How much what was shown looks like what was sent: SSIM by ffmpeg of a picture a second against the picture of the film that it was, the
 * stamp left out. Where there is no ffmpeg (on the path, or from PyPI in target/lab/venv), the reason is told and the figure left out.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, watch, writeFileSync } from 'node:fs';
import path from 'node:path';
import { prepared, PYTHON } from './venv.mjs';

/** Enough to tell which picture of the film it was: one pixel of so many. */
const LOOKED_AT = 61;

/** Where ffmpeg is, or why there is none. @returns {{ffmpeg?: string, reason?: string}} */
export function prepareFfmpeg() {
  if (spawnSync('ffmpeg', ['-version']).status === 0) return { ffmpeg: 'ffmpeg' };
  const reason = prepared('imageio-ffmpeg', 'imageio_ffmpeg');
  if (reason) return { reason };
  return { ffmpeg: execFileSync(PYTHON, ['-c', 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())'], { encoding: 'utf8' }).trim() };
}

/** Keeps each picture that `parlor --snapshots` renews: `{file, atMs}`. @param {string} folder @param {string} copies */
export function keepSnapshots(folder, copies) {
  const kept = [];
  const watcher = watch(folder, (_, name) => {
    if (!name?.endsWith('.png')) return;
    const file = path.join(copies, `shown-${kept.length}-${name}`);
    try {
      copyFileSync(path.join(folder, name), file);
      kept.push({ file, atMs: performance.timeOrigin + performance.now() });
    } catch { /* It is being put in its place. */ }
  });
  return { kept, stop: () => watcher.close() };
}

/** The picture of the film that this one was. @param {Uint8Array} luma @param {Uint8Array[]} film @param {{width: number, height: number}} size */
export function bestMatch(luma, film, { width, height }) {
  const below = Math.ceil(width / 20) * width;
  let best = { number: 0, difference: Infinity };
  film.forEach((picture, number) => {
    let difference = 0;
    for (let at = below; at < width * height; at += LOOKED_AT) difference += Math.abs(picture[at] - luma[at]);
    if (difference < best.difference) best = { number, difference };
  });
  return best.number;
}

/**
 * The mean SSIM of luma over these files (PNG), 0 to 1.
 * @param {string[]} files @param {Uint8Array[]} film @param {{width: number, height: number}} size @param {string} ffmpeg @param {string} folder
 * @returns {number|undefined}
 */
export function ssim(files, film, { width, height }, ffmpeg, folder) {
  if (files.length === 0) return undefined;
  const quiet = ['-hide_banner', '-loglevel', 'error'];
  const lumas = files.map((file) => {
    const filter = `scale=${width}:${height}:flags=bicubic:out_color_matrix=bt601:out_range=tv,format=yuv420p`;
    const picture = execFileSync(ffmpeg, [...quiet, '-i', file, '-vf', filter, '-f', 'rawvideo', '-'], { maxBuffer: 1 << 28 });
    return picture.subarray(0, width * height);
  });
  const raw = (name, pictures) => {
    const file = path.join(folder, name);
    writeFileSync(file, Buffer.concat(pictures));
    return ['-f', 'rawvideo', '-pix_fmt', 'gray', '-s', `${width}x${height}`, '-i', file];
  };
  const shown = raw('shown.gray', lumas);
  const sent = raw('sent.gray', lumas.map((luma) => film[bestMatch(luma, film, { width, height })].subarray(0, width * height)));
  const stamp = Math.ceil(width / 20);
  const below = `crop=iw:ih-${stamp}:0:${stamp}`;
  const { stderr, status } = spawnSync(ffmpeg, ['-hide_banner', ...shown, ...sent, '-lavfi', `[0]${below}[a];[1]${below}[b];[a][b]ssim`, '-f', 'null', '-'], { encoding: 'utf8' });
  const told = /SSIM Y:([\d.]+)/.exec(stderr);
  if (status !== 0 || !told) throw new Error(`ffmpeg told no SSIM: ${stderr.trim().split('\n').at(-1)}`);
  return Number(told[1]);
}
