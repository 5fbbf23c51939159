//! Stable codes for everything that can be refused.

use serde::{Deserialize, Serialize};

/// Why the server refused something; the table in `PROTOCOL.md` says what follows each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, not text, or a field of the wrong form.
    Malformed,
    /// A `type` the server does not know.
    UnknownMessage,
    /// Something else before `hello`, or a second `hello`.
    ExpectedHello,
    /// No protocol version in common.
    UnsupportedVersion,
    /// The room id is not of the allowed form.
    InvalidRoom,
    /// The name is not of the allowed form.
    InvalidName,
    /// This connection is in another room already.
    AlreadyJoined,
    /// A message that needs a membership came before `join`.
    NotJoined,
    /// The room has reached its capacity.
    RoomFull,
    /// The addressee is not in the room, or is away.
    UnknownPeer,
    /// A signal addressed to its own sender.
    SelfSignal,
    /// A message over the size limit.
    MessageTooLarge,
    /// The server holds as many rooms, or as much in them, as it may.
    TooManyRooms,
    /// Too many messages; `retry_after_ms` says when to go on.
    RateLimited,
    /// The client did not read what was sent to it.
    TooSlow,
    /// The same peer resumed on another connection.
    Replaced,
    /// The server is stopping.
    GoingAway,
    /// No room for another connection.
    ServerFull,
    /// The server's own fault.
    Internal,
    /// The server asks for an access token, and none came.
    AccessRequired,
    /// The access token is none, or forged, or altered.
    AccessInvalid,
    /// The access token's time is over, or has not come.
    AccessExpired,
    /// The access token is for another room.
    AccessWrongRoom,
    /// The room asks for a password, and none came.
    PasswordRequired,
    /// Another password than the room's.
    PasswordWrong,
    /// Too many wrong passwords; `retry_after_ms` says when to go on.
    TooManyGuesses,
    /// The password to be set is not of the allowed form.
    InvalidPassword,
    /// Nobody new comes into the room.
    RoomLocked,
    /// Someone who may moderate ended this membership.
    Removed,
    /// Only who may moderate can do that.
    NotModerator,
    /// The connection was in no room, or silent, for too long.
    Idle,
    /// The client went on sending after `rate_limited`.
    Flooding,
    /// Too many connections from one address.
    TooManyConnections,
    /// A page of another site.
    OriginRefused,
    /// A code from a newer server.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// The WebSocket close code that follows this error, or none where the connection stays.
    pub fn close_code(self) -> Option<u16> {
        match self {
            Self::UnsupportedVersion => Some(4000),
            Self::TooSlow => Some(4001),
            Self::Replaced => Some(4002),
            Self::MessageTooLarge => Some(1009),
            Self::GoingAway => Some(1001),
            Self::Removed => Some(4003),
            Self::Idle => Some(4004),
            Self::Flooding => Some(4005),
            Self::Malformed
            | Self::UnknownMessage
            | Self::ExpectedHello
            | Self::InvalidRoom
            | Self::InvalidName
            | Self::AlreadyJoined
            | Self::NotJoined
            | Self::RoomFull
            | Self::UnknownPeer
            | Self::SelfSignal
            | Self::TooManyRooms
            | Self::RateLimited
            | Self::ServerFull
            | Self::Internal
            | Self::AccessRequired
            | Self::AccessInvalid
            | Self::AccessExpired
            | Self::AccessWrongRoom
            | Self::PasswordRequired
            | Self::PasswordWrong
            | Self::TooManyGuesses
            | Self::InvalidPassword
            | Self::RoomLocked
            | Self::NotModerator
            | Self::TooManyConnections
            | Self::OriginRefused
            | Self::Unknown => None,
        }
    }
}
