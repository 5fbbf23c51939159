//! One WebSocket of a client, with its twin to the server.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::candidates::{self, Kept};
use crate::lab::Shared;
use crate::relay::flights::{SERVER, TO_OPEN};

/// Messages under way each way; full: the sender waits.
const MESSAGES_MAX: usize = 256;

/// A socket that was open for so long before its client said anything was opened ahead.
const OPEN_AHEAD: Duration = Duration::from_millis(250);

/// Who the client is.
struct Client {
    opened_at: Instant,
    has_spoken: AtomicBool,
    /// Once the server has said so.
    id: Mutex<Option<String>>,
    /// Until then, what it knows of flights.
    flight: AtomicU32,
}

impl Client {
    fn new() -> Self {
        Self {
            opened_at: Instant::now(),
            has_spoken: AtomicBool::new(false),
            id: Mutex::default(),
            flight: AtomicU32::new(TO_OPEN),
        }
    }

    /// It says something. With the first word on a socket that was opened ahead the count begins.
    fn speaks(&self, shared: &Shared) {
        if !self.has_spoken.swap(true, Ordering::Relaxed) && self.opened_at.elapsed() >= OPEN_AHEAD {
            shared.relay.begin_flights();
            self.flight.store(0, Ordering::Relaxed);
        }
    }

    fn id(&self) -> Option<String> {
        self.id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sent(&self, shared: &Shared) -> u32 {
        match self.id() {
            Some(id) => shared.relay.message_sent(&id),
            None => self.flight.load(Ordering::Relaxed) + 1,
        }
    }

    fn came(&self, shared: &Shared, flight: u32) {
        if let Some((id, flight)) = self.knows(flight) {
            shared.relay.message_came(&id, flight);
        }
    }

    /// A message came to it: once it has an id, who knows at least which number now.
    fn knows(&self, flight: u32) -> Option<(String, u32)> {
        let Some(id) = self.id() else {
            self.flight.fetch_max(flight, Ordering::Relaxed);
            return None;
        };
        // Told on once and then forgotten: when somebody else begins a count, what was known in an earlier one says nothing.
        Some((id, flight.max(self.flight.swap(0, Ordering::Relaxed))))
    }
}

/// A message on its way.
struct Passing {
    due: Instant,
    message: Message,
    flight: u32,
}

/// Passes messages both ways until one end is gone; the other learns how it went.
pub(super) async fn relay<C>(client: C, server: TcpStream, path: &str, shared: &Shared)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let delay = shared.signaling_delay;
    let opens_at = Instant::now() + delay * TO_OPEN;
    shared.relay.begin_flights();
    // A server that refuses is one that can't be reached: there is no one to open a socket for.
    let Ok((server, _)) = client_async(format!("ws://{}{path}", shared.server), server).await else { return };
    // TCP's handshake and the upgrade are a round trip each.
    sleep_until(opens_at).await;
    let Ok(socket) = accept_async(client).await else { return };
    let (client_sink, client_stream) = socket.split();
    let (server_sink, server_stream) = server.split();
    let client = Client::new();
    let up = pump(
        (client_stream, server_sink),
        delay,
        |text| to_server(text, &client, shared),
        || client.sent(shared),
        |flight| shared.relay.message_came(SERVER, flight),
    );
    let down = pump(
        (server_stream, client_sink),
        delay,
        |text| to_client(text, &client, shared),
        || shared.relay.message_sent(SERVER),
        |flight| client.came(shared, flight),
    );
    // Whichever ends first takes the other with it: both sockets are closed then, or dead.
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// What comes from one side, after `edit` and the delay, goes to the other.
async fn pump<F, T>(
    (mut from, mut to): (SplitStream<WebSocketStream<F>>, SplitSink<WebSocketStream<T>, Message>),
    delay: Duration,
    edit: impl Fn(String) -> Option<String>,
    sent: impl Fn() -> u32,
    came: impl Fn(u32),
) where
    F: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (sender, mut waiting) = mpsc::channel::<Passing>(MESSAGES_MAX);
    let read = async move {
        // An end without a close frame ends the channel, and so the other socket, without one too.
        while let Some(Ok(message)) = from.next().await {
            let message = match message {
                Message::Text(text) => match edit(text.to_string()) {
                    Some(text) => Message::text(text),
                    None => continue,
                },
                // The library answers these itself, on each side.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                message @ (Message::Binary(_) | Message::Close(_)) => message,
            };
            let passing = Passing { due: Instant::now() + delay, message, flight: sent() };
            if sender.send(passing).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some(Passing { due, message, flight }) = waiting.recv().await {
            sleep_until(due).await;
            let is_last = matches!(message, Message::Close(_));
            let message = match message {
                Message::Close(frame) => Message::Close(frame.filter(may_be_sent)),
                message => message,
            };
            came(flight);
            if to.send(message).await.is_err() || is_last {
                return;
            }
        }
    };
    tokio::join!(read, write);
}

/// RFC 6455 §7.4.1: some codes only say what was missing on the wire.
fn may_be_sent(frame: &CloseFrame) -> bool {
    frame.code.is_allowed()
}

/// From the client: candidates are replaced. None: nothing is left to send.
fn to_server(text: String, client: &Client, shared: &Shared) -> Option<String> {
    client.speaks(shared);
    let Some(mut message) = parsed(&text, "signal") else { return Some(text) };
    let (Some(owner), Some(viewer)) = (client.id(), message["to"].as_str().map(str::to_owned)) else {
        return Some(text);
    };
    let mut kept = Kept::default();
    let stays =
        candidates::rewrite(&mut message, &mut kept, |address| shared.relay.advertise(&owner, &viewer, address));
    shared.count(kept);
    stays.then(|| message.to_string())
}

/// To the client: passes as it is; from `joined` the relay learns who this is.
fn to_client(text: String, client: &Client, shared: &Shared) -> Option<String> {
    if let Some(joined) = parsed(&text, "joined")
        && let (Some(id), Some(name)) = (joined["peer_id"].as_str(), joined["name"].as_str())
    {
        shared.relay.add_peer(id, name);
        *client.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
    }
    Some(text)
}

/// A message of this type.
fn parsed(text: &str, kind: &str) -> Option<Value> {
    // Most messages are others: a look at the bytes is enough for those.
    if !text.contains(kind) {
        return None;
    }
    serde_json::from_str::<Value>(text).ok().filter(|message| message["type"] == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_someone_knew_when_joining_is_told_on_once_and_is_in_no_later_count() {
        let ana = Client::new();
        assert_eq!(ana.knows(TO_OPEN + 2), None);
        *ana.id.lock().unwrap() = Some("ana".to_owned());
        assert_eq!(ana.knows(TO_OPEN + 1), Some(("ana".to_owned(), TO_OPEN + 2)));
        // Bo begins a count on a socket that was opened ahead; that he has joined is its second flight.
        assert_eq!(ana.knows(2), Some(("ana".to_owned(), 2)));
    }
}
