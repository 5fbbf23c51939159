//! Our own picture: a camera thread that captures, an encoder thread that encodes and packetizes once for all peers.
//!
//! ```text
//! thread "camera" ─► latest slot ─► thread "venc" ─► sink
//!                         └───────► previews
//! ```
//!
//! The slot holds one picture. When the encoder is slower than the camera, the latest picture wins and the others are
//! counted; nothing is queued.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::camera::nokhwa::SystemDevices;
use crate::camera::{CaptureConfig, Devices, Interrupt};
use crate::clock::MediaClock;
use crate::frame::VideoFrame;
use crate::latest;
use crate::rtp::packet::PacketizedFrame;
use crate::source::SourceStatus;
use crate::thread::{JoinOnDrop, spawn_named};
use crate::video::codec::VideoCodec;
use crate::video::source::{CameraError, VideoSource};

mod capture;
mod counters;
mod encode;
#[cfg(test)]
mod tests;

use counters::Counters;
pub use counters::LocalVideoStats;

/// How often it is looked whether a missing camera is back: seldom enough to cost nothing, often enough to seem
/// prompt to somebody who just plugged it in.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How our picture is captured and sent.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalVideoConfig {
    /// What cameras are asked for, and the size that is sent.
    pub capture: CaptureConfig,
    /// Whether the time of capture is drawn along the top of every picture (tests/BARCODE.md), as the test pattern has it.
    pub stamped: bool,
    /// The codec.
    pub codec: VideoCodec,
    /// The rate at the start, in bits per second, until somebody measures.
    pub start_bitrate_bps: u32,
    /// The largest RTP payload, in bytes.
    pub max_payload: usize,
}

impl Default for LocalVideoConfig {
    /// 1280x720 at 30 pictures per second captured, 640x360 sent.
    fn default() -> Self {
        Self {
            capture: CaptureConfig { capture_width: 1280, capture_height: 720, fps: 30, width: 640, height: 360 },
            stamped: false,
            codec: VideoCodec::default(),
            // Enough for 640x360 to look well, little enough for a phone's upload.
            start_bitrate_bps: 600_000,
            max_payload: crate::rtp::h264::MAX_PAYLOAD,
        }
    }
}

/// Takes encoded pictures, on the encoder's thread; it must not block, nor call back into [`LocalVideo`].
pub type FrameSink = Box<dyn FnMut(Arc<PacketizedFrame>) + Send>;

/// Our own picture. Dropping it closes the camera and joins both threads.
pub struct LocalVideo {
    shared: Arc<Shared>,
    /// Joined when dropped, after `drop` has told them to stop.
    _threads: Vec<JoinOnDrop>,
}

struct Shared {
    config: LocalVideoConfig,
    clock: MediaClock,
    orders: Mutex<Orders>,
    interrupt: Interrupt,
    devices: Box<dyn Devices>,
    look_again: Duration,
    status: Mutex<SourceStatus<CameraError>>,
    on_status: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    frames: latest::Sender<VideoFrame>,
    encoding: Mutex<Encoding>,
    counters: Counters,
}

/// What the camera thread is to do.
#[derive(Clone, Debug, PartialEq)]
struct Orders {
    source: VideoSource,
    enabled: bool,
    stop: bool,
}

/// Who gets the encoded pictures. Locked for a moment only, never over an encoding.
#[derive(Default)]
struct Encoding {
    sink: Option<FrameSink>,
    /// Counts sinks: each begins with a key frame, and gets nothing that was begun for the one before.
    generation: u64,
}

impl Encoding {
    fn start(&mut self, sink: FrameSink) -> Option<FrameSink> {
        self.generation += 1;
        self.sink.replace(sink)
    }

    /// For whom the next picture is encoded, if for anybody.
    fn current(&self) -> Option<u64> {
        self.sink.is_some().then_some(self.generation)
    }

    /// Gives a picture to the sink for which it was encoded, if that is still there.
    fn hand_over(&mut self, generation: u64, frame: Arc<PacketizedFrame>) {
        if let Some(sink) = self.sink.as_mut().filter(|_| self.generation == generation) {
            sink(frame);
        }
    }
}

impl LocalVideo {
    /// Starts the threads; no source is chosen yet.
    pub fn new(config: LocalVideoConfig, clock: MediaClock) -> Self {
        Self::with_devices(config, clock, Box::new(SystemDevices), LOOK_AGAIN)
    }

