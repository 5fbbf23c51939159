//! The controls all screens share: each has a role, a label, a focus ring and one look.

use std::sync::Arc;

use egui::text::{LayoutJob, TextWrapping};
use egui::{
    Align2, Color32, CornerRadius, FontId, Galley, Painter, Rect, Response, Sense, Stroke, StrokeKind, TextEdit, Ui,
    Vec2, WidgetInfo, accesskit::Role, pos2, vec2,
};

use super::icons::{self, Icon};
use super::theme;
use parlor_proto::PASSWORD_CHARACTERS_MAX;

/// How a button looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The one thing to do next.
    Primary,
    /// Anything else.
    Plain,
    /// Switched off.
    Off,
    /// Leaving.
    Danger,
    /// No face until touched.
    Bare,
}

impl Look {
    fn colors(self, hovered: bool) -> (Color32, Color32, Stroke) {
        let line = Stroke::new(1.0, theme::LINE);
        let lighter = |color: Color32| if hovered { color.lerp_to_gamma(theme::TEXT, 0.12) } else { color };
        match self {
            Self::Primary => (lighter(theme::ACCENT), theme::ON_ACCENT, Stroke::NONE),
            Self::Plain => (if hovered { theme::RAISED_HOVER } else { theme::RAISED }, theme::TEXT, line),
            Self::Off => (lighter(theme::DANGER_DIM), theme::DANGER_TEXT, Stroke::NONE),
            Self::Danger => (lighter(theme::DANGER), Color32::WHITE, Stroke::NONE),
            Self::Bare if hovered => (theme::RAISED, theme::TEXT, Stroke::NONE),
            Self::Bare => (Color32::TRANSPARENT, theme::MUTED, Stroke::NONE),
        }
    }
}

/// A button that is only an icon: its label is what assistive technology and the pointer's hint say.
pub struct IconButton<'a> {
    /// The icon.
    pub icon: Icon,
    /// What pressing it does: "Mute microphone".
    pub label: &'a str,
    /// The key that does the same.
    pub key: Option<&'a str>,
    /// Its look.
    pub look: Look,
    /// A number at its corner.
    pub badge: usize,
}

impl<'a> IconButton<'a> {
    /// A plain one.
    pub fn new(icon: Icon, label: &'a str) -> Self {
        Self { icon, label, key: None, look: Look::Plain, badge: 0 }
    }

    /// With this look.
    pub fn look(self, look: Look) -> Self {
        Self { look, ..self }
    }

    /// Says which key does the same.
    pub fn key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// With a number at its corner, when there is one.
    pub fn badge(self, badge: usize) -> Self {
        Self { badge, ..self }
    }

    /// Draws it where told, fully rounded.
    pub fn put(self, ui: &mut Ui, rect: Rect) -> Response {
        let id = ui.make_persistent_id(("icon button", self.icon, rect_key(rect)));
        let response = ui.interact(rect, id, Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), self.spoken()));
        let radius = CornerRadius::same((rect.height() / 2.0) as u8);
        let (fill, text, _) = self.look.colors(response.hovered());
        ui.painter().rect_filled(rect, radius, fill);
        icons::paint(ui.painter(), self.icon, rect, theme::ICON, text);
        paint_focus(ui.painter(), &response, rect, radius);
        if self.badge > 0 {
            paint_badge(ui.painter(), rect, self.badge);
        }
        let hint = match self.key {
            Some(key) => format!("{} ({key})", self.label),
            None => self.label.to_owned(),
        };
        response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(hint)
    }

    fn spoken(&self) -> String {
        match self.badge {
            0 => self.label.to_owned(),
            1 => format!("{}, 1 unread message", self.label),
            count => format!("{}, {count} unread messages", self.label),
        }
    }
}

/// Two buttons with the same icon are told apart by where they are, at whole points.
fn rect_key(rect: Rect) -> (i32, i32) {
    (rect.center().x.round() as i32, rect.center().y.round() as i32)
}

