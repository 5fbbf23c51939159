/**
 * Which figures each group of scenarios tells, from what was kept at both ends of a call. Pure.
 *
 * @typedef {object} End one who saw and heard the other
 * @property {{shownMs: number, stampMs: number|null}[]} pictures
 * @property {object|null} heard a recording (sound.mjs) @property {object|null} spokenByOther
 * @property {number} concealed samples that were made up @property {number} samples all that were played
 * @property {{from: string, to: string}} way names @property {object} link what the relay counted on the way to this one
 *
 * @typedef {object} Run
 * @property {string} group @property {string[]} rules @property {[number, string][]} steps
 * @property {number} from when the measurement began, Unix ms @property {number} to
 * @property {number} joinedMs when the second was asked to join @property {number} beganMs when the relay's count of bytes began
 * @property {[End, End]} ends
 */

import { arrivedBps, charted, delays, freezes, longestGapMs, pathDelayMs, pauseSeconds, quantile, rateSteps, starvedSeconds, utilisation } from './figures.mjs';
import { findBursts, firstSoundMs, lipSyncMs, soundDelays } from './sound.mjs';

/** What stands still so long after a change of the way is no peak any more. */
const PEAK_SECONDS = 10;

/** Series of the second end are told apart by this. */
const SECOND = ['', '_second'];

/** @param {End} end @param {Run} run */
function soundOf({ heard, spokenByOther }, { from, to }) {
  if (!heard || !spokenByOther) return [];
  return soundDelays(findBursts(spokenByOther), findBursts(heard)).filter(([at]) => at >= from && at < to);
}

/** @param {End} end @param {Run} run */
function picture(end, { from, to }) {
  const shown = end.pictures.map(({ shownMs }) => shownMs);
  const { count, frozenMs } = freezes(shown, from, to);
  return {
    frames_per_second: shown.filter((at) => at >= from && at < to).length / ((to - from) / 1_000),
    frozen_share: frozenMs / (to - from),
    freezes: count,
  };
}

const concealedShare = ({ concealed, samples }) => (samples > 0 ? concealed / samples : undefined);

/** @param {End} end @param {Run} run @param {string} name */
function delay(end, { from, to }, name) {
  const of = delays(end.pictures, from, to).map(([, value]) => value);
  return { [`${name}_p50_ms`]: quantile(of, 0.5), [`${name}_p95_ms`]: quantile(of, 0.95) };
}

const GROUPS = {
  'set-up': (end, run) => {
    const { joinedMs, rules } = run;
    const firstAfter = (times) => times.filter((at) => at > joinedMs).map((at) => at - joinedMs)[0];
    const sound = end.heard && firstSoundMs(end.heard);
    // Without a delay there is chatter in no time, and flights say nothing.
    const hasDelay = pathDelayMs(rules, end.way) > 0;
    return {
      first_frame_ms: firstAfter(end.pictures.map(({ shownMs }) => shownMs)),
      first_sound_ms: sound ? firstAfter([sound]) : undefined,
      round_trips: hasDelay && end.link?.flights_to_media ? end.link.flights_to_media / 2 : undefined,
    };
  },
  delay: (end, run) => {
    const sound = soundOf(end, run);
    const heard = sound.map(([, value]) => value);
    const lips = lipSyncMs(delays(end.pictures, run.from, run.to), sound);
    return {
      ...delay(end, run, 'video_delay'),
      mouth_to_ear_p50_ms: quantile(heard, 0.5),
      mouth_to_ear_p95_ms: quantile(heard, 0.95),
      lip_sync_ms: lips,
      lips_apart_ms: lips === undefined ? undefined : Math.abs(lips),
    };
  },
  loss: (end, run) => ({ ...picture(end, run), ...delay(end, run, 'video_delay'), concealed_share: concealedShare(end) }),
  capacity: (end, run) => {
    const { rules, steps, from, to } = run;
    const shown = end.pictures.map(({ shownMs }) => shownMs);
    const changes = rateSteps(rules, steps, end.way, from);
    const arrivals = { beganMs: run.beganMs, bytes: end.link?.arrived_bytes_per_100ms ?? [] };
    const last = changes.at(-1)?.[0] ?? from;
    // What held from the beginning has settled by then: that is no change to be measured from, but what it carries is.
    const [first, ...later] = changes;
    const isStepped = later.length > 0;
    const since = delays(end.pictures, last, to);
    const settled = since.filter(([at]) => at >= Math.min(last + PEAK_SECONDS * 1_000, (last + to) / 2));
    return {
      ...picture(end, run),
      ...isStepped && { utilisation_2s_share: utilisation(later, arrivals, 2, to), starved_s: starvedSeconds(arrivals, last, to) },
      utilisation_10s_share: utilisation(isStepped || !first ? later : [first], arrivals, 10, to),
      video_delay_peak_ms: quantile(since.map(([, value]) => value), 1),
      video_delay_standing_ms: quantile(settled.map(([, value]) => value), 0.5),
      video_pause_s: pauseSeconds(shown, from, to),
      concealed_share: concealedShare(end),
    };
  },
  outage: (end, { steps, from, to }) => {
    const event = steps.find(([, rule]) => /blackout(?!=off)|address /.test(rule));
    const shown = end.pictures.map(({ shownMs }) => shownMs);
    return { without_picture_ms: event && longestGapMs(shown, from + event[0] * 1_000, to) };
  },
};

