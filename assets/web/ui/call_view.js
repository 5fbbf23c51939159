// @ts-check
/** The call: tiles, the row of controls below, the chat beside. Shows what the call's state is; decides nothing. */

import { LevelMeter, SPEAKING_DBFS } from '../levels.js';
import { aloneInWords, cameraMark, connectionInWords, durationInWords, microphoneMark, pictureInWords, problemsInWords, roomInWords, signalingInWords } from '../words.js';
import { ChatPanel } from './chat.js';
import { openDetails, openSettings } from './dialogs.js';
import { h, icon, IconButton, setShown, setText } from './dom.js';
import { layoutGrid } from './grid.js';
import { RoomSheet } from './room.js';
import { Tile, toggleFullscreen } from './tile.js';

/** @typedef {import('../call.js').Call} Call */
/** @typedef {import('../media.js').LocalMedia} LocalMedia */

const GAP = 12;
const LEVEL_MS = 60;
/** So long must someone speak into a muted microphone before the hint comes. */
const HINT_AFTER_MS = 480;
/** The hint does not come again before. */
const HINT_AGAIN_MS = 12_000;
const NOTICE_FOR_MS = 6_000;
/** Below this width the self view is a tile among the others. */
const NARROW = matchMedia('(max-width: 639px)');

export class CallView {
  /** @type {Map<string, Tile>} */ #tiles = new Map();
  /** @type {LevelMeter|null} the microphone, muted or not */ #ownMeter = null;
  /** @type {MediaStream|null} */ #ownPicture = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */ #noticeTimer;
  #unread = 0;
  #deafened = false;
  #mutedSpeechMs = 0;
  #hintUntil = 0;
  #shownProblems = '';
  /** @type {RoomSheet|null} */ #room = null;
  /** Whether copied links carry the password; off by itself. */ #link = { withPassword: false };
  /** @type {(() => void)[]} */ #stops = [];

