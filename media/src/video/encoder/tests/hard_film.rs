//! A film that cannot be compressed away, as the lab's (`tests/lab/call/film.js`): textured, quickly moving, and with noise of its own in
//! each picture. The simulation of a call uses it too.

use std::f64::consts::TAU;

/// Texture around the picture, so that it can move.
const MARGIN: usize = 128;
const WIDE: usize = HardFilm::WIDTH + 2 * MARGIN;
const HIGH: usize = HardFilm::HEIGHT + 2 * MARGIN;
/// Pictures until it begins again.
const LOOP: usize = 60;

pub(crate) struct HardFilm {
    texture: Vec<u8>,
    noise: Vec<u8>,
}

impl HardFilm {
    pub(crate) const WIDTH: usize = 640;
    pub(crate) const HEIGHT: usize = 360;

    pub(crate) fn new() -> Self {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let coarse: Vec<u8> = (0..(WIDE / 8) * (HIGH / 8)).map(|_| random() / 4).collect();
        let at = |x: usize, y: usize| 70 + coarse[y / 8 * (WIDE / 8) + x / 8] + (((x * 3) ^ (y * 5)) % 32) as u8;
        let texture = (0..WIDE * HIGH).map(|index| at(index % WIDE, index / WIDE)).collect();
        // A prime length: no two pictures have the same noise at the same place.
        let noise = (0..65_521).map(|_| random() / 16).collect();
        Self { texture, noise }
    }

    /// Luma of a picture; it has no colour.
    pub(crate) fn luma(&self, number: usize) -> Vec<u8> {
        let angle = TAU * (number % LOOP) as f64 / LOOP as f64;
        let left = MARGIN + (100.0 + 100.0 * angle.sin()) as usize - 100;
        let top = MARGIN + (60.0 + 60.0 * angle.cos()) as usize - 60;
        let grain = number * 9_973;
        let rows = (top..top + Self::HEIGHT).flat_map(|y| &self.texture[y * WIDE + left..][..Self::WIDTH]);
        rows.zip(self.noise.iter().cycle().skip(grain % self.noise.len())).map(|(luma, noise)| luma + noise).collect()
    }
}
