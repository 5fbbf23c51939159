mod hard_film;

use std::time::Duration;

use super::*;
use crate::rtp::h264::nal_units;
use crate::video::small::{self, Smaller};
use crate::video::test_pattern::TestPattern;

use hard_film::HardFilm;

fn encoder(bitrate_bps: u32) -> VideoEncoder {
    VideoEncoder::new(VideoEncoderConfig { codec: VideoCodec::H264, bitrate_bps, frame_rate_hz: 30.0 }).unwrap()
}

/// A camera that takes 30 pictures per second on a made-up clock.
struct Camera {
    pattern: TestPattern,
    now: Instant,
    noisy: bool,
    noise: u32,
}

impl Camera {
    fn new(noisy: bool) -> Self {
        Self { pattern: TestPattern::new(640, 360, "Ada"), now: Instant::now(), noisy, noise: 1 }
    }

    fn take(&mut self) -> VideoFrame {
        self.now += Duration::from_micros(33_333);
        let mut picture = self.pattern.paint(0);
        if self.noisy {
            for luma in &mut picture.y {
                self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *luma = luma.wrapping_add((self.noise >> 27) as u8);
            }
        }
        VideoFrame { width: 640, height: 360, planes: picture.into(), captured_at: self.now }
    }
}

#[test]
fn a_key_frame_has_parameter_sets_of_constrained_baseline_level_3_1_in_front() {
    let encoded = encoder(600_000).encode(&Camera::new(false).take(), false).unwrap().unwrap();
    assert!(encoded.key);
    let nals: Vec<_> = nal_units(&encoded.data).collect();
    let kinds: Vec<u8> = nals.iter().map(|nal| nal[0] & 0x1f).collect();
    assert_eq!(kinds, [7, 8, 5]);
    let [profile, constraints, level] = [nals[0][1], nals[0][2], nals[0][3]];
    assert_eq!((profile, level), (66, 31));
    assert_eq!(constraints & 0x40, 0x40, "constraint_set1_flag: constrained");
}

#[test]
fn key_frames_come_when_asked_for_and_not_by_themselves() {
    let (mut encoder, mut camera) = (encoder(2_000_000), Camera::new(false));
    let mut keys = Vec::new();
    for index in 0..200 {
        let mut frame = camera.take();
        if index == 100 {
            // A new scene.
            frame.planes = std::sync::Arc::new(crate::frame::I420::black(640, 360));
        }
        let key = index == 50 || index == 51;
        if encoder.encode(&frame, key).unwrap().is_some_and(|encoded| encoded.key) {
            keys.push(index);
        }
    }
    assert_eq!(keys, [0, 50, 51]);
}

/// Bits per second over `pictures`, and how many of them were left out.
fn measure(encoder: &mut VideoEncoder, camera: &mut Camera, pictures: usize) -> (f64, usize) {
    let (mut bytes, mut skipped) = (0, 0);
    for _ in 0..pictures {
        match encoder.encode(&camera.take(), false).unwrap() {
            Some(encoded) => bytes += encoded.data.len(),
            None => skipped += 1,
        }
    }
    (bytes as f64 * 8.0 * 30.0 / pictures as f64, skipped)
}

#[test]
fn the_rate_is_held_and_follows_its_target_both_ways() {
    let (mut encoder, mut camera) = (encoder(600_000), Camera::new(true));
    for target in [600_000, 1_500_000, 250_000, 150_000, 800_000] {
        encoder.set_bitrate_bps(target);
        // It takes a second to settle.
        measure(&mut encoder, &mut camera, 30);
        let (rate, skipped) = measure(&mut encoder, &mut camera, 90);
        let ratio = rate / f64::from(target);
        assert!((0.5..=1.2).contains(&ratio), "{rate:.0} bps for {target}, {skipped} of 90 left out");
    }
}

/// One picture of it, at 30 a second.
fn picture_of(film: &HardFilm, begin: Instant, number: u32) -> VideoFrame {
    let (width, height) = (HardFilm::WIDTH as u32, HardFilm::HEIGHT as u32);
    let mut planes = crate::frame::I420::black(width, height);
    planes.y = film.luma(number as usize);
    VideoFrame { width, height, planes: planes.into(), captured_at: begin + Duration::from_micros(33_333) * number }
}

/// What comes of so many seconds of a film that cannot be compressed away: bytes of each picture, 0 where it was left out.
fn sizes_of_a_hard_film(bitrate_bps: u32, seconds: u32) -> Vec<usize> {
    let (mut encoder, film, begin) = (encoder(bitrate_bps), HardFilm::new(), Instant::now());
    let encoded = (0..30 * seconds).map(|number| encoder.encode(&picture_of(&film, begin, number), false).unwrap());
    encoded.map(|encoded| encoded.map_or(0, |encoded| encoded.data.len())).collect()
}

#[test]
fn a_film_too_hard_for_its_rate_is_coarse_rather_than_standing_still() {
    for bitrate_bps in [150_000, 250_000, 300_000] {
        let sizes = sizes_of_a_hard_film(bitrate_bps, 6);
        let rate = sizes.iter().sum::<usize>() as f64 * 8.0 / 6.0;
        assert!(rate <= 1.1 * f64::from(bitrate_bps), "{rate:.0} bps for {bitrate_bps}");
        let settled = &sizes[30..];
        let left_out = settled.iter().filter(|size| **size == 0).count();
        assert!(left_out <= 40, "{left_out} of 150 left out at {bitrate_bps} bps");
        let longest = settled.split(|size| *size > 0).map(<[usize]>::len).max().unwrap_or_default();
        assert!(longest <= 4, "{longest} in a row left out at {bitrate_bps} bps");
    }
}

