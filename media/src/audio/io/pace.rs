//! How much a speaker takes at a time: little, until the machine shows that it is too busy for that. Pure.

use super::super::device::Period;

/// What weighs in the sum of a look, of what was there before: half of it after seven looks (seconds, where looking is cheap).
const FORGET: f32 = 0.9;
/// So often in some seconds is a stutter that somebody hears.
const TOO_OFTEN: f32 = 8.0;

/// Counts how often a speaker had nothing left.
#[derive(Debug, Default)]
pub(super) struct Pace {
    is_slow: bool,
    seen: u64,
    of_late: f32,
}

impl Pace {
    /// The speaker is opened; until now it has had nothing left so often.
    pub(super) fn on_open(&mut self, starved: u64) -> Period {
        self.seen = starved;
        self.of_late = 0.0;
        if self.is_slow { Period::Long } else { Period::Short }
    }

    /// Whether it is to be opened anew, since it has had nothing left too often. It stays so until something is chosen anew: to go
    /// back and forth would be heard each time.
    pub(super) fn on_look(&mut self, starved: u64) -> bool {
        self.of_late = self.of_late * FORGET + starved.saturating_sub(self.seen) as f32;
        self.seen = starved;
        let becomes_slow = !self.is_slow && self.of_late >= TOO_OFTEN;
        self.is_slow |= becomes_slow;
        becomes_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speaker_that_starves_often_is_given_more_at_a_time_once() {
        let mut pace = Pace::default();
        assert_eq!(pace.on_open(100), Period::Short);
        assert!(!pace.on_look(104));
        assert!(pace.on_look(110));
        assert_eq!(pace.on_open(110), Period::Long);
        assert!(!(1..100).any(|look| pace.on_look(110 + look * 20)));
    }

    #[test]
    fn one_that_starves_now_and_then_is_left_alone() {
        let mut pace = Pace::default();
        assert_eq!(pace.on_open(0), Period::Short);
        // Once in two seconds, and eight times in all long ago.
        assert!(!(1..1_000).any(|look| pace.on_look(look / 2)));
    }
}
