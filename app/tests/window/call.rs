//! The call's controls.

use egui::Key;
use parlor::ui::call::{CallState, Sheet};
use parlor::ui::view::{CallView, TileId};

use super::window_fixtures::{call, peer};
use super::*;

fn state<'h>(harness: &'h mut Harness<'static, Bench>) -> (&'h mut CallView, &'h mut CallState) {
    match &mut harness.state_mut().screen {
        Screen::Call(view, state, _) => (view, state),
        Screen::Lobby(..) | Screen::Ended(_) | Screen::Door(..) => panic!("not a call"),
    }
}

#[test]
fn every_button_of_the_row_asks_for_what_it_says() {
    let mut harness = open("call-one");
    assert_eq!(press(&mut harness, "Mute microphone"), [UiCommand::SetMuted(true)]);
    assert_eq!(press(&mut harness, "Turn camera off"), [UiCommand::SetCamera(false)]);
    assert_eq!(press(&mut harness, "Stop hearing others"), [UiCommand::SetDeafened(true)]);
    assert_eq!(press(&mut harness, "Open chat"), [UiCommand::SetChatOpen(true)]);
    assert_eq!(press(&mut harness, "Close chat"), [UiCommand::SetChatOpen(false)]);
    assert_eq!(press(&mut harness, "Copy link"), [UiCommand::CopyLink]);
    assert_eq!(press(&mut harness, "Leave call"), [UiCommand::Leave]);
}

#[test]
fn what_is_off_can_be_turned_on_again() {
    let mut harness = open("call-one");
    let view = state(&mut harness).0;
    (view.microphone.on, view.camera.on, view.deafened) = (false, false, true);
    harness.run();
    assert_eq!(press(&mut harness, "Unmute microphone"), [UiCommand::SetMuted(false)]);
    assert_eq!(press(&mut harness, "Turn camera on"), [UiCommand::SetCamera(true)]);
    assert_eq!(press(&mut harness, "Hear others again"), [UiCommand::SetDeafened(false)]);
}

#[test]
fn keys_do_the_same_as_buttons() {
    let mut harness = open("call-one");
    assert_eq!(key(&mut harness, Key::M), [UiCommand::SetMuted(true)]);
    assert_eq!(key(&mut harness, Key::V), [UiCommand::SetCamera(false)]);
    assert_eq!(key(&mut harness, Key::D), [UiCommand::SetDeafened(true)]);
    assert_eq!(key(&mut harness, Key::F), [UiCommand::SetFullscreen(true)]);
    assert_eq!(key(&mut harness, Key::Escape), [UiCommand::SetFullscreen(false)]);
    assert_eq!(key(&mut harness, Key::C), [UiCommand::SetChatOpen(true)]);
}

#[test]
fn a_text_field_keeps_the_keys_to_itself() {
    let mut harness = open("call-one");
    key(&mut harness, Key::C);
    let draft = harness.get_by_label("Write to everyone");
    assert!(draft.is_focused());
    draft.type_text("move dmvcf");
    assert_eq!(key(&mut harness, Key::M), []);
    assert_eq!(state(&mut harness).1.draft, "move dmvcf");
}

#[test]
fn a_line_is_sent_by_enter_and_by_the_button_and_never_empty() {
    let mut harness = open("call-one");
    key(&mut harness, Key::C);
    assert_eq!(key(&mut harness, Key::Enter), []);
    harness.get_by_label("Write to everyone").type_text(" hello ");
    harness.run();
    assert_eq!(key(&mut harness, Key::Enter), [UiCommand::SendChat("hello".to_owned())]);
    assert_eq!(state(&mut harness).1.draft, "");
    harness.get_by_label("Write to everyone").type_text("again");
    harness.run();
    assert_eq!(press(&mut harness, "Send message"), [UiCommand::SendChat("again".to_owned())]);
    assert!(harness.get_by_label("Write to everyone").is_focused(), "one writes on");
}

#[test]
fn shift_and_enter_start_a_new_line() {
    let mut harness = open("call-one");
    key(&mut harness, Key::C);
    harness.get_by_label("Write to everyone").type_text("one");
    harness.run();
    harness.key_press_modifiers(egui::Modifiers::SHIFT, Key::Enter);
    harness.run();
    assert_eq!(state(&mut harness).1.draft, "one\n");
    assert!(harness.state().commands.iter().all(|command| !matches!(command, UiCommand::SendChat(_))));
}

#[test]
fn the_chat_shows_who_wrote_when_and_who_did_not_get_it() {
    let harness = open("call-chat");
    for words in ["Thanks, reading. 👍", "Dara is reconnecting", "Dara was not connected yet and did not get this."] {
        harness.get_by_label(words);
    }
    harness.get_by_role_and_label(Role::Link, "https://example.org/notes");
}