  /**
   * @param {{call: Call, media: LocalMedia, link: (password: string|null) => string, onLeave: () => void, onPassword: (password: string|null) => void}} config
   *   `link` is what others open, `onPassword` hears of the one that was set
   */
  constructor(config) {
    this.config = config;
    const { call, media } = config;
    this.flip = new IconButton({ icon: 'switch-camera', label: 'Switch camera', class: 'is-small', onclick: () => media.flipCamera() });
    this.self = new Tile({ id: 'self', isSelf: true, actions: [this.flip.element] });
    this.chat = new ChatPanel({ onSend: (text) => call.sendChat(text), onClose: () => this.setChatOpen(false) });
    this.timer = h('span', { class: 'call-timer', role: 'timer', 'aria-label': 'Length of the call' }, '0:00');
    this.count = h('span');
    this.lock = h('span', { class: 'call-lock', hidden: true }, icon('lock'));
    this.people = h('button', { class: 'button call-people', type: 'button', onclick: () => this.openRoom() }, icon('users'), this.count, this.lock);
    this.roomName = h('h1', { class: 'call-room' }, call.room);
    this.banner = h('p', { class: 'banner', role: 'status', hidden: true });
    this.unblock = h('button', { class: 'banner button', type: 'button', hidden: true, onclick: () => this.#unblockSound() }, icon('volume-2'), 'Hear the others');
    this.notice = h('p', { class: 'notice', role: 'status', hidden: true });
    this.grid = h('section', { class: 'grid', 'aria-label': 'People' });
    this.aloneWords = h('h2', {}, 'Joining…');
    this.aloneLink = this.#linkCard();
    this.alone = h('section', { class: 'alone', 'aria-label': 'Waiting' }, this.aloneWords, this.aloneLink,
      h('button', { class: 'button', type: 'button', onclick: config.onLeave }, 'Cancel'));
    this.badge = h('span', { class: 'badge', hidden: true });
    this.buttons = this.#buttons();
    this.selfSlot = h('div', { class: 'self-slot' });
    this.element = h('main', { class: 'call' },
      h('div', { class: 'call-main' },
        h('header', { class: 'call-header' }, this.roomName, this.timer, this.people, h('span', { class: 'grow' }),
          h('button', { class: 'button copy', type: 'button', 'aria-label': 'Copy link', onclick: () => this.copyLink() }, icon('link'), h('span', { class: 'copy-word' }, 'Copy link')),
          new IconButton({ icon: 'settings', label: 'Settings', class: 'is-medium', onclick: () => openSettings(media, (id) => this.#setSpeaker(id)) }).element),
        this.banner, this.unblock,
        h('div', { class: 'stage' }, this.alone, this.grid),
        this.notice,
        h('footer', { class: 'controls' }, h('span', { class: 'controls-side' }),
          h('div', { class: 'toolbar', role: 'toolbar', 'aria-label': 'Call controls' },
            this.buttons.microphone.element, this.buttons.camera.element, this.buttons.deafen.element,
            h('span', { class: 'badged' }, this.buttons.chat.element, this.badge), this.buttons.leave.element),
          h('span', { class: 'controls-side' }, this.selfSlot))),
      this.chat.element);
    this.#start();
  }

  #buttons() {
    const { media } = this.config;
    return {
      microphone: new IconButton({ icon: 'mic', label: 'Mute microphone', key: 'M', onclick: () => this.toggleMicrophone() }),
      camera: new IconButton({ icon: 'video', label: 'Turn camera off', key: 'V', onclick: () => media.setCamera(!media.camera.track && !media.camera.opening) }),
      deafen: new IconButton({ icon: 'headphones', label: 'Deafen', key: 'D', onclick: () => this.toggleDeafen() }),
      chat: new IconButton({ icon: 'message-square', label: 'Open chat', key: 'C', onclick: () => this.setChatOpen(!this.chat.isOpen) }),
      leave: new IconButton({ icon: 'phone-off', label: 'Leave', class: 'is-leave', onclick: this.config.onLeave }),
    };
  }

  #linkCard() {
    return h('div', { class: 'alone-link' }, h('p', { class: 'muted' }, 'Send them this link:'),
      h('div', { class: 'alone-row' }, h('code', {}, this.config.link(null)),
        h('button', { class: 'button is-main', type: 'button', onclick: () => this.copyLink() }, icon('copy'), 'Copy')));
  }

  #start() {
    const observer = new ResizeObserver(() => this.#layout());
    observer.observe(this.grid);
    const onKey = (/** @type {KeyboardEvent} */ event) => this.#handleKey(event);
    const onNarrow = () => this.#placeSelf();
    document.addEventListener('keydown', onKey);
    NARROW.addEventListener('change', onNarrow);
    const timers = [setInterval(() => this.#readLevels(), LEVEL_MS), setInterval(() => this.#showTime(), 1_000)];
    this.#stops = [
      () => observer.disconnect(), () => document.removeEventListener('keydown', onKey), () => NARROW.removeEventListener('change', onNarrow),
      ...timers.map((timer) => () => clearInterval(timer)), this.config.media.changes.subscribe(() => this.update()),
    ];
    this.config.media.refreshDevices();
    this.update();
  }

  close() {
    for (const stop of this.#stops) stop();
    // With the call go the sheets over it.
    for (const dialog of document.querySelectorAll('dialog')) dialog.close();
    clearTimeout(this.#noticeTimer);
    for (const tile of [...this.#tiles.values(), this.self]) tile.close();
    this.#ownMeter?.close();
    this.element.remove();
  }

  /** Shows the call as it is now. */
  update() {
    this.#updatePeers();
    this.#updateSelf();
    this.#updateHeader();
    this.#updateToolbar();
    this.#placeSelf();
  }

  /** @param {import('../call.js').Line} line */
  addLine(line) {
    this.chat.add(line);
    if (line.kind === 'chat' && !line.mine && !this.chat.isOpen) this.#setUnread(this.#unread + 1);
  }

  /** Says something in passing, between the tiles and the controls. @param {string} words */
  say(words) {
    setText(this.notice, words);
    setShown(this.notice, true);
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => setShown(this.notice, false), NOTICE_FOR_MS);
  }

  toggleMicrophone() {
    const { media } = this.config;
    media.setMicrophone(!media.isMicrophoneLive);
    this.#hintUntil = 0;
  }

  toggleDeafen() {
    this.#deafened = !this.#deafened;
    for (const tile of this.#tiles.values()) tile.setDeafened(this.#deafened);
    this.#updateToolbar();
  }

  /** @param {boolean} open */
  setChatOpen(open) {
    this.chat.setOpen(open);
    this.element.classList.toggle('has-chat', open);
    if (open) this.#setUnread(0);
    else this.buttons.chat.element.focus();
    this.#updateToolbar();
  }

  /** Who may come in, and who is here. */
  openRoom() {
    if (this.config.call.state !== 'joined') return;
    const { call } = this.config;
    this.#room = new RoomSheet({
      call, link: this.#link, onCopy: () => this.copyLink(), onClose: () => { this.#room = null; },
      onPassword: (password) => {
        const asked = call.setPassword(password);
        if (asked) this.config.onPassword(password);
        return asked;
      },
    });
  }

  async copyLink() {
    const password = this.#link.withPassword ? this.config.call.knownPassword : null;
    const link = this.config.link(password);
    try {
      await navigator.clipboard.writeText(link);
      this.say(password === null ? 'Link copied' : 'Link with the password copied');
    } catch {
      this.say(`Copy this link: ${link}`);
    }
  }

  #updatePeers() {
    const { peers } = this.config.call;
    for (const [id, tile] of this.#tiles) {
      if (!peers.has(id)) { tile.close(); this.#tiles.delete(id); }
    }
    for (const peer of peers.values()) {
      const tile = this.#tiles.get(peer.id) ?? this.#addTile(peer.id, () => peer.name);
      tile.update({
        name: peer.name,
        picture: peer.streams.get('camera') ?? null,
        sound: peer.streams.get('microphone') ?? null,
        microphoneMark: microphoneMark(peer.mediaState),
        cameraMark: cameraMark(peer.mediaState, peer.videoSuspended, peer.hasCommonVideoCodec),
        state: connectionInWords({ name: peer.name, state: peer.connection?.state ?? 'none', everConnected: peer.everConnected, restarts: peer.restarts, presence: peer.presence }) ?? pictureInWords(peer.videoReduced),
      });
    }
  }

  /** @param {string} id @param {() => string} name */
  #addTile(id, name) {
    const tile = new Tile({
      id, isSelf: false,
      onDetails: () => openDetails(name(), async () => (await this.config.call.stats())[id]),
      onBlocked: () => { setShown(this.unblock, true); },
    });
    tile.setDeafened(this.#deafened);
    tile.setSpeaker(this.config.media.settings.get('speakerId')).catch(() => this.say('Your speaker is gone; the default one is used.'));
    this.#tiles.set(id, tile);
    this.grid.append(tile.element);
    return tile;
  }

  #updateSelf() {
    const { call, media } = this.config;
    const { track } = media.camera;
    if (this.#ownPicture?.getVideoTracks()[0] !== track) this.#ownPicture = track ? new MediaStream([track]) : null;
    this.self.element.classList.toggle('is-mirrored', track?.getSettings().facingMode !== 'environment');
    this.self.update({
      name: call.name, picture: this.#ownPicture, sound: null,
      microphoneMark: microphoneMark(call.mediaState), cameraMark: cameraMark(call.mediaState, null, true), state: null,
    });
    setShown(this.flip.element, track !== null && media.devices.cameras.length > 1);
    const microphone = media.microphone.track;
    if (this.#ownMeter?.track !== (microphone ?? undefined)) {
      this.#ownMeter?.close();
      this.#ownMeter = microphone ? new LevelMeter(microphone) : null;
    }
    this.#sayProblems();
  }

  /** A device that fails is told once. */
  #sayProblems() {
    const problems = problemsInWords(this.config.media).join(' ');
    if (problems !== this.#shownProblems && problems !== '') this.say(problems);
    this.#shownProblems = problems;
  }

  #updateHeader() {
    const { call } = this.config;
    setText(this.roomName, call.room);
    document.title = `${this.#unread > 0 ? `(${this.#unread}) ` : ''}${call.room} · Parlor`;
    const count = call.peers.size + 1;
    setText(this.count, String(count));
    const words = roomInWords(count, call.policy.locked);
    this.people.setAttribute('aria-label', words);
    this.people.title = words;
    setShown(this.lock, call.policy.locked);
    this.#room?.update();
    const isJoined = call.state === 'joined';
    const problem = signalingInWords(call.signaling.problem, call.peers.size);
    setShown(this.banner, problem !== null);
    if (problem) setText(this.banner, problem);
    setShown(this.alone, call.peers.size === 0);
    setShown(this.grid, call.peers.size > 0 || NARROW.matches);
    setText(this.aloneWords, aloneInWords(isJoined, problem !== null));
    // Without the server the link leads nowhere.
    setShown(this.aloneLink, isJoined && problem === null);
  }

  #updateToolbar() {
    const { media } = this.config;
    const { microphone, camera, deafen, chat } = this.buttons;
    const live = media.isMicrophoneLive || (media.microphone.opening && media.settings.get('microphoneOn'));
    microphone.update(live ? { icon: 'mic', label: 'Mute microphone' } : { icon: 'mic-off', label: 'Unmute microphone', isOff: true });
    const picture = media.camera.track !== null || media.camera.opening;
    camera.update(picture ? { icon: 'video', label: 'Turn camera off' } : { icon: 'video-off', label: 'Turn camera on', isOff: true });
    deafen.update(this.#deafened ? { icon: 'headphone-off', label: 'Undeafen', isOff: true } : { icon: 'headphones', label: 'Deafen' });
    const unread = this.#unread > 0 ? `, ${this.#unread} unread` : '';
    chat.update({ icon: 'message-square', label: this.chat.isOpen ? 'Close chat' : `Open chat${unread}` });
    chat.element.setAttribute('aria-expanded', String(this.chat.isOpen));
    chat.element.setAttribute('aria-controls', 'chat');
  }

  /** @param {number} unread */
  #setUnread(unread) {
    this.#unread = unread;
    setShown(this.badge, unread > 0);
    setText(this.badge, unread > 99 ? '99+' : String(unread));
    this.#updateHeader();
    this.#updateToolbar();
  }

  /** On a phone the self view is a tile of the grid, elsewhere it sits beside the controls. */
  #placeSelf() {
    const home = NARROW.matches ? this.grid : this.selfSlot;
    if (this.self.element.parentElement !== home || (home === this.grid && home.lastElementChild !== this.self.element)) home.append(this.self.element);
    this.#layout();
  }

  #layout() {
    const elements = /** @type {HTMLElement[]} */ ([...this.grid.children]);
    const boxes = layoutGrid(elements.length, this.grid.clientWidth, this.grid.clientHeight, GAP);
    boxes.forEach(({ left, top, width, height }, index) => {
      const { style } = elements[index];
      style.left = `${left}px`;
      style.top = `${top}px`;
      style.width = `${width}px`;
      style.height = `${height}px`;
    });
    if (this.self.element.parentElement === this.selfSlot) this.self.element.removeAttribute('style');
  }

  #readLevels() {
    for (const tile of this.#tiles.values()) tile.readLevel();
    const isLoud = this.#ownMeter !== null && this.#ownMeter.read() > SPEAKING_DBFS;
    const isLive = this.config.media.isMicrophoneLive;
    this.self.element.classList.toggle('is-speaking', isLoud && isLive);
    // Speech has gaps: silence takes back a third of what sound adds.
    this.#mutedSpeechMs = isLive ? 0 : Math.max(0, this.#mutedSpeechMs + (isLoud ? LEVEL_MS : -LEVEL_MS / 3));
    const now = performance.now();
    if (this.#mutedSpeechMs >= HINT_AFTER_MS && now > this.#hintUntil) {
      this.#hintUntil = now + HINT_AGAIN_MS;
      this.say('You are muted. Press M to speak.');
    }
  }

  #showTime() {
    const { joinedAtMs } = this.config.call;
    if (joinedAtMs !== null) setText(this.timer, durationInWords((Date.now() - joinedAtMs) / 1_000));
  }

  #unblockSound() {
    setShown(this.unblock, false);
    for (const tile of this.#tiles.values()) tile.play();
  }

  /** @param {string} id */
  #setSpeaker(id) {
    for (const tile of this.#tiles.values()) tile.setSpeaker(id).catch(() => this.say('This speaker could not be used. Choose another.'));
  }

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector('dialog[open]')) return;
    const isTyping = event.target instanceof HTMLElement && event.target.matches('input, textarea, select');
    if (event.key === 'Escape') { if (this.chat.isOpen) this.setChatOpen(false); return; }
    if (isTyping) return;
    const action = this.#keys[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** @type {Record<string, () => void>} */
  #keys = {
    m: () => this.toggleMicrophone(),
    v: () => this.buttons.camera.element.click(),
    d: () => this.toggleDeafen(),
    c: () => this.setChatOpen(!this.chat.isOpen),
    f: () => toggleFullscreen(this.#focusedTile() ?? document.documentElement),
  };

  #focusedTile() {
    const tile = document.activeElement?.closest('.tile');
    return tile instanceof HTMLElement ? tile : null;
  }
}
