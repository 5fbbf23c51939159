//! The real signaling server.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use crate::{DEADLINE, Process, programs};

/// A `parlor-server` on loopback, without STUN, with a state folder of its own.
pub struct Server {
    process: Process,
    address: String,
    /// Of its own certificate, where it has one.
    fingerprint: Option<String>,
    state: TempDir,
    flags: Vec<String>,
}

impl Server {
    /// Starts one at a free port and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with a certificate of its own.
    pub fn start_self_signed() -> Self {
        Self::start_with(&["--tls-self-signed"])
    }

    /// One that lets in only who brings an access token, verified with this file.
    pub fn start_asking_for_tokens(key_file: &Path) -> Self {
        Self::start_with(&["--access", "token", "--access-key-file", &key_file.display().to_string()])
    }

    fn start_with(flags: &[&str]) -> Self {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let state = tempfile::tempdir().expect("a temporary folder can be made");
        let (process, address, fingerprint) = listen("127.0.0.1:0", &flags, &state);
        Self { process, address, fingerprint, state, flags }
    }

    /// `http://127.0.0.1:PORT`, with a certificate `https`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The link to a room.
    pub fn link(&self, room: &str) -> String {
        format!("{}/r/{room}", self.address)
    }

    /// The same with the fingerprint of its own certificate.
    ///
    /// # Panics
    /// When it has none.
    pub fn whole_link(&self, room: &str) -> String {
        format!("{}#fp={}", self.link(room), self.fingerprint.as_ref().expect("it has a certificate of its own"))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same address with the same state; returns when it began to listen.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start_again(&mut self) -> Instant {
        let (_, bind) = self.address.split_once("://").expect("an address has a scheme");
        let (process, address, fingerprint) = listen(bind, &self.flags, &self.state);
        assert_eq!(address, self.address);
        (self.process, self.fingerprint) = (process, fingerprint);
        Instant::now()
    }

    /// Starts another one at the same address, which knows nothing of the first.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start_another(&mut self) {
        self.state = tempfile::tempdir().expect("a temporary folder can be made");
        self.start_again();
    }
}

/// The process, its address and its certificate's fingerprint.
fn listen(bind: &str, flags: &[String], state: &TempDir) -> (Process, String, Option<String>) {
    let mut command = Command::new(programs::parlor_server());
    command.args(["--bind", bind, "--ice-server", "none", "--state-dir"]).arg(state.path()).args(flags);
    let process = Process::start("the server", &mut command);
    let deadline = Instant::now() + DEADLINE;
    let mut listening = None;
    while let Some((_, line)) = process.line(deadline) {
        let fingerprint = line.strip_prefix("certificate fingerprint ").and_then(|rest| rest.split(' ').next());
        if let Some(address) = line.strip_prefix("listening on ") {
            listening.get_or_insert_with(|| address.trim_end_matches('/').to_owned());
        }
        if let Some(address) = listening.take_if(|address| address.starts_with("http:") || fingerprint.is_some()) {
            return (process, address, fingerprint.map(str::to_owned));
        }
    }
    panic!("the server ended before it listened\n{}", process.log());
}
