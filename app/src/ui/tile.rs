//! One person's tile: picture or initial, name, marks, state.

use egui::{
    Align2, Color32, CornerRadius, FontId, Rect, Response, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo,
    accesskit::Role, epaint::RectShape, pos2, vec2,
};

use super::icons::{self, Icon};
use super::layout::place_picture;
use super::theme;
use super::view::{Picture, TileId, TileView, Tone};
use super::widgets::{one_line, paint_focus, say};

/// What was done to a tile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TileResponse {
    /// Double click, or Enter on it: show it alone, or no longer.
    pub enlarge: bool,
    /// The name was pressed: volume and details.
    pub details: bool,
}

/// How a tile is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileStyle {
    /// In the grid.
    Grid,
    /// Alone, the picture whole.
    Alone,
    /// The small self view.
    Small,
}

/// Draws a tile.
pub fn tile_ui(ui: &mut Ui, rect: Rect, view: &TileView, style: TileStyle) -> TileResponse {
    let id = ui.make_persistent_id(("tile", &view.id));
    let response = ui.interact(rect, id, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, describe(view)));
    let radius = if style == TileStyle::Small { CornerRadius::same(12) } else { theme::RADIUS_TILE };
    match view.picture {
        Some(picture) => paint_picture(ui, rect, radius, picture, view.mirrored, style == TileStyle::Alone),
        None => {
            ui.painter().rect_filled(rect, radius, theme::SURFACE);
            paint_initial(ui, rect, &view.avatar_of);
        }
    }
    paint_speaking(ui, rect, radius, id, view.speaking);
    paint_focus(ui.painter(), &response, rect.shrink(2.0), radius);
    let details = name_pill_ui(ui, rect, view, style);
    camera_pill_ui(ui, rect, view, style);
    state_pill_ui(ui, rect, view, style);
    let entered = response.has_focus() && response.clicked();
    TileResponse { enlarge: response.double_clicked() || entered, details }
}

fn describe(view: &TileView) -> String {
    let state = view.state.as_ref().map(|note| note.text.as_str());
    let marks = [view.muted.then_some("muted"), view.camera_note.as_deref(), state];
    let marks: Vec<_> = marks.into_iter().flatten().collect();
    let name = if view.id == TileId::You { "Your picture" } else { view.name.as_str() };
    if marks.is_empty() { name.to_owned() } else { format!("{name}: {}", marks.join(", ")) }
}

fn paint_picture(ui: &Ui, tile: Rect, radius: CornerRadius, picture: Picture, mirrored: bool, whole: bool) {
    let placed = place_picture(picture.size, tile, whole);
    let mut uv = placed.uv;
    if mirrored {
        (uv.min.x, uv.max.x) = (uv.max.x, uv.min.x);
    }
    let covers = placed.rect == tile;
    if !covers {
        ui.painter().rect_filled(tile, radius, theme::SURFACE);
    }
    let radius = if covers { radius } else { CornerRadius::same(8) };
    let shape = RectShape::filled(placed.rect, radius, Color32::WHITE).with_texture(picture.texture, uv);
    ui.painter().add(Shape::from(shape));
}

fn paint_initial(ui: &Ui, tile: Rect, name: &str) {
    let radius = (tile.width().min(tile.height()) * 0.16).clamp(16.0, 72.0);
    ui.painter().circle_filled(tile.center(), radius, theme::avatar_color(name));
    let initial: String = name.chars().next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let font = theme::semibold(radius * 0.82);
    ui.painter().text(tile.center(), Align2::CENTER_CENTER, initial, font, theme::TEXT);
}

fn paint_speaking(ui: &Ui, rect: Rect, radius: CornerRadius, id: egui::Id, speaking: bool) {
    let time = if theme::is_motion_reduced(ui.style()) {
        0.0
    } else if speaking {
        theme::SPEAKING_IN_SECS
    } else {
        theme::SPEAKING_OUT_SECS
    };
    let strength = ui.ctx().animate_bool_with_time(id.with("speaking"), speaking, time);
    if strength > 0.0 {
        let stroke = Stroke::new(theme::SPEAKING_WIDTH, theme::OK.gamma_multiply(strength));
        ui.painter().rect_stroke(rect, radius, stroke, StrokeKind::Outside);
    }
}

/// The measures of a pill on a tile of this style.
struct PillMetrics {
    inset: f32,
    height: f32,
    font: FontId,
    icon: f32,
}

fn metrics(style: TileStyle) -> PillMetrics {
    match style {
        TileStyle::Small => PillMetrics { inset: 6.0, height: 24.0, font: theme::semibold(12.0), icon: 13.0 },
        TileStyle::Grid | TileStyle::Alone => {
            PillMetrics { inset: 12.0, height: 26.0, font: theme::semibold(theme::SIZE_LABEL), icon: 14.0 }
        }
    }
}

const PILL_PADDING: f32 = 10.0;

