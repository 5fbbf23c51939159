//! A sender, a network that loses, doubles and reorders packets and answers for some of them late, and a buffer.
//!
//! Whatever the network does: nothing panics, pictures come out in order and each after the one it refers to, and each
//! one of which a packet came in time, and which does not come out, is in exactly one counter.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::frame::{EncodedFrame, Layer};
use crate::rtp::h264;
use bytes::Bytes;

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

struct Network {
    loss_percent: u64,
    resent_percent: u64,
    doubled_percent: u64,
    jitter_ms: u64,
}

struct Sender {
    random: Random,
    sequence_number: u16,
    timestamp: u32,
}

impl Sender {
    fn picture(&mut self, index: u32, key: bool) -> Vec<RtpPacket> {
        let mut data = Vec::new();
        if key {
            data.extend([0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4]);
        }
        let len = 8 + self.random.below(if key { 6_000 } else { 3_000 }) as usize;
        data.extend([0, 0, 0, 1, if key { 0x65 } else { 0x61 }, 0x88]);
        data.extend(index.to_be_bytes().map(|byte| byte | 0x80));
        data.extend(std::iter::repeat_n(0xaa, len));
        self.timestamp = self.timestamp.wrapping_add(3000);
        let frame = EncodedFrame {
            layer: Layer(0),
            temporal_id: 0,
            key,
            discardable: false,
            captured_at: Instant::now(),
            width: 640,
            height: 360,
            data: Bytes::from(data),
        };
        let packets = h264::packetize(&frame, self.timestamp, h264::MAX_PAYLOAD).packets;
        packets
            .into_iter()
            .map(|packet| {
                self.sequence_number = self.sequence_number.wrapping_add(1);
                RtpPacket {
                    sequence_number: self.sequence_number,
                    timestamp: self.timestamp,
                    marker: packet.marker,
                    payload_type: 102,
                    ssrc: 9,
                    payload: packet.payload,
                }
            })
            .collect()
    }
}

const PICTURES: u32 = 300;

/// How many seeds to try: `PARLOR_SEEDS` of them by command, few otherwise.
fn seeds(few: u64) -> std::ops::Range<u64> {
    let wanted = std::env::var("PARLOR_SEEDS").ok().and_then(|text| text.parse().ok());
    0..wanted.unwrap_or(few)
}

fn run(seed: u64, network: &Network) -> FrameBufferStats {
    let mut random = Random(seed);
    let sequence_number = random.next() as u16;
    let timestamp = random.next() as u32;
    let mut sender = Sender { random: Random(seed ^ 1), sequence_number, timestamp };
    let mut buffer = FrameBuffer::new(FrameBufferConfig::default());
    let begin = Instant::now();
    // (arrival in microseconds, a number to keep keys apart) to packet.
    let mut on_the_way: BTreeMap<(u64, u64), RtpPacket> = BTreeMap::new();
    let mut sent = BTreeMap::new();
    let mut touched = BTreeSet::new();
    let mut shown: Vec<(u32, bool)> = Vec::new();
    let mut key_wanted_at = Some(0);
    for tick in 0..u64::from(PICTURES) * 33 + 3_000 {
        let now = begin + Duration::from_millis(tick);
        if tick % 33 == 0 && tick / 33 < u64::from(PICTURES) {
            let index = (tick / 33) as u32;
            let key = key_wanted_at.is_some_and(|at| at <= tick);
            if key {
                key_wanted_at = None;
            }
            let packets = sender.picture(index, key);
            sent.insert(packets[0].timestamp, (index, key));
            for packet in packets {
                let mut arrival = tick * 1000 + 20_000 + random.below(network.jitter_ms * 1000 + 1);
                if random.happens(network.loss_percent) {
                    if !random.happens(network.resent_percent) {
                        continue;
                    }
                    arrival += 20_000 + random.below(150_000);
                }
                if random.happens(network.doubled_percent) {
                    on_the_way.insert((arrival + random.below(50_000), random.next()), packet.clone());
                }
                on_the_way.insert((arrival, random.next()), packet);
            }
        }
        while let Some(entry) = on_the_way.first_entry()
            && entry.key().0 <= tick * 1000
        {
            let packet = entry.remove();
            let (timestamp, late) = (packet.timestamp, buffer.stats().duplicates);
            buffer.insert(packet, now);
            if buffer.stats().duplicates == late {
                touched.insert(timestamp);
            }
            while let Some(frame) = buffer.poll_frame(now) {
                shown.push((frame.rtp_timestamp, frame.key));
            }
        }
        while let Some(frame) = buffer.poll_frame(now) {
            shown.push((frame.rtp_timestamp, frame.key));
        }
        if buffer.poll_key_frame_request(now) && !random.happens(network.loss_percent) {
            key_wanted_at.get_or_insert(tick + 20);
        }
        let timeout = buffer.poll_timeout();
        assert!(timeout.is_none_or(|at| at > now), "seed {seed}: a timeout in the past after a drain");
    }
    check(seed, &buffer, &sent, &touched, &shown);
    buffer.stats()
}

