//! The Opus codec (RFC 6716), 48 kHz mono, as a call uses it.

use std::time::Duration;

use ::opus::{Application, Bitrate, Channels};

use super::SAMPLE_RATE;
use super::opus_packet::MAX_SAMPLES;

/// The largest packet asked of the encoder: at the highest bitrate offered, 60 ms are below this.
const MAX_PACKET: usize = 1275;

/// A packet this small says "nothing new": discontinuous transmission leaves it out (RFC 6716 §2.1.9).
const DTX_BYTES: usize = 2;

/// Search effort, 0 to 10. Measured in release: 20 ms of speech take 0.13 ms at 9 and 0.09 ms at 5.
const COMPLEXITY: i32 = 9;

/// Something that libopus refused.
#[derive(Debug, thiserror::Error)]
#[error("Opus: {0}")]
pub(crate) struct OpusError(#[from] ::opus::Error);

/// Encodes frames of one length.
pub(crate) struct Encoder {
    inner: ::opus::Encoder,
    frame_samples: usize,
    loss_percent: i32,
}

impl Encoder {
    /// An encoder for speech, with in-band FEC ready for when loss is reported.
    pub(crate) fn new(frame: Duration, bitrate_bps: u32) -> Result<Self, OpusError> {
        let mut inner = ::opus::Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip)?;
        inner.set_bitrate(Bitrate::Bits(i32::try_from(bitrate_bps).unwrap_or(i32::MAX).clamp(6_000, 128_000)))?;
        inner.set_complexity(COMPLEXITY)?;
        inner.set_inband_fec(true)?;
        Ok(Self { inner, frame_samples: frame_samples(frame), loss_percent: 0 })
    }

    /// How many samples a call of [`Encoder::encode`] takes.
    pub(crate) fn frame_samples(&self) -> usize {
        self.frame_samples
    }

    /// Discontinuous transmission: silence and steady noise are described now and then, not sent.
    pub(crate) fn set_dtx(&mut self, on: bool) -> Result<(), OpusError> {
        Ok(self.inner.set_dtx(on)?)
    }

    /// How much of what is sent gets lost, 0 to 1: the more, the more goes into FEC.
    pub(crate) fn set_packet_loss(&mut self, loss: f32) -> Result<(), OpusError> {
        // Beyond 30 % the copy costs more than it mends.
        let percent = (loss * 100.0).ceil().clamp(0.0, 30.0) as i32;
        if percent != self.loss_percent {
            self.inner.set_packet_loss_perc(percent)?;
            self.loss_percent = percent;
        }
        Ok(())
    }

    /// Encodes one frame; `None` where there is nothing worth sending (DTX).
    pub(crate) fn encode(&mut self, frame: &[f32]) -> Result<Option<Vec<u8>>, OpusError> {
        let packet = self.inner.encode_vec_float(frame, MAX_PACKET)?;
        Ok(Some(packet).filter(|packet| packet.len() > DTX_BYTES))
    }
}

/// The samples of the Opus frame duration nearest to the one asked for: 10, 20, 40 or 60 ms.
fn frame_samples(duration: Duration) -> usize {
    match duration.as_millis() {
        0..15 => 480,
        15..30 => 960,
        30..50 => 1920,
        _ => 2880,
    }
}

/// Decodes packets, and makes up for those that are missing.
pub(crate) struct Decoder {
    inner: ::opus::Decoder,
}

impl Decoder {
    pub(crate) fn new() -> Result<Self, OpusError> {
        Ok(Self { inner: ::opus::Decoder::new(SAMPLE_RATE, Channels::Mono)? })
    }

    /// Decodes a packet into the beginning of `out`; gives how much of it.
    pub(crate) fn decode(&mut self, packet: &[u8], out: &mut [f32; MAX_SAMPLES as usize]) -> Result<usize, OpusError> {
        if packet.is_empty() {
            // libopus would take it for a lost packet.
            return Ok(0);
        }
        Ok(self.inner.decode_float(packet, out, false)?)
    }

    /// Decodes what `following` says of the frame before it.
    pub(crate) fn recover(&mut self, following: &[u8], out: &mut [f32]) -> Result<usize, OpusError> {
        Ok(self.inner.decode_float(following, out, true)?)
    }

    /// Makes up `out`, a multiple of 2.5 ms, from what came before.
    pub(crate) fn conceal(&mut self, out: &mut [f32]) -> Result<usize, OpusError> {
        Ok(self.inner.decode_float(&[], out, false)?)
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("frame_samples", &self.frame_samples).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}
