//! Encoders: raw pictures in, a bit stream out.

use std::time::Instant;

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Level, Profile, QpRange, RateControlMode,
    UsageType, VuiConfig,
};
use openh264::formats::YUVSource;
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_MAX_BITRATE, ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, LAYER_NUM,
    SBitrateInfo, SEncParamExt, SPATIAL_LAYER_0, SPATIAL_LAYER_ALL,
};
use thiserror::Error;

use super::codec::VideoCodec;
use crate::frame::{EncodedFrame, Layer, VideoFrame};
use crate::rtp::h264::is_discardable;

/// What level 3.1 allows (H.264 table A-1); the encoder would raise the level for more.
const MAX_BITRATE_BPS: u32 = 14_000_000;

/// Every second picture is one that no other refers to: a connection that carries too little goes without those.
const TEMPORAL_LAYERS: i32 = 2;

/// The rate control makes nothing of less.
const MIN_BITRATE_BPS: u32 = 10_000;

/// The coarsest step there is may be used: left to itself (with a least step of 0, which it takes for unset) the library stops at 42, and
/// leaves out four of five pictures of a film that is too hard for its rate. Measured: at 250 kbit/s 7 a second, with this 25.
/// The finest is its own choice.
const QP_MIN: u8 = 12;
/// See [`QP_MIN`].
const QP_MAX: u8 = 51;

/// The very first picture is made for no more than this, since nobody knows yet how hard the film is. The library guesses by the
/// rate alone; measured at 1 Mbit/s with a hard film: 57 kB, nearly half a second of it, for 14 kB so. The next ones are finer.
const FIRST_BITRATE_BPS: u32 = 190_000;

/// What an encoder is made for.
#[derive(Clone, Debug)]
pub struct VideoEncoderConfig {
    /// The codec.
    pub codec: VideoCodec,
    /// The rate at the start, in bits per second.
    pub bitrate_bps: u32,
    /// Pictures per second, on which the rate control reckons.
    pub frame_rate_hz: f32,
}

/// Why a picture could not be encoded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    /// The planes are shorter than the size says, or the size is odd or none.
    #[error("a picture of {width}x{height} cannot be encoded")]
    UnsuitableFrame {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// The library refused.
    #[error("the H.264 encoder failed: {0}")]
    Codec(String),
}

/// An encoder for one layer.
pub struct VideoEncoder {
    codec: Codec,
    bitrate_bps: u32,
    /// Where the encoder's milliseconds begin.
    epoch: Option<Instant>,
}

enum Codec {
    H264(H264Encoder),
}

struct H264Encoder {
    encoder: Encoder,
    /// The size it is set up for; a new size takes back the rate that was set since the start.
    size: Option<(u32, u32)>,
    applied_bps: Option<u32>,
    maximum_raised: bool,
    config: VideoEncoderConfig,
}

impl VideoEncoder {
    /// Sets an encoder up.
    ///
    /// # Errors
    ///
    /// When the library refuses.
    pub fn new(config: VideoEncoderConfig) -> Result<Self, EncodeError> {
        let bitrate_bps = config.bitrate_bps.clamp(MIN_BITRATE_BPS, MAX_BITRATE_BPS);
        let codec = match config.codec {
            VideoCodec::H264 => Codec::H264(H264Encoder::new(config)?),
        };
        Ok(Self { codec, bitrate_bps, epoch: None })
    }

    /// The rate from the next picture on, in bits per second.
    pub fn set_bitrate_bps(&mut self, bitrate_bps: u32) {
        self.bitrate_bps = bitrate_bps.clamp(MIN_BITRATE_BPS, MAX_BITRATE_BPS);
    }

    /// How many pictures a second the rate control reckons with, from the next new size on.
    pub fn set_frame_rate_hz(&mut self, frame_rate_hz: f32) {
        match &mut self.codec {
            Codec::H264(encoder) => encoder.config.frame_rate_hz = frame_rate_hz,
        }
    }

