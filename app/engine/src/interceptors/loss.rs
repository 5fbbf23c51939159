//! A network that loses packets, for tests.

use rtc::interceptor::{Packet, TaggedPacket};

use super::stage::{Belt, Stage};

/// Drops a share of the media packets that come in.
pub(crate) struct Loss {
    /// Out of 2³².
    threshold: u64,
    state: u64,
}

impl Loss {
    /// `share` in 0..1; equal seeds drop equal packets.
    pub(crate) fn new(share: f64, seed: u64) -> Self {
        // Clamped, so the cast keeps its value.
        let threshold = (share.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
        Self { threshold, state: seed | 1 }
    }

    /// xorshift64*, upper half.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }
}

impl Stage for Loss {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        let is_media = matches!(packet.message.packet, Packet::Rtp(_));
        if is_media && self.next() < self.threshold {
            return;
        }
        belt.read.push_back(packet);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::stage::tests::rtp_packet;
    use super::*;

    #[test]
    fn about_the_asked_share_is_lost() {
        let now = Instant::now();
        let mut stage = Loss::new(0.1, 3);
        let mut belt = Belt::default();
        (0..10_000).for_each(|number| stage.handle_read(rtp_packet(now, 1, number, b"a"), &mut belt));
        let lost = 10_000 - belt.read.len();
        assert!((850..1_150).contains(&lost), "{lost}");
    }
}
