//! The real window on a screen of its own: lobby, a call with a headless peer, chat, leaving. What it looked like is in
//! `target/screenshots`.

#![cfg(all(feature = "gui", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use egui::{Rect, pos2, vec2};
use parlor::ui::call_layout::call_layout;
use parlor_signaling::{RunningServer, ServerConfig};
use serde_json::Value;

/// What a software renderer on a busy machine may take for any one step.
const PATIENCE: Duration = Duration::from_secs(60);
const SIZE: (u32, u32) = (1280, 800);
/// On the edge of the field of an open chat; bare background where there is no chat.
const CHAT_FIELD_EDGE: egui::Pos2 = pos2(941.0, 758.0);
/// On the edge of the field of the door, which has the keyboard.
const DOOR_FIELD_EDGE: egui::Pos2 = pos2(640.0, 352.0);
/// The button of the question before leaving what one hosts.
const LEAVE_ANYWAY: egui::Pos2 = pos2(740.0, 470.0);

/// The picture of the lobby.
const PREVIEW: Rect = Rect { min: pos2(140.0, 193.0), max: pos2(700.0, 508.0) };

#[test]
fn a_call_is_joined_seen_written_in_and_left() {
    let server = Server::start();
    let display = Display::open();
    let ana = Peer::join(&server.link(), "Ana", &["--say", "Hello from Ana"]);
    ana.wait("joined", |_| true);
    let folder = tempfile::tempdir().unwrap();
    let mut window = display.parlor(&["join", &server.link()], &folder);
    window.wait_until_shown();
    window.screenshot("window-lobby", 100);

    window.key("Return");
    ana.wait("peer_connected", |_| true);
    window.screenshot("window-call", 2_000);

    window.key("c");
    // The ring around the chat's field: it has the keyboard.
    window.wait_for_color(CHAT_FIELD_EDGE, "F0B357");
    window.type_text("Hello from Mira");
    window.key("Return");
    ana.wait("chat", |event| event["text"] == "Hello from Mira");
    // A moment later, so that the window has painted it too.
    ana.wait("stats", |_| true);
    window.screenshot("window-chat", 2_000);

    // Out of the field, then out of the chat: each seen before the next, or a slow window takes both for one.
    window.key("Escape");
    window.wait_until_color(CHAT_FIELD_EDGE, |color| !color.starts_with("F0B357"));
    window.key("Escape");
    window.wait_for_color(CHAT_FIELD_EDGE, "0F1115");
    let toolbar = call_layout(Rect::from_min_size(pos2(0.0, 0.0), vec2(SIZE.0 as f32, SIZE.1 as f32)), false).toolbar;
    window.click(toolbar.right_center() - vec2(20.0, 0.0));
    ana.wait("peer_left", |_| true);
    window.screenshot("window-left", 100);

    window.close();
}

