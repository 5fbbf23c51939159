//! A hub driven by bytes, with a model beside it that knows what every client must see.
//!
//! The model follows only what the hub sends, as a client would; after each step it must agree with the hub's own
//! rosters. A fuzzer gives the bytes, or a property test does.

mod websocket;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use parlor_proto::{
    ClientMessage, DecodeMessageError, ErrorCode, LeaveReason, PeerId, PeerInfo, ResumeToken, RoomId, ServerMessage,
    Signal,
};

use crate::hub::{CloseKind, ConnId, Hub, HubConfig, Output};

pub use self::websocket::fuzz_websocket;

const CLIENTS: usize = 7;
const CAPACITY: usize = 3;
const ROOMS_MAX: usize = 2;
const SECRET: &[u8] = b"a secret for fuzzing";
const ROOMS: [&str; 8] = ["a", "a", "a", "a", " B ", "b", "c", "not a room"];
const NAMES: [&str; 8] = ["Ana", "Bo", "Cleo", "Dee", "Eli", "Flo", "Ana", " \u{7}"];
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// Reads bytes as the doings of several clients at one hub, and panics where the hub breaks a promise.
pub fn fuzz_hub(data: &[u8]) {
    let mut bytes = Bytes(data.iter());
    let mut model = Model::new();
    while let Some(step) = bytes.0.next() {
        model.step(*step, &mut bytes);
        model.check();
    }
    model.everyone_leaves();
}

struct Bytes<'data>(std::slice::Iter<'data, u8>);

impl Bytes<'_> {
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % end
    }

    fn text(&mut self) -> String {
        let length = self.below(64);
        String::from_utf8_lossy(&self.0.by_ref().take(length).copied().collect::<Vec<_>>()).into_owned()
    }
}

/// What a client knows of itself.
#[derive(Clone, Debug)]
enum Client {
    Closed,
    Opened(ConnId),
    Greeted(ConnId),
    Joined(ConnId, Place),
}

#[derive(Clone, Debug)]
struct Place {
    room: RoomId,
    me: PeerId,
    others: BTreeMap<PeerId, PeerInfo>,
}

/// What a token stands for, and until when.
#[derive(Clone, Debug)]
struct Issued {
    token: ResumeToken,
    room: RoomId,
    peer_id: PeerId,
    until: Instant,
}

struct Model {
    hub: Hub,
    now: Instant,
    started_at: Instant,
    opened: u64,
    restarts: u8,
    clients: [Client; CLIENTS],
    /// The latest token of each client.
    tokens: [Option<Issued>; CLIENTS],
    /// Errors each client got in this step.
    errors: [Vec<ErrorCode>; CLIENTS],
    /// Signals delivered in this step: to whom, from whom.
    signals: Vec<(usize, PeerId)>,
}

