//! A column of content in the middle of a rectangle, scrolled when it does not fit.

use egui::{Id, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

/// Draws `contents` in a column at most `width` wide, centred in `area` both ways.
///
/// The height is only known after drawing: the first frame is drawn again at once, unseen.
pub fn centered_column(ui: &mut Ui, area: Rect, width: f32, salt: &str, contents: impl FnOnce(&mut Ui)) {
    let id = Id::unique(("column", salt));
    let known: Option<f32> = ui.ctx().data(|data| data.get_temp(id));
    let height = known.unwrap_or(area.height()).min(area.height());
    let width = width.min(area.width());
    let rect = Rect::from_center_size(area.center(), vec2(width, height)).intersect(area);
    let mut child = ui.new_child(
        UiBuilder::new()
            .id_salt(salt)
            .max_rect(Rect::from_min_max(pos2(area.left(), rect.top()), pos2(area.right(), area.bottom()))),
    );
    let side = (area.width() - width) / 2.0;
    let used = ScrollArea::vertical()
        .id_salt(salt)
        .auto_shrink([false, true])
        .max_height(area.bottom() - rect.top())
        .show(&mut child, |ui| {
            let top = ui.cursor().top();
            let column = Rect::from_min_size(pos2(area.left() + side, top), vec2(width, f32::INFINITY));
            let response = ui.scope_builder(UiBuilder::new().max_rect(column), |ui| {
                ui.set_width(width);
                contents(ui);
            });
            response.response.rect.height()
        });
    let measured = used.inner;
    if known.is_none_or(|known| (known - measured).abs() > 0.5) {
        ui.ctx().data_mut(|data| data.insert_temp(id, measured));
        ui.ctx().request_discard("a column's height became known");
    }
}
