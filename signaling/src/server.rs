//! Listens, accepts, and stops in good order.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parlor_proto::{Fingerprint, RoomId, RoomLink};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::addresses;
use crate::backplane::{Backplane as _, RedisBackplane, ServerId, Unavailable};
use crate::config::{DrainConfig, ServerConfig};
use crate::connection::{self, Phase, Shared};
use crate::courier::{self, BackplaneStatus};
use crate::descriptors;
use crate::error::StartError;
use crate::hub::{Hub, HubConfig};
use crate::metrics::Metrics;
use crate::operations::MetricsAccess;
use crate::origin::Origin;
use crate::places::Places;
use crate::state;
use crate::switchboard::Switchboard;
use crate::tls::{self, Certificates};
use crate::web;

/// Connections beyond the WebSockets, so that a full server still shows its page and answers 503.
const PAGE_CONNECTIONS_MAX: usize = 64;
/// The same for one address: enough for a page and its files, or to be told why there is no WebSocket more.
const PAGE_CONNECTIONS_PER_ADDRESS: usize = 16;
/// More than any system has descriptors for.
const CONNECTIONS_MAX: usize = 1 << 28;
/// Connections that may wait to be accepted; the system may allow fewer (on Linux `net.core.somaxconn`). After a restart
/// everyone comes back at once, and who finds no place here tries again only a second later, or two, or four.
const BACKLOG: u32 = 4_096;
/// Accepting fails for want of file descriptors, as a rule: some come free in a while.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// For what the other servers still have to hear.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// A server that listens, and does not answer yet.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    fingerprint: Option<Fingerprint>,
    public_url: Option<Origin>,
    connections_max: usize,
    drain: DrainConfig,
    certificates: Option<Certificates>,
    shared: Shared,
    phase: watch::Sender<Phase>,
    span: Option<(RedisBackplane, ServerId)>,
}

/// Looks at the files that a configuration names, and makes none.
///
/// # Errors
/// What would keep a server from starting, beside the address it listens on.
pub fn check(config: &ServerConfig) -> Result<(), StartError> {
    state::check_secret(config)?;
    state::load_turn(config)?;
    state::load_access_key(config)?;
    state::load_metrics_token(config)?;
    descriptors::connections_max(config.connections_max, descriptors::limit())?;
    config.redis_tls.read()?;
    tls::check(config)
}

/// Listens, after reading or making the secret and the certificate.
///
/// # Errors
/// [`StartError`], in the words of the person who started it.
pub async fn bind(config: ServerConfig) -> Result<Server, StartError> {
    let listener = listen(config.bind).map_err(|error| StartError::listen(config.bind, error))?;
    Server::new(listener, config).await
}

