//! Where the tiles go. Pure: sizes in, rectangles out.

use egui::{Rect, Vec2, pos2, vec2};

/// The narrowest a tile gets, width to height.
pub const ASPECT_MIN: f32 = 4.0 / 3.0;
/// The widest a tile gets.
pub const ASPECT_MAX: f32 = 16.0 / 9.0;

/// The tiles of `count` people in `area`, in reading order: all of one size, between 4:3 and 16:9, as large as they
/// can be, the last row centred. No tile leaves the area or touches another.
pub fn grid(area: Rect, count: usize, gap: f32) -> Vec<Rect> {
    let Some((columns, size)) = best_columns(area.size(), count, gap) else { return Vec::new() };
    let rows = count.div_ceil(columns);
    let height = rows as f32 * size.y + (rows - 1) as f32 * gap;
    let top = area.center().y - height / 2.0;
    (0..count)
        .map(|index| {
            let (row, column) = (index / columns, index % columns);
            let in_row = columns.min(count - row * columns);
            let width = in_row as f32 * size.x + (in_row - 1) as f32 * gap;
            let left = area.center().x - width / 2.0;
            let min = pos2(left + column as f32 * (size.x + gap), top + row as f32 * (size.y + gap));
            Rect::from_min_size(min, size)
        })
        .collect()
}

/// The number of columns that gives the largest tiles, and their size. With equal sizes, fewer columns.
fn best_columns(area: Vec2, count: usize, gap: f32) -> Option<(usize, Vec2)> {
    let mut best: Option<(usize, Vec2)> = None;
    for columns in 1..=count {
        let rows = count.div_ceil(columns);
        let cell = vec2(
            (area.x - (columns - 1) as f32 * gap) / columns as f32,
            (area.y - (rows - 1) as f32 * gap) / rows as f32,
        );
        if cell.x <= 0.0 || cell.y <= 0.0 {
            continue;
        }
        let size = tile_in(cell);
        if best.is_none_or(|(_, other)| size.x * size.y > other.x * other.y * 1.001) {
            best = Some((columns, size));
        }
    }
    best
}

/// The largest tile in a cell.
fn tile_in(cell: Vec2) -> Vec2 {
    let aspect = cell.x / cell.y;
    if aspect > ASPECT_MAX {
        vec2(cell.y * ASPECT_MAX, cell.y)
    } else if aspect < ASPECT_MIN {
        vec2(cell.x, cell.x / ASPECT_MIN)
    } else {
        cell
    }
}

/// How a picture goes into a tile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// Where it is drawn.
    pub rect: Rect,
    /// The part of the picture that is seen, 0 to 1.
    pub uv: Rect,
}

