//! A peer without a window: it joins, reports what it sees and hears, and leaves.
//!
//! With `--json` standard output carries one JSON object a line, without it lines for people.

mod command;
mod device_watch;
mod figures;
mod ledger;
mod picture_log;
mod report;
mod say;
mod signals;
mod snapshots;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_engine::{Call, CallCommand, CallConfig, Credentials, EnginePolicy, LocalMedia, Standby};
use parlor_media::{
    AudioSink, AudioSource, LocalAudio, LocalAudioConfig, LocalVideo, LocalVideoConfig, MediaClock, VideoSource,
};
use parlor_proto::DisplayName;
use parlor_session::{EndReason, Event};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use crate::join_target::JoinTarget;
use command::UserCommand;
use device_watch::DeviceWatch;
use ledger::Ledger;
use picture_log::PictureLog;
use report::{Line, Reporter};
use say::SayOnce;
use signals::Signals;
use snapshots::Snapshots;

/// How often `stats` are printed and pictures kept.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// How long leaving may take; the others learn of it within milliseconds.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a headless peer does.
#[derive(Debug)]
pub struct HeadlessOptions {
    /// Where.
    pub target: JoinTarget,
    /// As whom.
    pub name: DisplayName,
    /// What the room may ask for.
    pub credentials: Credentials,
    /// What the others see.
    pub video: VideoSource,
    /// What the others hear.
    pub audio: AudioSource,
    /// Where the others are heard.
    pub speaker: AudioSink,
    /// Whether a microphone's sound is processed.
    pub audio_processing: bool,
    /// Whether our address is hidden from the others.
    pub relay_only: bool,
    /// How long to stay after joining; for ever where it is not said.
    pub duration: Option<Duration>,
    /// A line for the chat.
    pub say: Option<String>,
    /// JSON instead of lines for people.
    pub json: bool,
    /// Where to keep pictures of the peers.
    pub snapshots: Option<PathBuf>,
    /// Whether standard input carries commands.
    pub commands: bool,
    /// Whether to join only when standard input says so.
    pub waits: bool,
    /// For measurements.
    pub measuring: Measuring,
}

/// What a headless peer does for those who measure.
#[derive(Clone, Debug, Default)]
pub struct Measuring {
    /// Whether each picture sent has the time on it, whatever its source.
    pub stamps: bool,
    /// The size of the pictures sent; the usual one where it is not said.
    pub video_size: Option<(u32, u32)>,
    /// Where to write when each picture of the peers was shown.
    pub pictures: Option<PathBuf>,
    /// The folder for what is said and heard.
    pub audio: Option<PathBuf>,
}

/// How a headless call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As planned.
    Done,
    /// The call could not be joined, or was ended by the server.
    Failed,
    /// By a signal.
    Interrupted,
}

