//! What the first bytes of an Opus packet tell without decoding it (RFC 6716 §3). Pure; every byte is distrusted.

/// The longest that one packet may last: 120 ms (RFC 6716 §3.2.5).
pub const MAX_SAMPLES: u32 = 5760;

/// The largest packet taken: three frames of the largest size (RFC 6716 §3.2.1) are more than any call sends.
pub const MAX_BYTES: usize = 3 * 1276;

/// How many samples at 48 kHz the packet holds; `None` where it is not an Opus packet.
pub fn samples(packet: &[u8]) -> Option<u32> {
    if packet.len() > MAX_BYTES {
        return None;
    }
    let toc = *packet.first()?;
    let total = frame_samples(toc) * frame_count(packet)?;
    (1..=MAX_SAMPLES).contains(&total).then_some(total)
}

/// Whether the packet carries a copy of the sound before it (in-band FEC, RFC 6716 §4.2.4). Mono only.
pub fn has_fec(packet: &[u8]) -> bool {
    let Some(toc) = packet.first() else { return false };
    // Modes from 16 on are CELT alone, which has none; bit 2 is stereo; more than one frame is not what we look into.
    let mode = toc >> 3;
    if mode >= 16 || toc & 0b111 != 0 {
        return false;
    }
    // A SILK frame of 20 ms or less is one, of 40 two, of 60 three; one bit of voice activity each, then the FEC bit.
    let silk_frames = (frame_samples(*toc) / 960).max(1);
    packet.get(1).is_some_and(|first| first >> (7 - silk_frames) & 1 == 1)
}

/// Length of one frame, RFC 6716 table 2.
fn frame_samples(toc: u8) -> u32 {
    let mode = toc >> 3;
    let size = u32::from(mode & 0b11);
    match mode {
        0..12 => [480, 960, 1920, 2880][size as usize],
        12..16 => [480, 960][(size & 1) as usize],
        _ => 120 << size,
    }
}

/// How many frames, RFC 6716 §3.2.
fn frame_count(packet: &[u8]) -> Option<u32> {
    match packet[0] & 0b11 {
        0 => Some(1),
        1 | 2 => Some(2),
        _ => packet.get(1).map(|byte| u32::from(byte & 0x3f)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_the_table_of_the_rfc() {
        assert_eq!(samples(&[1 << 3, 0]), Some(960));
        assert_eq!(samples(&[3 << 3, 0]), Some(2880));
        assert_eq!(samples(&[13 << 3, 0]), Some(960));
        assert_eq!(samples(&[16 << 3, 0]), Some(120));
        assert_eq!(samples(&[31 << 3, 0]), Some(960));
        assert_eq!(samples(&[31 << 3 | 1, 0]), Some(1920));
        assert_eq!(samples(&[31 << 3 | 3, 3]), Some(2880));
    }

    #[test]
    fn what_is_no_packet_has_no_length() {
        assert_eq!(samples(&[]), None);
        assert_eq!(samples(&[31 << 3 | 3]), None);
        assert_eq!(samples(&[31 << 3 | 3, 0]), None);
        assert_eq!(samples(&[31 << 3 | 3, 7]), None);
        assert_eq!(samples(&vec![0; MAX_BYTES + 1]), None);
    }
}
