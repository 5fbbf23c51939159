// @ts-check
/** At the door of a room that asks for its password. */

import { h } from './dom.js';

/** The longest password, as the server has it. */
export const PASSWORD_CHARACTERS_MAX = 128;

export class Door {
  /** @param {{room: string, title: string, text: string, onPassword: (password: string) => void, onLobby: () => void}} config */
  constructor(config) {
    this.password = h('input', { id: 'door-password', type: 'password', autocomplete: 'off', maxLength: PASSWORD_CHARACTERS_MAX * 2, 'aria-describedby': 'door-text' });
    const shown = h('input', { id: 'door-shown', type: 'checkbox', onchange: () => { this.password.type = shown.checked ? 'text' : 'password'; } });
    const join = (/** @type {Event} */ event) => {
      event.preventDefault();
      if (this.password.value === '') this.password.focus();
      else config.onPassword(this.password.value);
    };
    this.element = h('main', { class: 'ended' }, h('form', { class: 'ended-card door', noValidate: true, onsubmit: join },
      h('h1', {}, config.title),
      h('p', { id: 'door-text', role: 'alert' }, config.text),
      h('div', { class: 'field' }, h('label', { class: 'label', for: 'door-password' }, `Password of ${config.room}`), this.password),
      h('div', { class: 'check' }, shown, h('label', { for: 'door-shown' }, 'Show the password')),
      h('div', { class: 'ended-buttons' }, h('button', { class: 'button is-main', type: 'submit' }, 'Join'),
        h('button', { class: 'button', type: 'button', onclick: config.onLobby }, 'Back to the lobby'))));
  }

  focus() { this.password.focus(); }

  close() { this.element.remove(); }
}
