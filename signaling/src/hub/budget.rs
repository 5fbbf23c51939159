//! How much a connection may say: a token bucket.

use std::time::{Duration, Instant};

/// Messages a connection may still send; refills with time up to its burst.
#[derive(Debug)]
pub(crate) struct Budget {
    burst: u32,
    per_message: Duration,
    /// When the bucket would be full again. Each message moves it one `per_message` away.
    full_at: Instant,
}

impl Budget {
    pub(crate) fn new(burst: u32, per_sec: u32, now: Instant) -> Self {
        Self::each(burst, Duration::from_secs(1) / per_sec.max(1), now)
    }

    /// As many at once as `burst`, and one more each `interval`.
    pub(crate) fn each(burst: u32, interval: Duration, now: Instant) -> Self {
        Self { burst: burst.max(1), per_message: interval, full_at: now }
    }

    /// Takes one message.
    ///
    /// # Errors
    /// How long to wait, where there is none left.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(wait) = self.wait(now) {
            return Err(wait);
        }
        self.full_at = self.full_at.max(now) + self.per_message;
        Ok(())
    }

    /// How long to wait for the next message; none where there is one left.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = (self.debt(now) + self.per_message).saturating_sub(self.per_message * self.burst);
        (wait > Duration::ZERO).then_some(wait)
    }

    /// How long until the bucket is full again.
    pub(crate) fn debt(&self, now: Instant) -> Duration {
        self.full_at.saturating_duration_since(now)
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
}
