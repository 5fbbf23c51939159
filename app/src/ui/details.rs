//! One person's volume, and what is measured of the connection to them.

use egui::{RichText, Slider, Ui, vec2};

use super::sheet::sheet_ui;
use super::theme;
use super::view::{DetailsView, UiCommand};
use super::widgets::say;

/// Draws the sheet. Answers whether it is to be closed.
pub fn details_ui(ui: &mut Ui, view: &DetailsView, commands: &mut Vec<UiCommand>) -> bool {
    sheet_ui(ui, "details", &view.name, 400.0, |ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        volume_ui(ui, view, commands);
        ui.add_space(12.0);
        ui.label(RichText::new("Details").font(theme::semibold(theme::SIZE_LABEL)).color(theme::MUTED));
        for (name, value) in &view.rows {
            row_ui(ui, name, value);
        }
        if let Some(note) = &view.note {
            ui.label(RichText::new(note).font(theme::regular(theme::SIZE_LABEL)).color(theme::MUTED));
        }
    })
}

fn volume_ui(ui: &mut Ui, view: &DetailsView, commands: &mut Vec<UiCommand>) {
    let caption = ui.label(RichText::new("Volume").font(theme::semibold(theme::SIZE_LABEL)).color(theme::MUTED));
    let mut percent = (view.volume * 100.0).round();
    ui.spacing_mut().slider_width = ui.available_width() - 100.0;
    let slider = Slider::new(&mut percent, 0.0..=200.0).step_by(5.0).fixed_decimals(0).suffix(" %");
    if ui.add(slider).labelled_by(caption.id).changed() {
        commands.push(UiCommand::SetVolume(view.peer.clone(), percent / 100.0));
    }
}

fn row_ui(ui: &mut Ui, name: &str, value: &str) {
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 26.0));
    let font = theme::regular(theme::SIZE_BODY);
    let painter = ui.painter();
    painter.text(rect.left_center(), egui::Align2::LEFT_CENTER, name, font.clone(), theme::MUTED);
    painter.text(rect.right_center(), egui::Align2::RIGHT_CENTER, value, font, theme::TEXT);
    say(ui, rect, ("row", name), &format!("{name}: {value}"));
}
