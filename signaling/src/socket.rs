//! One WebSocket: reads it for the hub, writes its outbox, ends it so that the client learns why.
//!
//! One task does both, so that a connection costs one small allocation while it is quiet; buffers are there only while
//! something is on its way.

use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use parlor_proto::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::config::SocketConfig;
use crate::hub::budget::Budget;
use crate::hub::{CloseKind, ConnId};
use crate::outbox::{Item, Outbox, WRITE_BYTES};
use crate::switchboard::{Switchboard, Turn};
use crate::websocket::{Broken, CLOSE, Heard, PING, PONG, Reader, TEXT, write_close, write_frame};
use crate::wire::Wire;

/// Read at once, on the stack. 16 KiB: what comes together, such as the candidates of a call that begins, in one go.
const READ_BYTES: usize = 16 * 1024;
/// So often in one turn: a flood leaves the processor to others after some hundred messages.
const READS_IN_A_TURN: u32 = 4;
/// RFC 6455 §7.4.1: against the protocol.
const PROTOCOL_ERROR: u16 = 1002;
/// RFC 6455 §7.4.1: a text message that is not UTF-8.
const INVALID_PAYLOAD: u16 = 1007;

/// Pings and pongs a client may send at once. They need no answer from the hub, and none of ours sends more than one in
/// some seconds.
const CONTROL_FRAME_BURST: u32 = 60;
/// Pings and pongs a second that a client earns back.
const CONTROL_FRAMES_PER_SEC: u32 = 10;

/// Runs a WebSocket after its upgrade, to its end. What came together with the request for it is read first.
pub(crate) async fn run(
    io: impl Wire,
    mut early: Vec<u8>,
    address: IpAddr,
    switchboard: &Switchboard,
    config: &SocketConfig,
) {
    let Some((conn, outbox)) = switchboard.open(address) else { return };
    tracing::debug!(%conn, "opened");
    let mut socket = Socket::new(io, conn, switchboard, &outbox, config);
    socket.handle_bytes(&mut Turn::default(), &mut early);
    drop(early);
    {
        let mut timer = std::pin::pin!(sleep_until(socket.next_deadline()));
        std::future::poll_fn(|context| socket.poll(context, timer.as_mut())).await;
    }
    // Ignored where the hub knows of the end already.
    switchboard.close(conn, CloseKind::Lost);
    socket.io.take_pen(&outbox);
    // Nothing is left to say to a client that does not end.
    let _ = timeout(config.close_grace, linger(&mut socket.io)).await;
    tracing::debug!(%conn, "closed");
}

/// Waits for the client to end its side. Closed with unread bytes, a TCP connection is reset, and the client would
/// never read our last words.
async fn linger(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    io.shutdown().await?;
    std::future::poll_fn(|context| {
        loop {
            let mut unread = [MaybeUninit::uninit(); 1_024];
            let mut unread = ReadBuf::uninit(&mut unread);
            match Pin::new(&mut *io).poll_read(context, &mut unread) {
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => {}
                other => return other,
            }
        }
    })
    .await
}

/// A WebSocket while messages are exchanged.
struct Socket<'a, IO> {
    io: IO,
    conn: ConnId,
    switchboard: &'a Switchboard,
    outbox: &'a Outbox,
    config: &'a SocketConfig,
    reader: Reader,
    /// Whether what the client says still matters.
    is_reading: bool,
    heard_at: Instant,
    control_frames: Budget,
    ping_at: Instant,
    /// When the time for the last words is up.
    cut_at: Option<Instant>,
    writer: Writer,
}

/// What is being written.
#[derive(Default)]
struct Writer {
    /// Whole frames.
    bytes: Vec<u8>,
    /// How much of them is out.
    written: usize,
    needs_flush: bool,
    /// Nothing comes after these frames.
    is_last: bool,
    is_ping_due: bool,
    /// The content of a ping that is to be answered; the newest is enough (RFC 6455 §5.5.3).
    pong: Option<Vec<u8>>,
    /// The client has closed, with this code; the answer takes the place of everything that waits.
    answer: Option<Option<u16>>,
}

