//! The latest picture onto the screen, converted by the graphics card (`card.rs`) or, where that is no card, here.

pub mod card;
mod gl;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use egui::{ColorImage, Context, ImageData, TextureHandle, TextureOptions};
use parlor_media::{I420, VideoFrame};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgba};

use card::Card;

use super::view::Picture;

/// One tile's texture. It is filled again only when another frame is there, and kept when none is.
#[derive(Default)]
pub struct VideoTexture {
    texture: Option<TextureHandle>,
    shown: Option<Shown>,
    /// What the processor converts into: the same memory each time, once the upload has let go of it.
    image: Arc<ColorImage>,
}

/// What is in the texture.
struct Shown {
    planes: Arc<I420>,
    /// Not yet, while the card is to convert it.
    done: Arc<AtomicBool>,
}

impl VideoTexture {
    /// Takes the latest frame over, if it is another than the one shown. A frame that cannot be one is left out.
    pub fn update(&mut self, ctx: &Context, name: &str, frame: &VideoFrame) {
        let is_shown = |shown: &Shown| Arc::ptr_eq(&shown.planes, &frame.planes) && shown.done.load(Ordering::Relaxed);
        if self.shown.as_ref().is_some_and(is_shown) {
            return;
        }
        let Some(size) = size_of(frame) else { return };
        let done = match Card::of(ctx) {
            Some(card) => {
                if !card::can_be(frame) {
                    return;
                }
                card.convert(ctx, self.empty(ctx, name, size).id(), frame)
            }
            None => {
                if !self.fill(ctx, name, size, frame) {
                    return;
                }
                Arc::new(AtomicBool::new(true))
            }
        };
        self.shown = Some(Shown { planes: Arc::clone(&frame.planes), done });
    }

    /// A texture of that size, for the card to draw into.
    fn empty(&mut self, ctx: &Context, name: &str, size: [usize; 2]) -> &TextureHandle {
        if self.texture.as_ref().is_some_and(|texture| texture.size() != size) {
            self.texture = None;
        }
        self.texture.get_or_insert_with(|| {
            ctx.load_texture(name, ColorImage::filled(size, egui::Color32::BLACK), TextureOptions::LINEAR)
        })
    }

    /// Converts here and uploads. Answers whether the frame was one.
    fn fill(&mut self, ctx: &Context, name: &str, size: [usize; 2], frame: &VideoFrame) -> bool {
        if self.image.size != size || Arc::get_mut(&mut self.image).is_none() {
            self.image = Arc::new(ColorImage::filled(size, egui::Color32::BLACK));
        }
        let Some(image) = Arc::get_mut(&mut self.image) else { return false };
        if !convert(frame, image) {
            return false;
        }
        let image = ImageData::Color(Arc::clone(&self.image));
        match &mut self.texture {
            Some(texture) => texture.set(image, TextureOptions::LINEAR),
            None => self.texture = Some(ctx.load_texture(name, image, TextureOptions::LINEAR)),
        }
        true
    }

    /// What to draw, once there was a frame.
    pub fn picture(&self) -> Option<Picture> {
        self.texture.as_ref().map(|texture| Picture { texture: texture.id(), size: texture.size_vec2() })
    }
}

fn size_of(frame: &VideoFrame) -> Option<[usize; 2]> {
    Some([usize::try_from(frame.width).ok()?, usize::try_from(frame.height).ok()?])
}

/// BT.601 in limited range, as the capture makes it and openh264 says nothing else. The image has the frame's size.
fn convert(frame: &VideoFrame, into: &mut ColorImage) -> bool {
    let planes = &frame.planes;
    let [Ok(y_stride), Ok(uv_stride)] = [planes.y_stride, planes.uv_stride].map(u32::try_from) else { return false };
    let image = YuvPlanarImage {
        y_plane: &planes.y,
        y_stride,
        u_plane: &planes.u,
        u_stride: uv_stride,
        v_plane: &planes.v,
        v_stride: uv_stride,
        width: frame.width,
        height: frame.height,
    };
    let Some(row) = frame.width.checked_mul(4) else { return false };
    yuv420_to_rgba(&image, into.as_raw_mut(), row, YuvRange::Limited, YuvStandardMatrix::Bt601).is_ok()
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
            let mut image = ColorImage::filled([8, 8], egui::Color32::BLACK);
            assert!(convert(&frame(y, u, v), &mut image));
            let [r, g, b, a] = image.pixels[9].to_array();
            for (got, wanted) in [r, g, b].into_iter().zip(color) {
                assert!(got.abs_diff(wanted) <= 3, "{:?} is not {color:?}", image.pixels[9]);
            }
            assert_eq!(a, 255);
        }
    }

    #[test]
    fn a_frame_shorter_than_it_says_is_left_out() {
        let (ctx, mut texture) = (Context::default(), VideoTexture::default());
        let mut short = frame(16, 128, 128);
        short.height = 4_000;
        texture.update(&ctx, "tile", &short);
        short.width = 0;
        texture.update(&ctx, "tile", &short);
        assert_eq!(texture.picture(), None);
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

    #[test]
    fn the_memory_that_was_uploaded_from_is_converted_into_again() {
        let ctx = Context::default();
        let mut texture = VideoTexture::default();
        texture.update(&ctx, "tile", &frame(16, 128, 128));
        let memory = texture.image.pixels.as_ptr();
        texture.update(&ctx, "tile", &frame(17, 128, 128));
        assert_ne!(texture.image.pixels.as_ptr(), memory, "the first is not uploaded yet");
        let memory = texture.image.pixels.as_ptr();
        ctx.tex_manager().write().take_delta().clear();
        texture.update(&ctx, "tile", &frame(18, 128, 128));
        assert_eq!(texture.image.pixels.as_ptr(), memory);
    }
}
