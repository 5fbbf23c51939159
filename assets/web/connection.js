// @ts-check
/**
 * One transport to one peer: an RTCPeerConnection and its W3C perfect negotiation (WebRTC 1.0 §10.7), by PROTOCOL.md
 * "Offers, answers, glare".
 *
 * **One operation is in flight at a time**: everything that touches descriptions or candidates goes through one
 * queue, so no step ever sees another one's half-done state.
 */

import { hiddenCandidate, hiddenDescription, restartsIce } from './relay.js';
import { hasCommonVideoCodec, sourcesByMid } from './sdp.js';
import { limitPicture, limitSound, preferVideoCodecs } from './sending.js';

/** @typedef {import('./protocol.js').Signal} Signal */
/** @typedef {import('./protocol.js').StreamDescription} StreamDescription */
/** @typedef {'microphone'|'camera'} LocalSource */
/** @typedef {Record<LocalSource, MediaStreamTrack|null>} LocalTracks */
/**
 * @typedef {object} ConnectionHandlers
 * @property {(signal: Signal) => void} onSignal a step for the other end
 * @property {() => boolean} canSignal whether that step would be delivered now
 * @property {(source: string, track: MediaStreamTrack) => void} onTrack
 * @property {(state: RTCPeerConnectionState) => void} onState
 * @property {(common: boolean) => void} onVideoCodec after each negotiation: is there a video codec in common?
 * @property {() => void} onUnanswered a first offer was lost: this transport is of no more use, another must be made
 * @property {(label: ChannelLabel) => void} onChannelOpen
 * @property {(label: ChannelLabel, data: unknown) => void} onChannelMessage
 */
/** @typedef {'control'|'chat'} ChannelLabel */
/**
 * @typedef {object} ConnectionConfig
 * @property {string} id the connection id of the protocol
 * @property {string} selfId
 * @property {string} peerId
 * @property {boolean} offering whether this side makes the first offer
 * @property {() => RTCIceServer[]} iceServers the newest
 * @property {boolean} relayOnly whether the address is hidden: only relays are used, and no other candidate is told
 * @property {LocalTracks} tracks
 * @property {RTCCertificate|undefined} certificate one for all connections of a call
 */

/** PROTOCOL.md: an offer unanswered for this long is rolled back and made again. */
export const OFFER_TIMEOUT_MS = 10_000;
/** Operations waiting in the queue; a peer that sends faster than it can be served loses the rest. */
const QUEUE_MAX = 256;
/** Candidates that wait for their description, and our own that are kept to be sent again. */
const HELD_CANDIDATES_MAX = 128;
/** Bytes waiting in a data channel beyond which nothing more is put in. */
const CHANNEL_BUFFER_MAX = 1_048_576;
/** Pre-negotiated data channels and their ids. @type {[ChannelLabel, number][]} */
const CHANNELS = [['control', 0], ['chat', 1]];

export class Connection {
  /** @type {Promise<void>} */ #queue = Promise.resolve();
  /** @type {RTCIceCandidateInit[]} */ #heldRemote = [];
  /** @type {Signal[]} */ #heldLocal = [];
  /** Our candidates of the current ICE credentials, and their end. @type {Signal[]} */ #localCandidates = [];
  /** @type {ReturnType<typeof setTimeout>|undefined} */ #offerTimer;
  /** @type {Map<string, string>} */ #remoteSources = new Map();
  /** @type {Map<ChannelLabel, RTCDataChannel>} */ #channels = new Map();
  /** @type {Partial<Record<LocalSource, RTCRtpTransceiver>>} */ #transceivers = {};
  /** What was gathered with last. @type {RTCIceServer[]} */ #iceServers;
  #queued = 0;
  #descriptionSent = false;
  #ignoringOffer = false;
  #negotiated = false;
  /** @type {import('./narrow.js').Picture} */ #picture = 'usual';
  #closed = false;

  /** What went wrong or was dropped, counted for the tests and the details. */
  counters = { offers_sent: 0, answers_sent: 0, glare: 0, rollbacks: 0, ice_restarts: 0, dropped: 0, failed: 0 };
  /** How often ICE began anew, whoever wished it. */ restarts = 0;
  /** The last failure's words, for the console and tests. @type {string|null} */ lastError = null;

