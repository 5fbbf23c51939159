//! Medians, how far they can be trusted, and what they are compared by.

use serde_json::{Value, json};

/// Of each interval: enough that its ends hold still to a hundredth of its width.
const RESAMPLES: usize = 2_000;
/// The same runs give the same interval, always.
const SEED: u64 = 1;

/// The median of what was measured, and the least and the most of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// None where nothing was measured.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values = sorted(values);
        Some(Self { median: middle(&values)?, min: *values.first()?, max: *values.last()? })
    }

    pub(super) fn to_json(self) -> Value {
        json!({"median": self.median, "min": self.min, "max": self.max})
    }

    /// `1.23 (1.10–1.40)`, with so many digits after the point.
    pub(super) fn shown(self, digits: usize) -> String {
        let Self { median, min, max } = self;
        format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of values in order.
fn middle(values: &[f64]) -> Option<f64> {
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    middle(&sorted(values))
}

/// A median over runs, with the 95 % percentile bootstrap interval.
///
/// A run is drawn whole, with all of its ends, since the two ends of one call are not independent. From fewer than six runs
/// the interval is little more than the least to the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) median: f64,
    /// None from a single run, which says nothing of how much runs differ.
    pub(super) interval: Option<(f64, f64)>,
    /// How many runs, on the side that has fewer.
    pub(super) runs: usize,
}

impl Estimate {
    /// Of what each run measured, at each of its ends.
    pub(super) fn of(runs: &[Vec<f64>]) -> Option<Self> {
        let runs = measured(runs);
        let median = pooled(&runs)?;
        let interval = interval(runs.len(), |random| pooled(&drawn(&runs, random)));
        Some(Self { median, interval, runs: runs.len() })
    }

    /// Ours ÷ theirs. None where theirs is 0, or either was not measured.
    pub(super) fn ratio(ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> Option<Self> {
        Self::compared(ours, theirs, divided)
    }

    /// Ours − theirs.
    pub(super) fn difference(ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> Option<Self> {
        Self::compared(ours, theirs, |ours, theirs| Some(ours - theirs))
    }

    fn compared(ours: &[Vec<f64>], theirs: &[Vec<f64>], by: fn(f64, f64) -> Option<f64>) -> Option<Self> {
        let (ours, theirs) = (measured(ours), measured(theirs));
        let median = by(pooled(&ours)?, pooled(&theirs)?).filter(|median| median.is_finite())?;
        let runs = ours.len().min(theirs.len());
        let interval = interval(runs, |random| by(pooled(&drawn(&ours, random))?, pooled(&drawn(&theirs, random))?));
        Some(Self { median, interval, runs })
    }

    /// How wide the interval is beside the median, or beside what matters where the median is smaller than that.
    pub(super) fn relative_width(&self, matters: f64) -> f64 {
        let Some((low, high)) = self.interval else { return f64::INFINITY };
        (high - low) / self.median.abs().max(matters)
    }

    /// `1.23 (1.10–1.40)`; of a single run the median alone.
    pub(super) fn shown(&self, scale: f64, digits: usize) -> String {
        let number = |value: f64| match value * scale {
            value if value.is_infinite() => "∞".to_owned(),
            value => format!("{value:.digits$}"),
        };
        match self.interval {
            Some((low, high)) => format!("{} ({}–{})", number(self.median), number(low), number(high)),
            None => number(self.median),
        }
    }
}

/// Nothing ÷ nothing is no number; something ÷ nothing is beyond all bounds.
fn divided(ours: f64, theirs: f64) -> Option<f64> {
    match (ours, theirs) {
        (0.0, 0.0) => None,
        (_, 0.0) => Some(f64::INFINITY),
        _ => Some(ours / theirs),
    }
}

fn measured(runs: &[Vec<f64>]) -> Vec<&[f64]> {
    runs.iter().map(Vec::as_slice).filter(|ends| ends.iter().any(|end| end.is_finite())).collect()
}

fn pooled(runs: &[&[f64]]) -> Option<f64> {
    median(runs.iter().flat_map(|ends| ends.iter().copied()))
}

fn drawn<'a>(runs: &[&'a [f64]], random: &mut Random) -> Vec<&'a [f64]> {
    runs.iter().map(|_| runs[random.below(runs.len())]).collect()
}

