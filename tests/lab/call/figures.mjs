/**
 * What the times at which pictures were shown, and the bytes that arrived, say of a call. Pure; the same for a native peer and a page.
 *
 * Times are Unix milliseconds. A picture is `{shownMs, stampMs}`: when it was shown, and the time written on it (null: not readable).
 * What can't be said of too little is undefined, never 0.
 */

/** The least value that this share of all does not pass. @param {number[]} values @param {number} share */
export function quantile(values, share) {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))];
}

/** W3C webrtc-stats averages so many intervals. */
const AVERAGED = 30;
/** The clip's, for a picture after which no other one came. */
const USUAL_MS = 1_000 / 30;

/**
 * Time without a new picture between two moments, by the W3C rule for `freezeCount`: an interval of at least three times the average,
 * and at least 150 ms more than it. One that has not ended when the measurement does counts as far as it goes: a picture that
 * stands still for good is frozen. Of one that began before, only what lies within counts.
 * @param {number[]} shownMs in order @param {number} from @param {number} to
 */
export function freezes(shownMs, from, to) {
  const intervals = [];
  let [count, frozenMs] = [0, 0];
  const ends = [...shownMs.filter((shown) => shown < to), to];
  for (let index = 1; index < ends.length; index += 1) {
    const interval = ends[index] - ends[index - 1];
    const average = intervals.length > 0 ? intervals.reduce((sum, one) => sum + one, 0) / intervals.length : index === ends.length - 1 ? USUAL_MS : Infinity;
    if (interval >= Math.max(3 * average, average + 150) && ends[index] > from) {
      count += 1;
      frozenMs += ends[index] - Math.max(from, ends[index - 1]);
    }
    intervals.push(interval);
    if (intervals.length > AVERAGED) intervals.shift();
  }
  // Nothing was ever shown: all of it.
  if (ends.length === 1) return { count: 1, frozenMs: to - from };
  return { count, frozenMs };
}

/** The longest time without a new picture that ends after `from`, up to `to`. @param {number[]} shownMs @param {number} from @param {number} to */
export function longestGapMs(shownMs, from, to) {
  const before = shownMs.filter((shown) => shown <= from).at(-1);
  const marks = [before ?? from, ...shownMs.filter((shown) => shown > from && shown < to), to];
  return Math.max(...marks.slice(1).map((mark, index) => mark - marks[index]));
}

/** Seconds in gaps of at least `leastMs` between two moments. @param {number[]} shownMs @param {number} from @param {number} to @param {number} [leastMs] */
export function pauseSeconds(shownMs, from, to, leastMs = 1_000) {
  const marks = [from, ...shownMs.filter((shown) => shown > from && shown < to), to];
  const gaps = marks.slice(1).map((mark, index) => mark - marks[index]);
  return gaps.filter((gap) => gap >= leastMs).reduce((sum, gap) => sum + gap, 0) / 1_000;
}

/** How old each readable picture was when it was shown: `[shownMs, delayMs]`. @param {{shownMs: number, stampMs: number|null}[]} pictures @param {number} from @param {number} to */
export function delays(pictures, from, to) {
  return pictures
    .filter(({ shownMs, stampMs }) => stampMs !== null && shownMs >= from && shownMs < to)
    .map(({ shownMs, stampMs }) => [shownMs, shownMs - stampMs]);
}

/** For a chart: seconds since `from`, and of each tenth of a second the largest value. @param {[number, number][]} series @param {number} from */
export function charted(series, from) {
  const bins = new Map();
  for (const [at, value] of series) {
    const bin = Math.floor((at - from) / 100) / 10;
    bins.set(bin, Math.max(value, bins.get(bin) ?? -Infinity));
  }
  return [...bins].map(([at, value]) => [at, Math.round(value * 10) / 10]);
}

/** A rate in bits a second, as the lab's network is told: 300kbps, 1.5Mbps, none. @param {string} text */
function bitsPerSecond(text) {
  const match = /^([\d.]+) *(bps|kbps|Mbps)$/.exec(text.trim());
  return match ? Number(match[1]) * { bps: 1, kbps: 1e3, Mbps: 1e6 }[match[2]] : undefined;
}

