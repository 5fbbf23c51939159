// @ts-check
/** The chat panel: lines, system notes and the field to write in. */

import { characterCount, CHAT_CHARACTERS_MAX } from '../messages.js';
import { deliveryInWords } from '../words.js';
import { h, icon, setShown, setText } from './dom.js';
import { linkify } from './linkify.js';

/** @typedef {import('../call.js').Line} Line */

/** From here on the field counts down. */
const COUNT_FROM = CHAT_CHARACTERS_MAX - 500;
/** Lines kept on the page. */
const LINES_MAX = 500;

export class ChatPanel {
  /** @param {{onSend: (text: string) => boolean, onClose: () => void}} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.list = h('div', { class: 'chat-lines', role: 'log', 'aria-label': 'Messages', tabIndex: 0 });
    this.empty = h('p', { class: 'chat-empty' }, 'Nothing written yet. Everyone in the call can read what you write here.');
    this.list.append(this.empty);
    this.field = h('textarea', {
      class: 'chat-field', rows: 1, placeholder: 'Write to everyone', 'aria-label': 'Write to everyone',
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#handleKey(event), oninput: () => this.#handleInput(),
    });
    this.count = h('span', { class: 'chat-count', role: 'status', hidden: true });
    this.send = h('button', { class: 'plain', type: 'submit', 'aria-label': 'Send', title: 'Send' }, icon('send'));
    this.element = h('aside', { class: 'chat', id: 'chat', 'aria-label': 'Chat', hidden: true },
      h('header', { class: 'chat-header' }, h('h2', {}, 'Chat'),
        h('button', { class: 'plain', type: 'button', 'aria-label': 'Close chat', title: 'Close chat', onclick: handlers.onClose }, icon('x'))),
      this.list,
      h('form', { class: 'chat-form', onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); this.#submit(); } },
        this.field, this.count, this.send));
  }

  get isOpen() { return !this.element.hidden; }

  /** @param {boolean} open */
  setOpen(open) {
    setShown(this.element, open);
    if (!open) return;
    this.field.focus();
    this.#scrollToEnd();
  }

  /** @param {Line} line */
  add(line) {
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 48;
    this.empty.remove();
    this.list.append(line.kind === 'note' ? h('p', { class: 'chat-note' }, line.text) : chatLine(line));
    while (this.list.childElementCount > LINES_MAX) this.list.firstElementChild?.remove();
    if (atEnd || (line.kind === 'chat' && line.mine)) this.#scrollToEnd();
  }

  #scrollToEnd() { this.list.scrollTop = this.list.scrollHeight; }

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #handleInput() {
    this.field.style.height = 'auto';
    this.field.style.height = `${Math.min(this.field.scrollHeight, 120)}px`;
    const left = CHAT_CHARACTERS_MAX - characterCount(this.field.value);
    setShown(this.count, left <= CHAT_CHARACTERS_MAX - COUNT_FROM);
    setText(this.count, left < 0 ? `${-left} characters too many` : `${left} left`);
    this.count.classList.toggle('is-over', left < 0);
  }

  #submit() {
    if (!this.handlers.onSend(this.field.value)) return;
    this.field.value = '';
    this.#handleInput();
  }
}

/** @param {Extract<Line, {kind: 'chat'}>} line */
function chatLine(line) {
  const undelivered = line.mine ? deliveryInWords(line.undelivered, line.heard) : null;
  return h('article', { class: 'chat-line' },
    h('p', { class: 'chat-who' }, h('strong', {}, line.mine ? 'You' : line.name), ' ',
      h('time', { dateTime: new Date(line.atMs).toISOString() }, clock(line.atMs))),
    h('p', { class: 'chat-text' }, ...linkify(line.text).map(({ text, href }) => (href
      ? h('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, text) : text))),
    undelivered && h('p', { class: 'chat-undelivered' }, undelivered));
}

/** @param {number} ms */
function clock(ms) {
  return new Date(ms).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
}
