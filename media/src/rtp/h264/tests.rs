use super::*;
use crate::frame::Layer;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::time::Instant;

fn frame(nals: &[Vec<u8>]) -> EncodedFrame {
    let data: Vec<u8> = nals.iter().flat_map(|nal| [&START_CODE[..], nal].concat()).collect();
    EncodedFrame {
        layer: Layer(0),
        temporal_id: 0,
        key: nals.iter().any(|nal| nal[0] & TYPE_MASK == IDR),
        discardable: false,
        captured_at: Instant::now(),
        width: 640,
        height: 360,
        data: data.into(),
    }
}

fn nal(kind: u8, len: usize) -> Vec<u8> {
    // No zeroes, so that no start code arises within.
    let mut nal: Vec<u8> = (0..len).map(|index| (index % 251) as u8 + 1).collect();
    nal[0] = 0x60 | kind;
    nal
}

fn depacketize(packets: &[MediaPacket]) -> Result<AccessUnit, DepacketizeError> {
    let mut depacketizer = Depacketizer::default();
    for packet in packets {
        depacketizer.push(&packet.payload)?;
    }
    depacketizer.finish()
}

fn error_of(payloads: &[&[u8]]) -> DepacketizeError {
    let packets: Vec<_> = payloads
        .iter()
        .map(|payload| MediaPacket { payload: Bytes::copy_from_slice(payload), marker: false })
        .collect();
    depacketize(&packets).unwrap_err()
}

#[test]
fn a_key_frame_becomes_one_packet_of_parameter_sets_and_fragments() {
    let frame = frame(&[nal(SPS, 20), nal(PPS, 5), nal(IDR, 5000)]);
    let packetized = packetize(&frame, 7, MAX_PAYLOAD);
    assert_eq!(packetized.packets.len(), 6);
    assert_eq!(packetized.packets[0].payload[0] & TYPE_MASK, STAP_A);
    assert!(packetized.packets[1..].iter().all(|packet| packet.payload[0] & TYPE_MASK == FU_A));
    assert!(packetized.packets.iter().all(|packet| packet.payload.len() <= MAX_PAYLOAD));
    let markers: Vec<bool> = packetized.packets.iter().map(|packet| packet.marker).collect();
    assert_eq!(markers, [false, false, false, false, false, true]);
    let info = PayloadInfo::of(&packetized.packets[0].payload);
    assert!(info.starts_picture && info.starts_with_sps && !info.idr);
    assert!(PayloadInfo::of(&packetized.packets[3].payload).idr);
    let unit = depacketize(&packetized.packets).unwrap();
    assert_eq!((unit.data, unit.key), (frame.data, true));
}

#[test]
fn a_small_picture_is_a_slice_of_the_encoders_buffer() {
    let frame = frame(&[nal(SLICE, 900)]);
    let packetized = packetize(&frame, 0, MAX_PAYLOAD);
    assert_eq!(packetized.packets.len(), 1);
    assert!(frame.data.as_ptr_range().contains(&packetized.packets[0].payload.as_ptr()));
    assert_eq!(packetized.bytes, 900);
}

#[test]
fn short_start_codes_padding_and_delimiters_are_left_out() {
    let bytes =
        [&[0, 0, 1, ACCESS_UNIT_DELIMITER, 0xf0, 0, 0, 0, 0, 1, 0x61, 9, 9, 0, 0][..], &[0, 0, 1, 0x41, 8]].concat();
    let mut frame = frame(&[nal(SLICE, 1)]);
    frame.data = bytes.into();
    let packets = packetize(&frame, 0, MAX_PAYLOAD).packets;
    let payloads: Vec<&[u8]> = packets.iter().map(|packet| &packet.payload[..]).collect();
    assert_eq!(payloads, [&[0x61, 9, 9][..], &[0x41, 8]]);
}

