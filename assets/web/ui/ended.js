// @ts-check
/** What is shown when a call ended other than by leaving, or never began. */

import { h } from './dom.js';

export class Ended {
  /** @param {{why: string, title: string, again: boolean, onRejoin: () => void, onLobby: () => void}} config `again`: trying it again makes sense */
  constructor(config) {
    const lobby = h('button', { class: config.again ? 'button' : 'button is-main', type: 'button', onclick: config.onLobby }, 'Back to the lobby');
    this.main = config.again ? h('button', { class: 'button is-main', type: 'button', onclick: config.onRejoin }, 'Rejoin') : lobby;
    this.element = h('main', { class: 'ended' }, h('section', { class: 'ended-card', role: 'alert' },
      h('h1', {}, config.title),
      h('p', {}, config.why),
      h('div', { class: 'ended-buttons' }, this.main, this.main !== lobby && lobby)));
  }

  focus() { this.main.focus(); }

  close() { this.element.remove(); }
}
