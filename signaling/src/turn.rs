//! TURN credentials that expire, as a TURN server checks them that shares a secret with this one.
//!
//! Coturn's `use-auth-secret` and others: the user name is `EXPIRY:NAME`, the password is the name's HMAC-SHA1 under the
//! secret, in Base64. The TURN server knows nobody, and whoever learns a credential can use it until it expires.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlor_proto::{IceServer, PeerId};
use ring::hmac;

/// The TURN servers of one secret.
#[derive(Clone)]
pub struct TurnConfig {
    /// `turn:` and `turns:` URLs (RFC 7065).
    pub urls: Vec<String>,
    /// What the TURN servers know too.
    pub secret: Vec<u8>,
    /// How long credentials are good for. 12 h: clients renew them after half of it, so that a call of any length has
    /// valid ones, and those that are stolen do not work for long.
    pub lifetime: Duration,
}

impl TurnConfig {
    /// Lifetime of credentials, where nothing else is said.
    pub const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

    /// The servers with credentials for one member, good until `lifetime` from now.
    pub(crate) fn ice_server(&self, peer_id: &PeerId, unix_secs: u64) -> IceServer {
        let expires_at = unix_secs.saturating_add(self.lifetime.as_secs());
        let username = format!("{expires_at}:{peer_id}");
        // RFC 2104; SHA-1's collisions do not weaken it, and the other end knows nothing newer.
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.secret);
        let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        IceServer { urls: self.urls.clone(), username: Some(username), credential: Some(credential.into()) }
    }
}

impl fmt::Debug for TurnConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { urls, secret: _, lifetime } = self;
        formatter.debug_struct("TurnConfig").field("urls", urls).field("lifetime", lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_that_a_turn_server_with_the_secret_computes() {
        let turn = TurnConfig {
            urls: vec!["turn:turn.example.org".into()],
            secret: b"north".to_vec(),
            lifetime: TurnConfig::LIFETIME,
        };
        let IceServer { urls, username, credential } = turn.ice_server(&PeerId::from_random(0), 1_800_000_000);
        assert_eq!(urls, turn.urls);
        assert_eq!(username.as_deref(), Some("1800043200:aaaaaaaaaaaaaaaaaaaaaaaaaa"));
        // printf %s 1800043200:aaaaaaaaaaaaaaaaaaaaaaaaaa | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(credential, Some("PJfxyw8f8arCYGD9kTX4gyOfHkU=".into()));
    }

    #[test]
    fn the_secret_is_not_printed() {
        let turn = TurnConfig { urls: Vec::new(), secret: b"north".to_vec(), lifetime: TurnConfig::LIFETIME };
        assert!(!format!("{turn:?}").contains("110"), "{turn:?}");
    }
}
