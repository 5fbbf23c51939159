// @ts-check
/**
 * A call: one room's people, the mesh of transports to them, and the chat. No user interface: a page shows `view()`
 * whenever `onChange` says so.
 */

import { Peer } from './peer.js';
import { CHAT_CHARACTERS_MAX, characterCount } from './messages.js';
import { SignalingClient } from './protocol.js';
import { hasRelay, renewalDelayMs } from './relay.js';
import { NARROW_LOOK_MS } from './narrow.js';
import { LOOK_MS } from './silence.js';
import { RateMeter, summarise } from './stats.js';
import { policyNews } from './words.js';

/** @typedef {import('./protocol.js').Joined} Joined */
/** @typedef {import('./protocol.js').PeerInfo} PeerInfo */
/** @typedef {import('./protocol.js').ServerError} ServerError */
/** @typedef {import('./protocol.js').ServerMessage} ServerMessage */
/** @typedef {import('./connection.js').LocalSource} LocalSource */
/** @typedef {import('./messages.js').MediaState} MediaState */
/** @typedef {import('./messages.js').ChatMessage} ChatMessage */
/**
 * A line of the chat; `undelivered` are the names of those it did not reach.
 * @typedef {{kind: 'chat', id: number, mine: boolean, name: string, text: string, atMs: number, undelivered: string[], heard: boolean}
 *   | {kind: 'note', id: number, text: string, atMs: number}} Line
 */
/** @typedef {{state: 'connecting'|'joined'|'ended', signaling: import('./protocol.js').SignalingState, ended: string|null}} CallState */
/**
 * @typedef {object} CallHandlers
 * @property {() => void} onChange something of `view()` is different; called at most once a microtask
 * @property {(line: Line) => void} onLine a new line of chat or a note
 * @property {(words: string) => void} onNotice something to say in passing
 */
/** `relayOnly` hides the address. @typedef {{url: string, room: string, name: string, secrets?: import('./secrets.js').Secrets, relayOnly?: boolean, random?: () => number, standby?: import('./protocol.js').Standby|null}} CallConfig */

/** Lines kept; the oldest go. */
const LINES_MAX = 500;
const TICK_MS = 1_000;
/** After `rate_limited`: by then the server takes 100 messages more, enough for everybody's candidates. */
const RESYNC_MIN_MS = 1_000;
/** Before new TURN credentials are asked for again; half a lifetime is left for it. */
const RENEWAL_RETRY_MS = 30_000;
/** The longest wait a server may ask for. */
const RESYNC_MAX_MS = 60_000;

export class Call {
  /** @type {Map<string, Peer>} in the order they joined */ peers = new Map();
  /** @type {Line[]} */ lines = [];
  /** @type {'connecting'|'joined'|'ended'} */ state = 'connecting';
  /** @type {string|null} why it ended, in words; null when by the user's wish */ endedWhy = null;
  /** @type {string|null} the code of that error */ endedCode = null;
  /** @type {string} */ selfId = '';
  /** What holds in the room. @type {import('./protocol.js').RoomPolicy} */ policy = readPolicy({});
  /** @type {number|null} when the room was entered */ joinedAtMs = null;
  /** @type {MediaState} */ mediaState = { microphone: 'off', camera: 'off', microphone_reason: null, camera_reason: null };
  /** @type {import('./connection.js').LocalTracks} */ tracks = { microphone: null, camera: null };

  /** @type {RTCIceServer[]} */ #iceServers = [];
  /** Until new TURN credentials are asked for. @type {ReturnType<typeof setTimeout>|undefined} */ #renewalTimer;
  #toldNoRelay = false;
  /** @type {RTCCertificate|undefined} */ #certificate;
  /** @type {ReturnType<typeof setInterval>|undefined} */ #ticker;
  /** Whether peers are still heard. @type {ReturnType<typeof setInterval>|undefined} */ #looker;
  /** Whether the ways carry our picture. @type {ReturnType<typeof setInterval>|undefined} */ #wayLooker;
  /** Runs while signals are held back. @type {ReturnType<typeof setTimeout>|undefined} */ #resyncTimer;
  /** @type {Map<string, RateMeter>} */ #meters = new Map();
  #changeQueued = false;
  #lineCount = 0;
  #chatCount = 0;

