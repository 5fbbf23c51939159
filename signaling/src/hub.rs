//! The signaling protocol as a state machine: rooms, memberships, relayed signals. No sockets, no clock, no randomness.
//!
//! Call a `handle_*`, then **drain [`Hub::poll_output`] before the next input**, and call [`Hub::handle_timeout`] at
//! the instant [`Hub::poll_timeout`] names. The queue of outputs is thereby bounded by what one input can cause: one
//! message for each member of a room (for a time-out: of each room with somebody overdue).
//!
//! Nobody's mistake disturbs another: what is wrong is answered to its sender with a code and changes nothing.

pub(crate) mod admission;
mod allowance;
pub(crate) mod budget;
mod census;
mod config;
mod guesses;
pub(crate) mod holdings;
mod joining;
mod length;
mod messages;
mod moderation;
mod output;
mod refusal;
mod spanning;
mod stretching;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parlor_proto::{ClientMessage, DecodeMessageError, ErrorCode, LeaveReason, PeerId, RoomId, ServerMessage};
use ring::hmac;

pub use self::census::{Census, JoinCounts};
pub use self::config::{GuessConfig, HubConfig};
pub use self::output::{CloseKind, Comeback, ConnId, Output};
pub use self::spanning::Heard;

use self::admission::Stamp;
use self::allowance::{Allowance, Joins};
use self::guesses::Guesses;
use self::holdings::Holdings;
use self::refusal::Refusal;
use self::spanning::Span;
use self::stretching::Stretches;
use crate::access::InvitedIds;
use crate::password::PasswordKey;
use crate::room::{Member, Presence, Room};
use crate::token::TokenKey;

/// RFC 6455 §7.4.1.
const GOING_AWAY: u16 = 1001;

/// All rooms of one server.
pub struct Hub {
    config: HubConfig,
    tokens: TokenKey,
    passwords: PasswordKey,
    invited_ids: InvitedIds,
    guesses: Guesses,
    stretches: Stretches,
    numbers: Numbers,
    started_at: Instant,
    started_at_unix_secs: u64,
    latest_stamp: Stamp,
    connections: HashMap<ConnId, Connection>,
    rooms: BTreeMap<RoomId, Room>,
    /// What they hold.
    holdings: Holdings,
    /// The away members, in the order in which their time is up.
    away: BTreeSet<(Instant, RoomId, PeerId)>,
    /// The rooms whose moderator is expected back, in the order in which the wait is over.
    moderators_awaited: BTreeSet<(Instant, RoomId)>,
    /// The connections that are in no room, in the order in which their time is up.
    idle: BTreeSet<(Instant, ConnId)>,
    joins: Joins,
    join_counts: JoinCounts,
    /// Where it shares its rooms with other servers; none where it is alone.
    span: Option<Box<Span>>,
    outputs: VecDeque<Output>,
}

struct Connection {
    address: IpAddr,
    allowance: Allowance,
    /// When its time in no room is up; none in a room.
    idle_until: Option<Instant>,
    state: ConnectionState,
}

#[derive(Clone)]
enum ConnectionState {
    Opened,
    Greeted,
    /// Their place is being claimed, under this number.
    Joining {
        room: RoomId,
        number: u64,
    },
    /// Their password is being looked at.
    Knocking {
        room: RoomId,
    },
    Joined(Arc<Seat>),
}

impl Connection {
    fn room(&self) -> Option<&RoomId> {
        match &self.state {
            ConnectionState::Joined(seat) => Some(&seat.room),
            ConnectionState::Opened
            | ConnectionState::Greeted
            | ConnectionState::Joining { .. }
            | ConnectionState::Knocking { .. } => None,
        }
    }
}

/// A connection's place in a room.
#[derive(Clone)]
struct Seat {
    room: RoomId,
    peer_id: PeerId,
    resumed: bool,
}

