// @ts-check
/**
 * Which picture a connection carries beside sound. A browser sends the usual one down to the last kilobit, and at the end half of the sound is
 * lost: who talks wants to be heard. So a small picture takes its place there, and where even that costs sound there is none, and the sound takes less. What
 * the way carries is only found out by sending: after a while the next larger picture is tried, the later the more often that was in vain. Pure.
 */

/** Between two looks. */
export const NARROW_LOOK_MS = 1_000;
/** @typedef {'usual'|'small'|'none'} Picture */
/** @typedef {{estimateBps: number|null, roundTripsMs: number[], soundLoss: number, atMs: number}} Path what is known of the way, and when by the clock of the statistics */
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
/** The best of so many looks: a way that has become longer is known in the end. */
const TRIPS_LOOKS = 120;
/** Looks in a row that say so. */
const SHORT_LOOKS = 3;
/** Looks after which what was made of the usual picture has left, and it is known what became of the sound beside it. */
const SETTLE_LOOKS = 5;
/** Looks until a larger picture is tried; doubled when it was in vain. */
const REST_LOOKS = 20;
const REST_LOOKS_MAX = 160;
/** A picture that stops within so many looks was tried in vain. */
const RELAPSE_LOOKS = 60;

export class Narrow {
  /** @type {Picture} */ picture = 'usual';
  /** The shortest round trip of each look. @type {number[]} */ #tripsMs = [];
  #short = 0;
  #rest = REST_LOOKS;
  /** Looks since it changed. */ #since = 0;
  /** Looks since a larger one was tried. */ #sinceTried = RELAPSE_LOOKS;
  /** When it was looked at last. */ #atMs = 0;
  /** What the other end reported until then counts no more. */ staleMs = 0;

  /** Whether it changed just now. @param {Path} path */
  look(path) {
    this.#atMs = path.atMs;
    this.#since += 1;
    this.#sinceTried += 1;
    if (path.roundTripsMs.length > 0) this.#tripsMs.push(Math.min(...path.roundTripsMs));
    if (this.#tripsMs.length > TRIPS_LOOKS) this.#tripsMs.shift();
    const less = this.#less(path);
    // What is not known now was so a moment ago.
    if (path.estimateBps !== null) this.#short = less !== null || this.#short < 0 ? this.#short + 1 : 0;
    if (less !== null && this.#short >= SHORT_LOOKS) {
      this.#rest = this.#sinceTried < RELAPSE_LOOKS ? Math.min(Math.max(this.#rest * 2, REST_LOOKS), REST_LOOKS_MAX) : REST_LOOKS;
      this.#turn(less);
      if (less === 'small') this.#short = -SETTLE_LOOKS;
      return true;
    }
    if (this.picture === 'usual' || this.#since < this.#rest) return false;
    this.#sinceTried = 0;
    // However soon it was tried, it is judged before the next.
    this.#rest = Math.max(this.#rest, SETTLE_LOOKS + SHORT_LOOKS);
    return this.#turn(LARGER[LARGER.indexOf(this.picture) + 1]);
  }

  /** It was looked for anew: a larger picture is tried at the next look. Mostly it is the way of before, and whether a queue stands on it is still known. */
  retry() {
    this.#short = 0;
    this.#rest = 0;
    this.staleMs = this.#atMs;
  }

  /** It is another: nothing of what was known of it counts. */
  forget() {
    this.#tripsMs = [];
    this.retry();
  }

  /** What there is room for, where that is less than what is sent. @param {Path} path @returns {Picture|null} */
  #less({ estimateBps, roundTripsMs, soundLoss }) {
    const hasQueue = Math.max(...roundTripsMs) >= Math.min(...this.#tripsMs) + QUEUE_MS;
    if (this.picture === 'none' || estimateBps === null || !hasQueue) return null;
    if (this.picture === 'usual') return estimateBps < ESTIMATE_USUAL_BPS ? 'small' : null;
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
 * @param {number} [staleMs] what the other end reported until then is left out
 */
export function pathOf(report, staleMs = 0) {
  const all = [...report].map(([, stat]) => stat);
  // After a restart of ICE the pair of before stays nominated, with its last round trip.
  const used = all.find((stat) => stat.type === 'transport' && stat.selectedCandidatePairId)?.selectedCandidatePairId;
  const pairs = all.filter((stat) => stat.type === 'candidate-pair' && (used ? stat.id === used : stat.nominated));
  const reports = all.filter((stat) => stat.type === 'remote-inbound-rtp' && !(stat.timestamp <= staleMs));
  const trips = [...pairs.map((stat) => stat.currentRoundTripTime), ...reports.map((stat) => stat.roundTripTime)].filter(Number.isFinite);
  const estimates = pairs.map((stat) => stat.availableOutgoingBitrate).filter(Number.isFinite);
  const losses = reports.filter((stat) => stat.kind === 'audio').map((stat) => stat.fractionLost).filter(Number.isFinite);
  return {
    estimateBps: estimates.length > 0 ? Math.max(...estimates) : null, roundTripsMs: trips.map((seconds) => seconds * 1_000), soundLoss: Math.max(0, ...losses),
    atMs: Math.max(0, ...all.map((stat) => stat.timestamp).filter(Number.isFinite)),
  };
}
