//! Turns what the jitter buffer gives into an even flow of 10 ms blocks: decodes, conceals, stretches. Pure.

use std::sync::Mutex;
use std::time::Instant;

use super::opus::{Decoder, OpusError};
use super::opus_packet::MAX_SAMPLES;
use super::{BLOCK, Block, lock, samples_duration, stretch};
use crate::rtp::jitter_buffer::{Adjustment, JitterBuffer, Next};

/// After this many samples of pause even the comfort noise has faded out: 200 ms.
const COMFORT_SAMPLES: usize = 9600;

/// Plays one peer's sound.
#[derive(Debug)]
pub(crate) struct Player {
    decoder: Decoder,
    scratch: Box<[f32; MAX_SAMPLES as usize]>,
    /// Decoded, to be played. At most one packet and a block.
    pending: Vec<f32>,
    /// RTP time of the end of `pending`, while it holds a peer's own sound.
    end_timestamp: Option<u32>,
    /// How long nothing has come, in samples.
    paused: usize,
    stretched: u64,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Played {
    /// RTP time of its first sample, where it is a peer's own sound.
    pub(crate) rtp_timestamp: Option<u32>,
}

impl Player {
    pub(crate) fn new() -> Result<Self, OpusError> {
        Ok(Self {
            decoder: Decoder::new()?,
            scratch: Box::new([0.0; MAX_SAMPLES as usize]),
            pending: Vec::with_capacity(2 * MAX_SAMPLES as usize),
            end_timestamp: None,
            paused: COMFORT_SAMPLES,
            stretched: 0,
        })
    }

    /// How often a period was left out or played twice.
    pub(crate) fn stretched(&self) -> u64 {
        self.stretched
    }

    /// Fills `block` with what is to be played at `now`.
    pub(crate) fn pull(&mut self, jitter: &Mutex<JitterBuffer>, now: Instant, block: &mut Block) -> Played {
        while self.pending.len() < BLOCK {
            let at = now + samples_duration(self.pending.len());
            let (next, adjustment) = {
                let mut jitter = lock(jitter);
                let adjustment = jitter.adjustment(at);
                (jitter.next(at), adjustment)
            };
            self.handle_next(next, adjustment);
        }
        let start = self.end_timestamp.map(|end| end.wrapping_sub(self.pending.len() as u32));
        block.copy_from_slice(&self.pending[..BLOCK]);
        self.pending.drain(..BLOCK);
        Played { rtp_timestamp: start }
    }

    fn handle_next(&mut self, next: Next, adjustment: Adjustment) {
        match next {
            Next::Play { payload, timestamp, samples } => {
                let decoded = self.decoder.decode(&payload, &mut self.scratch);
                self.take(decoded, samples as usize, adjustment);
                self.end_timestamp = Some(timestamp.wrapping_add(samples));
            }
            Next::Recover { following, timestamp, samples } => {
                let room = &mut self.scratch[..samples as usize];
                let decoded = self.decoder.recover(&following, room);
                self.take(decoded, samples as usize, adjustment);
                self.end_timestamp = Some(timestamp.wrapping_add(samples));
            }
            Next::Conceal { samples } => {
                let decoded = self.decoder.conceal(&mut self.scratch[..samples as usize]);
                self.take(decoded, samples as usize, Adjustment::Keep);
                self.end_timestamp = None;
            }
            Next::Pause { samples } => {
                self.pause(samples as usize);
                self.end_timestamp = None;
            }
        }
    }

    fn take(&mut self, decoded: Result<usize, OpusError>, samples: usize, adjustment: Adjustment) {
        let count = decoded.unwrap_or_else(|error| {
            tracing::trace!(%error, "a packet could not be decoded");
            0
        });
        self.scratch[count.min(samples)..samples].fill(0.0);
        let mut sound = self.scratch[..samples].to_vec();
        let stretched = match adjustment {
            Adjustment::Keep => false,
            Adjustment::Shorten => stretch::shorten(&mut sound),
            Adjustment::Lengthen => stretch::lengthen(&mut sound),
        };
        self.stretched += u64::from(stretched);
        self.pending.extend_from_slice(&sound);
        self.paused = 0;
    }

    /// Comfort noise as the decoder knows it, fading out: an abrupt silence would sound like a broken line.
    fn pause(&mut self, samples: usize) {
        let samples = samples.min(MAX_SAMPLES as usize);
        let noise = &mut self.scratch[..samples];
        let faint = self.paused < COMFORT_SAMPLES && self.decoder.conceal(noise).is_ok();
        if !faint {
            noise.fill(0.0);
        }
        for sample in noise {
            *sample *= 1.0 - self.paused.min(COMFORT_SAMPLES) as f32 / COMFORT_SAMPLES as f32;
            self.paused = (self.paused + 1).min(COMFORT_SAMPLES);
        }
        self.pending.extend_from_slice(&self.scratch[..samples]);
    }
}
