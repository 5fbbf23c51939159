//! The opening handshake of a WebSocket (RFC 6455 §4.2), and who is turned away before it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use parlor_proto::ErrorCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::connection::{Phase, Shared};
use crate::hub::error_message;
use crate::origin;
use crate::places::Place;

/// When who is turned away may try again. Short: a place comes free whenever somebody leaves.
const RETRY_AFTER_SECS: u64 = 5;

/// A WebSocket about to begin, and its place among those there may be.
pub(crate) struct Upgrade {
    pub(crate) socket: OnUpgrade,
    /// Whose it is, as the proxies we trust say.
    pub(crate) address: IpAddr,
    /// Held until the end.
    pub(crate) places: (Place, OwnedSemaphorePermit),
}

/// Answers a request for a WebSocket that came from `peer`.
pub(crate) fn answer(
    mut request: Request<Incoming>,
    peer: IpAddr,
    shared: &Shared,
) -> (Response<Body>, Option<Upgrade>) {
    let key = match websocket_key(request.method(), request.headers()) {
        Ok(key) => key,
        Err(status) => return (no_websocket(status), None),
    };
    let address = shared.proxies.client(peer, request.headers());
    let places = match admit(request.headers(), address, shared) {
        Ok(places) => places,
        Err(code) => {
            shared.metrics.refused(code);
            return (refusal(code), None);
        }
    };
    let socket = hyper::upgrade::on(&mut request);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    (response, Some(Upgrade { socket, address, places }))
}

fn admit(headers: &HeaderMap, address: IpAddr, shared: &Shared) -> Result<(Place, OwnedSemaphorePermit), ErrorCode> {
    if *shared.phase.borrow() >= Phase::Leaving {
        return Err(ErrorCode::GoingAway);
    }
    if !origin::is_allowed(headers, &shared.origins) {
        return Err(ErrorCode::OriginRefused);
    }
    let place = shared.places.take(address, shared.connections_per_address);
    let place = place.ok_or(ErrorCode::TooManyConnections)?;
    let slot = Arc::clone(&shared.websockets).try_acquire_owned().map_err(|_| ErrorCode::ServerFull)?;
    Ok((place, slot))
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

/// The message that a client of the protocol understands, for one that does not get in.
fn refusal(code: ErrorCode) -> Response<Body> {
    let (message, _, _) = error_message(code);
    let mut response = Response::new(Body::from(message.encode()));
    let (status, retry_after) = match code {
        ErrorCode::OriginRefused => (StatusCode::FORBIDDEN, None),
        ErrorCode::TooManyConnections => (StatusCode::TOO_MANY_REQUESTS, Some(RETRY_AFTER_SECS)),
        _ => (StatusCode::SERVICE_UNAVAILABLE, Some(RETRY_AFTER_SECS)),
    };
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