fn paint_badge(painter: &Painter, button: Rect, count: usize) {
    let text = if count > 99 { "99+".to_owned() } else { count.to_string() };
    let galley = painter.layout_no_wrap(text, theme::semibold(12.0), theme::ON_ACCENT);
    let size = vec2((galley.size().x + 10.0).max(20.0), 20.0);
    let rect = Rect::from_center_size(pos2(button.right() - 8.0, button.top() + 7.0), size);
    painter.rect(rect, 10, theme::ACCENT, Stroke::new(2.0, theme::BG), StrokeKind::Outside);
    painter.galley(rect.center() - galley.size() / 2.0, galley, theme::ON_ACCENT);
}

/// The accent's ring around what the keyboard is on.
pub fn paint_focus(painter: &Painter, response: &Response, rect: Rect, radius: CornerRadius) {
    if response.has_focus() {
        let outer = radius + CornerRadius::same(3);
        painter.rect_stroke(rect.expand(2.0), outer, theme::focus_ring(), StrokeKind::Outside);
    }
}

/// A button with words, as wide as told.
pub fn text_button(ui: &mut Ui, size: Vec2, icon: Option<Icon>, text: &str, look: Look) -> Response {
    let (_, rect) = ui.allocate_space(size);
    put_text_button(ui, rect, icon, text, look)
}

/// A button with words, where told.
pub fn put_text_button(ui: &mut Ui, rect: Rect, icon: Option<Icon>, text: &str, look: Look) -> Response {
    let id = ui.make_persistent_id(("button", text, rect_key(rect)));
    let response = ui.interact(rect, id, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), text));
    let (fill, color, stroke) = look.colors(response.hovered() && ui.is_enabled());
    let color = if ui.is_enabled() { color } else { color.gamma_multiply(0.5) };
    let fill = if ui.is_enabled() { fill } else { fill.gamma_multiply(0.5) };
    ui.painter().rect(rect, theme::RADIUS_FIELD, fill, stroke, StrokeKind::Inside);
    let room = rect.width() - 24.0 - if icon.is_some() { 24.0 } else { 0.0 };
    let galley = one_line(ui.painter(), text, theme::semibold(theme::SIZE_BODY), color, room);
    let icon_width = if icon.is_some() { 24.0 } else { 0.0 };
    let left = rect.center().x - (galley.size().x + icon_width) / 2.0;
    if let Some(icon) = icon {
        let place = Rect::from_center_size(pos2(left + 8.0, rect.center().y), Vec2::splat(16.0));
        icons::paint(ui.painter(), icon, place, 16.0, color);
    }
    let at = pos2(left + icon_width, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, color);
    paint_focus(ui.painter(), &response, rect, theme::RADIUS_FIELD);
    response.on_hover_cursor(egui::CursorIcon::PointingHand)
}

/// How wide a text button must be for its words.
pub fn text_button_width(painter: &Painter, icon: bool, text: &str) -> f32 {
    let galley = painter.layout_no_wrap(text.to_owned(), theme::semibold(theme::SIZE_BODY), theme::TEXT);
    (galley.size().x + 32.0 + if icon { 24.0 } else { 0.0 }).ceil()
}

/// A labelled field of one line; the label names it to assistive technology too.
pub fn field(ui: &mut Ui, label: &str, text: &mut String, hint: &str, limit: usize, problem: Option<&str>) -> Response {
    field_with(ui, label, text, hint, limit, problem, true)
}

/// A field for a password, seen only when `shown`.
pub fn secret_field(ui: &mut Ui, label: &str, text: &mut String, hint: &str, shown: bool) -> Response {
    field_with(ui, label, text, hint, PASSWORD_CHARACTERS_MAX, None, shown)
}

