//! The latest picture onto the screen. The seam for a shader: whoever draws I420 directly replaces only this file.

use std::sync::Arc;

use egui::{ColorImage, Context, TextureHandle, TextureOptions};
use parlor_media::{I420, VideoFrame};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgba};

use super::view::Picture;

/// One tile's texture. It is uploaded again only when another frame is there, and kept when none is.
#[derive(Default)]
pub struct VideoTexture {
    texture: Option<TextureHandle>,
    shown: Option<Arc<I420>>,
}

impl VideoTexture {
    /// Takes the latest frame over, if it is another than the one shown. A frame that cannot be one is left out.
    pub fn update(&mut self, ctx: &Context, name: &str, frame: &VideoFrame) {
        if self.shown.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, &frame.planes)) {
            return;
        }
        let Some(image) = to_image(frame) else { return };
        match &mut self.texture {
            Some(texture) => texture.set(image, TextureOptions::LINEAR),
            None => self.texture = Some(ctx.load_texture(name, image, TextureOptions::LINEAR)),
        }
        self.shown = Some(Arc::clone(&frame.planes));
    }

    /// What to draw, once there was a frame.
    pub fn picture(&self) -> Option<Picture> {
        self.texture.as_ref().map(|texture| Picture { texture: texture.id(), size: texture.size_vec2() })
    }
}

/// BT.601 in limited range, as the capture makes it and openh264 says nothing else.
fn to_image(frame: &VideoFrame) -> Option<ColorImage> {
    let size = [usize::try_from(frame.width).ok()?, usize::try_from(frame.height).ok()?];
    let stride = |value: usize| u32::try_from(value).ok();
    let image = YuvPlanarImage {
        y_plane: &frame.planes.y,
        y_stride: stride(frame.planes.y_stride)?,
        u_plane: &frame.planes.u,
        u_stride: stride(frame.planes.uv_stride)?,
        v_plane: &frame.planes.v,
        v_stride: stride(frame.planes.uv_stride)?,
        width: frame.width,
        height: frame.height,
    };
    let mut pixels = ColorImage::filled(size, egui::Color32::BLACK);
    let row = frame.width.checked_mul(4)?;
    yuv420_to_rgba(&image, pixels.as_raw_mut(), row, YuvRange::Limited, YuvStandardMatrix::Bt601).ok()?;
    Some(pixels)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn frame(y: u8, u: u8, v: u8) -> VideoFrame {
        let planes = I420 { y: vec![y; 64], u: vec![u; 16], v: vec![v; 16], y_stride: 8, uv_stride: 4 };
        VideoFrame { width: 8, height: 8, planes: Arc::new(planes), captured_at: Instant::now() }
    }

    #[test]
    fn black_white_and_red_keep_their_colours() {
        for ((y, u, v), color) in
            [((16, 128, 128), [0, 0, 0]), ((235, 128, 128), [255; 3]), ((81, 90, 240), [254, 0, 0])]
        {
            let image = to_image(&frame(y, u, v)).unwrap();
            let [r, g, b, a] = image.pixels[9].to_array();
            for (got, wanted) in [r, g, b].into_iter().zip(color) {
                assert!(got.abs_diff(wanted) <= 3, "{:?} is not {color:?}", image.pixels[9]);
            }
            assert_eq!(a, 255);
        }
    }

    #[test]
    fn a_frame_shorter_than_it_says_is_left_out() {
        let mut short = frame(16, 128, 128);
        short.height = 4_000;
        assert!(to_image(&short).is_none());
        short.width = 0;
        assert!(to_image(&short).is_none_or(|image| image.pixels.is_empty()));
    }

    #[test]
    fn the_texture_is_uploaded_only_for_another_frame() {
        let ctx = Context::default();
        let mut texture = VideoTexture::default();
        assert_eq!(texture.picture(), None);
        let first = frame(16, 128, 128);
        texture.update(&ctx, "tile", &first);
        let uploads = || {
            let mut delta = ctx.tex_manager().write().take_delta();
            let count = delta.set.len();
            delta.clear();
            count
        };
        assert!(uploads() > 0);
        texture.update(&ctx, "tile", &first);
        assert_eq!(uploads(), 0);
        texture.update(&ctx, "tile", &frame(235, 128, 128));
        assert_eq!(uploads(), 1);
    }
}
