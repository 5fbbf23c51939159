//! The numbers of the policy, each with its reason.

use std::time::Duration;

/// The numbers of the policy, and what we say about ourselves.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionConfig {
    /// Program and version, told to the server and to peers.
    pub client: String,
    /// The same in all programs on one machine since its start; none where it is not known.
    pub boot_id: Option<String>,
    /// Whether our address is hidden from the others: only relays are used.
    pub relay_only: bool,
    /// How long to wait before new TURN credentials are asked for again. 30 s: there is half a lifetime for it, of hours.
    pub ice_servers_retry: Duration,
    /// How long a first join may take before it is given up. 15 s: a user would have looked up by then.
    pub first_join_timeout: Duration,
    /// How long a first join may be silent before the user is told that the server has not answered. 3 s: a far server
    /// and a slow line together take less.
    pub join_silence_max: Duration,
    /// How long opening the socket, and then joining, may each take. 10 s: more than TCP, TLS and three resends need.
    pub signaling_step_timeout: Duration,
    /// The first bound of the wait before the socket is opened again; doubled each time (`PROTOCOL.md`).
    pub signaling_backoff_base: Duration,
    /// The last bound (`PROTOCOL.md`).
    pub signaling_backoff_max: Duration,
    /// The longest wait a server may ask for. 60 s: after that a user would rather see an attempt.
    pub retry_after_max: Duration,
    /// How long an offer may stay unanswered (`PROTOCOL.md`).
    pub answer_timeout: Duration,
    /// How long the transport may take for one operation. 10 s: they take milliseconds.
    pub operation_timeout: Duration,
    /// How long the newcomer waits for an offer before the tile says that it is slow; after as long again it offers itself.
    pub offer_expected: Duration,
    /// How long a transport may take from the descriptions to connected. 15 s: ICE tries pairs for up to about 12.
    pub connect_timeout: Duration,
    /// The polite peer's wait before its ICE restart, so that both ends, noticing together, do not cross offers. 1 s.
    pub polite_restart_delay: Duration,
    /// The same after a silence, which a browser at the other end notices later. 150 ms: an offer of theirs has come by then on most
    /// paths, and offers that cross cost a round trip.
    pub polite_silence_delay: Duration,
    /// The wait after the first ICE restart that did not help; doubled each time.
    pub ice_restart_backoff_base: Duration,
    /// How long after an ICE restart for a peer that fell silent the next one waits for the transport's own word, some seconds after the
    /// silence began. 30 s: a way that is lost more often is not lost but bad, and a restart interrupts what still comes.
    pub silence_rest: Duration,
    /// ICE restarts of one transport before a new one is made. 3: with the backoff about 14 s.
    pub ice_restarts_max: u32,
    /// The first bound of the wait before a failed transport is made anew; doubled each time.
    pub rebuild_backoff_base: Duration,
    /// The last bound of that wait, and of the wait between ICE restarts.
    pub recovery_backoff_max: Duration,
    /// How long a peer is kept whom neither the server nor media reaches.
    pub lost_peer_timeout: Duration,
    /// How often a peer may replace the transport within `replacement_window`; later offers wait for their repetition.
    pub replacements_max: usize,
    /// See `replacements_max`. A transport costs sockets and a handshake; a peer that starts anew more often is broken.
    pub replacement_window: Duration,
    /// People beside us that are taken from a roster; further ones are left out. 32: four times what a server allows.
    pub peers_max: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            client: concat!("parlor ", env!("CARGO_PKG_VERSION")).to_owned(),
            boot_id: None,
            relay_only: false,
            ice_servers_retry: Duration::from_secs(30),
            first_join_timeout: Duration::from_secs(15),
            join_silence_max: Duration::from_secs(3),
            signaling_step_timeout: Duration::from_secs(10),
            signaling_backoff_base: Duration::from_millis(100),
            signaling_backoff_max: Duration::from_secs(2),
            retry_after_max: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(10),
            offer_expected: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(15),
            polite_restart_delay: Duration::from_secs(1),
            polite_silence_delay: Duration::from_millis(150),
            ice_restart_backoff_base: Duration::from_secs(2),
            silence_rest: Duration::from_secs(30),
            ice_restarts_max: 3,
            rebuild_backoff_base: Duration::from_secs(1),
            recovery_backoff_max: Duration::from_secs(15),
            lost_peer_timeout: Duration::from_secs(15),
            replacements_max: 10,
            replacement_window: Duration::from_secs(10),
            peers_max: 32,
        }
    }
}
