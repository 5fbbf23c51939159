//! What there is in a hub, looked at from outside.

use std::collections::HashMap;

use parlor_proto::{ErrorCode, PeerInfo, RoomId};

use super::Hub;
use super::admission::Stamp;
use crate::room::{Member, Room};

/// What there is in a hub, and what has come of the joins since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Rooms.
    pub rooms: usize,
    /// Bytes that they may hold at most, as they are counted.
    pub rooms_bytes: usize,
    /// Members who can be reached.
    pub here: usize,
    /// Members who may come back.
    pub away: usize,
    /// Joins.
    pub joins: JoinCounts,
}

/// What has come of joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinCounts {
    /// Somebody new came in.
    pub new: u64,
    /// A membership went on.
    pub resumed: u64,
    /// Refused, by code.
    pub refused: HashMap<ErrorCode, u64>,
}

impl Hub {
    /// The rooms there are.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.keys()
    }

    /// When a room began, and when something last changed in it.
    pub(crate) fn stamps(&self, room: &RoomId) -> Option<(Stamp, Stamp)> {
        self.rooms.get(room).map(|room| (room.policy.founded, room.policy.revision))
    }

    /// Who is in a room, in the order they joined.
    pub fn roster(&self, room: &RoomId) -> Vec<PeerInfo> {
        self.rooms.get(room).map(|room| room.members().map(Member::info).collect()).unwrap_or_default()
    }

    /// What there is, counted; as long as there are rooms.
    pub fn census(&self) -> Census {
        let away = self.away.len();
        let of_room = |room: &Room| room.members().filter(|member| member.is_local()).count();
        let members: usize = self.rooms.values().map(of_room).sum();
        Census {
            rooms: self.rooms.len(),
            rooms_bytes: self.holdings.bytes(),
            here: members.saturating_sub(away),
            away,
            joins: self.join_counts.clone(),
        }
    }

    /// Bytes of one message.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.config.message_bytes_max
    }

    /// How many connections are open.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }
}
