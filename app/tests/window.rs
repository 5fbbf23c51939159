//! Every state and every control of the window, found by role and label as assistive technology finds them.

#![cfg(feature = "gui")]

mod window_fixtures;

#[path = "window/call.rs"]
mod call;
#[path = "window/guarded.rs"]
mod guarded;
#[path = "window/lobby.rs"]
mod lobby;
#[path = "window/states.rs"]
mod states;

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, Node};
use parlor::ui::{call::call_ui, door::door_ui, ended::ended_ui, lobby::lobby_ui, theme, view::UiCommand};
use window_fixtures::{Screen, screen};

/// A screen without a window, and what was asked of it.
struct Bench {
    screen: Screen,
    commands: Vec<UiCommand>,
}

fn bench(screen: Screen, size: [f32; 2]) -> Harness<'static, Bench> {
    let draw = |ui: &mut egui::Ui, bench: &mut Bench| match &mut bench.screen {
        Screen::Lobby(view, state) => lobby_ui(ui, view, state, &mut bench.commands),
        Screen::Call(view, state, toast) => call_ui(ui, view, state, toast.as_ref(), &mut bench.commands),
        Screen::Ended(view) => ended_ui(ui, view, &mut bench.commands),
        Screen::Door(view, state) => door_ui(ui, view, state, &mut bench.commands),
    };
    let builder =
        Harness::builder().with_size(size).with_max_steps(90).with_step_dt(1.0 / 60.0).with_context_setup(theme::apply);
    let mut harness = builder.build_ui_state(draw, Bench { screen, commands: Vec::new() });
    harness.run();
    harness
}

fn open(name: &str) -> Harness<'static, Bench> {
    bench(screen(name, &[]), [1280.0, 800.0])
}

fn button<'h>(harness: &'h Harness<'static, Bench>, label: &'h str) -> Node<'h> {
    harness.get_by_role_and_label(Role::Button, label)
}

/// Presses a button, as a pointer does, and answers what that asked for.
fn press(harness: &mut Harness<'static, Bench>, label: &str) -> Vec<UiCommand> {
    harness.state_mut().commands.clear();
    button(harness, label).click();
    harness.run();
    harness.state().commands.clone()
}

fn key(harness: &mut Harness<'static, Bench>, key: egui::Key) -> Vec<UiCommand> {
    harness.state_mut().commands.clear();
    harness.key_press(key);
    harness.run();
    harness.state().commands.clone()
}
