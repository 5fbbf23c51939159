//! What a server is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use parlor_proto::IceServer;

use crate::HubConfig;
use crate::backplane::{RedisTls, RedisUrl};
use crate::client_address::TrustedProxies;
use crate::origin::Origin;

/// The STUN server told to clients where none is chosen: it learns their public address and nothing of the call.
pub const DEFAULT_ICE_SERVER: &str = "stun:stun.l.google.com:19302";

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen. Port 0 takes a free one.
    pub bind: SocketAddr,
    /// The rooms.
    pub hub: HubConfig,
    /// Encryption.
    pub tls: Tls,
    /// Everyone is asked for an access token, which is verified with the key in this file; none where rooms are open.
    pub access_key_file: Option<PathBuf>,
    /// What seals the resume tokens.
    pub secret: Secret,
    /// TURN servers that share a secret with this one.
    pub turn: Option<TurnFile>,
    /// Where the secret and the self-signed certificate are kept; none where the system names no such folder.
    pub state_dir: Option<PathBuf>,
    /// WebSockets at one time; one more is answered with 503. None: as many as the process may have descriptors but for a reserve of
    /// 256, and not more than 20,000: about 2.5 KiB each when idle (10 KiB over TLS).
    pub connections_max: Option<usize>,
    /// WebSockets of one address at one time. 200: an office or a school behind one address.
    pub connections_per_address: usize,
    /// The address that people know, where it is another than the one listened on.
    pub public_url: Option<Origin>,
    /// The proxies whose word on a client's address is taken.
    pub proxies: TrustedProxies,
    /// Sites beside this one whose pages may connect.
    pub allow_origins: Vec<Origin>,
    /// The file with the token for `/metrics`; none: they are for this machine only.
    pub metrics_token_file: Option<PathBuf>,
    /// Where this server meets the others that it shares its rooms with; none where it is alone.
    pub redis: Option<RedisUrl>,
    /// What that Redis is trusted by over TLS, and what it is shown.
    pub redis_tls: RedisTls,
    /// How a connection is treated.
    pub sockets: SocketConfig,
    /// How the server ends.
    pub drain: DrainConfig,
}

/// Whether the server speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// No.
    Off,
    /// With a certificate of its own, kept in the state folder.
    SelfSigned,
    /// With these PEM files.
    Files {
        /// The certificate and those it hangs on.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// Where the secret comes from that seals the resume tokens. The same one after a restart accepts the earlier tokens.
#[derive(Clone)]
pub enum Secret {
    /// `secret` in the state folder; made where it is missing.
    StateDir,
    /// This file; made where it is missing.
    File(PathBuf),
    /// Given, in at least 16 bytes.
    Given(Vec<u8>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StateDir => formatter.write_str("StateDir"),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Self::Given(_) => formatter.write_str("Given(…)"),
        }
    }
}

/// TURN servers, and where the secret is that they know too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnFile {
    /// `turn:` and `turns:` URLs (RFC 7065), without credentials.
    pub urls: Vec<String>,
    /// The file with the secret, as it stands in the TURN server's configuration; white space around it is left out.
    pub secret: PathBuf,
    /// How long credentials are good for.
    pub lifetime: Duration,
}

/// How a server ends.
#[derive(Clone, Debug)]
pub struct DrainConfig {
    /// How long `/readyz` says "draining" before anybody is told to go, so that a load balancer hears of it. None: with one
    /// server there is nobody else to send people to.
    pub delay: Duration,
    /// Over how long a time people are told to come back at most. 5 s: well within what a call does without its server.
    pub spread_max: Duration,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { delay: Duration::ZERO, spread_max: Duration::from_secs(5) }
    }
}

/// How one connection is treated.
#[derive(Clone, Debug)]
pub struct SocketConfig {
    /// From accept to the end of the request's header, TLS included. 10 s: a slow phone needs about two.
    pub handshake_timeout: Duration,
    /// The longest life of a connection that only fetches the page.
    pub page_timeout: Duration,
    /// How often a quiet client is asked whether it is there.
    pub ping_interval: Duration,
    /// How long a client may be silent. Three pings.
    pub silence_max: Duration,
    /// How long a client may take to read what is said last.
    pub close_grace: Duration,
    /// Bytes waiting for one client. 256 KiB: the offers of a full room, several times over.
    /// One byte more closes the connection with `too_slow`.
    pub outbox_bytes_max: usize,
    /// Bytes waiting for all clients together. 64 MiB: a quarter of the outboxes of 1,000 clients full.
    /// One more closes whoever reads least, with `too_slow`.
    pub outboxes_bytes_max: usize,
    /// How often the files of a certificate are looked at.
    pub certificate_poll: Duration,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            page_timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(5),
            silence_max: Duration::from_secs(15),
            close_grace: Duration::from_secs(2),
            outbox_bytes_max: 256 * 1024,
            outboxes_bytes_max: 64 * 1024 * 1024,
            certificate_poll: Duration::from_secs(10),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        let stun = IceServer { urls: vec![DEFAULT_ICE_SERVER.to_owned()], username: None, credential: None };
        Self {
            bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            hub: HubConfig { ice_servers: vec![stun], ..HubConfig::default() },
            tls: Tls::Off,
            access_key_file: None,
            secret: Secret::StateDir,
            turn: None,
            state_dir: default_state_dir(),
            connections_max: None,
            connections_per_address: 200,
            public_url: None,
            proxies: TrustedProxies::default(),
            allow_origins: Vec::new(),
            metrics_token_file: None,
            redis: None,
            redis_tls: RedisTls::default(),
            sockets: SocketConfig::default(),
            drain: DrainConfig::default(),
        }
    }
}

