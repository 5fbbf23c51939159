// @ts-check
/** The sheet of a room: who may come in, what its link carries, who is here. */

import { removalWords, standingWords } from '../words.js';
import { sheet } from './dialogs.js';
import { PASSWORD_CHARACTERS_MAX } from './door.js';
import { h, icon, setShown, setText } from './dom.js';

/** @typedef {import('../call.js').Call} Call */

export class RoomSheet {
  #shownPeople = '';

  /** @param {{call: Call, link: {withPassword: boolean}, onCopy: () => void, onPassword: (password: string|null) => boolean, onClose: () => void}} config */
  constructor(config) {
    this.config = config;
    const { call, link } = config;
    this.lock = h('input', { id: 'room-lock', type: 'checkbox', onchange: () => { if (!call.setLock(this.lock.checked)) this.update(); } });
    this.password = h('input', { id: 'room-password', type: 'text', autocomplete: 'off', spellcheck: false, autocapitalize: 'none', maxLength: PASSWORD_CHARACTERS_MAX * 2 });
    this.label = h('label', { class: 'label', for: 'room-password' });
    this.set = h('button', { class: 'button', type: 'submit' });
    this.take = h('button', { class: 'button', type: 'button', onclick: () => config.onPassword(null) }, 'Take password away');
    this.moderation = h('div', { class: 'room-part' },
      h('div', { class: 'check' }, this.lock, h('label', { for: 'room-lock' }, h('span', {}, 'Lock the room'),
        h('span', { class: 'hint' }, 'Nobody new can come in. Whoever is here and loses the connection can come back.'))),
      h('form', { class: 'room-part', noValidate: true, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); this.#setPassword(); } },
        h('div', { class: 'field' }, this.label, this.password), h('div', { class: 'room-row' }, this.set, this.take)));
    this.standing = h('div', { class: 'room-part muted', role: 'status' });
    const inLink = h('input', { id: 'room-link', type: 'checkbox', checked: link.withPassword, onchange: () => { link.withPassword = inLink.checked; } });
    this.inLink = h('div', { class: 'check' }, inLink, h('label', { for: 'room-link' }, h('span', {}, 'Copied links include the password'),
      h('span', { class: 'hint' }, 'Whoever gets such a link is not asked. It is in plain sight in the link.')));
    this.people = h('ul', { class: 'room-people' });
    this.dialog = sheet('Room', [this.moderation, this.standing, this.inLink,
      h('button', { class: 'button', type: 'button', onclick: config.onCopy }, icon('link'), 'Copy the room’s link'),
      h('h3', { class: 'label' }, 'People'), this.people], config.onClose);
    this.update();
  }

  /** Shows the room as it is now. */
  update() {
    const { call } = this.config;
    const { locked, has_password: hasPassword, may_moderate: mayModerate } = call.policy;
    setShown(this.moderation, mayModerate);
    setShown(this.standing, !mayModerate);
    if (this.lock.checked !== locked) this.lock.checked = locked;
    setText(this.label, hasPassword ? 'New password' : 'Password');
    this.password.placeholder = hasPassword ? 'The room has one' : 'None: the link is enough';
    setText(this.set, hasPassword ? 'Change password' : 'Set password');
    setShown(this.take, hasPassword);
    setShown(this.inLink, call.knownPassword !== null);
    const words = standingWords(call.policy);
    if (this.standing.textContent !== words.join('')) this.standing.replaceChildren(...words.map((text) => h('p', {}, text)));
    this.#showPeople(mayModerate);
  }

  close() { this.dialog.close(); }

  #setPassword() {
    if (this.password.value === '') { this.password.focus(); return; }
    if (this.config.onPassword(this.password.value)) this.password.value = '';
  }

  /** Rewritten only when someone came or went: the keyboard stays where it is. @param {boolean} mayModerate */
  #showPeople(mayModerate) {
    const peers = [...this.config.call.peers.values()];
    const shown = JSON.stringify([mayModerate, peers.map(({ id, name }) => [id, name])]);
    if (shown === this.#shownPeople) return;
    this.#shownPeople = shown;
    this.people.replaceChildren(h('li', {}, h('span', {}, 'You')), ...peers.map(({ id, name }) => h('li', {}, h('span', {}, name),
      mayModerate && h('button', { class: 'button', type: 'button', 'aria-label': `Remove ${name}`, onclick: () => this.#askToRemove(id, name) }, 'Remove'))));
  }

  /** @param {string} id @param {string} name */
  #askToRemove(id, name) {
    const { call } = this.config;
    const dialog = sheet(`Remove ${name}?`, [h('p', { class: 'muted' }, removalWords(call.policy)),
      h('div', { class: 'room-row' },
        h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, 'Keep'),
        h('button', { class: 'button is-danger', type: 'button', onclick: () => { call.remove(id); dialog.close(); } }, 'Remove'))]);
  }
}