impl Model {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            hub: new_hub(0, now, 0),
            now,
            started_at: now,
            opened: 0,
            restarts: 0,
            clients: std::array::from_fn(|_| Client::Closed),
            tokens: std::array::from_fn(|_| None),
            errors: std::array::from_fn(|_| Vec::new()),
            signals: Vec::new(),
        }
    }

    fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        self.errors = std::array::from_fn(|_| Vec::new());
        self.signals.clear();
        let who = bytes.below(CLIENTS);
        // Weighted, so that most clients are in a room most of the time.
        match step % 32 {
            0..=3 if matches!(self.clients[who], Client::Closed) => {
                self.open(who);
                self.say(who, &hello(&[1]));
            }
            4 => self.open(who),
            5 => self.say(who, &hello(&[1, 2])),
            6 => self.say(who, &hello(&[2])),
            7..=13 => {
                let message = self.any_join(bytes);
                self.say(who, &message);
            }
            22 => self.say(who, &ClientMessage::Leave),
            23 => self.close(who, CloseKind::Left),
            24 | 25 => self.close(who, CloseKind::Lost),
            26 | 27 => self.pass_time(bytes),
            28 => self.say_text(who, &bytes.text()),
            29 => self.say_binary(who),
            30 if bytes.below(8) == 0 => self.restart(),
            _ => {
                let message = self.any_signal(who, bytes);
                self.say(who, &message);
            }
        }
    }

    fn open(&mut self, who: usize) {
        // A client that forgets its connection without closing it: the hub hears of the end first.
        self.close(who, CloseKind::Lost);
        self.opened += 1;
        let conn = ConnId(self.opened);
        self.clients[who] = Client::Opened(conn);
        self.hub.handle_open(conn, ADDRESS, self.now);
        self.drain();
    }

    fn close(&mut self, who: usize, kind: CloseKind) {
        if let Some(conn) = self.clients[who].conn() {
            self.clients[who] = Client::Closed;
            self.hub.handle_close(conn, kind, self.now);
            self.drain();
        }
    }

    fn say(&mut self, who: usize, message: &ClientMessage) {
        let Some(conn) = self.clients[who].conn() else { return };
        let expected = self.expected(who, message);
        let sender = self.clients[who].clone();
        self.hub.handle_message(conn, &message.encode(), self.now);
        self.drain();
        assert_eq!(self.errors[who], Vec::from_iter(expected), "{message:?} by {sender:?}");
        self.check_deliveries(&sender, message, expected);
        if let (Client::Joined(..), ClientMessage::Leave) = (&sender, message) {
            self.clients[who] = Client::Greeted(conn);
        }
    }

    fn say_text(&mut self, who: usize, text: &str) {
        let Some(conn) = self.clients[who].conn() else { return };
        let expected = match ClientMessage::decode(text) {
            Ok(message) => return self.say(who, &message),
            Err(DecodeMessageError::UnknownType) => ErrorCode::UnknownMessage,
            Err(DecodeMessageError::Malformed(_)) => ErrorCode::Malformed,
        };
        self.hub.handle_message(conn, text, self.now);
        self.drain();
        assert_eq!(self.errors[who], [expected], "{text:?}");
    }

    fn say_binary(&mut self, who: usize) {
        let Some(conn) = self.clients[who].conn() else { return };
        self.hub.handle_binary(conn, 4, self.now);
        self.drain();
        assert_eq!(self.errors[who], [ErrorCode::Malformed]);
    }

    fn pass_time(&mut self, bytes: &mut Bytes<'_>) {
        // Whole seconds, as tokens know them.
        self.now += Duration::from_secs(u64::try_from(bytes.below(9)).unwrap_or(0));
        self.hub.handle_timeout(self.now);
        self.drain();
        assert!(self.hub.poll_timeout().is_none_or(|at| at > self.now), "a time-out lies in the past");
    }

    fn restart(&mut self) {
        self.hub.shut_down(None);
        self.drain();
        assert!(self.clients.iter().all(|client| matches!(client, Client::Closed)));
        assert_eq!((self.hub.rooms().count(), self.hub.connection_count()), (0, 0));
        self.restarts = self.restarts.wrapping_add(1);
        let elapsed_secs = self.now.duration_since(self.started_at).as_secs();
        self.hub = new_hub(self.restarts, self.now, elapsed_secs);
    }

    fn any_join(&self, bytes: &mut Bytes<'_>) -> ClientMessage {
        let (room, name) = (ROOMS[bytes.below(ROOMS.len())], NAMES[bytes.below(NAMES.len())]);
        let issued = self.tokens.get(bytes.below(CLIENTS * 2)).and_then(Option::as_ref);
        let resume = issued.map(|issued| issued.token.as_str().to_owned());
        ClientMessage::Join { room: room.to_owned(), name: name.to_owned(), resume, access: None, password: None }
    }

    /// Mostly to somebody in the same room, else to anybody or nobody.
    fn any_signal(&self, who: usize, bytes: &mut Bytes<'_>) -> ClientMessage {
        let to = match (&self.clients[who], self.clients.get(bytes.below(CLIENTS + 1))) {
            (Client::Joined(_, place), _) if !place.others.is_empty() && bytes.below(4) > 0 => {
                place.others.keys().nth(bytes.below(place.others.len())).cloned()
            }
            (_, Some(Client::Joined(_, place))) => Some(place.me.clone()),
            (_, Some(Client::Closed | Client::Opened(_) | Client::Greeted(_)) | None) => None,
        };
        let to = to.unwrap_or_else(|| PeerId::from_random(1));
        let connection = "c0ffee".parse().expect("letters and digits");
        ClientMessage::Signal { to, connection, signal: Signal::EndOfCandidates }
    }

    /// The code that this message must be refused with, by the words of `PROTOCOL.md`.
    fn expected(&self, who: usize, message: &ClientMessage) -> Option<ErrorCode> {
        match (&self.clients[who], message) {
            (Client::Closed, _) => None,
            (Client::Opened(_), ClientMessage::Hello { versions, .. }) => {
                (!versions.contains(&1)).then_some(ErrorCode::UnsupportedVersion)
            }
            (Client::Opened(_), _) | (_, ClientMessage::Hello { .. }) => Some(ErrorCode::ExpectedHello),
            (Client::Greeted(_), ClientMessage::Join { room, name, resume, .. }) => {
                self.expected_of_join(room, name, resume.as_deref())
            }
            (Client::Greeted(_), _) => Some(ErrorCode::NotJoined),
            (Client::Joined(_, place), ClientMessage::Join { room, .. }) => match room.parse::<RoomId>() {
                Err(_) => Some(ErrorCode::InvalidRoom),
                Ok(room) => (room != place.room).then_some(ErrorCode::AlreadyJoined),
            },
            (Client::Joined(_, place), ClientMessage::Signal { to, .. }) if *to == place.me => {
                Some(ErrorCode::SelfSignal)
            }
            (Client::Joined(_, place), ClientMessage::Signal { to, .. }) => {
                let is_there = place.others.get(to).is_some_and(|peer| !peer.away);
                (!is_there).then_some(ErrorCode::UnknownPeer)
            }
            (Client::Joined(..), ClientMessage::Leave | ClientMessage::RefreshIceServers) => None,
            (
                Client::Joined(..),
                ClientMessage::SetLock { .. } | ClientMessage::SetPassword { .. } | ClientMessage::Remove { .. },
            ) => Some(ErrorCode::NotModerator),
        }
    }

    fn expected_of_join(&self, room: &str, name: &str, resume: Option<&str>) -> Option<ErrorCode> {
        let Ok(room) = room.parse::<RoomId>() else { return Some(ErrorCode::InvalidRoom) };
        if name.parse::<parlor_proto::DisplayName>().is_err() {
            return Some(ErrorCode::InvalidName);
        }
        let roster = self.hub.roster(&room);
        let resumed = self.resumed(&room, resume);
        if resumed.is_some_and(|peer_id| roster.iter().any(|peer| peer.peer_id == peer_id)) {
            None
        } else if roster.is_empty() {
            (self.hub.rooms().count() >= ROOMS_MAX).then_some(ErrorCode::TooManyRooms)
        } else {
            (roster.len() >= CAPACITY).then_some(ErrorCode::RoomFull)
        }
    }

    /// Who this token restores in this room.
    fn resumed(&self, room: &RoomId, token: Option<&str>) -> Option<PeerId> {
        let issued = self.tokens.iter().flatten().find(|issued| Some(issued.token.as_str()) == token)?;
        (issued.room == *room && issued.until > self.now).then(|| issued.peer_id.clone())
    }

    /// A signal that is not refused reaches its addressee and nobody else; nothing else makes a signal.
    fn check_deliveries(&self, sender: &Client, message: &ClientMessage, refused: Option<ErrorCode>) {
        match (sender, message) {
            (Client::Joined(_, place), ClientMessage::Signal { to, .. }) if refused.is_none() => {
                let [(receiver, from)] = &self.signals[..] else { panic!("signals: {:?}", self.signals) };
                assert_eq!(*from, place.me);
                let Client::Joined(_, other) = &self.clients[*receiver] else { panic!("a signal to nobody") };
                assert_eq!((&other.me, &other.room), (to, &place.room));
            }
            (_, _) => assert_eq!(self.signals, []),
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { conn, message } => {
                    assert!(message.encode().len() <= parlor_proto::MESSAGE_BYTES_MAX);
                    let who = self.whose(conn);
                    self.hear(who, message);
                }
                Output::Close { conn, code, .. } => {
                    let who = self.whose(conn);
                    let last = self.errors[who].last().and_then(|error| error.close_code());
                    assert_eq!(last, Some(code), "a close without its error");
                    self.clients[who] = Client::Closed;
                }
                Output::Claim { .. } | Output::State(_) | Output::Forward(_) => panic!("a hub alone says {output:?}"),
            }
        }
    }

    fn whose(&self, conn: ConnId) -> usize {
        let who = self.clients.iter().position(|client| client.conn() == Some(conn));
        who.expect("nothing is said to a connection that is closed")
    }

    fn hear(&mut self, who: usize, message: ServerMessage) {
        if let ServerMessage::Error { code, .. } = message {
            return self.errors[who].push(code);
        }
        match (&mut self.clients[who], message) {
            (Client::Opened(conn), ServerMessage::Welcome { .. }) => self.clients[who] = Client::Greeted(*conn),
            (
                Client::Greeted(conn) | Client::Joined(conn, _),
                ServerMessage::Joined { room, peer_id: me, peers, resume_token: token, .. },
            ) => {
                let others = peers.into_iter().map(|peer| (peer.peer_id.clone(), peer)).collect();
                let until = self.now + TOKEN_LIFETIME;
                self.tokens[who] = Some(Issued { token, room: room.clone(), peer_id: me.clone(), until });
                self.clients[who] = Client::Joined(*conn, Place { room, me, others });
            }
            (Client::Joined(_, place), ServerMessage::Policy { resume_token: token, .. }) => {
                let (room, peer_id, until) = (place.room.clone(), place.me.clone(), self.now + TOKEN_LIFETIME);
                self.tokens[who] = Some(Issued { token, room, peer_id, until });
            }
            (Client::Joined(_, place), message) => {
                if let Some(from) = place.hear(message) {
                    self.signals.push((who, from));
                }
            }
            (client, message) => panic!("{message:?} to {client:?}"),
        }
    }

    /// What holds after every step.
    fn check(&self) {
        for room in self.hub.rooms() {
            let roster = self.hub.roster(room);
            assert!((1..=CAPACITY).contains(&roster.len()), "{} in {room}", roster.len());
            let ids: BTreeSet<_> = roster.iter().map(|peer| &peer.peer_id).collect();
            assert_eq!(ids.len(), roster.len(), "the same id twice in {room}");
            for peer in roster.iter().filter(|peer| !peer.away) {
                let holders = self.clients.iter().filter(|client| client.is(room, &peer.peer_id)).count();
                assert_eq!(holders, 1, "{peer:?} in {room} is held by {holders} clients");
            }
        }
        assert!(self.hub.rooms().count() <= ROOMS_MAX);
        for client in &self.clients {
            let Client::Joined(_, place) = client else { continue };
            let (me, others): (Vec<_>, Vec<_>) =
                self.hub.roster(&place.room).into_iter().partition(|peer| peer.peer_id == place.me);
            assert_eq!(me.len(), 1);
            let others: BTreeMap<_, _> = others.into_iter().map(|peer| (peer.peer_id.clone(), peer)).collect();
            assert_eq!(place.others, others, "what {} sees", place.me);
        }
    }

    fn everyone_leaves(&mut self) {
        for who in 0..CLIENTS {
            self.close(who, CloseKind::Left);
            self.check();
        }
        self.now += Duration::from_secs(10);
        self.hub.handle_timeout(self.now);
        self.drain();
        assert_eq!((self.hub.rooms().count(), self.hub.connection_count()), (0, 0), "a room of ghosts");
        assert_eq!(self.hub.poll_timeout(), None);
    }
}

