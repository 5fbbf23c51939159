//! Clients that misbehave, each in its own way, for a bounded time, and how the server ended them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::{Client, Heard, Socket, Target, raw};
use crate::message::{self, Stamp};

/// The largest message of the protocol.
const MESSAGE_BYTES_MAX: usize = parlor_proto::MESSAGE_BYTES_MAX;
/// Between two attempts of an abuser that is ended at once.
const AGAIN: Duration = Duration::from_millis(50);
/// The numbers of abusers: other source addresses, other names than those of honest clients.
const FIRST_NUMBER: usize = 1_000_003;

/// What one kind of abuser met with.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ends {
    /// Connections made.
    pub connections: u64,
    /// Messages sent.
    pub sent: u64,
    /// Refusals heard, by code.
    pub refused: BTreeMap<String, u64>,
    /// Connections ended by the server, by close code; `none` without one.
    pub closed: BTreeMap<String, u64>,
}

/// What each kind of abuser met with.
pub type Report = BTreeMap<String, Ends>;

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Sends as fast as it can.
    Flood,
    /// Sends its request one byte a second.
    SlowRequest,
    /// Sends a message one byte a second.
    SlowMessage,
    /// Connects and says nothing.
    HalfOpen,
    /// Reads nothing of what another sends to it.
    SlowReader,
    /// Sends a message one byte over what is allowed.
    TooLarge,
    /// Sends JSON as deep as a message can hold.
    Deep,
    /// Sends JSON a million deep.
    DeepAndLarge,
}

impl Kind {
    /// All of them, and how many there are of each.
    pub const ALL: [(Self, usize); 8] = [
        (Self::Flood, 1),
        (Self::SlowRequest, 10),
        (Self::SlowMessage, 10),
        (Self::HalfOpen, 20),
        (Self::SlowReader, 1),
        (Self::TooLarge, 1),
        (Self::Deep, 1),
        (Self::DeepAndLarge, 1),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::SlowRequest => "slow_request",
            Self::SlowMessage => "slow_message",
            Self::HalfOpen => "half_open",
            Self::SlowReader => "slow_reader",
            Self::TooLarge => "too_large",
            Self::Deep => "deep",
            Self::DeepAndLarge => "deep_and_large",
        }
    }
}

/// How long abusers go on.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// All of them.
    pub duration: Duration,
    /// Connections of each.
    pub connections: u64,
    /// Messages of a flood on one connection.
    pub flood: u64,
}

/// Lets these kinds misbehave within bounds.
pub async fn run(target: &Target, kinds: &[(Kind, usize)], bounds: Bounds) -> Report {
    let until = Instant::now() + bounds.duration;
    let mut abusers = JoinSet::new();
    let mut number = FIRST_NUMBER;
    for &(kind, count) in kinds {
        for _ in 0..count {
            let abuser = Abuser { target: target.clone(), number, bounds, until };
            number += 2;
            abusers.spawn(async move { (kind, abuser.run(kind).await) });
        }
    }
    let mut report = Report::new();
    while let Some(end) = abusers.join_next().await {
        let Ok((kind, ends)) = end else { continue };
        report.entry(kind.name().to_owned()).or_default().add(ends);
    }
    report
}

impl Ends {
    fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.sent += other.sent;
        for (all, more) in [(&mut self.refused, other.refused), (&mut self.closed, other.closed)] {
            for (code, count) in more {
                *all.entry(code).or_default() += count;
            }
        }
    }

    /// Counts what was heard; whether the connection goes on.
    fn hear(&mut self, heard: anyhow::Result<Heard>) -> bool {
        match heard {
            Ok(Heard::Refused(text)) => {
                let code = serde_json::from_str::<serde_json::Value>(&text).ok();
                let code = code.and_then(|error| error["code"].as_str().map(str::to_owned)).unwrap_or_default();
                *self.refused.entry(code).or_default() += 1;
                return true;
            }
            Ok(Heard::Signal(_) | Heard::Other(_)) => return true,
            Ok(Heard::Ended(Some(code))) => self.close(&code.to_string()),
            Ok(Heard::Ended(None)) | Err(_) => self.close("none"),
        }
        false
    }

    fn close(&mut self, code: &str) {
        *self.closed.entry(code.to_owned()).or_default() += 1;
    }
}

struct Abuser {
    target: Target,
    number: usize,
    bounds: Bounds,
    until: Instant,
}

impl Abuser {
    async fn run(&self, kind: Kind) -> Ends {
        let mut ends = Ends::default();
        for _ in 0..self.bounds.connections {
            // Past its time, an abuser just goes.
            let _ = timeout_at(self.until, self.once(kind, &mut ends)).await;
            if timeout_at(self.until, sleep(AGAIN)).await.is_err() {
                break;
            }
        }
        ends
    }

