//! How often one connection may ask for a key frame. Pure.
//!
//! The picture is encoded once for everybody, and a key frame costs each of the others as much as ten frames. A connection
//! that loses the picture again and again waits longer each time, so that its trouble stays its own.

use std::time::{Duration, Instant};

/// Between two requests at first; the encoder makes none sooner either.
const INTERVAL_MIN: Duration = Duration::from_millis(500);
/// Between two requests of a connection in lasting trouble: then its picture stands still for so long.
const INTERVAL_MAX: Duration = Duration::from_secs(2);
/// After so long without a request the trouble is over.
const CALM: Duration = Duration::from_secs(8);

/// See the module's description.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyPace {
    asked_at: Option<Instant>,
    interval: Duration,
}

impl Default for KeyPace {
    fn default() -> Self {
        Self { asked_at: None, interval: INTERVAL_MIN }
    }
}

impl KeyPace {
    /// Whether one may be asked for now; if so, that counts as having asked.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        let since = self.asked_at.map(|at| now.saturating_duration_since(at));
        if since.is_some_and(|since| since < self.interval) {
            return false;
        }
        self.interval = match since {
            Some(since) if since < CALM => (self.interval * 2).min(INTERVAL_MAX),
            Some(_) | None => INTERVAL_MIN,
        };
        self.asked_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When requests get through in so many seconds of asking at each frame, in milliseconds.
    fn granted(pace: &mut KeyPace, begin: Instant, millis: std::ops::Range<u64>) -> Vec<u64> {
        millis.step_by(100).filter(|at| pace.ask(begin + Duration::from_millis(*at))).collect()
    }

    #[test]
    fn lasting_trouble_is_asked_about_less_and_less_and_a_calm_time_forgives() {
        let (mut pace, begin) = (KeyPace::default(), Instant::now());
        assert_eq!(granted(&mut pace, begin, 0..8_000), [0, 500, 1_500, 3_500, 5_500, 7_500]);
        assert_eq!(granted(&mut pace, begin, 20_000..21_600), [20_000, 20_500, 21_500]);
    }
}
