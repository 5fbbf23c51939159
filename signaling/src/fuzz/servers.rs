//! Several hubs around one meeting place, driven by bytes: clients at each of them, links that break and come back, news that
//! is late, lost or repeated, servers that die.
//!
//! What each client sees must be what its own hub has, step by step; a signal reaches the one it was said to, once and in
//! that room. When everything is in reach again and time has passed, all hubs must agree, and everyone who is shown must be there.

mod net;

use std::collections::BTreeMap;
use std::time::Duration;

use parlor_proto::{
    ClientMessage, ErrorCode, MESSAGE_BYTES_MAX, PeerId, PeerInfo, ResumeToken, RoomId, Secret, ServerMessage, Signal,
};

use self::net::Net;
use super::client::{Client, Place};
use super::{Bytes, NAMES, PASSWORDS, hello};
use crate::backplane::LEASE;
use crate::hub::{CloseKind, ConnId, HubConfig, Output};

const CLIENTS: usize = 7;
const CAPACITY: usize = 4;
const ROOMS: [&str; 4] = ["a", "a", "a", "b"];

/// Reads bytes as the doings of clients at two or three servers that share their rooms, and panics where these break a promise.
pub fn fuzz_servers(data: &[u8]) {
    let mut bytes = Bytes(data.iter());
    let mut world = World::new(2 + bytes.below(2));
    while let Some(step) = bytes.0.next() {
        world.step(*step, &mut bytes);
        world.check();
    }
    world.settle();
    world.everyone_leaves();
}

pub(super) struct World {
    net: Net,
    clients: [Client; CLIENTS],
    /// The server of each client's connection.
    at: [usize; CLIENTS],
    /// The latest token of each client.
    tokens: [Option<ResumeToken>; CLIENTS],
    opened: u64,
    /// The signals that were said: in which room, to whom, and whether they were heard.
    signals: Vec<(RoomId, PeerId, bool)>,
    /// The servers have been apart, or waited for each other in vain, so that a room may hold more people than there are places.
    were_apart: bool,
    pub(super) codes: BTreeMap<String, u32>,
    /// Signals that crossed from one server to another.
    pub(super) crossed: u32,
}

impl World {
    pub(super) fn new(servers: usize) -> Self {
        let mut world = Self {
            net: Net::new(servers),
            clients: std::array::from_fn(|_| Client::Closed),
            at: [0; CLIENTS],
            tokens: std::array::from_fn(|_| None),
            opened: 0,
            signals: Vec::new(),
            were_apart: false,
            codes: BTreeMap::new(),
            crossed: 0,
        };
        for server in 0..servers {
            world.net.link_up(server);
        }
        world.drain();
        world
    }

