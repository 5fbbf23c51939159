//! What a user typed or pasted to say where to go, made into a server and a room.

use parlor_engine::ServerAddress;
use parlor_proto::{InvalidId, InvalidLink, RoomId, RoomLink};

/// Where a call takes place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinTarget {
    /// The signaling server.
    pub server: ServerAddress,
    /// The room on it.
    pub room: RoomId,
    /// The link that leads there, to hand on to others; none where the server was given by its WebSocket.
    pub link: Option<RoomLink>,
}

/// Why a text leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinTargetError {
    /// Nothing was typed.
    #[error("Type a room's name or paste a link.")]
    Empty,
    /// A link with something wrong.
    #[error("This link can't be used: {0}.")]
    Link(InvalidLink),
    /// Neither a link nor a room's name.
    #[error("This is not a room's name: {0}.")]
    Room(InvalidId),
    /// A room's name, and nobody said on which server.
    #[error(
        "Which server is the room “{0}” on? Give a link, name the server with --server URL, or set `server` in config.toml."
    )]
    NoServer(RoomId),
    /// The server's address is not one.
    #[error("“{0}” is not a server's address; one looks like https://call.example.org or http://127.0.0.1:8080.")]
    Server(String),
}

/// Reads a link, or a room's name together with the server it is on.
///
/// A link says everything; a `server` beside it is not looked at. The server may be given as `http(s)://HOST[:PORT]`,
/// with `#fp=…` behind it for a self-signed certificate, as `ws(s)://HOST[:PORT]`, or as `HOST[:PORT]` (https, but http on
/// this very machine).
///
/// # Errors
/// In words for the user, with what to do.
pub fn parse(text: &str, server: Option<&str>) -> Result<JoinTarget, JoinTargetError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(JoinTargetError::Empty);
    }
    if is_link(text) {
        return text.parse::<RoomLink>().map(from_link).map_err(JoinTargetError::Link);
    }
    let room: RoomId = text.parse().map_err(JoinTargetError::Room)?;
    match server.map(str::trim).filter(|server| !server.is_empty()) {
        Some(server) => on_server(room, server).map(from_link),
        None => Err(JoinTargetError::NoServer(room)),
    }
}

/// Whether a text means to be a link, right or wrong.
pub fn is_link(text: &str) -> bool {
    text.contains("://")
}

/// The link to a room on a server that is named as users name servers.
///
/// # Errors
/// [`JoinTargetError::Server`] for what is not a server's address.
pub fn on_server(room: RoomId, server: &str) -> Result<RoomLink, JoinTargetError> {
    let wrong = || JoinTargetError::Server(server.trim().to_owned());
    let (address, fragment) = server.trim().split_once('#').unwrap_or((server.trim(), ""));
    let (scheme, rest) = match address.split_once("://") {
        Some(("https" | "wss", rest)) => ("https", rest),
        Some(("http" | "ws", rest)) => ("http", rest),
        Some(_) => return Err(wrong()),
        None if is_this_machine(address) => ("http", address),
        None => ("https", address),
    };
    let authority = rest.strip_suffix("/ws").unwrap_or(rest).trim_end_matches('/');
    if authority.is_empty() || authority.contains('/') {
        return Err(wrong());
    }
    let link = format!("{scheme}://{authority}/r/{room}#{fragment}");
    link.parse().map_err(|_| wrong())
}

fn from_link(link: RoomLink) -> JoinTarget {
    JoinTarget { server: ServerAddress::from(&link), room: link.room.clone(), link: Some(link) }
}

fn is_this_machine(address: &str) -> bool {
    let host = address.trim_end_matches('/');
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|name| host.strip_prefix(name).is_some_and(|port| port.is_empty() || port.starts_with(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_everything() {
        let fp = "ab".repeat(32);
        let target = parse(&format!(" https://a.example:8443/r/Tea#fp={fp} "), Some("https://other.example")).unwrap();
        assert_eq!(target.server.websocket_url, "wss://a.example:8443/ws");
        assert_eq!(target.server.fingerprint.unwrap().to_string(), fp);
        assert_eq!(target.room.as_str(), "tea");
        assert_eq!(target.link.unwrap().authority, "a.example:8443");
    }

    #[test]
    fn a_room_is_looked_for_on_the_named_server() {
        for (server, url) in [
            ("https://a.example", "wss://a.example/ws"),
            ("https://a.example/", "wss://a.example/ws"),
            ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws"),
            ("ws://127.0.0.1:8080/ws", "ws://127.0.0.1:8080/ws"),
            ("wss://a.example:1", "wss://a.example:1/ws"),
            ("a.example", "wss://a.example/ws"),
            ("localhost:8080", "ws://localhost:8080/ws"),
            ("localhost.example", "wss://localhost.example/ws"),
            ("[::1]:8080", "ws://[::1]:8080/ws"),
        ] {
            assert_eq!(parse("tea", Some(server)).unwrap().server.websocket_url, url, "{server}");
        }
    }

    #[test]
    fn a_server_may_carry_its_fingerprint() {
        let fp = "0f".repeat(32);
        let target = parse("tea", Some(&format!("https://10.0.0.2:8443#fp={fp}"))).unwrap();
        assert_eq!(target.server.fingerprint.unwrap().to_string(), fp);
        assert_eq!(target.link.unwrap().to_string(), format!("https://10.0.0.2:8443/r/tea#fp={fp}"));
    }

    #[test]
    fn a_room_without_a_server_names_both_remedies() {
        let error = parse("tea", None).unwrap_err();
        assert_eq!(error, parse("tea", Some("  ")).unwrap_err());
        let sentence = error.to_string();
        assert!(sentence.contains("--server") && sentence.contains("config.toml"), "{sentence}");
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        assert_eq!(parse("  ", None), Err(JoinTargetError::Empty));
        assert!(matches!(parse("a b", Some("a.example")), Err(JoinTargetError::Room(_))));
        assert!(matches!(parse("ftp://a/r/b", None), Err(JoinTargetError::Link(InvalidLink::Scheme))));
        assert!(matches!(parse("https://a.example", None), Err(JoinTargetError::Link(InvalidLink::Path))));
        for server in ["ftp://a", "https://", "https://a/b", "a b", "https://a#fp=12"] {
            assert_eq!(parse("tea", Some(server)), Err(JoinTargetError::Server(server.into())), "{server}");
        }
    }
}
