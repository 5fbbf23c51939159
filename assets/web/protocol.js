// @ts-check
/**
 * The signaling client: one WebSocket, kept alive. No user interface and no policy about calls; PROTOCOL.md is its
 * specification.
 *
 * A lost socket is opened again with full jitter and the room is joined with the resume token, which is kept in
 * memory only: a refreshed page is a new person, and a copied tab cannot take this one's place.
 */

/** @typedef {{peer_id: string, name: string, away: boolean}} PeerInfo */
/** What holds in a room, as it is for the reader. @typedef {{locked: boolean, has_password: boolean, may_moderate: boolean}} RoomPolicy */
/** @typedef {import('./secrets.js').Secrets} Secrets */
/** @typedef {{urls: string[], username?: string|null, credential?: string|null}} IceServer */
/** @typedef {{room_capacity: number, message_bytes: number, resume_seconds: number, chat_characters: number}} Limits */
/** @typedef {{mid: string, owner: string, source: string}} StreamDescription */
/**
 * @typedef {{kind: 'offer', sdp: string, streams: StreamDescription[]}
 *   | {kind: 'answer', sdp: string, streams: StreamDescription[]}
 *   | {kind: 'candidate', candidate: RTCIceCandidateInit}
 *   | {kind: 'end_of_candidates'}} Signal
 */
/**
 * @typedef {{type: 'joined', room: string, peer_id: string, name: string, resume_token: string, resumed: boolean,
 *   peers: PeerInfo[], policy?: Partial<RoomPolicy>, ice_servers: IceServer[], ice_lifetime_seconds?: number|null, limits: Limits}} Joined
 */
/** @typedef {{type: 'error', code: string, message: string, to?: string|null, retry_after_ms?: number|null}} ServerError */
/**
 * @typedef {{type: 'welcome', version: number, server: string}
 *   | Joined
 *   | {type: 'peer_joined', peer: PeerInfo}
 *   | {type: 'peer_away', peer_id: string}
 *   | {type: 'peer_back', peer: PeerInfo}
 *   | {type: 'peer_left', peer_id: string, reason: string}
 *   | {type: 'ice_servers', ice_servers: IceServer[], ice_lifetime_seconds?: number|null}
 *   | {type: 'signal', from: string, connection: string, signal: Signal}
 *   | {type: 'policy', policy: Partial<RoomPolicy>, resume_token: string}
 *   | {type: 'roster', peers: PeerInfo[]}
 *   | ServerError} ServerMessage
 */
/**
 * `connecting` before the first `joined`, `joined` while all is well, `reconnecting` after a lost socket, `closed`
 * for good.
 * @typedef {'idle'|'connecting'|'joined'|'reconnecting'|'closed'} SignalingState
 */
/**
 * What a user of the client gets to know. `onFailed` is final; its error says why.
 * @typedef {object} SignalingHandlers
 * @property {(state: SignalingState) => void} onState the state, or what stands in its way, is another
 * @property {(message: Joined) => void} onJoined
 * @property {(message: Exclude<ServerMessage, Joined|ServerError|{type: 'welcome'}>) => void} onMessage
 * @property {(error: ServerError) => void} onError
 * @property {(error: ServerError) => void} onFailed
 */

/** The versions of PROTOCOL.md this client speaks. */
export const PROTOCOL_VERSIONS = [1];
/** What the client calls itself, in logs. */
export const CLIENT_NAME = 'parlor-web 0.1.0';
/** PROTOCOL.md "Reconnecting": the wait is random between 0 and min(2 s, 100 ms · 2ⁿ). */
export const RECONNECT_BASE_MS = 100;
/** See {@link RECONNECT_BASE_MS}. */
export const RECONNECT_CAP_MS = 2_000;
/** A socket that has not opened and joined by then is given up and tried again. */
const CONNECT_TIMEOUT_MS = 10_000;
/** How long a probe waits for any message before the socket counts as lost. */
const PROBE_TIMEOUT_MS = 5_000;
/** Not 1000 or 1001, which would leave the room. */
const CLOSE_RECONNECTING = 3_001;
/** A first `join` that took longer is given up: a user would have looked up by then. */
export const FIRST_JOIN_TIMEOUT_MS = 15_000;
/** Errors of a `join` that another try would not mend. */
const FATAL_JOIN_ERRORS = new Set(['invalid_room', 'invalid_name', 'unsupported_version']);
/** These end a first `join` only. A member's call lives without the server, and there may be room again later. */
const FATAL_FIRST_JOIN_ERRORS = new Set([
  'room_full', 'too_many_rooms', 'server_full', 'already_joined', 'access_required', 'access_invalid', 'access_expired', 'access_wrong_room',
  'password_required', 'password_wrong', 'too_many_guesses', 'room_locked', 'too_many_connections', 'origin_refused',
]);
/** These end a membership for good, whenever they come. */
const FATAL_ERRORS = new Set(['replaced', 'removed']);
/** The join was put off, not refused. */
const PUT_OFF_ERRORS = new Set(['rate_limited', 'internal']);
/** What stands in the way when no socket opens, or none stays open. @type {ServerError} */
const UNREACHABLE = { type: 'error', code: 'unreachable', message: 'The server can’t be reached.' };
/** How a first join is given up when the server itself said nothing. @type {ServerError} */
const NEVER_REACHED = {
  ...UNREACHABLE, message: 'The server did not answer within 15 seconds. Check the link and your network, then try again.',
};

