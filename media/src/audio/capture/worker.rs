//! What the thread does: it takes blocks at their pace, cleans, measures and encodes them.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtrb::Consumer;

use super::super::gain::SmoothGain;
use super::super::level::{self, Meter, VoiceDetector};
use super::super::opus::Encoder;
use super::super::processing::Processing;
use super::super::recording::Recording;
use super::super::resample::Resampler;
use super::super::ring::CaptureReader;
use super::super::status::{Choice, Direction, Status};
use super::super::talk::{CaptureClock, TalkClock};
use super::super::{AudioDeviceError, BLOCK, BLOCK_DURATION, Block, SAMPLE_RATE, lock, samples_duration};
use super::{Capture, Input, Made};
use crate::clock::MediaClock;
use crate::frame::EncodedAudio;

/// A pause longer than this (the machine slept) is not made up for.
const MAX_BACKLOG: Duration = Duration::from_millis(200);
/// The microphone wakes this thread; this is only for when it has fallen silent.
const DEVICE_TIMEOUT: Duration = Duration::from_millis(100);

/// What the thread itself holds.
pub(super) struct Worker {
    clock: MediaClock,
    encoder: Encoder,
    played: Consumer<f32>,
    processing: Option<Processing>,
    choice: Choice,
    input: Line,
    meter: Meter,
    detector: VoiceDetector,
    voice_gain: SmoothGain,
    capture_clock: CaptureClock,
    talk: TalkClock,
    frame: Vec<f32>,
    frame_captured_at: Instant,
    frame_voice: bool,
    recording: Option<Recording>,
}

enum Line {
    Nothing,
    Made { made: Made, due: Instant },
    Device { ring: CaptureReader, resampler: Resampler, raw: Vec<f32>, ready: Vec<f32> },
}

impl Worker {
    pub(super) fn new(clock: MediaClock, encoder: Encoder, played: Consumer<f32>) -> Self {
        Self {
            clock,
            encoder,
            played,
            processing: None,
            choice: Choice::default(),
            input: Line::Nothing,
            meter: Meter::default(),
            detector: VoiceDetector::default(),
            voice_gain: SmoothGain::new(0.0),
            capture_clock: CaptureClock::default(),
            talk: TalkClock::default(),
            frame: Vec::new(),
            frame_captured_at: Instant::now(),
            frame_voice: false,
            recording: None,
        }
    }

    pub(super) fn record(&mut self, recording: Recording) {
        self.recording = Some(recording);
    }

    pub(super) fn set_input(&mut self, choice: Choice, input: Input, shared: &Capture) {
        self.choice = choice;
        self.meter = Meter::default();
        self.detector = VoiceDetector::default();
        shared.level.store(0, Relaxed);
        shared.speaking.store(false, Relaxed);
        shared.note_latency(Duration::ZERO);
        // What it learned of another microphone's room is of no use.
        self.processing = None;
        self.capture_clock = CaptureClock::default();
        let quiet_is_left_out = matches!(input, Input::Device(_));
        if let Err(error) = self.encoder.set_dtx(quiet_is_left_out) {
            tracing::warn!(%error, "discontinuous transmission could not be switched");
        }
        self.input = match input {
            Input::Nothing => Line::Nothing,
            Input::Made(made) => Line::Made { made, due: Instant::now() + BLOCK_DURATION },
            Input::Device(ring) => match Resampler::new(ring.rate(), SAMPLE_RATE) {
                Ok(resampler) => Line::Device { ring, resampler, raw: Vec::new(), ready: Vec::new() },
                Err(problem) => {
                    // Device rates were checked when it was opened.
                    tracing::error!(problem, "the microphone's rate cannot be had");
                    Line::Nothing
                }
            },
        };
    }

    /// Handles what is due; gives how long to wait.
    pub(super) fn step(&mut self, shared: &Capture, now: Instant) -> Option<Duration> {
        let mut input = std::mem::replace(&mut self.input, Line::Nothing);
        let wait = match &mut input {
            Line::Nothing => None,
            Line::Made { made, due } => match self.step_made(shared, now, made, due) {
                Ok(wait) => Some(wait),
                Err(error) => {
                    tracing::warn!(%error, "the sound stops");
                    shared.status.set(Direction::Input, self.choice, Status::Failed(error));
                    return None;
                }
            },
            Line::Device { ring, resampler, raw, ready } => {
                raw.clear();
                let age = ring.read(raw);
                shared.note_latency(age);
                resampler.process(raw, ready);
                self.step_device(shared, now, age, ready);
                // Its end is told by the thread that owns the stream, which sends another one.
                if ring.is_closed() { None } else { Some(DEVICE_TIMEOUT) }
            }
        };
        self.input = input;
        wait
    }

