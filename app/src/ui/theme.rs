//! The only colours and sizes of the window; the page's style sheet has the same names.

use std::sync::Arc;

use egui::epaint::text::{FallbackRequest, FontInsert, FontTweak};
use egui::{Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Stroke, TextStyle, vec2};

/// Behind everything.
pub const BG: Color32 = Color32::from_rgb(0x0f, 0x11, 0x15);
/// Tiles without a picture, the chat, sheets.
pub const SURFACE: Color32 = Color32::from_rgb(0x17, 0x1a, 0x21);
/// Buttons.
pub const RAISED: Color32 = Color32::from_rgb(0x20, 0x25, 0x2e);
/// A button under the pointer: between raised and line.
pub const RAISED_HOVER: Color32 = Color32::from_rgb(0x28, 0x2e, 0x39);
/// Borders and separators.
pub const LINE: Color32 = Color32::from_rgb(0x2c, 0x33, 0x3f);
/// Text.
pub const TEXT: Color32 = Color32::from_rgb(0xec, 0xef, 0xf4);
/// Text of less weight: labels, times, hints.
pub const MUTED: Color32 = Color32::from_rgb(0x98, 0xa2, 0xb3);
/// The one thing to do next, and the focus ring.
pub const ACCENT: Color32 = Color32::from_rgb(0xf0, 0xb3, 0x57);
/// Text on the accent.
pub const ON_ACCENT: Color32 = Color32::from_rgb(0x1d, 0x14, 0x05);
/// Leaving and "off".
pub const DANGER: Color32 = Color32::from_rgb(0xe5, 0x56, 0x4c);
/// Behind a control that is off: danger, dimmed onto the background.
pub const DANGER_DIM: Color32 = Color32::from_rgb(0x3d, 0x22, 0x24);
/// Text and icons on the dimmed danger and on dark surfaces; danger itself is too dark to read there.
pub const DANGER_TEXT: Color32 = Color32::from_rgb(0xff, 0x8f, 0x87);
/// Speaking; the level meter.
pub const OK: Color32 = Color32::from_rgb(0x4c, 0xc3, 0x8a);
/// Links.
pub const INFO: Color32 = Color32::from_rgb(0x6e, 0xa8, 0xfe);

/// Behind a name on a picture: the background, nearly opaque, so that the text reads on any picture.
pub fn pill() -> Color32 {
    Color32::from_rgba_unmultiplied(0x0f, 0x11, 0x15, 0xd8)
}

/// Behind a sheet: the background, half seen through.
pub fn scrim() -> Color32 {
    Color32::from_rgba_unmultiplied(0x08, 0x09, 0x0c, 0xb4)
}

/// Labels.
pub const SIZE_LABEL: f32 = 13.0;
/// Body text.
pub const SIZE_BODY: f32 = 15.0;
/// Titles.
pub const SIZE_TITLE: f32 = 20.0;
/// Headlines.
pub const SIZE_HEADLINE: f32 = 28.0;

/// Between tiles.
pub const GAP: f32 = 12.0;
/// The corner of a tile.
pub const RADIUS_TILE: CornerRadius = CornerRadius::same(16);
/// The corner of a field or button.
pub const RADIUS_FIELD: CornerRadius = CornerRadius::same(12);
/// The corner of a pill.
pub const RADIUS_PILL: CornerRadius = CornerRadius::same(8);
/// The height of a field or text button.
pub const FIELD_HEIGHT: f32 = 44.0;
/// The diameter of a round button.
pub const ROUND: f32 = 48.0;
/// The side of an icon in a round button.
pub const ICON: f32 = 20.0;
/// From this width on the chat is a side panel, in points.
pub const CHAT_SIDE_FROM: f32 = 960.0;
/// The width of the chat's side panel.
pub const CHAT_WIDTH: f32 = 360.0;
/// The outline of who speaks.
pub const SPEAKING_WIDTH: f32 = 3.0;
/// How fast the outline comes, in seconds.
pub const SPEAKING_IN_SECS: f32 = 0.08;
/// How slowly it goes, in seconds.
pub const SPEAKING_OUT_SECS: f32 = 0.4;
/// How long something that moved takes, in seconds.
pub const MOTION_SECS: f32 = 0.16;