impl Hub {
    /// A hub without rooms.
    ///
    /// `secret` seals resume tokens and passwords: the same one after a restart accepts the earlier ones. `seed` makes the
    /// peer ids: it must be unguessable and new at every start. `now_unix_secs` is the Unix time at `now`.
    pub fn new(config: HubConfig, secret: &[u8], seed: [u8; 32], now: Instant, now_unix_secs: u64) -> Self {
        Self {
            tokens: TokenKey::new(secret),
            passwords: PasswordKey::new(secret, config.password_iterations),
            invited_ids: InvitedIds::new(secret),
            guesses: Guesses::new(config.guesses.clone()),
            stretches: Stretches::default(),
            config,
            numbers: Numbers { key: hmac::Key::new(hmac::HMAC_SHA256, &seed), given: 0 },
            started_at: now,
            started_at_unix_secs: now_unix_secs,
            latest_stamp: Stamp::default(),
            connections: HashMap::new(),
            rooms: BTreeMap::new(),
            holdings: Holdings::default(),
            away: BTreeSet::new(),
            moderators_awaited: BTreeSet::new(),
            idle: BTreeSet::new(),
            joins: Joins::default(),
            join_counts: JoinCounts::default(),
            span: None,
            outputs: VecDeque::new(),
        }
    }

    /// A client has connected, from this address.
    pub fn handle_open(&mut self, conn: ConnId, address: IpAddr, now: Instant) {
        self.handle_close(conn, CloseKind::Lost, now);
        let allowance = Allowance::new(&self.config, now);
        let connection = Connection { address, allowance, idle_until: None, state: ConnectionState::Opened };
        self.connections.insert(conn, connection);
        self.set_idle_until(conn, Some(now + self.config.idle_max));
    }

    /// A client sent a text message.
    pub fn handle_message(&mut self, conn: ConnId, text: &str, now: Instant) {
        self.handle_read(conn, text.len(), ClientMessage::decode(text), now);
    }

    /// A client sent a text message of so many bytes, which was read already: not where anybody waits for the hub.
    pub(crate) fn handle_read(
        &mut self,
        conn: ConnId,
        bytes: usize,
        message: Result<ClientMessage, DecodeMessageError>,
        now: Instant,
    ) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if let Err(excess) = connection.allowance.take(bytes, now) {
            return self.answer(conn, excess.into(), now);
        }
        if bytes > self.config.message_bytes_max {
            return self.answer(conn, ErrorCode::MessageTooLarge.into(), now);
        }
        let state = connection.state.clone();
        let outcome = match message {
            Ok(message) => self.handle_decoded(conn, state, message, now),
            Err(DecodeMessageError::UnknownType) => Err(ErrorCode::UnknownMessage.into()),
            Err(DecodeMessageError::Malformed(_)) => Err(ErrorCode::Malformed.into()),
        };
        if let Err(refusal) = outcome {
            self.answer(conn, refusal, now);
        }
    }

    /// A client sent a binary message of this length: `malformed`.
    pub fn handle_binary(&mut self, conn: ConnId, bytes: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let refusal = match connection.allowance.take(bytes, now) {
            Ok(()) => ErrorCode::Malformed.into(),
            Err(excess) => excess.into(),
        };
        self.answer(conn, refusal, now);
    }

    /// Refuses something that the shell itself noticed, such as a message that it did not read to its end.
    ///
    /// Where the code closes the connection, so does this.
    pub fn refuse(&mut self, conn: ConnId, code: ErrorCode, now: Instant) {
        if self.connections.contains_key(&conn) {
            self.answer(conn, code.into(), now);
        }
    }

    /// A connection has ended. Ignored for one that the hub does not know, or has closed itself.
    pub fn handle_close(&mut self, conn: ConnId, kind: CloseKind, now: Instant) {
        self.set_idle_until(conn, None);
        self.forget_password(conn);
        let Some(connection) = self.connections.remove(&conn) else { return };
        let seat = match connection.state {
            ConnectionState::Opened | ConnectionState::Greeted | ConnectionState::Knocking { .. } => return,
            ConnectionState::Joining { number, .. } => return self.forget_claim(number),
            ConnectionState::Joined(seat) => seat,
        };
        match kind {
            CloseKind::Left => self.remove_member(&seat.room, &seat.peer_id, LeaveReason::Left, now),
            CloseKind::Lost => self.set_away(&seat, now),
        }
    }

    /// Ends the memberships of those who were away too long, the waits for moderators, and the connections that were in
    /// no room too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.idle.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, conn)) = self.idle.pop_first() else { break };
            self.answer(conn, ErrorCode::Idle.into(), now);
        }
        while self.away.first().is_some_and(|(until, _, _)| *until <= now) {
            let Some((_, room, peer_id)) = self.away.pop_first() else { break };
            self.remove_member(&room, &peer_id, LeaveReason::Timeout, now);
        }
        while self.moderators_awaited.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, room)) = self.moderators_awaited.pop_first() else { break };
            self.stop_awaiting_moderator(&room, now);
        }
        self.handle_span_timeout(now);
    }

    /// The server stops: everyone is told, all connections are closed with 1001, all rooms are forgotten.
    ///
    /// Those who may come back do so one after the other, one room after the other, so that rooms are soon whole again. Other
    /// servers are told that everyone here is away.
    pub fn shut_down(&mut self, comeback: Option<Comeback>) {
        self.state_all_away();
        self.rooms.clear();
        self.away.clear();
        self.moderators_awaited.clear();
        self.idle.clear();
        self.stretches.clear();
        let mut conns: Vec<_> = std::mem::take(&mut self.connections).into_iter().collect();
        conns.sort_by(|(one_conn, one), (other_conn, other)| {
            let one = (one.room().is_none(), one.room(), one_conn);
            one.cmp(&(other.room().is_none(), other.room(), other_conn))
        });
        let count = conns.len();
        for (index, (conn, _)) in conns.into_iter().enumerate() {
            let retry_after = comeback.map(|comeback| comeback.of(index, count));
            self.send(conn, Refusal::going_away(retry_after).into());
            self.outputs.push_back(closing(conn, ErrorCode::GoingAway, GOING_AWAY));
        }
    }

    /// What to do next, in order; none when everything is said.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| self.next_statement())
    }

    /// When [`Hub::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let away = self.away.first().map(|(until, _, _)| *until);
        let awaited = self.moderators_awaited.first().map(|(until, _)| *until);
        let idle = self.idle.first().map(|(until, _)| *until);
        away.into_iter().chain(awaited).chain(idle).chain(self.span_timeout()).min()
    }
}

