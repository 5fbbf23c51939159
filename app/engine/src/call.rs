//! The handle of a call.

use std::sync::Arc;

use parlor_media::{AudioSink, AudioSource, LocalAudio, LocalVideo, MediaClock, VideoFrame, VideoSource, latest};
use parlor_proto::{DisplayName, PeerId, RoomId, Secret};
use parlor_session::{Credentials, EndReason, Event};
use tokio::sync::{mpsc, watch};

use crate::engine;
use crate::policy::EnginePolicy;
use crate::publisher::{Published, Publisher};
use crate::signaling_client::{ServerAddress, Standby};
use crate::snapshot::Snapshot;

/// Commands that may wait.
const COMMANDS: usize = 64;

/// Which call.
#[derive(Clone, Debug)]
pub struct CallConfig {
    /// Where the signaling server is.
    pub server: ServerAddress,
    /// Which room.
    pub room: RoomId,
    /// As whom.
    pub name: DisplayName,
    /// What the room may ask for.
    pub credentials: Credentials,
    /// How it is run.
    pub policy: EnginePolicy,
}

/// Camera, microphone and speaker; they outlive calls, since the lobby shows them too. One call at a time has them.
#[derive(Clone)]
pub struct LocalMedia {
    /// The camera.
    pub video: Arc<LocalVideo>,
    /// Microphone and speaker.
    pub audio: Arc<LocalAudio>,
    /// The process's clock, the same that `video` and `audio` have.
    pub clock: MediaClock,
}

/// What the user wants of a running call.
#[derive(Clone, Debug)]
pub enum CallCommand {
    /// Leave for good.
    Leave,
    /// Mute or unmute the microphone.
    SetMuted(bool),
    /// Be seen or not.
    SetCameraEnabled(bool),
    /// Hear nobody, or everybody again.
    SetDeafened(bool),
    /// Another camera.
    SetVideoSource(VideoSource),
    /// Another microphone.
    SetAudioSource(AudioSource),
    /// Another speaker.
    SetAudioSink(AudioSink),
    /// Write a line to everyone.
    SendChat(String),
    /// Make someone louder or quieter for us: 0 to 2, 1 being as sent.
    SetVolume(PeerId, f32),
    /// Look for a new network path to everyone, for instance since this machine's address changed.
    RestartIce,
    /// Let nobody new in, or let them in again; for who may moderate.
    SetLock(bool),
    /// Set, change or take away the room's password; for who may moderate.
    SetPassword(Option<Secret>),
    /// End someone's place in the room; for who may moderate.
    Remove(PeerId),
}

/// The call has more commands waiting than it takes; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call is busy; try again in a moment")]
pub struct Busy;

/// A handle to a call. Clones are handles to the same one; when the last is dropped, the call is left.
#[derive(Clone)]
pub struct Call {
    commands: mpsc::Sender<CallCommand>,
    published: Arc<Published>,
}

impl Call {
    /// Joins a room. `wake` is called, from any thread, when there is something new to see: a snapshot, a notice
    /// or a picture. It must not block.
    pub fn start(
        config: CallConfig,
        media: LocalMedia,
        runtime: &tokio::runtime::Handle,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self::start_on(None, config, media, runtime, wake)
    }

    /// The same, on a socket that was opened ahead, if it leads to the call's server.
    pub fn start_on(
        standby: Option<Standby>,
        config: CallConfig,
        media: LocalMedia,
        runtime: &tokio::runtime::Handle,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (publisher, published) = Publisher::new(&media, wake);
        runtime.spawn(engine::run(config, standby, media, receiver, publisher));
        Self { commands, published }
    }

    /// Hands a command over.
    ///
    /// # Errors
    /// [`Busy`] when too many are waiting; nothing happens when the call is over.
    pub fn send(&self, command: CallCommand) -> Result<(), Busy> {
        match self.commands.try_send(command) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Busy),
        }
    }

    /// The call as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.snapshots.borrow().clone()
    }

    /// The call as it goes on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.published.snapshots.clone()
    }

    /// The next thing the user should know, if there is one. Of more than 256 the oldest are dropped.
    pub fn poll_notice(&self) -> Option<Event> {
        self.published.notices.pop()
    }

    /// The next thing the user should know; none when the call is over and everything was said.
    pub async fn next_notice(&self) -> Option<Event> {
        self.published.notices.next().await
    }

    /// The pictures of a peer, as they come; another slot after each new connection with them.
    pub fn pictures(&self, peer: &PeerId) -> Option<latest::Receiver<VideoFrame>> {
        self.published.pictures(peer)
    }

    /// Waits until everything is closed and says why the call is over.
    pub async fn finished(&self) -> EndReason {
        let mut ended = self.published.ended.clone();
        // An engine that vanished without a word has been dropped with its runtime.
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(EndReason::Left),
            Err(_gone) => EndReason::Left,
        }
    }
}
