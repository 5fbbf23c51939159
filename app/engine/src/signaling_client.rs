//! The WebSocket to the signaling server, without policy: it opens once, carries messages, and says in words why it
//! ended. When to open another one is the session's business.

mod connect;
mod error;
mod standby;
mod tls;

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use parlor_proto::{ClientMessage, DecodeMessageError, ErrorCode, Fingerprint, RoomLink, ServerMessage};
use parlor_session::SignalingEvent;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tracing::{Instrument, debug, trace};

use crate::policy::SignalingPolicy;
use connect::Socket;
use error::ConnectError;
pub use standby::Standby;

/// Messages waiting for the server; full: the socket is closed, since a server that reads nothing is no server.
const OUTBOX_MESSAGES: usize = 256;
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the signaling server is, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// `ws://` or `wss://`.
    pub websocket_url: String,
    /// The self-signed certificate to accept; without it, the system's roots decide.
    pub fingerprint: Option<Fingerprint>,
}

impl From<&RoomLink> for ServerAddress {
    fn from(link: &RoomLink) -> Self {
        Self { websocket_url: link.websocket_url(), fingerprint: link.fingerprint }
    }
}

/// Tells the sockets of one call apart, so that late words of an old one are recognised.
pub(crate) type SocketId = u32;

enum Outgoing {
    Message(String),
    Close,
}

/// What became of a message handed to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    /// It will be sent, unless the socket fails.
    Waiting,
    /// The socket has ended, and has said so or will.
    Ended,
    /// The server reads nothing; the socket is of no use.
    Overflow,
}

/// One socket. Dropped: it ends as if the network had failed, and reports nothing more.
pub(crate) struct SignalingClient {
    id: SocketId,
    outbox: mpsc::Sender<Outgoing>,
}

impl SignalingClient {
    /// Starts to connect, or takes what was opened ahead; everything else is reported on `events`,
    /// [`SignalingEvent::OpenFailed`] or [`SignalingEvent::Closed`] once and last.
    pub(crate) fn open(
        id: SocketId,
        address: ServerAddress,
        standby: Option<Standby>,
        policy: SignalingPolicy,
        events: mpsc::Sender<(SocketId, SignalingEvent)>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (outbox, outgoing) = mpsc::channel(OUTBOX_MESSAGES);
        tasks.spawn(run(id, (address, standby), policy, outgoing, events).in_current_span());
        Self { id, outbox }
    }

    pub(crate) fn id(&self) -> SocketId {
        self.id
    }

    /// Queues a message.
    pub(crate) fn send(&self, message: &ClientMessage) -> Queued {
        match self.outbox.try_send(Outgoing::Message(message.encode())) {
            Ok(()) => Queued::Waiting,
            Err(TrySendError::Closed(_)) => Queued::Ended,
            Err(TrySendError::Full(_)) => Queued::Overflow,
        }
    }

    /// Says goodbye (1000) after what waits is sent, in the background.
    pub(crate) fn close(self) {
        if self.outbox.try_send(Outgoing::Close).is_err() {
            debug!("the socket ends without a goodbye");
        }
    }
}

async fn run(
    id: SocketId,
    (address, standby): (ServerAddress, Option<Standby>),
    policy: SignalingPolicy,
    mut outgoing: mpsc::Receiver<Outgoing>,
    events: mpsc::Sender<(SocketId, SignalingEvent)>,
) {
    let connected = tokio::select! {
        connected = open_or_take(&address, standby, policy) => connected,
        () = dropped(&mut outgoing) => return,
    };
    let socket = match connected {
        Ok(socket) => socket,
        Err(error) => {
            debug!(%error, "no connection to the server");
            let (failure, retry_after_ms) = (error.failure(), error.retry_after_ms());
            let event = SignalingEvent::OpenFailed { failure, reason: error.to_string(), retry_after_ms };
            let _gone = events.send((id, event)).await;
            return;
        }
    };
    let _gone = events.send((id, SignalingEvent::Opened)).await;
    let closed = carry(id, socket, policy, &mut outgoing, &events).await;
    debug!(reason = closed.reason, "signaling closed");
    let Closed { reason, retry_after_ms } = closed;
    let _gone = events.send((id, SignalingEvent::Closed { reason, retry_after_ms })).await;
}

async fn open_or_take(
    address: &ServerAddress,
    standby: Option<Standby>,
    policy: SignalingPolicy,
) -> Result<Socket, ConnectError> {
    if let Some(standby) = standby.filter(|standby| standby.address() == address)
        && let Some(outcome) = standby.take().await
    {
        return outcome;
    }
    connect::connect(address, policy.connect_timeout).await
}

/// Waits until nobody wants the socket any more. Before it is open nothing is sent, so all that comes is that.
async fn dropped(outgoing: &mut mpsc::Receiver<Outgoing>) {
    match outgoing.recv().await {
        Some(Outgoing::Close) | None => {}
        Some(Outgoing::Message(_)) => debug!("a message before the socket was open"),
    }
}

struct Closed {
    reason: String,
    retry_after_ms: Option<u64>,
}

impl Closed {
    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after_ms: None }
    }
}

