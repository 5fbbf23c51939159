//! The servers that are measured, started and ended.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::command::{is_on_path, root, target_dir};

/// Where the ones for Node.js are.
pub(super) const FOLDER: &str = "tests/lab/signaling/contenders";

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contender {
    /// The floor: an echo over TCP.
    Echo,
    Parlor,
    ParlorTls,
    Ws,
    SocketIo,
}

impl Contender {
    pub(super) const ALL: [Self; 5] = [Self::Echo, Self::Parlor, Self::ParlorTls, Self::Ws, Self::SocketIo];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Parlor => "parlor",
            Self::ParlorTls => "parlor_tls",
            Self::Ws => "ws",
            Self::SocketIo => "socket_io",
        }
    }

    /// What it speaks, as the load calls it.
    pub(super) fn wire(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Parlor | Self::ParlorTls | Self::Ws => "parlor",
            Self::SocketIo => "socket-io",
        }
    }

    pub(super) fn is_encrypted(self) -> bool {
        self == Self::ParlorTls
    }

    /// Its memory is measured after it has collected its garbage, which is to its advantage.
    pub(super) fn collects_garbage(self) -> bool {
        matches!(self, Self::Ws | Self::SocketIo)
    }

    /// Starts it on a free port.
    pub(super) fn start(self) -> anyhow::Result<Server> {
        self.listen(self.command("127.0.0.1:0")?)
    }

    /// Starts it on a free port, meeting others in this Redis.
    pub(super) fn start_with(self, redis: &Redis) -> anyhow::Result<Server> {
        let mut command = self.command("127.0.0.1:0")?;
        command.arg("--redis").arg(format!("redis://127.0.0.1:{}", redis.port));
        self.listen(command)
    }

    fn listen(self, mut command: Command) -> anyhow::Result<Server> {
        let mut process = Running(command.stdout(Stdio::piped()).spawn()?);
        let output = process.0.stdout.take().context("the server has no output")?;
        for line in BufReader::new(output).lines() {
            if let Some((_, address)) = line?.rsplit_once("://").filter(|(start, _)| start.starts_with("listening on "))
            {
                let address = address.trim_end_matches('/').to_owned();
                return Ok(Server { contender: self, address, process });
            }
        }
        anyhow::bail!("{} ended before it was listening", self.name())
    }

    fn command(self, address: &str) -> anyhow::Result<Command> {
        let programs = target_dir().join("release");
        let script = |name: &str| root().join(FOLDER).join(name);
        let port = address.rsplit_once(':').map_or("0", |(_, port)| port);
        let mut command = with_all_descriptors();
        match self {
            Self::Echo => command.arg(programs.join("parlor-lab-echo")).arg(address),
            Self::Parlor | Self::ParlorTls => {
                let state = target_dir().join("bench/state");
                std::fs::create_dir_all(&state)?;
                command.arg(programs.join("parlor-server"));
                // All of its limits as they are, but for the number of clients.
                command.args(["--bind", address, "--ice-server", "none", "--max-connections", "19700", "--state-dir"]);
                command.arg(state);
                command.args(self.is_encrypted().then_some("--tls-self-signed"));
                command.env("RUST_LOG", "warn")
            }
            Self::Ws => command.args(["node", "--expose-gc"]).arg(script("ws.mjs")).arg(port),
            Self::SocketIo => command.args(["node", "--expose-gc"]).arg(script("socket-io.mjs")).arg(port),
        };
        Ok(command)
    }
}

/// A command whose program may have as many descriptors as the system lets it.
pub(super) fn with_all_descriptors() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n "$(ulimit -Hn)" && exec "$@""#, "sh"]);
    command
}

/// A server that listens; ends when this is dropped.
pub(super) struct Server {
    pub(super) contender: Contender,
    pub(super) address: String,
    process: Running,
}

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Ends it as a crash would, and starts it anew at the same address.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        self.process.0.kill()?;
        self.process.0.wait()?;
        *self = self.contender.listen(self.contender.command(&self.address)?)?;
        Ok(())
    }
}

/// A Redis of our own; ends when this is dropped.
pub(super) struct Redis {
    port: u16,
    _process: Running,
}

impl Redis {
    /// Starts it, and waits until it answers; none where this machine has no `redis-server`.
    pub(super) fn start() -> anyhow::Result<Option<Self>> {
        if !is_on_path("redis-server") {
            eprintln!("There is no redis-server here: what a second server costs is not measured.");
            return Ok(None);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Self { port, _process: Running(process) };
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(Some(redis));
            }
            sleep(Duration::from_millis(50));
        }
        anyhow::bail!("redis-server does not listen")
    }
}

/// A process that ends when we do.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The versions of the contenders for Node.js.
pub(super) fn versions() -> anyhow::Result<BTreeMap<String, Value>> {
    let manifest = std::fs::read_to_string(root().join(FOLDER).join("package.json"))?;
    let manifest: Value = serde_json::from_str(&manifest)?;
    let packages = manifest["dependencies"].as_object().context("the contenders have no dependencies")?;
    Ok(packages.iter().map(|(name, version)| (name.clone(), version.clone())).collect())
}
