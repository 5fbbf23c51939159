//! What goes into a frame buffer's making, and what comes out of it.

use std::time::{Duration, Instant};

use bytes::Bytes;

/// The limits of a [`FrameBuffer`](super::FrameBuffer).
#[derive(Clone, Debug)]
pub struct FrameBufferConfig {
    /// Packets held at most; when more come all are dropped and a key frame is asked for. 2048 are 2.4 MB of media.
    pub max_packets: usize,
    /// Bytes of payload held at most, with the same consequence.
    pub max_bytes: usize,
    /// The shortest wait for the retransmission of a picture to which no other refers.
    pub min_wait: Duration,
    /// How long to wait, beside five round trips, for one to which others refer. Where a third of the packets is lost each
    /// way, half of the requests for one come to nothing; so long it is asked for ten times or more, after which hardly one
    /// is missing. The answer to a request for a key frame, thirty packets on the same path, takes as long.
    pub reference_wait: Duration,
    /// No wait is longer, however slow the path.
    pub max_wait: Duration,
    /// A gap of more numbers is not waited for: an outage makes such, and nobody asks for so many.
    pub gap_max: u64,
    /// The shortest time between two requests for a key frame of which something has come.
    pub request_interval: Duration,
    /// The same while nothing of it has come.
    pub request_again: Duration,
}

impl Default for FrameBufferConfig {
    fn default() -> Self {
        Self {
            max_packets: 2048,
            max_bytes: 8 << 20,
            min_wait: Duration::from_millis(100),
            reference_wait: Duration::from_millis(300),
            max_wait: Duration::from_secs(2),
            gap_max: 512,
            request_interval: Duration::from_millis(500),
            request_again: Duration::from_millis(200),
        }
    }
}

/// What happened so far: each picture of which a packet came in time is in exactly one of the `frames_` counters, or
/// still in the buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameBufferStats {
    /// Packets inserted.
    pub packets: u64,
    /// Their payload.
    pub bytes: u64,
    /// Packets that had come before, or came after their picture was given up.
    pub duplicates: u64,
    /// Packets waited for in vain.
    pub packets_missing: u64,
    /// Pictures handed out.
    pub frames_assembled: u64,
    /// Pictures dropped since a packet of them did not come in time.
    pub frames_dropped_incomplete: u64,
    /// Whole pictures dropped since the one they refer to was dropped.
    pub frames_dropped_no_reference: u64,
    /// Pictures whose packets do not follow RFC 6184.
    pub frames_dropped_malformed: u64,
    /// Pictures dropped since the buffer was full or the stream began anew.
    pub frames_dropped_flushed: u64,
    /// Requests for a key frame.
    pub key_frames_requested: u64,
}

/// A whole picture, ready to be decoded.
#[derive(Clone, Debug)]
pub struct AssembledFrame {
    /// Capture time in the sender's RTP clock.
    pub rtp_timestamp: u32,
    /// Whether decoding may start here.
    pub key: bool,
    /// The byte stream (H.264 Annex B).
    pub data: Bytes,
    /// When its last missing packet came.
    pub arrived: Instant,
    /// How many packets it came in.
    pub packets: usize,
}
