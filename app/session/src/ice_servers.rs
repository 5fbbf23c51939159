//! The STUN and TURN servers that the room's server named: which relays we can use, and when to ask for new credentials.

use std::fmt;
use std::time::{Duration, Instant};

use parlor_proto::IceServer;

/// Lifetimes that are believed; a longer one is as good as for ever, and would not fit the clock.
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How a TURN server is reached (RFC 7065 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnTransport {
    /// Over UDP: what this program's WebRTC stack relays over.
    Udp,
    /// Over TCP, or encrypted, which it does not do.
    TcpOrTls,
}

/// How the TURN server of this URL is reached; none where the URL names no TURN server.
pub fn turn_transport(url: &str) -> Option<TurnTransport> {
    let (scheme, rest) = url.split_once(':')?;
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    match (scheme.to_ascii_lowercase().as_str(), query.to_ascii_lowercase().as_str()) {
        ("turn", "" | "transport=udp") => Some(TurnTransport::Udp),
        ("turn" | "turns", _) => Some(TurnTransport::TcpOrTls),
        _ => None,
    }
}

/// What to say about relays; `Display` is a sentence for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayNote {
    /// The address is to be hidden, and the server offers no relay.
    NoRelay,
    /// The address is to be hidden, and the server's relays are all reached over TCP or TLS.
    NoRelayOverUdp,
    /// No path was found over UDP, and the server has relays over TCP or TLS.
    NoPathOverUdp,
}

impl fmt::Display for RelayNote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoRelay => {
                "You hide your address, and this server offers no relay, so nobody can be connected. Show your address, or use a \
                 server with a relay (TURN)."
            }
            Self::NoRelayOverUdp => {
                "You hide your address, and this server's relays are reached over TCP or TLS only, which this program can't do, so \
                 nobody can be connected. A browser can use them."
            }
            Self::NoPathOverUdp => {
                "This network seems to need a relay over TCP or TLS. The server has one, but this program relays over UDP only; a \
                 browser can use it."
            }
        })
    }
}

/// What the server named last, and how long it is good for.
#[derive(Debug)]
pub(crate) struct IceServers {
    servers: Vec<IceServer>,
    /// When to ask for new ones; none where these are good for ever.
    ask_at: Option<Instant>,
}

impl IceServers {
    pub(crate) fn new(servers: Vec<IceServer>, lifetime_seconds: Option<u64>, now: Instant) -> Self {
        let half = lifetime_seconds.map(|seconds| Duration::from_secs(seconds).min(LIFETIME_MAX) / 2);
        Self { servers, ask_at: half.map(|half| now + half) }
    }

    pub(crate) fn servers(&self) -> &[IceServer] {
        &self.servers
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.ask_at
    }

    /// Whether half of the lifetime is over, so that new ones are to be asked for; the next time is `retry` later.
    pub(crate) fn take_due(&mut self, retry: Duration, now: Instant) -> bool {
        let due = self.ask_at.is_some_and(|at| at <= now);
        if due {
            self.ask_at = Some(now + retry);
        }
        due
    }

    /// What a user who hides their address must know.
    pub(crate) fn relay_only_note(&self) -> Option<RelayNote> {
        if self.has_relay(TurnTransport::Udp) {
            return None;
        }
        Some(if self.has_relay(TurnTransport::TcpOrTls) { RelayNote::NoRelayOverUdp } else { RelayNote::NoRelay })
    }

    /// Whether there is a relay that we can't use and others can.
    pub(crate) fn has_relay_over_tcp(&self) -> bool {
        self.has_relay(TurnTransport::TcpOrTls)
    }

    fn has_relay(&self, transport: TurnTransport) -> bool {
        let with_credentials =
            self.servers.iter().filter(|server| server.username.is_some() && server.credential.is_some());
        with_credentials.flat_map(|server| &server.urls).any(|url| turn_transport(url) == Some(transport))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    const RETRY: Duration = Duration::from_secs(30);

    fn offered(urls: &[&str]) -> IceServers {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        let server = IceServer { urls, username: Some("u".into()), credential: Some("p".into()) };
        IceServers::new(vec![server], None, Instant::now())
    }

    #[test]
    fn only_plain_turn_over_udp_is_a_relay_for_us() {
        for (url, transport) in [
            ("turn:a", Some(TurnTransport::Udp)),
            ("turn:a:3478?transport=udp", Some(TurnTransport::Udp)),
            ("TURN:a?transport=UDP", Some(TurnTransport::Udp)),
            ("turn:a?transport=tcp", Some(TurnTransport::TcpOrTls)),
            ("turns:a", Some(TurnTransport::TcpOrTls)),
            ("turns:a?transport=udp", Some(TurnTransport::TcpOrTls)),
            ("stun:a", None),
            ("turn", None),
            ("", None),
        ] {
            assert_eq!(turn_transport(url), transport, "{url}");
        }
    }

    #[test]
    fn who_hides_their_address_learns_that_no_relay_can_do_it() {
        assert_eq!(offered(&["stun:a"]).relay_only_note(), Some(RelayNote::NoRelay));
        assert_eq!(offered(&["turns:a", "turn:a?transport=tcp"]).relay_only_note(), Some(RelayNote::NoRelayOverUdp));
        assert_eq!(offered(&["turns:a", "turn:a"]).relay_only_note(), None);
        let nobody = IceServer { urls: vec!["turn:a".into()], username: None, credential: None };
        assert_eq!(IceServers::new(vec![nobody], None, Instant::now()).relay_only_note(), Some(RelayNote::NoRelay));
    }

    #[test]
    fn new_credentials_are_asked_for_past_half_of_the_lifetime_and_again_when_no_answer_comes() {
        let start = Instant::now();
        let mut servers = IceServers::new(Vec::new(), Some(600), start);
        let half = start + Duration::from_secs(300);
        assert_eq!(servers.poll_timeout(), Some(half));
        assert!(!servers.take_due(RETRY, half - Duration::from_millis(1)));
        assert!(servers.take_due(RETRY, half));
        assert!(!servers.take_due(RETRY, half));
        assert!(servers.take_due(RETRY, half + RETRY));
    }

    #[test]
    fn endless_and_absurd_lifetimes_do_no_harm() {
        let start = Instant::now();
        assert_eq!(IceServers::new(Vec::new(), None, start).poll_timeout(), None);
        assert!(IceServers::new(Vec::new(), Some(u64::MAX), start).poll_timeout() > Some(start));
        let mut nothing = IceServers::new(Vec::new(), Some(0), start);
        assert!(nothing.take_due(RETRY, start) && !nothing.take_due(RETRY, start));
    }
}
