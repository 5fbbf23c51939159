//! This person's end of the sound: microphone, speaker, mixer, and the threads that run them.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rtrb::RingBuffer;

use super::capture::{Capture, Input, Made};
use super::io::DeviceThread;
use super::opus::Encoder;
use super::playback::{Output, PLAYED_SAMPLES, Playback};
use super::recording::Recording;
use super::remote::{Peer, RemoteAudio};
use super::status::{Choice, Direction, Status, StatusBoard};
use super::tone::Tone;
use super::wav::{self, WavRecorder};
use super::{AudioDeviceError, AudioSink, AudioSource, lock};
use crate::clock::MediaClock;
use crate::frame::EncodedAudio;
use crate::rtp::playout::Playout;
use crate::source::SourceStatus;
use crate::thread::{JoinOnDrop, spawn_named};

/// How sound is encoded and cleaned.
#[derive(Clone, Debug)]
pub struct LocalAudioConfig {
    /// Sound in one packet: 10, 20, 40 or 60 ms. Longer ones save headers (at 20 ms they cost 25 kbps) and add delay.
    pub frame_duration: Duration,
    /// What Opus aims at, 6 to 128 kbps. At 32 kbps speech is full band.
    pub bitrate_bps: u32,
    /// Whether the microphone's echo, noise and gain are cared for from the start.
    pub processing: bool,
}

impl Default for LocalAudioConfig {
    fn default() -> Self {
        Self { frame_duration: Duration::from_millis(20), bitrate_bps: 32_000, processing: true }
    }
}

/// What has been captured, encoded and played since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalAudioStats {
    /// Blocks of 10 ms taken from the source.
    pub blocks_captured: u64,
    /// Samples from the microphone that found no room, because this machine was too slow.
    pub input_overruns: u64,
    /// Samples that the speaker wanted and that were not there, because this machine was too slow.
    pub output_underruns: u64,
    /// Packets handed over.
    pub packets_encoded: u64,
    /// Their payload.
    pub bytes_encoded: u64,
    /// Frames too quiet to be worth a packet (discontinuous transmission).
    pub frames_quiet: u64,
    /// Blocks of 10 ms mixed.
    pub blocks_mixed: u64,
    /// Blocks left out of the mix, because this machine stood still.
    pub blocks_skipped: u64,
    /// How old the newest sample of the microphone is when it is handed over, as the device says.
    pub input_latency: Duration,
    /// What waits in this program for the speaker to take it; changes with how punctually it is taken and made.
    pub output_ready: Duration,
    /// How long what the speaker has taken takes until it is heard, as the device says.
    pub output_latency: Duration,
}

/// This person's end of the sound; outlives calls. Dropping it stops its threads and waits for them.
pub struct LocalAudio {
    // The threads are declared first, so that they end before what they use.
    _threads: Vec<JoinOnDrop>,
    devices: DeviceThread,
    capture: Arc<Capture>,
    playback: Arc<Playback>,
    status: Arc<StatusBoard>,
    clock: MediaClock,
    source: Mutex<(Choice, AudioSource)>,
    sink: Mutex<(Choice, AudioSink)>,
}

impl LocalAudio {
    /// Starts the threads "aenc" and "mixer"; nothing is captured and nothing played until chosen.
    pub fn new(config: LocalAudioConfig, clock: MediaClock) -> Self {
        let status = Arc::new(StatusBoard::default());
        let capture = Arc::new(Capture::new(status.clone(), config.processing));
        let playback = Arc::new(Playback::new(status.clone()));
        let (played_in, played_out) = RingBuffer::new(PLAYED_SAMPLES);
        let mut threads = Vec::new();
        match Encoder::new(config.frame_duration, config.bitrate_bps) {
            Ok(encoder) => {
                let shared = capture.clone();
                threads.extend(started(spawn_named("aenc", move || shared.run(clock, encoder, played_out))));
            }
            Err(error) => tracing::error!(%error, "no encoder for sound"),
        }
        let shared = playback.clone();
        threads.extend(started(spawn_named("mixer", move || shared.run(played_in))));
        let devices = DeviceThread::new(capture.clone(), playback.clone(), status.clone());
        let (source, sink) = (Mutex::default(), Mutex::default());
        Self { _threads: threads, devices, capture, playback, status, clock, source, sink }
    }

