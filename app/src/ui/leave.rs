//! Leaving a call one hosts: what it means for the others, before it is done.

use egui::{RichText, Ui, vec2};

use super::sheet::sheet_ui;
use super::theme;
use super::view::{CallView, UiCommand};
use super::widgets::{Look, text_button};

/// Leaving needs a question: this window hosts, and others are here.
pub fn must_ask(view: &CallView) -> bool {
    asks(view.hosting, view.others.len())
}

/// As [`must_ask`], where there is no view.
pub fn asks(hosting: bool, others: usize) -> bool {
    hosting && others > 0
}

/// Draws the question; a yes asks for what is told. Answers whether the sheet is to be closed.
pub fn leave_ui(ui: &mut Ui, yes: UiCommand, commands: &mut Vec<UiCommand>) -> bool {
    let mut stay = false;
    let close = sheet_ui(ui, "leave", "Leave the call you host?", 420.0, |ui| {
        let words = "The others can go on talking, but nobody new can join after you leave, and whoever loses the \
                     connection can’t come back.";
        ui.add(egui::Label::new(RichText::new(words).color(theme::MUTED)).wrap());
        ui.add_space(12.0);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = theme::GAP;
            let size = vec2((ui.available_width() - theme::GAP) / 2.0, theme::FIELD_HEIGHT);
            stay = text_button(ui, size, None, "Stay", Look::Plain).clicked();
            if text_button(ui, size, None, "Leave anyway", Look::Danger).clicked() {
                commands.push(yes);
            }
        });
    });
    close || stay
}
