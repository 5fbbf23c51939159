//! For which packets the decoder's thread is woken. Pure.
//!
//! Most pictures come in several packets, in their order and within a moment; there is nothing to do with them before the last
//! one, and a wake-up for each costs more than all that is done with it.

use crate::rtp::packet::RtpPacket;

/// Packets in a row that may wait for the end of their picture: a sender that never marks one shall not fill the queue.
const QUIET_MAX: usize = 64;

/// Looks at each packet as it is queued.
#[derive(Debug, Default)]
pub(super) struct Bell {
    last: Option<Last>,
    quiet: usize,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    sequence_number: u16,
    timestamp: u32,
    marker: bool,
}

impl Bell {
    /// Whether there may be something to do: a picture is whole, or its packets do not come in their order. Then one is missing,
    /// and its repair, or the end of the wait for it, makes another picture whole.
    pub(super) fn rings(&mut self, packet: &RtpPacket) -> bool {
        let &RtpPacket { sequence_number, timestamp, marker, .. } = packet;
        let last = self.last.replace(Last { sequence_number, timestamp, marker });
        let is_expected = last.is_some_and(|last| {
            // Without a mark the next picture is what tells that the one before it is whole.
            let continues = last.marker || last.timestamp == timestamp;
            continues && last.sequence_number.wrapping_add(1) == sequence_number
        });
        self.quiet += 1;
        let rings = marker || !is_expected || self.quiet >= QUIET_MAX;
        if rings {
            self.quiet = 0;
        }
        rings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of these packets (number, time, marked), the numbers of those that ring.
    fn ringing(packets: &[(u16, u32, bool)]) -> Vec<u16> {
        let mut bell = Bell::default();
        let rings = |&&(sequence_number, timestamp, marker): &&(u16, u32, bool)| {
            let payload = bytes::Bytes::from_static(b"x");
            bell.rings(&RtpPacket { sequence_number, timestamp, marker, payload_type: 102, ssrc: 1, payload })
        };
        packets.iter().filter(rings).map(|packet| packet.0).collect()
    }

    #[test]
    fn pictures_that_come_in_order_ring_once_each() {
        let pictures =
            [(65_534, 1, false), (65_535, 1, true), (0, 2, false), (1, 2, false), (2, 2, true), (3, 3, true)];
        assert_eq!(ringing(&pictures), [65_534, 65_535, 2, 3], "and the very first, of which nothing is known");
    }

    #[test]
    fn a_gap_and_its_repair_ring() {
        let packets = [(1, 1, true), (2, 2, false), (4, 2, false), (5, 2, true), (3, 2, false), (6, 3, false)];
        assert_eq!(ringing(&packets), [1, 4, 5, 3, 6]);
    }

    #[test]
    fn without_marks_the_next_picture_rings_for_the_one_before() {
        assert_eq!(ringing(&[(1, 1, true), (2, 2, false), (3, 2, false), (4, 3, false), (5, 3, false)]), [1, 4]);
    }

    #[test]
    fn a_picture_without_end_rings_now_and_then() {
        let packets: Vec<_> = (0..200).map(|number| (number, 1, false)).collect();
        assert_eq!(ringing(&packets), [0, 64, 128, 192]);
    }
}