/**
 * What a rule says about the way from one to another: their direction of it, and the value of a word.
 * @param {string} rule `[NAME:] up|down DESCRIPTION` @param {{from: string, to: string}} way @param {string} word
 */
export function valueOf(rule, { from, to }, word) {
  const match = /^(?:([^:]+): *)?(up|down) +(.*)$/.exec(rule.trim());
  if (!match) return undefined;
  const [, who, side, description] = match;
  if (who !== undefined && who.trim() !== (side === 'up' ? from : to)) return undefined;
  const found = description.split(',').map((part) => part.trim().split('=')).findLast(([key]) => key === word);
  return found && { side, value: found[1] ?? '' };
}

/** The path's delay one way in ms, by rules that hold from the start. @param {string[]} rules @param {{from: string, to: string}} way */
export function pathDelayMs(rules, way) {
  const sides = { up: 0, down: 0 };
  for (const rule of rules) {
    const found = valueOf(rule, way, 'delay');
    const match = found && /^([\d.]+)(ms|s)$/.exec(found.value);
    if (match) sides[found.side] = Number(match[1]) * (match[2] === 's' ? 1_000 : 1);
  }
  return sides.up + sides.down;
}

/**
 * From when on the way carries how much: `[fromMs, bps]`, the rules' from the beginning on.
 * @param {string[]} rules @param {[number, string][]} steps seconds after `from`, and a rule @param {{from: string, to: string}} way @param {number} from
 */
export function rateSteps(rules, steps, way, from) {
  const sides = {};
  const capacity = () => Math.min(sides.up ?? Infinity, sides.down ?? Infinity);
  const follow = (rule) => {
    const found = valueOf(rule, way, 'rate');
    if (found) sides[found.side] = bitsPerSecond(found.value);
    return found !== undefined;
  };
  rules.forEach(follow);
  const changes = [[from, capacity()]];
  for (const [second, rule] of steps) if (follow(rule)) changes.push([from + second * 1_000, capacity()]);
  return changes.filter(([, bps]) => Number.isFinite(bps));
}

/** Bits a second that arrived between two moments. @param {{beganMs: number, bytes: number[]}} arrivals by tenths of a second @param {number} from @param {number} to */
export function arrivedBps({ beganMs, bytes }, from, to) {
  const [first, end] = [from, to].map((at) => Math.round((at - beganMs) / 100));
  if (end <= first || first < 0) return undefined;
  return bytes.slice(first, end).reduce((sum, count) => sum + count, 0) * 8 / ((end - first) / 10);
}

/** With less than this arriving next to no picture does. */
const STARVED_BPS = 150_000;

/** Seconds between two moments in which hardly anything arrived, by halves. @param {{beganMs: number, bytes: number[]}} arrivals @param {number} from @param {number} to */
export function starvedSeconds(arrivals, from, to) {
  let seconds = 0;
  for (let at = from; at + 500 <= to; at += 500) {
    const bps = arrivedBps(arrivals, at, at + 500);
    if (bps !== undefined && bps < STARVED_BPS) seconds += 0.5;
  }
  return seconds;
}

/**
 * The share of what the way carries that is used so long after each change of it, on average over the changes: of the second that ends then.
 * A change that another one, or the end, follows sooner says nothing.
 * @param {[number, number][]} changes @param {{beganMs: number, bytes: number[]}} arrivals @param {number} seconds @param {number} end
 */
export function utilisation(changes, arrivals, seconds, end) {
  const shares = changes.flatMap(([at, bps], index) => {
    const until = at + seconds * 1_000;
    if (until > (changes[index + 1]?.[0] ?? end)) return [];
    const used = arrivedBps(arrivals, until - 1_000, until);
    return used === undefined ? [] : [used / bps];
  });
  return shares.length > 0 ? shares.reduce((sum, share) => sum + share, 0) / shares.length : undefined;
}
