//! Resume tokens: who you are in which room, until when, and what holds there, sealed with the server's secret.
//!
//! A token carries everything itself, so that a restarted server, which remembers nobody, can give the same peer id
//! again, and knows the room's lock, password and moderator. Layout before base64url, version 2, numbers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version |
//! | 8 | expiry, Unix seconds |
//! | 8 | until when the invitation lets its bearer resume, Unix seconds; 0 without an invitation |
//! | 1 | flags: 1 moderates, 2 the room is locked, 4 it has a password |
//! | 3 × 8 | stamps of the policy: founded, revision, closed |
//! | 1 + n | peer id |
//! | 1 + n | room id |
//! | 0 or 52 | the password's hash |
//! | 8 × n | marks of those who were removed |
//! | 32 | HMAC-SHA256 over all before it (RFC 2104) |
//!
//! Version 1, from servers without room policies: version, expiry, length and peer id, room id, HMAC. It is read still.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlor_proto::{PeerId, ResumeToken, RoomId};
use ring::hmac;

use crate::hub::admission::{Policy, Removed, Stamp};
use crate::password::PasswordHash;
use crate::room::Member;

const VERSION: u8 = 2;
const TAG_BYTES: usize = 32;
const MODERATES: u8 = 1;
const LOCKED: u8 = 2;
const HAS_PASSWORD: u8 = 4;

/// Seals and opens resume tokens.
pub(crate) struct TokenKey(hmac::Key);

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) room: RoomId,
    pub(crate) peer_id: PeerId,
    /// Whether they moderated, at the revision of `policy`.
    pub(crate) moderates: bool,
    /// They came with an access token: resume tokens of theirs are good until then, Unix seconds.
    pub(crate) invited_until: Option<u64>,
    /// What held in the room; none in a token of version 1.
    pub(crate) policy: Option<Policy>,
}

impl TokenKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Makes the token of a membership, valid until `expires_at` (Unix seconds).
    pub(crate) fn seal(&self, room: &RoomId, member: &Member, policy: &Policy, expires_at: u64) -> ResumeToken {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&expires_at.to_be_bytes());
        bytes.extend_from_slice(&member.invited_until.unwrap_or(0).to_be_bytes());
        bytes.push(
            flag(member.moderates, MODERATES)
                | flag(policy.locked, LOCKED)
                | flag(policy.password.is_some(), HAS_PASSWORD),
        );
        for Stamp(stamp) in [policy.founded, policy.revision, policy.closed] {
            bytes.extend_from_slice(&stamp.to_be_bytes());
        }
        for id in [member.peer_id.as_str(), room.as_str()] {
            bytes.push(u8::try_from(id.len()).expect("ids have at most 64 bytes"));
            bytes.extend_from_slice(id.as_bytes());
        }
        if let Some(password) = &policy.password {
            password.write(&mut bytes);
        }
        bytes.extend_from_slice(policy.removed.sealed().as_flattened());
        let tag = hmac::sign(&self.0, &sealed_part(&bytes, VERSION));
        bytes.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes).parse().expect("base64url is printable, and at most 512 characters here")
    }

    /// Opens a token; none where it is damaged, forged or past its expiry at `now` (Unix seconds).
    pub(crate) fn open(&self, token: &str, now: u64) -> Option<Membership> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        let &version = content.first()?;
        hmac::verify(&self.0, &sealed_part(content, version), tag).ok()?;
        let mut content = Content(content.get(1..)?);
        if u64::from_be_bytes(content.take()?) <= now {
            return None;
        }
        match version {
            1 => content.version_1(),
            VERSION => content.version_2(),
            _ => None,
        }
    }
}

/// The domain keeps these tags apart from any other use of the same secret, and the versions apart from each other.
fn sealed_part(content: &[u8], version: u8) -> Vec<u8> {
    let domain: &[u8] = if version == 1 { b"parlor resume token 1\0" } else { b"parlor resume token 2\0" };
    [domain, content].concat()
}

/// What is left to read of a token.
struct Content<'token>(&'token [u8]);

