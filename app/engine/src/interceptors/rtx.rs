//! Retransmissions (RFC 4588), unwrapped where the NACK generator still sees them.
//!
//! The stack unwraps them only behind the chain, so its NACK generator keeps asking for what has come. Browsers also
//! probe for bandwidth with padding and with packets sent long ago: the transport feedback has to count those, and nobody
//! above it may see them twice.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use rtc::interceptor::{Attribute, Packet, StreamInfo, TaggedPacket};

use super::stage::{Belt, Stage};

/// Marks a packet that carries nothing new: a probe, or a repetition.
struct Redundant;

/// How far back repetitions are known, in packets: five seconds of 2.5 Mbps.
const WINDOW_PACKETS: usize = 1_024;

/// Turns retransmissions back into what was lost.
#[derive(Default)]
pub(crate) struct RtxUnwrap {
    /// By the stream's own SSRC.
    streams: BTreeMap<u32, RemoteStream>,
    /// From the retransmission's SSRC to the stream's.
    by_rtx: BTreeMap<u32, u32>,
}

struct RemoteStream {
    payload_type: u8,
    seen: Seen,
}

/// Which of the last sequence numbers have come.
struct Seen {
    highest: Option<u16>,
    bits: [u64; WINDOW_PACKETS / 64],
}

impl Seen {
    fn new() -> Self {
        Self { highest: None, bits: [0; WINDOW_PACKETS / 64] }
    }

    fn position(sequence_number: u16) -> (usize, u64) {
        let index = usize::from(sequence_number) % WINDOW_PACKETS;
        (index / 64, 1 << (index % 64))
    }

    /// Notes the number; true when it is new.
    fn insert(&mut self, sequence_number: u16) -> bool {
        let (word, bit) = Self::position(sequence_number);
        let Some(highest) = self.highest else {
            self.highest = Some(sequence_number);
            self.bits[word] |= bit;
            return true;
        };
        let ahead = sequence_number.wrapping_sub(highest);
        if ahead != 0 && ahead < 1 << 15 {
            self.forget_between(highest, sequence_number, usize::from(ahead));
            self.highest = Some(sequence_number);
            self.bits[word] |= bit;
            return true;
        }
        let behind = usize::from(highest.wrapping_sub(sequence_number));
        // Too old to know: the frame buffer above has its own mind about it.
        let is_new = behind >= WINDOW_PACKETS || self.bits[word] & bit == 0;
        if behind < WINDOW_PACKETS {
            self.bits[word] |= bit;
        }
        is_new
    }

    fn forget_between(&mut self, highest: u16, next: u16, ahead: usize) {
        if ahead >= WINDOW_PACKETS {
            self.bits = [0; WINDOW_PACKETS / 64];
            return;
        }
        let mut number = highest.wrapping_add(1);
        loop {
            let (word, bit) = Self::position(number);
            self.bits[word] &= !bit;
            if number == next {
                return;
            }
            number = number.wrapping_add(1);
        }
    }
}

fn mark_redundant(packet: &mut TaggedPacket) {
    let mark: Arc<dyn Any + Send + Sync> = Arc::new(Redundant);
    packet.message.add(Attribute::Custom(mark));
}

impl RtxUnwrap {
    /// Rewrites a retransmission into its original; false when it is a probe without content.
    fn unwrap(packet: &mut rtc::rtp::Packet, ssrc: u32, stream: &RemoteStream) -> bool {
        packet.header.ssrc = ssrc;
        packet.header.payload_type = stream.payload_type;
        packet.header.padding = false;
        if packet.payload.len() < 2 {
            // The NACK generator takes it for a repetition of the newest packet.
            packet.header.sequence_number = stream.seen.highest.unwrap_or_default();
            return false;
        }
        packet.header.sequence_number = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
        packet.payload = packet.payload.slice(2..);
        !packet.payload.is_empty()
    }
}

impl Stage for RtxUnwrap {
    fn handle_read(&mut self, mut packet: TaggedPacket, belt: &mut Belt) {
        let mut redundant = false;
        if let Packet::Rtp(rtp) = &mut packet.message.packet {
            let base = self.by_rtx.get(&rtp.header.ssrc).copied();
            let ssrc = base.unwrap_or(rtp.header.ssrc);
            if let Some(stream) = self.streams.get_mut(&ssrc) {
                let has_content = base.is_none() || Self::unwrap(rtp, ssrc, stream);
                if !has_content && stream.seen.highest.is_none() {
                    // A probe before the first packet would teach the NACK generator a wrong beginning.
                    return;
                }
                redundant = !has_content || !stream.seen.insert(rtp.header.sequence_number);
            }
        }
        if redundant {
            mark_redundant(&mut packet);
        }
        belt.read.push_back(packet);
    }

