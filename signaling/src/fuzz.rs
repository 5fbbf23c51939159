//! A hub driven by bytes, with a model beside it that knows what every client must see.
//!
//! The model follows only what the hub sends, as a client would; after each step it must agree with the hub's own
//! rosters. Who may come in it knows by itself (`door.rs`). A fuzzer gives the bytes, or a property test does.

mod door;
mod passes;

mod outboxes;
mod websocket;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use parlor_proto::{
    ClientMessage, DecodeMessageError, DisplayName, ErrorCode, LeaveReason, PeerId, PeerInfo, ResumeToken, RoomId,
    RoomPolicy, Secret, ServerMessage, Signal,
};

use self::door::{Came, Door, Held};
use self::passes::Pass;
use crate::access::InvitedIds;
use crate::hub::admission::Stamp;
use crate::hub::{CloseKind, ConnId, GuessConfig, Hub, HubConfig, Output};

pub use self::outboxes::fuzz_outboxes;
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
    policy: RoomPolicy,
    others: BTreeMap<PeerId, PeerInfo>,
}

/// A message as it must go: who is sent away by it, and what its sender is refused with.
#[derive(Debug, Default)]
struct Expected {
    refusal: Option<ErrorCode>,
    gone: Option<(RoomId, Vec<PeerId>)>,
    enters: Option<Entry>,
}

/// Somebody about to come in.
#[derive(Debug)]
struct Entry {
    room: RoomId,
    who: Option<PeerId>,
    came: Came,
    token: Option<Held>,
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

    /// How this message must go, by the words of `PROTOCOL.md`.
    fn expected(&mut self, who: usize, message: &ClientMessage) -> Expected {
        let refused = |refusal: Option<ErrorCode>| Expected { refusal, ..Expected::default() };
        match (self.clients[who].clone(), message) {
            (Client::Closed, _) => refused(None),
            (Client::Opened(_), ClientMessage::Hello { versions, .. }) => {
                refused((!versions.contains(&1)).then_some(ErrorCode::UnsupportedVersion))
            }
            (Client::Opened(_), _) | (_, ClientMessage::Hello { .. }) => refused(Some(ErrorCode::ExpectedHello)),
            (Client::Greeted(_), ClientMessage::Join { .. }) => {
                let mut gone = None;
                match self.expected_of_join(message, &mut gone) {
                    Ok(enters) => Expected { refusal: None, gone, enters: Some(enters) },
                    Err(code) => Expected { refusal: Some(code), gone, enters: None },
                }
            }
            (Client::Greeted(_), _) => refused(Some(ErrorCode::NotJoined)),
            (Client::Joined(_, place), ClientMessage::Remove { peer_id }) => {
                let refusal = place.refusal_of(message);
                let gone = refusal.is_none().then(|| (place.room.clone(), vec![peer_id.clone()]));
                Expected { refusal, gone, enters: None }
            }
            (Client::Joined(_, place), _) => refused(place.refusal_of(message)),
        }
    }

    /// How somebody comes in, or what they are refused with. Whoever has to go then is `gone`, either way.
    fn expected_of_join(
        &mut self,
        message: &ClientMessage,
        gone: &mut Option<(RoomId, Vec<PeerId>)>,
    ) -> Result<Entry, ErrorCode> {
        let ClientMessage::Join { room, name, resume, access, password } = message else { panic!("a join") };
        let room = room.parse::<RoomId>().map_err(|_| ErrorCode::InvalidRoom)?;
        let issued = self.issued(&room, resume.as_ref().map(Secret::reveal));
        let invited = match (self.invited, access) {
            (false, _) => None,
            (true, None) if issued.is_none() => return Err(ErrorCode::AccessRequired),
            (true, None) => None,
            (true, Some(text)) => match self.invited_id(text.reveal(), &room) {
                Err(code) if issued.is_none() => return Err(code),
                found => found.ok(),
            },
        };
        name.parse::<DisplayName>().map_err(|_| ErrorCode::InvalidName)?;
        let issued = issued.filter(|issued| invited.as_ref().is_none_or(|id| *id == issued.peer_id));
        let who = invited.or_else(|| issued.as_ref().map(|issued| issued.peer_id.clone()));
        let token = issued.and_then(|issued| issued.held);
        if let (Some(door), Some(token)) = (self.doors.get_mut(&room), &token) {
            *gone = door.learn(token, self.now).map(|gone| (room.clone(), gone));
            if let Some((_, gone)) = gone {
                self.learnt = (self.learnt.0 + 1, self.learnt.1 + gone.len());
            }
            if door.members.is_empty() {
                self.doors.remove(&room);
            }
        }
        let came = match self.doors.get(&room) {
            None if self.doors.len() >= ROOMS_MAX => return Err(ErrorCode::TooManyRooms),
            // The token says what holds from now on, and so its bearer is in.
            None => Came { vouched: token.as_ref().map(|token| token.revision), password: None },
            Some(door) => {
                let came = door.judge(who.as_ref(), token.as_ref(), password.as_ref().map(Secret::reveal))?;
                let is_member = who.as_ref().is_some_and(|who| door.members.contains_key(who));
                if !is_member && door.members.len() >= CAPACITY {
                    return Err(ErrorCode::RoomFull);
                }
                came
            }
        };
        Ok(Entry { room, who, came, token })
    }

