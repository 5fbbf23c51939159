//! A whole room, read: what is new in it is told to the people here.

use std::collections::BTreeMap;
use std::time::Instant;

use parlor_proto::{ErrorCode, LeaveReason, PeerId, PeerInfo, RoomId, ServerMessage};

use super::super::admission::Policy;
use super::super::guesses::Guesses;
use super::super::refusal::Refusal;
use super::super::{ConnId, ConnectionState, Hub};
use super::policy::{read, share};
use super::{has_others, share_member};
use crate::backplane::{RoomState, ServerId, SharedMember, takes_over};
use crate::room::{Member, Origin, Presence, Room};

/// What a reading makes necessary.
#[derive(Default)]
struct Changes {
    news: Vec<ServerMessage>,
    /// Connections whose people have come to another server.
    replaced: Vec<ConnId>,
    /// Those who were away here, and are kept at another server now.
    kept_elsewhere: Vec<(Instant, PeerId)>,
    /// The meeting place does not have all of this server's people.
    is_incomplete: bool,
}

impl Hub {
    /// A whole room: as an answer, or because another server has changed it.
    pub fn handle_room(&mut self, state: RoomState, now: Instant) {
        if self.rooms.contains_key(&state.room) {
            self.read(state, now);
        } else if let Some(span) = &self.span
            && span.claims.of_room(&state.room).is_empty()
            && state.members.iter().any(|member| member.server == span.server)
        {
            // Left behind by a claim that nobody waited for any more.
            self.mark(&state.room, now);
        }
    }

    /// A room that is known from other servers alone, until somebody here is in it.
    ///
    /// # Errors
    /// `internal` where another version of the server says what holds there.
    pub(super) fn open_shared(&mut self, state: &RoomState, now: Instant) -> Result<(), Refusal> {
        if self.rooms.contains_key(&state.room) {
            return Ok(());
        }
        let policy = match &state.policy {
            Some(policy) => read(policy).ok_or(ErrorCode::Internal)?,
            None => Policy::founded(self.stamp(now)),
        };
        let guesses = Guesses::of_room(&self.config.guesses, now);
        let mut room = Room::new(policy, Origin::Shared, guesses, &self.holdings);
        room.shared.base = state.policy.as_ref().map(|policy| (policy.tag.clone(), room.policy.clone()));
        self.rooms.insert(state.room.clone(), room);
        if !state.members.iter().any(|member| member.moderates) {
            // Whoever does is about to come back, or to be named by their server.
            self.await_moderator(&state.room, now);
        }
        Ok(())
    }

    pub(super) fn read(&mut self, state: RoomState, now: Instant) {
        self.read_with(state, None, now);
    }

    /// As [`Hub::read`], for somebody at the door: the room stays until that is settled.
    pub(super) fn read_for(&mut self, state: RoomState, comer: &PeerId, now: Instant) {
        self.read_with(state, Some(comer), now);
    }

    fn read_with(&mut self, state: RoomState, comer: Option<&PeerId>, now: Instant) {
        let Some(server) = self.span.as_ref().map(|span| span.server) else { return };
        let Some(room) = self.rooms.get_mut(&state.room) else { return };
        if state.version < room.shared.version {
            return;
        }
        let has_missed = std::mem::replace(&mut room.shared.version, state.version) == 0;
        let had_others = has_others(room);
        self.read_policy(&state, now);
        let Some(room) = self.rooms.get_mut(&state.room) else { return };
        let mut changes = Changes::default();
        read_others(room, &state, server, &mut changes);
        read_own(room, &state, server, comer, &mut changes);
        room.sort();
        let tells_all = has_missed && (had_others || has_others(room));
        for (until, peer_id) in changes.kept_elsewhere {
            self.away.remove(&(until, state.room.clone(), peer_id));
        }
        for conn in changes.replaced {
            self.set_state(conn, ConnectionState::Greeted, now);
            self.answer(conn, ErrorCode::Replaced.into(), now);
        }
        if tells_all {
            self.tell_roster(&state.room);
        } else {
            self.tell_news(&state.room, &changes.news);
        }
        if changes.is_incomplete {
            self.mark(&state.room, now);
        }
        self.settle_moderation(&state.room, now);
        if comer.is_none() {
            self.forget_deserted(&state.room);
        }
    }

