// @ts-check
/**
 * The local camera and microphone: what is wanted, what is open, and why not. Devices are opened when turned on and
 * closed when turned off; a muted microphone stays open, so that speaking into it can be hinted at. Switching a
 * device keeps muted what is muted.
 */

import { Changes } from './emitter.js';
import { mediaProblem } from './words.js';

/** @typedef {import('./words.js').MediaProblem} MediaProblem */
/** @typedef {import('./words.js').DeviceKind} DeviceKind */
/** @typedef {{id: string, label: string}} DeviceInfo */
/** @typedef {{cameras: DeviceInfo[], microphones: DeviceInfo[], speakers: DeviceInfo[]}} DeviceList */
/** What is remembered between visits. @typedef {import('./settings.js').Settings} Settings */

/** The default of `media/`: 1280x720 at 30 frames a second. */
const CAMERA_FORMAT = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };

/** One device kind's state. */
class Device {
  /** @type {MediaStreamTrack|null} */ track = null;
  /** @type {MediaProblem|null} */ problem = null;
  /** Being asked for right now. */ opening = false;
  /** Counts requests, so that an overtaken one is thrown away. */ request = 0;
}

export class LocalMedia {
  changes = new Changes();
  camera = new Device();
  microphone = new Device();
  /** @type {DeviceList} */ devices = { cameras: [], microphones: [], speakers: [] };
  /** @type {'user'|'environment'|null} which way a phone's camera looks, once chosen */ facing = null;

  /** @param {import('./settings.js').SettingsStore} settings */
  constructor(settings) {
    this.settings = settings;
    navigator.mediaDevices?.addEventListener('devicechange', () => this.#handleDeviceChange());
  }

  /** Whether the browser gives this page devices at all. */
  get isSecure() { return globalThis.isSecureContext && navigator.mediaDevices !== undefined; }

  /** Whether the microphone is open and to be heard. */
  get isMicrophoneLive() { return this.microphone.track !== null && this.settings.get('microphoneOn'); }

  /** @param {boolean} on */
  async setCamera(on) {
    this.settings.set('cameraOn', on);
    if (on) await this.#open('camera');
    else this.#close('camera');
  }

  /** Mutes or unmutes; unmuting opens a microphone that is not open. @param {boolean} on */
  async setMicrophone(on) {
    this.settings.set('microphoneOn', on);
    if (on && !this.microphone.track) await this.#open('microphone');
    else this.changes.notify();
  }

  /** Opens what is wanted and not open yet. */
  async openWanted() {
    // One question of the browser for both, where both are wanted.
    const both = this.settings.get('cameraOn') && this.settings.get('microphoneOn') && !this.camera.track && !this.microphone.track;
    if (both && await this.#openBoth()) return;
    if (this.settings.get('microphoneOn') && !this.microphone.track) await this.#open('microphone');
    if (this.settings.get('cameraOn') && !this.camera.track) await this.#open('camera');
  }

  /** Opens what is wanted, but only where the browser needs not ask. */
  async openPermitted() {
    for (const kind of /** @type {DeviceKind[]} */ (['microphone', 'camera'])) {
      if (this.settings.get(kind === 'camera' ? 'cameraOn' : 'microphoneOn') && await isPermitted(kind)) await this.#open(kind);
    }
  }

  /** @param {DeviceKind} kind @param {string} id empty for the default */
  async choose(kind, id) {
    this.settings.set(kind === 'camera' ? 'cameraId' : 'microphoneId', id);
    if (kind === 'camera') this.facing = null;
    if (this[kind].track) await this.#open(kind);
    else this.changes.notify();
  }

  /** The other camera: front and rear on a phone, the next one elsewhere. */
  async flipCamera() {
    const { cameras } = this.devices;
    const settings = this.camera.track?.getSettings();
    if (settings?.facingMode) {
      this.facing = settings.facingMode === 'environment' ? 'user' : 'environment';
      this.settings.set('cameraId', '');
      await this.#open('camera');
    } else if (cameras.length > 1) {
      const current = cameras.findIndex(({ id }) => id === settings?.deviceId);
      await this.choose('camera', cameras[(current + 1) % cameras.length].id);
    }
  }

  /** Whether echo, noise and gain are taken care of by the browser; opens the microphone anew. @param {boolean} on */
  async setAudioProcessing(on) {
    this.settings.set('audioProcessing', on);
    if (this.microphone.track) await this.#open('microphone');
  }

  /** Closes both devices; what is wanted stays wanted. */
  closeAll() {
    this.#close('camera');
    this.#close('microphone');
  }

  async refreshDevices() {
    if (!this.isSecure) return;
    const all = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    /** @param {MediaDeviceKind} kind @param {string} word */
    const list = (kind, word) => all.filter((device) => device.kind === kind && device.deviceId !== '' && device.deviceId !== 'default' && device.deviceId !== 'communications')
      .map((device, index) => ({ id: device.deviceId, label: device.label || `${word} ${index + 1}` }));
    this.devices = { cameras: list('videoinput', 'Camera'), microphones: list('audioinput', 'Microphone'), speakers: list('audiooutput', 'Speaker') };
    this.changes.notify();
  }

  async #openBoth() {
    const requests = [++this.camera.request, ++this.microphone.request];
    if (!this.isSecure) return false;
    this.camera.opening = this.microphone.opening = true;
    this.changes.notify();
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: this.#constraints('camera'), audio: this.#constraints('microphone') });
    } catch (error) {
      this.camera.opening = this.microphone.opening = false;
      if (mediaProblem(error, true) !== 'denied' || !await isUndecided()) return false; // each alone says what is wrong with it
      // The question was waved away: it is not asked twice more.
      this.camera.problem = this.microphone.problem = 'denied';
      this.changes.notify();
      return true;
    }
    this.#take('camera', stream.getVideoTracks()[0], requests[0]);
    this.#take('microphone', stream.getAudioTracks()[0], requests[1]);
    await this.refreshDevices();
    return true;
  }

