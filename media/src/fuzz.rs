//! Entry points for fuzzing: each takes any bytes and must neither panic nor break what it asserts.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::camera::file::y4m;
use crate::rtp::frame_buffer::{FrameBuffer, FrameBufferConfig};
use crate::rtp::h264::{Depacketizer, MAX_ACCESS_UNIT, PayloadInfo, nal_units};
use crate::rtp::packet::RtpPacket;
use crate::rtp::red;

/// The bytes are payloads, each with its length in one byte before it.
pub fn fuzz_depacketize(mut data: &[u8]) {
    let mut depacketizer = Depacketizer::default();
    let mut usable = true;
    while let Some((&length, rest)) = data.split_first() {
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        data = rest;
        let info = PayloadInfo::of(payload);
        assert!(!info.starts_with_sps || info.starts_picture);
        usable &= depacketizer.push(payload).is_ok();
    }
    if !usable {
        return;
    }
    if let Ok(unit) = depacketizer.finish() {
        assert!(!unit.data.is_empty() && unit.data.len() <= MAX_ACCESS_UNIT);
        assert!(unit.data.starts_with(&[0, 0, 0, 1]));
        assert!(nal_units(&unit.data).all(|nal| !nal.is_empty()));
    }
}

/// The bytes are packets of eight bytes of header (what to do, sequence number, time, length) and their payload.
pub fn fuzz_frame_buffer(mut data: &[u8]) {
    let config = FrameBufferConfig { max_packets: 64, max_bytes: 4096, ..FrameBufferConfig::default() };
    let (max_packets, max_bytes) = (config.max_packets, config.max_bytes);
    let mut buffer = FrameBuffer::new(config);
    let mut now = Instant::now();
    let mut chain_intact = false;
    let mut frames = 0;
    while let Some((header, rest)) = data.split_first_chunk::<8>() {
        let [flags, high, low, time, kind, wait, length, ssrc] = *header;
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        data = rest;
        now += Duration::from_millis(u64::from(wait));
        let packet = RtpPacket {
            sequence_number: u16::from_be_bytes([high & 0x1f, low]),
            timestamp: u32::from(time) * 3000,
            marker: flags & 1 != 0,
            payload_type: 102,
            ssrc: u32::from(ssrc & 1),
            payload: Bytes::from([&[kind][..], payload].concat()),
        };
        buffer.insert(packet, now);
        assert!(buffer.packets_held() <= max_packets && buffer.bytes_held() <= max_bytes);
        while let Some(frame) = buffer.poll_frame(now) {
            assert!(frame.key || chain_intact, "a picture without its reference");
            assert!(frame.arrived <= now && frame.packets > 0 && !frame.data.is_empty());
            chain_intact = true;
            frames += 1;
        }
        if flags & 2 != 0 {
            buffer.decoding_failed(now);
            chain_intact = false;
        }
        if flags & 4 != 0 {
            buffer.flush(now);
            chain_intact = false;
        }
        let asked = buffer.poll_key_frame_request(now);
        assert!(!asked || !buffer.poll_key_frame_request(now), "asked twice at once");
        assert!(buffer.poll_timeout().is_none_or(|at| at > now), "a timeout in the past after a drain");
    }
    assert_eq!(buffer.stats().frames_assembled, frames);
}

/// The bytes are a Y4M file.
pub fn fuzz_y4m(mut data: &[u8]) {
    let Ok(header) = y4m::read_header(&mut data) else { return };
    assert!((16..=y4m::MAX_SIDE).contains(&header.width) && (16..=y4m::MAX_SIDE).contains(&header.height));
    assert!(header.rate.0 >= header.rate.1 && header.rate.1 > 0);
    while let Ok(Some(picture)) = y4m::read_frame(&mut data, &header) {
        assert!(picture.holds(header.width, header.height));
    }
}

/// The bytes are the payload of a packet that carries earlier ones too.
pub fn fuzz_red(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let Some(blocks) = red::unpack(&payload) else { return };
    assert!((1..=red::BLOCKS_MAX).contains(&blocks.len()));
    assert!(blocks.last().is_some_and(|own| own.offset == 0));
    let carried: usize = blocks.iter().map(|block| block.payload.len()).sum();
    assert_eq!(carried + 4 * (blocks.len() - 1) + 1, payload.len(), "each byte is in one place");
}
