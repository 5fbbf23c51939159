//! The page of the web client, and two answers for whoever watches the server.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Json};
use axum::routing::get;
use parlor_proto::{Fingerprint, PROTOCOL_VERSION};
use rust_embed::RustEmbed;
use serde_json::{Value, json};

/// The web client. A release build holds the files in itself, a debug build reads them where they lie.
#[derive(RustEmbed)]
#[folder = "../assets/web"]
#[allow_missing = true]
struct Assets;

/// The icons the page draws, shared with the desktop: `/icons/…`.
#[derive(RustEmbed)]
#[folder = "../assets/icons"]
#[prefix = "icons/"]
#[allow_missing = true]
struct Icons;

/// The page's fonts: `/fonts/…`.
#[derive(RustEmbed)]
#[folder = "../assets/fonts/web"]
#[prefix = "fonts/"]
#[allow_missing = true]
struct Fonts;

/// Scripts and styles of our own only; pictures and sound of a call; the WebSocket of this server (`'self'` covers it: CSP
/// level 3 §6.7.2.8). A link to another server leads to that server's page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     font-src 'self'; media-src 'self' blob: mediastream:; connect-src 'self'; worker-src 'self' blob:; \
     manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What every answer carries.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Nothing beside a call, and no other site's window or file may hold on to this one.
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // With the ETag: asked for each time, sent only when changed.
    (header::CACHE_CONTROL, "no-cache"),
];

/// Everything that is served but the WebSocket.
pub(crate) fn router(server: &str, fingerprint: Option<Fingerprint>) -> Router {
    let version = json!({
        "server": server,
        "protocol_versions": [PROTOCOL_VERSION],
        "fingerprint": fingerprint.map(|fingerprint| fingerprint.to_string()),
    });
    Router::new()
        .route("/", get(page))
        .route("/r/{room}", get(page))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/version", get(|State(version): State<Value>| async { Json(version) }))
        .fallback_service(get(file).with_state(()))
        .layer(map_response(|response| async { with_headers(response) }))
        .with_state(version)
}

/// The same address, encrypted.
pub(crate) fn redirect_to_https(uri: &Uri, headers: &HeaderMap) -> Response<Body> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let location = host.and_then(|host| HeaderValue::try_from(format!("https://{host}{path}")).ok());
    let text = "This server speaks TLS: its address starts with https.\n";
    match location {
        Some(location) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)], text).into_response(),
        None => (StatusCode::BAD_REQUEST, text).into_response(),
    }
}

async fn page(headers: HeaderMap) -> Response<Body> {
    asset("index.html", &headers)
}

async fn file(uri: Uri, headers: HeaderMap) -> Response<Body> {
    asset(uri.path().trim_start_matches('/'), &headers)
}

fn asset(path: &str, headers: &HeaderMap) -> Response<Body> {
    let Some(file) = Assets::get(path).or_else(|| Icons::get(path)).or_else(|| Fonts::get(path)) else {
        return (StatusCode::NOT_FOUND, "There is nothing at this address.\n").into_response();
    };
    let hash: String = file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == etag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    let content_type = content_type(file.metadata.mimetype());
    ([(header::CONTENT_TYPE, content_type), (header::ETAG, etag)], file.data.into_owned()).into_response()
}

fn content_type(mime: &str) -> String {
    let is_text = mime.starts_with("text/") || matches!(mime, "application/json" | "application/javascript");
    if is_text { format!("{mime}; charset=utf-8") } else { mime.to_owned() }
}

/// Adds what every answer carries.
pub(crate) fn with_headers(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