    fn step_made(
        &mut self,
        shared: &Capture,
        now: Instant,
        made: &mut Made,
        due: &mut Instant,
    ) -> Result<Duration, AudioDeviceError> {
        if now.saturating_duration_since(*due) > MAX_BACKLOG {
            *due = now;
        }
        while *due <= now {
            let mut block = [0.0; BLOCK];
            made.fill(&mut block)?;
            // As with a microphone: it is there when its last sample has been taken.
            self.handle_block(shared, &mut block, *due - BLOCK_DURATION);
            *due += BLOCK_DURATION;
        }
        Ok(due.saturating_duration_since(now))
    }

    fn step_device(&mut self, shared: &Capture, now: Instant, age: Duration, ready: &mut Vec<f32>) {
        let processing = shared.processing.load(Relaxed);
        let mut used = 0;
        while let Some(sound) = ready.get(used..used + BLOCK) {
            let mut block = [0.0; BLOCK];
            block.copy_from_slice(sound);
            let measured = now.checked_sub(age + samples_duration(ready.len() - used)).unwrap_or(now);
            let captured_at = self.capture_clock.block(measured);
            used += BLOCK;
            if processing {
                self.clean(&mut block);
            } else {
                self.processing = None;
            }
            self.handle_block(shared, &mut block, captured_at);
        }
        ready.drain(..used);
    }

    fn clean(&mut self, block: &mut Block) {
        if self.processing.is_none() {
            // What was played before is of no use to a canceller that begins now.
            let stale = self.played.slots();
            if let Ok(chunk) = self.played.read_chunk(stale) {
                chunk.commit_all();
            }
        }
        let processing = self.processing.get_or_insert_with(Processing::new);
        let mut played = [0.0; BLOCK];
        while self.played.pop_entire_slice(&mut played).is_ok() {
            processing.played(&played);
        }
        processing.heard(block);
    }

    fn handle_block(&mut self, shared: &Capture, block: &mut Block, captured_at: Instant) {
        shared.blocks_captured.fetch_add(1, Relaxed);
        if let Some(recording) = &mut self.recording {
            recording.write(block, captured_at);
        }
        let level = level::dbfs(block);
        let voice = self.detector.update(level);
        shared.level.store(self.meter.update(level).to_bits(), Relaxed);
        shared.speaking.store(voice, Relaxed);
        let target = if shared.muted.load(Relaxed) { 0.0 } else { 1.0 };
        let silent = target == 0.0 && self.voice_gain.current() == 0.0;
        if silent && self.frame.is_empty() {
            self.talk.pause(self.clock.rtp_timestamp(captured_at, SAMPLE_RATE));
            return;
        }
        self.voice_gain.apply(target, block);
        if self.frame.is_empty() {
            self.frame_captured_at = captured_at;
            self.frame_voice = false;
        }
        self.frame_voice |= voice;
        self.frame.extend_from_slice(block);
        if self.frame.len() >= self.encoder.frame_samples() {
            self.encode(shared);
            self.frame.clear();
        }
    }

    fn encode(&mut self, shared: &Capture) {
        let mut sink = lock(&shared.sink);
        let samples = self.frame.len() as u32;
        let captured = self.clock.rtp_timestamp(self.frame_captured_at, SAMPLE_RATE);
        let Some(sink) = &mut *sink else {
            self.talk.pause(captured);
            return;
        };
        let Some(rtp_timestamp) = self.talk.stamp(captured, samples, self.frame_voice) else { return };
        let loss = f32::from_bits(shared.packet_loss.load(Relaxed));
        let bitrate_bps = Some(shared.bitrate_bps.load(Relaxed)).filter(|bps| *bps > 0);
        let encoded = bitrate_bps
            .map_or(Ok(()), |bps| self.encoder.set_bitrate_bps(bps))
            .and_then(|()| self.encoder.set_packet_loss(loss))
            .and_then(|()| self.encoder.encode(&self.frame));
        let payload = match encoded {
            Ok(Some(payload)) => payload,
            Ok(None) => {
                shared.frames_quiet.fetch_add(1, Relaxed);
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "a frame of sound was not encoded");
                return;
            }
        };
        shared.packets_encoded.fetch_add(1, Relaxed);
        shared.bytes_encoded.fetch_add(payload.len() as u64, Relaxed);
        sink(EncodedAudio {
            payload: Bytes::from(payload),
            captured_at: self.frame_captured_at,
            rtp_timestamp,
            duration: samples_duration(samples as usize),
            level_dbov: level::level_dbov(&self.frame),
            voice: self.frame_voice,
        });
    }
}