#[test]
fn a_small_picture_of_a_hard_film_moves_at_40_kilobits_a_second() {
    let (mut encoder, film, mut smaller, begin) =
        (encoder(40_000), HardFilm::new(), Smaller::default(), Instant::now());
    encoder.set_frame_rate_hz(small::FRAME_RATE_HZ);
    let taken = (0..240).filter_map(|number| smaller.take(&picture_of(&film, begin, number)));
    let encoded = taken.map(|picture| encoder.encode(&picture, false).unwrap());
    let sizes: Vec<usize> = encoded.map(|encoded| encoded.map_or(0, |encoded| encoded.data.len())).collect();
    let rate = sizes.iter().sum::<usize>() as f64 * 8.0 / 8.0;
    assert!(sizes.len() == 80 && rate <= 44_000.0, "{rate:.0} bps");
    let left_out = sizes[20..].iter().filter(|size| **size == 0).count();
    assert!(left_out <= 3, "{left_out} of 60 left out");
}

#[test]
fn the_first_picture_of_a_hard_film_does_not_fill_the_link() {
    let sizes = sizes_of_a_hard_film(1_000_000, 2);
    let sum = |pictures: &[usize]| pictures.iter().sum::<usize>() * 8;
    assert!(sum(&sizes[..1]) < 150_000, "{} bits", sum(&sizes[..1]));
    assert!(sum(&sizes[..15]) < 500_000, "{} bits in half a second", sum(&sizes[..15]));
    assert!(sum(&sizes[30..]) > 800_000, "the rate is used then: {} bits", sum(&sizes[30..]));
}

#[test]
fn a_new_size_begins_with_a_key_frame_and_keeps_the_rate() {
    let (mut encoder, mut camera) = (encoder(1_000_000), Camera::new(true));
    encoder.set_bitrate_bps(300_000);
    measure(&mut encoder, &mut camera, 10);
    let mut small = TestPattern::new(320, 180, "Ada");
    let planes = small.paint(0).into();
    let frame = VideoFrame { width: 320, height: 180, planes, captured_at: camera.take().captured_at };
    let encoded = encoder.encode(&frame, false).unwrap().unwrap();
    assert!(encoded.key && (encoded.width, encoded.height) == (320, 180));
    measure(&mut encoder, &mut camera, 30);
    let (rate, _) = measure(&mut encoder, &mut camera, 90);
    assert!(rate < 360_000.0, "{rate:.0} bps");
}

/// One layer for each picture; `None` where one was left out.
fn layers(encoder: &mut VideoEncoder, camera: &mut Camera, pictures: usize) -> Vec<Option<u8>> {
    (0..pictures)
        .map(|_| {
            let encoded = encoder.encode(&camera.take(), false).unwrap()?;
            assert_eq!(encoded.discardable, encoded.temporal_id > 0);
            Some(encoded.temporal_id)
        })
        .collect()
}

#[test]
fn every_second_picture_is_one_that_no_other_refers_to() {
    let (mut encoder, mut camera) = (encoder(600_000), Camera::new(false));
    assert_eq!(layers(&mut encoder, &mut camera, 8), [0, 1, 0, 1, 0, 1, 0, 1].map(Some));
    assert!(encoder.encode(&camera.take(), true).unwrap().unwrap().key);
    assert_eq!(layers(&mut encoder, &mut camera, 4), [1, 0, 1, 0].map(Some));
    encoder.set_bitrate_bps(200_000);
    let after = layers(&mut encoder, &mut camera, 60);
    let discardable = after.iter().filter(|layer| **layer == Some(1)).count();
    assert!(discardable >= 20, "{after:?}");
}

#[test]
fn what_remains_without_the_discardable_pictures_can_be_decoded() {
    let (mut encoder, mut camera) = (encoder(300_000), Camera::new(false));
    let mut decoder = crate::video::decoder::VideoDecoder::new(VideoCodec::H264).unwrap();
    let (mut kept, mut bytes, mut all_bytes) = (0, 0, 0);
    for _ in 0..90 {
        let Some(encoded) = encoder.encode(&camera.take(), false).unwrap() else { continue };
        all_bytes += encoded.data.len();
        if encoded.discardable {
            continue;
        }
        kept += 1;
        bytes += encoded.data.len();
        assert!(decoder.decode(&encoded.data, Instant::now()).unwrap().is_some());
    }
    let share = bytes as f64 / all_bytes as f64;
    println!("{kept} of 90 kept, {share:.2} of the bytes");
    assert_eq!(kept, 45);
    assert!(share < 0.8, "{share}");
}

#[test]
fn unsuitable_pictures_are_refused() {
    let mut encoder = encoder(600_000);
    for (width, height) in [(0, 0), (641, 360), (640, 361), (8, 8), (100_000, 100)] {
        let planes = std::sync::Arc::new(crate::frame::I420::black(64, 64));
        let frame = VideoFrame { width, height, planes, captured_at: Instant::now() };
        assert_eq!(encoder.encode(&frame, false).unwrap_err(), EncodeError::UnsuitableFrame { width, height });
    }
}
