//! A network that carries little, for tests.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtc::interceptor::{Packet, TaggedPacket};
use rtc::shared::marshal::MarshalSize;

use super::stage::{Belt, Stage};

/// What the device at the narrow end holds before it drops what comes: as much as a home router.
const QUEUE_MAX: Duration = Duration::from_millis(300);
/// IPv4, UDP, and what SRTP adds.
const HEADERS_BYTES: usize = 38;

/// Lets media packets come in at so many bits per second.
pub(crate) struct Narrow {
    bits_per_second: u32,
    /// When the link has carried everything in the queue.
    free_at: Option<Instant>,
    /// Bounded by [`QUEUE_MAX`].
    queue: VecDeque<(Instant, TaggedPacket)>,
}

impl Narrow {
    pub(crate) fn new(bits_per_second: u32) -> Self {
        Self { bits_per_second: bits_per_second.max(1_000), free_at: None, queue: VecDeque::new() }
    }

    fn release(&mut self, now: Instant, belt: &mut Belt) {
        while self.queue.front().is_some_and(|(at, _)| *at <= now) {
            let Some((at, mut packet)) = self.queue.pop_front() else { return };
            // The feedback to the sender tells when a packet came.
            packet.now = at;
            belt.read.push_back(packet);
        }
    }
}

impl Stage for Narrow {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        let now = packet.now;
        self.release(now, belt);
        let Packet::Rtp(rtp) = &packet.message.packet else {
            belt.read.push_back(packet);
            return;
        };
        let bits = (rtp.marshal_size() + HEADERS_BYTES) as f64 * 8.0;
        let begins = self.free_at.map_or(now, |at| at.max(now));
        if begins.saturating_duration_since(now) > QUEUE_MAX {
            return;
        }
        let arrives = begins + Duration::from_secs_f64(bits / f64::from(self.bits_per_second));
        self.free_at = Some(arrives);
        self.queue.push_back((arrives, packet));
    }

    fn handle_timeout(&mut self, now: Instant, belt: &mut Belt) {
        self.release(now, belt);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.queue.front().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::tests::rtp_packet;
    use super::*;

    #[test]
    fn packets_come_in_at_the_speed_of_the_link_and_the_queue_is_bounded() {
        let begin = Instant::now();
        let mut stage = Narrow::new(120_000);
        let mut belt = Belt::default();
        // Twice what the link carries, for two seconds: 250 bytes each 8.3 ms.
        let mut now = begin;
        for number in 0..240 {
            stage.handle_read(rtp_packet(now, 1, number, &[0; 200]), &mut belt);
            now += Duration::from_micros(8_333);
        }
        assert!(stage.poll_timeout().is_some_and(|at| at < now + Duration::from_millis(20)));
        stage.handle_timeout(now + Duration::from_secs(1), &mut belt);
        assert_eq!(stage.poll_timeout(), None);
        let last = belt.read.back().map(|packet| packet.now).unwrap();
        let carried = belt.read.len() as f64 * 250.0 * 8.0 / last.duration_since(begin).as_secs_f64();
        assert!((119_000.0..121_000.0).contains(&carried), "{carried}");
        assert!(last <= now + Duration::from_millis(320), "at most the queue is behind");
    }
}
