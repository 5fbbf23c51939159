// @ts-check
/**
 * Which picture a connection carries beside sound. A browser sends the usual one down to the last kilobit, and at the end half of the sound is
 * lost: who talks wants to be heard. So a small picture takes its place there, and where even that costs sound there is none, and the sound takes less. What
 * the way carries is only found out by sending: after a while the next larger picture is tried, the later the more often that was in vain. Pure.
 */

/** Between two looks. */
export const NARROW_LOOK_MS = 1_000;
/** @typedef {'usual'|'small'|'none'} Picture */
/** @typedef {{atMs: number, roundTripMs: number|null, soundLoss: number|null}} Report of the other end, and when it came */
/**
 * What is known of the way: round trips of checks, reports on what we send, the network that it begins with, and how often ICE began anew. Times are of
 * the clock of the statistics.
 * @typedef {{atMs: number, estimateBps: number|null, checksMs: number[], reports: Report[], network: string|null, restarts: number}} Path
 */
/** @type {Picture[]} What is tried after a while. */
const LARGER = ['none', 'small', 'usual'];
/** Chromium's estimate of a way that carries less than the least it sends, which is 87 kbps, stays there. Who tells no estimate sends as before. */
const ESTIMATE_MIN_BPS = 100_000;
/** With less the usual picture stands still most of the time. */
const ESTIMATE_USUAL_BPS = 130_000;
/** From this share of lost sound on it is worth more than the small picture. */
const SOUND_LOSS = 0.15;
/** So much longer than at its best the way takes only with a queue on it; loss alone presses the estimate as low. */
const QUEUE_MS = 100;
/** Looks in a row that say so. */
const SHORT_LOOKS = 3;
/** Looks after which what was made of the usual picture has left, and it is known what became of the sound beside it. */
const SETTLE_LOOKS = 5;
/** Looks after which what was tried is judged. */
const JUDGED_LOOKS = SETTLE_LOOKS + SHORT_LOOKS;
/** Looks until a larger picture is tried; doubled when it was in vain. */
const REST_LOOKS = 20;
const REST_LOOKS_MAX = 160;
/** A picture that stops within so many looks was tried in vain. */
const RELAPSE_LOOKS = 60;

export class Narrow {
  /** @type {Picture} */ picture = 'usual';
  /**
   * The shortest round trip on this network of ours. A full way that is looked for anew is still known by it. Where the other end's network has made the way
   * longer that is taken for a queue, which matters only where the estimate is as low.
   */
  #bestMs = Infinity;
  /** @type {string|null} */ #network = null;
  #short = 0;
  #rest = REST_LOOKS;
  /** Looks since it changed. */ #since = 0;
  /** Looks since a larger one was tried. */ #sinceTried = RELAPSE_LOOKS;
  #restarts = 0;
  /** When the way was found anew: reports of before are on another, or on a queue that is gone. */ #foundMs = -Infinity;
  #isRetried = false;

  /** Whether it changed just now. @param {Path} path */
  look(path) {
    this.#since += 1;
    this.#sinceTried += 1;
    const less = this.#less(path, this.#noteRoundTrips(path));
    // What is not known now was so a moment ago.
    if (path.estimateBps !== null) this.#short = less !== null || this.#short < 0 ? this.#short + 1 : 0;
    if (less !== null && this.#short >= SHORT_LOOKS) {
      this.#rest = this.#sinceTried < RELAPSE_LOOKS ? Math.min(this.#rest * 2, REST_LOOKS_MAX) : REST_LOOKS;
      this.#isRetried = false;
      this.#turn(less);
      if (less === 'small') this.#short = -SETTLE_LOOKS;
      return true;
    }
    if (this.picture === 'usual') this.#isRetried = false;
    const isDue = this.#since >= this.#rest || (this.#isRetried && this.#since >= JUDGED_LOOKS);
    if (this.picture === 'usual' || !isDue) return false;
    this.#sinceTried = 0;
    return this.#turn(LARGER[LARGER.indexOf(this.picture) + 1]);
  }

  /** The way may be another: larger pictures are tried, each as soon as the one before is judged. */
  retry() { this.#isRetried = true; }

  /** The round trips that count, the best of them remembered. @param {Path} path @returns {number[]} milliseconds */
  #noteRoundTrips({ atMs, checksMs, reports, network, restarts }) {
    if (network !== null && network !== this.#network) {
      this.#network = network;
      this.#bestMs = Infinity;
    }
    if (restarts !== this.#restarts) {
      this.#restarts = restarts;
      this.#foundMs = atMs;
      this.retry();
    }
    const trips = [...checksMs, ...this.#fresh(reports).flatMap(({ roundTripMs }) => roundTripMs ?? [])];
    this.#bestMs = Math.min(this.#bestMs, ...trips);
    return trips;
  }

  /** @param {Report[]} reports */
  #fresh(reports) { return reports.filter(({ atMs }) => atMs > this.#foundMs); }

  /** What there is room for, where that is less than what is sent. @param {Path} path @param {number[]} roundTripsMs @returns {Picture|null} */
  #less({ estimateBps, reports }, roundTripsMs) {
    const hasQueue = Math.max(...roundTripsMs) >= this.#bestMs + QUEUE_MS;
    if (this.picture === 'none' || estimateBps === null || !hasQueue) return null;
    if (this.picture === 'usual') return estimateBps < ESTIMATE_USUAL_BPS ? 'small' : null;
    const soundLoss = Math.max(0, ...this.#fresh(reports).map((report) => report.soundLoss ?? 0));
    return estimateBps < ESTIMATE_MIN_BPS && soundLoss >= SOUND_LOSS ? 'none' : null;
  }

  /** @param {Picture} picture */
  #turn(picture) {
    this.picture = picture;
    this.#since = this.#short = 0;
    return true;
  }
}

/**
 * The way as statistics tell it. Reports on what we send take half a minute to begin where half of all is lost; checks of the way began with it.
 * @param {Iterable<[string, any]>} report an RTCStatsReport
 * @param {number} restarts how often ICE began anew
 * @returns {Path}
 */
export function pathOf(report, restarts) {
  const all = [...report].map(([, stat]) => stat);
  // After a restart of ICE the pair of before stays nominated, with its last round trip.
  const transport = all.find((stat) => stat.type === 'transport' && stat.selectedCandidatePairId);
  const used = transport?.selectedCandidatePairId;
  const pairs = all.filter((stat) => stat.type === 'candidate-pair' && (used ? stat.id === used : stat.nominated));
  const local = all.find((stat) => stat.type === 'local-candidate' && stat.id === pairs[0]?.localCandidateId);
  const estimates = pairs.map((stat) => stat.availableOutgoingBitrate).filter(Number.isFinite);
  return {
    atMs: (transport ?? pairs[0])?.timestamp ?? 0,
    estimateBps: estimates.length > 0 ? Math.max(...estimates) : null,
    checksMs: pairs.map((stat) => stat.currentRoundTripTime * 1_000).filter(Number.isFinite),
    reports: all.filter((stat) => stat.type === 'remote-inbound-rtp').map((stat) => ({
      atMs: stat.timestamp ?? Infinity,
      roundTripMs: stat.roundTripTime === undefined ? null : stat.roundTripTime * 1_000,
      soundLoss: stat.kind === 'audio' ? stat.fractionLost ?? null : null,
    })),
    // Addresses are hidden.
    network: local ? `${local.networkType ?? ''} ${local.candidateType === 'relay' ? 'relay' : ''}` : null,
    restarts,
  };
}
