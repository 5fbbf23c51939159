// @ts-check
/** Sheets over the page: settings, and the details of a connection. */

import { playTestSound } from '../levels.js';
import { bitrateInWords } from '../words.js';
import { DevicePicker } from './devices.js';
import { h, icon, setText } from './dom.js';

/** @typedef {import('../media.js').LocalMedia} LocalMedia */
/** @typedef {import('../stats.js').PeerStats} PeerStats */
/** @typedef {import('../stats.js').VideoStats} VideoStats */
/** @typedef {import('../stats.js').AudioStats} AudioStats */

/** A dialog with a title and a close button; Escape closes it. @param {string} title @param {Node[]} children @param {() => void} [onClose] */
export function sheet(title, children, onClose) {
  const dialog = h('dialog', { class: 'sheet', 'aria-label': title, onclose: () => { dialog.remove(); onClose?.(); } },
    h('header', { class: 'sheet-header' }, h('h2', {}, title),
      h('button', { class: 'plain', type: 'button', 'aria-label': 'Close', title: 'Close', onclick: () => dialog.close() }, icon('x'))),
    ...children);
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** @param {string} label @param {Node} control */
function field(label, control) { return h('div', { class: 'field' }, h('span', { class: 'label', 'aria-hidden': 'true' }, label), control); }

/** @param {LocalMedia} media @param {(speakerId: string) => void} onSpeaker */
export function openSettings(media, onSpeaker) {
  const camera = new DevicePicker('camera', media, (id) => media.choose('camera', id));
  const microphone = new DevicePicker('microphone', media, (id) => media.choose('microphone', id));
  const speaker = new DevicePicker('speaker', media, (id) => { media.settings.set('speakerId', id); onSpeaker(id); });
  const processing = h('input', { type: 'checkbox', id: 'processing', checked: media.settings.get('audioProcessing'), onchange: () => media.setAudioProcessing(processing.checked) });
  const hidden = h('input', { type: 'checkbox', id: 'relay-only', checked: media.settings.get('relayOnly'), onchange: () => media.settings.set('relayOnly', hidden.checked) });
  const problem = h('p', { class: 'problem', role: 'status' });
  const test = h('button', { class: 'button', type: 'button', onclick: () => playTestSound(media.settings.get('speakerId')).catch(() => setText(problem, 'This speaker could not be used. Choose another.')) },
    icon('volume-2'), 'Test sound');
  const stop = media.changes.subscribe(() => { camera.update(); microphone.update(); speaker.update(); });
  media.refreshDevices();
  return sheet('Settings', [
    field('Camera', camera.element), field('Microphone', microphone.element),
    speaker.element.hidden ? h('span') : field('Speaker', speaker.element), test, problem,
    h('div', { class: 'check' }, processing, h('label', { for: 'processing' }, h('span', {}, 'Sound processing'),
      h('span', { class: 'hint' }, 'Takes echo and noise out of your microphone and evens its loudness. Turn it off for music.'))),
    h('div', { class: 'check' }, hidden, h('label', { for: 'relay-only' }, h('span', {}, 'Hide my address'),
      h('span', { class: 'hint' }, 'The others don’t see your IP address: calls go through the server’s relay, from the next one on.'))),
  ], stop);
}

/** @param {string} name @param {() => Promise<PeerStats|undefined>} look asked once a second while open */
export function openDetails(name, look) {
  const list = h('dl', { class: 'details' });
  const update = async () => {
    const stats = await look();
    if (stats) showRows(list, rows(stats));
    else showRows(list, [['Connection', 'not connected']]);
  };
  const timer = setInterval(update, 1_000);
  update();
  return sheet(`Details: ${name}`, [list], () => clearInterval(timer));
}

/** @param {PeerStats} stats @returns {[string, string][]} */
function rows({ inbound, outbound, rtt_ms, loss, path, transport }) {
  return [
    ['Picture received', videoInWords(inbound.video)],
    ['Picture sent', videoInWords(outbound.video)],
    ['Sound received', audioInWords(inbound.audio)],
    ['Sound sent', audioInWords(outbound.audio)],
    ['Delay there and back', rtt_ms === null ? 'not known yet' : `${rtt_ms} ms`],
    ['Loss', loss === null ? 'not known yet' : `${(loss * 100).toFixed(1)} %`],
    ['Path', path === null ? 'not known yet' : `${path}${transport ? ` (${transport})` : ''}`],
  ];
}

/** @param {VideoStats|null} video */
function videoInWords(video) {
  if (!video?.codec || video.width === 0) return 'none';
  return `${video.codec}, ${video.width}×${video.height}, ${Math.round(video.frames_per_second)} fps, ${bitrateInWords(video.bitrate_bps)}`;
}

/** @param {AudioStats|null} audio */
function audioInWords(audio) { return audio?.codec ? `${audio.codec}, ${bitrateInWords(audio.bitrate_bps)}` : 'none'; }

/** Rewrites only what changed. @param {HTMLDListElement} list @param {[string, string][]} all */
function showRows(list, all) {
  if (list.childElementCount !== all.length * 2) list.replaceChildren(...all.flatMap(() => [h('dt'), h('dd')]));
  all.forEach(([name, value], index) => {
    setText(list.children[index * 2], name);
    setText(list.children[index * 2 + 1], value);
  });
}
