//! What the last second sounded like: its level and its strongest frequency.
//!
//! The second is always kept; it is only looked at when somebody asks.

use super::SAMPLE_RATE;
use super::level::{self, SILENCE_DBFS};

/// Samples kept: one second.
const LENGTH: usize = SAMPLE_RATE as usize;
/// The spectrum is taken of every fourth sample: tones up to 5 kHz, at a quarter of the work.
const DECIMATION: usize = 4;
/// Points of the transform: 0.68 s at 12 kHz, lines 1.46 Hz apart.
const POINTS: usize = 8192;

/// The last second of a sound.
#[derive(Debug)]
pub(crate) struct LastSecond {
    samples: Box<[f32]>,
    next: usize,
}

impl Default for LastSecond {
    fn default() -> Self {
        Self { samples: vec![0.0; LENGTH].into_boxed_slice(), next: 0 }
    }
}

impl LastSecond {
    /// Adds what was heard next.
    pub(crate) fn push(&mut self, block: &[f32]) {
        for sample in block {
            self.samples[self.next] = *sample;
            self.next = (self.next + 1) % LENGTH;
        }
    }

    /// The whole second, oldest first.
    pub(crate) fn snapshot(&self) -> Vec<f32> {
        let (newer, older) = self.samples.split_at(self.next);
        [older, newer].concat()
    }
}

/// The level of a snapshot in dBFS (see [`level::dbfs`]), and its strongest frequency where there is one to speak of.
pub(crate) fn describe(second: &[f32]) -> (f32, Option<f32>) {
    let dbfs = level::dbfs(second);
    let tone_hz = if dbfs > -70.0 { strongest_hz(second) } else { None };
    (dbfs.max(SILENCE_DBFS), tone_hz)
}

fn strongest_hz(second: &[f32]) -> Option<f32> {
    let decimated = decimate(second);
    let start = decimated.len().checked_sub(POINTS)?;
    let mut re: Vec<f32> = decimated[start..].iter().enumerate().map(|(n, sample)| sample * hann(n)).collect();
    let mut im = vec![0.0; POINTS];
    fft(&mut re, &mut im);
    let power: Vec<f32> = (0..POINTS / 2).map(|k| re[k] * re[k] + im[k] * im[k]).collect();
    // Below 20 Hz nothing is heard.
    let first = (20.0 / line_hz()).ceil() as usize;
    let peak = (first..power.len() - 1).max_by(|a, b| power[*a].total_cmp(&power[*b]))?;
    // A parabola through the logarithms of three lines finds the peak between them.
    let [left, middle, right] = [peak - 1, peak, peak + 1].map(|k| power[k].max(1e-30).ln());
    let bend = left - 2.0 * middle + right;
    let shift = if bend < 0.0 { (0.5 * (left - right) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    Some((peak as f32 + shift) * line_hz())
}

fn line_hz() -> f32 {
    SAMPLE_RATE as f32 / DECIMATION as f32 / POINTS as f32
}

fn hann(n: usize) -> f32 {
    let phase = std::f32::consts::TAU * n as f32 / POINTS as f32;
    0.5 - 0.5 * phase.cos()
}

/// Every fourth sample of the low-passed sound; the filter is two running means, enough to tell the strongest line.
fn decimate(samples: &[f32]) -> Vec<f32> {
    /// A triangle of this half width has its first zero at 48/6 = 8 kHz.
    const WIDTH: usize = 6;
    let window = 2 * WIDTH - 1;
    let weight = |n: usize| (WIDTH - n.abs_diff(WIDTH - 1)) as f32 / (WIDTH * WIDTH) as f32;
    let weights: Vec<f32> = (0..window).map(weight).collect();
    let filtered = |window: &[f32]| window.iter().zip(&weights).map(|(sample, weight)| sample * weight).sum();
    samples.windows(window).step_by(DECIMATION).map(filtered).collect()
}

/// The discrete Fourier transform in place (Cooley and Tukey, radix 2); both halves have [`POINTS`] entries.
fn fft(re: &mut [f32], im: &mut [f32]) {
    let n = re.len();
    let bits = n.trailing_zeros();
    for i in 0..n {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            re.swap(i, j);
            im.swap(i, j);
        }
    }
    let mut size = 2;
    while size <= n {
        let half = size / 2;
        for k in 0..half {
            let angle = -std::f64::consts::TAU * k as f64 / size as f64;
            let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
            for start in (0..n).step_by(size) {
                let (a, b) = (start + k, start + k + half);
                let (turned_re, turned_im) = (re[b] * cos - im[b] * sin, re[b] * sin + im[b] * cos);
                (re[b], im[b]) = (re[a] - turned_re, im[a] - turned_im);
                re[a] += turned_re;
                im[a] += turned_im;
            }
        }
        size *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second_of(hz: f32, amplitude: f32) -> LastSecond {
        let mut second = LastSecond::default();
        let block: Vec<f32> =
            (0..LENGTH + 777).map(|n| amplitude * (std::f32::consts::TAU * hz * n as f32 / 48_000.0).sin()).collect();
        block.chunks(480).for_each(|block| second.push(block));
        second
    }

    #[test]
    fn a_tone_is_found_within_half_a_hertz() {
        for hz in [100.0, 261.6, 440.0, 997.3, 3000.0] {
            let (dbfs, tone_hz) = describe(&second_of(hz, 0.25).snapshot());
            assert!((tone_hz.unwrap() - hz).abs() < 0.5, "{hz} Hz measured as {tone_hz:?}");
            assert!((dbfs + 15.05).abs() < 0.1, "{dbfs}");
        }
    }

    #[test]
    fn silence_has_no_frequency() {
        assert_eq!(describe(&LastSecond::default().snapshot()), (SILENCE_DBFS, None));
    }

    #[test]
    fn only_the_last_second_counts() {
        let mut second = second_of(440.0, 0.25);
        second.push(&vec![0.0; LENGTH]);
        assert_eq!(describe(&second.snapshot()).1, None);
    }
}
