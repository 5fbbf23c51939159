//! Who turns planes into colours: the processor or the graphics card. Decided once, when the window opens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eframe::egui_glow::{CallbackFn, Painter};
use eframe::glow;
use egui::{Context, Id, LayerId, PaintCallback, Rect, TextureId, vec2};
use parlor_media::VideoFrame;

use super::gl::{self, Converter, Planes};
use crate::config::PictureConversion;

/// The card, where it converts. Everyone who shows pictures in one window shares it.
#[derive(Clone, Default)]
pub(super) struct Card(Arc<Mutex<Option<Converter>>>);

fn place() -> Id {
    Id::unique("graphics card")
}

/// Decides who converts in this window, and says so in the log. `wish` is the user's, if there is one; a card that
/// can't do it is not asked to.
pub fn install(cc: &eframe::CreationContext<'_>, wish: Option<PictureConversion>) {
    let Some(gl) = &cc.gl else { return };
    let renderer = gl::renderer(gl);
    let who = wish.unwrap_or_else(|| choose(&renderer));
    if who == PictureConversion::Processor {
        tracing::info!("pictures are converted by the processor; OpenGL is {renderer}");
        return;
    }
    match Converter::new(gl) {
        Ok(converter) => {
            tracing::info!("pictures are converted by the graphics card; OpenGL is {renderer}");
            let card = Card(Arc::new(Mutex::new(Some(converter))));
            cc.egui_ctx.data_mut(|data| data.insert_temp(place(), card));
            expiry::set(&cc.egui_ctx);
        }
        Err(reason) => {
            tracing::warn!("pictures are converted by the processor, since {reason}; OpenGL is {renderer}");
        }
    }
}

/// Gives back what the card holds; the window is closing, and its context is current.
pub fn close(ctx: &Context, gl: Option<&glow::Context>) {
    let card: Option<Card> = ctx.data_mut(|data| data.remove_temp(place()));
    if let (Some(card), Some(gl)) = (card, gl)
        && let Some(converter) = card.lock().take()
    {
        converter.delete(gl);
    }
}

/// Software that stands in for a card takes longer to convert than the processor's own instructions (measured: RESULTS.md
/// of the lab).
fn choose(renderer: &str) -> PictureConversion {
    const SOFTWARE: [&str; 5] = ["llvmpipe", "softpipe", "swrast", "swiftshader", "gdi generic"];
    let renderer = renderer.to_lowercase();
    if SOFTWARE.iter().any(|name| renderer.contains(name)) {
        PictureConversion::Processor
    } else {
        PictureConversion::GraphicsCard
    }
}

/// Whether a frame is as large as it says.
pub(super) fn can_be(frame: &VideoFrame) -> bool {
    Planes::new(&frame.planes, frame.width, frame.height).is_some()
}

impl Card {
    /// The card of this window, if it converts.
    pub(super) fn of(ctx: &Context) -> Option<Self> {
        let card: Self = ctx.data(|data| data.get_temp(place()))?;
        let works = card.lock().is_some();
        works.then_some(card)
    }

    /// Only the window's thread ever has it; that is not in the types that egui asks for.
    fn lock(&self) -> MutexGuard<'_, Option<Converter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the frame converted into a texture of its size, before anything of this painting is drawn. What is told
    /// becomes true when it was done: a painting that is thrown away does nothing.
    pub(super) fn convert(&self, ctx: &Context, texture: TextureId, frame: &VideoFrame) -> Arc<AtomicBool> {
        let done = Arc::new(AtomicBool::new(false));
        let (card, frame, told, window) = (self.clone(), frame.clone(), done.clone(), ctx.clone());
        let callback = CallbackFn::new(move |_, painter| {
            card.paint(painter, texture, &frame, &window);
            told.store(true, Ordering::Relaxed);
        });
        // It is called where it lies on the screen; what it draws is elsewhere.
        let rect = Rect::from_min_size(ctx.viewport_rect().min, vec2(1.0, 1.0));
        ctx.layer_painter(LayerId::background()).add(PaintCallback { rect, callback: Arc::new(callback) });
        done
    }

    fn paint(&self, painter: &Painter, texture: TextureId, frame: &VideoFrame, ctx: &Context) {
        let mut converter = self.lock();
        let target = painter.texture(texture);
        let planes = Planes::new(&frame.planes, frame.width, frame.height);
        let (Some(works), Some(target), Some(planes)) = (&mut *converter, target, planes) else { return };
        if expiry::has_come(ctx) {
            gl::take_room(painter.gl(), target);
        }
        if let Err(reason) = works.convert(painter.gl(), &planes, target) {
            tracing::warn!("pictures are converted by the processor from now on, since {reason}");
            if let Some(broken) = converter.take() {
                broken.delete(painter.gl());
            }
            ctx.request_repaint();
        }
    }
}

/// A card that stops in the middle of a call, for the tests of that: a program built with debug assertions takes the
/// memory of the texture that it draws into, after so many pictures. All that follows is the driver's doing and ours.
mod expiry {
    use egui::{Context, Id};

    fn place() -> Id {
        Id::unique("pictures until the card stops")
    }

    pub(super) fn set(ctx: &Context) {
        if cfg!(debug_assertions)
            && let Some(pictures) = std::env::var("PARLOR_CARD_LASTS").ok().and_then(|text| text.parse::<u32>().ok())
        {
            ctx.data_mut(|data| data.insert_temp(place(), pictures));
        }
    }

    /// Counts a picture. Always false where nothing was set.
    pub(super) fn has_come(ctx: &Context) -> bool {
        cfg!(debug_assertions)
            && ctx.data_mut(|data| {
                let left = data.get_temp::<u32>(place());
                if let Some(left) = left {
                    data.insert_temp(place(), left.saturating_sub(1));
                }
                left == Some(0)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_converts_and_what_stands_in_for_one_does_not() {
        for (renderer, who) in [
            ("llvmpipe (LLVM 15.0.6, 256 bits)", PictureConversion::Processor),
            (
                "ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero)), SwiftShader driver)",
                PictureConversion::Processor,
            ),
            ("Mesa Intel(R) UHD Graphics 620 (KBL GT2)", PictureConversion::GraphicsCard),
            ("NVIDIA GeForce RTX 3060/PCIe/SSE2", PictureConversion::GraphicsCard),
        ] {
            assert_eq!(choose(renderer), who, "{renderer}");
        }
    }
}
