//! One room: who is in it, in the order they joined, and how each can be reached.

use std::time::Instant;

use parlor_proto::{DisplayName, PeerId, PeerInfo};

use crate::hub::ConnId;

/// The members of one room, never more than its capacity.
#[derive(Debug, Default)]
pub(crate) struct Room {
    members: Vec<Member>,
}

/// One person in a room.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) peer_id: PeerId,
    pub(crate) name: DisplayName,
    pub(crate) presence: Presence,
}

/// Whether a member can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Through this connection.
    Here(ConnId),
    /// Not now; the membership ends at `until`.
    Away { until: Instant },
}

impl Room {
    pub(crate) fn add(&mut self, member: Member) {
        self.members.push(member);
    }

    pub(crate) fn remove(&mut self, peer_id: &PeerId) {
        self.members.retain(|member| member.peer_id != *peer_id);
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

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// Everyone but `peer_id`, in the order they joined.
    pub(crate) fn others(&self, peer_id: &PeerId) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.peer_id != *peer_id)
    }

    /// The connections of everyone but `peer_id` who can be reached.
    pub(crate) fn reachable_others(&self, peer_id: &PeerId) -> Vec<ConnId> {
        self.others(peer_id).filter_map(Member::connection).collect()
    }
}

impl Member {
    pub(crate) fn connection(&self) -> Option<ConnId> {
        match self.presence {
            Presence::Here(conn) => Some(conn),
            Presence::Away { .. } => None,
        }
    }

    pub(crate) fn info(&self) -> PeerInfo {
        PeerInfo {
            peer_id: self.peer_id.clone(),
            name: self.name.clone(),
            away: matches!(self.presence, Presence::Away { .. }),
        }
    }
}
