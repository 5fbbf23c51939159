//! Named threads whose panics are logged and which are joined when their owner goes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

/// A running thread; dropping it waits for its end, so tell the thread to stop first.
#[derive(Debug)]
pub struct JoinOnDrop {
    name: &'static str,
    handle: Option<JoinHandle<()>>,
}

/// Starts a thread with a name that debuggers and `top -H` show; a panic in it is logged, not swallowed.
///
/// # Errors
///
/// When the system starts no more threads.
pub fn spawn_named(name: &'static str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinOnDrop> {
    let logged = move || {
        let span = tracing::info_span!("thread", name);
        let _entered = span.enter();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            tracing::error!(thread = name, reason = panic_text(&*panic), "a thread panicked");
        }
    };
    let handle = std::thread::Builder::new().name(name.to_owned()).spawn(logged)?;
    Ok(JoinOnDrop { name, handle: Some(handle) })
}

impl JoinOnDrop {
    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Lets the thread run on without ever waiting for it: for code of others that may never return.
    pub fn detach(mut self) {
        self.handle = None;
    }
}

impl Drop for JoinOnDrop {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        if handle.thread().id() == std::thread::current().id() {
            // The thread dropped the last handle to itself: it is about to end anyway.
            return;
        }
        if handle.join().is_err() {
            tracing::error!(thread = self.name, "a thread ended with a panic");
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "unknown"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn dropping_waits_for_the_end() {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = ended.clone();
        let thread = spawn_named("test", move || flag.store(true, Ordering::SeqCst)).unwrap();
        drop(thread);
        assert!(ended.load(Ordering::SeqCst));
    }

    #[test]
    fn a_panic_ends_only_its_thread() {
        let thread = spawn_named("test", || panic!("expected in this test")).unwrap();
        drop(thread);
    }
}
