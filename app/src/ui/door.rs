//! At the door of a room that asks for its password.

use egui::{RichText, Ui, vec2};
use parlor_proto::Secret;

use super::column::centered_column;
use super::theme;
use super::view::{DoorView, UiCommand};
use super::widgets::{Look, secret_field, text_button, toggle};

/// What is typed at the door.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorState {
    /// The password's field.
    pub password: Secret,
    /// Show what is typed.
    pub shown: bool,
    /// The keyboard has been put into the field.
    pub focused: bool,
}

/// Draws the screen.
pub fn door_ui(ui: &mut Ui, view: &DoorView, state: &mut DoorState, commands: &mut Vec<UiCommand>) {
    let area = ui.max_rect();
    ui.painter().rect_filled(area, 0, theme::BG);
    centered_column(ui, area.shrink(24.0), 420.0, "door", |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        ui.label(RichText::new(&view.title).font(theme::semibold(theme::SIZE_HEADLINE)));
        ui.add(egui::Label::new(RichText::new(&view.text).color(theme::MUTED)).wrap());
        ui.add_space(8.0);
        let label = format!("Password of {}", view.room);
        let password = secret_field(ui, &label, state.password.reveal_mut(), "", state.shown);
        if !std::mem::replace(&mut state.focused, true) {
            password.request_focus();
        }
        if toggle(ui, state.shown, "Show the password").clicked() {
            state.shown = !state.shown;
        }
        ui.add_space(8.0);
        let entered = password.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let size = vec2(ui.available_width(), theme::FIELD_HEIGHT);
        let pressed =
            ui.add_enabled_ui(!view.busy, |ui| text_button(ui, size, None, "Join", Look::Primary).clicked()).inner;
        match pressed || entered {
            true if state.password.reveal().is_empty() || view.busy => password.request_focus(),
            true => commands.push(UiCommand::JoinWithPassword(std::mem::take(&mut state.password))),
            false => {}
        }
        if text_button(ui, size, None, "Back to the lobby", Look::Plain).clicked() {
            commands.push(UiCommand::BackToLobby);
        }
    });
}
