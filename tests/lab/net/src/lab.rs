//! Relay and proxy together: what a test or a measurement starts between clients and server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::candidates::Kept;
use crate::proxy;
use crate::relay::{Relay, RelayReport};
use crate::rule::Rule;

/// What to start.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// The server's address, as `http://HOST:PORT`.
    pub server: String,
    /// Where clients find the proxy; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address that stands for everybody.
    pub relay_ip: IpAddr,
    /// Equal seeds, equal chances.
    pub seed: u64,
    /// What happens from the start, or at its time.
    pub rules: Vec<Rule>,
    /// How long each signaling message takes, each way; opening a connection takes four times as long.
    pub signaling_delay: Duration,
}

impl LabConfig {
    /// A perfect network before a server, on loopback.
    pub fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            relay_ip: Ipv4Addr::LOCALHOST.into(),
            seed: 1,
            rules: Vec::new(),
            signaling_delay: Duration::ZERO,
        }
    }
}

/// Why it can't start.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The server's address.
    #[error("“{0}” is not where a lab's server can be: write http://HOST:PORT (it is reached without encryption)")]
    Server(String),
    /// The proxy's own address, or the machine's limits.
    #[error("the lab can't start: {0}")]
    Io(#[from] std::io::Error),
}

/// What happened since the start.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Equal seeds, equal chances.
    pub seed: u64,
    /// Candidates that now lead to the relay.
    pub candidates_replaced: u32,
    /// Candidates that were left out: of other kinds, or too many.
    pub candidates_dropped: u32,
    /// What the relay did.
    #[serde(flatten)]
    pub relay: RelayReport,
}

/// What each connection of the proxy shares.
pub(crate) struct Shared {
    pub(crate) relay: Relay,
    pub(crate) server: String,
    pub(crate) signaling_delay: Duration,
    kept: Mutex<Kept>,
    connections: AtomicU32,
}

impl Shared {
    pub(crate) fn count(&self, kept: Kept) {
        let mut sum = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        sum.replaced += kept.replaced;
        sum.dropped += kept.dropped;
    }

    /// Changes the number of connections; what it was before.
    pub(crate) fn add_connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn end_connection(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A network between clients and server, and between each two peers; it ends when dropped.
pub struct Lab {
    shared: Arc<Shared>,
    address: String,
    seed: u64,
    /// None once dropped.
    runtime: Option<Runtime>,
}

impl Lab {
    /// Starts proxy and relay, on threads of their own.
    ///
    /// # Errors
    /// [`LabError`], in words.
    pub fn start(config: LabConfig) -> Result<Self, LabError> {
        let server = config.server.trim_end_matches('/').strip_prefix("http://");
        let server =
            server.filter(|server| server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()));
        let Some(server) = server else { return Err(LabError::Server(config.server)) };
        let listener = std::net::TcpListener::bind(config.listen)?;
        listener.set_nonblocking(true)?;
        let address = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            relay: Relay::start(config.relay_ip, config.seed, config.rules)?,
            server: server.to_owned(),
            signaling_delay: config.signaling_delay,
            kept: Mutex::default(),
            connections: AtomicU32::new(0),
        });
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("lab-proxy").enable_all().build()?;
        runtime.spawn(proxy::serve(listener, shared.clone()));
        Ok(Self { shared, address, seed: config.seed, runtime: Some(runtime) })
    }

    /// Where clients find the server now: `http://HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The link to a room.
    pub fn link(&self, room: &str) -> String {
        format!("{}/r/{room}", self.address)
    }

    /// Follows a rule from now on, or from its time.
    pub fn apply(&self, rule: Rule) {
        self.shared.relay.apply(rule);
    }

    /// The lateness that is told is that from now on: what a measurement's beginning did to the machine is no part of it.
    pub fn forget_lateness(&self) {
        self.shared.relay.forget_lateness();
    }

    /// What happened so far.
    pub fn report(&self) -> Report {
        let kept = *self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Report {
            seed: self.seed,
            candidates_replaced: kept.replaced,
            candidates_dropped: kept.dropped,
            relay: self.shared.relay.report(),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // In the background: a lab may end inside an async test, where nothing may wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
