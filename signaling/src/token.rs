//! Resume tokens: who you are in which room, until when, sealed with the server's secret.
//!
//! A token carries everything itself, so that a restarted server, which remembers nobody, can give the same peer id
//! again. Layout before base64url: version 1, expiry (u64, Unix seconds), length of the peer id, peer id, room id,
//! HMAC-SHA256 over all before it (RFC 2104).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlor_proto::{PeerId, ResumeToken, RoomId};
use ring::hmac;

const VERSION: u8 = 1;
/// Keeps these tags apart from any other use of the same secret.
const DOMAIN: &[u8] = b"parlor resume token 1\0";
const TAG_BYTES: usize = 32;

/// Seals and opens resume tokens.
pub(crate) struct TokenKey(hmac::Key);

/// What a valid token says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) room: RoomId,
    pub(crate) peer_id: PeerId,
}

impl TokenKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Makes the token of a membership, valid until `expires_at` (Unix seconds).
    pub(crate) fn seal(&self, room: &RoomId, peer_id: &PeerId, expires_at: u64) -> ResumeToken {
        let peer = peer_id.as_str().as_bytes();
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&expires_at.to_be_bytes());
        bytes.push(u8::try_from(peer.len()).expect("peer ids have at most 26 bytes"));
        bytes.extend_from_slice(peer);
        bytes.extend_from_slice(room.as_str().as_bytes());
        let tag = hmac::sign(&self.0, &sealed_part(&bytes));
        bytes.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes).parse().expect("base64url is printable, and at most 180 characters here")
    }

    /// Opens a token; none where it is damaged, forged or past its expiry at `now` (Unix seconds).
    pub(crate) fn open(&self, token: &str, now: u64) -> Option<Membership> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        hmac::verify(&self.0, &sealed_part(content), tag).ok()?;
        let (&version, content) = content.split_first()?;
        let (expiry, content) = content.split_first_chunk::<8>()?;
        let (&peer_bytes, content) = content.split_first()?;
        let (peer, room) = content.split_at_checked(usize::from(peer_bytes))?;
        if version != VERSION || u64::from_be_bytes(*expiry) <= now {
            return None;
        }
        Some(Membership {
            room: std::str::from_utf8(room).ok()?.parse().ok()?,
            peer_id: std::str::from_utf8(peer).ok()?.parse().ok()?,
        })
    }
}

fn sealed_part(content: &[u8]) -> Vec<u8> {
    [DOMAIN, content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        Membership { room: "quiet-otter".parse().unwrap(), peer_id: PeerId::from_random(7) }
    }

    #[test]
    fn a_token_opens_until_its_expiry_on_any_server_with_the_secret() {
        let Membership { room, peer_id } = membership();
        let token = TokenKey::new(b"secret").seal(&room, &peer_id, 1_000);
        let restarted = TokenKey::new(b"secret");
        assert_eq!(restarted.open(token.as_str(), 999), Some(membership()));
        assert_eq!(restarted.open(token.as_str(), 1_000), None);
        assert_eq!(TokenKey::new(b"another").open(token.as_str(), 999), None);
    }

    #[test]
    fn every_changed_bit_spoils_a_token() {
        let key = TokenKey::new(b"secret");
        let Membership { room, peer_id } = membership();
        let bytes = URL_SAFE_NO_PAD.decode(key.seal(&room, &peer_id, 1_000).as_str()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(&URL_SAFE_NO_PAD.encode(&damaged), 1), None, "bit {bit}");
        }
    }

    #[test]
    fn texts_that_are_no_tokens_open_to_nothing() {
        let key = TokenKey::new(b"secret");
        for text in ["", "a", "….", "AAAA", &"A".repeat(512), "%%%%"] {
            assert_eq!(key.open(text, 0), None, "{text}");
        }
    }

    #[test]
    fn the_longest_token_fits_the_protocol() {
        let room = "a".repeat(64).parse().unwrap();
        let token = TokenKey::new(b"secret").seal(&room, &PeerId::from_random(u128::MAX), u64::MAX);
        assert!(token.as_str().len() <= 512);
    }
}
