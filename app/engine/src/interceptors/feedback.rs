//! Feedback that got lost: which packets nobody reported on.
//!
//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01) covers each packet once, in a row. The stack
//! takes what a lost one would have reported for lost packets: where 30 % are lost both ways, the loss looks like 51 %. But
//! the next feedback shows where it begins, and so what the lost ones covered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rtc::interceptor::{Packet, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

use super::stage::{Belt, Stage};

/// Rows of packets kept until the estimator looks, which is at each feedback; of more the newest are not noted.
const ROWS_MAX: usize = 16;
/// A longer row is no lost feedback, but another numbering.
const ROW_MAX: u16 = 4_096;

/// Packets on which no report came, by their transport-wide numbers; written by the stage, read by the estimator.
#[derive(Default)]
pub(crate) struct Unreported(Mutex<Vec<Row>>);

/// The first, and how many.
#[derive(Clone, Copy)]
struct Row {
    first: u16,
    count: u16,
}

impl Unreported {
    fn lock(&self) -> MutexGuard<'_, Vec<Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is known of the packet with this number.
    pub(crate) fn contains(&self, number: u16) -> bool {
        self.lock().iter().any(|row| number.wrapping_sub(row.first) < row.count)
    }

    /// The estimator has seen everything up to now.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn note(&self, row: Row) {
        let mut rows = self.lock();
        if rows.len() < ROWS_MAX {
            rows.push(row);
        }
    }
}

/// The stage; nearer to the wire than the congestion control, so that it sees each feedback first.
pub(crate) struct FeedbackGaps {
    unreported: Arc<Unreported>,
    /// The first number that no feedback has covered yet.
    next: Option<u16>,
}

impl FeedbackGaps {
    pub(crate) fn new(unreported: Arc<Unreported>) -> Self {
        Self { unreported, next: None }
    }

    pub(crate) fn note(&mut self, first: u16, count: u16) {
        let next = *self.next.get_or_insert(first);
        let skipped = first.wrapping_sub(next);
        if (1..=ROW_MAX).contains(&skipped) {
            self.unreported.note(Row { first: next, count: skipped });
        }
        let end = first.wrapping_add(count);
        // One that was overtaken covers nothing new.
        if end.wrapping_sub(next) < 1 << 15 {
            self.next = Some(end);
        }
    }
}

impl Stage for FeedbackGaps {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            for rtcp in packets {
                if let Some(feedback) = rtcp.as_any().downcast_ref::<TransportLayerCc>() {
                    self.note(feedback.base_sequence_number, feedback.packet_status_count);
                }
            }
        }
        belt.read.push_back(packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After these feedbacks (first number, count), which of some numbers are unknown.
    fn unknown(feedbacks: &[(u16, u16)], numbers: std::ops::Range<u16>) -> Vec<u16> {
        let unreported = Arc::new(Unreported::default());
        let mut gaps = FeedbackGaps::new(unreported.clone());
        feedbacks.iter().for_each(|(first, count)| gaps.note(*first, *count));
        numbers.filter(|number| unreported.contains(*number)).collect()
    }

    #[test]
    fn what_lies_between_two_feedbacks_is_unknown_and_not_lost() {
        assert_eq!(unknown(&[(5, 3), (8, 2), (14, 4)], 0..30), [10, 11, 12, 13]);
        assert_eq!(unknown(&[(65_530, 4), (2, 4)], 0..10), [0, 1]);
    }

    #[test]
    fn feedback_that_was_overtaken_or_starts_anew_hides_nothing() {
        assert_eq!(unknown(&[(5, 5), (15, 5), (10, 5), (20, 5)], 0..40), [10, 11, 12, 13, 14]);
        assert!(unknown(&[(5, 5), (30_000, 5)], 0..30_010).is_empty());
    }

    #[test]
    fn what_the_estimator_has_seen_is_forgotten() {
        let unreported = Arc::new(Unreported::default());
        let mut gaps = FeedbackGaps::new(unreported.clone());
        for first in (0..40).map(|index| index * 20) {
            gaps.note(first, 10);
        }
        assert_eq!(unreported.lock().len(), ROWS_MAX);
        unreported.clear();
        assert!(!unreported.contains(15));
    }
}
