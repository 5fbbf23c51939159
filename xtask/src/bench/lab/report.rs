//! A session's figures as one JSON file, and the tables and charts made of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::run::Run;
use super::scenarios::{Contender, GROUPS, Group, Scenario};
use super::summary::Cell;
use super::{charts, table};
use crate::bench::document;
use crate::command::{output, root, target_dir};

/// Of the file; a reader refuses others.
pub(super) const FORMAT: u64 = 1;

/// Keeps the session under its date, or where it is wanted.
pub(super) fn keep(session: &Value, out: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match out {
        Some(path) => path.to_owned(),
        None => {
            let date = output("date", &["-u", "+%Y-%m-%d-%H%M%S"]).unwrap_or_else(|| "undated".to_owned());
            target_dir().join("bench").join(format!("{}.json", date.trim()))
        }
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    std::fs::write(&path, serde_json::to_string_pretty(session)? + "\n")
        .with_context(|| format!("{} cannot be written", path.display()))?;
    eprintln!("All figures: {}", path.display());
    Ok(path)
}

/// Reads a session back.
pub(super) fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let session: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    let is_ours = session["format"] == FORMAT && session["runs"].is_array();
    anyhow::ensure!(is_ours, "{} is no session of `cargo xtask bench`", path.display());
    Ok(session)
}

/// Medians and intervals by group, scenario, contender and figure.
pub(super) fn figures(runs: &[Run]) -> Value {
    let mut all = BTreeMap::new();
    for group in &GROUPS {
        for scenario in group.scenarios {
            for contender in Contender::ALL {
                let cell = Cell::of(runs, group, scenario.name, contender);
                let estimates = group.metrics.iter().filter_map(|metric| {
                    let one = cell.estimate(metric)?;
                    Some((*metric, json!({"median": one.median, "interval_95": one.interval, "n": one.runs})))
                });
                let estimates: BTreeMap<&str, Value> = estimates.collect();
                if !estimates.is_empty() {
                    let place = [group.name, scenario.name, (group.word)(contender)].join(" / ");
                    all.insert(place, estimates);
                }
            }
        }
    }
    json!(all)
}

/// What the runs say they were made with, and the browser.
pub(super) fn versions(runs: &[Run], chromium: Option<&str>) -> Value {
    let mut versions: BTreeMap<String, Value> = BTreeMap::new();
    for run in runs {
        let said = run.whole["result"]["versions"].as_object().into_iter().flatten();
        versions.extend(said.map(|(name, version)| (name.clone(), version.clone())));
    }
    versions.extend(chromium.map(|version| ("chromium".to_owned(), json!(version))));
    json!(versions)
}

/// Writes the tables: all beside the figures; into `tests/lab/RESULTS.md` only what was measured in full.
pub(super) fn write(session: &Value, path: &Path) -> anyhow::Result<()> {
    let runs = super::runs_of(session);
    let is_full = session["options"]["quick"] != true && session["options"]["in_part"] != true;
    let document = root().join("tests/lab/RESULTS.md");
    let mut all = String::new();
    let mut kept = Vec::new();
    for group in GROUPS.iter().filter(|group| runs.iter().any(|run| run.group == group.name)) {
        let is_kept = is_full && is_whole(&runs, group);
        let charts = if is_kept { root().join("tests/lab/charts") } else { path.with_extension("charts") };
        let drawn = charts::write(&runs, group, &charts)?;
        let part = part(session, &runs, group, &drawn);
        let _ = writeln!(all, "## {}\n\n{part}", group.name);
        if is_kept {
            kept.push(group.name);
            let marks = (format!("<!-- {} -->", group.name), format!("<!-- /{} -->", group.name));
            document::write(&document, (&marks.0, &marks.1), &part)?;
        }
    }
    println!("{all}");
    let beside = path.with_extension("md");
    std::fs::write(&beside, &all).with_context(|| format!("{} cannot be written", beside.display()))?;
    eprintln!("The tables: {}", beside.display());
    if !kept.is_empty() {
        eprintln!("In tests/lab/RESULTS.md, since run whole: {}", kept.join(", "));
    }
    Ok(())
}

/// Whether everyone has done everything at least once.
fn is_whole(runs: &[Run], group: &Group) -> bool {
    let is_done = |scenario: &Scenario| {
        scenario.contenders.iter().all(|one| !Cell::of(runs, group, scenario.name, *one).is_empty())
    };
    group.scenarios.iter().all(is_done)
}

fn part(session: &Value, runs: &[Run], group: &'static Group, drawn: &[PathBuf]) -> String {
    let mut text = table::of(runs, group, &about(session, runs, group));
    for chart in drawn {
        let Some(name) = chart.file_name().and_then(|name| name.to_str()) else { continue };
        let folder = chart.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        // Writing to a string never fails.
        let _ = writeln!(text, "\n![{}]({folder}/{name})", name.trim_end_matches(".svg").replace('-', " "));
    }
    text
}

