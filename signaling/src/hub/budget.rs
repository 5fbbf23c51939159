//! How much may be said: token buckets.

use std::time::{Duration, Instant};

/// What may still be spent; refills with time up to its burst.
#[derive(Debug)]
pub(crate) struct Budget {
    burst: u32,
    per_unit: Duration,
    /// When the bucket would be full again. Each unit moves it one `per_unit` away.
    full_at: Instant,
}

impl Budget {
    /// A full one: `burst` units at once, and `per_sec` more each second.
    pub(crate) fn new(burst: u32, per_sec: u32, now: Instant) -> Self {
        Self::each(burst, Duration::from_secs(1) / per_sec.max(1), now)
    }

    /// As many at once as `burst`, and one more each `interval`.
    pub(crate) fn each(burst: u32, interval: Duration, now: Instant) -> Self {
        Self { burst: burst.max(1), per_unit: interval, full_at: now }
    }

    /// Takes one unit.
    ///
    /// # Errors
    /// How long to wait, where there is none left.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.take_units(1, now)
    }

    /// Takes some units, or none.
    ///
    /// # Errors
    /// How long to wait, where there are too few left.
    pub(crate) fn take_units(&mut self, units: u32, now: Instant) -> Result<(), Duration> {
        if let Some(wait) = self.wait_for(units, now) {
            return Err(wait);
        }
        self.full_at = self.full_at.max(now) + self.per_unit * units;
        Ok(())
    }

    /// How long to wait for the next unit; none where there is one left.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        self.wait_for(1, now)
    }

    /// How long until the bucket is full again.
    pub(crate) fn debt(&self, now: Instant) -> Duration {
        self.full_at.saturating_duration_since(now)
    }

    fn wait_for(&self, units: u32, now: Instant) -> Option<Duration> {
        let wait = (self.debt(now) + self.per_unit * units).saturating_sub(self.per_unit * self.burst);
        (wait > Duration::ZERO).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_a_wait_that_is_told() {
        let start = Instant::now();
        let mut budget = Budget::new(3, 10, start);
        for _ in 0..3 {
            assert_eq!(budget.take(start), Ok(()));
        }
        assert_eq!(budget.take(start), Err(Duration::from_millis(100)));
        assert_eq!(budget.take(start + Duration::from_millis(60)), Err(Duration::from_millis(40)));
        assert_eq!(budget.take(start + Duration::from_millis(100)), Ok(()));
        assert_eq!(budget.take(start + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn several_units_are_taken_together_or_not_at_all() {
        let start = Instant::now();
        let mut budget = Budget::new(1_000, 1_000, start);
        assert_eq!(budget.take_units(900, start), Ok(()));
        assert_eq!(budget.take_units(300, start), Err(Duration::from_millis(200)));
        assert_eq!(budget.take_units(100, start), Ok(()));
        assert_eq!(budget.debt(start), Duration::from_secs(1));
    }
}
