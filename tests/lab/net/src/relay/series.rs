//! What arrived, by tenths of a second.

use std::time::{Duration, Instant};

/// Width of a bin.
pub(super) const BIN: Duration = Duration::from_millis(100);
/// An hour; what comes later is not counted here.
const BINS_MAX: usize = 36_000;

/// Bytes by the time at which they arrived.
#[derive(Default)]
pub(super) struct Series {
    bins: Vec<u64>,
}

impl Series {
    /// So many bytes arrived so long after the beginning.
    pub(super) fn add(&mut self, begin: Instant, at: Instant, bytes: usize) {
        let bin = at.saturating_duration_since(begin).as_millis() / BIN.as_millis();
        let Some(bin) = usize::try_from(bin).ok().filter(|bin| *bin < BINS_MAX) else { return };
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += bytes as u64;
    }

    /// From the beginning to the last that was not empty.
    pub(super) fn bins(&self) -> &[u64] {
        &self.bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_where_they_arrived_and_empty_times_are_kept() {
        let begin = Instant::now();
        let mut series = Series::default();
        for (ms, bytes) in [(0, 1), (99, 2), (350, 4), (399, 8), (100_000_000, 16)] {
            series.add(begin, begin + Duration::from_millis(ms), bytes);
        }
        assert_eq!(series.bins(), [3, 0, 0, 12]);
    }
}
