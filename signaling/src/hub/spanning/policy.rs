//! What holds in a room, as text for the other servers. Only they read it: it goes through their Redis and no client's hands.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use super::super::admission::{Policy, Removed, Stamp};
use crate::backplane::SharedPolicy;
use crate::password::PasswordHash;

const VERSION: u8 = 1;
const LOCKED: u8 = 1;
const HAS_PASSWORD: u8 = 2;

/// A policy to state. The tag is a digest of the text: two that differ never have the same one.
///
/// Layout before base64url, numbers big-endian: version, flags, stamps founded, revision and closed, the password's hash
/// where there is one, the marks of the removed.
pub(super) fn share(policy: &Policy) -> SharedPolicy {
    let locked = if policy.locked { LOCKED } else { 0 };
    let has_password = if policy.password.is_some() { HAS_PASSWORD } else { 0 };
    let mut bytes = vec![VERSION, locked | has_password];
    for Stamp(stamp) in [policy.founded, policy.revision, policy.closed] {
        bytes.extend_from_slice(&stamp.to_be_bytes());
    }
    if let Some(password) = &policy.password {
        password.write(&mut bytes);
    }
    bytes.extend_from_slice(policy.removed.marks().as_flattened());
    let digest = digest::digest(&digest::SHA256, &bytes);
    let tag = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..16).unwrap_or_default());
    SharedPolicy { tag, text: URL_SAFE_NO_PAD.encode(bytes) }
}

/// Reads what [`share`] wrote; none where another version wrote it.
pub(super) fn read(policy: &SharedPolicy) -> Option<Policy> {
    let bytes = URL_SAFE_NO_PAD.decode(&policy.text).ok()?;
    let ([VERSION, flags], rest) = bytes.split_first_chunk()? else { return None };
    let (stamps, rest) = rest.split_first_chunk::<24>()?;
    let ([founded, revision, closed], []) = stamps.as_chunks::<8>() else { return None };
    let stamp = |bytes: &[u8; 8]| Stamp(u64::from_be_bytes(*bytes));
    let (password, rest) = match flags & HAS_PASSWORD {
        0 => (None, rest),
        _ => {
            let (password, rest) = rest.split_first_chunk()?;
            (Some(PasswordHash::read(password)?), rest)
        }
    };
    let (marks, []) = rest.as_chunks() else { return None };
    Some(Policy {
        founded: stamp(founded),
        revision: stamp(revision),
        closed: stamp(closed),
        locked: flags & LOCKED != 0,
        password,
        removed: Removed::from_marks(marks.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use parlor_proto::PeerId;

    use super::*;
    use crate::password::PasswordKey;

    #[test]
    fn a_policy_is_read_as_it_was_written_and_each_has_its_tag() {
        let mut policy = Policy::founded(Stamp(1_760_000_000_000));
        let mut tags = vec![share(&policy).tag];
        policy.set_password(Some(PasswordKey::new(b"secret", NonZeroU32::MIN).hash_text("a", [5; 16])), Stamp(2));
        tags.push(share(&policy).tag);
        for number in 0..70 {
            policy.remove(&PeerId::from_random(number), Stamp(3));
        }
        tags.push(share(&policy).tag);
        policy.set_lock(true, Stamp(3));
        let shared = share(&policy);
        tags.push(shared.tag.clone());
        assert_eq!(read(&shared), Some(policy));
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 4);
    }

    #[test]
    fn what_is_no_policy_is_none() {
        for text in ["", "AQ", "%", "AgAAAA", &"A".repeat(34)] {
            assert_eq!(read(&SharedPolicy { tag: String::new(), text: text.to_owned() }), None, "{text}");
        }
    }
}
