//! The two rings between device callbacks and this program's threads.
//!
//! A callback pushes or pops samples, counts in atomics, and wakes the thread at the other end; it takes no lock,
//! allocates nothing and cannot panic. Full or empty is not an error: it is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use self::ready::Ready;
use super::wake::Waker;

mod ready;

/// Microphone ring: about 100 ms. When it is full the newest samples are dropped.
const CAPTURE_MS: usize = 100;
/// Speaker ring: about 60 ms, of which less is used ([`Ready`]). When it is empty silence is played.
const PLAYBACK_MS: usize = 60;

/// Counted by callbacks, over all streams of one direction.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Samples that found no room (microphone) or were not there (speaker).
    pub(crate) missed: AtomicU64,
    /// How often that happened.
    pub(crate) events: AtomicU64,
    /// How often a speaker that had begun asked for two of its periods at once: it had nothing left.
    pub(crate) starved: AtomicU64,
}

/// What one stream's callback tells this program's end.
#[derive(Debug)]
struct Shared {
    /// How old the last sample of a microphone's callback was, or how long until what a speaker is given after its last one is heard.
    latency_us: AtomicU32,
    /// Callbacks so far.
    calls: AtomicU64,
    /// Samples that callbacks took.
    taken: AtomicU64,
    /// Samples that they wanted and did not find.
    missed: AtomicU64,
    /// The least that a callback left in the ring, since that was asked last.
    least_left: AtomicU32,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            latency_us: AtomicU32::default(),
            calls: AtomicU64::default(),
            taken: AtomicU64::default(),
            missed: AtomicU64::default(),
            least_left: AtomicU32::new(u32::MAX),
        }
    }
}

/// The callback's end of the microphone ring.
pub(crate) struct CaptureWriter {
    ring: Producer<f32>,
    rate: u32,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    waker: Waker,
}

/// This program's end of the microphone ring.
pub(crate) struct CaptureReader {
    ring: Consumer<f32>,
    shared: Arc<Shared>,
    rate: u32,
}

/// The callback's end of the speaker ring.
pub(crate) struct PlaybackReader {
    ring: Consumer<f32>,
    rate: u32,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    waker: Waker,
    started: bool,
    /// What is wanted at once at least twice as much as this shows that the device had nothing left.
    period: usize,
}

/// This program's end of the speaker ring.
pub(crate) struct PlaybackWriter {
    ring: Producer<f32>,
    shared: Arc<Shared>,
    rate: u32,
    ready: Ready,
}

/// A ring for a microphone that runs at `rate`.
pub(crate) fn capture(rate: u32, counters: Arc<Counters>, waker: Waker) -> (CaptureWriter, CaptureReader) {
    let (producer, consumer) = RingBuffer::new(samples(rate, CAPTURE_MS));
    let shared = Arc::new(Shared::default());
    let writer = CaptureWriter { ring: producer, rate, shared: shared.clone(), counters, waker };
    (writer, CaptureReader { ring: consumer, shared, rate })
}

/// A ring for a speaker that runs at `rate` and takes `period` samples at a time.
pub(crate) fn playback(
    rate: u32,
    period: usize,
    counters: Arc<Counters>,
    waker: Waker,
) -> (PlaybackWriter, PlaybackReader) {
    let (producer, consumer) = RingBuffer::new(samples(rate, PLAYBACK_MS));
    let shared = Arc::new(Shared::default());
    let reader =
        PlaybackReader { ring: consumer, rate, shared: shared.clone(), counters, waker, started: false, period };
    (PlaybackWriter { ring: producer, shared, rate, ready: Ready::new(rate, period) }, reader)
}

impl CaptureWriter {
    /// Called by the device: takes mono samples, the first of them captured `latency` ago.
    pub(crate) fn write(&mut self, count: usize, mono: impl Iterator<Item = f32>, latency: Duration) {
        let room = self.ring.slots().min(count);
        if let Ok(chunk) = self.ring.write_chunk_uninit(room) {
            chunk.fill_from_iter(mono);
        }
        if room < count {
            self.counters.missed.fetch_add((count - room) as u64, Relaxed);
            self.counters.events.fetch_add(1, Relaxed);
        }
        // The device tells the age of the first sample; the last one is a buffer younger.
        self.shared.note(latency.saturating_sub(lasting(self.rate, count)));
        self.waker.wake();
    }
}

