//! What a hub is told and what it says, as its shell sees it.

use std::fmt;
use std::time::Duration;

use parlor_proto::ServerMessage;

use crate::backplane::{Claim, Forward, Statement};
use crate::password::Stretch;

/// One client connection; the shell gives each a number it has not given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseKind {
    /// By the client's wish (WebSocket close 1000 or 1001): it leaves its room.
    Left,
    /// In any other way: it may resume for a while.
    Lost,
}

impl CloseKind {
    /// What a close frame of the client means; none for a connection that ended without one.
    pub fn from_close_code(code: Option<u16>) -> Self {
        match code {
            Some(1000 | 1001) => Self::Left,
            Some(_) | None => Self::Lost,
        }
    }
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a message.
    Send {
        /// To whom.
        conn: ConnId,
        /// What.
        message: ServerMessage,
    },
    /// Close the connection once everything before is sent. The hub has forgotten it already: what it still says, and
    /// its end, are ignored.
    Close {
        /// Which.
        conn: ConnId,
        /// The WebSocket close code.
        code: u16,
        /// A sentence, at most 123 bytes (RFC 6455 §5.5).
        reason: &'static str,
    },
    /// Claim a place at the meeting place of the servers; the answer goes to [`super::Hub::handle_claimed`] with this number.
    Claim {
        /// Names the claim.
        number: u64,
        /// What is claimed.
        claim: Box<Claim>,
    },
    /// State this server's part of a room there, after all claims and statements of this room before it; the answer goes to
    /// [`super::Hub::handle_room`].
    State(Box<Statement>),
    /// Send a message on to another server, after all for the same room before it.
    Forward(Box<Forward>),
    /// Stretch a password, which takes milliseconds: not where anybody waits for the hub. The result goes to
    /// [`super::Hub::handle_stretched`]; the next one is said only after it.
    Stretch(Box<Stretch>),
}

/// When those whom a stopping server sends away may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comeback {
    /// The first of them.
    pub first: Duration,
    /// How much later the last of them.
    pub spread: Duration,
}

impl Comeback {
    /// The wait of one of so many.
    pub(super) fn of(self, index: usize, count: usize) -> Duration {
        let (index, count) = (u32::try_from(index).unwrap_or(u32::MAX), u32::try_from(count).unwrap_or(u32::MAX));
        self.first + self.spread.mul_f64(f64::from(index) / f64::from(count.max(1)))
    }
}
