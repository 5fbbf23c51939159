// @ts-check
/** What is shown when a call ended other than by leaving, or never began. */

import { h } from './dom.js';

export class Ended {
  /** @param {{why: string, title: string, onRejoin: () => void, onLobby: () => void}} config */
  constructor(config) {
    this.main = h('button', { class: 'button is-main', type: 'button', onclick: config.onRejoin }, 'Rejoin');
    this.element = h('main', { class: 'ended' }, h('section', { class: 'ended-card', role: 'alert' },
      h('h1', {}, config.title),
      h('p', {}, config.why),
      h('div', { class: 'ended-buttons' }, this.main,
        h('button', { class: 'button', type: 'button', onclick: config.onLobby }, 'Back to the lobby'))));
  }

  focus() { this.main.focus(); }

  close() { this.element.remove(); }
}