  /** @param {CallConfig} config @param {CallHandlers} handlers */
  constructor(config, handlers) {
    this.config = config;
    this.handlers = handlers;
    this.room = config.room;
    this.name = config.name;
    this.signaling = new SignalingClient(config.url, {
      onState: () => this.#changed(),
      onJoined: (message) => this.#handleJoined(message),
      onMessage: (message) => this.#handleMessage(message),
      onError: (error) => this.#handleError(error),
      onFailed: (error) => { this.endedCode = error.code; this.#end(error.message); },
    }, { random: config.random, standby: config.standby });
  }

  /** Enters the room. */
  async join() {
    this.#ticker = setInterval(() => this.#tick(performance.now()), TICK_MS);
    this.#looker = setInterval(() => { for (const peer of this.peers.values()) peer.look(); }, LOOK_MS);
    this.#wayLooker = setInterval(() => { for (const peer of this.peers.values()) void peer.lookAtWay(); }, NARROW_LOOK_MS);
    try {
      // One certificate a call: one fingerprint for everybody.
      this.#certificate = await RTCPeerConnection.generateCertificate(/** @type {AlgorithmIdentifier} */ ({ name: 'ECDSA', namedCurve: 'P-256' }));
    } catch { /* each connection then makes its own */ }
    if (this.state === 'connecting') this.signaling.join(this.config.room, this.config.name, this.config.secrets);
  }

  /** Says goodbye to everybody and leaves. Safe in `pagehide`: nothing here waits. */
  leave() { this.#end(null); }

  /** What is sent from now on, and how the others are told. @param {LocalSource} source @param {MediaStreamTrack|null} track @param {Partial<MediaState>} state */
  setMedia(source, track, state) {
    if (this.tracks[source] !== track) {
      this.tracks[source] = track;
      for (const peer of this.peers.values()) peer.setTrack(source, track);
    }
    const before = JSON.stringify(this.mediaState);
    this.mediaState = { ...this.mediaState, ...state };
    if (JSON.stringify(this.mediaState) === before) return;
    for (const peer of this.peers.values()) peer.sendControl({ type: 'media_state', ...this.mediaState });
    this.#changed();
  }

  /**
   * Sends a chat line to everyone connected; its line says whom it did not reach. False when it is empty or too long.
   * @param {string} text
   */
  sendChat(text) {
    const trimmed = text.trim().toWellFormed?.() ?? text.trim();
    const length = characterCount(trimmed);
    if (length < 1 || length > CHAT_CHARACTERS_MAX) return false;
    const atMs = Date.now();
    /** @type {ChatMessage} */
    const message = { type: 'message', id: `${atMs.toString(36)}${(this.#chatCount++).toString(36)}`, text: trimmed, sent_at_ms: atMs };
    const undelivered = [...this.peers.values()].filter((peer) => !peer.sendChat(message)).map(({ name }) => name);
    const heard = undelivered.length < this.peers.size;
    this.#addLine({ kind: 'chat', id: this.#lineCount++, mine: true, name: this.name, text: trimmed, atMs, undelivered, heard });
    return true;
  }

  /** The room's password, where it has one and it is known here. */
  get knownPassword() { return this.policy.has_password ? this.signaling.password : null; }

  /** Lets nobody new in, or lets them in again; for who may moderate. @param {boolean} locked */
  setLock(locked) { return this.#asked(this.signaling.setLock(locked)); }

  /** Sets, changes or takes away the room's password; for who may moderate. @param {string|null} password */
  setPassword(password) { return this.#asked(this.signaling.setPassword(password)); }

  /** Ends someone's part in the call; for who may moderate. @param {string} peerId */
  remove(peerId) { return this.#asked(this.signaling.remove(peerId)); }

  /** Only the server can do that, and not while it is away. @param {boolean} wasAsked */
  #asked(wasAsked) {
    if (!wasAsked) this.handlers.onNotice('The server is out of reach; try again when it is back.');
    return wasAsked;
  }

  /** The network came back or changed: look whether the server and the others are still there. */
  handleNetworkChange() {
    this.signaling.probe();
    for (const peer of this.peers.values()) peer.handleNetworkChange();
  }

  /** Bandwidth, loss and delay of each peer. @returns {Promise<Record<string, import('./stats.js').PeerStats>>} by peer id */
  async stats() {
    /** @type {Record<string, import('./stats.js').PeerStats>} */
    const all = {};
    for (const peer of this.peers.values()) {
      if (!peer.connection) continue;
      const report = await peer.connection.pc.getStats();
      const meter = this.#meters.get(peer.connection.id) ?? new RateMeter();
      this.#meters.set(peer.connection.id, meter);
      all[peer.id] = summarise(report, meter);
    }
    const live = new Set([...this.peers.values()].map(({ connection }) => connection?.id));
    for (const id of this.#meters.keys()) if (!live.has(id)) this.#meters.delete(id);
    return all;
  }

  /** @param {number} now */
  #tick(now) {
    for (const peer of this.peers.values()) {
      if (peer.tick(now)) this.#drop(peer, `${peer.name} lost the connection`);
    }
  }

  /** @param {Joined} message */
  #handleJoined(message) {
    const isNewMember = message.peer_id !== this.selfId;
    const isFirst = this.selfId === '';
    if (isNewMember && !isFirst) this.#forgetPeers();
    this.selfId = message.peer_id;
    this.name = message.name;
    this.room = message.room;
    this.#useIceServers(message);
    this.state = 'joined';
    this.#handlePolicy(message.policy ?? {}, isFirst);
    this.joinedAtMs ??= Date.now();
    this.#syncRoster(message.peers, isNewMember);
    for (const peer of this.peers.values()) peer.flush();
    this.#changed();
  }

  /** For what is gathered from now on. @param {{ice_servers: import('./protocol.js').IceServer[], ice_lifetime_seconds?: number|null}} message */
  #useIceServers({ ice_servers: servers, ice_lifetime_seconds: lifetime }) {
    this.#iceServers = usableIceServers(servers);
    this.#renewAfter(renewalDelayMs(lifetime));
    if (!this.config.relayOnly || hasRelay(this.#iceServers) || this.#toldNoRelay) return;
    this.#toldNoRelay = true;
    const words = 'You hide your address, and this server offers no relay, so nobody can be connected. Show your address in the settings, or use a server with a relay (TURN).';
    this.handlers.onNotice(words);
    this.#note(words);
  }

  /** @param {number|null} delayMs null for never */
  #renewAfter(delayMs) {
    clearTimeout(this.#renewalTimer);
    if (delayMs === null || this.state === 'ended') return;
    this.#renewalTimer = setTimeout(() => {
      this.signaling.refreshIceServers();
      this.#renewAfter(RENEWAL_RETRY_MS);
    }, delayMs);
  }

  /** @param {Partial<import('./protocol.js').RoomPolicy>} policy @param {boolean} isFirst what holds when we come in is no news */
  #handlePolicy(policy, isFirst = false) {
    const before = this.policy;
    this.policy = readPolicy(policy);
    if (!isFirst) for (const words of policyNews(this.policy, before)) { this.#note(words); this.handlers.onNotice(`${words}.`); }
  }

  /**
   * A newcomer waits for offers. A member that comes back keeps every peer whose media lives, and offers to those it
   * has not met: they came while it was away.
   * @param {PeerInfo[]} roster @param {boolean} isNewMember
   */
  #syncRoster(roster, isNewMember) {
    const named = new Set(roster.map(({ peer_id }) => peer_id));
    for (const peer of this.peers.values()) if (!named.has(peer.id)) peer.setPresence('absent');
    for (const info of roster) {
      const known = this.peers.get(info.peer_id);
      if (known) { known.handleRoster(info); continue; }
      const peer = this.#add(info);
      if (peer && !isNewMember) peer.offer();
    }
  }

  /** As somebody new: the others know the old id no more. */
  #forgetPeers() {
    for (const peer of this.peers.values()) { peer.sendControl({ type: 'bye' }); peer.close(); }
    this.peers.clear();
  }

