//! A moving picture that needs no camera: drifting colours, a ball, a name, and the time as a barcode.

use std::f32::consts::TAU;

use super::barcode;
use crate::frame::I420;

mod text;

/// Paints one picture after another.
#[derive(Clone, Debug)]
pub struct TestPattern {
    width: usize,
    height: usize,
    /// A background larger than the picture; a window of it moves.
    background: I420,
    name: text::Label,
    frame: u64,
}

/// The background is this much larger than the picture, and repeats with this period.
const PERIOD: usize = 256;

impl TestPattern {
    /// A pattern of this size, even and at least 16, with `name` on it; the colours follow from the name.
    pub fn new(width: u32, height: u32, name: &str) -> Self {
        let (width, height) = ((width & !1).max(16) as usize, (height & !1).max(16) as usize);
        let background = paint_background(width + PERIOD, height + PERIOD, hue_of(name));
        Self { width, height, background, name: text::Label::new(name, width, height), frame: 0 }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    /// The next picture, with this time in its barcode.
    pub fn paint(&mut self, unix_tenth_ms: u64) -> I420 {
        let mut picture = I420::black(self.width as u32, self.height as u32);
        self.copy_background(&mut picture);
        self.paint_ball(&mut picture);
        self.name.paint(&mut picture.y, self.width);
        barcode::stamp(&mut picture, self.width, self.height, unix_tenth_ms);
        self.frame += 1;
        picture
    }

    fn copy_background(&self, picture: &mut I420) {
        // Even steps, so that chroma moves along with luma.
        let drift = |period: u64| (self.frame % period * PERIOD as u64 / period) as usize & !1;
        let (left, top) = (drift(256), drift(384));
        copy_window(&self.background.y, self.background.y_stride, (left, top), &mut picture.y, self.width);
        let (left, top) = (left / 2, top / 2);
        copy_window(&self.background.u, self.background.uv_stride, (left, top), &mut picture.u, self.width / 2);
        copy_window(&self.background.v, self.background.uv_stride, (left, top), &mut picture.v, self.width / 2);
    }

    fn paint_ball(&self, picture: &mut I420) {
        let turn = |frames: u64| (self.frame % frames) as f32 / frames as f32 * TAU;
        let (width, height) = (self.width as f32, self.height as f32);
        let radius = height / 9.0;
        let x = width / 2.0 + (width / 2.0 - radius) * turn(150).sin();
        let y = height / 2.0 + (height / 2.0 - radius) * turn(110).cos();
        fill_circle(&mut picture.y, self.width, (x, y), radius, 220);
        fill_circle(&mut picture.u, self.width / 2, (x / 2.0, y / 2.0), radius / 2.0, 90);
        fill_circle(&mut picture.v, self.width / 2, (x / 2.0, y / 2.0), radius / 2.0, 150);
    }
}

fn copy_window(source: &[u8], stride: usize, (left, top): (usize, usize), target: &mut [u8], width: usize) {
    let rows = source.chunks_exact(stride).skip(top);
    for (target, source) in target.chunks_exact_mut(width).zip(rows) {
        target.copy_from_slice(&source[left..left + width]);
    }
}

fn fill_circle(plane: &mut [u8], width: usize, (x, y): (f32, f32), radius: f32, value: u8) {
    for (line, row) in plane.chunks_exact_mut(width).enumerate() {
        let above = line as f32 - y;
        if above.abs() > radius {
            continue;
        }
        let half = (radius * radius - above * above).sqrt();
        let from = (x - half).max(0.0) as usize;
        let to = ((x + half).max(0.0) as usize).min(width);
        if from < to {
            row[from..to].fill(value);
        }
    }
}

/// Soft waves with a fine texture, all of a period that divides [`PERIOD`], so that the drift never jumps.
fn paint_background(width: usize, height: usize, hue: f32) -> I420 {
    let mut picture = I420::black(width as u32, height as u32);
    let wave: Vec<f32> = (0..PERIOD).map(|index| (index as f32 / PERIOD as f32 * TAU).sin()).collect();
    let at = |position: usize| wave[position % PERIOD];
    for (y, row) in picture.y.chunks_exact_mut(width).enumerate() {
        for (x, luma) in row.iter_mut().enumerate() {
            let waves = at(x + 2 * y) + at(2 * x + PERIOD - y % PERIOD);
            let texture = 0.25 * at(16 * x) * at(16 * y);
            *luma = (110.0 + 28.0 * (waves + texture)) as u8;
        }
    }
    let (u_axis, v_axis) = (hue.cos(), hue.sin());
    let chroma_rows = picture.u.chunks_exact_mut(width / 2).zip(picture.v.chunks_exact_mut(width / 2));
    for (y, (u_row, v_row)) in chroma_rows.enumerate() {
        for (x, (u, v)) in u_row.iter_mut().zip(v_row).enumerate() {
            let swing = 10.0 * at(2 * x + 2 * y);
            *u = (128.0 + 34.0 * u_axis + swing) as u8;
            *v = (128.0 + 34.0 * v_axis - swing) as u8;
        }
    }
    picture
}

/// A colour for a name, always the same one: 32 bits of FNV-1a as an angle.
fn hue_of(name: &str) -> f32 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash >> 8) as f32 / (1 << 24) as f32 * TAU
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_differs_and_carries_its_time() {
        let mut pattern = TestPattern::new(640, 360, "Ada");
        let mut last = None;
        for time in 17_000_000_000_000..17_000_000_000_300 {
            let picture = pattern.paint(time);
            assert!(picture.holds(640, 360));
            assert_eq!(barcode::read(&picture.y, picture.y_stride, 640, 360), Some(time));
            assert_ne!(Some(&picture), last.as_ref());
            last = Some(picture);
        }
    }

    #[test]
    fn names_give_different_pictures() {
        let below_the_code = |name: &str| TestPattern::new(640, 360, name).paint(0).y.split_off(640 * 40);
        assert_ne!(below_the_code("Ada"), below_the_code("Grace"));
        assert_ne!(hue_of("Ada"), hue_of("Grace"));
    }

    #[test]
    fn any_size_and_any_name_can_be_painted() {
        let long = "W".repeat(200);
        for (width, height) in [(0, 0), (16, 16), (17, 31), (160, 120), (1280, 720), (90, 160)] {
            for name in ["", "Ada", "Ζωή 日本語 🦀", &long] {
                let mut pattern = TestPattern::new(width, height, name);
                let (width, height) = pattern.size();
                assert!(pattern.paint(1).holds(width, height));
            }
        }
    }
}
