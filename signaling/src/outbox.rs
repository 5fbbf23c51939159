//! What waits to be sent to one client, bounded in bytes.
//!
//! When full, the client does not read: everything waiting is thrown away, `too_slow` takes its place, and the
//! connection closes.
//!
//! A client that reads is not worth waking a task for. So the pen, the half of its TCP connection that writes, lies in its
//! outbox, and whoever has added something writes it ([`Outbox::flush`]). The task takes the pen when there is something that only
//! it can do: pings, last words, and whatever a slow client leaves over.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::net::tcp::OwnedWriteHalf;

use crate::websocket::{TEXT, write_frame};

/// What a waiting message costs beside its text.
const OVERHEAD_BYTES: usize = 64;
/// Messages are put together into one write while they are shorter than this. They are under way then and no longer
/// count as waiting.
pub(crate) const WRITE_BYTES: usize = 16 * 1024;

/// The messages for one client, from the switchboard to the socket's task.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    bytes_max: usize,
    all: Arc<AllOutboxes>,
}

/// The bytes that wait in all outboxes together.
#[derive(Debug, Default)]
pub(crate) struct AllOutboxes(AtomicUsize);

impl AllOutboxes {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<String>,
    bytes: usize,
    /// Says that nothing is added any more, and what comes after the queue.
    last: Option<Item>,
    /// The socket's task, while it waits.
    waker: Option<Waker>,
    /// None while the task writes, and always where the connection is encrypted: then additions wake the task.
    pen: Option<OwnedWriteHalf>,
    /// What is left of frames that somebody else began to write, less than two writes of them. The task writes it before all else.
    rest: Vec<u8>,
}

/// A message was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// What waits now.
    pub(crate) bytes: usize,
    /// The task was not woken: whoever added this is to flush.
    pub(crate) needs_flush: bool,
}

/// What a task finds in its outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Nothing is added any more.
    pub(crate) is_ending: bool,
    /// There is something to be written.
    pub(crate) has_words: bool,
}

/// What the writer does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Send a text message.
    Message(String),
    /// Send a close frame; nothing follows.
    Close {
        /// The WebSocket close code.
        code: u16,
        /// A sentence.
        reason: &'static str,
    },
    /// Stop without a word: the client has ended the connection.
    Stop,
}

