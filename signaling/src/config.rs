//! What a server is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use parlor_proto::IceServer;

use crate::HubConfig;

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
    /// What seals the resume tokens.
    pub secret: Secret,
    /// Where the secret and the self-signed certificate are kept; none where the system names no such folder.
    pub state_dir: Option<PathBuf>,
    /// WebSockets at one time; one more is answered with 503. 4,000: about 4 KiB each when idle, and well below the
    /// usual limit of 20,000 descriptors.
    pub connections_max: usize,
    /// How a connection is treated.
    pub sockets: SocketConfig,
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
            secret: Secret::StateDir,
            state_dir: default_state_dir(),
            connections_max: 4_000,
            sockets: SocketConfig::default(),
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
        credential: credentials.map(|(_, credential)| credential.to_owned()),
    })
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
        assert_eq!((turn.username.as_deref(), turn.credential.as_deref()), (Some("ana"), Some("pa:ss@w")));
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
    fn a_given_secret_is_not_printed() {
        assert!(!format!("{:?}", Secret::Given(b"hunter2".to_vec())).contains("104"));
    }
}
