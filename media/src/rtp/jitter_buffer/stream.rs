//! What is known of the stream being played: its numbers, unwrapped, and where in it the player is. Pure.

use std::time::Instant;

use super::{Next, STEP, ticks};
use crate::rtp::packet::{AUDIO_CLOCK_RATE, RtpPacket};

/// Concealing longer than this sounds worse than silence.
pub(super) const MAX_CONCEAL: i64 = 5760;
/// A wait longer than this is not counted further: ten minutes.
const MAX_WAIT: i64 = 600 * AUDIO_CLOCK_RATE as i64;

/// What is known of the stream being played; times are in samples, extended so that they never wrap.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) ssrc: u32,
    epoch: Instant,
    pub(super) highest_sequence: i64,
    pub(super) highest_timestamp: i64,
    /// Which of the 64 packets up to the highest have come, the lowest bit being the highest.
    received: u64,
    pub(super) playing: bool,
    /// RTP time of what is played next.
    pub(super) playhead: i64,
    /// The packet that was played last.
    pub(super) played_sequence: Option<i64>,
    /// Made up since the last packet, not known yet whether for a pause or for a late packet.
    pub(super) waited: i64,
}

impl Stream {
    pub(super) fn starting_with(packet: &RtpPacket, arrived: Instant) -> Self {
        Self {
            ssrc: packet.ssrc,
            epoch: arrived,
            // Far from both ends, with the wrapped value in the low bits.
            highest_sequence: (1 << 32) + i64::from(packet.sequence_number),
            highest_timestamp: (1 << 40) + i64::from(packet.timestamp),
            received: 0,
            playing: false,
            playhead: i64::MIN / 4,
            played_sequence: None,
            waited: 0,
        }
    }

    pub(super) fn extend_sequence(&self, sequence_number: u16) -> i64 {
        // The casts are the point: the distance modulo the size of the field, as a signed number.
        self.highest_sequence + i64::from(sequence_number.wrapping_sub(self.highest_sequence as u16) as i16)
    }

    pub(super) fn extend_timestamp(&self, timestamp: u32) -> i64 {
        self.highest_timestamp + i64::from(timestamp.wrapping_sub(self.highest_timestamp as u32) as i32)
    }

    pub(super) fn ticks(&self, at: Instant) -> i64 {
        ticks(at.saturating_duration_since(self.epoch)) - ticks(self.epoch.saturating_duration_since(at))
    }

    pub(super) fn seen(&self, sequence: i64) -> bool {
        let behind = self.highest_sequence - sequence;
        (0..64).contains(&behind) && self.received >> behind & 1 == 1
    }

    pub(super) fn note_received(&mut self, sequence: i64, timestamp: i64) {
        let ahead = sequence - self.highest_sequence;
        if ahead > 0 {
            self.received = self.received.checked_shl(ahead.min(64) as u32).unwrap_or(0) | 1;
            self.highest_sequence = sequence;
            self.highest_timestamp = timestamp;
        } else if ahead > -64 {
            self.received |= 1 << -ahead;
        }
    }

    /// How many between the packet that was played last and this one are not there.
    pub(super) fn missing_before(&self, sequence: i64) -> u64 {
        self.played_sequence.map_or(0, |played| (sequence - played - 1).max(0) as u64)
    }

    /// Holds the playhead and makes something up; the next packet tells whether it counts as concealed.
    pub(super) fn wait(&mut self) -> Next {
        self.waited += STEP;
        if self.waited >= MAX_CONCEAL {
            self.playing = false;
        }
        Next::Conceal { samples: STEP as u32 }
    }

    pub(super) fn pause(&mut self) -> Next {
        if self.waited > 0 {
            self.waited = (self.waited + STEP).min(MAX_WAIT);
        }
        Next::Pause { samples: STEP as u32 }
    }
}