  /** @param {ConnectionConfig} config @param {ConnectionHandlers} handlers */
  constructor(config, handlers) {
    this.config = config;
    this.handlers = handlers;
    this.polite = config.selfId < config.peerId;
    this.stream = new MediaStream();
    this.#iceServers = config.iceServers();
    const pc = new RTCPeerConnection({
      iceServers: this.#iceServers,
      iceTransportPolicy: config.relayOnly ? 'relay' : 'all',
      bundlePolicy: 'max-bundle',
      ...(config.certificate ? { certificates: [config.certificate] } : {}),
    });
    this.pc = pc;
    pc.onnegotiationneeded = () => this.#handleNegotiationNeeded();
    pc.onicecandidate = ({ candidate }) => this.#handleLocalCandidate(candidate);
    pc.ontrack = ({ track, transceiver }) => this.#handleTrack(track, transceiver.mid ?? '');
    pc.onconnectionstatechange = () => { if (!this.#closed) handlers.onState(pc.connectionState); };
    for (const [label, id] of CHANNELS) this.#openChannel(label, id);
    if (config.offering) this.#addTransceivers();
  }

  get id() { return this.config.id; }

  /** W3C connection state; `closed` once this side closed it. */
  get state() { return this.pc.connectionState; }

  /** This side offered first and no answer ever came: such an offer may cross the other side's first one. */
  get isFreshOffer() { return this.config.offering && !this.#negotiated; }

  /** An offer of this side waits for its answer. */
  get isOffering() { return this.pc.signalingState === 'have-local-offer'; }

  /** Changes while sound or pictures come: the last RTP timestamps that were played or shown (WebRTC 1.0 §5.3). */
  get heard() {
    const sources = this.pc.getReceivers().flatMap((receiver) => receiver.getSynchronizationSources?.() ?? []);
    return sources.map(({ rtpTimestamp }) => rtpTimestamp).join();
  }

  /** Makes an offer as soon as it may be made. */
  negotiate() { this.#enqueue(() => this.#offer()); }

  /** Asks for new ICE credentials and paths (RFC 8445 §2.4) through a new offer. */
  restartIce() {
    if (this.#closed) return;
    this.counters.ice_restarts += 1;
    this.restarts += 1;
    this.#gatherWithNewestIceServers();
    this.pc.restartIce();
    // Mid-negotiation the event comes by itself once stable; a lost offer is made again by its timer.
  }

  /** @param {Signal} signal from the other end */
  handleSignal(signal) {
    switch (signal.kind) {
      case 'offer': this.#enqueue(() => this.#handleOffer(signal.sdp, signal.streams)); break;
      case 'answer': this.#enqueue(() => this.#handleAnswer(signal.sdp, signal.streams)); break;
      case 'candidate': this.#enqueue(() => this.#handleCandidate(signal.candidate)); break;
      case 'end_of_candidates': break; // a trickling browser needs no end
    }
  }

  /** The peer was away and is back: an offer it never got is made again at once. */
  retryOffer() {
    this.#enqueue(async () => {
      if (this.pc.signalingState === 'have-local-offer') await this.#rollBackAndOffer();
    });
  }

  /** Says again what was lost on the way: the offer that waits, and candidates while no media flows. */
  resend() {
    this.#enqueue(async () => {
      if (this.isOffering) { this.#sendDescription('offer'); this.#armOfferTimer(); }
      if (this.state !== 'connected') for (const signal of this.#localCandidates) this.handlers.onSignal(signal);
    });
  }

  /** What is sent from now on; null sends nothing. Never renegotiates. @param {LocalSource} source @param {MediaStreamTrack|null} track */
  async setTrack(source, track) {
    this.config.tracks[source] = track;
    const sender = this.#transceivers[source]?.sender;
    if (!sender || this.#closed) return;
    try {
      await sender.replaceTrack(track);
      if (source === 'camera') await limitPicture(sender, this.#picture);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** False when the channel is not open (or far behind), so nothing was sent. @param {ChannelLabel} label @param {object} message */
  send(label, message) {
    const channel = this.#channels.get(label);
    if (channel?.readyState !== 'open' || channel.bufferedAmount > CHANNEL_BUFFER_MAX) return false;
    channel.send(JSON.stringify(message));
    return true;
  }

  /** Whether a message would be sent now. @param {ChannelLabel} label */
  isOpen(label) { return this.#channels.get(label)?.readyState === 'open'; }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#offerTimer);
    this.pc.onnegotiationneeded = this.pc.onicecandidate = this.pc.ontrack = this.pc.onconnectionstatechange = null;
    for (const channel of this.#channels.values()) channel.onopen = channel.onmessage = null;
    this.pc.close();
  }

  /** @param {() => Promise<void>} operation */
  #enqueue(operation) {
    if (this.#closed) return;
    if (this.#queued >= QUEUE_MAX) { this.counters.dropped += 1; return; }
    this.#queued += 1;
    this.#queue = this.#queue.then(async () => {
      this.#queued -= 1;
      if (this.#closed) return;
      try { await operation(); } catch (error) { this.#fail(error); }
    });
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#closed) return;
    this.counters.failed += 1;
    this.lastError = String(error).slice(0, 300);
    console.warn('negotiation:', this.lastError);
  }

  #handleNegotiationNeeded() {
    // The answering side has only its data channels before the first offer: nothing worth offering.
    if (!this.#negotiated && !this.config.offering) return;
    this.negotiate();
  }

  async #offer() {
    if (this.pc.signalingState !== 'stable') return; // asked again by the browser once stable
    this.#descriptionSent = false;
    await this.pc.setLocalDescription();
    if (this.#closed || this.pc.localDescription?.type !== 'offer') return;
    this.counters.offers_sent += 1;
    this.#sendDescription('offer');
    this.#armOfferTimer();
  }

  #armOfferTimer() {
    clearTimeout(this.#offerTimer);
    this.#offerTimer = setTimeout(() => this.#enqueue(async () => {
      if (this.pc.signalingState !== 'have-local-offer') return;
      if (this.handlers.canSignal()) await this.#rollBackAndOffer();
      else this.#armOfferTimer(); // nobody could answer meanwhile
    }), OFFER_TIMEOUT_MS);
  }

  async #rollBackAndOffer() {
    // Chromium rolls a first offer's data channels back for good ("Failed to start SCTP transport"), so the first
    // offer is made again on a fresh connection; PROTOCOL.md lets an offerer start anew at any time.
    if (this.isFreshOffer) { this.handlers.onUnanswered(); return; }
    this.counters.rollbacks += 1;
    await this.pc.setLocalDescription({ type: 'rollback' });
    await this.#offer();
  }

  /** @param {string} sdp @param {unknown} streams */
  async #handleOffer(sdp, streams) {
    const collision = this.pc.signalingState !== 'stable';
    if (collision) this.counters.glare += 1;
    this.#ignoringOffer = collision && !this.polite;
    if (this.#ignoringOffer) return;
    if (collision) {
      this.counters.rollbacks += 1;
      await this.pc.setLocalDescription({ type: 'rollback' });
    }
    clearTimeout(this.#offerTimer);
    this.#remoteSources = sourcesByMid(sdp, streams, this.config.peerId);
    if (this.pc.remoteDescription && restartsIce(this.pc.remoteDescription.sdp, sdp)) {
      this.restarts += 1;
      this.#gatherWithNewestIceServers();
    }
    await this.pc.setRemoteDescription({ type: 'offer', sdp });
    this.#adoptTransceivers();
    await this.#flushHeldCandidates();
    this.#descriptionSent = false;
    await this.pc.setLocalDescription();
    this.counters.answers_sent += 1;
    this.#sendDescription('answer');
    await this.#handleStable();
  }

  /** @param {string} sdp @param {unknown} streams */
  async #handleAnswer(sdp, streams) {
    if (this.pc.signalingState !== 'have-local-offer') return; // to an offer that was rolled back
    this.#remoteSources = sourcesByMid(sdp, streams, this.config.peerId);
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
    clearTimeout(this.#offerTimer);
    await this.#flushHeldCandidates();
    await this.#handleStable();
  }

  /**
   * Only for an ICE restart, which gathers anew: set at any other time, Chromium would restart ICE with the next offer for the
   * sake of them. What is allocated on a relay keeps the credentials that made it.
   */
  #gatherWithNewestIceServers() {
    const iceServers = this.config.iceServers();
    if (iceServers === this.#iceServers) return;
    try {
      this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers });
      this.#iceServers = iceServers;
    } catch (error) {
      this.#fail(error);
    }
  }

  async #handleStable() {
    if (this.#closed) return;
    this.#negotiated = true;
    const { localDescription: local, remoteDescription: remote } = this.pc;
    if (local && remote) this.handlers.onVideoCodec(hasCommonVideoCodec(local.sdp, remote.sdp));
    const sender = this.#transceivers.camera?.sender;
    if (sender) await limitPicture(sender, this.#picture);
  }

  /** @param {'offer'|'answer'} kind */
  #sendDescription(kind) {
    const local = this.pc.localDescription?.sdp ?? '';
    const sdp = this.config.relayOnly ? hiddenDescription(local) : local;
    /** @type {StreamDescription[]} */
    const streams = [];
    for (const source of /** @type {LocalSource[]} */ (['microphone', 'camera'])) {
      const mid = this.#transceivers[source]?.mid;
      if (mid) streams.push({ mid, owner: this.config.selfId, source });
    }
    this.handlers.onSignal({ kind, sdp, streams });
    this.#descriptionSent = true;
    for (const signal of this.#heldLocal.splice(0)) this.handlers.onSignal(signal);
  }

  /** @param {RTCIceCandidate|null} candidate */
  #handleLocalCandidate(candidate) {
    if (candidate && candidate.candidate === '') return; // the end of one section; the end of all is null
    const told = candidate?.toJSON();
    if (told && this.config.relayOnly) {
      const hidden = hiddenCandidate(told.candidate ?? '');
      if (hidden === null) return;
      told.candidate = hidden;
    }
    /** @type {Signal} */
    const signal = told ? { kind: 'candidate', candidate: told } : { kind: 'end_of_candidates' };
    this.#keepCandidate(signal);
    if (this.#descriptionSent) this.handlers.onSignal(signal);
    else if (this.#heldLocal.length < HELD_CANDIDATES_MAX) this.#heldLocal.push(signal);
  }

  /** @param {Signal} signal */
  #keepCandidate(signal) {
    const [first] = this.#localCandidates;
    // An ICE restart makes the earlier ones worthless.
    const isOfNewCredentials = signal.kind === 'candidate' && first?.kind === 'candidate'
      && first.candidate.usernameFragment !== signal.candidate.usernameFragment;
    if (isOfNewCredentials) this.#localCandidates = [];
    if (this.#localCandidates.length < HELD_CANDIDATES_MAX) this.#localCandidates.push(signal);
  }

  /** @param {RTCIceCandidateInit} candidate */
  async #handleCandidate(candidate) {
    if (!this.pc.remoteDescription) {
      if (this.#heldRemote.length < HELD_CANDIDATES_MAX) this.#heldRemote.push(candidate);
      else this.counters.dropped += 1;
      return;
    }
    await this.#addCandidate(candidate);
  }

  async #flushHeldCandidates() {
    for (const candidate of this.#heldRemote.splice(0)) await this.#addCandidate(candidate);
  }

  /** One bad candidate must not stop the others. @param {RTCIceCandidateInit} candidate */
  async #addCandidate(candidate) {
    try {
      await this.pc.addIceCandidate(candidate);
    } catch (error) {
      if (!this.#ignoringOffer) this.#fail(error);
    }
  }

  /** The offering side's permanent pair, audio first. */
  #addTransceivers() {
    for (const [source, kind] of /** @type {[LocalSource, string][]} */ ([['microphone', 'audio'], ['camera', 'video']])) {
      const transceiver = this.pc.addTransceiver(kind, { direction: 'sendrecv', streams: [this.stream] });
      this.#useTransceiver(source, transceiver);
    }
  }

  /** The answering side takes the offered sections for its own permanent pair (JSEP matches none it added itself). */
  #adoptTransceivers() {
    for (const [source, kind] of /** @type {[LocalSource, string][]} */ ([['microphone', 'audio'], ['camera', 'video']])) {
      if (this.#transceivers[source]) continue;
      const transceiver = this.pc.getTransceivers().find(({ receiver }) => receiver.track.kind === kind);
      if (!transceiver) continue;
      transceiver.direction = 'sendrecv';
      transceiver.sender.setStreams?.(this.stream);
      this.#useTransceiver(source, transceiver);
    }
  }

  /** @param {LocalSource} source @param {RTCRtpTransceiver} transceiver */
  #useTransceiver(source, transceiver) {
    this.#transceivers[source] = transceiver;
    if (source === 'camera') preferVideoCodecs(transceiver);
    transceiver.sender.replaceTrack(this.config.tracks[source]).catch((error) => this.#fail(error));
  }

  /** Which picture goes this way; beside less than the usual one the sound takes less, too. @param {import('./narrow.js').Picture} picture */
  async setPicture(picture) {
    this.#picture = picture;
    const { microphone, camera } = this.#transceivers;
    const changes = await Promise.allSettled([camera && limitPicture(camera.sender, picture), microphone && limitSound(microphone.sender, picture)]);
    for (const change of changes) if (change.status === 'rejected') this.#fail(change.reason);
  }

  /** @param {MediaStreamTrack} track @param {string} mid */
  #handleTrack(track, mid) {
    const source = this.#remoteSources.get(mid);
    if (source) this.handlers.onTrack(source, track);
  }

  /** @param {ChannelLabel} label @param {number} id */
  #openChannel(label, id) {
    const channel = this.pc.createDataChannel(label, { negotiated: true, id, ordered: true });
    channel.onopen = () => this.handlers.onChannelOpen(label);
    channel.onmessage = ({ data }) => this.handlers.onChannelMessage(label, data);
    this.#channels.set(label, channel);
  }
}
