//! Which part of the link is RTP's, in what is sent. Pure.
//!
//! Rates are told, and targets given, in bytes of RTP; a link counts what lies below, too. Of a packet of sound that is a third, of one of a
//! picture a thirtieth. While a queue drains hardly anything but sound is sent, and a link measured by RTP alone then seems a
//! quarter narrower than it was, and than it will be. For as long as that lasts the measure is right; what is remembered of the link is measured
//! whole, and told for what was sent of late. Before, a limit that was too low was soon passed, and forgotten: the next second of sound was lost.

use std::time::{Duration, Instant};

/// A packet's tag of SRTP (RFC 7714), and its headers of UDP and IPv4. IPv6 and a relay take some 20 more, which is within what is off anyway.
const BELOW_RTP_BYTES: usize = 16 + 8 + 20;
/// How long the mix is remembered: longer than a queue takes to drain.
const MEMORY: Duration = Duration::from_secs(8);

/// The bytes of RTP themselves.
pub(super) fn of_rtp(rtp_bytes: usize) -> usize {
    rtp_bytes
}

/// What a packet with so many bytes of RTP takes on the link.
pub(super) fn whole(rtp_bytes: usize) -> usize {
    rtp_bytes + BELOW_RTP_BYTES
}

/// What was sent of late; what is older counts ever less.
#[derive(Debug, Default)]
pub(super) struct Mix {
    rtp_bytes: f64,
    whole_bytes: f64,
    last: Option<Instant>,
}

impl Mix {
    /// A packet with so many bytes of RTP left.
    pub(super) fn add(&mut self, departure: Instant, rtp_bytes: usize) {
        let elapsed = self.last.map_or(Duration::ZERO, |last| departure.saturating_duration_since(last));
        let kept = (-elapsed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.rtp_bytes = kept * self.rtp_bytes + rtp_bytes as f64;
        self.whole_bytes = kept * self.whole_bytes + whole(rtp_bytes) as f64;
        self.last = self.last.max(Some(departure));
    }

    /// What of so much on the link is RTP's.
    pub(super) fn rtp_bps(&self, whole_bps: f64) -> f64 {
        whole_bps * self.rtp_bytes / self.whole_bytes.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_second_of_sound_alone_leaves_it_as_it_was_and_a_minute_does_not() {
        let (mut mix, begin) = (Mix::default(), Instant::now());
        let mut pass = |from: u32, to: u32, bytes| {
            (from..to).step_by(20).for_each(|ms| mix.add(begin + MS * ms, bytes));
            mix.rtp_bps(100.0)
        };
        let pictures = pass(0, 20_000, 956);
        assert!((pictures - 95.6).abs() < 0.1, "{pictures}");
        let draining = pass(20_000, 21_000, 100);
        assert!((pictures - draining).abs() < 1.0, "{draining}");
        let sound = pass(21_000, 81_000, 100);
        assert!((sound - 69.4).abs() < 1.0, "{sound}");
    }
}
