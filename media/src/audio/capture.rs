//! The thread "aenc": takes the microphone or what stands in for it, cleans, measures, encodes. Here is what others ask of
//! it and what it tells them.

mod worker;

use std::fs::File;
use std::io::BufReader;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtrb::Consumer;

use super::opus::Encoder;
use super::recording::Recording;
use super::ring::CaptureReader;
use super::status::{Choice, StatusBoard};
use super::tone::Tone;
use super::wake::Waker;
use super::wav::{WavLoop, WavProblem};
use super::{AudioDeviceError, Block, lock};
use crate::clock::MediaClock;
use crate::frame::EncodedAudio;
use worker::Worker;

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
    /// 0: as the encoder was made.
    bitrate_bps: AtomicU32,
    level: AtomicU32,
    speaking: AtomicBool,
    packets_encoded: AtomicU64,
    bytes_encoded: AtomicU64,
    frames_quiet: AtomicU64,
    blocks_captured: AtomicU64,
    /// Of a microphone's newest sample; 0 without one.
    latency_us: AtomicU32,
}

#[derive(Default)]
struct Control {
    stop: bool,
    choice: Choice,
    input: Option<Input>,
    recording: Option<Recording>,
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
            bitrate_bps: AtomicU32::new(0),
            level: AtomicU32::new(0),
            speaking: AtomicBool::new(false),
            packets_encoded: AtomicU64::new(0),
            bytes_encoded: AtomicU64::new(0),
            frames_quiet: AtomicU64::new(0),
            blocks_captured: AtomicU64::new(0),
            latency_us: AtomicU32::new(0),
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

    /// Keeps what the source gives from now on.
    pub(crate) fn record(&self, recording: Recording) {
        self.change(|control| control.recording = Some(recording));
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

    pub(crate) fn set_bitrate_bps(&self, bitrate_bps: u32) {
        self.bitrate_bps.store(bitrate_bps, Relaxed);
    }

    pub(crate) fn level(&self) -> f32 {
        f32::from_bits(self.level.load(Relaxed))
    }

    pub(crate) fn is_speaking(&self) -> bool {
        self.speaking.load(Relaxed)
    }

    /// How old a microphone's newest sample is when it comes, as the device says; zero without one.
    pub(crate) fn latency(&self) -> Duration {
        Duration::from_micros(self.latency_us.load(Relaxed).into())
    }

    fn note_latency(&self, age: Duration) {
        self.latency_us.store(u32::try_from(age.as_micros()).unwrap_or(u32::MAX), Relaxed);
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
                if let Some(recording) = control.recording.take() {
                    worker.record(recording);
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

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("muted", &self.muted).finish_non_exhaustive()
    }
}
