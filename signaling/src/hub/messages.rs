//! What each message of a client does.

use std::time::Instant;

use parlor_proto::{
    CHAT_CHARACTERS_MAX, ClientMessage, DisplayName, ErrorCode, LeaveReason, Limits, MESSAGE_BYTES_MAX,
    PROTOCOL_VERSION, PeerId, RoomId, RoomPolicy, ServerMessage, Signal, TransportId,
};

use super::refusal::Refusal;
use super::{ConnId, ConnectionState, Hub, Seat};
use crate::room::{Member, Presence};

impl Hub {
    pub(super) fn handle_decoded(
        &mut self,
        conn: ConnId,
        state: ConnectionState,
        message: ClientMessage,
        now: Instant,
    ) -> Result<(), Refusal> {
        match (state, message) {
            (ConnectionState::Opened, ClientMessage::Hello { versions, client: _ }) => self.greet(conn, &versions),
            (ConnectionState::Opened, _) | (_, ClientMessage::Hello { .. }) => Err(ErrorCode::ExpectedHello.into()),
            (ConnectionState::Greeted, ClientMessage::Join { room, name, resume, access: _, password: _ }) => {
                self.join(conn, &room, &name, resume.as_deref(), now)
            }
            (
                ConnectionState::Greeted,
                ClientMessage::Signal { .. }
                | ClientMessage::SetLock { .. }
                | ClientMessage::SetPassword { .. }
                | ClientMessage::Remove { .. }
                | ClientMessage::RefreshIceServers
                | ClientMessage::Leave,
            ) => Err(ErrorCode::NotJoined.into()),
            (
                ConnectionState::Joined(_),
                ClientMessage::SetLock { .. } | ClientMessage::SetPassword { .. } | ClientMessage::Remove { .. },
            ) => Err(ErrorCode::NotModerator.into()),
            (ConnectionState::Joined(_), ClientMessage::RefreshIceServers) => {
                let ice_servers = self.config.ice_servers.clone();
                self.send(conn, ServerMessage::IceServers { ice_servers, ice_lifetime_seconds: None });
                Ok(())
            }
            (ConnectionState::Joined(seat), ClientMessage::Join { room, .. }) => {
                self.join_again(conn, &seat, &room, now)
            }
            (ConnectionState::Joined(seat), ClientMessage::Signal { to, connection, signal }) => {
                self.relay(&seat, to, connection, signal)
            }
            (ConnectionState::Joined(seat), ClientMessage::Leave) => {
                self.set_state(conn, ConnectionState::Greeted);
                self.remove_member(&seat.room, &seat.peer_id, LeaveReason::Left);
                Ok(())
            }
        }
    }

    fn greet(&mut self, conn: ConnId, versions: &[u32]) -> Result<(), Refusal> {
        if !versions.contains(&PROTOCOL_VERSION) {
            return Err(ErrorCode::UnsupportedVersion.into());
        }
        self.set_state(conn, ConnectionState::Greeted);
        self.send(conn, ServerMessage::Welcome { version: PROTOCOL_VERSION, server: self.config.server.clone() });
        Ok(())
    }

    fn join(
        &mut self,
        conn: ConnId,
        room: &str,
        name: &str,
        resume: Option<&str>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let room = parse_room(room)?;
        let name: DisplayName = name.parse().map_err(|error| {
            Refusal::saying(ErrorCode::InvalidName, format!("Please choose another name: {error}."))
        })?;
        let resumed = resume
            .and_then(|token| self.tokens.open(token, self.unix_secs(now)))
            .filter(|membership| membership.room == room)
            .map(|membership| membership.peer_id);
        let seat = match resumed {
            Some(peer_id) if self.is_member(&room, &peer_id) => self.restore(conn, room, peer_id, name, now),
            Some(peer_id) => self.enter(conn, room, peer_id, name, true)?,
            None => {
                let peer_id = self.new_peer_id(&room);
                self.enter(conn, room, peer_id, name, false)?
            }
        };
        self.set_state(conn, ConnectionState::Joined(seat.clone()));
        self.send_joined(conn, &seat, now);
        Ok(())
    }

    /// The same room again gives the same answer, with a fresh token.
    fn join_again(&mut self, conn: ConnId, seat: &Seat, room: &str, now: Instant) -> Result<(), Refusal> {
        if parse_room(room)? != seat.room {
            return Err(ErrorCode::AlreadyJoined.into());
        }
        self.send_joined(conn, seat, now);
        Ok(())
    }

