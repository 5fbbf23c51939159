//! The first screen: who you are, where you go, and whether you are seen and heard.

use egui::{Align2, CornerRadius, Rect, RichText, Sense, Stroke, Ui, WidgetInfo, accesskit::Role, pos2, vec2};

use super::column::centered_column;
use super::icons::Icon;
use super::settings::{ServerField, camera_picker_ui, microphone_picker_ui, settings_ui, speaker_row_ui};
use super::theme;
use super::tile::{TileStyle, tile_ui};
use super::view::{LobbyView, TileId, TileView, UiCommand};
use super::widgets::{
    IconButton, Look, field, one_line, paint_focus, problem_ui, put_text_button, say, text_at, text_button_width,
};

/// What is typed and open in the lobby.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LobbyState {
    /// The name's field.
    pub name: String,
    /// The field for a room or link.
    pub room: String,
    /// The server's field.
    pub server: String,
    /// Why the name is none.
    pub name_problem: Option<String>,
    /// Why the room or link is none.
    pub room_problem: Option<String>,
    /// Why the server's address is none.
    pub server_problem: Option<String>,
    /// The settings sheet.
    pub settings_open: bool,
    /// Join without being heard.
    pub muted: bool,
    /// Hide the address from the others.
    pub relay_only: bool,
    /// Join without being seen.
    pub camera_off: bool,
    /// The keyboard has been put where it belongs.
    pub focused: bool,
}

/// From this width on the preview is beside the form, in points.
const TWO_COLUMNS_FROM: f32 = 900.0;
/// A link with an access token of 2,048 characters, and room for what is around it.
const LINK_CHARACTERS_MAX: usize = 4_096;
const FORM_WIDTH: f32 = 380.0;
const PREVIEW_WIDTH: f32 = 560.0;
const COLUMN_GAP: f32 = 60.0;

/// Draws the lobby.
pub fn lobby_ui(ui: &mut Ui, view: &LobbyView, state: &mut LobbyState, commands: &mut Vec<UiCommand>) {
    let area = ui.max_rect();
    ui.painter().rect_filled(area, 0, theme::BG);
    let header = header_ui(ui, area, state, commands);
    let body = Rect::from_min_max(pos2(area.left() + 16.0, header.bottom()), area.right_bottom() - vec2(16.0, 16.0));
    if area.width() >= TWO_COLUMNS_FROM {
        let width = (PREVIEW_WIDTH + COLUMN_GAP + FORM_WIDTH).min(body.width() - 32.0);
        centered_column(ui, body, width, "lobby wide", |ui| two_columns_ui(ui, view, state, commands));
    } else {
        let width = body.width().min(PREVIEW_WIDTH);
        centered_column(ui, body, width, "lobby narrow", |ui| {
            form_ui(ui, view, state, commands);
            ui.add_space(24.0);
            preview_ui(ui, view, state, commands);
        });
    }
    if state.settings_open {
        let LobbyState { server, server_problem, relay_only, .. } = state;
        let server = ServerField { text: server, problem: server_problem.as_deref(), relay_only: *relay_only };
        if settings_ui(ui, &view.devices, Some(server), commands) {
            state.settings_open = false;
        }
    }
}

fn header_ui(ui: &mut Ui, area: Rect, state: &mut LobbyState, commands: &mut Vec<UiCommand>) -> Rect {
    let (side, height) = if area.width() >= 640.0 { (40.0, 96.0) } else { (16.0, 64.0) };
    let header = Rect::from_min_size(area.min, vec2(area.width(), height));
    let font = theme::semibold(theme::SIZE_TITLE);
    text_at(ui, header.left_center() + vec2(side, 0.0), Align2::LEFT_CENTER, "Parlor", font, theme::TEXT, 200.0);
    let at = pos2(header.right() - side - theme::ROUND / 2.0, header.center().y);
    let rect = Rect::from_center_size(at, vec2(theme::ROUND, theme::ROUND));
    if IconButton::new(Icon::Settings, "Settings").put(ui, rect).clicked() {
        state.settings_open = true;
        commands.push(UiCommand::RefreshDevices);
    }
    header
}

