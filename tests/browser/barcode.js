/**
 * The barcode in a picture (tests/BARCODE.md), written and read. Pure; run in Node (barcode.mjs), and in a page as it stands.
 */

/** Where cells begin, across and down: all follows from the width. @param {number} index @param {number} width */
const barcodeEdge = (index, width) => Math.floor(index * width / 40);

/** Whether a cell of the guard at either end is white. */
const isWhiteGuard = (row, column) => (row + column) % 2 === (column < 4 ? 0 : 1);

/** CRC-16/CCITT-FALSE. @param {number[]} bytes */
const barcodeCrc = (bytes) => bytes.reduce((sum, byte) => {
  let crc = sum ^ byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1 ^ 0x1021) & 0xffff : crc << 1 & 0xffff;
  return crc;
}, 0xffff);

/** Draws a time over the top of a picture's brightness, whose rows are as long as it is wide. @param {Uint8Array} luma @param {number} width @param {number} timeMs Unix time */
function stampBarcode(luma, width, timeMs) {
  const tenths = Math.round(timeMs * 10);
  const bytes = [5, 4, 3, 2, 1, 0].map((place) => Math.floor(tenths / 256 ** place) % 256);
  const crc = barcodeCrc(bytes);
  bytes.push(crc >> 8, crc & 0xff);
  for (const row of [0, 1]) {
    for (let column = 0; column < 40; column += 1) {
      const place = row * 32 + column - 4;
      const isGuard = column < 4 || column >= 36;
      const isWhite = isGuard ? isWhiteGuard(row, column) : (bytes[place >> 3] >> (7 - place % 8) & 1) === 1;
      for (let line = barcodeEdge(row, width); line < barcodeEdge(row + 1, width); line += 1) {
        luma.fill(isWhite ? 235 : 16, line * width + barcodeEdge(column, width), line * width + barcodeEdge(column + 1, width));
      }
    }
  }
}

/**
 * Reads the time in a picture, or in its two topmost rows of cells.
 * @param {{width: number, height: number, rgba: Uint8Array|Uint8ClampedArray}} picture
 * @returns {number|null} Unix time in milliseconds, with one digit behind the point; null where there is none, or a damaged one
 */
function readBarcode({ width, height, rgba }) {
  if (width < 160 || height < barcodeEdge(2, width)) return null;
  const middle = (index) => {
    const [from, to] = [barcodeEdge(index, width), barcodeEdge(index + 1, width)];
    const margin = Math.floor((to - from) / 4);
    return [from + margin, to - margin];
  };
  const brightness = (row, column) => {
    const [[left, right], [top, bottom]] = [middle(column), middle(row)];
    let sum = 0;
    for (let line = top; line < bottom; line += 1) {
      for (let pixel = left; pixel < right; pixel += 1) {
        const at = (line * width + pixel) * 4;
        sum += 0.299 * rgba[at] + 0.587 * rgba[at + 1] + 0.114 * rgba[at + 2];
      }
    }
    return sum / ((right - left) * (bottom - top));
  };
  let [white, black] = [Infinity, -Infinity];
  for (const row of [0, 1]) {
    for (const column of [0, 1, 2, 3, 36, 37, 38, 39]) {
      if (isWhiteGuard(row, column)) white = Math.min(white, brightness(row, column));
      else black = Math.max(black, brightness(row, column));
    }
  }
  if (white - black < 60) return null;
  const bytes = [0, 1, 2, 3, 4, 5, 6, 7].map((byte) => {
    let value = 0;
    for (let bit = 0; bit < 8; bit += 1) {
      const place = byte * 8 + bit;
      value = value * 2 + (brightness(Math.floor(place / 32), 4 + place % 32) > (white + black) / 2 ? 1 : 0);
    }
    return value;
  });
  if (barcodeCrc(bytes.slice(0, 6)) !== bytes[6] * 256 + bytes[7]) return null;
  return bytes.slice(0, 6).reduce((time, byte) => time * 256 + byte, 0) / 10;
}
