//! One WebSocket: reads it for the hub, writes its outbox, ends it so that the client learns why.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use parlor_proto::{ErrorCode, MESSAGE_BYTES_MAX};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::config::SocketConfig;
use crate::hub::budget::Budget;
use crate::hub::{CloseKind, ConnId};
use crate::outbox::{Item, Outbox};
use crate::switchboard::Switchboard;

/// Measured: with 1 KiB an idle connection costs 4 kB of memory, with the default 134 kB.
const READ_BUFFER_BYTES: usize = 1_024;
/// Room for one message under way, and the last words after it. More never waits here: messages wait in the outbox.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;
/// RFC 6455 §7.4.1: a text message that is not UTF-8.
const INVALID_PAYLOAD: u16 = 1007;

/// Pings and pongs a client may send at once. They need no answer from the hub, and none of ours sends more than one in
/// some seconds.
const CONTROL_FRAME_BURST: u32 = 60;
/// Pings and pongs a second that a client earns back.
const CONTROL_FRAMES_PER_SEC: u32 = 10;

/// How reading came to its end.
enum ReadEnd {
    /// The client ended the connection, or is gone.
    Client(CloseKind),
    /// The outbox holds the last words for a client that sent what cannot be read on.
    Refused,
}

/// Runs a WebSocket after its upgrade, to its end.
pub(crate) async fn run(
    io: impl AsyncRead + AsyncWrite + Unpin,
    address: IpAddr,
    switchboard: &Switchboard,
    config: &SocketConfig,
) {
    let websocket_config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let websocket = WebSocketStream::from_raw_socket(io, Role::Server, Some(websocket_config)).await;
    let Some((conn, outbox)) = switchboard.open(address) else { return };
    tracing::debug!(%conn, "opened");
    let (mut sink, mut stream) = websocket.split();
    exchange(&mut sink, &mut stream, conn, &outbox, switchboard, config).await;
    // Ignored where the hub knows of the end already.
    switchboard.close(conn, CloseKind::Lost);
    if let Ok(websocket) = stream.reunite(sink) {
        linger(websocket, config.close_grace).await;
    }
    tracing::debug!(%conn, "closed");
}

/// Reads and writes until both are done, or the time for the last words is up.
async fn exchange<IO: AsyncRead + AsyncWrite + Unpin>(
    sink: &mut SplitSink<WebSocketStream<IO>, Message>,
    stream: &mut SplitStream<WebSocketStream<IO>>,
    conn: ConnId,
    outbox: &Outbox,
    switchboard: &Switchboard,
    config: &SocketConfig,
) {
    let read = std::pin::pin!(read_messages(stream, conn, switchboard, config.silence_max));
    let mut write = std::pin::pin!(write_messages(sink, outbox, config.ping_interval));
    let overdue = async {
        outbox.closing().await;
        sleep(config.close_grace).await;
    };
    tokio::select! {
        end = read => {
            match end {
                ReadEnd::Client(kind) => switchboard.close(conn, kind),
                ReadEnd::Refused => {}
            }
            // Too slow a reader has had its chance.
            let _ = timeout(config.close_grace, &mut write).await;
        }
        () = &mut write => {}
        () = overdue => {}
    }
}

async fn read_messages<IO: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut SplitStream<WebSocketStream<IO>>,
    conn: ConnId,
    switchboard: &Switchboard,
    silence_max: Duration,
) -> ReadEnd {
    let mut control_frames = Budget::new(CONTROL_FRAME_BURST, CONTROL_FRAMES_PER_SEC, std::time::Instant::now());
    loop {
        let Ok(heard) = timeout(silence_max, stream.next()).await else {
            tracing::debug!(%conn, "silent for too long");
            switchboard.refuse(conn, ErrorCode::Idle);
            return ReadEnd::Refused;
        };
        match heard {
            Some(Ok(Message::Text(text))) => switchboard.message(conn, &text),
            Some(Ok(Message::Binary(data))) => switchboard.binary(conn, data.len()),
            // Pings are answered below us, at the next read or write.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                if control_frames.take(std::time::Instant::now()).is_err() {
                    switchboard.refuse(conn, ErrorCode::Flooding);
                    return ReadEnd::Refused;
                }
            }
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| u16::from(frame.code));
                return ReadEnd::Client(CloseKind::from_close_code(code));
            }
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                switchboard.refuse(conn, ErrorCode::MessageTooLarge);
                return ReadEnd::Refused;
            }
            Some(Err(Error::Utf8(_))) => {
                switchboard.refuse(conn, ErrorCode::Malformed);
                let last = Item::Close { code: INVALID_PAYLOAD, reason: "This is not UTF-8." };
                switchboard.close_with(conn, CloseKind::Lost, last);
                return ReadEnd::Refused;
            }
            Some(Err(error)) => {
                tracing::debug!(%conn, %error, "broken");
                return ReadEnd::Client(CloseKind::Lost);
            }
            None => return ReadEnd::Client(CloseKind::Lost),
        }
    }
}

/// Writes the outbox and pings, until the outbox ends or the connection breaks, which reading then notices too.
async fn write_messages<IO: AsyncRead + AsyncWrite + Unpin>(
    sink: &mut SplitSink<WebSocketStream<IO>, Message>,
    outbox: &Outbox,
    ping_interval: Duration,
) {
    let mut pings = interval_at(Instant::now() + ping_interval, ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing = false;
    loop {
        let item = tokio::select! {
            biased;
            item = outbox.next() => Some(item),
            _ = pings.tick() => None,
        };
        let (message, is_last) = match item {
            None => (Message::Ping(Default::default()), false),
            Some(Item::Message(text)) => (Message::text(text), false),
            Some(Item::Close { code, reason }) => (close_message(code, reason), true),
            Some(Item::Stop) => return,
        };
        // A client that does not read holds up this write. When the outbox closes, its last words come next: what is
        // under way stays in the write buffer and goes out before them.
        tokio::select! {
            biased;
            sent = sink.send(message) => if sent.is_err() || is_last { return },
            () = outbox.closing(), if !closing => closing = true,
        }
    }
}

fn close_message(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }))
}

/// Waits for the client to end its side. Closed with unread bytes, a TCP connection is reset, and the client would
/// never read our last words.
async fn linger<IO: AsyncRead + AsyncWrite + Unpin>(mut websocket: WebSocketStream<IO>, grace: Duration) {
    let ending = async {
        // Flushes our answer to the client's close frame, or hears its answer to ours.
        while let Some(Ok(_)) = websocket.next().await {}
        let io = websocket.get_mut();
        io.shutdown().await?;
        let mut unread = [0; READ_BUFFER_BYTES];
        while io.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Nothing is left to say to a client that does not end.
    let _ = timeout(grace, ending).await;
}
