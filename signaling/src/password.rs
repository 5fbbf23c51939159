//! A room's password, kept so that nothing the server stores or hands out gives it away.
//!
//! PBKDF2-HMAC-SHA256 (RFC 8018 §5.2) makes each guess slow, and its result is sealed with the server's secret: the hash
//! stands in resume tokens, which clients hold, and without the secret there is nothing to try guesses on.
//!
//! The slow part is a [`Stretch`] of its own, for whoever must not wait for it; the rest is quick.

use std::num::NonZeroU32;

use parlor_proto::{PASSWORD_CHARACTERS_MAX, Secret};
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

/// A password that is to be stretched, which takes milliseconds, on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub(crate) number: u64,
    pub(crate) password: Secret,
    pub(crate) grain: Grain,
}

/// With what a password is stretched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grain {
    pub(crate) salt: [u8; SALT_BYTES],
    pub(crate) iterations: NonZeroU32,
}

/// A stretched password.
#[derive(Clone, PartialEq, Eq)]
pub struct Stretched {
    pub(crate) number: u64,
    grain: Grain,
    derived: [u8; 32],
}

impl std::fmt::Debug for Stretched {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stretched").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Stretch {
    /// Does the work.
    pub fn run(&self) -> Stretched {
        let Self { number, password, grain } = self;
        let mut derived = [0; 32];
        let text = password.reveal().as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, grain.iterations, &grain.salt, text, &mut derived);
        Stretched { number: *number, grain: *grain, derived }
    }
}

impl Stretched {
    fn sealed_part(&self) -> Vec<u8> {
        let Self { number: _, grain: Grain { salt, iterations }, derived } = self;
        [DOMAIN, salt, &iterations.get().to_be_bytes(), derived].concat()
    }

    /// Whether it was made for this hash.
    pub(crate) fn is_for(&self, hash: &PasswordHash) -> bool {
        self.grain == hash.grain()
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

    /// With what a new password is stretched.
    pub(crate) fn grain(&self, salt: [u8; SALT_BYTES]) -> Grain {
        Grain { salt, iterations: self.iterations }
    }

    /// What is kept of a new password.
    pub(crate) fn hash(&self, stretched: &Stretched) -> PasswordHash {
        let mut seal = [0; SEAL_BYTES];
        seal.copy_from_slice(hmac::sign(&self.key, &stretched.sealed_part()).as_ref());
        let Grain { salt, iterations } = stretched.grain;
        PasswordHash { salt, iterations, seal }
    }

    /// Whether this is the password, compared in constant time.
    pub(crate) fn verify(&self, hash: &PasswordHash, stretched: &Stretched) -> bool {
        stretched.is_for(hash) && hmac::verify(&self.key, &stretched.sealed_part(), &hash.seal).is_ok()
    }

    /// Stretches and hashes at once.
    #[cfg(test)]
    pub(crate) fn hash_text(&self, password: &str, salt: [u8; SALT_BYTES]) -> PasswordHash {
        self.hash(&Stretch { number: 0, password: password.into(), grain: self.grain(salt) }.run())
    }
}

impl PasswordHash {
    /// With what a password must be stretched to be compared with this one.
    pub(crate) fn grain(&self) -> Grain {
        Grain { salt: self.salt, iterations: self.iterations }
    }

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
        let hash = key(b"secret").hash_text("three green apples", [7; SALT_BYTES]);
        let stretched = |text: &str| Stretch { number: 1, password: text.into(), grain: hash.grain() }.run();
        let restarted = PasswordKey::new(b"secret", NonZeroU32::new(9).unwrap());
        assert!(restarted.verify(&hash, &stretched("three green apples")));
        for wrong in ["", "three green apple", "Three green apples", "three green apples "] {
            assert!(!restarted.verify(&hash, &stretched(wrong)), "{wrong}");
        }
        assert!(!key(b"another").verify(&hash, &stretched("three green apples")));
    }

    #[test]
    fn what_was_stretched_for_one_hash_says_nothing_of_another_of_the_same_password() {
        let (first, second) =
            (key(b"secret").hash_text("a", [1; SALT_BYTES]), key(b"secret").hash_text("a", [2; SALT_BYTES]));
        let stretched = Stretch { number: 1, password: "a".into(), grain: first.grain() }.run();
        assert!(key(b"secret").verify(&first, &stretched) && !key(b"secret").verify(&second, &stretched));
    }

    #[test]
    fn neither_a_password_nor_what_is_made_of_it_is_printed() {
        let stretch = Stretch { number: 1, password: "hunter2".into(), grain: key(b"secret").grain([1; SALT_BYTES]) };
        let stretched = stretch.run();
        let shown = format!("{stretch:?} {stretched:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(&format!("{:?}", stretched.derived)), "{shown}");
    }

    #[test]
    fn one_password_has_another_hash_under_each_salt() {
        assert_ne!(key(b"secret").hash_text("a", [1; SALT_BYTES]), key(b"secret").hash_text("a", [2; SALT_BYTES]));
    }

    #[test]
    fn a_hash_is_read_back_as_it_was_written_and_never_printed() {
        let hash = key(b"secret").hash_text("a", [1; SALT_BYTES]);
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