fn two_columns_ui(ui: &mut Ui, view: &LobbyView, state: &mut LobbyState, commands: &mut Vec<UiCommand>) {
    let preview_width = ui.available_width() - FORM_WIDTH - COLUMN_GAP;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = COLUMN_GAP;
        // Drawn second though it stands first: the keyboard goes to the form first.
        let left = ui.cursor().min;
        let form =
            Rect::from_min_size(pos2(left.x + preview_width + COLUMN_GAP, left.y), vec2(FORM_WIDTH, f32::INFINITY));
        let form = ui.scope_builder(egui::UiBuilder::new().max_rect(form), |ui| {
            ui.set_width(FORM_WIDTH);
            ui.with_layout(egui::Layout::top_down(egui::Align::Min), |ui| form_ui(ui, view, state, commands));
        });
        let preview = Rect::from_min_size(left, vec2(preview_width, f32::INFINITY));
        let preview = ui.scope_builder(egui::UiBuilder::new().max_rect(preview), |ui| {
            ui.set_width(preview_width);
            ui.with_layout(egui::Layout::top_down(egui::Align::Min), |ui| preview_ui(ui, view, state, commands));
        });
        ui.expand_to_include_rect(form.response.rect.union(preview.response.rect));
    });
}

fn form_ui(ui: &mut Ui, view: &LobbyView, state: &mut LobbyState, commands: &mut Vec<UiCommand>) {
    ui.spacing_mut().item_spacing.y = 6.0;
    ui.label(RichText::new("Who’s in?").font(theme::semibold(theme::SIZE_HEADLINE)));
    ui.add_space(12.0);
    let name = field(ui, "Your name", &mut state.name, "Shown to the others", 64, state.name_problem.as_deref());
    ui.add_space(12.0);
    let hint = "quiet-otter-71k2";
    let room =
        field(ui, "Room name or link", &mut state.room, hint, LINK_CHARACTERS_MAX, state.room_problem.as_deref());
    if name.changed() {
        state.name_problem = None;
        commands.push(UiCommand::SaveNames);
    }
    if room.changed() {
        state.room_problem = None;
    }
    if !state.focused {
        state.focused = true;
        if state.name.is_empty() { name.request_focus() } else { room.request_focus() }
    }
    let entered = ui.input(|input| input.key_pressed(egui::Key::Enter));
    ui.add_space(12.0);
    let joined = buttons_ui(ui, view, commands);
    if joined || (entered && (name.lost_focus() || room.lost_focus()) && view.busy.is_none()) {
        commands.push(UiCommand::Join);
    }
    if let Some(busy) = &view.busy {
        ui.add_space(4.0);
        ui.label(RichText::new(busy).font(theme::regular(theme::SIZE_LABEL)).color(theme::MUTED));
    }
    if let Some(problem) = &view.problem {
        ui.add_space(4.0);
        problem_ui(ui, problem);
    }
    if !view.recent.is_empty() {
        ui.add_space(20.0);
        recent_ui(ui, view, commands);
    }
}

fn buttons_ui(ui: &mut Ui, view: &LobbyView, commands: &mut Vec<UiCommand>) -> bool {
    ui.add_enabled_ui(view.busy.is_none(), |ui| {
        let (_, row) = ui.allocate_space(vec2(ui.available_width(), theme::FIELD_HEIGHT));
        let new_width = text_button_width(ui.painter(), false, "New call");
        let (join, new) = row.split_left_right_at_x(row.right() - new_width);
        let join = Rect::from_min_max(join.min, join.max - vec2(theme::GAP, 0.0));
        let joined = put_text_button(ui, join, None, "Join", Look::Primary);
        if joined.hovered() || joined.has_focus() {
            commands.push(UiCommand::PrepareJoin);
        }
        if put_text_button(ui, new, None, "New call", Look::Plain).clicked() {
            commands.push(UiCommand::NewCall);
        }
        joined.clicked()
    })
    .inner
}

