//! A PulseAudio of a test's own: no session, no D-Bus, no sound card, two null sinks.
//!
//! `mic_feed` stands for what is said into a microphone (its monitor is the microphone), `spk` for a speaker (its
//! monitor is what is heard). The server's address is in the environment, which must not change in a process with
//! threads; so each test runs itself again in a process of its own, one after the other.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Set in the process that has the environment.
const FOLDER: &str = "PARLOR_TEST_SOUND_FOLDER";
/// Nothing that is awaited here takes longer, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `body` in a process whose sound server, if it starts one, is its own. Call it as the test's only statement.
pub(crate) fn in_own_sound_world(body: impl FnOnce(&Path)) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if let Some(folder) = std::env::var_os(FOLDER) {
        return body(Path::new(&folder));
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let test = std::thread::current().name().expect("a test's thread has its name").to_owned();
    let output = Command::new(std::env::current_exe().expect("a test is a program"))
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .env("HOME", folder.path())
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("PULSE_RUNTIME_PATH", folder.path())
        .env("PULSE_SERVER", format!("unix:{}", socket(folder.path()).display()))
        .env("DBUS_SESSION_BUS_ADDRESS", "")
        .env_remove("PULSE_COOKIE")
        .output()
        .expect("the test itself can be run");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    println!("{text}");
}

/// A running server; ends when dropped.
pub(crate) struct SoundServer {
    process: Child,
    folder: PathBuf,
}

impl SoundServer {
    /// Starts the server with its two null sinks, and waits until it answers.
    pub(crate) fn start(folder: &Path) -> Self {
        let mut command = Command::new("pulseaudio");
        command.args(["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"]);
        command.args(["--realtime=no", "--high-priority=no", "--log-target=stderr", "--log-level=error"]);
        let socket = socket(folder);
        let _ = std::fs::remove_file(&socket);
        command.args(["-L", &format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display())]);
        for sink in ["mic_feed", "spk"] {
            command.args(["-L", &null_sink(sink)]);
        }
        let process = command.stdout(Stdio::null()).spawn().expect("pulseaudio should be installed (apt: pulseaudio)");
        let server = Self { process, folder: folder.to_owned() };
        await_until("the sound server answers", || run("pactl", &["info"]).is_some());
        server.pactl(&["set-default-sink", "spk"]);
        server
    }

    /// Gives the server a command; it must be understood.
    pub(crate) fn pactl(&self, arguments: &[&str]) -> String {
        run("pactl", arguments).unwrap_or_else(|| panic!("pactl {arguments:?} failed"))
    }

    /// Plugs in another null sink with this name; gives what to unplug it by.
    pub(crate) fn plug_in(&self, sink: &str) -> String {
        let module = null_sink(sink);
        let arguments: Vec<&str> = ["load-module"].into_iter().chain(module.split(' ')).collect();
        self.pactl(&arguments).trim().to_owned()
    }

    /// Pulls out what [`SoundServer::plug_in`] plugged in.
    pub(crate) fn unplug(&self, module: &str) {
        self.pactl(&["unload-module", module]);
    }

    /// Makes a microphone of a sink's monitor: a source that is no monitor, so that it may be the default.
    pub(crate) fn plug_in_microphone(&self, sink: &str, name: &str) -> String {
        let (master, name) = (format!("master={sink}.monitor"), format!("source_name={name}"));
        self.pactl(&["load-module", "module-remap-source", &master, &name, "rate=48000", "channels=1"])
            .trim()
            .to_owned()
    }

    /// Plays a WAV file into a sink, until dropped.
    pub(crate) fn play(&self, file: &Path, sink: &str) -> Player {
        let file = file.to_str().expect("a test's folder has a plain name");
        let player = Command::new("paplay").args(["-d", sink, "--latency-msec=20", file]).spawn();
        Player { process: player.expect("paplay should be installed (apt: pulseaudio-utils)") }
    }

    /// Records what a sink plays, as 48 kHz mono, from now until dropped.
    pub(crate) fn record(&self, sink: &str) -> Recorder {
        let monitor = format!("{sink}.monitor");
        let arguments = ["-d", &monitor, "--rate=48000", "--channels=1", "--format=s16le", "--latency-msec=20"];
        let recorder = Command::new("parec").args(arguments).stdout(Stdio::piped()).spawn();
        let mut process = recorder.expect("parec should be installed (apt: pulseaudio-utils)");
        let sound = process.stdout.take().expect("its output is a pipe");
        Recorder { process, sound }
    }

    /// Ends the server as if it had crashed; what plays and records on it ends with it.
    pub(crate) fn crash(mut self) -> PathBuf {
        end(&mut self.process);
        self.folder.clone()
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Plays a file; ends when dropped.
pub(crate) struct Player {
    process: Child,
}

impl Drop for Player {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Records a sink; ends when dropped.
pub(crate) struct Recorder {
    process: Child,
    sound: ChildStdout,
}

impl Recorder {
    /// The next so many samples, as they are heard.
    pub(crate) fn read(&mut self, count: usize) -> Vec<f32> {
        let mut bytes = vec![0; count * 2];
        self.sound.read_exact(&mut bytes).expect("the recorder should go on");
        bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Waits until something is so; looks a hundred times a second.
pub(crate) fn await_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn null_sink(name: &str) -> String {
    format!("module-null-sink sink_name={name} rate=48000 channels=1 sink_properties=device.description={name}")
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("pulse")
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}
