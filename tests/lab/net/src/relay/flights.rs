//! How many flights it took until media came: the longest chain of packets and signaling messages of which each was sent after the
//! one before it had come. Pure.
//!
//! It is a logical clock (Lamport): everyone has a number, what they send carries one more, and who receives it knows at least that. On a
//! path with a delay a chain can't be longer than the time that passed divided by the delay, so two flights are a round trip.
//! Without a delay there is chatter in no time, and the number says nothing.

use std::collections::BTreeMap;

/// The server among those who send.
pub(crate) const SERVER: &str = "";
/// What passes before the first message of a WebSocket: SYN, its answer, the request, its answer.
pub(crate) const TO_OPEN: u32 = 4;

/// Everyone's number, and at which one media came to them.
#[derive(Default)]
pub(super) struct Flights {
    known: BTreeMap<String, u32>,
    media: BTreeMap<String, u32>,
}

impl Flights {
    /// Someone opens a connection: the count begins.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// The number of what someone sends now.
    pub(super) fn sent(&self, from: &str) -> u32 {
        self.known.get(from).map_or(1, |known| known + 1)
    }

    /// It came.
    pub(super) fn came(&mut self, to: &str, flight: u32) {
        let known = self.known.entry(to.to_owned()).or_default();
        *known = flight.max(*known);
    }

    /// A packet came; the first of media is noted.
    pub(super) fn packet_came(&mut self, to: &str, flight: u32, payload: &[u8]) {
        self.came(to, flight);
        if is_media(payload) && !self.media.contains_key(to) {
            self.media.insert(to.to_owned(), flight);
        }
    }

    /// The number with which the first media came to someone since the count began.
    pub(super) fn to_media(&self, to: &str) -> Option<u32> {
        self.media.get(to).copied()
    }
}

/// RTP and no RTCP: RFC 7983 §7 by the first byte, RFC 5761 §4 by the payload type.
fn is_media(payload: &[u8]) -> bool {
    let [first, second, ..] = payload else { return false };
    (128..=191).contains(first) && !(64..=95).contains(&(second & 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTP: [u8; 2] = [0x80, 0x60];
    const RTCP: [u8; 2] = [0x80, 200];
    const STUN: [u8; 2] = [0, 1];

    #[test]
    fn the_longest_chain_counts_and_what_passes_beside_it_does_not() {
        let mut flights = Flights::default();
        flights.begin();
        flights.came("bo", TO_OPEN);
        let join = flights.sent("bo");
        flights.came(SERVER, join);
        flights.came("ana", flights.sent(SERVER));
        assert_eq!(flights.sent("ana"), 7);
        // Bo sends something else meanwhile, which is in no chain with that.
        let request = flights.sent("bo");
        assert_eq!(request, 5);
        flights.packet_came("bo", flights.sent("ana"), &STUN);
        flights.packet_came("ana", request, &STUN);
        flights.packet_came("ana", flights.sent("bo"), &RTCP);
        assert_eq!(flights.to_media("ana"), None);
        flights.packet_came("ana", flights.sent("bo"), &RTP);
        assert_eq!(flights.to_media("ana"), Some(8));
        flights.packet_came("ana", 90, &RTP);
        assert_eq!((flights.to_media("ana"), flights.to_media("bo")), (Some(8), None));
    }

    #[test]
    fn only_rtp_is_media() {
        for (payload, expected) in
            [(&RTP[..], true), (&RTCP, false), (&STUN, false), (&[22, 254], false), (&[0x80], false)]
        {
            assert_eq!(is_media(payload), expected, "{payload:?}");
        }
    }
}
