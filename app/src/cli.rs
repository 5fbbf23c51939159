//! The command line, and what it means together with the environment and the settings.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use parlor_media::{AudioSink, AudioSource, VideoSource};
use parlor_proto::{DisplayName, InvalidId};

use crate::config::Config;
use crate::credentials::{CredentialsError, Given};
use crate::headless::{HeadlessOptions, Measuring};
use crate::join_target::{self, JoinTargetError};

const EXAMPLES: &str = "\
Examples:
  parlor                                               open the window
  parlor https://host:8443/r/quiet-otter               open it with the room filled in
  parlor join quiet-otter --server https://host:8443   the same, by the room's name
  parlor join LINK --headless --video test-pattern --audio tone --duration 10s --json
  parlor devices                                       cameras, microphones and speakers

Settings come from flags, then PARLOR_* variables, then config.toml, then defaults.
RUST_LOG filters the log on standard error, for instance RUST_LOG=debug.
Exit codes: 0 done, 1 the call failed, 2 wrong usage, 130 interrupted.";

const JOIN_EXAMPLES: &str = "\
Examples:
  parlor join https://host:8443/r/quiet-otter --name Ana
  parlor join quiet-otter --server http://127.0.0.1:8080 --video test-pattern --audio tone:880
  parlor join LINK --headless --video file:clip.y4m --audio file:speech.wav --say \"Hello\" --snapshots pictures/
  parlor join LINK --headless --speaker file:heard.wav --duration 1m --json

A bare room is looked for on --server, else PARLOR_SERVER, else `server` in config.toml.
A password or access token is read from a file, or from PARLOR_PASSWORD and PARLOR_ACCESS, or stands in the link
(…#password=…&access=…), where others on this machine can see it.";

const COMMANDS_HELP: &str = "\
Take commands from standard input, one a line: say TEXT, mute, unmute, deafen, undeafen, camera on, camera off, video SOURCE, \
audio SOURCE, speaker SINK, restart-ice, leave; with --join-on-command first join; for who may moderate: lock, unlock, password TEXT, no-password, remove NAME-OR-ID; they wait until the room is joined";

/// Video calls from desktop to desktop and browser.
#[derive(Debug, Parser)]
#[command(name = "parlor", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// A link to a room, to be filled in when the window opens
    pub link: Option<String>,
    /// What to do instead of opening the empty window.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join a call, in the window or without one
    Join(Box<JoinArgs>),
    /// List cameras, microphones and speakers
    Devices(DevicesArgs),
}

/// `parlor devices`.
#[derive(Clone, Debug, Args)]
pub struct DevicesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `parlor join`.
#[derive(Clone, Debug, Args)]
#[command(after_help = JOIN_EXAMPLES)]
pub struct JoinArgs {
    /// The room's name, or a link to it
    #[arg(value_name = "ROOM-OR-LINK")]
    pub room: String,
    /// What may also stand in the environment.
    #[command(flatten)]
    pub choices: Choices,
    /// Without a window
    #[arg(long)]
    pub headless: bool,
    /// Leave so long after joining: 500ms, 10s, 5m, 1h [default: stay until interrupted]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "headless")]
    pub duration: Option<Duration>,
    /// Write this line in the chat, once, when everybody who is there has been connected for a second
    #[arg(long, value_name = "TEXT", requires = "headless")]
    pub say: Option<String>,
    /// Print one JSON object a line: who comes and goes, chat, errors, statistics each second, a summary
    #[arg(long, requires = "headless")]
    pub json: bool,
    /// Keep the latest picture of each peer as a PNG in this folder, renewed each second
    #[arg(long, value_name = "DIR", requires = "headless")]
    pub snapshots: Option<PathBuf>,
    #[allow(missing_docs)]
    #[arg(long, requires = "headless", help = COMMANDS_HELP)]
    pub commands: bool,
    /// Open camera and microphone, but join only when standard input says `join`
    #[arg(long, requires = "commands")]
    pub join_on_command: bool,
    /// For measurements.
    #[command(flatten)]
    pub measuring: MeasuringArgs,
}

/// What a headless peer does for those who measure.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Measuring")]
pub struct MeasuringArgs {
    /// Draw the time of capture along the top of each picture sent, whatever its source (tests/BARCODE.md)
    #[arg(long, requires = "headless")]
    pub stamp_pictures: bool,
    /// Size of the pictures sent [default: 640x360]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = video_size, requires = "headless")]
    pub video_size: Option<(u32, u32)>,
    /// Write a line of JSON for each picture shown of a peer: when that was, and the time written on it; a million lines at most
    #[arg(long, value_name = "FILE", requires = "headless")]
    pub record_pictures: Option<PathBuf>,
    /// Keep what is said and heard as spoken.wav and heard.wav in this folder, with the Unix time of each one's first sample in
    /// spoken.json and heard.json; of each at most ten minutes
    #[arg(long, value_name = "DIR", requires = "headless")]
    pub record_audio: Option<PathBuf>,
}

