// @ts-check
/** Device pickers, in the lobby and in the settings. */

import { canChooseSpeaker } from '../levels.js';
import { h, icon } from './dom.js';

/** @typedef {import('../media.js').LocalMedia} LocalMedia */
/** @typedef {import('../media.js').DeviceInfo} DeviceInfo */
/** @typedef {'camera'|'microphone'|'speaker'} PickerKind */

/** @type {Record<PickerKind, {label: string, standard: string, list: 'cameras'|'microphones'|'speakers', key: 'cameraId'|'microphoneId'|'speakerId'}>} */
const KINDS = {
  camera: { label: 'Camera', standard: 'Default camera', list: 'cameras', key: 'cameraId' },
  microphone: { label: 'Microphone', standard: 'Default microphone', list: 'microphones', key: 'microphoneId' },
  speaker: { label: 'Speaker', standard: 'Default speaker', list: 'speakers', key: 'speakerId' },
};

export class DevicePicker {
  #shown = '';

  /** @param {PickerKind} kind @param {LocalMedia} media @param {(id: string) => void} onChoose */
  constructor(kind, media, onChoose) {
    this.kind = KINDS[kind];
    this.media = media;
    this.select = h('select', { 'aria-label': this.kind.label, onchange: () => onChoose(this.select.value) });
    this.element = h('div', { class: 'picker' }, this.select, icon('chevron-down'));
    this.element.hidden = kind === 'speaker' && !canChooseSpeaker();
    this.update();
  }

  update() {
    const devices = this.media.devices[this.kind.list];
    const chosen = this.media.settings.get(this.kind.key);
    const state = JSON.stringify([devices, chosen]);
    if (state === this.#shown) return;
    this.#shown = state;
    const isHere = devices.some(({ id }) => id === chosen);
    this.select.replaceChildren(
      h('option', { value: '' }, this.kind.standard),
      ...devices.map(({ id, label }) => h('option', { value: id }, label)));
    this.select.value = isHere ? chosen : '';
  }
}
