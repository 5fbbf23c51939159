//! A peer's picture: packets in, pictures out when they are due, on one thread per peer.
//!
//! ```text
//! push ─► bounded queue ─► thread "vdec": frame buffer ─► waiting ─► decoder ─► latest slot
//! ```
//!
//! Pictures wait encoded, not decoded: they are small then. When the queue is full, all of it is dropped and a key
//! frame is asked for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::MediaClock;
use crate::frame::VideoFrame;
use crate::latest;
use crate::rtp::packet::RtpPacket;
use crate::rtp::playout::Playout;
use crate::thread::{JoinOnDrop, spawn_named};

mod bell;
mod decode;
mod quality;
mod stats;
#[cfg(test)]
mod tests;

use bell::Bell;
pub use quality::FreezeMeter;
pub use stats::RemoteVideoStats;

/// Packets that wait for the decoder's thread at most: 32 pictures of 16 packets, which is a second at 5 Mbps.
pub const MAX_QUEUED: usize = 512;

/// What a peer's picture tells its connection and the window, on the decoder's thread; neither may block.
#[derive(Clone)]
pub struct RemoteVideoEvents {
    /// Ask the peer for a key frame (RFC 4585 §6.3.1).
    pub key_frame_needed: Arc<dyn Fn() + Send + Sync>,
    /// There is a new picture.
    pub frame_shown: Arc<dyn Fn() + Send + Sync>,
}

/// A peer's picture. Dropping it stops and joins its thread.
pub struct RemoteVideo {
    shared: Arc<Shared>,
    /// Joined when dropped, after `drop` has told it to stop.
    _thread: Option<JoinOnDrop>,
}

struct Shared {
    playout: Arc<Playout>,
    clock: MediaClock,
    events: RemoteVideoEvents,
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    frames: latest::Sender<VideoFrame>,
    stats: Mutex<RemoteVideoStats>,
}

/// What waits for the decoder's thread.
#[derive(Default)]
struct Inbox {
    packets: Vec<(RtpPacket, Instant)>,
    bell: Bell,
    rtt: Duration,
    same_boot: bool,
    /// The peer says that it sends no picture: none is shown.
    hidden: bool,
    /// That has begun: what is there is taken away, and the time until the next one is no freeze.
    hides: bool,
    /// Packets were dropped since the queue was full.
    overflowed: bool,
    packets_dropped: u64,
    frames_dropped: u64,
    stop: bool,
}

impl Inbox {
    fn drop_all(&mut self) {
        self.packets_dropped += self.packets.len() as u64;
        let same_picture = |pair: &[(RtpPacket, Instant)]| pair[0].0.timestamp == pair[1].0.timestamp;
        let pictures = 1 + self.packets.windows(2).filter(|pair| !same_picture(pair)).count();
        self.frames_dropped += pictures as u64;
        self.packets.clear();
    }
}

impl RemoteVideo {
    /// Starts the decoder's thread.
    pub fn new(playout: Arc<Playout>, clock: MediaClock, events: RemoteVideoEvents) -> Self {
        let (frames, _) = latest::slot();
        let shared = Arc::new(Shared {
            playout,
            clock,
            events,
            inbox: Mutex::default(),
            arrived: Condvar::new(),
            frames,
            stats: Mutex::default(),
        });
        let for_thread = shared.clone();
        let thread = spawn_named("vdec", move || decode::run(&for_thread))
            .inspect_err(|error| tracing::error!(%error, "the decoder's thread did not start"))
            .ok();
        Self { shared, _thread: thread }
    }

    /// Takes a packet that came at `arrived`; retransmissions come unwrapped, with the number they had at first.
    pub fn push(&self, packet: RtpPacket, arrived: Instant) {
        let mut inbox = lock(&self.shared.inbox);
        if inbox.packets.len() >= MAX_QUEUED {
            inbox.drop_all();
            inbox.overflowed = true;
        }
        let rings = inbox.bell.rings(&packet);
        inbox.packets.push((packet, arrived));
        // Woken under the lock, the thread would only wait for it.
        drop(inbox);
        if rings {
            self.shared.arrived.notify_one();
        }
    }

    /// The round-trip time, on which the wait for retransmissions depends.
    pub fn set_rtt(&self, rtt: Duration) {
        lock(&self.shared.inbox).rtt = rtt;
    }

    /// Whether the peer runs on this very machine and boot, so that its barcode can be held against our clock.
    pub fn set_same_boot(&self, same_boot: bool) {
        lock(&self.shared.inbox).same_boot = same_boot;
    }

    /// The pictures; each one's `captured_at` is when it was shown.
    pub fn frames(&self) -> latest::Receiver<VideoFrame> {
        self.shared.frames.subscribe()
    }

    /// The peer says that its camera is off, or that its picture is held back: the picture is taken away, and the time
    /// until the next one is no freeze. What was still on its way is decoded, but not shown.
    pub fn set_hidden(&self, hidden: bool) {
        let mut inbox = lock(&self.shared.inbox);
        if std::mem::replace(&mut inbox.hidden, hidden) != hidden && hidden {
            inbox.hides = true;
            self.shared.arrived.notify_one();
        }
    }

    /// What happened so far.
    pub fn stats(&self) -> RemoteVideoStats {
        let mut stats = *lock(&self.shared.stats);
        stats.frames_overwritten = self.shared.frames.overwritten();
        let inbox = lock(&self.shared.inbox);
        stats.packets_dropped_queue = inbox.packets_dropped;
        stats.frames_dropped_queue += inbox.frames_dropped;
        drop(inbox);
        stats
    }
}

impl Drop for RemoteVideo {
    fn drop(&mut self) {
        lock(&self.shared.inbox).stop = true;
        self.shared.arrived.notify_one();
        self.shared.frames.close();
    }
}

/// Nothing foreign runs under these locks, and each guards plain values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
