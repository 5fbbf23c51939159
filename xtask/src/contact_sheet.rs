//! Several pictures on one sheet.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

const COLUMNS: usize = 2;
const CELL: (usize, usize) = (480, 270);
const GAP: usize = 12;
/// The window's own background.
const BACKGROUND: [u8; 3] = [0x0f, 0x11, 0x15];

struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// Writes the pictures, scaled down, side by side into one PNG; returns its path.
pub(crate) fn write(pictures: &[PathBuf], to: &Path) -> anyhow::Result<PathBuf> {
    if pictures.is_empty() {
        bail!("no peer saved a picture of another");
    }
    let rows = pictures.len().div_ceil(COLUMNS);
    let width = COLUMNS * CELL.0 + (COLUMNS + 1) * GAP;
    let height = rows * CELL.1 + (rows + 1) * GAP;
    let mut sheet: Vec<u8> = BACKGROUND.iter().copied().cycle().take(width * height * 3).collect();
    for (index, path) in pictures.iter().enumerate() {
        let picture = read(path).with_context(|| format!("{} can't be read", path.display()))?;
        let left = GAP + index % COLUMNS * (CELL.0 + GAP);
        let top = GAP + index / COLUMNS * (CELL.1 + GAP);
        for y in 0..CELL.1 {
            for x in 0..CELL.0 {
                let from = (y * picture.height / CELL.1 * picture.width + x * picture.width / CELL.0) * 3;
                let into = ((top + y) * width + left + x) * 3;
                sheet[into..into + 3].copy_from_slice(&picture.rgb[from..from + 3]);
            }
        }
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut encoder =
        png::Encoder::new(BufWriter::new(File::create(to)?), u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&sheet)?;
    Ok(to.to_owned())
}

fn read(path: &Path) -> anyhow::Result<Picture> {
    let mut decoder = png::Decoder::new(BufReader::new(File::open(path)?));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info()?;
    let mut bytes = vec![0; reader.output_buffer_size().context("too large")?];
    let info = reader.next_frame(&mut bytes)?;
    let channels = match info.color_type {
        png::ColorType::Rgb => 3,
        png::ColorType::Rgba => 4,
        other => bail!("unexpected colours: {other:?}"),
    };
    let rgb = bytes.chunks_exact(channels).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    Ok(Picture { width: usize::try_from(info.width)?, height: usize::try_from(info.height)?, rgb })
}
