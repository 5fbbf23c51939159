//! Encryption.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_proto::{ClientMessage, Fingerprint, ServerMessage};
use parlor_signaling::{ServerConfig, SocketConfig, Tls};
use ring::digest::{SHA256, digest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{PATIENCE, config, get, start};
use crate::tls_client::{connect, try_connect};

fn self_signed(dir: &tempfile::TempDir) -> ServerConfig {
    ServerConfig { tls: Tls::SelfSigned, state_dir: Some(dir.path().to_owned()), ..config() }
}

#[tokio::test]
async fn a_self_signed_server_is_reached_by_its_certificate_which_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(self_signed(&dir)).await;
    let fingerprint = server.fingerprint().unwrap();
    assert!(server.urls()[0].starts_with("https://127.0.0.1:"), "{:?}", server.urls());
    let link = &server.room_links(&"a".parse().unwrap())[0];
    assert_eq!(link.to_string(), format!("{}/r/a#fp={fingerprint}", server.urls()[0]));

    // A page has no other way to learn it, and passes it on in its links.
    let mut tls = connect(server.local_addr(), dir.path()).await;
    tls.write_all(b"GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut version = String::new();
    timeout(PATIENCE, tls.read_to_string(&mut version)).await.unwrap().unwrap();
    assert!(version.contains(&format!(r#""fingerprint":"{fingerprint}""#)), "{version}");

    let tls = connect(server.local_addr(), dir.path()).await;
    let shown = tls.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(Fingerprint(digest(&SHA256, &shown).as_ref().try_into().unwrap()), fingerprint);
    let (mut websocket, _) = client_async(format!("wss://{}/ws", server.local_addr()), tls).await.unwrap();
    let hello = ClientMessage::Hello { versions: vec![1], client: "test".into() };
    websocket.send(Message::text(hello.encode())).await.unwrap();
    let heard = websocket.next().await.unwrap().unwrap();
    assert!(matches!(ServerMessage::decode(heard.to_text().unwrap()).unwrap(), ServerMessage::Welcome { .. }));
    drop(websocket);
    server.shutdown().await;

    assert_eq!(start(self_signed(&dir)).await.fingerprint(), Some(fingerprint));
}

#[cfg(unix)]
#[tokio::test]
async fn only_this_user_can_read_the_key() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let _server = start(self_signed(&dir)).await;
    let mode = std::fs::metadata(dir.path().join("self-signed.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn who_forgets_the_s_of_https_is_sent_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(self_signed(&dir)).await;
    let answer = get(server.local_addr(), "/r/a?name=Ana", "").await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    let location = format!("location: https://{}/r/a?name=Ana\r\n", server.local_addr());
    assert!(answer.contains(&location), "{answer}");
}

#[tokio::test]
async fn half_open_tls_handshakes_hold_up_nobody_and_end_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let sockets = SocketConfig { handshake_timeout: Duration::from_secs(3), ..config().sockets };
    let server = start(ServerConfig { sockets, ..self_signed(&dir) }).await;
    let mut half_open = Vec::new();
    for said in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01", b"\x16\xff\xff\xff\xff\xff"].repeat(5) {
        let mut tcp = TcpStream::connect(server.local_addr()).await.unwrap();
        tcp.write_all(said).await.unwrap();
        half_open.push(tcp);
    }
    connect(server.local_addr(), dir.path()).await;
    for mut tcp in half_open {
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("the connection stays open");
    }
}

#[tokio::test]
async fn given_certificates_are_used_and_have_no_fingerprint() {
    let dir = tempfile::tempdir().unwrap();
    start(self_signed(&dir)).await.shutdown().await;
    let pem = dir.path().join("self-signed.pem");
    let tls = Tls::Files { cert: pem.clone(), key: pem };
    let server = start(ServerConfig { tls, ..config() }).await;
    assert_eq!(server.fingerprint(), None);
    connect(server.local_addr(), dir.path()).await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_newcomers_and_drops_nobody() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&dir, &other] {
        start(self_signed(dir)).await.shutdown().await;
    }
    let pem = |dir: &tempfile::TempDir| dir.path().join("self-signed.pem");
    let live = dir.path().join("live.pem");
    std::fs::copy(pem(&dir), &live).unwrap();
    let sockets = SocketConfig { certificate_poll: Duration::from_millis(20), ..config().sockets };
    let tls = Tls::Files { cert: live.clone(), key: live.clone() };
    let server = start(ServerConfig { tls, sockets, ..config() }).await;
    let addr = server.local_addr();
    let tls = connect(addr, dir.path()).await;
    let (mut websocket, _) = client_async(format!("wss://{addr}/ws"), tls).await.unwrap();

    std::fs::write(&live, "half a certifi").unwrap();
    let failed =
        async { while !metrics(addr, &dir).await.contains("parlor_tls_certificate_reload_failures_total 1\n") {} };
    timeout(PATIENCE, failed).await.unwrap();
    std::fs::copy(pem(&other), &live).unwrap();
    // Connections with the earlier certificate are refused by who trusts the new one only.
    let shown = async { while try_connect(addr, other.path()).await.is_err() {} };
    timeout(PATIENCE, shown).await.unwrap();
    assert!(metrics(addr, &other).await.contains("parlor_tls_certificate_reloads_total 1\n"));

    let hello = ClientMessage::Hello { versions: vec![1], client: "test".into() };
    websocket.send(Message::text(hello.encode())).await.unwrap();
    let heard = timeout(PATIENCE, websocket.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(ServerMessage::decode(heard.to_text().unwrap()).unwrap(), ServerMessage::Welcome { .. }));
}

async fn metrics(addr: SocketAddr, dir: &tempfile::TempDir) -> String {
    let mut tls = connect(addr, dir.path()).await;
    tls.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    timeout(PATIENCE, tls.read_to_string(&mut text)).await.unwrap().unwrap();
    text
}