    /// What holds at the meeting place holds here, unless it was changed here and they do not know yet. Of two changes at
    /// once both hold.
    fn read_policy(&mut self, state: &RoomState, now: Instant) {
        let Some(theirs) = &state.policy else { return };
        let Some(room) = self.rooms.get_mut(&state.room) else { return };
        let mine = share(&room.policy);
        if theirs.tag == mine.tag {
            room.shared.base = Some((mine.tag, room.policy.clone()));
            return;
        }
        let base_tag = room.shared.base.as_ref().map(|(tag, _)| tag);
        if base_tag == Some(&theirs.tag) {
            // They do not know of the change here yet.
            return;
        }
        let is_mine_known = base_tag == Some(&mine.tag);
        let Some(policy) = read(theirs) else { return };
        let base = room.shared.base.replace((theirs.tag.clone(), policy.clone()));
        self.latest_stamp = self.latest_stamp.max(policy.revision).max(policy.founded);
        if is_mine_known || room.policy.founded != policy.founded {
            return self.adopt_policy(&state.room, policy, now);
        }
        let stamp = self.stamp(now);
        let Some(room) = self.rooms.get_mut(&state.room) else { return };
        let mut merged = room.policy.clone();
        merged.merge(base.as_ref().map(|(_, base)| base), &policy, stamp);
        self.adopt_policy(&state.room, merged, now);
    }

    /// Whoever came in while the meeting place was out of reach, and would not have come in under this, is sent away; and
    /// whoever was removed.
    fn adopt_policy(&mut self, room_id: &RoomId, policy: Policy, now: Instant) {
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        let earlier = std::mem::replace(&mut room.policy, policy);
        let policy = &room.policy;
        let stands = |member: &Member| {
            let is_known = member.order > 0 && earlier.founded == policy.founded;
            let would_come_in = || policy.stands(&earlier, &member.peer_id, member.vouched, member.knows_password);
            !policy.removed.contains(&member.peer_id) && (is_known || would_come_in())
        };
        let strangers = room.members().filter(|member| member.is_local() && !stands(member));
        let strangers: Vec<_> = strangers.map(|member| member.peer_id.clone()).collect();
        for stranger in strangers {
            self.expel(room_id, &stranger, now);
        }
        self.tell_policy(room_id, now);
    }

    fn tell_roster(&mut self, room_id: &RoomId) {
        let Some(room) = self.rooms.get(room_id) else { return };
        let others = |peer_id: &PeerId| room.others(peer_id).map(Member::info).collect::<Vec<PeerInfo>>();
        let rosters = room.members().filter_map(|member| Some((member.connection()?, others(&member.peer_id))));
        for (conn, peers) in Vec::from_iter(rosters) {
            self.send(conn, ServerMessage::Roster { peers });
        }
    }

    fn tell_news(&mut self, room_id: &RoomId, news: &[ServerMessage]) {
        let Some(room) = self.rooms.get(room_id) else { return };
        let conns: Vec<_> = room.members().filter_map(Member::connection).collect();
        for message in news {
            self.send_all(conns.clone(), message);
        }
    }
}