/// What it was measured on, and how much of it.
fn about(session: &Value, runs: &[Run], group: &Group) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let machine = &session["machine"];
    let mut text = format!(
        "{}, {} cores ({}), {}; load {} before and {} after; commit {}",
        word(&session["date"]),
        machine["cores"],
        word(&machine["processor"]),
        word(&machine["kernel"]),
        load(&session["load_average"]["before"]),
        load(&session["load_average"]["after"]),
        word(&machine["commit"]),
    );
    let versions = session["versions"].as_object().into_iter().flatten();
    let versions: Vec<String> = versions
        .filter_map(|(name, version)| Some((name, version.as_str()?)))
        // Most tools say their own name.
        .map(|(name, version)| {
            if version.to_lowercase().starts_with(name.as_str()) {
                version.to_owned()
            } else {
                format!("{name} {version}")
            }
        })
        .collect();
    if !versions.is_empty() {
        let _ = write!(text, "; {}", versions.join(", "));
    }
    let seeds: Vec<u64> = runs.iter().filter(|run| run.group == group.name).map(|run| run.repeat as u64 + 1).collect();
    if let (Some(first), Some(last)) = (seeds.iter().min(), seeds.iter().max()) {
        let _ =
            if first == last { write!(text, "; seed {first}.") } else { write!(text, "; seeds {first} to {last}.") };
    }
    if session["interrupted"] == true {
        let _ = write!(text, " Interrupted: {} runs of {}.", runs.len(), session["planned_runs"]);
    }
    text
}

/// Over the last minute.
fn load(average: &Value) -> String {
    average[0].as_f64().map_or("unknown".to_owned(), |load| format!("{load:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::lab::scenarios::group;
    use crate::bench::lab::summary::tests::run;

    fn session(runs: &[Run]) -> Value {
        json!({
            "format": FORMAT,
            "date": "2030-01-02 03:04",
            "options": {"quick": true},
            "interrupted": true,
            "planned_runs": 9,
            "machine": {"cores": 2, "processor": "A", "kernel": "Linux 6", "commit": "abc"},
            "load_average": {"before": [0.25, 1.0, 1.0], "after": []},
            "versions": versions(runs, Some("Chromium 156")),
            "figures": figures(runs),
            "runs": runs.iter().map(|run| run.whole.clone()).collect::<Vec<_>>(),
        })
    }

    #[test]
    fn a_session_is_kept_whole_and_its_tables_made_of_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let runs = [run("loss", "no loss", "native-native", json!({"frames_per_second": [30], "of_tomorrow": [7]}))];
        let path = keep(&session(&runs), Some(&folder.path().join("deep/a.json"))).unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back["figures"]["loss / no loss / native-native"]["frames_per_second"]["median"], 30.0);
        assert_eq!(back["runs"][0]["result"]["figures"]["of_tomorrow"], json!([7]), "what is not known is kept");
        write(&back, &path).unwrap();
        let tables = std::fs::read_to_string(path.with_extension("md")).unwrap();
        assert!(
            tables.starts_with("## loss\n") && tables.contains("| no loss | native-native | 1 | 30.0 |"),
            "{tables}"
        );
        let about = "2030-01-02 03:04, 2 cores (A), Linux 6; load 0.2 before and unknown after; commit abc; Chromium 156; seed 1. \
                     Interrupted: 1 runs of 9.";
        assert!(tables.contains(about), "{tables}");
        assert!(!tables.contains("## delay"), "what was not run has no table");
        assert!(tables.contains("(a.charts/frozen-by-loss.svg)") == path.with_extension("charts").exists());
    }

    #[test]
    fn a_group_is_whole_when_everyone_has_done_everything() {
        let cost = group("cost").unwrap();
        assert!(is_whole(&[run("cost", "a call of two", "native", json!({}))], cost));
        let outage = group("outage").unwrap();
        let all = outage.scenarios.iter().flat_map(|scenario| {
            scenario.contenders.iter().map(|one| run("outage", scenario.name, (outage.word)(*one), json!({})))
        });
        let all: Vec<Run> = all.collect();
        assert!(is_whole(&all, outage) && !is_whole(&all[1..], outage), "what was stopped is not whole");
    }

    #[test]
    fn what_is_no_session_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert!(read(&path).is_err());
        for text in ["", "[]", r#"{"format": 2, "runs": []}"#, r#"{"format": 1}"#] {
            std::fs::write(&path, text).unwrap();
            assert!(read(&path).is_err(), "{text}");
        }
    }

    #[test]
    fn the_document_has_a_place_for_every_group() {
        let document = std::fs::read_to_string(root().join("tests/lab/RESULTS.md")).unwrap();
        for Group { name, .. } in &GROUPS {
            assert!(
                document.contains(&format!("<!-- {name} -->")) && document.contains(&format!("<!-- /{name} -->")),
                "{name}"
            );
        }
    }
}
