//! How somebody comes into a room: new, back, or from before a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::{DisplayName, ErrorCode, PeerId, RoomId, Secret, ServerMessage};

use super::admission::{Candidate, Policy, Verdict};
use super::guesses::Guesses;
use super::holdings::{MEMBER_BYTES, ROOM_BYTES};
use super::refusal::Refusal;
use super::{ConnId, ConnectionState, Hub, Seat};
use crate::access::Invitation;
use crate::backplane::SharedMember;
use crate::password::Stretched;
use crate::room::{Member, Origin, Presence, Room};
use crate::token::Membership;

/// How long after a room began its earlier members may come back and find it taken. Longer than clients take to return
/// after a restart; short, so that nobody takes a running call over with a token of yesterday.
const TAKEN_BACK_FOR: Duration = Duration::from_secs(60);

/// What a `join` says.
pub(super) struct JoinRequest {
    pub(super) room: String,
    pub(super) name: String,
    pub(super) resume: Option<Secret>,
    pub(super) access: Option<Secret>,
    pub(super) password: Option<Secret>,
}

/// Somebody at the door, and what they have shown so far.
pub(super) struct Comer {
    pub(super) room: RoomId,
    pub(super) name: DisplayName,
    /// Who they are, or are to be.
    pub(super) peer_id: PeerId,
    /// An earlier membership in a room of this name.
    pub(super) membership: Option<Membership>,
    /// What the server asks for where it asks for access tokens.
    invitation: Option<Invitation>,
    /// Whether the one or the other proves who they are.
    is_proven: bool,
    /// What they say is the room's password.
    pub(super) password: Option<Secret>,
    /// The same, stretched, once that is done.
    pub(super) stretched: Option<Stretched>,
    pub(super) knows_password: bool,
    /// How the meeting place of the servers has let them in.
    pub(super) record: Option<SharedMember>,
}

impl Hub {
    pub(super) fn join(&mut self, conn: ConnId, request: JoinRequest, now: Instant) -> Result<(), Refusal> {
        let outcome = self.identify(request, now).and_then(|comer| self.go_in(conn, comer, 1, now));
        if let Err(refusal) = &outcome {
            self.count_refused(refusal);
        }
        outcome
    }

    /// Somebody wants in, and where servers share rooms is judged for so many a time.
    pub(super) fn go_in(&mut self, conn: ConnId, comer: Comer, judged: u32, now: Instant) -> Result<(), Refusal> {
        match self.is_reached() {
            true => self.claim(conn, comer, judged, now),
            false => self.come_in(conn, comer, now),
        }
    }

    fn count_refused(&mut self, refusal: &Refusal) {
        *self.join_counts.refused.entry(refusal.code).or_default() += 1;
    }

    /// Answers a join that was not answered at once.
    pub(super) fn refuse_join(&mut self, conn: ConnId, refusal: Refusal, now: Instant) {
        self.count_refused(&refusal);
        self.answer(conn, refusal, now);
    }

    /// Lets somebody in by what this server knows.
    pub(super) fn come_in(&mut self, conn: ConnId, comer: Comer, now: Instant) -> Result<(), Refusal> {
        self.learn_policy(&comer, now);
        let Some(comer) = self.admit(conn, comer, 1, now)? else { return Ok(()) };
        if !self.is_member(&comer.room, &comer.peer_id) {
            if comer.membership.is_none() {
                self.take_join(conn, now)?;
            }
            self.check_place(&comer.room)?;
        }
        self.seat(conn, comer, now);
        Ok(())
    }

    /// Whether there is a place for one more here.
    fn check_place(&self, room: &RoomId) -> Result<(), Refusal> {
        let capacity = self.config.room_capacity;
        match self.rooms.get(room) {
            Some(room) if room.len() >= usize::try_from(capacity).unwrap_or(usize::MAX) => {
                Err(Refusal::room_full(capacity))
            }
            Some(_) | None => self.check_holdings(room),
        }
    }

    /// Whether the rooms may hold one more person, and one more room where this one is not there.
    pub(super) fn check_holdings(&self, room: &RoomId) -> Result<(), Refusal> {
        let is_there = self.rooms.contains_key(room);
        let added = MEMBER_BYTES + if is_there { 0 } else { ROOM_BYTES };
        let too_many = !is_there && self.rooms.len() >= self.config.rooms_max;
        let too_much = self.holdings.bytes() + added > self.config.rooms_bytes_max;
        if too_many || too_much { Err(ErrorCode::TooManyRooms.into()) } else { Ok(()) }
    }

