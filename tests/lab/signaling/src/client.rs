//! One client of a signaling server, whichever of the contenders it is.

mod connect;
mod lines;

use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

pub use self::connect::{Socket, raw};
use self::lines::Lines;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Lines over TCP, which come back as they are.
    Echo,
    /// The Parlor protocol over a WebSocket.
    Parlor,
    /// Events with the same content over Socket.IO (Engine.IO 4, WebSocket transport only).
    SocketIo,
}

impl FromStr for Wire {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "echo" => Ok(Self::Echo),
            "parlor" => Ok(Self::Parlor),
            "socket-io" => Ok(Self::SocketIo),
            _ => Err("it is echo, parlor or socket-io".to_owned()),
        }
    }
}

/// A server under load.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens; several servers that share their rooms get the clients in turn.
    pub addrs: Vec<SocketAddr>,
    /// What it speaks.
    pub wire: Wire,
    /// Whether to speak TLS. Any certificate will do: this is a test load.
    pub tls: bool,
    /// How many addresses of 127.0.0.2 and following the clients come from in turn. 0: the system chooses.
    pub sources: u8,
}

impl Target {
    /// Where the client of this number connects to.
    fn addr(&self, number: usize) -> anyhow::Result<SocketAddr> {
        let turn = number.checked_rem(self.addrs.len()).context("there is no server to connect to")?;
        Ok(self.addrs[turn])
    }
}

/// A client that is connected.
pub struct Client {
    io: Io,
    wire: Wire,
}

enum Io {
    Lines(Lines),
    WebSocket(Box<WebSocketStream<Socket>>),
}

/// A client's place in a room.
#[derive(Clone, Debug, Default)]
pub struct Seat {
    /// What others address it by.
    pub id: String,
    /// What it comes back with, where the server knows such a thing.
    pub resume: Option<String>,
    /// Whether it came back as who it was.
    pub resumed: bool,
}

/// What a client heard.
#[derive(Debug)]
pub enum Heard {
    /// A relayed signal, or its echo.
    Signal(Utf8Bytes),
    /// The server refused something.
    Refused(Utf8Bytes),
    /// Anything else.
    Other(Utf8Bytes),
    /// The server ended the connection, with this code where it gave one.
    Ended(Option<u16>),
}

impl Client {
    /// Connects the client of this number.
    ///
    /// # Errors
    /// Where the server or this machine refuses.
    pub async fn connect(target: &Target, number: usize) -> anyhow::Result<Self> {
        let io = match target.wire {
            Wire::Echo => Io::Lines(Lines::new(connect::tcp(target, number).await?)),
            Wire::Parlor => Io::WebSocket(Box::new(connect::websocket(target, number, "/ws").await?)),
            Wire::SocketIo => {
                let path = "/socket.io/?EIO=4&transport=websocket";
                Io::WebSocket(Box::new(connect::websocket(target, number, path).await?))
            }
        };
        Ok(Self { io, wire: target.wire })
    }

    /// Enters a room.
    ///
    /// # Errors
    /// Where the server refuses or ends the connection.
    pub async fn enter(&mut self, room: &str, name: &str, resume: Option<&str>) -> anyhow::Result<Seat> {
        match self.wire {
            Wire::Echo => return Ok(Seat { id: name.to_owned(), ..Seat::default() }),
            Wire::Parlor => {
                let hello = json!({"type": "hello", "versions": [1], "client": "parlor-lab"});
                let join = json!({"type": "join", "room": room, "name": name, "resume": resume});
                self.send(hello.to_string()).await?;
                self.send(join.to_string()).await?;
            }
            Wire::SocketIo => {
                self.send("40".to_owned()).await?;
                // What comes before the server has let us in would end the connection.
                self.opened().await?;
                self.send(format!(r#"42["join",{}]"#, json!({"room": room, "name": name}))).await?;
            }
        }
        loop {
            match self.hear().await? {
                Heard::Other(text) => {
                    if let Some(seat) = seat(&text) {
                        return Ok(seat);
                    }
                }
                Heard::Signal(_) => {}
                Heard::Refused(text) => bail!("refused: {text}"),
                Heard::Ended(code) => bail!("the server ended the connection ({code:?})"),
            }
        }
    }

    /// Waits until Socket.IO has opened its session.
    async fn opened(&mut self) -> anyhow::Result<()> {
        loop {
            match self.hear().await? {
                Heard::Other(text) if text.starts_with("40") => return Ok(()),
                Heard::Other(_) | Heard::Signal(_) => {}
                Heard::Refused(text) => bail!("refused: {text}"),
                Heard::Ended(code) => bail!("the server ended the connection ({code:?})"),
            }
        }
    }

    /// Sends `signal` (see [`crate::message::signal`]) to someone in the room.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub async fn signal(&mut self, to: &str, signal: &str) -> anyhow::Result<()> {
        self.send(match self.wire {
            Wire::Echo | Wire::Parlor => format!(r#"{{"type":"signal","to":"{to}",{signal}}}"#),
            Wire::SocketIo => format!(r#"42["signal",{{"to":"{to}",{signal}}}]"#),
        })
        .await
    }

    /// Sends a text as it is.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub async fn send(&mut self, text: String) -> anyhow::Result<()> {
        match &mut self.io {
            Io::Lines(lines) => lines.send(text).await,
            Io::WebSocket(websocket) => Ok(websocket.send(Message::text(text)).await?),
        }
    }

    /// What comes next. Nothing is lost where the wait is given up.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub async fn hear(&mut self) -> anyhow::Result<Heard> {
        let websocket = match &mut self.io {
            Io::Lines(lines) => {
                return Ok(lines.next().await?.map_or(Heard::Ended(None), |line| Heard::Signal(line.into())));
            }
            Io::WebSocket(websocket) => websocket,
        };
        loop {
            match websocket.next().await {
                // Engine.IO's ping and pong.
                Some(Ok(Message::Text(text))) if self.wire == Wire::SocketIo && text.as_str() == "2" => {
                    websocket.send(Message::text("3")).await?;
                }
                Some(Ok(Message::Text(text))) => return Ok(heard(self.wire, text)),
                Some(Ok(Message::Close(frame))) => return Ok(Heard::Ended(frame.map(|frame| frame.code.into()))),
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(Error::ConnectionClosed)) | None => return Ok(Heard::Ended(None)),
                Some(Err(error)) => return Err(error).context("the connection broke"),
            }
        }
    }
}

fn heard(wire: Wire, text: Utf8Bytes) -> Heard {
    let starts = match wire {
        Wire::Echo | Wire::Parlor => [r#"{"type":"signal","#, r#"{"type":"error","#],
        Wire::SocketIo => [r#"42["signal","#, r#"42["error","#],
    };
    match starts.map(|start| text.starts_with(start)) {
        [true, _] => Heard::Signal(text),
        [_, true] => Heard::Refused(text),
        [false, false] => Heard::Other(text),
    }
}

/// The answer to a join, where it is that.
fn seat(text: &str) -> Option<Seat> {
    let joined: Value = match text.strip_prefix(r#"42["joined","#) {
        Some(rest) => serde_json::from_str(rest.strip_suffix(']')?).ok()?,
        None => serde_json::from_str(text).ok().filter(|message: &Value| message["type"] == "joined")?,
    };
    Some(Seat {
        id: joined["peer_id"].as_str()?.to_owned(),
        resume: joined["resume_token"].as_str().map(str::to_owned),
        resumed: joined["resumed"].as_bool().unwrap_or(false),
    })
}
