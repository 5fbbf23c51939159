//! `cargo xtask bench`: suites that measure. Each keeps its figures as JSON and writes tables for people.
//!
//! A benchmark is no test: it says what it found, and fails only where it could not measure.

mod document;
#[cfg(unix)]
mod lab;
mod limit;
mod machine;
mod options;
mod signaling;
mod statistics;

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::command::target_dir;

const USAGE: &str = "\
cargo xtask bench <name>… [--quick] [--rounds N] [--budget 60m] [--out FILE] [--fresh]
cargo xtask bench all                    all groups of the lab, three rounds
cargo xtask bench --quick                a little of each, in a few minutes
cargo xtask bench loss:30 set-up         scenarios of a group whose names contain a word
cargo xtask bench compare A.json B.json  what moved beyond its interval
cargo xtask bench report A.json          the tables of figures that are there
";
const SIGNALING: &str =
    "parlor-server beside a TCP echo, ws and socket.io: memory, relaying, restarts, abuse (not part of all)";

/// Runs suites one after the other, or says which there are.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    match arguments {
        [] => {
            list();
            return Ok(());
        }
        #[cfg(unix)]
        ["compare", before, after] => return lab::compare_files(before.as_ref(), after.as_ref()),
        #[cfg(unix)]
        ["report", session] => return lab::report_file(session.as_ref()),
        ["compare" | "report", ..] => anyhow::bail!("compare needs two files of figures, report one\n\n{USAGE}"),
        _ => {}
    }
    let (names, options) = options::read(arguments)?;
    let (signaling, of_lab): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| **name == "signaling");
    // All names are looked up before anything runs.
    #[cfg(unix)]
    let chosen = match (names.is_empty(), of_lab.is_empty()) {
        (true, _) => lab::choose(&["all"], options.quick)?,
        (false, true) => Vec::new(),
        (false, false) => lab::choose(&of_lab, options.quick)?,
    };
    #[cfg(not(unix))]
    anyhow::ensure!(of_lab.is_empty() && !names.is_empty(), "the lab needs Linux");
    if !signaling.is_empty() {
        signaling::run(&options)?;
    }
    #[cfg(unix)]
    if !chosen.is_empty() {
        let is_whole = of_lab.iter().all(|name| !name.contains(':'));
        lab::run(&chosen, &options, is_whole)?;
    }
    Ok(())
}

fn list() {
    println!("{USAGE}");
    #[cfg(unix)]
    print!("{}", lab::list());
    println!("signaling: {SIGNALING}");
}

/// Keeps a suite's figures: the newest under its name.
fn keep(name: &str, figures: &Value) -> anyhow::Result<PathBuf> {
    let folder = target_dir().join("bench");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(figures)? + "\n")
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_it_lists_and_an_unknown_one_is_refused() {
        assert!(run(&[]).is_ok());
        assert!(run(&["nothing"]).is_err());
        assert!(run(&["loss", "nothing"]).is_err());
        assert!(run(&["compare", "one.json"]).is_err());
        assert!(run(&["compare", "/nowhere/a.json", "/nowhere/b.json"]).is_err());
    }
}
