// @ts-check
/** The page: which view is shown, and the one call there may be. */

import { Call } from './call.js';
import { keepIcons } from './icons.js';
import { LocalMedia } from './media.js';
import { Standby } from './protocol.js';
import { linkTo, roomOfPath, webSocketUrl } from './rooms.js';
import { readFragment, RoomSecrets, withoutSecrets } from './secrets.js';
import { SettingsStore } from './settings.js';
import { CallView } from './ui/call_view.js';
import { Door } from './ui/door.js';
import { Ended } from './ui/ended.js';
import { Lobby } from './ui/lobby.js';
import { endedTitle, problemOnWire, REFUSALS } from './words.js';

/** @typedef {Lobby|CallView|Door|Ended} View */

class Page {
  /** @type {Call|null} */ call = null;
  /** @type {View|null} */ view = null;
  /** Opened while the lobby is shown. @type {Standby|null} */ standby = null;
  /** @type {string|null} */ fingerprint = null;
  settings = new SettingsStore();
  media = new LocalMedia(this.settings);
  secrets = new RoomSecrets();

  constructor() {
    const query = new URLSearchParams(location.search);
    this.name = query.get('name')?.trim().slice(0, 64) || this.settings.get('name');
    this.room = roomOfPath(location.pathname) ?? '';
    this.#takeSecrets();
    // Another link to the same room, opened in this tab.
    addEventListener('hashchange', () => this.#takeSecrets());
    this.media.changes.subscribe(() => this.#shareMedia());
    addEventListener('pagehide', () => this.#handlePageHide());
    addEventListener('pageshow', (event) => { if (event.persisted && this.call === null) this.showLobby(); });
    addEventListener('online', () => this.call?.handleNetworkChange());
    // A computer that slept, or a phone's tab that was put away, may have lost its socket unnoticed.
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.call?.handleNetworkChange(); });
    this.#askFingerprint();
    void keepIcons();
    this.showLobby();
  }

  /** Out of the address, which others see over one's shoulder and in the history, into the tab's memory. */
  #takeSecrets() {
    const room = roomOfPath(location.pathname);
    const hash = withoutSecrets(location.hash);
    if (room) this.secrets.keepFound(room, readFragment(location.hash));
    if (hash !== location.hash) history.replaceState(null, '', `${location.pathname}${location.search}${hash}`);
  }

  /** A server with a certificate of its own: the native client knows it by its fingerprint, so links carry it. */
  async #askFingerprint() {
    try {
      const { fingerprint } = await (await fetch('/version')).json();
      if (/^[0-9a-f]{64}$/.test(fingerprint)) this.fingerprint = fingerprint;
    } catch { /* links are then without it, which browsers need not */ }
  }

  showLobby() {
    document.title = 'Parlor';
    this.#closeStandby();
    this.standby = new Standby(webSocketUrl(location));
    const lobby = new Lobby({ media: this.media, room: this.room, name: this.name, onJoin: (room, name, hash) => {
      this.secrets.keepFound(room, readFragment(hash));
      this.join(room, name);
    } });
    this.#show(lobby, lobby.element);
    lobby.focus();
  }

  /** @param {string} room @param {string} name */
  join(room, name) {
    this.room = room;
    this.name = name;
    this.settings.set('name', name);
    this.settings.addRecent(room, Date.now());
    history.replaceState(null, '', new URL(linkTo(location, room)));
    const call = new Call({ url: webSocketUrl(location), room, name, secrets: this.secrets.get(room), relayOnly: this.settings.get('relayOnly'), standby: this.standby }, {
      onChange: () => this.#handleCallChange(call),
      onLine: (line) => { if (this.view instanceof CallView) this.view.addLine(line); },
      onNotice: (words) => { if (this.view instanceof CallView) this.view.say(words); },
    });
    this.call = call;
    this.standby = null;
    Object.assign(globalThis, { parlor: call });
    const view = new CallView({
      call, media: this.media, link: (password) => linkTo(location, room, this.fingerprint, password), onLeave: () => this.leave(),
      onPassword: (password) => this.secrets.keep(room, { password }),
    });
    this.#show(view, view.element);
    this.#shareMedia();
    call.join();
    this.media.openWanted();
  }

  /** By the user's wish: back to the lobby. */
  leave() {
    this.#endCall();
    this.showLobby();
  }

  #endCall() {
    const { call } = this;
    this.call = null;
    Object.assign(globalThis, { parlor: null });
    call?.leave();
    this.media.closeAll();
  }

  /** The browser closes the socket by itself only after a while: say so now, or a ghost would stay. */
  #handlePageHide() {
    if (this.call) this.#endCall();
    this.#closeStandby();
  }

  #closeStandby() {
    this.standby?.close();
    this.standby = null;
  }

  /** @param {Call} call */
  #handleCallChange(call) {
    if (call !== this.call) return;
    if (call.state !== 'ended') { if (this.view instanceof CallView) this.view.update(); return; }
    const ended = this.#afterCall(call);
    this.#endCall();
    document.title = 'Parlor';
    this.#show(ended, ended.element);
    ended.focus();
  }

  /** What is shown when a call is over or was never entered. @param {Call} call */
  #afterCall(call) {
    const { endedCode: code, room } = call;
    const onLobby = () => this.showLobby();
    const refusal = Object.hasOwn(REFUSALS, code ?? '') ? REFUSALS[code ?? ''] : null;
    // A refused password is not tried again: each try counts as a guess.
    if (code === 'password_wrong' || code === 'too_many_guesses') this.secrets.keep(room, { password: null });
    if (refusal && (code === 'password_required' || code === 'password_wrong')) {
      const onPassword = (/** @type {string} */ password) => { this.secrets.keep(room, { password }); this.join(room, this.name); };
      return new Door({ room, title: refusal.title, text: refusal.text, onPassword, onLobby });
    }
    return new Ended({
      title: refusal?.title ?? endedTitle(code, call.joinedAtMs !== null), why: refusal?.text ?? call.endedWhy ?? '', again: refusal?.again ?? true,
      onRejoin: () => this.join(this.room, this.name), onLobby,
    });
  }

  /** Hands the call what is to be sent, and why not. */
  #shareMedia() {
    const { call, media } = this;
    if (!call) return;
    const { camera, microphone } = media;
    const isMuted = !this.settings.get('microphoneOn');
    const microphoneState = isMuted ? 'muted' : microphone.track ? 'on' : 'off';
    call.setMedia('microphone', media.isMicrophoneLive ? microphone.track : null, { microphone: microphoneState, microphone_reason: problemOnWire(microphone.problem) });
    call.setMedia('camera', camera.track, { camera: camera.track ? 'on' : 'off', camera_reason: problemOnWire(camera.problem) });
  }

  /** @param {View} view @param {HTMLElement} element */
  #show(view, element) {
    this.view?.close();
    this.view = view;
    document.body.append(element);
  }
}

new Page();
