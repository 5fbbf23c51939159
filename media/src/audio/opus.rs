//! The Opus codec (RFC 6716), 48 kHz mono, as a call uses it.

use std::time::Duration;

use ::opus::{Application, Bitrate, Channels};

use super::SAMPLE_RATE;
use super::opus_packet::MAX_SAMPLES;

/// The largest packet asked of the encoder: at the highest bitrate offered, 60 ms are below this.
const MAX_PACKET: usize = 1275;

/// A packet this small says "nothing new": discontinuous transmission leaves it out (RFC 6716 §2.1.9).
const DTX_BYTES: usize = 2;

/// Search effort, 0 to 10. Measured: 20 ms of speech take 0.5 ms on a busy machine, whether it is 5 or 9.
const COMPLEXITY: i32 = 9;

/// Something that libopus refused.
#[derive(Debug, thiserror::Error)]
#[error("Opus: {0}")]
pub(crate) struct OpusError(#[from] ::opus::Error);

/// Encodes frames of one length.
pub(crate) struct Encoder {
    inner: ::opus::Encoder,
    frame_samples: usize,
    bitrate_bps: u32,
    loss_percent: i32,
}

fn set_bitrate(inner: &mut ::opus::Encoder, bitrate_bps: u32) -> Result<(), OpusError> {
    let bits = i32::try_from(bitrate_bps).unwrap_or(i32::MAX).clamp(6_000, 128_000);
    Ok(inner.set_bitrate(Bitrate::Bits(bits))?)
}

impl Encoder {
    /// An encoder for speech, with in-band FEC ready for when loss is reported.
    pub(crate) fn new(frame: Duration, bitrate_bps: u32) -> Result<Self, OpusError> {
        let mut inner = ::opus::Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip)?;
        set_bitrate(&mut inner, bitrate_bps)?;
        inner.set_complexity(COMPLEXITY)?;
        inner.set_inband_fec(true)?;
        Ok(Self { inner, frame_samples: frame_samples(frame), bitrate_bps, loss_percent: 0 })
    }

    /// How many samples a call of [`Encoder::encode`] takes.
    pub(crate) fn frame_samples(&self) -> usize {
        self.frame_samples
    }

    /// Discontinuous transmission: silence and steady noise are described now and then, not sent.
    pub(crate) fn set_dtx(&mut self, on: bool) -> Result<(), OpusError> {
        Ok(self.inner.set_dtx(on)?)
    }

    /// The rate from the next frame on.
    pub(crate) fn set_bitrate_bps(&mut self, bitrate_bps: u32) -> Result<(), OpusError> {
        if bitrate_bps != self.bitrate_bps {
            set_bitrate(&mut self.inner, bitrate_bps)?;
            self.bitrate_bps = bitrate_bps;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::super::level::dbfs;
    use super::super::{opus_packet, speech};
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    #[test]
    fn packets_are_as_long_as_they_say_for_every_frame_duration() {
        for (asked_ms, samples) in [(1, 480), (10, 480), (20, 960), (40, 1920), (60, 2880), (1000, 2880)] {
            let mut encoder = Encoder::new(Duration::from_millis(asked_ms), 32_000).unwrap();
            assert_eq!(encoder.frame_samples(), samples);
            let packet = encoder.encode(&speech::near_end()[9600..9600 + samples]).unwrap().unwrap();
            assert_eq!(opus_packet::samples(&packet), Some(samples as u32));
            let mut out = [0.0; MAX_SAMPLES as usize];
            assert_eq!(Decoder::new().unwrap().decode(&packet, &mut out).unwrap(), samples);
        }
    }

    #[test]
    fn speech_comes_through_at_its_loudness_within_the_bitrate() {
        let speech = speech::near_end();
        let packets = encode(&speech, 0.0, false);
        let bytes: usize = packets.iter().flatten().map(Vec::len).sum();
        let bps = bytes as f64 * 8.0 / (packets.len() as f64 * 0.02);
        assert!((15_000.0..36_000.0).contains(&bps), "{bps} bps");
        let heard = decode(&packets, |_| false);
        assert!((dbfs(&heard) - dbfs(&speech)).abs() < 1.0);
    }

    #[test]
    fn with_loss_reported_most_packets_carry_a_copy_of_the_one_before() {
        let speech = speech::near_end();
        let with_copy = |loss| {
            let packets = encode(&speech, loss, false);
            packets.iter().flatten().filter(|packet| opus_packet::has_fec(packet)).count() as f32 / packets.len() as f32
        };
        let (without, with) = (with_copy(0.0), with_copy(0.1));
        println!("packets with a copy: {without} without loss, {with} at 10 %");
        assert!(without < 0.05, "{without}");
        assert!(with > 0.4, "{with}");
    }

    #[test]
    fn most_of_what_is_lost_of_speech_is_recovered_from_the_next_packet() {
        use crate::rtp::jitter_buffer::{JitterBuffer, JitterBufferConfig, Next};
        use crate::rtp::packet::RtpPacket;
        use std::time::Instant;

        let packets = encode(&speech::near_end(), 0.1, false);
        let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
        let mut decoder = Decoder::new().unwrap();
        let mut now = Instant::now();
        // How many samples are played already of what the buffer gave last.
        let mut ahead = 0;
        for (n, payload) in packets.iter().enumerate() {
            let payload = payload.clone().unwrap();
            if n % 10 != 7 {
                let (sequence_number, timestamp) = (n as u16, n as u32 * 960);
                let (payload_type, ssrc, marker) = (111, 7, false);
                let payload = payload.into();
                buffer.insert(&RtpPacket { sequence_number, timestamp, marker, payload_type, ssrc, payload }, now);
            }
            now += FRAME;
            while ahead < 960 {
                let mut out = [0.0; MAX_SAMPLES as usize];
                ahead += match buffer.next(now + FRAME * ahead / 960) {
                    Next::Play { payload, samples, .. } => {
                        assert_eq!(decoder.decode(&payload, &mut out).unwrap(), samples as usize);
                        samples
                    }
                    Next::Recover { following, samples, .. } => {
                        decoder.recover(&following, &mut out[..samples as usize]).unwrap();
                        samples
                    }
                    Next::Conceal { samples } | Next::Pause { samples } => samples,
                };
            }
            ahead -= 960;
        }
        let stats = buffer.stats();
        println!("{} lost, {} recovered, {} samples made up", stats.lost, stats.fec_recovered, stats.concealed_samples);
        assert!(stats.lost >= 20, "{stats:?}");
        assert!(stats.fec_recovered * 10 >= stats.lost * 6, "{stats:?}");
    }

    #[test]
    fn the_copy_is_nearer_to_what_was_said_than_what_is_made_up() {
        let speech = speech::near_end();
        let packets = encode(&speech, 0.2, false);
        let whole = decode(&packets, |_| false);
        let lost = |n: usize| {
            n % 5 == 2
                && packets.get(n + 1).is_some_and(|next| next.as_ref().is_some_and(|next| opus_packet::has_fec(next)))
        };
        let error = |heard: &[f32]| dbfs(&heard.iter().zip(&whole).map(|(a, b)| a - b).collect::<Vec<_>>());
        let made_up = error(&decode(&packets, lost));
        let recovered = error(&decode_with_fec(&packets, lost));
        println!("error made up {made_up:.1} dBFS, recovered {recovered:.1} dBFS");
        assert!(recovered < made_up - 1.0, "{recovered} against {made_up}");
    }

    #[test]
    fn silence_costs_hardly_a_packet() {
        let mut silence = speech::near_end();
        silence.truncate(48_000);
        silence.extend(vec![0.0; 96_000]);
        let packets = encode(&silence, 0.0, true);
        let sent = packets[60..].iter().flatten().count();
        assert!(sent < 25, "{sent} packets in two seconds of silence");
        let always = encode(&silence, 0.0, false);
        assert_eq!(always.iter().flatten().count(), 150);
    }

    #[test]
    fn what_is_made_up_fades_away() {
        let packets = encode(&speech::near_end(), 0.0, false);
        let mut decoder = Decoder::new().unwrap();
        let mut out = [0.0; MAX_SAMPLES as usize];
        for packet in packets[..60].iter().flatten() {
            decoder.decode(packet, &mut out).unwrap();
        }
        let mut made_up = [0.0; 960];
        for _ in 0..20 {
            decoder.conceal(&mut made_up).unwrap();
        }
        assert!(dbfs(&made_up) < -50.0, "{}", dbfs(&made_up));
    }

    #[test]
    fn noise_instead_of_a_packet_is_refused_or_decoded_but_no_harm() {
        let mut decoder = Decoder::new().unwrap();
        let mut out = [0.0; MAX_SAMPLES as usize];
        let mut state = 1_u32;
        for length in 0..300 {
            let packet: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let _ = decoder.decode(&packet, &mut out);
            let _ = decoder.recover(&packet, &mut out[..960]);
        }
    }

    fn encode(sound: &[f32], loss: f32, dtx: bool) -> Vec<Option<Vec<u8>>> {
        let mut encoder = Encoder::new(FRAME, 32_000).unwrap();
        encoder.set_packet_loss(loss).unwrap();
        encoder.set_dtx(dtx).unwrap();
        sound.chunks_exact(960).map(|frame| encoder.encode(frame).unwrap()).collect()
    }

    fn decode(packets: &[Option<Vec<u8>>], lost: impl Fn(usize) -> bool) -> Vec<f32> {
        play(packets, lost, false)
    }

    fn decode_with_fec(packets: &[Option<Vec<u8>>], lost: impl Fn(usize) -> bool) -> Vec<f32> {
        play(packets, lost, true)
    }

    fn play(packets: &[Option<Vec<u8>>], lost: impl Fn(usize) -> bool, fec: bool) -> Vec<f32> {
        let mut decoder = Decoder::new().unwrap();
        let mut heard = Vec::new();
        for (n, packet) in packets.iter().enumerate() {
            let mut out = [0.0; MAX_SAMPLES as usize];
            let following = packets.get(n + 1).and_then(Option::as_ref).filter(|_| fec);
            match (packet, lost(n), following) {
                (Some(packet), false, _) => {
                    decoder.decode(packet, &mut out).unwrap();
                }
                (_, _, Some(following)) => {
                    decoder.recover(following, &mut out[..960]).unwrap();
                }
                (_, _, None) => {
                    decoder.conceal(&mut out[..960]).unwrap();
                }
            }
            heard.extend_from_slice(&out[..960]);
        }
        heard
    }
}
