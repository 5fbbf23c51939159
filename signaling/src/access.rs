//! Access tokens: JSON Web Tokens (RFC 7519) by which a server's operator, or a backend of theirs, invites people.
//!
//! Verified with `ring` itself, since no well-kept crate for it comes without a second crypto library. The algorithm is
//! the key's, never the token's (RFC 8725 §3.1): HS256 (RFC 7518 §3.2) for a secret, EdDSA (RFC 8037 §3.1) for an
//! Ed25519 key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlor_proto::{DisplayName, ErrorCode, PeerId, RoomId};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use ring::{hmac, rand};
use serde::Deserialize;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// The longest access token, in bytes.
const TOKEN_BYTES_MAX: usize = 2_048;
/// The longest `jti`, in characters.
const JTI_CHARACTERS_MAX: usize = 64;
/// How far the clocks of whoever signs and of this server may be apart, in seconds. 30: machines with NTP are within one.
const LEEWAY_SECS: f64 = 30.0;
/// RFC 7518 §3.2: a key of the same size as the hash output or larger.
const SECRET_BYTES_MIN: usize = 32;
/// RFC 8410 §4: what stands before the 32 bytes of an Ed25519 public key.
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What a server verifies access tokens with.
#[derive(Clone)]
pub struct AccessKey(Algorithm<hmac::Key, [u8; 32]>);

/// What access tokens are signed with.
pub struct AccessSigner(Algorithm<hmac::Key, Ed25519KeyPair>);

#[derive(Clone)]
enum Algorithm<Hs256, EdDsa> {
    Hs256(Hs256),
    EdDsa(EdDsa),
}

/// Whom an access token is for.
#[derive(Clone, Debug)]
pub struct AccessClaims {
    /// The only room it opens.
    pub room: RoomId,
    /// When it ends, in Unix seconds.
    pub expires_at: u64,
    /// The name its bearer has there; none for one of their choice.
    pub name: Option<DisplayName>,
    /// Whether its bearer may moderate.
    pub moderate: bool,
}

/// Why a file's content is no key for access tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccessKey {
    /// Too short for a secret.
    #[error("a secret needs at least 32 bytes (openssl rand -base64 48 makes one)")]
    Short,
    /// PEM, but not of Ed25519.
    #[error("it is no Ed25519 key in PEM form")]
    Pem,
    /// A private key where the public one is enough.
    #[error("it is a private key; the server needs only the public one (openssl pkey -pubout makes it)")]
    Private,
    /// A public key where the private one is needed.
    #[error("it is a public key; only the private one can sign")]
    Public,
    /// The system gave no randomness for the token's id.
    #[error("the system gave no random numbers")]
    Random,
}

/// What a valid access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// Unix seconds.
    pub(crate) expires_at: u64,
    pub(crate) jti: String,
    pub(crate) name: Option<DisplayName>,
    pub(crate) moderate: bool,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// RFC 7515 §4.1.11: what must be understood, and is not.
    crit: Option<serde_json::Value>,
}

/// As they stand in the token. A `NumericDate` may have a fraction (RFC 7519 §2).
#[derive(Deserialize)]
struct Claims {
    room: String,
    exp: f64,
    nbf: Option<f64>,
    jti: String,
    name: Option<String>,
    #[serde(default)]
    moderate: bool,
}

impl AccessKey {
    /// Reads a key file's content: a secret of at least 32 bytes, without the line end after it, or an Ed25519 public
    /// key in PEM form.
    ///
    /// # Errors
    /// [`InvalidAccessKey`], which goes on from "… is no key for access tokens:".
    pub fn from_file_content(content: &[u8]) -> Result<Self, InvalidAccessKey> {
        if !is_pem(content) {
            return secret(content).map(|key| Self(Algorithm::Hs256(key)));
        }
        if PrivatePkcs8KeyDer::from_pem_slice(content).is_ok() {
            return Err(InvalidAccessKey::Private);
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(content).map_err(|_| InvalidAccessKey::Pem)?;
        let key = der.strip_prefix(&ED25519_SPKI_PREFIX).and_then(|key| <[u8; 32]>::try_from(key).ok());
        key.map(|key| Self(Algorithm::EdDsa(key))).ok_or(InvalidAccessKey::Pem)
    }

    /// Reads a token that is meant to open `room` at `now` (Unix seconds).
    ///
    /// # Errors
    /// `access_invalid`, `access_expired` or `access_wrong_room`.
    pub(crate) fn verify(&self, token: &str, room: &RoomId, now: u64) -> Result<Invitation, ErrorCode> {
        let claims = self.signed_claims(token).ok_or(ErrorCode::AccessInvalid)?;
        let now = seconds(now);
        let has_begun = claims.nbf.is_none_or(|nbf| nbf <= now + LEEWAY_SECS);
        let is_over = claims.exp <= now - LEEWAY_SECS;
        if !has_begun || is_over {
            return Err(ErrorCode::AccessExpired);
        }
        if !claims.room.parse::<RoomId>().is_ok_and(|named| named == *room) {
            return Err(ErrorCode::AccessWrongRoom);
        }
        claims.into_invitation().ok_or(ErrorCode::AccessInvalid)
    }

    fn signed_claims(&self, token: &str) -> Option<Claims> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = from_base64_json(header)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let is_right = match &self.0 {
            Algorithm::Hs256(key) => header.alg == "HS256" && hmac::verify(key, signed.as_bytes(), &signature).is_ok(),
            // RFC 9864 §2.2 has the second name for the same algorithm.
            Algorithm::EdDsa(key) => {
                matches!(header.alg.as_str(), "EdDSA" | "Ed25519")
                    && UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).is_ok()
            }
        };
        if is_right && header.crit.is_none() { from_base64_json(claims) } else { None }
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self.0 {
            Algorithm::Hs256(_) => "AccessKey(HS256)",
            Algorithm::EdDsa(_) => "AccessKey(EdDSA)",
        })
    }
}

