//! `cargo xtask bench compare A.json B.json`: what moved beyond its interval, in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::metrics::{self, Better, Metric};
use super::run::Run;
use super::scenarios::GROUPS;
use super::summary::Cell;
use crate::bench::statistics::Estimate;

/// One figure of one contender in one scenario.
enum Moved {
    /// By so much of what it was; below zero is better.
    By(f64, String),
    /// It was measured before and is not any more.
    Gone(String),
}

/// All that is to be said about two sessions.
pub(super) fn words(before: &[Run], after: &[Run]) -> String {
    let (mut moved, mut still, mut slight, mut single) = (Vec::new(), 0, 0, 0);
    let mut chance: f64 = 0.0;
    for (group, scenario, contender) in places(before) {
        let cell = |runs| Cell::named(runs, &group, &scenario, &contender);
        let (old, new) = (cell(before), cell(after));
        // What was not run again is not compared.
        if new.is_empty() {
            continue;
        }
        chance = chance.max(apart_by_chance(old.valid().len(), new.valid().len()));
        for metric in shown(&group) {
            let place = format!("{group}, {scenario}, {contender}: {}", metric.name);
            match compare(metric, &place, &old, &new) {
                Some(Comparison::Moved(one)) => moved.push(one),
                Some(Comparison::Still) => still += 1,
                Some(Comparison::Slight) => slight += 1,
                Some(Comparison::Single) => single += 1,
                None => {}
            }
        }
    }
    moved.sort_by(|one, other| other.weight().total_cmp(&one.weight()));
    let mut text = String::new();
    for (title, is_here) in [
        ("No longer measured:", (|one| matches!(one, Moved::Gone(_))) as fn(&Moved) -> bool),
        ("Worse:", |one| matches!(one, Moved::By(share, _) if *share > 0.0)),
        ("Better:", |one| matches!(one, Moved::By(share, _) if *share <= 0.0)),
    ] {
        let here: Vec<&Moved> = moved.iter().filter(|one| is_here(one)).collect();
        if !here.is_empty() {
            let lines: String = here.iter().map(|one| format!("  {}\n", one.words())).collect();
            // Writing to a string never fails.
            let _ = writeln!(text, "{title}\n{lines}");
        }
    }
    if moved.is_empty() {
        text += "Nothing moved beyond its interval.\n";
    }
    let _ = writeln!(text, "{still} figures did not move beyond their interval.");
    if slight > 0 {
        let _ = writeln!(text, "{slight} figures moved by less than matters to anyone.");
    }
    if chance > 0.02 {
        let _ = writeln!(text, "With so few runs about one figure in {:.0} moves by chance alone.", 1.0 / chance);
    }
    if single > 0 {
        let _ = writeln!(text, "{single} figures come from a single run on one side, which cannot be judged.");
    }
    text
}

/// What makes two sessions hard to compare.
pub(super) fn caveats(before: &Value, after: &Value) -> String {
    let mut text = String::new();
    for (key, what) in [("cores", "numbers of cores"), ("processor", "processors"), ("kernel", "kernels")] {
        let (old, new) = (&before["machine"][key], &after["machine"][key]);
        if old != new {
            let _ = writeln!(text, "They were made with different {what}: {old} and {new}.");
        }
    }
    if before["options"]["quick"] != after["options"]["quick"] {
        text += "One of them is quick, with shorter runs.\n";
    }
    text
}

impl Moved {
    fn words(&self) -> &str {
        match self {
            Self::By(_, words) | Self::Gone(words) => words,
        }
    }

    /// Worst first.
    fn weight(&self) -> f64 {
        match self {
            Self::By(share, _) => *share,
            Self::Gone(_) => f64::INFINITY,
        }
    }
}

/// How likely runs of one and the same thing are all on this side and all on that: then, too, the interval leaves 0 out.
fn apart_by_chance(old: usize, new: usize) -> f64 {
    if old < 2 || new < 2 {
        return 0.0;
    }
    // Two of all ways to choose the old ones among all.
    2.0 / (1..=old).map(|one| (new + one) as f64 / one as f64).product::<f64>()
}

enum Comparison {
    Moved(Moved),
    Still,
    /// Beyond the interval, and too little to matter.
    Slight,
    Single,
}

fn compare(metric: &Metric, place: &str, old: &Cell, new: &Cell) -> Option<Comparison> {
    let was = old.estimate(metric.key)?;
    let shown = |estimate: &Estimate| estimate.shown(metric.scale, metric.digits);
    let Some(is) = new.estimate(metric.key) else {
        let words = format!("{place}, which was {} ({} runs)", shown(&was), new.count());
        return Some(Comparison::Moved(Moved::Gone(words)));
    };
    let (old, new) = (old.values(metric.key, 0.0), new.values(metric.key, 0.0));
    let difference = Estimate::difference(&new, &old)?;
    let Some((low, high)) = difference.interval else { return Some(Comparison::Single) };
    if low <= 0.0 && high >= 0.0 {
        return Some(Comparison::Still);
    }
    if difference.median.abs() < metric.matters {
        return Some(Comparison::Slight);
    }
    let sign = match metric.better {
        Better::Lower => 1.0,
        Better::Higher => -1.0,
    };
    let share = sign * difference.median / was.median.abs().max(metric.matters);
    let words = format!("{place} from {} to {}{}", shown(&was), shown(&is), times(was.median, is.median));
    Some(Comparison::Moved(Moved::By(share, words)))
}