    fn bind_remote(&mut self, info: &StreamInfo) {
        // After each description once more: what has come is known all the same.
        let new = || RemoteStream { payload_type: info.payload_type, seen: Seen::new() };
        self.streams.entry(info.ssrc).or_insert_with(new).payload_type = info.payload_type;
        if let Some(ssrc_rtx) = info.ssrc_rtx {
            self.by_rtx.insert(ssrc_rtx, info.ssrc);
        }
    }

    fn unbind_remote(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
        self.by_rtx.retain(|_, ssrc| *ssrc != info.ssrc);
    }
}

/// Where redundant packets end.
pub(crate) struct RedundantEnd;

impl Stage for RedundantEnd {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        if packet.message.custom::<Redundant>().is_none() {
            belt.read.push_back(packet);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::stage::tests::{header, rtp_packet, video_stream};
    use super::*;

    /// What gets through both stages, as (ssrc, sequence number, payload length).
    fn through(stage: &mut RtxUnwrap, packet: TaggedPacket) -> Option<(u32, u16, usize)> {
        let mut belt = Belt::default();
        stage.handle_read(packet, &mut belt);
        let packet = belt.read.pop_front()?;
        let mut end = Belt::default();
        RedundantEnd.handle_read(packet, &mut end);
        let packet = end.read.pop_front()?;
        let Packet::Rtp(rtp) = &packet.message.packet else { return None };
        Some((header(&packet).ssrc, header(&packet).sequence_number, rtp.payload.len()))
    }

    fn bound() -> RtxUnwrap {
        let mut stage = RtxUnwrap::default();
        stage.bind_remote(&video_stream(1, 2));
        stage
    }

    #[test]
    fn a_retransmission_becomes_the_packet_that_was_lost() {
        let (mut stage, now) = (bound(), Instant::now());
        assert_eq!(through(&mut stage, rtp_packet(now, 1, 10, b"abc")), Some((1, 10, 3)));
        assert_eq!(through(&mut stage, rtp_packet(now, 1, 12, b"abc")), Some((1, 12, 3)));
        assert_eq!(through(&mut stage, rtp_packet(now, 2, 900, b"\x00\x0bxyz!")), Some((1, 11, 4)));
    }

    #[test]
    fn a_packet_that_came_twice_is_passed_on_once() {
        let (mut stage, now) = (bound(), Instant::now());
        assert!(through(&mut stage, rtp_packet(now, 1, 65_535, b"a")).is_some());
        assert!(through(&mut stage, rtp_packet(now, 1, 0, b"a")).is_some());
        assert!(through(&mut stage, rtp_packet(now, 1, 65_535, b"a")).is_none());
        assert!(through(&mut stage, rtp_packet(now, 2, 1, b"\x00\x00a")).is_none());
    }

    #[test]
    fn a_stream_that_is_bound_anew_is_the_same() {
        let (mut stage, now) = (bound(), Instant::now());
        assert!(through(&mut stage, rtp_packet(now, 1, 10, b"a")).is_some());
        stage.bind_remote(&video_stream(1, 2));
        assert!(through(&mut stage, rtp_packet(now, 2, 1, b"\x00\x0aa")).is_none());
    }

    #[test]
    fn probes_without_content_end_in_the_chain() {
        let (mut stage, now) = (bound(), Instant::now());
        assert!(through(&mut stage, rtp_packet(now, 2, 1, b"")).is_none());
        assert!(through(&mut stage, rtp_packet(now, 1, 5, b"a")).is_some());
        for payload in [&b""[..], b"\x00", b"\x00\x05"] {
            assert!(through(&mut stage, rtp_packet(now, 2, 1, payload)).is_none());
        }
        assert!(through(&mut stage, rtp_packet(now, 1, 6, b"a")).is_some());
    }

    #[test]
    fn a_jump_forgets_what_was_seen_before_it() {
        let (mut stage, now) = (bound(), Instant::now());
        assert!(through(&mut stage, rtp_packet(now, 1, 0, b"a")).is_some());
        assert!(through(&mut stage, rtp_packet(now, 1, 1_024, b"a")).is_some());
        assert!(through(&mut stage, rtp_packet(now, 1, 1_023, b"a")).is_some());
        assert!(through(&mut stage, rtp_packet(now, 1, 30_000, b"a")).is_some());
        assert!(through(&mut stage, rtp_packet(now, 1, 29_999, b"a")).is_some());
        assert!(through(&mut stage, rtp_packet(now, 1, 29_999, b"a")).is_none());
    }

    #[test]
    fn streams_that_are_not_bound_pass_untouched() {
        let (mut stage, now) = (bound(), Instant::now());
        assert_eq!(through(&mut stage, rtp_packet(now, 9, 7, b"abc")), Some((9, 7, 3)));
        assert_eq!(through(&mut stage, rtp_packet(now, 9, 7, b"abc")), Some((9, 7, 3)));
        stage.unbind_remote(&video_stream(1, 2));
        assert_eq!(through(&mut stage, rtp_packet(now, 2, 7, b"abc")), Some((2, 7, 3)));
    }
}
