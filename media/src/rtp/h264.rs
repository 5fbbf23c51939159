//! H.264 in RTP (RFC 6184, packetization mode 1): single NAL units, STAP-A for parameter sets, FU-A for the rest.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::packet::{MediaPacket, PacketizedFrame};
use crate::frame::EncodedFrame;

/// The largest payload that is sent, leaving room for RTP, SRTP, UDP and tunnel headers in 1280 bytes, the least MTU
/// of IPv6 (RFC 8200 §5).
pub const MAX_PAYLOAD: usize = 1200;

/// The largest picture that is put together from packets; a 4K key frame stays far below.
pub const MAX_ACCESS_UNIT: usize = 4 << 20;

const TYPE_MASK: u8 = 0x1f;
const NRI_MASK: u8 = 0x60;
const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const ACCESS_UNIT_DELIMITER: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Cuts an encoded picture into packets whose payload is at most `max_payload` bytes.
///
/// NAL units that fit are slices of the encoder's buffer; fragments need a header in front and are copied once.
pub fn packetize(frame: &EncodedFrame, rtp_timestamp: u32, max_payload: usize) -> PacketizedFrame {
    // Two bytes of header and one of content, so that the cutting always ends.
    let max_payload = max_payload.max(3);
    let mut packets: Vec<Bytes> = Vec::new();
    let mut parameter_sets: Vec<Bytes> = Vec::new();
    for nal in nal_units(&frame.data) {
        match nal[0] & TYPE_MASK {
            // It says nothing that the marker bit doesn't.
            ACCESS_UNIT_DELIMITER => {}
            SPS | PPS => parameter_sets.push(nal),
            _ => {
                aggregate(&mut packets, &mut parameter_sets, max_payload);
                single_or_fragments(&mut packets, nal, max_payload);
            }
        }
    }
    aggregate(&mut packets, &mut parameter_sets, max_payload);
    let bytes = packets.iter().map(Bytes::len).sum();
    let last = packets.len().wrapping_sub(1);
    let packets = packets
        .into_iter()
        .enumerate()
        .map(|(index, payload)| MediaPacket { payload, marker: index == last })
        .collect();
    PacketizedFrame {
        packets,
        rtp_timestamp,
        captured_at: frame.captured_at,
        layer: frame.layer,
        temporal_id: frame.temporal_id,
        key: frame.key,
        discardable: frame.discardable,
        bytes,
    }
}

/// The NAL units of a byte stream (H.264 Annex B), start codes and padding left out; none is empty.
pub fn nal_units(data: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut position = next_start_code(data, 0).map(|(_, end)| end);
    std::iter::from_fn(move || {
        loop {
            let start = position?;
            let following = next_start_code(data, start);
            position = following.map(|(_, end)| end);
            let mut end = following.map_or(data.len(), |(begin, _)| begin);
            while end > start && data[end - 1] == 0 {
                end -= 1;
            }
            if end > start {
                return Some(data.slice(start..end));
            }
        }
    })
}

/// Where the next start code begins and ends.
fn next_start_code(data: &[u8], from: usize) -> Option<(usize, usize)> {
    let found = data.get(from..)?.windows(3).position(|window| window == [0, 0, 1])? + from;
    Some((found, found + 3))
}

/// Whether no other picture refers to this one: all its slices have a `nal_ref_idc` of 0 (H.264 §7.4.1).
pub fn is_discardable(data: &Bytes) -> bool {
    let mut slices = nal_units(data).filter(|nal| matches!(nal[0] & TYPE_MASK, SLICE..=IDR)).peekable();
    slices.peek().is_some() && slices.all(|nal| nal[0] & NRI_MASK == 0)
}

/// Sends parameter sets in one packet where they fit (RFC 6184 §5.7.1).
fn aggregate(packets: &mut Vec<Bytes>, sets: &mut Vec<Bytes>, max_payload: usize) {
    let total: usize = 1 + sets.iter().map(|set| 2 + set.len()).sum::<usize>();
    if sets.len() < 2 || total > max_payload {
        for set in sets.drain(..) {
            single_or_fragments(packets, set, max_payload);
        }
        return;
    }
    let importance = sets.iter().map(|set| set[0] & NRI_MASK).max().unwrap_or_default();
    let mut payload = BytesMut::with_capacity(total);
    payload.put_u8(importance | STAP_A);
    for set in sets.drain(..) {
        // `total` is at most `max_payload`, but that may be large: a set longer than 64 KiB is not a set.
        payload.put_u16(set.len().min(usize::from(u16::MAX)) as u16);
        payload.put_slice(&set[..set.len().min(usize::from(u16::MAX))]);
    }
    packets.push(payload.freeze());
}

