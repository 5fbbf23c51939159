//! The camera thread: opens what is chosen, falls back while it is gone, and returns to it when it is back.

use std::sync::Arc;
use std::time::Instant;

use super::counters::count;
use super::{Orders, Shared, lock};
use crate::camera::file::FileCamera;
use crate::camera::test_pattern::TestPatternCamera;
use crate::camera::{Camera, Watch, Woken};
use crate::frame::VideoFrame;
use crate::source::SourceStatus;
use crate::video::barcode;
use crate::video::source::{CameraError, VideoSource};

/// Captures until it is told to stop.
pub(super) fn run(shared: &Arc<Shared>) {
    loop {
        // Watch first, then read: an order given in between ends the wait at once.
        let watch = shared.interrupt.watch();
        let orders = lock(&shared.orders).clone();
        if orders.stop {
            return;
        }
        follow(shared, &orders, &watch);
        shared.frames.clear();
    }
}

/// Runs one source until there are new orders.
fn follow(shared: &Arc<Shared>, orders: &Orders, watch: &Watch<'_>) {
    if !orders.enabled || orders.source == VideoSource::None {
        shared.set_status(SourceStatus::Off);
        watch.wait_until(None, || false);
        return;
    }
    shared.set_status(SourceStatus::Opening);
    let mut unplugged = false;
    loop {
        let ended = match open(shared, &orders.source, unplugged) {
            Ok(opened) => capture(shared, opened, &orders.source, watch),
            Err(error) => Ended::Failed { error, was_live: false },
        };
        match ended {
            Ended::NewOrders => return,
            Ended::ChosenIsBack => unplugged = false,
            // The default device takes its place at once, without the user having to do anything.
            Ended::Failed { error: CameraError::Unplugged, was_live: true } => unplugged = true,
            Ended::Failed { error, .. } => {
                if wait_after(shared, orders, error, unplugged, watch) == Woken::Interrupted {
                    return;
                }
            }
        }
        shared.frames.clear();
    }
}

/// Shows what is wrong, and waits until it is worth another try: for ever, unless a camera may be plugged in.
fn wait_after(shared: &Shared, orders: &Orders, error: CameraError, unplugged: bool, watch: &Watch<'_>) -> Woken {
    let error = if unplugged && error == CameraError::NoDevice { CameraError::Unplugged } else { error };
    let is_device = match orders.source {
        VideoSource::Device(_) | VideoSource::DefaultDevice => true,
        VideoSource::None | VideoSource::TestPattern { .. } | VideoSource::File(_) => false,
    };
    let may_come_back = is_device && matches!(error, CameraError::NoDevice | CameraError::Unplugged);
    tracing::info!(%error, "no picture");
    shared.set_status(SourceStatus::Failed(error));
    watch.wait_until(may_come_back.then(|| Instant::now() + shared.look_again), || false)
}

struct Opened {
    camera: Box<dyn Camera>,
    /// Whether it stands in for the chosen one.
    fallback: bool,
}

/// Opens the source; in the place of a device that was unplugged, the default one.
fn open(shared: &Arc<Shared>, source: &VideoSource, unplugged: bool) -> Result<Opened, CameraError> {
    let config = &shared.config.capture;
    let device = |id: Option<&str>| {
        let for_device = shared.clone();
        shared.devices.open(id, config, Arc::new(move || for_device.interrupt.wake()))
    };
    let chosen = |camera| Opened { camera, fallback: false };
    match source {
        VideoSource::None => Err(CameraError::NoDevice),
        VideoSource::TestPattern { name } => Ok(chosen(Box::new(TestPatternCamera::new(config, name, shared.clock)))),
        VideoSource::File(path) => Ok(chosen(Box::new(FileCamera::open(path, config)?))),
        VideoSource::DefaultDevice => Ok(chosen(device(None)?)),
        VideoSource::Device(id) => match device(Some(id)) {
            Err(CameraError::NoDevice | CameraError::Unplugged) if unplugged => {
                Ok(Opened { camera: device(None)?, fallback: true })
            }
            result => Ok(chosen(result?)),
        },
    }
}

/// Draws the time into a picture that nobody else holds yet.
fn stamp(shared: &Shared, frame: &mut VideoFrame) {
    let time = shared.clock.unix_tenth_ms(frame.captured_at);
    barcode::stamp(Arc::make_mut(&mut frame.planes), frame.width as usize, frame.height as usize, time);
}

/// How capturing from one camera ended.
enum Ended {
    NewOrders,
    ChosenIsBack,
    Failed { error: CameraError, was_live: bool },
}

fn capture(shared: &Shared, opened: Opened, source: &VideoSource, watch: &Watch<'_>) -> Ended {
    let Opened { mut camera, fallback } = opened;
    let mut was_live = false;
    let mut looked = Instant::now();
    loop {
        let mut frame = match camera.next_frame(watch) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ended::NewOrders,
            Err(error) => return Ended::Failed { error, was_live },
        };
        count(&shared.counters.frames_captured);
        if shared.config.stamped {
            stamp(shared, &mut frame);
        }
        shared.frames.send(frame);
        if !was_live {
            // Only now: a camera that opens but gives nothing is not live.
            let label = camera.label();
            tracing::info!(%label, "the camera runs");
            shared.set_status(SourceStatus::Live { label });
            was_live = true;
        }
        if let (true, VideoSource::Device(id)) = (fallback, source)
            && looked.elapsed() >= shared.look_again
        {
            looked = Instant::now();
            if shared.devices.is_present(id) {
                return Ended::ChosenIsBack;
            }
        }
    }
}
