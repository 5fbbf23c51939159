/** When the figures of a run say more of the machine than of the call. Pure. */

/** How much of the machine others may use; with more, the two ends wait for it, and what they show is late by that. */
const OTHERS_SHARE_MAX = 0.25;
/** A page whose clock is further off than that was not measured. */
const CLOCK_OFFSET_MAX_MS = 5;

/**
 * Why a run says nothing, if it does not.
 * @param {object} run
 * @param {{valid: boolean, p99_us: number, packets: number}} run.lateness the relay's @param {string} run.scheduling how it was scheduled
 * @param {number[]} run.clockOffsetsMs of both ends @param {number} run.othersCores cores that other work used @param {number} run.cores of the machine
 * @returns {string|undefined}
 */
export function invalidReason({ lateness, scheduling, clockOffsetsMs, othersCores, cores }) {
  if (!lateness.valid) return `the relay was late: p99 ${lateness.p99_us} µs of ${lateness.packets} packets (${scheduling})`;
  if (othersCores > OTHERS_SHARE_MAX * cores) return `the machine was busy with other work: ${othersCores.toFixed(1)} cores of ${cores}`;
  const ahead = clockOffsetsMs.find((offset) => Math.abs(offset) > CLOCK_OFFSET_MAX_MS);
  return ahead === undefined ? undefined : `a page's clock is ${ahead} ms off`;
}
