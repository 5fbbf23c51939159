//! A hub driven by bytes, with a model beside it that knows what every client must see.
//!
//! The model follows only what the hub sends, as a client would; after each step it must agree with the hub's own
//! rosters. Who may come in it knows by itself (`door.rs`). A fuzzer gives the bytes, or a property test does.

mod client;
mod door;
mod expectations;
mod outboxes;
mod passes;
mod servers;
mod websocket;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use parlor_proto::{
    ClientMessage, DecodeMessageError, ErrorCode, PeerId, ResumeToken, RoomId, Secret, ServerMessage, Signal,
};

use self::client::{Client, Place};
use self::door::{Door, Held};
use self::expectations::Expected;
use self::passes::Pass;
use crate::access::InvitedIds;
use crate::hub::admission::Stamp;
use crate::hub::{CloseKind, ConnId, GuessConfig, Hub, HubConfig, Output};

pub use self::outboxes::fuzz_outboxes;
pub use self::servers::fuzz_servers;
pub use self::websocket::fuzz_websocket;

const CLIENTS: usize = 7;
const CAPACITY: usize = 3;
const ROOMS_MAX: usize = 2;
const SECRET: &[u8] = b"a secret for fuzzing";
const ROOMS: [&str; 8] = ["a", "a", "a", "a", " B ", "b", "c", "not a room"];
const NAMES: [&str; 8] = ["Ana", "Bo", "Cleo", "Dee", "Eli", "Flo", "Ana", " \u{7}"];
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The last one is no password, though it can be tried.
const PASSWORDS: [&str; 3] = ["x", "y", ""];
/// Longer than the stamps of one run can be ahead of the clock.
const RESTART: Duration = Duration::from_secs(10);
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// Reads bytes as the doings of several clients at one hub, and panics where the hub breaks a promise.
pub fn fuzz_hub(data: &[u8]) {
    let mut bytes = Bytes(data.iter());
    let mut model = Model::new(bytes.below(4) == 0);
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

/// What a token stands for, and until when.
#[derive(Clone, Debug)]
struct Issued {
    token: ResumeToken,
    room: RoomId,
    peer_id: PeerId,
    until: Instant,
    /// What it says about the room; none until the step is over in which it was given.
    held: Option<Held>,
}

struct Model {
    hub: Hub,
    /// Whether the server asks for access tokens.
    invited: bool,
    ids: InvitedIds,
    passes: Vec<Pass>,
    doors: BTreeMap<RoomId, Door>,
    /// How often a token told the server what it did not know, and how many had to go then.
    learnt: (u32, usize),
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
    fn new(invited: bool) -> Self {
        let now = Instant::now();
        Self {
            hub: new_hub(invited, 0, now, 0),
            invited,
            ids: InvitedIds::new(SECRET),
            passes: passes::all(),
            doors: BTreeMap::new(),
            learnt: (0, 0),
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
            14 => {
                let locked = bytes.below(3) == 0;
                self.say(who, &ClientMessage::SetLock { locked });
            }
            15 | 17 => {
                let password = PASSWORDS.get(bytes.below(6)).map(|text| Secret::from(*text));
                self.say(who, &ClientMessage::SetPassword { password });
            }
            16 => {
                let peer_id = self.anybody(who, bytes);
                self.say(who, &ClientMessage::Remove { peer_id });
            }
            22 => self.say(who, &ClientMessage::Leave),
            23 => self.close(who, CloseKind::Left),
            24 | 25 => self.close(who, CloseKind::Lost),
            26 | 27 => self.pass_time(bytes),
            28 => self.say_text(who, &bytes.text()),
            29 => self.say_binary(who),
            30 if bytes.below(5) == 0 => self.restart(),
            _ => {
                let message = self.any_signal(who, bytes);
                self.say(who, &message);
            }
        }
        self.follow_rooms();
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
        let before = self.clients.clone();
        let sender = before[who].clone();
        self.hub.handle_message(conn, &message.encode(), self.now);
        self.drain();
        assert_eq!(self.errors[who], Vec::from_iter(expected.refusal), "{message:?} by {sender:?}");
        self.check_deliveries(&sender, message, expected.refusal);
        self.check_gone(who, &before, expected.gone.as_ref());
        match (&sender, expected) {
            (_, Expected { refusal: Some(_), .. }) => {}
            (_, Expected { enters: Some(entry), .. }) => self.note_entry(who, entry),
            (Client::Joined(_, place), _) => self.note_policy(place, message),
            (Client::Closed | Client::Opened(_) | Client::Greeted(_), _) => {}
        }
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
        self.now += RESTART;
        let elapsed_secs = self.now.duration_since(self.started_at).as_secs();
        self.hub = new_hub(self.invited, self.restarts, self.now, elapsed_secs);
        self.follow_rooms();
        for who in 0..CLIENTS {
            self.open(who);
            self.hub.handle_message(ConnId(self.opened), &hello(&[1]).encode(), self.now);
            self.drain();
        }
    }

    fn any_join(&self, bytes: &mut Bytes<'_>) -> ClientMessage {
        let (room, name) = (ROOMS[bytes.below(ROOMS.len())], NAMES[bytes.below(NAMES.len())]);
        let issued = self.tokens.get(bytes.below(CLIENTS * 2)).and_then(Option::as_ref);
        let resume = issued.map(|issued| issued.token.as_str().into());
        let passes = self.passes.get(bytes.below(self.passes.len() + 2)).filter(|_| self.invited);
        let access = passes.map(|pass| pass.text.as_str().into());
        let password = PASSWORDS.get(bytes.below(5)).map(|text| Secret::from(*text));
        ClientMessage::Join { room: room.to_owned(), name: name.to_owned(), resume, access, password }
    }

    fn any_signal(&self, who: usize, bytes: &mut Bytes<'_>) -> ClientMessage {
        let connection = "c0ffee".parse().expect("letters and digits");
        ClientMessage::Signal { to: self.anybody(who, bytes), connection, signal: Signal::EndOfCandidates }
    }

    /// Mostly somebody in the same room, else anybody or nobody.
    fn anybody(&self, who: usize, bytes: &mut Bytes<'_>) -> PeerId {
        let to = match (&self.clients[who], self.clients.get(bytes.below(CLIENTS + 1))) {
            (Client::Joined(_, place), _) if !place.others.is_empty() && bytes.below(4) > 0 => {
                place.others.keys().nth(bytes.below(place.others.len())).cloned()
            }
            (_, Some(Client::Joined(_, place))) => Some(place.me.clone()),
            (_, Some(Client::Closed | Client::Opened(_) | Client::Greeted(_)) | None) => None,
        };
        to.unwrap_or_else(|| PeerId::from_random(1))
    }

    /// Leaves off the doors what the hub no longer has, and learns the stamps.
    fn follow_rooms(&mut self) {
        self.doors.retain(|room, _| self.hub.stamps(room).is_some());
        for (room, door) in &mut self.doors {
            let (founded, revision) = self.hub.stamps(room).unwrap_or_default();
            if door.held.founded == Stamp::default() {
                door.held.founded = founded;
            }
            assert_eq!(door.held.founded, founded, "which life of {room} this is");
            assert!(revision >= door.held.revision, "{room} went back");
            door.held.revision = revision;
            let roster = self.hub.roster(room);
            door.members.retain(|member, _| roster.iter().any(|peer| peer.peer_id == *member));
            assert_eq!(door.members.len(), roster.len(), "who is in {room}");
        }
        assert_eq!(self.doors.len(), self.hub.rooms().count());
        for issued in self.tokens.iter_mut().flatten().filter(|issued| issued.held.is_none()) {
            issued.held = self.doors.get(&issued.room).map(|door| door.held.sealed());
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
                Output::Stretch(stretch) => self.hub.handle_stretched(stretch.run(), self.now),
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
                ServerMessage::Joined { room, peer_id: me, peers, resume_token: token, policy, .. },
            ) => {
                let others = peers.into_iter().map(|peer| (peer.peer_id.clone(), peer)).collect();
                let until = self.now + TOKEN_LIFETIME;
                self.tokens[who] = Some(Issued { token, room: room.clone(), peer_id: me.clone(), until, held: None });
                self.clients[who] = Client::Joined(*conn, Place { room, me, policy, others });
            }
            (Client::Joined(_, place), ServerMessage::Policy { policy, resume_token: token }) => {
                place.policy = policy;
                let (room, peer_id, until) = (place.room.clone(), place.me.clone(), self.now + TOKEN_LIFETIME);
                self.tokens[who] = Some(Issued { token, room, peer_id, until, held: None });
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
            let held = &self.doors[&place.room].held;
            let told = (place.policy.locked, place.policy.has_password);
            assert_eq!(told, (held.locked, held.password.is_some()), "what {} was told", place.me);
        }
        for room in self.doors.keys().filter(|_| !self.invited) {
            let moderates = |client: &Client| matches!(client, Client::Joined(_, place) if place.room == *room && place.policy.may_moderate);
            let moderators = self.clients.iter().filter(|client| moderates(client)).count();
            assert!(moderators <= 1, "{moderators} moderate {room}");
            let is_soon = self.hub.poll_timeout().is_some_and(|at| at <= self.now + Duration::from_secs(10));
            assert!(moderators == 1 || is_soon, "nobody moderates {room}, and nobody is away or awaited");
        }
    }

    fn everyone_leaves(&mut self) {
        for who in 0..CLIENTS {
            self.close(who, CloseKind::Left);
            self.follow_rooms();
            self.check();
        }
        self.now += Duration::from_secs(10);
        self.hub.handle_timeout(self.now);
        self.drain();
        assert_eq!((self.hub.rooms().count(), self.hub.connection_count()), (0, 0), "a room of ghosts");
        assert_eq!(self.hub.poll_timeout(), None);
    }
}

fn new_hub(invited: bool, seed: u8, now: Instant, elapsed_secs: u64) -> Hub {
    let config = HubConfig {
        room_capacity: u32::try_from(CAPACITY).unwrap_or(u32::MAX),
        rooms_max: ROOMS_MAX,
        token_lifetime: TOKEN_LIFETIME,
        message_burst: u32::MAX / 2,
        access: passes::key().filter(|_| invited),
        password_iterations: NonZeroU32::MIN,
        guesses: without_limits(),
        ..HubConfig::default()
    };
    Hub::new(config, SECRET, [seed; 32], now, 1_760_000_000 + elapsed_secs)
}

fn without_limits() -> GuessConfig {
    let many = u32::MAX / 2;
    GuessConfig {
        per_address: many,
        per_room: many,
        address_hash_burst: many,
        address_hashes_per_sec: many,
        ..GuessConfig::default()
    }
}

fn hello(versions: &[u32]) -> ClientMessage {
    ClientMessage::Hello { versions: versions.to_vec(), client: String::new() }
}

#[cfg(test)]
mod tests;
