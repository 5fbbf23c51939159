//! What flows in a second, from counters that only grow. Pure.

use std::time::{Duration, Instant};

/// Counters of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Pictures shown.
    pub frames: u64,
}

/// What flows in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Received.
    pub in_bps: f64,
    /// Sent.
    pub out_bps: f64,
    /// Pictures a second.
    pub frames: f64,
}

/// Measures over at least a second, so that the numbers can be read.
#[derive(Clone, Copy, Debug)]
pub struct RateMeter {
    from: (Instant, Counters),
    rates: Option<Rates>,
}

const WINDOW: Duration = Duration::from_secs(1);

impl RateMeter {
    /// Begins to measure.
    pub fn new(now: Instant, counters: Counters) -> Self {
        Self { from: (now, counters), rates: None }
    }

    /// Takes the counters of now; answers the rates of the last whole window, once there was one.
    pub fn update(&mut self, now: Instant, counters: Counters) -> Option<Rates> {
        let passed = now.saturating_duration_since(self.from.0);
        if passed >= WINDOW {
            let per_second = |new: u64, old: u64| new.saturating_sub(old) as f64 / passed.as_secs_f64();
            let old = self.from.1;
            self.rates = Some(Rates {
                in_bps: per_second(counters.bytes_in, old.bytes_in) * 8.0,
                out_bps: per_second(counters.bytes_out, old.bytes_out) * 8.0,
                frames: per_second(counters.frames, old.frames),
            });
            self.from = (now, counters);
        }
        self.rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_and_wait_for_a_whole_one() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let counters = |bytes: u64| Counters { bytes_in: bytes, bytes_out: 2 * bytes, frames: bytes / 100 };
        let mut meter = RateMeter::new(start, counters(0));
        assert_eq!(meter.update(at(999), counters(5_000)), None);
        let rates = meter.update(at(2_000), counters(6_000)).unwrap();
        assert_eq!(rates, Rates { in_bps: 24_000.0, out_bps: 48_000.0, frames: 30.0 });
        assert_eq!(meter.update(at(2_500), counters(9_000)), Some(rates));
    }

    #[test]
    fn a_connection_that_starts_anew_counts_nothing_negative() {
        let start = Instant::now();
        let mut meter = RateMeter::new(start, Counters { bytes_in: 100, ..Counters::default() });
        let rates = meter.update(start + WINDOW, Counters::default()).unwrap();
        assert_eq!(rates.in_bps, 0.0);
    }
}