    /// One connection, to its end. A server that takes no connection has ended it too.
    async fn once(&self, kind: Kind, ends: &mut Ends) {
        let outcome = match kind {
            Kind::Flood => self.flood(ends).await,
            Kind::SlowRequest => self.slow_request(ends).await,
            Kind::SlowMessage => self.slow_message(ends).await,
            Kind::HalfOpen => self.half_open(ends).await,
            Kind::SlowReader => self.slow_reader(ends).await,
            Kind::TooLarge => self.say("x".repeat(MESSAGE_BYTES_MAX + 1), ends).await,
            Kind::Deep => self.say("[".repeat(MESSAGE_BYTES_MAX), ends).await,
            Kind::DeepAndLarge => self.say("[".repeat(1_000_000), ends).await,
        };
        if outcome.is_err() {
            ends.close("none");
        }
    }

    /// In a room of this number.
    async fn entered(&self, room: u64, number: usize, ends: &mut Ends) -> anyhow::Result<(Client, String)> {
        let mut client = Client::connect(&self.target, number).await?;
        ends.connections += 1;
        let seat = client.enter(&format!("abuse-{}-{room}", self.number), "Eve", None).await?;
        Ok((client, seat.id))
    }

    async fn flood(&self, ends: &mut Ends) -> anyhow::Result<()> {
        let (mut client, id) = self.entered(ends.connections, self.number, ends).await?;
        let signal = message::signal(Stamp { sent_ns: 0, number: 1 });
        for _ in 0..self.bounds.flood {
            client.signal(&id, &signal).await?;
            ends.sent += 1;
            // What has been answered so far; the answers keep coming, so that none fills up.
            while let Ok(heard) = timeout_at(Instant::now(), client.hear()).await {
                if !ends.hear(heard) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn slow_request(&self, ends: &mut Ends) -> anyhow::Result<()> {
        let socket = raw(&self.target, self.number).await?;
        let request = format!("GET /ws HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(1_000));
        self.drip(socket, request.as_bytes(), ends).await
    }

    async fn slow_message(&self, ends: &mut Ends) -> anyhow::Result<()> {
        let mut socket = raw(&self.target, self.number).await?;
        let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(socket.read_u8().await?);
        }
        // A masked text of 1,000 bytes.
        let message = [&b"\x81\xfe\x03\xe8\0\0\0\0"[..], &[b'x'; 1_000]].concat();
        self.drip(socket, &message, ends).await
    }

    /// One byte a second, until the server ends the connection.
    async fn drip(&self, mut socket: Socket, bytes: &[u8], ends: &mut Ends) -> anyhow::Result<()> {
        ends.connections += 1;
        let mut unread = [0; 1_024];
        for byte in bytes {
            socket.write_all(&[*byte]).await?;
            socket.flush().await?;
            let next = Instant::now() + Duration::from_secs(1);
            while let Ok(read) = timeout_at(next, socket.read(&mut unread)).await {
                if read? == 0 {
                    ends.close("none");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn half_open(&self, ends: &mut Ends) -> anyhow::Result<()> {
        let plain = Target { tls: false, ..self.target.clone() };
        let mut socket = raw(&plain, self.number).await?;
        ends.connections += 1;
        let mut unread = [0; 1_024];
        while socket.read(&mut unread).await? > 0 {}
        ends.close("none");
        Ok(())
    }

    /// Two of them: one sends large descriptions to the other, who does not read until it was ended.
    async fn slow_reader(&self, ends: &mut Ends) -> anyhow::Result<()> {
        let room = ends.connections;
        let (mut reader, id) = self.entered(room, self.number, ends).await?;
        let (mut writer, _) = self.entered(room, self.number + 1, ends).await?;
        let sdp = "x".repeat(MESSAGE_BYTES_MAX - 1_000);
        let signal = format!(r#""connection":"c","signal":{{"kind":"offer","sdp":"{sdp}","streams":[]}}"#);
        // `unknown_peer` says that the reader was cut.
        while !ends.refused.contains_key("unknown_peer") {
            writer.signal(&id, &signal).await?;
            ends.sent += 1;
            while let Ok(heard) = timeout_at(Instant::now(), writer.hear()).await {
                if !ends.hear(heard) {
                    return Ok(());
                }
            }
        }
        ends.refused.remove("unknown_peer");
        while ends.hear(reader.hear().await) {}
        Ok(())
    }

    /// Says one thing and waits for what comes of it, at most a second.
    async fn say(&self, text: String, ends: &mut Ends) -> anyhow::Result<()> {
        let (mut client, _) = self.entered(ends.connections, self.number, ends).await?;
        let patience = Instant::now() + Duration::from_secs(1);
        ends.sent += 1;
        // The server may close while this is being written; its last words are there to be read all the same.
        let _ = timeout_at(patience, client.send(text)).await;
        while let Ok(heard) = timeout_at(patience, client.hear()).await {
            let is_refusal = matches!(heard, Ok(Heard::Refused(_)));
            if !ends.hear(heard) {
                return Ok(());
            }
            if is_refusal && !ends.refused.contains_key("message_too_large") {
                return Ok(());
            }
        }
        Ok(())
    }
}
