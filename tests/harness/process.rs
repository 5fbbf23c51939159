//! A child process: its output line by line with deadlines, its end by id.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Lines of standard output read ahead; when full the child waits.
const LINES_AHEAD: usize = 4_096;
/// Lines of standard error kept for the message of a failing test; of more the earliest are forgotten.
const LOG_LINES: usize = 200;

/// A running program that ends when this is dropped.
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<(Instant, String)>,
    log: Arc<Log>,
}

/// What a child wrote to standard error.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Process {
    /// Starts it; `name` is what failures call it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{name} ({command:?}) can't be started: {error}"));
        let (sender, lines) = sync_channel(LINES_AHEAD);
        if let Some(output) = child.stdout.take() {
            read_lines(output, move |line| sender.send((Instant::now(), line)).is_ok());
        }
        let log = Arc::new(Log::default());
        if let Some(errors) = child.stderr.take() {
            let log = log.clone();
            read_lines(errors, move |line| {
                let mut lines = log.lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() >= LOG_LINES {
                    lines.remove(0);
                }
                lines.push(line);
                log.grown.notify_all();
                true
            });
        }
        let input = child.stdin.take();
        Self { name: name.to_owned(), child, input, lines, log }
    }

    /// The next line of standard output and when it came; none at its end.
    ///
    /// # Panics
    /// When none came until the deadline.
    pub fn line(&self, deadline: Instant) -> Option<(Instant, String)> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{} is silent\n{}", self.name, self.log()),
        }
    }

    /// The lines of standard output that are there and were not read yet.
    pub fn lines_so_far(&self) -> Vec<String> {
        self.lines.try_iter().map(|(_, line)| line).collect()
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// When it no longer reads.
    pub fn write_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("standard input is open until it is closed");
        let written = writeln!(input, "{line}").and_then(|()| input.flush());
        written.unwrap_or_else(|error| panic!("{} takes no input: {error}\n{}", self.name, self.log()));
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it still runs at the deadline.
    pub fn wait(&mut self, deadline: Instant) -> ExitStatus {
        self.input = None;
        // Its output ends when it does; only then is waiting for the process itself short.
        while self.line(deadline).is_some() {}
        self.child.wait().unwrap_or_else(|error| panic!("{} can't be waited for: {error}", self.name))
    }

    /// Ends it without a chance to say goodbye (SIGKILL).
    pub fn kill(&mut self) {
        // Both fail only for a process that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by its name, such as `INT`.
    ///
    /// # Panics
    /// When there is no such process any more.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().expect("`kill` is on every Unix");
        assert!(status.success(), "{} has ended before SIG{name}\n{}", self.name, self.log());
    }

    /// Waits until standard error has a line with these words.
    ///
    /// # Panics
    /// When it has none at the deadline.
    pub fn wait_for_log(&self, words: &str, deadline: Instant) {
        let lines = self.log.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missing = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(words));
        let left = deadline.saturating_duration_since(Instant::now());
        let (lines, waited) =
            self.log.grown.wait_timeout_while(lines, left, is_missing).unwrap_or_else(PoisonError::into_inner);
        drop(lines);
        assert!(!waited.timed_out(), "{} never said {words:?}\n{}", self.name, self.log());
    }

    /// What it wrote to standard error, for the message of a failing test.
    pub fn log(&self) -> String {
        let lines = self.log.lines.lock().unwrap_or_else(PoisonError::into_inner);
        format!("--- standard error of {}:\n{}\n---", self.name, lines.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads until the end, or until nobody wants more.
fn read_lines(from: impl Read + Send + 'static, mut take: impl FnMut(String) -> bool + Send + 'static) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if !take(line) {
                return;
            }
        }
    });
}
