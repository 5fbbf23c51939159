//! A room that is not open to everyone: its door, its sheet, and who is removed from it.

use egui::Key;
use parlor::ui::call::{CallState, Sheet};
use parlor::ui::view::{AccessView, CallView};

use super::window_fixtures::{call, peer};
use super::*;

const DOOR_FIELD: &str = "Password of quiet-otter-71k2";
const MODERATED: AccessView =
    AccessView { locked: false, has_password: false, may_moderate: true, knows_password: false };

fn state<'h>(harness: &'h mut Harness<'static, Bench>) -> (&'h mut CallView, &'h mut CallState) {
    match &mut harness.state_mut().screen {
        Screen::Call(view, state, _) => (view, state),
        Screen::Lobby(..) | Screen::Ended(_) | Screen::Door(..) => panic!("not a call"),
    }
}

/// The sheet of a room in which this holds.
fn room(access: AccessView) -> Harness<'static, Bench> {
    let view = CallView { access, ..call(2) };
    let state = CallState { sheet: Some(Sheet::Room), ..CallState::default() };
    bench(Screen::Call(Box::new(view), state, None), [1280.0, 800.0])
}

fn type_into(harness: &mut Harness<'static, Bench>, role: Role, label: &str, text: &str) {
    harness.get_by_role_and_label(role, label).focus();
    harness.run();
    harness.get_by_role_and_label(role, label).type_text(text);
    harness.run();
}

fn tick(harness: &mut Harness<'static, Bench>, label: &str) -> Vec<UiCommand> {
    harness.state_mut().commands.clear();
    harness.get_by_role_and_label(Role::CheckBox, label).click();
    harness.run();
    harness.state().commands.clone()
}

#[test]
fn the_door_asks_for_the_password_and_enter_joins() {
    let mut harness = open("door");
    harness.get_by_label("This room has a password");
    harness.get_by_label_contains("Ask whoever invited you");
    assert!(harness.get_by_role_and_label(Role::PasswordInput, DOOR_FIELD).is_focused(), "one types at once");
    assert!(key(&mut harness, Key::Enter).is_empty(), "nothing is no password");
    type_into(&mut harness, Role::PasswordInput, DOOR_FIELD, "three green apples");
    assert_eq!(key(&mut harness, Key::Enter), [UiCommand::JoinWithPassword("three green apples".into())]);
    assert_eq!(press(&mut harness, "Back to the lobby"), [UiCommand::BackToLobby]);
}

#[test]
fn a_wrong_password_says_so_and_can_be_seen_while_it_is_typed_again() {
    let mut harness = open("door-wrong");
    harness.get_by_label("This is not the password");
    tick(&mut harness, "Show the password");
    type_into(&mut harness, Role::TextInput, DOOR_FIELD, "pears");
    assert_eq!(press(&mut harness, "Join"), [UiCommand::JoinWithPassword("pears".into())]);
}

#[test]
fn whoever_is_not_let_in_reads_why_and_what_to_do() {
    let mut harness = open("ended-locked");
    harness.get_by_label("This room is locked");
    harness.get_by_label_contains("Ask someone inside to unlock it");
    assert_eq!(press(&mut harness, "Rejoin"), [UiCommand::Rejoin]);
    let harness = open("ended-removed");
    harness.get_by_label("You were removed");
    assert!(harness.query_by_label("Rejoin").is_none());
}

#[test]
fn the_header_marks_a_locked_room_and_leads_to_its_sheet() {
    let mut harness = open("call-locked");
    assert!(press(&mut harness, "5 people, room locked").is_empty());
    assert_eq!(state(&mut harness).1.sheet, Some(Sheet::Room));
    harness.get_by_label("The room is locked: nobody new can come in.");
    key(&mut harness, Key::Escape);
    assert_eq!(state(&mut harness).1.sheet, None);
    press(&mut open("call-one"), "2 people");
}

#[test]
fn who_may_moderate_locks_and_unlocks() {
    assert_eq!(tick(&mut room(MODERATED), "Lock the room"), [UiCommand::SetLock(true)]);
    let mut locked = room(AccessView { locked: true, ..MODERATED });
    assert_eq!(tick(&mut locked, "Lock the room"), [UiCommand::SetLock(false)]);
}

#[test]
fn who_may_moderate_sets_changes_and_takes_away_the_password() {
    let mut harness = room(MODERATED);
    assert!(press(&mut harness, "Set password").is_empty(), "an empty one is none");
    assert!(harness.query_by_label("Take password away").is_none());
    type_into(&mut harness, Role::TextInput, "Password", "three green apples");
    let asked = press(&mut harness, "Set password");
    assert_eq!(asked, [UiCommand::SetPassword(Some("three green apples".into()))]);
    assert_eq!(state(&mut harness).1.password.reveal(), "", "it does not stay in sight");

    let mut harness = room(AccessView { has_password: true, ..MODERATED });
    type_into(&mut harness, Role::TextInput, "New password", "pears");
    assert_eq!(key(&mut harness, Key::Enter), [UiCommand::SetPassword(Some("pears".into()))]);
    assert_eq!(press(&mut harness, "Take password away"), [UiCommand::SetPassword(None)]);
}

#[test]
fn links_carry_the_password_only_by_wish_and_where_it_is_known() {
    let words = "Copied links include the password";
    assert!(room(MODERATED).query_by_label(words).is_none());
    let mut harness = room(AccessView { has_password: true, knows_password: true, ..MODERATED });
    assert!(!state(&mut harness).1.link_with_password, "off by itself");
    tick(&mut harness, words);
    assert!(state(&mut harness).1.link_with_password);
    assert_eq!(press(&mut harness, "Copy the room’s link"), [UiCommand::CopyLink]);
}

#[test]
fn removing_someone_is_asked_about_first() {
    let mut harness = room(MODERATED);
    assert!(press(&mut harness, "Remove Bo").is_empty());
    assert_eq!(state(&mut harness).1.sheet, Some(Sheet::Remove(peer(1))));
    harness.get_by_label("Remove Bo?");
    harness.get_by_label_contains("lock the room to keep them out");
    assert!(press(&mut harness, "Keep").is_empty());
    assert_eq!(state(&mut harness).1.sheet, Some(Sheet::Room));
    press(&mut harness, "Remove Bo");
    assert_eq!(press(&mut harness, "Remove"), [UiCommand::Remove(peer(1))]);
    assert_eq!(state(&mut harness).1.sheet, Some(Sheet::Room));
}

#[test]
fn the_question_goes_when_they_have_left_or_we_may_no_longer() {
    for gone in [true, false] {
        let mut harness = open("call-remove");
        let (view, _) = state(&mut harness);
        match gone {
            true => view.others.clear(),
            false => view.access.may_moderate = false,
        }
        harness.run();
        assert_eq!(state(&mut harness).1.sheet, Some(Sheet::Room));
    }
}

#[test]
fn who_may_not_moderate_is_told_what_holds_and_offered_nothing_to_change_it() {
    let harness = open("call-room-guest");
    harness.get_by_label("Whoever has the link can come in.");
    for label in ["Lock the room", "Set password", "Remove Ana"] {
        assert!(harness.query_by_label(label).is_none(), "{label}");
    }
}