fn recent_ui(ui: &mut Ui, view: &LobbyView, commands: &mut Vec<UiCommand>) {
    ui.label(RichText::new("Recent").font(theme::semibold(theme::SIZE_LABEL)).color(theme::MUTED));
    ui.spacing_mut().item_spacing.y = 0.0;
    for (index, recent) in view.recent.iter().enumerate() {
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 38.0), Sense::click());
        let label = format!("Join {} again, last joined {}", recent.room, recent.when);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), &label));
        ui.painter().hline(rect.x_range(), rect.top() + 0.5, Stroke::new(1.0, theme::LINE));
        let lit = response.hovered() || response.has_focus();
        let color = if lit { theme::ACCENT } else { theme::TEXT };
        let when = ui.painter().layout_no_wrap(recent.when.clone(), theme::regular(theme::SIZE_BODY), theme::MUTED);
        let when_at = Align2::RIGHT_CENTER.anchor_size(rect.right_center(), when.size()).min;
        let room = one_line(
            ui.painter(),
            &recent.room,
            theme::regular(theme::SIZE_BODY),
            color,
            rect.width() - when.size().x - 16.0,
        );
        ui.painter().galley(Align2::LEFT_CENTER.anchor_size(rect.left_center(), room.size()).min, room, color);
        ui.painter().galley(when_at, when, theme::MUTED);
        paint_focus(ui.painter(), &response, rect.shrink2(vec2(0.0, 3.0)), CornerRadius::same(6));
        if response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked() {
            commands.push(UiCommand::OpenRecent(index));
        }
    }
}

fn preview_ui(ui: &mut Ui, view: &LobbyView, state: &mut LobbyState, commands: &mut Vec<UiCommand>) {
    let width = ui.available_width();
    ui.spacing_mut().item_spacing = vec2(theme::GAP, 16.0);
    let (_, rect) = ui.allocate_space(vec2(width, width * 9.0 / 16.0));
    picture_ui(ui, rect, view, state, commands);
    controls_ui(ui, view, state);
    if view.preview
        && let Some(problem) = &view.microphone_problem
    {
        problem_ui(ui, problem);
    }
    ui.horizontal(|ui| {
        let half = (width - theme::GAP) / 2.0;
        camera_picker_ui(ui, &view.devices, half, commands);
        microphone_picker_ui(ui, &view.devices, half, commands);
    });
    ui.spacing_mut().item_spacing.y = theme::GAP;
    ui.add_space(-4.0);
    speaker_row_ui(ui, &view.devices, commands);
}

fn picture_ui(ui: &mut Ui, rect: Rect, view: &LobbyView, state: &LobbyState, commands: &mut Vec<UiCommand>) {
    let seen = view.preview && !state.camera_off;
    let name = if state.name.trim().is_empty() { "?" } else { state.name.trim() };
    let tile = TileView {
        id: TileId::You,
        name: if seen && view.picture.is_some() { "Your camera".to_owned() } else { name.to_owned() },
        avatar_of: name.to_owned(),
        picture: view.picture.filter(|_| seen),
        mirrored: true,
        muted: false,
        camera_note: state.camera_off.then(|| "camera off".to_owned()),
        state: None,
        speaking: false,
    };
    if tile.picture.is_some() {
        tile_ui(ui, rect, &tile, TileStyle::Grid);
    } else {
        empty_picture_ui(ui, rect, view, state, name);
    }
    let text = if view.preview { "Stop preview" } else { "Preview" };
    let size = vec2(text_button_width(ui.painter(), false, text), 36.0);
    let at = rect.right_top() + vec2(-12.0 - size.x, 12.0);
    if put_text_button(ui, Rect::from_min_size(at, size), None, text, Look::Plain).clicked() {
        commands.push(UiCommand::SetPreview(!view.preview));
    }
}

