//! Rooms that span servers: what this server claims, states and hears at the meeting place (see [`crate::backplane`]).
//!
//! The members at this server are this server's to keep, and what it hears of them from elsewhere is no news. The others are
//! as the meeting place has them. Each change marks its room, and a marked room is stated once the outputs of the
//! input are drained, so that one statement tells all that an input did. While the meeting place is out of reach
//! everything goes on with what is known here; once it is back, every room is stated and read anew.

mod claims;
mod heard;
mod policy;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use parlor_proto::{LeaveReason, PeerId, RoomId, ServerMessage};

use self::claims::Claims;
pub use self::heard::Heard;
use self::policy::share;
use super::refusal::Refusal;
use super::{Hub, Output, Seat};
use crate::backplane::{Forward, ServerId, SharedMember, Statement, renewal};
use crate::room::{Member, Presence, Room};

/// How long the other servers may be out of reach before their people are said to be away. A Redis that restarts is back
/// before that.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// What the servers' scripts can carry without a loss: until the year 5138.
const UNIX_SECS_MAX: u64 = 99_999_999_999;

/// What a hub keeps for the other servers.
pub(super) struct Span {
    server: ServerId,
    reach: Reach,
    claims: Claims,
    /// Whether leases that are over end memberships, by the latest instant known.
    expires: bool,
    /// The rooms to state, and who has left them by their own wish.
    marked: BTreeMap<RoomId, Vec<PeerId>>,
    /// When each room is stated again.
    renewals: BTreeSet<(Instant, RoomId)>,
}

/// Whether the meeting place can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Not since the start.
    Never,
    /// Yes; what was not stated to it in time is taken to be gone, from this instant on.
    Reached { leases_end_from: Instant },
    /// No more. The people at other servers are said to be away from this instant on; none once that is said.
    Lost { told_at: Option<Instant> },
}

impl Hub {
    /// Shares the rooms with other servers, as this one. Until [`Hub::handle_reached`] it is alone.
    #[must_use]
    pub fn spanning(mut self, server: ServerId) -> Self {
        self.span = Some(Box::new(Span {
            server,
            reach: Reach::Never,
            claims: Claims::default(),
            expires: false,
            marked: BTreeMap::new(),
            renewals: BTreeSet::new(),
        }));
        self
    }

    /// The meeting place can be reached, and tells this server of every change from now on. All rooms are stated, and read
    /// anew with the answers.
    pub fn handle_reached(&mut self, now: Instant) {
        let Some(span) = &mut self.span else { return };
        // The other servers were out of reach too, perhaps, and are about to say who they have.
        let leases_end_from = if span.reach == Reach::Never { now } else { now + self.config.lease };
        span.reach = Reach::Reached { leases_end_from };
        for room in self.rooms.values_mut() {
            room.shared.version = 0;
        }
        for room in Vec::from_iter(self.rooms.keys().cloned()) {
            self.mark(&room, now);
        }
    }

    /// The meeting place cannot be reached any more. Who is about to come in does so by what this server knows.
    pub fn handle_lost(&mut self, now: Instant) {
        let Some(span) = &mut self.span else { return };
        match span.reach {
            Reach::Never | Reach::Lost { .. } => return,
            Reach::Reached { .. } => span.reach = Reach::Lost { told_at: Some(now + LOST_AFTER) },
        }
        span.marked.clear();
        for (_, room) in std::mem::take(&mut span.renewals) {
            if let Some(room) = self.rooms.get_mut(&room) {
                room.shared.renew_at = None;
            }
        }
        self.give_up_claims(now);
    }

    /// Another server sends a message for somebody here. Who is not here any more gets nothing.
    pub fn handle_forwarded(&mut self, forward: Forward) {
        let addressee = self.rooms.get(&forward.room).and_then(|room| room.get(&forward.to));
        let (Some(conn), ServerMessage::Signal { .. }) = (addressee.and_then(Member::connection), &forward.message)
        else {
            return;
        };
        self.send(conn, forward.message);
    }

    /// A message to another server was heard by nobody there. Its sender is told.
    pub fn handle_undelivered(&mut self, forward: Forward, now: Instant) {
        let ServerMessage::Signal { from, .. } = &forward.message else { return };
        let sender = self.rooms.get(&forward.room).and_then(|room| room.get(from)).and_then(Member::connection);
        if let Some(conn) = sender {
            self.answer(conn, Refusal::unknown_peer(forward.to), now);
        }
    }

    pub(super) fn is_reached(&self) -> bool {
        self.span.as_ref().is_some_and(|span| matches!(span.reach, Reach::Reached { .. }))
    }

    /// Whether a lease that is over ends a membership.
    fn leases_end(&self, now: Instant) -> bool {
        self.span.as_ref().is_some_and(|span| match span.reach {
            Reach::Reached { leases_end_from } => leases_end_from <= now,
            Reach::Never | Reach::Lost { .. } => false,
        })
    }

    pub(super) fn forward(
        &mut self,
        server: ServerId,
        seat: &Seat,
        to: PeerId,
        message: ServerMessage,
    ) -> Result<(), Refusal> {
        if !self.is_reached() {
            return Err(Refusal::unknown_peer(to));
        }
        let forward = Forward { server, room: seat.room.clone(), to, message };
        self.outputs.push_back(Output::Forward(Box::new(forward)));
        Ok(())
    }

