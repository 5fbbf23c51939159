//! The barcode along the top of the test pattern: the Unix time at which the picture was taken.
//!
//! The format is specified in `tests/BARCODE.md`, so that a browser page can read it from a canvas too.

use crate::frame::I420;

/// Cells in a row: four guard cells, 32 bits, four guard cells.
const COLUMNS: usize = 40;
/// Rows of cells.
const ROWS: usize = 2;
/// Guard cells at either end.
const GUARDS: usize = 4;
/// Bits of time, then bits of checksum.
const TIME_BITS: u32 = 48;
/// Luma of a cell that stands for 1 and for 0: white and black in limited range.
const WHITE: u8 = 235;
const BLACK: u8 = 16;
/// Guard cells must differ by at least this much for the picture to have a barcode at all.
const MIN_CONTRAST: u32 = 60;
/// Below this width a cell is only a few pixels and not to be trusted.
pub const MIN_WIDTH: usize = 160;

/// The height of the barcode in a picture of this width, in pixels.
pub fn height(width: usize) -> usize {
    ROWS * width / COLUMNS
}

/// Draws the time, in units of 0.1 ms since the Unix epoch, into the luma plane of a picture.
///
/// Nothing is drawn where the plane is too small to hold it.
pub fn draw(y: &mut [u8], stride: usize, width: usize, height: usize, unix_tenth_ms: u64) {
    if !fits(y.len(), stride, width, height) {
        return;
    }
    let code = encode(unix_tenth_ms);
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let luma = if cell(code, row, column) { WHITE } else { BLACK };
            let (left, right) = (column * width / COLUMNS, (column + 1) * width / COLUMNS);
            for line in row * width / COLUMNS..(row + 1) * width / COLUMNS {
                y[line * stride + left..line * stride + right].fill(luma);
            }
        }
    }
}

/// Draws the time into a picture of this size: the barcode, colourless, so that a reader of red, green and blue sees the same.
///
/// Nothing is drawn into one that is too small to hold it.
pub fn stamp(picture: &mut I420, width: usize, height: usize, unix_tenth_ms: u64) {
    let rows = self::height(width).next_multiple_of(2);
    if rows > height {
        return;
    }
    draw(&mut picture.y, picture.y_stride, width, height, unix_tenth_ms);
    for plane in [&mut picture.u, &mut picture.v] {
        plane.iter_mut().take(rows / 2 * picture.uv_stride).for_each(|chroma| *chroma = 128);
    }
}

/// Reads the time from the luma plane of a picture; `None` when there is no barcode or its checksum is wrong.
pub fn read(y: &[u8], stride: usize, width: usize, height: usize) -> Option<u64> {
    if !fits(y.len(), stride, width, height) {
        return None;
    }
    let threshold = threshold(y, stride, width)?;
    let mut code = 0_u64;
    for row in 0..ROWS {
        for column in GUARDS..COLUMNS - GUARDS {
            code = code << 1 | u64::from(brightness(y, stride, width, row, column) > threshold);
        }
    }
    decode(code)
}

fn fits(len: usize, stride: usize, width: usize, picture_height: usize) -> bool {
    (MIN_WIDTH..=1 << 16).contains(&width)
        && stride >= width
        && height(width) <= picture_height
        && (height(width) - 1)
            .checked_mul(stride)
            .and_then(|start| start.checked_add(width))
            .is_some_and(|end| end <= len)
}

fn encode(unix_tenth_ms: u64) -> u64 {
    let time = unix_tenth_ms & ((1 << TIME_BITS) - 1);
    time << 16 | u64::from(checksum(time))
}

fn decode(code: u64) -> Option<u64> {
    let time = code >> 16;
    (checksum(time) == code as u16).then_some(time)
}

