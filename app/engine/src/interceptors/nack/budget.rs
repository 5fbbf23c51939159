//! How often may be asked: requests shall not drown what they share the way back with. Pure.
//!
//! A request is a packet of its own. On a link that passes a tenth of what it is given, nearly everything is missing all the time, and was asked
//! for each few milliseconds: more than such a link carries, and so the other side's link closed too. Its sound and its reports
//! drowned in requests. So they keep to a share of what may be sent, and what is due meanwhile is asked for together.

use std::time::{Duration, Instant};

use rtc::interceptor::Packet;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

/// The share of what may be sent, as RFC 3550 §6.2 has it for all control packets.
const SHARE: f64 = 0.05;
/// What may be sent, as long as nothing is known of it.
const UNKNOWN_BPS: f64 = 1_000_000.0;
/// No report on what we send in so long: the way back may be full, whatever it once carried. Reports come each 100 ms, a browser's each 250 at most.
const SILENCE: Duration = Duration::from_millis(400);
/// What is counted on then.
const SILENT_BPS: f64 = 100_000.0;
/// A request without what it names, and what lies below: headers of RTCP, SRTP (RFC 7714), UDP and IPv4.
const MESSAGE_BYTES: usize = 12 + 20 + 8 + 20;
/// A row of up to seventeen packets.
const ROW_BYTES: usize = 4;

/// How much may be saved up: what is lost in a row is asked for at once.
const SAVED: Duration = Duration::from_millis(250);

/// What the requests of one connection may take.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Until when all is spent that may be; what is saved lies behind.
    spent_until: Option<Instant>,
    /// When it was last said what came of what we send; none if that is never said.
    reported_at: Option<Instant>,
}

impl Budget {
    /// Something came from them.
    pub(super) fn note_received(&mut self, now: Instant, packet: &Packet) {
        let Packet::Rtcp(packets) = packet else { return };
        if packets.iter().any(|rtcp| rtcp.as_any().is::<TransportLayerCc>()) {
            self.reported_at = Some(now);
        }
    }

    /// From when on it may be asked; none for any time.
    pub(super) fn open_at(&self) -> Option<Instant> {
        self.spent_until
    }

    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.spent_until.is_none_or(|until| until <= now)
    }

    /// It is asked for so many rows, where `target_bps` may be sent; 0 stands for "not known".
    pub(super) fn spend(&mut self, now: Instant, rows: usize, target_bps: u64) {
        let is_silent = self.reported_at.is_some_and(|at| now.saturating_duration_since(at) > SILENCE);
        let known_bps = if target_bps == 0 { UNKNOWN_BPS } else { target_bps as f64 };
        let bps = SHARE * if is_silent { known_bps.min(SILENT_BPS) } else { known_bps };
        let bits = 8 * (MESSAGE_BYTES + rows * ROW_BYTES);
        let full = now.checked_sub(SAVED).unwrap_or(now);
        let spent_until = self.spent_until.map_or(full, |until| until.max(full));
        self.spent_until = Some(spent_until + Duration::from_secs_f64(bits as f64 / bps));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::stage::tests::rtcp_packet;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// How many requests for so many rows leave in a second, where it is asked whenever that may be.
    fn asked(budget: &mut Budget, begin: Instant, rows: usize, target_bps: u64) -> usize {
        (0..1_000)
            .filter(|ms| {
                let now = begin + MS * *ms;
                let is_open = budget.is_open(now);
                if is_open {
                    budget.spend(now, rows, target_bps);
                }
                is_open
            })
            .count()
    }

    #[test]
    fn requests_take_a_twentieth_of_what_may_be_sent_and_what_was_saved() {
        let begin = Instant::now() + MS * 1_000;
        // 64 bytes each, in a second and a quarter.
        assert_eq!(asked(&mut Budget::default(), begin, 1, 1_024_000), 125);
        assert_eq!(asked(&mut Budget::default(), begin, 1, 102_400), 13);
        assert_eq!(asked(&mut Budget::default(), begin, 17, 102_400), 7, "more rows take more");
        assert_eq!(asked(&mut Budget::default(), begin, 1, 0), 122, "before anything is known");
        let mut spent = Budget::default();
        asked(&mut spent, begin, 1, 102_400);
        assert_eq!(asked(&mut spent, begin + MS * 1_000, 1, 102_400), 10, "nothing is saved");
    }

    #[test]
    fn where_no_reports_come_any_more_it_is_hardly_asked() {
        let begin = Instant::now() + MS * 1_000;
        let mut budget = Budget::default();
        assert_eq!(asked(&mut budget, begin, 1, 1_024_000), 125, "who never reports is not waited for");
        let report = rtcp_packet(begin, TransportLayerCc::default());
        budget.note_received(begin + MS * 2_000, &report.message.packet);
        let after = asked(&mut budget, begin + MS * 2_500, 1, 1_024_000);
        assert_eq!(after, 13, "as over the link that is counted on");
        let narrower = asked(&mut budget, begin + MS * 4_500, 1, 51_200);
        assert_eq!(narrower, 7, "and never more than where they come");
    }
}
