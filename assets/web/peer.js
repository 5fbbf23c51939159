// @ts-check
/**
 * One other person in the room: who they are, whether the server and their media are there, and the one transport
 * to them at a time. Losing signaling, losing media and losing both are three different states; only the last one,
 * kept up, drops a person.
 */

import { Connection } from './connection.js';
import { readChat, readControl } from './messages.js';
import { Narrow, pathOf } from './narrow.js';
import { Silence } from './silence.js';

/** @typedef {import('./protocol.js').Signal} Signal */
/** @typedef {import('./protocol.js').PeerInfo} PeerInfo */
/** @typedef {import('./connection.js').ChannelLabel} ChannelLabel */
/** @typedef {import('./connection.js').LocalTracks} LocalTracks */
/** @typedef {import('./messages.js').MediaState} MediaState */
/** @typedef {import('./messages.js').ChatMessage} ChatMessage */
/** @typedef {import('./messages.js').ControlMessage} ControlMessage */
/**
 * What a peer needs of its call.
 * @typedef {object} PeerContext
 * @property {string} selfId
 * @property {() => RTCIceServer[]} iceServers
 * @property {boolean} relayOnly
 * @property {() => LocalTracks} tracks
 * @property {() => MediaState} mediaState
 * @property {RTCCertificate|undefined} certificate
 * @property {(to: string, connection: string, signal: Signal) => boolean} signal false when it could not be sent
 * @property {() => boolean} isSignalingUp
 * @property {() => boolean} isHoldingSignals the server drops signals for now, so none is sent
 * @property {() => void} onChange
 * @property {(peer: Peer, message: ChatMessage) => void} onChat
 * @property {(peer: Peer) => void} onBye
 * @property {() => number} now milliseconds
 * @property {() => number} random in [0, 1)
 */
/** `present` in the room, `away` with its socket lost, `absent` from the roster altogether. @typedef {'present'|'away'|'absent'} Presence */

/** Dropped when signaling and media have both been dead for this long. */
export const BOTH_DEAD_MS = 15_000;
/** A newcomer that gets no offer by then makes one itself. */
const OFFER_AWAITED_MS = 12_000;
/** A transport that is still connecting by then gets new ICE credentials. */
const CONNECTING_MS = 20_000;
/** ICE restarts: the first at once, then 2, 4, 8, 15 s apart with jitter. */
const RESTART_BASE_MS = 2_000;
const RESTART_CAP_MS = 15_000;
/** After that many restarts in vain the transport is made anew. */
const RESTARTS_BEFORE_ANEW = 4;
/** Signals kept while they cannot be sent; the oldest go first. */
const HELD_SIGNALS_MAX = 256;
/** Connection ids, and signals of each, that wait for their offer. */
const EARLY_CONNECTIONS_MAX = 4;
const EARLY_SIGNALS_MAX = 64;
/** How often a peer may replace the transport within `REPLACEMENT_WINDOW_MS`; later offers wait for their repetition. */
export const REPLACEMENTS_MAX = 10;
/** A transport costs sockets and a handshake; a peer that starts anew more often is broken. */
export const REPLACEMENT_WINDOW_MS = 10_000;
/** Chat ids remembered to drop repetitions. */
const CHAT_IDS_MAX = 512;

/** @param {number} attempt counted from 0 @param {number} random in [0, 1) */
export function restartDelayMs(attempt, random) {
  return (0.5 + random / 2) * Math.min(RESTART_CAP_MS, RESTART_BASE_MS * 2 ** Math.min(attempt, 8));
}

/** A fresh connection id: 16 of a–z 0–9. */
function makeConnectionId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => (byte % 36).toString(36)).join('');
}

export class Peer {
  /** @type {Connection|null} */ connection = null;
  /** @type {Presence} */ presence = 'present';
  /** @type {MediaState|null} */ mediaState = null;
  /** @type {string|null} why this peer sends no picture for now */ videoSuspended = null;
  /** Whether this peer sends only some of its pictures for now. */ videoReduced = false;
  /** @type {string} what it calls itself */ client = '';
  /** Each source's own stream, made here: other ends need not name streams. @type {Map<string, MediaStream>} */ streams = new Map();
  /** False when no video codec is in common. */ hasCommonVideoCodec = true;
  /** Whether media has ever flowed. */ everConnected = false;
  /** ICE restarts since media last flowed. */ restarts = 0;
  /** Messages that were malformed or too many. */ dropped = 0;

