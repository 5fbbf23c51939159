// @ts-check
/**
 * Whether a connection carries a picture beside sound. A browser sends both down to the last kilobit, and at the end half of the sound is
 * lost: who talks wants to be heard. So the picture stops there, and the sound takes less. What the way carries is only found out by sending:
 * after a while the picture is tried again, the later the more often that was in vain. Pure.
 */

/** Between two looks. */
export const NARROW_LOOK_MS = 1_000;
/** Chromium's estimate of a way that carries less than the least it sends, which is 87 kbps, stays there. Who tells no estimate sends as before. */
const ESTIMATE_MIN_BPS = 100_000;
/** From this share of lost sound on it is worth more than the picture. */
const SOUND_LOSS = 0.15;
/** So much longer than at its best the way takes only with a queue on it; loss alone presses the estimate as low. */
const QUEUE_MS = 100;
/** Looks in a row that say so. */
const SHORT_LOOKS = 3;
/** Looks until the picture is tried again; doubled when it was in vain. */
const REST_LOOKS = 20;
const REST_LOOKS_MAX = 160;
/** A picture that stops within so many looks was tried in vain. */
const RELAPSE_LOOKS = 60;

export class Narrow {
  isNarrow = false;
  #bestMs = Infinity;
  #short = 0;
  #rest = REST_LOOKS;
  /** Looks since it changed. */ #since = RELAPSE_LOOKS;

  /**
   * Whether it changed just now.
   * @param {{estimateBps: number|null, roundTripsMs: number[], soundLoss: number}} path what is known of the way
   */
  look({ estimateBps, roundTripsMs, soundLoss }) {
    this.#since += 1;
    this.#bestMs = Math.min(this.#bestMs, ...roundTripsMs);
    if (this.isNarrow) return this.#since >= this.#rest && this.#turn(false);
    // What is not known now was so a moment ago.
    if (estimateBps === null) return false;
    const hasQueue = Math.max(...roundTripsMs) >= this.#bestMs + QUEUE_MS;
    const isShort = estimateBps < ESTIMATE_MIN_BPS && hasQueue && soundLoss >= SOUND_LOSS;
    this.#short = isShort ? this.#short + 1 : 0;
    if (this.#short < SHORT_LOOKS) return false;
    this.#rest = this.#since < RELAPSE_LOOKS ? Math.min(Math.max(this.#rest * 2, REST_LOOKS), REST_LOOKS_MAX) : REST_LOOKS;
    return this.#turn(true);
  }

  /** The way may be another: nothing of what was known of it counts, and a picture is tried at the next look. */
  forget() {
    this.#bestMs = Infinity;
    this.#short = 0;
    this.#rest = 0;
  }

  /** @param {boolean} isNarrow */
  #turn(isNarrow) {
    this.isNarrow = isNarrow;
    this.#since = this.#short = 0;
    return true;
  }
}

/**
 * The way as statistics tell it. Reports on what we send take half a minute to begin where half of all is lost; checks of the way began with it.
 * @param {Iterable<[string, any]>} report an RTCStatsReport
 */
export function pathOf(report) {
  const all = [...report].map(([, stat]) => stat);
  const pairs = all.filter((stat) => stat.type === 'candidate-pair' && stat.nominated);
  const reports = all.filter((stat) => stat.type === 'remote-inbound-rtp');
  const trips = [...pairs.map((stat) => stat.currentRoundTripTime), ...reports.map((stat) => stat.roundTripTime)].filter(Number.isFinite);
  const estimates = pairs.map((stat) => stat.availableOutgoingBitrate).filter(Number.isFinite);
  const losses = reports.filter((stat) => stat.kind === 'audio').map((stat) => stat.fractionLost).filter(Number.isFinite);
  return { estimateBps: estimates.length > 0 ? Math.max(...estimates) : null, roundTripsMs: trips.map((seconds) => seconds * 1_000), soundLoss: Math.max(0, ...losses) };
}