impl CaptureReader {
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Moves all that is there to the end of `out`; gives how old the end of it is, as far as the device knows.
    pub(crate) fn read(&mut self, out: &mut Vec<f32>) -> Duration {
        if let Ok(chunk) = self.ring.read_chunk(self.ring.slots()) {
            let (first, second) = chunk.as_slices();
            out.extend_from_slice(first);
            out.extend_from_slice(second);
            chunk.commit_all();
        }
        self.shared.latency()
    }

    /// Whether the stream behind it is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.ring.is_abandoned()
    }
}

impl PlaybackReader {
    /// Called by the device: gives the next samples through `put`, silence where there are none.
    pub(crate) fn read(&mut self, count: usize, latency: Duration, mut put: impl FnMut(f32)) {
        let ready = self.ring.slots().min(count);
        if let Ok(chunk) = self.ring.read_chunk(ready) {
            let (first, second) = chunk.as_slices();
            first.iter().chain(second).for_each(|sample| put(*sample));
            chunk.commit_all();
        }
        (ready..count).for_each(|_| put(0.0));
        self.started |= ready > 0;
        if self.started {
            self.count(count, ready);
        }
        // The device tells how long the first sample will take; what comes next is a buffer later.
        self.shared.note(latency.saturating_add(lasting(self.rate, count)));
        self.waker.wake();
    }

    /// Counts a callback of a speaker that has begun: what it wanted, and what of it was there.
    fn count(&self, wanted: usize, ready: usize) {
        if ready < wanted {
            self.counters.missed.fetch_add((wanted - ready) as u64, Relaxed);
            self.counters.events.fetch_add(1, Relaxed);
            self.shared.missed.fetch_add((wanted - ready) as u64, Relaxed);
        }
        if wanted >= 2 * self.period.max(1) {
            self.counters.starved.fetch_add(1, Relaxed);
        }
        let left = u32::try_from(self.ring.slots()).unwrap_or(u32::MAX);
        self.shared.least_left.fetch_min(left, Relaxed);
        self.shared.taken.fetch_add(wanted as u64, Relaxed);
    }
}

impl PlaybackWriter {
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// How much is to be kept ready, by what callbacks found until now.
    pub(crate) fn target(&mut self) -> usize {
        let shared = &self.shared;
        let least_left = || shared.least_left.swap(u32::MAX, Relaxed) as usize;
        self.ready.target(shared.taken.load(Relaxed), shared.missed.load(Relaxed), least_left)
    }

    /// How much is ready.
    pub(crate) fn filled(&self) -> usize {
        self.ring.buffer().capacity() - self.ring.slots()
    }

    /// Adds samples; what finds no room is dropped (the caller keeps within the target, so there is room).
    pub(crate) fn write(&mut self, samples: &[f32]) {
        let _ = self.ring.push_partial_slice(samples);
    }

    /// How long after the last callback the first sample is heard that it left here, as the device says.
    pub(crate) fn latency(&self) -> Duration {
        self.shared.latency()
    }

    /// Whether the device has asked for anything yet.
    pub(crate) fn is_running(&self) -> bool {
        self.shared.calls.load(Relaxed) > 0
    }

    /// Whether the stream behind it is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.ring.is_abandoned()
    }
}

impl Shared {
    fn note(&self, latency: Duration) {
        self.latency_us.store(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX), Relaxed);
        self.calls.fetch_add(1, Relaxed);
    }

    fn latency(&self) -> Duration {
        // A device that claims more than half a second is not believed.
        Duration::from_micros(u64::from(self.latency_us.load(Relaxed))).min(Duration::from_millis(500))
    }
}

fn lasting(rate: u32, samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * 1_000_000_000 / u64::from(rate.max(1)))
}