  /** @type {{connection: string, signal: Signal}[]} */ #held = [];
  /** @type {Map<string, Signal[]>} */ #early = new Map();
  /** @type {Set<string>} */ #chatIds = new Set();
  /** When they replaced the transport; at most `REPLACEMENTS_MAX`. @type {number[]} */ #replacedAt = [];
  /** @type {number|null} */ #bothDeadSince = null;
  /** Where their hello came: both ends of its channels are open, and nothing said from then on is lost. @type {Connection|null} */ #heardOn = null;
  #nextRestartAt = 0;
  #transportSince;
  /** Whether they fell silent. */ silence;
  /** Which picture the way carries. */ narrow = new Narrow();
  #isLooking = false;
  /** Of the connection's restarts those that `look` has heeded. */ #restartsSeen = 0;

  /** @param {PeerInfo} info @param {PeerContext} context */
  constructor(info, context) {
    this.id = info.peer_id;
    this.name = info.name;
    this.context = context;
    this.presence = info.away ? 'away' : 'present';
    this.#transportSince = context.now();
    this.silence = new Silence(this.isPolite);
  }

  /** Politeness by the order of the two ids: the smaller one. */
  get isPolite() { return this.context.selfId < this.id; }

  get isMediaAlive() { return this.connection?.state === 'connected'; }

  /** Makes a fresh transport and the first offer on it. */
  offer() {
    this.#open(makeConnectionId(), true);
  }

  /** @param {string} connectionId @param {Signal} signal */
  handleSignal(connectionId, signal) {
    if (!/^[a-z0-9]{1,32}$/.test(connectionId)) return;
    if (this.connection?.id === connectionId) { this.connection.handleSignal(signal); return; }
    if (signal.kind === 'offer') { this.#handleFreshOffer(connectionId, signal); return; }
    if (signal.kind === 'candidate') this.#holdEarly(connectionId, signal);
  }

  /** @param {string} connectionId @param {Signal} signal */
  #handleFreshOffer(connectionId, signal) {
    // Both have just offered fresh connections: the impolite one's stands.
    if (this.connection?.isFreshOffer && !this.isPolite) { this.connection.counters.glare += 1; return; }
    if (!this.#mayReplace()) { this.dropped += 1; return; }
    const early = this.#early.get(connectionId) ?? [];
    this.#open(connectionId, false).handleSignal(signal);
    for (const candidate of early) this.connection?.handleSignal(candidate);
  }

  /** Whether they have not started anew too often. */
  #mayReplace() {
    const now = this.context.now();
    this.#replacedAt = this.#replacedAt.filter((at) => at + REPLACEMENT_WINDOW_MS > now);
    if (this.#replacedAt.length >= REPLACEMENTS_MAX) return false;
    this.#replacedAt.push(now);
    return true;
  }

  /** Candidates can overtake their offer. @param {string} connectionId @param {Signal} signal */
  #holdEarly(connectionId, signal) {
    const held = this.#early.get(connectionId) ?? [];
    if (held.length >= EARLY_SIGNALS_MAX) { this.dropped += 1; return; }
    held.push(signal);
    this.#early.set(connectionId, held);
    for (const id of this.#early.keys()) {
      if (this.#early.size > EARLY_CONNECTIONS_MAX) this.#early.delete(id);
    }
  }

  /** The roster names this peer (again). @param {PeerInfo} info */
  handleRoster(info) {
    const was = this.presence;
    this.name = info.name;
    this.presence = info.away ? 'away' : 'present';
    if (was !== 'present' && this.presence === 'present') this.#handleBack();
  }

  /** @param {Presence} presence */
  setPresence(presence) { this.presence = presence; }

  #handleBack() {
    this.flush();
    this.connection?.retryOffer();
  }

  /** The server dropped some of what was sent: what still matters is sent again. */
  resync() {
    // An offer that waits goes out with its candidates in it; nothing held may overtake it.
    if (this.connection?.isOffering) this.#held = [];
    this.flush();
    this.connection?.resend();
  }