/// The outbox was full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Outbox {
    pub(crate) fn new(bytes_max: usize, all: Arc<AllOutboxes>) -> Self {
        Self { state: Mutex::default(), bytes_max, all }
    }

    /// What waits in it.
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Whether nothing is added any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.state().last.is_some()
    }

    /// Adds a message; nothing happens where the outbox closes already.
    ///
    /// # Errors
    /// [`Overflow`] where it does not fit. The message is not added.
    pub(crate) fn push(&self, message: String) -> Result<Pushed, Overflow> {
        let mut state = self.state();
        if state.last.is_some() {
            return Ok(Pushed { bytes: state.bytes, needs_flush: false });
        }
        let added = message.len() + OVERHEAD_BYTES;
        let bytes = state.bytes + added;
        if bytes > self.bytes_max {
            return Err(Overflow);
        }
        state.bytes = bytes;
        self.all.0.fetch_add(added, Ordering::Relaxed);
        state.queue.push_back(message);
        let needs_flush = state.pen.is_some();
        if !needs_flush {
            wake(state);
        }
        Ok(Pushed { bytes, needs_flush })
    }

    /// Writes what waits, where the pen is here. What the system does not take is the task's, and so are last words.
    pub(crate) fn flush(&self) {
        let mut state = self.state();
        while state.last.is_none() && state.rest.is_empty() && !state.queue.is_empty() && state.pen.is_some() {
            let mut frames = Vec::new();
            while frames.len() < WRITE_BYTES
                && let Some(message) = state.pop(&self.all)
            {
                write_frame(TEXT, message.as_bytes(), &mut frames);
            }
            // What is broken breaks again for the task, which ends then.
            let written = state.pen.as_ref().and_then(|pen| pen.try_write(&frames).ok()).unwrap_or(0);
            if written < frames.len() {
                frames.drain(..written);
                state.rest = frames;
                return wake(state);
            }
        }
    }

    /// Takes the pen, and what is to be written with it first; none where it is not here.
    pub(crate) fn take_pen(&self) -> Option<(OwnedWriteHalf, Vec<u8>)> {
        let mut state = self.state();
        let pen = state.pen.take()?;
        Some((pen, std::mem::take(&mut state.rest)))
    }

    /// Lets others write.
    ///
    /// # Errors
    /// The pen, where there is something to be written.
    pub(crate) fn lay_down(&self, pen: OwnedWriteHalf) -> Result<(), OwnedWriteHalf> {
        let mut state = self.state();
        if state.last.is_some() || !state.queue.is_empty() {
            return Err(pen);
        }
        state.pen = Some(pen);
        Ok(())
    }

    /// Ends the outbox with `last`, after what is waiting.
    pub(crate) fn close(&self, last: Item) {
        let mut state = self.state();
        state.last.get_or_insert(last);
        wake(state);
    }

    /// Ends the outbox with `message` and then `last`, in place of what is waiting.
    pub(crate) fn close_now(&self, message: String, last: Item) {
        let mut state = self.state();
        state.queue.clear();
        // The last words are few, and count for nobody.
        self.all.0.fetch_sub(std::mem::take(&mut state.bytes), Ordering::Relaxed);
        state.queue.push_back(message);
        drop(state);
        self.close(last);
    }

    /// The next thing to do; none where there is nothing now.
    pub(crate) fn take(&self) -> Option<Item> {
        let mut state = self.state();
        state.pop(&self.all).map(Item::Message).or_else(|| state.last.clone())
    }

    /// Looks whether there is anything to do. The task is woken when that changes, but for what is flushed.
    pub(crate) fn watch(&self, context: &Context<'_>) -> Watched {
        let mut state = self.state();
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        let is_ending = state.last.is_some();
        Watched { is_ending, has_words: is_ending || !state.queue.is_empty() || !state.rest.is_empty() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop(&mut self, all: &AllOutboxes) -> Option<String> {
        let message = self.queue.pop_front()?;
        let taken = (message.len() + OVERHEAD_BYTES).min(self.bytes);
        self.bytes -= taken;
        all.0.fetch_sub(taken, Ordering::Relaxed);
        // A client that is quiet again costs no more than before.
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(message)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let bytes = self.state().bytes;
        self.all.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Wakes the task that waits, after letting go of the lock that it will want.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn outbox(bytes_max: usize) -> Outbox {
        Outbox::new(bytes_max, Arc::default())
    }

    #[test]
    fn what_waits_everywhere_is_known_whatever_becomes_of_it() {
        let all = Arc::<AllOutboxes>::default();
        let outboxes = [(); 3].map(|()| Outbox::new(1_000, Arc::clone(&all)));
        for outbox in &outboxes {
            let pushed = outbox.push("0123456789".into()).unwrap();
            assert_eq!(pushed, Pushed { bytes: OVERHEAD_BYTES + 10, needs_flush: false });
        }
        assert_eq!(all.bytes(), 3 * (OVERHEAD_BYTES + 10));
        let [read, cut, dropped] = outboxes;
        read.take();
        cut.close_now("too slow".into(), Item::Stop);
        cut.take();
        assert_eq!((all.bytes(), dropped.bytes()), (OVERHEAD_BYTES + 10, OVERHEAD_BYTES + 10));
        drop(dropped);
        assert_eq!(all.bytes(), 0);
    }

    #[test]
    fn messages_come_out_in_order_and_the_close_last() {
        let outbox = outbox(1_000);
        outbox.push("a".into()).unwrap();
        outbox.push("b".into()).unwrap();
        let watched = outbox.watch(&Context::from_waker(Waker::noop()));
        assert_eq!(watched, Watched { is_ending: false, has_words: true });
        outbox.close(Item::Close { code: 4002, reason: "why" });
        outbox.push("too late".into()).unwrap();
        assert_eq!(outbox.take(), Some(Item::Message("a".into())));
        assert_eq!(outbox.take(), Some(Item::Message("b".into())));
        assert_eq!(outbox.take(), Some(Item::Close { code: 4002, reason: "why" }));
        assert!(outbox.watch(&Context::from_waker(Waker::noop())).is_ending);
    }

    #[test]
    fn what_is_taken_makes_room() {
        let outbox = outbox(2 * (OVERHEAD_BYTES + 10));
        let message = || "0123456789".to_owned();
        assert!(outbox.push(message()).is_ok());
        assert!(outbox.push(message()).is_ok());
        assert_eq!(outbox.push(message()), Err(Overflow));
        outbox.take();
        assert!(outbox.push(message()).is_ok());
    }

    #[test]
    fn an_outbox_closed_now_drops_what_was_waiting() {
        let outbox = outbox(1_000);
        outbox.push("a".into()).unwrap();
        outbox.close_now("too slow".into(), Item::Stop);
        assert_eq!(outbox.take(), Some(Item::Message("too slow".into())));
        assert_eq!(outbox.take(), Some(Item::Stop));
    }

    #[tokio::test]
    async fn whatever_changes_wakes_the_task_that_watches() {
        let outbox = outbox(100);
        let changes: [&dyn Fn(); 3] =
            [&|| drop(outbox.push("a".into())), &|| outbox.close_now("b".into(), Item::Stop), &|| {
                outbox.close(Item::Stop)
            }];
        for change in changes {
            let mut is_first = true;
            let woken = std::future::poll_fn(|context| {
                if !std::mem::take(&mut is_first) {
                    return std::task::Poll::Ready(());
                }
                outbox.watch(context);
                change();
                std::task::Poll::Pending
            });
            // Without the wake it would never be polled again.
            woken.await;
        }
    }

    /// Both ends of a connection over loopback.
    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        server.writable().await.unwrap();
        (client, server)
    }

    #[tokio::test]
    async fn what_is_flushed_goes_out_in_one_write_and_wakes_nobody() {
        let (client, server) = connected().await;
        let (_reads, pen) = server.into_split();
        let outbox = outbox(10_000);
        outbox.lay_down(pen).unwrap();
        let (waker, wakes) = counting();
        outbox.watch(&Context::from_waker(&waker));
        for text in ["a", "bc"] {
            assert!(outbox.push(text.into()).unwrap().needs_flush);
        }
        outbox.flush();
        assert_eq!((outbox.bytes(), wakes.count()), (0, 0));
        let mut heard = [0; 16];
        client.readable().await.unwrap();
        let count = client.try_read(&mut heard).unwrap();
        assert_eq!(heard[..count], *b"\x81\x01a\x81\x02bc");
        outbox.close(Item::Stop);
        assert_eq!(wakes.count(), 1, "last words are the task's");
    }

    #[tokio::test]
    async fn what_a_slow_client_leaves_over_is_the_tasks_and_nothing_overtakes_it() {
        let (mut client, server) = connected().await;
        let (_reads, pen) = server.into_split();
        let outbox = outbox(1_000_000);
        outbox.lay_down(pen).unwrap();
        let (waker, wakes) = counting();
        let is_full = || outbox.watch(&Context::from_waker(&waker)).has_words;
        let mut said = Vec::new();
        while !is_full() {
            let message = format!("{:0>30000}", said.len());
            write_frame(TEXT, message.as_bytes(), &mut said);
            outbox.push(message).unwrap();
            outbox.flush();
        }
        assert_eq!(wakes.count(), 1);
        write_frame(TEXT, b"later", &mut said);
        outbox.push("later".into()).unwrap();
        outbox.flush();
        let (mut pen, rest) = outbox.take_pen().unwrap();
        assert!(!outbox.push("last".into()).unwrap().needs_flush, "the task has the pen");
        write_frame(TEXT, b"last", &mut said);
        let task = async {
            pen.write_all(&rest).await.unwrap();
            while let Some(Item::Message(text)) = outbox.take() {
                let mut frame = Vec::new();
                write_frame(TEXT, text.as_bytes(), &mut frame);
                pen.write_all(&frame).await.unwrap();
            }
            outbox.lay_down(pen).unwrap();
        };
        let mut heard = vec![0; said.len()];
        let ((), read) = tokio::join!(task, client.read_exact(&mut heard));
        read.unwrap();
        assert!(heard == said, "all that was said, in order");
    }

    /// A waker that counts.
    fn counting() -> (Waker, Arc<Count>) {
        let count = Arc::<Count>::default();
        (Waker::from(Arc::clone(&count)), count)
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Count {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