    /// Gives somebody who was let in their place, and tells everyone.
    pub(super) fn seat(&mut self, conn: ConnId, comer: Comer, now: Instant) {
        let seat = if self.is_member(&comer.room, &comer.peer_id) {
            self.restore(conn, comer, now)
        } else {
            self.enter(conn, comer, now)
        };
        self.mark(&seat.room, now);
        let counts = &mut self.join_counts;
        *(if seat.resumed { &mut counts.resumed } else { &mut counts.new }) += 1;
        self.set_state(conn, ConnectionState::Joined(Arc::new(seat.clone())), now);
        self.send_joined(conn, &seat, now);
    }

    /// The same room again, before the first answer: that one is on its way.
    pub(super) fn join_while_joining(&self, joining: &RoomId, room: &str) -> Result<(), Refusal> {
        if parse_room(room)? == *joining { Ok(()) } else { Err(ErrorCode::AlreadyJoined.into()) }
    }

    /// The same room again gives the same answer, with a fresh token.
    pub(super) fn join_again(&mut self, conn: ConnId, seat: &Seat, room: &str, now: Instant) -> Result<(), Refusal> {
        if parse_room(room)? != seat.room {
            return Err(ErrorCode::AlreadyJoined.into());
        }
        self.send_joined(conn, seat, now);
        Ok(())
    }

    /// Finds out who it is, by a resume token or by an access token.
    fn identify(&mut self, request: JoinRequest, now: Instant) -> Result<Comer, Refusal> {
        let room = parse_room(&request.room)?;
        let membership =
            request.resume.as_ref().and_then(|token| self.tokens.open(token.reveal(), self.unix_secs(now)));
        let mut membership = membership.filter(|membership| membership.room == room);
        let invitation = self.invitation(&room, request.access.as_ref().map(Secret::reveal), &mut membership, now)?;
        let invited_id = invitation.as_ref().map(|invitation| self.invited_ids.peer_id(&room, &invitation.jti));
        membership = membership.filter(|membership| invited_id.as_ref().is_none_or(|id| *id == membership.peer_id));
        let peer_id = invited_id.or_else(|| membership.as_ref().map(|membership| membership.peer_id.clone()));
        let name = match invitation.as_ref().and_then(|invitation| invitation.name.clone()) {
            Some(name) => name,
            None => request.name.parse().map_err(|error| {
                Refusal::saying(ErrorCode::InvalidName, format!("Please choose another name: {error}."))
            })?,
        };
        let is_proven = peer_id.is_some();
        let peer_id = peer_id.unwrap_or_else(|| self.new_peer_id(&room));
        let JoinRequest { password, .. } = request;
        Ok(Comer {
            room,
            name,
            peer_id,
            membership,
            invitation,
            is_proven,
            password,
            stretched: None,
            knows_password: false,
            record: None,
        })
    }

    /// Where the server asks for access tokens, the comer's; none is needed by who resumes what began with one.
    fn invitation(
        &self,
        room: &RoomId,
        access: Option<&str>,
        membership: &mut Option<Membership>,
        now: Instant,
    ) -> Result<Option<Invitation>, Refusal> {
        let Some(key) = &self.config.access else { return Ok(None) };
        membership.take_if(|membership| membership.invited_until.is_none());
        let verified = access.map(|token| key.verify(token, room, self.unix_secs(now)));
        match (verified, membership) {
            (Some(Ok(invitation)), _) => Ok(Some(invitation)),
            (Some(Err(_)) | None, Some(_)) => Ok(None),
            (Some(Err(code)), None) => Err(code.into()),
            (None, None) => Err(ErrorCode::AccessRequired.into()),
        }
    }

