//! Calls of two through a network with faults: native, mixed, and Chromium alone, on the same work in turn.
//!
//! A run is one process (`tests/lab/call/run.mjs`), and one JSON file in `target/bench/<suite>`. A run in which the relay was late
//! is kept, marked, and left out of the figures.

mod table;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{Options, machine};
use crate::command::{command, root, run as run_command, shown, target_dir};
use crate::packages;

/// Who calls whom; in turn.
const CONTENDERS: [&str; 3] = ["native-native", "native-chromium", "chromium-chromium"];
/// Seconds that are measured, after everything has settled.
const SECONDS: u32 = 20;
/// The same to see whether it runs.
const SECONDS_QUICK: u32 = 6;

/// One network.
pub(super) struct Scenario {
    name: &'static str,
    /// From before the measurement; see `parlor-lab-net --help`.
    rules: &'static [&'static str],
    /// From a second of the measurement on.
    steps: &'static [(u32, &'static str)],
}

const fn still(name: &'static str, rules: &'static [&'static str]) -> Scenario {
    Scenario { name, rules, steps: &[] }
}

const LOSS: [Scenario; 5] = [
    still("no loss", &[]),
    still("2 % at random", &["up loss=2%"]),
    still("10 % at random", &["up loss=10%"]),
    still("30 % at random", &["up loss=30%"]),
    still("10 % in bursts of 3", &["up loss=10%x3"]),
];
const DELAY: [Scenario; 3] = [
    still("no delay", &[]),
    still("50 ms one way", &["up delay=50ms"]),
    still("50 ms one way, 20 ms jitter", &["up delay=50ms,jitter=20ms"]),
];
const CAPACITY: [Scenario; 4] = [
    still("50 kbit/s", &["up rate=50kbps"]),
    still("200 kbit/s", &["up rate=200kbps"]),
    still("300 kbit/s", &["up rate=300kbps"]),
    Scenario { name: "2.8 Mbit/s, then 0.6", rules: &["up rate=2.8Mbps"], steps: &[(8, "up rate=600kbps")] },
];

pub(super) fn loss(options: Options) -> anyhow::Result<()> {
    run("loss", &LOSS, options)
}

pub(super) fn delay(options: Options) -> anyhow::Result<()> {
    run("delay", &DELAY, options)
}

pub(super) fn capacity(options: Options) -> anyhow::Result<()> {
    run("capacity", &CAPACITY, options)
}

fn run(suite: &str, scenarios: &[Scenario], options: Options) -> anyhow::Result<()> {
    let programs = programs()?;
    let folder = target_dir().join("bench").join(suite);
    std::fs::create_dir_all(&folder)?;
    let (machine, load_before) = (machine::describe(), machine::load());
    let mut runs = Vec::new();
    let total = options.rounds * scenarios.len() * CONTENDERS.len();
    for round in 0..options.rounds {
        for scenario in scenarios {
            // A B C, A B C: what the machine does meanwhile hits all alike.
            for contender in CONTENDERS {
                eprintln!("[{}/{total}] {suite}: {}, {contender}", runs.len() + 1, scenario.name);
                let mut result = measure(&programs, scenario, contender, round, options)?;
                result["scenario"] = json!(scenario.name);
                result["machine"] = machine.clone();
                result["load"] = machine::load();
                let file = format!("{}-{contender}-{round}.json", scenario.name.replace([' ', '/', '%', ','], "_"));
                std::fs::write(folder.join(file), serde_json::to_string_pretty(&result)? + "\n")?;
                runs.push(result);
            }
        }
    }
    let text = table::of(suite, scenarios, &runs, &machine, &load_before);
    println!("{text}");
    if !options.quick {
        table::write(&root().join("tests/lab/RESULTS.md"), suite, &text)?;
    }
    Ok(())
}

/// The folder of the programs, built as users have them; `PARLOR_PROGRAMS` names one where they are already.
fn programs() -> anyhow::Result<PathBuf> {
    packages::install(&[&packages::BUILD, &packages::TEST])?;
    run_command(&mut command("npm", &["ci", "--no-audit", "--no-fund", "--prefix", "tests/browser"]))?;
    if let Some(folder) = std::env::var_os("PARLOR_PROGRAMS") {
        return Ok(root().join(folder));
    }
    let packages = ["-p", "parlor", "-p", "parlor-signaling", "-p", "parlor-lab-net"];
    run_command(&mut command("cargo", &[&["build", "--release"][..], &packages].concat()))?;
    Ok(target_dir().join("release"))
}

fn measure(
    programs: &Path,
    scenario: &Scenario,
    contender: &str,
    round: usize,
    options: Options,
) -> anyhow::Result<Value> {
    let seconds = if options.quick { SECONDS_QUICK } else { SECONDS };
    let wanted = json!({
        "contender": contender, "rules": scenario.rules, "steps": scenario.steps, "seconds": seconds, "seed": round + 1,
    });
    let mut node = command("node", &["tests/lab/call/run.mjs", &wanted.to_string()]);
    node.env("PARLOR", programs.join("parlor")).env("PARLOR_SERVER", programs.join("parlor-server"));
    node.env("PARLOR_LAB_NET", programs.join("parlor-lab-net"));
    node.env("CHROMIUM", std::env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into()));
    let output = node.stderr(Stdio::inherit()).output().with_context(|| format!("`{}`", shown(&node)))?;
    if !output.status.success() {
        // One call that failed is a result too, and must not end the others.
        return Ok(json!({"contender": contender, "failed": true, "valid": true}));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().last() else { bail!("a run ended without a word") };
    serde_json::from_str(line).with_context(|| format!("a run printed {line:?}"))
}