    /// This server's part of a room has changed, or is to be stated again.
    pub(super) fn mark(&mut self, room_id: &RoomId, now: Instant) {
        if !self.is_reached() {
            return;
        }
        let expires = self.leases_end(now);
        let Some(span) = &mut self.span else { return };
        span.expires = expires;
        span.marked.entry(room_id.clone()).or_default();
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        let renew_at = now + renewal(self.config.lease);
        if let Some(earlier) = room.shared.renew_at.replace(renew_at) {
            span.renewals.remove(&(earlier, room_id.clone()));
        }
        span.renewals.insert((renew_at, room_id.clone()));
    }

    /// Somebody of this server's part is gone.
    pub(super) fn mark_gone(&mut self, room_id: &RoomId, peer_id: &PeerId, reason: LeaveReason, now: Instant) {
        self.mark(room_id, now);
        let left = self.span.as_mut().and_then(|span| span.marked.get_mut(room_id));
        if let (LeaveReason::Left, Some(left)) = (reason, left) {
            left.push(peer_id.clone());
        }
    }

    pub(super) fn forget_renewal(&mut self, room_id: &RoomId, renew_at: Option<Instant>) {
        if let (Some(span), Some(renew_at)) = (&mut self.span, renew_at) {
            span.renewals.remove(&(renew_at, room_id.clone()));
        }
    }

    pub(super) fn span_timeout(&self) -> Option<Instant> {
        let span = self.span.as_ref()?;
        let told_at = match span.reach {
            Reach::Lost { told_at } => told_at,
            Reach::Never | Reach::Reached { .. } => None,
        };
        let renewal = span.renewals.first().map(|(at, _)| *at);
        [told_at, renewal, span.claims.timeout()].into_iter().flatten().min()
    }

    pub(super) fn handle_span_timeout(&mut self, now: Instant) {
        let Some(span) = &mut self.span else { return };
        let due: Vec<_> = span.renewals.iter().take_while(|(at, _)| *at <= now).map(|(_, room)| room.clone()).collect();
        let tells = matches!(span.reach, Reach::Lost { told_at: Some(at) } if at <= now);
        if tells {
            span.reach = Reach::Lost { told_at: None };
            self.tell_out_of_reach();
        }
        for room in due {
            self.mark(&room, now);
        }
        self.give_up_late_claims(now);
    }

    /// Nothing reaches the people at other servers now.
    fn tell_out_of_reach(&mut self) {
        let mut news = Vec::new();
        for room in self.rooms.values_mut() {
            let conns: Vec<_> = room.members().filter_map(Member::connection).collect();
            for member in room.members_mut() {
                if let Presence::Elsewhere { away, .. } = &mut member.presence
                    && !std::mem::replace(away, true)
                {
                    news.push((conns.clone(), ServerMessage::PeerAway { peer_id: member.peer_id.clone() }));
                }
            }
        }
        for (conns, message) in news {
            self.send_all(conns, &message);
        }
    }

    /// The next room that is marked, as this server has it.
    pub(super) fn next_statement(&mut self) -> Option<Output> {
        let room = self.span.as_ref()?.marked.keys().next()?.clone();
        self.take_statement(&room, false)
    }

    /// States a room before what comes next.
    fn flush(&mut self, room: &RoomId) {
        let statement = self.take_statement(room, false);
        self.outputs.extend(statement);
    }

    fn take_statement(&mut self, room_id: &RoomId, all_away: bool) -> Option<Output> {
        let span = self.span.as_mut()?;
        let left = span.marked.remove(room_id)?;
        let claiming = span.claims.of_room(room_id);
        let server = span.server;
        let expires = span.expires;
        let mut statement = Statement {
            room: room_id.clone(),
            server,
            known: 0,
            members: Vec::new(),
            claiming,
            left,
            policy: None,
            base: None,
            expires,
        };
        if let Some(room) = self.rooms.get(room_id) {
            let is_away = |member: &Member| all_away || member.is_away();
            let members = room.members().filter(|member| member.is_local());
            statement.members = members.map(|member| share_member(member, server, is_away(member))).collect();
            statement.known = room.shared.version;
            let policy = share(&room.policy);
            let base = room.shared.base.as_ref().map(|(tag, _)| tag);
            if room.shared.version == 0 || base != Some(&policy.tag) {
                (statement.base, statement.policy) = (base.cloned(), Some(policy));
            }
        }
        Some(Output::State(Box::new(statement)))
    }

    /// The server stops: its people's places are kept, for as long as a lease is, wherever they come back.
    pub(super) fn state_all_away(&mut self) {
        if !self.is_reached() {
            return;
        }
        for room in Vec::from_iter(self.rooms.keys().cloned()) {
            if let Some(span) = &mut self.span {
                span.marked.entry(room.clone()).or_default();
            }
            let statement = self.take_statement(&room, true);
            self.outputs.extend(statement);
        }
        self.span = None;
    }
}

fn share_member(member: &Member, server: ServerId, away: bool) -> SharedMember {
    SharedMember {
        peer_id: member.peer_id.clone(),
        name: member.name.clone(),
        server,
        away,
        moderates: member.moderates,
        invited_until: member.invited_until.map(|until| until.min(UNIX_SECS_MAX)),
        order: if member.seated_alone { 0 } else { member.order },
        seated_at_ms: member.seated_at_ms,
    }
}

/// Whether people at other servers are in this room.
fn has_others(room: &Room) -> bool {
    room.members().any(|member| !member.is_local())
}

#[cfg(test)]
mod tests;
