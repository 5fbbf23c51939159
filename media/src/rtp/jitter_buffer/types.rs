//! What goes into the jitter buffer and comes out of it.

use std::time::Duration;

use bytes::Bytes;

/// The limits of a [`JitterBuffer`](super::JitterBuffer).
#[derive(Clone, Debug)]
pub struct JitterBufferConfig {
    /// The least that sound is held: a block of 10 ms, since it is taken in such, and the least jitter that is told apart.
    pub min_delay: Duration,
    /// What is assumed before anything is known.
    pub initial_delay: Duration,
    /// The most that sound is held for the sake of jitter; what takes longer is given up.
    pub max_delay: Duration,
    /// The most that sound is held for the picture, on top.
    pub max_extra_delay: Duration,
    /// This much above the target is skipped at once; less is caught up by playing faster.
    pub skip_excess: Duration,
    /// Packets held at most; when full, the oldest goes (at 20 ms a packet 4 s).
    pub capacity: usize,
}

impl Default for JitterBufferConfig {
    fn default() -> Self {
        Self {
            min_delay: Duration::from_millis(15),
            initial_delay: Duration::from_millis(30),
            max_delay: Duration::from_millis(400),
            max_extra_delay: Duration::from_millis(500),
            skip_excess: Duration::from_millis(300),
            capacity: 200,
        }
    }
}

/// What is to be played next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This packet.
    Play {
        /// The Opus packet.
        payload: Bytes,
        /// Its RTP time.
        timestamp: u32,
        /// How long it is.
        samples: u32,
    },
    /// The lost frame just before this packet, from the copy in it; the packet itself comes with the next call.
    Recover {
        /// The packet after the lost one.
        following: Bytes,
        /// RTP time of the lost frame.
        timestamp: u32,
        /// How long the lost frame is.
        samples: u32,
    },
    /// Something made up, because a packet is lost or late.
    Conceal {
        /// How much, a multiple of 2.5 ms.
        samples: u32,
    },
    /// Nothing is missing: the sender pauses, or has not begun.
    Pause {
        /// For how long.
        samples: u32,
    },
}

/// How the player may bring the delay to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// All is well.
    Keep,
    /// Play so much less than was decoded, or something less than that.
    Shorten {
        /// Samples.
        by: usize,
    },
    /// Play so much more than was decoded, or about as much.
    Lengthen {
        /// Samples.
        by: usize,
    },
}

/// What a [`JitterBuffer`](super::JitterBuffer) has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterBufferStats {
    /// Packets inserted, good or not.
    pub packets: u64,
    /// Their payload.
    pub bytes: u64,
    /// Packets that never came, as far as the sequence numbers tell.
    pub lost: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that are not Opus.
    pub invalid: u64,
    /// Packets thrown away to catch up, or because the buffer was full.
    pub discarded: u64,
    /// How often the sender seemed to have started anew.
    pub restarts: u64,
    /// Samples made up in place of packets that were lost or late.
    pub concealed_samples: u64,
    /// Lost packets recovered from the copy in a later one.
    pub fec_recovered: u64,
}
