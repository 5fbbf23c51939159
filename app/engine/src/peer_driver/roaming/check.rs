//! A connectivity check of our own, and what a datagram is by its first bytes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use rtc::shared::error::Result;
use rtc::stun::attributes::{ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USERNAME};
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_REQUEST, Message, Setter};

use super::Credentials;

/// Of a STUN message (RFC 8489 §5).
pub(crate) type TransactionId = [u8; 12];

/// RFC 8489 §5.
const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
const HEADER_BYTES: usize = 20;
/// Of TURN channel data: its channel and its length.
const CHANNEL_DATA_HEADER_BYTES: usize = 4;

/// What a datagram is, by RFC 7983 §7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// RTP or RTCP.
    Media,
    /// TURN channel data.
    Relayed,
    /// A STUN binding request.
    Request,
    /// The answer to one, good or bad.
    Response,
    /// The rest.
    Other,
}

pub(super) fn kind(datagram: &[u8]) -> Kind {
    match datagram {
        [128..=191, ..] => Kind::Media,
        [64..=79, ..] => Kind::Relayed,
        [0x00, 0x01, ..] if is_stun(datagram) => Kind::Request,
        [0x01, 0x01 | 0x11, ..] if is_stun(datagram) => Kind::Response,
        _ => Kind::Other,
    }
}

/// Whether it is media, or brings some from a relay (RFC 8656 §12.4).
pub(crate) fn carries_media(datagram: &[u8]) -> bool {
    match kind(datagram) {
        Kind::Media => true,
        Kind::Relayed => datagram.get(CHANNEL_DATA_HEADER_BYTES..).is_some_and(|inner| kind(inner) == Kind::Media),
        Kind::Request | Kind::Response | Kind::Other => false,
    }
}

/// Whether it is media or DTLS, by RFC 7983 §7.
pub(crate) fn is_of_call(datagram: &[u8]) -> bool {
    matches!(datagram, [20..=63 | 128..=191, ..])
}

fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER_BYTES && datagram[4..8] == MAGIC_COOKIE
}

/// The transaction id of a STUN message.
pub(super) fn transaction(datagram: &[u8]) -> Option<TransactionId> {
    datagram.get(8..HEADER_BYTES)?.try_into().ok()
}

/// A check that was sent.
pub(super) struct Check {
    to: SocketAddr,
    transaction: TransactionId,
    password: String,
    made_at: Instant,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Check").field("to", &self.to).finish_non_exhaustive()
    }
}

impl Check {
    /// As `pattern`, the last check of the stack's, but without a nomination. None where that cannot be read, or nothing is known of
    /// whom it was for.
    pub(super) fn make(
        pattern: &[u8],
        credentials: &VecDeque<Credentials>,
        to: SocketAddr,
        now: Instant,
        transaction: TransactionId,
    ) -> Option<(Self, Vec<u8>)> {
        let pattern = decode(pattern)?;
        let username = pattern.get(ATTR_USERNAME).ok()?;
        let theirs = username.split(|byte| *byte == b':').next()?;
        let password = credentials.iter().find(|known| known.ufrag.as_bytes() == theirs)?.password.clone();
        let datagram = build(&pattern, transaction, &password).ok()?;
        Some((Self { to, transaction, password, made_at: now }, datagram))
    }

    pub(super) fn made_at(&self) -> Instant {
        self.made_at
    }

    /// Whether the other end says yes, from where it was asked, as only it can (RFC 8489 §9.1.4).
    pub(super) fn is_answered_by(&self, from: SocketAddr, datagram: &[u8]) -> bool {
        let is_success = datagram.first_chunk() == Some(&[0x01, 0x01]);
        if from != self.to || !is_success || transaction(datagram) != Some(self.transaction) {
            return false;
        }
        let (Some(mut answer), Ok(provider)) = (decode(datagram), rtc::crypto::default_provider()) else {
            return false;
        };
        MessageIntegrity::check(&mut answer, self.password.as_bytes(), provider.crypto()).is_ok()
    }
}

fn decode(datagram: &[u8]) -> Option<Message> {
    let mut message = Message { raw: datagram.to_vec(), ..Message::default() };
    message.decode().ok()?;
    Some(message)
}

fn build(pattern: &Message, transaction: TransactionId, password: &str) -> Result<Vec<u8>> {
    let provider =
        rtc::crypto::default_provider().map_err(|error| rtc::shared::error::Error::Other(error.to_string()))?;
    let mut message = Message::new();
    message.set_type(BINDING_REQUEST);
    message.transaction_id.0 = transaction;
    message.write_header();
    for attribute in [ATTR_USERNAME, ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_PRIORITY] {
        if let Ok(value) = pattern.get(attribute) {
            message.add(attribute, &value);
        }
    }
    let crypto = provider.crypto();
    MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), crypto).add_to(&mut message)?;
    FINGERPRINT.add_to(&mut message)?;
    Ok(message.raw)
}
