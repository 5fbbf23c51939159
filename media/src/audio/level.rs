//! How loud a piece of sound is, and whether it is somebody speaking. Pure.

/// What silence measures; also the lowest level that RFC 6464 knows.
pub const SILENCE_DBFS: f32 = -127.0;

/// The root mean square level in dB, 0 for a full-scale square wave (so a full-scale sine measures -3.01).
pub fn dbfs(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return SILENCE_DBFS;
    }
    let energy: f64 = samples.iter().map(|sample| f64::from(*sample) * f64::from(*sample)).sum();
    let mean = energy / samples.len() as f64;
    // NaN fails the comparison and counts as silence.
    if mean > 1e-13 { (10.0 * mean.log10()).clamp(f64::from(SILENCE_DBFS), 0.0) as f32 } else { SILENCE_DBFS }
}

/// The level in -dBov, 0 as loud as can be, 127 silence (RFC 6464 §3).
pub fn level_dbov(samples: &[f32]) -> u8 {
    // The range of dbfs() fits.
    (-dbfs(samples)).round().clamp(0.0, 127.0) as u8
}

/// A level meter's needle, 0 to 1: up at once, down slowly enough to be read.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    needle: f32,
}

impl Meter {
    /// The lowest level that moves the needle.
    const BOTTOM_DBFS: f32 = -60.0;
    /// Full scale falls to nothing in half a second of blocks.
    const FALL_PER_BLOCK: f32 = 0.02;

    /// Takes the level of the next 10 ms; gives where the needle is.
    pub fn update(&mut self, level_dbfs: f32) -> f32 {
        let level = (1.0 - level_dbfs / Self::BOTTOM_DBFS).clamp(0.0, 1.0);
        self.needle = level.max(self.needle - Self::FALL_PER_BLOCK);
        self.needle
    }
}

/// Tells speech from background by its level, 10 ms at a time: above the noise floor to begin, with a hang-over to end.
#[derive(Clone, Debug)]
pub struct VoiceDetector {
    floor_dbfs: f32,
    loud_blocks: u32,
    hang_blocks: u32,
}

impl Default for VoiceDetector {
    fn default() -> Self {
        Self { floor_dbfs: -60.0, loud_blocks: 0, hang_blocks: 0 }
    }
}

impl VoiceDetector {
    /// Speech stands out of the background by at least this.
    const ABOVE_FLOOR_DB: f32 = 10.0;
    /// Nothing softer is speech, however quiet the room.
    const SOFTEST_DBFS: f32 = -50.0;
    /// No background is taken to be louder than this, so that nobody can shout themselves into silence.
    const LOUDEST_FLOOR_DBFS: f32 = -40.0;
    /// A click is shorter than this many blocks, a syllable longer.
    const ATTACK_BLOCKS: u32 = 3;
    /// Pauses between words stay below 300 ms.
    const HANG_BLOCKS: u32 = 30;
    /// The floor follows a louder background by 1 dB a second, so that a sentence does not raise it.
    const RISE_DB_PER_BLOCK: f32 = 0.01;

    /// Takes the level of the next 10 ms; tells whether somebody speaks.
    pub fn update(&mut self, level_dbfs: f32) -> bool {
        if level_dbfs < self.floor_dbfs {
            self.floor_dbfs += (level_dbfs.max(-90.0) - self.floor_dbfs) * 0.1;
        } else {
            self.floor_dbfs = (self.floor_dbfs + Self::RISE_DB_PER_BLOCK).min(Self::LOUDEST_FLOOR_DBFS);
        }
        let threshold = (self.floor_dbfs + Self::ABOVE_FLOOR_DB).max(Self::SOFTEST_DBFS);
        if level_dbfs > threshold {
            self.loud_blocks += 1;
            if self.loud_blocks >= Self::ATTACK_BLOCKS {
                self.loud_blocks = Self::ATTACK_BLOCKS;
                self.hang_blocks = Self::HANG_BLOCKS;
            }
        } else {
            self.loud_blocks = 0;
            self.hang_blocks = self.hang_blocks.saturating_sub(1);
        }
        self.hang_blocks > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32) -> Vec<f32> {
        (0..4800).map(|n| amplitude * (n as f32 * 0.1 * std::f32::consts::PI).sin()).collect()
    }

    #[test]
    fn a_full_scale_sine_measures_three_db_below_full_scale() {
        assert!((dbfs(&sine(1.0)) + 3.01).abs() < 0.01);
        assert!((dbfs(&sine(0.1)) + 23.01).abs() < 0.01);
        assert_eq!(level_dbov(&sine(0.1)), 23);
    }

    #[test]
    fn silence_nothing_and_nonsense_measure_as_silence() {
        assert_eq!(dbfs(&[0.0; 480]), SILENCE_DBFS);
        assert_eq!(dbfs(&[]), SILENCE_DBFS);
        assert_eq!(dbfs(&[f32::NAN; 10]), SILENCE_DBFS);
        assert_eq!(level_dbov(&[0.0; 480]), 127);
        assert_eq!(level_dbov(&[1e9; 480]), 0);
    }

    #[test]
    fn the_needle_jumps_up_and_falls_slowly() {
        let mut meter = Meter::default();
        assert_eq!(meter.update(0.0), 1.0);
        assert!(meter.update(SILENCE_DBFS) > 0.9);
        for _ in 0..60 {
            meter.update(SILENCE_DBFS);
        }
        assert_eq!(meter.update(SILENCE_DBFS), 0.0);
        assert!((meter.update(-30.0) - 0.5).abs() < 0.01);
    }

    #[test]
    fn a_click_is_not_speech_and_a_syllable_is() {
        let mut voice = VoiceDetector::default();
        assert!(!voice.update(-20.0));
        assert!(!voice.update(-20.0));
        for _ in 0..50 {
            assert!(!voice.update(-70.0));
        }
        let heard = (0..10).filter(|_| voice.update(-25.0)).count();
        assert_eq!(heard, 8);
    }

    #[test]
    fn a_pause_between_words_is_still_speaking_and_a_long_one_is_not() {
        let mut voice = VoiceDetector::default();
        for _ in 0..20 {
            voice.update(-25.0);
        }
        assert!((0..20).all(|_| voice.update(-70.0)));
        assert!((0..20).filter(|_| voice.update(-70.0)).count() < 15);
    }

    #[test]
    fn a_steady_background_stops_being_speech() {
        let mut voice = VoiceDetector::default();
        let last = (0..3000).map(|_| voice.update(-45.0)).last();
        assert_eq!(last, Some(false));
        // Somebody speaking over it is heard.
        assert!((0..5).any(|_| voice.update(-20.0)));
    }

    #[test]
    fn a_steady_loud_sound_stays_heard() {
        let mut voice = VoiceDetector::default();
        let last = (0..60_000).map(|_| voice.update(-15.0)).last();
        assert_eq!(last, Some(true));
    }
}
