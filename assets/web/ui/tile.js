// @ts-check
/** One person's tile: picture or initial, name, marks, and the state of the connection in words. */

import { LevelMeter, setSpeaker, SPEAKING_DBFS } from '../levels.js';
import { initialOf } from '../rooms.js';
import { h, icon, setShown, setText } from './dom.js';

/**
 * @typedef {object} TileFace
 * @property {string} name
 * @property {MediaStream|null} picture
 * @property {MediaStream|null} sound
 * @property {string|null} microphoneMark
 * @property {string|null} cameraMark
 * @property {string|null} state of the connection, in words
 */

/** A picture whose form differs more than this from the tile's is shown whole, with bars. */
const CROP_MAX = 1.8;
/** Avatar colours; white on each has a contrast of at least 4.5:1. */
const AVATARS = 6;

export class Tile {
  /** @type {LevelMeter|null} */ #meter = null;
  /** @type {TileFace|null} */ #face = null;

  /**
   * @param {{id: string, isSelf: boolean, onDetails?: () => void, onBlocked?: () => void, actions?: HTMLElement[]}} config
   */
  constructor(config) {
    this.config = config;
    this.video = h('video', { class: 'tile-video', autoplay: true, playsInline: true, muted: true, 'aria-hidden': 'true' });
    this.video.addEventListener('resize', () => this.#fit());
    this.video.addEventListener('loadeddata', () => this.#fit());
    this.audio = config.isSelf ? null : h('audio', { autoplay: true });
    this.initial = h('span', { class: `avatar avatar-${colourOf(config.id)}`, 'aria-hidden': 'true' });
    this.muted = h('span', { class: 'tile-muted' }, icon('mic-off'));
    this.nameText = h('span', { class: 'tile-name-text' });
    this.cameraText = h('span');
    this.camera = h('span', { class: 'pill tile-camera' }, icon('video-off'), this.cameraText);
    this.state = h('span', { class: 'pill tile-state', role: 'status' });
    this.plate = config.onDetails
      ? h('button', { class: 'pill tile-name tile-details', type: 'button', title: 'Details', onclick: config.onDetails }, this.muted, this.nameText, icon('info'))
      : h('span', { class: 'pill tile-name' }, this.muted, this.nameText);
    this.element = h('div', { class: `tile${config.isSelf ? ' is-self' : ''}`, role: 'group', tabIndex: 0, 'data-peer': config.id, ondblclick: () => toggleFullscreen(this.element) },
      this.video, this.initial,
      this.plate, this.camera, this.state,
      ...(config.actions ?? []), this.audio);
    new ResizeObserver(() => this.#fit()).observe(this.element);
  }

  /** @param {TileFace} face */
  update(face) {
    const before = this.#face;
    this.#face = face;
    if (before?.picture !== face.picture) this.#show(face.picture);
    if (before?.sound !== face.sound) this.#listen(face.sound);
    setText(this.nameText, this.config.isSelf ? 'You' : face.name);
    if (this.config.onDetails && before?.name !== face.name) this.plate.setAttribute('aria-label', `${face.name}: details`);
    setText(this.initial, initialOf(face.name));
    setShown(this.muted, face.microphoneMark !== null);
    setShown(this.camera, face.cameraMark !== null);
    setText(this.cameraText, face.cameraMark ?? '');
    setShown(this.state, face.state !== null);
    setText(this.state, face.state ?? '');
    const label = [this.config.isSelf ? `You, ${face.name}` : face.name, face.microphoneMark, face.cameraMark, face.state].filter(Boolean).join(', ');
    if (this.element.getAttribute('aria-label') !== label) this.element.setAttribute('aria-label', label);
    this.#fit();
  }

  /** @param {boolean} deafened */
  setDeafened(deafened) { if (this.audio) this.audio.muted = deafened; }

  /** @param {string} speakerId */
  async setSpeaker(speakerId) { if (this.audio) await setSpeaker(this.audio, speakerId); }

  /** Tries again after the browser refused to play. */
  play() { this.audio?.play().catch(() => this.config.onBlocked?.()); }

  /** Looks at the level and draws the outline; true while speaking. */
  readLevel() {
    const speaking = this.#meter !== null && this.#face?.microphoneMark === null && this.#meter.read() > SPEAKING_DBFS;
    this.element.classList.toggle('is-speaking', speaking);
    return speaking;
  }

  close() {
    this.#meter?.close();
    this.video.srcObject = null;
    if (this.audio) this.audio.srcObject = null;
    this.element.remove();
  }

  /** @param {MediaStream|null} picture */
  #show(picture) {
    this.video.srcObject = picture;
    if (picture) this.video.play().catch(() => { /* told by the sound */ });
  }

  /** @param {MediaStream|null} sound */
  #listen(sound) {
    this.#meter?.close();
    this.#meter = null;
    if (this.audio) {
      this.audio.srcObject = sound;
      if (sound) this.play();
    }
    const track = sound?.getAudioTracks()[0];
    if (!track) return;
    try { this.#meter = new LevelMeter(track); } catch (error) { console.warn('level:', error); }
  }

  /** The picture shows only where there is one. */
  #fit() {
    const { videoWidth, videoHeight } = this.video;
    const hasPicture = videoWidth > 0 && this.#face?.picture !== null && this.#face?.cameraMark === null;
    this.element.classList.toggle('has-picture', hasPicture);
    if (!hasPicture) return;
    const { clientWidth, clientHeight } = this.element;
    const ratio = (videoWidth / videoHeight) / (clientWidth / Math.max(1, clientHeight));
    this.element.classList.toggle('is-whole', Math.max(ratio, 1 / ratio) > CROP_MAX);
  }
}

/** @param {HTMLElement} element */
export function toggleFullscreen(element) {
  if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  else element.requestFullscreen?.().catch(() => {});
}

/** The same colour for the same person. @param {string} id */
function colourOf(id) {
  let sum = 0;
  for (const character of id) sum = (sum * 31 + character.charCodeAt(0)) % 1_000_003;
  return sum % AVATARS;
}
