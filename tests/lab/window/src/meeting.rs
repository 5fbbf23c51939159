//! A server and one other peer, in this process, for a window to have a call with.

use std::sync::Arc;

use anyhow::Context as _;
use parlor_engine::{Call, CallConfig, Credentials, EnginePolicy, LocalMedia, ServerAddress};
use parlor_media::{LocalAudio, LocalAudioConfig, LocalVideo, LocalVideoConfig, MediaClock};
use parlor_signaling::RunningServer;
use tokio::runtime::Runtime;

const ROOM: &str = "quiet-otter-71k2";
/// All its threads have the lab's name; those of its media have none that cost anything, since it sends and hears nothing.
const THREAD: &str = "lab-other";

/// Someone who is there, and says and shows nothing.
pub(crate) struct Meeting {
    server: RunningServer,
    _call: Call,
    _runtime: Runtime,
}

impl Meeting {
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_name(THREAD).enable_all().build()?;
        let server = parlor_lab_cost::server::start(&runtime)?;
        let clock = MediaClock::system();
        let media = LocalMedia {
            video: Arc::new(LocalVideo::new(LocalVideoConfig::default(), clock)),
            audio: Arc::new(LocalAudio::new(LocalAudioConfig::default(), clock)),
            clock,
        };
        let config = CallConfig {
            server: ServerAddress { websocket_url: format!("ws://{}/ws", server.local_addr()), fingerprint: None },
            room: ROOM.parse().context("a room")?,
            name: "Bo".parse().context("a name")?,
            credentials: Credentials::default(),
            policy: EnginePolicy::default(),
        };
        let call = Call::start(config, media, runtime.handle(), Arc::new(|| {}));
        Ok(Self { server, _call: call, _runtime: runtime })
    }

    pub(crate) fn link(&self) -> String {
        format!("http://{}/r/{ROOM}", self.server.local_addr())
    }
}