    /// Encodes one picture; `None` when the rate control leaves it out. A key frame is never left out.
    ///
    /// # Errors
    ///
    /// When the picture is unsuitable or the library fails.
    pub fn encode(&mut self, frame: &VideoFrame, key: bool) -> Result<Option<EncodedFrame>, EncodeError> {
        let epoch = *self.epoch.get_or_insert(frame.captured_at);
        let at_ms = frame.captured_at.saturating_duration_since(epoch).as_millis() as u64;
        match &mut self.codec {
            Codec::H264(encoder) => encoder.encode(frame, key, at_ms, self.bitrate_bps),
        }
    }
}

impl H264Encoder {
    fn new(config: VideoEncoderConfig) -> Result<Self, EncodeError> {
        let encoder = Self::open(&config, config.bitrate_bps, Level::Level_3_1)?;
        Ok(Self { encoder, size: None, applied_bps: None, maximum_raised: false, config })
    }

    fn open(config: &VideoEncoderConfig, bitrate_bps: u32, level: Level) -> Result<Encoder, EncodeError> {
        let settings = EncoderConfig::new()
            .bitrate(BitRate::from_bps(bitrate_bps))
            .max_frame_rate(FrameRate::from_hz(config.frame_rate_hz))
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Bitrate)
            // OpenH264's baseline is the constrained one.
            .profile(Profile::Baseline)
            .level(level)
            // One encoder per peer's camera, on its own thread: more threads only add latency.
            .num_threads(1)
            // Without it the rate is not held: measured, twice the target on a busy picture.
            .skip_frames(true)
            .qp(QpRange::new(QP_MIN, QP_MAX))
            // Key frames come on demand only; each costs the bandwidth of about ten others.
            .scene_change_detect(false)
            .intra_frame_period(IntraFramePeriod::auto())
            .vui(VuiConfig::bt601());
        Encoder::with_api_config(OpenH264API::from_source(), settings).map_err(codec_error)
    }

    fn encode(
        &mut self,
        frame: &VideoFrame,
        key: bool,
        at_ms: u64,
        bitrate_bps: u32,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        let source = Source::new(frame)?;
        let size = (frame.width, frame.height);
        if self.size != Some(size) {
            // A new encoder rather than a resized one: resizing takes back what was set through raw options.
            let first_bps = bitrate_bps.min(FIRST_BITRATE_BPS);
            self.encoder = Self::open(&self.config, first_bps, level_for(size, self.config.frame_rate_hz))?;
            self.size = Some(size);
            self.applied_bps = Some(first_bps);
            self.maximum_raised = false;
            self.set_temporal_layers(&source, at_ms)?;
        } else {
            self.apply_bitrate(bitrate_bps);
        }
        if key {
            self.encoder.force_intra_frame();
        }
        let timestamp = openh264::Timestamp::from_millis(at_ms);
        let stream = self.encoder.encode_at(&source, timestamp).map_err(codec_error)?;
        let is_key = match stream.frame_type() {
            FrameType::IDR => true,
            FrameType::I | FrameType::P | FrameType::IPMixed => false,
            FrameType::Skip | FrameType::Invalid => return Ok(None),
        };
        let data = Bytes::from(stream.to_vec());
        if data.is_empty() {
            return Ok(None);
        }
        // The bit stream itself says it, so this cannot disagree with what a receiver sees.
        let discardable = !is_key && is_discardable(&data);
        Ok(Some(EncodedFrame {
            layer: Layer(0),
            temporal_id: u8::from(discardable),
            key: is_key,
            discardable,
            captured_at: frame.captured_at,
            width: frame.width,
            height: frame.height,
            data,
        }))
    }

    /// Makes a new encoder use two temporal layers; the picture that follows is a key frame.
    ///
    /// The library sets up one layer with the first picture, and only then takes other parameters: that picture is
    /// encoded in vain. A library that refuses goes on with one layer, and nothing is discardable.
    #[allow(unsafe_code)]
    fn set_temporal_layers(&mut self, source: &Source<'_>, at_ms: u64) -> Result<(), EncodeError> {
        let timestamp = openh264::Timestamp::from_millis(at_ms);
        self.encoder.encode_at(source, timestamp).map_err(codec_error)?;
        let mut parameters = SEncParamExt::default();
        let option = ENCODER_OPTION_SVC_ENCODE_PARAM_EXT;
        // SAFETY: the encoder is initialised, since it has encoded a picture; for this option it writes one
        // `SEncParamExt` through the pointer before the call returns.
        let read = unsafe { self.encoder.raw_api().get_option(option, (&raw mut parameters).cast()) };
        parameters.iTemporalLayerNum = TEMPORAL_LAYERS;
        // SAFETY: as above; it reads one `SEncParamExt`, its own but for the layers, and keeps no pointer. The wrapper
        // relies on the size and the format of pictures only, which stay.
        let written = match read {
            0 => unsafe { self.encoder.raw_api().set_option(option, (&raw mut parameters).cast()) },
            refused => refused,
        };
        if written != 0 {
            tracing::warn!(result = written, "the encoder refused temporal layers");
        }
        self.encoder.force_intra_frame();
        Ok(())
    }

    /// Lets the encoder run at another rate; it must have encoded a picture, which is when it is initialised.
    fn apply_bitrate(&mut self, bitrate_bps: u32) {
        if !self.maximum_raised {
            // It was set up with its first rate as the maximum, and would never exceed that.
            self.set_bitrate_option(ENCODER_OPTION_MAX_BITRATE, SPATIAL_LAYER_0, MAX_BITRATE_BPS);
            self.maximum_raised = true;
        }
        if self.applied_bps != Some(bitrate_bps) {
            self.set_bitrate_option(ENCODER_OPTION_BITRATE, SPATIAL_LAYER_ALL, bitrate_bps);
            self.applied_bps = Some(bitrate_bps);
        }
    }

    #[allow(unsafe_code)]
    fn set_bitrate_option(&mut self, option: ENCODER_OPTION, layer: LAYER_NUM, bitrate_bps: u32) {
        let mut info = SBitrateInfo { iLayer: layer, iBitrate: bitrate_bps.min(MAX_BITRATE_BPS) as i32 };
        // SAFETY: for both bitrate options the encoder reads one `SBitrateInfo` through the pointer before the call
        // returns, and keeps nothing; it is initialised, since it has encoded a picture.
        let result = unsafe { self.encoder.raw_api().set_option(option, (&raw mut info).cast()) };
        if result != 0 {
            tracing::warn!(bitrate_bps, option, result, "the encoder refused a bitrate");
        }
    }
}

