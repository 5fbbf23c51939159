//! What Redis has said to this server, and what is still to be heard of it.
//!
//! It is bounded. When it is full, nothing more is taken, and the stream ends after what waits: as after any other gap, the
//! link is then made anew and all rooms are read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, stream};
use redis::aio::SendError;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc;

/// Messages that may wait: news of each of the 10,000 rooms of a large server at once, as after an outage, and more.
const MESSAGES_MAX: usize = 16_384;
/// Their bytes. 32 MiB: what Redis itself lets wait for a listener (`client-output-buffer-limit pubsub`).
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Takes what Redis says, from within the connection: it never waits.
pub(super) struct Ear {
    /// None once it has ended.
    waiting: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    bytes: Arc<AtomicUsize>,
}

/// What it has taken, in order.
pub(super) struct Heard {
    waiting: mpsc::Receiver<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
}

pub(super) fn ear() -> (Ear, Heard) {
    let (sender, waiting) = mpsc::channel(MESSAGES_MAX);
    let bytes = Arc::<AtomicUsize>::default();
    (Ear { waiting: Mutex::new(Some(sender)), bytes: Arc::clone(&bytes) }, Heard { waiting, bytes })
}

impl Ear {
    /// Takes what it is told, or ends.
    pub(super) fn take(&self, push: PushInfo) -> Result<(), SendError> {
        let taken = match (push.kind, push.data.into_iter().nth(1)) {
            (PushKind::Message, Some(Value::BulkString(payload))) => self.put(payload),
            (PushKind::Disconnection, _) => Err(SendError),
            // Answers to what was asked, such as to be told of a channel.
            _ => Ok(()),
        };
        if taken.is_err() {
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        taken
    }

    fn put(&self, payload: Vec<u8>) -> Result<(), SendError> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*waiting else { return Ok(()) };
        let length = payload.len();
        let held = self.bytes.fetch_add(length, Ordering::Relaxed) + length;
        if held <= BYTES_MAX && sender.try_send(payload).is_ok() {
            return Ok(());
        }
        tracing::warn!(bytes = held, "the other servers say more than this one reads; its rooms are read anew");
        Err(SendError)
    }
}

impl Heard {
    /// The messages, for as long as `connection` is kept by this.
    pub(super) fn stream(self, connection: impl Send + 'static) -> impl Stream<Item = Vec<u8>> + Send {
        stream::unfold((self, connection), |(mut heard, connection)| async move {
            let payload = heard.waiting.recv().await?;
            heard.bytes.fetch_sub(payload.len(), Ordering::Relaxed);
            Some((payload, (heard, connection)))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn message(payload: Vec<u8>) -> PushInfo {
        let data = vec![Value::BulkString(b"parlor:server:1".to_vec()), Value::BulkString(payload)];
        PushInfo { kind: PushKind::Message, data }
    }

    async fn rest(heard: Heard) -> usize {
        heard.stream(()).count().await
    }

    #[tokio::test]
    async fn what_was_taken_is_heard_in_order_and_then_it_ends_with_the_connection() {
        let (ear, heard) = ear();
        for number in 0..100_u8 {
            ear.take(message(vec![number])).unwrap();
        }
        ear.take(PushInfo { kind: PushKind::Subscribe, data: Vec::new() }).unwrap();
        assert!(ear.take(PushInfo { kind: PushKind::Disconnection, data: Vec::new() }).is_err());
        let numbers: Vec<_> = heard.stream(()).map(|payload| payload[0]).collect().await;
        assert_eq!(numbers, Vec::from_iter(0..100));
    }

    #[tokio::test]
    async fn of_too_many_messages_no_more_are_taken() {
        let (ear, heard) = ear();
        let taken = (0..=MESSAGES_MAX).filter(|_| ear.take(message(Vec::new())).is_ok()).count();
        assert_eq!((taken, rest(heard).await), (MESSAGES_MAX, MESSAGES_MAX));
    }

    #[tokio::test]
    async fn of_too_many_bytes_no_more_are_taken_and_what_is_heard_does_not_count() {
        let (ear, heard) = ear();
        let quarter = || message(vec![0; BYTES_MAX / 4]);
        let mut heard = Box::pin(heard.stream(()));
        for _ in 0..8 {
            ear.take(quarter()).unwrap();
            heard.next().await.unwrap();
        }
        let taken = (0..5).filter(|_| ear.take(quarter()).is_ok()).count();
        assert_eq!((taken, heard.count().await), (4, 4));
        // What comes later is thrown away.
        ear.take(quarter()).unwrap();
    }
}
