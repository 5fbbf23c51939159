//! The camera thread: opens what is chosen, falls back while it is gone, and returns to it when it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::count;
use super::{Orders, Shared, lock};
use crate::camera::file::FileCamera;
use crate::camera::nokhwa::{DeviceCamera, device_is_present};
use crate::camera::test_pattern::TestPatternCamera;
use crate::camera::{Camera, Watch, Woken};
use crate::source::SourceStatus;
use crate::video::source::{CameraError, VideoSource};

/// How often it is looked whether a missing camera is back: seldom enough to cost nothing, often enough to seem
/// prompt to somebody who just plugged it in.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

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
        let error = match open(shared, &orders.source, unplugged) {
            Ok(camera) => match capture(shared, camera, orders, watch) {
                Ok(Ended::NewOrders) => return,
                Ok(Ended::ChosenIsBack) => {
                    unplugged = false;
                    continue;
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        let retry_at_once = error == CameraError::Unplugged && !unplugged;
        if retry_at_once {
            // The default device may take its place without the user having to do anything.
            unplugged = true;
            continue;
        }
        let shown = if unplugged && error == CameraError::NoDevice { CameraError::Unplugged } else { error };
        tracing::info!(error = %shown, "no picture");
        let device = matches!(orders.source, VideoSource::Device(_) | VideoSource::DefaultDevice);
        let may_come_back = device && matches!(shown, CameraError::NoDevice | CameraError::Unplugged);
        shared.frames.clear();
        shared.set_status(SourceStatus::Failed(shown));
        let look_again = may_come_back.then(|| Instant::now() + LOOK_AGAIN);
        if watch.wait_until(look_again, || false) == Woken::Interrupted {
            return;
        }
    }
}

enum Ended {
    NewOrders,
    ChosenIsBack,
}

/// Opens the source; for a device that is not there, the default one.
fn open(shared: &Arc<Shared>, source: &VideoSource, was_unplugged: bool) -> Result<Opened, CameraError> {
    let config = &shared.config.capture;
    let of_device = |camera: DeviceCamera, fallback| Opened { camera: Box::new(camera), fallback };
    let interrupt = || {
        let shared = shared.clone();
        Arc::new(move || shared.interrupt.wake()) as Arc<dyn Fn() + Send + Sync>
    };
    match source {
        VideoSource::None => Err(CameraError::NoDevice),
        VideoSource::TestPattern { name } => {
            Ok(Opened { camera: Box::new(TestPatternCamera::new(config, name, shared.clock)), fallback: false })
        }
        VideoSource::File(path) => Ok(Opened { camera: Box::new(FileCamera::open(path, config)?), fallback: false }),
        VideoSource::DefaultDevice => Ok(of_device(DeviceCamera::open(None, config, interrupt())?, false)),
        VideoSource::Device(id) => match DeviceCamera::open(Some(id), config, interrupt()) {
            Ok(camera) => Ok(of_device(camera, false)),
            Err(CameraError::NoDevice | CameraError::Unplugged) if was_unplugged => {
                Ok(of_device(DeviceCamera::open(None, config, interrupt())?, true))
            }
            Err(error) => Err(error),
        },
    }
}

struct Opened {
    camera: Box<dyn Camera>,
    /// Whether it stands in for the chosen one.
    fallback: bool,
}

fn capture(shared: &Shared, opened: Opened, orders: &Orders, watch: &Watch<'_>) -> Result<Ended, CameraError> {
    let Opened { mut camera, fallback } = opened;
    let label = camera.label();
    let mut live = false;
    let mut looked = Instant::now();
    loop {
        let Some(frame) = camera.next_frame(watch)? else { return Ok(Ended::NewOrders) };
        count(&shared.counters.frames_captured);
        shared.frames.send(frame);
        if !live {
            // Only now: a camera that opens but gives nothing is not live.
            tracing::info!(%label, "the camera runs");
            shared.set_status(SourceStatus::Live { label: label.clone() });
            live = true;
        }
        if let (true, VideoSource::Device(id)) = (fallback, &orders.source)
            && looked.elapsed() >= LOOK_AGAIN
        {
            looked = Instant::now();
            if device_is_present(id) {
                return Ok(Ended::ChosenIsBack);
            }
        }
    }
}
