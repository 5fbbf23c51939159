//! A real headless peer, its JSON lines read as they come.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::sound::SoundServer;
use crate::{DEADLINE, Process, programs};

/// A `parlor join --headless --json --commands`.
pub struct Peer {
    process: Process,
    name: String,
    /// Everything it printed, with the time at which it came.
    seen: Vec<(Instant, Value)>,
    /// Its settings' folder, empty: the tester's own settings are none of its business.
    _settings: TempDir,
}

impl Peer {
    /// Starts one with a moving picture and a tone of its own.
    pub fn join(link: &str, name: &str, tone_hz: u32) -> Self {
        let tone = format!("tone:{tone_hz}");
        Self::join_with(link, name, &["--video", "test-pattern", "--audio", &tone, "--speaker", "none"])
    }

    /// Starts one with these flags besides.
    pub fn join_with(link: &str, name: &str, flags: &[&str]) -> Self {
        Self::start(link, name, flags, |_| {})
    }

    /// Starts one with these flags, among the devices of a sound server.
    pub fn join_among(sound: &SoundServer, link: &str, name: &str, flags: &[&str]) -> Self {
        Self::start(link, name, flags, |command| sound.apply(command))
    }

    /// Starts one in a network of its own: `place` says how its command is run there.
    pub fn join_from(link: &str, name: &str, flags: &[&str], place: impl FnOnce(Command) -> Command) -> Self {
        let (mut command, settings) = parlor();
        command.args(["join", link, "--name", name, "--headless", "--json", "--commands"]).args(flags);
        let process = Process::start(name, &mut place(command));
        Self { process, name: name.to_owned(), seen: Vec::new(), _settings: settings }
    }

    fn start(link: &str, name: &str, flags: &[&str], adapt: impl Fn(&mut Command)) -> Self {
        let (mut command, settings) = parlor();
        adapt(&mut command);
        command.args(["join", link, "--name", name, "--headless", "--json", "--commands"]).args(flags);
        let process = Process::start(name, &mut command);
        Self { process, name: name.to_owned(), seen: Vec::new(), _settings: settings }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many lines were read so far: what comes later can be told from what came before.
    pub fn mark(&self) -> usize {
        self.seen.len()
    }

    /// Waits for an event of this kind for which the condition holds, of all since the start.
    pub fn wait(&mut self, event: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.wait_after(0, event, condition).1
    }

    /// Waits for such an event among those after a mark; when it came, and the event.
    ///
    /// # Panics
    /// When it does not come until the deadline, or the peer ends before.
    pub fn wait_after(&mut self, mark: usize, event: &str, condition: impl Fn(&Value) -> bool) -> (Instant, Value) {
        let deadline = Instant::now() + DEADLINE;
        let mut next = mark;
        loop {
            while let Some((at, line)) = self.seen.get(next) {
                if line["event"] == event && condition(line) {
                    return (*at, line.clone());
                }
                next += 1;
            }
            if Instant::now() > deadline {
                panic!("{}: the awaited {event} did not come\n{}", self.name, self.told());
            }
            assert!(self.read(deadline), "{}: ended before the awaited {event}\n{}", self.name, self.told());
        }
    }

    /// Waits until media flows with someone; their peer id.
    pub fn connected_with(&mut self, name: &str) -> String {
        let event = self.wait("peer_connected", |event| event["name"] == name);
        event["peer_id"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for statistics in which the figures of someone fulfil the condition; these figures and all of the line.
    pub fn stats_of(&mut self, name: &str, condition: impl Fn(&Value) -> bool) -> (Value, Value) {
        let mark = self.mark();
        let (_, stats) = self.wait_after(mark, "stats", |stats| of(stats, name).is_some_and(&condition));
        (of(&stats, name).cloned().unwrap_or_default(), stats)
    }

    /// All events of a kind so far.
    pub fn events(&self, event: &str) -> impl Iterator<Item = &Value> {
        self.seen.iter().map(|(_, line)| line).filter(move |line| line["event"] == event)
    }

    /// Gives a command, such as `say Hello`.
    pub fn command(&mut self, line: &str) {
        self.process.write_line(line);
    }

    /// Tells it to leave; its summary.
    ///
    /// # Panics
    /// When it fails, or has no summary.
    pub fn leave(mut self) -> Value {
        self.command("leave");
        let (status, summary) = self.end();
        assert_eq!(status, Some(0), "{} failed\n{}", self.name, self.told());
        summary
    }

    /// Interrupts it (SIGINT); its exit code and summary.
    ///
    /// # Panics
    /// When it has no summary.
    pub fn interrupt(mut self) -> (Option<i32>, Value) {
        self.process.signal("INT");
        self.end()
    }

    /// Ends it as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits for its end; its exit code and summary.
    ///
    /// # Panics
    /// When it has no summary.
    pub fn end(&mut self) -> (Option<i32>, Value) {
        let deadline = Instant::now() + DEADLINE;
        while self.read(deadline) {}
        let status = self.process.wait(deadline);
        let Some((_, summary)) = self.seen.last().filter(|(_, line)| line["event"] == "summary") else {
            panic!("{}: the last line is no summary\n{}", self.name, self.told());
        };
        (status.code(), summary.clone())
    }

    /// Reads one line; whether there was one.
    fn read(&mut self, deadline: Instant) -> bool {
        let Some((at, line)) = self.process.line(deadline) else { return false };
        match serde_json::from_str(&line) {
            Ok(event) => self.seen.push((at, event)),
            Err(error) => panic!("{} printed what is no JSON ({error}): {line}", self.name),
        }
        true
    }

    /// The last lines and the log, for the message of a failing test.
    pub fn told(&self) -> String {
        let from = self.seen.len().saturating_sub(12);
        let lines: Vec<String> = self.seen[from..].iter().map(|(_, line)| line.to_string()).collect();
        format!("--- last lines of {}:\n{}\n{}", self.name, lines.join("\n"), self.process.log())
    }
}

/// A `parlor` that knows neither the tester's settings nor variables, and the folder of its settings.
///
/// # Panics
/// When the program is not built.
pub fn parlor() -> (Command, TempDir) {
    let settings = tempfile::tempdir().expect("a temporary folder can be made");
    let mut command = Command::new(programs::parlor());
    command.env("XDG_CONFIG_HOME", settings.path());
    for variable in [
        "SERVER",
        "NAME",
        "VIDEO",
        "AUDIO",
        "SPEAKER",
        "AUDIO_PROCESSING",
        "PASSWORD",
        "PASSWORD_FILE",
        "ACCESS",
        "ACCESS_FILE",
        "RELAY_ONLY",
    ] {
        command.env_remove(format!("PARLOR_{variable}"));
    }
    (command, settings)
}

/// Where [`parlor`] keeps its settings.
pub fn settings_file(settings: &TempDir) -> PathBuf {
    settings.path().join("parlor").join("config.toml")
}

/// The figures of someone in `stats` or a `summary`.
pub fn of<'a>(figures: &'a Value, name: &str) -> Option<&'a Value> {
    figures["peers"].as_array()?.iter().find(|peer| peer["name"] == name)
}

/// A number in such figures; 0 where it is missing.
pub fn number(figures: &Value, key: &str) -> f64 {
    figures[key].as_f64().unwrap_or(0.0)
}
