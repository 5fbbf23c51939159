//! Evens out the arrival of pictures, by less than one frame interval.

use std::collections::VecDeque;

use crate::rtp::packet::VIDEO_CLOCK_RATE;

/// How long the quickest arrival is remembered: long enough to meet one, short enough to follow a drifting clock.
const WINDOW_US: i64 = 5_000_000;

/// A picture that comes this far from when it should begins a new time line.
const JUMP_US: i64 = 2_000_000;

/// Longer intervals are a slow camera's; holding its pictures gains nothing.
const MAX_INTERVAL_US: f64 = 40_000.0;

/// How much one picture counts in the averages.
const WEIGHT: f64 = 1.0 / 16.0;

/// Knows when pictures come and when they should.
#[derive(Debug, Default)]
pub(super) struct Smoother {
    last: Option<Seen>,
    /// (when, delay) of the quickest arrivals; delays grow from front to back.
    quickest: VecDeque<(i64, i64)>,
    interval_us: f64,
    /// How much later than the quickest pictures are, on average.
    excess_us: f64,
    last_is_new: bool,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    rtp_timestamp: u32,
    /// RTP time without its wrapping, in microseconds since the time line began.
    media_us: i64,
    due_us: i64,
}

impl Smoother {
    /// When to show the picture with this RTP time that was whole at `arrived_us`. Asked again for the same picture,
    /// it says the same.
    pub(super) fn due_us(&mut self, rtp_timestamp: u32, arrived_us: i64) -> i64 {
        self.last_is_new = false;
        let media_us = match self.last {
            Some(last) if last.rtp_timestamp == rtp_timestamp => return last.due_us,
            Some(last) => last.media_us + ticks_us(rtp_timestamp.wrapping_sub(last.rtp_timestamp)),
            None => 0,
        };
        self.last_is_new = true;
        let delay = arrived_us - media_us;
        let jumped = self.quickest.front().is_some_and(|(_, quickest)| (delay - quickest).abs() > JUMP_US);
        let advanced_us = self.last.map(|last| media_us - last.media_us);
        let media_us = if jumped { self.restart() } else { media_us };
        let delay = if jumped { arrived_us } else { delay };
        if let Some(advanced_us) = advanced_us.filter(|advanced| !jumped && (1..=1_000_000).contains(advanced)) {
            self.interval_us += (advanced_us as f64 - self.interval_us) * WEIGHT;
        }
        self.remember(arrived_us, delay);
        let quickest = self.quickest.front().map_or(delay, |(_, quickest)| *quickest);
        let allowed = self.interval_us.min(MAX_INTERVAL_US);
        // One that was retransmitted says nothing of the usual: it counts as one interval at most.
        let excess = ((delay - quickest) as f64).min(allowed);
        self.excess_us += (excess - self.excess_us) * WEIGHT;
        let hold = (self.excess_us * 1.5).min(allowed) as i64;
        let due_us = arrived_us.max(quickest + media_us + hold);
        self.last = Some(Seen { rtp_timestamp, media_us, due_us });
        due_us
    }

    /// Whether the last question was about a picture not asked about before.
    pub(super) fn is_new(&self, rtp_timestamp: u32) -> bool {
        self.last_is_new && self.last.is_some_and(|last| last.rtp_timestamp == rtp_timestamp)
    }

    fn restart(&mut self) -> i64 {
        self.quickest.clear();
        self.excess_us = 0.0;
        0
    }

    /// Keeps the minimum of a sliding window; each entry is one that may still become it.
    fn remember(&mut self, now_us: i64, delay: i64) {
        while self.quickest.back().is_some_and(|(_, other)| *other >= delay) {
            self.quickest.pop_back();
        }
        self.quickest.push_back((now_us, delay));
        while self.quickest.len() > 1 && self.quickest.front().is_some_and(|(at, _)| now_us - at > WINDOW_US) {
            self.quickest.pop_front();
        }
        // A hostile sender could make it long; the quickest and the latest are what counts.
        if self.quickest.len() > 1024 {
            self.quickest.drain(1..512);
        }
    }
}

fn ticks_us(ticks: u32) -> i64 {
    // RTP time wraps: the nearest is meant.
    i64::from(ticks as i32) * 1_000_000 / i64::from(VIDEO_CLOCK_RATE)
}
