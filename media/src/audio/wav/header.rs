//! The header of a WAV file: RIFF chunks up to the samples. Pure but for the reader; every byte is distrusted.

use std::io::{Read, Seek, SeekFrom};

/// Chunks before the samples, at most: real files have a handful.
const MAX_CHUNKS: usize = 64;
/// Channels, at most: more are an array of microphones, not a voice.
const MAX_CHANNELS: u16 = 32;
/// The sampling rates that are taken.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// `WAVE_FORMAT_PCM`, `_IEEE_FLOAT` and `_EXTENSIBLE` of the format chunk.
const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_EXTENSIBLE: u16 = 0xfffe;

/// Why a file is not one that can be played.
#[derive(Debug, thiserror::Error)]
pub enum WavProblem {
    /// It cannot be read to the end.
    #[error("it cannot be read: {0}.")]
    Io(#[from] std::io::Error),
    /// It is something else.
    #[error("it is not a WAV file.")]
    NotWav,
    /// It holds no sound.
    #[error("there is no sound in it.")]
    Empty,
    /// It is a WAV file of a kind that is not understood.
    #[error("{0}")]
    Refused(String),
}

/// How the samples are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    U8,
    I16,
    I24,
    I32,
    F32,
}

/// What the header says, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WavFormat {
    /// Samples a second and channel, within 4 and 384 kHz.
    pub sample_rate: u32,
    /// Channels, at least one.
    pub channels: u16,
    /// Where the samples begin, in bytes from the start of the file.
    pub data_start: u64,
    /// How many bytes of samples there are, at least one frame.
    pub data_bytes: u64,
    encoding: Encoding,
}

impl WavFormat {
    /// Bytes of one sample of every channel.
    pub fn frame_bytes(&self) -> usize {
        self.encoding.bytes() * usize::from(self.channels)
    }

    /// The mean of the channels of one frame, -1 to 1.
    pub(super) fn mono(&self, frame: &[u8]) -> f32 {
        let sum: f32 = frame.chunks_exact(self.encoding.bytes()).map(|sample| self.encoding.decode(sample)).sum();
        sum / f32::from(self.channels)
    }
}

impl Encoding {
    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
        }
    }

    fn decode(self, sample: &[u8]) -> f32 {
        match (self, sample) {
            (Self::U8, &[a]) => (f32::from(a) - 128.0) / 128.0,
            (Self::I16, &[a, b]) => f32::from(i16::from_le_bytes([a, b])) / 32_768.0,
            // In the upper bytes, so that the sign comes along.
            (Self::I24, &[a, b, c]) => i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0,
            (Self::I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]) as f32 / 2_147_483_648.0,
            (Self::F32, &[a, b, c, d]) => {
                let value = f32::from_le_bytes([a, b, c, d]);
                // Not a number, or absurdly loud: a broken file must not hurt ears.
                if value.is_finite() { value.clamp(-1.0, 1.0) } else { 0.0 }
            }
            (Self::U8 | Self::I16 | Self::I24 | Self::I32 | Self::F32, _) => 0.0,
        }
    }
}

/// Reads the header and leaves the reader somewhere behind it.
///
/// # Errors
///
/// Where it is not a WAV file, holds nothing, or is of a kind that is not understood.
pub fn read_header(reader: &mut (impl Read + Seek)) -> Result<WavFormat, WavProblem> {
    let length = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(0))?;
    let riff: [u8; 12] = read_array(reader)?;
    if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return Err(WavProblem::NotWav);
    }
    let mut format = None;
    for _ in 0..MAX_CHUNKS {
        let head: [u8; 8] = read_array(reader)?;
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let start = reader.stream_position()?;
        match &head[..4] {
            b"fmt " => format = Some(read_format(reader, size)?),
            b"data" => {
                let (sample_rate, channels, encoding) = format.ok_or(WavProblem::NotWav)?;
                // Programs that stream leave the size at 0 or at its largest: what there is counts.
                let there = length.saturating_sub(start);
                let data_bytes = if size == 0 { there } else { size.min(there) };
                let format = WavFormat { sample_rate, channels, data_start: start, data_bytes, encoding };
                return if data_bytes < format.frame_bytes() as u64 { Err(WavProblem::Empty) } else { Ok(format) };
            }
            _ => {}
        }
        // Chunks are padded to an even size.
        reader.seek(SeekFrom::Start(start + size + size % 2))?;
    }
    Err(WavProblem::NotWav)
}

