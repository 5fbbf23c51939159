//! What is said to a client whose message was refused.

use std::time::Duration;

use parlor_proto::{ErrorCode, PeerId, ServerMessage};

use super::allowance::Excess;

/// A code, a sentence for people, and what else the code carries.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    message: String,
    to: Option<PeerId>,
    retry_after: Option<Duration>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::saying(code, sentence(code))
    }
}

impl From<Excess> for Refusal {
    fn from(excess: Excess) -> Self {
        match excess {
            Excess::Dropped(wait) => Self::rate_limited(wait),
            Excess::Flooding => ErrorCode::Flooding.into(),
        }
    }
}

impl From<Refusal> for ServerMessage {
    fn from(refusal: Refusal) -> Self {
        let in_ms = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self::Error {
            code: refusal.code,
            message: refusal.message,
            to: refusal.to,
            retry_after_ms: refusal.retry_after.map(in_ms),
        }
    }
}

impl Refusal {
    pub(crate) fn saying(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), to: None, retry_after: None }
    }

    pub(crate) fn unknown_peer(to: PeerId) -> Self {
        Self { to: Some(to), ..ErrorCode::UnknownPeer.into() }
    }

    pub(crate) fn room_full(capacity: u32) -> Self {
        let people = if capacity == 1 { "person" } else { "people" };
        Self::saying(ErrorCode::RoomFull, format!("This room is full ({capacity} {people})."))
    }

    pub(crate) fn rate_limited(wait: Duration) -> Self {
        Self::waiting(ErrorCode::RateLimited, wait)
    }

    pub(crate) fn waiting(code: ErrorCode, wait: Duration) -> Self {
        // A millisecond more, so that a wait rounded down is not a wait too short.
        Self { retry_after: Some(wait + Duration::from_millis(1)), ..code.into() }
    }

    pub(crate) fn too_many_joins(wait: Duration) -> Self {
        let message = "Too many people come from your address at the same time. Please wait.";
        Self { message: message.to_owned(), ..Self::rate_limited(wait) }
    }

    pub(crate) fn going_away(retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..ErrorCode::GoingAway.into() }
    }
}

/// The sentence of each code. Those that close the connection are also its close reason: at most 123 bytes.
pub(crate) fn sentence(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Malformed => "This is not a message of the protocol.",
        ErrorCode::UnknownMessage => "This server does not know this type of message.",
        ErrorCode::ExpectedHello => "A connection begins with one hello.",
        ErrorCode::UnsupportedVersion => {
            "This server speaks version 1 of the protocol only. Please update the program."
        }
        ErrorCode::InvalidRoom => "This is not a name of a room.",
        ErrorCode::InvalidName => "This name cannot be used.",
        ErrorCode::AlreadyJoined => "This connection is in another room already.",
        ErrorCode::NotJoined => "This connection has not joined a room.",
        ErrorCode::RoomFull => "This room is full.",
        ErrorCode::UnknownPeer => "This person is not in the room, or is away.",
        ErrorCode::SelfSignal => "A signal cannot be sent to oneself.",
        ErrorCode::MessageTooLarge => "This message is too large.",
        ErrorCode::TooManyRooms => "This server holds as many rooms and people as it may. Please try again later.",
        ErrorCode::RateLimited => "Too many messages at once.",
        ErrorCode::TooSlow => "The messages for this connection were not read in time.",
        ErrorCode::Replaced => "The same person has come back on another connection.",
        ErrorCode::GoingAway => "The server is stopping.",
        ErrorCode::ServerFull => "The server has no room for another connection.",
        ErrorCode::AccessRequired => "This server asks for an invitation. Please open the link that you were sent.",
        ErrorCode::AccessInvalid => "This invitation is not valid.",
        ErrorCode::AccessExpired => "This invitation is not valid at this time. Please ask for a new one.",
        ErrorCode::AccessWrongRoom => "This invitation is for another room.",
        ErrorCode::PasswordRequired => "This room asks for a password.",
        ErrorCode::PasswordWrong => "This is not the password of this room.",
        ErrorCode::TooManyGuesses => "Too many wrong passwords. Please wait before you try again.",
        ErrorCode::InvalidPassword => "A password has 1 to 128 characters.",
        ErrorCode::RoomLocked => "This room is locked: nobody new can come in.",
        ErrorCode::Removed => "You were removed from this room.",
        ErrorCode::NotModerator => "Only who moderates this room can do that.",
        ErrorCode::Idle => "This connection was in no room, or silent, for too long.",
        ErrorCode::Flooding => "Too much was sent, and it went on after this was said.",
        ErrorCode::TooManyConnections => "Too many connections come from your address.",
        ErrorCode::OriginRefused => "This server does not serve pages of other sites.",
        ErrorCode::Internal | ErrorCode::Unknown => "Something went wrong in the server.",
    }
}
