//! Sound that carries the packets before it once more (RFC 2198), so that a lost one comes with the next. Pure; every byte is
//! distrusted.
//!
//! Unlike Opus' own copy it works for every kind of sound, at full quality, and over more than one lost packet.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

/// The most packets that are carried once more: three in a row are lost of 30 % in 2.7 % of cases.
pub const COPIES_MAX: usize = 2;
/// The most blocks taken from one packet; ours have three, Chromium's two.
pub const BLOCKS_MAX: usize = 8;
/// The time and length of a block have 14 and 10 bits (RFC 2198 §3).
const OFFSET_MAX: u32 = (1 << 14) - 1;
const LENGTH_MAX: usize = (1 << 10) - 1;
/// The bit that says that another block follows.
const FOLLOWS: u8 = 0x80;

/// One of the packets in a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it would have as a packet of its own.
    pub payload_type: u8,
    /// How much earlier its RTP time is than the packet's.
    pub offset: u32,
    /// What it would carry.
    pub payload: Bytes,
}

/// Takes a payload apart: the oldest first, the packet's own sound last. `None` where it is not what the RFC describes, or has more
/// than [`BLOCKS_MAX`] blocks.
pub fn unpack(payload: &Bytes) -> Option<Vec<Block>> {
    let mut headers = Vec::new();
    let mut rest = &payload[..];
    while rest.first()? & FOLLOWS != 0 {
        let (&[kind, high, middle, low], after) = rest.split_first_chunk::<4>()?;
        let packed = u32::from_be_bytes([0, high, middle, low]);
        headers.push((kind & !FOLLOWS, packed >> 10, packed as usize & LENGTH_MAX));
        if headers.len() >= BLOCKS_MAX {
            return None;
        }
        rest = after;
    }
    let (&own, after) = rest.split_first()?;
    let mut begin = payload.len() - after.len();
    let mut blocks = Vec::with_capacity(headers.len() + 1);
    for (payload_type, offset, length) in headers {
        let end = begin.checked_add(length).filter(|end| *end <= payload.len())?;
        blocks.push(Block { payload_type, offset, payload: payload.slice(begin..end) });
        begin = end;
    }
    blocks.push(Block { payload_type: own, offset: 0, payload: payload.slice(begin..) });
    Some(blocks)
}

/// What was sent last on one connection.
#[derive(Debug, Default)]
pub struct Redundancy {
    /// RTP time and payload, the newest last; at most [`COPIES_MAX`], the oldest goes.
    sent: VecDeque<(u32, Bytes)>,
}

impl Redundancy {
    /// The payload with as many as `copies` of the packets before it, or `None` where it goes without any. Call it for each packet, in
    /// the order of their sequence numbers.
    pub fn pack(&mut self, payload_type: u8, rtp_timestamp: u32, payload: &Bytes, copies: usize) -> Option<Bytes> {
        let packed = self.with_copies(payload_type, rtp_timestamp, payload, copies);
        self.sent.push_back((rtp_timestamp, payload.clone()));
        if self.sent.len() > COPIES_MAX {
            self.sent.pop_front();
        }
        packed
    }

    fn with_copies(&self, payload_type: u8, rtp_timestamp: u32, payload: &Bytes, copies: usize) -> Option<Bytes> {
        let offset = |timestamp: u32| rtp_timestamp.wrapping_sub(timestamp);
        // Without a hole: who reads them counts back from the packet's own number.
        let fits = |(timestamp, payload): &&(u32, Bytes)| {
            (1..=OFFSET_MAX).contains(&offset(*timestamp)) && payload.len() <= LENGTH_MAX
        };
        let count = self.sent.iter().rev().take(copies).take_while(fits).count();
        if count == 0 {
            return None;
        }
        let carried = || self.sent.iter().skip(self.sent.len() - count);
        let bytes: usize = carried().map(|(_, payload)| payload.len() + 4).sum();
        let mut packed = BytesMut::with_capacity(bytes + payload.len() + 1);
        for (timestamp, payload) in carried() {
            packed.put_u8(FOLLOWS | payload_type);
            let [_, high, middle, low] = (offset(*timestamp) << 10 | payload.len() as u32).to_be_bytes();
            packed.put_slice(&[high, middle, low]);
        }
        packed.put_u8(payload_type & !FOLLOWS);
        carried().for_each(|(_, payload)| packed.put_slice(payload));
        packed.put_slice(payload);
        Some(packed.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPUS: u8 = 111;

    fn sound(number: u8) -> Bytes {
        Bytes::from(vec![number; usize::from(number) + 1])
    }

    #[test]
    fn a_packet_carries_those_before_it_and_is_taken_apart_again() {
        let mut redundancy = Redundancy::default();
        let begin = u32::MAX - 1_000;
        assert_eq!(redundancy.pack(OPUS, begin, &sound(1), 2), None, "nothing came before it");
        let second = redundancy.pack(OPUS, begin.wrapping_add(960), &sound(2), 2).unwrap();
        assert_eq!(second[..5], [0x80 | OPUS, 0b0000_1111, 0, 2, OPUS], "RFC 2198 §3: 960 in 14 bits, 2 in 10");
        let third = redundancy.pack(OPUS, begin.wrapping_add(1_920), &sound(3), 2).unwrap();
        let blocks = unpack(&third).unwrap();
        let seen: Vec<_> =
            blocks.iter().map(|block| (block.payload_type, block.offset, block.payload.clone())).collect();
        assert_eq!(seen, [(OPUS, 1_920, sound(1)), (OPUS, 960, sound(2)), (OPUS, 0, sound(3))]);
        let fourth = redundancy.pack(OPUS, begin.wrapping_add(2_880), &sound(4), 1).unwrap();
        assert_eq!(unpack(&fourth).unwrap().len(), 2, "as many as wished");
        assert_eq!(redundancy.pack(OPUS, begin.wrapping_add(3_840), &sound(5), 0), None);
    }

    #[test]
    fn what_does_not_fit_the_header_is_left_out_with_all_before_it() {
        let mut redundancy = Redundancy::default();
        let long = Bytes::from(vec![0; LENGTH_MAX + 1]);
        redundancy.pack(OPUS, 0, &sound(1), 2);
        redundancy.pack(OPUS, 960, &long, 2);
        assert_eq!(redundancy.pack(OPUS, 1_920, &sound(2), 2), None);
        let carried = redundancy.pack(OPUS, 2_880, &sound(3), 2).unwrap();
        assert_eq!(unpack(&carried).unwrap().len(), 2);
        assert_eq!(redundancy.pack(OPUS, 2_880 + OFFSET_MAX + 1, &sound(4), 2), None, "after a pause");
    }

    #[test]
    fn what_is_cut_off_or_endless_is_refused() {
        let mut redundancy = Redundancy::default();
        redundancy.pack(OPUS, 0, &sound(7), 2);
        let whole = redundancy.pack(OPUS, 960, &Bytes::new(), 2).unwrap();
        assert!(unpack(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(unpack(&whole.slice(..length)), None, "{length} bytes");
        }
        assert_eq!(unpack(&Bytes::from_static(&[0x80; 64])), None);
        assert_eq!(unpack(&Bytes::from_static(&[OPUS, 1, 2])).unwrap()[0].payload, Bytes::from_static(&[1, 2]));
    }
}