impl Client {
    fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Closed => None,
            Self::Opened(conn) | Self::Greeted(conn) | Self::Joined(conn, _) => Some(*conn),
        }
    }

    fn is(&self, room: &RoomId, peer_id: &PeerId) -> bool {
        matches!(self, Self::Joined(_, place) if place.room == *room && place.me == *peer_id)
    }
}

impl Place {
    /// Follows the roster; returns the sender of a signal.
    fn hear(&mut self, message: ServerMessage) -> Option<PeerId> {
        match message {
            ServerMessage::PeerJoined { peer } => {
                assert!(!peer.away && peer.peer_id != self.me);
                assert!(self.others.insert(peer.peer_id.clone(), peer).is_none(), "joined twice");
            }
            ServerMessage::PeerAway { peer_id } => {
                let peer = self.others.get_mut(&peer_id).expect("who goes away was there");
                assert!(!std::mem::replace(&mut peer.away, true), "away twice");
            }
            ServerMessage::PeerBack { peer } => {
                let before = self.others.insert(peer.peer_id.clone(), peer);
                assert!(before.is_some_and(|peer| peer.away), "back without having been away");
            }
            ServerMessage::PeerLeft { peer_id, reason } => {
                let peer = self.others.remove(&peer_id).expect("who leaves was there");
                assert_eq!(peer.away, reason == LeaveReason::Timeout);
            }
            ServerMessage::Signal { from, .. } => return Some(from),
            ServerMessage::IceServers { .. } => {}
            ServerMessage::Welcome { .. }
            | ServerMessage::Joined { .. }
            | ServerMessage::Policy { .. }
            | ServerMessage::Roster { .. }
            | ServerMessage::Error { .. } => {
                panic!("{message:?} is not for a member")
            }
        }
        None
    }
}

fn new_hub(seed: u8, now: Instant, elapsed_secs: u64) -> Hub {
    let config = HubConfig {
        room_capacity: u32::try_from(CAPACITY).unwrap_or(u32::MAX),
        rooms_max: ROOMS_MAX,
        token_lifetime: TOKEN_LIFETIME,
        message_burst: u32::MAX / 2,
        ..HubConfig::default()
    };
    Hub::new(config, SECRET, [seed; 32], now, 1_760_000_000 + elapsed_secs)
}

fn hello(versions: &[u32]) -> ClientMessage {
    ClientMessage::Hello { versions: versions.to_vec(), client: String::new() }
}

#[cfg(test)]
mod tests;
