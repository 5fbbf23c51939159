//! The call screen: header, tiles, controls, and what lies over them.

use egui::{Align2, Rect, Ui, vec2};
use parlor_proto::Secret;

use super::call_layout::{CallLayout, call_layout};
use super::chat::chat_ui;
use super::details::details_ui;
use super::header::header_ui;
use super::keys::{Action, action_for};
use super::layout::grid;
use super::leave::{leave_ui, must_ask};
use super::room::{remove_ui, room_ui};
use super::settings::settings_ui;
use super::theme;
use super::tile::{TileResponse, TileStyle, tile_ui};
use super::toolbar::toolbar_ui;
use super::view::{CallView, Note, TileId, TileView, UiCommand};
use super::waiting::waiting_ui;
use super::widgets::text_at;

/// The sheet over the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sheet {
    /// Devices.
    Settings,
    /// Volume and details of one person.
    Details(parlor_proto::PeerId),
    /// "Leave the call you host?"
    Leave,
    /// The same, asked because the window was to be closed.
    Quit,
    /// Who may come in, and who is here.
    Room,
    /// "Remove Bo?"
    Remove(parlor_proto::PeerId),
}

/// What is typed and open in the call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallState {
    /// The chat's field.
    pub draft: String,
    /// The chat is open.
    pub chat_open: bool,
    /// The chat's field is to get the keyboard.
    pub focus_draft: bool,
    /// One tile shown alone.
    pub alone: Option<TileId>,
    /// What lies over the call.
    pub sheet: Option<Sheet>,
    /// The window fills the screen.
    pub fullscreen: bool,
    /// The field of the room's password.
    pub password: Secret,
    /// Copied links carry the password.
    pub link_with_password: bool,
}

/// Draws the call, on a window that was cleared with the background's colour: painting it once more would be reckoned for
/// each point of the screen with each picture. `toast` is what just happened, for a few seconds.
pub fn call_ui(
    ui: &mut Ui,
    view: &CallView,
    state: &mut CallState,
    toast: Option<&Note>,
    commands: &mut Vec<UiCommand>,
) {
    let window = ui.max_rect();
    keys(ui, view, state, commands);
    forget_who_left(view, state);
    let layout = call_layout(window, state.chat_open);
    if header_ui(ui, layout.header, view, toast, commands) {
        state.sheet = Some(Sheet::Room);
    }
    tiles_ui(ui, &layout, view, state, commands);
    for action in toolbar_ui(ui, &layout, view, state) {
        act(action, view, state, commands);
    }
    if let Some(rect) = layout.self_view.filter(|_| small_self_view(view, state, &layout)) {
        let response = tile_ui(ui, rect, &view.you, TileStyle::Small);
        respond(response, &view.you, state, commands);
    }
    if let Some(rect) = layout.chat {
        chat_ui(ui, rect, layout.chat_covers, view, state, commands);
    }
    sheets_ui(ui, view, state, commands);
}

/// Alone, or shown alone, the self view is a tile.
fn small_self_view(view: &CallView, state: &CallState, layout: &CallLayout) -> bool {
    state.alone != Some(TileId::You) && (!view.others.is_empty() || !waits_beside_you(layout.tiles))
}

/// There is room for the self view and the invitation side by side, or one above the other.
fn waits_beside_you(tiles: Rect) -> bool {
    tiles.width() >= 720.0 && tiles.height() >= 300.0 || tiles.height() >= 720.0
}

fn tiles_ui(ui: &mut Ui, layout: &CallLayout, view: &CallView, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    let everyone = view.others.iter().chain([&view.you]);
    if let Some(alone) = everyone.clone().find(|tile| Some(&tile.id) == state.alone.as_ref()) {
        let response = tile_ui(ui, layout.tiles, alone, TileStyle::Alone);
        respond(response, alone, state, commands);
    } else if view.others.is_empty() {
        alone_ui(ui, layout.tiles, view, state, commands);
    } else {
        let rects = grid(layout.tiles, view.others.len(), theme::GAP);
        for (tile, rect) in view.others.iter().zip(rects) {
            let rect = slide(ui, tile, rect);
            let response = tile_ui(ui, rect, tile, TileStyle::Grid);
            respond(response, tile, state, commands);
        }
    }
}

/// A tile that is given another place goes there in a moment; without motion at once.
fn slide(ui: &Ui, tile: &TileView, to: Rect) -> Rect {
    let id = ui.make_persistent_id(("slide", &tile.id));
    // Only the place within an unchanged window is animated: resizing must not lag behind the pointer.
    let size = ui.max_rect().size();
    let resized = ui.ctx().data_mut(|data| {
        let old: Option<egui::Vec2> = data.get_temp(id);
        data.insert_temp(id, size);
        old != Some(size)
    });
    let time = if resized || theme::is_motion_reduced(ui.style()) { 0.0 } else { theme::MOTION_SECS };
    let follow = |salt: &str, value: f32| ui.ctx().animate_value_with_time(id.with(salt), value, time);
    let min = egui::pos2(follow("x", to.min.x), follow("y", to.min.y));
    Rect::from_min_size(min, vec2(follow("w", to.width()), follow("h", to.height())))
}

