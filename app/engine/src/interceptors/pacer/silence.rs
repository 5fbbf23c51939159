//! Whether the other side still says what comes of what we send. Pure.
//!
//! Where a link closes under two who send as much as before, each drowns the other's reports: nobody hears that there is too much, and
//! nobody sends less. So who hears nothing for a while lets no more pictures go until reports come regularly again. Sound goes on, and it is by
//! what becomes of it that they come.

use std::time::{Duration, Instant};

use rtc::interceptor::{Packet, StreamInfo};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

use crate::peer_driver::configuration::TRANSPORT_CC_URI;

/// Reports come each 100 ms, a browser's each 250 ms at most: where 30 % are lost, four of those in a row are once in half a minute.
const SILENCE_MAX: Duration = Duration::from_millis(1_000);

/// One report alone may have slipped through; a second this soon after it did not.
const REGULAR: Duration = Duration::from_millis(400);

/// What was sent since the last report.
#[derive(Default)]
pub(super) struct Silence {
    /// Whether it was agreed that they report.
    is_reported: bool,
    /// When the first left on which no report can have come.
    since: Option<Instant>,
    reported_at: Option<Instant>,
    is_unheard: bool,
}

impl Silence {
    /// A stream that we send.
    pub(super) fn bind(&mut self, info: &StreamInfo) {
        self.is_reported |= info.rtp_header_extensions.iter().any(|extension| extension.uri == TRANSPORT_CC_URI);
    }

    /// Something leaves; `rtt` is what an answer takes at least.
    pub(super) fn note_sent(&mut self, now: Instant, rtt: Option<Duration>) {
        let since = *self.since.get_or_insert(now);
        let limit = SILENCE_MAX + rtt.unwrap_or_default();
        self.is_unheard |= self.is_reported && now.saturating_duration_since(since) > limit;
    }

    /// Something came from them.
    pub(super) fn note_received(&mut self, now: Instant, packet: &Packet) {
        let Packet::Rtcp(packets) = packet else { return };
        if !packets.iter().any(|rtcp| rtcp.as_any().is::<TransportLayerCc>()) {
            return;
        }
        let last = self.reported_at.replace(now);
        if last.is_some_and(|last| now.saturating_duration_since(last) < REGULAR) {
            self.is_unheard = false;
        }
        self.since = None;
    }

    /// Whether nobody says what comes.
    pub(super) fn is_unheard(&self) -> bool {
        self.is_unheard
    }
}

#[cfg(test)]
mod tests {
    use rtc::interceptor::RTPHeaderExtension;
    use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;

    use super::super::super::stage::tests::rtcp_packet;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn reported() -> Silence {
        let rtp_header_extensions = vec![RTPHeaderExtension { uri: TRANSPORT_CC_URI.to_owned(), id: 3 }];
        let mut silence = Silence::default();
        silence.bind(&StreamInfo { rtp_header_extensions, ..StreamInfo::default() });
        silence
    }

    fn report(silence: &mut Silence, now: Instant) -> bool {
        silence.note_received(now, &rtcp_packet(now, TransportLayerCc::default()).message.packet);
        silence.is_unheard()
    }

    #[test]
    fn a_second_and_a_round_trip_after_what_was_not_reported_on_is_too_long() {
        let begin = Instant::now();
        for (rtt_ms, silent_from_ms) in [(0, 1_020), (600, 1_620)] {
            let mut silence = reported();
            let silent = (0..100).map(|number| number * 20).find(|ms| {
                silence.note_sent(begin + MS * *ms, Some(MS * rtt_ms));
                silence.is_unheard()
            });
            assert_eq!(silent, Some(silent_from_ms));
        }
    }

    #[test]
    fn reports_that_come_regularly_end_it_and_nothing_else_does() {
        let (mut silence, begin) = (reported(), Instant::now());
        silence.note_sent(begin, None);
        silence.note_sent(begin + MS * 1_100, None);
        silence.note_received(begin, &rtcp_packet(begin, PictureLossIndication::default()).message.packet);
        assert!(silence.is_unheard());
        assert!(report(&mut silence, begin + MS * 2_000));
        assert!(report(&mut silence, begin + MS * 2_500));
        assert!(!report(&mut silence, begin + MS * 2_750));
    }

    #[test]
    fn reports_that_come_seldom_but_come_are_no_silence() {
        let (mut silence, begin) = (reported(), Instant::now());
        for ms in (0..10_000).step_by(20) {
            silence.note_sent(begin + MS * ms, None);
            assert!(!silence.is_unheard());
            if ms % 900 == 0 {
                report(&mut silence, begin + MS * ms);
            }
        }
    }

    #[test]
    fn who_never_agreed_to_report_is_not_waited_for() {
        let (mut silence, begin) = (Silence::default(), Instant::now());
        silence.bind(&StreamInfo::default());
        silence.note_sent(begin, None);
        silence.note_sent(begin + MS * 60_000, None);
        assert!(!silence.is_unheard());
    }
}
