//! Delays, as percentiles.

use std::time::Duration;

use serde::Serialize;

/// Percentiles of many durations, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many there were.
    pub count: usize,
    /// Half took no longer.
    pub p50_us: f64,
    /// Nine of ten took no longer.
    pub p90_us: f64,
    /// 99 of 100 took no longer.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Percentiles {
    /// Of these durations, in any order; all zero where there is none.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |percent: usize| {
            // The nearest rank: the smallest value that so many per cent do not exceed.
            let rank = (durations.len() * percent).div_ceil(100).max(1);
            durations.get(rank - 1).map_or(0.0, |duration| duration.as_secs_f64() * 1e6)
        };
        Self { count: durations.len(), p50_us: at(50), p90_us: at(90), p99_us: at(99), max_us: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let figures = Percentiles::of((1..=200).rev().map(Duration::from_micros).collect());
        assert_eq!((figures.p50_us, figures.p90_us, figures.p99_us, figures.max_us), (100.0, 180.0, 198.0, 200.0));
        let one = Percentiles::of(vec![Duration::from_micros(7)]);
        assert_eq!((one.p50_us, one.max_us), (7.0, 7.0));
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }
}
