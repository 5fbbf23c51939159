//! The sheet of a room: who may come in, what its link carries, who is here.

use egui::{Align2, RichText, Stroke, Ui, vec2};
use parlor_proto::{PASSWORD_CHARACTERS_MAX, PeerId};

use super::call::{CallState, Sheet};
use super::icons::Icon;
use super::sheet::sheet_ui;
use super::theme;
use super::view::{AccessView, CallView, TileId, TileView, UiCommand};
use super::widgets::{Look, put_text_button, secret_field, text_at, text_button, text_button_width, toggle};

/// Draws the sheet. Answers whether it is to be closed.
pub fn room_ui(ui: &mut Ui, view: &CallView, state: &mut CallState, commands: &mut Vec<UiCommand>) -> bool {
    let mut removing = None;
    let close = sheet_ui(ui, "room", "Room", 460.0, |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        if view.access.may_moderate {
            lock_ui(ui, &view.access, commands);
            ui.add_space(8.0);
            password_ui(ui, &view.access, state, commands);
        } else {
            for words in standing_words(&view.access) {
                quiet(ui, words);
            }
        }
        ui.add_space(8.0);
        link_ui(ui, &view.access, state, commands);
        ui.add_space(8.0);
        ui.label(RichText::new("People").font(theme::semibold(theme::SIZE_LABEL)).color(theme::MUTED));
        ui.spacing_mut().item_spacing.y = 0.0;
        person_ui(ui, "You", false);
        for tile in &view.others {
            if person_ui(ui, &tile.name, view.access.may_moderate) {
                removing = peer_of(tile);
            }
        }
    });
    if let Some(peer) = removing {
        state.sheet = Some(Sheet::Remove(peer));
        return false;
    }
    close
}

/// Draws the question before someone is removed; either answer leads back to the room.
pub fn remove_ui(ui: &mut Ui, view: &CallView, peer: &PeerId, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    let Some(tile) = view.others.iter().find(|tile| peer_of(tile).as_ref() == Some(peer)) else { return };
    let mut answered = false;
    let title = format!("Remove {}?", tile.name);
    let close = sheet_ui(ui, "remove", &title, 420.0, |ui| {
        ui.add(egui::Label::new(RichText::new(removal_words(&view.access)).color(theme::MUTED)).wrap());
        ui.add_space(12.0);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = theme::GAP;
            let size = vec2((ui.available_width() - theme::GAP) / 2.0, theme::FIELD_HEIGHT);
            answered = text_button(ui, size, None, "Keep", Look::Plain).clicked();
            if text_button(ui, size, None, "Remove", Look::Danger).clicked() {
                commands.push(UiCommand::Remove(peer.clone()));
                answered = true;
            }
        });
    });
    if close || answered {
        state.sheet = Some(Sheet::Room);
    }
}

fn peer_of(tile: &TileView) -> Option<PeerId> {
    match &tile.id {
        TileId::Peer(peer) => Some(peer.clone()),
        TileId::You => None,
    }
}

fn removal_words(access: &AccessView) -> &'static str {
    match (access.locked, access.has_password) {
        (true, _) => "They are out of the call at once. The room is locked, so they can’t come back.",
        (false, true) => {
            "They are out of the call at once. If they know the password they can come back as someone new: change it, \
             or lock the room."
        }
        (false, false) => {
            "They are out of the call at once. If they have the link they can come back as someone new: lock the room \
             to keep them out."
        }
    }
}

/// What holds in the room, for those who can't change it.
fn standing_words(access: &AccessView) -> [&'static str; 2] {
    let door = match (access.locked, access.has_password) {
        (true, _) => "The room is locked: nobody new can come in.",
        (false, true) => "Newcomers are asked for the room’s password.",
        (false, false) => "Whoever has the link can come in.",
    };
    [door, "Whoever moderates the room can change this, and remove people."]
}

fn lock_ui(ui: &mut Ui, access: &AccessView, commands: &mut Vec<UiCommand>) {
    if toggle(ui, access.locked, "Lock the room").clicked() {
        commands.push(UiCommand::SetLock(!access.locked));
    }
    quiet(ui, "Nobody new can come in. Whoever is here and loses the connection can come back.");
}

fn password_ui(ui: &mut Ui, access: &AccessView, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    let label = if access.has_password { "New password" } else { "Password" };
    let hint = if access.has_password { "The room has one" } else { "None: the link is enough" };
    let typed = secret_field(ui, label, state.password.reveal_mut(), hint, true);
    let entered = typed.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = theme::GAP;
        let text = if access.has_password { "Change password" } else { "Set password" };
        let ready = (1..=PASSWORD_CHARACTERS_MAX).contains(&state.password.reveal().chars().count());
        let pressed = ui.add_enabled_ui(ready, |ui| words_button(ui, text)).inner;
        if ready && (pressed || entered) {
            commands.push(UiCommand::SetPassword(Some(std::mem::take(&mut state.password))));
        }
        if access.has_password && words_button(ui, "Take password away") {
            commands.push(UiCommand::SetPassword(None));
        }
    });
}

fn words_button(ui: &mut Ui, text: &str) -> bool {
    let size = vec2(text_button_width(ui.painter(), false, text), theme::FIELD_HEIGHT);
    text_button(ui, size, None, text, Look::Plain).clicked()
}

fn link_ui(ui: &mut Ui, access: &AccessView, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    if access.knows_password {
        if toggle(ui, state.link_with_password, "Copied links include the password").clicked() {
            state.link_with_password = !state.link_with_password;
        }
        quiet(ui, "Whoever gets such a link is not asked. It is in plain sight in the link.");
    }
    let size = vec2(ui.available_width(), theme::FIELD_HEIGHT);
    // Not named "Copy link" alone: the header has that one.
    if text_button(ui, size, Some(Icon::Link), "Copy the room’s link", Look::Plain).clicked() {
        commands.push(UiCommand::CopyLink);
    }
}

/// Draws one person. Answers whether they are to be removed.
fn person_ui(ui: &mut Ui, name: &str, removable: bool) -> bool {
    let (_, row) = ui.allocate_space(vec2(ui.available_width(), 44.0));
    ui.painter().hline(row.x_range(), row.top() + 0.5, Stroke::new(1.0, theme::LINE));
    let size = vec2(text_button_width(ui.painter(), false, "Remove"), 32.0);
    let font = theme::regular(theme::SIZE_BODY);
    let room = row.width() - size.x - 16.0;
    text_at(ui, row.left_center(), Align2::LEFT_CENTER, name, font, theme::TEXT, room);
    if !removable {
        return false;
    }
    let button = Align2::RIGHT_CENTER.anchor_size(row.right_center(), size);
    // Spoken with the name: there is one for each person.
    let label = format!("Remove {name}");
    put_text_button_named(ui, button, "Remove", &label)
}

fn put_text_button_named(ui: &mut Ui, rect: egui::Rect, text: &str, label: &str) -> bool {
    let response = put_text_button(ui, rect, None, text, Look::Plain);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Button, ui.is_enabled(), label));
    response.clicked()
}

fn quiet(ui: &mut Ui, text: &str) {
    let text = RichText::new(text).font(theme::regular(theme::SIZE_LABEL)).color(theme::MUTED);
    ui.add(egui::Label::new(text).wrap());
}
