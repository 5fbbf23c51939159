//! Our own place in a room: wanted, had, over.

use std::time::Instant;

use parlor_proto::{ClientMessage, DisplayName, Limits, PROTOCOL_VERSION, PeerId, ResumeToken, RoomId, RoomPolicy};

use crate::ice_servers::IceServers;
use crate::{Credentials, EndReason, SessionConfig};

/// Our own place in a room.
#[derive(Debug)]
pub(crate) enum Membership {
    /// Nothing was asked for yet.
    None,
    /// Asked for, not given yet.
    Joining(Joining),
    /// Given; held also while the server is out of reach.
    Member(Box<Member>),
    /// Over.
    Ended { reason: EndReason, room: Option<RoomId>, name: Option<DisplayName> },
}

#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) room: RoomId,
    pub(crate) name: DisplayName,
    pub(crate) credentials: Credentials,
    pub(crate) give_up_at: Instant,
    /// When to tell that the server has not answered, unless something else was told before.
    pub(crate) tell_silence_at: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) room: RoomId,
    pub(crate) name: DisplayName,
    pub(crate) self_id: PeerId,
    pub(crate) resume_token: ResumeToken,
    /// Shown again with the token: a closing of the room while we were away makes newcomers of us (`PROTOCOL.md`).
    pub(crate) credentials: Credentials,
    pub(crate) policy: RoomPolicy,
    pub(crate) ice_servers: IceServers,
    pub(crate) limits: Limits,
}

impl Membership {
    pub(crate) fn room_and_name(&self) -> Option<(&RoomId, &DisplayName)> {
        match self {
            Self::None => None,
            Self::Joining(Joining { room, name, .. }) => Some((room, name)),
            Self::Member(member) => Some((&member.room, &member.name)),
            Self::Ended { room, name, .. } => room.as_ref().zip(name.as_ref()),
        }
    }

    pub(crate) fn member(&self) -> Option<&Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::None | Self::Joining(_) | Self::Ended { .. } => None,
        }
    }

    pub(crate) fn member_mut(&mut self) -> Option<&mut Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::None | Self::Joining(_) | Self::Ended { .. } => None,
        }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        match self {
            Self::Joining(joining) => joining.credentials.clone(),
            Self::Member(member) => member.credentials.clone(),
            Self::None | Self::Ended { .. } => Credentials::default(),
        }
    }

    /// Whether a room is asked for or had.
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self, Self::Joining(_) | Self::Member(_))
    }

    pub(crate) fn give_up_at(&self) -> Option<Instant> {
        match self {
            Self::Joining(joining) => Some(joining.give_up_at),
            Self::None | Self::Member(_) | Self::Ended { .. } => None,
        }
    }

    pub(crate) fn tell_silence_at(&self) -> Option<Instant> {
        match self {
            Self::Joining(joining) => joining.tell_silence_at,
            Self::None | Self::Member(_) | Self::Ended { .. } => None,
        }
    }

    /// What to say on a new socket. Both at once: the server need not have answered the first.
    pub(crate) fn greeting(&self, config: &SessionConfig) -> Vec<ClientMessage> {
        let Some((room, name)) = self.room_and_name() else { return Vec::new() };
        let Credentials { access, password } = self.credentials();
        let resume = self.member().map(|member| member.resume_token.as_str().into());
        vec![
            ClientMessage::Hello { versions: vec![PROTOCOL_VERSION], client: config.client.clone() },
            ClientMessage::Join { room: room.to_string(), name: name.to_string(), resume, access, password },
        ]
    }
}
