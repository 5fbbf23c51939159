//! How somebody comes into a room: new, back, or from before a restart.

use std::time::{Duration, Instant};

use parlor_proto::{DisplayName, ErrorCode, PeerId, RoomId, ServerMessage};

use super::admission::{Candidate, Policy, Verdict};
use super::guesses::Guesses;
use super::refusal::Refusal;
use super::{ConnId, ConnectionState, Hub, Seat};
use crate::access::Invitation;
use crate::room::{Member, Origin, Presence, Room};
use crate::token::Membership;

/// How long after a room began its earlier members may come back and find it taken. Longer than clients take to return
/// after a restart; short, so that nobody takes a running call over with a token of yesterday.
const TAKEN_BACK_FOR: Duration = Duration::from_secs(60);

/// What a `join` says.
pub(super) struct JoinRequest {
    pub(super) room: String,
    pub(super) name: String,
    pub(super) resume: Option<String>,
    pub(super) access: Option<String>,
    pub(super) password: Option<String>,
}

/// Somebody at the door, and what they have shown so far.
struct Comer {
    room: RoomId,
    name: DisplayName,
    /// An earlier membership in a room of this name.
    membership: Option<Membership>,
    /// What the server asks for where it asks for access tokens.
    invitation: Option<Invitation>,
    /// Who they are, by the one or the other.
    peer_id: Option<PeerId>,
    knows_password: bool,
}

impl Hub {
    pub(super) fn join(&mut self, conn: ConnId, request: JoinRequest, now: Instant) -> Result<(), Refusal> {
        let outcome = self.admit_to_room(conn, request, now);
        let counts = &mut self.join_counts;
        let count = match &outcome {
            Ok(seat) if seat.resumed => &mut counts.resumed,
            Ok(_) => &mut counts.new,
            Err(refusal) => counts.refused.entry(refusal.code).or_default(),
        };
        *count += 1;
        let seat = outcome?;
        self.send_joined(conn, &seat, now);
        Ok(())
    }

