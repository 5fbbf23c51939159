//! What those who moderate can do, and who they are.

use std::time::Instant;

use parlor_proto::{ErrorCode, LeaveReason, PeerId, ResumeToken, RoomId, Secret, ServerMessage};

use super::refusal::Refusal;
use super::{ConnId, ConnectionState, Hub, Seat};
use crate::password::{Stretched, is_password};
use crate::room::{Member, Presence, Room};
use crate::token::Membership;

impl Hub {
    pub(super) fn set_lock(&mut self, seat: &Seat, locked: bool, now: Instant) -> Result<(), Refusal> {
        self.check_moderates(seat)?;
        let stamp = self.stamp(now);
        let Some(room) = self.rooms.get_mut(&seat.room) else { return Ok(()) };
        room.policy.set_lock(locked, stamp);
        self.tell_policy(&seat.room, now);
        Ok(())
    }

    /// Takes the place of an earlier wish of this connection that is still under way.
    pub(super) fn set_password(
        &mut self,
        conn: ConnId,
        seat: &Seat,
        password: Option<Secret>,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.check_moderates(seat)?;
        match password {
            Some(password) if !is_password(password.reveal()) => Err(ErrorCode::InvalidPassword.into()),
            Some(password) => {
                self.forget_password(conn);
                self.stretch_to_set(conn, seat, password, now);
                Ok(())
            }
            None => {
                self.forget_password(conn);
                self.put_password(seat, None, now)
            }
        }
    }

    /// Newcomers are asked for this one from now on, or for none.
    pub(super) fn put_password(
        &mut self,
        seat: &Seat,
        password: Option<&Stretched>,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.check_moderates(seat)?;
        let hash = password.map(|stretched| self.passwords.hash(stretched));
        let stamp = self.stamp(now);
        let Some(room) = self.rooms.get_mut(&seat.room) else { return Ok(()) };
        room.policy.set_password(hash, stamp);
        self.tell_policy(&seat.room, now);
        Ok(())
    }

    pub(super) fn remove(&mut self, seat: &Seat, peer_id: PeerId, now: Instant) -> Result<(), Refusal> {
        self.check_moderates(seat)?;
        if peer_id == seat.peer_id {
            return Err(ErrorCode::SelfSignal.into());
        }
        if !self.is_member(&seat.room, &peer_id) {
            return Err(Refusal::unknown_peer(peer_id));
        }
        let stamp = self.stamp(now);
        let Some(room) = self.rooms.get_mut(&seat.room) else { return Ok(()) };
        room.policy.remove(&peer_id, stamp);
        self.expel(&seat.room, &peer_id, now);
        self.tell_policy(&seat.room, now);
        Ok(())
    }

    /// Ends a membership against its holder's will, and their connection with it.
    pub(super) fn expel(&mut self, room_id: &RoomId, peer_id: &PeerId, now: Instant) {
        let presence = self.rooms.get(room_id).and_then(|room| room.get(peer_id)).map(|member| member.presence);
        match presence {
            Some(Presence::Here(conn)) => {
                self.set_state(conn, ConnectionState::Greeted, now);
                self.answer(conn, ErrorCode::Removed.into(), now);
            }
            Some(Presence::Away { until }) => {
                self.away.remove(&(until, room_id.clone(), peer_id.clone()));
            }
            // Their server does the same when it hears of it.
            Some(Presence::Elsewhere { .. }) => {}
            None => return,
        }
        self.remove_member(room_id, peer_id, LeaveReason::Removed, now);
    }

    /// Tells everyone in a room what holds there now, each with a token that says so too.
    pub(super) fn tell_policy(&mut self, room_id: &RoomId, now: Instant) {
        self.mark(room_id, now);
        let Some(room) = self.rooms.get(room_id) else { return };
        let news: Vec<_> = room
            .members()
            .filter_map(|member| {
                let resume_token = self.resume_token(room_id, room, member, now);
                Some((member.connection()?, room.policy_for(member), resume_token))
            })
            .collect();
        for (conn, policy, resume_token) in news {
            self.send(conn, ServerMessage::Policy { policy, resume_token });
        }
    }

    pub(super) fn resume_token(&self, room_id: &RoomId, room: &Room, member: &Member, now: Instant) -> ResumeToken {
        let lifetime = self.config.token_lifetime.as_secs();
        let expires_at = self.unix_secs(now).saturating_add(lifetime).min(member.invited_until.unwrap_or(u64::MAX));
        self.tokens.seal(room_id, member, &room.policy, expires_at)
    }

    /// Somebody has come in: they moderate if they are the first, or did so before the server or everyone was gone.
    pub(super) fn claim_moderation(&mut self, room_id: &RoomId, peer_id: &PeerId, membership: Option<&Membership>) {
        let are_invited = self.config.access.is_some();
        let Some(room) = self.rooms.get_mut(room_id).filter(|_| !are_invited) else { return };
        if room.has_moderator() {
            return;
        }
        let did_before = membership.is_some_and(|membership| {
            let said = membership.policy.as_ref();
            membership.moderates && said.is_some_and(|said| said.is_same_as(&room.policy))
        });
        if room.moderator_awaited_until.is_some() && !did_before {
            return;
        }
        if let Some(member) = room.get_mut(peer_id) {
            member.moderates = true;
        }
        let awaited = room.moderator_awaited_until.take();
        self.forget_awaiting(room_id, awaited);
    }

    /// For as long as a lost peer keeps its place, nobody takes the place of who moderated.
    ///
    /// With access tokens nobody ever does: one moderates by what one's token says.
    pub(super) fn await_moderator(&mut self, room_id: &RoomId, now: Instant) {
        let until = now + self.config.resume_window;
        let are_invited = self.config.access.is_some();
        let Some(room) = self.rooms.get_mut(room_id).filter(|_| !are_invited) else { return };
        let earlier = room.moderator_awaited_until.replace(until);
        self.forget_awaiting(room_id, earlier);
        self.moderators_awaited.insert((until, room_id.clone()));
    }

    pub(super) fn forget_awaiting(&mut self, room_id: &RoomId, until: Option<Instant>) {
        if let Some(until) = until {
            self.moderators_awaited.remove(&(until, room_id.clone()));
        }
    }

    /// Who moderated before has not come back in time.
    pub(super) fn stop_awaiting_moderator(&mut self, room_id: &RoomId, now: Instant) {
        if let Some(room) = self.rooms.get_mut(room_id) {
            room.moderator_awaited_until = None;
        }
        self.settle_moderation(room_id, now);
    }

    /// Where nobody moderates, whoever is longest in the room does from now on.
    pub(super) fn settle_moderation(&mut self, room_id: &RoomId, now: Instant) {
        let is_settled = |room: &Room| room.has_moderator() || room.moderator_awaited_until.is_some();
        let Some(room) = self.rooms.get(room_id) else { return };
        // Every server comes to the same one, and the one that they are at says so.
        let is_ours = room.members().next().is_some_and(Member::is_local);
        if self.config.access.is_some() || is_settled(room) || !is_ours {
            return;
        }
        let stamp = self.stamp(now);
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        let Some(longest) = room.members_mut().next() else { return };
        longest.moderates = true;
        room.policy.changed(false, stamp);
        self.tell_policy(room_id, now);
    }

    fn check_moderates(&self, seat: &Seat) -> Result<(), Refusal> {
        let member = self.rooms.get(&seat.room).and_then(|room| room.get(&seat.peer_id));
        if member.is_some_and(|member| member.moderates) { Ok(()) } else { Err(ErrorCode::NotModerator.into()) }
    }
}
