//! One room: who is in it, in the order they joined, how each can be reached, and what holds there.

use std::time::Instant;

use parlor_proto::{DisplayName, PeerId, PeerInfo, RoomPolicy};

use crate::backplane::ServerId;
use crate::hub::ConnId;
use crate::hub::admission::{Policy, Stamp};
use crate::hub::budget::Budget;
use crate::hub::holdings::{Holdings, Share};

/// One room. Its members are never more than its capacity, but for those who came in at several servers out of reach of each other.
#[derive(Debug)]
pub(crate) struct Room {
    members: Vec<Member>,
    pub(crate) policy: Policy,
    pub(crate) origin: Origin,
    /// Nobody moderates until then, since who did so before is expected back.
    pub(crate) moderator_awaited_until: Option<Instant>,
    /// The wrong passwords that may still be tried.
    pub(crate) guesses: Budget,
    /// What is known of it at the other servers.
    pub(crate) shared: Shared,
    /// What it counts for among all that rooms hold.
    share: Share,
}

/// What a server knows of a room at the meeting place of the servers.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The version read last; 0 where something may have been missed since.
    pub(crate) version: u64,
    /// The policy there, and its tag.
    pub(crate) base: Option<(String, Policy)>,
    /// When this server's part is stated again.
    pub(crate) renew_at: Option<Instant>,
}

/// How a room came to be on this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody new came in at this instant, and found no room.
    Founded(Instant),
    /// A member came back at this instant, and brought its policy in their token.
    Restored(Instant),
    /// It was there already, at another server.
    Shared,
}

/// One person in a room.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) peer_id: PeerId,
    pub(crate) name: DisplayName,
    pub(crate) presence: Presence,
    /// Whether they may lock, set the password and remove others.
    pub(crate) moderates: bool,
    /// They came with an access token: resume tokens of theirs are good until then, Unix seconds.
    pub(crate) invited_until: Option<u64>,
    /// The revision of the resume token they came with.
    pub(crate) vouched: Option<Stamp>,
    /// Whether they gave the password when they came in.
    pub(crate) knows_password: bool,
    /// The place in the order of joining, where servers share rooms; 0 as long as they have given none.
    pub(crate) order: u64,
    /// They came while the meeting place of the servers was out of reach, and it does not know of that yet.
    pub(crate) seated_alone: bool,
    /// When they came to the server that they are connected to, Unix milliseconds.
    pub(crate) seated_at_ms: u64,
}

/// Whether a member can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Through this connection.
    Here(ConnId),
    /// Not now; the membership ends at `until`.
    Away { until: Instant },
    /// Through another server, or not now, and then that server ends the membership.
    Elsewhere { server: ServerId, away: bool },
}

impl Room {
    pub(crate) fn new(policy: Policy, origin: Origin, guesses: Budget, holdings: &Holdings) -> Self {
        Self {
            members: Vec::new(),
            policy,
            origin,
            moderator_awaited_until: None,
            guesses,
            shared: Shared::default(),
            share: holdings.room(),
        }
    }

    pub(crate) fn add(&mut self, member: Member) {
        self.members.push(member);
        self.share.set_members(self.members.len());
    }

    pub(crate) fn remove(&mut self, peer_id: &PeerId) {
        self.members.retain(|member| member.peer_id != *peer_id);
        self.share.set_members(self.members.len());
    }

    pub(crate) fn get(&self, peer_id: &PeerId) -> Option<&Member> {
        self.members.iter().find(|member| member.peer_id == *peer_id)
    }

    pub(crate) fn get_mut(&mut self, peer_id: &PeerId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.peer_id == *peer_id)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Nobody is left here, whoever may be at other servers.
    pub(crate) fn is_deserted(&self) -> bool {
        !self.members.iter().any(Member::is_local)
    }

    /// Puts everyone in the order in which they joined; who has no place in it yet comes last.
    pub(crate) fn sort(&mut self) {
        let place = |member: &Member| match member.order {
            0 => (u64::MAX, None),
            order => (order, Some(member.peer_id.clone())),
        };
        self.members.sort_by_key(place);
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    pub(crate) fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.iter_mut()
    }

    /// Everyone but `peer_id`, in the order they joined.
    pub(crate) fn others(&self, peer_id: &PeerId) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.peer_id != *peer_id)
    }

    /// The connections of everyone but `peer_id` who can be reached.
    pub(crate) fn reachable_others(&self, peer_id: &PeerId) -> Vec<ConnId> {
        self.others(peer_id).filter_map(Member::connection).collect()
    }

    pub(crate) fn has_moderator(&self) -> bool {
        self.members.iter().any(|member| member.moderates)
    }

    /// What holds, as it is for one member.
    pub(crate) fn policy_for(&self, member: &Member) -> RoomPolicy {
        RoomPolicy {
            locked: self.policy.locked,
            has_password: self.policy.password.is_some(),
            may_moderate: member.moderates,
        }
    }
}

impl Member {
    pub(crate) fn connection(&self) -> Option<ConnId> {
        match self.presence {
            Presence::Here(conn) => Some(conn),
            Presence::Away { .. } | Presence::Elsewhere { .. } => None,
        }
    }

    /// Whether they are this server's to keep.
    pub(crate) fn is_local(&self) -> bool {
        match self.presence {
            Presence::Here(_) | Presence::Away { .. } => true,
            Presence::Elsewhere { .. } => false,
        }
    }

    pub(crate) fn is_away(&self) -> bool {
        match self.presence {
            Presence::Here(_) => false,
            Presence::Away { .. } => true,
            Presence::Elsewhere { away, .. } => away,
        }
    }

    pub(crate) fn info(&self) -> PeerInfo {
        PeerInfo { peer_id: self.peer_id.clone(), name: self.name.clone(), away: self.is_away() }
    }
}
