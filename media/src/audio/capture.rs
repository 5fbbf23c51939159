//! The thread "aenc": takes the microphone or what stands in for it, cleans, measures, encodes.

use std::fs::File;
use std::io::BufReader;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtrb::Consumer;

use super::gain::SmoothGain;
use super::level::{self, Meter, VoiceDetector};
use super::opus::Encoder;
use super::processing::Processing;
use super::resample::Resampler;
use super::ring::CaptureReader;
use super::status::{Choice, Direction, Status, StatusBoard};
use super::talk::{CaptureClock, TalkClock};
use super::tone::Tone;
use super::wake::Waker;
use super::wav::{WavLoop, WavProblem};
use super::{AudioDeviceError, BLOCK, BLOCK_DURATION, Block, SAMPLE_RATE, lock, samples_duration};
use crate::clock::MediaClock;
use crate::frame::EncodedAudio;

/// A pause longer than this (the machine slept) is not made up for.
const MAX_BACKLOG: Duration = Duration::from_millis(200);
/// The microphone wakes this thread; this is only for when it has fallen silent.
const DEVICE_TIMEOUT: Duration = Duration::from_millis(100);

/// Takes each encoded frame, on the thread "aenc"; must not block.
pub(crate) type EncodedSink = Box<dyn FnMut(EncodedAudio) + Send>;

/// Where the sound comes from.
pub(crate) enum Input {
    /// Nowhere.
    Nothing,
    /// From this program, at the pace of the clock; neither cleaned nor left out when it is quiet.
    Made(Made),
    /// From a microphone, at its pace.
    Device(CaptureReader),
}

/// Sound from this program.
pub(crate) enum Made {
    Tone(Tone),
    File { sound: Box<WavLoop<BufReader<File>>>, path: String },
}

impl Made {
    fn fill(&mut self, block: &mut Block) -> Result<(), AudioDeviceError> {
        match self {
            Self::Tone(tone) => tone.fill(block),
            Self::File { sound, path } => sound.fill(block).map_err(|problem: WavProblem| {
                AudioDeviceError::Unreadable { problem: problem.to_string(), path: path.clone() }
            })?,
        }
        Ok(())
    }
}

/// What others ask of this thread, and what it tells them.
pub(crate) struct Capture {
    control: Mutex<Control>,
    /// Held while a frame is handed over, so that after `stop_encoding` nothing more comes.
    sink: Mutex<Option<EncodedSink>>,
    waker: Waker,
    status: Arc<StatusBoard>,
    muted: AtomicBool,
    processing: AtomicBool,
    packet_loss: AtomicU32,
    level: AtomicU32,
    speaking: AtomicBool,
    packets_encoded: AtomicU64,
    bytes_encoded: AtomicU64,
    frames_quiet: AtomicU64,
    blocks_captured: AtomicU64,
}

#[derive(Default)]
struct Control {
    stop: bool,
    choice: Choice,
    input: Option<Input>,
}

/// What has been counted.
pub(crate) struct CaptureCounts {
    pub(crate) packets_encoded: u64,
    pub(crate) bytes_encoded: u64,
    pub(crate) frames_quiet: u64,
    pub(crate) blocks_captured: u64,
}

impl Capture {
    pub(crate) fn new(status: Arc<StatusBoard>, processing: bool) -> Self {
        Self {
            control: Mutex::default(),
            sink: Mutex::new(None),
            waker: Waker::default(),
            status,
            muted: AtomicBool::new(false),
            processing: AtomicBool::new(processing),
            packet_loss: AtomicU32::new(0),
            level: AtomicU32::new(0),
            speaking: AtomicBool::new(false),
            packets_encoded: AtomicU64::new(0),
            bytes_encoded: AtomicU64::new(0),
            frames_quiet: AtomicU64::new(0),
            blocks_captured: AtomicU64::new(0),
        }
    }

    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(crate) fn stop(&self) {
        self.change(|control| control.stop = true);
    }

    /// Takes the sound from elsewhere, unless something else has been chosen since.
    pub(crate) fn set_input(&self, choice: Choice, input: Input) {
        self.change(|control| {
            if choice >= control.choice {
                control.choice = choice;
                control.input = Some(input);
            }
        });
    }

    pub(crate) fn set_sink(&self, sink: Option<EncodedSink>) {
        *lock(&self.sink) = sink;
    }

    pub(crate) fn set_muted(&self, muted: bool) {
        self.muted.store(muted, Relaxed);
    }

    pub(crate) fn set_processing(&self, on: bool) {
        self.processing.store(on, Relaxed);
    }

    pub(crate) fn set_packet_loss(&self, loss: f32) {
        self.packet_loss.store(loss.to_bits(), Relaxed);
    }

    pub(crate) fn level(&self) -> f32 {
        f32::from_bits(self.level.load(Relaxed))
    }

    pub(crate) fn is_speaking(&self) -> bool {
        self.speaking.load(Relaxed)
    }

    pub(crate) fn counts(&self) -> CaptureCounts {
        CaptureCounts {
            packets_encoded: self.packets_encoded.load(Relaxed),
            bytes_encoded: self.bytes_encoded.load(Relaxed),
            frames_quiet: self.frames_quiet.load(Relaxed),
            blocks_captured: self.blocks_captured.load(Relaxed),
        }
    }

    /// Runs the thread until it is told to stop; `played` gives what the speaker plays.
    pub(crate) fn run(&self, clock: MediaClock, encoder: Encoder, played: Consumer<f32>) {
        self.waker.attach();
        let mut worker = Worker::new(clock, encoder, played);
        loop {
            {
                let mut control = lock(&self.control);
                if control.stop {
                    return;
                }
                if let Some(input) = control.input.take() {
                    worker.set_input(control.choice, input, self);
                }
            }
            let wait = worker.step(self, Instant::now());
            Waker::wait(wait);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Control)) {
        change(&mut lock(&self.control));
        self.waker.wake();
    }
}

/// What the thread itself holds.
struct Worker {
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
}

enum Line {
    Nothing,
    Made { made: Made, due: Instant },
    Device { ring: CaptureReader, resampler: Resampler, raw: Vec<f32>, ready: Vec<f32> },
}

impl Worker {
    fn new(clock: MediaClock, encoder: Encoder, played: Consumer<f32>) -> Self {
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
        }
    }

    fn set_input(&mut self, choice: Choice, input: Input, shared: &Capture) {
        self.choice = choice;
        self.meter = Meter::default();
        self.detector = VoiceDetector::default();
        shared.level.store(0, Relaxed);
        shared.speaking.store(false, Relaxed);
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
    fn step(&mut self, shared: &Capture, now: Instant) -> Option<Duration> {
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
        let encoded = self.encoder.set_packet_loss(loss).and_then(|()| self.encoder.encode(&self.frame));
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

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("muted", &self.muted).finish_non_exhaustive()
    }
}