    fn with_devices(
        mut config: LocalVideoConfig,
        clock: MediaClock,
        devices: Box<dyn Devices>,
        look_again: Duration,
    ) -> Self {
        // Chroma has half the size, and an encoder wants a macroblock at least.
        config.capture.width = (config.capture.width & !1).max(16);
        config.capture.height = (config.capture.height & !1).max(16);
        let (frames, receiver) = latest::slot();
        let counters = Counters::new(&config);
        let shared = Arc::new(Shared {
            config,
            clock,
            orders: Mutex::new(Orders { source: VideoSource::None, enabled: true, stop: false }),
            interrupt: Interrupt::default(),
            devices,
            look_again,
            status: Mutex::new(SourceStatus::Off),
            on_status: Mutex::new(None),
            frames,
            encoding: Mutex::default(),
            counters,
        });
        let (for_camera, for_encoder) = (shared.clone(), shared.clone());
        let started = [
            spawn_named("camera", move || capture::run(&for_camera)),
            spawn_named("venc", move || encode::run(&for_encoder, receiver)),
        ];
        let threads = started
            .into_iter()
            .filter_map(|thread| thread.inspect_err(|error| shared.failed_to_start(error)).ok())
            .collect();
        Self { shared, _threads: threads }
    }

    /// Chooses where the picture comes from; the change happens on the camera thread.
    ///
    /// Choosing the same again changes nothing, unless it failed: then it is tried once more.
    pub fn set_source(&self, source: VideoSource) {
        self.order(|orders| orders.source = source);
        if matches!(self.status(), SourceStatus::Failed(_)) {
            self.shared.interrupt.raise();
        }
    }

    /// Where the picture is to come from.
    pub fn source(&self) -> VideoSource {
        lock(&self.shared.orders).source.clone()
    }

    /// Camera on or off. Off closes the device, so that its light goes out, and nothing is encoded.
    pub fn set_enabled(&self, enabled: bool) {
        self.order(|orders| orders.enabled = enabled);
    }

    /// Whether the camera is on.
    pub fn is_enabled(&self) -> bool {
        lock(&self.shared.orders).enabled
    }

    /// The state of the source.
    pub fn status(&self) -> SourceStatus<CameraError> {
        lock(&self.shared.status).clone()
    }

    /// Has `changed` called at each change of [`LocalVideo::status`], on the camera thread; it must not block.
    pub fn on_status(&self, changed: Arc<dyn Fn() + Send + Sync>) {
        *lock(&self.shared.on_status) = Some(changed);
    }

    /// Our own picture as it is sent, not mirrored; empty while there is none.
    pub fn preview(&self) -> latest::Receiver<VideoFrame> {
        self.shared.frames.subscribe()
    }

    /// Encodes from the next picture on, which becomes a key frame, and gives the packets to `sink`.
    pub fn start_encoding(&self, sink: FrameSink) {
        let earlier = lock(&self.shared.encoding).start(sink);
        drop(earlier);
    }

    /// Stops encoding; when this returns, the sink is gone and is not called any more. Waits for no encoding.
    pub fn stop_encoding(&self) {
        let sink = lock(&self.shared.encoding).sink.take();
        drop(sink);
    }

    /// A peer needs a key frame. Requests merge: at most one is made in 500 ms.
    pub fn request_key_frame(&self) {
        self.shared.counters.key_frame_wanted.store(true, Ordering::Release);
    }

    /// The rate to encode at, in bits per second, from the next picture on.
    pub fn set_target_bitrate_bps(&self, bitrate_bps: u32) {
        self.shared.counters.target_bitrate_bps.store(bitrate_bps, Ordering::Relaxed);
    }

    /// Whether a smaller picture is sent, and fewer of them, from the next one on; it begins with a key frame.
    pub fn set_small(&self, is_small: bool) {
        self.shared.counters.is_small.store(is_small, Ordering::Relaxed);
    }

    /// What happened so far.
    pub fn stats(&self) -> LocalVideoStats {
        self.shared.counters.snapshot()
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        let changed = {
            let mut orders = lock(&self.shared.orders);
            let before = orders.clone();
            change(&mut orders);
            *orders != before
        };
        if changed {
            self.shared.interrupt.raise();
        }
    }
}

impl Drop for LocalVideo {
    fn drop(&mut self) {
        self.order(|orders| orders.stop = true);
        self.shared.frames.close();
    }
}

impl Shared {
    fn set_status(&self, status: SourceStatus<CameraError>) {
        {
            let mut current = lock(&self.status);
            if *current == status {
                return;
            }
            *current = status;
        }
        let changed = lock(&self.on_status).clone();
        if let Some(changed) = changed {
            changed();
        }
    }

    fn failed_to_start(&self, error: &std::io::Error) {
        tracing::error!(%error, "a video thread did not start");
        self.set_status(SourceStatus::Failed(CameraError::Failed { reason: error.to_string() }));
    }
}

/// No lock of this module is held over foreign code but the sink's, and a sink that panicked is simply gone.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