/// Regular text of a size.
pub fn regular(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// Semi-bold text of a size.
pub fn semibold(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("semibold".into()))
}

/// The focus ring.
pub fn focus_ring() -> Stroke {
    Stroke::new(2.0, ACCENT)
}

/// Colours of initials, one per person; white text on each has a contrast of 4.5:1 or more.
const AVATARS: [Color32; 8] = [
    Color32::from_rgb(0x33, 0x50, 0x6b),
    Color32::from_rgb(0x6b, 0x3f, 0x55),
    Color32::from_rgb(0x3c, 0x5e, 0x4b),
    Color32::from_rgb(0x6a, 0x54, 0x2c),
    Color32::from_rgb(0x52, 0x47, 0x7a),
    Color32::from_rgb(0x2b, 0x60, 0x66),
    Color32::from_rgb(0x7a, 0x45, 0x3a),
    Color32::from_rgb(0x55, 0x5b, 0x2e),
];

/// A person's colour: the same for the same name in every window (FNV-1a of the name).
pub fn avatar_color(name: &str) -> Color32 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    AVATARS[hash as usize % AVATARS.len()]
}

/// Puts fonts and style into a context, once.
pub fn apply(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    // Asked after the system's fonts, which may have emoji in colour.
    ctx.add_font_provider(Arc::new(emoji));
    ctx.set_theme(egui::Theme::Dark);
    ctx.all_styles_mut(style);
}

/// Whether what moves goes there slowly enough to follow, or at once, for those whom motion makes unwell.
pub fn set_motion_reduced(ctx: &egui::Context, reduced: bool) {
    ctx.all_styles_mut(|style| {
        style.animation_time = if reduced { 0.0 } else { MOTION_SECS };
        style.scroll_animation =
            if reduced { egui::style::ScrollAnimation::none() } else { egui::style::ScrollAnimation::default() };
    });
}

