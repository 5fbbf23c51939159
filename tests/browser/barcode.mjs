/** The barcode (`barcode.js`) for Node: reading it, and a film that carries one. A page is given the same source. */

import { readFileSync } from 'node:fs';
import vm from 'node:vm';

/** To be put into a page: it defines `stampBarcode` and `readBarcode`. */
export const BARCODE_SOURCE = readFileSync(new URL('barcode.js', import.meta.url), 'utf8');

export const { stampBarcode, readBarcode } = vm.runInThisContext(`(() => { ${BARCODE_SOURCE}; return { stampBarcode, readBarcode }; })()`);

/**
 * A Y4M film of one grey picture with a barcode, for Chromium's fake camera.
 * @param {{width: number, height: number, timeMs: number, frames: number}} film
 * @returns {Buffer}
 */
export function barcodeFilm({ width, height, timeMs, frames }) {
  const luma = Buffer.alloc(width * height, 126);
  stampBarcode(luma, width, timeMs);
  const frame = [Buffer.from('FRAME\n'), luma, Buffer.alloc(width * height / 2, 128)];
  return Buffer.concat([Buffer.from(`YUV4MPEG2 W${width} H${height} F30:1 Ip A1:1 C420jpeg\n`), ...Array(frames).fill(frame).flat()]);
}
