/**
 * The film that every contender's camera plays (`film.js`), for whoever reads it from a file. The page makes it itself from the same source.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import vm from 'node:vm';

const FRAMES = 60;

/** To be put into a page: it defines `makeFilm`. */
export const FILM_SOURCE = readFileSync(new URL('film.js', import.meta.url), 'utf8');

/** @typedef {{width: number, height: number, seed: number, frames?: number}} Film two seconds, where it does not say how many frames */

/** The pictures of the film. @param {Film} film @returns {Uint8Array[]} */
export function filmOf({ width, height, seed, frames = FRAMES }) {
  return [...vm.runInNewContext(`${FILM_SOURCE}; makeFilm(film)`, { film: { width, height, frames, seed } })];
}

/** Writes the film as Y4M. @param {string} file @param {Film} film */
export function writeFilm(file, film) {
  const pictures = filmOf(film).flatMap((picture) => [Buffer.from('FRAME\n'), picture]);
  writeFileSync(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${film.width} H${film.height} F30:1 Ip A1:1 C420jpeg\n`), ...pictures]));
}
