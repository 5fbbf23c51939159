//! The two rings between device callbacks and this program's threads.
//!
//! A callback pushes or pops samples, counts in atomics, and wakes the thread at the other end; it takes no lock,
//! allocates nothing and cannot panic. Full or empty is not an error: it is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::wake::Waker;

/// Microphone ring: about 100 ms. When it is full the newest samples are dropped.
const CAPTURE_MS: usize = 100;
/// Speaker ring: about 60 ms, of which less is used. When it is empty silence is played.
const PLAYBACK_MS: usize = 60;
/// The least that is kept ready for the speaker, and the most.
const MIN_READY_MS: usize = 20;
const MAX_READY_MS: usize = PLAYBACK_MS - 10;

/// Counted by callbacks, over all streams of one direction.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Samples that found no room (microphone) or were not there (speaker).
    pub(crate) missed: AtomicU64,
    /// How often that happened.
    pub(crate) events: AtomicU64,
}

#[derive(Debug, Default)]
struct Shared {
    /// What the device says of its own latency.
    latency_us: AtomicU32,
    /// The most that one callback moved.
    largest: AtomicU32,
    /// Callbacks so far.
    calls: AtomicU64,
}

/// The callback's end of the microphone ring.
pub(crate) struct CaptureWriter {
    ring: Producer<f32>,
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
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    waker: Waker,
    started: bool,
}

/// This program's end of the speaker ring.
pub(crate) struct PlaybackWriter {
    ring: Producer<f32>,
    shared: Arc<Shared>,
    rate: u32,
}

/// A ring for a microphone that runs at `rate`.
pub(crate) fn capture(rate: u32, counters: Arc<Counters>, waker: Waker) -> (CaptureWriter, CaptureReader) {
    let (producer, consumer) = RingBuffer::new(samples(rate, CAPTURE_MS));
    let shared = Arc::new(Shared::default());
    let writer = CaptureWriter { ring: producer, shared: shared.clone(), counters, waker };
    (writer, CaptureReader { ring: consumer, shared, rate })
}

/// A ring for a speaker that runs at `rate`.
pub(crate) fn playback(rate: u32, counters: Arc<Counters>, waker: Waker) -> (PlaybackWriter, PlaybackReader) {
    let (producer, consumer) = RingBuffer::new(samples(rate, PLAYBACK_MS));
    let shared = Arc::new(Shared::default());
    let reader = PlaybackReader { ring: consumer, shared: shared.clone(), counters, waker, started: false };
    (PlaybackWriter { ring: producer, shared, rate }, reader)
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
        self.shared.note(latency, count);
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
        let largest = u64::from(self.shared.largest.load(Relaxed));
        let buffer = Duration::from_micros(largest * 1_000_000 / u64::from(self.rate.max(1)));
        // The device tells the age of the first sample of a buffer; the last one is a buffer younger.
        self.shared.latency().saturating_sub(buffer)
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
        if ready < count && self.started {
            self.counters.missed.fetch_add((count - ready) as u64, Relaxed);
            self.counters.events.fetch_add(1, Relaxed);
        }
        self.shared.note(latency, count);
        self.waker.wake();
    }
}

impl PlaybackWriter {
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// How much is to be kept ready: as much as the device takes at once and 10 ms, within 20 and 50 ms.
    pub(crate) fn target(&self) -> usize {
        let largest = self.shared.largest.load(Relaxed) as usize;
        let wanted = largest + samples(self.rate, 10);
        wanted.clamp(samples(self.rate, MIN_READY_MS), samples(self.rate, MAX_READY_MS))
    }

    /// How much is ready.
    pub(crate) fn filled(&self) -> usize {
        self.ring.buffer().capacity() - self.ring.slots()
    }

    /// Adds samples; what finds no room is dropped (the caller keeps within the target, so there is room).
    pub(crate) fn write(&mut self, samples: &[f32]) {
        let _ = self.ring.push_partial_slice(samples);
    }

    /// How long until a sample that the callback takes now is heard, as the device says.
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
    fn note(&self, latency: Duration, count: usize) {
        self.latency_us.store(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX), Relaxed);
        self.largest.fetch_max(u32::try_from(count).unwrap_or(u32::MAX), Relaxed);
        self.calls.fetch_add(1, Relaxed);
    }

    fn latency(&self) -> Duration {
        // A device that claims more than half a second is not believed.
        Duration::from_micros(u64::from(self.latency_us.load(Relaxed))).min(Duration::from_millis(500))
    }
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
        let (mut writer, mut reader) = playback(48_000, counters.clone(), Waker::default());
        let mut heard = Vec::new();
        reader.read(480, Duration::ZERO, |sample| heard.push(sample));
        assert_eq!((heard.len(), counters.missed.load(Relaxed)), (480, 0));
        writer.write(&[0.5; 240]);
        reader.read(480, Duration::ZERO, |sample| heard.push(sample));
        assert_eq!((heard[480], heard[719], heard[720], heard.len()), (0.5, 0.5, 0.0, 960));
        assert_eq!((counters.missed.load(Relaxed), counters.events.load(Relaxed)), (240, 1));
    }

    #[test]
    fn as_much_is_kept_ready_as_the_device_takes_at_once() {
        let (writer, mut reader) = playback(48_000, Arc::default(), Waker::default());
        assert_eq!(writer.target(), 960);
        reader.read(960, Duration::ZERO, |_| ());
        assert_eq!(writer.target(), 1440);
        reader.read(100_000, Duration::ZERO, |_| ());
        assert_eq!(writer.target(), 2400);
    }

    #[test]
    fn each_end_sees_that_the_other_is_gone() {
        let (writer, reader) = playback(48_000, Arc::default(), Waker::default());
        assert!(!writer.is_closed());
        drop(reader);
        assert!(writer.is_closed());
    }
}
