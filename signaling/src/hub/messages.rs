//! What each message of a client does.

use std::time::Instant;

use parlor_proto::{
    CHAT_CHARACTERS_MAX, ClientMessage, ErrorCode, IceServer, LeaveReason, Limits, PROTOCOL_VERSION, PeerId,
    ServerMessage, Signal, TransportId,
};

use super::joining::JoinRequest;
use super::length::encoded_bytes_max;
use super::refusal::Refusal;
use super::{ConnId, ConnectionState, Hub, HubConfig, Seat};
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
            (ConnectionState::Opened, ClientMessage::Hello { versions, client: _ }) => self.greet(conn, &versions, now),
            (ConnectionState::Opened, _) | (_, ClientMessage::Hello { .. }) => Err(ErrorCode::ExpectedHello.into()),
            (ConnectionState::Greeted, ClientMessage::Join { room, name, resume, access, password }) => {
                self.join(conn, JoinRequest { room, name, resume, access, password }, now)
            }
            (
                ConnectionState::Joining { room, .. } | ConnectionState::Knocking { room },
                ClientMessage::Join { room: other, .. },
            ) => self.join_while_joining(&room, &other),
            (ConnectionState::Knocking { .. }, ClientMessage::Leave) => {
                self.forget_password(conn);
                self.set_state(conn, ConnectionState::Greeted, now);
                Ok(())
            }
            (ConnectionState::Joining { number, .. }, ClientMessage::Leave) => {
                self.forget_claim(number);
                self.set_state(conn, ConnectionState::Greeted, now);
                Ok(())
            }
            (
                ConnectionState::Greeted | ConnectionState::Joining { .. } | ConnectionState::Knocking { .. },
                ClientMessage::Signal { .. }
                | ClientMessage::SetLock { .. }
                | ClientMessage::SetPassword { .. }
                | ClientMessage::Remove { .. }
                | ClientMessage::RefreshIceServers
                | ClientMessage::Leave,
            ) => Err(ErrorCode::NotJoined.into()),
            (ConnectionState::Joined(seat), ClientMessage::SetLock { locked }) => self.set_lock(&seat, locked, now),
            (ConnectionState::Joined(seat), ClientMessage::SetPassword { password }) => {
                self.set_password(conn, &seat, password, now)
            }
            (ConnectionState::Joined(seat), ClientMessage::Remove { peer_id }) => self.remove(&seat, peer_id, now),
            (ConnectionState::Joined(seat), ClientMessage::RefreshIceServers) => {
                let (ice_servers, ice_lifetime_seconds) = self.ice_servers(&seat.peer_id, now);
                self.send(conn, ServerMessage::IceServers { ice_servers, ice_lifetime_seconds });
                Ok(())
            }
            (ConnectionState::Joined(seat), ClientMessage::Join { room, .. }) => {
                self.join_again(conn, &seat, &room, now)
            }
            (ConnectionState::Joined(seat), ClientMessage::Signal { to, connection, signal }) => {
                self.relay(&seat, to, connection, signal)
            }
            (ConnectionState::Joined(seat), ClientMessage::Leave) => {
                self.forget_password(conn);
                self.set_state(conn, ConnectionState::Greeted, now);
                self.remove_member(&seat.room, &seat.peer_id, LeaveReason::Left, now);
                Ok(())
            }
        }
    }

    fn greet(&mut self, conn: ConnId, versions: &[u32], now: Instant) -> Result<(), Refusal> {
        if !versions.contains(&PROTOCOL_VERSION) {
            return Err(ErrorCode::UnsupportedVersion.into());
        }
        self.set_state(conn, ConnectionState::Greeted, now);
        self.send(conn, ServerMessage::Welcome { version: PROTOCOL_VERSION, server: self.config.server.clone() });
        Ok(())
    }

    fn relay(&mut self, seat: &Seat, to: PeerId, connection: TransportId, signal: Signal) -> Result<(), Refusal> {
        if to == seat.peer_id {
            return Err(ErrorCode::SelfSignal.into());
        }
        let addressee = self.rooms.get(&seat.room).and_then(|room| room.get(&to)).filter(|member| !member.is_away());
        let Some(presence) = addressee.map(|member| member.presence) else { return Err(Refusal::unknown_peer(to)) };
        let message_bytes_max = self.config.message_bytes_max;
        let is_long = encoded_bytes_max(&signal) > message_bytes_max;
        let message = ServerMessage::Signal { from: seat.peer_id.clone(), connection, signal };
        // Written anew, a message can be longer than it came; too long, it would cost the addressee its connection.
        if is_long && message.encode().len() > message_bytes_max {
            return Err(ErrorCode::MessageTooLarge.into());
        }
        match presence {
            Presence::Here(conn) => self.send(conn, message),
            Presence::Elsewhere { server, .. } => return self.forward(server, seat, to, message),
            Presence::Away { .. } => {}
        }
        Ok(())
    }

    pub(super) fn send_joined(&mut self, conn: ConnId, seat: &Seat, now: Instant) {
        let Some(room) = self.rooms.get(&seat.room) else { return };
        let Some(member) = room.get(&seat.peer_id) else { return };
        let (ice_servers, ice_lifetime_seconds) = self.ice_servers(&seat.peer_id, now);
        let message = ServerMessage::Joined {
            room: seat.room.clone(),
            peer_id: seat.peer_id.clone(),
            name: member.name.clone(),
            resume_token: self.resume_token(&seat.room, room, member, now),
            resumed: seat.resumed,
            peers: room.others(&seat.peer_id).map(Member::info).collect(),
            policy: room.policy_for(member),
            ice_servers,
            ice_lifetime_seconds,
            limits: self.limits(),
        };
        self.send(conn, message);
    }

    /// STUN and TURN servers for a member, and how long the credentials are good for.
    fn ice_servers(&self, peer_id: &PeerId, now: Instant) -> (Vec<IceServer>, Option<u64>) {
        let HubConfig { ice_servers, turn, .. } = &self.config;
        let mut servers = ice_servers.clone();
        servers.extend(turn.as_ref().map(|turn| turn.ice_server(peer_id, self.unix_secs(now))));
        (servers, turn.as_ref().map(|turn| turn.lifetime.as_secs()))
    }

    fn limits(&self) -> Limits {
        Limits {
            room_capacity: self.config.room_capacity,
            message_bytes: to_u32(self.config.message_bytes_max),
            resume_seconds: u32::try_from(self.config.resume_window.as_secs()).unwrap_or(u32::MAX),
            chat_characters: to_u32(CHAT_CHARACTERS_MAX),
        }
    }
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
