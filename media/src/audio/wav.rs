//! WAV files: one is played over and over as a microphone, one is written as a speaker.
//!
//! The reader is this program's own, since it must not trust a single byte; the writer is `hound`'s.

mod header;

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::Path;

pub use self::header::{WavFormat, WavProblem, read_header};
use super::error::AudioDeviceError;
use super::resample::Resampler;
use super::{BLOCK, Block, SAMPLE_RATE};

/// A WAV file may not become larger than 4 GiB; at 96 kB/s that is 12 hours. This leaves room for the header.
const MAX_WRITTEN_SAMPLES: u64 = (u32::MAX as u64 - 1024) / 2;

/// Frames read from the file at once, and so the most that is held of it.
const READ_FRAMES: usize = 1024;

/// A WAV file played over and over, as 48 kHz mono.
#[derive(Debug)]
pub(crate) struct WavLoop<R> {
    reader: R,
    format: WavFormat,
    left: u64,
    resampler: Resampler,
    bytes: Vec<u8>,
    mono: Vec<f32>,
    ready: Vec<f32>,
}

/// Opens a WAV file to be played.
pub(crate) fn open(path: &Path) -> Result<WavLoop<BufReader<File>>, AudioDeviceError> {
    let unreadable = |problem: String| AudioDeviceError::Unreadable { problem, path: path.display().to_string() };
    let file = File::open(path).map_err(|error| unreadable(format!("{error}.")))?;
    // A pipe or a device could keep the thread waiting for ever.
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(unreadable("it is not a file.".to_owned()));
    }
    WavLoop::new(BufReader::new(file)).map_err(|problem| unreadable(problem.to_string()))
}

impl<R: Read + Seek> WavLoop<R> {
    pub(crate) fn new(mut reader: R) -> Result<Self, WavProblem> {
        let format = read_header(&mut reader)?;
        let resampler = Resampler::new(format.sample_rate, SAMPLE_RATE).map_err(WavProblem::Refused)?;
        reader.seek(SeekFrom::Start(format.data_start))?;
        Ok(Self {
            reader,
            left: format.data_bytes,
            format,
            resampler,
            bytes: Vec::new(),
            mono: Vec::new(),
            ready: Vec::new(),
        })
    }

    /// Fills the next 10 ms; at the end of the file it begins again.
    pub(crate) fn fill(&mut self, block: &mut Block) -> Result<(), WavProblem> {
        while self.ready.len() < BLOCK {
            self.read_more()?;
        }
        block.copy_from_slice(&self.ready[..BLOCK]);
        self.ready.drain(..BLOCK);
        Ok(())
    }

    fn read_more(&mut self) -> Result<(), WavProblem> {
        let frame_bytes = self.format.frame_bytes();
        if self.left < frame_bytes as u64 {
            self.reader.seek(SeekFrom::Start(self.format.data_start))?;
            self.left = self.format.data_bytes;
        }
        let count = (READ_FRAMES * frame_bytes).min((self.left / frame_bytes as u64) as usize * frame_bytes);
        self.bytes.resize(count, 0);
        self.reader.read_exact(&mut self.bytes)?;
        self.left -= count as u64;
        self.mono.clear();
        self.mono.extend(self.bytes.chunks_exact(frame_bytes).map(|frame| self.format.mono(frame)));
        self.resampler.process(&self.mono, &mut self.ready);
        Ok(())
    }
}

/// Reads whatever the bytes are as a WAV file; for fuzzing: it may refuse them, never panic or run away.
pub fn fuzz_wav(data: &[u8]) {
    let Ok(mut sound) = WavLoop::new(std::io::Cursor::new(data)) else { return };
    let mut block = [0.0; BLOCK];
    for _ in 0..20 {
        if sound.fill(&mut block).is_err() {
            return;
        }
    }
}

/// Writes what is heard into a WAV file, 16 bit 48 kHz mono.
pub(crate) struct WavRecorder {
    /// `None` after it was closed.
    writer: Option<hound::WavWriter<BufWriter<File>>>,
    path: String,
    written: u64,
}

