// @ts-check
/**
 * Whether a peer that sends all the time has fallen silent, seconds before the browser says so: it hears of an address that died or changed
 * only by the checks that fail. Time is counted in looks: while a page stands still nothing was heard, and nothing was missed. Pure.
 */

/** Between two looks. */
export const LOOK_MS = 250;
/** Looks in a row that heard something, before a peer can be missed. */
const LIVELY_LOOKS = 8;
/** Looks without anything that are a silence: a second, for fifty packets of sound. Where it was none, an ICE restart costs some round trips. */
const SILENT_LOOKS = 4;
/** The polite end looks once more: an offer of theirs has come by then, and none crosses it. */
const POLITE_LOOKS = 5;
/** After the network changed half of that is enough, */
const HINTED_LOOKS = 2;
/** for so many looks: ten seconds. */
const HINT_LOOKS = 40;
/** Between two silences that count. A way that is lost more often is not lost but bad, and a restart interrupts what still comes. */
export const SILENCE_REST_MS = 30_000;

export class Silence {
  #heard = '';
  /** Looks in a row that heard something, until they are enough. */ #lively = 0;
  #silent = 0;
  #hintedLooks = 0;
  #restsUntil = -Infinity;
  #looks;

  /** @param {boolean} isPolite */
  constructor(isPolite) { this.#looks = isPolite ? POLITE_LOOKS : SILENT_LOOKS; }

  /** Whether they were heard for long enough to be missed. */
  get isLively() { return this.#lively === LIVELY_LOOKS; }

  /** The network changed: whoever is not heard now is missed sooner. */
  hint() { this.#hintedLooks = HINT_LOOKS; }

  /** Nothing is to be missed now. */
  forget() { this.#lively = this.#silent = 0; }

  /**
   * Whether they fell silent just now.
   * @param {string} heard changes while something comes
   * @param {number} now milliseconds
   */
  look(heard, now) {
    const isHeard = heard !== this.#heard;
    this.#heard = heard;
    if (this.#hintedLooks > 0) this.#hintedLooks -= 1;
    if (isHeard) {
      this.#lively = Math.min(this.#lively + 1, LIVELY_LOOKS);
      this.#silent = 0;
      return false;
    }
    this.#silent += 1;
    const isSilence = this.#silent >= (this.#hintedLooks > 0 ? HINTED_LOOKS : this.#looks);
    if (!isSilence) return false;
    const isMissed = this.isLively && now >= this.#restsUntil;
    this.forget();
    if (isMissed) this.#restsUntil = now + SILENCE_REST_MS;
    return isMissed;
  }
}
