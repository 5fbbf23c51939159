//! A server of its own for each test, and clients that wait for what they expect.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_proto::{ClientMessage, ErrorCode, PeerId, PeerInfo, ResumeToken, ServerMessage, Signal, StreamDescription};
use parlor_signaling::{HubConfig, RunningServer, Secret, ServerConfig, SocketConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longer than anything takes on a busy machine; reached only where a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port of this machine, with a secret of its own and long patience.
pub(crate) fn config() -> ServerConfig {
    ServerConfig {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        hub: HubConfig::default(),
        secret: Secret::Given(b"a secret of the tests".to_vec()),
        state_dir: None,
        sockets: SocketConfig { close_grace: Duration::from_secs(10), ..SocketConfig::default() },
        ..ServerConfig::default()
    }
}

/// An address whose port stays free while the server restarts: on Linux no other test, and no client's own port, is on
/// this loopback address. `test` tells the tests of this crate apart.
pub(crate) fn address_of_its_own(test: u8) -> SocketAddr {
    if cfg!(target_os = "linux") {
        SocketAddr::from(([127, 77, 83, test], 0))
    } else {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }
}

pub(crate) async fn start(config: ServerConfig) -> RunningServer {
    parlor_signaling::serve(config).await.unwrap()
}

/// Sends a request and reads the answer to its end.
pub(crate) async fn get(addr: SocketAddr, path: &str, headers: &str) -> String {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{headers}\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The value of a metric, by its name and labels.
pub(crate) async fn metric(addr: SocketAddr, name: &str) -> Option<u64> {
    let text = get(addr, "/metrics", "").await;
    let (_, value) = text.lines().filter_map(|line| line.rsplit_once(' ')).find(|(found, _)| *found == name)?;
    value.trim().parse().ok()
}

/// What a request for a WebSocket says beside `Connection`.
pub(crate) const UPGRADE: &str =
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";

/// Asks for a WebSocket with these headers too; gives the head of the answer, and the connection.
pub(crate) async fn upgrade(addr: SocketAddr, headers: &str) -> (String, TcpStream) {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET /ws HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\n{UPGRADE}{headers}\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(PATIENCE, tcp.read_u8()).await.unwrap().unwrap());
    }
    (String::from_utf8_lossy(&answer).into_owned(), tcp)
}

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) websocket: WebSocketStream<TcpStream>,
}

/// What `joined` said.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) peer_id: PeerId,
    pub(crate) token: ResumeToken,
    pub(crate) resumed: bool,
    pub(crate) peers: Vec<PeerInfo>,
}

impl Client {
    /// Connected; nothing said.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let tcp = TcpStream::connect(addr).await.unwrap();
        let (websocket, _) = client_async(format!("ws://{addr}/ws"), tcp).await.unwrap();
        Self { websocket }
    }

    /// Connected and welcome.
    pub(crate) async fn greeted(addr: SocketAddr) -> Self {
        let mut client = Self::open(addr).await;
        client.say(&ClientMessage::Hello { versions: vec![1], client: "test".into() }).await;
        let heard = client.hear().await;
        assert!(matches!(heard, ServerMessage::Welcome { version: 1, .. }), "{heard:?}");
        client
    }

    /// In a room.
    pub(crate) async fn joined(addr: SocketAddr, room: &str, name: &str) -> (Self, Joined) {
        let mut client = Self::greeted(addr).await;
        let joined = client.join(room, name, None).await;
        (client, joined)
    }

    pub(crate) async fn join(&mut self, room: &str, name: &str, resume: Option<&ResumeToken>) -> Joined {
        let resume = resume.map(|token| token.as_str().into());
        self.say(&ClientMessage::Join { room: room.into(), name: name.into(), resume, access: None, password: None })
            .await;
        self.hear_joined().await
    }

    /// The next message, which must be a `joined`.
    pub(crate) async fn hear_joined(&mut self) -> Joined {
        match self.hear().await {
            ServerMessage::Joined { peer_id, resume_token: token, resumed, peers, .. } => {
                Joined { peer_id, token, resumed, peers }
            }
            other => panic!("not joined: {other:?}"),
        }
    }

    pub(crate) async fn say(&mut self, message: &ClientMessage) {
        self.say_text(&message.encode()).await;
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        self.websocket.send(Message::text(text)).await.unwrap();
    }

    /// Says something; false where the server has closed.
    pub(crate) async fn try_say_text(&mut self, text: &str) -> bool {
        self.websocket.send(Message::text(text)).await.is_ok()
    }

    /// Says an offer with this description.
    pub(crate) async fn offer(&mut self, to: &PeerId, sdp: &str) {
        self.say(&offer(to, sdp)).await;
    }

    /// The next message. Pings are no news: with them alone it is waited in vain.
    pub(crate) async fn hear(&mut self) -> ServerMessage {
        timeout(PATIENCE, self.hear_at_last()).await.expect("nothing was heard")
    }

    async fn hear_at_last(&mut self) -> ServerMessage {
        loop {
            match self.websocket.next().await.unwrap().unwrap() {
                Message::Text(text) => return ServerMessage::decode(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next message, which must be a refusal.
    pub(crate) async fn error(&mut self) -> ErrorCode {
        match self.hear().await {
            ServerMessage::Error { code, message, .. } => {
                assert!(!message.is_empty());
                code
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Reads to the close frame; gives its code and the error before it.
    pub(crate) async fn closed(&mut self) -> (Option<ErrorCode>, u16) {
        let mut last = None;
        loop {
            match timeout(PATIENCE, self.websocket.next())
                .await
                .expect("never closed")
                .expect("no close frame")
                .unwrap()
            {
                Message::Text(text) => {
                    last = match ServerMessage::decode(&text).unwrap() {
                        ServerMessage::Error { code, .. } => Some(code),
                        _ => None,
                    }
                }
                Message::Close(frame) => return (last, frame.unwrap().code.into()),
                _ => {}
            }
        }
    }
}

/// An offer with the two streams that every offer names.
pub(crate) fn offer(to: &PeerId, sdp: &str) -> ClientMessage {
    let stream = |mid: &str, source| StreamDescription { mid: mid.into(), owner: to.clone(), source };
    let streams = vec![stream("0", parlor_proto::Source::Microphone), stream("1", parlor_proto::Source::Camera)];
    ClientMessage::Signal {
        to: to.clone(),
        connection: "c0ffee".parse().unwrap(),
        signal: Signal::Offer { sdp: sdp.into(), streams },
    }
}
