//! Runs put together: what one contender showed in one scenario.

use super::metrics;
use super::run::{Outcome, Run};
use super::scenarios::{Contender, Group, Scenario};
use crate::bench::statistics::Estimate;

/// What one contender showed in one scenario.
pub(super) struct Cell<'a> {
    valid: Vec<&'a Run>,
    pub(super) invalid: usize,
    /// Why each failed run failed.
    pub(super) failed: Vec<&'a str>,
}

impl<'a> Cell<'a> {
    pub(super) fn of(runs: &'a [Run], group: &Group, scenario: &str, contender: Contender) -> Self {
        Self::named(runs, group.name, scenario, (group.word)(contender))
    }

    pub(super) fn named(runs: &'a [Run], group: &str, scenario: &str, contender: &str) -> Self {
        let mut cell = Self { valid: Vec::new(), invalid: 0, failed: Vec::new() };
        let here = |run: &&Run| run.group == group && run.scenario == scenario && run.contender == contender;
        for run in runs.iter().filter(here) {
            match &run.outcome {
                Outcome::Valid => cell.valid.push(run),
                Outcome::Invalid(_) => cell.invalid += 1,
                Outcome::Failed(why) => cell.failed.push(why),
            }
        }
        cell
    }

    /// The runs whose figures count.
    pub(super) fn valid(&self) -> &[&'a Run] {
        &self.valid
    }

    /// Whether nothing was run at all.
    pub(super) fn is_empty(&self) -> bool {
        self.valid.is_empty() && self.invalid == 0 && self.failed.is_empty()
    }

    /// Of each run, at each end, less something. Runs without the figure are left out.
    pub(super) fn values(&self, metric: &str, less: f64) -> Vec<Vec<f64>> {
        let of = |run: &&Run| run.figures.get(metric).map(|ends| ends.iter().map(|end| end - less).collect());
        self.valid.iter().filter_map(of).collect()
    }

    /// Of each run, at one of the two kinds of ends ([`Run::of_kind`]).
    pub(super) fn values_of_kind(&self, metric: &str, kind: usize) -> Vec<Vec<f64>> {
        let of = |run: &&Run| Some(run.of_kind(metric, kind)).filter(|ends| !ends.is_empty());
        self.valid.iter().filter_map(of).collect()
    }

    pub(super) fn estimate(&self, metric: &str) -> Option<Estimate> {
        Estimate::of(&self.values(metric, 0.0))
    }

    /// `3`, or `2, 1 invalid, 1 failed`.
    pub(super) fn count(&self) -> String {
        let mut count = self.valid.len().to_string();
        for (number, word) in [(self.invalid, "invalid"), (self.failed.len(), "**failed**")] {
            if number > 0 {
                count += &format!(", {number} {word}");
            }
        }
        count
    }
}

/// Whether anything of a scenario was run, by anyone.
pub(super) fn is_run(runs: &[Run], group: &Group, scenario: &Scenario) -> bool {
    runs.iter().any(|run| run.group == group.name && run.scenario == scenario.name)
}

/// The widest interval of a scenario beside its median, of all its contenders and shown figures.
pub(super) fn width(runs: &[Run], group: &Group, scenario: &str, contenders: &[Contender]) -> f64 {
    let cells = contenders.iter().map(|contender| Cell::of(runs, group, scenario, *contender));
    let widths = cells.flat_map(|cell| {
        let known = group.metrics.iter().filter_map(|metric| metrics::find(metric));
        let width = |metric: &metrics::Metric| Some(cell.estimate(metric.key)?.relative_width(metric.matters));
        let widths: Vec<f64> = known.filter_map(width).collect();
        // Without a figure nothing is known.
        if widths.is_empty() { vec![f64::INFINITY] } else { widths }
    });
    widths.fold(0.0, f64::max)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::bench::lab::scenarios::group;

    /// A made-up run.
    pub(in crate::bench::lab) fn run(group: &str, scenario: &str, contender: &str, figures: Value) -> Run {
        let wanted = json!({"group": group, "scenario": scenario, "contender": contender});
        Run::read(json!({"wanted": wanted, "repeat": 0, "result": {"valid": true, "figures": figures}}))
    }

    /// One whose relay was late.
    pub(in crate::bench::lab) fn late(mut run: Run) -> Run {
        run.whole["result"]["valid"] = json!(false);
        Run::read(run.whole)
    }

    /// One that came to nothing.
    pub(in crate::bench::lab) fn failed(mut run: Run, why: &str) -> Run {
        run.whole["error"] = json!(why);
        Run::read(run.whole)
    }

    fn fps(values: Value) -> Run {
        run("loss", "no loss", "native-native", json!({"frames_per_second": values}))
    }

    #[test]
    fn invalid_and_failed_runs_are_counted_and_left_out() {
        let runs = [fps(json!([30, 28])), late(fps(json!([1]))), failed(fps(json!([2])), "no camera")];
        let cell = Cell::of(&runs, group("loss").unwrap(), "no loss", Contender::Native);
        assert_eq!(cell.estimate("frames_per_second").unwrap().median, 29.0);
        assert_eq!(cell.count(), "1, 1 invalid, 1 **failed**");
        assert_eq!(cell.failed, ["no camera"]);
        assert!(cell.estimate("freezes").is_none(), "what was not measured is not 0");
        assert!(Cell::of(&runs, group("loss").unwrap(), "no loss", Contender::Mixed).is_empty());
    }

    #[test]
    fn a_scenario_is_as_uncertain_as_its_worst_figure() {
        let loss = group("loss").unwrap();
        let width = |runs: &[Run]| width(runs, loss, "no loss", &Contender::ALL);
        let by_all = |values: [f64; 2]| {
            let word = |contender: &Contender| (loss.word)(*contender);
            let runs = Contender::ALL.iter().flat_map(|contender| {
                values.map(|fps| {
                    run("loss", "no loss", word(contender), json!({"frames_per_second": [fps], "freezes": [0]}))
                })
            });
            runs.collect::<Vec<_>>()
        };
        assert_eq!(width(&by_all([30.0, 30.0])), 0.0);
        assert!((width(&by_all([20.0, 40.0])) - 20.0 / 30.0).abs() < 1e-9);
        assert_eq!(width(&by_all([20.0, 40.0])[..2]), f64::INFINITY, "two contenders are missing");
    }
}
