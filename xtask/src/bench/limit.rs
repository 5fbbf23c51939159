//! What was to be reached, and whether it was.

use super::statistics::Estimate;

/// A bound that a figure has to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    pub(super) fn shown(self, digits: usize) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {limit:.digits$}"),
            Self::AtLeast(limit) => format!("≥ {limit:.digits$}"),
        }
    }

    /// In another unit.
    pub(super) fn scaled(self, scale: f64) -> Self {
        match self {
            Self::AtMost(limit) => Self::AtMost(limit * scale),
            Self::AtLeast(limit) => Self::AtLeast(limit * scale),
        }
    }

    pub(super) fn is_kept(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    /// Of a number without an interval.
    pub(super) fn verdict(self, value: f64) -> String {
        if self.is_kept(value) { "reached".to_owned() } else { self.miss(value) }
    }

    /// Of an estimate: only what all of the interval says is said.
    pub(super) fn verdict_of(self, estimate: &Estimate) -> String {
        match estimate.interval {
            None => format!("{}, by a single run", self.verdict(estimate.median)),
            Some((low, high)) => match (self.is_kept(low), self.is_kept(high)) {
                (true, true) => "reached".to_owned(),
                (false, false) => self.miss(estimate.median),
                _ => "not shown: the interval spans it".to_owned(),
            },
        }
    }

    fn miss(self, value: f64) -> String {
        let times = match self {
            // There are no percents of nothing.
            Self::AtMost(0.0) => return format!("missed: {}", short(value)),
            Self::AtMost(limit) => value / limit,
            Self::AtLeast(limit) => return format!("missed by {:.0} %", (1.0 - value / limit) * 100.0),
        };
        if times < 3.0 {
            format!("missed by {:.0} %", (times - 1.0) * 100.0)
        } else {
            format!("missed {times:.1} times")
        }
    }
}

/// Three digits that say something.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(low: f64, median: f64, high: f64) -> Estimate {
        Estimate { median, interval: Some((low, high)), runs: 3 }
    }

    #[test]
    fn a_goal_that_is_missed_says_by_how_much() {
        assert_eq!(Limit::AtMost(3.0).verdict(3.3), "missed by 10 %");
        assert_eq!(Limit::AtMost(0.1).verdict(0.5), "missed 5.0 times");
        assert_eq!(Limit::AtMost(0.0).verdict(0.25), "missed: 0.250");
        assert_eq!(Limit::AtLeast(1.5).verdict(1.2), "missed by 20 %");
        assert_eq!(Limit::AtLeast(1.5).verdict(1.5), "reached");
        assert_eq!(Limit::AtMost(0.0).verdict(0.0), "reached");
    }

    #[test]
    fn an_interval_across_the_goal_shows_nothing() {
        let limit = Limit::AtMost(0.33);
        assert_eq!(limit.verdict_of(&estimate(0.2, 0.3, 0.33)), "reached");
        assert_eq!(limit.verdict_of(&estimate(0.2, 0.3, 0.34)), "not shown: the interval spans it");
        assert_eq!(limit.verdict_of(&estimate(0.34, 0.66, 0.9)), "missed by 100 %");
        let once = Estimate { median: 0.3, interval: None, runs: 1 };
        assert_eq!(limit.verdict_of(&once), "reached, by a single run");
        assert_eq!(Limit::AtLeast(5.0).verdict_of(&estimate(6.0, 7.0, f64::INFINITY)), "reached");
    }
}
