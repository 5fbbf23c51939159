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
        self.pending.extend_from_slice(&self.scratch[..samples]);
        // With what is left of the sound before: of a short packet alone a deep voice's period is more than half.
        let stretched = match adjustment {
            Adjustment::Keep => false,
            Adjustment::Shorten { by } => stretch::shorten(&mut self.pending, by),
            Adjustment::Lengthen { by } => stretch::lengthen(&mut self.pending, by),
        };
        self.stretched += u64::from(stretched);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::super::opus::Encoder;
    use super::super::tone::Tone;
    use super::super::{BLOCK_DURATION, analysis, level};
    use super::*;
    use crate::rtp::jitter_buffer::JitterBufferConfig;
    use crate::rtp::packet::RtpPacket;

    #[test]
    fn a_tone_comes_out_whole_with_its_time_line() {
        let mut line = Line::new();
        line.run(200, |_| true);
        let (dbfs, hz) = analysis::describe(line.last_second());
        assert!((dbfs + 15.05).abs() < 0.2, "{dbfs}");
        assert!((hz.unwrap() - 440.0).abs() < 0.5, "{hz:?}");
        // From block to block 10 ms, wherever the packets began, once the first guess of the delay has been shortened.
        let stamps: Vec<u32> = line.stamps[100..].iter().map(|stamp| stamp.unwrap()).collect();
        assert!(stamps.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 480), "{stamps:?}");
    }

    #[test]
    fn a_sound_card_off_by_two_per_mille_is_stretched_to_without_a_gap_and_in_tune() {
        for drift in [0.998, 1.002] {
            let mut line = Line::new();
            line.pace = drift;
            line.run(1000, |_| true);
            let (dbfs, hz) = analysis::describe(line.last_second());
            assert!((dbfs + 15.05).abs() < 0.5, "{drift}: {dbfs}");
            assert!((hz.unwrap() - 440.0).abs() < 2.0, "{drift}: {hz:?}");
            assert!(line.player.stretched() > 2, "{drift}");
            assert!(line.softest_block(100) > -18.0, "{drift}: a gap of {} dBFS", line.softest_block(100));
        }
    }

    #[test]
    fn one_packet_in_twenty_missing_leaves_no_hole() {
        let mut line = Line::new();
        line.run(500, |n| n % 20 != 7);
        assert!(line.softest_block(50) > -25.0, "{}", line.softest_block(50));
    }

    #[test]
    fn a_pause_is_silent_soon_and_has_no_time_line() {
        let mut line = Line::new();
        line.run(100, |_| true);
        line.run(100, |_| false);
        assert_eq!(level::dbfs(&line.heard[line.heard.len() - 10 * BLOCK..]), level::SILENCE_DBFS);
        assert_eq!(line.stamps.last(), Some(&None));
    }

    /// A sender of a tone and a player whose clocks may differ.
    struct Line {
        jitter: Mutex<JitterBuffer>,
        player: Player,
        encoder: Encoder,
        tone: Tone,
        start: Instant,
        /// Blocks taken for each block sent.
        pace: f64,
        sent: u32,
        taken: u32,
        heard: Vec<f32>,
        stamps: Vec<Option<u32>>,
    }

    impl Line {
        fn new() -> Self {
            Self {
                jitter: Mutex::new(JitterBuffer::new(JitterBufferConfig::default())),
                player: Player::new().unwrap(),
                encoder: Encoder::new(Duration::from_millis(20), 32_000).unwrap(),
                tone: Tone::new(440.0),
                start: Instant::now(),
                pace: 1.0,
                sent: 0,
                taken: 0,
                heard: Vec::new(),
                stamps: Vec::new(),
            }
        }

        /// Sends so many packets of 20 ms, or not, and plays as long.
        fn run(&mut self, packets: u32, arrives: impl Fn(u32) -> bool) {
            for _ in 0..packets {
                let now = self.start + BLOCK_DURATION * 2 * self.sent;
                self.send(now, arrives(self.sent));
                while f64::from(self.taken) < f64::from(self.sent) * 2.0 * self.pace {
                    let at = self.start + BLOCK_DURATION.mul_f64(f64::from(self.taken) / self.pace);
                    let mut block = [0.0; BLOCK];
                    let played = self.player.pull(&self.jitter, at, &mut block);
                    self.heard.extend(block);
                    self.stamps.push(played.rtp_timestamp);
                    self.taken += 1;
                }
            }
        }

        fn send(&mut self, now: Instant, arrives: bool) {
            let mut frame = [[0.0; BLOCK]; 2];
            frame.iter_mut().for_each(|block| self.tone.fill(block));
            let payload = self.encoder.encode(frame.as_flattened()).unwrap().unwrap();
            let packet = RtpPacket {
                sequence_number: self.sent as u16,
                timestamp: self.sent * 960,
                marker: false,
                payload_type: 111,
                ssrc: 1,
                payload: Bytes::from(payload),
            };
            self.sent += 1;
            if arrives {
                lock(&self.jitter).insert(&packet, now);
            }
        }

        fn last_second(&self) -> &[f32] {
            &self.heard[self.heard.len() - 48_000..]
        }

        /// Level of the softest 10 ms after so many.
        fn softest_block(&self, after: usize) -> f32 {
            self.heard.chunks_exact(BLOCK).skip(after).map(level::dbfs).fold(0.0, f32::min)
        }
    }
}
