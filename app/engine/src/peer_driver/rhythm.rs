//! Whether a peer that sends all the time has fallen silent, long before the stack would say so.
//!
//! The stack asks its chosen address once a second and gives an answer three seconds. But sound comes every 20 ms, so that its
//! absence says much sooner that the way is lost. What that means is for the session to say: it knows whether the peer has muted itself.
//!
//! Time is counted in looks, not read from a clock: when the machine stood still, nothing was heard, and nothing was missed.

use std::time::Duration;

/// Between two looks.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Looks without a packet that are a silence: 300 ms, fifteen packets of sound. Where it was none, what is lost is little: an ICE restart
/// takes a few round trips (measured without a delay: 13 ms).
const SILENT_LOOKS: u32 = 6;
/// Of the looks before, so many have to have heard something: whoever sends now and then only is not missed. Sound packets may come in
/// bunches.
const LIVELY_LOOKS: u32 = 20;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    FellSilent,
    HeardAgain,
}

/// The last looks at one peer.
#[derive(Debug, Default)]
pub(crate) struct Rhythm {
    arrived: u64,
    /// A bit a look, the last one lowest: whether something had come.
    looks: u32,
    is_silent: bool,
}

impl Rhythm {
    /// Looks at how many datagrams have come so far.
    pub(crate) fn look(&mut self, arrived: u64) -> Option<Change> {
        let is_heard = std::mem::replace(&mut self.arrived, arrived) != arrived;
        self.looks = self.looks << 1 | u32::from(is_heard);
        if is_heard {
            return std::mem::take(&mut self.is_silent).then_some(Change::HeardAgain);
        }
        let was_lively = (self.looks >> SILENT_LOOKS).count_ones() >= LIVELY_LOOKS;
        let fell_silent = !self.is_silent && was_lively && self.looks.trailing_zeros() == SILENT_LOOKS;
        self.is_silent |= fell_silent;
        fell_silent.then_some(Change::FellSilent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What changes, and at which look; a letter a look, `x` when something came.
    fn changes(looks: &str) -> Vec<(usize, Change)> {
        let (mut rhythm, mut arrived) = (Rhythm::default(), 0);
        let changes = looks.chars().enumerate().filter_map(|(index, look)| {
            arrived += u64::from(look == 'x') * 3;
            rhythm.look(arrived).map(|change| (index, change))
        });
        changes.collect()
    }

    #[test]
    fn who_sends_all_the_time_is_missed_after_six_looks_and_once() {
        let looks = format!("{}{}x", "x".repeat(40), ".".repeat(60));
        assert_eq!(changes(&looks), [(45, Change::FellSilent), (100, Change::HeardAgain)]);
    }

    #[test]
    fn a_short_gap_is_none() {
        let looks = format!("{}{}{}", "x".repeat(40), ".".repeat(5), "x".repeat(40));
        assert_eq!(changes(&looks), []);
    }

    #[test]
    fn who_sends_now_and_then_is_not_missed() {
        assert_eq!(changes(&"x...".repeat(50)), []);
        assert_eq!(changes(&format!("{}{}", "x..".repeat(30), ".".repeat(40))), []);
    }

    #[test]
    fn sounds_in_bunches_are_lively_too() {
        let looks = format!("{}{}", "xxxx.".repeat(10), ".".repeat(20));
        assert_eq!(changes(&looks).len(), 1);
    }

    #[test]
    fn after_a_silence_a_second_of_packets_comes_before_the_next() {
        let looks = format!("{}{}xxx{}", "x".repeat(40), ".".repeat(20), ".".repeat(20));
        assert_eq!(changes(&looks).len(), 2, "silent, heard, and no more");
    }
}
