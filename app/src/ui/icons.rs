//! Lucide icons, drawn from their outlines at the size and scale they are shown in.

use egui::{Color32, Context, Id, Painter, Rect, TextureHandle, TextureOptions, Vec2, pos2};

macro_rules! icons {
    ($($name:ident => $file:literal),* $(,)?) => {
        /// An icon.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Icon { $($name),* }

        impl Icon {
            /// Every icon.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name),*];

            fn svg(self) -> &'static str {
                match self { $(Self::$name => include_str!(concat!("../../../assets/icons/", $file, ".svg"))),* }
            }
        }
    };
}

icons! {
    ArrowLeft => "arrow-left",
    Camera => "video",
    CameraOff => "video-off",
    Check => "check",
    ChevronDown => "chevron-down",
    Close => "x",
    Copy => "copy",
    Headphones => "headphones",
    HeadphonesOff => "headphone-off",
    Info => "info",
    Link => "link",
    Lock => "lock",
    Message => "message-square",
    Microphone => "mic",
    MicrophoneOff => "mic-off",
    Minimize => "minimize",
    People => "users",
    PhoneOff => "phone-off",
    Plus => "plus",
    Refresh => "refresh-cw",
    Send => "send",
    Settings => "settings",
    Volume => "volume-2",
    Warning => "triangle-alert",
    WifiOff => "wifi-off",
}

/// Draws an icon centred in a rectangle, `side` points wide and high.
pub fn paint(painter: &Painter, icon: Icon, center: Rect, side: f32, color: Color32) {
    let Some(texture) = texture(painter.ctx(), icon, side) else { return };
    let rect = Rect::from_center_size(center.center(), Vec2::splat(side));
    // On whole pixels, or the outlines blur.
    let scale = painter.pixels_per_point();
    let min = pos2((rect.min.x * scale).round() / scale, (rect.min.y * scale).round() / scale);
    let rect = Rect::from_min_size(min, Vec2::splat(side));
    painter.image(texture.id(), rect, Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)), color);
}

/// The icon in white at the size asked for, kept by the context for the next frame.
fn texture(ctx: &Context, icon: Icon, side: f32) -> Option<TextureHandle> {
    let pixels = (side * ctx.pixels_per_point()).round().clamp(1.0, 512.0) as u32;
    let id = Id::unique(("icon", icon, pixels));
    if let Some(texture) = ctx.data(|data| data.get_temp::<TextureHandle>(id)) {
        return Some(texture);
    }
    let image = rasterize(icon, pixels).ok()?;
    let texture = ctx.load_texture(format!("{icon:?}"), image, TextureOptions::LINEAR);
    ctx.data_mut(|data| data.insert_temp(id, texture.clone()));
    Some(texture)
}

fn rasterize(icon: Icon, pixels: u32) -> Result<egui::ColorImage, String> {
    // White, so that a tint gives any colour.
    let svg = icon.svg().replace("currentColor", "#ffffff");
    let size = egui::load::SizeHint::Size { width: pixels, height: pixels, maintain_aspect_ratio: true };
    egui_extras::image::load_svg_bytes_with_size(svg.as_bytes(), size, &Default::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_draws_something_at_every_scale() {
        for &icon in Icon::ALL {
            for pixels in [16, 20, 30, 40] {
                let image = rasterize(icon, pixels).unwrap();
                assert_eq!(image.size, [pixels as usize; 2]);
                assert!(image.pixels.iter().any(|pixel| pixel.a() > 200), "{icon:?}");
            }
        }
    }
}
