//! Calls, rooms and the window, measured beside Chromium's own WebRTC on the same work in turn.
//!
//! A run is one process that prints one JSON object (`tests/lab/README.md`). This chooses what to run, keeps what was measured, and says
//! what it means.

mod by_hand;
mod charts;
mod compare;
mod goals;
mod launch;
mod metrics;
mod plan;
mod progress;
mod report;
mod run;
mod scenarios;
mod session;
mod store;
mod summary;
mod table;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use serde_json::Value;

use self::launch::Launcher;
use self::progress::words;
use self::run::{Chosen, Run};
use self::scenarios::{Contender, GROUPS, Group, Scenario};
use self::session::Session;
use self::store::Store;
use super::machine;
use super::options::Options;
use crate::command::{command, is_on_path, output, root, run as run_command, target_dir};
use crate::packages;

/// Of the full set, where nothing else is said.
const ROUNDS: usize = 3;

/// The scenarios of groups by name: `loss`, `loss:30` for those whose names contain it, `all`.
///
/// # Errors
/// Where a name fits nothing.
pub(super) fn choose(names: &[&str], quick: bool) -> anyhow::Result<Vec<Chosen>> {
    let mut chosen: Vec<Chosen> = Vec::new();
    for name in names {
        let found = find(name, quick);
        anyhow::ensure!(!found.is_empty(), "there is nothing called {name:?}: `cargo xtask bench` lists what there is");
        for one in found {
            if chosen.iter().all(|other| !std::ptr::eq(other.scenario, one.scenario)) {
                chosen.push(one);
            }
        }
    }
    Ok(chosen)
}

fn find(name: &str, quick: bool) -> Vec<Chosen> {
    let (group_name, word) = name.split_once(':').unwrap_or((name, ""));
    let groups = GROUPS.iter().filter(|group| group_name == "all" || group.name == group_name);
    let scenarios = groups.flat_map(|group| group.scenarios.iter().map(move |scenario| (group, scenario)));
    let seconds = |scenario: &Scenario| match (quick, scenario.quick_seconds) {
        (false, _) => Some(scenario.seconds),
        (true, 0) if word.is_empty() => None,
        // Who names it wants it; where there are steps, they take what they take.
        (true, 0) if scenario.steps.is_empty() => Some((scenario.seconds / 4).max(4)),
        (true, 0) => Some(scenario.seconds),
        (true, quick_seconds) => Some(quick_seconds),
    };
    let contenders = |scenario: &Scenario| match quick && scenario.contenders.len() > Contender::QUICK.len() {
        true => &Contender::QUICK[..],
        false => scenario.contenders,
    };
    let chosen = |(group, scenario)| {
        Some(Chosen { group, scenario, seconds: seconds(scenario)?, contenders: contenders(scenario) })
    };
    scenarios.filter(|(_, scenario)| scenario.name.contains(word)).filter_map(chosen).collect()
}

/// Groups and scenarios, with the time of one round.
pub(super) fn list() -> String {
    let mut text = String::new();
    let round = |group: &'static Group, quick: bool| {
        let chosen = find(group.name, quick);
        chosen.iter().map(Chosen::turn_seconds).sum::<f64>()
    };
    for group in &GROUPS {
        // Writing to a string never fails.
        let _ = writeln!(text, "{}: {} ({} a round)", group.name, group.about, words(round(group, false)));
        for scenario in group.scenarios {
            let quick = if scenario.quick_seconds > 0 { ", also quick" } else { "" };
            let Scenario { name, seconds, contenders, .. } = scenario;
            let chosen = Chosen { group, scenario, seconds: *seconds, contenders };
            let _ = writeln!(text, "  {name:<42} {:>7}{quick}", words(chosen.turn_seconds()));
        }
    }
    let all = |quick| GROUPS.iter().map(|group| round(group, quick)).sum::<f64>();
    let (full, quick) = (words(all(false) * ROUNDS as f64), words(all(true)));
    let _ = writeln!(text, "all: {full} for {ROUNDS} rounds; with --quick {quick}");
    text
}

