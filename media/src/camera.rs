//! The camera and what stands in for one: a test pattern, a file.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::frame::VideoFrame;
use crate::video::source::CameraError;

pub mod choice;
pub mod file;
pub mod nokhwa;
pub mod test_pattern;

/// What a camera is asked for, and what it must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureConfig {
    /// Width in pixels asked of a device.
    pub capture_width: u32,
    /// Height in pixels asked of a device.
    pub capture_height: u32,
    /// Pictures per second asked of a device, and made by what stands in for one.
    pub fps: u32,
    /// Width in pixels of the pictures given.
    pub width: u32,
    /// Height in pixels of the pictures given.
    pub height: u32,
}

/// A running camera; it is opened, used and dropped on the camera thread.
pub trait Camera {
    /// What the user knows it as.
    fn label(&self) -> String;

    /// Waits for the next picture, at the size of [`CaptureConfig`]; `None` when interrupted.
    ///
    /// # Errors
    ///
    /// When the camera gives no more pictures; drop it then.
    fn next_frame(&mut self, interrupt: &Watch<'_>) -> Result<Option<VideoFrame>, CameraError>;
}

/// Where cameras come from: the system, or what a test puts in its place.
pub trait Devices: Send + Sync {
    /// Opens the camera with this id; the first one that works without it. `wake` is called for each picture.
    ///
    /// # Errors
    ///
    /// When there is no such camera, or it does not open.
    fn open(
        &self,
        id: Option<&str>,
        config: &CaptureConfig,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Box<dyn Camera>, CameraError>;

    /// Whether a camera with this id is plugged in.
    fn is_present(&self, id: &str) -> bool;
}

/// Wakes the camera thread, whatever it waits for.
#[derive(Debug, Default)]
pub struct Interrupt {
    /// Counts [`Interrupt::raise`].
    raised: Mutex<u64>,
    changed: Condvar,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something else is to be done.
    Interrupted,
    /// What was waited for is there.
    Ready,
    /// The time is over.
    TimedOut,
}

impl Interrupt {
    /// Ends what the camera thread is at: it has new orders.
    pub fn raise(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }

    /// Has the camera thread look again at what it waits for.
    pub fn wake(&self) {
        // Taking the lock keeps this from falling between the thread's look and its wait.
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Watches for orders from now on.
    pub fn watch(&self) -> Watch<'_> {
        Watch { interrupt: self, seen: *self.lock() }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // It guards a number, which no panic can leave half changed.
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits that end when the thread gets new orders.
#[derive(Debug)]
pub struct Watch<'a> {
    interrupt: &'a Interrupt,
    seen: u64,
}

impl Watch<'_> {
    /// Waits until `deadline`, for ever without one, or until `ready` is true.
    ///
    /// `ready` is asked under the lock, at once and at each wake-up: whoever makes it true calls [`Interrupt::wake`].
    pub fn wait_until(&self, deadline: Option<Instant>, mut ready: impl FnMut() -> bool) -> Woken {
        let mut raised = self.interrupt.lock();
        loop {
            if *raised != self.seen {
                return Woken::Interrupted;
            }
            if ready() {
                return Woken::Ready;
            }
            let changed = &self.interrupt.changed;
            raised = match deadline {
                None => changed.wait(raised).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Woken::TimedOut;
                    }
                    changed.wait_timeout(raised, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// Gives a made-up source the pace of a camera.
#[derive(Debug)]
pub struct Pace {
    start: Instant,
    frames: u64,
    /// Pictures per second as a fraction.
    numerator: u64,
    denominator: u64,
}

impl Pace {
    /// A pace of `numerator` / `denominator` pictures per second from `start` on; neither may be 0.
    pub fn new(start: Instant, numerator: u32, denominator: u32) -> Self {
        let (numerator, denominator) = (u64::from(numerator.max(1)), u64::from(denominator.max(1)));
        Self { start, frames: 0, numerator, denominator }
    }

    /// When the next picture is due; those that should long have come are left out.
    pub fn next(&mut self, now: Instant) -> Instant {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        let behind = (elapsed * u128::from(self.numerator) / (u128::from(self.denominator) * 1_000_000_000)) as u64;
        self.frames = (self.frames + 1).max(behind);
        let nanos = u128::from(self.frames) * u128::from(self.denominator) * 1_000_000_000 / u128::from(self.numerator);
        self.start + std::time::Duration::from_nanos(nanos as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_pace_does_not_drift_and_does_not_catch_up_in_a_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 30_000, 1_001);
        let mut now = start;
        for _ in 0..2_997 {
            now = pace.next(now);
        }
        let late = now.duration_since(start).abs_diff(Duration::from_millis(99_999) + Duration::from_micros(900));
        assert!(late < Duration::from_micros(100), "{late:?}");
        let after_a_stall = now + Duration::from_secs(10);
        let next = pace.next(after_a_stall);
        assert!(next <= after_a_stall && after_a_stall - next < Duration::from_millis(34));
        assert!(pace.next(after_a_stall) > after_a_stall);
    }

    #[test]
    fn an_order_given_before_the_wait_ends_it() {
        let interrupt = Interrupt::default();
        let watch = interrupt.watch();
        interrupt.raise();
        assert_eq!(watch.wait_until(None, || true), Woken::Interrupted);
        assert_eq!(interrupt.watch().wait_until(None, || true), Woken::Ready);
        assert_eq!(interrupt.watch().wait_until(Some(Instant::now()), || false), Woken::TimedOut);
    }
}
