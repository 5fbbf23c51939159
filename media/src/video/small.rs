//! The small picture, for a call in which everybody has room for little more than sound.
//!
//! At its usual size even the coarsest picture takes 150 kbit/s. A quarter of the points, ten times a second, shows a moving face on a
//! fifth of that, where otherwise there would be none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::scale::Scaler;
use crate::frame::VideoFrame;

/// Pictures a second.
pub const FRAME_RATE_HZ: f32 = 10.0;

/// From one to the next, less half of what lies between two pictures of a camera: the one that comes next to it is taken.
const APART: Duration = Duration::from_millis(84);

/// What is larger in either direction is made smaller.
const SIZE_MAX: (u32, u32) = (320, 180);
/// An encoder takes nothing smaller.
const SIDE_MIN: u32 = 16;

/// Makes small pictures of some of the large ones.
#[derive(Debug, Default)]
pub struct Smaller {
    scaler: Option<Scaler>,
    taken_at: Option<Instant>,
}

impl Smaller {
    /// The small picture of this one; `None` when it is left out.
    pub fn take(&mut self, frame: &VideoFrame) -> Option<VideoFrame> {
        let at = frame.captured_at;
        if self.taken_at.is_some_and(|taken| at.saturating_duration_since(taken) < APART) {
            return None;
        }
        self.taken_at = Some(at);
        let (from, to) = ((frame.width, frame.height), size_for((frame.width, frame.height)));
        if from == to || from.0 % 2 + from.1 % 2 > 0 {
            return Some(frame.clone());
        }
        if self.scaler.as_ref().is_none_or(|scaler| scaler.sizes() != (from, to)) {
            self.scaler = Some(Scaler::new(from, to));
        }
        let planes = self.scaler.as_mut()?.scale(&frame.planes)?;
        Some(VideoFrame { width: to.0, height: to.1, planes: Arc::new(planes), captured_at: at })
    }
}

/// Half, a third and so on of both sides, which keeps the shape and is quick; even, for chroma's sake.
fn size_for((width, height): (u32, u32)) -> (u32, u32) {
    let part = width.div_ceil(SIZE_MAX.0).max(height.div_ceil(SIZE_MAX.1)).max(1);
    let side = |whole: u32| ((whole / part) & !1).max(SIDE_MIN.min(whole));
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::I420;

    fn pictures(size: (u32, u32), apart_us: u32, count: u32) -> Vec<VideoFrame> {
        let (begin, planes) = (Instant::now(), Arc::new(I420::black(size.0, size.1)));
        let at = |number| begin + Duration::from_micros(u64::from(apart_us)) * number;
        let picture =
            |number| VideoFrame { width: size.0, height: size.1, planes: planes.clone(), captured_at: at(number) };
        (0..count).map(picture).collect()
    }

    #[test]
    fn ten_pictures_a_second_remain_of_a_quick_camera_and_all_of_a_slow_one() {
        for (apart_us, count, left) in [(33_333, 300, 100), (16_667, 600, 100), (66_667, 150, 75), (200_000, 50, 50)] {
            let mut smaller = Smaller::default();
            let taken = pictures((640, 360), apart_us, count).iter().filter_map(|frame| smaller.take(frame)).count();
            assert_eq!(taken, left, "{apart_us} us apart");
        }
    }

    #[test]
    fn a_picture_keeps_its_shape_and_a_small_one_its_size() {
        for (from, to) in [
            ((640, 360), (320, 180)),
            ((1280, 720), (320, 180)),
            ((320, 180), (320, 180)),
            ((480, 640), (120, 160)),
            ((16, 800), (16, 160)),
        ] {
            let frame = pictures(from, 1, 1).remove(0);
            let small = Smaller::default().take(&frame).unwrap();
            assert_eq!((small.width, small.height), to, "of {from:?}");
            assert!(small.planes.holds(to.0, to.1));
        }
    }
}