fn check(
    seed: u64,
    buffer: &FrameBuffer,
    sent: &BTreeMap<u32, (u32, bool)>,
    touched: &BTreeSet<u32>,
    shown: &[(u32, bool)],
) {
    let indices: Vec<(u32, bool)> = shown.iter().map(|(timestamp, _)| sent[timestamp]).collect();
    for pair in indices.windows(2) {
        let ((before, _), (after, key)) = (pair[0], pair[1]);
        assert!(after > before, "seed {seed}: {after} after {before}");
        assert!(key || after == before + 1, "seed {seed}: {after} without its reference");
    }
    assert!(indices.first().is_none_or(|(_, key)| *key), "seed {seed}: begins without a key frame");
    for ((_, marked), (_, key)) in shown.iter().zip(&indices) {
        assert_eq!(marked, key);
    }
    let stats = buffer.stats();
    let dropped = stats.frames_dropped_incomplete
        + stats.frames_dropped_no_reference
        + stats.frames_dropped_malformed
        + stats.frames_dropped_flushed;
    let (pictures_held, _) = buffer.held.pictures();
    let explained = stats.frames_assembled + dropped + pictures_held;
    assert_eq!(explained, touched.len() as u64, "seed {seed}: {stats:?}, {pictures_held} held");
    assert_eq!(stats.frames_assembled, shown.len() as u64);
    assert_eq!(stats.frames_dropped_malformed, 0);
}

#[test]
fn on_a_perfect_network_every_picture_comes_out() {
    let stats = run(1, &Network { loss_percent: 0, resent_percent: 0, doubled_percent: 0, jitter_ms: 0 });
    assert_eq!(stats.frames_assembled, u64::from(PICTURES));
    assert_eq!(stats.key_frames_requested, 0);
}

#[test]
fn reordering_and_doubling_cost_no_picture() {
    for seed in seeds(20) {
        let stats = run(seed, &Network { loss_percent: 0, resent_percent: 0, doubled_percent: 20, jitter_ms: 60 });
        assert_eq!(stats.frames_assembled, u64::from(PICTURES), "seed {seed}");
        assert!(stats.duplicates > 0);
    }
}

#[test]
fn whatever_is_lost_is_explained() {
    let mut assembled = 0;
    for seed in seeds(60) {
        let mut random = Random(seed ^ 0xabcd);
        let network = Network {
            loss_percent: random.below(40),
            resent_percent: random.below(101),
            doubled_percent: random.below(30),
            jitter_ms: random.below(200),
        };
        assembled += run(seed, &network).frames_assembled;
    }
    assert!(assembled > 1_000, "hardly anything came through: {assembled}");
}

#[test]
fn retransmissions_save_most_of_the_picture() {
    let network = |resent_percent| Network { loss_percent: 3, resent_percent, doubled_percent: 0, jitter_ms: 5 };
    let total = |resent| (0..10).map(|seed| run(seed, &network(resent)).frames_assembled).sum::<u64>();
    let (without, with) = (total(0), total(100));
    assert!(with > without && with > u64::from(PICTURES) * 10 * 3 / 4, "{without} without, {with} with");
}

#[test]
fn no_bytes_make_the_frame_buffer_panic() {
    for seed in seeds(400) {
        let mut random = Random(seed);
        let len = random.below(4_000) as usize;
        // Mostly small numbers, so that packets meet each other.
        let bytes: Vec<u8> =
            (0..len).map(|_| if random.happens(70) { random.below(8) as u8 } else { random.next() as u8 }).collect();
        crate::fuzz::fuzz_frame_buffer(&bytes);
    }
}