fn listen(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As a rule of the system, an address is not free for a while after a server's end. On Windows this means another thing.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Runs a server on a socket that listens already, until `shutdown` is ready and everyone has been told.
///
/// # Errors
/// [`StartError`], before anything is accepted.
pub async fn run(
    listener: TcpListener,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    Server::new(listener, config).await?.run(shutdown).await;
    Ok(())
}

/// Runs a server in a task of its own, inside another program.
///
/// # Errors
/// [`StartError`], in the words of the person who started it.
pub async fn serve(config: ServerConfig) -> Result<RunningServer, StartError> {
    let server = bind(config).await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let (addr, fingerprint, urls) = (server.addr, server.fingerprint, server.urls());
    let public_url = server.public_url.clone();
    let task = tokio::spawn(server.run(async {
        // A dropped `RunningServer` stops its server too.
        let _ = stopped.await;
    }));
    Ok(RunningServer { addr, fingerprint, urls, public_url, stop, task })
}

/// A server that runs in a task of its own; it stops when this is dropped.
pub struct RunningServer {
    addr: SocketAddr,
    fingerprint: Option<Fingerprint>,
    urls: Vec<String>,
    public_url: Option<Origin>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RunningServer {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a native client knows the self-signed certificate by.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Where it is reached, loopback first, such as `https://192.168.1.5:8080`.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Links to a room: one under the public address where there is one, else one for each of [`RunningServer::urls`], with
    /// the certificate's fingerprint.
    pub fn room_links(&self, room: &RoomId) -> Vec<RoomLink> {
        if let Some(url) = &self.public_url {
            return format!("{url}/r/{room}").parse().into_iter().collect();
        }
        let with_fingerprint = |link: RoomLink| RoomLink { fingerprint: self.fingerprint, ..link };
        self.urls.iter().filter_map(|url| format!("{url}/r/{room}").parse().ok()).map(with_fingerprint).collect()
    }

    /// Tells everyone that the server is going away, and waits until it has stopped.
    pub async fn shutdown(self) {
        // Fails where the server has stopped already.
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the server ended badly");
        }
    }
}

impl Server {
    async fn new(listener: TcpListener, config: ServerConfig) -> Result<Self, StartError> {
        let addr = listener.local_addr().map_err(|error| StartError::listen(config.bind, error))?;
        let connections_max = descriptors::connections_max(config.connections_max, descriptors::limit())?;
        let connections_max = connections_max.min(CONNECTIONS_MAX);
        tracing::info!(connections_max, "clients at one time");
        let secret = state::load_secret(&config)?;
        let metrics_token = state::load_metrics_token(&config)?;
        let tls = tls::load(&config)?;
        let fingerprint = tls.as_ref().and_then(|tls| tls.fingerprint);
        let (acceptor, certificates) = tls.map(|tls| (tls.acceptor, tls.certificates)).unzip();
        let mut metrics = Metrics::new(&config.hub.server);
        let backplane = config.redis.is_some().then(|| BackplaneStatus::new(metrics.backplane()));
        let metrics = Arc::new(metrics);
        let pages = web::router(&config.hub.server, fingerprint);
        let unix_secs = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (turn, access) =
            (state::load_turn(&config)?, state::load_access_key(&config)?.or(config.hub.access.clone()));
        let hub_config = HubConfig { turn, access, ..config.hub };
        let lease = hub_config.lease;
        let mut hub = Hub::new(hub_config, &secret, state::random_seed()?, Instant::now(), unix_secs);
        let span = match config.redis {
            Some(url) => {
                config.redis_tls.read()?;
                let backplane = RedisBackplane::new(url, state::secret_fingerprint(&secret), lease);
                Some(span(backplane.with_tls(config.redis_tls)).await?)
            }
            None => None,
        };
        if let Some((_, server)) = &span {
            hub = hub.spanning(*server);
        }
        let (phase, current_phase) = watch::channel(Phase::Serving);
        let mut origins = config.allow_origins;
        origins.extend(config.public_url.clone());
        let shared = Shared {
            switchboard: Switchboard::new(hub, &config.sockets, Arc::clone(&metrics)),
            pages,
            acceptor,
            websockets: Arc::new(Semaphore::new(connections_max)),
            places: Places::default(),
            connections_per_address: config.connections_per_address,
            proxies: config.proxies,
            origins,
            sockets: config.sockets,
            backplane,
            metrics,
            metrics_access: MetricsAccess::new(metrics_token.as_deref(), &state::random_seed()?),
            phase: current_phase,
        };
        Ok(Self {
            listener,
            addr,
            fingerprint,
            public_url: config.public_url,
            connections_max,
            drain: config.drain,
            certificates,
            shared,
            phase,
            span,
        })
    }

    /// The address that people know, where it is another than the one listened on.
    pub fn public_url(&self) -> Option<String> {
        self.public_url.as_ref().map(ToString::to_string)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a native client knows the self-signed certificate by.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Where it is reached, loopback first, such as `https://192.168.1.5:8080`.
    pub fn urls(&self) -> Vec<String> {
        let scheme = if self.shared.acceptor.is_some() { "https" } else { "http" };
        let addresses = addresses::reachable(self.addr, &addresses::local_addresses());
        addresses.iter().map(|address| format!("{scheme}://{address}")).collect()
    }

    /// Answers until `shutdown` is ready, then tells everyone and waits for them to go, at most for the grace time.
    ///
    /// Machines that ask how it stands are answered to the end.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, shared, phase, connections_max, drain, certificates, span, .. } = self;
        let shared = Arc::new(shared);
        let mut helpers = JoinSet::new();
        helpers.spawn({
            let shared = Arc::clone(&shared);
            async move { shared.switchboard.run_timeouts().await }
        });
        helpers.spawn({
            let shared = Arc::clone(&shared);
            async move { shared.switchboard.run_stretches().await }
        });
        if let Some(certificates) = certificates {
            helpers.spawn(certificates.watch(shared.sockets.certificate_poll, Arc::clone(&shared.metrics)));
        }
        let mut courier = JoinSet::new();
        courier.spawn(keep_link(span, Arc::clone(&shared)));
        let mut door = Door::new(listener, Arc::clone(&shared), connections_max);
        door.open_until(shutdown).await;
        phase.send_replace(Phase::Draining);
        if drain.delay > Duration::ZERO {
            door.open_until(sleep(drain.delay)).await;
        }
        phase.send_replace(Phase::Leaving);
        shared.switchboard.shut_down(drain.spread_max);
        // After their last words and the wait for an answer, they are cut.
        let grace = shared.sockets.close_grace * 3;
        let everyone_is_gone = timeout(grace, shared.websockets.acquire_many(to_u32(connections_max)));
        door.open_until(everyone_is_gone).await;
        phase.send_replace(Phase::Stopped);
        door.close(shared.sockets.close_grace).await;
        // The other servers have heard by now that everyone here is away, if they can hear at all.
        let _ = timeout(LAST_REQUESTS, courier.join_next()).await;
    }
}

/// Where this server meets the others, and what it is called there. A Redis that is out of reach is no reason not to start.
async fn span(backplane: RedisBackplane) -> Result<(RedisBackplane, ServerId), StartError> {
    let seed = state::random_seed()?;
    let bits = seed.first_chunk().expect("a seed has 32 bytes");
    let server = ServerId::from_random(u128::from_be_bytes(*bits));
    match backplane.connect(&server).await {
        Err(Unavailable::OtherSecret) => Err(StartError::OtherSecret),
        // Said by the courier, who tries again.
        Err(Unavailable::Unreachable(_)) | Ok(_) => Ok((backplane, server)),
    }
}

async fn keep_link(span: Option<(RedisBackplane, ServerId)>, shared: Arc<Shared>) {
    if let (Some((backplane, server)), Some(status)) = (span, &shared.backplane) {
        courier::run(backplane, server, &shared.switchboard, status).await;
    }
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    shared: Arc<Shared>,
    /// One for each connection there may be, WebSockets and others.
    permits: Arc<Semaphore>,
    /// The connections of each address.
    places: Places,
    connections: JoinSet<()>,
}

impl Door {
    fn new(listener: TcpListener, shared: Arc<Shared>, connections_max: usize) -> Self {
        let permits = Arc::new(Semaphore::new(connections_max.saturating_add(PAGE_CONNECTIONS_MAX)));
        Self { listener, shared, permits, places: Places::default(), connections: JoinSet::new() }
    }

    /// Accepts until `end` is ready, never more at a time than there may be.
    async fn open_until(&mut self, end: impl Future) {
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                (permit, tcp, peer) = accept(&self.listener, &self.permits) => self.let_in(permit, tcp, peer),
                Some(ended) = self.connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection ended badly");
                    }
                }
                _ = &mut end => return,
            }
        }
    }

    fn let_in(&mut self, permit: OwnedSemaphorePermit, tcp: TcpStream, peer: IpAddr) {
        let shared = Arc::clone(&self.shared);
        shared.metrics.connections.inc();
        // A proxy has the connections of all whom it stands for; these are counted when they have said who they are.
        let place = if shared.proxies.contains(peer) {
            None
        } else {
            let max = shared.connections_per_address.saturating_add(PAGE_CONNECTIONS_PER_ADDRESS);
            let Some(place) = self.places.take(peer, max) else {
                shared.metrics.connections_cut.inc();
                return;
            };
            Some(place)
        };
        self.connections.spawn(async move {
            connection::run(tcp, peer, shared).await;
            drop((permit, place));
        });
    }

    /// Waits for what is under way, and cuts what takes longer.
    async fn close(self, patience: Duration) {
        let Self { listener, mut connections, .. } = self;
        drop(listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        if timeout(patience, ended).await.is_err() {
            tracing::debug!(left = connections.len(), "cut the last connections");
            connections.shutdown().await;
        }
    }
}

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (OwnedSemaphorePermit, TcpStream, IpAddr) {
    let permit = Arc::clone(permits).acquire_owned().await.expect("this semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((tcp, address)) => return (permit, tcp, address.ip()),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