#[test]
fn closing_the_window_leaves_the_call_and_four_fit_in_it() {
    let server = Server::start();
    let display = Display::open();
    let peers = ["Ana", "Bo", "Chen"].map(|name| Peer::join(&server.link(), name, &[]));
    for peer in &peers {
        peer.wait("joined", |_| true);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = display.parlor(&["join", &server.link()], &folder);
    window.wait_until_shown();
    window.key("Return");
    // Two others and Mira.
    for peer in &peers {
        (0..3).for_each(|_| peer.wait("peer_connected", |_| true));
    }
    (0..3).for_each(|_| peers[0].wait("stats", |_| true));
    window.screenshot("call-four", 4_000);
    window.close();
    for peer in &peers {
        peer.wait("peer_left", |_| true);
    }
}

#[test]
fn a_call_hosted_by_the_window_is_joined_by_its_link_and_closing_it_is_asked_about() {
    let display = Display::open();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("parlor/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "name = \"Kept\"\nice_servers = []\n").unwrap();
    let mut window = display.parlor(&[], &folder);
    window.wait_until_shown();
    // The ring around the room's field: the lobby is there. Then the button right of Join.
    window.wait_for_color(pos2(761.0, 368.0), "F0B357");
    window.click(pos2(1_093.0, 431.0));
    // The invitation's button, beside the self view.
    window.wait_for_color(pos2(780.0, 396.0), "F0B357");
    window.screenshot("window-hosting", 2_000);

    let link = window.wait_for_link();
    assert!(link.starts_with("https://") && link.contains("#fp="), "{link}");
    let ana = Peer::join(&link, "Ana", &[]);
    ana.wait("peer_connected", |event| event["name"] == "Mira");
    ana.wait("stats", |event| event["peers"][0]["frames_decoded"].as_u64() > Some(0));
    window.screenshot("window-hosted", 4_000);

    window.key("ctrl+q");
    // "Leave anyway".
    window.wait_for_color(LEAVE_ANYWAY - vec2(80.0, 0.0), "E5564C");
    window.screenshot("window-hosted-closing", 100);
    assert!(window.process.0.try_wait().unwrap().is_none(), "it waits for an answer");
    window.click(LEAVE_ANYWAY);
    window.wait_for_end();
    ana.wait("peer_left", |_| true);
    let kept = std::fs::read_to_string(&config).unwrap();
    assert!(kept.contains("name = \"Kept\""), "the name was given for this run only: {kept}");
}

#[test]
fn a_room_with_a_password_is_entered_through_its_door_after_a_wrong_one() {
    let server = Server::start();
    let display = Display::open();
    let mut ana = Peer::join(&server.link(), "Ana", &[]);
    ana.wait("joined", |_| true);
    ana.command("password pears");
    ana.wait("policy", |policy| policy["has_password"] == true);
    let folder = tempfile::tempdir().unwrap();
    let mut window = display.parlor(&["join", &server.link()], &folder);
    window.wait_until_shown();
    window.key("Return");
    window.wait_for_color(DOOR_FIELD_EDGE, "F0B357");
    window.screenshot("window-door", 100);
    window.type_text("apples");
    window.key("Return");
    // The door again, with an empty field.
    window.wait_for_log("not the password");
    window.wait_for_color(DOOR_FIELD_EDGE, "F0B357");
    window.type_text("pears");
    window.key("Return");
    ana.wait("peer_connected", |event| event["name"] == "Mira");
    ana.command("remove Mira");
    ana.wait("peer_left", |event| event["reason"] == "removed");
    window.wait_for_log("You were removed");
    // Where a tile was there is nothing now.
    window.wait_for_color(pos2(200.0, 200.0), "0F1115");
    window.screenshot("window-removed", 50);
    window.close();
}

/// A stand-in for a card converts too; it is only not asked to unless somebody wishes it.
#[test]
fn the_graphics_card_and_the_processor_show_the_same_picture() {
    let display = Display::open();
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("still.y4m");
    std::fs::write(&clip, still()).unwrap();
    let source = format!("file:{}", clip.display());
    let arguments = ["join", "http://127.0.0.1:1/r/quiet-otter-71k2", "--video", &source, "--audio", "none"];
    let seen = ["processor", "graphics-card"].map(|who| {
        let config = folder.path().join("parlor/config.toml");
        std::fs::create_dir_all(config.parent().unwrap()).unwrap();
        std::fs::write(&config, format!("preview_camera = true\npicture_conversion = \"{who}\"\n")).unwrap();
        let mut window = display.parlor(&arguments, &folder);
        window.wait_for_log(&format!("pictures are converted by the {}", who.replace('-', " ")));
        window.wait_until_shown();
        // Right of the middle in the camera's picture, left of it here: what you see of yourself is mirrored.
        window.wait_until_color(PREVIEW.left_center() + vec2(40.0, 0.0), |seen| {
            ["FE0000", "FF0000"].contains(&&seen[..6])
        });
        window.screenshot(&format!("window-preview-{who}"), 500);
        let points = window.points(PREVIEW.expand(8.0));
        window.close();
        points
    });
    let [processor, card] = seen;
    let size = PREVIEW.expand(8.0).size();
    assert_eq!((processor.len(), card.len()), ((size.x * size.y * 3.0) as usize, processor.len()));
    let furthest = processor.iter().zip(&card).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(furthest <= Some(3), "somewhere they are {furthest:?} of 255 apart");
}

/// The card refuses to draw from the sixtieth picture on; it is a stand-in, asked to by the configuration.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "a release program has no card that stops by wish")]
fn a_card_that_stops_in_a_call_leaves_the_pictures_to_the_processor() {
    let server = Server::start();
    let display = Display::open();
    let ana = Peer::join(&server.link(), "Ana", &[]);
    ana.wait("joined", |_| true);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("parlor/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "preview_camera = false\npicture_conversion = \"graphics-card\"\n").unwrap();
    let mut window = display.parlor_with(&["join", &server.link()], &folder, &[("PARLOR_CARD_LASTS", "60")]);
    window.wait_for_log("pictures are converted by the graphics card");
    window.wait_until_shown();
    window.key("Return");
    ana.wait("peer_connected", |_| true);
    window.wait_for_log("pictures are converted by the processor from now on, since it can't draw into a texture");
    let layout = call_layout(Rect::from_min_size(pos2(0.0, 0.0), vec2(SIZE.0 as f32, SIZE.1 as f32)), false);
    for tile in [layout.tiles, layout.self_view.unwrap()] {
        window.wait_for_motion(Rect::from_center_size(tile.center(), vec2(80.0, 40.0)));
    }
    window.screenshot("window-card-stopped", 2_000);
    window.close();
    ana.wait("peer_left", |_| true);
}

/// One picture of 640x360: a field of colours, brighter and darker in steps that share no points of colour, red at the right.
fn still() -> Vec<u8> {
    let mut clip = b"YUV4MPEG2 W640 H360 F30:1 Ip C420\nFRAME\n".to_vec();
    let is_red = |x: usize, width: usize| x >= width * 7 / 8;
    for y in 0..360 {
        clip.extend((0..640).map(|x| if is_red(x, 640) { 81 } else { (40 + (x * 3 + y * 2) % 160) as u8 }));
    }
    for (slope, red) in [((1, 2), 90), ((2, 1), 240)] {
        for y in 0..180 {
            let color = |x: usize| (60 + (x * slope.0 + y * slope.1) % 140) as u8;
            clip.extend((0..320).map(|x| if is_red(x, 320) { red } else { color(x) }));
        }
    }
    clip
}

struct Server {
    runtime: tokio::runtime::Runtime,
    server: Option<RunningServer>,
    _state: tempfile::TempDir,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
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

    fn link(&self) -> String {
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
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A headless peer and what it says.
struct Peer {
    process: Process,
    events: Receiver<Value>,
    name: String,
}

impl Peer {
    fn join(link: &str, name: &str, more: &[&str]) -> Self {
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

    fn command(&mut self, line: &str) {
        let input = self.process.0.stdin.as_mut().unwrap();
        writeln!(input, "{line}").and_then(|()| input.flush()).unwrap();
    }

    fn wait(&self, event: &str, matches: impl Fn(&Value) -> bool) {
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
struct Display {
    _server: Process,
    name: String,
}

impl Display {
    fn open() -> Self {
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

    fn parlor<'d>(&'d self, arguments: &[&str], folder: &tempfile::TempDir) -> Window<'d> {
        self.parlor_with(arguments, folder, &[])
    }

    fn parlor_with<'d>(
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

    fn run(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).env("DISPLAY", &self.name).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

struct Window<'d> {
    display: &'d Display,
    process: Process,
    log: Receiver<String>,
    id: String,
}

impl Window<'_> {
    fn wait_until_shown(&mut self) {
        let found = wait_for("a window", || {
            let ids = self.display.run("xdotool", &["search", "--onlyvisible", "--name", "^Parlor$"])?;
            ids.lines().next().map(str::to_owned)
        });
        self.id = found;
        // Without a window manager nobody else gives the keyboard to it.
        self.display.run("xdotool", &["windowfocus", "--sync", &self.id]);
    }

    fn key(&self, key: &str) {
        self.display.run("xdotool", &["key", key]).unwrap();
    }

    fn type_text(&self, text: &str) {
        self.display.run("xdotool", &["type", "--delay", "30", text]).unwrap();
    }

    fn click(&self, at: egui::Pos2) {
        let (x, y) = (format!("{:.0}", at.x), format!("{:.0}", at.y));
        self.display.run("xdotool", &["mousemove", "--window", &self.id, &x, &y]).unwrap();
        self.display.run("xdotool", &["click", "1"]).unwrap();
    }

    /// Looks until so many colours are on the screen: letters alone have about a hundred, pictures thousands.
    fn screenshot(&self, name: &str, colors: usize) {
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
    fn wait_for_color(&self, at: egui::Pos2, color: &str) {
        self.wait_until_color(at, |seen| seen.starts_with(color));
    }

    /// Looks until the colour of a point is as wished.
    fn wait_until_color(&self, at: egui::Pos2, is_wished: impl Fn(&str) -> bool) {
        let format = format!("%[hex:p{{{:.0},{:.0}}}]", at.x, at.y);
        wait_for("a colour", || {
            let script = format!("import -window {} png:- | convert - -format '{format}' info:", self.id);
            let seen = self.display.run("sh", &["-c", &script])?;
            is_wished(&seen).then_some(())
        });
    }

    /// The colours of a part of it, three bytes a point.
    fn points(&self, part: Rect) -> Vec<u8> {
        let (at, size) = (part.min, part.size());
        let crop = format!("{:.0}x{:.0}+{:.0}+{:.0}", size.x, size.y, at.x, at.y);
        let mut command = Command::new("import");
        command.args(["-window", &self.id, "-crop", &crop, "+repage", "-depth", "8", "rgb:-"]);
        let output = command.env("DISPLAY", &self.display.name).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Looks until a part of it has changed three times: first letters may have given way to a picture, then it moves.
    fn wait_for_motion(&self, part: Rect) {
        let mut seen = self.points(part);
        for _ in 0..3 {
            seen = wait_for("a moving picture", || {
                let now = self.points(part);
                (now != seen).then_some(now)
            });
        }
    }

    /// By its key: without a window manager nobody else asks a window to close.
    fn close(&mut self) {
        self.key("ctrl+q");
        self.wait_for_end();
    }

    /// The link to the call it hosts.
    fn wait_for_link(&self) -> String {
        let line = self.wait_for_log("link=");
        let (_, link) = line.split_once("link=").unwrap();
        link.split_whitespace().next().unwrap().to_owned()
    }

    /// The first line it logs, of those not looked at yet, that has these words.
    fn wait_for_log(&self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else { panic!("it never logged {words:?}") };
            if line.contains(words) {
                return line;
            }
        }
    }

    fn wait_for_end(&mut self) {
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
