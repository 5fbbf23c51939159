use super::*;
use crate::video::encoder::{VideoEncoder, VideoEncoderConfig};
use crate::video::test_pattern::TestPattern;
use bytes::Bytes;

fn decoder() -> VideoDecoder {
    VideoDecoder::new(VideoCodec::H264).unwrap()
}

/// Encoded pictures of this size, the first one a key frame.
fn encoded(width: u32, height: u32, count: usize) -> Vec<Bytes> {
    let config = VideoEncoderConfig { codec: VideoCodec::H264, bitrate_bps: 2_000_000, frame_rate_hz: 30.0 };
    let mut encoder = VideoEncoder::new(config).unwrap();
    let mut pattern = TestPattern::new(width, height, "Ada");
    let begin = Instant::now();
    let frames = (0..count).filter_map(|index| {
        let captured_at = begin + std::time::Duration::from_millis(33 * index as u64);
        let planes = pattern.paint(index as u64).into();
        encoder.encode(&VideoFrame { width, height, planes, captured_at }, false).unwrap()
    });
    frames.map(|frame| frame.data).collect()
}

#[test]
fn a_picture_comes_back_at_its_size_even_one_that_is_no_multiple_of_16() {
    for (width, height) in [(640, 360), (176, 144), (322, 182)] {
        let mut decoder = decoder();
        for data in encoded(width, height, 3) {
            let picture = decoder.decode(&data, Instant::now()).unwrap().unwrap();
            assert_eq!((picture.width, picture.height), (width, height));
            assert!(picture.planes.holds(width, height));
        }
    }
}

#[test]
fn the_size_may_change_with_a_key_frame() {
    let mut decoder = decoder();
    for (width, height) in [(640, 360), (320, 180), (1280, 720)] {
        for data in encoded(width, height, 2) {
            let picture = decoder.decode(&data, Instant::now()).unwrap().unwrap();
            assert_eq!(picture.width, width);
        }
    }
}

#[test]
fn a_picture_without_its_reference_is_an_error_or_nothing() {
    let frames = encoded(640, 360, 3);
    assert!(!matches!(decoder().decode(&frames[1], Instant::now()), Ok(Some(_))));
    let mut decoder = decoder();
    assert!(decoder.decode(&frames[0], Instant::now()).unwrap().is_some());
}

#[test]
fn damaged_bit_streams_never_panic() {
    let frames = encoded(320, 180, 6);
    let mut state = 1_u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for _ in 0..150 {
        let mut decoder = decoder();
        for data in &frames {
            let mut damaged = data.to_vec();
            for _ in 0..random() % 12 {
                let at = random() % damaged.len();
                damaged[at] = random() as u8;
            }
            damaged.truncate(random() % damaged.len() + 1);
            if let Ok(Some(picture)) = decoder.decode(&damaged, Instant::now()) {
                assert!(picture.planes.holds(picture.width, picture.height));
                assert!(picture.width as usize <= MAX_SIDE && picture.height as usize <= MAX_SIDE);
            }
        }
    }
}