/// The people at other servers are as the meeting place has them.
fn read_others(room: &mut Room, state: &RoomState, server: ServerId, changes: &mut Changes) {
    let is_theirs = |member: &&SharedMember| member.server != server && !room.policy.removed.contains(&member.peer_id);
    let theirs: BTreeMap<_, _> =
        state.members.iter().filter(is_theirs).map(|member| (&member.peer_id, member)).collect();
    // Who has come to this server is about to be seated, not gone.
    let comes =
        |peer_id: &PeerId| state.members.iter().any(|member| member.peer_id == *peer_id && member.server == server);
    let is_gone =
        |peer_id: &PeerId| !theirs.contains_key(peer_id) && (room.policy.removed.contains(peer_id) || !comes(peer_id));
    let gone = room.members().filter(|member| !member.is_local() && is_gone(&member.peer_id));
    for peer_id in Vec::from_iter(gone.map(|member| member.peer_id.clone())) {
        room.remove(&peer_id);
        let reason = leave_reason(room, state, &peer_id);
        changes.news.push(ServerMessage::PeerLeft { peer_id, reason });
    }
    for (_, theirs) in theirs {
        match room.get_mut(&theirs.peer_id) {
            // They come to know of it with the next statement.
            Some(member)
                if member.is_local() && takes_over(&share_member(member, server, member.is_away()), theirs) =>
            {
                changes.is_incomplete = true;
            }
            Some(member) => update(member, theirs, changes),
            None => {
                let member = member_elsewhere(theirs);
                changes.news.push(ServerMessage::PeerJoined { peer: member.info() });
                room.add(member);
            }
        }
    }
}

fn leave_reason(room: &Room, state: &RoomState, peer_id: &PeerId) -> LeaveReason {
    if room.policy.removed.contains(peer_id) {
        LeaveReason::Removed
    } else if state.left.contains(peer_id) {
        LeaveReason::Left
    } else {
        LeaveReason::Timeout
    }
}

fn update(member: &mut Member, theirs: &SharedMember, changes: &mut Changes) {
    let was_away = member.is_away();
    let elsewhere = Presence::Elsewhere { server: theirs.server, away: theirs.away };
    match std::mem::replace(&mut member.presence, elsewhere) {
        Presence::Here(conn) => changes.replaced.push(conn),
        Presence::Away { until } => changes.kept_elsewhere.push((until, member.peer_id.clone())),
        Presence::Elsewhere { .. } => {}
    }
    let is_renamed = member.name != theirs.name;
    member.name.clone_from(&theirs.name);
    (member.moderates, member.invited_until) = (theirs.moderates, theirs.invited_until);
    (member.order, member.seated_alone, member.seated_at_ms) = (theirs.order, false, theirs.seated_at_ms);
    match (was_away, theirs.away) {
        (false, true) => changes.news.push(ServerMessage::PeerAway { peer_id: member.peer_id.clone() }),
        (true, false) => changes.news.push(ServerMessage::PeerBack { peer: member.info() }),
        // They were away for a moment, of which nothing was heard here.
        (false, false) if is_renamed => {
            changes.news.push(ServerMessage::PeerAway { peer_id: member.peer_id.clone() });
            changes.news.push(ServerMessage::PeerBack { peer: member.info() });
        }
        (false, false) | (true, true) => {}
    }
}

fn member_elsewhere(theirs: &SharedMember) -> Member {
    Member {
        peer_id: theirs.peer_id.clone(),
        name: theirs.name.clone(),
        presence: Presence::Elsewhere { server: theirs.server, away: theirs.away },
        moderates: theirs.moderates,
        invited_until: theirs.invited_until,
        vouched: None,
        knows_password: false,
        order: theirs.order,
        seated_alone: false,
        seated_at_ms: theirs.seated_at_ms,
    }
}

/// The people here keep their places in the order of joining, once they are given.
fn read_own(room: &mut Room, state: &RoomState, server: ServerId, comer: Option<&PeerId>, changes: &mut Changes) {
    let own = state.members.iter().filter(|member| member.server == server);
    let own: BTreeMap<_, _> = own.map(|member| (&member.peer_id, member)).collect();
    for member in room.members_mut().filter(|member| member.is_local()) {
        match own.get(&member.peer_id) {
            Some(known) => (member.order, member.seated_alone) = (known.order, false),
            None => changes.is_incomplete |= comer != Some(&member.peer_id),
        }
    }
}
