//! What the machines of an operator ask: is it ready, and what has it counted.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use prometheus_client::encoding::prometheus_text;
use ring::hmac;

use crate::connection::{Phase, Shared};
use crate::courier::BackplaneStatus;

/// Who may read `/metrics`.
pub(crate) enum MetricsAccess {
    /// Who asks from this machine, and not through a proxy.
    Local,
    /// Who shows the token.
    Bearer(Box<Bearer>),
}

/// A token that is known by its tag only.
pub(crate) struct Bearer {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl MetricsAccess {
    /// Tokens are compared by their tags under a `seed` that nobody knows, so that the time this takes tells nothing.
    pub(crate) fn new(token: Option<&str>, seed: &[u8]) -> Self {
        let Some(token) = token else { return Self::Local };
        let key = hmac::Key::new(hmac::HMAC_SHA256, seed);
        let tag = hmac::sign(&key, token.as_bytes());
        Self::Bearer(Box::new(Bearer { key, tag }))
    }

    /// What is answered to who may not read them.
    fn refusal(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Response<Body>> {
        match self {
            Self::Local if peer.to_canonical().is_loopback() && !is_forwarded(headers) => None,
            Self::Local => {
                let text = "Metrics are for this machine only. With --metrics-token-file they are for whoever has the token.\n";
                Some((StatusCode::FORBIDDEN, text).into_response())
            }
            Self::Bearer(expected) => {
                let given = bearer(headers).unwrap_or_default();
                if hmac::verify(&expected.key, given.as_bytes(), expected.tag.as_ref()).is_ok() {
                    return None;
                }
                let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
                Some((StatusCode::UNAUTHORIZED, challenge, "Metrics need their bearer token.\n").into_response())
            }
        }
    }
}

/// RFC 6750 §2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether a proxy passed the request on, one that we know or another.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(HeaderName::from_static("x-forwarded-for")) || headers.contains_key(header::FORWARDED)
}

/// `/readyz`: whether new people should be sent here, or why not.
pub(crate) fn readiness(shared: &Shared) -> Response<Body> {
    match why_not_ready(shared) {
        None => ready(shared).into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

/// Without the others a server is as ready as ever: it must not be left by everyone because all of them lost their Redis.
fn ready(shared: &Shared) -> String {
    match shared.backplane.as_ref().and_then(BackplaneStatus::unavailable) {
        None => "ready\n".to_owned(),
        Some(why) => format!("ready, but alone: {why}\n"),
    }
}

fn why_not_ready(shared: &Shared) -> Option<&'static str> {
    if *shared.phase.borrow() > Phase::Serving {
        Some("draining: the server is about to stop")
    } else if shared.websockets.available_permits() == 0 {
        Some("full: the server has no room for another connection")
    } else {
        None
    }
}

/// `/metrics`.
pub(crate) fn metrics(peer: IpAddr, headers: &HeaderMap, shared: &Shared) -> Response<Body> {
    if let Some(refused) = shared.metrics_access.refusal(peer, headers) {
        return refused;
    }
    shared.metrics.ready.set(i64::from(why_not_ready(shared).is_none()));
    let text = shared.metrics.text(&shared.switchboard.census());
    ([(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(token: Option<&str>, peer: &str, headers: &[(&'static str, &'static str)]) -> StatusCode {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let access = MetricsAccess::new(token, b"a seed");
        let refusal = access.refusal(peer.parse().unwrap(), &headers.collect());
        refusal.map_or(StatusCode::OK, |refusal| refusal.status())
    }

    #[test]
    fn metrics_without_a_token_are_for_this_machine() {
        assert_eq!(asks(None, "127.0.0.1", &[]), StatusCode::OK);
        assert_eq!(asks(None, "::ffff:127.0.0.1", &[]), StatusCode::OK);
        assert_eq!(asks(None, "203.0.113.1", &[]), StatusCode::FORBIDDEN);
        assert_eq!(asks(None, "127.0.0.1", &[("x-forwarded-for", "203.0.113.1")]), StatusCode::FORBIDDEN);
        assert_eq!(asks(None, "127.0.0.1", &[("forwarded", "for=127.0.0.1")]), StatusCode::FORBIDDEN);
    }

    #[test]
    fn metrics_with_a_token_are_for_who_has_it() {
        let asks = |header: &'static str| asks(Some("s3cret"), "203.0.113.1", &[("authorization", header)]);
        assert_eq!(asks("Bearer s3cret"), StatusCode::OK);
        assert_eq!(asks("bearer  s3cret"), StatusCode::OK);
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer", "Basic s3cret", "s3cret", "Bearer "] {
            assert_eq!(asks(wrong), StatusCode::UNAUTHORIZED, "{wrong}");
        }
    }
}
