//! How late the relay itself was: the time a packet left less the time it should have left.

use std::time::Duration;

use serde::Serialize;

/// Width of a bucket.
const BUCKET: Duration = Duration::from_micros(20);
/// 100 ms; what is later counts as that late, except in the maximum.
const BUCKETS: usize = 5_000;

/// A run in which one packet of a hundred was later than this says more of the machine than of what was measured.
pub const P99_MAX: Duration = Duration::from_millis(1);

/// A histogram of fixed size.
pub struct Lateness {
    buckets: Vec<u64>,
    packets: u64,
    max: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], packets: 0, max: Duration::ZERO }
    }
}

/// What the histogram says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LatenessReport {
    /// Packets that left.
    pub packets: u64,
    /// Half were later, in microseconds.
    pub p50_us: u64,
    /// One in a hundred was later.
    pub p99_us: u64,
    /// The latest.
    pub max_us: u64,
    /// Whether figures taken meanwhile are worth anything: p99 within [`P99_MAX`], of at least one packet.
    pub valid: bool,
}

impl Lateness {
    /// One packet left so late.
    pub fn record(&mut self, late: Duration) {
        let bucket = late.as_micros() / BUCKET.as_micros();
        let bucket = usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1);
        self.buckets[bucket] += 1;
        self.packets += 1;
        self.max = self.max.max(late);
    }

    /// The lateness that this share of the packets did not pass, rounded up to a bucket.
    fn quantile(&self, share: f64) -> Duration {
        let mut left = (self.packets as f64 * share).ceil() as u64;
        for (index, count) in self.buckets.iter().enumerate() {
            left = left.saturating_sub(*count);
            if left == 0 {
                return (BUCKET * (index as u32 + 1)).min(self.max);
            }
        }
        self.max
    }

    /// The figures so far.
    pub fn report(&self) -> LatenessReport {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let p99 = self.quantile(0.99);
        LatenessReport {
            packets: self.packets,
            p50_us: us(self.quantile(0.5)),
            p99_us: us(p99),
            max_us: us(self.max),
            valid: self.packets > 0 && p99 <= P99_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(late_us: impl Iterator<Item = u64>) -> LatenessReport {
        let mut lateness = Lateness::default();
        late_us.for_each(|us| lateness.record(Duration::from_micros(us)));
        lateness.report()
    }

    #[test]
    fn quantiles_are_right_to_a_bucket() {
        let report = report(1..=1_000);
        assert_eq!((report.p50_us, report.p99_us, report.max_us), (520, 1_000, 1_000));
        assert!(report.valid);
    }

    #[test]
    fn one_late_packet_in_a_hundred_spoils_nothing_but_two_do() {
        assert!(report((0..98).map(|_| 10).chain([90_000, 10])).valid);
        assert!(!report((0..98).map(|_| 10).chain([90_000, 90_000])).valid);
    }

    #[test]
    fn a_run_without_packets_is_not_valid() {
        assert!(!report(std::iter::empty()).valid);
    }

    #[test]
    fn what_is_later_than_the_histogram_reaches_counts() {
        let report = report([5_000_000, 5_000_000].into_iter());
        assert_eq!(report.max_us, 5_000_000);
        assert!(!report.valid);
    }
}
