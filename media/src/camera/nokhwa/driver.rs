//! The thread on which the driver may block.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::{
    CameraFormat as NokhwaFormat, CameraIndex, CameraInfo, FrameFormat, RequestedFormat, RequestedFormatType,
    Resolution,
};
use nokhwa::{Buffer, Camera};

use super::errors::camera_error;
use crate::camera::CaptureConfig;
use crate::camera::choice::choose;
use crate::thread::{JoinOnDrop, spawn_named};
use crate::video::source::{CameraError, CameraFormat, PixelFormat};

/// How long the driver may take to let go of a camera before its thread is abandoned.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// A running driver; dropping it closes the camera.
#[derive(Debug)]
pub(super) struct Driver {
    shared: Arc<Shared>,
    thread: Option<JoinOnDrop>,
}

struct Shared {
    state: Mutex<State>,
    ended: Condvar,
    wake: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
struct State {
    label: String,
    /// One picture; a later one takes its place.
    latest: Option<Buffer>,
    error: Option<CameraError>,
    stop: bool,
    ended: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Driver {
    /// Opens the first of `devices` that works.
    pub(super) fn start(
        devices: Vec<CameraInfo>,
        config: CaptureConfig,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Self, CameraError> {
        let state =
            State { label: devices.first().map(CameraInfo::human_name).unwrap_or_default(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), ended: Condvar::new(), wake });
        let for_thread = shared.clone();
        let run = move || {
            let end = EndOnDrop(&for_thread);
            let result = run(&for_thread, &devices, &config);
            if let Err(error) = result {
                for_thread.lock().error = Some(error);
            }
            drop(end);
        };
        let thread =
            spawn_named("camera-driver", run).map_err(|error| CameraError::Failed { reason: error.to_string() })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn label(&self) -> String {
        self.shared.lock().label.clone()
    }

    /// Whether [`Driver::take`] has something to say.
    pub(super) fn has_news(&self) -> bool {
        let state = self.shared.lock();
        state.latest.is_some() || state.error.is_some() || state.ended
    }

    /// The latest picture, if there is a new one.
    pub(super) fn take(&self) -> Result<Option<Buffer>, CameraError> {
        let mut state = self.shared.lock();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        let latest = state.latest.take();
        if latest.is_none() && state.ended {
            return Err(CameraError::Failed { reason: "its driver stopped".to_owned() });
        }
        Ok(latest)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stop = true;
        let waited = self.shared.ended.wait_timeout_while(state, CLOSE_WITHIN, |state| !state.ended);
        let ended = waited.unwrap_or_else(PoisonError::into_inner).0.ended;
        if !ended && let Some(thread) = self.thread.take() {
            tracing::warn!("the camera's driver does not return; it is left behind");
            thread.detach();
        }
    }
}

/// Says that the thread has ended, even when the driver's code panicked.
struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.ended.notify_all();
        (self.0.wake)();
    }
}

fn run(shared: &Shared, devices: &[CameraInfo], config: &CaptureConfig) -> Result<(), CameraError> {
    let mut camera = open_first(shared, devices, config)?;
    while !shared.lock().stop {
        let buffer = camera.frame().map_err(|error| camera_error(&error))?;
        shared.lock().latest = Some(buffer);
        (shared.wake)();
    }
    if let Err(error) = camera.stop_stream() {
        tracing::debug!(%error, "the camera did not stop cleanly");
    }
    Ok(())
}

/// Opens the first camera that works. Of the errors the first clear one is told: a metadata node only fails somehow.
fn open_first(shared: &Shared, devices: &[CameraInfo], config: &CaptureConfig) -> Result<Camera, CameraError> {
    let mut errors = Vec::new();
    for device in devices {
        match open(device.index(), config) {
            Ok(camera) => {
                shared.lock().label = device.human_name();
                return Ok(camera);
            }
            Err(error) => errors.push(error),
        }
    }
    let unclear = |error: &CameraError| matches!(error, CameraError::Failed { .. });
    let told = errors.iter().position(|error| !unclear(error)).unwrap_or_default();
    Err(if told < errors.len() { errors.swap_remove(told) } else { CameraError::NoDevice })
}

fn open(index: &CameraIndex, config: &CaptureConfig) -> Result<Camera, CameraError> {
    let formats = formats_of(index)?;
    let Some(format) = choose(&formats, config) else {
        return Err(CameraError::Failed { reason: "it offers no format that Parlor knows".to_owned() });
    };
    let resolution = Resolution::new(format.width, format.height);
    let frame_format = frame_format(format.pixel_format);
    let exact = RequestedFormatType::Exact(NokhwaFormat::new(resolution, frame_format, format.fps));
    let wanted = [frame_format];
    let request = RequestedFormat::with_formats(exact, &wanted);
    let mut camera = Camera::new(index.clone(), request).map_err(|error| camera_error(&error))?;
    camera.open_stream().map_err(|error| camera_error(&error))?;
    let CameraFormat { width, height, fps, pixel_format } = format;
    tracing::info!(width, height, fps, %pixel_format, "the camera is open");
    Ok(camera)
}

/// What a camera offers; the camera is open only while it is asked.
pub(super) fn formats_of(index: &CameraIndex) -> Result<Vec<CameraFormat>, CameraError> {
    // Any format will do, so long as it is one that the camera has: none is streamed yet.
    let request = RequestedFormat::new::<RgbFormat>(RequestedFormatType::None);
    let mut camera = Camera::new(index.clone(), request).map_err(|error| camera_error(&error))?;
    let formats = camera.compatible_camera_formats().map_err(|error| camera_error(&error))?;
    let mut seen = HashSet::new();
    Ok(formats
        .into_iter()
        .filter(|format| seen.insert(*format))
        .map(|format| CameraFormat {
            width: format.width(),
            height: format.height(),
            fps: format.frame_rate(),
            pixel_format: pixel_format(format.format()),
        })
        .collect())
}

pub(super) fn pixel_format(format: FrameFormat) -> PixelFormat {
    match format {
        FrameFormat::YUYV => PixelFormat::Yuyv,
        FrameFormat::NV12 => PixelFormat::Nv12,
        FrameFormat::MJPEG => PixelFormat::Mjpeg,
        FrameFormat::RAWRGB => PixelFormat::Rgb,
        FrameFormat::RAWBGR => PixelFormat::Bgr,
        FrameFormat::GRAY => PixelFormat::Gray,
    }
}

fn frame_format(format: PixelFormat) -> FrameFormat {
    match format {
        PixelFormat::Yuyv => FrameFormat::YUYV,
        PixelFormat::Nv12 => FrameFormat::NV12,
        PixelFormat::Mjpeg => FrameFormat::MJPEG,
        PixelFormat::Rgb => FrameFormat::RAWRGB,
        PixelFormat::Bgr => FrameFormat::RAWBGR,
        PixelFormat::Gray => FrameFormat::GRAY,
    }
}
