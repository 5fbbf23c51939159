//! How much a recording is like what was played, as an ear would have it: by its loudness every 10 ms.

/// Samples of 10 ms at 48 kHz.
const STEP: usize = 480;
/// Steps of a window: 500 ms.
const WINDOW: usize = 50;
/// Each window may be off by this many steps: 40 ms.
const SLACK: isize = 4;
/// A window is silent below -60 dBFS at its loudest.
const SILENT: f32 = 1e-6;

/// What was found.
#[derive(Debug)]
pub(crate) struct Likeness {
    /// Correlation of the loudness, median over windows of 500 ms that are not silent.
    pub(crate) median: f32,
    /// Windows that are silent though the source is not.
    pub(crate) silent_windows: usize,
    /// Windows that were compared.
    pub(crate) windows: usize,
    /// How much later the recording is, to 10 ms.
    pub(crate) latency_ms: isize,
}

/// Compares a recording with what was played, both 48 kHz mono; the recording may be up to a second later.
pub(crate) fn compare(played: &[f32], recorded: &[f32]) -> Likeness {
    let (played, recorded) = (envelope(played), envelope(recorded));
    let latency = (0..100)
        .max_by(|a, b| {
            shifted(&played, &recorded, 0, played.len(), *a).total_cmp(&shifted(
                &played,
                &recorded,
                0,
                played.len(),
                *b,
            ))
        })
        .unwrap_or(0);
    let (mut likenesses, mut silent_windows) = (Vec::new(), 0);
    for start in (0..played.len().saturating_sub(WINDOW)).step_by(WINDOW) {
        if loudest(&played[start..start + WINDOW]) < SILENT * 10.0 {
            continue;
        }
        let shifts = latency - SLACK..=latency + SLACK;
        let best = shifts.map(|shift| shifted(&played, &recorded, start, start + WINDOW, shift)).fold(-1.0, f32::max);
        likenesses.push(best);
        let at = start.saturating_add_signed(latency);
        silent_windows += usize::from(recorded.get(at..at + WINDOW).is_none_or(|window| loudest(window) < SILENT));
    }
    likenesses.sort_by(f32::total_cmp);
    let median = likenesses.get(likenesses.len() / 2).copied().unwrap_or(0.0);
    Likeness { median, silent_windows, windows: likenesses.len(), latency_ms: latency * 10 }
}

/// Mean energy of every 10 ms.
fn envelope(sound: &[f32]) -> Vec<f32> {
    let energy = |part: &[f32]| part.iter().map(|sample| sample * sample).sum::<f32>() / STEP as f32;
    sound.chunks_exact(STEP).map(energy).collect()
}

fn loudest(envelope: &[f32]) -> f32 {
    envelope.iter().copied().fold(0.0, f32::max)
}

/// Normalised correlation of a part of the one with the same part of the other, so many steps later.
fn shifted(played: &[f32], recorded: &[f32], start: usize, end: usize, shift: isize) -> f32 {
    let pairs: Vec<(f32, f32)> =
        (start..end).filter_map(|n| Some((played[n], *recorded.get(n.checked_add_signed(shift)?)?))).collect();
    let count = pairs.len().max(1) as f32;
    let mean = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0 / count, sum.1 + pair.1 / count));
    let (mut product, mut first, mut second) = (0.0, 1e-20, 1e-20);
    for (a, b) in pairs {
        let (a, b) = (a - mean.0, b - mean.1);
        product += a * b;
        first += a * a;
        second += b * b;
    }
    product / (first * second).sqrt()
}