fn empty_picture_ui(ui: &mut Ui, rect: Rect, view: &LobbyView, state: &LobbyState, name: &str) {
    ui.painter().rect_filled(rect, theme::RADIUS_TILE, theme::SURFACE);
    let radius = (rect.height() * 0.15).clamp(20.0, 48.0);
    let center = rect.center() - vec2(0.0, 24.0);
    ui.painter().circle_filled(center, radius, theme::avatar_color(name));
    let initial: String = name.chars().next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    ui.painter().text(center, Align2::CENTER_CENTER, initial, theme::semibold(radius * 0.82), theme::TEXT);
    let words = match (&view.camera_problem, state.camera_off, view.preview) {
        (_, true, _) => "You will join with the camera off",
        (Some(problem), false, true) => problem,
        (None, false, true) => "Opening the camera…",
        (_, false, false) => "Camera and microphone are closed until you join",
    };
    let font = theme::regular(theme::SIZE_BODY);
    let galley = ui.painter().layout(words.to_owned(), font, theme::MUTED, rect.width() - 48.0);
    let text = Align2::CENTER_TOP.anchor_size(pos2(rect.center().x, center.y + radius + 16.0), galley.size());
    ui.painter().galley(text.min, galley, theme::MUTED);
    say(ui, text, "preview state", words);
}

fn controls_ui(ui: &mut Ui, view: &LobbyView, state: &mut LobbyState) {
    let (_, row) = ui.allocate_space(vec2(ui.available_width(), theme::ROUND));
    let place = |index: f32| {
        Rect::from_min_size(row.min + vec2(index * (theme::ROUND + theme::GAP), 0.0), vec2(theme::ROUND, theme::ROUND))
    };
    let (icon, label, look) = match state.muted {
        true => (Icon::MicrophoneOff, "Join with the microphone on", Look::Off),
        false => (Icon::Microphone, "Join with the microphone muted", Look::Plain),
    };
    if IconButton::new(icon, label).look(look).put(ui, place(0.0)).clicked() {
        state.muted = !state.muted;
    }
    let (icon, label, look) = match state.camera_off {
        true => (Icon::CameraOff, "Join with the camera on", Look::Off),
        false => (Icon::Camera, "Join with the camera off", Look::Plain),
    };
    if IconButton::new(icon, label).look(look).put(ui, place(1.0)).clicked() {
        state.camera_off = !state.camera_off;
    }
    let meter = Rect::from_min_max(pos2(place(2.0).left(), row.top()), row.max);
    meter_ui(ui, meter, view, state);
}

/// Louder than this the microphone certainly works: speech, not the noise of a room.
const HEARD_FROM: f32 = 0.08;

fn meter_ui(ui: &mut Ui, row: Rect, view: &LobbyView, state: &LobbyState) {
    let words = match (view.preview, &view.microphone_problem) {
        (false, _) if state.muted => "You will join muted",
        (false, _) => "Preview is off",
        (true, Some(_)) => "No sound",
        (true, None) if view.level >= HEARD_FROM => "Microphone works",
        (true, None) => "Say something",
    };
    let galley = one_line(ui.painter(), words, theme::regular(theme::SIZE_LABEL), theme::MUTED, row.width() / 2.0);
    // Wide enough for the longest of the words, so that the meter keeps its length.
    let text_width = galley.size().x.max(116.0).min(row.width() / 2.0);
    let text = Align2::RIGHT_CENTER.anchor_size(row.right_center(), galley.size());
    ui.painter().galley(text.min, galley, theme::MUTED);
    say(ui, text, "meter words", words);
    let bar = Rect::from_min_max(
        pos2(row.left(), row.center().y - 4.0),
        pos2(row.right() - text_width - theme::GAP, row.center().y + 4.0),
    );
    let response = ui.interact(bar, ui.make_persistent_id("meter"), Sense::hover());
    response.widget_info(|| WidgetInfo {
        value: Some(f64::from(view.level.clamp(0.0, 1.0))),
        ..WidgetInfo::labeled(Role::Meter, true, "Microphone level")
    });
    ui.painter().rect_filled(bar, 4, theme::RAISED);
    let level = if view.preview { view.level.clamp(0.0, 1.0) } else { 0.0 };
    if level > 0.0 {
        let filled = Rect::from_min_size(bar.min, vec2(bar.width() * level, bar.height()));
        ui.painter().rect_filled(filled, 4, if state.muted { theme::MUTED } else { theme::OK });
    }
}
