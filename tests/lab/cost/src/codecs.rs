//! The codecs alone: the same pictures and sound, the same settings, called on one thread and each call timed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cpu_time::ThreadTime;
use openh264::OpenH264API;
use openh264::decoder::Decoder;
use openh264::encoder::{
    BitRate, Encoder, EncoderConfig, FrameRate, IntraFramePeriod, Level, Profile, QpRange, RateControlMode, UsageType,
    VuiConfig,
};
use openh264::formats::YUVSlices;
use openh264_sys2::{ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, SEncParamExt};
use opus::{Application, Bitrate, Channels};

use crate::call::Called;
use parlor_lab_cost::clip::{Clip, HEIGHT, WIDTH};

/// Until the rate is held.
const WARM_UP: usize = 90;
/// Pictures that are timed.
const FRAMES: usize = 150;
/// 30 a second.
const FRAME_INTERVAL: Duration = Duration::from_nanos(33_333_333);
/// As `media` has them.
const QP: (u8, u8) = (12, 51);
/// As `media` has it.
const SOUND_SAMPLES: usize = 960;
/// As `media` has it.
const SOUND_BITRATE_BPS: i32 = 32_000;
/// As `media` has it.
const SOUND_COMPLEXITY: i32 = 9;
/// The largest packet that is asked for.
const SOUND_BYTES_MAX: usize = 1_275;

/// How the calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As in a call: at each picture's time, after what else the processor did meanwhile.
    OfACall,
    /// At once, with everything still in the processor's caches.
    AtOnce,
}

/// Processor time of one call of each codec.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CodecCost {
    pub(crate) encode_frame: Duration,
    pub(crate) decode_frame: Duration,
    pub(crate) encode_sound: Duration,
    pub(crate) decode_sound: Duration,
}

impl CodecCost {
    /// What the codecs of a call cost, had they been called alone.
    pub(crate) fn of(&self, called: &Called) -> Duration {
        let times = |one: Duration, count: u64| Duration::from_secs_f64(one.as_secs_f64() * count as f64);
        times(self.encode_frame, called.frames_encoded)
            + times(self.decode_frame, called.frames_decoded)
            + times(self.encode_sound, called.sounds_encoded)
            + times(self.decode_sound, called.sounds_decoded)
    }
}

