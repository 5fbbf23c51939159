//! The parts of the call screen. Pure: the window's size in, rectangles out.

use egui::{Rect, Vec2, pos2, vec2};

use super::theme;

/// Below this width or height everything is a size smaller, in points.
const COMPACT_BELOW: Vec2 = vec2(640.0, 480.0);

/// Where everything is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallLayout {
    /// Room, time, people, link.
    pub header: Rect,
    /// The tiles.
    pub tiles: Rect,
    /// The row of controls.
    pub toolbar: Rect,
    /// Between two round buttons.
    pub button_gap: f32,
    /// A round button's diameter.
    pub button: f32,
    /// The small self view, where there is room for it.
    pub self_view: Option<Rect>,
    /// The chat, when it is open.
    pub chat: Option<Rect>,
    /// The chat lies over the tiles.
    pub chat_covers: bool,
}

/// The buttons in the row: five round ones and Leave, a third wider.
const ROUND_BUTTONS: f32 = 5.0;

/// Lays the call screen out.
pub fn call_layout(window: Rect, chat_open: bool) -> CallLayout {
    let beside = chat_open && window.width() >= theme::CHAT_SIDE_FROM;
    let (main, side) = match beside {
        true => {
            let (main, side) = window.split_left_right_at_x(window.right() - theme::CHAT_WIDTH);
            (main, Some(side))
        }
        false => (window, None),
    };
    let compact = main.width() < COMPACT_BELOW.x || main.height() < COMPACT_BELOW.y;
    let (header_height, footer_height, button, button_gap) =
        if compact { (48.0, 64.0, 44.0, 8.0) } else { (60.0, 104.0, theme::ROUND, theme::GAP) };
    let inner = main.shrink2(vec2(16.0, 0.0));
    let header = Rect::from_min_size(inner.min, vec2(inner.width(), header_height));
    let footer = Rect::from_min_max(pos2(inner.left(), inner.bottom() - footer_height), inner.max);
    let tiles = Rect::from_min_max(pos2(inner.left(), header.bottom()), pos2(inner.right(), footer.top()));
    let width = toolbar_width(button, button_gap);
    let (left, self_view) = place_row(footer, width, button_gap);
    let toolbar = Rect::from_min_size(pos2(left, footer.center().y - button / 2.0), vec2(width, button));
    CallLayout {
        header,
        tiles,
        toolbar,
        button_gap,
        button,
        self_view,
        chat: side.or(chat_open.then_some(tiles)),
        chat_covers: chat_open && !beside,
    }
}

fn toolbar_width(button: f32, gap: f32) -> f32 {
    ROUND_BUTTONS * (button + gap) + leave_width(button)
}

/// The width of the Leave button beside round ones of this diameter.
pub fn leave_width(button: f32) -> f32 {
    (button * 4.0 / 3.0).round()
}

/// The controls in the middle with the self view to their right; at the left edge where that is too tight; without
/// the self view where even that is.
fn place_row(footer: Rect, toolbar: f32, gap: f32) -> (f32, Option<Rect>) {
    let height = footer.height() - if footer.height() > 80.0 { 24.0 } else { 12.0 };
    let size = vec2((height * 16.0 / 9.0).round(), height);
    let centred = footer.center().x - toolbar / 2.0;
    let self_view = Rect::from_min_size(pos2(footer.right() - size.x, footer.center().y - height / 2.0), size);
    if centred + toolbar + gap <= self_view.left() {
        return (centred, Some(self_view));
    }
    if footer.left() + toolbar + gap <= self_view.left() {
        return (footer.left(), Some(self_view));
    }
    (centred.max(footer.left()), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(width: f32, height: f32) -> Rect {
        Rect::from_min_size(pos2(0.0, 0.0), vec2(width, height))
    }

    #[test]
    fn nothing_overlaps_and_nothing_leaves_the_window() {
        for width in (480..2000).step_by(37) {
            for height in (360..1200).step_by(41) {
                for chat_open in [false, true] {
                    let window = window(width as f32, height as f32);
                    let layout = call_layout(window, chat_open);
                    let beside = layout.chat.filter(|_| !layout.chat_covers);
                    let parts =
                        [Some(layout.header), Some(layout.tiles), Some(layout.toolbar), layout.self_view, beside];
                    let parts: Vec<_> = parts.into_iter().flatten().collect();
                    for (index, part) in parts.iter().enumerate() {
                        assert!(window.contains_rect(*part), "{part:?} in {window:?}");
                        assert!(part.is_positive());
                        for other in &parts[index + 1..] {
                            assert!(!part.shrink(0.01).intersects(other.shrink(0.01)), "{part:?} {other:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_smallest_window_has_a_tile_the_controls_and_yourself() {
        let layout = call_layout(window(480.0, 360.0), false);
        assert!(layout.tiles.height() >= 240.0);
        assert!(layout.self_view.is_some());
    }

    #[test]
    fn the_chat_is_beside_the_tiles_from_960_points_on() {
        assert!(!call_layout(window(960.0, 700.0), true).chat_covers);
        assert!(call_layout(window(959.0, 700.0), true).chat_covers);
        assert_eq!(call_layout(window(1280.0, 800.0), false).chat, None);
    }
}
