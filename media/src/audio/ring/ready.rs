//! How much sound is kept ready for the speaker: as little as its callback lets us. Pure.
//!
//! What is ready waits, so that every block less is 10 ms less from mouth to ear. A callback that always leaves a block in the ring found
//! it filled up in time, each time, and would have without that block: so that block is saved. One that finds too little
//! makes it more at once, and for some time nothing is saved then.
//!
//! Its clock is what callbacks took, in samples.

use super::samples;

/// Mixed at a time: 10 ms.
const BLOCK_MS: usize = 10;
/// What is kept ready at most: a block less than the ring holds, since a block may come in whole.
const MAX_MS: usize = super::PLAYBACK_MS - BLOCK_MS;
/// For so long the block must have been left over before it is saved: two seconds, in which a busy machine has shown it.
const LOOK_MS: usize = 2_000;
/// So long after an under-run nothing is saved; twice as long after each further one, up to the second: 10 s, 160 s.
const HOLD_MS: usize = 10_000;
const MAX_HOLD_MS: usize = 160_000;

#[derive(Debug)]
pub(super) struct Ready {
    rate: u32,
    target: usize,
    missed: u64,
    /// When the present look began.
    since: u64,
    /// Until when nothing is saved.
    held_until: u64,
    hold: usize,
}

impl Ready {
    /// Begins with what the device takes at once, and one block for a mixer that is late.
    pub(super) fn new(rate: u32, period: usize) -> Self {
        let block = samples(rate, BLOCK_MS);
        let target = (period + block).clamp(2 * block, samples(rate, MAX_MS));
        Self { rate, target, missed: 0, since: 0, held_until: 0, hold: samples(rate, HOLD_MS) }
    }

    /// How much is to be ready, when so much has been taken and missed in all; `least_left` tells what a callback left over at the least
    /// since it was asked last.
    pub(super) fn target(&mut self, taken: u64, missed: u64, least_left: impl FnOnce() -> usize) -> usize {
        if missed > self.missed {
            self.raise(taken, (missed - self.missed) as usize);
            self.missed = missed;
            // What was left over until now was before that.
            least_left();
        } else if taken - self.since.min(taken) >= samples(self.rate, LOOK_MS) as u64 {
            self.since = taken;
            let block = samples(self.rate, BLOCK_MS);
            if least_left() >= block && taken >= self.held_until && self.target >= 2 * block {
                self.target -= block;
            }
        }
        self.target
    }

    fn raise(&mut self, taken: u64, missing: usize) {
        let block = samples(self.rate, BLOCK_MS).max(1);
        self.target = (self.target + missing.div_ceil(block) * block).min(samples(self.rate, MAX_MS));
        self.since = taken;
        self.held_until = taken + self.hold as u64;
        self.hold = (self.hold * 2).min(samples(self.rate, MAX_HOLD_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 480;

    /// A speaker that takes a period at a time, and a mixer that fills up before each, or not.
    struct Speaker {
        ready: Ready,
        period: usize,
        filled: usize,
        taken: u64,
        missed: u64,
        least_left: usize,
    }

    impl Speaker {
        fn new(period: usize) -> Self {
            let ready = Ready::new(48_000, period);
            Self { ready, period, filled: 0, taken: 0, missed: 0, least_left: usize::MAX }
        }

        fn target(&mut self) -> usize {
            let least_left = &mut self.least_left;
            self.ready.target(self.taken, self.missed, || std::mem::replace(least_left, usize::MAX))
        }

        /// One callback, before which the mixer came or did not; how much is missing in it.
        fn call(&mut self, mixer_comes: bool) -> usize {
            while mixer_comes && self.filled < self.target() {
                self.filled += BLOCK;
            }
            let missing = self.period.saturating_sub(self.filled);
            self.filled = self.filled.saturating_sub(self.period);
            self.least_left = self.least_left.min(self.filled);
            self.missed += missing as u64;
            self.taken += self.period as u64;
            missing
        }

        /// So many seconds; the mixer misses every `nth` callback. How often sound was missing.
        fn run(&mut self, seconds: u64, nth: usize) -> usize {
            let calls = (seconds * 48_000) as usize / self.period;
            (1..=calls).filter(|n| self.call(nth == 0 || n % nth != 0) > 0).count()
        }
    }

    #[test]
    fn with_a_mixer_in_time_only_what_the_device_takes_at_once_is_ready() {
        for (period, ready) in [(480, 480), (960, 960), (441, 480), (1024, 1024)] {
            let mut speaker = Speaker::new(period);
            assert_eq!(speaker.run(60, 0), 0, "{period}");
            assert_eq!(speaker.target(), ready, "{period}");
        }
    }

    #[test]
    fn a_mixer_that_is_often_late_keeps_a_block_more_and_nothing_is_missed() {
        let mut speaker = Speaker::new(480);
        // Twice a second: in every look.
        assert_eq!(speaker.run(60, 50), 0);
        assert_eq!(speaker.target(), 960);
    }

    #[test]
    fn a_mixer_that_is_seldom_late_is_heard_ever_more_seldom() {
        let mut speaker = Speaker::new(480);
        // Every 5 s, for a quarter of an hour: 180 times.
        let heard = speaker.run(900, 500);
        assert!((1..=12).contains(&heard), "{heard}");
    }

    #[test]
    fn a_device_that_takes_more_than_it_said_gets_it_after_one_gap() {
        let mut speaker = Speaker::new(480);
        speaker.period = 1_920;
        assert_eq!(speaker.run(10, 0), 1);
        assert_eq!(speaker.target(), 1_920);
    }

    #[test]
    fn a_mixer_that_stands_still_fills_the_ring_and_no_more() {
        let mut speaker = Speaker::new(480);
        speaker.call(true);
        (0..1_000).for_each(|_| {
            speaker.call(false);
        });
        assert_eq!(speaker.target(), 2_400);
    }
}
