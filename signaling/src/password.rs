//! A room's password, kept so that nothing the server stores or hands out gives it away.
//!
//! PBKDF2-HMAC-SHA256 (RFC 8018 §5.2) makes each guess slow, and its result is sealed with the server's secret: the hash
//! stands in resume tokens, which clients hold, and without the secret there is nothing to try guesses on.

use std::num::NonZeroU32;

use parlor_proto::PASSWORD_CHARACTERS_MAX;
use ring::{hmac, pbkdf2};

/// Keeps these tags apart from any other use of the same secret.
const DOMAIN: &[u8] = b"parlor password 1\0";
pub(crate) const SALT_BYTES: usize = 16;
const SEAL_BYTES: usize = 32;

/// Makes and compares password hashes.
pub(crate) struct PasswordKey {
    key: hmac::Key,
    iterations: NonZeroU32,
}

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    salt: [u8; SALT_BYTES],
    iterations: NonZeroU32,
    seal: [u8; SEAL_BYTES],
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PasswordHash(…)")
    }
}

/// Whether a text can be a password.
pub(crate) fn is_password(text: &str) -> bool {
    (1..=PASSWORD_CHARACTERS_MAX).contains(&text.chars().count())
}

impl PasswordKey {
    pub(crate) fn new(secret: &[u8], iterations: NonZeroU32) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), iterations }
    }

    /// Hashes a new password. Takes a few milliseconds, on purpose.
    pub(crate) fn hash(&self, password: &str, salt: [u8; SALT_BYTES]) -> PasswordHash {
        let sealed = sealed_part(password, &salt, self.iterations);
        let mut seal = [0; SEAL_BYTES];
        seal.copy_from_slice(hmac::sign(&self.key, &sealed).as_ref());
        PasswordHash { salt, iterations: self.iterations, seal }
    }

    /// Whether this is the password, compared in constant time. Takes as long as [`PasswordKey::hash`].
    pub(crate) fn verify(&self, hash: &PasswordHash, password: &str) -> bool {
        let sealed = sealed_part(password, &hash.salt, hash.iterations);
        is_password(password) && hmac::verify(&self.key, &sealed, &hash.seal).is_ok()
    }
}

fn sealed_part(password: &str, salt: &[u8; SALT_BYTES], iterations: NonZeroU32) -> Vec<u8> {
    let mut derived = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut derived);
    [DOMAIN, salt, &iterations.get().to_be_bytes(), &derived].concat()
}

impl PasswordHash {
    pub(crate) const BYTES: usize = SALT_BYTES + 4 + SEAL_BYTES;

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.iterations.get().to_be_bytes());
        bytes.extend_from_slice(&self.seal);
    }

    /// Reads what [`PasswordHash::write`] wrote.
    pub(crate) fn read(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let (salt, rest) = bytes.split_first_chunk()?;
        let (iterations, seal) = rest.split_first_chunk()?;
        let iterations = NonZeroU32::new(u32::from_be_bytes(*iterations))?;
        Some(Self { salt: *salt, iterations, seal: *seal.first_chunk()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &[u8]) -> PasswordKey {
        PasswordKey::new(secret, NonZeroU32::MIN)
    }

    #[test]
    fn only_the_password_opens_its_hash_on_any_server_with_the_secret() {
        let hash = key(b"secret").hash("three green apples", [7; SALT_BYTES]);
        let restarted = PasswordKey::new(b"secret", NonZeroU32::new(9).unwrap());
        assert!(restarted.verify(&hash, "three green apples"));
        for wrong in ["", "three green apple", "Three green apples", "three green apples "] {
            assert!(!restarted.verify(&hash, wrong), "{wrong}");
        }
        assert!(!key(b"another").verify(&hash, "three green apples"));
    }

    #[test]
    fn one_password_has_another_hash_under_each_salt() {
        assert_ne!(key(b"secret").hash("a", [1; SALT_BYTES]), key(b"secret").hash("a", [2; SALT_BYTES]));
    }

    #[test]
    fn a_hash_is_read_back_as_it_was_written_and_never_printed() {
        let hash = key(b"secret").hash("a", [1; SALT_BYTES]);
        let mut bytes = Vec::new();
        hash.write(&mut bytes);
        assert_eq!(PasswordHash::read(bytes.first_chunk().unwrap()), Some(hash.clone()));
        assert_eq!(bytes.len(), PasswordHash::BYTES);
        assert_eq!(PasswordHash::read(&[0; PasswordHash::BYTES]), None);
        assert_eq!(format!("{hash:?}"), "PasswordHash(…)");
    }

    #[test]
    fn passwords_have_1_to_128_characters_of_any_kind() {
        for text in ["a", " ", "pässwörd", &"é".repeat(128)] {
            assert!(is_password(text), "{text}");
        }
        assert!(!is_password("") && !is_password(&"é".repeat(129)));
    }
}