fn single_or_fragments(packets: &mut Vec<Bytes>, nal: Bytes, max_payload: usize) {
    if nal.len() <= max_payload {
        packets.push(nal);
        return;
    }
    let indicator = nal[0] & !TYPE_MASK | FU_A;
    let kind = nal[0] & TYPE_MASK;
    let content = &nal[1..];
    // Fragments of equal size: a short last one would cost the same header and air time.
    let count = content.len().div_ceil(max_payload - 2);
    let size = content.len().div_ceil(count);
    let mut buffer = BytesMut::with_capacity(content.len() + 2 * count);
    let last = content.len().div_ceil(size) - 1;
    for (index, piece) in content.chunks(size).enumerate() {
        let start = if index == 0 { FU_START } else { 0 };
        let end = if index == last { FU_END } else { 0 };
        buffer.put_u8(indicator);
        buffer.put_u8(start | end | kind);
        buffer.put_slice(piece);
        packets.push(buffer.split().freeze());
    }
}

/// What the first bytes of a payload tell of the picture it belongs to, without trusting them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadInfo {
    /// It begins a picture for certain: a parameter set, a delimiter, or the slice with the first macroblock.
    pub starts_picture: bool,
    /// It begins a picture from which decoding may start: a sequence parameter set is in front.
    pub starts_with_sps: bool,
    /// It holds a part of an IDR picture.
    pub idr: bool,
    /// It holds a part of a picture that refers to others.
    pub delta: bool,
    /// It holds a part of a picture to which no other refers.
    pub discardable: bool,
    /// It is a fragment, and not the last one.
    pub continues: bool,
}

impl PayloadInfo {
    /// Looks into a payload.
    pub fn of(payload: &[u8]) -> Self {
        let Some(&first) = payload.first() else { return Self::default() };
        match first & TYPE_MASK {
            STAP_A => match payload.get(3..) {
                Some(nal) => Self::of_nal(nal, 1),
                None => Self::default(),
            },
            FU_A => Self::of_fragment(payload),
            _ => Self::of_nal(payload, 1),
        }
    }

    fn of_fragment(payload: &[u8]) -> Self {
        let Some(&header) = payload.get(1) else { return Self::default() };
        let kind = header & TYPE_MASK;
        let info = Self { continues: header & FU_END == 0, ..Self::of_header(payload[0] & NRI_MASK | kind) };
        if header & FU_START == 0 {
            return Self { starts_picture: false, starts_with_sps: false, ..info };
        }
        let first_slice = matches!(kind, SLICE | IDR) && first_macroblock_is_zero(payload.get(2));
        Self { starts_picture: info.starts_picture || first_slice, ..info }
    }

    fn of_nal(nal: &[u8], header: usize) -> Self {
        let Some(&first) = nal.first() else { return Self::default() };
        let kind = first & TYPE_MASK;
        let info = Self::of_header(first);
        let first_slice = matches!(kind, SLICE | IDR) && first_macroblock_is_zero(nal.get(header));
        Self { starts_picture: info.starts_picture || first_slice, ..info }
    }

    fn of_header(header: u8) -> Self {
        let kind = header & TYPE_MASK;
        Self {
            starts_picture: matches!(kind, SPS | ACCESS_UNIT_DELIMITER),
            starts_with_sps: kind == SPS,
            idr: kind == IDR,
            delta: kind == SLICE,
            discardable: kind == SLICE && header & NRI_MASK == 0,
            continues: false,
        }
    }
}

/// Whether `first_mb_in_slice`, the first number of a slice header, is 0: its Exp-Golomb code is a single one bit
/// (H.264 §7.3.3, §9.1).
fn first_macroblock_is_zero(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte & 0x80 != 0)
}

/// Why packets make no picture.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DepacketizeError {
    /// The packet says that it is longer than it is.
    #[error("a packet ends within a NAL unit")]
    Truncated,
    /// RFC 6184 §5.4: not allowed in packetization mode 1.
    #[error("a packet of type {0}, which was not negotiated")]
    UnexpectedType(u8),
    /// A fragment whose first part is not there.
    #[error("a fragment without its beginning")]
    FragmentWithoutStart,
    /// A fragment whose last part is not there.
    #[error("a fragment without its end")]
    FragmentWithoutEnd,
    /// More than [`MAX_ACCESS_UNIT`].
    #[error("a picture of more than {MAX_ACCESS_UNIT} bytes")]
    TooLarge,
    /// Nothing in it.
    #[error("a picture without content")]
    Empty,
}

