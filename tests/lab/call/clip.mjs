/**
 * A clip that cannot be compressed away: a textured picture that moves, and a film of it for every contender's camera.
 */

import { closeSync, openSync, writeSync } from 'node:fs';

/** Of noise, smoothed a little as a lens does: what a codec finds hard, but not hopeless. @param {number} width @param {number} height @param {number} seed */
function texture(width, height, seed) {
  let state = seed >>> 0 || 1;
  const noise = Uint8Array.from({ length: width * height }, () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0;
    return state >>> 24;
  });
  const smooth = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let sum = 0;
      for (const [across, down] of [[0, 0], [1, 0], [0, 1], [1, 1], [2, 0], [0, 2], [2, 2], [3, 3]]) sum += noise[(y + down) % height * width + (x + across) % width];
      smooth[y * width + x] = 56 + sum * 140 / (255 * 8);
    }
  }
  return smooth;
}

/** A picture of the clip: the texture, shifted, in a frame of a darker one that stands still. @param {Uint8Array} from @param {number} width @param {number} height @param {number} number */
export function luma(from, width, height, number) {
  const picture = Buffer.alloc(width * height);
  const [across, down] = [number * 3 % width, number % height];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const moves = y > height / 4 && x > width / 4 && x < width * 3 / 4;
      const [atX, atY] = moves ? [(x + across) % width, (y + down) % height] : [x, y];
      picture[y * width + x] = moves ? from[atY * width + atX] : from[atY * width + atX] >> 1;
    }
  }
  return picture;
}

/**
 * Writes it as Y4M: a person's worth of movement in the middle before a background.
 * @param {string} path @param {{width?: number, height?: number, frames?: number, seed?: number}} [clip]
 */
export function writeClip(path, { width = 640, height = 360, frames = 60, seed = 1 } = {}) {
  const from = texture(width, height, seed);
  const file = openSync(path, 'w');
  writeSync(file, `YUV4MPEG2 W${width} H${height} F30:1 Ip A1:1 C420jpeg\n`);
  const chroma = Buffer.alloc(width * height / 2, 128);
  for (let number = 0; number < frames; number += 1) {
    writeSync(file, 'FRAME\n');
    writeSync(file, luma(from, width, height, number));
    writeSync(file, chroma);
  }
  closeSync(file);
}
