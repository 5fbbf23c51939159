//! One WebSocket of a client, with its twin to the server.

use std::sync::{Mutex, PoisonError};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::candidates::{self, Kept};
use crate::lab::Shared;

/// Messages under way each way; full: the sender waits.
const MESSAGES_MAX: usize = 256;

type Socket = WebSocketStream<TcpStream>;

/// Who the client is, once the server has said so.
type Identity = Mutex<Option<String>>;

/// Passes messages both ways until one end is gone; the other learns how it went.
pub(super) async fn relay(client: TcpStream, server: TcpStream, path: &str, shared: &Shared) {
    // A server that refuses is one that can't be reached: there is no one to open a socket for.
    let Ok((server, _)) = client_async(format!("ws://{}{path}", shared.server), server).await else { return };
    let Ok(client) = accept_async(client).await else { return };
    let (client_sink, client_stream) = client.split();
    let (server_sink, server_stream) = server.split();
    let identity = Identity::default();
    let delay = shared.signaling_delay;
    let up = pump(client_stream, server_sink, delay, |text| to_server(text, &identity, shared));
    let down = pump(server_stream, client_sink, delay, |text| to_client(text, &identity, shared));
    // Whichever ends first takes the other with it: both sockets are closed then, or dead.
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// What comes from one side, after `edit` and the delay, goes to the other.
async fn pump(
    mut from: SplitStream<Socket>,
    mut to: SplitSink<Socket, Message>,
    delay: Duration,
    edit: impl Fn(String) -> Option<String>,
) {
    let (sender, mut waiting) = mpsc::channel::<(Instant, Message)>(MESSAGES_MAX);
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
            if sender.send((Instant::now() + delay, message)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((at, message)) = waiting.recv().await {
            sleep_until(at).await;
            let is_last = matches!(message, Message::Close(_));
            let message = match message {
                Message::Close(frame) => Message::Close(frame.filter(may_be_sent)),
                message => message,
            };
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
fn to_server(text: String, identity: &Identity, shared: &Shared) -> Option<String> {
    let Some(mut message) = parsed(&text, "signal") else { return Some(text) };
    let owner = identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (Some(owner), Some(viewer)) = (owner, message["to"].as_str().map(str::to_owned)) else { return Some(text) };
    let mut kept = Kept::default();
    let stays =
        candidates::rewrite(&mut message, &mut kept, |address| shared.relay.advertise(&owner, &viewer, address));
    shared.count(kept);
    stays.then(|| message.to_string())
}

/// To the client: passes as it is; from `joined` the relay learns who this is.
fn to_client(text: String, identity: &Identity, shared: &Shared) -> Option<String> {
    if let Some(joined) = parsed(&text, "joined")
        && let (Some(id), Some(name)) = (joined["peer_id"].as_str(), joined["name"].as_str())
    {
        shared.relay.add_peer(id, name);
        *identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
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
