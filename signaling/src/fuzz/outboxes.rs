//! One hub or two that share their rooms, and the outboxes of their clients, driven by bytes: clients that read, and clients
//! that don't.
//!
//! Whoever reads gets every signal that was said to them, in order and from their own room, also from the other server;
//! what waits is bounded, for each and for all of a server, and is known exactly.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::{ClientMessage, PeerId, ServerMessage, Signal};
use tokio::sync::mpsc;

use super::{Bytes, hello};
use crate::backplane::{LEASE, News, ServerId, SharedRooms};
use crate::config::SocketConfig;
use crate::courier::{Lanes, Request};
use crate::hub::{CloseKind, ConnId, Hub, HubConfig};
use crate::metrics::Metrics;
use crate::outbox::{Item, Outbox};
use crate::switchboard::{Switchboard, Turn};

const CLIENTS: usize = 6;
const ROOMS: [&str; 3] = ["a", "a", "b"];
const OUTBOX_BYTES_MAX: usize = 4_096;
/// Less than the outboxes of all, so that both bounds are met.
const ALL_BYTES_MAX: usize = 12_288;
/// At the meeting place; it does not pass.
const NOW_MS: u64 = 1_760_000_000_000;

/// Reads bytes as the doings of clients at one server or two, and panics where these break a promise.
pub fn fuzz_outboxes(data: &[u8]) {
    let mut bytes = Bytes(data.iter());
    let mut world = World::new(1 + bytes.below(2));
    while let Some(step) = bytes.0.next() {
        world.step(*step, &mut bytes);
        world.check();
    }
    world.everyone_reads();
}

struct World {
    servers: Vec<Server>,
    meeting: SharedRooms,
    clients: [Option<Client>; CLIENTS],
    said: u64,
    /// How many of these go to another server.
    crossing: u64,
}

struct Server {
    id: ServerId,
    switchboard: Switchboard,
    /// What it says to the other one; none where it is alone.
    lanes: Vec<mpsc::Receiver<Request>>,
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests look at it"))]
    metrics: Arc<Metrics>,
}

struct Client {
    server: usize,
    conn: ConnId,
    outbox: Arc<Outbox>,
    room: Option<&'static str>,
    me: Option<PeerId>,
    /// What was said to them and has not been read.
    expected: VecDeque<u64>,
    ended: bool,
}

impl World {
    fn new(servers: usize) -> Self {
        let servers = (0..servers).map(|index| Server::new(index, servers > 1)).collect();
        let clients = std::array::from_fn(|_| None);
        let mut world = Self { servers, meeting: SharedRooms::new(LEASE), clients, said: 0, crossing: 0 };
        world.carry();
        world
    }

    fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        self.servers.iter().for_each(|server| server.switchboard.handle_timeout());
        self.carry();
        let who = bytes.below(CLIENTS);
        match step % 8 {
            0 if self.clients[who].is_none() => {
                let server = bytes.below(self.servers.len());
                self.come(who, server, ROOMS[bytes.below(ROOMS.len())]);
            }
            0 if bytes.below(4) == 0 => self.go(who, [CloseKind::Left, CloseKind::Lost][bytes.below(2)]),
            0 | 1 => self.read(who, 1 + bytes.below(8)),
            _ => self.signal(who, bytes.below(CLIENTS), bytes.below(256) * 8),
        }
        self.carry();
    }

    fn come(&mut self, who: usize, server: usize, room: &'static str) {
        let switchboard = &self.servers[server].switchboard;
        let Some((conn, outbox)) = switchboard.open(IpAddr::V4(Ipv4Addr::LOCALHOST)) else { return };
        let client = Client { server, conn, outbox, room: None, me: None, expected: VecDeque::new(), ended: false };
        self.clients[who] = Some(client);
        switchboard.message(&mut Turn::default(), conn, &hello(&[1]).encode());
        let join =
            ClientMessage::Join { room: room.into(), name: "A".into(), resume: None, access: None, password: None };
        switchboard.message(&mut Turn::default(), conn, &join.encode());
        self.carry();
        // A newcomer reads what it is told of the room.
        self.read(who, 8);
    }

    fn go(&mut self, who: usize, kind: CloseKind) {
        if let Some(client) = self.clients[who].take() {
            self.servers[client.server].switchboard.close(client.conn, kind);
            self.carry();
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
        let (server, conn) = (sender.server, sender.conn);
        if let Some(client) = self.clients[to].as_mut().filter(|client| reaches && !client.outbox.is_ending()) {
            client.expected.push_back(self.said);
            self.crossing += u64::from(client.server != server);
        }
        self.servers[server].switchboard.message(&mut Turn::default(), conn, &message.encode());
    }

    /// Carries what the servers say to each other, and what follows from it.
    fn carry(&mut self) {
        let next = |servers: &mut [Server]| {
            servers.iter_mut().enumerate().find_map(|(index, server)| Some((index, server.next_request()?)))
        };
        while let Some((index, request)) = next(&mut self.servers) {
            let switchboard = &self.servers[index].switchboard;
            let news = match request {
                Request::Claim { number, claim } => {
                    let (claimed, news) = self.meeting.claim(&claim, NOW_MS);
                    switchboard.input(|hub, now| hub.handle_claimed(number, claimed, now));
                    news
                }
                Request::State(statement) => {
                    let (state, news) = self.meeting.state(&statement, NOW_MS);
                    state.into_iter().for_each(|state| switchboard.input(|hub, now| hub.handle_room(state, now)));
                    news
                }
                Request::Forward(forward) => {
                    let to = self.servers.iter().find(|server| server.id == forward.server);
                    let to = to.expect("both servers are there all the time");
                    to.switchboard.input(|hub, _| hub.handle_forwarded(*forward));
                    None
                }
            };
            self.tell(news);
        }
    }

    fn tell(&self, news: News) {
        let Some((state, servers)) = news else { return };
        for server in self.servers.iter().filter(|server| servers.contains(&server.id)) {
            server.switchboard.input(|hub, now| hub.handle_room(state.clone(), now));
        }
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

    /// What holds after every step, at each server.
    fn check(&self) {
        for (index, server) in self.servers.iter().enumerate() {
            let clients = self.clients.iter().flatten().filter(|client| client.server == index);
            let held: Vec<usize> = clients.map(|client| client.outbox.bytes()).collect();
            assert!(held.iter().all(|bytes| *bytes <= OUTBOX_BYTES_MAX), "{held:?}");
            let all = server.switchboard.waiting_bytes();
            assert_eq!(all, held.iter().sum::<usize>(), "what waits is not what is known to wait");
            assert!(all <= ALL_BYTES_MAX, "{all}");
        }
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
        assert!(self.servers.iter().all(|server| server.switchboard.waiting_bytes() == 0));
    }
}

impl Server {
    fn new(index: usize, is_one_of_several: bool) -> Self {
        let config = HubConfig {
            message_burst: u32::MAX / 8,
            byte_burst: u32::MAX,
            // Who is lost is gone at once: time does not pass here.
            resume_window: Duration::ZERO,
            ..HubConfig::default()
        };
        let hub =
            Hub::new(config, super::SECRET, [u8::try_from(index).unwrap_or(0); 32], Instant::now(), 1_760_000_000);
        let sockets = SocketConfig {
            outbox_bytes_max: OUTBOX_BYTES_MAX,
            outboxes_bytes_max: ALL_BYTES_MAX,
            ..SocketConfig::default()
        };
        let metrics = Arc::new(Metrics::new("fuzz"));
        let id = ServerId::from_random(index as u128);
        let hub = if is_one_of_several { hub.spanning(id) } else { hub };
        let switchboard = Switchboard::new(hub, &sockets, Arc::clone(&metrics));
        let mut server = Self { id, switchboard, lanes: Vec::new(), metrics };
        if is_one_of_several {
            let (lanes, receivers) = Lanes::new();
            server.lanes = receivers;
            server.switchboard.reached(lanes);
        }
        server
    }

    fn next_request(&mut self) -> Option<Request> {
        self.lanes.iter_mut().find_map(|lane| lane.try_recv().ok())
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
        for servers in [1, 2] {
            let mut random: u64 = 7;
            let data: Vec<u8> = std::iter::repeat_with(|| {
                // Knuth's MMIX; the upper bits are the better ones.
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                random.to_be_bytes()[0]
            })
            .take(40_000)
            .collect();
            let (mut bytes, mut world, mut fullest) = (Bytes(data.iter()), World::new(servers), 0);
            while let Some(step) = bytes.0.next() {
                world.step(*step, &mut bytes);
                world.check();
                let waiting = world.servers.iter().map(|server| server.switchboard.waiting_bytes());
                fullest = fullest.max(waiting.max().unwrap_or(0));
            }
            let slow: u64 = world.servers.iter().map(too_slow).sum();
            assert!(slow > 50 && world.said > 3_000, "{slow} too slow in {} signals", world.said);
            assert!(servers == 1 || world.crossing > 500, "{} went to the other server", world.crossing);
            // With two, their clients are too few to fill one.
            let least = if servers == 1 { ALL_BYTES_MAX - OUTBOX_BYTES_MAX } else { OUTBOX_BYTES_MAX };
            assert!(fullest > least, "{fullest} at most");
        }
    }

    fn too_slow(server: &Server) -> u64 {
        let text = server.metrics.text(&server.switchboard.census());
        let slow = text.lines().find_map(|line| line.strip_prefix("parlor_refusals_total{code=\"too_slow\"} "));
        slow.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}