/// Choices that may also stand in `PARLOR_*` variables.
#[derive(Clone, Debug, Default, Args)]
pub struct Choices {
    /// The server on which a room is looked for, such as https://host:8443
    #[arg(long, value_name = "URL", env = "PARLOR_SERVER")]
    pub server: Option<String>,
    /// Your name, as the others see it
    #[arg(long, value_name = "NAME", env = "PARLOR_NAME")]
    pub name: Option<String>,
    /// What the others see: test-pattern, none, default, file:PATH (Y4M), device:ID [headless default: none]
    #[arg(long, value_name = "SOURCE", env = "PARLOR_VIDEO")]
    pub video: Option<VideoSource>,
    /// What the others hear: tone, tone:HZ, none, default, file:PATH (WAV), device:ID [headless default: none]
    #[arg(long, value_name = "SOURCE", env = "PARLOR_AUDIO")]
    pub audio: Option<AudioSource>,
    /// Where the others are heard: none, default, file:PATH (WAV), device:ID [headless default: none]
    #[arg(long, value_name = "SINK", env = "PARLOR_SPEAKER")]
    pub speaker: Option<AudioSink>,
    /// Echo cancellation, noise suppression and gain for a microphone [default: on]
    #[arg(long, value_name = "on|off", env = "PARLOR_AUDIO_PROCESSING")]
    pub audio_processing: Option<OnOff>,
    /// Hide your address from the others: connect through relays only, where the server has one [default: off]
    #[arg(long, value_name = "on|off", env = "PARLOR_RELAY_ONLY", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub relay_only: Option<OnOff>,
    /// A file whose one line is the room's password [PARLOR_PASSWORD: the password itself]
    #[arg(long, value_name = "FILE", env = "PARLOR_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// A file whose one line is the access token that the server asks for [PARLOR_ACCESS: the token itself]
    #[arg(long, value_name = "FILE", env = "PARLOR_ACCESS_FILE")]
    pub access_file: Option<PathBuf>,
}

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

/// Why a command line that clap understood cannot be followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// The room or the server.
    #[error("{0}")]
    Target(#[from] JoinTargetError),
    /// The name.
    #[error("“{name}” can't be your name: {reason}.")]
    Name {
        /// As given.
        name: String,
        /// What is wrong with it.
        reason: InvalidId,
    },
    /// A file that was to be seen or heard.
    #[error("The file {} can't be played: {why}.", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The password or the token.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// The first word is neither a command nor a link.
    #[error("“{0}” is neither a command nor a link. To join a room by its name: parlor join {0} --server URL")]
    NotALink(String),
    /// This build has no window.
    #[error("This parlor was built without the window. Use --headless, or build it with the feature `gui`.")]
    NoWindow,
}

impl Choices {
    /// What the `PARLOR_*` variables say, where no flags can be given.
    ///
    /// # Errors
    /// A variable that is not understood, in clap's words.
    pub fn from_env() -> Result<Self, clap::Error> {
        #[derive(Parser)]
        #[command(name = "parlor")]
        struct Environment {
            #[command(flatten)]
            choices: Choices,
        }
        Environment::try_parse_from(["parlor"]).map(|environment| environment.choices)
    }

    /// The server, an empty text being none.
    pub fn server<'a>(&'a self, config: &'a Config) -> Option<&'a str> {
        let named = |server: &'a Option<String>| server.as_deref().filter(|server| !server.trim().is_empty());
        named(&self.server).or_else(|| named(&config.server))
    }

    /// The name, first from here, then from the settings, then `fallback`.
    ///
    /// # Errors
    /// A name that others would not be shown.
    pub fn name(&self, config: &Config, fallback: &str) -> Result<DisplayName, UsageError> {
        let candidates = [self.name.as_deref().unwrap_or(""), &config.name, fallback];
        let name = candidates.into_iter().find(|name| !name.trim().is_empty()).unwrap_or("Guest");
        name.parse().map_err(|reason| UsageError::Name { name: name.to_owned(), reason })
    }

    /// Looks whether the files that are to be played are there and may be read.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_files(&self) -> Result<(), UsageError> {
        if let Some(VideoSource::File(path)) = &self.video {
            check_file(path)?;
        }
        if let Some(AudioSource::File(path)) = &self.audio {
            check_file(path)?;
        }
        Ok(())
    }

    /// What a room may ask for, as far as files and the environment have it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn credentials(&self) -> Result<Given, UsageError> {
        Ok(Given::read(self.password_file.as_deref(), self.access_file.as_deref())?)
    }

    /// Whether the microphone's sound is to be processed.
    pub fn audio_processing(&self, config: &Config) -> bool {
        self.audio_processing.map_or(config.audio_processing, |choice| choice == OnOff::On)
    }

    /// Whether the address is to be hidden from the others.
    pub fn relay_only(&self, config: &Config) -> bool {
        self.relay_only.map_or(config.relay_only, |choice| choice == OnOff::On)
    }
}

