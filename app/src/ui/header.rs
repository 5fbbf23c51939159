//! The row above the tiles: room, time, people, what just happened, the link.

use egui::{Align2, Rect, Sense, Stroke, StrokeKind, Ui, WidgetInfo, accesskit::Role, pos2, vec2};

use super::call::header_text;
use super::icons::{self, Icon};
use super::theme;
use super::view::{CallView, Note, Tone, UiCommand};
use super::widgets::{IconButton, Look, few_lines, one_line, paint_focus, put_text_button, say, text_button_width};
use super::words::elapsed_words;

/// Below this width the message covers the row, in points.
const MESSAGE_BESIDE_FROM: f32 = 860.0;

/// Draws the row. Answers whether the room was asked for.
pub fn header_ui(
    ui: &mut Ui,
    rect: Rect,
    view: &CallView,
    toast: Option<&Note>,
    commands: &mut Vec<UiCommand>,
) -> bool {
    let message = message(view, toast);
    if let Some(message) = message.as_ref().filter(|_| rect.width() < MESSAGE_BESIDE_FROM) {
        message_ui(ui, rect, message);
        return false;
    }
    let (left, room) = left_ui(ui, rect, view);
    let right = link_button_ui(ui, rect, commands);
    if let Some(message) = &message {
        message_ui(ui, Rect::from_min_max(pos2(left + 16.0, rect.top()), pos2(right - 16.0, rect.bottom())), message);
    }
    room
}

/// The one message there is room for: what the user can do something about first.
fn message(view: &CallView, toast: Option<&Note>) -> Option<Note> {
    if view.speaking_while_muted {
        return Some(Note::warning("You are muted. Press M to speak."));
    }
    toast.or(view.banner.as_ref()).cloned()
}

fn left_ui(ui: &mut Ui, rect: Rect, view: &CallView) -> (f32, bool) {
    let y = rect.center().y;
    let room_width = (rect.width() * 0.45 - 80.0).max(80.0);
    let mut x = header_text(ui, pos2(rect.left() + 8.0, y), &view.room, true, room_width) + 16.0;
    if let Some(elapsed) = view.elapsed {
        x = header_text(ui, pos2(x, y), &elapsed_words(elapsed), false, 80.0) + 16.0;
    }
    room_button_ui(ui, pos2(x, y), view)
}

/// Who is here and whether the room is locked; pressed, all there is to know and to do about the room.
fn room_button_ui(ui: &mut Ui, left: egui::Pos2, view: &CallView) -> (f32, bool) {
    let count = view.people.to_string();
    let galley = one_line(ui.painter(), &count, theme::regular(theme::SIZE_BODY), theme::TEXT, 60.0);
    let lock_width = if view.access.locked { 24.0 } else { 0.0 };
    let size = vec2(12.0 + 16.0 + 6.0 + galley.size().x + lock_width + 12.0, 36.0);
    let rect = Rect::from_min_size(left - vec2(0.0, size.y / 2.0), size);
    let response = ui.interact(rect, ui.make_persistent_id("room button"), Sense::click());
    let label = room_label(view);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), &label));
    let fill = if response.hovered() { theme::RAISED_HOVER } else { theme::RAISED };
    let line = Stroke::new(1.0, theme::LINE);
    ui.painter().rect(rect, theme::RADIUS_FIELD, fill, line, StrokeKind::Inside);
    let icon_at = |x: f32| Rect::from_center_size(pos2(x + 8.0, rect.center().y), vec2(16.0, 16.0));
    icons::paint(ui.painter(), Icon::People, icon_at(rect.left() + 12.0), 16.0, theme::MUTED);
    let text = Align2::LEFT_CENTER.anchor_size(pos2(rect.left() + 34.0, rect.center().y), galley.size());
    ui.painter().galley(text.min, galley, theme::TEXT);
    if view.access.locked {
        icons::paint(ui.painter(), Icon::Lock, icon_at(text.right() + 8.0), 16.0, theme::ACCENT);
    }
    paint_focus(ui.painter(), &response, rect, theme::RADIUS_FIELD);
    let pressed = response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(&label).clicked();
    (rect.right(), pressed)
}

/// "5 people, room locked".
fn room_label(view: &CallView) -> String {
    let people = if view.people == 1 { "1 person".to_owned() } else { format!("{} people", view.people) };
    if view.access.locked { format!("{people}, room locked") } else { people }
}

fn link_button_ui(ui: &mut Ui, rect: Rect, commands: &mut Vec<UiCommand>) -> f32 {
    let text = "Copy link";
    let pressed;
    let button;
    if rect.width() >= 440.0 {
        let size = vec2(text_button_width(ui.painter(), true, text), 36.0);
        button = Rect::from_min_size(pos2(rect.right() - size.x, rect.center().y - size.y / 2.0), size);
        pressed = put_text_button(ui, button, Some(Icon::Link), text, Look::Plain).clicked();
    } else {
        button = Rect::from_center_size(pos2(rect.right() - 18.0, rect.center().y), vec2(36.0, 36.0));
        pressed = IconButton::new(Icon::Link, text).put(ui, button).clicked();
    }
    if pressed {
        commands.push(UiCommand::CopyLink);
    }
    button.left()
}

fn message_ui(ui: &Ui, space: Rect, message: &Note) {
    if space.width() < 120.0 {
        return;
    }
    let (icon, color) = match message.tone {
        Tone::Quiet => (Icon::Info, theme::TEXT),
        Tone::Warning => (Icon::Warning, theme::ACCENT),
    };
    let font = theme::regular(theme::SIZE_LABEL);
    let galley = few_lines(ui.painter(), &message.text, font, color, space.width() - 52.0, 2);
    let size = vec2(galley.size().x + 52.0, galley.size().y + 12.0).max(vec2(0.0, 36.0));
    let rect = Rect::from_center_size(space.center(), size);
    ui.painter().rect_filled(rect, theme::RADIUS_FIELD, theme::SURFACE);
    let place = Rect::from_center_size(pos2(rect.left() + 22.0, rect.center().y), vec2(16.0, 16.0));
    icons::paint(ui.painter(), icon, place, 16.0, color);
    let at = Align2::LEFT_CENTER.anchor_size(pos2(rect.left() + 38.0, rect.center().y), galley.size());
    ui.painter().galley(at.min, galley, color);
    say(ui, rect, "message", &message.text).on_hover_text(&message.text);
}
