//! This program's own RTP packet types, so that no type of a WebRTC library reaches the pipelines.

use std::time::Instant;

use bytes::Bytes;

use crate::frame::Layer;

/// Clock rate of video in RTP time, RFC 6184 §8.2.1.
pub const VIDEO_CLOCK_RATE: u32 = 90_000;

/// Clock rate of Opus in RTP time, whatever the sampling rate, RFC 7587 §4.1.
pub const AUDIO_CLOCK_RATE: u32 = 48_000;

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

/// One RTP packet as it came from the network, header extensions left out (RFC 3550 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    /// Counts packets, wrapping.
    pub sequence_number: u16,
    /// Capture time in the sender's clock, wrapping.
    pub timestamp: u32,
    /// The last packet of a picture; for sound the first after silence.
    pub marker: bool,
    /// Which codec, as negotiated.
    pub payload_type: u8,
    /// Which stream.
    pub ssrc: u32,
    /// What follows the header.
    pub payload: Bytes,
}

/// A packet's content before a connection gives it its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPacket {
    /// What follows the header.
    pub payload: Bytes,
    /// Whether it is the last of its picture.
    pub marker: bool,
}

/// One encoded picture cut into packets, once for all connections.
#[derive(Clone, Debug)]
pub struct PacketizedFrame {
    /// The packets in order; the last one has its marker set.
    pub packets: Vec<MediaPacket>,
    /// Capture time in RTP time at 90 kHz.
    pub rtp_timestamp: u32,
    /// When the camera took it.
    pub captured_at: Instant,
    /// Which of the sizes sent at the same time.
    pub layer: Layer,
    /// Temporal layer, 0 for those on which others rest.
    pub temporal_id: u8,
    /// Whether decoding may start here.
    pub key: bool,
    /// Whether no other picture refers to this one.
    pub discardable: bool,
    /// Size of all payloads together.
    pub bytes: usize,
}

/// What a sender report says of the sender's clocks (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// The sender's wall clock, 32 bits of seconds and 32 of fraction.
    pub ntp_time: u64,
    /// The same moment in the RTP time of the stream.
    pub rtp_timestamp: u32,
}

/// Unwraps the 16 bit sequence number of a stream into one that only grows (RFC 3550 §A.1).
#[derive(Clone, Debug, Default)]
pub struct SequenceExtender {
    highest: Option<u64>,
}

impl SequenceExtender {
    /// The extended number of a packet; those before the first one seen are below [`Self::START`].
    pub fn extend(&mut self, sequence_number: u16) -> u64 {
        let Some(highest) = self.highest else {
            let first = Self::START + u64::from(sequence_number);
            self.highest = Some(first);
            return first;
        };
        // The cast is the point: the distance modulo 2^16, as a signed number.
        let distance = sequence_number.wrapping_sub(highest as u16) as i16;
        let extended = highest.saturating_add_signed(i64::from(distance));
        self.highest = Some(highest.max(extended));
        extended
    }

    /// The highest extended number so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Where extended numbers start, far enough from 0 that no earlier packet reaches it.
    pub const START: u64 = 1 << 32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_grow_over_the_wrap_and_back() {
        let mut extender = SequenceExtender::default();
        let first = extender.extend(65_534);
        assert_eq!(extender.extend(65_535), first + 1);
        assert_eq!(extender.extend(1), first + 3);
        assert_eq!(extender.extend(0), first + 2);
        assert_eq!(extender.extend(65_533), first - 1);
        assert_eq!(extender.extend(2), first + 4);
    }
}
