//! The thread "mixer": sums everybody and keeps the speaker supplied, at its demand or by the clock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtrb::Producer;

use super::gain::{Limiter, SmoothGain};
use super::recording::Recording;
use super::remote::{MixTime, Peer};
use super::resample::Resampler;
use super::ring::PlaybackWriter;
use super::status::{Choice, Direction, Status, StatusBoard};
use super::tone::TestSound;
use super::wake::Waker;
use super::wav::WavRecorder;
use super::{BLOCK, BLOCK_DURATION, Block, SAMPLE_RATE, lock};

/// A pause longer than this (the machine slept) is not made up for.
const MAX_BACKLOG: Duration = Duration::from_millis(200);
/// The speaker wakes the mixer; this is only for when it has fallen silent.
const DEVICE_TIMEOUT: Duration = Duration::from_millis(100);

/// Blocks mixed at a time, at most: more than the ring holds.
const MAX_BLOCKS: usize = 10;

/// Room for what the echo canceller has not looked at yet: 200 ms.
pub(crate) const PLAYED_SAMPLES: usize = 20 * BLOCK;

/// Where the mix goes.
pub(crate) enum Output {
    /// Nowhere, at the pace of the clock.
    Nowhere,
    /// Into a file, at the pace of the clock.
    File(Box<WavRecorder>),
    /// To a speaker, at its demand.
    Device(PlaybackWriter),
}

/// What others ask of the mixer.
pub(crate) struct Playback {
    control: Mutex<Control>,
    waker: Waker,
    deafened: AtomicBool,
    status: Arc<StatusBoard>,
    blocks_mixed: AtomicU64,
    blocks_skipped: AtomicU64,
    /// What waits for the speaker, and how long it takes what it has taken; 0 without one.
    ready_us: AtomicU32,
    latency_us: AtomicU32,
}

#[derive(Default)]
struct Control {
    stop: bool,
    choice: Choice,
    output: Option<Output>,
    test_sound: bool,
    joined: Vec<Arc<Peer>>,
    recording: Option<Recording>,
}

impl Playback {
    pub(crate) fn new(status: Arc<StatusBoard>) -> Self {
        Self {
            control: Mutex::default(),
            waker: Waker::default(),
            deafened: AtomicBool::new(false),
            status,
            blocks_mixed: AtomicU64::new(0),
            blocks_skipped: AtomicU64::new(0),
            ready_us: AtomicU32::new(0),
            latency_us: AtomicU32::new(0),
        }
    }

    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(crate) fn stop(&self) {
        self.change(|control| control.stop = true);
    }

    pub(crate) fn set_deafened(&self, deafened: bool) {
        self.deafened.store(deafened, Relaxed);
    }

    /// Sends the mix elsewhere, unless something else has been chosen since.
    pub(crate) fn set_output(&self, choice: Choice, output: Output) {
        self.change(|control| {
            if choice >= control.choice {
                control.choice = choice;
                control.output = Some(output);
            }
        });
    }

    /// Keeps what is heard from now on.
    pub(crate) fn record(&self, recording: Recording) {
        self.change(|control| control.recording = Some(recording));
    }

    pub(crate) fn play_test_sound(&self) {
        self.change(|control| control.test_sound = true);
    }

    pub(crate) fn join(&self, peer: Arc<Peer>) {
        self.change(|control| control.joined.push(peer));
    }

    /// Blocks of 10 ms mixed, and left out because the machine could not keep up.
    pub(crate) fn blocks(&self) -> (u64, u64) {
        (self.blocks_mixed.load(Relaxed), self.blocks_skipped.load(Relaxed))
    }

    /// How long sound waits for the speaker, and then in it; zero without one.
    pub(crate) fn delays(&self) -> (Duration, Duration) {
        let [ready, latency] =
            [&self.ready_us, &self.latency_us].map(|us| Duration::from_micros(us.load(Relaxed).into()));
        (ready, latency)
    }

    fn note_delays(&self, ready: Duration, latency: Duration) {
        let us = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        self.ready_us.store(us(ready), Relaxed);
        self.latency_us.store(us(latency), Relaxed);
    }

    /// Runs the mixer until it is told to stop; `played` takes what a speaker is given, for the echo canceller.
    pub(crate) fn run(&self, played: Producer<f32>) {
        self.waker.attach();
        let mut mixer = Mixer::new(played);
        loop {
            {
                let mut control = lock(&self.control);
                if control.stop {
                    return;
                }
                mixer.take(&mut control);
            }
            let wait = mixer.step(self, Instant::now());
            Waker::wait(wait);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Control)) {
        change(&mut lock(&self.control));
        self.waker.wake();
    }
}

impl std::fmt::Debug for Playback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Playback").field("deafened", &self.deafened).finish_non_exhaustive()
    }
}

/// What the thread itself holds.
struct Mixer {
    peers: Vec<Arc<Peer>>,
    test_sounds: VecDeque<TestSound>,
    hearing: SmoothGain,
    limiter: Limiter,
    played: Producer<f32>,
    choice: Choice,
    output: Line,
    recording: Option<Recording>,
}

enum Line {
    Paced { recorder: Option<Box<WavRecorder>>, due: Option<Instant> },
    Device { ring: PlaybackWriter, resampler: Resampler, resampled: Vec<f32> },
}

