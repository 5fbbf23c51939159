//! Which of a camera's formats is taken.

use std::cmp::Reverse;

use super::CaptureConfig;
use crate::video::source::{CameraFormat, PixelFormat};

/// The best of `formats` for what is asked: the frame rate first, then the size, then the cheapest pixels.
///
/// Asked to choose by itself, a camera library tends to take a large picture at a few frames per second (measured:
/// 1280x720 at 10 where 30 was asked for), which is the wrong choice for a call. Pictures of brightness only are taken
/// where there is nothing else.
pub fn choose(formats: &[CameraFormat], asked: &CaptureConfig) -> Option<CameraFormat> {
    let sane = |format: &&CameraFormat| {
        format.fps > 0 && (16..=8192).contains(&format.width) && (16..=8192).contains(&format.height)
    };
    formats.iter().filter(sane).min_by_key(|format| cost(format, asked)).copied()
}

/// Lower is better, the first element weighs most.
fn cost(format: &CameraFormat, asked: &CaptureConfig) -> impl Ord + use<> {
    let gray = format.pixel_format == PixelFormat::Gray;
    let too_slow = asked.fps.saturating_sub(format.fps);
    // Too fast is thrown away, but costs the bus and the conversion.
    let too_fast = format.fps.saturating_sub(asked.fps);
    // A picture smaller than what is sent would have to be blown up.
    let (width, height) = (format.width, format.height);
    let blown_up = asked.width.saturating_sub(width) + asked.height.saturating_sub(height);
    let size_off = width.abs_diff(asked.capture_width) + height.abs_diff(asked.capture_height);
    (gray, too_slow, blown_up, size_off, too_fast, format.pixel_format, Reverse(width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use PixelFormat::{Gray, Mjpeg, Nv12, Rgb, Yuyv};

    const ASKED: CaptureConfig =
        CaptureConfig { capture_width: 1280, capture_height: 720, fps: 30, width: 640, height: 360 };

    fn format(width: u32, height: u32, fps: u32, pixel_format: PixelFormat) -> CameraFormat {
        CameraFormat { width, height, fps, pixel_format }
    }

    #[test]
    fn frame_rate_comes_before_size() {
        let formats = [format(1280, 720, 10, Yuyv), format(640, 480, 30, Yuyv), format(3840, 2160, 2, Yuyv)];
        assert_eq!(choose(&formats, &ASKED), Some(formats[1]));
    }

    #[test]
    fn size_comes_before_pixel_format() {
        let formats = [format(640, 480, 30, Yuyv), format(1280, 720, 30, Mjpeg), format(1920, 1080, 30, Mjpeg)];
        assert_eq!(choose(&formats, &ASKED), Some(formats[1]));
    }

    #[test]
    fn of_equals_the_cheapest_pixels_win() {
        let formats = [Rgb, Mjpeg, Nv12, Yuyv].map(|pixels| format(1280, 720, 30, pixels));
        assert_eq!(choose(&formats, &ASKED), Some(formats[3]));
        assert_eq!(choose(&formats[..3], &ASKED), Some(formats[2]));
        assert_eq!(choose(&formats[..2], &ASKED), Some(formats[1]));
    }

    #[test]
    fn twice_the_frame_rate_is_taken_only_where_the_right_one_is_missing() {
        let formats = [format(1280, 720, 60, Yuyv), format(1280, 720, 30, Mjpeg)];
        assert_eq!(choose(&formats, &ASKED), Some(formats[1]));
        assert_eq!(choose(&formats[..1], &ASKED), Some(formats[0]));
    }

    #[test]
    fn a_picture_is_rather_shrunk_than_blown_up() {
        let formats = [format(320, 240, 30, Yuyv), format(1920, 1080, 30, Mjpeg)];
        assert_eq!(choose(&formats, &ASKED), Some(formats[1]));
    }

    #[test]
    fn colour_comes_before_everything_and_nonsense_is_left_out() {
        let formats = [
            format(1280, 720, 30, Gray),
            format(320, 180, 15, Yuyv),
            format(0, 0, 30, Yuyv),
            format(1280, 720, 0, Yuyv),
        ];
        assert_eq!(choose(&formats, &ASKED), Some(formats[1]));
        assert_eq!(choose(&formats[..1], &ASKED), Some(formats[0]));
        assert_eq!(choose(&[], &ASKED), None);
    }
}