    pub(super) fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        let (who, server) = (bytes.below(CLIENTS), bytes.below(self.net.count()));
        // Weighted, so that most clients are in a room, and the servers in reach, most of the time.
        match step % 32 {
            0..=4 if matches!(self.clients[who], Client::Closed) => self.open(who, server),
            5..=11 => {
                let message = self.any_join(bytes);
                self.say(who, &message);
            }
            12 => self.say(who, &ClientMessage::SetLock { locked: bytes.below(4) == 0 }),
            13 => {
                let password = PASSWORDS.get(bytes.below(16)).map(|text| Secret::from(*text));
                self.say(who, &ClientMessage::SetPassword { password });
            }
            14 if bytes.below(3) == 0 => {
                let peer_id = self.anybody(who, bytes);
                self.say(who, &ClientMessage::Remove { peer_id });
            }
            15 => self.say(who, &ClientMessage::Leave),
            16 => self.close(who, CloseKind::Left),
            17 | 18 => self.close(who, CloseKind::Lost),
            19 | 20 => self.pass_time(Duration::from_millis(bytes.below(256) as u64 * 20)),
            21 if bytes.below(4) == 0 => self.hold(),
            22 => self.net.deliver(bytes.below(8)),
            23 if bytes.below(2) == 0 => self.net.lose_news(server),
            23 => self.net.repeat_news(server),
            24 if bytes.below(4) == 0 => self.lose_link(server),
            24 | 25 => self.net.link_up(server),
            26 if bytes.below(8) == 0 => self.end_server(server, bytes.below(2) == 0),
            _ => self.signal(who, bytes),
        }
        self.drain();
    }

    fn open(&mut self, who: usize, server: usize) {
        self.opened += 1;
        let conn = ConnId(self.opened);
        (self.clients[who], self.at[who]) = (Client::Opened(conn), server);
        self.net.open(server, conn);
        self.say(who, &hello(&[1]));
    }

    fn close(&mut self, who: usize, kind: CloseKind) {
        if let Some(conn) = self.clients[who].conn() {
            self.clients[who] = Client::Closed;
            self.net.close(self.at[who], conn, kind);
        }
    }

    fn say(&mut self, who: usize, message: &ClientMessage) {
        let Some(conn) = self.clients[who].conn() else { return };
        self.net.say(self.at[who], conn, &message.encode());
        self.drain();
        if let (Client::Joined(conn, _), ClientMessage::Leave) = (&self.clients[who], message) {
            self.clients[who] = Client::Greeted(*conn);
        }
    }

    fn signal(&mut self, who: usize, bytes: &mut Bytes<'_>) {
        let to = self.anybody(who, bytes);
        let Client::Joined(_, place) = &self.clients[who] else { return };
        let sdp = self.signals.len().to_string();
        self.signals.push((place.room.clone(), to.clone(), false));
        let connection = "c0ffee".parse().expect("letters and digits");
        self.say(who, &ClientMessage::Signal { to, connection, signal: Signal::Offer { sdp, streams: Vec::new() } });
    }

    fn pass_time(&mut self, by: Duration) {
        let end = self.net.now + by;
        while self.net.advance_to_timeout(end) {
            self.drain();
        }
    }

    fn hold(&mut self) {
        self.were_apart = true;
        self.net.hold();
    }

    fn lose_link(&mut self, server: usize) {
        self.were_apart = true;
        self.net.link_down(server);
    }

    /// A server stops in good order, or dies; another one takes its place, in reach at once.
    fn end_server(&mut self, server: usize, in_order: bool) {
        if in_order {
            self.net.shut_down(server);
            self.drain();
        }
        for who in 0..CLIENTS {
            if self.at[who] == server {
                self.clients[who] = Client::Closed;
            }
        }
        self.net.restart(server);
    }

    fn any_join(&self, bytes: &mut Bytes<'_>) -> ClientMessage {
        let (room, name) = (ROOMS[bytes.below(ROOMS.len())], NAMES[bytes.below(NAMES.len())]);
        let resume = self.tokens.get(bytes.below(CLIENTS * 2)).and_then(Option::as_ref);
        let password = PASSWORDS.get(bytes.below(5)).map(|text| Secret::from(*text));
        ClientMessage::Join {
            room: room.to_owned(),
            name: name.to_owned(),
            resume: resume.map(|token| token.as_str().into()),
            access: None,
            password,
        }
    }

    /// Mostly somebody whom they see, else anybody.
    fn anybody(&self, who: usize, bytes: &mut Bytes<'_>) -> PeerId {
        match (&self.clients[who], &self.clients[bytes.below(CLIENTS)]) {
            (Client::Joined(_, place), _) if !place.others.is_empty() && bytes.below(8) > 0 => {
                let other = place.others.keys().nth(bytes.below(place.others.len()));
                other.cloned().unwrap_or_else(|| place.me.clone())
            }
            (_, Client::Joined(_, place)) => place.me.clone(),
            (_, Client::Closed | Client::Opened(_) | Client::Greeted(_)) => PeerId::from_random(1),
        }
    }

    /// Lets everything happen that is not held back.
    fn drain(&mut self) {
        while let Some((server, output)) = self.net.next_output() {
            match output {
                Output::Send { conn, message } => {
                    assert!(message.encode().len() <= MESSAGE_BYTES_MAX);
                    self.hear(server, conn, message);
                }
                Output::Close { conn, .. } => {
                    let who = self.whose(server, conn);
                    self.clients[who] = Client::Closed;
                }
                Output::Claim { .. } | Output::State(_) | Output::Forward(_) | Output::Stretch(_) => {
                    panic!("{output:?} is for the servers")
                }
            }
        }
    }

    fn whose(&self, server: usize, conn: ConnId) -> usize {
        let who = self.clients.iter().position(|client| client.conn() == Some(conn));
        let who = who.expect("nothing is said to a connection that is closed");
        assert_eq!(self.at[who], server, "a server speaks for another");
        who
    }

    fn hear(&mut self, server: usize, conn: ConnId, message: ServerMessage) {
        let who = self.whose(server, conn);
        match (&mut self.clients[who], message) {
            (client, ServerMessage::Error { code, .. }) => {
                assert_ne!(code, ErrorCode::Internal, "{client:?}");
                *self.codes.entry(format!("{code:?}")).or_default() += 1;
            }
            (Client::Opened(conn), ServerMessage::Welcome { .. }) => self.clients[who] = Client::Greeted(*conn),
            (
                Client::Greeted(conn) | Client::Joined(conn, _),
                ServerMessage::Joined { room, peer_id: me, peers, resume_token, policy, .. },
            ) => {
                self.tokens[who] = Some(resume_token);
                self.clients[who] = Client::Joined(*conn, Place { room, me, policy, others: by_id(peers) });
            }
            (Client::Joined(_, place), ServerMessage::Policy { policy, resume_token }) => {
                place.policy = policy;
                self.tokens[who] = Some(resume_token);
            }
            (Client::Joined(_, place), ServerMessage::Signal { from, signal: Signal::Offer { sdp, .. }, .. }) => {
                let (place, number) = (place.clone(), sdp.parse::<usize>().expect("a number was said"));
                self.hear_signal(server, &place, &from, number);
            }
            (Client::Joined(_, place), message) => follow(place, message),
            (client, message) => panic!("{message:?} to {client:?}"),
        }
    }

    fn hear_signal(&mut self, server: usize, place: &Place, from: &PeerId, number: usize) {
        let (room, to, is_heard) = &mut self.signals[number];
        assert_eq!((&*room, &*to), (&place.room, &place.me), "a signal for somebody else");
        assert!(!std::mem::replace(is_heard, true), "a signal came twice");
        assert_ne!(*from, place.me);
        let is_here = |who: usize| self.at[who] == server && self.clients[who].is(&place.room, from);
        self.crossed += u32::from(!(0..CLIENTS).any(is_here));
    }

    /// What holds after every step: each client sees what its server has.
    pub(super) fn check(&self) {
        for (who, client) in self.clients.iter().enumerate() {
            let Client::Joined(_, place) = client else { continue };
            let (me, others): (Vec<_>, Vec<_>) = self
                .net
                .roster(self.at[who], &place.room)
                .into_iter()
                .partition(|peer: &PeerInfo| peer.peer_id == place.me);
            assert_eq!(me.len(), 1, "{} is there once", place.me);
            assert!(!me[0].away, "{} is away, and hears", place.me);
            assert_eq!(seen(&place.others), seen(&by_id(others)), "what {} sees", place.me);
            assert!(self.were_apart || place.others.len() < CAPACITY, "{} beside {}", place.others.len(), place.me);
        }
    }

    /// Everything is in reach again, and stays so until all that can end has ended.
    pub(super) fn settle(&mut self) {
        self.net.deliver(usize::MAX);
        for server in 0..self.net.count() {
            self.net.link_up(server);
        }
        self.drain();
        let all_over = (LEASE + HubConfig::default().resume_window) * 2;
        self.pass_time(all_over);
        self.check();
        let mut people: BTreeMap<(&RoomId, &PeerId), u32> = BTreeMap::new();
        for client in &self.clients {
            let Client::Joined(_, place) = client else { continue };
            *people.entry((&place.room, &place.me)).or_default() += 1;
        }
        for ((room, me), count) in &people {
            assert_eq!(*count, 1, "{me} is twice in {room}");
        }
        for room in ROOMS.map(|room| room.parse::<RoomId>().expect("a name")) {
            let there = people.keys().filter(|(of, _)| **of == room).count();
            for server in 0..self.net.count() {
                let roster = self.net.roster(server, &room);
                if roster.is_empty() {
                    continue;
                }
                assert_eq!(roster.len(), there, "ghosts in {room} at server {server}: {roster:?}");
                for peer in roster {
                    assert!(!peer.away && people.contains_key(&(&room, &peer.peer_id)), "{peer:?} is nobody");
                }
            }
            assert_eq!(self.net.shared(&room), there, "people in {room} at the meeting place");
        }
    }

    fn everyone_leaves(&mut self) {
        for who in 0..CLIENTS {
            self.close(who, CloseKind::Left);
            self.drain();
        }
        self.pass_time(LEASE * 2);
        for server in 0..self.net.count() {
            assert_eq!(self.net.census(server), (0, 0), "a room of ghosts at server {server}");
        }
        for room in ROOMS.map(|room| room.parse::<RoomId>().expect("a name")) {
            assert_eq!(self.net.shared(&room), 0, "ghosts in {room} at the meeting place");
        }
    }
}