/// The folder of this user for what a server keeps; none where the system names none.
pub fn default_state_dir() -> Option<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "parlor")?;
    Some(dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned())
}

/// Why a text names no STUN or TURN server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIceServer {
    /// Another scheme, or none.
    #[error("a STUN or TURN server starts with stun:, stuns:, turn: or turns:")]
    Scheme,
    /// Nothing after the scheme.
    #[error("the server's host is missing, as in stun:stun.example.org:3478")]
    Host,
    /// TURN without a user.
    #[error("a TURN server needs a user and a password, as in turn:USER:PASSWORD@turn.example.org:3478")]
    Credential,
}

/// Reads `stun:HOST[:PORT]` or `turn:USER:PASSWORD@HOST[:PORT][?transport=udp]`.
///
/// The user and the password stand in the text, since the URL itself (RFC 7065) has no place for them.
///
/// # Errors
/// What is missing, in words.
pub fn parse_ice_server(text: &str) -> Result<IceServer, InvalidIceServer> {
    let (scheme, rest) = text.trim().split_once(':').ok_or(InvalidIceServer::Scheme)?;
    let is_turn = match scheme {
        "stun" | "stuns" => false,
        "turn" | "turns" => true,
        _ => return Err(InvalidIceServer::Scheme),
    };
    let (credentials, host) = match rest.rsplit_once('@') {
        Some((credentials, host)) => (credentials.split_once(':'), host),
        None => (None, rest),
    };
    if host.is_empty() || host.starts_with([':', '?', '/']) || host.contains(char::is_whitespace) {
        return Err(InvalidIceServer::Host);
    }
    if is_turn && credentials.is_none() {
        return Err(InvalidIceServer::Credential);
    }
    Ok(IceServer {
        urls: vec![format!("{scheme}:{host}")],
        username: credentials.map(|(username, _)| username.to_owned()),
        credential: credentials.map(|(_, credential)| credential.into()),
    })
}

/// Why a text names no TURN server for `--turn-url`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTurnUrl {
    /// Another scheme, or none.
    #[error("a TURN server starts with turn: or turns:")]
    Scheme,
    /// Nothing after the scheme, or something that is no host.
    #[error("the server's host is missing, as in turn:turn.example.org:3478")]
    Host,
    /// A user in the URL.
    #[error("the credentials are made from the secret, so the URL has none; one with its own goes to --ice-server")]
    Credential,
    /// Something else after the question mark.
    #[error("after the host only ?transport=udp or ?transport=tcp can stand")]
    Transport,
}

/// Reads `turn:HOST[:PORT][?transport=udp|tcp]`, also with `turns:` (RFC 7065).
///
/// # Errors
/// What is wrong, in words.
pub fn parse_turn_url(text: &str) -> Result<String, InvalidTurnUrl> {
    let text = text.trim();
    let (scheme, rest) = text.split_once(':').ok_or(InvalidTurnUrl::Scheme)?;
    if !matches!(scheme, "turn" | "turns") {
        return Err(InvalidTurnUrl::Scheme);
    }
    if rest.contains('@') {
        return Err(InvalidTurnUrl::Credential);
    }
    let (host, query) = rest.split_once('?').map_or((rest, None), |(host, query)| (host, Some(query)));
    if host.is_empty() || host.starts_with([':', '/']) || host.contains(char::is_whitespace) {
        return Err(InvalidTurnUrl::Host);
    }
    match query {
        None | Some("transport=udp" | "transport=tcp") => Ok(text.to_owned()),
        Some(_) => Err(InvalidTurnUrl::Transport),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ice_servers_are_read_with_their_credentials() {
        let stun = parse_ice_server("stun:stun.example.org:3478").unwrap();
        assert_eq!(
            stun,
            IceServer { urls: vec!["stun:stun.example.org:3478".into()], username: None, credential: None }
        );
        let turn = parse_ice_server("turn:ana:pa:ss@w@turn.example.org?transport=udp").unwrap();
        assert_eq!(turn.urls, ["turn:turn.example.org?transport=udp"]);
        assert_eq!((turn.username.as_deref(), turn.credential), (Some("ana"), Some("pa:ss@w".into())));
    }

    #[test]
    fn what_is_no_ice_server_says_why() {
        for (text, why) in [
            ("", InvalidIceServer::Scheme),
            ("http://example.org", InvalidIceServer::Scheme),
            ("stun:", InvalidIceServer::Host),
            ("stun:a b", InvalidIceServer::Host),
            ("turn:turn.example.org", InvalidIceServer::Credential),
        ] {
            assert_eq!(parse_ice_server(text), Err(why), "{text}");
        }
    }

    #[test]
    fn turn_urls_are_those_of_rfc_7065() {
        for text in ["turn:a", "turns:a.example:5349", "turn:a?transport=tcp", "turn:[2001:db8::1]:3478?transport=udp"]
        {
            assert_eq!(parse_turn_url(text).as_deref(), Ok(text));
        }
        for (text, why) in [
            ("", InvalidTurnUrl::Scheme),
            ("stun:a", InvalidTurnUrl::Scheme),
            ("turn:", InvalidTurnUrl::Host),
            ("turn://a", InvalidTurnUrl::Host),
            ("turn:u:p@a", InvalidTurnUrl::Credential),
            ("turn:a?transport=sctp", InvalidTurnUrl::Transport),
        ] {
            assert_eq!(parse_turn_url(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_given_secret_is_not_printed() {
        assert!(!format!("{:?}", Secret::Given(b"hunter2".to_vec())).contains("104"));
    }
}
