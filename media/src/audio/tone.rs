//! Sounds made here: the steady tone of [`AudioSource::Tone`](super::AudioSource::Tone) and the test sound.

use std::f32::consts::TAU;

use super::{Block, SAMPLE_RATE};

/// Loudness of the steady tone: -12 dB at its peaks, loud enough to measure and soft enough to listen to.
const TONE_AMPLITUDE: f32 = 0.25;

/// A sine that goes on without a step from block to block.
#[derive(Clone, Debug)]
pub(crate) struct Tone {
    /// Turns, 0 to 1.
    phase: f64,
    step: f64,
}

impl Tone {
    pub(crate) fn new(frequency_hz: f32) -> Self {
        let hz = if frequency_hz.is_finite() { frequency_hz.clamp(1.0, 20_000.0) } else { 440.0 };
        Self { phase: 0.0, step: f64::from(hz) / f64::from(SAMPLE_RATE) }
    }

    pub(crate) fn fill(&mut self, block: &mut Block) {
        for sample in block {
            *sample = TONE_AMPLITUDE * (TAU * self.phase as f32).sin();
            self.phase = (self.phase + self.step).fract();
        }
    }
}

/// Two soft notes, a fifth apart, to find out whether the speaker works.
#[derive(Clone, Debug)]
pub(crate) struct TestSound {
    position: usize,
}

impl TestSound {
    /// Frequency in Hz and start in seconds of each note: C5 and G5.
    const NOTES: [(f32, f32); 2] = [(523.25, 0.0), (783.99, 0.25)];
    /// Each note has faded to -60 dB after this.
    const NOTE_SECS: f32 = 0.9;

    pub(crate) fn new() -> Self {
        Self { position: 0 }
    }

    /// Adds the next 10 ms to `block`; false when the sound is over.
    pub(crate) fn add_to(&mut self, block: &mut Block) -> bool {
        for sample in block {
            let at = self.position as f32 / SAMPLE_RATE as f32;
            *sample += Self::NOTES.iter().map(|(hz, start)| Self::note(*hz, at - start)).sum::<f32>();
            self.position += 1;
        }
        self.position as f32 / (SAMPLE_RATE as f32) < Self::NOTES[1].1 + Self::NOTE_SECS
    }

    /// A struck note: 5 ms to swell, then an exponential decay, with a soft octave in it.
    fn note(hz: f32, at: f32) -> f32 {
        if !(0.0..Self::NOTE_SECS).contains(&at) {
            return 0.0;
        }
        let swell = (at / 0.005).min(1.0);
        let decay = (-at * 7.7).exp();
        let wave = (TAU * hz * at).sin() + 0.25 * (TAU * 2.0 * hz * at).sin();
        0.2 * swell * decay * wave
    }
}

#[cfg(test)]
mod tests {
    use super::super::BLOCK;
    use super::*;

    #[test]
    fn the_tone_has_no_step_between_blocks() {
        let mut tone = Tone::new(997.0);
        let mut last = 0.0;
        for _ in 0..200 {
            let mut block = [0.0; BLOCK];
            tone.fill(&mut block);
            for sample in block {
                assert!((sample - last).abs() < 0.035, "step from {last} to {sample}");
                last = sample;
            }
        }
    }

    #[test]
    fn the_test_sound_starts_softly_ends_and_never_clips() {
        let mut sound = TestSound::new();
        let (mut blocks, mut peak) = (0, 0.0_f32);
        loop {
            let mut block = [0.0; BLOCK];
            let goes_on = sound.add_to(&mut block);
            if blocks == 0 {
                assert!(block[0].abs() < 0.001);
            }
            peak = block.iter().fold(peak, |peak, sample| peak.max(sample.abs()));
            blocks += 1;
            if !goes_on {
                break;
            }
        }
        assert!((100..130).contains(&blocks), "{blocks}");
        assert!((0.15..0.5).contains(&peak), "{peak}");
    }
}
