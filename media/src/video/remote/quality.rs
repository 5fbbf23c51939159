//! What a viewer notices: freezes and delay. Pure: times are arguments.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many intervals are averaged, as W3C webrtc-stats has it.
const AVERAGED: usize = 30;

/// Counts freezes as W3C webrtc-stats does (`freezeCount`): an interval between two pictures is one when it is at
/// least three times the average, and at least 150 ms more.
#[derive(Clone, Debug, Default)]
pub struct FreezeMeter {
    last: Option<Instant>,
    intervals: VecDeque<Duration>,
    freezes: u64,
    frozen: Duration,
}

impl FreezeMeter {
    /// A picture is shown.
    pub fn shown(&mut self, now: Instant) {
        let Some(last) = self.last.replace(now) else { return };
        let interval = now.saturating_duration_since(last);
        if let Some(average) = self.average()
            && interval >= (average * 3).max(average + Duration::from_millis(150))
        {
            self.freezes += 1;
            self.frozen += interval;
        }
        self.intervals.push_back(interval);
        if self.intervals.len() > AVERAGED {
            self.intervals.pop_front();
        }
    }

    /// The peer stops sending on purpose: what follows is a pause, not a freeze.
    pub fn pause(&mut self) {
        self.last = None;
    }

    /// How many freezes there were.
    pub fn freezes(&self) -> u64 {
        self.freezes
    }

    /// How long they were altogether.
    pub fn frozen(&self) -> Duration {
        self.frozen
    }

    fn average(&self) -> Option<Duration> {
        let count = u32::try_from(self.intervals.len()).ok().filter(|count| *count > 0)?;
        Some(self.intervals.iter().sum::<Duration>() / count)
    }
}

/// The median of the latest delays, in tenths of a millisecond.
#[derive(Clone, Debug, Default)]
pub(super) struct LatencyMeter {
    latest: VecDeque<u32>,
}

/// Twenty seconds at 30 pictures per second.
const KEPT: usize = 600;

/// A delay beyond this is another clock's, not a delay.
const MAX_TENTH_MS: u64 = 600_000;

impl LatencyMeter {
    pub(super) fn add(&mut self, captured_tenth_ms: u64, shown_tenth_ms: u64) {
        let Some(delay) = shown_tenth_ms.checked_sub(captured_tenth_ms).filter(|delay| *delay < MAX_TENTH_MS) else {
            return;
        };
        if self.latest.len() == KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(delay as u32);
    }

    pub(super) fn p50_ms(&self) -> Option<f64> {
        let mut sorted: Vec<u32> = self.latest.iter().copied().collect();
        if sorted.is_empty() {
            return None;
        }
        let middle = sorted.len() / 2;
        Some(f64::from(*sorted.select_nth_unstable(middle).1) / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_micros(33_333);

    fn steady(meter: &mut FreezeMeter, from: Instant, frames: u32) -> Instant {
        (1..=frames).fold(from, |now, _| {
            meter.shown(now + FRAME);
            now + FRAME
        })
    }

    #[test]
    fn a_gap_of_150_ms_more_than_usual_is_a_freeze() {
        let mut meter = FreezeMeter::default();
        let mut now = steady(&mut meter, Instant::now(), 60);
        now += Duration::from_millis(180);
        meter.shown(now);
        assert_eq!(meter.freezes(), 0);
        now = steady(&mut meter, now, 60) + Duration::from_millis(190);
        meter.shown(now);
        assert_eq!((meter.freezes(), meter.frozen()), (1, Duration::from_millis(190)));
    }

    #[test]
    fn a_slow_but_steady_picture_does_not_freeze() {
        let (mut meter, mut now) = (FreezeMeter::default(), Instant::now());
        for _ in 0..50 {
            now += Duration::from_millis(400);
            meter.shown(now);
        }
        assert_eq!(meter.freezes(), 0);
    }

    #[test]
    fn a_camera_turned_off_is_not_a_freeze() {
        let mut meter = FreezeMeter::default();
        let now = steady(&mut meter, Instant::now(), 60);
        meter.pause();
        steady(&mut meter, now + Duration::from_secs(60), 60);
        assert_eq!(meter.freezes(), 0);
    }

    #[test]
    fn the_median_delay_ignores_other_clocks() {
        let mut meter = LatencyMeter::default();
        assert_eq!(meter.p50_ms(), None);
        for delay in [250, 240, 260, 9_999] {
            meter.add(1_000_000, 1_000_000 + delay);
        }
        meter.add(5_000_000, 1_000_000);
        meter.add(0, u64::MAX);
        assert_eq!(meter.p50_ms(), Some(26.0));
    }
}
