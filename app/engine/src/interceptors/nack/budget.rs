//! How often may be asked: requests shall not drown what they share the way back with. Pure.
//!
//! A request is a packet of its own. On a link that passes a tenth of what it is given, nearly everything is missing all the time, and was asked
//! for each few milliseconds: more than such a link carries, and so the other side's link closed too. Its sound and its reports
//! drowned in requests. So they keep to a share of what may be sent, and what is due meanwhile is asked for together.

use std::time::{Duration, Instant};

use rtc::interceptor::Packet;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

/// The share of what may be sent. RFC 3550 §6.2 gives as much to all control packets together; reports take a fifth of that.
const SHARE: f64 = 0.05;
/// What may be sent, as long as nothing is known of it.
const UNKNOWN_BPS: f64 = 1_000_000.0;
/// No report on what was sent so long ago: the way there may be full, whatever it once carried. Reports come each 100 ms, a browser's each 250 at most.
const SILENCE: Duration = Duration::from_millis(400);
/// Nothing left for so long: there is nothing to report on.
const IDLE: Duration = Duration::from_millis(1_000);
/// What is counted on in silence.
const SILENT_BPS: f64 = 100_000.0;
/// How much may be saved up: what is lost in a row is asked for at once.
const SAVED: Duration = Duration::from_millis(250);
/// The longest that one request shuts the way for the next.
const OWED_MAX: Duration = Duration::from_millis(500);

/// What the requests of one connection may take.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Until when all is spent that may be; what is saved lies behind.
    spent_until: Option<Instant>,
    /// Whether they ever say what comes of what we send.
    is_reported: bool,
    /// When the first left on which no report has come, and the last of all.
    unreported: Option<Instant>,
    sent_at: Option<Instant>,
}

impl Budget {
    /// Something leaves on which they could report.
    pub(super) fn note_sent(&mut self, now: Instant) {
        if self.is_idle(now) {
            self.unreported = None;
        }
        self.unreported.get_or_insert(now);
        self.sent_at = Some(now);
    }

    /// Something came from them.
    pub(super) fn note_received(&mut self, packet: &Packet) {
        let Packet::Rtcp(packets) = packet else { return };
        if packets.iter().any(|rtcp| rtcp.as_any().is::<TransportLayerCc>()) {
            (self.is_reported, self.unreported) = (true, None);
        }
    }

    /// From when on it may be asked; none for any time.
    pub(super) fn open_at(&self) -> Option<Instant> {
        self.spent_until
    }

    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.spent_until.is_none_or(|until| until <= now)
    }

    /// A request of so many bytes leaves, where `target_bps` may be sent; 0 stands for "not known". An answer takes `rtt`.
    pub(super) fn spend(&mut self, now: Instant, bytes: usize, target_bps: u64, rtt: Duration) {
        let known_bps = if target_bps == 0 { UNKNOWN_BPS } else { target_bps as f64 };
        let bps = SHARE * if self.is_silent(now, rtt) { known_bps.min(SILENT_BPS) } else { known_bps };
        let full = now.checked_sub(SAVED).unwrap_or(now);
        let spent_until = self.spent_until.map_or(full, |until| until.max(full));
        let cost = Duration::from_secs_f64(bytes as f64 * 8.0 / bps);
        self.spent_until = Some((spent_until + cost).min(now + OWED_MAX));
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.sent_at.is_none_or(|at| now.saturating_duration_since(at) > IDLE)
    }

    fn is_silent(&self, now: Instant, rtt: Duration) -> bool {
        let is_long = |since: Instant| now.saturating_duration_since(since) > SILENCE + rtt;
        self.is_reported && !self.is_idle(now) && self.unreported.is_some_and(is_long)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::stage::tests::rtcp_packet;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// How many requests of so many bytes leave in a second, where it is asked whenever that may be.
    fn asked(budget: &mut Budget, begin: Instant, bytes: usize, target_bps: u64) -> usize {
        (0..1_000)
            .filter(|ms| {
                let now = begin + MS * *ms;
                let is_open = budget.is_open(now);
                if is_open {
                    budget.spend(now, bytes, target_bps, Duration::ZERO);
                }
                is_open
            })
            .count()
    }

    #[test]
    fn requests_take_a_twentieth_of_what_may_be_sent_and_what_was_saved() {
        let begin = Instant::now() + MS * 1_000;
        // Of a second and a quarter.
        assert_eq!(asked(&mut Budget::default(), begin, 64, 1_024_000), 125);
        assert_eq!(asked(&mut Budget::default(), begin, 64, 102_400), 13);
        assert_eq!(asked(&mut Budget::default(), begin, 128, 102_400), 7, "more rows take more");
        assert_eq!(asked(&mut Budget::default(), begin, 64, 0), 122, "before anything is known");
        let mut spent = Budget::default();
        asked(&mut spent, begin, 64, 102_400);
        assert_eq!(asked(&mut spent, begin + MS * 1_000, 64, 102_400), 10, "nothing is saved");
    }

    #[test]
    fn a_long_request_over_next_to_nothing_does_not_end_all_others() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        budget.spend(now, 1_200, 25_000, Duration::ZERO);
        assert!(!budget.is_open(now + MS * 499) && budget.is_open(now + MS * 500));
    }

    #[test]
    fn where_no_reports_come_any_more_it_is_hardly_asked() {
        let begin = Instant::now() + MS * 1_000;
        let report = rtcp_packet(begin, TransportLayerCc::default()).message.packet;
        let mut budget = Budget::default();
        budget.note_sent(begin);
        assert_eq!(asked(&mut budget, begin, 64, 1_024_000), 125, "who never reports is not waited for");
        budget.note_received(&report);
        (1_100..=2_600).step_by(20).for_each(|ms| budget.note_sent(begin + MS * ms));
        assert_eq!(asked(&mut budget, begin + MS * 2_600, 64, 1_024_000), 13, "as over the link that is counted on");
        budget.note_sent(begin + MS * 4_000);
        assert_eq!(asked(&mut budget, begin + MS * 4_600, 64, 51_200), 7, "and never more than where they come");
        budget.note_received(&report);
        assert_eq!(asked(&mut budget, begin + MS * 6_000, 64, 1_024_000), 125);
    }

    #[test]
    fn who_is_muted_is_not_taken_for_unheard() {
        let begin = Instant::now() + MS * 1_000;
        let mut budget = Budget::default();
        budget.note_sent(begin);
        budget.note_received(&rtcp_packet(begin, TransportLayerCc::default()).message.packet);
        assert_eq!(asked(&mut budget, begin + MS * 9_000, 64, 1_024_000), 125);
        // The report on the last sound was lost.
        budget.note_sent(begin + MS * 20_000);
        assert_eq!(asked(&mut budget, begin + MS * 21_001, 64, 1_024_000), 125);
    }
}
