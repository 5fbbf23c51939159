// @ts-check
/** Finding links in what people write. Pure. */

/** @typedef {{text: string, href: string|null}} Piece */

/** With a scheme, or a domain with a path ("example.org/notes"). */
const LINK = /\bhttps?:\/\/[^\s<>"]+|\b(?:[a-z0-9-]+\.)+[a-z]{2,24}\/[^\s<>"]*/giu;

/**
 * Splits text into links and what is between them; joined together the pieces are the text again.
 * @param {string} text
 * @returns {Piece[]}
 */
export function linkify(text) {
  /** @type {Piece[]} */
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const shown = withoutTrailingPunctuation(match[0]);
    const href = safeHref(shown);
    if (!href) continue;
    if (match.index > end) pieces.push({ text: text.slice(end, match.index), href: null });
    pieces.push({ text: shown, href });
    end = match.index + shown.length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), href: null });
  return pieces;
}

/** "(see example.org/a)." ends before the bracket. @param {string} link */
function withoutTrailingPunctuation(link) {
  let end = link.length;
  while (end > 0 && /[.,;:!?'’”)\]}…]/u.test(link[end - 1])) {
    if (link[end - 1] === ')' && link.slice(0, end).includes('(')) break;
    end -= 1;
  }
  return link.slice(0, end);
}

/** Only web addresses are ever made clickable. @param {string} shown */
function safeHref(shown) {
  let url;
  try { url = new URL(/^https?:/i.test(shown) ? shown : `https://${shown}`); } catch { return null; }
  return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null;
}
