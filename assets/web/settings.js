// @ts-check
/** What is remembered between visits, in localStorage; a browser that forbids it forgets. */

/**
 * @typedef {object} Settings
 * @property {string} name
 * @property {boolean} cameraOn wanted, whether or not it is open
 * @property {boolean} microphoneOn wanted, whether or not it is open
 * @property {string} cameraId empty for the default
 * @property {string} microphoneId empty for the default
 * @property {string} speakerId empty for the default
 * @property {boolean} audioProcessing echo cancellation, noise suppression and gain
 * @property {boolean} relayOnly whether the address is hidden: calls go through relays only
 * @property {{room: string, atMs: number}[]} recent the newest first
 */

/** @type {Settings} */
const DEFAULTS = {
  name: '', cameraOn: true, microphoneOn: true, cameraId: '', microphoneId: '', speakerId: '', audioProcessing: true, relayOnly: false, recent: [],
};
const RECENT_MAX = 5;
const PREFIX = 'parlor.';

export class SettingsStore {
  /** @type {Settings} */ #values = { ...DEFAULTS };

  /** @param {Storage|null} storage */
  constructor(storage = pageStorage()) {
    this.storage = storage;
    for (const key of /** @type {(keyof Settings)[]} */ (Object.keys(DEFAULTS))) this.#load(key);
  }

  /** @template {keyof Settings} K @param {K} key @returns {Settings[K]} */
  get(key) { return this.#values[key]; }

  /** @template {keyof Settings} K @param {K} key @param {Settings[K]} value */
  set(key, value) {
    this.#values[key] = value;
    try { this.storage?.setItem(PREFIX + key, JSON.stringify(value)); } catch { /* full or forbidden: forgotten */ }
  }

  /** @param {string} room @param {number} atMs */
  addRecent(room, atMs) {
    const others = this.#values.recent.filter((entry) => entry.room !== room);
    this.set('recent', [{ room, atMs }, ...others].slice(0, RECENT_MAX));
  }

  /** What was stored by hand or by another version is taken only in the form expected. @param {keyof Settings} key */
  #load(key) {
    let value;
    try { value = JSON.parse(this.storage?.getItem(PREFIX + key) ?? 'null'); } catch { return; }
    if (typeof value !== typeof DEFAULTS[key] || value === null) return;
    if (key === 'recent') value = Array.isArray(value) ? value.filter(isRecent).slice(0, RECENT_MAX) : [];
    Object.assign(this.#values, { [key]: value });
  }
}

/** @param {any} entry */
function isRecent(entry) {
  return typeof entry?.room === 'string' && /^[a-z0-9-]{1,64}$/.test(entry.room) && typeof entry.atMs === 'number';
}

function pageStorage() {
  try { return globalThis.localStorage; } catch { return null; }
}