#[test]
fn unread_lines_are_counted_on_the_button() {
    let mut harness = open("call-one");
    state(&mut harness).0.unread = 2;
    harness.run();
    assert_eq!(press(&mut harness, "Open chat, 2 unread messages"), [UiCommand::SetChatOpen(true)]);
}

#[test]
fn alone_one_gets_the_link_and_a_way_out() {
    let mut harness = open("call-alone");
    harness.get_by_label("Waiting for others…");
    harness.get_by_label_contains("People in the same network");
    assert_eq!(press(&mut harness, "Copy invitation link"), [UiCommand::CopyLink]);
    assert_eq!(press(&mut harness, "Cancel"), [UiCommand::Leave]);
    assert!(open("call-joining").query_by_label("Copy invitation link").is_none());
}

#[test]
fn leaving_what_one_hosts_is_asked_about() {
    let mut harness = open("call-one");
    state(&mut harness).0.hosting = true;
    assert_eq!(press(&mut harness, "Leave call"), []);
    harness.get_by_label_contains("nobody new can join");
    assert_eq!(press(&mut harness, "Stay"), []);
    assert_eq!(state(&mut harness).1.sheet, None);
    press(&mut harness, "Leave call");
    assert_eq!(press(&mut harness, "Leave anyway"), [UiCommand::Leave]);
}

#[test]
fn closing_the_window_that_hosts_is_asked_about_too() {
    let mut harness = open("call-one");
    state(&mut harness).1.sheet = Some(Sheet::Quit);
    harness.run();
    harness.get_by_label_contains("nobody new can join");
    assert_eq!(press(&mut harness, "Stay"), []);
    assert_eq!(state(&mut harness).1.sheet, None);
    state(&mut harness).1.sheet = Some(Sheet::Quit);
    harness.run();
    assert_eq!(press(&mut harness, "Leave anyway"), [UiCommand::Quit]);
}

#[test]
fn a_name_opens_volume_and_details() {
    let mut harness = open("call-one");
    press(&mut harness, "Ana: volume and details");
    assert_eq!(state(&mut harness).1.sheet, Some(Sheet::Details(peer(0))));
    let mut harness = open("call-details");
    harness.get_by_label("Path: direct");
    harness.get_by_label("Round trip: 23 ms");
    harness.state_mut().commands.clear();
    harness.get_by_role(Role::Slider).set_value_accesskit(150.0);
    harness.run();
    assert_eq!(harness.state().commands, [UiCommand::SetVolume(peer(0), 1.5)]);
    key(&mut harness, Key::Escape);
    assert_eq!(state(&mut harness).1.sheet, None);
}

#[test]
fn devices_are_changed_in_the_call() {
    let mut harness = open("call-one");
    assert_eq!(press(&mut harness, "Settings"), [UiCommand::RefreshDevices]);
    assert!(harness.query_by_label("Server").is_none(), "the server is chosen before a call");
    harness.get_by_role_and_label(Role::ComboBox, "Camera: Integrated camera").click();
    harness.run();
    harness.state_mut().commands.clear();
    harness.get_by_role_and_label(Role::ListBoxOption, "System default").click();
    harness.run();
    assert_eq!(harness.state().commands, [UiCommand::SelectCamera(None)]);
}

#[test]
fn two_clicks_on_a_tile_show_it_alone_and_escape_brings_the_others_back() {
    let mut harness = open("call-four");
    let tile = harness.get_by_label("Bo").rect().center();
    for _ in 0..2 {
        harness.drag_at(tile);
        harness.step();
        harness.drop_at(tile);
        harness.step();
    }
    harness.run();
    assert_eq!(state(&mut harness).1.alone, Some(TileId::Peer(peer(1))));
    assert!(harness.query_by_label("Ana").is_none());
    assert!(harness.state().commands.contains(&UiCommand::SetFullscreen(true)));
    key(&mut harness, Key::Escape);
    assert_eq!(state(&mut harness).1.alone, None);
    harness.get_by_label("Ana");
}

#[test]
fn whoever_leaves_while_shown_alone_gives_the_place_back() {
    let mut harness = open("call-full");
    let (view, _) = state(&mut harness);
    *view = call(0);
    harness.run();
    let (_, state) = state(&mut harness);
    assert_eq!(state.alone, None);
}

#[test]
fn speaking_while_muted_is_hinted_at() {
    open("call-muted").get_by_label("You are muted. Press M to speak.");
}
