//! The chat: a panel beside the tiles, or a sheet over them.

use egui::{
    Align2, Key, KeyboardShortcut, Label, Modifiers, Rect, RichText, ScrollArea, Stroke, StrokeKind, TextEdit, Ui,
    UiBuilder, pos2, vec2,
};

use super::call::CallState;
use super::icons::Icon;
use super::links::{Span, spans};
use super::theme;
use super::view::{CallView, ChatLineView, UiCommand};
use super::widgets::{IconButton, Look, text_at};
use super::words::unreached_words;

/// The protocol's limit, in characters.
pub const CHARACTERS_MAX: usize = parlor_proto::CHAT_CHARACTERS_MAX;
/// From here on the number left is shown.
const COUNT_FROM: usize = CHARACTERS_MAX - 500;

/// Draws the chat.
pub fn chat_ui(
    ui: &mut Ui,
    rect: Rect,
    covers: bool,
    view: &CallView,
    state: &mut CallState,
    commands: &mut Vec<UiCommand>,
) {
    let mut ui = ui.new_child(UiBuilder::new().id_salt("chat").max_rect(rect));
    // What lies under a covering chat is not to be pressed through it.
    ui.interact(rect, ui.make_persistent_id("chat surface"), egui::Sense::click_and_drag());
    paint_surface(&ui, rect, covers);
    let inner = rect.shrink2(vec2(20.0, 0.0));
    let header = Rect::from_min_size(inner.min, vec2(inner.width(), 56.0));
    header_ui(&mut ui, header, state, commands);
    let input = input_ui(&mut ui, inner, view, state, commands);
    let lines = Rect::from_min_max(pos2(inner.left(), header.bottom()), pos2(inner.right() + 12.0, input.top() - 12.0));
    lines_ui(&mut ui, lines, &view.chat);
}

fn paint_surface(ui: &Ui, rect: Rect, covers: bool) {
    if covers {
        let stroke = Stroke::new(1.0, theme::LINE);
        ui.painter().rect(rect, theme::RADIUS_TILE, theme::SURFACE, stroke, StrokeKind::Inside);
    } else {
        ui.painter().rect_filled(rect, 0, theme::SURFACE);
        ui.painter().vline(rect.left() + 0.5, rect.y_range(), Stroke::new(1.0, theme::LINE));
    }
}

fn header_ui(ui: &mut Ui, rect: Rect, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    let font = theme::semibold(theme::SIZE_BODY);
    text_at(ui, rect.left_center(), Align2::LEFT_CENTER, "Chat", font, theme::TEXT, rect.width() - 48.0);
    let close = Rect::from_center_size(rect.right_center() - vec2(10.0, 0.0), vec2(36.0, 36.0));
    if IconButton::new(Icon::Close, "Close the chat panel").key("Escape").look(Look::Bare).put(ui, close).clicked() {
        state.chat_open = false;
        commands.push(UiCommand::SetChatOpen(false));
    }
}

/// The field at the foot; it grows up to five lines. Answers where it is.
fn input_ui(ui: &mut Ui, inner: Rect, view: &CallView, state: &mut CallState, commands: &mut Vec<UiCommand>) -> Rect {
    let id = ui.make_persistent_id("draft");
    let send_width = 44.0;
    let width = inner.width() - send_width - 14.0;
    let lines = wrapped_lines(ui, &state.draft, width).clamp(1, 5);
    let height = 26.0 + 18.0 * lines as f32;
    let rect = Rect::from_min_max(
        pos2(inner.left(), inner.bottom() - 20.0 - height),
        pos2(inner.right(), inner.bottom() - 20.0),
    );
    let focused = ui.ctx().memory(|memory| memory.has_focus(id));
    let line = if focused { theme::focus_ring() } else { Stroke::new(1.0, theme::LINE) };
    ui.painter().rect(rect, theme::RADIUS_FIELD, theme::BG, line, StrokeKind::Inside);
    // Enter sends, Shift+Enter starts a new line.
    let enter =
        focused && ui.input_mut(|input| !input.modifiers.shift && input.consume_key(Modifiers::NONE, Key::Enter));
    let field = Rect::from_min_max(rect.min + vec2(14.0, 12.0), pos2(rect.right() - send_width, rect.bottom() - 10.0));
    let edit = TextEdit::multiline(&mut state.draft)
        .id(id)
        .frame(egui::Frame::NONE)
        .margin(vec2(0.0, 0.0))
        .font(theme::regular(theme::SIZE_BODY))
        .hint_text(RichText::new("Write to everyone").color(theme::MUTED))
        .return_key(KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter))
        .desired_rows(1)
        .char_limit(CHARACTERS_MAX)
        .desired_width(field.width());
    let mut child = ui.new_child(UiBuilder::new().id_salt("draft").max_rect(field));
    child.set_clip_rect(field.expand2(vec2(2.0, 2.0)).intersect(ui.clip_rect()));
    let scrolled = ScrollArea::vertical().id_salt("draft").stick_to_bottom(true).show(&mut child, |ui| ui.add(edit));
    let response = scrolled.inner.accessible_name("Write to everyone");
    if state.focus_draft {
        state.focus_draft = false;
        response.request_focus();
    }
    let button = Rect::from_center_size(pos2(rect.right() - 24.0, rect.bottom() - 22.0), vec2(36.0, 36.0));
    let pressed = IconButton::new(Icon::Send, "Send message").key("Enter").look(Look::Bare).put(ui, button).clicked();
    counter_ui(ui, rect, &state.draft);
    if (enter || pressed) && !state.draft.trim().is_empty() && !view.joining {
        commands.push(UiCommand::SendChat(state.draft.trim().to_owned()));
        state.draft.clear();
        response.request_focus();
    }
    rect
}

