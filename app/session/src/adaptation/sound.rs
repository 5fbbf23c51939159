//! How much the sound may take, for the sake of who has room for little else.
//!
//! At its usual rate the sound of a call takes 57 kbit/s below IP: more than the narrowest links carry, on which it would be lost all
//! the time. It is encoded once for everybody, so everybody hears the difference; it is small, and the lesser evil. The narrow connection
//! alone gets three sounds in a packet, 40 ms later: the headers of 50 packets a second would take half of such a link.
//!
//! ```text
//!              estimate < 62 kbps
//!       Full ──────────────────────► Less
//!       Full ◄────────────────────── Less
//!              estimate ≥ 90 kbps for 5 s
//! ```

use std::time::{Duration, Instant};

/// The thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct SoundConfig {
    /// What the sound is encoded with.
    pub full_bps: u32,
    /// The same while a connection carries next to nothing: speech is understood well, and it leaves a link of 50 kbps room for what else
    /// a call needs.
    pub less_bps: u32,
    /// Below this estimate there is no room for the sound at [`Self::full_bps`] and what else a call needs.
    pub less_below_bps: u32,
    /// From this estimate on there is.
    pub full_from_bps: u32,
    /// How long it says so. What was not sent was not tried: too early a return costs the connection a queue.
    pub full_after: Duration,
}

impl Default for SoundConfig {
    fn default() -> Self {
        Self {
            full_bps: 32_000,
            less_bps: 12_000,
            less_below_bps: 62_000,
            full_from_bps: 90_000,
            full_after: Duration::from_secs(5),
        }
    }
}

/// What one connection can do with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sound {
    /// The usual rate, each sound in a packet.
    #[default]
    Full,
    /// The least, in as few packets as can be.
    Less {
        /// Since when the estimate allows more.
        ample_since: Option<Instant>,
    },
}

impl Sound {
    /// From what it was, and the estimate for everything sent.
    pub(super) fn next(self, target_bps: u32, config: &SoundConfig, now: Instant) -> Self {
        match self {
            Self::Full if target_bps >= config.less_below_bps => Self::Full,
            Self::Less { ample_since } if target_bps >= config.full_from_bps => {
                let since = ample_since.unwrap_or(now);
                let is_ample = now.saturating_duration_since(since) >= config.full_after;
                if is_ample { Self::Full } else { Self::Less { ample_since: Some(since) } }
            }
            Self::Full | Self::Less { .. } => Self::Less { ample_since: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn the_sound_takes_less_at_once_and_more_only_after_five_good_seconds() {
        let (config, mut now) = (SoundConfig::default(), Instant::now());
        let mut sound = Sound::Full;
        let mut run = |target_bps, millis: u64| {
            for _ in 0..millis / 100 {
                now += Duration::from_millis(100);
                sound = sound.next(target_bps, &config, now);
            }
            sound
        };
        assert_eq!(run(70_000, 5_000), Sound::Full);
        assert_eq!(run(61_000, 100), Sound::Less { ample_since: None });
        assert_eq!(run(80_000, 60_000), Sound::Less { ample_since: None });
        assert!(matches!(run(90_000, 4_900), Sound::Less { ample_since: Some(_) }));
        assert_eq!(run(89_000, 100), Sound::Less { ample_since: None }, "a dip begins anew");
        assert_eq!(run(90_000, 5_100), Sound::Full);
    }
}
