//! A slot for one value in which the latest wins: for pictures, where an old one is worth nothing.
//!
//! Any number of readers look at it, each at its own pace; a writer never waits. A value that is replaced before
//! anybody saw it is counted. Waiting checks under the lock, so no wake-up is lost.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Called after each send, on the sender's thread; it must not block.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// A new, empty slot.
pub fn slot<T: Clone>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            value: None,
            version: 0,
            seen: true,
            overwritten: 0,
            closed: false,
            senders: 1,
            waker: None,
        }),
        changed: Condvar::new(),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, looked_at: 0, missed: 0 })
}

/// Writes into a slot; when the last one goes, the slot is closed.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Reads from a slot; each clone remembers by itself what it has seen.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    looked_at: u64,
    missed: u64,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    value: Option<T>,
    /// Counts sends.
    version: u64,
    /// Whether any reader took the value that lies there.
    seen: bool,
    overwritten: u64,
    closed: bool,
    senders: usize,
    waker: Option<Waker>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in this module panics while it holds the lock, and a value is replaced as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Sender<T> {
    /// Puts `value` in the place of what was there.
    pub fn send(&self, value: T) {
        let (old, waker) = {
            let mut state = self.shared.lock();
            if !state.seen {
                state.overwritten += 1;
            }
            state.version += 1;
            state.seen = false;
            let old = state.value.replace(value);
            (old, state.waker.clone())
        };
        // Woken under the lock, a reader would only wait for it.
        self.shared.changed.notify_all();
        // Freeing a picture and waking a window are nothing to do under the lock.
        drop(old);
        if let Some(waker) = waker {
            waker();
        }
    }

    /// Takes the value away without counting it: there is no picture any more.
    pub fn clear(&self) {
        let (old, waker) = {
            let mut state = self.shared.lock();
            state.seen = true;
            (state.value.take(), state.waker.clone())
        };
        if old.is_some()
            && let Some(waker) = waker
        {
            waker();
        }
    }

    /// How many values were replaced before any reader took them.
    pub fn overwritten(&self) -> u64 {
        self.shared.lock().overwritten
    }

    /// Ends the slot: readers that wait return at once.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }

    /// One more reader, to which the present value is new.
    pub fn subscribe(&self) -> Receiver<T> {
        let looked_at = {
            let state = self.shared.lock();
            state.version.saturating_sub(u64::from(state.value.is_some()))
        };
        Receiver { shared: self.shared.clone(), looked_at, missed: 0 }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.senders -= 1;
        if state.senders == 0 {
            state.closed = true;
            self.shared.changed.notify_all();
        }
    }
}

impl<T: Clone> Receiver<T> {
    /// The value, if there came one since this reader last took one.
    pub fn take_new(&mut self) -> Option<T> {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        self.take_from(&mut state)
    }

    /// The value that lies there, seen before or not.
    pub fn peek(&self) -> Option<T> {
        self.shared.lock().value.clone()
    }

    /// Waits for a value newer than the last one taken; `None` after `timeout` or when the slot is closed.
    pub fn wait(&mut self, timeout: Duration) -> Option<T> {
        let deadline = Instant::now().checked_add(timeout);
        let shared = self.shared.clone();
        let mut state = shared.lock();
        loop {
            if let Some(value) = self.take_from(&mut state) {
                return Some(value);
            }
            if state.closed {
                return None;
            }
            state = match deadline {
                None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Has `waker` called after each send from now on; there is one for all readers, the last one set wins.
    pub fn set_waker(&self, waker: Waker) {
        self.shared.lock().waker = Some(waker);
    }

    /// How many values came and went between two looks of this reader.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Whether nothing will come any more.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    fn take_from(&mut self, state: &mut State<T>) -> Option<T> {
        if state.version == self.looked_at {
            return None;
        }
        let value = state.value.clone()?;
        self.missed += state.version - self.looked_at - 1;
        self.looked_at = state.version;
        state.seen = true;
        Some(value)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), looked_at: self.looked_at, missed: self.missed }
    }
}

impl<T> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> std::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("looked_at", &self.looked_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_latest_wins_and_the_others_are_counted() {
        let (sender, mut receiver) = slot();
        sender.send(1);
        sender.send(2);
        sender.send(3);
        assert_eq!(receiver.take_new(), Some(3));
        assert_eq!(receiver.take_new(), None);
        assert_eq!(receiver.peek(), Some(3));
        assert_eq!(sender.overwritten(), 2);
        assert_eq!(receiver.missed(), 2);
    }

    #[test]
    fn each_reader_sees_a_value_once() {
        let (sender, mut first) = slot();
        let mut second = first.clone();
        sender.send('a');
        assert_eq!(first.take_new(), Some('a'));
        sender.send('b');
        assert_eq!(first.take_new(), Some('b'));
        assert_eq!(second.take_new(), Some('b'));
        assert_eq!(second.take_new(), None);
        assert_eq!(sender.overwritten(), 0);
        assert_eq!((first.missed(), second.missed()), (0, 1));
        assert_eq!(sender.subscribe().take_new(), Some('b'));
    }

    #[test]
    fn a_value_sent_before_the_wait_is_not_waited_for() {
        let (sender, mut receiver) = slot();
        sender.send(7);
        assert_eq!(receiver.wait(LONG), Some(7));
        assert_eq!(receiver.wait(Duration::from_millis(1)), None);
    }

    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        let (ping, mut pinged) = slot();
        let (pong, mut ponged) = slot();
        let echo = std::thread::spawn(move || {
            while let Some(value) = pinged.wait(LONG) {
                pong.send(value);
            }
        });
        for round in 0..2_000 {
            ping.send(round);
            assert_eq!(ponged.wait(LONG), Some(round));
        }
        drop(ping);
        echo.join().unwrap();
    }

    #[test]
    fn a_wait_ends_when_the_last_sender_goes() {
        let (sender, mut receiver) = slot::<u8>();
        let other = sender.clone();
        let waiting = std::thread::spawn(move || receiver.wait(LONG));
        drop(sender);
        drop(other);
        assert_eq!(waiting.join().unwrap(), None);
    }

    #[test]
    fn the_waker_is_called_for_each_value() {
        let (sender, receiver) = slot();
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        receiver.set_waker(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        sender.send(1);
        sender.send(2);
        sender.clear();
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        assert_eq!(receiver.peek(), None);
    }
}
