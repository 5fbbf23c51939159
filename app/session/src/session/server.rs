//! What the server says.

use std::time::{Duration, Instant};

use parlor_proto::{ErrorCode, PROTOCOL_VERSION, PeerId, PeerInfo, ServerMessage};

use super::Session;
use crate::ice_servers::IceServers;
use crate::mesh::FirstOffer;
use crate::room::{Member, Membership};
use crate::{Action, EndReason, Event, PeerLeftReason};

/// What follows a refusal.
enum Consequence {
    /// The user is told; nothing else changes.
    Told,
    /// It is of no interest: the roster says the same.
    Quiet,
    /// The call is over, or never begins.
    Over,
    /// The call never begins; in a running one we try again.
    OverWhenJoining,
    /// The socket is of no use any more.
    Rejoin,
    /// What was refused is sent again after a while.
    SendAgain,
}

impl Session {
    pub(super) fn handle_message(&mut self, message: ServerMessage, now: Instant) {
        match message {
            ServerMessage::Welcome { version, server: _ } => self.welcomed(version, now),
            ServerMessage::Joined {
                room,
                peer_id,
                name,
                resume_token,
                resumed: _,
                peers,
                policy,
                ice_servers,
                ice_lifetime_seconds,
                limits,
            } => {
                let ice_servers = IceServers::new(ice_servers, ice_lifetime_seconds, now);
                let credentials = self.membership.credentials();
                let member =
                    Member { room, name, self_id: peer_id, resume_token, credentials, policy, ice_servers, limits };
                self.joined(member, peers, now);
            }
            ServerMessage::PeerJoined { peer } | ServerMessage::PeerBack { peer } => {
                self.with_roster(now, |mesh, env| mesh.meet(peer, FirstOffer::Ours, env));
            }
            ServerMessage::PeerAway { peer_id } => self.with_roster(now, |mesh, env| mesh.peer_away(&peer_id, env)),
            ServerMessage::PeerLeft { peer_id, reason } => {
                self.with_roster(now, |mesh, env| mesh.peer_left(&peer_id, reason, env));
            }
            ServerMessage::Signal { from, connection, signal } => {
                self.with_roster(now, |mesh, env| mesh.signal(&from, connection, signal, env));
            }
            ServerMessage::Policy { policy, resume_token } => self.policy_changed(policy, resume_token),
            ServerMessage::IceServers { ice_servers, ice_lifetime_seconds } => {
                self.ice_servers_changed(IceServers::new(ice_servers, ice_lifetime_seconds, now), now);
            }
            ServerMessage::Roster { peers } => {
                self.with_roster(now, |mesh, env| mesh.meet_roster(peers, FirstOffer::Either, env));
            }
            ServerMessage::Error { code, message, to: _, retry_after_ms } => {
                self.refused(code, message, retry_after_ms, now);
            }
        }
    }

