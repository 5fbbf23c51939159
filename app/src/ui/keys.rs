//! Which key does what in a call. Pure.

use egui::Key;

use super::call::CallState;

/// What a control or a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Mute or unmute.
    Microphone,
    /// Camera on or off.
    Camera,
    /// Hear nobody, or hear again.
    Deafen,
    /// Open or close the chat.
    Chat,
    /// Fill the screen, or no longer.
    Fullscreen,
    /// Back to the window with everyone.
    EndFullscreen,
    /// Devices.
    Settings,
    /// Leave, asking first where that matters.
    Leave,
}

/// The action of a key: none while a text field has the keyboard or a sheet is open. Escape takes back one thing at a
/// time, and never leaves.
pub fn action_for(key: Key, typing: bool, state: &CallState) -> Option<Action> {
    if typing || state.sheet.is_some() {
        return None;
    }
    match key {
        Key::M => Some(Action::Microphone),
        Key::V => Some(Action::Camera),
        Key::D => Some(Action::Deafen),
        Key::C => Some(Action::Chat),
        Key::F => Some(Action::Fullscreen),
        Key::Escape if state.alone.is_some() || state.fullscreen => Some(Action::EndFullscreen),
        Key::Escape if state.chat_open => Some(Action::Chat),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::Sheet;
    use super::super::view::TileId;
    use super::*;

    #[test]
    fn keys_do_nothing_while_a_text_field_has_them_or_a_sheet_is_open() {
        let keys = [Key::M, Key::V, Key::D, Key::C, Key::F, Key::Escape];
        let settings = CallState { sheet: Some(Sheet::Settings), ..CallState::default() };
        for key in keys {
            assert_eq!(action_for(key, true, &CallState::default()), None);
            assert_eq!(action_for(key, false, &settings), None);
        }
        assert_eq!(action_for(Key::M, false, &CallState::default()), Some(Action::Microphone));
    }

    #[test]
    fn escape_takes_back_one_thing_at_a_time_and_never_leaves() {
        let mut state = CallState { alone: Some(TileId::You), chat_open: true, ..CallState::default() };
        assert_eq!(action_for(Key::Escape, false, &state), Some(Action::EndFullscreen));
        state.alone = None;
        assert_eq!(action_for(Key::Escape, false, &state), Some(Action::Chat));
        state.chat_open = false;
        assert_eq!(action_for(Key::Escape, false, &state), None);
    }
}
