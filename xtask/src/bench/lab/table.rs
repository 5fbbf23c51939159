//! The part of one group in `tests/lab/RESULTS.md`: goals, then ratios, then what was measured.

use std::fmt::Write as _;

use super::metrics::{self, Metric};
use super::run::{Outcome, Run};
use super::scenarios::{Contender, Group, Scenario};
use super::summary::{self, Cell};
use super::{by_hand, goals};
use crate::bench::statistics::Estimate;

/// The part, in Markdown; `about` says what it was measured on.
pub(super) fn of(runs: &[Run], group: &'static Group, about: &str) -> String {
    let runs: Vec<Run> = runs.iter().filter(|run| run.group == group.name).cloned().collect();
    let shown: Vec<&Metric> = group.metrics.iter().filter_map(|metric| metrics::find(metric)).collect();
    let parts = [goal_rows(&runs, group), ratios(&runs, group, &shown), absolute(&runs, group, &shown)];
    let mut text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    let not_run = group.scenarios.iter().filter(|scenario| !summary::is_run(&runs, group, scenario));
    let not_run: Vec<&str> = not_run.map(|scenario| scenario.name).collect();
    if !not_run.is_empty() {
        text += &format!("\nNot run: {}.\n", not_run.join("; "));
    }
    text += &beside_hand(&runs, group);
    text += &complaints(&runs);
    // Writing to a string never fails.
    let _ = write!(text, "\n{}\n", about.trim());
    text
}

fn rule(columns: usize) -> String {
    format!("|{}", "---|".repeat(columns))
}

fn goal_rows(runs: &[Run], group: &'static Group) -> String {
    let rows = goals::rows(runs, group);
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("| figure | goal | measured | |\n{}\n", rule(4));
    for goals::Row { what, goal, measured, verdict } in rows {
        let _ = writeln!(text, "| {what} | {goal} | {measured} | {verdict} |");
    }
    text
}

fn ratios(runs: &[Run], group: &Group, shown: &[&Metric]) -> String {
    let is_compared = |scenario: &&Scenario| scenario.contenders.contains(&Contender::Chromium);
    let is_run = |scenario: &&Scenario| summary::is_run(runs, group, scenario);
    let scenarios: Vec<&Scenario> = group.scenarios.iter().filter(is_compared).filter(is_run).collect();
    if scenarios.is_empty() {
        return String::new();
    }
    let names: String = shown.iter().map(|metric| format!(" {} |", metric.name)).collect();
    let [ours, theirs] = [Contender::Native, Contender::Chromium].map(|contender| (group.word)(contender));
    let mut text = format!("{ours} ÷ {theirs}:\n\n| |{names}\n{}\n", rule(shown.len() + 1));
    for scenario in scenarios {
        let values =
            |contender, metric: &Metric| Cell::of(runs, group, scenario.name, contender).values(metric.key, 0.0);
        let ratio = |metric: &&Metric| {
            Estimate::ratio(&values(Contender::Native, metric), &values(Contender::Chromium, metric))
        };
        let cells: String = shown.iter().map(|metric| cell(ratio(metric).map(|ratio| ratio.shown(1.0, 2)))).collect();
        let _ = writeln!(text, "| {} |{cells}", scenario.name);
    }
    text
}

fn absolute(runs: &[Run], group: &Group, shown: &[&Metric]) -> String {
    let names: String = shown.iter().map(|metric| format!(" {} |", metric.name)).collect();
    let mut text = format!("Medians:\n\n| | who | n |{names}\n{}\n", rule(shown.len() + 3));
    let is_run = |scenario: &&Scenario| summary::is_run(runs, group, scenario);
    for scenario in group.scenarios.iter().filter(is_run) {
        for contender in scenario.contenders {
            let measured = Cell::of(runs, group, scenario.name, *contender);
            let count = if measured.is_empty() { "not run".to_owned() } else { measured.count() };
            let figure =
                |metric: &&Metric| measured.estimate(metric.key).map(|one| one.shown(metric.scale, metric.digits));
            let cells: String = shown.iter().map(|metric| cell(figure(metric))).collect();
            let _ = writeln!(text, "| {} | {} | {count} |{cells}", scenario.name, (group.word)(*contender));
        }
    }
    text
}

/// What was not measured is a dash, never 0.
fn cell(figure: Option<String>) -> String {
    format!(" {} |", figure.as_deref().unwrap_or("—"))
}