impl AccessSigner {
    /// Reads a key file's content: the same secret as the server's, or an Ed25519 private key in PEM form (PKCS #8).
    ///
    /// # Errors
    /// [`InvalidAccessKey`], which goes on from "… is no key for access tokens:".
    pub fn from_file_content(content: &[u8]) -> Result<Self, InvalidAccessKey> {
        if !is_pem(content) {
            return secret(content).map(|key| Self(Algorithm::Hs256(key)));
        }
        if SubjectPublicKeyInfoDer::from_pem_slice(content).is_ok() {
            return Err(InvalidAccessKey::Public);
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(content).map_err(|_| InvalidAccessKey::Pem)?;
        // OpenSSL writes PKCS #8 of version 1, which lacks the public key that ring would check.
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        key.map(|key| Self(Algorithm::EdDsa(key))).map_err(|_| InvalidAccessKey::Pem)
    }

    /// Makes a token for one person, who is another one than in every token made before.
    ///
    /// # Errors
    /// [`InvalidAccessKey::Random`].
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, InvalidAccessKey> {
        let bits = rand::generate::<[u8; 16]>(&SystemRandom::new()).map_err(|_| InvalidAccessKey::Random)?;
        let claims = serde_json::json!({
            "room": claims.room,
            "exp": claims.expires_at,
            "jti": PeerId::from_random(u128::from_be_bytes(bits.expose())),
            "name": claims.name,
            "moderate": claims.moderate,
        });
        Ok(self.sign_json(&claims.to_string()))
    }

    pub(crate) fn sign_json(&self, claims: &str) -> String {
        let alg = match &self.0 {
            Algorithm::Hs256(_) => "HS256",
            Algorithm::EdDsa(_) => "EdDSA",
        };
        let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = match &self.0 {
            Algorithm::Hs256(key) => URL_SAFE_NO_PAD.encode(hmac::sign(key, signed.as_bytes())),
            Algorithm::EdDsa(key) => URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())),
        };
        format!("{signed}.{signature}")
    }
}

impl Claims {
    fn into_invitation(self) -> Option<Invitation> {
        if !(1..=JTI_CHARACTERS_MAX).contains(&self.jti.chars().count()) {
            return None;
        }
        let name = self.name.map(|name| name.parse()).transpose().ok()?;
        // Saturates: a token without end is one of the far future.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let expires_at = self.exp as u64;
        Some(Invitation { expires_at, jti: self.jti, name, moderate: self.moderate })
    }
}

/// Gives the same peer id to the same invitation, on every server with the secret.
pub(crate) struct InvitedIds(hmac::Key);

impl InvitedIds {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub(crate) fn peer_id(&self, room: &RoomId, jti: &str) -> PeerId {
        /// Keeps these tags apart from any other use of the same secret.
        const DOMAIN: &[u8] = b"parlor invited peer 1\0";
        let tag = hmac::sign(&self.0, &[DOMAIN, room.as_str().as_bytes(), b"\0", jti.as_bytes()].concat());
        let bits = tag.as_ref().first_chunk::<16>().expect("SHA-256 gives 32 bytes");
        PeerId::from_random(u128::from_be_bytes(*bits))
    }
}

fn is_pem(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(b"-----BEGIN ")
}

fn secret(content: &[u8]) -> Result<hmac::Key, InvalidAccessKey> {
    let end = content.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    if end < SECRET_BYTES_MIN {
        return Err(InvalidAccessKey::Short);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &content[..end]))
}

fn from_base64_json<T: for<'json> Deserialize<'json>>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Exact for the next 285 million years.
#[allow(clippy::cast_precision_loss)]
fn seconds(unix_secs: u64) -> f64 {
    unix_secs as f64
}

#[cfg(test)]
pub(crate) mod tests;
