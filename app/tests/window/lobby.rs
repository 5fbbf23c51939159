//! The lobby's controls.

use parlor::ui::lobby::LobbyState;

use super::window_fixtures::lobby;
use super::*;

fn state<'h>(harness: &'h Harness<'static, Bench>) -> &'h LobbyState {
    match &harness.state().screen {
        Screen::Lobby(_, state) => state,
        Screen::Call(..) | Screen::Ended(_) | Screen::Door(..) => panic!("not the lobby"),
    }
}

fn field<'h>(harness: &'h Harness<'static, Bench>, label: &'h str) -> Node<'h> {
    harness.get_by_role_and_label(Role::TextInput, label)
}

#[test]
fn buttons_ask_for_what_they_say() {
    let mut harness = open("lobby");
    assert_eq!(press(&mut harness, "New call"), [UiCommand::NewCall]);
    assert_eq!(press(&mut harness, "Preview"), [UiCommand::SetPreview(true)]);
    assert_eq!(press(&mut harness, "Test sound"), [UiCommand::TestSound]);
    assert_eq!(press(&mut harness, "Join family-sunday again, last joined yesterday"), [UiCommand::OpenRecent(0)]);
    assert_eq!(press(&mut open("lobby-preview"), "Stop preview"), [UiCommand::SetPreview(false)]);
}

#[test]
fn joining_is_prepared_before_it_is_asked_for() {
    let commands = press(&mut open("lobby"), "Join");
    assert_eq!(commands.first(), Some(&UiCommand::PrepareJoin), "{commands:?}");
    assert_eq!(commands.iter().filter(|command| **command == UiCommand::Join).count(), 1, "{commands:?}");
}

#[test]
fn the_name_and_the_room_are_typed_and_enter_joins() {
    let mut harness = open("lobby-new");
    assert!(field(&harness, "Your name").is_focused(), "whoever is new begins with their name");
    harness.state_mut().commands.clear();
    field(&harness, "Your name").type_text("Zoë");
    harness.run();
    assert!(harness.state().commands.contains(&UiCommand::SaveNames));
    field(&harness, "Room name or link").click();
    harness.run();
    field(&harness, "Room name or link").type_text("tea");
    harness.run();
    assert_eq!((state(&harness).name.as_str(), state(&harness).room.as_str()), ("Zoë", "tea"));
    assert_eq!(key(&mut harness, egui::Key::Enter), [UiCommand::Join]);
}

#[test]
fn whoever_was_here_before_begins_with_the_room() {
    assert!(field(&open("lobby"), "Room name or link").is_focused());
}

#[test]
fn what_went_wrong_stands_where_it_did() {
    let harness = open("lobby-problems");
    harness.get_by_label_contains("in use by another program");
    harness.get_by_label_contains("There is no microphone");
    harness.get_by_label_contains("can’t be reached");
    harness.get_by_label_contains("letters a–z");
}

#[test]
fn typing_takes_the_complaint_back() {
    let mut harness = open("lobby-problems");
    field(&harness, "Room name or link").type_text("x");
    harness.run();
    assert_eq!(state(&harness).room_problem, None);
}

#[test]
fn while_a_room_is_being_opened_nothing_else_can_be_joined() {
    let mut harness = open("lobby-busy");
    harness.get_by_label("Opening a room on this computer…");
    assert_eq!(press(&mut harness, "Join"), []);
    assert_eq!(press(&mut harness, "New call"), []);
    assert_eq!(key(&mut harness, egui::Key::Enter), []);
}

#[test]
fn one_can_join_muted_and_unseen() {
    let mut harness = open("lobby");
    press(&mut harness, "Join with the microphone muted");
    press(&mut harness, "Join with the camera off");
    assert!(state(&harness).muted && state(&harness).camera_off);
    harness.get_by_label("You will join with the camera off");
    press(&mut harness, "Join with the microphone on");
    press(&mut harness, "Join with the camera on");
    assert!(!state(&harness).muted && !state(&harness).camera_off);
}

#[test]
fn devices_are_chosen_from_lists() {
    let mut harness = open("lobby");
    for (list, device, command) in [
        ("Camera: Integrated camera", "System default", UiCommand::SelectCamera(None)),
        (
            "Microphone: Headset microphone",
            "Built-in microphone",
            UiCommand::SelectMicrophone(Some("Built-in microphone".to_owned())),
        ),
        ("Speaker: Headset", "Built-in speakers", UiCommand::SelectSpeaker(Some("Built-in speakers".to_owned()))),
    ] {
        harness.state_mut().commands.clear();
        harness.get_by_role_and_label(Role::ComboBox, list).click();
        harness.run();
        assert_eq!(std::mem::take(&mut harness.state_mut().commands), [UiCommand::RefreshDevices]);
        harness.get_by_role_and_label(Role::ListBoxOption, device).click();
        harness.run();
        assert_eq!(harness.state().commands, [command]);
        assert!(harness.query_by_role(Role::ListBoxOption).is_none(), "the list closes");
    }
}

#[test]
fn without_devices_the_lists_say_so() {
    let (mut view, state) = lobby();
    view.devices = Default::default();
    let mut harness = bench(Screen::Lobby(view, state), [1280.0, 800.0]);
    for label in ["Camera: No camera found", "Microphone: No microphone found", "Speaker: No speaker found"] {
        harness.state_mut().commands.clear();
        harness.get_by_role_and_label(Role::ComboBox, label).click();
        harness.run();
        assert_eq!(harness.state().commands, [UiCommand::RefreshDevices], "something may have been plugged in");
    }
}

#[test]
fn the_meter_tells_its_level() {
    let harness = open("lobby-preview");
    let meter = harness.get_by_role_and_label(Role::Meter, "Microphone level");
    assert!(meter.rect().width() > 100.0);
    harness.get_by_label("Microphone works");
}

#[test]
fn the_settings_hold_the_server_and_the_sound_processing() {
    let mut harness = open("lobby");
    assert_eq!(press(&mut harness, "Settings"), [UiCommand::RefreshDevices]);
    assert!(state(&harness).settings_open);
    field(&harness, "Server").click();
    harness.run();
    field(&harness, "Server").type_text("https://a.example");
    harness.run();
    assert_eq!(state(&harness).server, "https://a.example");
    // Without a window nothing moves, unless told so.
    theme::set_motion_reduced(&harness.ctx, false);
    harness.run();
    harness.state_mut().commands.clear();
    harness.get_by_role_and_label(Role::CheckBox, "Reduce echo and noise, even out loudness").click();
    harness.run();
    harness.get_by_role_and_label(Role::CheckBox, "Reduce motion").click();
    harness.run();
    harness.get_by_role_and_label(Role::CheckBox, "Hide my address").click();
    harness.run();
    let commands =
        [UiCommand::SetAudioProcessing(false), UiCommand::SetReducedMotion(true), UiCommand::SetRelayOnly(true)];
    assert_eq!(harness.state().commands, commands);
    press(&mut harness, "Close");
    assert!(!state(&harness).settings_open);
}

#[test]
fn escape_closes_the_settings() {
    let mut harness = open("lobby-settings");
    key(&mut harness, egui::Key::Escape);
    assert!(!state(&harness).settings_open);
}
