//! `cargo xtask bench`: suites that measure. Each keeps its figures as JSON and writes a table for people.
//!
//! A benchmark is no test: it says what it found, and fails only where it could not measure.

mod calls;
mod figures;
mod machine;
mod signaling;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::command::target_dir;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// A few seconds of each, to see that it runs; no table is written.
    quick: bool,
    /// How often all contenders are measured in turn. Figures are medians over the rounds.
    rounds: usize,
}

/// A suite, what it measures, and how it is run.
struct Suite {
    name: &'static str,
    about: &'static str,
    run: fn(Options) -> anyhow::Result<()>,
}

const SUITES: [Suite; 4] = [
    Suite {
        name: "signaling",
        about: "parlor-server beside a TCP echo, ws and socket.io: memory, relaying, restarts, abuse",
        run: signaling::run,
    },
    Suite { name: "loss", about: "calls beside Chromium's while packets are lost", run: calls::loss },
    Suite { name: "delay", about: "calls beside Chromium's over long and uneven paths", run: calls::delay },
    Suite { name: "capacity", about: "calls beside Chromium's on narrow links", run: calls::capacity },
];

/// Runs suites one after the other, or says which there are.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let names = arguments.iter().take_while(|argument| !argument.starts_with('-')).count();
    let (names, options) = arguments.split_at(names);
    if names.is_empty() {
        println!("cargo xtask bench <suite>… [--quick] [--rounds N]\n");
        for suite in &SUITES {
            println!("  {:<12} {}", suite.name, suite.about);
        }
        return Ok(());
    }
    let options = read_options(options)?;
    let suites = names.iter().map(|name| {
        let suite = SUITES.iter().find(|suite| suite.name == *name);
        suite.with_context(|| format!("there is no suite {name:?}: `cargo xtask bench` lists them"))
    });
    // All are looked up before the first runs.
    for suite in suites.collect::<anyhow::Result<Vec<_>>>()? {
        (suite.run)(options)?;
    }
    Ok(())
}

fn read_options(arguments: &[&str]) -> anyhow::Result<Options> {
    let (mut quick, mut rounds) = (false, None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--quick" => quick = true,
            "--rounds" => {
                let number = arguments.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
                rounds = Some(number.context("--rounds needs a number, at least 1")?);
            }
            other => bail!("a benchmark does not know {other:?}; it knows --quick and --rounds N"),
        }
    }
    Ok(Options { quick, rounds: rounds.unwrap_or(if quick { 1 } else { 5 }) })
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
    fn options_are_read_and_others_refused() {
        let options = read_options(&["--quick", "--rounds", "3"]).unwrap();
        assert!(options.quick && options.rounds == 3);
        assert_eq!(read_options(&[]).unwrap().rounds, 5);
        for wrong in [&["--rounds"][..], &["--rounds", "0"], &["--fast"]] {
            assert!(read_options(wrong).is_err(), "{wrong:?}");
        }
        assert!(run(&["nothing"]).is_err());
        assert!(run(&["--rounds", "1"]).is_ok(), "without a name it lists them");
    }
}