/**
 * How long to wait before the nth try, in milliseconds.
 * @param {number} attempt counted from 0
 * @param {number} random in [0, 1)
 * @param {number|null} [retryAfterMs] what the server asked for
 */
export function reconnectDelayMs(attempt, random, retryAfterMs) {
  if (typeof retryAfterMs === 'number' && retryAfterMs >= 0) return Math.min(retryAfterMs, 60_000);
  return random * Math.min(RECONNECT_CAP_MS, RECONNECT_BASE_MS * 2 ** Math.min(attempt, 16));
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param {unknown} value @returns {value is PeerInfo} */
function isPeerInfo(value) {
  return isObject(value) && typeof value.peer_id === 'string' && typeof value.name === 'string';
}

/** @param {unknown} value @returns {value is Signal} */
function isSignal(value) {
  if (!isObject(value)) return false;
  switch (value.kind) {
    case 'offer':
    case 'answer': return typeof value.sdp === 'string';
    case 'candidate': return isObject(value.candidate) && typeof value.candidate.candidate === 'string';
    case 'end_of_candidates': return true;
    default: return false;
  }
}

/** What each message must hold to be believed. @type {Record<string, (message: Record<string, unknown>) => boolean>} */
const SERVER_MESSAGE_FORMS = {
  welcome: (message) => typeof message.version === 'number',
  joined: (message) => typeof message.peer_id === 'string' && typeof message.room === 'string'
    && typeof message.resume_token === 'string' && Array.isArray(message.peers) && message.peers.every(isPeerInfo)
    && Array.isArray(message.ice_servers) && isObject(message.limits),
  peer_joined: (message) => isPeerInfo(message.peer),
  peer_away: (message) => typeof message.peer_id === 'string',
  peer_back: (message) => isPeerInfo(message.peer),
  peer_left: (message) => typeof message.peer_id === 'string',
  ice_servers: (message) => Array.isArray(message.ice_servers),
  policy: (message) => isObject(message.policy) && typeof message.resume_token === 'string',
  roster: (message) => Array.isArray(message.peers) && message.peers.every(isPeerInfo),
  signal: (message) => typeof message.from === 'string' && typeof message.connection === 'string' && isSignal(message.signal),
  error: (message) => typeof message.code === 'string' && typeof message.message === 'string',
};

/**
 * Reads one message of the server; null for what is malformed or unknown, which a client ignores.
 * @param {unknown} text
 * @returns {ServerMessage|null}
 */
export function parseServerMessage(text) {
  if (typeof text !== 'string') return null;
  let message;
  try { message = JSON.parse(text); } catch { return null; }
  if (!isObject(message) || typeof message.type !== 'string') return null;
  if (!Object.hasOwn(SERVER_MESSAGE_FORMS, message.type)) return null;
  if (!SERVER_MESSAGE_FORMS[message.type](message)) return null;
  return /** @type {ServerMessage} */ (/** @type {unknown} */ (message));
}

/** How long an unused socket is kept: the server closes one that joins no room after two minutes. */
const STANDBY_MAX_MS = 110_000;

/**
 * A socket that is opened before there is a call, so that joining need not wait for it. Nothing is said on it. Where it fails or ends unused,
 * the client opens its own.
 */
export class Standby {
  #socket;
  #timer;

  /** @param {string} url `ws(s)://HOST[:PORT]/ws` */
  constructor(url) {
    this.#socket = new WebSocket(url);
    this.#timer = setTimeout(() => this.close(), STANDBY_MAX_MS);
  }

  /** The socket, open or being opened; null when it has ended. */
  take() {
    clearTimeout(this.#timer);
    return this.#socket.readyState <= WebSocket.OPEN ? this.#socket : null;
  }

  /** It is not needed any more. */
  close() {
    clearTimeout(this.#timer);
    this.#socket.close(1000);
  }
}

/** One membership of one room, over as many sockets as it takes. */
export class SignalingClient {
  /** @type {WebSocket|null} */ #socket = null;
  /** @type {SignalingState} */ #state = 'idle';
  /** @type {string|null} */ #resumeToken = null;
  /** @type {number|null} */ #retryAfterMs = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */ #timer;
  /** @type {ReturnType<typeof setTimeout>|undefined} */ #probeTimer;
  /** @type {ReturnType<typeof setTimeout>|undefined} */ #giveUpTimer;
  /** @type {ServerError|null} */ #problem = null;
  /** The server's words to the current attempt. @type {ServerError|null} */ #refusal = null;
  #attempt = 0;
  /** For the first socket. @type {Standby|null} */ #standby;
  /** Shown again with the token: a room that was closed meanwhile takes us for newcomers. @type {Secrets} */
  #secrets = { password: null, access: null };
  #room = '';
  #name = '';

  /**
   * @param {string} url `ws(s)://HOST[:PORT]/ws`
   * @param {SignalingHandlers} handlers
   * @param {{random?: () => number, standby?: Standby|null}} [options] `standby` leads to the same server
   */
  constructor(url, handlers, options = {}) {
    this.url = url;
    this.#standby = options.standby ?? null;
    this.handlers = handlers;
    this.random = options.random ?? Math.random;
  }

  /** Where the membership stands. */
  get state() { return this.#state; }

  /** Why the last attempt came to nothing; null before the first one has failed, and while all is well. */
  get problem() { return this.#problem; }

  /**
   * Enters the room; the answer is `onJoined` or `onFailed`.
   * @param {string} room @param {string} name @param {Secrets} [secrets] what the room may ask for
   */
  join(room, name, secrets = { password: null, access: null }) {
    this.#secrets = secrets;
    this.#room = room;
    this.#name = name;
    this.#attempt = 0;
    this.#giveUpTimer = setTimeout(() => this.#giveUp(), FIRST_JOIN_TIMEOUT_MS);
    this.#setState('connecting');
    this.#open();
  }

  /**
   * Sends one step of a negotiation. False when there is no joined socket: the caller keeps what it wants to say.
   * @param {string} to @param {string} connection @param {Signal} signal
   */
  signal(to, connection, signal) {
    if (this.#state !== 'joined') return false;
    return this.#send({ type: 'signal', to, connection, signal });
  }

  /** Asks for new TURN credentials; they come as `ice_servers`. False when nobody can be asked now: the next `joined` brings some. */
  refreshIceServers() { return this.#state === 'joined' && this.#send({ type: 'refresh_ice_servers' }); }

  /** The password as it is known here; null for none. */
  get password() { return this.#secrets.password; }

  /** Lets nobody new in, or lets them in again; for who may moderate. @param {boolean} locked */
  setLock(locked) { return this.#state === 'joined' && this.#send({ type: 'set_lock', locked }); }

  /** Sets, changes or takes away the password; for who may moderate. @param {string|null} password */
  setPassword(password) {
    if (this.#state !== 'joined' || !this.#send({ type: 'set_password', password })) return false;
    this.#secrets = { ...this.#secrets, password };
    return true;
  }

  /** Ends someone's membership; for who may moderate. @param {string} peerId */
  remove(peerId) { return this.#state === 'joined' && this.#send({ type: 'remove', peer_id: peerId }); }

  /** Leaves the room and closes the socket with 1000. Safe in `pagehide`. */
  leave() {
    this.#clearTimers();
    clearTimeout(this.#giveUpTimer);
    const socket = this.#socket;
    this.#socket = null;
    this.#resumeToken = null;
    if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'leave' }));
    socket?.close(1000);
    this.#setState('closed');
  }

  /** Asks for a sign of life (the same `join` gives the same `joined`); a silent socket is replaced. */
  probe() {
    if (this.#state === 'reconnecting') { this.#retryNow(); return; }
    if (this.#state !== 'joined' || this.#probeTimer !== undefined) return;
    this.#sendJoin();
    this.#probeTimer = setTimeout(() => { this.#probeTimer = undefined; this.#abandon(); }, PROBE_TIMEOUT_MS);
  }

  /** Closes the socket as a broken network would, for tests: the membership is kept. */
  dropSocket() { this.#abandon(); }

  #retryNow() {
    if (this.#socket) return;
    this.#clearTimers();
    this.#open();
  }

  #open() {
    const socket = this.#standby?.take() ?? new WebSocket(this.url);
    this.#standby = null;
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#abandon(), CONNECT_TIMEOUT_MS);
    socket.onopen = () => this.#greet();
    socket.onmessage = (event) => { if (socket === this.#socket) this.#handleMessage(event.data); };
    socket.onclose = (event) => { if (socket === this.#socket) this.#handleClose(event.code); };
    if (socket.readyState === WebSocket.OPEN) this.#greet();
  }

  #greet() {
    this.#send({ type: 'hello', versions: PROTOCOL_VERSIONS, client: CLIENT_NAME });
    this.#sendJoin();
  }

  #sendJoin() {
    const { password, access } = this.#secrets;
    this.#send({ type: 'join', room: this.#room, name: this.#name, resume: this.#resumeToken, access, password });
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** @param {unknown} data */
  #handleMessage(data) {
    clearTimeout(this.#probeTimer);
    this.#probeTimer = undefined;
    const message = parseServerMessage(data);
    if (!message) return;
    switch (message.type) {
      case 'welcome': return;
      case 'joined': this.#handleJoined(message); return;
      case 'error': this.#handleError(message); return;
      case 'policy': this.#handlePolicy(message.policy, message.resume_token); this.handlers.onMessage(message); return;
      default: this.handlers.onMessage(message);
    }
  }

  /** @param {Joined} message */
  #handleJoined(message) {
    clearTimeout(this.#timer);
    clearTimeout(this.#giveUpTimer);
    this.#attempt = 0;
    this.#retryAfterMs = null;
    this.#refusal = null;
    this.#room = message.room;
    this.#resumeToken = message.resume_token;
    this.#setState('joined');
    this.handlers.onJoined(message);
  }

  /** @param {Partial<RoomPolicy>} policy @param {string} token takes the place of the earlier one */
  #handlePolicy(policy, token) {
    if (this.#resumeToken !== null) this.#resumeToken = token;
    if (!policy.has_password) this.#secrets = { ...this.#secrets, password: null };
  }

  /** @param {ServerError} error */
  #handleError(error) {
    // In the room, only a server that goes away says when to come back; other waits are about other things.
    const isAboutReturn = this.#state !== 'joined' || error.code === 'going_away';
    if (isAboutReturn && typeof error.retry_after_ms === 'number') this.#retryAfterMs = error.retry_after_ms;
    if (FATAL_ERRORS.has(error.code)) { this.#fail(error); return; }
    if (this.#state === 'joined') { this.handlers.onError(error); return; }
    // A wrong password is not tried again by itself: each try counts as a guess.
    if (error.code === 'password_wrong') this.#secrets = { ...this.#secrets, password: null };
    const isMember = this.#resumeToken !== null;
    const mayComeBack = FATAL_FIRST_JOIN_ERRORS.has(error.code);
    if (FATAL_JOIN_ERRORS.has(error.code) || (mayComeBack && !isMember)) { this.#fail(error); return; }
    // Come back with a new socket, when the server said.
    if (mayComeBack || PUT_OFF_ERRORS.has(error.code)) { this.#refusal = error; this.#abandon(); return; }
    this.handlers.onError(error);
  }

  /** @param {number} code */
  #handleClose(code) {
    this.#socket = null;
    this.#clearTimers();
    if (code === 4000) { this.#fail({ type: 'error', code: 'unsupported_version', message: 'This page and the server are of different versions. Reload the page.' }); return; }
    if (code === 4002) { this.#fail({ type: 'error', code: 'replaced', message: 'The call was taken over by another connection.' }); return; }
    if (code === 4003) { this.#fail({ type: 'error', code: 'removed', message: 'You were removed from this room.' }); return; }
    this.#setState(this.#resumeToken === null ? 'connecting' : 'reconnecting', this.#refusal ?? UNREACHABLE);
    this.#refusal = null;
    const delay = reconnectDelayMs(this.#attempt++, this.random(), this.#retryAfterMs);
    this.#retryAfterMs = null;
    this.#timer = setTimeout(() => this.#open(), delay);
  }

  /** Gives the socket up without leaving the room, and goes on as if it had broken. */
  #abandon() {
    const socket = this.#socket;
    if (!socket) return;
    socket.onclose = null;
    socket.onmessage = null;
    socket.close(CLOSE_RECONNECTING);
    this.#handleClose(CLOSE_RECONNECTING);
  }

  #giveUp() {
    if (this.#resumeToken !== null) return;
    this.#fail(this.#problem && this.#problem !== UNREACHABLE ? this.#problem : NEVER_REACHED);
  }

  /** @param {ServerError} error */
  #fail(error) {
    this.leave();
    this.handlers.onFailed(error);
  }

  #clearTimers() {
    clearTimeout(this.#timer);
    clearTimeout(this.#probeTimer);
    this.#probeTimer = undefined;
  }

  /** @param {SignalingState} state @param {ServerError|null} [problem] */
  #setState(state, problem = null) {
    if (this.#state === state && this.#problem === problem) return;
    this.#state = state;
    this.#problem = problem;
    this.handlers.onState(state);
  }
}