impl WavRecorder {
    pub(crate) fn create(path: &Path) -> Result<Self, AudioDeviceError> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let path_text = path.display().to_string();
        let writer = hound::WavWriter::create(path, spec)
            .map_err(|error| AudioDeviceError::Unreadable { problem: sentence(&error), path: path_text.clone() })?;
        Ok(Self { writer: Some(writer), path: path_text, written: 0 })
    }

    /// Adds 10 ms. The header is right after each second, so that a file cut short can be played.
    pub(crate) fn write(&mut self, block: &Block) -> Result<(), AudioDeviceError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let failed = |error: &hound::Error, path: &str| AudioDeviceError::Unreadable {
            problem: sentence(error),
            path: path.to_owned(),
        };
        if self.written >= MAX_WRITTEN_SAMPLES {
            let problem = "it is as long as a WAV file can be.".to_owned();
            return Err(AudioDeviceError::Unreadable { problem, path: self.path.clone() });
        }
        for sample in block {
            // Limited to full scale before; the cast saturates anyway.
            let sample = (sample * f32::from(i16::MAX)).round() as i16;
            writer.write_sample(sample).map_err(|error| failed(&error, &self.path))?;
        }
        self.written += BLOCK as u64;
        if self.written.is_multiple_of(u64::from(SAMPLE_RATE)) {
            writer.flush().map_err(|error| failed(&error, &self.path))?;
        }
        Ok(())
    }
}

impl Drop for WavRecorder {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.writer.take().map(hound::WavWriter::finalize) {
            tracing::warn!(%error, path = self.path, "the recording could not be finished");
        }
    }
}

fn sentence(error: &hound::Error) -> String {
    format!("{error}.")
}

#[cfg(test)]
mod tests {
    use super::super::analysis;
    use super::*;
    use std::io::Cursor;

    /// A stereo file of a tone on the left and silence on the right.
    fn stereo_tone(rate: u32, bits: u16) -> Vec<u8> {
        let sample_format = hound::SampleFormat::Int;
        let spec = hound::WavSpec { channels: 2, sample_rate: rate, bits_per_sample: bits, sample_format };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for n in 0..rate {
            let tone = (std::f32::consts::TAU * 440.0 * n as f32 / rate as f32).sin();
            writer.write_sample((tone * 0.5 * (1_u32 << (bits - 1)) as f32) as i32).unwrap();
            writer.write_sample(0).unwrap();
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    fn play_a_second(bytes: Vec<u8>) -> (f32, Option<f32>) {
        let mut sound = WavLoop::new(Cursor::new(bytes)).unwrap();
        let mut second = Vec::new();
        for _ in 0..150 {
            let mut block = [0.0; BLOCK];
            sound.fill(&mut block).unwrap();
            second.extend(block);
        }
        analysis::describe(&second[second.len() - 48_000..])
    }

    #[test]
    fn any_rate_and_depth_is_played_as_mono_over_and_over() {
        for (rate, bits) in [(48_000, 16), (44_100, 24), (16_000, 16), (22_050, 8), (96_000, 32)] {
            let (dbfs, hz) = play_a_second(stereo_tone(rate, bits));
            assert!((hz.unwrap() - 440.0).abs() < 1.0, "{rate} Hz, {bits} bit: {hz:?}");
            // Half scale on one of two channels: -3 - 6 - 6 dB.
            assert!((dbfs + 15.05).abs() < 0.3, "{rate} Hz, {bits} bit: {dbfs}");
        }
    }

    #[test]
    fn what_is_recorded_can_be_played() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heard.wav");
        let mut recorder = WavRecorder::create(&path).unwrap();
        let mut tone = super::super::tone::Tone::new(440.0);
        for _ in 0..120 {
            let mut block = [0.0; BLOCK];
            tone.fill(&mut block);
            recorder.write(&block).unwrap();
        }
        drop(recorder);
        let (dbfs, hz) = play_a_second(std::fs::read(&path).unwrap());
        assert!((hz.unwrap() - 440.0).abs() < 1.0);
        assert!((dbfs + 15.05).abs() < 0.1);
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        std::fs::write(&text, "not a sound").unwrap();
        let error = open(&text).unwrap_err().to_string();
        assert!(error.contains("notes.txt") && error.ends_with('.'), "{error}");
        assert!(open(folder.path()).is_err());
        assert!(open(&folder.path().join("absent.wav")).is_err());
        assert!(WavRecorder::create(&folder.path().join("no/such/folder.wav")).is_err());
    }

    #[test]
    fn no_cut_and_no_flipped_bit_makes_the_reader_panic() {
        let whole = stereo_tone(8_000, 16);
        for length in 0..200 {
            fuzz_wav(&whole[..length]);
        }
        for bit in 0..46 * 8 {
            let mut broken = whole[..2000].to_vec();
            broken[bit / 8] ^= 1 << (bit % 8);
            fuzz_wav(&broken);
        }
    }
}
