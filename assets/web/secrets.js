// @ts-check
/**
 * What a room may ask for: its password and the access token. A link carries them behind `#`, which browsers send to
 * nobody. They are taken out of the visible address and kept for this tab, so that a refreshed page still knows them.
 */

/** @typedef {{password: string|null, access: string|null}} Secrets */

/** @type {Secrets} */
const NONE = { password: null, access: null };
const PREFIX = 'parlor.room.';

/**
 * What stands in the fragment of a link. What is damaged is nothing.
 * @param {string} hash with or without `#`
 * @returns {Secrets}
 */
export function readFragment(hash) {
  const parts = hash.replace(/^#/, '').split('&');
  /** @param {string} name */
  const part = (name) => parts.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1) || null;
  let password = part('password');
  try { password = password && decodeURIComponent(password); } catch { password = null; }
  return { password, access: part('access') };
}

/** The fragment without what is secret. @param {string} hash */
export function withoutSecrets(hash) {
  const kept = hash.replace(/^#/, '').split('&').filter((text) => text !== '' && !/^(password|access)=/.test(text));
  return kept.length > 0 ? `#${kept.join('&')}` : '';
}

/** The secrets of rooms, for as long as the tab is open; where a browser forbids that, as long as the page is. */
export class RoomSecrets {
  /** @type {Map<string, Secrets>} */ #rooms = new Map();

  /** @param {Storage|null} storage */
  constructor(storage = tabStorage()) { this.storage = storage; }

  /** @param {string} room @returns {Secrets} */
  get(room) {
    const known = this.#rooms.get(room);
    if (known) return known;
    let value;
    try { value = JSON.parse(this.storage?.getItem(PREFIX + room) ?? 'null'); } catch { return NONE; }
    /** @param {unknown} text */
    const text = (text) => typeof text === 'string' && text !== '' ? text : null;
    return { password: text(value?.password), access: text(value?.access) };
  }

  /** Keeps what is new; the rest stays as it was. @param {string} room @param {Partial<Secrets>} secrets */
  keep(room, secrets) {
    const value = { ...this.get(room), ...secrets };
    this.#rooms.set(room, value);
    try { this.storage?.setItem(PREFIX + room, JSON.stringify(value)); } catch { /* full or forbidden */ }
  }

  /** Keeps what a link carries, and nothing where it carries nothing. @param {string} room @param {Secrets} secrets */
  keepFound(room, { password, access }) {
    if (password !== null) this.keep(room, { password });
    if (access !== null) this.keep(room, { access });
  }
}

function tabStorage() {
  try { return globalThis.sessionStorage; } catch { return null; }
}
