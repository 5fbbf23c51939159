//! The settings sheet: devices, sound and motion, and in the lobby the server too.

use egui::{RichText, Ui, vec2};

use super::icons::Icon;
use super::picker::{Picked, picker_ui};
use super::sheet::sheet_ui;
use super::theme;
use super::view::{DevicesView, UiCommand};
use super::widgets::{Look, field, problem_ui, text_button, text_button_width, toggle};

/// What the lobby's settings have beside those of a call.
pub struct ServerField<'a> {
    /// What is typed.
    pub text: &'a mut String,
    /// Why it is no address, as a sentence.
    pub problem: Option<&'a str>,
    /// Whether the address is hidden from the others.
    pub relay_only: bool,
}

/// Draws the sheet. Answers whether it is to be closed.
pub fn settings_ui(
    ui: &mut Ui,
    devices: &DevicesView,
    server: Option<ServerField<'_>>,
    commands: &mut Vec<UiCommand>,
) -> bool {
    sheet_ui(ui, "settings", "Settings", 460.0, |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        if let Some(server) = server {
            server_ui(ui, server, commands);
            ui.add_space(8.0);
        }
        caption(ui, "Camera");
        camera_picker_ui(ui, devices, ui.available_width(), commands);
        ui.add_space(4.0);
        caption(ui, "Microphone");
        microphone_picker_ui(ui, devices, ui.available_width(), commands);
        ui.add_space(4.0);
        caption(ui, "Speaker");
        speaker_row_ui(ui, devices, commands);
        ui.add_space(4.0);
        let text = "Reduce echo and noise, even out loudness";
        if toggle(ui, devices.audio_processing, text).clicked() {
            commands.push(UiCommand::SetAudioProcessing(!devices.audio_processing));
        }
        let still = theme::is_motion_reduced(ui.style());
        if toggle(ui, still, "Reduce motion").clicked() {
            commands.push(UiCommand::SetReducedMotion(!still));
        }
    })
}

fn server_ui(ui: &mut Ui, server: ServerField<'_>, commands: &mut Vec<UiCommand>) {
    let response = field(ui, "Server", server.text, "Host calls on this computer", 255, server.problem);
    if response.changed() {
        commands.push(UiCommand::SaveNames);
    }
    let words = "Where rooms without a link are, such as https://calls.example.org. Left empty, a new call is hosted on \
                 this computer.";
    hint(ui, words);
    ui.add_space(4.0);
    if toggle(ui, server.relay_only, "Hide my address").clicked() {
        commands.push(UiCommand::SetRelayOnly(!server.relay_only));
    }
    hint(ui, "The others don’t see your IP address: the call goes through the server’s relay (TURN).");
}

fn hint(ui: &mut Ui, words: &str) {
    ui.label(RichText::new(words).font(theme::regular(theme::SIZE_LABEL)).color(theme::MUTED));
}

fn caption(ui: &mut Ui, text: &str) {
    ui.label(RichText::new(text).font(theme::semibold(theme::SIZE_LABEL)).color(theme::MUTED));
    ui.add_space(-2.0);
}

fn asked(picked: Picked, select: fn(Option<String>) -> UiCommand) -> UiCommand {
    match picked {
        Picked::Opened => UiCommand::RefreshDevices,
        Picked::Device(id) => select(id),
    }
}

/// The list of cameras.
pub fn camera_picker_ui(ui: &mut Ui, devices: &DevicesView, width: f32, commands: &mut Vec<UiCommand>) {
    let picked = picker_ui(ui, "Camera", "No camera found", width, &devices.cameras);
    commands.extend(picked.map(|picked| asked(picked, UiCommand::SelectCamera)));
}

/// The list of microphones.
pub fn microphone_picker_ui(ui: &mut Ui, devices: &DevicesView, width: f32, commands: &mut Vec<UiCommand>) {
    let picked = picker_ui(ui, "Microphone", "No microphone found", width, &devices.microphones);
    commands.extend(picked.map(|picked| asked(picked, UiCommand::SelectMicrophone)));
}

/// The list of speakers and the sound to try one with.
pub fn speaker_row_ui(ui: &mut Ui, devices: &DevicesView, commands: &mut Vec<UiCommand>) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = theme::GAP;
        let test = "Test sound";
        let test_width = text_button_width(ui.painter(), true, test);
        let width = ui.available_width() - test_width - theme::GAP;
        let picked = picker_ui(ui, "Speaker", "No speaker found", width, &devices.speakers);
        commands.extend(picked.map(|picked| asked(picked, UiCommand::SelectSpeaker)));
        if text_button(ui, vec2(test_width, theme::FIELD_HEIGHT), Some(Icon::Volume), test, Look::Plain).clicked() {
            commands.push(UiCommand::TestSound);
        }
    });
    if let Some(problem) = &devices.speaker_problem {
        problem_ui(ui, problem);
    }
}