  /** @param {DeviceKind} kind */
  async #open(kind) {
    const device = this[kind];
    const request = ++device.request;
    // Many devices open once only: the old one goes before the new one comes.
    this.#release(kind);
    device.opening = true;
    device.problem = null;
    this.changes.notify();
    try {
      const track = await this.#request(kind);
      this.#take(kind, track, request);
    } catch (error) {
      if (request !== device.request) return;
      device.opening = false;
      device.problem = mediaProblem(error, this.isSecure);
      this.changes.notify();
    }
    await this.refreshDevices();
  }

  /** A chosen device that is gone gives way to the default. @param {DeviceKind} kind */
  async #request(kind) {
    if (!this.isSecure) throw new Error('insecure');
    /** @param {MediaTrackConstraints} constraints */
    const ask = async (constraints) => {
      const stream = await navigator.mediaDevices.getUserMedia(kind === 'camera' ? { video: constraints } : { audio: constraints });
      return stream.getTracks()[0];
    };
    try {
      return await ask(this.#constraints(kind));
    } catch (error) {
      if (mediaProblem(error, true) !== 'no_device') throw error;
      return ask(this.#constraints(kind, true));
    }
  }

  /** @param {DeviceKind} kind @param {boolean} [anyDevice] @returns {MediaTrackConstraints} */
  #constraints(kind, anyDevice = false) {
    const id = this.settings.get(kind === 'camera' ? 'cameraId' : 'microphoneId');
    const which = id && !anyDevice ? { deviceId: { exact: id } } : {};
    if (kind === 'camera') return { ...CAMERA_FORMAT, ...which, ...(this.facing && !anyDevice ? { facingMode: { ideal: this.facing } } : {}) };
    const processing = this.settings.get('audioProcessing');
    return { ...which, echoCancellation: processing, noiseSuppression: processing, autoGainControl: processing, channelCount: { ideal: 1 } };
  }

  /** @param {DeviceKind} kind @param {MediaStreamTrack} track @param {number} request */
  #take(kind, track, request) {
    const device = this[kind];
    if (request !== device.request) { track.stop(); return; }
    device.opening = false;
    device.problem = null;
    device.track = track;
    track.onended = () => this.#handleEnded(kind, track);
    this.changes.notify();
  }

  /** @param {DeviceKind} kind @param {MediaStreamTrack} track */
  async #handleEnded(kind, track) {
    const device = this[kind];
    if (device.track !== track) return;
    await this.#open(kind);
    // Another device took its place, or there is none: then it was unplugged, whatever the browser calls it.
    if (device.problem === 'no_device') device.problem = 'unplugged';
    this.changes.notify();
  }

  async #handleDeviceChange() {
    await this.refreshDevices();
    for (const kind of /** @type {DeviceKind[]} */ (['camera', 'microphone'])) {
      const wanted = this.settings.get(kind === 'camera' ? 'cameraOn' : 'microphoneOn');
      const { problem, track } = this[kind];
      if (wanted && !track && (problem === 'unplugged' || problem === 'no_device')) await this.#open(kind);
    }
  }

  /** @param {DeviceKind} kind */
  #close(kind) {
    this[kind].request += 1;
    this[kind].opening = false;
    this[kind].problem = null;
    this.#release(kind);
    this.changes.notify();
  }

  /** @param {DeviceKind} kind */
  #release(kind) {
    const { track } = this[kind];
    if (!track) return;
    track.onended = null;
    track.stop();
    this[kind].track = null;
  }
}

/** Whether the browser would open a device without asking. @param {DeviceKind} kind */
async function isPermitted(kind) { return await permission(kind) === 'granted'; }

/** Whether the browser would ask (again) for a camera or a microphone. */
async function isUndecided() { return await permission('camera') === 'prompt' || await permission('microphone') === 'prompt'; }

/** @param {DeviceKind} kind @returns {Promise<PermissionState|'unknown'>} */
async function permission(kind) {
  try {
    return (await navigator.permissions.query({ name: /** @type {PermissionName} */ (kind) })).state;
  } catch {
    return 'unknown';
  }
}
