//! One TCP connection: TLS, one or more requests for the page, or the upgrade to a WebSocket. All in its own task.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use parlor_proto::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tower::ServiceExt as _;

use crate::config::SocketConfig;
use crate::hub::error_message;
use crate::socket;
use crate::switchboard::Switchboard;
use crate::web;

/// The first byte of a TLS connection (RFC 8446 §5.1: a handshake record). No HTTP request starts with it.
const TLS_HANDSHAKE: u8 = 22;
/// Requests for the page are short; hyper takes no less than 8 KiB.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) switchboard: Switchboard,
    pub(crate) pages: axum::Router,
    pub(crate) acceptor: Option<TlsAcceptor>,
    /// One for each WebSocket there may be.
    pub(crate) websockets: Arc<Semaphore>,
    pub(crate) sockets: SocketConfig,
    /// Turns true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Runs a connection to its end. Encryption and the first request's header share one deadline.
pub(crate) async fn run(tcp: TcpStream, address: IpAddr, shared: Arc<Shared>) {
    let deadline = Instant::now() + shared.sockets.handshake_timeout;
    // Signals are small and waited for. Refused only on a socket that is broken, which the next call notices.
    let _ = tcp.set_nodelay(true);
    let Some(acceptor) = &shared.acceptor else { return serve_http(tcp, address, deadline, &shared).await };
    let mut first = [0];
    match timeout_at(deadline, tcp.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        Ok(Ok(_) | Err(_)) | Err(_) => return,
    }
    if first[0] != TLS_HANDSHAKE {
        return serve_redirect(tcp, deadline, &shared).await;
    }
    match timeout_at(deadline, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => serve_http(tls, address, deadline, &shared).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

/// A WebSocket about to begin, and its place among those there may be.
struct Upgrade {
    socket: OnUpgrade,
    slot: OwnedSemaphorePermit,
}

async fn serve_http(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: IpAddr,
    deadline: Instant,
    shared: &Arc<Shared>,
) {
    let upgrade: Arc<Mutex<Option<Upgrade>>> = Arc::default();
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, upgrade) = (Arc::clone(shared), Arc::clone(&upgrade));
        async move {
            if request.uri().path() != "/ws" {
                return shared.pages.clone().oneshot(request).await;
            }
            let (response, accepted) = accept_websocket(request, &shared.websockets);
            *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = accepted;
            Ok(response)
        }
    });
    let page_deadline = Instant::now() + shared.sockets.page_timeout;
    let connection = http(deadline).serve_connection(TokioIo::new(io), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut stopping = shared.stopping.clone();
    let stopping = async {
        // A server that is gone has stopped too.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let ended = tokio::select! {
        ended = timeout_at(page_deadline, &mut connection) => ended,
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            timeout_at(page_deadline, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(%error, "a request failed");
    }
    let upgrade = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Upgrade { socket, slot }) = upgrade else { return };
    match timeout_at(page_deadline, socket).await {
        Ok(Ok(upgraded)) => socket::run(TokioIo::new(upgraded), address, &shared.switchboard, &shared.sockets).await,
        Ok(Err(error)) => tracing::debug!(%error, "an upgrade failed"),
        Err(_) => {}
    }
    drop(slot);
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

/// Answers the opening handshake of a WebSocket (RFC 6455 §4.2).
fn accept_websocket(mut request: Request<Incoming>, websockets: &Arc<Semaphore>) -> (Response<Body>, Option<Upgrade>) {
    let key = match websocket_key(request.method(), request.headers()) {
        Ok(key) => key,
        Err(status) => return (no_websocket(status), None),
    };
    let Ok(slot) = Arc::clone(websockets).try_acquire_owned() else { return (server_full(), None) };
    let socket = hyper::upgrade::on(&mut request);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    (response, Some(Upgrade { socket, slot }))
}

/// The answer to the client's key.
fn websocket_key(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, StatusCode> {
    let has = |name, token: &str| {
        let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        texts.flat_map(|text| text.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    if method != Method::GET {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let is_upgrade = has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket");
    if !is_upgrade || !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(StatusCode::UPGRADE_REQUIRED);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or(StatusCode::BAD_REQUEST)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| StatusCode::BAD_REQUEST)
}

fn no_websocket(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from("This address is for WebSockets (RFC 6455).\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

fn server_full() -> Response<Body> {
    let (message, _, _) = error_message(ErrorCode::ServerFull);
    let mut response = Response::new(Body::from(message.encode()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
