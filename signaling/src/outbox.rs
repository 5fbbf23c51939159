//! What waits to be sent to one client, bounded in bytes.
//!
//! When full, the client does not read: everything waiting is thrown away, `too_slow` takes its place, and the
//! connection closes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// What a waiting message costs beside its text.
const OVERHEAD_BYTES: usize = 64;

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
        wake(state);
        Ok(bytes)
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
        match state.queue.pop_front() {
            Some(message) => {
                let taken = (message.len() + OVERHEAD_BYTES).min(state.bytes);
                state.bytes -= taken;
                self.all.0.fetch_sub(taken, Ordering::Relaxed);
                // A client that is quiet again costs no more than before.
                if state.queue.is_empty() {
                    state.queue = VecDeque::new();
                }
                Some(Item::Message(message))
            }
            None => state.last.clone(),
        }
    }

    /// Whether the outbox is about to end. The task is woken when anything changes.
    pub(crate) fn watch(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        state.last.is_some()
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
    use super::*;

    fn outbox(bytes_max: usize) -> Outbox {
        Outbox::new(bytes_max, Arc::default())
    }

    #[test]
    fn what_waits_everywhere_is_known_whatever_becomes_of_it() {
        let all = Arc::<AllOutboxes>::default();
        let outboxes = [(); 3].map(|()| Outbox::new(1_000, Arc::clone(&all)));
        for outbox in &outboxes {
            assert_eq!(outbox.push("0123456789".into()), Ok(OVERHEAD_BYTES + 10));
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
        assert!(!outbox.watch(&Context::from_waker(Waker::noop())));
        outbox.close(Item::Close { code: 4002, reason: "why" });
        outbox.push("too late".into()).unwrap();
        assert_eq!(outbox.take(), Some(Item::Message("a".into())));
        assert_eq!(outbox.take(), Some(Item::Message("b".into())));
        assert_eq!(outbox.take(), Some(Item::Close { code: 4002, reason: "why" }));
        assert!(outbox.watch(&Context::from_waker(Waker::noop())));
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
}