/// Measures, keeps the figures and writes the tables. `is_whole`: no group is run in part.
pub(super) fn run(chosen: &[Chosen], options: &Options, is_whole: bool) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The first one ends the measuring, a second one everything.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let programs = programs()?;
    let chromium = std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    let machine = machine::describe();
    let version = output(&chromium.to_string_lossy(), &["--version"]).map(|version| version.trim().to_owned());
    let fingerprint = store::fingerprint(&programs, &machine, version.as_deref().unwrap_or_default())?;
    let store = Store::open(&target_dir().join("bench/runs"), &fingerprint)?;
    let rounds = options.rounds.unwrap_or(if options.quick || options.budget.is_some() { 1 } else { ROUNDS });
    let before = machine::load();

    let launcher = Launcher { programs, chromium, stop };
    let mut session = Session::new(chosen, launcher, store);
    if options.fresh {
        session.forget()?;
    }
    let planned = session.measure(rounds, options.budget)?;
    let figures = serde_json::json!({
        "format": report::FORMAT,
        "date": output("date", &["-u", "+%Y-%m-%d %H:%M"]).map(|date| date.trim().to_owned()),
        "options": {
            "quick": options.quick,
            "rounds": rounds,
            "budget_seconds": options.budget.map(|budget| budget.as_secs()),
            "in_part": !is_whole,
        },
        "planned_runs": planned,
        "made_before": session.reused(),
        "interrupted": session.is_stopped(),
        "machine": machine,
        "load_average": {"before": before, "after": machine::load()},
        "versions": report::versions(session.runs(), version.as_deref()),
        "programs": fingerprint,
        "figures": report::figures(session.runs()),
        "runs": session.runs().iter().map(|run| &run.whole).collect::<Vec<_>>(),
    });
    let path = report::keep(&figures, options.out.as_deref())?;
    report::write(&figures, &path)
}

/// Says what moved between two sessions.
///
/// # Errors
/// Where a file cannot be read, or is none of ours.
pub(super) fn compare_files(before: &Path, after: &Path) -> anyhow::Result<()> {
    let (before, after) = (report::read(before)?, report::read(after)?);
    print!("{}", compare::caveats(&before, &after));
    print!("{}", compare::words(&runs_of(&before), &runs_of(&after)));
    Ok(())
}

/// Writes the tables of a session anew.
///
/// # Errors
/// Where the file cannot be read, or the tables not written.
pub(super) fn report_file(path: &Path) -> anyhow::Result<()> {
    report::write(&report::read(path)?, path)
}

fn runs_of(session: &Value) -> Vec<Run> {
    session["runs"].as_array().into_iter().flatten().cloned().map(Run::read).collect()
}

/// The folder of the programs, built as users have them; `PARLOR_PROGRAMS` names one where they are already.
fn programs() -> anyhow::Result<PathBuf> {
    let mut groups = vec![&packages::BUILD, &packages::WINDOW, &packages::TEST];
    if !(is_on_path("node") && is_on_path("npm")) {
        groups.push(&packages::NODE);
    }
    packages::install(&groups)?;
    run_command(&mut command("npm", &["ci", "--no-audit", "--no-fund", "--prefix", "tests/browser"]))?;
    if let Some(folder) = std::env::var_os("PARLOR_PROGRAMS") {
        let folder = root().join(folder);
        anyhow::ensure!(folder.join("parlor").exists(), "PARLOR_PROGRAMS has no parlor: {}", folder.display());
        return Ok(folder);
    }
    let packages = ["parlor", "parlor-signaling", "parlor-lab-net", "parlor-lab-cost", "parlor-lab-window"];
    let mut build = command("cargo", &["build", "--release"]);
    build.args(packages.iter().flat_map(|package| ["-p", package]));
    run_command(&mut build).context("the programs could not be built")?;
    Ok(target_dir().join("release"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &[Chosen]) -> Vec<&'static str> {
        chosen.iter().map(|one| one.scenario.name).collect()
    }

    #[test]
    fn scenarios_are_chosen_by_group_and_by_word() {
        assert_eq!(names(&choose(&["loss:30"], false).unwrap()), ["30 % at random", "30 % in bursts of 3"]);
        assert_eq!(names(&choose(&["loss"], true).unwrap()), ["10 % at random"]);
        let quick = choose(&["loss:30 % at"], true).unwrap();
        assert_eq!(
            (names(&quick), quick[0].seconds),
            (vec!["30 % at random"], 5),
            "who names it wants it, quick or not"
        );
        assert_eq!(choose(&["loss", "all"], false).unwrap().len(), choose(&["all"], false).unwrap().len());
        assert!(choose(&["loss:99"], false).is_err() && choose(&["lost"], false).is_err());
    }

    #[test]
    fn the_full_set_takes_about_three_hours_and_a_quick_look_five_minutes() {
        let seconds = |quick| {
            let chosen = choose(&["all"], quick).unwrap();
            chosen.iter().map(Chosen::turn_seconds).sum::<f64>()
        };
        let hours = seconds(false) * ROUNDS as f64 / 3_600.0;
        assert!((2.5..=4.0).contains(&hours), "{hours} h");
        assert!((200.0..=400.0).contains(&seconds(true)), "{} s", seconds(true));
    }

    #[test]
    fn everything_is_listed() {
        let text = list();
        assert!(GROUPS.iter().flat_map(|group| group.scenarios).all(|scenario| text.contains(scenario.name)), "{text}");
    }
}
