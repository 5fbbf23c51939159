//! How much a recording is like what was played, as an ear would have it: by its loudness every 10 ms.

const SAMPLE_RATE: usize = 48_000;
/// Ten milliseconds: what the energy is summed over.
const STEP: usize = SAMPLE_RATE / 100;
/// Half a second: what is compared at a time.
const WINDOW: usize = SAMPLE_RATE / 2;
/// One millisecond: how finely shifts are tried.
const FINE: usize = SAMPLE_RATE / 1_000;
/// A fifth of a second: by how much a window may be shifted against the last one that was found. Where a busy machine
/// stands still for a tenth of a second, the sound is that much later at once, and is caught up with little by little.
const SHIFT: usize = SAMPLE_RATE / 5;
/// The longest way from what was played to the recording that is looked for.
const LATENCY: usize = 2 * SAMPLE_RATE;
/// From this correlation on, a window was found where it was looked for.
const FOUND: f64 = 0.9;
/// Quieter than this, nothing was played.
const PLAYED_DBFS: f64 = -40.0;
/// Quieter than this, the recording is silent.
const SILENT_DBFS: f64 = -55.0;

/// What was found.
#[derive(Debug)]
pub(crate) struct Likeness {
    /// How much later the recording is, for each window that was found.
    pub(crate) latencies_ms: Vec<usize>,
    /// Half seconds in which something was played.
    pub(crate) windows: usize,
    /// Of these, how many came out silent.
    pub(crate) silent: usize,
    /// The median, over the windows, of the correlation of the energy envelopes.
    pub(crate) median: f64,
}

/// Compares a recording with what was played, both 48 kHz mono; the recording may be up to two seconds later.
pub(crate) fn compare(played: &[f32], recorded: &[f32]) -> Likeness {
    let starts = (0..played.len().saturating_sub(WINDOW)).step_by(WINDOW);
    let windows: Vec<usize> = starts.filter(|start| dbfs(&played[*start..start + WINDOW]) > PLAYED_DBFS).collect();
    let mut latency = latency(played, recorded, windows.first().copied().unwrap_or(0));
    let mut likeness = Likeness { latencies_ms: Vec::new(), windows: windows.len(), silent: 0, median: 0.0 };
    let mut correlations = Vec::new();
    for start in windows {
        let source = envelope(&played[start..start + WINDOW]);
        let shifts = (latency.saturating_sub(SHIFT)..=latency + SHIFT).step_by(FINE);
        let heard = shifts.filter_map(|shift| Some((shift, recorded.get(start + shift..start + shift + WINDOW)?)));
        let best = heard.clone().map(|(shift, heard)| (correlation(&source, &envelope(heard)), shift));
        let (best, at) = best.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, latency));
        let loudest = heard.map(|(_, heard)| dbfs(heard)).fold(f64::MIN, f64::max);
        likeness.silent += usize::from(loudest < SILENT_DBFS);
        correlations.push(best);
        if best >= FOUND {
            likeness.latencies_ms.push(at / FINE);
            latency = at;
        }
    }
    correlations.sort_by(f64::total_cmp);
    likeness.median = correlations.get(correlations.len() / 2).copied().unwrap_or(0.0);
    likeness
}

/// By how many samples the recording follows what was played, the first seconds from `start` compared.
fn latency(played: &[f32], recorded: &[f32], start: usize) -> usize {
    let end = (start + 3 * SAMPLE_RATE).min(played.len());
    let (played, recorded) = (&played[start.min(end)..end], recorded.get(start..).unwrap_or_default());
    let (played, recorded) = (envelope(played), envelope(recorded));
    let score = |shift: usize| -> f64 { played.iter().zip(recorded.iter().skip(shift)).map(|(a, b)| a * b).sum() };
    let best = (0..LATENCY / STEP).max_by(|a, b| score(*a).total_cmp(&score(*b)));
    best.unwrap_or(0) * STEP
}

/// The energy of each ten milliseconds.
fn envelope(sound: &[f32]) -> Vec<f64> {
    let energy = |step: &[f32]| step.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    sound.chunks_exact(STEP).map(energy).collect()
}

/// Pearson's correlation.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum =
        |pairs: &dyn Fn(f64, f64) -> f64| -> f64 { a.iter().zip(b).map(|(a, b)| pairs(a - mean_a, b - mean_b)).sum() };
    let scale = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    if scale > 0.0 { sum(&|a, b| a * b) / scale } else { 0.0 }
}

fn dbfs(sound: &[f32]) -> f64 {
    let power = sound.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    10.0 * (power / sound.len() as f64).max(1e-12).log10()
}