fn read_format(reader: &mut impl Read, size: u64) -> Result<(u32, u16, Encoding), WavProblem> {
    if size < 16 {
        return Err(WavProblem::NotWav);
    }
    let fields: [u8; 16] = read_array(reader)?;
    let short = |at: usize| u16::from_le_bytes([fields[at], fields[at + 1]]);
    let (mut tag, channels, bits) = (short(0), short(2), short(14));
    let sample_rate = u32::from_le_bytes([fields[4], fields[5], fields[6], fields[7]]);
    if tag == TAG_EXTENSIBLE && size >= 26 {
        // The real tag is the first field of the sub-format, after size, valid bits and channel mask.
        let extension: [u8; 10] = read_array(reader)?;
        tag = u16::from_le_bytes([extension[8], extension[9]]);
    }
    let encoding = match (tag, bits) {
        (TAG_PCM, 8) => Encoding::U8,
        (TAG_PCM, 16) => Encoding::I16,
        (TAG_PCM, 24) => Encoding::I24,
        (TAG_PCM, 32) => Encoding::I32,
        (TAG_FLOAT, 32) => Encoding::F32,
        _ => return Err(WavProblem::Refused("it is compressed or stored in an unusual way.".to_owned())),
    };
    if !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(WavProblem::Refused(format!("it has {channels} channels.")));
    }
    if !RATES.contains(&sample_rate) {
        return Err(WavProblem::Refused(format!("it has {sample_rate} samples a second.")));
    }
    Ok((sample_rate, channels, encoding))
}

fn read_array<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], WavProblem> {
    let mut bytes = [0; N];
    match reader.read_exact(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(WavProblem::NotWav),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn file(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVEjunk\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        bytes.extend(tag.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn unknown_chunks_are_skipped() {
        let format = read_header(&mut Cursor::new(file(TAG_PCM, 2, 44_100, 16, &[0; 8]))).unwrap();
        assert_eq!((format.sample_rate, format.channels, format.data_bytes), (44_100, 2, 8));
        assert_eq!(format.frame_bytes(), 4);
    }

    #[test]
    fn a_length_beyond_the_file_counts_only_what_is_there() {
        let mut bytes = file(TAG_PCM, 1, 48_000, 16, &[0; 100]);
        let at = bytes.len() - 104;
        for size in [0, u32::MAX] {
            bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
            assert_eq!(read_header(&mut Cursor::new(&bytes)).unwrap().data_bytes, 100);
        }
    }

    #[test]
    fn impossible_headers_are_refused() {
        for bytes in [
            file(TAG_PCM, 0, 48_000, 16, &[0; 8]),
            file(TAG_PCM, 2, 0, 16, &[0; 8]),
            file(TAG_PCM, 2, 48_000, 17, &[0; 8]),
            file(85, 2, 48_000, 16, &[0; 8]),
            file(TAG_PCM, 2, 48_000, 16, &[0; 3]),
            b"RIFF\0\0\0\0WAVEdata\x08\0\0\0abcdefgh".to_vec(),
            b"RIFX".to_vec(),
            Vec::new(),
        ] {
            assert!(read_header(&mut Cursor::new(bytes)).is_err());
        }
    }

    #[test]
    fn loud_nonsense_in_floating_point_is_silenced() {
        assert_eq!(Encoding::F32.decode(&f32::NAN.to_le_bytes()), 0.0);
        assert_eq!(Encoding::F32.decode(&1e30_f32.to_le_bytes()), 1.0);
        assert_eq!(Encoding::I24.decode(&[0, 0, 0x80]), -1.0);
    }
}
