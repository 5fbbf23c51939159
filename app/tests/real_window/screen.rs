//! A server, headless peers, and a screen of its own with the real window on it, which is looked at and typed into.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use egui::Rect;
use parlor_signaling::{RunningServer, ServerConfig};
use serde_json::Value;

/// What a software renderer on a busy machine may take for any one step.
const PATIENCE: Duration = Duration::from_secs(60);
/// Points of the screen, which the window fills.
pub(crate) const SIZE: (u32, u32) = (1280, 800);

/// A signaling server of its own.
pub(crate) struct Server {
    runtime: tokio::runtime::Runtime,
    server: Option<RunningServer>,
    _state: tempfile::TempDir,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start() -> Self {
        let state = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = ServerConfig {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            state_dir: Some(state.path().to_owned()),
            ..ServerConfig::default()
        };
        let server = runtime.block_on(parlor_signaling::serve(config)).unwrap();
        let address = server.local_addr();
        Self { runtime, server: Some(server), _state: state, address }
    }

    pub(crate) fn link(&self) -> String {
        format!("http://{}/r/quiet-otter-71k2", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

/// A child that does not outlive the test.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A headless peer and what it says.
pub(crate) struct Peer {
    process: Process,
    events: Receiver<Value>,
    name: String,
}

impl Peer {
    pub(crate) fn join(link: &str, name: &str, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command.args(["join", link, "--name", name, "--headless", "--json", "--commands"]);
        command.args(["--video", "test-pattern", "--audio", "tone", "--duration", "300s"]).args(more);
        let mut process = Process(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { process, events, name: name.to_owned() }
    }

    pub(crate) fn command(&mut self, line: &str) {
        let input = self.process.0.stdin.as_mut().unwrap();
        writeln!(input, "{line}").and_then(|()| input.flush()).unwrap();
    }

    pub(crate) fn wait(&self, event: &str, matches: impl Fn(&Value) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(said) = self.events.recv_timeout(left) else { panic!("{} never said {event}", self.name) };
            if said["event"] == event && matches(&said) {
                return;
            }
        }
    }
}

/// A screen of its own.
pub(crate) struct Display {
    _server: Process,
    name: String,
}

impl Display {
    pub(crate) fn open() -> Self {
        let mut command = Command::new("Xvfb");
        let screen = format!("{}x{}x24", SIZE.0, SIZE.1);
        command.args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp", "-noreset"]);
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut server =
            Process(spawned.expect("this test needs Xvfb, xdotool and ImageMagick: cargo xtask test installs them"));
        let mut number = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Self { _server: server, name: format!(":{}", number.trim()) }
    }

    pub(crate) fn parlor<'d>(&'d self, arguments: &[&str], folder: &tempfile::TempDir) -> Window<'d> {
        self.parlor_with(arguments, folder, &[])
    }

    pub(crate) fn parlor_with<'d>(
        &'d self,
        arguments: &[&str],
        folder: &tempfile::TempDir,
        variables: &[(&str, &str)],
    ) -> Window<'d> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command.args(arguments).envs(variables.iter().copied());
        for (name, value) in [("NAME", "Mira"), ("VIDEO", "test-pattern"), ("AUDIO", "tone"), ("SPEAKER", "none")] {
            command.env(format!("PARLOR_{name}"), value);
        }
        command.env("DISPLAY", &self.name).env_remove("WAYLAND_DISPLAY").env("LIBGL_ALWAYS_SOFTWARE", "1");
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
            command.env(name, folder.path());
        }
        // What it logs says where a hosted call is.
        command.env("RUST_LOG", "warn,parlor=info").env("NO_COLOR", "1").stderr(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sender.send(line);
            }
        });
        Window { display: self, process, log, id: String::new() }
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).env("DISPLAY", &self.name).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// The real window on it.
pub(crate) struct Window<'d> {
    display: &'d Display,
    pub(crate) process: Process,
    log: Receiver<String>,
    id: String,
}

