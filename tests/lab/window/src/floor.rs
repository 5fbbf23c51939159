//! What a picture costs at the least that is shown without a shader: converted once, and copied once to where it is drawn from.

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use parlor_lab_cost::clip::{Clip, HEIGHT, WIDTH};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgba};

const PICTURES: u32 = 300;

/// Processor time of one picture.
pub(crate) fn cost(seed: u64) -> anyhow::Result<Duration> {
    let clip = Clip::new(seed);
    let row = WIDTH * 4;
    let mut rgba = vec![0; (row * HEIGHT) as usize];
    let mut card = rgba.clone();
    let start = ThreadTime::now();
    for number in 0..PICTURES {
        let planes = clip.frame(number as usize);
        let image = YuvPlanarImage {
            y_plane: &planes.y,
            y_stride: planes.y_stride as u32,
            u_plane: &planes.u,
            u_stride: planes.uv_stride as u32,
            v_plane: &planes.v,
            v_stride: planes.uv_stride as u32,
            width: WIDTH,
            height: HEIGHT,
        };
        yuv420_to_rgba(&image, &mut rgba, row, YuvRange::Limited, YuvStandardMatrix::Bt601)?;
        card.copy_from_slice(black_box(&rgba));
        black_box(&mut card);
    }
    Ok(start.elapsed() / PICTURES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_takes_at_least_as_long_as_its_bytes_take_to_move() {
        let cost = cost(1).unwrap_or_default();
        assert!(cost > Duration::from_micros(20) && cost < Duration::from_millis(50), "{cost:?}");
    }
}