fn beside_hand(runs: &[Run], group: &Group) -> String {
    let rows = by_hand::rows(runs, group);
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("\nChromium alone, by hand and in the lab:\n\n| | by hand | lab | |\n{}\n", rule(4));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// Why runs gave no figures, and what those that gave some say of them; each reason once.
fn complaints(runs: &[Run]) -> String {
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for run in runs {
        let of = |words: &str| format!("{}, {}: {words}", run.scenario, run.contender);
        let said = match &run.outcome {
            Outcome::Valid => run.notes().map(of).collect(),
            Outcome::Invalid(why) => vec![format!("Invalid: {why}")],
            Outcome::Failed(why) => vec![format!("Failed, {}", of(why))],
        };
        for reason in said {
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => reasons.push((reason, 1)),
            }
        }
    }
    let mut text = String::new();
    for (reason, count) in &reasons {
        let times = if *count == 1 { String::new() } else { format!(" ({count} times)") };
        // A reason is one line, and no Markdown.
        let reason = reason.replace(['\n', '\r', '|', '<', '`'], " ");
        let _ = writeln!(text, "{}- {reason}{times}", if text.is_empty() { "\n" } else { "" });
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::lab::scenarios::group;
    use crate::bench::lab::summary::tests::{failed, late, run};

    fn fps(contender: &str, value: f64) -> Run {
        run("loss", "no loss", contender, json!({"frames_per_second": [value], "a_figure_of_tomorrow": [7777]}))
    }

    fn part(runs: &[Run]) -> String {
        of(runs, group("loss").unwrap(), "On 2 cores.")
    }

    #[test]
    fn ratios_come_before_what_they_are_made_of() {
        let runs = [
            fps("native-native", 30.0),
            fps("native-native", 30.0),
            fps("chromium-chromium", 15.0),
            fps("chromium-chromium", 15.0),
        ];
        let text = part(&runs);
        let ratio = text.find("| no loss | 2.00 (2.00–2.00) | — |").unwrap();
        let median = text.find("| no loss | native-native | 2 | 30.0 (30.0–30.0) | — |").unwrap();
        assert!(text.find("| goal |").unwrap() < ratio && ratio < median, "{text}");
        assert!(text.contains("| no loss | native-chromium | not run | — |"), "{text}");
        assert!(text.contains("\nNot run: 2 % at random; 5 % at random;"), "{text}");
        assert!(!text.contains("7777"), "figures that are not known are not shown: {text}");
        assert!(text.ends_with("\nOn 2 cores.\n"), "{text}");
    }

    #[test]
    fn a_scenario_that_failed_is_shown_as_failed() {
        let runs =
            [failed(fps("native-native", 30.0), "no | camera"), failed(fps("native-native", 30.0), "no | camera")];
        let text = part(&runs);
        assert!(text.contains("| no loss | native-native | 0, 2 **failed** | — | — |"), "{text}");
        assert!(text.contains("- Failed, no loss, native-native: no   camera (2 times)\n"), "{text}");
    }

    #[test]
    fn invalid_runs_are_told_and_not_used() {
        let text = part(&[fps("native-native", 30.0), late(fps("native-native", 1.0))]);
        assert!(text.contains("| no loss | native-native | 1, 1 invalid | 30.0 |"), "{text}");
        assert!(text.contains("- Invalid: it does not say why\n"), "{text}");
    }

    #[test]
    fn what_a_run_says_of_its_figures_stands_below_them() {
        let mut noted = fps("native-native", 30.0);
        noted.whole["result"]["notes"] = json!(["the picture was not back"]);
        let text = part(&[noted.clone(), noted]);
        assert!(text.contains("- no loss, native-native: the picture was not back (2 times)\n"), "{text}");
    }

    #[test]
    fn figures_that_are_missing_do_not_become_zero() {
        let text =
            part(&[run("loss", "no loss", "native-native", json!({"frames_per_second": [null, null], "freezes": []}))]);
        let row = text.lines().find(|line| line.starts_with("| no loss | native-native")).unwrap();
        assert!(!row.contains('0'), "{row}");
        assert!(row.contains("| native-native | 1 | — | — | — |"), "{row}");
    }

    #[test]
    fn a_group_that_is_native_only_has_no_ratios() {
        let text = of(&[], group("cost").unwrap(), "");
        assert!(!text.contains('÷') || !text.contains("native ÷ chromium"), "{text}");
        assert!(text.contains("Not run: a call of two."), "{text}");
    }
}
