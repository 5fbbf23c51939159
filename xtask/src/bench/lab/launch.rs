//! Starting one run, and what it says at its end.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::run::Chosen;
use super::scenarios::Program;
use crate::command::{command, shown};

/// A run that takes so many times what it should is stuck.
const PATIENCE: f64 = 4.0;
/// And never less than this: the first run of some kind installs what it measures with.
const PATIENCE_AT_LEAST: Duration = Duration::from_secs(300);
/// For those who were told to stop.
const GRACE: Duration = Duration::from_secs(5);
/// Of what a run prints. A second of pictures is 2 kB; the rest is somebody's mistake.
const OUTPUT_BYTES: u64 = 64 << 20;

/// Where everything is.
pub(super) struct Launcher {
    /// The folder of the programs.
    pub(super) programs: PathBuf,
    pub(super) chromium: PathBuf,
    /// Set by ctrl-C.
    pub(super) stop: Arc<AtomicBool>,
}

/// What came of a run.
pub(super) enum End {
    Printed(Value),
    Failed(String),
    /// Ctrl-C: it is as if it had not been started.
    Stopped,
}

impl Launcher {
    /// Runs it to its end. What it says besides goes to the log.
    ///
    /// # Errors
    /// Only where the log cannot be written; all else is a result.
    pub(super) fn run(&self, chosen: &Chosen, wanted: &Value, log: &Path) -> anyhow::Result<End> {
        let mut command = self.command(chosen, wanted);
        let errors = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        // A group of its own: all that it started can be ended with it.
        command.process_group(0);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Ok(End::Failed(format!("`{}` could not be started: {error}", program(&command)))),
        };
        let last_line = child.stdout.take().map(last_line);
        let patience = Duration::from_secs_f64(chosen.estimate_seconds() * PATIENCE).max(PATIENCE_AT_LEAST);
        let end = self.wait(&mut child, Instant::now() + patience);
        let printed = last_line.and_then(|reader| reader.join().ok()).flatten();
        Ok(match end {
            Waited::Stopped => End::Stopped,
            Waited::Stuck => End::Failed(format!("it was not done after {} s", patience.as_secs())),
            Waited::Ended(status) => read(status, printed.as_deref(), log),
        })
    }

    fn command(&self, chosen: &Chosen, wanted: &Value) -> Command {
        let wanted = wanted.to_string();
        let mut command = match chosen.group.program {
            Program::Script(script) => command("node", &[script, &wanted]),
            Program::Built(name) => command(&self.programs.join(name).to_string_lossy(), &[&wanted]),
        };
        let programs = &self.programs;
        command.env("PARLOR", programs.join("parlor")).env("PARLOR_SERVER", programs.join("parlor-server"));
        command.env("PARLOR_LAB_NET", programs.join("parlor-lab-net")).env("CHROMIUM", &self.chromium);
        command
    }

    fn wait(&self, child: &mut Child, deadline: Instant) -> Waited {
        loop {
            match child.try_wait() {
                Ok(Some(status)) => {
                    // Whatever it left running.
                    signal(child, "KILL");
                    return Waited::Ended(status);
                }
                Ok(None) => {}
                Err(_) => return Waited::Stuck,
            }
            let stopped = self.stop.load(Ordering::Relaxed);
            if stopped || Instant::now() > deadline {
                end(child);
                return if stopped { Waited::Stopped } else { Waited::Stuck };
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

enum Waited {
    Ended(ExitStatus),
    Stuck,
    Stopped,
}

/// Asks all of the group to stop, and after a while does not ask.
fn end(child: &mut Child) {
    signal(child, "INT");
    let patience = Instant::now() + GRACE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(50));
    }
    signal(child, "KILL");
    // Nothing can be done about an error; it has been killed, so this cannot take long.
    let _ = child.kill();
    let _ = child.wait();
}

fn signal(child: &Child, name: &str) {
    // As POSIX has it: not every shell takes `-KILL` before `--`.
    let group = format!("kill -s {name} -- -{}", child.id());
    // A group that is gone already is as good.
    let _ = Command::new("sh").args(["-c", &group]).stderr(Stdio::null()).status();
}

/// The last line that is not empty, once all has been read.
fn last_line(output: impl Read + Send + 'static) -> JoinHandle<Option<String>> {
    std::thread::spawn(move || {
        let lines = BufReader::new(output.take(OUTPUT_BYTES)).split(b'\n').map_while(Result::ok);
        lines
            .filter(|line| !line.trim_ascii().is_empty())
            .last()
            .map(|line| String::from_utf8_lossy(&line).into_owned())
    })
}

fn read(status: ExitStatus, printed: Option<&str>, log: &Path) -> End {
    let result: Option<serde_json::Result<Value>> = printed.map(serde_json::from_str);
    if !status.success() {
        if let Some(reason) = result.iter().flatten().find_map(|result| result["invalid_reason"].as_str()) {
            return End::Failed(reason.to_owned());
        }
        let said = std::fs::read(log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let complaint = complaint(&said).map_or_else(String::new, |line| format!(": {line}"));
        return End::Failed(format!("it ended with {status}{complaint}"));
    }
    match result {
        None => End::Failed("it printed nothing".to_owned()),
        Some(Ok(result)) => End::Printed(result),
        Some(Err(error)) => End::Failed(format!("its last line is no JSON: {error}")),
    }
}

/// The line that says what went wrong: the last that names an error, or the last of all.
fn complaint(log: &str) -> Option<&str> {
    let mut lines = log.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.clone().rfind(|line| line.contains("Error: ")).or_else(|| lines.next_back())?;
    let end = line.char_indices().nth(200).map_or(line.len(), |(at, _)| at);
    Some(&line[..end])
}

fn program(command: &Command) -> String {
    shown(command).split(" {").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn failed(end: End) -> String {
        match end {
            End::Failed(why) => why,
            End::Printed(_) | End::Stopped => panic!("it did not fail"),
        }
    }

    #[test]
    fn the_last_line_is_the_result_whatever_came_before() {
        let output: &[u8] = b"hello\n{\"figures\": {}}\n\n";
        let line = last_line(output).join().unwrap();
        assert_eq!(line.as_deref(), Some("{\"figures\": {}}"));
        let End::Printed(result) = read(ExitStatus::from_raw(0), line.as_deref(), Path::new("/nowhere")) else {
            panic!("it is a result");
        };
        assert_eq!(result, serde_json::json!({"figures": {}}));
    }

    #[test]
    fn a_run_that_fails_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "file:///run.mjs:1\n\nError: no camera\n    at somewhere\n\nNode.js v20\n").unwrap();
        let exit_1 = ExitStatus::from_raw(1 << 8);
        assert_eq!(failed(read(exit_1, None, &log)), "it ended with exit status: 1: Error: no camera");
        let told = Some(r#"{"figures": {}, "invalid_reason": "the room is full"}"#);
        assert_eq!(failed(read(exit_1, told, &log)), "the room is full");
        assert_eq!(failed(read(ExitStatus::from_raw(0), None, &log)), "it printed nothing");
        assert!(failed(read(ExitStatus::from_raw(0), Some("oh"), &log)).starts_with("its last line is no JSON"));
        assert_eq!(complaint("one\ntwo\n"), Some("two"));
        assert_eq!(complaint("\n"), None);
    }
}
