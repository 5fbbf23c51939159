// @ts-check
/** Names of rooms and people, and links: pure functions that follow PROTOCOL.md "Values" and "Links". */

// The same words in the same order as in the native client, so that a room's name does not tell where it was made.
/** 64 words, worth 6 bits. */
const ADJECTIVES = [
  'able', 'amber', 'bold', 'brave', 'breezy', 'bright', 'calm', 'candid',
  'clear', 'clever', 'cosy', 'crisp', 'curious', 'daring', 'eager', 'early',
  'easy', 'fair', 'fast', 'fine', 'fond', 'free', 'fresh', 'gentle',
  'glad', 'golden', 'grand', 'green', 'happy', 'hearty', 'honest', 'jolly',
  'keen', 'kind', 'light', 'lively', 'loyal', 'lucky', 'mellow', 'merry',
  'mild', 'misty', 'neat', 'nimble', 'noble', 'patient', 'plain', 'polite',
  'proud', 'quick', 'quiet', 'rapid', 'ready', 'rosy', 'shiny', 'silent',
  'smart', 'snowy', 'sunny', 'swift', 'tidy', 'warm', 'wise', 'witty',
];
/** 64 words, worth 6 bits. */
const ANIMALS = [
  'badger', 'bear', 'beaver', 'bison', 'bobcat', 'camel', 'cat', 'crane',
  'cricket', 'deer', 'dolphin', 'dove', 'duck', 'eagle', 'egret', 'elk',
  'falcon', 'ferret', 'finch', 'fox', 'gecko', 'goose', 'hare', 'hawk',
  'heron', 'horse', 'ibex', 'jackal', 'jay', 'kestrel', 'kiwi', 'koala',
  'lark', 'lemur', 'linnet', 'lion', 'lizard', 'lynx', 'magpie', 'marten',
  'mole', 'moose', 'mouse', 'newt', 'otter', 'owl', 'panda', 'pelican',
  'pony', 'puffin', 'rabbit', 'raven', 'robin', 'salmon', 'seal', 'sparrow',
  'stork', 'swan', 'tiger', 'toad', 'turtle', 'walrus', 'whale', 'wren',
];
/** Crockford's base32 in lower case: no i, l, o, u, which are misread or misheard. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const DIGIT_COUNT = 8;

/**
 * A readable random room: 6 + 6 bits of words and 40 bits of digits, 52 in all.
 * @param {Uint8Array} [bytes] ten random bytes
 */
export function makeRoomId(bytes = crypto.getRandomValues(new Uint8Array(10))) {
  const digits = Array.from(bytes.slice(2, 2 + DIGIT_COUNT), (byte) => DIGITS[byte & 31]).join('');
  return `${ADJECTIVES[bytes[0] & 63]}-${ANIMALS[bytes[1] & 63]}-${digits.slice(0, 4)}-${digits.slice(4)}`;
}

/**
 * Reads what was typed or pasted for a room: a name, or a link to a room on this server.
 * @param {string} text
 * @param {string} host `HOST[:PORT]` of this page
 * @returns {{room: string, hash?: string} | {elsewhere: string} | {problem: string}} `hash` is the link's fragment, `elsewhere` a link to another server
 */
export function readRoom(text, host) {
  const trimmed = text.trim();
  if (/^https?:\/\//i.test(trimmed)) return readLink(trimmed, host);
  const room = trimmed.toLowerCase();
  if (room === '') return { problem: 'Type a room name, paste a link, or start a new call.' };
  if (room.length > 64) return { problem: 'A room name has at most 64 characters.' };
  if (!/^[a-z0-9-]+$/.test(room)) return { problem: 'A room name has only letters a–z, digits and hyphens.' };
  return { room };
}

/** @param {string} text @param {string} host */
function readLink(text, host) {
  let url;
  try { url = new URL(text); } catch { return { problem: 'This link is damaged. Copy it again.' }; }
  const room = roomOfPath(url.pathname);
  if (!room) return { problem: 'This link names no room (…/r/room-name).' };
  return url.host === host ? { room, hash: url.hash } : { elsewhere: url.href };
}

/** The room of `/r/ROOM`, or null. @param {string} path */
export function roomOfPath(path) {
  const match = /^\/r\/([^/]+)\/?$/.exec(path);
  if (!match) return null;
  let room;
  try { room = decodeURIComponent(match[1]).trim().toLowerCase(); } catch { return null; }
  return /^[a-z0-9-]{1,64}$/.test(room) ? room : null;
}

/**
 * Checks a display name as the server will.
 * @param {string} text
 * @returns {{name: string} | {problem: string}}
 */
export function readName(text) {
  const name = text.trim();
  if (name === '') return { problem: 'Type your name, so that the others know who you are.' };
  if ([...name].length > 64) return { problem: 'A name has at most 64 characters.' };
  if (/\p{Cc}/u.test(name)) return { problem: 'A name has only characters that can be seen.' };
  return { name };
}

/** The letter shown where there is no picture. @param {string} name */
export function initialOf(name) {
  return ([...name.trim()][0] ?? '?').toUpperCase();
}

/**
 * The page's link to a room. The fingerprint for native clients is the server's, or the one of the link that led here.
 * @param {{origin: string, hash: string}} location @param {string} room @param {string|null} [fingerprint] 64 hexadecimal digits
 * @param {string|null} [password] for those who shall not be asked
 */
export function linkTo(location, room, fingerprint = null, password = null) {
  const known = fingerprint ?? /(?:^#|&)fp=([0-9a-fA-F:]{64,95})(?:&|$)/.exec(location.hash)?.[1];
  const parts = [known && `fp=${known}`, password !== null && `password=${encodeURIComponent(password)}`].filter((part) => part);
  return `${location.origin}/r/${room}${parts.length > 0 ? `#${parts.join('&')}` : ''}`;
}

/** The address of the WebSocket beside a page. @param {{protocol: string, host: string}} location */
export function webSocketUrl(location) {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
}

/**
 * When a room was last entered, in words.
 * @param {number} thenMs @param {number} nowMs
 */
export function whenInWords(thenMs, nowMs) {
  /** @param {number} ms */
  const midnight = (ms) => new Date(ms).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(nowMs) - midnight(thenMs)) / 86_400_000);
  if (days <= 0) return 'today';
  if (days === 1) return 'yesterday';
  if (days < 7) return new Date(thenMs).toLocaleDateString('en', { weekday: 'long' });
  return new Date(thenMs).toLocaleDateString('en', { day: 'numeric', month: 'short' });
}