/// CRC-16/CCITT-FALSE over the six bytes of the time, the highest first.
fn checksum(time: u64) -> u16 {
    let bytes = time.to_be_bytes();
    bytes[2..].iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

/// Whether a cell is white: guards alternate, and do so inversely in the second row and at the right end.
fn cell(code: u64, row: usize, column: usize) -> bool {
    if !(GUARDS..COLUMNS - GUARDS).contains(&column) {
        return guard_is_white(row, column);
    }
    let bit = 63 - (row * (COLUMNS - 2 * GUARDS) + column - GUARDS);
    code >> bit & 1 == 1
}

fn guard_is_white(row: usize, column: usize) -> bool {
    let inverse = usize::from(column >= GUARDS);
    (row + column + inverse).is_multiple_of(2)
}

/// The brightness half-way between white and black guards; `None` when they are not told apart.
fn threshold(y: &[u8], stride: usize, width: usize) -> Option<u32> {
    let (mut darkest_white, mut brightest_black) = (u32::MAX, 0);
    for row in 0..ROWS {
        for column in (0..GUARDS).chain(COLUMNS - GUARDS..COLUMNS) {
            let value = brightness(y, stride, width, row, column);
            if guard_is_white(row, column) {
                darkest_white = darkest_white.min(value);
            } else {
                brightest_black = brightest_black.max(value);
            }
        }
    }
    (darkest_white >= brightest_black + MIN_CONTRAST).then_some((darkest_white + brightest_black) / 2)
}

/// The mean of the middle of a cell; its edges may be blurred by scaling and compression.
fn brightness(y: &[u8], stride: usize, width: usize, row: usize, column: usize) -> u32 {
    let middle = |index: usize| {
        let (from, to) = (index * width / COLUMNS, (index + 1) * width / COLUMNS);
        let margin = (to - from) / 4;
        from + margin..to - margin
    };
    let (mut sum, mut count) = (0, 0);
    for line in middle(row) {
        for x in middle(column) {
            sum += u32::from(y[line * stride + x]);
            count += 1;
        }
    }
    sum / count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 17_957_654_321_098;

    #[test]
    fn the_time_is_read_back_at_every_usual_size() {
        for (width, height) in
            [(160, 90), (176, 144), (320, 180), (426, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080)]
        {
            let stride = width + 13;
            let mut y = vec![90; stride * height];
            draw(&mut y, stride, width, height, TIME);
            assert_eq!(read(&y, stride, width, height), Some(TIME), "{width}x{height}");
        }
    }

    #[test]
    fn noise_and_low_contrast_are_survived() {
        let (width, height) = (640, 360);
        let mut y = vec![90; width * height];
        draw(&mut y, width, width, height, TIME);
        for (index, luma) in y.iter_mut().enumerate() {
            let noise = (index.wrapping_mul(2_654_435_761) >> 13) as u8 % 64;
            *luma = 60 + *luma / 3 + noise / 3;
        }
        assert_eq!(read(&y, width, width, height), Some(TIME));
    }

    #[test]
    fn a_wrong_bit_is_noticed() {
        for column in GUARDS..COLUMNS - GUARDS {
            let (width, height) = (640, 360);
            let mut y = vec![90; width * height];
            draw(&mut y, width, width, height, TIME);
            for line in 16..32 {
                for luma in &mut y[line * width + column * 16..line * width + (column + 1) * 16] {
                    *luma = 251 - *luma;
                }
            }
            assert_eq!(read(&y, width, width, height), None);
        }
    }

    #[test]
    fn a_picture_without_a_barcode_reads_as_none() {
        assert_eq!(read(&vec![16; 640 * 360], 640, 640, 360), None);
        let gradient: Vec<u8> = (0..640 * 360).map(|index| (index % 640 / 3) as u8).collect();
        assert_eq!(read(&gradient, 640, 640, 360), None);
    }

    #[test]
    fn sizes_that_hold_no_barcode_are_refused_not_panicked_over() {
        for (len, stride, width, height) in [
            (0, 0, 0, 0),
            (100, 640, 640, 360),
            (640 * 31, 640, 640, 31),
            (1 << 20, 10, 640, 360),
            (64, usize::MAX, 640, 360),
        ] {
            assert_eq!(read(&vec![0; len], stride, width, height), None);
            draw(&mut vec![0; len], stride, width, height, TIME);
        }
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // The check value of CRC-16/CCITT-FALSE is over the nine digits 1 to 9; ours takes six bytes.
        assert_eq!(checksum(u64::from_be_bytes(*b"\0\x00123456")), 0x2ef4);
        // The example of the specification.
        assert_eq!(encode(TIME), 0x1055_179b_57ca_0f9d);
    }
}
