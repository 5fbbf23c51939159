//! Every state, at every size it must be usable in.

use egui::Rect;
use egui_kittest::kittest::NodeT as _;

use super::window_fixtures::{SCREENS, screen};
use super::*;

const SIZES: [[f32; 2]; 4] = [[480.0, 360.0], [700.0, 900.0], [1280.0, 800.0], [1920.0, 1080.0]];

/// Draws it, which also checks that every control has a name and every letter a glyph.
#[test]
fn every_state_can_be_drawn_at_every_size() {
    for name in SCREENS {
        for size in SIZES {
            let harness = bench(screen(name, &[]), size);
            let window = Rect::from_min_size(egui::Pos2::ZERO, size.into());
            // What scrolls may lie outside; the rows that must always be there do not.
            for label in ["Leave call", "Open chat", "Close chat", "Unmute microphone", "Mute microphone", "Rejoin"] {
                for node in harness.query_all_by_label(label) {
                    assert!(window.contains_rect(node.rect()), "{name} {size:?}: {label} at {:?}", node.rect());
                }
            }
        }
    }
}

#[test]
fn a_window_with_nothing_moving_asks_for_no_frame() {
    for name in SCREENS.iter().filter(|name| !name.contains("lobby-preview")) {
        let mut harness = open(name);
        harness.run();
        harness.run_steps(1);
        let delay = harness.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
        assert!(delay > std::time::Duration::from_secs(60), "{name} repaints after {delay:?}");
    }
}

#[test]
fn trouble_is_said_in_words_on_the_tile_and_in_the_header() {
    let harness = open("call-states");
    for words in ["Reconnecting…", "camera off", "Connection too slow for video; sound only"] {
        harness.get_by_label(words);
    }
    harness.get_by_label_contains("The call goes on, but nobody new can join.");
    harness.get_by_label("Chen: camera off");
    harness.get_by_label("5 people");
    harness.get_by_label("12:47");
}

#[test]
fn nine_people_all_have_a_tile_on_a_small_screen() {
    let harness = bench(screen("call-nine", &[]), [480.0, 360.0]);
    let tiles: Vec<_> = harness.get_all_by_role(Role::Image).map(|node| node.rect()).collect();
    assert_eq!(tiles.len(), 9, "eight others and the self view");
    assert!(tiles.iter().all(|tile| tile.width() >= 60.0), "{tiles:?}");
}

#[test]
fn after_a_call_it_says_why_and_what_to_do() {
    let mut harness = open("ended");
    harness.get_by_label("This room is full");
    harness.get_by_label_contains("Ask someone to leave");
    assert_eq!(press(&mut harness, "Rejoin"), [UiCommand::Rejoin]);
    assert_eq!(press(&mut harness, "Back to the lobby"), [UiCommand::BackToLobby]);
    assert!(open("ended-final").query_by_label("Rejoin").is_none());
    let untrusted = open("ended-untrusted");
    untrusted.get_by_label("This server can’t be trusted");
    assert!(untrusted.query_by_label("Rejoin").is_none());
}

#[test]
fn with_reduced_motion_a_tile_is_in_its_new_place_at_once() {
    let place_after_one_frame = |reduced: bool| {
        let mut harness = open("call-one");
        theme::set_motion_reduced(&harness.ctx, reduced);
        if let Screen::Call(view, ..) = &mut harness.state_mut().screen {
            **view = super::window_fixtures::call(3);
        }
        harness.step();
        let first = harness.get_by_label("Ana").rect();
        harness.run();
        (first, harness.get_by_label("Ana").rect())
    };
    let (first, last) = place_after_one_frame(true);
    assert_eq!(first, last);
    let (first, last) = place_after_one_frame(false);
    assert_ne!(first, last, "with motion one can follow it");
}

#[test]
fn the_keyboard_reaches_every_button_of_a_call_in_reading_order() {
    let mut harness = open("call-one");
    let mut reached = Vec::new();
    for _ in 0..12 {
        harness.key_press(egui::Key::Tab);
        harness.run();
        let focused = harness.root().children_recursive().find(|node| node.accesskit_node().is_focused());
        reached.extend(focused.and_then(|node| node.accesskit_node().label()));
    }
    let at = |label: &str| reached.iter().position(|other| other == label);
    let order = [
        "Copy link",
        "Mute microphone",
        "Turn camera off",
        "Stop hearing others",
        "Open chat",
        "Settings",
        "Leave call",
    ];
    for pair in order.windows(2) {
        assert!(at(pair[0]).is_some() && at(pair[0]) < at(pair[1]), "{reached:?}");
    }
}