fn wrapped_lines(ui: &Ui, text: &str, width: f32) -> usize {
    let galley = ui.painter().layout(text.to_owned(), theme::regular(theme::SIZE_BODY), theme::TEXT, width - 16.0);
    galley.rows.len()
}

fn counter_ui(ui: &Ui, field: Rect, draft: &str) {
    let count = draft.chars().count();
    if count >= COUNT_FROM {
        let words = format!("{} characters left", CHARACTERS_MAX.saturating_sub(count));
        let font = theme::regular(12.0);
        text_at(
            ui,
            field.right_bottom() + vec2(0.0, 2.0),
            Align2::RIGHT_TOP,
            &words,
            font,
            theme::MUTED,
            field.width(),
        );
    }
}

fn lines_ui(ui: &mut Ui, rect: Rect, chat: &[ChatLineView]) {
    if rect.height() < 8.0 {
        return;
    }
    let mut child = ui.new_child(UiBuilder::new().id_salt("lines").max_rect(rect));
    ScrollArea::vertical().id_salt("lines").auto_shrink([false, false]).stick_to_bottom(true).show(&mut child, |ui| {
        ui.set_width(rect.width() - 12.0);
        ui.spacing_mut().item_spacing.y = 4.0;
        // Rows as high as their text, not as a button.
        ui.spacing_mut().interact_size.y = 16.0;
        if chat.is_empty() {
            ui.label(RichText::new("Nothing written yet. Everyone in the call can read along.").color(theme::MUTED));
        }
        for (index, line) in chat.iter().enumerate() {
            ui.push_id(index, |ui| line_ui(ui, line, index.checked_sub(1).and_then(|before| chat.get(before))));
        }
    });
}

fn line_ui(ui: &mut Ui, line: &ChatLineView, before: Option<&ChatLineView>) {
    let Some(author) = &line.author else {
        ui.add_space(8.0);
        ui.vertical_centered(|ui| {
            ui.add(Label::new(RichText::new(&line.text).font(theme::regular(12.0)).color(theme::MUTED)).wrap());
        });
        ui.add_space(4.0);
        return;
    };
    // Lines in one breath share their author and time.
    let goes_on = before.is_some_and(|before| before.author == line.author && before.time == line.time);
    if !goes_on {
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.add(Label::new(RichText::new(author).font(theme::semibold(theme::SIZE_LABEL))).truncate());
            ui.label(RichText::new(&line.time).font(theme::regular(theme::SIZE_LABEL)).color(theme::MUTED));
        });
    }
    text_ui(ui, &line.text);
    if !line.unreached.is_empty() {
        let words = unreached_words(&line.unreached);
        ui.add(Label::new(RichText::new(words).font(theme::regular(12.0)).color(theme::ACCENT)).wrap());
    }
}

fn text_ui(ui: &mut Ui, text: &str) {
    for line in text.lines() {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(0.0, 4.0);
            for span in spans(line) {
                match span {
                    Span::Text(text) => ui.add(Label::new(text).wrap().selectable(true)),
                    Span::Link { text, url } => ui.hyperlink_to(text, url),
                };
            }
        });
    }
}
