//! A sheet over the window: one thing to look at or decide, closed by Escape, its cross, or a press beside it.

use egui::{Frame, Id, Margin, Modal, Rect, Stroke, Ui, vec2};

use super::icons::Icon;
use super::theme;
use super::widgets::{IconButton, Look};

/// Draws a sheet. Answers whether it is to be closed.
pub fn sheet_ui(ui: &mut Ui, salt: &str, title: &str, width: f32, contents: impl FnOnce(&mut Ui)) -> bool {
    let window = ui.ctx().content_rect();
    let width = width.min(window.width() - 32.0);
    let padding = if window.width() < 640.0 { 16 } else { 24 };
    let frame = Frame::new()
        .fill(theme::SURFACE)
        .stroke(Stroke::new(1.0, theme::LINE))
        .corner_radius(theme::RADIUS_TILE)
        .inner_margin(Margin::same(padding));
    let response = Modal::new(Id::unique(salt)).frame(frame).backdrop_color(theme::scrim()).show(ui.ctx(), |ui| {
        ui.set_width(width - 2.0 * f32::from(padding));
        let height = window.height() - 32.0 - 2.0 * f32::from(padding);
        // The sheet's area starts small; without this the contents would be scrolled inside it.
        ui.set_max_height(height);
        let close = title_ui(ui, title);
        ui.add_space(8.0);
        let height = height - 56.0;
        egui::ScrollArea::vertical().max_height(height).auto_shrink([false, true]).show(ui, contents);
        close
    });
    response.inner || response.should_close()
}

fn title_ui(ui: &mut Ui, title: &str) -> bool {
    let (_, row) = ui.allocate_space(vec2(ui.available_width(), 32.0));
    let font = theme::semibold(theme::SIZE_TITLE);
    super::widgets::text_at(
        ui,
        row.left_center(),
        egui::Align2::LEFT_CENTER,
        title,
        font,
        theme::TEXT,
        row.width() - 48.0,
    );
    let rect = Rect::from_center_size(row.right_center() - vec2(16.0, 0.0), vec2(32.0, 32.0));
    IconButton::new(Icon::Close, "Close").key("Escape").look(Look::Bare).put(ui, rect).clicked()
}
