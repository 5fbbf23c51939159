/** The pictures that a native peer keeps. */

import { inflateSync } from 'node:zlib';

/**
 * The pixels of an 8-bit RGB PNG without interlacing, as `parlor --snapshots` writes them (PNG §9: filters).
 * @param {Buffer} png
 */
export function readPng(png) {
  const parts = [];
  let [width, height] = [0, 0];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    const kind = png.toString('latin1', at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (kind === 'IHDR') [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
    if (kind === 'IDAT') parts.push(body);
    at += length + 12;
  }
  const filtered = inflateSync(Buffer.concat(parts));
  const stride = width * 3;
  const rgb = Buffer.alloc(stride * height);
  const rgba = Buffer.alloc(width * height * 4, 255);
  for (let line = 0; line < height; line += 1) {
    const filter = filtered[line * (stride + 1)];
    for (let byte = 0; byte < stride; byte += 1) {
      const at = line * stride + byte;
      const left = byte >= 3 ? rgb[at - 3] : 0;
      const above = line > 0 ? rgb[at - stride] : 0;
      const corner = byte >= 3 && line > 0 ? rgb[at - stride - 3] : 0;
      rgb[at] = filtered[line * (stride + 1) + 1 + byte] + predicted(filter, left, above, corner);
      rgba[Math.floor(at / 3) * 4 + at % 3] = rgb[at];
    }
  }
  return { width, height, rgba };
}

function predicted(filter, left, above, corner) {
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return Math.floor((left + above) / 2);
  if (filter !== 4) return 0;
  const estimate = left + above - corner;
  const [toLeft, toAbove, toCorner] = [left, above, corner].map((value) => Math.abs(estimate - value));
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}