impl Window<'_> {
    pub(crate) fn wait_until_shown(&mut self) {
        let found = wait_for("a window", || {
            let ids = self.display.run("xdotool", &["search", "--onlyvisible", "--name", "^Parlor$"])?;
            ids.lines().next().map(str::to_owned)
        });
        self.id = found;
        // Without a window manager nobody else gives the keyboard to it.
        self.display.run("xdotool", &["windowfocus", "--sync", &self.id]);
    }

    pub(crate) fn key(&self, key: &str) {
        self.display.run("xdotool", &["key", key]).unwrap();
    }

    pub(crate) fn type_text(&self, text: &str) {
        self.display.run("xdotool", &["type", "--delay", "30", text]).unwrap();
    }

    pub(crate) fn click(&self, at: egui::Pos2) {
        let (x, y) = (format!("{:.0}", at.x), format!("{:.0}", at.y));
        self.display.run("xdotool", &["mousemove", "--window", &self.id, &x, &y]).unwrap();
        self.display.run("xdotool", &["click", "1"]).unwrap();
    }

    /// Looks until so many colours are on the screen: letters alone have about a hundred, pictures thousands.
    pub(crate) fn screenshot(&self, name: &str, colors: usize) {
        let folder = screenshots();
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        let path = path.to_str().unwrap();
        wait_for(name, || {
            self.display.run("import", &["-window", &self.id, path])?;
            let seen: usize = self.display.run("identify", &["-format", "%k", path])?.parse().ok()?;
            (seen >= colors).then_some(())
        });
    }

    /// Looks until a point has a colour.
    pub(crate) fn wait_for_color(&self, at: egui::Pos2, color: &str) {
        self.wait_until_color(at, |seen| seen.starts_with(color));
    }

    /// Looks until the colour of a point is as wished.
    pub(crate) fn wait_until_color(&self, at: egui::Pos2, is_wished: impl Fn(&str) -> bool) {
        let format = format!("%[hex:p{{{:.0},{:.0}}}]", at.x, at.y);
        wait_for("a colour", || {
            let script = format!("import -window {} png:- | convert - -format '{format}' info:", self.id);
            let seen = self.display.run("sh", &["-c", &script])?;
            is_wished(&seen).then_some(())
        });
    }

    /// The colours of a part of it, three bytes a point.
    pub(crate) fn points(&self, part: Rect) -> Vec<u8> {
        let (at, size) = (part.min, part.size());
        let crop = format!("{:.0}x{:.0}+{:.0}+{:.0}", size.x, size.y, at.x, at.y);
        let mut command = Command::new("import");
        command.args(["-window", &self.id, "-crop", &crop, "+repage", "-depth", "8", "rgb:-"]);
        let output = command.env("DISPLAY", &self.display.name).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Looks until a part of it has changed three times: first letters may have given way to a picture, then it moves.
    pub(crate) fn wait_for_motion(&self, part: Rect) {
        let mut seen = self.points(part);
        for _ in 0..3 {
            seen = wait_for("a moving picture", || {
                let now = self.points(part);
                (now != seen).then_some(now)
            });
        }
    }

    /// By its key: without a window manager nobody else asks a window to close.
    pub(crate) fn close(&mut self) {
        self.key("ctrl+q");
        self.wait_for_end();
    }

    /// The link to the call it hosts.
    pub(crate) fn wait_for_link(&self) -> String {
        let line = self.wait_for_log("link=");
        let (_, link) = line.split_once("link=").unwrap();
        link.split_whitespace().next().unwrap().to_owned()
    }

    /// The first line it logs, of those not looked at yet, that has these words.
    pub(crate) fn wait_for_log(&self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else { panic!("it never logged {words:?}") };
            if line.contains(words) {
                return line;
            }
        }
    }

    pub(crate) fn wait_for_end(&mut self) {
        let status = wait_for("the window's end", || self.process.0.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

fn screenshots() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "../target".into(), PathBuf::from);
    target.join("screenshots")
}

/// X tells nobody when a window is there or has painted: asked again until it is so.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}