  /** Sends what could not be sent while signaling was down. */
  flush() {
    for (const { connection, signal } of this.#held.splice(0)) {
      if (connection === this.connection?.id) this.#signal(connection, signal);
    }
  }

  /** @param {import('./connection.js').LocalSource} source @param {MediaStreamTrack|null} track */
  setTrack(source, track) { this.connection?.setTrack(source, track); }

  /** @param {ControlMessage} message */
  sendControl(message) { return this.connection?.send('control', message) ?? false; }

  /** False where the line is lost, or might be. @param {ChatMessage} message */
  sendChat(message) { return this.#heardOn === this.connection && (this.connection?.send('chat', message) ?? false); }

  /**
   * Restarts what is stuck; true when this peer is to be dropped. Called about once a second.
   * @param {number} now milliseconds
   */
  tick(now) {
    if (this.isMediaAlive) { this.#bothDeadSince = null; return false; }
    if (this.#isSignalingAlive()) {
      this.#bothDeadSince = null;
      this.#mend(now);
      return false;
    }
    this.#bothDeadSince ??= now;
    return now - this.#bothDeadSince >= BOTH_DEAD_MS;
  }

  /** Looks whether they are still heard, each `LOOK_MS`: a way that is lost is looked for before the browser says so. */
  look() {
    if (!this.connection || !this.isMediaAlive || !this.#sends || !this.#isSignalingAlive() || this.connection.isOffering) {
      this.silence.forget();
      return;
    }
    // The way is looked for anew already: another time would only end that.
    if (this.connection.restarts !== this.#restartsSeen) {
      this.#restartsSeen = this.connection.restarts;
      this.silence.forget();
      return;
    }
    if (!this.silence.look(this.connection.heard, this.context.now())) return;
    this.connection.restartIce();
  }

  /** Looks which picture the way carries, each `NARROW_LOOK_MS`. */
  async lookAtWay() {
    const { connection, narrow } = this;
    if (!connection || !this.isMediaAlive || this.#isLooking) return;
    // Where no picture is sent none is too large.
    if (narrow.picture === 'usual' && !connection.config.tracks.camera) return;
    this.#isLooking = true;
    /** A connection that closes has none. */
    const report = await connection.pc.getStats().catch(() => null);
    this.#isLooking = false;
    if (!report || connection !== this.connection || !narrow.look(pathOf(report, connection.restarts))) return;
    await connection.setPicture(narrow.picture);
    this.#tellOfPicture();
  }

  /** What the others see instead of a picture that does not come. */
  #tellOfPicture() {
    if (!this.hasCommonVideoCodec) this.sendControl({ type: 'video_suspended', reason: 'no_common_codec' });
    else this.sendControl(this.narrow.picture === 'none' ? { type: 'video_suspended', reason: 'bandwidth' } : { type: 'video_resumed' });
  }

  /** The network changed: if they are not heard now, the way is lost. */
  handleNetworkChange() {
    this.silence.hint();
    this.narrow.retry();
  }

  /** Whether something is to come from them, by their own word. */
  get #sends() { return this.mediaState?.microphone === 'on' || (this.mediaState?.camera === 'on' && this.videoSuspended === null); }

  #isSignalingAlive() { return this.presence === 'present' && this.context.isSignalingUp(); }

  /** @param {number} now */
  #mend(now) {
    const state = this.connection?.state ?? 'none';
    const waited = now - this.#transportSince;
    if (state === 'none' ? waited > OFFER_AWAITED_MS : state === 'closed') { this.offer(); return; }
    const stuck = state === 'disconnected' || state === 'failed' || (waited > CONNECTING_MS && state !== 'none');
    if (!stuck || now < this.#nextRestartAt) return;
    this.#nextRestartAt = now + restartDelayMs(this.restarts, this.context.random());
    this.restarts += 1;
    if (this.restarts % (RESTARTS_BEFORE_ANEW + 1) === 0) this.offer();
    else this.connection?.restartIce();
    this.context.onChange();
  }

  /** @param {string} id @param {boolean} offering */
  #open(id, offering) {
    this.connection?.close();
    this.#early.clear();
    this.#held = [];
    this.streams = new Map();
    this.videoSuspended = null;
    this.narrow = new Narrow();
    this.#restartsSeen = 0;
    this.videoReduced = false;
    this.#transportSince = this.context.now();
    const connection = new Connection({
      id, offering, selfId: this.context.selfId, peerId: this.id,
      iceServers: this.context.iceServers,
      relayOnly: this.context.relayOnly, tracks: { ...this.context.tracks() }, certificate: this.context.certificate,
    }, {
      onSignal: (signal) => this.#signal(id, signal),
      canSignal: () => this.#isSignalingAlive() && !this.context.isHoldingSignals(),
      onTrack: (source, track) => { this.streams.set(source, new MediaStream([track])); this.context.onChange(); },
      onState: (state) => this.#handleState(state),
      onVideoCodec: (common) => this.#handleVideoCodec(common),
      onUnanswered: () => this.offer(),
      onChannelOpen: (label) => this.#handleChannelOpen(label),
      onChannelMessage: (label, data) => this.#handleChannelMessage(label, data),
    });
    this.connection = connection;
    this.context.onChange();
    return connection;
  }

  /** @param {string} connection @param {Signal} signal */
  #signal(connection, signal) {
    const isOpen = this.#isSignalingAlive() && !this.context.isHoldingSignals();
    if (isOpen && this.context.signal(this.id, connection, signal)) return;
    // A newer description replaces the one it was meant to follow.
    if (signal.kind === 'offer') this.#held = this.#held.filter((held) => held.signal.kind !== 'offer');
    this.#held.push({ connection, signal });
    if (this.#held.length > HELD_SIGNALS_MAX) this.#held.shift();
  }

  /** @param {RTCPeerConnectionState} state */
  #handleState(state) {
    if (state === 'connected') {
      this.everConnected = true;
      this.restarts = 0;
      this.#nextRestartAt = 0;
      this.#transportSince = this.context.now();
    } else if (state === 'disconnected' || state === 'failed') {
      this.tick(this.context.now());
    }
    this.context.onChange();
  }

