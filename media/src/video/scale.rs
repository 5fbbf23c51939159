//! Brings pictures to the size at which they are sent: the middle is cut out in the right shape, then scaled.

use crate::frame::I420;

/// Scales pictures of one size to another; the weights are worked out once.
///
/// Shrinking averages all pixels that fall on one (weighted by area, 14 bits of fraction), so nothing flickers;
/// enlarging interpolates. What does not fit the shape is cut off evenly at both sides.
#[derive(Clone, Debug)]
pub struct Scaler {
    from: (u32, u32),
    to: (u32, u32),
    luma: PlaneScaler,
    chroma: PlaneScaler,
}

impl Scaler {
    /// A scaler between two sizes, both even and not 0.
    pub fn new(from: (u32, u32), to: (u32, u32)) -> Self {
        let window = centre_crop(from, to);
        let half = |window: Window| Window {
            left: window.left / 2,
            top: window.top / 2,
            width: window.width / 2,
            height: window.height / 2,
        };
        Self {
            from,
            to,
            luma: PlaneScaler::new(window, to),
            chroma: PlaneScaler::new(half(window), (to.0 / 2, to.1 / 2)),
        }
    }

    /// The size that it takes and the one that it gives.
    pub fn sizes(&self) -> ((u32, u32), (u32, u32)) {
        (self.from, self.to)
    }

    /// Scales a picture; `None` when its planes do not hold the size that this scaler was made for.
    pub fn scale(&mut self, picture: &I420) -> Option<I420> {
        if !picture.holds(self.from.0, self.from.1) {
            return None;
        }
        Some(I420 {
            y: self.luma.scale(&picture.y, picture.y_stride),
            u: self.chroma.scale(&picture.u, picture.uv_stride),
            v: self.chroma.scale(&picture.v, picture.uv_stride),
            y_stride: self.to.0 as usize,
            uv_stride: self.to.0 as usize / 2,
        })
    }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

/// The largest window in the middle of `from` that has the shape of `to`; all its numbers are even, for chroma's sake.
fn centre_crop(from: (u32, u32), to: (u32, u32)) -> Window {
    let even = |value: u64| (value as u32) & !1;
    let (from_width, from_height) = (u64::from(from.0), u64::from(from.1));
    let (to_width, to_height) = (u64::from(to.0.max(1)), u64::from(to.1.max(1)));
    let wide = from_width * to_height > from_height * to_width;
    let width = if wide { even(from_height * to_width / to_height) } else { from.0 & !1 }.max(2);
    let height = if wide { from.1 & !1 } else { even(from_width * to_height / to_width) }.max(2);
    Window {
        left: even(u64::from(from.0.saturating_sub(width)) / 2),
        top: even(u64::from(from.1.saturating_sub(height)) / 2),
        width,
        height,
    }
}

#[derive(Clone, Debug)]
enum PlaneScaler {
    /// Each target pixel is the mean of a block of whole pixels: the usual case, and by far the quickest.
    Blocks(BlockScaler),
    Weighted(WeightedScaler),
}

impl PlaneScaler {
    fn new(window: Window, to: (u32, u32)) -> Self {
        let (x, y) = (window.width / to.0, window.height / to.1);
        // Larger blocks would overflow the sums of a row.
        if (window.width, window.height) == (x * to.0, y * to.1) && x * y <= 128 {
            return Self::Blocks(BlockScaler { window, block: (x as usize, y as usize), sums: vec![0; to.0 as usize] });
        }
        Self::Weighted(WeightedScaler {
            window,
            columns: Weights::new(window.width as usize, to.0 as usize),
            rows: Weights::new(window.height as usize, to.1 as usize),
            sums: vec![0; window.width as usize],
            row: vec![0; window.width as usize],
        })
    }

    fn scale(&mut self, plane: &[u8], stride: usize) -> Vec<u8> {
        match self {
            Self::Blocks(scaler) => scaler.scale(plane, stride),
            Self::Weighted(scaler) => scaler.scale(plane, stride),
        }
    }
}

impl Window {
    /// One row of the window.
    fn row<'a>(&self, plane: &'a [u8], stride: usize, line: usize) -> &'a [u8] {
        let start = (self.top as usize + line) * stride + self.left as usize;
        &plane[start..start + self.width as usize]
    }
}

#[derive(Clone, Debug)]
struct BlockScaler {
    window: Window,
    /// How many pixels across and down make one.
    block: (usize, usize),
    /// One row of sums of blocks.
    sums: Vec<u16>,
}

impl BlockScaler {
    fn scale(&mut self, plane: &[u8], stride: usize) -> Vec<u8> {
        let (across, down) = self.block;
        let count = (across * down) as u16;
        let mut scaled = Vec::with_capacity(self.sums.len() * self.window.height as usize / down);
        for top in (0..self.window.height as usize).step_by(down) {
            self.sums.fill(count / 2);
            for line in top..top + down {
                add_blocks(&mut self.sums, self.window.row(plane, stride, line), across);
            }
            scaled.extend(self.sums.iter().map(|sum| (sum / count) as u8));
        }
        scaled
    }
}

fn add_blocks(sums: &mut [u16], row: &[u8], across: usize) {
    if across == 2 {
        // A camera's 1280x720 to 640x360: worth a loop that compilers turn into a few wide instructions.
        for (sum, pair) in sums.iter_mut().zip(row.chunks_exact(2)) {
            *sum += u16::from(pair[0]) + u16::from(pair[1]);
        }
        return;
    }
    for (sum, block) in sums.iter_mut().zip(row.chunks_exact(across)) {
        *sum += block.iter().map(|value| u16::from(*value)).sum::<u16>();
    }
}