/// One picture put together from packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// The byte stream (H.264 Annex B).
    pub data: Bytes,
    /// Whether it has an IDR slice, so that decoding may start here.
    pub key: bool,
}

/// Puts the packets of one picture together; they must come in order and without a gap.
#[derive(Debug, Default)]
pub struct Depacketizer {
    data: Vec<u8>,
    key: bool,
    /// The type of the NAL unit of which some fragments have come.
    fragment: Option<u8>,
}

impl Depacketizer {
    /// Adds a payload; an empty one (padding) changes nothing.
    ///
    /// # Errors
    ///
    /// When it does not follow RFC 6184; the picture is of no use then.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), DepacketizeError> {
        let Some(&first) = payload.first() else { return Ok(()) };
        let kind = first & TYPE_MASK;
        if kind != FU_A && self.fragment.is_some() {
            return Err(DepacketizeError::FragmentWithoutEnd);
        }
        match kind {
            1..=23 => self.push_nal(payload),
            STAP_A => self.push_aggregate(&payload[1..]),
            FU_A => self.push_fragment(first, &payload[1..]),
            other => Err(DepacketizeError::UnexpectedType(other)),
        }
    }

    /// The picture.
    ///
    /// # Errors
    ///
    /// When its last fragment is missing or nothing came.
    pub fn finish(self) -> Result<AccessUnit, DepacketizeError> {
        if self.fragment.is_some() {
            return Err(DepacketizeError::FragmentWithoutEnd);
        }
        if self.data.is_empty() {
            return Err(DepacketizeError::Empty);
        }
        Ok(AccessUnit { data: self.data.into(), key: self.key })
    }

    fn push_aggregate(&mut self, mut rest: &[u8]) -> Result<(), DepacketizeError> {
        if rest.is_empty() {
            return Err(DepacketizeError::Truncated);
        }
        while let Some((size, after)) = rest.split_first_chunk::<2>() {
            let size = usize::from(u16::from_be_bytes(*size));
            if size == 0 {
                return Err(DepacketizeError::Truncated);
            }
            let Some((nal, after)) = after.split_at_checked(size) else { return Err(DepacketizeError::Truncated) };
            match nal[0] & TYPE_MASK {
                1..=23 => self.push_nal(nal)?,
                other => return Err(DepacketizeError::UnexpectedType(other)),
            }
            rest = after;
        }
        // One byte too many is no length.
        if rest.is_empty() { Ok(()) } else { Err(DepacketizeError::Truncated) }
    }

    fn push_fragment(&mut self, indicator: u8, rest: &[u8]) -> Result<(), DepacketizeError> {
        let Some((&header, content)) = rest.split_first() else { return Err(DepacketizeError::Truncated) };
        let kind = header & TYPE_MASK;
        if !(1..=23).contains(&kind) {
            return Err(DepacketizeError::UnexpectedType(kind));
        }
        if header & FU_START != 0 {
            if self.fragment.is_some() {
                return Err(DepacketizeError::FragmentWithoutEnd);
            }
            self.extend(&START_CODE)?;
            self.extend(&[indicator & !TYPE_MASK | kind])?;
            self.fragment = Some(kind);
        }
        match self.fragment {
            Some(expected) if expected == kind => {}
            Some(_) => return Err(DepacketizeError::FragmentWithoutEnd),
            None => return Err(DepacketizeError::FragmentWithoutStart),
        }
        self.extend(content)?;
        if header & FU_END != 0 {
            self.fragment = None;
            self.key |= kind == IDR;
        }
        Ok(())
    }

    fn push_nal(&mut self, nal: &[u8]) -> Result<(), DepacketizeError> {
        self.extend(&START_CODE)?;
        self.extend(nal)?;
        self.key |= nal.first().is_some_and(|first| first & TYPE_MASK == IDR);
        Ok(())
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), DepacketizeError> {
        if self.data.len() + bytes.len() > MAX_ACCESS_UNIT {
            return Err(DepacketizeError::TooLarge);
        }
        self.data.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