    /// A membership that is not there begins: a new person, or one whose place a restart or time has taken.
    fn enter(
        &mut self,
        conn: ConnId,
        room_id: RoomId,
        peer_id: PeerId,
        name: DisplayName,
        resumed: bool,
    ) -> Result<Seat, Refusal> {
        let capacity = self.config.room_capacity;
        match self.rooms.get(&room_id) {
            Some(room) if room.len() >= usize::try_from(capacity).unwrap_or(usize::MAX) => {
                return Err(Refusal::room_full(capacity));
            }
            None if self.rooms.len() >= self.config.rooms_max => return Err(ErrorCode::TooManyRooms.into()),
            Some(_) | None => {}
        }
        let room = self.rooms.entry(room_id.clone()).or_default();
        let member = Member { peer_id: peer_id.clone(), name, presence: Presence::Here(conn) };
        let news = ServerMessage::PeerJoined { peer: member.info() };
        room.add(member);
        let others = room.reachable_others(&peer_id);
        self.send_all(others, &news);
        Ok(Seat { room: room_id, peer_id, resumed })
    }

    /// A membership that is still there changes its connection.
    ///
    /// Who was away comes back under the name of this join. Whose old socket was still open keeps the name the others
    /// know, since they are told nothing.
    fn restore(&mut self, conn: ConnId, room_id: RoomId, peer_id: PeerId, name: DisplayName, now: Instant) -> Seat {
        let seat = Seat { room: room_id, peer_id, resumed: true };
        let Some(member) = self.rooms.get_mut(&seat.room).and_then(|room| room.get_mut(&seat.peer_id)) else {
            return seat;
        };
        match std::mem::replace(&mut member.presence, Presence::Here(conn)) {
            Presence::Here(old) => {
                self.set_state(old, ConnectionState::Greeted);
                self.answer(old, ErrorCode::Replaced.into(), now);
            }
            Presence::Away { until } => {
                member.name = name;
                let news = ServerMessage::PeerBack { peer: member.info() };
                self.away.remove(&(until, seat.room.clone(), seat.peer_id.clone()));
                self.send_others(&seat.room, &seat.peer_id, &news);
            }
        }
        seat
    }

    fn relay(&mut self, seat: &Seat, to: PeerId, connection: TransportId, signal: Signal) -> Result<(), Refusal> {
        if to == seat.peer_id {
            return Err(ErrorCode::SelfSignal.into());
        }
        let addressee = self.rooms.get(&seat.room).and_then(|room| room.get(&to)).and_then(Member::connection);
        let Some(conn) = addressee else { return Err(Refusal::unknown_peer(to)) };
        let message = ServerMessage::Signal { from: seat.peer_id.clone(), connection, signal };
        // Written anew, a message can be longer than it came; too long, it would cost the addressee its connection.
        if message.encode().len() > MESSAGE_BYTES_MAX {
            return Err(ErrorCode::MessageTooLarge.into());
        }
        self.send(conn, message);
        Ok(())
    }

    fn send_joined(&mut self, conn: ConnId, seat: &Seat, now: Instant) {
        let Some(room) = self.rooms.get(&seat.room) else { return };
        let Some(member) = room.get(&seat.peer_id) else { return };
        let expires_at = self.unix_secs(now).saturating_add(self.config.token_lifetime.as_secs());
        let message = ServerMessage::Joined {
            room: seat.room.clone(),
            peer_id: seat.peer_id.clone(),
            name: member.name.clone(),
            resume_token: self.tokens.seal(&seat.room, &seat.peer_id, expires_at),
            resumed: seat.resumed,
            peers: room.others(&seat.peer_id).map(Member::info).collect(),
            policy: RoomPolicy::default(),
            ice_servers: self.config.ice_servers.clone(),
            ice_lifetime_seconds: None,
            limits: self.limits(),
        };
        self.send(conn, message);
    }

    fn limits(&self) -> Limits {
        Limits {
            room_capacity: self.config.room_capacity,
            message_bytes: to_u32(MESSAGE_BYTES_MAX),
            resume_seconds: u32::try_from(self.config.resume_window.as_secs()).unwrap_or(u32::MAX),
            chat_characters: to_u32(CHAT_CHARACTERS_MAX),
        }
    }
}

fn parse_room(text: &str) -> Result<RoomId, Refusal> {
    text.parse()
        .map_err(|error| Refusal::saying(ErrorCode::InvalidRoom, format!("Please choose another room: {error}.")))
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