/// How the window opens; it is filled in, and waits for its user to join.
#[cfg(feature = "gui")]
///
/// # Errors
/// A file that cannot be read.
pub fn window_options(
    room_or_link: Option<String>,
    choices: Choices,
    config: Config,
) -> Result<crate::ui::WindowOptions, UsageError> {
    let credentials = choices.credentials()?;
    let audio_processing = choices.audio_processing.map(|choice| choice == OnOff::On);
    let relay_only = choices.relay_only.map(|choice| choice == OnOff::On);
    let Choices { server, name, video, audio, speaker, .. } = choices;
    let join_now = false;
    let prefill = crate::ui::Prefill {
        room_or_link,
        server,
        name,
        video,
        audio,
        speaker,
        audio_processing,
        relay_only,
        credentials,
        join_now,
    };
    Ok(crate::ui::WindowOptions { config, prefill, watch: None })
}

impl JoinArgs {
    /// What a headless call needs to know.
    ///
    /// # Errors
    /// [`UsageError`], in words.
    pub fn headless_options(self, config: &Config) -> Result<HeadlessOptions, UsageError> {
        self.choices.check_files()?;
        let name = self.choices.name(config, &login_name())?;
        let video = match self.choices.video.clone().unwrap_or(VideoSource::None) {
            VideoSource::TestPattern { .. } => VideoSource::TestPattern { name: name.to_string() },
            video
            @ (VideoSource::None | VideoSource::File(_) | VideoSource::Device(_) | VideoSource::DefaultDevice) => video,
        };
        let target = join_target::parse(&self.room, self.choices.server(config))?;
        Ok(HeadlessOptions {
            credentials: self.choices.credentials()?.for_link(target.link.as_ref()),
            target,
            name,
            video,
            audio: self.choices.audio.clone().unwrap_or(AudioSource::None),
            speaker: self.choices.speaker.clone().unwrap_or(AudioSink::None),
            audio_processing: self.choices.audio_processing(config),
            relay_only: self.choices.relay_only(config),
            duration: self.duration,
            say: self.say,
            json: self.json,
            snapshots: self.snapshots,
            commands: self.commands,
            waits: self.join_on_command,
            measuring: self.measuring.into(),
        })
    }
}

impl From<MeasuringArgs> for Measuring {
    fn from(arguments: MeasuringArgs) -> Self {
        let MeasuringArgs { stamp_pictures, video_size, record_pictures, record_audio } = arguments;
        Self { stamps: stamp_pictures, video_size, pictures: record_pictures, audio: record_audio }
    }
}

fn check_file(path: &Path) -> Result<(), UsageError> {
    let refused = |why: String| UsageError::File { path: path.to_owned(), why };
    let in_words = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => refused("there is no such file".into()),
        ErrorKind::PermissionDenied => refused("you are not allowed to read it".into()),
        _ => refused(error.to_string()),
    };
    let kind = std::fs::metadata(path).map_err(in_words)?;
    if kind.is_dir() {
        return Err(refused("it is a folder".into()));
    }
    // Only files: opening a pipe waits for its other end.
    if kind.is_file() {
        std::fs::File::open(path).map_err(in_words)?;
    }
    Ok(())
}

/// The name this user has on this machine; empty where there is none.
fn login_name() -> String {
    ["USER", "USERNAME"].iter().find_map(|variable| std::env::var(variable).ok()).unwrap_or_default()
}

/// Reads `1280x720`: even numbers, from 160x90, the smallest that a time can be read from, to 4K.
fn video_size(text: &str) -> Result<(u32, u32), String> {
    let size = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    size.filter(|(width, height)| (160..=4096).contains(width) && (90..=2304).contains(height))
        .filter(|(width, height)| width % 2 == 0 && height % 2 == 0)
        .ok_or_else(|| "use even numbers of pixels from 160x90 to 4096x2304, as in 1280x720".into())
}

/// Reads `500ms`, `10s`, `5m`, `1h`, or seconds without a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("use a number and ms, s, m or h, as in 10s".into()),
    };
    let seconds = number.parse::<f64>().map_err(|_| "use a number and ms, s, m or h, as in 10s")? * seconds_per_unit;
    Duration::try_from_secs_f64(seconds).map_err(|_| "that is too long".into())
}

#[cfg(test)]
mod tests;
