//! Waking a thread that waits for work.

use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

/// Wakes one thread; cheap to clone, safe to use from an audio callback (an atomic and, if it sleeps, one system call).
///
/// A wake-up is never lost: one that comes while the thread works makes its next wait return at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waker {
    thread: Arc<OnceLock<Thread>>,
}

impl Waker {
    /// Makes the calling thread the one to wake. It must look for work once after this and before its first wait.
    pub(crate) fn attach(&self) {
        // A second call finds the same thread there.
        let _ = self.thread.set(std::thread::current());
    }

    /// Wakes the thread, or keeps it from falling asleep.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Waits, on the attached thread, until woken or until the time is over; may return early.
    pub(crate) fn wait(timeout: Option<Duration>) {
        match timeout {
            Some(timeout) => std::thread::park_timeout(timeout),
            None => std::thread::park(),
        }
    }
}