    fn admit_to_room(&mut self, conn: ConnId, request: JoinRequest, now: Instant) -> Result<Seat, Refusal> {
        let mut comer = self.identify(&request, now)?;
        self.learn_policy(&comer, now);
        comer.knows_password = self.admit(conn, &comer, request.password.as_deref(), now)?;
        let seat = match comer.peer_id.clone() {
            Some(peer_id) if self.is_member(&comer.room, &peer_id) => self.restore(conn, comer, peer_id, now),
            _ => self.enter(conn, comer, now)?,
        };
        self.set_state(conn, ConnectionState::Joined(seat.clone()), now);
        Ok(seat)
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
    fn identify(&self, request: &JoinRequest, now: Instant) -> Result<Comer, Refusal> {
        let room = parse_room(&request.room)?;
        let membership = request.resume.as_ref().and_then(|token| self.tokens.open(token, self.unix_secs(now)));
        let mut membership = membership.filter(|membership| membership.room == room);
        let invitation = self.invitation(&room, request.access.as_deref(), &mut membership, now)?;
        let invited_id = invitation.as_ref().map(|invitation| self.invited_ids.peer_id(&room, &invitation.jti));
        membership = membership.filter(|membership| invited_id.as_ref().is_none_or(|id| *id == membership.peer_id));
        let peer_id = invited_id.or_else(|| membership.as_ref().map(|membership| membership.peer_id.clone()));
        let name = match invitation.as_ref().and_then(|invitation| invitation.name.clone()) {
            Some(name) => name,
            None => request.name.parse().map_err(|error| {
                Refusal::saying(ErrorCode::InvalidName, format!("Please choose another name: {error}."))
            })?,
        };
        Ok(Comer { room, name, membership, invitation, peer_id, knows_password: false })
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

    /// Decides whether they may come in; says whether they gave the password.
    fn admit(&mut self, conn: ConnId, comer: &Comer, password: Option<&str>, now: Instant) -> Result<bool, Refusal> {
        let Some(room) = self.rooms.get(&comer.room) else { return Ok(false) };
        let peer_id = comer.peer_id.as_ref();
        let is_member = peer_id.is_some_and(|peer_id| room.get(peer_id).is_some());
        let vouched = comer.membership.as_ref().and_then(|membership| room.policy.vouched(membership.policy.as_ref()));
        match room.policy.judge(&Candidate { peer_id, is_member, vouched }) {
            Verdict::Enter => Ok(false),
            Verdict::Refuse(code) => Err(code.into()),
            Verdict::Ask(_) => {
                let password = password.ok_or(ErrorCode::PasswordRequired)?;
                self.check_password(conn, &comer.room, password, now).map(|()| true)
            }
        }
    }

    /// Compares a password with the room's, where this may be tried again.
    fn check_password(&mut self, conn: ConnId, room: &RoomId, given: &str, now: Instant) -> Result<(), Refusal> {
        let Some(address) = self.connections.get(&conn).map(|connection| connection.address) else { return Ok(()) };
        let Some(room) = self.rooms.get_mut(room) else { return Ok(()) };
        let Some(password) = &room.policy.password else { return Ok(()) };
        self.guesses.allow_guess(address, &room.guesses, now)?;
        if self.passwords.verify(password, given) {
            return Ok(());
        }
        self.guesses.note_wrong(address, &mut room.guesses, now);
        Err(ErrorCode::PasswordWrong.into())
    }

    /// Takes over what the comer's token knows of the room and this server does not: after a restart, or after a time in
    /// which nobody could reach it. Whoever is there, and would not have been admitted, is sent away.
    fn learn_policy(&mut self, comer: &Comer, now: Instant) {
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
        };
        let stands = |member: &Member| policy.stands(&earlier, &member.peer_id, member.vouched, member.knows_password);
        let strangers: Vec<PeerId> =
            room.members().filter(|member| !stands(member)).map(|member| member.peer_id.clone()).collect();
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
    fn take_join(&mut self, conn: ConnId, now: Instant) -> Result<(), Refusal> {
        let Some(address) = self.connections.get(&conn).map(|connection| connection.address) else { return Ok(()) };
        if address.to_canonical().is_loopback() {
            return Ok(());
        }
        let per_min = self.config.joins_per_address_per_min;
        self.joins.take(address.into(), per_min, now).map_err(Refusal::too_many_joins)
    }

    /// A membership that is not there begins: a new person, or one whose place a restart or time has taken.
    fn enter(&mut self, conn: ConnId, comer: Comer, now: Instant) -> Result<Seat, Refusal> {
        if comer.membership.is_none() {
            self.take_join(conn, now)?;
        }
        let capacity = self.config.room_capacity;
        match self.rooms.get(&comer.room) {
            Some(room) if room.len() >= usize::try_from(capacity).unwrap_or(usize::MAX) => {
                return Err(Refusal::room_full(capacity));
            }
            None if self.rooms.len() >= self.config.rooms_max => return Err(ErrorCode::TooManyRooms.into()),
            Some(_) => {}
            None => self.open_room(&comer, now),
        }
        let resumed = comer.membership.is_some();
        let peer_id = match &comer.peer_id {
            Some(peer_id) => peer_id.clone(),
            None => self.new_peer_id(&comer.room),
        };
        let (moderates, invited_until) = self.invited_to(&comer);
        let Some(room) = self.rooms.get_mut(&comer.room) else { return Err(ErrorCode::Internal.into()) };
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
        };
        let news = ServerMessage::PeerJoined { peer: member.info() };
        room.add(member);
        let others = room.reachable_others(&peer_id);
        self.send_all(others, &news);
        self.claim_moderation(&comer.room, &peer_id, membership);
        Ok(Seat { room: comer.room, peer_id, resumed })
    }

    /// Whether they moderate, and until when they may resume, by their invitation.
    fn invited_to(&self, comer: &Comer) -> (bool, Option<u64>) {
        let lifetime = self.config.token_lifetime.as_secs();
        match (&comer.invitation, &comer.membership) {
            (Some(invitation), _) => (invitation.moderate, Some(invitation.expires_at.saturating_add(lifetime))),
            (None, Some(membership)) if self.config.access.is_some() => {
                (membership.moderates, membership.invited_until)
            }
            (None, _) => (false, None),
        }
    }

    /// A room begins, or comes back as the comer's token has it.
    fn open_room(&mut self, comer: &Comer, now: Instant) {
        let known = comer.membership.as_ref().and_then(|membership| membership.policy.clone());
        let (policy, origin) = match known {
            Some(policy) => (policy, Origin::Restored(now)),
            None => (Policy::founded(self.stamp(now)), Origin::Founded(now)),
        };
        let is_restored = matches!(origin, Origin::Restored(_));
        let guesses = Guesses::of_room(&self.config.guesses, now);
        self.rooms.insert(comer.room.clone(), Room::new(policy, origin, guesses));
        if is_restored && comer.membership.as_ref().is_some_and(|membership| !membership.moderates) {
            self.await_moderator(&comer.room, now);
        }
    }

    /// A membership that is still there changes its connection.
    ///
    /// Who was away comes back under the name of this join. Whose old socket was still open keeps the name the others
    /// know, since they are told nothing.
    fn restore(&mut self, conn: ConnId, comer: Comer, peer_id: PeerId, now: Instant) -> Seat {
        let invited_to = comer.invitation.as_ref().map(|_| self.invited_to(&comer));
        let seat = Seat { room: comer.room, peer_id, resumed: true };
        let Some(member) = self.rooms.get_mut(&seat.room).and_then(|room| room.get_mut(&seat.peer_id)) else {
            return seat;
        };
        if let Some((moderates, invited_until)) = invited_to {
            (member.moderates, member.invited_until) = (moderates, invited_until);
        }
        match std::mem::replace(&mut member.presence, Presence::Here(conn)) {
            Presence::Here(old) => {
                self.set_state(old, ConnectionState::Greeted, now);
                self.answer(old, ErrorCode::Replaced.into(), now);
            }
            Presence::Away { until } => {
                member.name = comer.name;
                let news = ServerMessage::PeerBack { peer: member.info() };
                self.away.remove(&(until, seat.room.clone(), seat.peer_id.clone()));
                self.send_others(&seat.room, &seat.peer_id, &news);
            }
        }
        self.claim_moderation(&seat.room, &seat.peer_id, comer.membership.as_ref());
        seat
    }
}

/// Whether the room there is has to make way for the one that a token speaks of: it began a moment ago, because this
/// server or everyone in it was gone, and the other is the latest that members remember.
fn is_taken_back(room: &Room, policy: &Policy, now: Instant) -> bool {
    let (at, is_truer) = match room.origin {
        Origin::Founded(at) => (at, policy.founded != room.policy.founded),
        Origin::Restored(at) => (at, policy.founded > room.policy.founded),
    };
    is_truer && now.saturating_duration_since(at) < TAKEN_BACK_FOR
}

fn parse_room(text: &str) -> Result<RoomId, Refusal> {
    text.parse()
        .map_err(|error| Refusal::saying(ErrorCode::InvalidRoom, format!("Please choose another room: {error}.")))
}
