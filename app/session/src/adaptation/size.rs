//! Which size the picture has: the usual one while anybody has room for it, a smaller one while nobody has.
//!
//! ```text
//!               budget < 80 kbps for 3 s
//!       Usual ──────────────────────────► Small
//!       Usual ◄────────────────────────── Small
//!               budget ≥ 125 kbps for 4 s
//! ```
//!
//! This of each connection; the picture is small while they all are. Who has room never sees a smaller picture for the sake of who has not.

use std::time::{Duration, Instant};

/// The size of the picture, for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// What the camera is set to.
    #[default]
    Usual,
    /// A quarter of the points, and a third of the pictures.
    Small,
}

/// The thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeConfig {
    /// With less for the picture than this, the usual size is a blur that stands still most of the time.
    pub small_below_bps: u32,
    /// How long it is so little. 3 s: a cut that drains a queue lasts for one, and a new size costs a key frame.
    pub small_after: Duration,
    /// From this on there is room for the usual size.
    pub usual_from_bps: u32,
    /// How long it says so.
    pub usual_after: Duration,
    /// The least the encoder is asked for a small picture. 40 kbps: measured, ten pictures a second of a film that cannot be compressed away.
    pub floor_bps: u32,
}

impl Default for SizeConfig {
    fn default() -> Self {
        Self {
            small_below_bps: 80_000,
            small_after: Duration::from_secs(3),
            usual_from_bps: 125_000,
            usual_after: Duration::from_secs(4),
            floor_bps: 40_000,
        }
    }
}

/// What one connection has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The usual size.
    Usual {
        /// Since when the budget says otherwise.
        short_since: Option<Instant>,
    },
    /// A small picture at most.
    Small {
        /// Since when the budget allows more.
        ample_since: Option<Instant>,
    },
}

impl Default for Room {
    fn default() -> Self {
        Self::Usual { short_since: None }
    }
}

impl Room {
    /// From what it was, and what is left for the picture.
    pub(super) fn next(self, budget_bps: u32, config: &SizeConfig, now: Instant) -> Self {
        let lasted = |since: Instant, wait: Duration| now.saturating_duration_since(since) >= wait;
        match self {
            Self::Usual { short_since } if budget_bps < config.small_below_bps => {
                let since = short_since.unwrap_or(now);
                let is_small = lasted(since, config.small_after);
                if is_small { Self::Small { ample_since: None } } else { Self::Usual { short_since: Some(since) } }
            }
            Self::Small { ample_since } if budget_bps >= config.usual_from_bps => {
                let since = ample_since.unwrap_or(now);
                let is_usual = lasted(since, config.usual_after);
                if is_usual { Self::default() } else { Self::Small { ample_since: Some(since) } }
            }
            Self::Usual { .. } => Self::default(),
            Self::Small { .. } => Self::Small { ample_since: None },
        }
    }

    pub(super) fn is_small(self) -> bool {
        matches!(self, Self::Small { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{A, B, Call, with_sound};
    use super::super::{Share, Size};

    #[test]
    fn a_call_in_which_nobody_has_room_gets_a_small_picture_and_all_of_it() {
        let mut call = Call::new();
        call.run([with_sound(60_000), with_sound(70_000)], 2_900);
        assert_eq!((call.decision.size, call.decision.encoder_target_bps), (Size::Usual, 150_000));
        call.run([with_sound(60_000), with_sound(70_000)], 2_500);
        assert_eq!((call.decision.size, call.decision.encoder_target_bps), (Size::Small, 60_000));
        assert_eq!([A, B].map(|leg| call.decision.legs[&leg].share), [Share::All; 2]);
    }

    #[test]
    fn one_who_has_room_is_enough_for_the_usual_size() {
        let mut call = Call::new();
        call.run([with_sound(60_000), with_sound(900_000)], 10_000);
        assert_eq!(call.decision.size, Size::Usual);
        assert_eq!(call.decision.legs[&A].share, Share::SoundOnly);
        assert_eq!(call.decision.encoder_target_bps, 900_000);
        call.run([with_sound(60_000), None], 10_000);
        assert_eq!(call.decision.size, Size::Usual, "of whom nothing is known may have");
    }

    #[test]
    fn the_usual_size_is_back_after_four_good_seconds_and_who_has_no_room_gets_a_part_of_it_at_once() {
        let mut call = Call::new();
        call.run([with_sound(60_000), with_sound(70_000)], 8_000);
        call.run([with_sound(60_000), with_sound(200_000)], 3_900);
        assert_eq!((call.decision.size, call.decision.encoder_target_bps), (Size::Small, 60_000));
        call.run([with_sound(60_000), with_sound(200_000)], 200);
        assert_eq!(call.decision.size, Size::Usual);
        assert_eq!(call.decision.legs[&A].share, Share::Fraction { keep_permille: 400 });
        assert_eq!(call.decision.legs[&B].share, Share::All);
    }

    #[test]
    fn where_a_small_picture_is_too_much_too_only_sound_goes_on_until_there_is_room_for_it() {
        let mut call = Call::new();
        let mut run = |video_bps, millis| {
            call.run([with_less_sound(video_bps), with_less_sound(video_bps)], millis);
            (call.decision.size, call.decision.legs[&A].share)
        };
        assert_eq!(run(15_000, 8_000), (Size::Small, Share::SoundOnly));
        assert_eq!(run(30_000, 20_000), (Size::Small, Share::SoundOnly));
        assert_eq!(run(35_000, 4_900), (Size::Small, Share::SoundOnly));
        assert_eq!(run(35_000, 200), (Size::Small, Share::Fraction { keep_permille: 875 }));
    }

    /// Where there is so little, the sound takes less.
    fn with_less_sound(video_bps: u32) -> Option<u32> {
        with_sound(video_bps).map(|bps| bps - 20_000)
    }
}
