//! Listens, accepts, and stops in good order.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parlor_proto::{Fingerprint, RoomId, RoomLink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::addresses;
use crate::config::{ServerConfig, SocketConfig};
use crate::connection::{self, Shared};
use crate::error::StartError;
use crate::hub::{Hub, HubConfig};
use crate::state;
use crate::switchboard::Switchboard;
use crate::tls;
use crate::web;

/// Connections beyond the WebSockets, so that a full server still shows its page and answers 503.
const PAGE_CONNECTIONS_MAX: usize = 64;
/// Accepting fails for want of file descriptors, as a rule: some come free in a while.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A server that listens, and does not answer yet.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    fingerprint: Option<Fingerprint>,
    secure: bool,
    connections_max: usize,
    shared: Shared,
    stopping: watch::Sender<bool>,
}

/// Looks at the files that a configuration names, and makes none.
///
/// # Errors
/// What would keep a server from starting, beside the address it listens on.
pub fn check(config: &ServerConfig) -> Result<(), StartError> {
    state::check_secret(config)?;
    state::load_turn(config)?;
    state::load_access_key(config)?;
    tls::check(config)
}

/// Listens, after reading or making the secret and the certificate.
///
/// # Errors
/// [`StartError`], in the words of the person who started it.
pub async fn bind(config: ServerConfig) -> Result<Server, StartError> {
    let listener = TcpListener::bind(config.bind).await.map_err(|error| StartError::listen(config.bind, error))?;
    Server::new(listener, config)
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
    Server::new(listener, config)?.run(shutdown).await;
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
    let task = tokio::spawn(server.run(async {
        // A dropped `RunningServer` stops its server too.
        let _ = stopped.await;
    }));
    Ok(RunningServer { addr, fingerprint, urls, stop, task })
}

/// A server that runs in a task of its own; it stops when this is dropped.
pub struct RunningServer {
    addr: SocketAddr,
    fingerprint: Option<Fingerprint>,
    urls: Vec<String>,
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

    /// Links to a room, one for each of [`RunningServer::urls`], with the certificate's fingerprint.
    pub fn room_links(&self, room: &RoomId) -> Vec<RoomLink> {
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
    fn new(listener: TcpListener, config: ServerConfig) -> Result<Self, StartError> {
        let addr = listener.local_addr().map_err(|error| StartError::listen(config.bind, error))?;
        let secret = state::load_secret(&config)?;
        let tls = tls::load(&config)?;
        let fingerprint = tls.as_ref().and_then(|tls| tls.fingerprint);
        let acceptor = tls.map(|tls| tls.acceptor);
        let pages = web::router(&config.hub.server, fingerprint);
        let unix_secs = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (turn, access) =
            (state::load_turn(&config)?, state::load_access_key(&config)?.or(config.hub.access.clone()));
        let hub_config = HubConfig { turn, access, ..config.hub };
        let hub = Hub::new(hub_config, &secret, state::random_seed()?, Instant::now(), unix_secs);
        let (stopping, is_stopping) = watch::channel(false);
        let shared = Shared {
            switchboard: Switchboard::new(hub, config.sockets.outbox_bytes_max),
            pages,
            acceptor,
            websockets: Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS))),
            sockets: config.sockets,
            stopping: is_stopping,
        };
        let secure = shared.acceptor.is_some();
        Ok(Self { listener, addr, fingerprint, secure, connections_max: config.connections_max, shared, stopping })
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
        let scheme = if self.secure { "https" } else { "http" };
        let addresses = addresses::reachable(self.addr, &addresses::local_addresses());
        addresses.iter().map(|address| format!("{scheme}://{address}")).collect()
    }

    /// Answers until `shutdown` is ready, then tells everyone and waits for them to go, at most for the grace time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, shared, stopping, connections_max, .. } = self;
        let shared = Arc::new(shared);
        let timeouts = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.switchboard.run_timeouts().await }
        });
        let mut connections = JoinSet::new();
        tokio::select! {
            () = accept(&listener, &shared, connections_max, &mut connections) => {}
            () = shutdown => {}
        }
        drop(listener);
        stopping.send_replace(true);
        shared.switchboard.shut_down(None);
        drain(&mut connections, &shared.sockets).await;
        timeouts.abort();
    }
}

/// Accepts for ever, never more at a time than there may be.
async fn accept(listener: &TcpListener, shared: &Arc<Shared>, connections_max: usize, connections: &mut JoinSet<()>) {
    let all = connections_max.saturating_add(PAGE_CONNECTIONS_MAX).min(Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(all));
    loop {
        let (permit, tcp, address) = tokio::select! {
            accepted = accept_one(listener, &permits) => accepted,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection ended badly");
                }
                continue;
            }
        };
        let shared = Arc::clone(shared);
        connections.spawn(async move {
            connection::run(tcp, address, shared).await;
            drop(permit);
        });
    }
}

async fn accept_one(listener: &TcpListener, permits: &Arc<Semaphore>) -> (OwnedSemaphorePermit, TcpStream, IpAddr) {
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

/// Waits for the connections to end; after their last words and the wait for an answer, they are cut.
async fn drain(connections: &mut JoinSet<()>, config: &SocketConfig) {
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(config.close_grace * 3, ended).await.is_err() {
        tracing::debug!(left = connections.len(), "cut the last connections");
        connections.shutdown().await;
    }
}
