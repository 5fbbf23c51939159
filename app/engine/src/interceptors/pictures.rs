//! Whole pictures on their way into the stack.
//!
//! The stack takes packets one by one: each goes through a channel and makes the connection's loop go round once, which costs
//! more than all that is done with the packet. So the writer gives it one envelope for a picture, without content and with the
//! number of its first packet, and leaves the picture here. The stage, first in the chain, puts the packets in place of their
//! envelope; everyone after it sees what it would have seen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use parlor_media::PacketizedFrame;
use rtc::interceptor::{AttributedPacket, Packet, TaggedPacket};
use rtc::rtp;

use super::stage::{Belt, Stage};

/// Pictures that wait for the stack, two seconds of them, which is what its channel holds in packets. Full: the oldest is dropped,
/// for the stack hangs or has refused its envelope.
const WAITING_MAX: usize = 64;

/// Where the writer of a connection leaves pictures for the stage.
#[derive(Default)]
pub(crate) struct Handover(Mutex<VecDeque<(u16, Arc<PacketizedFrame>)>>);

impl Handover {
    /// Leaves a picture whose first packet has this number; its envelope is to follow.
    pub(crate) fn leave(&self, first: u16, frame: Arc<PacketizedFrame>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back((first, frame));
    }

    /// The picture with this first number. Those before it have lost their envelopes, and go too.
    fn take(&self, first: u16) -> Option<Arc<PacketizedFrame>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let position = waiting.iter().position(|(number, _)| *number == first)?;
        waiting.drain(..=position).next_back().map(|(_, frame)| frame)
    }
}

/// The stage.
pub(crate) struct Pictures {
    video_ssrc: u32,
    handover: Arc<Handover>,
}

impl Pictures {
    pub(crate) fn new(video_ssrc: u32, handover: Arc<Handover>) -> Self {
        Self { video_ssrc, handover }
    }
}

impl Stage for Pictures {
    fn handle_write(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        let header = match &packet.message.packet {
            Packet::Rtp(envelope) if envelope.header.ssrc == self.video_ssrc && envelope.payload.is_empty() => {
                &envelope.header
            }
            _ => return belt.write.push_back(packet),
        };
        let Some(frame) = self.handover.take(header.sequence_number) else { return };
        let (now, transport) = (packet.now, packet.transport);
        let packets = frame.packets.iter().zip(0..=u16::MAX).map(|(content, offset)| {
            let sequence_number = header.sequence_number.wrapping_add(offset);
            let header = rtp::header::Header { marker: content.marker, sequence_number, ..header.clone() };
            let packet = rtp::Packet { header, payload: content.payload.clone() };
            TaggedPacket { now, transport, message: AttributedPacket::new(Packet::Rtp(packet)) }
        });
        belt.write.extend(packets);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;
    use parlor_media::MediaPacket;

    use super::super::stage::tests::{header, rtp_packet};
    use super::*;
    use crate::media_bridge::leg_queue::tests::frame;

    const VIDEO: u32 = 7;

    fn picture(packets: &[&'static [u8]]) -> Arc<PacketizedFrame> {
        let last = packets.len() - 1;
        let packets = packets.iter().enumerate();
        let packets =
            packets.map(|(index, bytes)| MediaPacket { payload: Bytes::from_static(bytes), marker: index == last });
        Arc::new(PacketizedFrame { packets: packets.collect(), ..(*frame(0, true, false)).clone() })
    }

    /// What becomes of an envelope: (number, marker, payload) of each packet.
    fn opened(stage: &mut Pictures, first: u16) -> Vec<(u16, bool, Bytes)> {
        let mut belt = Belt::default();
        stage.handle_write(rtp_packet(Instant::now(), VIDEO, first, b""), &mut belt);
        let packets = belt.write.iter().map(|packet| match &packet.message.packet {
            Packet::Rtp(rtp) => (header(packet).sequence_number, rtp.header.marker, rtp.payload.clone()),
            _ => panic!("not an RTP packet"),
        });
        packets.collect()
    }

    #[test]
    fn a_picture_comes_out_in_its_packets_with_the_numbers_it_was_given_and_without_a_copy() {
        let handover = Arc::new(Handover::default());
        let mut stage = Pictures::new(VIDEO, handover.clone());
        let frame = picture(&[b"ab", b"c", b"d"]);
        handover.leave(65_535, frame.clone());
        let packets = opened(&mut stage, 65_535);
        let numbers: Vec<_> = packets.iter().map(|(number, marker, _)| (*number, *marker)).collect();
        assert_eq!(numbers, [(65_535, false), (0, false), (1, true)]);
        assert!(packets.iter().zip(&frame.packets).all(|(sent, made)| sent.2.as_ptr() == made.payload.as_ptr()));
        assert!(opened(&mut stage, 65_535).is_empty(), "an envelope without a picture goes nowhere");
    }

    #[test]
    fn a_lost_envelope_takes_its_own_picture_only() {
        let handover = Arc::new(Handover::default());
        let mut stage = Pictures::new(VIDEO, handover.clone());
        for (first, bytes) in [(1, b"a"), (2, b"b"), (3, b"c")] {
            handover.leave(first, picture(&[bytes]));
        }
        assert_eq!(opened(&mut stage, 2)[0].2, "b");
        assert_eq!(opened(&mut stage, 3)[0].2, "c");
        assert!(opened(&mut stage, 1).is_empty());
    }

    #[test]
    fn what_the_stack_does_not_take_does_not_pile_up() {
        let handover = Arc::new(Handover::default());
        (0..1_000).for_each(|first| handover.leave(first, picture(&[b"a"])));
        assert_eq!(handover.0.lock().unwrap().len(), WAITING_MAX);
    }

    #[test]
    fn sound_and_what_has_content_pass() {
        let mut stage = Pictures::new(VIDEO, Arc::default());
        let mut belt = Belt::default();
        stage.handle_write(rtp_packet(Instant::now(), VIDEO, 1, b"x"), &mut belt);
        stage.handle_write(rtp_packet(Instant::now(), 8, 1, b""), &mut belt);
        assert_eq!(belt.write.len(), 2);
    }
}
