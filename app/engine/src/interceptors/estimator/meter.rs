//! How much passes in a second, by the times at which it did.
//!
//! By the times of the feedback instead, which comes in lumps, the rate of a full link is over-estimated by a fifth.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back.
const WINDOW: Duration = Duration::from_millis(500);
/// Less time than this says nothing.
const SPAN_MIN: Duration = Duration::from_millis(150);
/// What was told longer ago than this is of no interest, even when nothing came since.
const AGE_MAX: Duration = Duration::from_millis(900);
/// Packets kept; of more the oldest are forgotten.
const PACKETS_MAX: usize = 1_024;

/// Packets of the last half second: when we were told, when it was by the clock of where it happened, and bytes.
#[derive(Debug, Default)]
pub(super) struct Meter {
    packets: VecDeque<(Instant, Duration, usize)>,
    latest: Duration,
}

impl Meter {
    pub(super) fn add(&mut self, now: Instant, at: Duration, bytes: usize) {
        self.latest = self.latest.max(at);
        if self.packets.len() >= PACKETS_MAX {
            self.packets.pop_front();
        }
        self.packets.push_back((now, at, bytes));
        let latest = self.latest;
        self.packets.retain(|(_, at, _)| latest.saturating_sub(*at) <= WINDOW);
    }

    /// None when there is too little to say.
    pub(super) fn rate_bps(&mut self, now: Instant) -> Option<f64> {
        self.packets.retain(|(told, _, _)| now.saturating_duration_since(*told) <= AGE_MAX);
        let first = self.packets.iter().map(|(_, at, _)| *at).min()?;
        let span = self.latest.checked_sub(first).filter(|span| *span >= SPAN_MIN)?;
        // The first packet passed before the span began.
        let bytes: usize = self.packets.iter().filter(|(_, at, _)| *at > first).map(|(_, _, bytes)| bytes).sum();
        Some(bytes as f64 * 8.0 / span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_steady_stream_told_in_lumps_is_measured_exactly() {
        let (mut meter, begin) = (Meter::default(), Instant::now());
        for lump in 1..=20 {
            for packet in 0..5 {
                // 500 bytes each 20 ms, told each 100 ms.
                meter.add(begin + MS * 100 * lump, MS * (100 * lump + 20 * packet), 500);
            }
        }
        let rate = meter.rate_bps(begin + MS * 2_000).unwrap();
        assert!((rate - 200_000.0).abs() < 1.0, "{rate}");
    }

    #[test]
    fn too_little_or_too_old_says_nothing() {
        let (mut meter, begin) = (Meter::default(), Instant::now());
        assert_eq!(meter.rate_bps(begin), None);
        meter.add(begin, MS * 10, 500);
        meter.add(begin, MS * 100, 500);
        assert_eq!(meter.rate_bps(begin), None);
        meter.add(begin, MS * 410, 500);
        assert_eq!(meter.rate_bps(begin), Some(20_000.0));
        assert_eq!(meter.rate_bps(begin + MS * 1_000), None);
    }
}
