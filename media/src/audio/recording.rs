//! What was said, or what was heard, kept as a WAV file, with the time of its first sample beside it, for those who measure.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::AudioDeviceError;
use super::wav::WavRecorder;
use super::{BLOCK, BLOCK_DURATION, Block, SAMPLE_RATE};
use crate::clock::MediaClock;

/// Ten minutes; what comes after them is left out.
const MAX_BLOCKS: u32 = 60_000;
/// A pause longer than this is kept as silence, so that sample and time stay in step; a shorter one is a clock's unevenness.
const MAX_GAP: Duration = Duration::from_millis(100);

/// A WAV file that grows by 10 ms at a time, and a JSON file beside it: `{"first_sample_unix_ms": …, "sample_rate": 48000}`.
pub(crate) struct Recording {
    /// `None` once it has ended.
    recorder: Option<WavRecorder>,
    times: PathBuf,
    clock: MediaClock,
    begun: Option<Instant>,
    blocks: u32,
}

impl Recording {
    /// Makes `NAME.wav` in a folder; `NAME.json` comes with the first sample.
    pub(crate) fn create(folder: &Path, name: &str, clock: MediaClock) -> Result<Self, AudioDeviceError> {
        let recorder = WavRecorder::create(&folder.join(format!("{name}.wav")))?;
        Ok(Self { recorder: Some(recorder), times: folder.join(format!("{name}.json")), clock, begun: None, blocks: 0 })
    }

    /// Adds 10 ms whose first sample belongs to `at`. Where it can't, the recording ends and a warning says so.
    pub(crate) fn write(&mut self, block: &Block, at: Instant) {
        if self.recorder.is_none() {
            return;
        }
        if let Err(error) = self.try_write(block, at) {
            tracing::warn!(%error, path = %self.times.display(), "a recording ends");
            self.recorder = None;
        }
    }

    fn try_write(&mut self, block: &Block, at: Instant) -> Result<(), AudioDeviceError> {
        let begun = match self.begun {
            Some(begun) => begun,
            None => {
                self.tell_time(at)?;
                *self.begun.insert(at)
            }
        };
        let gap = at.saturating_duration_since(begun + BLOCK_DURATION * self.blocks);
        if gap > MAX_GAP {
            let silent = u32::try_from(gap.as_millis() / BLOCK_DURATION.as_millis()).unwrap_or(u32::MAX);
            for _ in 0..silent.min(MAX_BLOCKS) {
                self.add(&[0.0; BLOCK])?;
            }
        }
        self.add(block)
    }

    fn add(&mut self, block: &Block) -> Result<(), AudioDeviceError> {
        let Some(recorder) = &mut self.recorder else { return Ok(()) };
        if self.blocks >= MAX_BLOCKS {
            self.recorder = None;
            tracing::warn!(path = %self.times.display(), "a recording ends: it is ten minutes long");
            return Ok(());
        }
        self.blocks += 1;
        recorder.write(block)
    }

    fn tell_time(&self, at: Instant) -> Result<(), AudioDeviceError> {
        let unix_ms = self.clock.unix(at).as_secs_f64() * 1_000.0;
        let text = format!("{{\"first_sample_unix_ms\": {unix_ms:.3}, \"sample_rate\": {SAMPLE_RATE}}}\n");
        std::fs::write(&self.times, text).map_err(|error| AudioDeviceError::Unreadable {
            problem: format!("{error}."),
            path: self.times.display().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(pauses: &[(u32, Duration)]) -> (f64, Vec<i16>) {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let clock = MediaClock::start(begin, Duration::from_millis(1_800_000_000_250));
        let mut recording = Recording::create(folder.path(), "heard", clock).unwrap();
        let mut at = begin;
        for (blocks, pause) in pauses {
            for _ in 0..*blocks {
                recording.write(&[0.5; BLOCK], at);
                at += BLOCK_DURATION;
            }
            at += *pause;
        }
        drop(recording);
        let times = std::fs::read_to_string(folder.path().join("heard.json")).unwrap();
        let first = times.split(['{', ':', ',', '}']).nth(2).unwrap().trim().parse().unwrap();
        let mut reader = hound::WavReader::open(folder.path().join("heard.wav")).unwrap();
        assert_eq!(reader.spec().sample_rate, SAMPLE_RATE);
        (first, reader.samples::<i16>().map(Result::unwrap).collect())
    }

    #[test]
    fn the_time_of_the_first_sample_stands_beside_the_recording() {
        let (first, samples) = recorded(&[(3, Duration::ZERO)]);
        assert!((first - 1_800_000_000_250.0).abs() < 0.01, "{first}");
        assert_eq!(samples.len(), 3 * BLOCK);
    }

    #[test]
    fn a_pause_is_kept_as_silence_so_that_what_follows_stays_at_its_time() {
        let (_, samples) = recorded(&[(1, Duration::from_millis(500)), (1, Duration::ZERO)]);
        assert_eq!(samples.len(), 52 * BLOCK);
        assert!(samples[BLOCK..51 * BLOCK].iter().all(|sample| *sample == 0) && samples[51 * BLOCK] > 0);
        let (_, uneven) = recorded(&[(1, Duration::from_millis(40)), (1, Duration::ZERO)]);
        assert_eq!(uneven.len(), 2 * BLOCK);
    }

    #[test]
    fn a_recording_ends_after_ten_minutes() {
        let (_, samples) = recorded(&[(1, Duration::from_secs(3_600)), (1, Duration::ZERO)]);
        assert_eq!(samples.len(), MAX_BLOCKS as usize * BLOCK);
    }
}