    /// Chooses what others hear. Devices open in the background; see [`LocalAudio::source_status`].
    pub fn set_source(&self, source: AudioSource) {
        let choice = choose(&self.source, &source);
        let device = match source {
            AudioSource::None => {
                self.capture.set_input(choice, Input::Nothing);
                self.status.set(Direction::Input, choice, Status::Off);
                None
            }
            AudioSource::Tone { frequency_hz } => {
                self.capture.set_input(choice, Input::Made(Made::Tone(Tone::new(frequency_hz))));
                self.status.set(Direction::Input, choice, live(format!("Tone, {frequency_hz} Hz")));
                None
            }
            AudioSource::File(path) => {
                let (input, status) = match wav::open(&path) {
                    Ok(sound) => {
                        let path = path.display().to_string();
                        let status = live(path.clone());
                        (Input::Made(Made::File { sound: Box::new(sound), path }), status)
                    }
                    Err(error) => (Input::Nothing, Status::Failed(error)),
                };
                self.capture.set_input(choice, input);
                self.status.set(Direction::Input, choice, status);
                None
            }
            AudioSource::Device(id) => Some(Some(id)),
            AudioSource::DefaultDevice => Some(None),
        };
        if device.is_some() {
            self.capture.set_input(choice, Input::Nothing);
            self.status.set(Direction::Input, choice, Status::Opening);
        }
        self.devices.set(Direction::Input, choice, device);
    }

    /// What was chosen last.
    pub fn source(&self) -> AudioSource {
        lock(&self.source).1.clone()
    }

    /// Chooses where the others are heard. Devices open in the background; see [`LocalAudio::sink_status`].
    pub fn set_sink(&self, sink: AudioSink) {
        let choice = choose(&self.sink, &sink);
        let device = match sink {
            AudioSink::None => {
                self.playback.set_output(choice, Output::Nowhere);
                self.status.set(Direction::Output, choice, Status::Off);
                None
            }
            AudioSink::File(path) => {
                let (output, status) = match WavRecorder::create(&path) {
                    Ok(recorder) => (Output::File(Box::new(recorder)), live(path.display().to_string())),
                    Err(error) => (Output::Nowhere, Status::Failed(error)),
                };
                self.playback.set_output(choice, output);
                self.status.set(Direction::Output, choice, status);
                None
            }
            AudioSink::Device(id) => Some(Some(id)),
            AudioSink::DefaultDevice => Some(None),
        };
        if device.is_some() {
            self.playback.set_output(choice, Output::Nowhere);
            self.status.set(Direction::Output, choice, Status::Opening);
        }
        self.devices.set(Direction::Output, choice, device);
    }

    /// What was chosen last.
    pub fn sink(&self) -> AudioSink {
        lock(&self.sink).1.clone()
    }

    /// How the chosen source is.
    pub fn source_status(&self) -> SourceStatus<AudioDeviceError> {
        self.status.get(Direction::Input)
    }

    /// How the chosen sink is.
    pub fn sink_status(&self) -> SourceStatus<AudioDeviceError> {
        self.status.get(Direction::Output)
    }

    /// Calls `listener` at each change of either status, from any thread; it must not block. Replaces an earlier one.
    pub fn on_status(&self, listener: Arc<dyn Fn() + Send + Sync>) {
        self.status.listen(listener);
    }

    /// Echo cancellation, noise suppression and gain for microphones; other sources are never touched.
    pub fn set_processing(&self, on: bool) {
        self.capture.set_processing(on);
    }

    /// While muted nothing is encoded; the meter and [`LocalAudio::is_speaking`] go on.
    pub fn set_muted(&self, muted: bool) {
        self.capture.set_muted(muted);
    }

    /// While deafened nobody is heard; their meters go on.
    pub fn set_deafened(&self, deafened: bool) {
        self.playback.set_deafened(deafened);
    }

