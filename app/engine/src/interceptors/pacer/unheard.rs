//! Whether the other side still says what comes of what we send. Pure.
//!
//! Where a link closes under two who send as much as before, each drowns the other's reports: nobody hears that there is too much, and
//! nobody sends less. So who hears nothing for a while lets no more pictures go until reports come regularly again, or one on what has just left. Sound goes on, and it is by
//! what becomes of it that they come; where there is none, a picture is tried again after a moment.

use std::time::{Duration, Instant};

use rtc::interceptor::{Packet, StreamInfo};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

use crate::peer_driver::configuration::TRANSPORT_CC_URI;

/// Reports come each 100 ms, a browser's each 250 ms at most: where 30 % are lost, four of those in a row are once in half a minute.
const SILENCE_MAX: Duration = Duration::from_millis(1_000);
/// One report alone may have slipped through; a second so soon after it did not. Opus in a quiet room sends each 420 ms, and what comes waits up
/// to 250 ms for its report.
const REGULAR: Duration = Duration::from_millis(700);
/// A report on what left so short a time ago waited in no queue, nor did that: one is enough. After an outage it is so; on a longer path two are waited for.
const PROMPT: Duration = Duration::from_millis(150);
/// Nothing left for so long: there is nothing to report on.
const IDLE: Duration = Duration::from_millis(1_000);

/// What was sent since the last report.
#[derive(Default)]
pub(super) struct Unheard {
    /// Whether it was agreed that they report on our sound, which goes on.
    is_reported: bool,
    /// When the first left on which no report can have come.
    since: Option<Instant>,
    sent_at: Option<Instant>,
    reported_at: Option<Instant>,
    is_unheard: bool,
}

impl Unheard {
    /// A stream that we send.
    pub(super) fn bind(&mut self, info: &StreamInfo) {
        let is_sound = info.mime_type.to_ascii_lowercase().starts_with("audio/");
        let is_numbered = info.rtp_header_extensions.iter().any(|extension| extension.uri == TRANSPORT_CC_URI);
        self.is_reported |= is_sound && is_numbered;
    }

    /// Something leaves; `rtt` is what an answer takes at least.
    pub(super) fn note_sent(&mut self, now: Instant, rtt: Option<Duration>) {
        if self.sent_at.replace(now).is_some_and(|at| now.saturating_duration_since(at) > IDLE) {
            self.since = None;
        }
        let since = *self.since.get_or_insert(now);
        let limit = SILENCE_MAX + rtt.unwrap_or_default();
        self.is_unheard |= self.is_reported && now.saturating_duration_since(since) > limit;
    }

    /// Something came from them; what came last by that left `age` ago.
    pub(super) fn note_received(&mut self, now: Instant, packet: &Packet, age: Option<Duration>) {
        let Packet::Rtcp(packets) = packet else { return };
        if !packets.iter().any(|rtcp| rtcp.as_any().is::<TransportLayerCc>()) {
            return;
        }
        let last = self.reported_at.replace(now);
        let is_regular = last.is_some_and(|last| now.saturating_duration_since(last) < REGULAR);
        if is_regular || age.is_some_and(|age| age < PROMPT) {
            self.is_unheard = false;
        }
        self.since = None;
    }

    /// Whether nobody says what comes.
    pub(super) fn is_unheard(&self) -> bool {
        self.is_unheard
    }

    /// When a picture is tried again, if nothing else leaves until then.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sent_at.filter(|_| self.is_unheard).map(|at| at + IDLE)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            (self.is_unheard, self.since) = (false, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use rtc::interceptor::RTPHeaderExtension;
    use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;

    use super::super::super::stage::tests::rtcp_packet;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn bound(mime_type: &str) -> Unheard {
        let rtp_header_extensions = vec![RTPHeaderExtension { uri: TRANSPORT_CC_URI.to_owned(), id: 3 }];
        let mut unheard = Unheard::default();
        unheard.bind(&StreamInfo { rtp_header_extensions, mime_type: mime_type.to_owned(), ..StreamInfo::default() });
        unheard
    }

