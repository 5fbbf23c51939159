//! What waits to be sent to one client, bounded in bytes.
//!
//! When full, the client does not read: everything waiting is thrown away, `too_slow` takes its place, and the
//! connection closes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

/// What a waiting message costs beside its text.
const OVERHEAD_BYTES: usize = 64;

/// The messages for one client, from the switchboard to the socket's writer.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    added: Notify,
    closing: watch::Sender<bool>,
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
        Self { state: Mutex::default(), added: Notify::new(), closing: watch::Sender::new(false), bytes_max, all }
    }

    /// What waits in it.
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Adds a message and says how many bytes wait now; nothing happens where the outbox closes already.
    ///
    /// # Errors
    /// [`Overflow`] where it does not fit. The message is not added.
    pub(crate) fn push(&self, message: String) -> Result<usize, Overflow> {
        let mut state = self.state();
        if state.last.is_some() {
            return Ok(state.bytes);
        }
        let added = message.len() + OVERHEAD_BYTES;
        let bytes = state.bytes + added;
        if bytes > self.bytes_max {
            return Err(Overflow);
        }
        state.bytes = bytes;
        self.all.0.fetch_add(added, Ordering::Relaxed);
        state.queue.push_back(message);
        drop(state);
        self.added.notify_one();
        Ok(bytes)
    }

    /// Ends the outbox with `last`, after what is waiting.
    pub(crate) fn close(&self, last: Item) {
        let mut state = self.state();
        state.last.get_or_insert(last);
        drop(state);
        self.closing.send_replace(true);
        self.added.notify_one();
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

    /// The next thing to do, waiting for it. For one caller at a time; nothing is lost where the wait is given up.
    pub(crate) async fn next(&self) -> Item {
        loop {
            if let Some(item) = self.take() {
                return item;
            }
            self.added.notified().await;
        }
    }

    /// Waits until the outbox is about to end.
    pub(crate) async fn closing(&self) {
        // Cannot fail: the sender lives in `self`.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    fn take(&self) -> Option<Item> {
        let mut state = self.state();
        match state.queue.pop_front() {
            Some(message) => {
                let taken = (message.len() + OVERHEAD_BYTES).min(state.bytes);
                state.bytes -= taken;
                self.all.0.fetch_sub(taken, Ordering::Relaxed);
                Some(Item::Message(message))
            }
            None => state.last.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let bytes = self.state().bytes;
        self.all.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(bytes_max: usize) -> Outbox {
        Outbox::new(bytes_max, Arc::default())
    }

    #[tokio::test]
    async fn what_waits_everywhere_is_known_whatever_becomes_of_it() {
        let all = Arc::<AllOutboxes>::default();
        let outboxes = [(); 3].map(|()| Outbox::new(1_000, Arc::clone(&all)));
        for outbox in &outboxes {
            assert_eq!(outbox.push("0123456789".into()), Ok(OVERHEAD_BYTES + 10));
        }
        assert_eq!(all.bytes(), 3 * (OVERHEAD_BYTES + 10));
        let [read, cut, dropped] = outboxes;
        read.next().await;
        cut.close_now("too slow".into(), Item::Stop);
        cut.next().await;
        assert_eq!((all.bytes(), dropped.bytes()), (OVERHEAD_BYTES + 10, OVERHEAD_BYTES + 10));
        drop(dropped);
        assert_eq!(all.bytes(), 0);
    }

    #[tokio::test]
    async fn messages_come_out_in_order_and_the_close_last() {
        let outbox = outbox(1_000);
        outbox.push("a".into()).unwrap();
        outbox.push("b".into()).unwrap();
        outbox.close(Item::Close { code: 4002, reason: "why" });
        outbox.push("too late".into()).unwrap();
        assert_eq!(outbox.next().await, Item::Message("a".into()));
        assert_eq!(outbox.next().await, Item::Message("b".into()));
        assert_eq!(outbox.next().await, Item::Close { code: 4002, reason: "why" });
        outbox.closing().await;
    }

    #[tokio::test]
    async fn what_is_taken_makes_room() {
        let outbox = outbox(2 * (OVERHEAD_BYTES + 10));
        let message = || "0123456789".to_owned();
        assert!(outbox.push(message()).is_ok());
        assert!(outbox.push(message()).is_ok());
        assert_eq!(outbox.push(message()), Err(Overflow));
        outbox.next().await;
        assert!(outbox.push(message()).is_ok());
    }

    #[tokio::test]
    async fn an_outbox_closed_now_drops_what_was_waiting() {
        let outbox = outbox(1_000);
        outbox.push("a".into()).unwrap();
        outbox.close_now("too slow".into(), Item::Stop);
        assert_eq!(outbox.next().await, Item::Message("too slow".into()));
        assert_eq!(outbox.next().await, Item::Stop);
    }
}
