//! A list to choose a device from.

use egui::{
    Align2, CornerRadius, Popup, Rect, Response, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, accesskit::Role,
    pos2, vec2,
};

use super::icons::{self, Icon};
use super::theme;
use super::view::PickerView;
use super::widgets::{one_line, paint_focus};

/// What was done with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picked {
    /// It was opened: what it shows should be new.
    Opened,
    /// This was chosen; `None` is the system's default.
    Device(Option<String>),
}

/// Draws the closed list, as wide as told, and opens it below when pressed. An empty one can be pressed too: then there
/// may be something to show soon.
pub fn picker_ui(ui: &mut Ui, label: &str, nothing: &str, width: f32, view: &PickerView) -> Option<Picked> {
    let response = closed_ui(ui, label, &selected_name(view, nothing), width, !view.options.is_empty());
    let is_open = Popup::is_id_open(ui.ctx(), Popup::default_response_id(&response));
    let mut picked = (response.clicked() && !is_open).then_some(Picked::Opened);
    if view.options.is_empty() {
        return picked;
    }
    Popup::menu(&response).width(width).accessible_name(label).gap(4.0).show(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        egui::ScrollArea::vertical().max_height(280.0).show(ui, |ui| {
            for option in &view.options {
                if option_ui(ui, &option.name, option.id == view.selected).clicked() {
                    picked = Some(Picked::Device(option.id.clone()));
                }
            }
        });
    });
    picked
}

fn selected_name(view: &PickerView, nothing: &str) -> String {
    if view.options.is_empty() {
        return nothing.to_owned();
    }
    match view.options.iter().find(|option| option.id == view.selected) {
        Some(option) => option.name.clone(),
        None => "Chosen device is not connected".to_owned(),
    }
}

fn closed_ui(ui: &mut Ui, label: &str, selected: &str, width: f32, filled: bool) -> Response {
    let (_, rect) = ui.allocate_space(vec2(width, theme::FIELD_HEIGHT));
    let response = ui.interact(rect, ui.make_persistent_id(("picker", label)), Sense::click());
    let spoken = format!("{label}: {selected}");
    response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, &spoken));
    let fill = if response.hovered() { theme::SURFACE } else { theme::BG };
    ui.painter().rect(rect, theme::RADIUS_FIELD, fill, Stroke::new(1.0, theme::LINE), StrokeKind::Inside);
    let color = if filled { theme::TEXT } else { theme::MUTED };
    let galley = one_line(ui.painter(), selected, theme::regular(theme::SIZE_BODY), color, rect.width() - 52.0);
    ui.painter().galley(pos2(rect.left() + 14.0, rect.center().y - galley.size().y / 2.0), galley, color);
    if filled {
        let place = Rect::from_center_size(pos2(rect.right() - 22.0, rect.center().y), Vec2::splat(16.0));
        icons::paint(ui.painter(), Icon::ChevronDown, place, 16.0, theme::MUTED);
    }
    paint_focus(ui.painter(), &response, rect, theme::RADIUS_FIELD);
    response.on_hover_text(if filled { label } else { "Look again" })
}

fn option_ui(ui: &mut Ui, name: &str, selected: bool) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 40.0), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, selected, name));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, theme::RADIUS_PILL, theme::RAISED);
    }
    let galley = one_line(ui.painter(), name, theme::regular(theme::SIZE_BODY), theme::TEXT, rect.width() - 44.0);
    let at = Align2::LEFT_CENTER.anchor_size(pos2(rect.left() + 8.0, rect.center().y), galley.size());
    ui.painter().galley(at.min, galley, theme::TEXT);
    if selected {
        let place = Rect::from_center_size(pos2(rect.right() - 16.0, rect.center().y), Vec2::splat(16.0));
        icons::paint(ui.painter(), Icon::Check, place, 16.0, theme::ACCENT);
    }
    paint_focus(ui.painter(), &response, rect.shrink(2.0), CornerRadius::same(8));
    response
}