    fn report(unheard: &mut Unheard, now: Instant) -> bool {
        report_after(unheard, now, MS * 400)
    }

    /// A report on what left so long ago.
    fn report_after(unheard: &mut Unheard, now: Instant, age: Duration) -> bool {
        unheard.note_received(now, &rtcp_packet(now, TransportLayerCc::default()).message.packet, Some(age));
        unheard.is_unheard()
    }

    /// A packet each 20 ms; when that is unheard, in milliseconds.
    fn unheard_from(unheard: &mut Unheard, begin: Instant, rtt: Duration) -> Option<u32> {
        (0..100).map(|number| number * 20).find(|ms| {
            unheard.note_sent(begin + MS * *ms, Some(rtt));
            unheard.is_unheard()
        })
    }

    #[test]
    fn a_second_and_a_round_trip_after_what_was_not_reported_on_is_too_long() {
        let begin = Instant::now();
        assert_eq!(unheard_from(&mut bound("audio/opus"), begin, Duration::ZERO), Some(1_020));
        assert_eq!(unheard_from(&mut bound("audio/opus"), begin, MS * 600), Some(1_620));
    }

    #[test]
    fn reports_that_come_regularly_end_it_and_no_other_packet_does() {
        let (mut unheard, begin) = (bound("audio/opus"), Instant::now());
        unheard_from(&mut unheard, begin, Duration::ZERO);
        unheard.note_received(begin, &rtcp_packet(begin, PictureLossIndication::default()).message.packet, None);
        assert!(unheard.is_unheard());
        assert!(report(&mut unheard, begin + MS * 2_000));
        assert!(report(&mut unheard, begin + MS * 2_750));
        assert!(!report(&mut unheard, begin + MS * 3_400));
    }

    #[test]
    fn one_report_on_what_has_just_left_is_enough() {
        let (mut unheard, begin) = (bound("audio/opus"), Instant::now());
        unheard_from(&mut unheard, begin, Duration::ZERO);
        assert!(report_after(&mut unheard, begin + MS * 2_000, MS * 151));
        unheard_from(&mut unheard, begin + MS * 3_000, Duration::ZERO);
        assert!(!report_after(&mut unheard, begin + MS * 5_000, MS * 40));
    }

    #[test]
    fn reports_that_come_seldom_but_come_are_no_silence() {
        let (mut unheard, begin) = (bound("audio/opus"), Instant::now());
        for ms in (0..10_000).step_by(20) {
            unheard.note_sent(begin + MS * ms, None);
            assert!(!unheard.is_unheard());
            if ms % 900 == 0 {
                report(&mut unheard, begin + MS * ms);
            }
        }
    }

    #[test]
    fn who_sends_nothing_cannot_be_heard_and_tries_again() {
        let (mut unheard, begin) = (bound("audio/opus"), Instant::now());
        unheard.note_sent(begin, None);
        unheard.note_sent(begin + MS * 60_000, None);
        assert!(!unheard.is_unheard(), "a pause is no silence");
        assert_eq!(unheard.poll_timeout(), None);
        let last = begin + MS * (60_000 + unheard_from(&mut unheard, begin + MS * 60_000, Duration::ZERO).unwrap());
        assert_eq!(unheard.poll_timeout(), Some(last + MS * 1_000));
        unheard.handle_timeout(last + MS * 999);
        assert!(unheard.is_unheard());
        unheard.handle_timeout(last + MS * 1_000);
        assert!(!unheard.is_unheard());
    }

    #[test]
    fn who_does_not_report_on_sound_is_not_waited_for() {
        let begin = Instant::now();
        assert_eq!(unheard_from(&mut bound("video/H264"), begin, Duration::ZERO), None);
        let mut unheard = Unheard::default();
        unheard.bind(&StreamInfo { mime_type: "audio/opus".to_owned(), ..StreamInfo::default() });
        assert_eq!(unheard_from(&mut unheard, begin, Duration::ZERO), None);
    }
}
