//! The shape our interceptors share: everything passes unless a stage says otherwise.

use std::collections::VecDeque;
use std::time::Instant;

use rtc::interceptor::{Interceptor, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// Where a stage puts what shall go on. Drained by the chain after every call, so it does not grow.
#[derive(Default)]
pub(crate) struct Belt {
    pub(crate) read: VecDeque<TaggedPacket>,
    pub(crate) write: VecDeque<TaggedPacket>,
}

/// One place in the chain.
pub(crate) trait Stage: Send + Sync + 'static {
    /// A packet from the network.
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        belt.read.push_back(packet);
    }
    /// A packet to the network.
    fn handle_write(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        belt.write.push_back(packet);
    }
    /// Time has come to [`Self::poll_timeout`], or later.
    fn handle_timeout(&mut self, _now: Instant, _belt: &mut Belt) {}
    /// When to be called next.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    /// A stream we send.
    fn bind_local(&mut self, _info: &StreamInfo) {}
    /// A stream we no longer send.
    fn unbind_local(&mut self, _info: &StreamInfo) {}
    /// A stream we receive.
    fn bind_remote(&mut self, _info: &StreamInfo) {}
    /// A stream we no longer receive.
    fn unbind_remote(&mut self, _info: &StreamInfo) {}
}

/// A stage as the stack wants it.
pub(crate) struct Staged<S> {
    stage: S,
    belt: Belt,
}

impl<S: Stage> Staged<S> {
    pub(crate) fn new(stage: S) -> Self {
        Self { stage, belt: Belt::default() }
    }
}

impl<S: Stage> Protocol<TaggedPacket, TaggedPacket, ()> for Staged<S> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.stage.handle_read(packet, &mut self.belt);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.belt.read.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.stage.handle_write(packet, &mut self.belt);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.belt.write.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.stage.handle_timeout(now, &mut self.belt);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.stage.poll_timeout()
    }
}

impl<S: Stage> Interceptor for Staged<S> {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.stage.bind_local(info);
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.stage.unbind_local(info);
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.stage.bind_remote(info);
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.stage.unbind_remote(info);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Instant;

    use bytes::Bytes;
    use rtc::interceptor::{AttributedPacket, Packet, StreamInfo, TaggedPacket};
    use rtc::rtp;

    /// An RTP packet at an instant, for the tests of the stages.
    pub(crate) fn rtp_packet(now: Instant, ssrc: u32, sequence_number: u16, payload: &[u8]) -> TaggedPacket {
        let header = rtp::header::Header {
            version: 2,
            ssrc,
            sequence_number,
            payload_type: 102,
            ..rtp::header::Header::default()
        };
        let packet = rtp::Packet { header, payload: Bytes::copy_from_slice(payload) };
        tagged(now, Packet::Rtp(packet))
    }

    /// An RTCP packet at an instant.
    pub(crate) fn rtcp_packet(now: Instant, packet: impl rtc::rtcp::Packet + 'static) -> TaggedPacket {
        tagged(now, Packet::Rtcp(vec![Box::new(packet)]))
    }

    fn tagged(now: Instant, packet: Packet) -> TaggedPacket {
        TaggedPacket { now, transport: Default::default(), message: AttributedPacket::new(packet) }
    }

    /// The header of an RTP packet; panics for RTCP.
    pub(crate) fn header(packet: &TaggedPacket) -> &rtp::header::Header {
        match &packet.message.packet {
            Packet::Rtp(packet) => &packet.header,
            _ => panic!("not an RTP packet"),
        }
    }

    /// A video stream with retransmission.
    pub(crate) fn video_stream(ssrc: u32, ssrc_rtx: u32) -> StreamInfo {
        StreamInfo {
            ssrc,
            ssrc_rtx: Some(ssrc_rtx),
            payload_type: 102,
            payload_type_rtx: Some(103),
            mime_type: "video/H264".to_owned(),
            clock_rate: 90_000,
            ..StreamInfo::default()
        }
    }
}
