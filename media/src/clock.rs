//! The one media clock of this process: capture time, RTP time, NTP time and Unix time are one another's function.

use std::time::{Duration, Instant, SystemTime};

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970), RFC 868.
const NTP_UNIX_OFFSET_SECS: u64 = 2_208_988_800;

/// Maps the monotonic clock to RTP, NTP and Unix time; every pipeline of a process shares one.
///
/// Both clocks are read once, at the start. Later corrections of the system's clock therefore never bend the
/// picture or the sound, and an instant always maps to the same time stamp.
#[derive(Clone, Copy, Debug)]
pub struct MediaClock {
    epoch: Instant,
    unix: Duration,
}

impl MediaClock {
    /// A clock at which `now` is `unix` after the Unix epoch.
    pub fn start(now: Instant, unix: Duration) -> Self {
        Self { epoch: now, unix }
    }

    /// A clock read from the system, now.
    pub fn system() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::start(Instant::now(), unix)
    }

    /// The time since the Unix epoch at `at`.
    pub fn unix(&self, at: Instant) -> Duration {
        match at.checked_duration_since(self.epoch) {
            Some(after) => self.unix.saturating_add(after),
            None => self.unix.saturating_sub(self.epoch.duration_since(at)),
        }
    }

    /// The RTP time stamp of something captured at `at`, in units of 1/`clock_rate` s, wrapping (RFC 3550 §5.1).
    ///
    /// It counts from the Unix epoch, so streams of one process with the same clock rate share their time line.
    pub fn rtp_timestamp(&self, at: Instant, clock_rate: u32) -> u32 {
        let unix = self.unix(at);
        let ticks = u128::from(clock_rate) * unix.as_nanos() / 1_000_000_000;
        // Wrapping is what an RTP time stamp does.
        ticks as u32
    }

    /// The NTP time at `at`, as 32 bits of seconds and 32 bits of fraction (RFC 3550 §4).
    pub fn ntp(&self, at: Instant) -> u64 {
        let unix = self.unix(at);
        let seconds = unix.as_secs().wrapping_add(NTP_UNIX_OFFSET_SECS) & 0xffff_ffff;
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        seconds << 32 | fraction
    }

    /// The Unix time at `at` in units of 0.1 ms, as the barcode of the test pattern shows it.
    pub fn unix_tenth_ms(&self, at: Instant) -> u64 {
        (self.unix(at).as_micros() / 100) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> (MediaClock, Instant) {
        let now = Instant::now();
        (MediaClock::start(now, Duration::from_secs(1_800_000_000)), now)
    }

    #[test]
    fn a_second_later_is_one_clock_rate_more_in_rtp_time() {
        let (clock, now) = clock();
        let first = clock.rtp_timestamp(now, 90_000);
        assert_eq!(clock.rtp_timestamp(now + Duration::from_secs(1), 90_000).wrapping_sub(first), 90_000);
        assert_eq!(clock.rtp_timestamp(now + Duration::from_micros(33_333), 90_000).wrapping_sub(first), 2_999);
    }

    #[test]
    fn rtp_time_wraps_without_a_jump() {
        let (clock, now) = clock();
        let mut last = clock.rtp_timestamp(now, 90_000);
        for hour in 1..48 {
            let next = clock.rtp_timestamp(now + Duration::from_secs(hour * 3600), 90_000);
            assert_eq!(next.wrapping_sub(last), 324_000_000);
            last = next;
        }
    }

    #[test]
    fn ntp_time_is_unix_time_shifted_by_seventy_years() {
        let (clock, now) = clock();
        let at = now + Duration::from_millis(500);
        assert_eq!(clock.ntp(at) >> 32, 1_800_000_000 + NTP_UNIX_OFFSET_SECS);
        assert_eq!(clock.ntp(at) as u32, 1 << 31);
    }

    #[test]
    fn times_before_the_start_are_known_too() {
        let (clock, now) = clock();
        let later = now + Duration::from_secs(10);
        let shifted = MediaClock::start(later, Duration::from_secs(1_800_000_010));
        assert_eq!(shifted.unix(now), clock.unix(now));
        assert_eq!(clock.unix_tenth_ms(now), 18_000_000_000_000);
    }
}
