//! The goals, held against what was measured.

use super::metrics::{self, Better, Metric};
use super::run::Run;
use super::scenarios::{Contender, Goal, Group, Of, Scenario};
use super::summary::{self, Cell};
use crate::bench::statistics::Estimate;

/// One line of the table.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) goal: String,
    pub(super) measured: String,
    pub(super) verdict: String,
}

/// All goals of what was run of a group, and the one that every group has where a mixed call can be measured.
pub(super) fn rows(runs: &[Run], group: &'static Group) -> Vec<Row> {
    let of = |scenario: &'static Scenario| scenario.goals.iter().map(move |goal| row(runs, group, scenario, *goal));
    let is_run = |scenario: &&Scenario| summary::is_run(runs, group, scenario);
    group.scenarios.iter().filter(is_run).flat_map(of).chain(never_worse(runs, group)).collect()
}

fn row(runs: &[Run], group: &Group, scenario: &Scenario, goal: Goal) -> Row {
    // The table's own test finds every metric.
    let (name, scale, own_digits) = match metrics::find(goal.metric) {
        Some(metric) => (metric.name, metric.scale, metric.digits),
        None => (goal.metric, 1.0, 2),
    };
    let values = |scenario: &str, contender, less| Cell::of(runs, group, scenario, contender).values(goal.metric, less);
    let ours = |less| values(scenario.name, Contender::Native, less);
    let theirs = |less| values(scenario.name, Contender::Chromium, less);
    let path_ms = scenario.path_ms;
    let (estimate, of, scale, digits) = match goal.of {
        Of::Ratio => (Estimate::ratio(&ours(0.0), &theirs(0.0)), " ÷ Chromium's".to_owned(), 1.0, 2),
        Of::RatioAbovePath if path_ms == 0.0 => {
            (Estimate::ratio(&ours(0.0), &theirs(0.0)), " ÷ Chromium's".to_owned(), 1.0, 2)
        }
        Of::RatioAbovePath => {
            let ratio = Estimate::ratio(&ours(path_ms), &theirs(path_ms));
            (ratio, format!(" above the path's {path_ms:.0} ms, ÷ Chromium's"), 1.0, 2)
        }
        Of::RatioTo(other) => {
            let others = values(other, Contender::Native, 0.0);
            (Estimate::ratio(&ours(0.0), &others), format!(" ÷ that of {other}"), 1.0, 2)
        }
        Of::Alone => (Estimate::of(&ours(0.0)), String::new(), scale, own_digits.max(1)),
    };
    let verdict = match &estimate {
        Some(estimate) => goal.limit.verdict_of(estimate),
        None => without_ratio(goal, &ours(0.0), &theirs(0.0)),
    };
    Row {
        what: format!("{}: {name}{of}", scenario.name),
        goal: goal.limit.scaled(scale).shown(digits),
        measured: estimate.map_or("—".to_owned(), |estimate| estimate.shown(scale, digits)),
        verdict,
    }
}