impl<'a, IO: Wire> Socket<'a, IO> {
    fn new(io: IO, conn: ConnId, switchboard: &'a Switchboard, outbox: &'a Outbox, config: &'a SocketConfig) -> Self {
        let now = Instant::now();
        Self {
            io,
            conn,
            switchboard,
            outbox,
            config,
            reader: Reader::new(switchboard.message_bytes_max()),
            is_reading: true,
            heard_at: now,
            control_frames: Budget::new(CONTROL_FRAME_BURST, CONTROL_FRAMES_PER_SEC, now.into()),
            ping_at: now + config.ping_interval,
            cut_at: None,
            writer: Writer::default(),
        }
    }

    /// Reads and writes until both are done, or the time for the last words is up.
    fn poll(&mut self, context: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<()> {
        loop {
            self.read(context);
            // From here on, whatever is added to the outbox for this task to write wakes it.
            let watched = self.outbox.watch(context);
            if watched.is_ending && self.cut_at.is_none() {
                self.cut_at = Some(Instant::now() + self.config.close_grace);
                timer.as_mut().reset(self.next_deadline());
            }
            let has_words = watched.has_words || self.writer.has_words();
            if has_words && self.writer.poll(&mut self.io, self.outbox, context).is_ready() {
                return Poll::Ready(());
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if self.handle_timeout(Instant::now()).is_break() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.next_deadline());
        }
    }

    /// Reads what is there, and after a fair share of it lets others have their turn.
    fn read(&mut self, context: &mut Context<'_>) {
        let mut turn = Turn::default();
        for _ in 0..READS_IN_A_TURN {
            if !self.is_reading {
                return;
            }
            let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
            let mut bytes = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut self.io).poll_read(context, &mut bytes) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if !bytes.filled().is_empty() => {
                    self.handle_bytes(&mut turn, bytes.filled_mut());
                }
                Poll::Ready(Ok(())) => self.end(CloseKind::Lost),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(conn = %self.conn, %error, "broken");
                    self.end(CloseKind::Lost);
                }
            }
        }
        context.waker().wake_by_ref();
    }

    fn handle_bytes(&mut self, turn: &mut Turn, bytes: &mut [u8]) {
        let unread = Reader::new(self.switchboard.message_bytes_max());
        let mut reader = std::mem::replace(&mut self.reader, unread);
        let outcome = reader.feed(bytes, |heard| self.handle_heard(turn, heard));
        self.reader = reader;
        if let Err(broken) = outcome {
            self.give_up(broken);
        }
    }

    /// Breaks off where nothing more shall be read.
    fn handle_heard(&mut self, turn: &mut Turn, heard: Heard<'_>) -> ControlFlow<()> {
        // Only now: who sends a message byte by byte says nothing for as long as that takes.
        self.heard_at = Instant::now();
        match heard {
            Heard::Text(text) => self.switchboard.message(turn, self.conn, text),
            Heard::Binary(bytes) => self.switchboard.binary(self.conn, bytes),
            Heard::Ping(content) => {
                self.writer.pong = Some(content.to_vec());
                self.count_control_frame();
            }
            Heard::Pong => self.count_control_frame(),
            Heard::Close(code) => {
                self.writer.answer = Some(code);
                self.end(CloseKind::from_close_code(code));
            }
        }
        if self.is_reading { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn count_control_frame(&mut self) {
        if self.control_frames.take(self.heard_at.into()).is_err() {
            self.refuse(ErrorCode::Flooding);
        }
    }

    /// The client has ended the connection, or is gone.
    fn end(&mut self, kind: CloseKind) {
        self.is_reading = false;
        self.switchboard.close(self.conn, kind);
    }

    /// The client does what ends its connection.
    fn refuse(&mut self, code: ErrorCode) {
        self.is_reading = false;
        self.switchboard.refuse(self.conn, code);
    }

    /// The client sent what cannot be read on.
    fn give_up(&mut self, broken: Broken) {
        tracing::debug!(conn = %self.conn, %broken, "broken");
        self.is_reading = false;
        let (conn, switchboard) = (self.conn, self.switchboard);
        let close = |code, reason| switchboard.close_with(conn, CloseKind::Lost, Item::Close { code, reason });
        match broken {
            Broken::TooLarge => switchboard.refuse(conn, ErrorCode::MessageTooLarge),
            Broken::NotUtf8 => {
                switchboard.refuse(conn, ErrorCode::Malformed);
                close(INVALID_PAYLOAD, "This is not UTF-8.");
            }
            Broken::Protocol(reason) => close(PROTOCOL_ERROR, reason),
        }
    }

    fn next_deadline(&self) -> Instant {
        let alive = self.ping_at.min(self.heard_at + self.config.silence_max);
        let alive = self.is_reading.then_some(alive);
        // Who is not read from any more is being ended: the outbox closes, if it has not yet, and wakes the task.
        let far = || Instant::now() + Duration::from_secs(60);
        alive.into_iter().chain(self.cut_at).min().unwrap_or_else(far)
    }

    /// Pings, or notices that the client is silent or its time is up; then it breaks off.
    fn handle_timeout(&mut self, now: Instant) -> ControlFlow<()> {
        if self.cut_at.is_some_and(|cut_at| cut_at <= now) {
            return ControlFlow::Break(());
        }
        if self.is_reading && self.heard_at + self.config.silence_max <= now {
            tracing::debug!(conn = %self.conn, "silent for too long");
            self.refuse(ErrorCode::Idle);
        } else if self.ping_at <= now {
            self.writer.is_ping_due = true;
            self.ping_at = now + self.config.ping_interval;
        }
        ControlFlow::Continue(())
    }
}

impl Writer {
    /// Whether there is something to be written, beside what is in the outbox.
    fn has_words(&self) -> bool {
        let has_control = self.is_ping_due || self.pong.is_some() || self.answer.is_some();
        has_control || self.is_last || self.needs_flush || !self.bytes.is_empty()
    }

    /// Writes what is due; ready when the last word is out, or the connection broken.
    fn poll(&mut self, io: &mut impl Wire, outbox: &Outbox, context: &mut Context<'_>) -> Poll<()> {
        loop {
            while self.written < self.bytes.len() {
                match Pin::new(&mut *io).poll_write(context, &self.bytes[self.written..]) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(written)) => self.written += written,
                }
                self.needs_flush = true;
            }
            (self.bytes, self.written) = (Vec::new(), 0);
            self.fill(io, outbox);
            if self.bytes.is_empty() && (self.is_last || io.lay_down(outbox)) {
                break;
            }
        }
        if self.needs_flush {
            match Pin::new(io).poll_flush(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.needs_flush = false,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
            }
        }
        if self.is_last { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes what is to be written next.
    fn fill(&mut self, io: &mut impl Wire, outbox: &Outbox) {
        if self.is_last {
            return;
        }
        self.bytes = io.take_pen(outbox);
        if let Some(code) = self.answer {
            self.is_last = true;
            return match code {
                Some(code) => write_close(code, "", &mut self.bytes),
                None => write_frame(CLOSE, b"", &mut self.bytes),
            };
        }
        if let Some(content) = self.pong.take() {
            write_frame(PONG, &content, &mut self.bytes);
        }
        if std::mem::take(&mut self.is_ping_due) {
            write_frame(PING, b"", &mut self.bytes);
        }
        while self.bytes.len() < WRITE_BYTES && !self.is_last {
            match outbox.take() {
                None => return,
                Some(Item::Message(text)) => write_frame(TEXT, text.as_bytes(), &mut self.bytes),
                Some(Item::Close { code, reason }) => {
                    write_close(code, reason, &mut self.bytes);
                    self.is_last = true;
                }
                Some(Item::Stop) => self.is_last = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The first cells of the table under a heading of the protocol's document.
    fn column(heading: &str) -> Vec<&'static str> {
        let document = include_str!("../proto/PROTOCOL.md");
        let (_, section) = document.split_once(&format!("## {heading}\n")).expect(heading);
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        rows.filter(|cell| cell.starts_with(|c: char| c == '`' || c.is_ascii_digit())).collect()
    }

    #[test]
    fn every_close_code_that_the_server_sends_is_in_the_document_and_no_other() {
        let said: BTreeSet<u16> = column("Close codes").into_iter().map(|code| code.parse().unwrap()).collect();
        let codes = column("Error codes").into_iter().map(|name| name.trim_matches('`'));
        let codes = codes.map(|name| serde_json::from_value::<ErrorCode>(name.into()).unwrap());
        let mut sent: BTreeSet<u16> = codes.filter_map(ErrorCode::close_code).collect();
        assert!(sent.len() > 6, "{sent:?}");
        sent.extend([PROTOCOL_ERROR, INVALID_PAYLOAD]);
        assert_eq!(said, sent);
    }
}
