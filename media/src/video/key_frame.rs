//! Merges requests for a key frame: many peers may ask, one key frame serves them all.

use std::time::{Duration, Instant};

/// The shortest time between two key frames made on request. A key frame costs about as much as half a second of
/// others, and everybody who asked within it is served by the same one.
pub const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// Decides which picture becomes a key frame. Pure: the time is an argument.
#[derive(Clone, Debug)]
pub struct KeyFrameLimiter {
    min_interval: Duration,
    last: Option<Instant>,
    wanted: bool,
}

impl Default for KeyFrameLimiter {
    fn default() -> Self {
        Self { min_interval: MIN_INTERVAL, last: None, wanted: false }
    }
}

impl KeyFrameLimiter {
    /// Somebody needs a key frame.
    pub fn request(&mut self) {
        self.wanted = true;
    }

    /// Whether the picture that is encoded now must be a key frame.
    pub fn is_due(&self, now: Instant) -> bool {
        self.wanted && self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.min_interval)
    }

    /// A key frame was made, asked for or not; it serves everybody who has asked.
    pub fn made(&mut self, now: Instant) {
        self.last = Some(now);
        self.wanted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_merge_into_one_key_frame_in_half_a_second() {
        let start = Instant::now();
        let mut limiter = KeyFrameLimiter::default();
        assert!(!limiter.is_due(start));
        let mut made = Vec::new();
        for tenth_ms in 0..20_000_u64 {
            let now = start + Duration::from_micros(tenth_ms * 100);
            if tenth_ms % 130 == 0 {
                limiter.request();
            }
            if tenth_ms % 333 == 0 && limiter.is_due(now) {
                limiter.made(now);
                made.push(now);
            }
        }
        assert_eq!(made.len(), 4);
        assert!(made.windows(2).all(|pair| pair[1] - pair[0] >= MIN_INTERVAL));
    }

    #[test]
    fn a_request_just_after_a_key_frame_is_served_later_and_not_lost() {
        let start = Instant::now();
        let mut limiter = KeyFrameLimiter::default();
        limiter.made(start);
        limiter.request();
        assert!(!limiter.is_due(start + Duration::from_millis(499)));
        assert!(limiter.is_due(start + Duration::from_millis(500)));
    }

    #[test]
    fn a_key_frame_made_for_another_reason_serves_the_request() {
        let start = Instant::now();
        let mut limiter = KeyFrameLimiter::default();
        limiter.request();
        limiter.made(start);
        assert!(!limiter.is_due(start + Duration::from_secs(5)));
    }
}
