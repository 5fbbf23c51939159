//! A link that is given many times what it carries. Pure.
//!
//! Hardly a packet passes then, hardly a report comes back, and the delays may say nothing: each packet that came had waited in the same
//! full queue. What passed meanwhile is what the link carries. Where nothing at all passes for a while, it is an outage and no flood.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back, by the times at which packets left.
const WINDOW: Duration = Duration::from_secs(1);
/// Less time than this says nothing.
const SPAN_MIN: Duration = Duration::from_millis(400);
/// Nor do fewer packets.
const PACKETS_MIN: u32 = 20;
/// The share that is lost: no air that people call over loses more than half, a flood loses nearly all.
const SHARE: f64 = 0.7;
/// Nothing came of what left in so long: an outage.
const PAUSE: Duration = Duration::from_millis(600);
/// So many that came in a row: it is over. What is left of it would be measured beside the little that is sent then.
const ROW: usize = 5;
/// Packets remembered; of more the oldest are forgotten.
const PACKETS_MAX: usize = 256;

/// A packet that came after another of which all is known in between.
#[derive(Clone, Copy, Debug)]
struct Came {
    departure: Instant,
    /// Since that one left.
    since: Duration,
    bytes: usize,
    /// How many between the two did not come.
    lost: u32,
}

/// What became of the packets of the last second.
#[derive(Debug, Default)]
pub(super) struct Flood {
    came: VecDeque<Came>,
    /// When the last left that came, unless what left after it is unknown.
    last: Option<Instant>,
    /// How many did not come since.
    lost: u32,
}

impl Flood {
    /// A packet that left at `departure`, in this order, and is known to have come or not.
    pub(super) fn add(&mut self, departure: Instant, bytes: usize, arrived: bool) {
        if !arrived {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let lost = std::mem::take(&mut self.lost);
        let last = self.last.replace(departure);
        let Some(since) = last.map(|last| departure.saturating_duration_since(last)) else { return };
        if since > PAUSE {
            self.came.clear();
            return;
        }
        self.came.push_back(Came { departure, since, bytes, lost });
        if self.came.len() >= ROW && self.came.iter().rev().take(ROW).all(|came| came.lost == 0) {
            self.came.clear();
        }
        while self.came.len() > PACKETS_MAX
            || self.came.front().is_some_and(|first| departure.saturating_duration_since(first.departure) > WINDOW)
        {
            self.came.pop_front();
        }
    }

    /// A packet on which feedback was lost.
    pub(super) fn add_unknown(&mut self) {
        (self.last, self.lost) = (None, 0);
    }

    /// What passed of a flood, in bits per second; none where there is no flood.
    pub(super) fn passed_bps(&self) -> Option<f64> {
        let span: Duration = self.came.iter().map(|came| came.since).sum();
        let lost: u32 = self.came.iter().map(|came| came.lost).sum();
        let packets = lost + self.came.len() as u32;
        if span < SPAN_MIN || packets < PACKETS_MIN || f64::from(lost) < SHARE * f64::from(packets) {
            return None;
        }
        let bytes: usize = self.came.iter().map(|came| came.bytes).sum();
        Some(bytes as f64 * 8.0 / span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A packet of 500 bytes each 10 ms for `span_ms`, of which those come for which `comes` says so.
    fn passed(span_ms: [u32; 2], flood: &mut Flood, begin: Instant, comes: impl Fn(u32) -> bool) -> Option<f64> {
        for ms in (span_ms[0]..span_ms[1]).step_by(10) {
            flood.add(begin + MS * ms, 500, comes(ms / 10));
        }
        flood.passed_bps()
    }

    #[test]
    fn of_a_flood_is_known_what_passed() {
        let (mut flood, begin) = (Flood::default(), Instant::now());
        assert_eq!(passed([0, 400], &mut flood, begin, |number| number % 10 == 0), None, "too short");
        assert_eq!(passed([400, 2_001], &mut flood, begin, |number| number % 10 == 0), Some(40_000.0));
        assert_eq!(passed([2_010, 2_050], &mut flood, begin, |_| true).map(|bps| bps > 40_000.0), Some(true));
        assert_eq!(passed([2_050, 2_070], &mut flood, begin, |_| true), None, "it is over");
    }

    #[test]
    fn what_was_not_reported_on_is_neither_lost_nor_time() {
        let (mut flood, begin) = (Flood::default(), Instant::now());
        for tenth in 0..10 {
            passed([tenth * 100, tenth * 100 + 60], &mut flood, begin, |number| number % 5 == 0);
            (0..4).for_each(|_| flood.add_unknown());
        }
        assert_eq!(flood.passed_bps(), Some(80_000.0));
    }

    #[test]
    fn neither_loss_on_the_air_nor_an_outage_is_one() {
        let (mut flood, begin) = (Flood::default(), Instant::now());
        // Three of ten, in a row; and one of two.
        assert_eq!(passed([0, 2_000], &mut flood, begin, |number| number % 10 > 2), None);
        assert_eq!(passed([2_000, 4_000], &mut flood, begin, |number| number % 2 == 0), None);
        assert_eq!(passed([4_000, 8_000], &mut flood, begin, |_| false), None);
        assert_eq!(passed([8_000, 8_500], &mut flood, begin, |_| true), None);
    }
}