impl Mixer {
    fn new(played: Producer<f32>) -> Self {
        Self {
            peers: Vec::new(),
            test_sounds: VecDeque::new(),
            hearing: SmoothGain::new(1.0),
            limiter: Limiter::new(),
            played,
            choice: Choice::default(),
            output: Line::Paced { recorder: None, due: None },
            recording: None,
        }
    }

    fn take(&mut self, control: &mut Control) {
        self.peers.append(&mut control.joined);
        if std::mem::take(&mut control.test_sound) {
            // Asked for again, it starts again.
            self.test_sounds.clear();
            self.test_sounds.push_back(TestSound::new());
        }
        if let Some(recording) = control.recording.take() {
            self.recording = Some(recording);
        }
        if let Some(output) = control.output.take() {
            self.choice = control.choice;
            self.output = Line::new(output);
        }
    }

    /// Mixes what is due; gives how long to wait.
    fn step(&mut self, shared: &Playback, now: Instant) -> Option<Duration> {
        let mut output = std::mem::replace(&mut self.output, Line::Paced { recorder: None, due: None });
        let wait = match &mut output {
            Line::Paced { recorder, due } => {
                shared.note_delays(Duration::ZERO, Duration::ZERO);
                self.step_paced(shared, now, recorder, due)
            }
            Line::Device { ring, resampler, resampled } => {
                self.step_device(shared, now, ring, resampler, resampled);
                Some(DEVICE_TIMEOUT)
            }
        };
        self.output = output;
        wait
    }

    fn step_paced(
        &mut self,
        shared: &Playback,
        now: Instant,
        recorder: &mut Option<Box<WavRecorder>>,
        due: &mut Option<Instant>,
    ) -> Option<Duration> {
        if recorder.is_none() && self.peers.is_empty() && self.test_sounds.is_empty() {
            // Nobody to measure and nowhere to play.
            *due = None;
            return None;
        }
        let mut next = due.unwrap_or(now);
        let backlog = now.saturating_duration_since(next);
        if backlog > MAX_BACKLOG {
            shared.blocks_skipped.fetch_add((backlog.as_millis() / 10) as u64, Relaxed);
            next = now;
        }
        while next <= now {
            let block = self.mix(shared, MixTime { mixed: next, heard: next });
            if let Some(Err(error)) = recorder.as_mut().map(|recorder| recorder.write(&block)) {
                tracing::warn!(%error, "the recording stops");
                shared.status.set(Direction::Output, self.choice, Status::Failed(error));
                *recorder = None;
            }
            next += BLOCK_DURATION;
        }
        *due = Some(next);
        Some(next.saturating_duration_since(now))
    }

    fn step_device(
        &mut self,
        shared: &Playback,
        now: Instant,
        ring: &mut PlaybackWriter,
        resampler: &mut Resampler,
        resampled: &mut Vec<f32>,
    ) {
        if !ring.is_running() || ring.is_closed() {
            // Peers' sound is not used up for a speaker that does not take any.
            return;
        }
        let rate = u64::from(ring.rate().max(1));
        let lasting = |samples: usize| Duration::from_nanos(samples as u64 * 1_000_000_000 / rate);
        let target = ring.target();
        shared.note_delays(lasting(target), ring.latency());
        for _ in 0..MAX_BLOCKS {
            let filled = ring.filled();
            if filled >= target {
                return;
            }
            // As if it ran evenly: a block that fills the ring is mixed now, those before it were due earlier.
            let mixed = now.checked_sub(lasting(target - filled)).unwrap_or(now);
            let block = self.mix(shared, MixTime { mixed, heard: now + lasting(filled) + ring.latency() });
            // Full means that nobody listens to the microphone; then nobody needs it.
            let _ = self.played.push_partial_slice(&block);
            resampled.clear();
            resampler.process(&block, resampled);
            ring.write(resampled);
        }
    }

    fn mix(&mut self, shared: &Playback, time: MixTime) -> Block {
        let mut block = [0.0; BLOCK];
        self.peers.retain(|peer| peer.mix_into(time, &mut block));
        self.hearing.apply(if shared.deafened.load(Relaxed) { 0.0 } else { 1.0 }, &mut block);
        // Heard even when deafened: it was asked for to hear whether the speaker works.
        self.test_sounds.retain_mut(|sound| sound.add_to(&mut block));
        self.limiter.apply(&mut block);
        if let Some(recording) = &mut self.recording {
            recording.write(&block, time.heard);
        }
        shared.blocks_mixed.fetch_add(1, Relaxed);
        block
    }
}

impl Line {
    fn new(output: Output) -> Self {
        match output {
            Output::Nowhere => Self::Paced { recorder: None, due: None },
            Output::File(recorder) => Self::Paced { recorder: Some(recorder), due: None },
            Output::Device(ring) => match Resampler::new(SAMPLE_RATE, ring.rate()) {
                Ok(resampler) => Self::Device { ring, resampler, resampled: Vec::new() },
                Err(problem) => {
                    // Device rates were checked when it was opened.
                    tracing::error!(problem, "the speaker's rate cannot be had");
                    Self::Paced { recorder: None, due: None }
                }
            },
        }
    }
}