/// The name with its microphone mark; pressing it opens volume and details, except on the self view.
fn name_pill_ui(ui: &mut Ui, tile: Rect, view: &TileView, style: TileStyle) -> bool {
    let metrics = metrics(style);
    let beside = metrics.icon + 6.0;
    let icon_width = if view.muted { beside } else { 0.0 };
    let info_width = if view.id == TileId::You { 0.0 } else { beside };
    let room = tile.width() - 2.0 * metrics.inset - 2.0 * PILL_PADDING - icon_width - info_width;
    let galley = one_line(ui.painter(), &view.name, metrics.font.clone(), theme::TEXT, room);
    let size = vec2(galley.size().x + 2.0 * PILL_PADDING + icon_width + info_width, metrics.height);
    let at = pos2(tile.left() + metrics.inset, tile.bottom() - metrics.inset - size.y);
    let rect = Rect::from_min_size(at, size);
    let response = pill_response(ui, rect, view);
    let fill = if response.hovered() && response.sense.senses_click() { theme::RAISED } else { theme::pill() };
    ui.painter().rect_filled(rect, theme::RADIUS_PILL, fill);
    if view.muted {
        let left = rect.left() + PILL_PADDING + metrics.icon / 2.0;
        let place = Rect::from_center_size(pos2(left, rect.center().y), vec2(metrics.icon, metrics.icon));
        icons::paint(ui.painter(), Icon::MicrophoneOff, place, metrics.icon, theme::TEXT);
    }
    if info_width > 0.0 {
        let place = pos2(rect.right() - PILL_PADDING - metrics.icon / 2.0, rect.center().y);
        let place = Rect::from_center_size(place, vec2(metrics.icon, metrics.icon));
        icons::paint(ui.painter(), Icon::Info, place, metrics.icon, theme::MUTED);
    }
    let text_at = pos2(rect.left() + PILL_PADDING + icon_width, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(text_at, galley, theme::TEXT);
    paint_focus(ui.painter(), &response, rect, theme::RADIUS_PILL);
    response.clicked()
}

fn pill_response(ui: &Ui, rect: Rect, view: &TileView) -> Response {
    let id = ui.make_persistent_id(("name", &view.id));
    match view.id {
        TileId::You => say(ui, rect, ("name", &view.id), &view.name),
        TileId::Peer(_) => {
            let response = ui.interact(rect, id, Sense::click());
            let label = format!("{}: volume and details", view.name);
            response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
            response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text("Volume and details")
        }
    }
}

fn camera_pill_ui(ui: &Ui, tile: Rect, view: &TileView, style: TileStyle) {
    let Some(note) = &view.camera_note else { return };
    // On the small self view the toolbar beside it says the same.
    if style == TileStyle::Small {
        return;
    }
    let words = tile.width() >= 260.0;
    let metrics = metrics(style);
    let room = if words { tile.width() * 0.55 } else { 0.0 };
    let galley = words.then(|| one_line(ui.painter(), note, metrics.font.clone(), theme::TEXT, room));
    let text_width = galley.as_ref().map_or(0.0, |galley| galley.size().x + 6.0);
    let size = vec2(metrics.icon + text_width + 2.0 * PILL_PADDING, metrics.height);
    let rect = Rect::from_min_size(tile.right_bottom() - vec2(metrics.inset, metrics.inset) - size, size);
    ui.painter().rect_filled(rect, theme::RADIUS_PILL, theme::pill());
    let left = rect.left() + PILL_PADDING;
    let place =
        Rect::from_center_size(pos2(left + metrics.icon / 2.0, rect.center().y), vec2(metrics.icon, metrics.icon));
    icons::paint(ui.painter(), Icon::CameraOff, place, metrics.icon, theme::TEXT);
    if let Some(galley) = galley {
        let at = pos2(left + metrics.icon + 6.0, rect.center().y - galley.size().y / 2.0);
        ui.painter().galley(at, galley, theme::TEXT);
    }
    say(ui, rect, ("camera note", &view.id), note).on_hover_text(note);
}

fn state_pill_ui(ui: &Ui, tile: Rect, view: &TileView, style: TileStyle) {
    let Some(note) = &view.state else { return };
    let metrics = metrics(style);
    let color = match note.tone {
        Tone::Quiet => theme::TEXT,
        Tone::Warning => theme::ACCENT.lerp_to_gamma(theme::TEXT, 0.3),
    };
    let room = tile.width() - 2.0 * metrics.inset - 2.0 * PILL_PADDING;
    let galley = one_line(ui.painter(), &note.text, metrics.font, color, room);
    let size = vec2(galley.size().x + 2.0 * PILL_PADDING, metrics.height);
    let rect = Rect::from_min_size(pos2(tile.right() - metrics.inset - size.x, tile.top() + metrics.inset), size);
    ui.painter().rect_filled(rect, theme::RADIUS_PILL, theme::pill());
    ui.painter().galley(pos2(rect.left() + PILL_PADDING, rect.center().y - galley.size().y / 2.0), galley, color);
    say(ui, rect, ("state", &view.id), &note.text).on_hover_text(&note.text);
}