fn by_id(peers: Vec<PeerInfo>) -> BTreeMap<PeerId, PeerInfo> {
    let count = peers.len();
    let peers: BTreeMap<_, _> = peers.into_iter().map(|peer| (peer.peer_id.clone(), peer)).collect();
    assert_eq!(peers.len(), count, "somebody is there twice");
    peers
}

/// Who is seen, and under which name: that of who is away is told when they are back.
fn seen(peers: &BTreeMap<PeerId, PeerInfo>) -> Vec<(&PeerId, Option<&str>)> {
    peers.values().map(|peer| (&peer.peer_id, (!peer.away).then(|| peer.name.as_str()))).collect()
}

/// Follows the roster, which after a time apart is told anew.
fn follow(place: &mut Place, message: ServerMessage) {
    match message {
        ServerMessage::Roster { peers } => place.others = by_id(peers),
        ServerMessage::PeerJoined { peer } => {
            assert_ne!(peer.peer_id, place.me);
            assert!(place.others.insert(peer.peer_id.clone(), peer).is_none(), "joined twice");
        }
        ServerMessage::PeerAway { peer_id } => {
            let peer = place.others.get_mut(&peer_id).expect("who goes away was there");
            assert!(!std::mem::replace(&mut peer.away, true), "away twice");
        }
        ServerMessage::PeerBack { peer } => {
            let before = place.others.insert(peer.peer_id.clone(), peer);
            assert!(before.is_some_and(|peer| peer.away), "back without having been away");
        }
        ServerMessage::PeerLeft { peer_id, .. } => {
            place.others.remove(&peer_id).expect("who leaves was there");
        }
        ServerMessage::IceServers { .. } => {}
        ServerMessage::Welcome { .. }
        | ServerMessage::Joined { .. }
        | ServerMessage::Policy { .. }
        | ServerMessage::Signal { .. }
        | ServerMessage::Error { .. } => panic!("{message:?} is not for a member"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{RngAlgorithm, TestRng};

    use super::*;

    #[test]
    fn signals_cross_and_people_are_locked_out_removed_and_replaced() {
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"parlor hub property test, seed 1");
        let (mut codes, mut crossed) = (BTreeMap::<String, u32>::new(), 0);
        for run in 0..40 {
            let mut data = vec![0; 4_000];
            rng.fill_bytes(&mut data);
            let (mut bytes, mut world) = (Bytes(data.iter()), World::new(2 + run % 2));
            while let Some(step) = bytes.0.next() {
                world.step(*step, &mut bytes);
                world.check();
            }
            world.settle();
            crossed += world.crossed;
            world.codes.iter().for_each(|(code, count)| *codes.entry(code.clone()).or_default() += count);
        }
        assert!(crossed > 500, "{crossed} signals crossed, {codes:?}");
        for code in [
            "NotModerator",
            "PasswordRequired",
            "PasswordWrong",
            "Removed",
            "Replaced",
            "RoomFull",
            "RoomLocked",
            "UnknownPeer",
        ] {
            assert!(codes.get(code).is_some_and(|count| *count > 5), "{code} in {codes:?}");
        }
    }
}
