//! What flows through the pipelines: raw pictures, encoded pictures, encoded sound.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// One picture in I420 (BT.601, limited range); cloning shares the planes.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// The three planes.
    pub planes: Arc<I420>,
    /// When the camera took it; for a picture that came from a peer, when it was to be shown.
    pub captured_at: Instant,
}

/// The planes of a picture: full size luma, and chroma of half the width and height, rounded up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct I420 {
    /// Luma, `y_stride` bytes a row.
    pub y: Vec<u8>,
    /// Blue difference, `uv_stride` bytes a row.
    pub u: Vec<u8>,
    /// Red difference, `uv_stride` bytes a row.
    pub v: Vec<u8>,
    /// Bytes from one row of luma to the next.
    pub y_stride: usize,
    /// Bytes from one row of chroma to the next.
    pub uv_stride: usize,
}

impl I420 {
    /// A black picture of this size, its rows packed.
    pub fn black(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        let (uv_width, uv_height) = (width.div_ceil(2), height.div_ceil(2));
        Self {
            y: vec![16; width * height],
            u: vec![128; uv_width * uv_height],
            v: vec![128; uv_width * uv_height],
            y_stride: width,
            uv_stride: uv_width,
        }
    }

    /// Whether the planes hold a picture of this size, so that rows may be sliced out of them.
    pub fn holds(&self, width: u32, height: u32) -> bool {
        let (width, height) = (width as usize, height as usize);
        let (uv_width, uv_height) = (width.div_ceil(2), height.div_ceil(2));
        let long_enough = |plane: &[u8], stride: usize, width: usize, height: usize| {
            stride >= width && (height == 0 || plane.len() >= stride * (height - 1) + width)
        };
        long_enough(&self.y, self.y_stride, width, height)
            && long_enough(&self.u, self.uv_stride, uv_width, uv_height)
            && long_enough(&self.v, self.uv_stride, uv_width, uv_height)
    }
}

/// One of the sizes in which a picture is sent at the same time; there is only layer 0 so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer(pub u8);

/// One encoded picture.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    /// Which of the sizes sent at the same time.
    pub layer: Layer,
    /// Temporal layer, 0 for those on which others rest.
    pub temporal_id: u8,
    /// Whether decoding may start here.
    pub key: bool,
    /// Whether no other picture refers to this one.
    pub discardable: bool,
    /// When the camera took it.
    pub captured_at: Instant,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The bit stream; for H.264 in the byte stream format (H.264 Annex B).
    pub data: Bytes,
}

/// One encoded piece of sound.
#[derive(Clone, Debug)]
pub struct EncodedAudio {
    /// The Opus packet.
    pub payload: Bytes,
    /// When its first sample was taken.
    pub captured_at: Instant,
    /// `captured_at` in RTP time at 48 kHz.
    pub rtp_timestamp: u32,
    /// How much sound it holds.
    pub duration: Duration,
    /// Level in -dBov, 0 is as loud as can be, 127 silence (RFC 6464 §3).
    pub level_dbov: u8,
    /// Whether somebody speaks.
    pub voice: bool,
}