    /// How loud the source is, 0 to 1, for a meter; also while muted.
    pub fn level(&self) -> f32 {
        self.capture.level()
    }

    /// Whether somebody speaks into the source; also while muted.
    pub fn is_speaking(&self) -> bool {
        self.capture.is_speaking()
    }

    /// Hands every encoded frame to `sink`, on the thread "aenc". It must not block, nor call `stop_encoding` itself.
    pub fn start_encoding(&self, sink: Box<dyn FnMut(EncodedAudio) + Send>) {
        self.capture.set_sink(Some(sink));
    }

    /// Stops encoding; once this has returned, nothing more is handed over.
    pub fn stop_encoding(&self) {
        self.capture.set_sink(None);
    }

    /// How much of what is sent gets lost, 0 to 1: the more, the more goes into forward error correction.
    pub fn set_packet_loss(&self, loss: f32) {
        self.capture.set_packet_loss(if loss.is_finite() { loss.clamp(0.0, 1.0) } else { 0.0 });
    }

    /// The rate from the next frame on, in bits per second; at least 6,000.
    pub fn set_bitrate_bps(&self, bitrate_bps: u32) {
        self.capture.set_bitrate_bps(bitrate_bps);
    }

    /// Keeps from now on what the source gives as `spoken.wav` in this folder, and what is heard of the others as `heard.wav`, with
    /// the time of each one's first sample beside it (`spoken.json`, `heard.json`); of each at most the first ten minutes.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub fn record(&self, folder: &Path) -> Result<(), AudioDeviceError> {
        self.capture.record(Recording::create(folder, "spoken", self.clock)?);
        self.playback.record(Recording::create(folder, "heard", self.clock)?);
        Ok(())
    }

    /// Plays two notes on the chosen sink, to find out whether it is heard.
    pub fn play_test_sound(&self) {
        self.playback.play_test_sound();
    }

    /// Takes a peer into the mix, in step with its picture by `playout`; it leaves when the result is dropped.
    pub fn add_peer(&self, playout: Arc<Playout>) -> RemoteAudio {
        let peer = Arc::new(Peer::new(playout));
        self.playback.join(peer.clone());
        RemoteAudio::new(peer, self.playback.clone())
    }

    /// What has been counted.
    pub fn stats(&self) -> LocalAudioStats {
        let counts = self.capture.counts();
        let (blocks_mixed, blocks_skipped) = self.playback.blocks();
        let (output_ready, output_latency) = self.playback.delays();
        LocalAudioStats {
            blocks_captured: counts.blocks_captured,
            input_overruns: self.devices.counters(Direction::Input).missed.load(Relaxed),
            output_underruns: self.devices.counters(Direction::Output).missed.load(Relaxed),
            packets_encoded: counts.packets_encoded,
            bytes_encoded: counts.bytes_encoded,
            frames_quiet: counts.frames_quiet,
            blocks_mixed,
            blocks_skipped,
            input_latency: self.capture.latency(),
            output_ready,
            output_latency,
        }
    }
}

impl Drop for LocalAudio {
    fn drop(&mut self) {
        self.devices.stop();
        self.capture.stop();
        self.playback.stop();
    }
}

impl std::fmt::Debug for LocalAudio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (source, sink) = (self.source(), self.sink());
        f.debug_struct("LocalAudio").field("source", &source).field("sink", &sink).finish_non_exhaustive()
    }
}

/// Notes a choice and numbers it. The lock is not held further: whoever listens to the status may ask for the choice.
fn choose<T: Clone>(chosen: &Mutex<(Choice, T)>, wanted: &T) -> Choice {
    let mut chosen = lock(chosen);
    let choice = chosen.0.next();
    *chosen = (choice, wanted.clone());
    choice
}

fn live(label: String) -> Status {
    Status::Live { label }
}

fn started(thread: std::io::Result<JoinOnDrop>) -> Option<JoinOnDrop> {
    thread.inspect_err(|error| tracing::error!(%error, "a thread for sound could not be started")).ok()
}
