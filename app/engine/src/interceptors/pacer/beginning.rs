//! Where the picture last began anew: what lies before a key frame is repaired after it, and not at all where there is no room for it.
//!
//! On a link that has just become narrow a queue's worth of packets is lost at once, in an outage all of a second and more. To send them again
//! takes as long as sending them did, and the key frame that makes them worthless, and the pictures after it, would wait behind them: measured in
//! the simulation, a drop from 2.8 to 0.6 Mbit/s cost two seconds of the picture so, most of them repairs. Where there is room the key frame before may
//! still be whole first, so its repairs only wait.

use rtc::rtp::Packet;

/// Types of NAL units (H.264 table 7-1, RFC 6184 §5.2): a sequence parameter set begins a key frame, by itself or in an aggregate.
const SPS: u8 = 7;
const STAP_A: u8 = 24;

/// The latest key frame: its stream, the number of its first packet, its time.
#[derive(Debug, Default)]
pub(super) struct Beginning(Option<(u32, u16, u32)>);

impl Beginning {
    /// Whether the picture begins anew with this packet of it.
    pub(super) fn note(&mut self, packet: &Packet) -> bool {
        let unit = |at: usize| packet.payload.get(at).map(|header| header & 0x1f);
        let begins = match unit(0) {
            Some(SPS) => true,
            // After its own header and the size of the first unit.
            Some(STAP_A) => unit(3) == Some(SPS),
            Some(_) | None => false,
        };
        let header = &packet.header;
        if begins {
            self.0 = Some((header.ssrc, header.sequence_number, header.timestamp));
        }
        // Half of all numbers later the newest would seem to lie before it.
        let is_long_ago = |first: u16| header.sequence_number.wrapping_sub(first) > u16::MAX / 2;
        if self.0.is_some_and(|(ssrc, first, _)| ssrc == header.ssrc && is_long_ago(first)) {
            self.0 = None;
        }
        begins
    }

    /// Whether this packet of the picture is a part of that key frame.
    pub(super) fn is_of_it(&self, packet: &Packet) -> bool {
        self.0.is_some_and(|(ssrc, _, time)| packet.header.ssrc == ssrc && packet.header.timestamp == time)
    }

    /// Whether this retransmission brings something from before it. Its original number is in its payload (RFC 4588 §4), unless it is the
    /// original itself.
    pub(super) fn repairs_before(&self, repair: &Packet) -> bool {
        let Some((ssrc, first, _)) = self.0 else { return false };
        let original = match (repair.header.ssrc == ssrc, repair.payload.get(..2)) {
            (true, _) => repair.header.sequence_number,
            (false, Some(number)) => u16::from_be_bytes([number[0], number[1]]),
            (false, None) => return false,
        };
        // Modulo 2^16: the half behind it.
        original.wrapping_sub(first) > u16::MAX / 2
    }
}
