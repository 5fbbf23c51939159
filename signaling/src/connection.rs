//! One TCP connection: TLS, one or more requests for the page, or the upgrade to a WebSocket. All in its own task.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::client_address::TrustedProxies;
use crate::config::SocketConfig;
use crate::courier::BackplaneStatus;
use crate::metrics::{Handshake, Metrics};
use crate::operations::{self, MetricsAccess};
use crate::origin::Origin;
use crate::places::{Place, Places};
use crate::socket;
use crate::switchboard::Switchboard;
use crate::upgrade::{self, Upgrade};
use crate::web;
use crate::wire::Tcp;

/// The first byte of a TLS connection (RFC 8446 §5.1: a handshake record). No HTTP request starts with it.
const TLS_HANDSHAKE: u8 = 22;
/// Requests for the page are short; hyper takes no less than 8 KiB.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Where the server stands between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything is answered.
    Serving,
    /// Everything is answered, but `/readyz` sends new people elsewhere.
    Draining,
    /// Everyone has been told to go; nobody new is taken.
    Leaving,
    /// The page's connections end too.
    Stopped,
}

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) switchboard: Switchboard,
    pub(crate) pages: axum::Router,
    pub(crate) acceptor: Option<TlsAcceptor>,
    /// One for each WebSocket there may be.
    pub(crate) websockets: Arc<Semaphore>,
    /// The WebSockets of each address.
    pub(crate) places: Places,
    pub(crate) connections_per_address: usize,
    pub(crate) proxies: TrustedProxies,
    /// Whose pages may come in beside our own.
    pub(crate) origins: Vec<Origin>,
    pub(crate) sockets: SocketConfig,
    /// The link to the other servers; none where this one is alone.
    pub(crate) backplane: Option<BackplaneStatus>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) metrics_access: MetricsAccess,
    pub(crate) phase: watch::Receiver<Phase>,
}

/// Runs a connection to its end. Encryption and the first request's header share one deadline.
pub(crate) async fn run(tcp: TcpStream, peer: IpAddr, shared: Arc<Shared>) {
    // In a box: a task keeps the size of its largest moment, and a WebSocket needs little of it, for hours.
    let begun = Box::pin(begin(tcp, peer, &shared)).await;
    let Some(Begun { upgraded, address, places }) = begun else { return };
    shared.metrics.websockets.inc();
    let (switchboard, config) = (&shared.switchboard, &shared.sockets);
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(Parts { io, read_buf, .. }) => {
            socket::run(Tcp::new(io.into_inner()), read_buf.into(), address, switchboard, config).await;
        }
        Err(encrypted) => socket::run(TokioIo::new(encrypted), Vec::new(), address, switchboard, config).await,
    }
    shared.metrics.websockets.dec();
    drop(places);
}

/// A WebSocket that has begun.
struct Begun {
    upgraded: Upgraded,
    address: IpAddr,
    /// Held until the end.
    places: (Place, OwnedSemaphorePermit),
}

/// Everything before a WebSocket; none where it does not come to one.
async fn begin(tcp: TcpStream, peer: IpAddr, shared: &Arc<Shared>) -> Option<Begun> {
    let deadline = Instant::now() + shared.sockets.handshake_timeout;
    // Signals are small and waited for. Refused only on a socket that is broken, which the next call notices.
    let _ = tcp.set_nodelay(true);
    let Some(acceptor) = &shared.acceptor else { return serve_http(tcp, peer, deadline, shared).await };
    let mut first = [0];
    match timeout_at(deadline, tcp.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        Ok(Ok(_) | Err(_)) | Err(_) => {
            shared.metrics.handshake_failed(Handshake::Tls);
            return None;
        }
    }
    if first[0] != TLS_HANDSHAKE {
        serve_redirect(tcp, deadline, shared).await;
        return None;
    }
    match timeout_at(deadline, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => return serve_http(tls, peer, deadline, shared).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
    shared.metrics.handshake_failed(Handshake::Tls);
    None
}

async fn serve_http(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: IpAddr,
    deadline: Instant,
    shared: &Arc<Shared>,
) -> Option<Begun> {
    let upgrade: Arc<Mutex<Option<Upgrade>>> = Arc::default();
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, upgrade) = (Arc::clone(shared), Arc::clone(&upgrade));
        async move {
            let (response, accepted) = answer(request, peer, &shared).await;
            *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = accepted;
            Ok::<_, Infallible>(response)
        }
    });
    let page_deadline = Instant::now() + shared.sockets.page_timeout;
    let connection = http(deadline).serve_connection(TokioIo::new(io), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut phase = shared.phase.clone();
    let stopped = async {
        // A server that is gone has stopped too.
        let _ = phase.wait_for(|phase| *phase == Phase::Stopped).await;
    };
    let ended = tokio::select! {
        ended = timeout_at(page_deadline, &mut connection) => ended,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            timeout_at(page_deadline, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(%error, "a request failed");
        shared.metrics.handshake_failed(Handshake::Request);
    }
    let upgrade = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Upgrade { socket, address, places } = upgrade?;
    match timeout_at(page_deadline, socket).await {
        Ok(Ok(upgraded)) => return Some(Begun { upgraded, address, places }),
        Ok(Err(error)) => tracing::debug!(%error, "an upgrade failed"),
        Err(_) => {}
    }
    shared.metrics.handshake_failed(Handshake::Upgrade);
    None
}

async fn answer(request: Request<Incoming>, peer: IpAddr, shared: &Shared) -> (Response<Body>, Option<Upgrade>) {
    match request.uri().path() {
        "/ws" => upgrade::answer(request, peer, shared),
        "/readyz" => (web::with_headers(operations::readiness(shared)), None),
        "/metrics" => (web::with_headers(operations::metrics(peer, request.headers(), shared)), None),
        _ => {
            // A router's error is the empty type: it always answers.
            let response = shared.pages.clone().oneshot(request).await.unwrap_or_else(|error| match error {});
            (response, None)
        }
    }
}

/// Someone typed the address of an encrypted server without its `https`.
async fn serve_redirect(tcp: TcpStream, deadline: Instant, shared: &Shared) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(web::redirect_to_https(request.uri(), request.headers()))
    });
    let mut builder = http(deadline);
    let connection = builder.keep_alive(false).serve_connection(TokioIo::new(tcp), service);
    let page_deadline = Instant::now() + shared.sockets.page_timeout;
    if let Ok(Err(error)) = timeout_at(page_deadline, connection).await {
        tracing::debug!(%error, "a request failed");
        shared.metrics.handshake_failed(Handshake::Request);
    }
}

/// The header time-out also ends connections that are kept alive and idle.
fn http(deadline: Instant) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(deadline.saturating_duration_since(Instant::now()))
        .max_buf_size(REQUEST_BYTES_MAX);
    builder
}
