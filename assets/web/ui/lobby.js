// @ts-check
/** The lobby: who you are, where you go, and what others will see and hear of you. */

import { LevelMeter, meterShare } from '../levels.js';
import { initialOf, makeRoomId, readName, readRoom, whenInWords } from '../rooms.js';
import { problemsInWords } from '../words.js';
import { DevicePicker } from './devices.js';
import { openSettings } from './dialogs.js';
import { h, icon, IconButton, setShown, setText } from './dom.js';

/** @typedef {import('../media.js').LocalMedia} LocalMedia */

const METER_MS = 60;

export class Lobby {
  /** @type {LevelMeter|null} */ #meter = null;
  /** @type {ReturnType<typeof setInterval>|undefined} */ #meterTimer;
  #loudest = 0;

  /**
   * @param {{media: LocalMedia, room: string, name: string, onJoin: (room: string, name: string, hash: string) => void}} config `hash` is the fragment of a pasted link
   */
  constructor(config) {
    this.config = config;
    const { media } = config;
    this.video = h('video', { class: 'tile-video', autoplay: true, playsInline: true, muted: true, 'aria-hidden': 'true' });
    this.video.addEventListener('loadeddata', () => this.#update());
    this.initial = h('span', { class: 'avatar avatar-0', 'aria-hidden': 'true' });
    this.off = h('p', { class: 'preview-words', role: 'status' });
    this.ask = h('button', { class: 'button', type: 'button', onclick: () => media.openWanted() }, 'Turn on now');
    this.pill = h('span', { class: 'pill tile-name' }, 'Your camera');
    this.preview = h('div', { class: 'preview tile is-self' }, this.video, h('div', { class: 'preview-off' }, this.initial, this.off, this.ask), this.pill);
    this.microphone = new IconButton({ icon: 'mic', label: 'Turn microphone off', onclick: () => media.setMicrophone(!this.#isOn('microphone')) });
    this.camera = new IconButton({ icon: 'video', label: 'Turn camera off', onclick: () => media.setCamera(!this.#isOn('camera')) });
    this.bar = h('div', { class: 'meter-bar' });
    this.meter = h('div', { class: 'meter', role: 'meter', 'aria-label': 'Microphone level', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': 0 }, this.bar);
    this.meterWords = h('span', { class: 'meter-words', role: 'status' });
    this.pickers = [
      new DevicePicker('camera', media, (id) => media.choose('camera', id)),
      new DevicePicker('microphone', media, (id) => media.choose('microphone', id)),
    ];
    this.problems = h('div', { class: 'problems', role: 'status' });
    this.name = h('input', { id: 'name', type: 'text', value: config.name, autocomplete: 'name', maxLength: 128, 'aria-describedby': 'name-problem' });
    this.nameProblem = h('p', { class: 'field-problem', id: 'name-problem', role: 'alert' });
    this.room = h('input', { id: 'room', type: 'text', value: config.room, autocomplete: 'off', spellcheck: false, autocapitalize: 'none', placeholder: 'quiet-otter', 'aria-describedby': 'room-problem' });
    this.roomProblem = h('p', { class: 'field-problem', id: 'room-problem', role: 'alert' });
    this.element = h('main', { class: 'lobby' },
      h('header', { class: 'lobby-header' }, h('span', { class: 'brand' }, 'Parlor'),
        new IconButton({ icon: 'settings', label: 'Settings', onclick: () => openSettings(media, () => {}) }).element),
      h('div', { class: 'lobby-columns' },
        h('section', { class: 'lobby-self', 'aria-label': 'Camera and microphone' }, this.preview,
          h('div', { class: 'lobby-devices' }, this.microphone.element, this.camera.element, this.meter, this.meterWords),
          h('div', { class: 'lobby-pickers' }, ...this.pickers.map(({ element }) => element)), this.problems),
        this.#form()));
    this.stop = media.changes.subscribe(() => this.#update());
    this.#update();
    media.refreshDevices();
    media.openPermitted();
  }

  #form() {
    const recent = this.config.media.settings.get('recent');
    return h('section', { class: 'lobby-form' },
      h('h1', {}, 'Who’s in?'),
      h('form', { noValidate: true, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); this.#join(); } },
        h('div', { class: 'field' }, h('label', { class: 'label', for: 'name' }, 'Your name'), this.name, this.nameProblem),
        h('div', { class: 'field' }, h('label', { class: 'label', for: 'room' }, 'Room name or link'), this.room, this.roomProblem),
        h('div', { class: 'lobby-buttons' },
          h('button', { class: 'button is-main', type: 'submit' }, 'Join'),
          h('button', { class: 'button', type: 'button', onclick: () => this.#newCall() }, 'New call'))),
      recent.length > 0 && h('h2', { class: 'label' }, 'Recent'),
      recent.length > 0 && h('ul', { class: 'recent' }, ...recent.map(({ room, atMs }) => h('li', {},
        h('button', { class: 'recent-room', type: 'button', onclick: () => { this.room.value = room; this.room.focus(); } },
          h('span', {}, room), h('span', { class: 'muted' }, whenInWords(atMs, Date.now())))))));
  }

  focus() { (this.name.value === '' ? this.name : this.room).focus(); }

  close() {
    this.stop();
    this.#setMeter(null);
    this.video.srcObject = null;
    this.element.remove();
  }

  #newCall() {
    this.room.value = makeRoomId();
    this.#join();
  }

  #join() {
    if (this.room.value.trim() === '') { this.#newCall(); return; }
    const name = readName(this.name.value);
    const room = readRoom(this.room.value, location.host);
    this.#mark(this.room, this.roomProblem, 'problem' in room ? room.problem : null);
    this.#mark(this.name, this.nameProblem, 'problem' in name ? name.problem : null);
    if ('problem' in name || 'problem' in room) return;
    if ('elsewhere' in room) { location.assign(room.elsewhere); return; }
    this.config.onJoin(room.room, name.name, room.hash ?? '');
  }

  /** @param {HTMLInputElement} input @param {HTMLElement} words @param {string|null} problem */
  #mark(input, words, problem) {
    setText(words, problem ?? '');
    input.setAttribute('aria-invalid', String(problem !== null));
    if (problem !== null) input.focus();
  }

  /** @param {'camera'|'microphone'} kind */
  #isOn(kind) {
    const { media } = this.config;
    const wanted = media.settings.get(kind === 'camera' ? 'cameraOn' : 'microphoneOn');
    return wanted && (media[kind].problem === null);
  }

  #update() {
    const { media } = this.config;
    this.#showPicture();
    const [microphoneOn, cameraOn] = [this.#isOn('microphone'), this.#isOn('camera')];
    this.microphone.update({ icon: microphoneOn ? 'mic' : 'mic-off', label: `Turn microphone ${microphoneOn ? 'off' : 'on'}`, isOff: !microphoneOn });
    this.camera.update({ icon: cameraOn ? 'video' : 'video-off', label: `Turn camera ${cameraOn ? 'off' : 'on'}`, isOff: !cameraOn });
    this.#setMeter(microphoneOn ? media.microphone.track : null);
    if (!media.microphone.track || !microphoneOn) setText(this.meterWords, this.#microphoneWords(microphoneOn));
    for (const picker of this.pickers) picker.update();
    const problems = problemsInWords(media);
    if (problems.join('\n') !== this.problems.dataset.shown) {
      this.problems.dataset.shown = problems.join('\n');
      this.problems.replaceChildren(...problems.map((words) => h('p', { class: 'problem' }, icon('triangle-alert'), h('span', {}, words))));
    }
  }

  #showPicture() {
    const { camera, microphone, settings } = this.config.media;
    const isTrackShown = this.video.srcObject instanceof MediaStream && this.video.srcObject.getVideoTracks()[0] === camera.track;
    if (!camera.track) this.video.srcObject = null;
    else if (!isTrackShown) this.video.srcObject = new MediaStream([camera.track]);
    this.preview.classList.toggle('has-picture', camera.track !== null && this.video.videoWidth > 0);
    setShown(this.pill, camera.track !== null);
    setText(this.initial, initialOf(this.name.value || this.config.name || '?'));
    const waits = (settings.get('cameraOn') && !camera.track && !camera.problem) || (settings.get('microphoneOn') && !microphone.track && !microphone.problem);
    const isOpening = camera.opening || microphone.opening;
    setShown(this.ask, waits && !isOpening);
    setText(this.off, isOpening ? 'Your browser asks whether it may use them…' : this.#cameraWords());
  }

  #cameraWords() {
    const { camera, settings } = this.config.media;
    if (!settings.get('cameraOn')) return 'Your camera is off';
    return camera.problem ? 'No picture of you' : 'Your camera turns on when you join';
  }

  /** @param {boolean} isOn */
  #microphoneWords(isOn) {
    const { microphone } = this.config.media;
    if (microphone.problem) return 'No microphone';
    return isOn ? 'On when you join' : 'Microphone off';
  }

  /** @param {MediaStreamTrack|null} track */
  #setMeter(track) {
    if (this.#meter?.track === track) return;
    clearInterval(this.#meterTimer);
    this.#meter?.close();
    this.#meter = null;
    this.#showLevel(0);
    if (!track) return;
    this.#loudest = 0;
    this.#meter = new LevelMeter(track);
    setText(this.meterWords, 'Say something');
    this.#meterTimer = setInterval(() => this.#showLevel(meterShare(this.#meter?.read() ?? -90)), METER_MS);
  }

  /** @param {number} share */
  #showLevel(share) {
    this.bar.style.transform = `scaleX(${share.toFixed(3)})`;
    this.meter.setAttribute('aria-valuenow', String(Math.round(share * 100)));
    this.#loudest = Math.max(this.#loudest, share);
    if (this.#meter && this.#loudest > 0.2) setText(this.meterWords, 'Microphone works');
  }
}
