//! A real TURN server, coturn, and the signaling server that shares its secret, on the public machine.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use crate::nat::{Nats, PUBLIC};
use crate::{DEADLINE, Process, programs};

const SECRET: &str = "known-to-both";
/// Where the signaling server listens.
const SERVER_PORT: u16 = 8080;
/// Where what is said to it is written down on the way.
const RECORDED_PORT: u16 = 8081;

/// Coturn with `use-auth-secret`, over UDP.
pub struct Coturn {
    process: Process,
    /// What was read of its log.
    lines: Vec<String>,
    _files: TempDir,
}

impl Coturn {
    /// Starts one; allocations live no longer than `lifetime_secs`.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(nats: &Nats, lifetime_secs: u32) -> Self {
        let files = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = Command::new("turnserver");
        command.args(["-n", "--no-tls", "--no-dtls", "--no-cli", "--use-auth-secret", "--realm=test", "--fingerprint"]);
        command.args(["--listening-port=3478", "--min-port=50000", "--max-port=50200", "--log-file=stdout", "-v"]);
        // As OPERATING.md says: nobody reaches a private network through the relay.
        command.args(["--no-multicast-peers", "--denied-peer-ip=192.168.0.0-192.168.255.255"]);
        command.arg(format!("--listening-ip={PUBLIC}")).arg(format!("--relay-ip={PUBLIC}"));
        command.arg(format!("--static-auth-secret={SECRET}")).arg(format!("--max-allocate-lifetime={lifetime_secs}"));
        command.arg(format!("--pidfile={}", files.path().join("pid").display()));
        command.arg(format!("--userdb={}", files.path().join("db").display()));
        let process = Process::start("coturn", &mut nats.public(command));
        let deadline = Instant::now() + DEADLINE;
        while let Some((_, line)) = process.line(deadline) {
            // One a thread; its sockets are open by then.
            if line.contains("IPv4. UDP listener opened on") {
                return Self { process, lines: Vec::new(), _files: files };
            }
        }
        panic!("coturn did not start\n{}", process.log());
    }

    /// Waits for so many more lines of its log with these words; the user names in them. Releases of allocations, and
    /// lines before the last that was waited for, are left out.
    ///
    /// # Panics
    /// When they do not come.
    pub fn names(&mut self, count: usize, words: &str) -> BTreeSet<String> {
        let deadline = Instant::now() + DEADLINE;
        let mut names = Vec::new();
        while names.len() < count {
            let Some((_, line)) = self.process.line(deadline) else { panic!("coturn ended\n{}", self.process.log()) };
            let name = line.split_once("username=<").and_then(|(_, rest)| rest.split_once('>'));
            if let Some((name, rest)) = name.filter(|_| line.contains(words))
                && rest != ", lifetime=0"
            {
                names.push(name.to_owned());
            }
            self.lines.push(line);
        }
        names.into_iter().collect()
    }

    /// Its log so far.
    pub fn lines(&mut self) -> &[String] {
        self.lines.extend(self.process.lines_so_far());
        &self.lines
    }
}

/// A signaling server that hands out credentials for [`Coturn`].
pub struct TurnServer {
    _process: Process,
    _recorder: Process,
    files: TempDir,
}

impl TurnServer {
    /// Starts one that names these TURN URLs.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start(nats: &Nats, urls: &[String], flags: &[&str]) -> Self {
        let files = tempfile::tempdir().expect("a temporary folder can be made");
        let secret = files.path().join("turn-secret");
        let mut file = std::fs::File::create(&secret).expect("a file can be made");
        writeln!(file, "{SECRET}").expect("a file can be written");
        let mut command = Command::new(programs::parlor_server());
        command.args(["--bind", &format!("{PUBLIC}:{SERVER_PORT}"), "--ice-server", "none", "--state-dir"]);
        command.arg(files.path()).arg("--turn-secret-file").arg(&secret).args(flags);
        for url in urls {
            command.args(["--turn-url", url]);
        }
        let process = Process::start("the server", &mut nats.public(command));
        wait_for_line(&process, "listening on ");
        let mut recorder = Command::new("socat");
        recorder.args(["-d", "-d", "-r"]).arg(files.path().join("said"));
        recorder.arg(format!("TCP-LISTEN:{RECORDED_PORT},bind={PUBLIC},reuseaddr,fork"));
        recorder.arg(format!("TCP:{PUBLIC}:{SERVER_PORT}"));
        let recorder = Process::start("socat", &mut nats.public(recorder));
        recorder.wait_for_log("listening on", Instant::now() + DEADLINE);
        Self { _process: process, _recorder: recorder, files }
    }

    /// The usual TURN URL.
    pub fn udp_url() -> Vec<String> {
        vec![format!("turn:{PUBLIC}:3478?transport=udp")]
    }

    /// The link to a room.
    pub fn link(&self, room: &str) -> String {
        format!("http://{PUBLIC}:{SERVER_PORT}/r/{room}")
    }

    /// The same for **one** client, whose words are written down.
    pub fn recorded_link(&self, room: &str) -> String {
        format!("http://{PUBLIC}:{RECORDED_PORT}/r/{room}")
    }

    /// What that client said, as text.
    ///
    /// # Panics
    /// When nothing was written down.
    pub fn recorded(&self) -> String {
        let said: PathBuf = self.files.path().join("said");
        let bytes = std::fs::read(said).expect("a client has spoken");
        let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("there is an HTTP request") + 4;
        let (head, frames) = bytes.split_at(head_end);
        String::from_utf8_lossy(head).into_owned() + &unmasked(frames)
    }
}

fn wait_for_line(process: &Process, start: &str) {
    let deadline = Instant::now() + DEADLINE;
    while let Some((_, line)) = process.line(deadline) {
        if line.starts_with(start) {
            return;
        }
    }
    panic!("{start:?} was never said\n{}", process.log());
}

/// The payloads of a client's WebSocket frames (RFC 6455 §5.2).
fn unmasked(mut frames: &[u8]) -> String {
    let mut text = String::new();
    while let Some((head, rest)) = frames.split_at_checked(2) {
        let long = match head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((length, rest)) = rest.split_at_checked(long) else { break };
        let length = match long {
            0 => usize::from(head[1] & 0x7f),
            _ => length.iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte)),
        };
        let Some((mask, rest)) = rest.split_at_checked(4) else { break };
        let (payload, rest) = rest.split_at(length.min(rest.len()));
        let bytes: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        text += &String::from_utf8_lossy(&bytes);
        text.push('\n');
        frames = rest;
    }
    text
}
