//! `parlor-server` beside what people would use instead. What is measured and why is in `signaling/BENCHMARKS.md`.

mod contender;
mod load;
mod table;

use std::collections::BTreeMap;

use anyhow::bail;
use serde_json::{Map, Value, json};

use self::contender::{Contender, Redis};
use self::load::Load;
use super::options::Options;
use super::{keep, machine};
use crate::command::{command, is_on_path, root, run as run_command};
use crate::packages;

/// How large the loads are.
struct Sizes {
    /// Members at which memory is measured.
    idle: [usize; 2],
    /// Seconds before each of them, so that what entering needed is over and everyone was pinged.
    settle: f64,
    /// Members who relay, and seconds of it.
    relay: (usize, f64),
    held: usize,
    reconnect: usize,
    abuse_seconds: f64,
}

const FULL: Sizes = Sizes {
    idle: [2_000, 10_000],
    settle: 6.0,
    relay: (2_000, 5.0),
    // What the server leaves to others of its 20,000 descriptors: its pages, and those of the runtime.
    held: 19_500,
    reconnect: 10_000,
    abuse_seconds: 10.0,
};
const QUICK: Sizes =
    Sizes { idle: [200, 1_000], settle: 1.0, relay: (400, 1.0), held: 1_500, reconnect: 500, abuse_seconds: 3.0 };

/// Honest people beside an abuser, and the signals a second that they send together: 25 calls in which somebody just came in.
const HONEST: (usize, f64) = (100, 1_000.0);

/// How long a rate is tried, and what counts as keeping up with it.
const STEADY_SECONDS: f64 = 2.0;
const PROMPT_US: f64 = 10_000.0;

/// Builds all contenders, measures them in turn and writes the table.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("this suite reads memory and processor time from /proc, which Linux has");
    }
    set_up()?;
    let sizes = if options.quick { QUICK } else { FULL };
    let (machine, before) = (machine::describe(), machine::load());
    let mut rounds = Vec::new();
    let count = options.rounds.unwrap_or(if options.quick { 1 } else { 5 });
    for round in 0..count {
        eprintln!("round {} of {count}", round + 1);
        rounds.push(measure(&sizes, round)?);
    }
    let figures = json!({
        "suite": "signaling",
        "quick": options.quick,
        "machine": machine,
        "versions": contender::versions()?,
        "load_average": {"before": before, "after": machine::load()},
        "seed": "none: the load is the same at every run",
        "rounds": rounds,
        "figures": table::figures(&rounds),
    });
    let path = keep(if options.quick { "signaling-quick" } else { "signaling" }, &figures)?;
    let table = table::markdown(&figures);
    println!("{table}");
    eprintln!("All figures: {}", path.display());
    if !options.quick {
        table::write(&root().join("signaling/BENCHMARKS.md"), &table)?;
    }
    Ok(())
}

fn set_up() -> anyhow::Result<()> {
    if !(is_on_path("node") && is_on_path("npm")) {
        packages::install(&[&packages::NODE])?;
    }
    run_command(&mut command("npm", &["ci", "--no-audit", "--no-fund", "--prefix", contender::FOLDER]))?;
    let build = ["build", "--release", "-p", "parlor-signaling", "-p", "parlor-lab-signaling"];
    run_command(&mut command("cargo", &build))
}

/// One round: every contender in turn, each round beginning with another one.
fn measure(sizes: &Sizes, round: usize) -> anyhow::Result<Value> {
    let mut contenders = Contender::ALL;
    contenders.rotate_left(round % Contender::ALL.len());
    let mut results: Map<String, Value> =
        contenders.iter().map(|contender| (contender.name().to_owned(), json!({}))).collect();
    let mut add = |contender: Contender, name: &str, result: Value| results[contender.name()][name] = result;

    let (members, seconds) = sizes.relay;
    let mut burst = BTreeMap::new();
    for contender in contenders.into_iter().filter(|contender| !contender.is_encrypted()) {
        let server = contender.start()?;
        let report = load::run(&server, &Load::Burst { members, seconds })?;
        burst.insert(contender, report["per_second"].as_f64().unwrap_or_default());
        add(contender, "burst", report);
    }
    let mut steady = BTreeMap::new();
    for (&contender, &burst) in &burst {
        steady.insert(contender, highest_steady_rate(contender, members, burst)?);
    }
    let halves = [("half_load", &steady), ("half_burst", &burst)];
    for (name, capacity) in halves {
        for contender in contenders.into_iter().filter(|contender| !contender.is_encrypted()) {
            // The floor carries what parlor-server carries at half its load; who cannot do that, half of their own.
            let rate = capacity[&Contender::Parlor].min(capacity[&contender]) / 2.0;
            let server = contender.start()?;
            add(contender, name, load::run(&server, &Load::Rate { members, seconds, rate })?);
        }
    }
    for contender in contenders {
        let server = contender.start()?;
        let load = Load::Idle { counts: sizes.idle.to_vec(), settle: sizes.settle };
        add(contender, "idle", load::run(&server, &load)?);
    }
    let held = Load::Idle { counts: vec![sizes.held], settle: sizes.settle };
    add(Contender::Parlor, "held", load::run(&Contender::Parlor.start()?, &held)?);
    let mut server = Contender::Parlor.start()?;
    add(Contender::Parlor, "reconnect", load::reconnect(&mut server, sizes.reconnect)?);
    add(Contender::Parlor, "abuse", beside_an_abuser(sizes)?);
    if let Some(redis) = Redis::start()? {
        let (one, other) = (Contender::Parlor.start_with(&redis)?, Contender::Parlor.start_with(&redis)?);
        let (members, rate) = HONEST;
        let load = Load::Rate { members, seconds: sizes.abuse_seconds, rate };
        add(Contender::Parlor, "two_servers", load::run_across(&one, &other, &load)?);
    }
    Ok(Value::Object(results))
}

/// The highest rate at which nothing queues: nine in ten signals are there within [`PROMPT_US`]. In eighths of what the
/// bursts gave, which a server takes with far fewer system calls for each signal than one after the other.
fn highest_steady_rate(contender: Contender, members: usize, burst: f64) -> anyhow::Result<f64> {
    for eighths in (2..=8).rev() {
        let rate = burst * f64::from(eighths) / 8.0;
        let report = load::run(&contender.start()?, &Load::Rate { members, seconds: STEADY_SECONDS, rate })?;
        if report["delay"]["p90_us"].as_f64().is_some_and(|p90| p90 <= PROMPT_US) {
            return Ok(rate);
        }
    }
    Ok(burst / 8.0)
}

/// Honest people alone, then beside clients that misbehave.
fn beside_an_abuser(sizes: &Sizes) -> anyhow::Result<Value> {
    let server = Contender::Parlor.start()?;
    let (members, rate) = HONEST;
    let honest = Load::Rate { members, seconds: sizes.abuse_seconds, rate };
    let quiet = load::run(&server, &honest)?;
    let abusers = load::start(&server, &Load::Abuse { seconds: sizes.abuse_seconds + 2.0 })?;
    let abused = load::run(&server, &honest)?;
    Ok(json!({"quiet": quiet, "abused": abused, "abusers": abusers.report()?}))
}