  /** @param {PeerInfo} info */
  #add(info) {
    if (info.peer_id === this.selfId) return null;
    const peer = new Peer(info, {
      selfId: this.selfId,
      iceServers: () => this.#iceServers,
      relayOnly: this.config.relayOnly ?? false,
      tracks: () => this.tracks,
      mediaState: () => this.mediaState,
      certificate: this.#certificate,
      signal: (to, connection, signal) => this.signaling.signal(to, connection, signal),
      isSignalingUp: () => this.signaling.state === 'joined',
      isHoldingSignals: () => this.#resyncTimer !== undefined,
      onChange: () => this.#changed(),
      onChat: (from, message) => this.#handleChat(from, message),
      onBye: (from) => this.#drop(from, `${from.name} left`),
      // Not the clock of the wall, which may be put right in the middle of a call.
      now: () => performance.now(),
      random: this.config.random ?? Math.random,
    });
    this.peers.set(info.peer_id, peer);
    return peer;
  }

  /** @param {Peer} peer @param {string} note */
  #drop(peer, note) {
    if (!this.peers.delete(peer.id)) return;
    peer.close();
    this.#note(note);
    this.#changed();
  }

  /** @param {Exclude<ServerMessage, Joined|ServerError|{type: 'welcome'}>} message */
  #handleMessage(message) {
    switch (message.type) {
      case 'peer_joined': this.#handlePeerJoined(message.peer); break;
      case 'peer_away': this.#handlePeerAway(message.peer_id); break;
      case 'peer_back': this.#handlePeerBack(message.peer); break;
      case 'peer_left': this.#handlePeerLeft(message.peer_id, message.reason); break;
      case 'ice_servers': this.#useIceServers(message); break;
      case 'policy': this.#handlePolicy(message.policy); break;
      case 'roster': this.#syncRoster(message.peers, false); break;
      case 'signal': this.peers.get(message.from)?.handleSignal(message.connection, message.signal); break;
    }
    this.#changed();
  }

  /** @param {PeerInfo} info */
  #handlePeerJoined(info) {
    const known = this.peers.get(info.peer_id);
    if (known) {
      // After a server restart: whoever still has a live connection for that id keeps it.
      known.handleRoster(info);
      if (!known.isMediaAlive) known.offer();
      return;
    }
    this.#add(info)?.offer();
    this.#note(`${info.name} joined`);
  }

  /** @param {string} peerId */
  #handlePeerAway(peerId) {
    const peer = this.peers.get(peerId);
    if (!peer) return;
    peer.setPresence('away');
    this.#note(`${peer.name} is reconnecting`);
  }

  /** @param {PeerInfo} info */
  #handlePeerBack(info) {
    const known = this.peers.get(info.peer_id);
    if (!known) { this.#add(info)?.offer(); return; }
    known.handleRoster(info);
    this.#note(`${known.name} is back`);
  }

  /** @param {string} peerId @param {string} reason */
  #handlePeerLeft(peerId, reason) {
    const peer = this.peers.get(peerId);
    if (!peer) return;
    if (reason === 'removed') { this.#drop(peer, `${peer.name} was removed`); return; }
    if (reason !== 'left' && peer.isMediaAlive) { peer.setPresence('absent'); return; }
    this.#drop(peer, reason === 'left' ? `${peer.name} left` : `${peer.name} lost the connection`);
  }

  /** @param {Peer} peer @param {ChatMessage} message */
  #handleChat(peer, message) {
    this.#addLine({
      kind: 'chat', id: this.#lineCount++, mine: false, name: peer.name, text: message.text, atMs: Date.now(),
      undelivered: [], heard: true,
    });
  }

  /** @param {ServerError} error */
  #handleError(error) {
    console.warn('server:', error.code, error.message);
    if (error.code === 'rate_limited') { this.#resyncAfter(error.retry_after_ms ?? 0); return; }
    // `unknown_peer` is answered by the roster: away or left is on its way, and the offer is made again.
    if (error.code !== 'unknown_peer' && error.code !== 'going_away') this.handlers.onNotice(error.message);
    // What was refused is shown as it is.
    this.#changed();
  }

  /** What was sent too fast is lost: signals are held until the server takes them, then the lost ones come first. @param {number} waitMs */
  #resyncAfter(waitMs) {
    clearTimeout(this.#resyncTimer);
    this.#resyncTimer = setTimeout(() => {
      this.#resyncTimer = undefined;
      for (const peer of this.peers.values()) peer.resync();
    }, Math.min(Math.max(waitMs, RESYNC_MIN_MS), RESYNC_MAX_MS));
  }

  /** @param {string|null} why in words; null by the user's wish */
  #end(why) {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.endedWhy = why;
    clearInterval(this.#ticker);
    clearInterval(this.#looker);
    clearInterval(this.#wayLooker);
    clearTimeout(this.#resyncTimer);
    clearTimeout(this.#renewalTimer);
    // Who is removed does not say goodbye: the server tells the others what happened.
    if (this.endedCode !== 'removed') for (const peer of this.peers.values()) peer.sendControl({ type: 'bye' });
    this.signaling.leave();
    for (const peer of this.peers.values()) peer.close();
    this.peers.clear();
    this.#changed();
  }

  /** @param {string} text */
  #note(text) { this.#addLine({ kind: 'note', id: this.#lineCount++, text, atMs: Date.now() }); }

  /** @param {Line} line */
  #addLine(line) {
    this.lines.push(line);
    if (this.lines.length > LINES_MAX) this.lines.shift();
    this.handlers.onLine(line);
  }

  #changed() {
    if (this.#changeQueued) return;
    this.#changeQueued = true;
    queueMicrotask(() => { this.#changeQueued = false; this.handlers.onChange(); });
  }
}

/** What is missing in it does not hold. @param {Partial<import('./protocol.js').RoomPolicy>} policy */
function readPolicy({ locked, has_password, may_moderate }) {
  return { locked: locked === true, has_password: has_password === true, may_moderate: may_moderate === true };
}

/**
 * The servers RTCPeerConnection would take; one it would refuse (WebRTC 1.0 §4.4.1.6) must not cost the call.
 * @param {import('./protocol.js').IceServer[]} servers
 * @returns {RTCIceServer[]}
 */
export function usableIceServers(servers) {
  return servers.flatMap(({ urls, username, credential }) => {
    const known = (Array.isArray(urls) ? urls : []).filter((url) => /^(stun|turn)s?:[^\s?#]+(\?transport=(udp|tcp))?$/.test(url));
    const hasCredentials = Boolean(username && credential);
    const usable = hasCredentials ? known : known.filter((url) => url.startsWith('stun'));
    if (usable.length === 0) return [];
    return [{ urls: usable, ...(hasCredentials ? { username: username ?? '', credential: credential ?? '' } : {}) }];
  });
}
