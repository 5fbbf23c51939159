// @ts-check
/** How tiles share a surface. Pure. */

/** Cameras see 16:9; a tile may be cut to a square at most. */
const WIDEST = 16 / 9;
const NARROWEST = 1;

/** @typedef {{left: number, top: number, width: number, height: number}} Box */

/**
 * The boxes of `count` tiles that together cover the most of a surface; a last row that is not full is centred.
 * @param {number} count
 * @param {number} width of the surface, pixels
 * @param {number} height of the surface, pixels
 * @param {number} gap between tiles, pixels
 * @returns {Box[]}
 */
export function layoutGrid(count, width, height, gap) {
  if (count < 1 || width < 1 || height < 1) return [];
  let best = { columns: 1, ...tileSize(1, count, width, height, gap) };
  for (let columns = 2; columns <= count; columns += 1) {
    const size = tileSize(columns, count, width, height, gap);
    if (size.width * size.height > best.width * best.height) best = { columns, ...size };
  }
  return placeTiles(best, count, width, height, gap);
}

/** @param {number} columns @param {number} count @param {number} width @param {number} height @param {number} gap */
function tileSize(columns, count, width, height, gap) {
  const rows = Math.ceil(count / columns);
  const cellWidth = Math.max(1, (width - gap * (columns - 1)) / columns);
  const cellHeight = Math.max(1, (height - gap * (rows - 1)) / rows);
  return {
    width: Math.floor(Math.min(cellWidth, cellHeight * WIDEST)),
    height: Math.floor(Math.min(cellHeight, cellWidth / NARROWEST)),
  };
}

/** @param {{columns: number, width: number, height: number}} tile @param {number} count @param {number} width @param {number} height @param {number} gap */
function placeTiles(tile, count, width, height, gap) {
  const rows = Math.ceil(count / tile.columns);
  const top = (height - rows * tile.height - (rows - 1) * gap) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / tile.columns);
    const inRow = row === rows - 1 ? count - row * tile.columns : tile.columns;
    const left = (width - inRow * tile.width - (inRow - 1) * gap) / 2;
    return {
      left: Math.round(left + (index % tile.columns) * (tile.width + gap)),
      top: Math.round(top + row * (tile.height + gap)),
      width: tile.width,
      height: tile.height,
    };
  });
}