/// Where there is no ratio, since theirs is 0 or one is missing.
fn without_ratio(goal: Goal, ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> String {
    let (ours, theirs) = (Estimate::of(ours), Estimate::of(theirs));
    match (ours, theirs, goal.of) {
        (None, _, _) => "not measured".to_owned(),
        (_, None, Of::Ratio | Of::RatioAbovePath) => "Chromium's not measured".to_owned(),
        (_, None, _) => "not measured".to_owned(),
        (Some(ours), Some(_), _) if ours.median == 0.0 => "nothing to compare: both 0".to_owned(),
        // Ours is something where theirs is nothing.
        (Some(ours), Some(_), _) if goal.limit.is_kept(f64::INFINITY) => format!("reached: {:.1} to 0", ours.median),
        (Some(ours), Some(_), _) => format!("missed: {:.2} to 0", ours.median),
    }
}

/// Of the ends of a mixed call, in their order.
const KINDS: [&str; 2] = ["at the native end", "at the browser"];

/// A mixed call is never worse than Chromium's own, in any figure of any scenario, by more than matters; each of its ends is
/// held against the one that came at the same time there.
fn never_worse(runs: &[Run], group: &'static Group) -> Option<Row> {
    let has_mixed = |scenario: &&Scenario| scenario.contenders.contains(&Contender::Mixed);
    if !group.scenarios.iter().any(|scenario| has_mixed(&scenario)) {
        return None;
    }
    let compared: Vec<Compared> = group
        .scenarios
        .iter()
        .filter(has_mixed)
        .flat_map(|scenario| {
            let known = group.metrics.iter().filter_map(|metric| metrics::find(metric));
            let ends = known.flat_map(|metric| [0, 1].map(|kind| compare(runs, group, scenario, metric, kind)));
            ends.flatten().collect::<Vec<_>>()
        })
        .collect();
    let count = |wanted: fn(&Compared) -> bool| compared.iter().filter(|one| wanted(one)).count();
    let (worse, open) = (count(|one| one.is_worse), count(|one| one.is_open));
    let worst = compared.iter().filter(|one| one.is_worse).max_by(|one, other| one.share.total_cmp(&other.share));
    let verdict = match (worst, compared.len()) {
        (_, 0) => "not measured".to_owned(),
        (Some(worst), _) => format!("missed; most: {}", worst.words),
        (None, _) if open > 0 => format!("not shown: the intervals of {open} span it"),
        (None, _) => "reached".to_owned(),
    };
    Some(Row {
        what: "native with Chromium, beside Chromium alone: every figure".to_owned(),
        goal: "never worse".to_owned(),
        measured: format!("{worse} of {} worse", compared.len()),
        verdict,
    })
}

struct Compared {
    is_worse: bool,
    /// The interval does not tell.
    is_open: bool,
    /// By how much of Chromium's figure.
    share: f64,
    words: String,
}

fn compare(runs: &[Run], group: &Group, scenario: &Scenario, metric: &Metric, kind: usize) -> Option<Compared> {
    let values = |contender| Cell::of(runs, group, scenario.name, contender).values_of_kind(metric.key, kind);
    let (mixed, chromium) = (values(Contender::Mixed), values(Contender::Chromium));
    let difference = Estimate::difference(&mixed, &chromium)?;
    let sign = match metric.better {
        Better::Lower => 1.0,
        Better::Higher => -1.0,
    };
    let (is_worse, is_open) = match difference.interval {
        Some((low, high)) => {
            let (least, most) = ((sign * low).min(sign * high), (sign * low).max(sign * high));
            let is_worse = least > 0.0 && sign * difference.median >= metric.matters;
            (is_worse, !is_worse && most > metric.matters)
        }
        None => (false, true),
    };
    let (mixed, chromium) = (Estimate::of(&mixed)?.median, Estimate::of(&chromium)?.median);
    let Metric { name, scale, digits, .. } = metric;
    let (mixed_shown, chromium_shown) = (mixed * scale, chromium * scale);
    let (scenario, end) = (scenario.name, KINDS[kind]);
    let words = format!("{scenario}, {name} {end}: {mixed_shown:.digits$} beside {chromium_shown:.digits$}");
    let share = difference.median.abs() / chromium.abs().max(metric.matters);
    Some(Compared { is_worse, is_open, share, words })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::bench::lab::scenarios::group;
    use crate::bench::lab::summary::tests::{failed, late, run};

    fn at_30(contender: &str, figures: &Value) -> Run {
        run("loss", "30 % at random", contender, figures.clone())
    }

    fn twice(contender: &str, figures: Value) -> [Run; 2] {
        [at_30(contender, &figures), at_30(contender, &figures)]
    }

    fn verdict(runs: &[Run], group_name: &str, what: &str) -> String {
        let rows = rows(runs, group(group_name).unwrap());
        let row = rows.into_iter().find(|row| row.what.starts_with(what));
        row.map(|row| format!("{} {} {}", row.goal, row.measured, row.verdict)).unwrap()
    }

    #[test]
    fn a_goal_is_reached_missed_or_not_shown() {
        let chromium = twice("chromium-chromium", json!({"frames_per_second": [4], "frozen_share": [0.5]}));
        let native = twice("native-native", json!({"frames_per_second": [24], "frozen_share": [0.1]}));
        let runs = [native, chromium].concat();
        let of = |what| verdict(&runs, "loss", what);
        assert_eq!(of("30 % at random: frames/s ÷ Chromium's"), "≥ 5.00 6.00 (6.00–6.00) reached");
        assert_eq!(of("30 % at random: frozen, % ÷"), "≤ 0.10 0.20 (0.20–0.20) missed by 100 %");
        let mut uncertain = runs.clone();
        uncertain.push(at_30("native-native", &json!({"frames_per_second": [12], "frozen_share": [0.1]})));
        assert!(verdict(&uncertain, "loss", "30 % at random: frames/s").ends_with("not shown: the interval spans it"));
    }

    #[test]
    fn what_is_missing_is_said_and_never_0() {
        let failed_only = twice("native-native", json!({})).map(|run| failed(run, "no camera"));
        assert_eq!(verdict(&failed_only, "loss", "30 % at random: frozen"), "≤ 0.10 — not measured");
        let of_cost = rows(&[], group("cost").unwrap());
        assert!(of_cost.is_empty(), "what was not run has no row");
        let native = twice("native-native", json!({"frozen_share": [0.1]}));
        let theirs_failed = native.clone().into_iter().chain(native.clone().map(|run| failed(late(run), "no browser")));
        let runs: Vec<Run> = theirs_failed.collect();
        assert_eq!(verdict(&runs, "loss", "30 % at random: frozen"), "≤ 0.10 — Chromium's not measured");
        let zero = [native, twice("chromium-chromium", json!({"frozen_share": [0]}))].concat();
        assert_eq!(verdict(&zero, "loss", "30 % at random: frozen"), "≤ 0.10 — missed: 0.10 to 0");
    }

    #[test]
    fn delay_is_held_against_the_goal_above_the_path() {
        let of =
            |contender, ms: f64| run("delay", "360p, 50 ms one way", contender, json!({"video_delay_p50_ms": [ms]}));
        let runs = [of("native-native", 60.0), of("chromium-chromium", 100.0)];
        let row = verdict(&runs, "delay", "360p, 50 ms one way: delay p50, ms above the path's 50 ms");
        assert_eq!(row, "≤ 0.33 0.20 reached, by a single run");
    }

    #[test]
    fn a_room_of_eight_is_held_against_a_room_of_two() {
        let of = |scenario, cores: f64| run("mesh", scenario, "native", json!({"sender_cpu_cores": [cores]}));
        let runs = [of("2 peers", 0.1), of("8 peers", 0.2)];
        let row = verdict(&runs, "mesh", "8 peers: sender, cores ÷ that of 2 peers");
        assert_eq!(row, "≤ 1.15 2.00 missed by 74 %, by a single run");
    }

    #[test]
    fn a_mixed_call_that_is_worse_anywhere_is_found() {
        let chromium = twice("chromium-chromium", json!({"frames_per_second": [20], "frozen_share": [0.2]}));
        let good = twice("native-chromium", json!({"frames_per_second": [21], "frozen_share": [0.2]}));
        let what = "native with Chromium";
        assert_eq!(verdict(&[good, chromium.clone()].concat(), "loss", what), "never worse 0 of 2 worse reached");
        let bad = twice("native-chromium", json!({"frames_per_second": [10], "frozen_share": [0.1]}));
        let row = verdict(&[bad, chromium.clone()].concat(), "loss", what);
        assert_eq!(
            row,
            "never worse 1 of 2 worse missed; most: 30 % at random, frames/s at the native end: 10.0 beside 20.0"
        );
        let ends = |contender, ends: [u32; 2]| twice(contender, json!({"frames_per_second": ends}));
        let one_bad = [ends("native-chromium", [30, 10]), ends("chromium-chromium", [20, 20])].concat();
        let row = verdict(&one_bad, "loss", what);
        assert_eq!(
            row,
            "never worse 1 of 2 worse missed; most: 30 % at random, frames/s at the browser: 10.0 beside 20.0"
        );
        let hardly = twice("native-chromium", json!({"frames_per_second": [19.5], "frozen_share": [0.2]}));
        let row = verdict(&[hardly, chromium.clone()].concat(), "loss", what);
        assert_eq!(row, "never worse 0 of 2 worse reached", "half a frame a second is nothing to anyone");
        let once = [at_30("native-chromium", &json!({"frames_per_second": [10]}))];
        let row = verdict(&[&once[..], &chromium].concat(), "loss", what);
        assert_eq!(row, "never worse 0 of 1 worse not shown: the intervals of 1 span it");
        assert!(rows(&[], group("cost").unwrap()).iter().all(|row| !row.what.starts_with(what)), "nothing mixed there");
    }
}
