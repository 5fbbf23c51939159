//! The row of controls.

use egui::{Rect, Ui, pos2, vec2};

use super::call::CallState;
use super::call_layout::{CallLayout, leave_width};
use super::icons::Icon;
use super::keys::Action;
use super::view::CallView;
use super::widgets::{IconButton, Look};

/// Draws the row. Answers what was pressed.
pub fn toolbar_ui(ui: &mut Ui, layout: &CallLayout, view: &CallView, state: &CallState) -> Vec<Action> {
    let microphone = match (view.microphone.on, &view.microphone.problem) {
        (true, None) => button(Icon::Microphone, "Mute microphone", false),
        (true, Some(_)) => button(Icon::Warning, "Mute microphone", false),
        (false, _) => button(Icon::MicrophoneOff, "Unmute microphone", true),
    };
    let camera = match (view.camera.on, &view.camera.problem) {
        (true, None) => button(Icon::Camera, "Turn camera off", false),
        (true, Some(_)) => button(Icon::Warning, "Turn camera off", false),
        (false, _) => button(Icon::CameraOff, "Turn camera on", true),
    };
    let deafen = match (view.deafened, &view.devices.speaker_problem) {
        (false, None) => button(Icon::Headphones, "Stop hearing others", false),
        (false, Some(_)) => button(Icon::Warning, "Stop hearing others", false),
        (true, _) => button(Icon::HeadphonesOff, "Hear others again", true),
    };
    let chat = button(Icon::Message, if state.chat_open { "Close chat" } else { "Open chat" }, false);
    let row = [
        (Action::Microphone, microphone.key("M")),
        (Action::Camera, camera.key("V")),
        (Action::Deafen, deafen.key("D")),
        (Action::Chat, chat.key("C").badge(view.unread)),
        (Action::Settings, button(Icon::Settings, "Settings", false)),
        (Action::Leave, button(Icon::PhoneOff, "Leave call", false).look(Look::Danger)),
    ];
    let mut pressed = Vec::new();
    let mut x = layout.toolbar.left();
    for (action, button) in row {
        let width = if action == Action::Leave { leave_width(layout.button) } else { layout.button };
        let rect = Rect::from_min_size(pos2(x, layout.toolbar.top()), vec2(width, layout.button));
        let problem = match action {
            Action::Microphone => view.microphone.problem.as_deref().filter(|_| view.microphone.on),
            Action::Camera => view.camera.problem.as_deref().filter(|_| view.camera.on),
            Action::Deafen => view.devices.speaker_problem.as_deref().filter(|_| !view.deafened),
            Action::Chat | Action::Settings | Action::Leave | Action::Fullscreen | Action::EndFullscreen => None,
        };
        let mut response = button.put(ui, rect);
        if let Some(problem) = problem {
            response = response.on_hover_text(problem);
        }
        if response.clicked() {
            pressed.push(action);
        }
        x += width + layout.button_gap;
    }
    pressed
}

fn button(icon: Icon, label: &str, off: bool) -> IconButton<'_> {
    IconButton::new(icon, label).look(if off { Look::Off } else { Look::Plain })
}
