//! The files of `deploy/`, read by the programs that they are for.
#![cfg(test)]
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

#[path = "server/support.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod support;
#[path = "server/tls_client.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod tls_client;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_proto::{ClientMessage, ServerMessage};
use parlor_signaling::{ServerConfig, Tls, TrustedProxies};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::{PATIENCE, UPGRADE, config, get, start};
use crate::tls_client::{connect, try_connect};

#[tokio::test]
async fn behind_nginx_pages_and_websockets_come_through_and_addresses_are_known() {
    let dir = tempfile::tempdir().unwrap();
    // A certificate for 127.0.0.1 that nginx can show.
    let own = ServerConfig { tls: Tls::SelfSigned, state_dir: Some(dir.path().to_owned()), ..config() };
    start(own).await.shutdown().await;
    let proxies = TrustedProxies { networks: vec!["127.0.0.1/32".parse().unwrap()], ..TrustedProxies::default() };
    let server = start(ServerConfig { proxies, connections_per_address: 1, ..config() }).await;
    let nginx = Nginx::start(dir.path(), server.local_addr()).await;

    let page = nginx.get("/r/quiet-otter", "").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.to_lowercase().contains("<!doctype html>"), "{page}");
    assert!(page.contains("content-security-policy: ") && page.contains("Strict-Transport-Security: "), "{page}");
    let redirect = get(nginx.plain, "/r/quiet-otter", "").await;
    assert!(redirect.starts_with("HTTP/1.1 308 "), "{redirect}");
    let metrics = nginx.get("/metrics", "").await;
    assert!(metrics.starts_with("HTTP/1.1 404 "), "{metrics}");

    let mut request = format!("wss://{}/ws", nginx.secure).into_client_request().unwrap();
    let origin = format!("https://{}", nginx.secure);
    request.headers_mut().insert("origin", origin.parse().unwrap());
    request.headers_mut().insert("x-test-client", "203.0.113.7".parse().unwrap());
    let (mut websocket, _) = client_async(request, nginx.connect().await).await.unwrap();
    let hello = ClientMessage::Hello { versions: vec![1], client: "test".into() };
    websocket.send(Message::text(hello.encode())).await.unwrap();
    let heard = timeout(PATIENCE, websocket.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(ServerMessage::decode(heard.to_text().unwrap()).unwrap(), ServerMessage::Welcome { .. }));

    // The one connection of this address is taken, whatever the client writes into the headers itself.
    for lie in ["", "X-Forwarded-For: 198.51.100.1\r\n", "Forwarded: for=198.51.100.1\r\n"] {
        let headers = format!("Connection: upgrade\r\n{UPGRADE}X-Test-Client: 203.0.113.7\r\n{lie}");
        let refused = nginx.get("/ws", &headers).await;
        assert!(refused.starts_with("HTTP/1.1 429 "), "{lie}: {refused}");
    }
    let foreign = format!("Connection: upgrade\r\n{UPGRADE}Origin: https://evil.example\r\n");
    let foreign = nginx.get("/ws", &foreign).await;
    assert!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
    let mut other = format!("wss://{}/ws", nginx.secure).into_client_request().unwrap();
    other.headers_mut().insert("x-test-client", "203.0.113.8".parse().unwrap());
    assert!(client_async(other, nginx.connect().await).await.is_ok(), "another address");
}

#[tokio::test]
async fn the_systemd_unit_is_valid_and_leaves_little_exposed() {
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("parlor-server.service");
    let text = example("parlor-server.service");
    let text = replaced(&text, &[("/usr/local/bin/parlor-server", env!("CARGO_BIN_EXE_parlor-server"))]);
    std::fs::write(&unit, &text).unwrap();
    let verified = run("systemd-analyze", &["verify", "--man=no", unit.to_str().unwrap()]).await;
    // A key that it does not know is a line on standard error, and no failure.
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    let exposure = ["security", "--offline=true", "--threshold=20", "--no-pager", unit.to_str().unwrap()];
    let exposure = run("systemd-analyze", &exposure).await;
    assert!(exposure.status.success(), "{exposure:?}");
}

/// nginx with the example, listening on this machine only; killed when dropped.
struct Nginx {
    _child: Child,
    plain: SocketAddr,
    secure: SocketAddr,
    certificate: PathBuf,
}

impl Nginx {
    async fn start(dir: &Path, server: SocketAddr) -> Self {
        let [plain, secure] = [free_address(), free_address()];
        let certificate = dir.join("self-signed.pem").display().to_string();
        let site = replaced(
            &example("nginx.conf"),
            &[
                ("listen 80;", &format!("listen {plain};")),
                ("listen 443 ssl;", &format!("listen {secure} ssl;")),
                ("/etc/letsencrypt/live/call.example.org/fullchain.pem", &certificate),
                ("/etc/letsencrypt/live/call.example.org/privkey.pem", &certificate),
                ("server 127.0.0.1:8080;", &format!("server {server};")),
            ],
        );
        // For the test everyone comes from this machine; as behind one more proxy, a header says who it is. One process: a
        // worker that has just begun does not notice that its master was killed, and goes on for ever.
        let around = format!(
            "daemon off; master_process off; pid {dir}/nginx.pid; error_log stderr;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n\
             access_log off; set_real_ip_from 127.0.0.0/8; real_ip_header X-Test-Client;\n\
             client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;\n\
             uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;\n\
             {site}\n}}\n",
            dir = dir.display()
        );
        let file = dir.join("nginx.conf");
        std::fs::write(&file, around).unwrap();
        let path = file.to_str().unwrap();
        let checked = run("nginx", &["-t", "-q", "-e", "stderr", "-c", path]).await;
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let child = Command::new("nginx").args(["-e", "stderr", "-c", path]).kill_on_drop(true).spawn().unwrap();
        let nginx = Self { _child: child, plain, secure, certificate: dir.to_owned() };
        let listening = async { while try_connect(secure, dir).await.is_err() {} };
        timeout(PATIENCE, listening).await.expect("nginx does not listen");
        nginx
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        connect(self.secure, &self.certificate).await
    }

    async fn get(&self, path: &str, headers: &str) -> String {
        let mut tls = self.connect().await;
        let closing = if headers.contains("Connection:") { "" } else { "Connection: close\r\n" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{closing}{headers}\r\n", self.secure);
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // nginx keeps a connection that asked for an upgrade; the head of the answer is what counts then.
        while closing.is_empty() && !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(PATIENCE, tls.read_u8()).await.unwrap().unwrap());
        }
        if !closing.is_empty() {
            timeout(PATIENCE, tls.read_to_end(&mut answer)).await.unwrap().unwrap();
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Nginx {
    /// The worker ends with the master only when that is asked, not when it is killed.
    fn drop(&mut self) {
        if let Some(pid) = self._child.id() {
            let _ = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status();
        }
    }
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).unwrap()
}

/// The text with each of these replaced, which must be there.
fn replaced(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in the example");
        text.replace(from, to)
    })
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).kill_on_drop(true).output();
    timeout(PATIENCE, output).await.unwrap().unwrap_or_else(|error| panic!("{program}: {error}"))
}