/// Why a headless call could not go on.
#[derive(Debug, thiserror::Error)]
pub enum HeadlessError {
    /// The system gave no threads or no signals.
    #[error("This system refused what a call needs: {0}.")]
    System(std::io::Error),
    /// Nobody reads what is printed.
    #[error("Standard output can't be written: {0}.")]
    Output(std::io::Error),
    /// The folder for pictures.
    #[error("Pictures can't be kept in {}: {source}.", path.display())]
    Snapshots {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file or folder for measurements.
    #[error("{} can't be written: {reason}", path.display())]
    Record {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Runs the call to its end.
///
/// # Errors
/// When it could not begin or report; how else it ended is told by the [`Outcome`].
pub fn run(options: HeadlessOptions) -> Result<Outcome, HeadlessError> {
    let runtime = parlor_engine::runtime("network").map_err(HeadlessError::System)?;
    runtime.block_on(async {
        match Headless::start(options).await? {
            Some(headless) => headless.run().await,
            None => Ok(Outcome::Interrupted),
        }
    })
}

/// A running call and all that is done with it.
struct Headless {
    call: Call,
    media: LocalMedia,
    ledger: Ledger,
    reporter: Reporter<std::io::Stdout, std::io::Stderr>,
    devices: DeviceWatch,
    signals: Signals,
    say: Option<SayOnce>,
    snapshots: Option<Snapshots>,
    picture_log: Option<PictureLog>,
    commands: Option<mpsc::Receiver<Result<UserCommand, String>>>,
    duration: Option<Duration>,
    leave_at: Option<Instant>,
}

/// Why the call is to be left, or is over.
enum Stop {
    Wanted,
    Interrupted,
    Ended(EndReason),
}

impl Headless {
    /// Opens everything and joins; none when it was interrupted before it was to join.
    async fn start(options: HeadlessOptions) -> Result<Option<Self>, HeadlessError> {
        let mut signals = Signals::catch().map_err(HeadlessError::System)?;
        let snapshots = match options.snapshots {
            Some(path) => {
                let folder = path.clone();
                Some(Snapshots::new(folder).map_err(|source| HeadlessError::Snapshots { path, source })?)
            }
            None => None,
        };
        let HeadlessOptions { video, audio, speaker, audio_processing, measuring, .. } = options;
        let media = local_media(video, audio, speaker, audio_processing, &measuring);
        let picture_log = record(&media, measuring)?;
        let mut commands = options.commands.then(command::from_standard_input);
        let mut reporter = Reporter::new(std::io::stdout(), std::io::stderr(), options.json);
        let (runtime, policy) = (tokio::runtime::Handle::current(), EnginePolicy::default());
        // As in the lobby of the window: by the time of the word the socket is open.
        let standby = options.waits.then(|| Standby::open(options.target.server.clone(), policy.signaling, &runtime));
        if options.waits && !until_join(&mut commands, &mut signals, &mut reporter).await? {
            return Ok(None);
        }
        let config = CallConfig {
            server: options.target.server,
            room: options.target.room,
            name: options.name,
            credentials: options.credentials,
            policy: EnginePolicy { describe_sound: true, ..policy }.relay_only(options.relay_only),
        };
        Ok(Some(Self {
            call: Call::start_on(standby, config, media.clone(), &runtime, Arc::new(|| {})),
            media,
            ledger: Ledger::new(Instant::now()),
            reporter,
            devices: DeviceWatch::default(),
            signals,
            say: options.say.map(SayOnce::new),
            snapshots,
            picture_log,
            commands,
            duration: options.duration,
            leave_at: None,
        }))
    }

    async fn run(mut self) -> Result<Outcome, HeadlessError> {
        let stop = self.until_stop().await?;
        self.observe();
        let outcome = match stop {
            Stop::Wanted => self.leave(Outcome::Done).await?,
            Stop::Interrupted => self.leave(Outcome::Interrupted).await?,
            Stop::Ended(EndReason::Left) => Outcome::Done,
            Stop::Ended(
                EndReason::Refused { .. }
                | EndReason::Unreachable { .. }
                | EndReason::Untrusted { .. }
                | EndReason::WrongAddress { .. }
                | EndReason::Replaced,
            ) => Outcome::Failed,
        };
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.finish().await;
        }
        let mut summary = self.ledger.summary(self.media.video.stats(), Instant::now());
        summary.devices = self.media.audio.stats().into();
        self.print(&Line::Summary(summary))?;
        Ok(outcome)
    }

    /// Reports until there is a reason to stop.
    async fn until_stop(&mut self) -> Result<Stop, HeadlessError> {
        let mut ticks = interval(STATS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.call.subscribe();
        loop {
            let leave_at = self.leave_at;
            let say_at = self.say.as_ref().and_then(SayOnce::due_at);
            tokio::select! {
                notice = self.call.next_notice() => match notice {
                    Some(Event::Ended { reason }) => return self.ended(reason),
                    Some(event) => self.handle(&event)?,
                    None => {
                        let reason = self.call.finished().await;
                        return self.ended(reason);
                    }
                },
                _ = ticks.tick() => self.tick()?,
                Ok(()) = changes.changed() => self.observe(),
                () = at(say_at) => self.say_it(),
                () = at(leave_at) => return Ok(Stop::Wanted),
                () = self.signals.next() => return Ok(Stop::Interrupted),
                // Before that they wait where they come from: `say` has nobody to say it to.
                Some(command) = next_command(&mut self.commands), if self.ledger.joined() => {
                    if self.obey(command)? {
                        return Ok(Stop::Wanted);
                    }
                }
            }
        }
    }

    fn handle(&mut self, event: &Event) -> Result<(), HeadlessError> {
        if let (Event::Joined { .. }, None) = (event, self.leave_at) {
            self.leave_at = self.duration.map(|duration| Instant::now() + duration);
        }
        match self.ledger.handle_event(event, self.media.video.stats().frames_encoded) {
            Some(line) => self.print(&line),
            None => Ok(()),
        }
    }

    fn ended(&mut self, reason: EndReason) -> Result<Stop, HeadlessError> {
        if let Some(line) = report::end_error(&reason) {
            self.print(&line)?;
        }
        Ok(Stop::Ended(reason))
    }

    /// Once a second.
    fn tick(&mut self) -> Result<(), HeadlessError> {
        self.observe();
        let LocalMedia { video, audio, .. } = &self.media;
        for line in self.devices.observe(&video.status(), &audio.source_status(), &audio.sink_status()) {
            self.print(&line)?;
        }
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.keep(&self.call, self.ledger.present());
        }
        let mut stats = self.ledger.stats(self.media.video.stats(), Instant::now());
        stats.devices = self.media.audio.stats().into();
        self.print(&Line::Stats(stats))
    }

    /// Takes note of how things stand.
    fn observe(&mut self) {
        let snapshot = self.call.snapshot();
        self.ledger.observe(&snapshot.peers, snapshot.elapsed);
        if let Some(log) = &mut self.picture_log {
            log.watch(&self.call, self.ledger.present());
        }
        if let Some(say) = &mut self.say {
            say.observe(&snapshot.room.peers, Instant::now());
        }
    }

    fn say_it(&mut self) {
        if let Some(say) = self.say.take() {
            self.send(CallCommand::SendChat(say.text));
        }
    }

    /// Does what standard input asks for; whether the call is to be left.
    fn obey(&mut self, command: Result<UserCommand, String>) -> Result<bool, HeadlessError> {
        match command {
            Ok(UserCommand::Leave) => return Ok(true),
            // In the room already.
            Ok(UserCommand::Join) => {}
            Ok(UserCommand::Call(command)) => self.send(command),
            Ok(UserCommand::Remove(who)) => match self.ledger.find(&who) {
                Ok(peer) => self.send(CallCommand::Remove(peer)),
                Err(message) => self.print(&Line::Error { code: None, message })?,
            },
            Err(message) => self.print(&Line::Error { code: None, message })?,
        }
        Ok(false)
    }

    fn send(&self, command: CallCommand) {
        if self.call.send(command).is_err() {
            tracing::warn!("the call is too busy for a command; it is left out");
        }
    }

    /// Says goodbye, and reports what comes in the meantime.
    async fn leave(&mut self, outcome: Outcome) -> Result<Outcome, HeadlessError> {
        self.send(CallCommand::Leave);
        let over = timeout(LEAVE_TIMEOUT, async {
            loop {
                tokio::select! {
                    notice = self.call.next_notice() => match notice {
                        Some(Event::Ended { .. }) | None => return Ok(()),
                        Some(event) => self.handle(&event)?,
                    },
                    // Whoever interrupts a second time does not want to wait.
                    () = self.signals.next() => return Ok(()),
                }
            }
        });
        match over.await {
            Ok(result) => result?,
            Err(_) => tracing::warn!("leaving took too long; the others will notice by themselves"),
        }
        Ok(outcome)
    }

    fn print(&mut self, line: &Line) -> Result<(), HeadlessError> {
        self.reporter.print(line).map_err(HeadlessError::Output)
    }
}

fn local_media(
    video_source: VideoSource,
    audio_source: AudioSource,
    audio_sink: AudioSink,
    processing: bool,
    measuring: &Measuring,
) -> LocalMedia {
    let clock = MediaClock::system();
    let mut config = LocalVideoConfig { stamped: measuring.stamps, ..LocalVideoConfig::default() };
    if let Some((width, height)) = measuring.video_size {
        let capture = &mut config.capture;
        (capture.width, capture.height) = (width, height);
        capture.capture_width = capture.capture_width.max(width);
        capture.capture_height = capture.capture_height.max(height);
    }
    let video = LocalVideo::new(config, clock);
    video.set_source(video_source);
    let audio = LocalAudio::new(LocalAudioConfig::default(), clock);
    audio.set_processing(processing);
    audio.set_sink(audio_sink);
    audio.set_source(audio_source);
    LocalMedia { video: Arc::new(video), audio: Arc::new(audio), clock }
}

/// Begins to keep what is to be kept for measurements.
fn record(media: &LocalMedia, measuring: Measuring) -> Result<Option<PictureLog>, HeadlessError> {
    let failed = |path: PathBuf, reason: String| HeadlessError::Record { path, reason };
    if let Some(folder) = measuring.audio {
        std::fs::create_dir_all(&folder).map_err(|error| failed(folder.clone(), format!("{error}.")))?;
        media.audio.record(&folder).map_err(|error| failed(folder.clone(), error.to_string()))?;
    }
    let log = |path: PathBuf| {
        PictureLog::create(&path, media.clock).map_err(|error| failed(path.clone(), format!("{error}.")))
    };
    measuring.pictures.map(log).transpose()
}

/// Says that all is ready and waits for `join`; whether it came. A standard input that ends without it asks for nothing any more.
async fn until_join(
    commands: &mut Option<mpsc::Receiver<Result<UserCommand, String>>>,
    signals: &mut Signals,
    reporter: &mut Reporter<std::io::Stdout, std::io::Stderr>,
) -> Result<bool, HeadlessError> {
    reporter.print(&Line::Ready).map_err(HeadlessError::Output)?;
    loop {
        tokio::select! {
            () = signals.next() => return Ok(false),
            command = next_command(commands) => match command {
                Some(Ok(UserCommand::Join)) => return Ok(true),
                Some(Ok(UserCommand::Leave)) | None => return Ok(false),
                Some(Ok(_)) => {
                    let message = "not in the room yet: say `join` first".to_owned();
                    reporter.print(&Line::Error { code: None, message }).map_err(HeadlessError::Output)?;
                }
                Some(Err(message)) => {
                    reporter.print(&Line::Error { code: None, message }).map_err(HeadlessError::Output)?;
                }
            },
        }
    }
}

/// Ready at a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// The next command; none where there is no standard input to read, or no more of it.
async fn next_command<T>(commands: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    let command = commands.as_mut()?.recv().await;
    if command.is_none() {
        *commands = None;
    }
    command
}
