//! Makes sound a little shorter or longer without changing its pitch: one period is taken out or played twice,
//! blended over its length. Pure.

/// The shortest period looked for: 400 Hz.
const MIN_LAG: usize = 120;
/// The longest: 100 Hz. Two of them fit into the 20 ms of a packet; of a shorter piece half is the longest.
const MAX_LAG: usize = 480;
/// A period that is so much longer than wished still lengthens: a little too much delay harms less than too little.
const TOO_LONG: usize = 240;
/// Below this likeness the seam would be heard.
const ALIKE: f32 = 0.6;
/// Below -55 dBFS no seam is heard.
const SOFT_ENERGY: f32 = 3e-6;

/// Takes one period out of the beginning of `sound`, at most `by` samples, and just these where it is silent; false where it has none
/// or is too short.
pub(crate) fn shorten(sound: &mut Vec<f32>, by: usize) -> bool {
    let Some(lag) = find_period(sound, by, by) else { return false };
    for n in 0..lag {
        let way = n as f32 / lag as f32;
        sound[n] = sound[n] * (1.0 - way) + sound[n + lag] * way;
    }
    sound.drain(lag..2 * lag);
    true
}

/// Plays one period at the beginning of `sound` twice, not much more than `by` samples, and just these where it is silent; false where
/// it has none or is too short.
pub(crate) fn lengthen(sound: &mut Vec<f32>, by: usize) -> bool {
    let Some(lag) = find_period(sound, by, by.saturating_add(TOO_LONG)) else { return false };
    let blend = |n: usize| {
        let way = n as f32 / lag as f32;
        sound[n + lag] * (1.0 - way) + sound[n] * way
    };
    let again: Vec<f32> = (0..lag).map(blend).collect();
    sound.splice(lag..lag, again);
    true
}

/// The lag up to `longest` at which the sound is most like itself, if it is enough so; the wished one where it is too soft for it to
/// matter.
fn find_period(sound: &[f32], wished: usize, longest: usize) -> Option<usize> {
    let longest = MAX_LAG.min(longest).min(sound.len() / 2);
    if longest < MIN_LAG {
        return None;
    }
    let energy = |part: &[f32]| part.iter().map(|sample| sample * sample).sum::<f32>();
    if energy(&sound[..2 * longest]) / ((2 * longest) as f32) < SOFT_ENERGY {
        return Some(wished.min(longest));
    }
    // Coarsely on every second sample, then finely around the best: a third of the work.
    let coarse = (MIN_LAG..=longest).step_by(2).map(|lag| (likeness(sound, lag, 2), lag));
    let (_, near) = coarse.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let fine =
        (near.saturating_sub(1).max(MIN_LAG)..=(near + 1).min(longest)).map(|lag| (likeness(sound, lag, 1), lag));
    let (best, lag) = fine.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best >= ALIKE).then_some(lag)
}

/// Normalised correlation of the first `lag` samples with the next, -1 to 1.
fn likeness(sound: &[f32], lag: usize, step: usize) -> f32 {
    let (mut product, mut first, mut second) = (0.0, 1e-9, 1e-9);
    for n in (0..lag).step_by(step) {
        let (a, b) = (sound[n], sound[n + lag]);
        product += a * b;
        first += a * a;
        second += b * b;
    }
    product / (first * second).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::analysis;
    use super::*;

    fn sine(hz: f32, count: usize) -> Vec<f32> {
        (0..count).map(|n| 0.3 * (std::f32::consts::TAU * hz * n as f32 / 48_000.0).sin()).collect()
    }

    fn noise(count: usize) -> Vec<f32> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }

    fn largest_step(sound: &[f32]) -> f32 {
        sound.windows(2).map(|pair| (pair[0] - pair[1]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_voiced_sound_gets_shorter_without_a_click() {
        let mut sound = sine(220.0, 960);
        let step = largest_step(&sound);
        assert!(shorten(&mut sound, MAX_LAG));
        assert!((480..=840).contains(&sound.len()), "{}", sound.len());
        assert!(largest_step(&sound) < step * 1.2);
    }

    #[test]
    fn a_voiced_sound_gets_longer_without_a_click() {
        let mut sound = sine(220.0, 960);
        let step = largest_step(&sound);
        assert!(lengthen(&mut sound, MAX_LAG));
        assert!((1080..=1440).contains(&sound.len()), "{}", sound.len());
        assert!(largest_step(&sound) < step * 1.2);
    }

    #[test]
    fn the_pitch_stays() {
        let tone = sine(440.0, 96_000);
        let mut shorter = Vec::new();
        for part in tone.chunks_exact(960) {
            let mut part = part.to_vec();
            assert!(shorten(&mut part, MAX_LAG));
            shorter.extend(part);
        }
        let (_, hz) = analysis::describe(&shorter[..48_000]);
        assert!((hz.unwrap() - 440.0).abs() < 3.0, "{hz:?}");
    }

    #[test]
    fn noise_is_left_alone_and_silence_is_not() {
        assert!(!shorten(&mut noise(960), MAX_LAG));
        assert!(!lengthen(&mut noise(960), MAX_LAG));
        let mut silence = vec![0.0; 960];
        assert!(shorten(&mut silence, MAX_LAG));
        assert_eq!(silence.len(), 480);
        let mut silence = vec![0.0; 960];
        assert!(shorten(&mut silence, 250) && lengthen(&mut silence, 150));
        assert_eq!(silence.len(), 860, "in silence by as much as is wished");
    }

    #[test]
    fn no_more_is_taken_than_wished_and_hardly_more_given() {
        for by in [120, 180, 240, 360] {
            let mut sound = sine(450.0, 960);
            assert!(shorten(&mut sound, by) && sound.len() >= 960 - by, "{by}: {}", sound.len());
            let mut sound = sine(450.0, 960);
            assert!(lengthen(&mut sound, by) && sound.len() <= 960 + by + TOO_LONG, "{by}: {}", sound.len());
        }
        assert!(!shorten(&mut sine(150.0, 960), 240), "its period is longer");
    }

    #[test]
    fn a_piece_too_short_is_left_alone() {
        assert!(shorten(&mut sine(220.0, 480), MAX_LAG), "a packet of 10 ms has room for a period");
        assert!(!shorten(&mut sine(450.0, 239), MAX_LAG));
        assert!(!lengthen(&mut Vec::new(), MAX_LAG));
    }
}
