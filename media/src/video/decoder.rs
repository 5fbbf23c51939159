//! Decoders: a bit stream in, raw pictures out. What comes in is a stranger's and is not trusted.

use std::time::Instant;

use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use thiserror::Error;

use super::codec::VideoCodec;
use crate::frame::{I420, VideoFrame};

/// The widest and highest picture that is shown; more is an attack on memory, not a call.
pub const MAX_SIDE: usize = 4096;

/// Why a picture could not be decoded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The bit stream is broken or refers to something that did not come.
    #[error("the H.264 decoder failed: {0}")]
    Codec(String),
    /// Larger than [`MAX_SIDE`].
    #[error("a picture of {width}x{height} is too large")]
    TooLarge {
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
    },
}

/// A decoder for one stream.
pub struct VideoDecoder {
    codec: Codec,
}

enum Codec {
    H264(Box<Decoder>),
}

impl VideoDecoder {
    /// Sets a decoder up.
    ///
    /// # Errors
    ///
    /// When the library refuses.
    pub fn new(codec: VideoCodec) -> Result<Self, DecodeError> {
        let codec = match codec {
            VideoCodec::H264 => Codec::H264(Box::new(Decoder::new().map_err(codec_error)?)),
        };
        Ok(Self { codec })
    }

    /// Decodes one whole picture; `None` when it holds nothing to be shown.
    ///
    /// # Errors
    ///
    /// When the bit stream is broken; go on with a key frame then.
    pub fn decode(&mut self, data: &[u8], captured_at: Instant) -> Result<Option<VideoFrame>, DecodeError> {
        match &mut self.codec {
            Codec::H264(decoder) => decode_h264(decoder, data, captured_at),
        }
    }
}

fn decode_h264(decoder: &mut Decoder, data: &[u8], captured_at: Instant) -> Result<Option<VideoFrame>, DecodeError> {
    let Some(picture) = decoder.decode(data).map_err(codec_error)? else { return Ok(None) };
    let (width, height) = picture.dimensions();
    if width == 0 || height == 0 {
        return Ok(None);
    }
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(DecodeError::TooLarge { width, height });
    }
    let (y_stride, uv_stride, _) = picture.strides();
    let (uv_width, uv_height) = (width.div_ceil(2), height.div_ceil(2));
    let planes = I420 {
        y: pack(picture.y(), y_stride, width, height),
        u: pack(picture.u(), uv_stride, uv_width, uv_height),
        v: pack(picture.v(), uv_stride, uv_width, uv_height),
        y_stride: width,
        uv_stride: uv_width,
    };
    if !planes.holds(width as u32, height as u32) {
        return Err(DecodeError::Codec("planes shorter than the picture".to_owned()));
    }
    Ok(Some(VideoFrame { width: width as u32, height: height as u32, planes: planes.into(), captured_at }))
}

/// The rows without what lies between them; the decoder keeps its own planes for reference.
fn pack(plane: &[u8], stride: usize, width: usize, height: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity(width * height);
    for row in plane.chunks(stride.max(1)).take(height) {
        packed.extend_from_slice(&row[..width.min(row.len())]);
    }
    packed
}

fn codec_error(error: openh264::Error) -> DecodeError {
    DecodeError::Codec(error.to_string())
}

#[cfg(test)]
mod tests;