/// Times them at the rate that the call had.
pub(crate) fn cost(clip: &Clip, bitrate_bps: u32, pace: Pace) -> anyhow::Result<CodecCost> {
    let mut codecs = Codecs::new(bitrate_bps)?;
    codecs.encode_picture(clip, 0)?;
    use_two_temporal_layers(&mut codecs.encoder)?;
    codecs.encoder.force_intra_frame();
    for number in 0..WARM_UP {
        codecs.step(clip, number)?;
    }
    (codecs.spent, codecs.pictures) = (CodecCost::default(), 0);
    let mut due = Instant::now();
    for number in WARM_UP..WARM_UP + FRAMES {
        if pace == Pace::OfACall {
            due += FRAME_INTERVAL;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        codecs.step(clip, number)?;
    }
    if (codecs.pictures as usize) < FRAMES / 2 {
        bail!("the encoder left out more than it encoded");
    }
    let CodecCost { encode_frame, decode_frame, encode_sound, decode_sound } = codecs.spent;
    Ok(CodecCost {
        encode_frame: encode_frame / codecs.pictures,
        decode_frame: decode_frame / codecs.pictures,
        encode_sound: encode_sound / FRAMES as u32,
        decode_sound: decode_sound / FRAMES as u32,
    })
}

/// One of each, as `media` sets them up.
struct Codecs {
    encoder: Encoder,
    decoder: Decoder,
    sound_encoder: opus::Encoder,
    sound_decoder: opus::Decoder,
    /// Of all calls so far.
    spent: CodecCost,
    /// Encoded, not left out by the rate control.
    pictures: u32,
}

impl Codecs {
    fn new(bitrate_bps: u32) -> anyhow::Result<Self> {
        let settings = EncoderConfig::new()
            .bitrate(BitRate::from_bps(bitrate_bps))
            .max_frame_rate(FrameRate::from_hz(30.0))
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Bitrate)
            .profile(Profile::Baseline)
            .level(Level::Level_3_1)
            .num_threads(1)
            .skip_frames(true)
            .qp(QpRange::new(QP.0, QP.1))
            .scene_change_detect(false)
            .intra_frame_period(IntraFramePeriod::auto())
            .vui(VuiConfig::bt601());
        let mut sound_encoder = opus::Encoder::new(48_000, Channels::Mono, Application::Voip)?;
        sound_encoder.set_bitrate(Bitrate::Bits(SOUND_BITRATE_BPS))?;
        sound_encoder.set_complexity(SOUND_COMPLEXITY)?;
        sound_encoder.set_inband_fec(true)?;
        Ok(Self {
            encoder: Encoder::with_api_config(OpenH264API::from_source(), settings)?,
            decoder: Decoder::new()?,
            sound_encoder,
            sound_decoder: opus::Decoder::new(48_000, Channels::Mono)?,
            spent: CodecCost::default(),
            pictures: 0,
        })
    }

    /// A picture and a sound, there and back.
    fn step(&mut self, clip: &Clip, number: usize) -> anyhow::Result<()> {
        let begin = ThreadTime::now();
        let picture = self.encode_picture(clip, number)?;
        if !picture.is_empty() {
            self.spent.encode_frame += begin.elapsed();
            self.pictures += 1;
            let begin = ThreadTime::now();
            self.decoder.decode(&picture)?.context("a picture is not shown")?;
            self.spent.decode_frame += begin.elapsed();
        }
        self.sound(number)
    }

    fn encode_picture(&mut self, clip: &Clip, number: usize) -> anyhow::Result<Vec<u8>> {
        let planes = clip.frame(number);
        let source = YUVSlices::new(
            (&planes.y, &planes.u, &planes.v),
            (WIDTH as usize, HEIGHT as usize),
            (planes.y_stride, planes.uv_stride, planes.uv_stride),
        );
        let timestamp = openh264::Timestamp::from_millis(number as u64 * 1_000 / 30);
        Ok(self.encoder.encode_at(&source, timestamp)?.to_vec())
    }

    fn sound(&mut self, number: usize) -> anyhow::Result<()> {
        let first = number * SOUND_SAMPLES;
        let tone: Vec<f32> = (first..first + SOUND_SAMPLES)
            .map(|sample| (sample as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin() * 0.25)
            .collect();
        let begin = ThreadTime::now();
        let sound = self.sound_encoder.encode_vec_float(&tone, SOUND_BYTES_MAX)?;
        self.spent.encode_sound += begin.elapsed();
        let mut samples = [0.0; SOUND_SAMPLES];
        let begin = ThreadTime::now();
        let decoded = self.sound_decoder.decode_float(&sound, &mut samples, false)?;
        self.spent.decode_sound += begin.elapsed();
        if decoded == SOUND_SAMPLES { Ok(()) } else { bail!("a sound is not as long as it was") }
    }
}

/// As a call's encoder has it.
#[allow(unsafe_code)]
fn use_two_temporal_layers(encoder: &mut Encoder) -> anyhow::Result<()> {
    let mut parameters = SEncParamExt::default();
    let option = ENCODER_OPTION_SVC_ENCODE_PARAM_EXT;
    // SAFETY: the encoder has encoded a picture, so it is initialised; for this option it writes one `SEncParamExt` through
    // the pointer before the call returns.
    let read = unsafe { encoder.raw_api().get_option(option, (&raw mut parameters).cast()) };
    parameters.iTemporalLayerNum = 2;
    // SAFETY: as above; it reads one `SEncParamExt` and keeps no pointer.
    let written = unsafe { encoder.raw_api().set_option(option, (&raw mut parameters).cast()) };
    if (read, written) == (0, 0) { Ok(()) } else { bail!("the encoder refuses temporal layers") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_costs_its_codecs_as_often_as_they_were_called() {
        let ms = Duration::from_millis;
        let cost = CodecCost { encode_frame: ms(4), decode_frame: ms(2), encode_sound: ms(1), decode_sound: ms(3) };
        let called =
            Called { frames_encoded: 10, frames_decoded: 5, sounds_encoded: 7, sounds_decoded: 1, ..Called::default() };
        assert_eq!(cost.of(&called), ms(40 + 10 + 7 + 3));
        assert_eq!(cost.of(&Called::default()), Duration::ZERO);
    }
}