/// The lowest level that carries this size and rate, but at least 3.1, which is what the SDP promises to send
/// (H.264 table A-1).
fn level_for((width, height): (u32, u32), frame_rate_hz: f32) -> Level {
    let macroblocks = width.div_ceil(16) * height.div_ceil(16);
    let per_second = f64::from(macroblocks) * f64::from(frame_rate_hz);
    match macroblocks {
        0..=3_600 if per_second <= 108_000.0 => Level::Level_3_1,
        0..=5_120 if per_second <= 216_000.0 => Level::Level_3_2,
        0..=8_192 if per_second <= 245_760.0 => Level::Level_4_0,
        0..=8_704 if per_second <= 522_240.0 => Level::Level_4_2,
        _ => Level::Level_5_2,
    }
}

fn codec_error(error: openh264::Error) -> EncodeError {
    EncodeError::Codec(error.to_string())
}

/// The planes of a picture, checked, as the library wants them.
struct Source<'a>(&'a VideoFrame);

impl<'a> Source<'a> {
    fn new(frame: &'a VideoFrame) -> Result<Self, EncodeError> {
        let VideoFrame { width, height, ref planes, .. } = *frame;
        let even = width % 2 == 0 && height % 2 == 0;
        let sane = (16..=3840).contains(&width) && (16..=2160).contains(&height);
        if even && sane && planes.holds(width, height) && planes.y_stride <= 1 << 16 && planes.uv_stride <= 1 << 16 {
            Ok(Self(frame))
        } else {
            Err(EncodeError::UnsuitableFrame { width, height })
        }
    }
}

impl YUVSource for Source<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.width as usize, self.0.height as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let planes = &self.0.planes;
        (planes.y_stride, planes.uv_stride, planes.uv_stride)
    }

    fn y(&self) -> &[u8] {
        &self.0.planes.y
    }

    fn u(&self) -> &[u8] {
        &self.0.planes.u
    }

    fn v(&self) -> &[u8] {
        &self.0.planes.v
    }
}

#[cfg(test)]
mod tests;
