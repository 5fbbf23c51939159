//! Reads YUV4MPEG2 (Y4M): a line of parameters, then for each picture a line and its planes, uncompressed.
//!
//! A file is an outsider's: sizes are bounded before anything is allocated, and nothing panics.

use std::io::{BufRead, ErrorKind, Read};

use thiserror::Error;

use crate::frame::I420;

/// The widest and highest picture that is read: 4K, with room for odd shapes.
pub const MAX_SIDE: u32 = 4096;

/// A header or frame line longer than this is none.
const MAX_LINE: u64 = 1024;

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub enum Y4mError {
    /// It begins with something else.
    #[error("it is no Y4M file; make one with “ffmpeg -i VIDEO -pix_fmt yuv420p FILE.y4m”")]
    NotY4m,
    /// A parameter is missing or makes no sense.
    #[error("its {0} makes no sense")]
    BadParameter(&'static str),
    /// Larger than [`MAX_SIDE`].
    #[error("its pictures of {width}x{height} are too large")]
    TooLarge {
        /// Their width in pixels.
        width: u32,
        /// Their height in pixels.
        height: u32,
    },
    /// Not 4:2:0 with 8 bits.
    #[error("its colour format “{0}” is not supported; make it with “ffmpeg -i VIDEO -pix_fmt yuv420p FILE.y4m”")]
    UnsupportedColour(String),
    /// A line does not begin with `FRAME`.
    #[error("it is damaged: a picture does not begin where it should")]
    BadFrame,
    /// It ends before its first picture.
    #[error("there is no picture in it")]
    NoPictures,
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Y4mError {
    /// What is wrong, as the end of a sentence.
    pub fn in_words(&self) -> String {
        let Self::Io(error) = self else { return self.to_string() };
        match error.kind() {
            ErrorKind::NotFound => "there is no such file".to_owned(),
            ErrorKind::PermissionDenied => "it may not be read".to_owned(),
            ErrorKind::IsADirectory => "it is a folder".to_owned(),
            _ => error.to_string(),
        }
    }
}

/// The first line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, at least 16.
    pub width: u32,
    /// Height in pixels, at least 16.
    pub height: u32,
    /// Pictures per second, as a fraction between 1 and 120.
    pub rate: (u32, u32),
}

/// Reads the first line.
///
/// # Errors
///
/// When it is no Y4M file, or one of a kind that cannot be played.
pub fn read_header(reader: &mut impl BufRead) -> Result<Header, Y4mError> {
    let line = read_line(reader)?.ok_or(Y4mError::NotY4m)?;
    let mut parameters = line.split(|byte| *byte == b' ');
    if parameters.next() != Some(b"YUV4MPEG2") {
        return Err(Y4mError::NotY4m);
    }
    let (mut width, mut height, mut rate) = (None, None, (30, 1));
    for parameter in parameters {
        let Some((tag, value)) = parameter.split_first() else { continue };
        let value = str::from_utf8(value).unwrap_or_default();
        match tag {
            b'W' => width = value.parse::<u32>().ok(),
            b'H' => height = value.parse::<u32>().ok(),
            b'F' => rate = frame_rate(value).ok_or(Y4mError::BadParameter("frame rate"))?,
            b'C' => check_colour(value)?,
            // Interlacing, aspect ratio and comments change nothing here.
            _ => {}
        }
    }
    let width = width.filter(|width| *width >= 16).ok_or(Y4mError::BadParameter("width"))?;
    let height = height.filter(|height| *height >= 16).ok_or(Y4mError::BadParameter("height"))?;
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(Y4mError::TooLarge { width, height });
    }
    Ok(Header { width, height, rate })
}

/// Reads the next picture, an odd row or column of its size left out; `None` at the end, or when the last picture is
/// cut off.
///
/// # Errors
///
/// When something else is where a picture should begin.
pub fn read_frame(reader: &mut impl BufRead, header: &Header) -> Result<Option<I420>, Y4mError> {
    let Some(line) = read_line(reader)? else { return Ok(None) };
    if line != b"FRAME" && !line.starts_with(b"FRAME ") {
        return Err(Y4mError::BadFrame);
    }
    let (width, height) = (header.width as usize, header.height as usize);
    let (uv_width, uv_height) = (width.div_ceil(2), height.div_ceil(2));
    let Some(y) = read_plane(reader, width * height)? else { return Ok(None) };
    let Some(u) = read_plane(reader, uv_width * uv_height)? else { return Ok(None) };
    let Some(v) = read_plane(reader, uv_width * uv_height)? else { return Ok(None) };
    Ok(Some(I420 { y, u, v, y_stride: width, uv_stride: uv_width }))
}

/// A line without its end; `None` at the end of the file.
fn read_line(reader: &mut impl BufRead) -> Result<Option<Vec<u8>>, Y4mError> {
    let mut line = Vec::new();
    reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok((line.pop() == Some(b'\n')).then_some(line))
}

/// A whole plane, or `None` when the file ends within it. Memory grows with what is there, not with what is promised.
fn read_plane(reader: &mut impl BufRead, len: usize) -> Result<Option<Vec<u8>>, Y4mError> {
    let mut plane = Vec::new();
    reader.by_ref().take(len as u64).read_to_end(&mut plane)?;
    Ok((plane.len() == len).then_some(plane))
}

fn frame_rate(value: &str) -> Option<(u32, u32)> {
    let (numerator, denominator) = value.split_once(':')?;
    let (numerator, denominator) = (numerator.parse::<u32>().ok()?, denominator.parse::<u32>().ok()?);
    // 0:0 is how the format says that it does not know.
    if (numerator, denominator) == (0, 0) {
        return Some((30, 1));
    }
    let plausible = denominator > 0 && numerator >= denominator && numerator.div_ceil(denominator) <= 120;
    plausible.then_some((numerator, denominator))
}

/// The 8 bit variants of 4:2:0 differ in where chroma is sampled, by less than a pixel.
fn check_colour(value: &str) -> Result<(), Y4mError> {
    match value {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(()),
        other => Err(Y4mError::UnsupportedColour(other.chars().take(20).collect())),
    }
}
