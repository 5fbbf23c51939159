//! Between the media threads and the peer connections: one frame goes to many, each at its own pace.
//!
//! The encoder threads call [`Fanout`], which hands shared frames to the queue of each connection and never waits.
//! One writer task per connection takes from its [`Leg`] and writes; only the RTP header differs between connections.

mod copies;
pub(crate) mod inbound;
mod key_pace;
pub(crate) mod leg_queue;
pub(crate) mod outbound;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use parlor_media::{EncodedAudio, PacketizedFrame};
use parlor_session::ConnectionId;
use tokio::sync::Notify;

pub(crate) use leg_queue::{LegQueue, Limits, Next, Picture};

/// The sending side of one connection, between the encoders and its writer task.
#[derive(Default)]
pub(crate) struct Leg {
    queue: Mutex<LegQueue>,
    ready: Notify,
}

impl Leg {
    pub(crate) fn new(limits: leg_queue::Limits) -> Self {
        Self { queue: Mutex::new(LegQueue::new(limits)), ready: Notify::new() }
    }

    /// The queue, for a moment of arithmetic.
    pub(crate) fn queue(&self) -> MutexGuard<'_, LegQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something may be there.
    pub(crate) async fn ready(&self) {
        self.ready.notified().await;
    }

    fn push_video(&self, frame: &Arc<PacketizedFrame>) {
        if self.queue().push_video(frame) {
            self.ready.notify_one();
        }
    }

    fn push_audio(&self, audio: &EncodedAudio) {
        if self.queue().push_audio(audio) {
            self.ready.notify_one();
        }
    }
}

/// Everyone who shall get our picture and sound. Called on the encoder threads.
pub(crate) struct Fanout {
    legs: Mutex<BTreeMap<ConnectionId, Arc<Leg>>>,
    request_key_frame: Box<dyn Fn() + Send + Sync>,
}

impl Fanout {
    pub(crate) fn new(request_key_frame: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { legs: Mutex::default(), request_key_frame }
    }

    fn legs(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Arc<Leg>>> {
        self.legs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection, or replaces its leg by that of a new generation.
    pub(crate) fn insert(&self, connection: ConnectionId, leg: Arc<Leg>) {
        self.legs().insert(connection, leg);
    }

    /// Takes a connection out.
    pub(crate) fn remove(&self, connection: ConnectionId) {
        self.legs().remove(&connection);
    }

    /// Asks the encoder for a key frame; requests close together become one.
    pub(crate) fn request_key_frame(&self) {
        (self.request_key_frame)();
    }

    /// The other end of a connection asks for a key frame; whoever asks often waits longer, for the sake of the others.
    pub(crate) fn peer_asks_for_key_frame(&self, leg: &Leg, now: Instant) {
        if leg.queue().peer_asks(now) {
            self.request_key_frame();
        }
    }

    /// A frame for everyone. Does not block, but for the arithmetic of the queues.
    pub(crate) fn video(&self, frame: &Arc<PacketizedFrame>) {
        let legs = self.legs();
        legs.values().for_each(|leg| leg.push_video(frame));
        // One IDR serves all of them.
        let now = Instant::now();
        let wanted = legs.values().fold(false, |wanted, leg| leg.queue().key_frame_due(now) | wanted);
        drop(legs);
        if wanted {
            self.request_key_frame();
        }
    }

    /// A sound for everyone. Does not block.
    pub(crate) fn audio(&self, audio: &EncodedAudio) {
        self.legs().values().for_each(|leg| leg.push_audio(audio));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::leg_queue::tests::{audio, frame};
    use super::*;

    #[test]
    fn a_stalled_connection_holds_up_nobody() {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        let fanout = Fanout::new(Box::new(move || _ = counted.fetch_add(1, Ordering::Relaxed)));
        let (stalled, healthy) = (Arc::new(Leg::default()), Arc::new(Leg::default()));
        for (id, leg) in [(1, &stalled), (2, &healthy)] {
            leg.queue().open();
            fanout.insert(ConnectionId(id), leg.clone());
        }
        let mut received = 0;
        for number in 0..30 {
            fanout.video(&frame(number, number == 0, false));
            fanout.audio(&audio(number));
            while let Some(next) = healthy.queue().pop(Default::default()) {
                received += usize::from(matches!(next, Next::Video(_)));
            }
        }
        assert_eq!(received, 30);
        assert!(stalled.queue().stats().frames_dropped > 20);
        assert!(requests.load(Ordering::Relaxed) > 0, "the stalled one will need a key frame");
    }

    #[test]
    fn one_key_frame_is_asked_for_whoever_joins() {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        let fanout = Fanout::new(Box::new(move || _ = counted.fetch_add(1, Ordering::Relaxed)));
        for id in 0..5 {
            let leg = Arc::new(Leg::default());
            leg.queue().open();
            fanout.insert(ConnectionId(id), leg);
        }
        fanout.video(&frame(0, false, false));
        assert_eq!(requests.load(Ordering::Relaxed), 1);
        fanout.video(&frame(1, true, false));
        assert_eq!(requests.load(Ordering::Relaxed), 1);
    }
}