#[derive(Clone, Debug)]
struct WeightedScaler {
    window: Window,
    columns: Weights,
    rows: Weights,
    /// A row of the window scaled in height, before and after its fraction is cut off.
    sums: Vec<u32>,
    row: Vec<u8>,
}

/// For each target pixel the first source pixel and the weights of those from there on; they add up to [`ONE`].
#[derive(Clone, Debug)]
struct Weights {
    starts: Vec<usize>,
    weights: Vec<u32>,
    taps: usize,
}

const SHIFT: u32 = 14;
const ONE: u32 = 1 << SHIFT;
const HALF: u32 = ONE / 2;

impl WeightedScaler {
    fn scale(&mut self, plane: &[u8], stride: usize) -> Vec<u8> {
        let (to_width, to_height) = (self.columns.starts.len(), self.rows.starts.len());
        let mut scaled = vec![0; to_width * to_height];
        for (line, target) in scaled.chunks_exact_mut(to_width).enumerate() {
            // Height first: whole rows are quick to add, and fewer are left to be scaled in width.
            self.sums.fill(HALF);
            for (tap, &weight) in self.rows.of(line).iter().enumerate().filter(|(_, weight)| **weight > 0) {
                let source = self.window.row(plane, stride, self.rows.starts[line] + tap);
                for (sum, &value) in self.sums.iter_mut().zip(source) {
                    *sum += weight * u32::from(value);
                }
            }
            for (value, sum) in self.row.iter_mut().zip(&self.sums) {
                *value = (sum >> SHIFT) as u8;
            }
            self.columns.narrow(&self.row, target);
        }
        scaled
    }
}

impl Weights {
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        // A triangle as wide as a target pixel when shrinking, as a source pixel when enlarging.
        let radius = scale.max(1.0);
        let taps = ((2.0 * radius).ceil() as usize + 1).min(from);
        let (mut starts, mut weights) = (Vec::with_capacity(to), Vec::with_capacity(to * taps));
        for target in 0..to {
            let centre = (target as f64 + 0.5) * scale - 0.5;
            let start = ((centre - radius).floor() + 1.0).clamp(0.0, (from - taps) as f64) as usize;
            let raw: Vec<f64> =
                (start..start + taps).map(|tap| (1.0 - (tap as f64 - centre).abs() / radius).max(0.0)).collect();
            let total: f64 = raw.iter().sum::<f64>().max(f64::EPSILON);
            let mut fixed: Vec<u32> =
                raw.iter().map(|weight| (weight / total * f64::from(ONE)).round() as u32).collect();
            // What rounding lost or won goes to the heaviest, so that white stays white.
            let sum: u32 = fixed.iter().sum();
            if let Some(heaviest) = fixed.iter_mut().max() {
                *heaviest = (*heaviest + ONE).saturating_sub(sum);
            }
            starts.push(start);
            weights.extend(fixed);
        }
        Self { starts, weights, taps }
    }

    fn of(&self, target: usize) -> &[u32] {
        &self.weights[target * self.taps..(target + 1) * self.taps]
    }

    fn narrow(&self, row: &[u8], target: &mut [u8]) {
        let weights = self.weights.chunks_exact(self.taps);
        for ((value, &start), weights) in target.iter_mut().zip(&self.starts).zip(weights) {
            let source = &row[start..start + self.taps];
            let sum: u32 = source.iter().zip(weights).map(|(&value, &weight)| u32::from(value) * weight).sum();
            *value = ((sum + HALF) >> SHIFT) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: u32, height: u32) -> I420 {
        let mut picture = I420::black(width, height);
        for (index, luma) in picture.y.iter_mut().enumerate() {
            *luma = (index % width as usize * 255 / (width as usize - 1)) as u8;
        }
        picture
    }

    #[test]
    fn the_middle_is_cut_out_in_the_right_shape() {
        let crop = |from, to| centre_crop(from, to);
        assert_eq!(crop((1280, 720), (640, 360)), Window { left: 0, top: 0, width: 1280, height: 720 });
        assert_eq!(crop((640, 480), (640, 360)), Window { left: 0, top: 60, width: 640, height: 360 });
        assert_eq!(crop((1920, 800), (640, 360)), Window { left: 248, top: 0, width: 1422, height: 800 });
        assert_eq!(crop((360, 640), (640, 360)), Window { left: 0, top: 218, width: 360, height: 202 });
    }

    #[test]
    fn even_surfaces_keep_their_value_at_any_size() {
        for (from, to) in [
            ((1280, 720), (640, 360)),
            ((640, 480), (640, 360)),
            ((320, 240), (640, 360)),
            ((1918, 1078), (320, 180)),
            ((2, 2), (640, 360)),
        ] {
            let mut picture = I420::black(from.0, from.1);
            picture.y.fill(235);
            picture.u.fill(77);
            let scaled = Scaler::new(from, to).scale(&picture).unwrap();
            assert!(scaled.holds(to.0, to.1));
            assert!(scaled.y.iter().all(|luma| *luma == 235), "{from:?} to {to:?}");
            assert!(scaled.u.iter().all(|chroma| *chroma == 77));
        }
    }

    #[test]
    fn a_gradient_stays_one() {
        for from in [(1280, 720), (320, 180), (960, 540), (1920, 1080), (1918, 1078)] {
            let scaled = Scaler::new(from, (640, 360)).scale(&gradient(from.0, from.1)).unwrap();
            let expected = gradient(640, 360);
            let worst = scaled.y.iter().zip(&expected.y).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 2, "{from:?}: off by {worst}");
        }
    }

    #[test]
    fn a_picture_shorter_than_it_says_is_refused() {
        let mut picture = I420::black(640, 480);
        picture.v.truncate(10);
        assert_eq!(Scaler::new((640, 480), (640, 360)).scale(&picture), None);
    }
}
