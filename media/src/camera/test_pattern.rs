//! The test pattern as a camera.

use std::time::Instant;

use super::{Camera, CaptureConfig, Pace, Watch, Woken};
use crate::clock::MediaClock;
use crate::frame::VideoFrame;
use crate::video::source::CameraError;
use crate::video::test_pattern::TestPattern;

/// Paints a picture at each tick.
#[derive(Debug)]
pub struct TestPatternCamera {
    pattern: TestPattern,
    pace: Pace,
    clock: MediaClock,
}

impl TestPatternCamera {
    /// A pattern with this name on it.
    pub fn new(config: &CaptureConfig, name: &str, clock: MediaClock) -> Self {
        let pattern = TestPattern::new(config.width, config.height, name);
        Self { pattern, pace: Pace::new(Instant::now(), config.fps, 1), clock }
    }
}

impl Camera for TestPatternCamera {
    fn label(&self) -> String {
        "Test pattern".to_owned()
    }

    fn next_frame(&mut self, watch: &Watch<'_>) -> Result<Option<VideoFrame>, CameraError> {
        let due = self.pace.next(Instant::now());
        match watch.wait_until(Some(due), || false) {
            Woken::Interrupted => Ok(None),
            Woken::Ready | Woken::TimedOut => {
                // The barcode tells when the picture was there to be encoded, not when it should have been.
                let captured_at = Instant::now();
                let planes = self.pattern.paint(self.clock.unix_tenth_ms(captured_at));
                let (width, height) = self.pattern.size();
                Ok(Some(VideoFrame { width, height, planes: planes.into(), captured_at }))
            }
        }
    }
}
