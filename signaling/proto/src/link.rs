//! Links to a room, and the addresses they hold.

use std::fmt;
use std::str::FromStr;

use crate::{InvalidId, RoomId};

/// The SHA-256 of a certificate: what a native client knows a self-signed server by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidLink;
    fn from_str(text: &str) -> Result<Self, InvalidLink> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or(InvalidLink::Fingerprint)?;
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        match bytes.try_into() {
            Ok(bytes) if digits.len() == 64 => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(InvalidLink::Fingerprint),
        }
    }
}

/// `http(s)://HOST[:PORT]/r/ROOM[#PART[&PART…]]`, a part being `fp=HEX`, `password=TEXT` or `access=JWT`.
///
/// Printed with [`fmt::Display`] it holds its secrets; with [`fmt::Debug`] it does not.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomLink {
    /// Whether the page and the WebSocket are encrypted.
    pub secure: bool,
    /// `HOST` or `HOST:PORT`, IPv6 in brackets.
    pub authority: String,
    /// The room.
    pub room: RoomId,
    /// The self-signed certificate to accept.
    pub fingerprint: Option<Fingerprint>,
    /// The room's password.
    pub password: Option<String>,
    /// The token that a server asks for, unchecked.
    pub access: Option<String>,
}

/// Why a text is not a link to a room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLink {
    /// Neither http:// nor https://.
    #[error("a link starts with https:// or http://")]
    Scheme,
    /// No host, or one with characters no host has.
    #[error("the link names no server")]
    Host,
    /// The path is not `/r/ROOM`.
    #[error("the link names no room (…/r/room-name)")]
    Path,
    /// The room in it is not one.
    #[error("{0}")]
    Room(#[from] InvalidId),
    /// `fp` is not 64 hexadecimal digits.
    #[error("the certificate's fingerprint in the link is damaged")]
    Fingerprint,
    /// `password` is not percent-encoded UTF-8.
    #[error("the password in the link is damaged")]
    Password,
}

impl RoomLink {
    /// The link that others may be given: an access token is one person's, a password is passed on by wish only.
    pub fn without_secrets(&self) -> Self {
        Self { password: None, access: None, ..self.clone() }
    }

    /// The address of the server's WebSocket.
    pub fn websocket_url(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}/ws", self.authority)
    }
}

impl fmt::Display for RoomLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}/r/{}", self.authority, self.room)?;
        let parts = [
            self.fingerprint.map(|fingerprint| format!("fp={fingerprint}")),
            self.password.as_ref().map(|password| format!("password={}", percent_encode(password))),
            self.access.as_ref().map(|access| format!("access={access}")),
        ];
        let mut separator = '#';
        for part in parts.into_iter().flatten() {
            write!(formatter, "{separator}{part}")?;
            separator = '&';
        }
        Ok(())
    }
}

impl fmt::Debug for RoomLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secure, authority, room, fingerprint, password, access } = self;
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "…");
        formatter
            .debug_struct("RoomLink")
            .field("secure", secure)
            .field("authority", authority)
            .field("room", room)
            .field("fingerprint", fingerprint)
            .field("password", &hidden(password))
            .field("access", &hidden(access))
            .finish()
    }
}

impl FromStr for RoomLink {
    type Err = InvalidLink;
    fn from_str(text: &str) -> Result<Self, InvalidLink> {
        let text = text.trim();
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(InvalidLink::Scheme),
        };
        let (address, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let address = address.split_once('?').map_or(address, |(address, _query)| address);
        let (authority, path) = address.split_once('/').ok_or(InvalidLink::Path)?;
        if authority.is_empty()
            || authority.starts_with(':')
            || !authority.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
        {
            return Err(InvalidLink::Host);
        }
        let room = path.strip_prefix("r/").ok_or(InvalidLink::Path)?.trim_end_matches('/').parse()?;
        let part = |name: &str| fragment.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let password = part("password").map(|text| percent_decode(text).ok_or(InvalidLink::Password));
        Ok(Self {
            secure,
            authority: authority.to_owned(),
            room,
            fingerprint: part("fp").map(str::parse).transpose()?,
            password: password.transpose()?,
            access: part("access").filter(|access| !access.is_empty()).map(str::to_owned),
        })
    }
}

/// RFC 3986 §2: everything but the unreserved characters as `%XX`.
fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => (hex(*high)? << 4 | hex(*low)?, after),
            (b'%', _) => return None,
            (other, after) => (other, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_reads_back_as_it_was_written() {
        let fp = "0123456789abcdef".repeat(4);
        for text in [
            "http://127.0.0.1:8080/r/quiet-otter".to_owned(),
            "https://[::1]:8443/r/a".to_owned(),
            format!("https://host.example/r/quiet-otter#fp={fp}"),
            format!("https://host.example/r/a#fp={fp}&password=gr%C3%BCne%20%23%25&access=a.b-_c.d"),
        ] {
            assert_eq!(text.parse::<RoomLink>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn secrets_are_read_from_the_fragment_and_not_printed_for_logs() {
        let link: RoomLink = "https://host/r/a#access=a.b.c&password=gr%c3%bcne+%26".parse().unwrap();
        assert_eq!((link.password.as_deref(), link.access.as_deref()), (Some("grüne+&"), Some("a.b.c")));
        let shown = format!("{link:?}");
        assert!(!shown.contains("grüne") && !shown.contains("a.b.c"), "{shown}");
        assert_eq!(link.without_secrets().to_string(), "https://host/r/a");
    }

    #[test]
    fn the_websocket_is_at_the_same_place() {
        let link: RoomLink = " https://host.example:1/r/A?name=x#x=1 ".parse().unwrap();
        assert_eq!(link.websocket_url(), "wss://host.example:1/ws");
        assert_eq!(link.room.as_str(), "a");
        assert_eq!(link.fingerprint, None);
    }

    #[test]
    fn what_is_not_a_link_says_why() {
        for (text, why) in [
            ("quiet-otter", InvalidLink::Scheme),
            ("https:///r/a", InvalidLink::Host),
            ("https://:8080/r/a", InvalidLink::Host),
            ("https://a b/r/a", InvalidLink::Host),
            ("https://host", InvalidLink::Path),
            ("https://host/x/a", InvalidLink::Path),
            ("https://host/r/a#fp=12", InvalidLink::Fingerprint),
            ("https://host/r/a#password=%2", InvalidLink::Password),
            ("https://host/r/a#password=%ff", InvalidLink::Password),
            ("https://host/r/", InvalidLink::Room(InvalidId::Empty { what: "the room's name" })),
        ] {
            assert_eq!(text.parse::<RoomLink>(), Err(why), "{text}");
        }
    }
}