    /// What the server says of others counts while we are in its room.
    fn with_roster(&mut self, now: Instant, work: impl FnOnce(&mut crate::mesh::Mesh, &mut crate::env::Env<'_>)) {
        if self.link.is_ready() {
            self.with_mesh(now, work);
        }
    }

    fn welcomed(&mut self, version: u32, now: Instant) {
        if version != PROTOCOL_VERSION && self.membership.is_wanted() {
            let message = "The server speaks another version of the protocol than this program.".to_owned();
            self.end(EndReason::Refused { code: ErrorCode::UnsupportedVersion, message }, now);
        }
    }

    fn joined(&mut self, member: Member, mut roster: Vec<PeerInfo>, now: Instant) {
        if !self.membership.is_wanted() || !self.link.joined() {
            return;
        }
        let previous = self.membership.member().map(|member| member.self_id.clone());
        let resumed = previous.as_ref() == Some(&member.self_id);
        let known = self.membership.member().map(|known| known.ice_servers.servers());
        let new_ice_servers = known.is_some_and(|known| known != member.ice_servers.servers());
        if previous.is_some() && !resumed {
            // A new person to the others: every transport was made in the name of the old one.
            self.with_mesh(now, |mesh, env| mesh.clear(Some(PeerLeftReason::Lost), env));
        }
        let is_own = |id: &PeerId| *id == member.self_id || Some(id) == previous.as_ref();
        roster.retain(|info| !is_own(&info.peer_id));
        self.tell_joined(&member, resumed);
        self.told_refusal = None;
        let (policy, before) = (member.policy, self.membership.member().map(|member| member.policy));
        self.membership = Membership::Member(Box::new(member));
        self.server_problem = None;
        self.tell_policy(policy, before);
        let first_offer = if resumed { FirstOffer::Either } else { FirstOffer::Theirs };
        self.tell_relay_note();
        self.with_mesh(now, |mesh, env| {
            if new_ice_servers {
                mesh.use_ice_servers(env);
            }
            mesh.meet_roster(roster, first_offer, env);
        });
    }

    /// For what is gathered from now on; what is allocated keeps the credentials that made it.
    fn ice_servers_changed(&mut self, ice_servers: IceServers, now: Instant) {
        let Some(member) = self.membership.member_mut() else { return };
        member.ice_servers = ice_servers;
        self.with_mesh(now, |mesh, env| mesh.use_ice_servers(env));
        self.tell_relay_note();
    }

    /// Says once what keeps a user who hides their address from being connected.
    fn tell_relay_note(&mut self) {
        let note = self.relay_note();
        if note != std::mem::replace(&mut self.told_relay_note, note)
            && let Some(note) = note
        {
            self.out.complain(None, note.to_string());
        }
    }

    fn tell_joined(&mut self, member: &Member, resumed: bool) {
        if std::mem::take(&mut self.told_signaling_lost) {
            self.out.tell(Event::SignalingRestored);
        }
        let (peer_id, room, name) = (member.self_id.clone(), member.room.clone(), member.name.clone());
        self.out.tell(Event::Joined { peer_id, room, name, resumed });
    }

    fn refused(&mut self, code: ErrorCode, message: String, retry_after_ms: Option<u64>, now: Instant) {
        let joining = matches!(self.membership, Membership::Joining(_));
        match consequence(code) {
            Consequence::Quiet => {}
            Consequence::Told => self.out.complain(Some(code), message),
            Consequence::Over => self.over(code, message, now),
            Consequence::OverWhenJoining if joining => self.over(code, message, now),
            Consequence::OverWhenJoining | Consequence::Rejoin => {
                self.link.ask_to_wait(retry_after_ms, &self.config);
                self.forget_what_was_refused(code);
                if self.told_refusal.replace(code) != Some(code) {
                    self.out.complain(Some(code), message.clone());
                }
                self.out.act(Action::DropSignaling);
                self.signaling_closed(message, now);
            }
            Consequence::SendAgain => {
                let wait = Duration::from_millis(retry_after_ms.unwrap_or(1_000)).min(self.config.retry_after_max);
                self.link.ask_to_wait(retry_after_ms, &self.config);
                self.resync_at = Some(now + wait);
            }
        }
        if code == ErrorCode::GoingAway {
            self.link.ask_to_wait(retry_after_ms, &self.config);
        }
    }

    fn over(&mut self, code: ErrorCode, message: String, now: Instant) {
        if !self.membership.is_wanted() {
            return;
        }
        let message = crate::env::shortened(message);
        let reason = match code {
            ErrorCode::Replaced => EndReason::Replaced,
            _ => EndReason::Refused { code, message },
        };
        self.end(reason, now);
    }
}

fn consequence(code: ErrorCode) -> Consequence {
    match code {
        // After `idle` the socket is closed, and another one opened.
        ErrorCode::UnknownPeer | ErrorCode::GoingAway | ErrorCode::Idle => Consequence::Quiet,
        ErrorCode::UnsupportedVersion
        | ErrorCode::InvalidRoom
        | ErrorCode::InvalidName
        | ErrorCode::Replaced
        | ErrorCode::Removed => Consequence::Over,
        ErrorCode::RoomFull
        | ErrorCode::TooManyRooms
        | ErrorCode::ServerFull
        | ErrorCode::TooManyConnections
        | ErrorCode::OriginRefused
        | ErrorCode::AccessRequired
        | ErrorCode::AccessInvalid
        | ErrorCode::AccessExpired
        | ErrorCode::AccessWrongRoom
        | ErrorCode::PasswordRequired
        | ErrorCode::PasswordWrong
        | ErrorCode::TooManyGuesses
        | ErrorCode::RoomLocked => Consequence::OverWhenJoining,
        ErrorCode::AlreadyJoined | ErrorCode::NotJoined | ErrorCode::ExpectedHello => Consequence::Rejoin,
        ErrorCode::RateLimited => Consequence::SendAgain,
        ErrorCode::Malformed
        | ErrorCode::UnknownMessage
        | ErrorCode::SelfSignal
        | ErrorCode::MessageTooLarge
        | ErrorCode::TooSlow
        | ErrorCode::NotModerator
        | ErrorCode::InvalidPassword
        | ErrorCode::Flooding
        | ErrorCode::Internal
        | ErrorCode::Unknown => Consequence::Told,
    }
}
