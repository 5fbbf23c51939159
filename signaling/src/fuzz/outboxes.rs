//! The hub and the outboxes of its clients, driven by bytes: clients that read, and clients that don't.
//!
//! Whoever reads gets every signal that was said to them, in order and from their own room; what waits is bounded, for
//! each and for all, and is known exactly.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::{ClientMessage, PeerId, ServerMessage, Signal};

use super::{Bytes, hello};
use crate::config::SocketConfig;
use crate::hub::{CloseKind, ConnId, Hub, HubConfig};
use crate::metrics::Metrics;
use crate::outbox::{Item, Outbox};
use crate::switchboard::Switchboard;

const CLIENTS: usize = 6;
const ROOMS: [&str; 3] = ["a", "a", "b"];
const OUTBOX_BYTES_MAX: usize = 4_096;
/// Less than the outboxes of all, so that both bounds are met.
const ALL_BYTES_MAX: usize = 12_288;

/// Reads bytes as the doings of clients at one server, and panics where it breaks a promise.
pub fn fuzz_outboxes(data: &[u8]) {
    let mut bytes = Bytes(data.iter());
    let mut world = World::new(Arc::new(Metrics::new("fuzz")));
    while let Some(step) = bytes.0.next() {
        world.step(*step, &mut bytes);
        world.check();
    }
    world.everyone_reads();
}

struct World {
    switchboard: Switchboard,
    clients: [Option<Client>; CLIENTS],
    said: u64,
}

struct Client {
    conn: ConnId,
    outbox: Arc<Outbox>,
    room: Option<&'static str>,
    me: Option<PeerId>,
    /// What was said to them and has not been read.
    expected: VecDeque<u64>,
    ended: bool,
}

impl World {
    fn new(metrics: Arc<Metrics>) -> Self {
        let config = HubConfig {
            message_burst: u32::MAX / 8,
            byte_burst: u32::MAX,
            // Who is lost is gone at once: time does not pass here.
            resume_window: Duration::ZERO,
            ..HubConfig::default()
        };
        let hub = Hub::new(config, super::SECRET, [7; 32], Instant::now(), 1_760_000_000);
        let sockets = SocketConfig {
            outbox_bytes_max: OUTBOX_BYTES_MAX,
            outboxes_bytes_max: ALL_BYTES_MAX,
            ..SocketConfig::default()
        };
        let switchboard = Switchboard::new(hub, &sockets, metrics);
        Self { switchboard, clients: std::array::from_fn(|_| None), said: 0 }
    }

    fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        self.switchboard.handle_timeout();
        let who = bytes.below(CLIENTS);
        match step % 8 {
            0 if self.clients[who].is_none() => self.come(who, ROOMS[bytes.below(ROOMS.len())]),
            0 if bytes.below(4) == 0 => self.go(who, [CloseKind::Left, CloseKind::Lost][bytes.below(2)]),
            0 | 1 => self.read(who, 1 + bytes.below(8)),
            _ => self.signal(who, bytes.below(CLIENTS), bytes.below(256) * 8),
        }
    }

    fn come(&mut self, who: usize, room: &'static str) {
        let Some((conn, outbox)) = self.switchboard.open(IpAddr::V4(Ipv4Addr::LOCALHOST)) else { return };
        let client = Client { conn, outbox, room: None, me: None, expected: VecDeque::new(), ended: false };
        self.clients[who] = Some(client);
        self.switchboard.message(conn, &hello(&[1]).encode());
        let join =
            ClientMessage::Join { room: room.into(), name: "A".into(), resume: None, access: None, password: None };
        self.switchboard.message(conn, &join.encode());
        // A newcomer reads what it is told of the room.
        self.read(who, 8);
    }

    fn go(&mut self, who: usize, kind: CloseKind) {
        if let Some(client) = self.clients[who].take() {
            self.switchboard.close(client.conn, kind);
        }
    }

    fn signal(&mut self, from: usize, to: usize, length: usize) {
        let addressee = self.clients[to].as_ref().and_then(|client| Some((client.me.clone()?, client.room?)));
        let (Some(sender), Some((to_id, to_room))) = (&self.clients[from], addressee) else { return };
        if sender.outbox.is_ending() {
            return;
        }
        self.said += 1;
        let sdp = format!("{} {}", self.said, "x".repeat(length));
        let reaches = from != to && sender.room == Some(to_room);
        let signal = Signal::Offer { sdp, streams: Vec::new() };
        let message = ClientMessage::Signal { to: to_id, connection: "c".parse().expect("a letter"), signal };
        let conn = sender.conn;
        if let Some(client) = self.clients[to].as_mut().filter(|client| reaches && !client.outbox.is_ending()) {
            client.expected.push_back(self.said);
        }
        self.switchboard.message(conn, &message.encode());
    }

    fn read(&mut self, who: usize, count: usize) {
        let Some(client) = &mut self.clients[who] else { return };
        for _ in 0..count {
            match client.outbox.take() {
                Some(Item::Message(text)) => client.hear(&text),
                Some(Item::Close { .. } | Item::Stop) => client.ended = true,
                None => {}
            }
        }
        if client.ended {
            self.clients[who] = None;
        }
    }

    /// What holds after every step.
    fn check(&self) {
        let held: Vec<usize> = self.clients.iter().flatten().map(|client| client.outbox.bytes()).collect();
        assert!(held.iter().all(|bytes| *bytes <= OUTBOX_BYTES_MAX), "{held:?}");
        let all = self.switchboard.waiting_bytes();
        assert_eq!(all, held.iter().sum::<usize>(), "what waits is not what is known to wait");
        assert!(all <= ALL_BYTES_MAX, "{all}");
    }

    fn everyone_reads(&mut self) {
        for who in 0..CLIENTS {
            self.read(who, 10_000);
            if let Some(client) = &self.clients[who] {
                assert!(client.expected.is_empty(), "{} signals are lost", client.expected.len());
            }
            self.go(who, CloseKind::Left);
            self.check();
        }
        assert_eq!(self.switchboard.waiting_bytes(), 0);
    }
}

impl Client {
    fn hear(&mut self, text: &str) {
        match ServerMessage::decode(text).expect("the server says what it knows") {
            ServerMessage::Joined { room, peer_id, .. } => {
                self.room = ROOMS.into_iter().find(|name| *name == room.as_str());
                self.me = Some(peer_id);
            }
            ServerMessage::Signal { signal: Signal::Offer { sdp, .. }, .. } => {
                let number = sdp.split(' ').next().and_then(|number| number.parse().ok());
                assert_eq!(number, self.expected.pop_front(), "another signal, or out of order");
            }
            // What is left of its words is thrown away with `too_slow`.
            ServerMessage::Error { code: parlor_proto::ErrorCode::TooSlow, .. } => self.expected.clear(),
            other => assert!(!matches!(other, ServerMessage::Signal { .. }), "a signal that nobody sent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_are_met_and_most_signals_are_read() {
        let mut random: u64 = 7;
        let data: Vec<u8> = std::iter::repeat_with(|| {
            // Knuth's MMIX; the upper bits are the better ones.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random.to_be_bytes()[0]
        })
        .take(40_000)
        .collect();
        let metrics = Arc::new(Metrics::new("fuzz"));
        let (mut bytes, mut world, mut fullest) = (Bytes(data.iter()), World::new(Arc::clone(&metrics)), 0);
        while let Some(step) = bytes.0.next() {
            world.step(*step, &mut bytes);
            world.check();
            fullest = fullest.max(world.switchboard.waiting_bytes());
        }
        let text = metrics.text(&world.switchboard.census());
        let slow = text.lines().find_map(|line| line.strip_prefix("parlor_refusals_total{code=\"too_slow\"} "));
        let slow: u64 = slow.and_then(|count| count.parse().ok()).unwrap_or(0);
        assert!(slow > 50 && world.said > 3_000, "{slow} too slow in {} signals", world.said);
        assert!(fullest > ALL_BYTES_MAX - OUTBOX_BYTES_MAX, "{fullest} at most");
    }
}