fn field_with(
    ui: &mut Ui,
    label: &str,
    text: &mut String,
    hint: &str,
    limit: usize,
    problem: Option<&str>,
    shown: bool,
) -> Response {
    let id = ui.make_persistent_id(("field", label));
    let caption = ui.label(egui::RichText::new(label).font(theme::semibold(theme::SIZE_LABEL)).color(theme::MUTED));
    ui.add_space(-2.0);
    let focused = ui.ctx().memory(|memory| memory.has_focus(id));
    let line = match (problem, focused) {
        (Some(_), _) => Stroke::new(1.0, theme::DANGER_TEXT),
        (None, true) => Stroke::new(1.0, theme::ACCENT),
        (None, false) => Stroke::new(1.0, theme::LINE),
    };
    let size = vec2(ui.available_width(), theme::FIELD_HEIGHT);
    let margin = egui::Margin::symmetric(14, 11);
    let frame = egui::Frame::new().corner_radius(theme::RADIUS_FIELD).fill(theme::BG).stroke(line).inner_margin(margin);
    let edit = TextEdit::singleline(text)
        .id(id)
        .password(!shown)
        .font(theme::regular(theme::SIZE_BODY))
        .hint_text(egui::RichText::new(hint).color(theme::MUTED))
        .frame(frame)
        .align(egui::Align2::LEFT_CENTER)
        .min_size(size)
        .char_limit(limit)
        .desired_width(size.x);
    let response = ui.add_sized(size, edit).labelled_by(caption.id);
    if focused {
        // The ring of everything else, around a field that already has a line.
        let stroke = Stroke::new(2.0, line.color);
        ui.painter().rect_stroke(response.rect, theme::RADIUS_FIELD, stroke, StrokeKind::Inside);
    }
    if let Some(problem) = problem {
        problem_ui(ui, problem);
    }
    response
}

/// What went wrong, in place.
pub fn problem_ui(ui: &mut Ui, problem: &str) {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 8.0;
        let (_, rect) = ui.allocate_space(vec2(16.0, 18.0));
        icons::paint(ui.painter(), Icon::Warning, rect, 16.0, theme::DANGER_TEXT);
        let text = egui::RichText::new(problem).font(theme::regular(theme::SIZE_LABEL)).color(theme::DANGER_TEXT);
        ui.add(egui::Label::new(text).wrap());
    });
}

/// A check box with words.
pub fn toggle(ui: &mut Ui, on: bool, text: &str) -> Response {
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 32.0));
    let id = ui.make_persistent_id(("toggle", text));
    let response = ui.interact(rect, id, Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, ui.is_enabled(), on, text));
    let square = Rect::from_center_size(pos2(rect.left() + 10.0, rect.center().y), Vec2::splat(20.0));
    let (fill, line) = if on { (theme::ACCENT, theme::ACCENT) } else { (theme::BG, theme::MUTED) };
    ui.painter().rect(square, 6, fill, Stroke::new(1.0, line), StrokeKind::Inside);
    if on {
        icons::paint(ui.painter(), Icon::Check, square, 16.0, theme::ON_ACCENT);
    }
    let galley = one_line(ui.painter(), text, theme::regular(theme::SIZE_BODY), theme::TEXT, rect.width() - 32.0);
    ui.painter().galley(pos2(rect.left() + 32.0, rect.center().y - galley.size().y / 2.0), galley, theme::TEXT);
    paint_focus(ui.painter(), &response, square, CornerRadius::same(6));
    response.on_hover_cursor(egui::CursorIcon::PointingHand)
}

/// Text on one line, cut with "…" where it does not fit.
pub fn one_line(painter: &Painter, text: &str, font: FontId, color: Color32, max_width: f32) -> Arc<Galley> {
    few_lines(painter, text, font, color, max_width, 1)
}

/// The same on a few lines.
pub fn few_lines(
    painter: &Painter,
    text: &str,
    font: FontId,
    color: Color32,
    max_width: f32,
    lines: usize,
) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(text.replace(['\n', '\r'], " "), font, color);
    let break_anywhere = lines == 1;
    job.wrap =
        TextWrapping { max_width: max_width.max(0.0), max_rows: lines, break_anywhere, ..TextWrapping::default() };
    painter.layout_job(job)
}

/// Text that only assistive technology and tests need told, because it is painted.
pub fn say(ui: &Ui, rect: Rect, salt: impl egui::AsIdSalt, text: &str) -> Response {
    let response = ui.interact(rect, ui.make_persistent_id(salt), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    response
}

/// Paints a text and says it.
pub fn text_at(ui: &Ui, at: egui::Pos2, anchor: Align2, text: &str, font: FontId, color: Color32, width: f32) -> Rect {
    let galley = one_line(ui.painter(), text, font, color, width);
    let rect = anchor.anchor_size(at, galley.size());
    ui.painter().galley(rect.min, galley, color);
    say(ui, rect, ("text", text, rect_key(rect)), text);
    rect
}
