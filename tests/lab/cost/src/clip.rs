//! The picture that everything here encodes: textured, moving, and the same for the call and for the codecs alone.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use parlor_media::I420;

/// The size that a call sends.
pub const WIDTH: u32 = 640;
/// See [`WIDTH`].
pub const HEIGHT: u32 = 360;
/// Two seconds, played in a loop.
const FRAMES: usize = 60;

/// Some pictures.
pub struct Clip {
    frames: Vec<Arc<I420>>,
}

impl Clip {
    /// The clip of a seed.
    pub fn new(seed: u64) -> Self {
        let texture = texture(seed as u32);
        Self { frames: (0..FRAMES).map(|number| Arc::new(picture(&texture, number))).collect() }
    }

    /// The picture of this number, over and over.
    pub fn frame(&self, number: usize) -> &Arc<I420> {
        &self.frames[number % self.frames.len()]
    }

    /// As Y4M, for a camera that is a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "YUV4MPEG2 W{WIDTH} H{HEIGHT} F30:1 Ip A1:1 C420jpeg")?;
        for frame in &self.frames {
            file.write_all(b"FRAME\n")?;
            for plane in [&frame.y, &frame.u, &frame.v] {
                file.write_all(plane)?;
            }
        }
        file.flush()
    }
}

/// Smoothed noise: hard for a codec, but not hopeless.
fn texture(seed: u32) -> Vec<u8> {
    let (width, height) = (WIDTH as usize, HEIGHT as usize);
    let mut state = seed.max(1);
    let noise: Vec<u32> = (0..width * height)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        })
        .collect();
    let at = |x: usize, y: usize| noise[y % height * width + x % width];
    let smooth = |x: usize, y: usize| {
        let sum: u32 =
            (0..3).flat_map(|down| (0..3).map(move |across| (across, down))).map(|(a, d)| at(x + a, y + d)).sum();
        (56 + sum * 140 / (255 * 9)) as u8
    };
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| smooth(x, y)).collect()
}

/// A person's worth of movement before a background that stands still.
fn picture(texture: &[u8], number: usize) -> I420 {
    let (width, height) = (WIDTH as usize, HEIGHT as usize);
    let mut picture = I420::black(WIDTH, HEIGHT);
    for y in 0..height {
        for x in 0..width {
            let moves = y > height / 4 && x > width / 4 && x < width * 3 / 4;
            let (from_x, from_y) = if moves { ((x + number * 3) % width, (y + number) % height) } else { (x, y) };
            let value = texture[from_y * width + from_x];
            picture.y[y * width + x] = if moves { value } else { value / 2 };
        }
    }
    picture
}