/** More digits say nothing. @param {number} value */
const rounded = (value) => Math.round(value * 10_000) / 10_000;

/** How long before the end a picture has to be there for it to have come back. */
const BACK_MS = 1_000;

/** Where more of the stamps than this were not readable, it is said. */
const UNREAD_SHARE = 0.05;

/** What is to be said where delays are not those of all pictures. @param {End} end */
function unread({ pictures, way }) {
  const share = unreadShare(pictures);
  return share > UNREAD_SHARE ? [`many pictures of ${way.from} at ${way.to}'s were too coarse for their stamp to be read: delays are of the rest`] : [];
}

const unreadShare = (pictures) => pictures.filter(({ stampMs }) => stampMs === null).length / Math.max(1, pictures.length);

/** What is to be said where the picture did not come back: the time without it is only known to be longer. @param {End} end @param {Run} run */
function neverBack({ pictures, way }, { to }) {
  const isBack = pictures.some(({ shownMs }) => shownMs > to - BACK_MS && shownMs < to);
  return isBack ? [] : [`the picture of ${way.from} was not back at ${way.to}'s when the measurement ended`];
}

/** Seconds since the beginning, kilobits a second. @param {Run} run @param {End} end */
function arrivedSeries({ from, to, beganMs }, { link }) {
  const arrivals = { beganMs, bytes: link?.arrived_bytes_per_100ms ?? [] };
  const series = [];
  for (let at = from; at + 500 <= to; at += 500) {
    const bps = arrivedBps(arrivals, at, at + 500);
    if (bps !== undefined) series.push([(at - from) / 1_000, Math.round(bps / 100) / 10]);
  }
  return series;
}

/**
 * @param {Run} run
 * @returns {{figures: Record<string, number[]>, series: Record<string, [number, number][]>, unread_share: number[]}} each figure of both
 *   ends in their order; one that could not be taken at one of them is null there, at both of them left out, and named in `missing`
 */
export function figuresOf(run) {
  const taken = run.ends.map((end) => GROUPS[run.group](end, run));
  const [figures, missing] = [{}, []];
  for (const name of Object.keys(taken[0])) {
    const values = taken.map((one) => one[name]);
    if (values.some(Number.isFinite)) figures[name] = values.map((value) => (Number.isFinite(value) ? rounded(value) : null));
    if (!values.every(Number.isFinite)) missing.push(name);
  }
  const notes = [...run.group === 'outage' ? run.ends.flatMap((end) => neverBack(end, run)) : [], ...run.ends.flatMap(unread)];
  const series = {};
  if (run.group === 'capacity' || run.group === 'outage') {
    run.ends.forEach((end, index) => {
      series[`video_delay_ms${SECOND[index]}`] = charted(delays(end.pictures, run.from, run.to), run.from);
      series[`arrived_kbps${SECOND[index]}`] = arrivedSeries(run, end);
    });
  }
  return { figures, series, missing, notes, unread_share: run.ends.map(({ pictures }) => unreadShare(pictures)) };
}
