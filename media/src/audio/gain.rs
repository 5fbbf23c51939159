//! Gains without clicks, and the limiter after the mixer. Pure.

use super::{BLOCK, Block};

/// A gain that goes to its new value over one block.
#[derive(Clone, Debug)]
pub(crate) struct SmoothGain {
    current: f32,
}

impl SmoothGain {
    pub(crate) fn new(gain: f32) -> Self {
        Self { current: gain }
    }

    /// Where the last block ended.
    pub(crate) fn current(&self) -> f32 {
        self.current
    }

    /// Applies the gain to a block, gliding to `target` in its course.
    pub(crate) fn apply(&mut self, target: f32, block: &mut Block) {
        let step = (target - self.current) / BLOCK as f32;
        for (n, sample) in block.iter_mut().enumerate() {
            *sample *= self.current + step * (n + 1) as f32;
        }
        self.current = target;
    }
}

/// Keeps the sum of many voices within full scale: turns down at once, up again slowly, and bends what is left.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    gain: f32,
}

impl Limiter {
    /// Below this nothing is touched: -1 dBFS.
    const THRESHOLD: f32 = 0.89;
    /// 1.3 ms: short enough to catch a syllable, long enough not to click.
    const ATTACK_SAMPLES: usize = 64;
    /// Back from half to full loudness in half a second.
    const RELEASE_PER_BLOCK: f32 = 0.01;

    pub(crate) fn new() -> Self {
        Self { gain: 1.0 }
    }

    /// Limits a block; nothing in it is beyond ±1 afterwards, and what is not a number is silence.
    pub(crate) fn apply(&mut self, block: &mut Block) {
        for sample in block.iter_mut().filter(|sample| !sample.is_finite()) {
            *sample = 0.0;
        }
        let peak = block.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let wanted = if peak > Self::THRESHOLD { Self::THRESHOLD / peak } else { 1.0 };
        let (from, to) = (self.gain, wanted.min(self.gain + Self::RELEASE_PER_BLOCK));
        for (n, sample) in block.iter_mut().enumerate() {
            let way = ((n + 1) as f32 / Self::ATTACK_SAMPLES as f32).min(1.0);
            *sample = bend(*sample * (from + (to - from) * way), Self::THRESHOLD);
        }
        self.gain = to;
    }
}

/// Bends what is above the threshold so that it never reaches full scale.
fn bend(sample: f32, threshold: f32) -> f32 {
    let over = sample.abs() - threshold;
    if over <= 0.0 {
        return sample;
    }
    let room = 1.0 - threshold;
    (threshold + room * (over / room).tanh()).copysign(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn muting_glides_to_silence_within_one_block() {
        let mut gain = SmoothGain::new(1.0);
        let mut block = [0.5; BLOCK];
        gain.apply(0.0, &mut block);
        assert!(block.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.002));
        assert_eq!(block[BLOCK - 1], 0.0);
        let mut block = [0.5; BLOCK];
        gain.apply(0.0, &mut block);
        assert!(block.iter().all(|sample| *sample == 0.0));
    }

    #[test]
    fn what_is_soft_passes_the_limiter_untouched() {
        let mut block = [0.8; BLOCK];
        Limiter::new().apply(&mut block);
        assert_eq!(block, [0.8; BLOCK]);
    }

    #[test]
    fn eight_loud_voices_stay_within_full_scale_without_a_click() {
        let mut limiter = Limiter::new();
        let mut last = 0.0_f32;
        for round in 0..20 {
            let mut block = [0.0; BLOCK];
            for (n, sample) in block.iter_mut().enumerate() {
                *sample = 6.0 * ((round * BLOCK + n) as f32 * 0.01).sin();
            }
            limiter.apply(&mut block);
            for sample in block {
                assert!(sample.abs() <= 1.0);
                assert!((sample - last).abs() < 0.1, "step from {last} to {sample} in block {round}");
                last = sample;
            }
        }
    }

    #[test]
    fn the_limiter_lets_go_again() {
        let mut limiter = Limiter::new();
        limiter.apply(&mut [4.0; BLOCK]);
        for _ in 0..100 {
            limiter.apply(&mut [0.1; BLOCK]);
        }
        let mut block = [0.5; BLOCK];
        limiter.apply(&mut block);
        assert_eq!(block[BLOCK - 1], 0.5);
    }

    #[test]
    fn nonsense_becomes_silence() {
        let mut block = [f32::NAN; BLOCK];
        block[0] = f32::INFINITY;
        Limiter::new().apply(&mut block);
        assert!(block.iter().all(|sample| *sample == 0.0));
    }
}
