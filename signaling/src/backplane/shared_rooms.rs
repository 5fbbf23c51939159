//! The meeting place as a pure machine. What `redis/*.lua` does is this, line by line; the shared tests hold both to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parlor_proto::{PeerId, RoomId};

use super::{Claim, Claimed, RoomState, ServerId, SharedMember, SharedPolicy, Statement};

/// The rooms that servers share. Time is an argument: Unix milliseconds.
#[derive(Debug)]
pub struct SharedRooms {
    lease_ms: u64,
    rooms: BTreeMap<RoomId, SharedRoom>,
}

#[derive(Debug, Default)]
struct SharedRoom {
    version: u64,
    policy: Option<SharedPolicy>,
    /// The highest place given.
    order: u64,
    members: BTreeMap<PeerId, Held>,
}

#[derive(Debug)]
struct Held {
    member: SharedMember,
    until_ms: u64,
}

/// A changed room, and the servers that must hear of it.
pub type News = Option<(RoomState, Vec<ServerId>)>;

impl SharedRooms {
    /// No rooms; a part holds for this long.
    pub fn new(lease: Duration) -> Self {
        Self { lease_ms: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX), rooms: BTreeMap::new() }
    }

    /// Lets somebody in, or says why not.
    pub fn claim(&mut self, claim: &Claim, now_ms: u64) -> (Claimed, News) {
        let until_ms = now_ms + self.lease_ms;
        let (verdict, state, news) = self.change(&claim.room, &claim.member.server, now_ms, |room, change| {
            if claim.expires {
                change.made |= room.expire(now_ms);
            }
            room.admit(claim, until_ms, change)
        });
        let claimed = match verdict {
            Verdict::Admitted => Claimed::Admitted(state),
            Verdict::Full => Claimed::Full,
            Verdict::Outdated => Claimed::Outdated(state),
        };
        (claimed, news)
    }

    /// Takes a server's part of a room for what it is. The answer is the room, if it is not as the server knows it.
    pub fn state(&mut self, statement: &Statement, now_ms: u64) -> (Option<RoomState>, News) {
        let until_ms = now_ms + self.lease_ms;
        let (is_refused, state, news) = self.change(&statement.room, &statement.server, now_ms, |room, change| {
            if statement.expires {
                change.made |= room.expire(now_ms);
            }
            change.left.clone_from(&statement.left);
            let is_refused = room.take_members(statement, now_ms, until_ms, change);
            room.take_policy(statement, change) || is_refused
        });
        ((is_refused || state.version != statement.known).then_some(state), news)
    }

    /// Changes a room: counts its version up, forgets it when it is empty, and finds who must hear of it.
    fn change<Outcome>(
        &mut self,
        id: &RoomId,
        by: &ServerId,
        now_ms: u64,
        change: impl FnOnce(&mut SharedRoom, &mut Change) -> Outcome,
    ) -> (Outcome, RoomState, News) {
        let mut room = self.rooms.remove(id).unwrap_or_default();
        let mut servers = room.servers();
        let mut made = Change::default();
        let outcome = change(&mut room, &mut made);
        if made.made {
            room.version = (room.version + 1).max(now_ms.saturating_mul(1_000));
        }
        servers.extend(room.servers());
        servers.remove(by);
        let state = room.told(id, made.left);
        let news = made.made.then(|| (state.clone(), servers.into_iter().collect()));
        if !room.members.is_empty() {
            self.rooms.insert(id.clone(), room);
        }
        (outcome, state, news)
    }
}

enum Verdict {
    Admitted,
    Full,
    Outdated,
}

#[derive(Default)]
struct Change {
    made: bool,
    left: Vec<PeerId>,
}

impl SharedRoom {
    fn expire(&mut self, now_ms: u64) -> bool {
        let before = self.members.len();
        self.members.retain(|_, held| held.until_ms > now_ms);
        self.members.len() != before
    }