/// Whether things that move go there at once.
pub fn is_motion_reduced(style: &egui::Style) -> bool {
    style.animation_time <= 0.0
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    let regular: &[u8] = include_bytes!("../../../assets/fonts/Inter-Regular.otf");
    let semibold: &[u8] = include_bytes!("../../../assets/fonts/Inter-SemiBold.otf");
    for (name, bytes) in [("inter", regular), ("inter-semibold", semibold)] {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    for (family, names) in [
        (FontFamily::Proportional, ["inter"]),
        (FontFamily::Monospace, ["inter"]),
        (FontFamily::Name("semibold".into()), ["inter-semibold"]),
    ] {
        fonts.families.insert(family, names.map(str::to_owned).to_vec());
    }
    fonts
}

/// The font for emoji, so that no system shows boxes in their place.
fn emoji(request: &FallbackRequest<'_>) -> Option<FontInsert> {
    let font: &'static [u8] = include_bytes!("../../../assets/fonts/NotoEmoji-Regular.ttf");
    // As egui has it for its own fonts: beside letters these are drawn too large.
    let tweak = FontTweak { scale: 0.81, ..FontTweak::default() };
    let is_emoji = request.cluster.chars().next().is_some_and(may_be_emoji);
    is_emoji.then(|| FontInsert::new("noto-emoji", FontData::from_static(font).tweak(tweak), Vec::new()))
}

/// Unicode's blocks of arrows, technical signs and symbols, and its plane of pictographs.
fn may_be_emoji(character: char) -> bool {
    matches!(character, '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{27bf}' | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

fn style(style: &mut egui::Style) {
    style.text_styles = [
        (TextStyle::Small, regular(SIZE_LABEL)),
        (TextStyle::Body, regular(SIZE_BODY)),
        (TextStyle::Monospace, regular(SIZE_BODY)),
        (TextStyle::Button, semibold(SIZE_BODY)),
        (TextStyle::Heading, semibold(SIZE_TITLE)),
    ]
    .into();
    style.animation_time = MOTION_SECS;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.4;
    spacing(&mut style.spacing);
    visuals(&mut style.visuals);
}

fn spacing(spacing: &mut egui::style::Spacing) {
    spacing.item_spacing = vec2(12.0, 8.0);
    spacing.button_padding = vec2(16.0, 10.0);
    spacing.interact_size = vec2(FIELD_HEIGHT, 32.0);
    spacing.menu_margin = Margin::same(8);
    spacing.window_margin = Margin::same(24);
    spacing.slider_rail_height = 6.0;
    spacing.scroll = egui::style::ScrollStyle::thin();
}

fn visuals(visuals: &mut egui::Visuals) {
    visuals.dark_mode = true;
    visuals.override_text_color = Some(TEXT);
    visuals.weak_text_color = Some(MUTED);
    visuals.hyperlink_color = INFO;
    visuals.panel_fill = BG;
    visuals.window_fill = SURFACE;
    visuals.window_stroke = Stroke::new(1.0, LINE);
    visuals.window_corner_radius = RADIUS_TILE;
    visuals.menu_corner_radius = RADIUS_FIELD;
    visuals.extreme_bg_color = BG;
    visuals.faint_bg_color = SURFACE;
    visuals.error_fg_color = DANGER_TEXT;
    visuals.warn_fg_color = ACCENT;
    visuals.selection.bg_fill = Color32::from_rgb(0x5c, 0x47, 0x24);
    visuals.selection.stroke = Stroke::new(1.0, ACCENT);
    visuals.slider_trailing_fill = true;
    // A caret that blinks paints the whole window twice a second, in a lobby where nothing else ever moves.
    visuals.text_cursor.blink = false;
    visuals.popup_shadow = egui::Shadow { offset: [0, 8], blur: 24, spread: 0, color: Color32::from_black_alpha(120) };
    visuals.window_shadow = visuals.popup_shadow;
    let widgets = &mut visuals.widgets;
    for (state, fill, line) in [
        (&mut widgets.noninteractive, SURFACE, LINE),
        (&mut widgets.inactive, RAISED, LINE),
        (&mut widgets.hovered, RAISED_HOVER, ACCENT),
        (&mut widgets.active, RAISED_HOVER, ACCENT),
        (&mut widgets.open, RAISED_HOVER, LINE),
    ] {
        state.bg_fill = fill;
        state.weak_bg_fill = fill;
        state.bg_stroke = Stroke::new(1.0, line);
        state.fg_stroke = Stroke::new(1.5, TEXT);
        state.corner_radius = RADIUS_FIELD;
        state.expansion = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2, "contrast ratio".
    fn contrast(a: Color32, b: Color32) -> f32 {
        let luminance = |color: Color32| {
            let [r, g, b, _] = egui::Rgba::from(color).to_array();
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_can_be_read_on_what_is_behind_it() {
        for (text, behind) in [
            (TEXT, BG),
            (TEXT, SURFACE),
            (TEXT, RAISED_HOVER),
            (MUTED, BG),
            (MUTED, SURFACE),
            (MUTED, RAISED),
            (ON_ACCENT, ACCENT),
            (ACCENT, SURFACE),
            (DANGER_TEXT, DANGER_DIM),
            (DANGER_TEXT, SURFACE),
            (INFO, SURFACE),
        ] {
            assert!(contrast(text, behind) >= 4.5, "{text:?} on {behind:?}: {}", contrast(text, behind));
        }
        for behind in AVATARS {
            assert!(contrast(TEXT, behind) >= 4.5, "{behind:?}: {}", contrast(TEXT, behind));
        }
    }

    #[test]
    fn emoji_are_drawn_where_the_system_has_no_font_for_them() {
        let ctx = egui::Context::default();
        apply(&ctx);
        ctx.run_ui(egui::RawInput::default(), |_| {}).textures_delta.clear();
        for font in [regular(SIZE_BODY), semibold(SIZE_LABEL)] {
            let has = |text: &str| ctx.fonts_mut(|fonts| fonts.has_glyphs(&font, text));
            assert!(has("Ana") && has("😀👍🎉❤"), "{font:?}");
            assert!(!has("ก"), "a letter that no font has is not looked for there");
        }
    }

    #[test]
    fn a_name_keeps_its_colour() {
        assert_eq!(avatar_color("Ana"), avatar_color("Ana"));
        let colors: std::collections::BTreeSet<_> =
            ["Ana", "Bo", "Chen", "Dara", "Mira"].map(|name| avatar_color(name).to_array()).into();
        assert!(colors.len() > 1);
    }
}