    /// What this token restores in this room.
    fn issued(&self, room: &RoomId, token: Option<&str>) -> Option<Issued> {
        let issued = self.tokens.iter().flatten().find(|issued| Some(issued.token.as_str()) == token)?;
        (issued.room == *room && issued.until > self.now).then(|| issued.clone())
    }

    fn invited_id(&self, access: &str, room: &RoomId) -> Result<PeerId, ErrorCode> {
        let pass = self.passes.iter().find(|pass| pass.text == access);
        pass.map_or(Err(ErrorCode::AccessInvalid), |pass| pass.peer_id(&self.ids, room))
    }

    fn note_entry(&mut self, who: usize, entry: Entry) {
        let Client::Joined(_, place) = &self.clients[who] else { panic!("not in the room") };
        assert!(entry.who.is_none_or(|id| id == place.me), "somebody else than they are");
        let door = self.doors.entry(entry.room).or_insert_with(|| Door::new(entry.token.as_ref(), self.now));
        door.members.entry(place.me.clone()).or_insert(entry.came);
    }

    /// Something about the room of `place` was changed by its moderator.
    fn note_policy(&mut self, place: &Place, message: &ClientMessage) {
        let Some(door) = self.doors.get_mut(&place.room) else { return };
        let (_, now) = self.hub.stamps(&place.room).unwrap_or_default();
        let closes = match message {
            ClientMessage::SetLock { locked } => {
                door.held.locked = *locked;
                *locked
            }
            ClientMessage::SetPassword { password } => {
                door.held.password = password.as_ref().map(|text| (text.reveal().to_owned(), now));
                password.is_some()
            }
            ClientMessage::Remove { peer_id } => door.held.remove(peer_id),
            ClientMessage::Hello { .. }
            | ClientMessage::Join { .. }
            | ClientMessage::Signal { .. }
            | ClientMessage::RefreshIceServers
            | ClientMessage::Leave => false,
        };
        if closes {
            door.held.closed = now;
        }
    }

    /// Who had to go was told so and cut; nobody else was.
    fn check_gone(&self, sender: usize, before: &[Client; CLIENTS], gone: Option<&(RoomId, Vec<PeerId>)>) {
        for (who, client) in before.iter().enumerate().filter(|(who, _)| *who != sender) {
            let goes = gone.is_some_and(|(room, gone)| gone.iter().any(|peer_id| client.is(room, peer_id)));
            assert_eq!(self.errors[who].contains(&ErrorCode::Removed), goes, "{client:?}");
            assert!(!goes || matches!(self.clients[who], Client::Closed), "{client:?} was removed and is there");
        }
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
    /// What a member's message must be refused with.
    fn refusal_of(&self, message: &ClientMessage) -> Option<ErrorCode> {
        let not_moderator = (!self.policy.may_moderate).then_some(ErrorCode::NotModerator);
        match message {
            ClientMessage::Hello { .. } => Some(ErrorCode::ExpectedHello),
            ClientMessage::Join { room, .. } => match room.parse::<RoomId>() {
                Err(_) => Some(ErrorCode::InvalidRoom),
                Ok(room) => (room != self.room).then_some(ErrorCode::AlreadyJoined),
            },
            ClientMessage::Signal { to, .. } if *to == self.me => Some(ErrorCode::SelfSignal),
            ClientMessage::Signal { to, .. } => {
                let is_there = self.others.get(to).is_some_and(|peer| !peer.away);
                (!is_there).then_some(ErrorCode::UnknownPeer)
            }
            ClientMessage::Leave | ClientMessage::RefreshIceServers => None,
            ClientMessage::SetLock { .. } => not_moderator,
            ClientMessage::SetPassword { password } => {
                let is_wrong =
                    password.as_ref().is_some_and(|text| !(1..=128).contains(&text.reveal().chars().count()));
                not_moderator.or(is_wrong.then_some(ErrorCode::InvalidPassword))
            }
            ClientMessage::Remove { peer_id } if *peer_id == self.me => not_moderator.or(Some(ErrorCode::SelfSignal)),
            ClientMessage::Remove { peer_id } => {
                let is_there = self.others.contains_key(peer_id);
                not_moderator.or((!is_there).then_some(ErrorCode::UnknownPeer))
            }
        }
    }

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
                assert!(reason == LeaveReason::Removed || peer.away == (reason == LeaveReason::Timeout));
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
