//! A private PulseAudio with a microphone to speak into and a speaker to listen at.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::{DEADLINE, Process};

/// The sink whose monitor is the microphone.
const MICROPHONE_FEED: &str = "mic_feed";
/// The sink that stands for the speaker.
const SPEAKER: &str = "loudspeaker";

/// A sound server for one test, with no sound card.
pub struct SoundServer {
    folder: TempDir,
    _server: Process,
}

/// What one of its monitors gives, written to a file while this lives.
pub struct Recording {
    process: Process,
    file: PathBuf,
}

impl SoundServer {
    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When PulseAudio is not installed or does not start.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("native");
        let mut command = Command::new("pulseaudio");
        command.args(["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"]);
        command.args(["--realtime=no", "--high-priority=no", "--log-level=info", "--log-target=stderr"]);
        command.arg("-L").arg(format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display()));
        for sink in [MICROPHONE_FEED, SPEAKER] {
            let properties = format!("sink_properties=device.description={sink}");
            command.arg("-L").arg(format!("module-null-sink sink_name={sink} rate=48000 channels=1 {properties}"));
        }
        apart(&mut command, folder.path());
        let server = Process::start("pulseaudio (package pulseaudio)", &mut command);
        server.wait_for_log("Daemon startup complete", Instant::now() + DEADLINE);
        let this = Self { folder, _server: server };
        this.run("pactl", &["set-default-source", &this.microphone()]);
        this.run("pactl", &["set-default-sink", SPEAKER]);
        this
    }

    /// Points a program at this server.
    pub fn apply(&self, command: &mut Command) {
        apart(command, self.folder.path());
    }

    /// The microphone's name in this server.
    pub fn microphone(&self) -> String {
        format!("{MICROPHONE_FEED}.monitor")
    }

    /// The speaker's name in this server.
    pub fn speaker(&self) -> &'static str {
        SPEAKER
    }

    /// Makes a WAV file of someone saying this.
    ///
    /// # Panics
    /// When espeak-ng is not installed.
    pub fn speech(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        self.run("espeak-ng", &["-v", "en", "-s", "150", "-w", &file.to_string_lossy(), text]);
        file
    }

    /// Plays a file into the microphone; returns when it is at its end.
    pub fn say(&self, file: &Path) {
        self.run("paplay", &["--device", MICROPHONE_FEED, &file.to_string_lossy()]);
    }

    /// Records what the microphone hears: 48 kHz, mono, 16 bits.
    pub fn record_microphone(&self) -> Recording {
        self.record("microphone.raw", MICROPHONE_FEED)
    }

    /// Records what comes out of the speaker.
    pub fn record_speaker(&self) -> Recording {
        self.record("speaker.raw", SPEAKER)
    }

    fn record(&self, name: &str, sink: &str) -> Recording {
        let file = self.folder.path().join(name);
        let mut command = Command::new("parec");
        command.args(["--device", &format!("{sink}.monitor"), "--rate=48000", "--channels=1", "--format=s16le"]);
        command.args(["--latency-msec=10", "--raw"]).arg(&file);
        self.apply(&mut command);
        Recording { process: Process::start("parec (package pulseaudio-utils)", &mut command), file }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        self.apply(command.args(arguments).stdin(Stdio::null()));
        let output = command.output().unwrap_or_else(|error| panic!("{program} can't be started: {error}"));
        assert!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Recording {
    /// Whether the file holds something already: the recorder is connected.
    pub fn has_begun(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.len() > 0)
    }

    /// Ends it; its samples, full scale 1.
    ///
    /// # Panics
    /// When there is no file.
    pub fn finish(mut self) -> Vec<f32> {
        self.process.signal("INT");
        self.process.wait(Instant::now() + DEADLINE);
        let bytes = std::fs::read(&self.file).unwrap_or_else(|error| panic!("{}: {error}", self.file.display()));
        let sample = |pair: &[u8]| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0;
        bytes.chunks_exact(2).map(sample).collect()
    }
}

/// Lets a program know of this sound server and of nothing of the tester's own session.
fn apart(command: &mut Command, folder: &Path) {
    command.env("PULSE_SERVER", format!("unix:{}", folder.join("native").display()));
    for variable in ["PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "PULSE_CONFIG_PATH", "XDG_RUNTIME_DIR", "HOME"] {
        command.env(variable, folder);
    }
    command.env("DBUS_SESSION_BUS_ADDRESS", "").env_remove("DISPLAY");
}