/// What the messages do their work with.
impl Hub {
    /// Sends a refusal, and closes the connection where the code says so.
    fn answer(&mut self, conn: ConnId, refusal: Refusal, now: Instant) {
        let code = refusal.code;
        self.send(conn, refusal.into());
        if let Some(close_code) = code.close_code() {
            self.outputs.push_back(closing(conn, code, close_code));
            self.handle_close(conn, CloseKind::Lost, now);
        }
    }

    fn send(&mut self, conn: ConnId, message: ServerMessage) {
        self.outputs.push_back(Output::Send { conn, message });
    }

    fn send_all(&mut self, conns: Vec<ConnId>, message: &ServerMessage) {
        for conn in conns {
            self.send(conn, message.clone());
        }
    }

    fn send_others(&mut self, room: &RoomId, peer_id: &PeerId, message: &ServerMessage) {
        let others = self.rooms.get(room).map(|room| room.reachable_others(peer_id)).unwrap_or_default();
        self.send_all(others, message);
    }

    fn set_state(&mut self, conn: ConnId, state: ConnectionState, now: Instant) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let idle_until = match (&connection.state, &state) {
            (_, ConnectionState::Joined(_)) => None,
            // It begins anew after a room, not with each message.
            (ConnectionState::Joined(_), _) => Some(now + self.config.idle_max),
            (
                ConnectionState::Opened
                | ConnectionState::Greeted
                | ConnectionState::Joining { .. }
                | ConnectionState::Knocking { .. },
                _,
            ) => connection.idle_until,
        };
        connection.state = state;
        self.set_idle_until(conn, idle_until);
    }

    fn set_idle_until(&mut self, conn: ConnId, until: Option<Instant>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if let Some(before) = std::mem::replace(&mut connection.idle_until, until) {
            self.idle.remove(&(before, conn));
        }
        self.idle.extend(until.map(|until| (until, conn)));
    }

    fn set_away(&mut self, seat: &Seat, now: Instant) {
        let until = now + self.config.resume_window;
        let Some(member) = self.rooms.get_mut(&seat.room).and_then(|room| room.get_mut(&seat.peer_id)) else { return };
        member.presence = Presence::Away { until };
        self.away.insert((until, seat.room.clone(), seat.peer_id.clone()));
        self.send_others(&seat.room, &seat.peer_id, &ServerMessage::PeerAway { peer_id: seat.peer_id.clone() });
        self.mark(&seat.room, now);
    }

    /// Ends a membership; an empty room ends with it, and another member may become its moderator.
    fn remove_member(&mut self, room_id: &RoomId, peer_id: &PeerId, reason: LeaveReason, now: Instant) {
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        let was_local = room.get(peer_id).is_some_and(Member::is_local);
        room.remove(peer_id);
        if was_local {
            self.mark_gone(room_id, peer_id, reason, now);
        }
        if self.forget_deserted(room_id) {
            return;
        }
        self.send_others(room_id, peer_id, &ServerMessage::PeerLeft { peer_id: peer_id.clone(), reason });
        self.settle_moderation(room_id, now);
    }

    /// Forgets a room that nobody is in through this server; says whether that was so.
    fn forget_deserted(&mut self, room_id: &RoomId) -> bool {
        if !self.rooms.get(room_id).is_some_and(Room::is_deserted) {
            return false;
        }
        if let Some(room) = self.rooms.remove(room_id) {
            self.forget_awaiting(room_id, room.moderator_awaited_until);
            self.forget_renewal(room_id, room.shared.renew_at);
        }
        true
    }

    fn is_member(&self, room: &RoomId, peer_id: &PeerId) -> bool {
        self.rooms.get(room).is_some_and(|room| room.get(peer_id).is_some())
    }

    fn new_peer_id(&mut self, room: &RoomId) -> PeerId {
        loop {
            let peer_id = PeerId::from_random(u128::from_be_bytes(self.numbers.next()));
            if !self.is_member(room, &peer_id) {
                return peer_id;
            }
        }
    }

    fn unix_secs(&self, now: Instant) -> u64 {
        self.started_at_unix_secs.saturating_add(now.saturating_duration_since(self.started_at).as_secs())
    }

    fn unix_ms(&self, now: Instant) -> u64 {
        let elapsed_ms = u64::try_from(now.saturating_duration_since(self.started_at).as_millis()).unwrap_or(u64::MAX);
        self.started_at_unix_secs.saturating_mul(1_000).saturating_add(elapsed_ms)
    }

    /// A stamp for a change that is made now: later than every one given or read before, whatever the clock did.
    fn stamp(&mut self, now: Instant) -> Stamp {
        self.latest_stamp = Stamp(self.unix_ms(now).max(self.latest_stamp.0.saturating_add(1)));
        self.latest_stamp
    }
}

/// Unguessable peer ids and salts: HMAC-SHA256 of a counter under the seed.
struct Numbers {
    key: hmac::Key,
    given: u64,
}

impl Numbers {
    fn next(&mut self) -> [u8; 16] {
        self.given += 1;
        let tag = hmac::sign(&self.key, &self.given.to_be_bytes());
        *tag.as_ref().first_chunk().expect("SHA-256 gives 32 bytes")
    }
}

/// The error that goes with a code, and the close code and reason that follow it, for what the shell itself ends.
pub(crate) fn error_message(code: ErrorCode) -> (ServerMessage, u16, &'static str) {
    /// RFC 6455 §7.4.1: for a code that would leave the connection open.
    const INTERNAL_ERROR: u16 = 1011;
    (Refusal::from(code).into(), code.close_code().unwrap_or(INTERNAL_ERROR), refusal::sentence(code))
}

fn closing(conn: ConnId, code: ErrorCode, close_code: u16) -> Output {
    Output::Close { conn, code: close_code, reason: refusal::sentence(code) }
}

#[cfg(test)]
mod tests;