impl<'token> Content<'token> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn stamp(&mut self) -> Option<Stamp> {
        self.take().map(|bytes| Stamp(u64::from_be_bytes(bytes)))
    }

    fn text(&mut self) -> Option<&'token str> {
        let [length] = self.take()?;
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn version_1(mut self) -> Option<Membership> {
        let peer_id = self.text()?.parse().ok()?;
        let room = std::str::from_utf8(self.0).ok()?.parse().ok()?;
        Some(Membership { room, peer_id, moderates: false, invited_until: None, policy: None })
    }

    fn version_2(mut self) -> Option<Membership> {
        let invited_until = Some(u64::from_be_bytes(self.take()?)).filter(|until| *until > 0);
        let [flags] = self.take()?;
        let (founded, revision, closed) = (self.stamp()?, self.stamp()?, self.stamp()?);
        let peer_id = self.text()?.parse().ok()?;
        let room = self.text()?.parse().ok()?;
        let password = match flags & HAS_PASSWORD {
            0 => None,
            _ => Some(PasswordHash::read(&self.take()?)?),
        };
        let (marks, []) = self.0.as_chunks() else { return None };
        let removed = Removed::from_marks(marks.to_vec());
        let policy = Policy { founded, revision, closed, locked: flags & LOCKED != 0, password, removed };
        Some(Membership { room, peer_id, moderates: flags & MODERATES != 0, invited_until, policy: Some(policy) })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::hub::ConnId;
    use crate::hub::admission::REMOVED_MAX;
    use crate::password::PasswordKey;
    use crate::room::Presence;

    /// Made by a server of before version 2: room `quiet-otter`, the peer id of the number 7, until 1,000, `secret`.
    const VERSION_1: &str = "AQAAAAAAAAPoGmFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFocXVpZXQtb3R0ZXI";

    fn policy() -> Policy {
        let mut policy = Policy::founded(Stamp(1_760_000_000_000));
        policy.set_password(
            Some(PasswordKey::new(b"secret", NonZeroU32::MIN).hash_text("a", [5; 16])),
            Stamp(u64::MAX - 9),
        );
        policy.remove(&PeerId::from_random(1), Stamp(u64::MAX - 8));
        policy.set_lock(true, Stamp(u64::MAX - 7));
        policy
    }

    fn seal(key: &TokenKey, membership: &Membership, expires_at: u64) -> ResumeToken {
        let member = Member {
            peer_id: membership.peer_id.clone(),
            name: "Ana".parse().unwrap(),
            presence: Presence::Here(ConnId(1)),
            moderates: membership.moderates,
            invited_until: membership.invited_until,
            vouched: None,
            knows_password: false,
            order: 0,
            seated_alone: false,
            seated_at_ms: 0,
        };
        key.seal(&membership.room, &member, membership.policy.as_ref().unwrap(), expires_at)
    }

    fn membership() -> Membership {
        Membership {
            room: "quiet-otter".parse().unwrap(),
            peer_id: PeerId::from_random(7),
            moderates: true,
            invited_until: Some(77),
            policy: Some(policy()),
        }
    }

    #[test]
    fn a_token_opens_until_its_expiry_on_any_server_with_the_secret() {
        let token = seal(&TokenKey::new(b"secret"), &membership(), 1_000);
        let restarted = TokenKey::new(b"secret");
        assert_eq!(restarted.open(token.as_str(), 999), Some(membership()));
        assert_eq!(restarted.open(token.as_str(), 1_000), None);
        assert_eq!(TokenKey::new(b"another").open(token.as_str(), 999), None);
    }

    #[test]
    fn a_token_of_an_open_room_says_so() {
        let key = TokenKey::new(b"secret");
        let policy = Some(Policy::founded(Stamp(3)));
        let plain = Membership { moderates: false, invited_until: None, policy, ..membership() };
        assert_eq!(key.open(seal(&key, &plain, 1_000).as_str(), 1), Some(plain));
    }

    #[test]
    fn a_token_of_version_1_still_opens() {
        let content = URL_SAFE_NO_PAD.decode(VERSION_1).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        let tag = hmac::sign(&key, &[b"parlor resume token 1\0", &content[..]].concat());
        let token = URL_SAFE_NO_PAD.encode([&content, tag.as_ref()].concat());
        let plain = Membership { moderates: false, invited_until: None, policy: None, ..membership() };
        let key = TokenKey::new(b"secret");
        assert_eq!((key.open(&token, 999), key.open(&token, 1_000)), (Some(plain), None));
        let mut renamed = content.clone();
        renamed[0] = 2;
        let renamed = URL_SAFE_NO_PAD.encode([&renamed, tag.as_ref()].concat());
        assert_eq!(key.open(&renamed, 999), None);
    }

    #[test]
    fn every_changed_bit_spoils_a_token() {
        let key = TokenKey::new(b"secret");
        let bytes = URL_SAFE_NO_PAD.decode(seal(&key, &membership(), 1_000).as_str()).unwrap();
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
        for version in 0..=4 {
            for length in 0..80 {
                let content = vec![version; length];
                let tag = hmac::sign(&key.0, &sealed_part(&content, version));
                let text = URL_SAFE_NO_PAD.encode([&content, tag.as_ref()].concat());
                assert_eq!(key.open(&text, 0), None, "{length} bytes of version {version}");
            }
        }
    }

    #[test]
    fn the_longest_token_fits_the_protocol() {
        let mut policy = policy();
        for number in 0..REMOVED_MAX {
            policy.remove(&PeerId::from_random(number as u128), Stamp(u64::MAX));
        }
        let room = "a".repeat(64).parse().unwrap();
        let membership = Membership { room, policy: Some(policy), ..membership() };
        let token = seal(&TokenKey::new(b"secret"), &membership, u64::MAX);
        assert!(token.as_str().len() <= 512, "{}", token.as_str().len());
    }
}