async fn carry(
    id: SocketId,
    mut socket: Socket,
    policy: SignalingPolicy,
    outgoing: &mut mpsc::Receiver<Outgoing>,
    events: &mpsc::Sender<(SocketId, SignalingEvent)>,
) -> Closed {
    let mut ping = tokio::time::interval(policy.ping_interval);
    let mut heard_at = Instant::now();
    let mut retry_after_ms = None;
    loop {
        tokio::select! {
            out = outgoing.recv() => match out {
                Some(Outgoing::Message(text)) => {
                    // Not what it says: a password, a token.
                    trace!(bytes = text.len(), "to the server");
                    if let Err(closed) = send(&mut socket, Message::text(text), policy.silence_max).await {
                        return closed;
                    }
                }
                Some(Outgoing::Close) => return say_goodbye(socket).await,
                // Without a close frame, so that the membership can be resumed.
                None => return Closed::because("Dropped"),
            },
            read = socket.next() => {
                heard_at = Instant::now();
                match incoming(read) {
                    Incoming::Event(event) => {
                        retry_after_ms = retry_after(&event).or(retry_after_ms);
                        if events.send((id, event)).await.is_err() {
                            return Closed::because("Dropped");
                        }
                    }
                    Incoming::Nothing => {}
                    Incoming::Closed(reason) => return Closed { reason, retry_after_ms },
                }
            }
            _ = ping.tick() => {
                if heard_at.elapsed() > policy.silence_max {
                    return Closed::because("The server stopped answering");
                }
                if let Err(closed) = send(&mut socket, Message::Ping(Default::default()), policy.silence_max).await {
                    return closed;
                }
            }
        }
    }
}

async fn send(socket: &mut Socket, message: Message, patience: Duration) -> Result<(), Closed> {
    match tokio::time::timeout(patience, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Closed::because(lost(&error))),
        Err(_elapsed) => Err(Closed::because("The server stopped reading")),
    }
}

async fn say_goodbye(mut socket: Socket) -> Closed {
    let frame = CloseFrame { code: CloseCode::Normal, reason: Default::default() };
    let goodbye = async {
        socket.close(Some(frame)).await?;
        while socket.next().await.is_some_and(|read| read.is_ok()) {}
        Ok::<(), SocketError>(())
    };
    if !matches!(tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await, Ok(Ok(()))) {
        debug!("the closing handshake was not finished");
    }
    Closed::because("Closed")
}

enum Incoming {
    Event(SignalingEvent),
    Nothing,
    Closed(String),
}

fn incoming(read: Option<Result<Message, SocketError>>) -> Incoming {
    match read {
        Some(Ok(Message::Text(text))) => decode(text.as_str()),
        Some(Ok(Message::Binary(_))) => Incoming::Event(SignalingEvent::Undecodable("not text".to_owned())),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Incoming::Nothing,
        Some(Ok(Message::Close(frame))) => Incoming::Closed(close_reason(frame.as_ref())),
        Some(Err(error)) => Incoming::Closed(lost(&error)),
        None => Incoming::Closed("The connection to the server was lost".to_owned()),
    }
}

fn decode(text: &str) -> Incoming {
    trace!(bytes = text.len(), "from the server");
    match ServerMessage::decode(text) {
        Ok(message) => Incoming::Event(SignalingEvent::Message(message)),
        Err(DecodeMessageError::UnknownType) => Incoming::Nothing,
        Err(error @ DecodeMessageError::Malformed(_)) => {
            Incoming::Event(SignalingEvent::Undecodable(error.to_string()))
        }
    }
}

/// When to come back, as the server's last words have it. What other refusals say is about other things.
fn retry_after(event: &SignalingEvent) -> Option<u64> {
    match event {
        SignalingEvent::Message(ServerMessage::Error { code: ErrorCode::GoingAway, retry_after_ms, .. }) => {
            *retry_after_ms
        }
        SignalingEvent::Message(_)
        | SignalingEvent::Opened
        | SignalingEvent::Undecodable(_)
        | SignalingEvent::OpenFailed { .. }
        | SignalingEvent::Closed { .. } => None,
    }
}

fn close_reason(frame: Option<&CloseFrame>) -> String {
    let Some(frame) = frame else {
        return "The server closed the connection".to_owned();
    };
    match u16::from(frame.code) {
        1001 => "The server is stopping".to_owned(),
        1009 => "The server refused a message as too large".to_owned(),
        4000 => "This program and the server speak different versions".to_owned(),
        4001 => "The server closed the connection, which was too slow".to_owned(),
        4002 => "You joined this room from somewhere else".to_owned(),
        4003 => "You were removed from this room".to_owned(),
        4004 => "The server closed a connection that had joined no room, or said nothing".to_owned(),
        4005 => "The server closed the connection, on which too much was sent".to_owned(),
        code => format!("The server closed the connection (code {code})"),
    }
}

fn lost(error: &SocketError) -> String {
    match error {
        SocketError::Capacity(_) => "The server sent a message that is too large".to_owned(),
        SocketError::Protocol(_) | SocketError::Utf8(_) => "The server does not keep to the protocol".to_owned(),
        other => {
            debug!(error = %other, "the signaling socket failed");
            "The connection to the server was lost".to_owned()
        }
    }
}