fn alone_ui(ui: &mut Ui, tiles: Rect, view: &CallView, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    if !waits_beside_you(tiles) {
        waiting_ui(ui, tiles, view, commands);
        return;
    }
    let rects = grid(tiles, 2, theme::GAP);
    let response = tile_ui(ui, rects[0], &view.you, TileStyle::Grid);
    respond(response, &view.you, state, commands);
    waiting_ui(ui, rects[1], view, commands);
}

fn respond(response: TileResponse, tile: &TileView, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    if response.enlarge {
        let enlarge = state.alone.as_ref() != Some(&tile.id);
        state.alone = enlarge.then(|| tile.id.clone());
        set_fullscreen(enlarge, state, commands);
    }
    if let (true, TileId::Peer(peer)) = (response.details, &tile.id) {
        state.sheet = Some(Sheet::Details(peer.clone()));
    }
}

fn set_fullscreen(on: bool, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    if state.fullscreen != on {
        state.fullscreen = on;
        commands.push(UiCommand::SetFullscreen(on));
    }
}

/// Whoever left is no longer shown alone, nor are their details.
fn forget_who_left(view: &CallView, state: &mut CallState) {
    let here = |id: &TileId| *id == TileId::You || view.others.iter().any(|tile| tile.id == *id);
    if state.alone.as_ref().is_some_and(|id| !here(id)) {
        state.alone = None;
    }
    let is_gone = |peer: &parlor_proto::PeerId| !here(&TileId::Peer(peer.clone()));
    match &state.sheet {
        Some(Sheet::Details(peer)) if is_gone(peer) => state.sheet = None,
        Some(Sheet::Remove(peer)) if is_gone(peer) || !view.access.may_moderate => state.sheet = Some(Sheet::Room),
        Some(_) | None => {}
    }
}

fn keys(ui: &Ui, view: &CallView, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    let typing = ui.ctx().text_edit_focused();
    let pressed = ui.input(|input| {
        let keys = [egui::Key::M, egui::Key::V, egui::Key::D, egui::Key::C, egui::Key::F, egui::Key::Escape];
        let plain = !input.modifiers.any() || input.modifiers.shift_only();
        keys.into_iter().filter(|key| plain && input.key_pressed(*key)).collect::<Vec<_>>()
    });
    for key in pressed {
        if let Some(action) = action_for(key, typing, state) {
            act(action, view, state, commands);
        }
    }
}

/// What a control or a key does.
pub fn act(action: Action, view: &CallView, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    match action {
        Action::Microphone => commands.push(UiCommand::SetMuted(view.microphone.on)),
        Action::Camera => commands.push(UiCommand::SetCamera(!view.camera.on)),
        Action::Deafen => commands.push(UiCommand::SetDeafened(!view.deafened)),
        Action::Chat => {
            state.chat_open = !state.chat_open;
            state.focus_draft = state.chat_open;
            commands.push(UiCommand::SetChatOpen(state.chat_open));
        }
        Action::Fullscreen => set_fullscreen(!state.fullscreen, state, commands),
        Action::EndFullscreen => {
            state.alone = None;
            set_fullscreen(false, state, commands);
        }
        Action::Settings => {
            state.sheet = Some(Sheet::Settings);
            commands.push(UiCommand::RefreshDevices);
        }
        Action::Leave if must_ask(view) => state.sheet = Some(Sheet::Leave),
        Action::Leave => commands.push(UiCommand::Leave),
    }
}

fn sheets_ui(ui: &mut Ui, view: &CallView, state: &mut CallState, commands: &mut Vec<UiCommand>) {
    let close = match state.sheet.clone() {
        None => return,
        Some(Sheet::Settings) => settings_ui(ui, &view.devices, None, commands),
        Some(Sheet::Details(_)) => view.details.as_ref().is_some_and(|details| details_ui(ui, details, commands)),
        Some(Sheet::Leave) => leave_ui(ui, UiCommand::Leave, commands),
        Some(Sheet::Quit) => leave_ui(ui, UiCommand::Quit, commands),
        Some(Sheet::Room) => room_ui(ui, view, state, commands),
        Some(Sheet::Remove(peer)) => return remove_ui(ui, view, &peer, state, commands),
    };
    if close {
        state.sheet = None;
    }
}

/// Paints and says a text of the header.
pub fn header_text(ui: &Ui, at: egui::Pos2, text: &str, bold: bool, width: f32) -> f32 {
    let (font, color) = match bold {
        true => (theme::semibold(theme::SIZE_BODY), theme::TEXT),
        false => (theme::regular(theme::SIZE_BODY), theme::MUTED),
    };
    text_at(ui, at, Align2::LEFT_CENTER, text, font, color, width).right()
}