#[test]
fn a_malformed_aggregate_is_an_error() {
    assert_eq!(error_of(&[&[STAP_A]]), DepacketizeError::Truncated);
    assert_eq!(error_of(&[&[STAP_A, 0]]), DepacketizeError::Truncated);
    assert_eq!(error_of(&[&[STAP_A, 0, 5, 1, 2]]), DepacketizeError::Truncated);
    assert_eq!(error_of(&[&[STAP_A, 0, 0]]), DepacketizeError::Truncated);
    assert_eq!(error_of(&[&[STAP_A, 0, 1, 0x67, 0]]), DepacketizeError::Truncated);
    assert_eq!(error_of(&[&[STAP_A, 0xff, 0xff]]), DepacketizeError::Truncated);
    assert_eq!(error_of(&[&[STAP_A, 0, 1, STAP_A]]), DepacketizeError::UnexpectedType(STAP_A));
}

#[test]
fn fragments_without_beginning_or_end_are_errors() {
    let start = [0x7c, FU_START | IDR, 1];
    let middle = [0x7c, IDR, 2];
    let end = [0x7c, FU_END | IDR, 3];
    assert_eq!(error_of(&[&middle, &end]), DepacketizeError::FragmentWithoutStart);
    assert_eq!(error_of(&[&start, &middle]), DepacketizeError::FragmentWithoutEnd);
    assert_eq!(error_of(&[&start, &start, &end]), DepacketizeError::FragmentWithoutEnd);
    assert_eq!(error_of(&[&start, &[0x61, 1], &end]), DepacketizeError::FragmentWithoutEnd);
    assert_eq!(error_of(&[&start, &[0x7c, FU_END | SLICE, 1]]), DepacketizeError::FragmentWithoutEnd);
    assert_eq!(error_of(&[&[0x7c]]), DepacketizeError::Truncated);
    assert_eq!(error_of(&[&[0x7c, FU_START | FU_A, 1]]), DepacketizeError::UnexpectedType(FU_A));
}

#[test]
fn types_of_other_packetization_modes_are_errors() {
    for kind in [0, 25, 26, 27, 29, 30, 31] {
        assert_eq!(error_of(&[&[kind, 1, 2, 3, 4]]), DepacketizeError::UnexpectedType(kind));
    }
    assert_eq!(error_of(&[&[], &[]]), DepacketizeError::Empty);
}

#[test]
fn the_first_slice_of_a_picture_is_recognised() {
    assert!(PayloadInfo::of(&[0x61, 0x9a]).starts_picture);
    assert!(!PayloadInfo::of(&[0x61, 0x2a]).starts_picture);
    assert!(PayloadInfo::of(&[0x7c, FU_START | IDR, 0x88]).starts_picture);
    assert!(!PayloadInfo::of(&[0x7c, IDR, 0x88]).starts_picture);
}

/// A runner whose cases are the same in each run.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn what_is_packetized_comes_back_as_it_was() {
    let kind = prop::sample::select(vec![SLICE, IDR, 6, SPS, PPS]);
    let nals = prop::collection::vec((kind, 1..4000_usize), 1..8);
    runner(200)
        .run(&(nals, 3..1500_usize), |(nals, max_payload)| {
            let frame = frame(&nals.iter().map(|(kind, len)| nal(*kind, *len)).collect::<Vec<_>>());
            let packets = packetize(&frame, 0, max_payload).packets;
            prop_assert!(packets.iter().all(|packet| packet.payload.len() <= max_payload));
            prop_assert_eq!(packets.iter().filter(|packet| packet.marker).count(), 1);
            let unit = depacketize(&packets).unwrap();
            prop_assert_eq!(unit.data, frame.data);
            prop_assert_eq!(unit.key, frame.key);
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_bytes_make_the_depacketizer_panic() {
    runner(2_000)
        .run(&prop::collection::vec(any::<u8>(), 0..300), |bytes| {
            crate::fuzz::fuzz_depacketize(&bytes);
            Ok(())
        })
        .unwrap();
}