/// `, 2.5 times` or `, 12 % less`; nothing where there are no percents of it.
fn times(was: f64, is: f64) -> String {
    let ratio = is / was;
    match ratio {
        _ if !ratio.is_finite() || ratio <= 0.0 => String::new(),
        large if large >= 2.0 => format!(", {large:.1} times"),
        more if more >= 1.0 => format!(", {:.0} % more", (more - 1.0) * 100.0),
        less => format!(", {:.0} % less", (1.0 - less) * 100.0),
    }
}

fn places(runs: &[Run]) -> BTreeSet<(String, String, String)> {
    runs.iter().map(|run| (run.group.clone(), run.scenario.clone(), run.contender.clone())).collect()
}

fn shown(group: &str) -> impl Iterator<Item = &'static Metric> {
    let group = GROUPS.iter().filter(move |one| one.name == group);
    group.flat_map(|group| group.metrics).filter_map(|metric| metrics::find(metric))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::lab::summary::tests::{failed, run};

    fn session(contender: &str, fps: &[f64], frozen: &[f64]) -> Vec<Run> {
        let one = |(fps, frozen)| {
            run("loss", "no loss", contender, json!({"frames_per_second": [fps], "frozen_share": [frozen]}))
        };
        fps.iter().zip(frozen).map(one).collect()
    }

    #[test]
    fn what_moved_is_told_worst_first() {
        let before = session("native-native", &[30.0, 30.0, 29.0], &[0.1, 0.11, 0.1]);
        let after = session("native-native", &[24.0, 25.0, 24.0], &[0.3, 0.31, 0.3]);
        let text = words(&before, &after);
        let frozen =
            text.find("  loss, no loss, native-native: frozen, % from 10.0 (10.0–11.0) to 30.0 (30.0–31.0), 3.0 times");
        let fps =
            text.find("  loss, no loss, native-native: frames/s from 30.0 (29.0–30.0) to 24.0 (24.0–25.0), 20 % less");
        assert!(frozen.unwrap() < fps.unwrap(), "{text}");
        assert!(text.starts_with("Worse:") && !text.contains("Better:"), "{text}");
        let back = words(&after, &before);
        assert!(back.starts_with("Better:") && !back.contains("Worse:"), "{back}");
    }

    #[test]
    fn what_stays_within_its_interval_did_not_move() {
        let before = session("native-native", &[30.0, 25.0, 28.0], &[0.0, 0.0, 0.0]);
        let text = words(&before, &session("native-native", &[27.0, 29.0, 26.0], &[0.0, 0.0, 0.0]));
        let wanted = "Nothing moved beyond its interval.\n2 figures did not move beyond their interval.\n\
                      With so few runs about one figure in 10 moves by chance alone.\n";
        assert_eq!(text, wanted);
        assert!(apart_by_chance(6, 6) < 0.003 && (apart_by_chance(3, 3) - 0.1).abs() < 1e-9);
        let slightly = words(
            &session("native-native", &[30.0, 30.0], &[0.0, 0.0]),
            &session("native-native", &[29.5, 29.5], &[0.0, 0.0]),
        );
        assert!(slightly.contains("1 figures moved by less than matters to anyone.\n"), "{slightly}");
        let once = words(&before, &session("native-native", &[1.0], &[1.0]));
        assert!(once.ends_with("2 figures come from a single run on one side, which cannot be judged.\n"), "{once}");
    }

    #[test]
    fn what_fails_now_comes_first_and_what_was_not_run_is_left_out() {
        let before = session("native-native", &[30.0, 30.0], &[0.1, 0.1]);
        let fails: Vec<Run> = before.iter().map(|run| failed(run.clone(), "no camera")).collect();
        let text = words(&before, &fails);
        let wanted = "No longer measured:\n  loss, no loss, native-native: frames/s, which was 30.0 (30.0–30.0) (0, 2 **failed** runs)\n";
        assert!(text.starts_with(wanted), "{text}");
        assert!(words(&before, &[]).starts_with("Nothing moved"));
    }

    #[test]
    fn another_machine_is_told() {
        let on = |cores: u32, quick: bool| json!({"machine": {"cores": cores}, "options": {"quick": quick}});
        assert_eq!(caveats(&on(2, false), &on(2, false)), "");
        let text = caveats(&on(2, false), &on(4, true));
        assert!(text.contains("different numbers of cores: 2 and 4") && text.contains("quick"), "{text}");
    }
}