    /// Decides whether they may come in: gives them back where they may, and none where their password has to be stretched
    /// first, after which they are judged anew.
    pub(super) fn admit(
        &mut self,
        conn: ConnId,
        mut comer: Comer,
        judged: u32,
        now: Instant,
    ) -> Result<Option<Comer>, Refusal> {
        let Some(room) = self.rooms.get(&comer.room) else { return Ok(Some(comer)) };
        let peer_id = comer.is_proven.then_some(&comer.peer_id);
        let is_member = peer_id.is_some_and(|peer_id| room.get(peer_id).is_some());
        let vouched = comer.membership.as_ref().and_then(|membership| room.policy.vouched(membership.policy.as_ref()));
        let asked = match room.policy.judge(&Candidate { peer_id, is_member, vouched }) {
            Verdict::Enter => return Ok(Some(comer)),
            Verdict::Refuse(code) => return Err(code.into()),
            Verdict::Ask(password) => password.clone(),
        };
        match &comer.stretched {
            Some(stretched) if stretched.is_for(&asked) => {
                self.check_password(conn, &comer, stretched, &asked, now)?;
                comer.knows_password = true;
                Ok(Some(comer))
            }
            Some(_) | None => self.knock(conn, comer, judged, &asked, now).map(|()| None),
        }
    }

    /// Takes over what the comer's token knows of the room and this server does not: after a restart, or after a time in
    /// which nobody could reach it. Whoever is there, and would not have been admitted, is sent away.
    pub(super) fn learn_policy(&mut self, comer: &Comer, now: Instant) {
        let Some(membership) = &comer.membership else { return };
        let Some(policy) = &membership.policy else { return };
        self.latest_stamp = self.latest_stamp.max(policy.revision).max(policy.founded);
        let Some(room) = self.rooms.get_mut(&comer.room) else { return };
        if !room.policy.is_outdated_by(policy) && !is_taken_back(room, policy, now) {
            return;
        }
        let earlier = std::mem::replace(&mut room.policy, policy.clone());
        room.origin = match room.origin {
            Origin::Founded(at) | Origin::Restored(at) => Origin::Restored(at),
            Origin::Shared => Origin::Shared,
        };
        let stands = |member: &Member| policy.stands(&earlier, &member.peer_id, member.vouched, member.knows_password);
        let strangers: Vec<PeerId> = room
            .members()
            .filter(|member| member.is_local() && !stands(member))
            .map(|member| member.peer_id.clone())
            .collect();
        for member in room.members_mut() {
            // By invitation, one moderates by what the invitation says; otherwise by what was said last.
            member.moderates &= member.invited_until.is_some();
        }
        // Awaited even where it is the comer, who is not in yet.
        self.await_moderator(&comer.room, now);
        for stranger in strangers {
            self.expel(&comer.room, &stranger, now);
        }
        self.tell_policy(&comer.room, now);
    }

    /// Counts somebody new against the address they come from. This machine's own is left alone: whoever is on it can do
    /// worse, and a proxy on it that was not named must not make everybody one.
    pub(super) fn take_join(&mut self, conn: ConnId, now: Instant) -> Result<(), Refusal> {
        let Some(address) = self.connections.get(&conn).map(|connection| connection.address) else { return Ok(()) };
        if address.to_canonical().is_loopback() {
            return Ok(());
        }
        let per_min = self.config.joins_per_address_per_min;
        self.joins.take(address.into(), per_min, now).map_err(Refusal::too_many_joins)
    }

    /// A membership that is not there begins: a new person, or one whose place a restart or time has taken.
    fn enter(&mut self, conn: ConnId, comer: Comer, now: Instant) -> Seat {
        if !self.rooms.contains_key(&comer.room) {
            let policy = self.founding_policy(&comer, now);
            self.open_room(&comer, policy, now);
        }
        let (moderates, invited_until) = self.invited_to(&comer);
        let (resumed, peer_id) = (comer.membership.is_some(), comer.peer_id);
        let seat = Seat { room: comer.room, peer_id: peer_id.clone(), resumed };
        let seated_at_ms = self.unix_ms(now);
        let Some(room) = self.rooms.get_mut(&seat.room) else { return seat };
        let membership = comer.membership.as_ref();
        let vouched = membership.and_then(|membership| room.policy.vouched(membership.policy.as_ref()));
        let member = Member {
            peer_id: peer_id.clone(),
            name: comer.name,
            presence: Presence::Here(conn),
            moderates,
            invited_until,
            vouched,
            knows_password: comer.knows_password,
            order: comer.record.as_ref().map_or(0, |record| record.order),
            seated_alone: comer.record.is_none(),
            seated_at_ms,
        };
        let news = ServerMessage::PeerJoined { peer: member.info() };
        room.add(member);
        if comer.record.is_some() {
            room.sort();
        }
        let others = room.reachable_others(&peer_id);
        self.send_all(others, &news);
        self.claim_moderation(&seat.room, &peer_id, membership);
        seat
    }

