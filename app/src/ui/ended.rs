//! After a call that did not end by the user's wish: why, and what to do.

use egui::{RichText, Ui, vec2};

use super::column::centered_column;
use super::theme;
use super::view::{EndedView, UiCommand};
use super::widgets::{Look, text_button};

/// Draws the screen.
pub fn ended_ui(ui: &mut Ui, view: &EndedView, commands: &mut Vec<UiCommand>) {
    let area = ui.max_rect();
    ui.painter().rect_filled(area, 0, theme::BG);
    centered_column(ui, area.shrink(24.0), 420.0, "ended", |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        ui.label(RichText::new(&view.title).font(theme::semibold(theme::SIZE_HEADLINE)));
        ui.add(egui::Label::new(RichText::new(&view.reason).color(theme::MUTED)).wrap());
        ui.add_space(16.0);
        let size = vec2(ui.available_width(), theme::FIELD_HEIGHT);
        if view.can_rejoin && text_button(ui, size, None, "Rejoin", Look::Primary).clicked() {
            commands.push(UiCommand::Rejoin);
        }
        ui.add_space(4.0);
        let look = if view.can_rejoin { Look::Plain } else { Look::Primary };
        if text_button(ui, size, None, "Back to the lobby", look).clicked() {
            commands.push(UiCommand::BackToLobby);
        }
    });
}
