//! Identifiers, parsed once at the border and valid ever after.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not the identifier it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing was left after trimming.
    #[error("{what} is empty")]
    Empty {
        /// What was being read.
        what: &'static str,
    },
    /// More characters than allowed.
    #[error("{what} has more than {max} characters")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// A character outside the allowed ones.
    #[error("{what} may only have {allowed}")]
    Character {
        /// What was being read.
        what: &'static str,
        /// The allowed ones, in words.
        allowed: &'static str,
    },
}

fn checked(
    what: &'static str,
    text: &str,
    max: usize,
    allowed: &'static str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty { what });
    }
    if text.chars().count() > max {
        return Err(InvalidId::TooLong { what, max });
    }
    if !text.chars().all(is_allowed) {
        return Err(InvalidId::Character { what, allowed });
    }
    Ok(())
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// The text as it goes over the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

/// A room's name: 1–64 of `a–z 0–9 -`, trimmed and lower-cased when parsed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomId(String);
text_newtype!(RoomId);

impl FromStr for RoomId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let id = text.trim().to_lowercase();
        checked(
            "the room's name",
            &id,
            64,
            "letters a–z, digits and hyphens",
            |c| matches!(c, 'a'..='z' | '0'..='9' | '-'),
        )?;
        Ok(Self(id))
    }
}

/// A person's name as shown to others: 1–64 characters after trimming, no control characters, none that turn the line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(String);
text_newtype!(DisplayName);

impl FromStr for DisplayName {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let name = text.trim();
        checked("the name", name, 64, "characters that can be seen", |c| !c.is_control() && !turns_the_line(c))?;
        Ok(Self(name.to_owned()))
    }
}

/// Line separators and the explicit directional controls (Unicode UAX #9 §2): they would garble what stands around a name.
fn turns_the_line(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A person in a room, as the server knows them: 26 characters of lower-case base32 (128 bits).
///
/// The order of two ids decides who is polite (WebRTC 1.0 §10.7): the smaller one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerId(String);
text_newtype!(PeerId);

/// RFC 4648 §6, lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl PeerId {
    /// The id made of 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        let digit = |shift: u32| {
            let index = (bits >> shift) & 31;
            char::from(BASE32[usize::try_from(index).unwrap_or(0)])
        };
        // 26 digits of 5 bits hold 130: the first carries the top three.
        Self((0..26).rev().map(|place| digit(place * 5)).collect())
    }
}

impl FromStr for PeerId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        checked("the peer id", text, 26, "letters a–z and digits 2–7", |c| matches!(c, 'a'..='z' | '2'..='7'))?;
        Ok(Self(text.to_owned()))
    }
}

/// One transport between two peers, named by whoever offered first: 1–32 of `a–z 0–9` (`connection` on the wire).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TransportId(String);
text_newtype!(TransportId);

impl TransportId {
    /// The id made of 64 random bits, in hexadecimal.
    pub fn from_random(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }
}

impl FromStr for TransportId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        checked("the connection id", text, 32, "letters a–z and digits", |c| matches!(c, 'a'..='z' | '0'..='9'))?;
        Ok(Self(text.to_owned()))
    }
}

/// What a client shows to get its membership back; only the server reads it. Never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResumeToken(String);

impl ResumeToken {
    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ResumeToken(…)")
    }
}

impl FromStr for ResumeToken {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        checked("the resume token", text, 512, "printable ASCII", |c| c.is_ascii_graphic())?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ResumeToken {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ResumeToken> for String {
    fn from(token: ResumeToken) -> String {
        token.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ids_are_trimmed_and_lower_cased() {
        assert_eq!("  Quiet-Otter-71K2 ".parse::<RoomId>().unwrap().as_str(), "quiet-otter-71k2");
    }

    #[test]
    fn room_ids_refuse_other_characters_and_lengths() {
        assert_eq!("  ".parse::<RoomId>(), Err(InvalidId::Empty { what: "the room's name" }));
        for text in ["a b", "ä", "a/b", "a_b", &"a".repeat(65)] {
            assert!(text.parse::<RoomId>().is_err(), "{text}");
        }
        assert!("a".repeat(64).parse::<RoomId>().is_ok());
    }

    #[test]
    fn names_are_trimmed_counted_in_characters_and_free_of_controls() {
        assert_eq!(" Zoë ".parse::<DisplayName>().unwrap().as_str(), "Zoë");
        assert!("é".repeat(64).parse::<DisplayName>().is_ok());
        for text in ["", "  ", "a\u{7}b", "a\nb", "a\u{202e}b", "a\u{2066}b", "a\u{2028}b", &"é".repeat(65)] {
            assert!(text.parse::<DisplayName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn peer_ids_keep_all_random_bits() {
        assert_eq!(PeerId::from_random(0).as_str(), "a".repeat(26));
        assert_eq!(PeerId::from_random(u128::MAX).as_str(), format!("h{}", "7".repeat(25)));
        assert_ne!(PeerId::from_random(1), PeerId::from_random(2));
        assert!(PeerId::from_random(7).as_str().parse::<PeerId>().is_ok());
    }

    #[test]
    fn resume_tokens_are_not_printed() {
        let token: ResumeToken = "secret".parse().unwrap();
        assert!(!format!("{token:?}").contains("secret"));
    }
}
