//! Other sampling rates to and from 48 kHz, mono, as a stream.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Resampler as _, SincInterpolationParameters, WindowFunction};

/// 64 taps: 0.7 ms of delay at 48 kHz, flat to 18 kHz; speech needs no more.
const TAPS: usize = 64;

/// Resamples a stream; where both rates are the same it passes the samples on untouched.
pub(crate) struct Resampler {
    /// `None` where there is nothing to do.
    inner: Option<Box<Async<f32>>>,
    waiting: Vec<f32>,
}

impl Resampler {
    /// From `from` to `to` samples a second; both must be within 4 and 384 kHz.
    ///
    /// # Errors
    ///
    /// A sentence, where the rates are beyond that.
    pub(crate) fn new(from: u32, to: u32) -> Result<Self, String> {
        if from == to {
            return Ok(Self { inner: None, waiting: Vec::new() });
        }
        if [from, to].iter().any(|rate| !(4_000..=384_000).contains(rate)) {
            return Err(format!("{from} samples a second is more or less than can be used."));
        }
        let parameters = SincInterpolationParameters::new(TAPS, WindowFunction::BlackmanHarris2);
        let ratio = f64::from(to) / f64::from(from);
        let chunk = from as usize / 100;
        let inner = Async::new_sinc(ratio, 1.0, &parameters, chunk, 1, FixedAsync::Input);
        let inner = inner.map_err(|error| error.to_string())?;
        Ok(Self { inner: Some(Box::new(inner)), waiting: Vec::new() })
    }

    /// Takes more of the stream and adds what comes of it to `out`; less than 10 ms may be held back.
    pub(crate) fn process(&mut self, input: &[f32], out: &mut Vec<f32>) {
        let Some(inner) = &mut self.inner else {
            out.extend_from_slice(input);
            return;
        };
        self.waiting.extend_from_slice(input);
        let mut used = 0;
        loop {
            let chunk = inner.input_frames_next();
            let Some(part) = self.waiting.get(used..used + chunk) else { break };
            used += chunk;
            let resampled = InterleavedSlice::new(part, 1, chunk).ok().and_then(|part| inner.process(&part, None).ok());
            if let Some(resampled) = resampled {
                out.extend_from_slice(&resampled.take_data());
            }
        }
        self.waiting.drain(..used);
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("active", &self.inner.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::analysis;
    use super::*;

    #[test]
    fn a_tone_keeps_its_pitch_and_loudness_from_any_rate() {
        for rate in [8_000, 11_025, 16_000, 44_100, 48_000, 96_000, 44_099] {
            let mut resampler = Resampler::new(rate, 48_000).unwrap();
            let mut out = Vec::new();
            let sine: Vec<f32> = (0..rate * 3 / 2)
                .map(|n| 0.5 * (std::f32::consts::TAU * 997.0 * n as f32 / rate as f32).sin())
                .collect();
            sine.chunks(333).for_each(|part| resampler.process(part, &mut out));
            assert!((out.len() as i64 - 72_000).abs() < 1500, "{rate}: {}", out.len());
            let (dbfs, hz) = analysis::describe(&out[out.len() - 48_000..]);
            assert!((hz.unwrap() - 997.0).abs() < 0.5, "{rate}: {hz:?}");
            assert!((dbfs + 9.03).abs() < 0.2, "{rate}: {dbfs}");
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        assert!(Resampler::new(0, 48_000).is_err());
        assert!(Resampler::new(u32::MAX, 48_000).is_err());
    }
}
