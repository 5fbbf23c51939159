//! The load, in a process of its own; its report is one line of JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use super::contender::{Running, Server, with_all_descriptors};
use crate::command::target_dir;

/// Signals of each member on their way at once: a client that has just begun a call sends its candidates in such a burst.
const BURST: &str = "8";

/// What is done to a server.
pub(super) enum Load {
    /// Members who say nothing, measured at each of these counts.
    Idle { counts: Vec<usize>, settle: f64 },
    /// Members who signal as fast as the server relays, in bursts.
    Burst { members: usize, seconds: f64 },
    /// Members who send so many signals a second together.
    Rate { members: usize, seconds: f64, rate: f64 },
    /// Members who all come back at once.
    Reconnect { members: usize },
    /// Clients that misbehave.
    Abuse { seconds: f64 },
}

/// A load that runs.
pub(super) struct Started {
    process: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Puts a load on a server; what came of it.
pub(super) fn run(server: &Server, load: &Load) -> anyhow::Result<Value> {
    start(server, load)?.report()
}

/// The same on two servers that share their rooms: each signal goes from one to the other.
pub(super) fn run_across(server: &Server, other: &Server, load: &Load) -> anyhow::Result<Value> {
    begin(command(server, &[&server.address, &other.address], load), "both", load)?.report()
}

/// Members enter, the server is killed and started anew, all come back at once.
pub(super) fn reconnect(server: &mut Server, members: usize) -> anyhow::Result<Value> {
    let mut load = start(server, &Load::Reconnect { members })?;
    anyhow::ensure!(load.line()?.trim() == "restart", "the load did not come as far as the restart");
    server.restart()?;
    load.input.write_all(b"restarted\n")?;
    load.report()
}

/// Begins to put a load on a server.
pub(super) fn start(server: &Server, load: &Load) -> anyhow::Result<Started> {
    begin(command(server, &[&server.address], load), server.contender.name(), load)
}

fn begin(mut command: Command, name: &str, load: &Load) -> anyhow::Result<Started> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child: Child = command.spawn().context("parlor-lab-load could not be started")?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let process = Running(child);
    let (input, output) = pipes.context("the load has no pipes")?;
    eprintln!("  {name}: {}", load.name());
    Ok(Started { process, input, output: BufReader::new(output) })
}

fn command(server: &Server, addresses: &[&str], load: &Load) -> Command {
    let mut command = with_all_descriptors();
    if let Load::Abuse { .. } = load {
        // An abuser has a machine of its own: here it takes only the processor time that is left.
        command.args(["nice", "-n", "19"]);
    }
    command.arg(target_dir().join("release/parlor-lab-load"));
    command.args(["--pid", &server.pid().to_string(), "--wire", server.contender.wire()]);
    command.args(server.contender.is_encrypted().then_some("--tls"));
    command.args(addresses.iter().flat_map(|address| ["--address", *address]));
    command.args(load.arguments());
    if let (Load::Idle { .. }, true) = (load, server.contender.collects_garbage()) {
        command.arg("--collects-garbage");
    }
    command
}

impl Load {
    fn name(&self) -> &'static str {
        match self {
            Self::Idle { .. } => "idle members",
            Self::Burst { .. } => "bursts, as fast as it relays",
            Self::Rate { .. } => "a steady rate",
            Self::Reconnect { .. } => "all come back at once",
            Self::Abuse { .. } => "abuse",
        }
    }

    fn arguments(&self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match self {
            Self::Idle { counts, settle } => {
                let counts = counts.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
                words(&["idle", "--counts", &counts, "--settle", &settle.to_string()])
            }
            Self::Burst { members, seconds } => words(&[
                "relay",
                "--members",
                &members.to_string(),
                "--measure",
                &seconds.to_string(),
                "--tokens",
                BURST,
            ]),
            Self::Rate { members, seconds, rate } => words(&[
                "relay",
                "--members",
                &members.to_string(),
                "--measure",
                &seconds.to_string(),
                "--rate",
                &rate.to_string(),
            ]),
            Self::Reconnect { members } => words(&["reconnect", "--members", &members.to_string()]),
            Self::Abuse { seconds } => words(&["abuse", "--seconds", &seconds.to_string()]),
        }
    }
}

impl Started {
    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    /// Waits for the end, and gives what the load reports.
    pub(super) fn report(mut self) -> anyhow::Result<Value> {
        let report = self.line()?;
        let status = self.process.0.wait()?;
        anyhow::ensure!(status.success(), "the load failed ({status})");
        serde_json::from_str(&report).context("the load gave no report")
    }
}
