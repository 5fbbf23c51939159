//! A client as it knows itself by what it has heard.

use std::collections::BTreeMap;

use parlor_proto::{LeaveReason, PeerId, PeerInfo, RoomId, RoomPolicy, ServerMessage};

use crate::hub::ConnId;

/// What a client knows of itself.
#[derive(Clone, Debug)]
pub(super) enum Client {
    Closed,
    Opened(ConnId),
    Greeted(ConnId),
    Joined(ConnId, Place),
}

#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) room: RoomId,
    pub(super) me: PeerId,
    pub(super) policy: RoomPolicy,
    pub(super) others: BTreeMap<PeerId, PeerInfo>,
}

impl Client {
    pub(super) fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Closed => None,
            Self::Opened(conn) | Self::Greeted(conn) | Self::Joined(conn, _) => Some(*conn),
        }
    }

    pub(super) fn is(&self, room: &RoomId, peer_id: &PeerId) -> bool {
        matches!(self, Self::Joined(_, place) if place.room == *room && place.me == *peer_id)
    }
}

impl Place {
    /// Follows the roster; returns the sender of a signal.
    pub(super) fn hear(&mut self, message: ServerMessage) -> Option<PeerId> {
        match message {
            ServerMessage::PeerJoined { peer } => {
                assert!(!peer.away && peer.peer_id != self.me);
                assert!(self.others.insert(peer.peer_id.clone(), peer).is_none(), "joined twice");
            }
            ServerMessage::PeerAway { peer_id } => {
                let peer = self.others.get_mut(&peer_id).expect("who goes away was there");
                assert!(!std::mem::replace(&mut peer.away, true), "away twice");
            }
            ServerMessage::PeerBack { peer } => {
                let before = self.others.insert(peer.peer_id.clone(), peer);
                assert!(before.is_some_and(|peer| peer.away), "back without having been away");
            }
            ServerMessage::PeerLeft { peer_id, reason } => {
                let peer = self.others.remove(&peer_id).expect("who leaves was there");
                assert!(reason == LeaveReason::Removed || peer.away == (reason == LeaveReason::Timeout));
            }
            ServerMessage::Signal { from, .. } => return Some(from),
            ServerMessage::IceServers { .. } => {}
            ServerMessage::Welcome { .. }
            | ServerMessage::Joined { .. }
            | ServerMessage::Policy { .. }
            | ServerMessage::Roster { .. }
            | ServerMessage::Error { .. } => {
                panic!("{message:?} is not for a member")
            }
        }
        None
    }
}
