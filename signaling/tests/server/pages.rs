//! The page, the two answers for whoever watches, and connections that are not what they should be.

use std::time::Duration;

use parlor_signaling::{ServerConfig, SocketConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Client, PATIENCE, UPGRADE, config, get, start};

#[tokio::test]
async fn the_page_is_served_at_the_root_and_at_every_room() {
    let server = start(config()).await;
    let page = get(server.local_addr(), "/", "").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    let (_, html) = page.split_once("\r\n\r\n").unwrap();
    assert!(html.to_lowercase().contains("<!doctype html>"), "{html}");
    for line in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-cache",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "permissions-policy: camera=(self), microphone=(self)",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    assert!(page.contains("content-security-policy: default-src 'none'"));
    assert!(page.contains("connect-src 'self';"), "{page}");
    for path in ["/r/quiet-otter", "/r/quiet-otter?name=Ana"] {
        let other = get(server.local_addr(), path, "").await;
        assert_eq!(other.split_once("\r\n\r\n").unwrap().1, html, "{path}");
    }
}

#[tokio::test]
async fn files_have_their_types_and_are_sent_only_when_changed() {
    let server = start(config()).await;
    let file = get(server.local_addr(), "/protocol.js", "").await;
    assert!(file.starts_with("HTTP/1.1 200 OK\r\n") && file.contains("content-type: text/javascript; charset=utf-8"));
    let etag = file.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = get(server.local_addr(), "/protocol.js", &format!("If-None-Match: {etag}\r\n")).await;
    assert!(again.starts_with("HTTP/1.1 304 "), "{again}");
    let icon = get(server.local_addr(), "/icons/mic.svg", "").await;
    assert!(icon.contains("content-type: image/svg+xml"), "{icon}");
    let font = get(server.local_addr(), "/fonts/inter-latin-400.woff2", "").await;
    assert!(font.contains("content-type: font/woff2"), "{}", font.lines().take(10).collect::<String>());
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = start(config()).await;
    let traversals = ["/nothing.js", "/r/", "/r/a/b", "/../Cargo.toml", "/%2e%2e/%2e%2e/Cargo.toml", "//etc/passwd"];
    for path in traversals {
        let answer = get(server.local_addr(), path, "").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn health_and_version_are_told() {
    let server = start(config()).await;
    let health = get(server.local_addr(), "/healthz", "").await;
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("\r\n\r\nok\n"), "{health}");
    let version = get(server.local_addr(), "/version", "").await;
    let json: serde_json::Value = serde_json::from_str(version.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(json["server"], format!("parlor-server {}", env!("CARGO_PKG_VERSION")));
    assert_eq!((&json["protocol_versions"][0], &json["fingerprint"]), (&1.into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn a_request_for_the_websocket_that_is_none_is_told_so() {
    let server = start(config()).await;
    let plain = get(server.local_addr(), "/ws", "").await;
    assert!(plain.starts_with("HTTP/1.1 426 ") && plain.contains("upgrade: websocket"), "{plain}");
}

#[tokio::test]
async fn a_full_server_answers_503_and_still_shows_its_page() {
    let server = start(ServerConfig { connections_max: Some(1), ..config() }).await;
    let addr = server.local_addr();
    let (first, _) = Client::joined(addr, "a", "Ana").await;
    let answer = get(addr, "/ws", &format!("Connection: upgrade\r\n{UPGRADE}")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("server_full"), "{answer}");
    assert!(get(addr, "/healthz", "").await.starts_with("HTTP/1.1 200 "));
    drop(first);
    // Its place comes free when the server has noticed.
    let again = async {
        loop {
            let tcp = TcpStream::connect(addr).await.unwrap();
            if tokio_tungstenite::client_async(format!("ws://{addr}/ws"), tcp).await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn half_open_handshakes_hold_up_nobody_and_end_by_themselves() {
    let sockets = SocketConfig { handshake_timeout: Duration::from_secs(3), ..config().sockets };
    let server = start(ServerConfig { sockets, ..config() }).await;
    let mut half_open = Vec::new();
    for said in ["", "G", "GET /ws HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: "].repeat(10) {
        let mut tcp = TcpStream::connect(server.local_addr()).await.unwrap();
        tcp.write_all(said.as_bytes()).await.unwrap();
        half_open.push(tcp);
    }
    Client::joined(server.local_addr(), "a", "Ana").await;
    for mut tcp in half_open {
        let mut rest = Vec::new();
        // Ended in order or reset, but ended.
        let _ = timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("the connection stays open");
    }
}
