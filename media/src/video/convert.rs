//! Brings a camera's pixels to I420, once.

use thiserror::Error;
use yuv::{
    BufferStoreMut, YuvBiPlanarImage, YuvConversionMode, YuvPackedImage, YuvPlanarImageMut, YuvRange,
    YuvStandardMatrix, bgr_to_yuv420, rgb_to_yuv420, yuyv422_to_yuv420,
};

use super::source::PixelFormat;
use crate::frame::I420;

/// The widest and highest picture that is taken from a camera.
const MAX_SIDE: u32 = 8192;

/// Why a camera's picture could not be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConvertError {
    /// The size is odd, none, or out of all proportion.
    #[error("a picture of {width}x{height}")]
    Size {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// Fewer bytes than the size says.
    #[error("a picture of {actual} bytes where {expected} were due")]
    Short {
        /// How many there are.
        actual: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A JPEG image was due.
    #[error("a broken JPEG image: {0}")]
    Jpeg(String),
    /// The library refused.
    #[error("{0}")]
    Library(String),
}

/// Converts one picture in `format` to I420, limited range; an odd size loses its last row or column.
///
/// # Errors
///
/// When there are fewer bytes than the size says. For MJPEG decode first, see [`crate::camera::nokhwa`].
pub fn to_i420(data: &[u8], width: u32, height: u32, format: PixelFormat) -> Result<(I420, u32, u32), ConvertError> {
    let (even_width, even_height) = (width & !1, height & !1);
    if even_width < 2 || even_height < 2 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(ConvertError::Size { width, height });
    }
    let (row, rows) = (width as usize, height as usize);
    let need = |expected: usize| {
        if data.len() >= expected { Ok(()) } else { Err(ConvertError::Short { actual: data.len(), expected }) }
    };
    let mut picture = I420::black(even_width, even_height);
    match format {
        PixelFormat::Yuyv => {
            // Two pixels are four bytes, an odd last pixel too.
            let stride = row.div_ceil(2) * 4;
            need(stride * rows)?;
            // The library wants exactly as many bytes as it takes.
            let yuy = &data[..stride * even_height as usize];
            let packed = YuvPackedImage { yuy, yuy_stride: stride as u32, width: even_width, height: even_height };
            yuyv422_to_yuv420(&mut planes_of(&mut picture, even_width, even_height), &packed).map_err(library)?;
        }
        PixelFormat::Nv12 => {
            let uv_stride = row.div_ceil(2) * 2;
            need(row * rows + uv_stride * rows.div_ceil(2))?;
            let image = YuvBiPlanarImage {
                y_plane: &data[..row * rows],
                y_stride: width,
                uv_plane: &data[row * rows..],
                uv_stride: uv_stride as u32,
                width: even_width,
                height: even_height,
            };
            split_nv12(&mut picture, &image);
        }
        PixelFormat::Rgb | PixelFormat::Bgr => {
            need(row * 3 * rows)?;
            let convert = if format == PixelFormat::Rgb { rgb_to_yuv420 } else { bgr_to_yuv420 };
            let mut planes = planes_of(&mut picture, even_width, even_height);
            let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
            let data = &data[..row * 3 * even_height as usize];
            convert(&mut planes, data, width * 3, range, matrix, YuvConversionMode::Balanced).map_err(library)?;
        }
        PixelFormat::Gray => {
            need(row * rows)?;
            for (target, source) in picture.y.chunks_exact_mut(even_width as usize).zip(data.chunks_exact(row)) {
                target.copy_from_slice(&source[..even_width as usize]);
            }
        }
        PixelFormat::Mjpeg => return Err(ConvertError::Jpeg("it was not decoded".to_owned())),
    }
    Ok((picture, even_width, even_height))
}

fn planes_of(picture: &mut I420, width: u32, height: u32) -> YuvPlanarImageMut<'_, u8> {
    YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut picture.y),
        y_stride: picture.y_stride as u32,
        u_plane: BufferStoreMut::Borrowed(&mut picture.u),
        u_stride: picture.uv_stride as u32,
        v_plane: BufferStoreMut::Borrowed(&mut picture.v),
        v_stride: picture.uv_stride as u32,
        width,
        height,
    }
}

/// Only moves bytes; the library has no function for it.
fn split_nv12(picture: &mut I420, image: &YuvBiPlanarImage<'_, u8>) {
    let width = image.width as usize;
    let rows = picture.y.chunks_exact_mut(width).zip(image.y_plane.chunks_exact(image.y_stride as usize));
    for (target, source) in rows {
        target.copy_from_slice(&source[..width]);
    }
    let chroma = picture.u.chunks_exact_mut(width / 2).zip(picture.v.chunks_exact_mut(width / 2));
    for ((u, v), source) in chroma.zip(image.uv_plane.chunks(image.uv_stride as usize)) {
        for ((u, v), pair) in u.iter_mut().zip(v).zip(source.chunks_exact(2)) {
            *u = pair[0];
            *v = pair[1];
        }
    }
}

fn library(error: yuv::YuvError) -> ConvertError {
    ConvertError::Library(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_format_gives_the_same_colour() {
        // A strong orange: Y 130, Cb 72, Cr 183 in BT.601, limited range.
        let (width, height) = (64_usize, 48_usize);
        let pixels = width * height;
        let rgb: Vec<u8> = [220, 110, 20].repeat(pixels);
        let bgr: Vec<u8> = [20, 110, 220].repeat(pixels);
        let yuyv: Vec<u8> = [130, 72, 130, 183].repeat(pixels / 2);
        let nv12: Vec<u8> = [vec![130; pixels], [72, 183].repeat(pixels / 4)].concat();
        let near = |plane: &[u8], expected: u8| plane.iter().all(|value| value.abs_diff(expected) <= 3);
        for (data, format) in
            [(rgb, PixelFormat::Rgb), (bgr, PixelFormat::Bgr), (yuyv, PixelFormat::Yuyv), (nv12, PixelFormat::Nv12)]
        {
            let (picture, ..) = to_i420(&data, width as u32, height as u32, format).unwrap();
            let sample = (picture.y[70], picture.u[70], picture.v[70]);
            assert!(near(&picture.y, 130) && near(&picture.u, 72) && near(&picture.v, 183), "{format}: {sample:?}");
        }
    }

    #[test]
    fn an_odd_size_loses_a_row_and_a_column() {
        let formats = [
            (PixelFormat::Yuyv, 64 * 4 * 49),
            (PixelFormat::Nv12, 127 * 49 + 128 * 25),
            (PixelFormat::Rgb, 127 * 3 * 49),
            (PixelFormat::Gray, 127 * 49),
        ];
        for (format, len) in formats {
            let (picture, width, height) = to_i420(&vec![100; len], 127, 49, format).unwrap();
            assert_eq!((width, height), (126, 48));
            assert!(picture.holds(126, 48));
            assert!(matches!(to_i420(&vec![100; len - 1], 127, 49, format), Err(ConvertError::Short { .. })));
        }
    }

    #[test]
    fn sizes_out_of_all_proportion_are_refused() {
        for (width, height) in [(0, 0), (1, 480), (640, 1), (u32::MAX, 2), (9000, 9000)] {
            assert!(matches!(to_i420(&[], width, height, PixelFormat::Yuyv), Err(ConvertError::Size { .. })));
        }
    }
}
