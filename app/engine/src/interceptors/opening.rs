//! The first packets of each stream, held until the stack has made a track for it.
//!
//! A stream's first packet makes the stack say that there is a new track, before the packet comes to this chain; what it then hands out of a
//! stream without a track reaches nobody. What comes through a relay it unwraps and hands out in one go, before it listens to
//! itself: as many packets as came together were lost, the first key frame among them. So they follow with the next timeout, which
//! the stack comes to after listening, a millisecond later at most.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use rtc::interceptor::{Packet, StreamInfo, TaggedPacket};

use super::stage::{Belt, Stage};

/// Packets held at most, of all streams: four times what is read in one go. More pass, as they would without us.
const HELD_MAX: usize = 256;
/// Streams known at most: a peer has two, and may replace them some times.
const STREAMS_MAX: usize = 64;

/// Lets a stream's track open before its packets come.
#[derive(Default)]
pub(crate) struct Opening {
    /// Streams whose packets pass.
    open: BTreeSet<u32>,
    /// Streams whose tracks are being made.
    opening: BTreeSet<u32>,
    held: VecDeque<TaggedPacket>,
    release_at: Option<Instant>,
}

impl Stage for Opening {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        let Packet::Rtp(content) = &packet.message.packet else { return belt.read.push_back(packet) };
        let ssrc = content.header.ssrc;
        let is_known = self.open.contains(&ssrc) || self.opening.contains(&ssrc);
        let too_many = !is_known && self.open.len() + self.opening.len() >= STREAMS_MAX;
        if self.open.contains(&ssrc) || too_many || self.held.len() >= HELD_MAX {
            return belt.read.push_back(packet);
        }
        self.opening.insert(ssrc);
        self.release_at.get_or_insert(packet.now);
        self.held.push_back(packet);
    }

    fn handle_timeout(&mut self, now: Instant, belt: &mut Belt) {
        if self.release_at.take_if(|at| *at <= now).is_some() {
            self.open.append(&mut self.opening);
            belt.read.append(&mut self.held);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.release_at
    }

    fn unbind_remote(&mut self, info: &StreamInfo) {
        self.open.remove(&info.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stage::tests::rtp_packet;
    use super::*;

    /// The stream, number and length of everything that passes.
    fn passed(belt: &mut Belt) -> Vec<(u32, u16, usize)> {
        let packets = belt.read.drain(..).map(|packet| match packet.message.packet {
            Packet::Rtp(packet) => (packet.header.ssrc, packet.header.sequence_number, packet.payload.len()),
            _ => panic!("not an RTP packet"),
        });
        packets.collect()
    }

    #[test]
    fn first_packets_follow_with_the_next_timeout_in_order() {
        let (mut stage, mut belt, now) = (Opening::default(), Belt::default(), Instant::now());
        for number in 10..13 {
            stage.handle_read(rtp_packet(now, 7, number, b"abc"), &mut belt);
        }
        stage.handle_read(rtp_packet(now, 8, 90, b"de"), &mut belt);
        assert_eq!(passed(&mut belt), []);
        assert_eq!(stage.poll_timeout(), Some(now));
        stage.handle_timeout(now, &mut belt);
        assert_eq!(passed(&mut belt), [(7, 10, 3), (7, 11, 3), (7, 12, 3), (8, 90, 2)]);
        assert_eq!(stage.poll_timeout(), None);
        stage.handle_read(rtp_packet(now, 7, 13, b"abc"), &mut belt);
        assert_eq!(passed(&mut belt), [(7, 13, 3)], "nothing is held any more");
    }

    #[test]
    fn a_stream_that_begins_later_does_not_hold_up_the_others() {
        let (mut stage, mut belt, now) = (Opening::default(), Belt::default(), Instant::now());
        stage.handle_read(rtp_packet(now, 7, 1, b"a"), &mut belt);
        stage.handle_timeout(now, &mut belt);
        passed(&mut belt);
        let later = now + Duration::from_secs(5);
        stage.handle_read(rtp_packet(later, 8, 1, b"a"), &mut belt);
        stage.handle_read(rtp_packet(later, 7, 2, b"a"), &mut belt);
        stage.handle_timeout(later - Duration::from_millis(1), &mut belt);
        assert_eq!(passed(&mut belt), [(7, 2, 1)]);
        stage.handle_timeout(later, &mut belt);
        assert_eq!(passed(&mut belt), [(8, 1, 1)]);
    }

    #[test]
    fn no_more_is_held_than_may_be_and_no_more_streams_are_known() {
        let (mut stage, mut belt, now) = (Opening::default(), Belt::default(), Instant::now());
        for number in 0..300 {
            stage.handle_read(rtp_packet(now, 7, number, b"a"), &mut belt);
        }
        assert_eq!((stage.held.len(), passed(&mut belt).len()), (HELD_MAX, 300 - HELD_MAX));
        stage.handle_timeout(now, &mut belt);
        passed(&mut belt);
        for ssrc in 0..1_000 {
            stage.handle_read(rtp_packet(now, ssrc, 1, b"a"), &mut belt);
        }
        stage.handle_timeout(now, &mut belt);
        assert_eq!(stage.open.len(), STREAMS_MAX);
    }
}