  /** @param {boolean} common */
  #handleVideoCodec(common) {
    const changed = common !== this.hasCommonVideoCodec;
    this.hasCommonVideoCodec = common;
    if (!changed) return;
    this.#tellOfPicture();
    this.context.onChange();
  }

  /** @param {ChannelLabel} label */
  #handleChannelOpen(label) {
    if (label === 'control') this.#introduce();
    this.context.onChange();
  }

  #introduce() {
    this.sendControl({ type: 'hello', versions: [1], client: 'parlor-web 0.1.0', boot_id: null });
    this.sendControl({ type: 'media_state', ...this.context.mediaState() });
    if (!this.hasCommonVideoCodec || this.narrow.picture === 'none') this.#tellOfPicture();
  }

  /**
   * One end's channels open before the other's, and what arrives in between may be lost there: it is said once more.
   * @param {string} client
   */
  #handleHello(client) {
    this.client = client;
    if (this.#heardOn === this.connection) return;
    this.#heardOn = this.connection;
    this.#introduce();
  }

  /** @param {ChannelLabel} label @param {unknown} data */
  #handleChannelMessage(label, data) {
    if (label === 'control') this.#handleControl(readControl(data));
    else this.#handleChat(readChat(data));
  }

  /** @param {ControlMessage|null} message */
  #handleControl(message) {
    switch (message?.type) {
      case 'hello': this.#handleHello(message.client); break;
      case 'media_state': this.mediaState = message; break;
      case 'video_suspended': this.videoSuspended = message.reason; this.videoReduced = false; break;
      case 'video_reduced': this.videoSuspended = null; this.videoReduced = true; break;
      case 'video_resumed': this.videoSuspended = null; this.videoReduced = false; break;
      case 'bye': this.context.onBye(this); return;
      default: this.dropped += 1;
    }
    this.context.onChange();
  }

  /** @param {ChatMessage|null} message */
  #handleChat(message) {
    if (!message || this.#chatIds.has(message.id)) { this.dropped += 1; return; }
    this.#chatIds.add(message.id);
    for (const id of this.#chatIds) {
      if (this.#chatIds.size > CHAT_IDS_MAX) this.#chatIds.delete(id);
    }
    this.context.onChat(this, message);
  }

  close() {
    this.connection?.close();
    this.connection = null;
  }
}