fn interval(runs: usize, mut figure: impl FnMut(&mut Random) -> Option<f64>) -> Option<(f64, f64)> {
    if runs < 2 {
        return None;
    }
    let mut random = Random(SEED);
    let mut figures: Vec<f64> = (0..RESAMPLES).filter_map(|_| figure(&mut random)).collect();
    figures.sort_by(f64::total_cmp);
    // Where most draws have no figure, the few that have one say little.
    let last = figures.len().checked_sub(1).filter(|last| *last >= RESAMPLES / 2)?;
    Some((figures[last * 25 / 1_000], figures[last - last * 25 / 1_000]))
}

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The remainder favours the first few by less than one in 2^50.
        (mixed % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(values: &[f64]) -> Vec<Vec<f64>> {
        values.iter().map(|value| vec![*value]).collect()
    }

    #[test]
    fn a_median_is_told_with_its_spread() {
        let odd = Spread::of([3.0, 1.0, 2.0, f64::NAN]).unwrap();
        assert_eq!(odd, Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of([]), None);
        assert_eq!(odd.shown(1), "2.0 (1.0–3.0)");
    }

    #[test]
    fn an_interval_lies_within_what_was_measured_and_shrinks_with_runs() {
        let few = Estimate::of(&runs(&[10.0, 20.0, 30.0])).unwrap();
        assert_eq!((few.median, few.interval, few.runs), (20.0, Some((10.0, 30.0)), 3));
        let many: Vec<f64> = (0..40).map(|run| 10.0 + f64::from(run % 21)).collect();
        let many = Estimate::of(&runs(&many)).unwrap();
        let (low, high) = many.interval.unwrap();
        assert!(low > 12.0 && high < 28.0 && low < many.median && many.median < high, "{many:?}");
        assert!(many.relative_width(1.0) < few.relative_width(1.0));
        assert_eq!(Estimate::of(&runs(&[10.0, 20.0, 30.0])), Some(few), "the same each time");
    }

    #[test]
    fn an_interval_holds_the_truth_about_as_often_as_it_says() {
        // 400 times twelve runs from 0 to 999, whose median is 499.5.
        let mut random = Random(7);
        let holds = (0..400).filter(|_| {
            let drawn: Vec<f64> = (0..12).map(|_| random.below(1_000) as f64).collect();
            let (low, high) = Estimate::of(&runs(&drawn)).unwrap().interval.unwrap();
            low <= 499.5 && 499.5 <= high
        });
        let share = holds.count() as f64 / 400.0;
        assert!((0.90..=0.99).contains(&share), "{share}");
    }

    #[test]
    fn one_run_has_no_interval_and_none_no_figure() {
        let one = Estimate::of(&[vec![4.0, 6.0]]).unwrap();
        assert_eq!((one.median, one.interval, one.runs), (5.0, None, 1));
        assert_eq!(one.shown(100.0, 0), "500");
        assert_eq!(one.relative_width(1.0), f64::INFINITY);
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[vec![], vec![f64::NAN]]), None, "runs that measured nothing are none");
    }

    #[test]
    fn the_ends_of_a_call_are_drawn_together() {
        // Both ends always differ by ten; over equal runs that is no uncertainty.
        let estimate = Estimate::of(&[vec![10.0, 20.0], vec![10.0, 20.0]]).unwrap();
        assert_eq!((estimate.median, estimate.interval), (15.0, Some((15.0, 15.0))));
    }

    #[test]
    fn a_ratio_has_an_interval_of_its_own() {
        let ratio = Estimate::ratio(&runs(&[10.0, 12.0, 11.0]), &runs(&[20.0, 24.0])).unwrap();
        assert_eq!((ratio.median, ratio.runs), (0.5, 2));
        let (low, high) = ratio.interval.unwrap();
        assert!(low >= 10.0 / 24.0 && high <= 12.0 / 20.0 && low < 0.5 && 0.5 < high, "{ratio:?}");
        assert_eq!(ratio.shown(1.0, 1), format!("0.5 ({low:.1}–{high:.1})"));
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(Estimate::ratio(&runs(&[1.0, 2.0]), &runs(&[0.0, 0.0])), None);
        assert_eq!(Estimate::ratio(&runs(&[0.0, 0.0]), &runs(&[0.0, 0.0])), None);
        assert_eq!(Estimate::ratio(&runs(&[1.0]), &[]), None);
        let sometimes = Estimate::ratio(&runs(&[1.0, 1.0, 1.0]), &runs(&[0.0, 2.0, 2.0])).unwrap();
        assert_eq!(sometimes.shown(1.0, 1), "0.5 (0.5–∞)");
        let difference = Estimate::difference(&runs(&[1.0, 1.0]), &runs(&[0.0, 0.0])).unwrap();
        assert_eq!((difference.median, difference.interval), (1.0, Some((1.0, 1.0))));
    }
}