    /// What holds in a room that the comer finds empty: what their token says of it, or nothing yet.
    pub(super) fn founding_policy(&mut self, comer: &Comer, now: Instant) -> Policy {
        let known = comer.membership.as_ref().and_then(|membership| membership.policy.clone());
        known.unwrap_or_else(|| Policy::founded(self.stamp(now)))
    }

    /// Whether they moderate, and until when they may resume, by their invitation.
    fn invited_to(&self, comer: &Comer) -> (bool, Option<u64>) {
        let lifetime = self.config.token_lifetime.as_secs();
        match (&comer.invitation, &comer.membership) {
            (Some(invitation), _) => (invitation.moderate, Some(invitation.expires_at.saturating_add(lifetime))),
            (None, Some(membership)) if self.config.access.is_some() => {
                (membership.moderates, membership.invited_until)
            }
            (None, _) => comer.record.as_ref().map_or((false, None), |record| (record.moderates, record.invited_until)),
        }
    }

    /// A room begins, or comes back as the comer's token has it.
    pub(super) fn open_room(&mut self, comer: &Comer, policy: Policy, now: Instant) {
        let is_restored = comer.membership.as_ref().is_some_and(|membership| membership.policy.is_some());
        let origin = if is_restored { Origin::Restored(now) } else { Origin::Founded(now) };
        let guesses = Guesses::of_room(&self.config.guesses, now);
        self.rooms.insert(comer.room.clone(), Room::new(policy, origin, guesses, &self.holdings));
        if is_restored && comer.membership.as_ref().is_some_and(|membership| !membership.moderates) {
            self.await_moderator(&comer.room, now);
        }
    }

    /// A membership that is still there changes its connection, or its server.
    ///
    /// Who was away comes back under the name of this join. Whose old socket was still open keeps the name the others
    /// know, since they are told nothing.
    fn restore(&mut self, conn: ConnId, comer: Comer, now: Instant) -> Seat {
        let invited_to = comer.invitation.as_ref().map(|_| self.invited_to(&comer));
        let seat = Seat { room: comer.room, peer_id: comer.peer_id, resumed: true };
        let seated_at_ms = self.unix_ms(now);
        let Some(room) = self.rooms.get_mut(&seat.room) else { return seat };
        let membership = comer.membership.as_ref();
        let vouched = membership.and_then(|membership| room.policy.vouched(membership.policy.as_ref()));
        let Some(member) = room.get_mut(&seat.peer_id) else { return seat };
        (member.seated_at_ms, member.vouched) = (seated_at_ms, vouched.max(member.vouched));
        member.order = comer.record.as_ref().map_or(member.order, |record| record.order);
        member.seated_alone = comer.record.is_none();
        if let Some((moderates, invited_until)) = invited_to {
            (member.moderates, member.invited_until) = (moderates, invited_until);
        }
        let was_away = member.is_away();
        let before = std::mem::replace(&mut member.presence, Presence::Here(conn));
        if was_away {
            member.name = comer.name;
            let news = ServerMessage::PeerBack { peer: member.info() };
            self.send_others(&seat.room, &seat.peer_id, &news);
        }
        match before {
            Presence::Here(old) => {
                self.set_state(old, ConnectionState::Greeted, now);
                self.answer(old, ErrorCode::Replaced.into(), now);
            }
            Presence::Away { until } => {
                self.away.remove(&(until, seat.room.clone(), seat.peer_id.clone()));
            }
            Presence::Elsewhere { .. } => {}
        }
        self.claim_moderation(&seat.room, &seat.peer_id, membership);
        seat
    }
}

/// Whether the room there is has to make way for the one that a token speaks of: it began a moment ago, because this
/// server or everyone in it was gone, and the other is the latest that members remember.
fn is_taken_back(room: &Room, policy: &Policy, now: Instant) -> bool {
    let (at, is_truer) = match room.origin {
        Origin::Founded(at) => (at, policy.founded != room.policy.founded),
        Origin::Restored(at) => (at, policy.founded > room.policy.founded),
        Origin::Shared => return false,
    };
    is_truer && now.saturating_duration_since(at) < TAKEN_BACK_FOR
}

fn parse_room(text: &str) -> Result<RoomId, Refusal> {
    text.parse()
        .map_err(|error| Refusal::saying(ErrorCode::InvalidRoom, format!("Please choose another room: {error}.")))
}