    fn admit(&mut self, claim: &Claim, until_ms: u64, change: &mut Change) -> Verdict {
        if self.members.is_empty() {
            self.policy = Some(claim.founding.clone());
        } else if self.policy.as_ref().map(|policy| &policy.tag) != claim.judged.as_ref() {
            return Verdict::Outdated;
        }
        let held = self.members.get(&claim.member.peer_id).map(|held| &held.member);
        if held.is_none() && self.members.len() >= usize::try_from(claim.capacity).unwrap_or(usize::MAX) {
            return Verdict::Full;
        }
        let member = match held {
            Some(held) => moved(held, &claim.member),
            None => SharedMember { order: self.order + 1, ..claim.member.clone() },
        };
        self.put(member, until_ms);
        change.made = true;
        Verdict::Admitted
    }

    /// Returns whether somebody stated stays with another server.
    fn take_members(&mut self, statement: &Statement, now_ms: u64, until_ms: u64, change: &mut Change) -> bool {
        let mut is_refused = false;
        for member in &statement.members {
            let held = self.members.get(&member.peer_id);
            if held.is_some_and(|held| stands_against(held, member, now_ms)) {
                is_refused = true;
                continue;
            }
            let order = match held {
                Some(held) => held.member.order,
                None if member.order > 0 => member.order,
                None => self.order + 1,
            };
            let member = SharedMember { order, ..member.clone() };
            change.made |= held.is_none_or(|held| held.member != member);
            self.put(member, until_ms);
        }
        let stated: BTreeSet<_> =
            statement.members.iter().map(|member| &member.peer_id).chain(&statement.claiming).collect();
        let before = self.members.len();
        self.members.retain(|peer_id, held| held.member.server != statement.server || stated.contains(peer_id));
        change.made |= self.members.len() != before;
        is_refused
    }

    /// Returns whether another policy holds.
    fn take_policy(&mut self, statement: &Statement, change: &mut Change) -> bool {
        let Some(policy) = &statement.policy else { return false };
        match self.policy.as_ref().map(|policy| &policy.tag) {
            Some(tag) if *tag == policy.tag => return false,
            Some(tag) if Some(tag) != statement.base.as_ref() => return true,
            Some(_) | None => {}
        }
        self.policy = Some(policy.clone());
        change.made = true;
        false
    }

    fn put(&mut self, member: SharedMember, until_ms: u64) {
        self.order = self.order.max(member.order);
        self.members.insert(member.peer_id.clone(), Held { member, until_ms });
    }

    fn servers(&self) -> BTreeSet<ServerId> {
        self.members.values().map(|held| held.member.server).collect()
    }

    fn told(&self, id: &RoomId, left: Vec<PeerId>) -> RoomState {
        let mut members: Vec<_> = self.members.values().map(|held| held.member.clone()).collect();
        members.sort_by(|a, b| (a.order, &a.peer_id).cmp(&(b.order, &b.peer_id)));
        RoomState { room: id.clone(), version: self.version, policy: self.policy.clone(), members, left }
    }
}

/// Who is in the room already keeps their place, and what they may; their name too, unless they were away.
fn moved(held: &SharedMember, claim: &SharedMember) -> SharedMember {
    let name = if held.away { &claim.name } else { &held.name };
    SharedMember {
        name: name.clone(),
        moderates: held.moderates,
        invited_until: claim.invited_until.or(held.invited_until),
        order: held.order,
        ..claim.clone()
    }
}

/// Whether somebody whom another server holds stays there although this one states them.
fn stands_against(held: &Held, stated: &SharedMember, now_ms: u64) -> bool {
    held.member.server != stated.server && held.until_ms > now_ms && !takes_over(stated, &held.member)
}

/// Whether somebody whom a server states is taken from the one that has them: they can be reached there and not here, or came
/// there later, out of everyone's reach. A claim does so in any case.
pub(crate) fn takes_over(stated: &SharedMember, held: &SharedMember) -> bool {
    let is_reached = held.away && !stated.away;
    let is_later = stated.order == 0 && stated.seated_at_ms > held.seated_at_ms;
    is_reached || is_later
}