/// A picture fills its tile, cut evenly at two sides; one that would lose more than a third (an upright phone) is
/// shown whole instead. `whole` shows it whole in any case. Its proportions never change.
pub fn place_picture(picture: Vec2, tile: Rect, whole: bool) -> Placed {
    let full = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    if picture.x <= 0.0 || picture.y <= 0.0 || tile.width() <= 0.0 || tile.height() <= 0.0 {
        return Placed { rect: tile, uv: full };
    }
    let cover = (tile.width() / picture.x).max(tile.height() / picture.y);
    let seen = tile.size() / (picture * cover);
    if whole || seen.x * seen.y < 2.0 / 3.0 {
        let contain = (tile.width() / picture.x).min(tile.height() / picture.y);
        return Placed { rect: Rect::from_center_size(tile.center(), picture * contain), uv: full };
    }
    Placed { rect: tile, uv: Rect::from_center_size(pos2(0.5, 0.5), seen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Window sizes from the smallest to a large screen, in steps that hit no special ratio.
    fn areas() -> impl Iterator<Item = Rect> {
        let widths = (0..24).map(|step| 448.0 + 61.0 * step as f32);
        widths.flat_map(|width| {
            (0..16).map(move |step| Rect::from_min_size(pos2(16.0, 60.0), vec2(width, 220.0 + 53.0 * step as f32)))
        })
    }

    #[test]
    fn tiles_stay_inside_keep_their_shape_and_never_overlap() {
        for area in areas() {
            for count in 1..=12 {
                let tiles = grid(area, count, 12.0);
                assert_eq!(tiles.len(), count);
                for (index, tile) in tiles.iter().enumerate() {
                    assert!(area.expand(0.01).contains_rect(*tile), "{count} in {area:?}: {tile:?}");
                    let aspect = tile.width() / tile.height();
                    assert!((ASPECT_MIN - 0.001..=ASPECT_MAX + 0.001).contains(&aspect), "{aspect}");
                    for other in &tiles[index + 1..] {
                        assert!(!tile.expand(5.9).intersects(other.expand(5.9)), "{tile:?} {other:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn tiles_fill_one_direction_or_could_not_grow() {
        for area in areas() {
            for count in 1..=9 {
                let tiles = grid(area, count, 12.0);
                let used = tiles.iter().fold(Rect::NOTHING, |all, tile| all.union(*tile));
                let fills_width = used.width() > area.width() - 0.1;
                let fills_height = used.height() > area.height() - 0.1;
                assert!(fills_width || fills_height, "{count} in {area:?} use {used:?}");
            }
        }
    }

    #[test]
    fn no_other_number_of_columns_gives_larger_tiles() {
        for area in areas() {
            for count in 1..=9_usize {
                let tile = grid(area, count, 12.0)[0];
                for columns in 1..=count {
                    let rows = count.div_ceil(columns);
                    let cell = vec2(
                        (area.width() - 12.0 * (columns - 1) as f32) / columns as f32,
                        (area.height() - 12.0 * (rows - 1) as f32) / rows as f32,
                    );
                    if cell.min_elem() > 0.0 {
                        assert!(tile_in(cell).x * tile_in(cell).y <= tile.area() * 1.002);
                    }
                }
            }
        }
    }

    #[test]
    fn four_people_make_two_rows_and_five_centre_the_last() {
        let area = Rect::from_min_size(pos2(16.0, 60.0), vec2(888.0, 636.0));
        let four = grid(area, 4, 12.0);
        assert_eq!(four[0].min.y, four[1].min.y);
        assert!(four[2].min.y > four[0].max.y);
        let five = grid(area, 5, 12.0);
        let last_row: Vec<_> = five.iter().filter(|tile| tile.min.y == five[4].min.y).collect();
        let middle = (last_row[0].min.x + last_row[last_row.len() - 1].max.x) / 2.0;
        assert!((middle - area.center().x).abs() < 0.01);
    }

    #[test]
    fn nobody_and_no_room_give_no_tiles() {
        assert!(grid(Rect::from_min_size(pos2(0.0, 0.0), vec2(100.0, 100.0)), 0, 12.0).is_empty());
        assert!(grid(Rect::from_min_size(pos2(0.0, 0.0), vec2(0.0, 100.0)), 3, 12.0).is_empty());
        assert!(grid(Rect::NOTHING, 3, 12.0).is_empty());
    }

    #[test]
    fn pictures_keep_their_proportions() {
        let tiles = [vec2(438.0, 312.0), vec2(400.0, 300.0), vec2(640.0, 360.0), vec2(1920.0, 1000.0)];
        let pictures = [vec2(640.0, 360.0), vec2(640.0, 480.0), vec2(360.0, 640.0), vec2(320.0, 320.0)];
        for tile in tiles.map(|size| Rect::from_min_size(pos2(0.0, 0.0), size)) {
            for picture in pictures {
                for whole in [false, true] {
                    let placed = place_picture(picture, tile, whole);
                    let shown = placed.rect.size() / (picture * placed.uv.size());
                    assert!((shown.x / shown.y - 1.0).abs() < 0.001, "{picture:?} in {tile:?}: {placed:?}");
                    assert!(tile.expand(0.01).contains_rect(placed.rect));
                }
            }
        }
    }

    #[test]
    fn an_upright_phone_is_seen_whole_and_a_laptop_fills() {
        let tile = Rect::from_min_size(pos2(0.0, 0.0), vec2(438.0, 312.0));
        assert!(place_picture(vec2(360.0, 640.0), tile, false).rect.width() < tile.width());
        assert_eq!(place_picture(vec2(640.0, 360.0), tile, false).rect, tile);
        assert!(place_picture(vec2(640.0, 360.0), tile, true).rect.height() < tile.height());
    }
}
