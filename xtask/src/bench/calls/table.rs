//! The table of one suite: ratios first, then what was measured.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::super::figures::Spread;
use super::{CONTENDERS, Scenario};

/// A figure of a run, at each of its two ends.
struct Figure {
    name: &'static str,
    digits: usize,
    scale: f64,
    read: fn(&Value) -> Option<f64>,
}

const FIGURES: [Figure; 5] = [
    Figure { name: "frames/s", digits: 1, scale: 1.0, read: |end| end["frames_per_second"].as_f64() },
    Figure { name: "frozen %", digits: 1, scale: 100.0, read: |end| end["frozen_share"].as_f64() },
    Figure { name: "delay p50 ms", digits: 0, scale: 1.0, read: |end| end["latency_ms"]["p50"].as_f64() },
    Figure { name: "delay p95 ms", digits: 0, scale: 1.0, read: |end| end["latency_ms"]["p95"].as_f64() },
    Figure { name: "concealed %", digits: 1, scale: 100.0, read: |end| end["concealed_share"].as_f64() },
];

/// What one contender showed in one scenario.
struct Cell<'a> {
    ends: Vec<&'a Value>,
    runs: usize,
    invalid: usize,
    failed: usize,
}

impl<'a> Cell<'a> {
    fn of(runs: &'a [Value], scenario: &str, contender: &str) -> Self {
        let here = || runs.iter().filter(|run| run["scenario"] == scenario && run["contender"] == contender);
        let is_valid = |run: &&Value| run["valid"] == true && run["failed"] != true;
        Self {
            ends: here().filter(is_valid).filter_map(|run| run["at"].as_array()).flatten().collect(),
            runs: here().filter(is_valid).count(),
            invalid: here().filter(|run| run["valid"] != true).count(),
            failed: here().filter(|run| run["failed"] == true).count(),
        }
    }

    fn spread(&self, figure: &Figure) -> Option<Spread> {
        Spread::of(self.ends.iter().filter_map(|end| (figure.read)(end)).map(|value| value * figure.scale))
    }
}

pub(super) fn of(suite: &str, scenarios: &[Scenario], runs: &[Value], machine: &Value, load: &Value) -> String {
    let mut text = format!("## {suite}\n\nnative-native ÷ chromium-chromium:\n\n| |");
    let names = FIGURES.map(|figure| format!(" {} |", figure.name)).concat();
    let rule = |columns: usize| "---|".repeat(columns);
    // Writing to a string never fails.
    let _ = writeln!(text, "{names}\n|{}", rule(FIGURES.len() + 1));
    for scenario in scenarios {
        let [native, .., chromium] = CONTENDERS.map(|contender| Cell::of(runs, scenario.name, contender));
        let ratios = FIGURES.iter().map(|figure| match (native.spread(figure), chromium.spread(figure)) {
            (Some(ours), Some(theirs)) if theirs.median.abs() > 1e-9 => {
                format!(" {:.2} |", ours.median / theirs.median)
            }
            _ => " – |".to_owned(),
        });
        let _ = writeln!(text, "| {} |{}", scenario.name, ratios.collect::<String>());
    }
    let _ =
        writeln!(text, "\nMedians at both ends (least–most):\n\n| | who | n |{names}\n|{}", rule(FIGURES.len() + 3));
    for scenario in scenarios {
        for contender in CONTENDERS {
            let cell = Cell::of(runs, scenario.name, contender);
            let figures = FIGURES.iter().map(|figure| match cell.spread(figure) {
                Some(spread) => format!(" {} |", spread.shown(figure.digits)),
                None => " – |".to_owned(),
            });
            let mut count = cell.runs.to_string();
            for (number, word) in [(cell.invalid, "invalid"), (cell.failed, "failed")] {
                if number > 0 {
                    let _ = write!(count, ", {number} {word}");
                }
            }
            let _ = writeln!(text, "| {} | {contender} | {count} |{}", scenario.name, figures.collect::<String>());
        }
    }
    let _ = writeln!(
        text,
        "\nOn {} cores ({}), load at the start {load}, {}.",
        machine["cores"],
        shown(&machine["processor"]),
        shown(&machine["commit"])
    );
    text
}

fn shown(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

/// Puts a suite's part into the file, in the place of its last one.
pub(super) fn write(path: &Path, suite: &str, part: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    std::fs::write(path, placed(&text, suite, part)).with_context(|| format!("{} cannot be written", path.display()))
}

fn placed(text: &str, suite: &str, part: &str) -> String {
    let (begin, end) = (format!("<!-- {suite} -->"), format!("<!-- /{suite} -->"));
    let part = format!("{begin}\n{}\n{end}", part.trim_end());
    match text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1))) {
        Some((before, after)) => format!("{before}{part}{after}"),
        None => format!("{}\n\n{part}\n", text.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ratios_come_first_and_runs_that_are_not_valid_do_not_count() {
        let run = |contender: &str, valid: bool, fps: f64| json!({"scenario": "no loss", "contender": contender, "valid": valid, "at": [{"frames_per_second": fps}]});
        let runs = [
            run("native-native", true, 30.0),
            run("native-native", false, 1.0),
            run("chromium-chromium", true, 15.0),
            json!({"scenario": "no loss", "contender": "chromium-chromium", "valid": true, "failed": true}),
        ];
        let text = of("loss", &[super::super::still("no loss", &[])], &runs, &json!({"cores": 2}), &json!([1.0]));
        assert!(text.contains("| no loss | 2.00 | – |"), "{text}");
        assert!(text.contains("| no loss | native-native | 1, 1 invalid | 30.0 (30.0–30.0) |"), "{text}");
        assert!(text.contains("| no loss | chromium-chromium | 1, 1 failed | 15.0"), "{text}");
    }

    #[test]
    fn a_suite_takes_the_place_of_its_last_figures_only() {
        let first = placed("# Results\n", "loss", "one\n");
        let second = placed(&first, "delay", "two\n");
        let third = placed(&second, "loss", "three\n");
        assert!(third.contains("three") && third.contains("two") && !third.contains("one"), "{third}");
        assert!(third.starts_with("# Results\n\n<!-- loss -->"), "{third}");
    }
}
