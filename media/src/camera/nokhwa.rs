//! Real cameras, through `nokhwa`.
//!
//! A driver may block for as long as it likes. It is therefore kept on a thread of its own, apart from the camera
//! thread, and that thread is abandoned, with a warning, when the driver does not return.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nokhwa::Buffer;
use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::ApiBackend;

use super::{Camera, CaptureConfig, Devices, Watch, Woken};
use crate::frame::VideoFrame;
use crate::video::convert::{ConvertError, to_i420};
use crate::video::scale::Scaler;
use crate::video::source::{CameraError, CameraInfo, PixelFormat};

mod driver;
mod errors;

use driver::Driver;
use errors::camera_error;

/// A camera that gives no picture for so long does not work; a slow one needs a second for its first.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Broken pictures in a row after which the camera does not work. A USB camera may break a few at the start.
const MAX_BROKEN: u32 = 30;

/// The cameras there are and what each can do; one that another program has may have no formats.
///
/// # Errors
///
/// When the system does not tell.
pub fn cameras() -> Result<Vec<CameraInfo>, CameraError> {
    let devices = nokhwa::query(ApiBackend::Auto).map_err(|error| camera_error(&error))?;
    let with_formats = devices.into_iter().map(|device| {
        let formats = driver::formats_of(device.index());
        (device, formats)
    });
    Ok(with_formats
        // On Linux a camera has a second node, for metadata: it opens, but has no format of use.
        .filter(|(_, formats)| match formats {
            Ok(formats) => !formats.is_empty(),
            Err(error) => matches!(error, CameraError::Busy | CameraError::Denied),
        })
        .map(|(device, formats)| CameraInfo {
            id: device.index().as_string(),
            name: device.human_name(),
            formats: formats.unwrap_or_default(),
        })
        .collect())
}

/// The cameras of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDevices;

impl Devices for SystemDevices {
    fn open(
        &self,
        id: Option<&str>,
        config: &CaptureConfig,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Box<dyn Camera>, CameraError> {
        Ok(Box::new(DeviceCamera::open(id, config, wake)?))
    }

    fn is_present(&self, id: &str) -> bool {
        nokhwa::query(ApiBackend::Auto).is_ok_and(|devices| devices.iter().any(|device| is_meant(device, id)))
    }
}

/// Whether `id` is this device's number, or its name: numbers may change when it is plugged in again.
fn is_meant(device: &nokhwa::utils::CameraInfo, id: &str) -> bool {
    device.index().as_string() == id || device.human_name() == id
}

/// A camera that runs.
#[derive(Debug)]
pub struct DeviceCamera {
    driver: Driver,
    config: CaptureConfig,
    scaler: Option<Scaler>,
    broken: u32,
}

impl DeviceCamera {
    /// Opens the camera with this id, or this name; the first one that works without it. `wake` is called for each
    /// picture. What is wrong with the camera itself shows at its first picture.
    ///
    /// # Errors
    ///
    /// When there is no such camera.
    pub fn open(
        id: Option<&str>,
        config: &CaptureConfig,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Self, CameraError> {
        let devices = nokhwa::query(ApiBackend::Auto).map_err(|error| camera_error(&error))?;
        let wanted: Vec<_> = devices.into_iter().filter(|device| id.is_none_or(|id| is_meant(device, id))).collect();
        if wanted.is_empty() {
            return Err(CameraError::NoDevice);
        }
        let driver = Driver::start(wanted, *config, wake)?;
        Ok(Self { driver, config: *config, scaler: None, broken: 0 })
    }

    fn convert(&mut self, buffer: &Buffer, captured_at: Instant) -> Result<VideoFrame, ConvertError> {
        let resolution = buffer.resolution();
        let (width, height) = (resolution.width(), resolution.height());
        let format = driver::pixel_format(buffer.source_frame_format());
        let (picture, width, height) = match format {
            PixelFormat::Mjpeg => to_i420(&decode_jpeg(buffer)?, width, height, PixelFormat::Rgb)?,
            PixelFormat::Yuyv | PixelFormat::Nv12 | PixelFormat::Rgb | PixelFormat::Bgr | PixelFormat::Gray => {
                to_i420(buffer.buffer(), width, height, format)?
            }
        };
        let to = (self.config.width, self.config.height);
        if (width, height) == to {
            return Ok(VideoFrame { width, height, planes: picture.into(), captured_at });
        }
        if self.scaler.as_ref().is_none_or(|scaler| scaler.sizes() != ((width, height), to)) {
            self.scaler = Some(Scaler::new((width, height), to));
        }
        let scaled = self.scaler.as_mut().and_then(|scaler| scaler.scale(&picture));
        let planes = scaled.ok_or(ConvertError::Size { width, height })?.into();
        Ok(VideoFrame { width: to.0, height: to.1, planes, captured_at })
    }
}

/// A camera's JPEG may be cut off anywhere, and the decoder is C code that reports by unwinding.
fn decode_jpeg(buffer: &Buffer) -> Result<Vec<u8>, ConvertError> {
    std::panic::catch_unwind(|| buffer.decode_image::<RgbFormat>())
        .map_err(|_| ConvertError::Jpeg("the decoder gave up".to_owned()))?
        .map(|image| image.into_raw())
        .map_err(|error| ConvertError::Jpeg(error.to_string()))
}

impl Camera for DeviceCamera {
    fn label(&self) -> String {
        self.driver.label()
    }

    fn next_frame(&mut self, watch: &Watch<'_>) -> Result<Option<VideoFrame>, CameraError> {
        loop {
            let deadline = Instant::now() + STALLED_AFTER;
            match watch.wait_until(Some(deadline), || self.driver.has_news()) {
                Woken::Interrupted => return Ok(None),
                Woken::TimedOut => {
                    let reason = "it gives no pictures; unplug it and plug it in again".to_owned();
                    return Err(CameraError::Failed { reason });
                }
                Woken::Ready => {}
            }
            let Some(buffer) = self.driver.take()? else { continue };
            let captured_at = captured_at(&buffer, Instant::now(), SystemTime::now());
            match self.convert(&buffer, captured_at) {
                Ok(frame) => {
                    self.broken = 0;
                    return Ok(Some(frame));
                }
                Err(error) if self.broken < MAX_BROKEN => {
                    self.broken += 1;
                    tracing::debug!(%error, "a broken picture from the camera");
                }
                Err(error) => return Err(CameraError::Failed { reason: error.to_string() }),
            }
        }
    }
}

/// The driver's time stamp in our clock, where it is plausible: a picture is at most some frames old.
fn captured_at(buffer: &Buffer, now: Instant, wall: SystemTime) -> Instant {
    const PLAUSIBLE: Duration = Duration::from_millis(250);
    let stamp = buffer.capture_timestamp().map(|since_epoch| SystemTime::UNIX_EPOCH + since_epoch);
    let age = stamp.and_then(|stamp| wall.duration_since(stamp).ok()).filter(|age| *age < PLAUSIBLE);
    age.and_then(|age| now.checked_sub(age)).unwrap_or(now)
}
