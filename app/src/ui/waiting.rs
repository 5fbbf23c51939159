//! Alone in the room: whom to send the link, and how far it reaches.

use egui::{Rect, RichText, Stroke, StrokeKind, Ui, vec2};

use super::column::centered_column;
use super::icons::Icon;
use super::theme;
use super::view::{CallView, UiCommand};
use super::widgets::{Look, one_line, say, text_button};

/// Draws the invitation.
pub fn waiting_ui(ui: &mut Ui, rect: Rect, view: &CallView, commands: &mut Vec<UiCommand>) {
    ui.painter().rect_filled(rect, theme::RADIUS_TILE, theme::SURFACE);
    let inner = rect.shrink2(vec2(24.0, 16.0));
    centered_column(ui, inner, 400.0, "waiting", |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        let title = match (view.joining, &view.banner) {
            (true, _) => "Joining…",
            (false, None) => "Waiting for others…",
            (false, Some(_)) => "Nobody else is here, and nobody can join for now",
        };
        ui.label(RichText::new(title).font(theme::semibold(theme::SIZE_TITLE)));
        if let Some(problem) = &view.join_problem {
            ui.add(egui::Label::new(RichText::new(problem).color(theme::ACCENT)).wrap());
        }
        if !view.joining {
            quiet(ui, "Send this link to whoever should come. It opens in Parlor and in a browser.");
            ui.add_space(8.0);
            link_ui(ui, &view.link);
            let size = vec2(ui.available_width(), theme::FIELD_HEIGHT);
            ui.add_space(4.0);
            // Not named "Copy link" alone: the header has that one.
            if text_button(ui, size, Some(Icon::Copy), "Copy invitation link", Look::Primary).clicked() {
                commands.push(UiCommand::CopyLink);
            }
            if let Some(reach) = &view.reach {
                ui.add_space(4.0);
                quiet(ui, reach);
            }
        }
        ui.add_space(4.0);
        let size = vec2(ui.available_width(), theme::FIELD_HEIGHT);
        if text_button(ui, size, None, "Cancel", Look::Plain).clicked() {
            commands.push(UiCommand::Leave);
        }
    });
}

fn quiet(ui: &mut Ui, text: &str) {
    ui.add(egui::Label::new(RichText::new(text).color(theme::MUTED)).wrap());
}

fn link_ui(ui: &mut Ui, link: &str) {
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), theme::FIELD_HEIGHT));
    ui.painter().rect(rect, theme::RADIUS_FIELD, theme::BG, Stroke::new(1.0, theme::LINE), StrokeKind::Inside);
    let galley = one_line(ui.painter(), link, theme::regular(theme::SIZE_BODY), theme::TEXT, rect.width() - 28.0);
    let at = egui::Align2::LEFT_CENTER.anchor_size(rect.left_center() + vec2(14.0, 0.0), galley.size());
    ui.painter().galley(at.min, galley, theme::TEXT);
    say(ui, rect, "invitation", link).on_hover_text(link);
}