fn samples(rate: u32, ms: usize) -> usize {
    rate as usize * ms / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_microphone_ring_drops_what_is_new_and_counts_it() {
        let counters = Arc::new(Counters::default());
        let (mut writer, mut reader) = capture(48_000, counters.clone(), Waker::default());
        for start in [0, 960, 1920, 2880, 3840] {
            writer.write(960, (start..start + 960).map(|n| n as f32), Duration::from_millis(30));
        }
        assert_eq!(counters.missed.load(Relaxed), 0);
        writer.write(960, (0..960).map(|_| -1.0), Duration::from_millis(30));
        assert_eq!((counters.missed.load(Relaxed), counters.events.load(Relaxed)), (960, 1));
        let mut out = Vec::new();
        assert_eq!(reader.read(&mut out), Duration::from_millis(10));
        assert!(out.iter().enumerate().all(|(n, sample)| *sample == n as f32));
        assert_eq!(out.len(), 4800);
    }

    #[test]
    fn an_empty_speaker_ring_plays_silence_and_counts_it_once_it_has_begun() {
        let counters = Arc::new(Counters::default());
        let (mut writer, mut reader) = playback(48_000, 480, counters.clone(), Waker::default());
        let mut heard = Vec::new();
        reader.read(480, Duration::ZERO, |sample| heard.push(sample));
        assert_eq!((heard.len(), counters.missed.load(Relaxed)), (480, 0));
        writer.write(&[0.5; 240]);
        reader.read(480, Duration::ZERO, |sample| heard.push(sample));
        assert_eq!((heard[480], heard[719], heard[720], heard.len()), (0.5, 0.5, 0.0, 960));
        assert_eq!((counters.missed.load(Relaxed), counters.events.load(Relaxed)), (240, 1));
    }

    #[test]
    fn what_is_kept_ready_follows_what_the_callback_finds() {
        let counters = Arc::new(Counters::default());
        let (mut writer, mut reader) = playback(48_000, 480, counters.clone(), Waker::default());
        // The first request fills the device's own buffer and says nothing of later ones.
        reader.read(960, Duration::ZERO, |_| ());
        let mut call = |mixes: bool| {
            while mixes && writer.filled() < writer.target() {
                writer.write(&[0.5; 480]);
            }
            reader.read(480, Duration::ZERO, |_| ());
            writer.target()
        };
        assert_eq!((call(true), counters.starved.load(Relaxed)), (960, 0));
        // A mixer that is always in time: what the device takes at once is enough.
        assert_eq!((0..500).map(|_| call(true)).last(), Some(480));
        assert_eq!(counters.events.load(Relaxed), 0);
        // One that is late once.
        assert_eq!(call(false), 960);
        assert_eq!(counters.events.load(Relaxed), 1);
    }

    #[test]
    fn a_speaker_that_asks_for_two_periods_at_once_had_nothing_left() {
        let counters = Arc::new(Counters::default());
        let (mut writer, mut reader) = playback(48_000, 480, counters.clone(), Waker::default());
        writer.write(&[0.5; 2400]);
        for count in [480, 700, 960] {
            reader.read(count, Duration::ZERO, |_| ());
        }
        assert_eq!(counters.starved.load(Relaxed), 1);
    }

    #[test]
    fn what_follows_a_callback_is_heard_after_all_that_it_took() {
        let (writer, mut reader) = playback(48_000, 480, Arc::default(), Waker::default());
        reader.read(480, Duration::from_millis(25), |_| ());
        assert_eq!(writer.latency(), Duration::from_millis(35));
    }

    #[test]
    fn a_long_buffer_once_does_not_make_later_ones_older() {
        let (mut writer, mut reader) = capture(48_000, Arc::default(), Waker::default());
        let mut out = Vec::new();
        writer.write(1_920, std::iter::repeat_n(0.0, 1_920), Duration::from_millis(50));
        assert_eq!(reader.read(&mut out), Duration::from_millis(10));
        writer.write(480, std::iter::repeat_n(0.0, 480), Duration::from_millis(22));
        assert_eq!(reader.read(&mut out), Duration::from_millis(12));
    }

    #[test]
    fn each_end_sees_that_the_other_is_gone() {
        let (writer, reader) = playback(48_000, 480, Arc::default(), Waker::default());
        assert!(!writer.is_closed());
        drop(reader);
        assert!(writer.is_closed());
    }
}
