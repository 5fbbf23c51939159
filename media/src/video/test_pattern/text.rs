//! A name in blocky letters, as high-contrast as a subtitle.

use font8x8::{BASIC_FONTS, GREEK_FONTS, LATIN_FONTS, UnicodeFonts};

/// Side of a glyph in the font.
const GLYPH: usize = 8;
/// As many letters as are readable.
const MAX_LETTERS: usize = 20;
const INK: u8 = 230;
const SHADE: u8 = 30;

/// A line of text, laid out for one size of picture.
#[derive(Clone, Debug)]
pub(super) struct Label {
    glyphs: Vec<[u8; GLYPH]>,
    /// Pixels for one dot of the font.
    scale: usize,
    left: usize,
    top: usize,
}

impl Label {
    pub(super) fn new(text: &str, width: usize, height: usize) -> Self {
        let glyphs: Vec<_> = text.trim().chars().take(MAX_LETTERS).map(glyph).collect();
        let room = width * 8 / 10 / (GLYPH * glyphs.len().max(1));
        let scale = room.min(height / 8 / GLYPH);
        let left = width.saturating_sub(glyphs.len() * GLYPH * scale) / 2;
        // A little below the middle, where a ball seldom is.
        let top = (height * 2 / 3).saturating_sub(GLYPH * scale / 2);
        Self { glyphs, scale, left, top }
    }

    /// Paints the text into a plane whose rows are `width` long.
    pub(super) fn paint(&self, luma: &mut [u8], width: usize) {
        let offset = self.scale.div_ceil(3);
        self.paint_shifted(luma, width, offset, SHADE);
        self.paint_shifted(luma, width, 0, INK);
    }

    fn paint_shifted(&self, luma: &mut [u8], width: usize, shift: usize, value: u8) {
        for (index, glyph) in self.glyphs.iter().enumerate() {
            let left = self.left + shift + index * GLYPH * self.scale;
            for (row, bits) in glyph.iter().enumerate() {
                let top = self.top + shift + row * self.scale;
                for column in (0..GLYPH).filter(|column| bits >> column & 1 == 1) {
                    let from = left + column * self.scale;
                    for line in top..top + self.scale {
                        let (from, to) = (from.min(width), (from + self.scale).min(width));
                        if let Some(dots) = luma.get_mut(line * width + from..line * width + to) {
                            dots.fill(value);
                        }
                    }
                }
            }
        }
    }
}

/// The glyph of a character; for one that the font lacks, a frame.
fn glyph(letter: char) -> [u8; GLYPH] {
    const FRAME: [u8; GLYPH] = [0x7f, 0x41, 0x41, 0x41, 0x41, 0x41, 0x7f, 0x00];
    BASIC_FONTS.get(letter).or_else(|| LATIN_FONTS.get(letter)).or_else(|| GREEK_FONTS.get(letter)).unwrap_or(FRAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_painted_and_unknown_ones_framed() {
        let mut luma = vec![100; 640 * 360];
        Label::new("Ada 日", 640, 360).paint(&mut luma, 640);
        assert!(luma.contains(&INK) && luma.contains(&SHADE));
        assert_eq!(glyph('日'), glyph('語'));
        assert_ne!(glyph('é'), glyph('日'));
    }
}
