//! A server, participants, and waiting for what shall become true.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parlor_engine::{
    Call, CallConfig, Credentials, EnginePolicy, LocalMedia, Notice, PeerMediaView, ServerAddress, Snapshot, Standby,
};
use parlor_lab_net::{Lab, LabConfig};
use parlor_media::{
    AudioSink, AudioSource, LocalAudio, LocalAudioConfig, LocalVideo, LocalVideoConfig, MediaClock, VideoSource,
};
use parlor_proto::PeerId;
use parlor_session::{PeerState, PeerView, Phase};
use parlor_signaling::{HubConfig, RunningServer, Secret, ServerConfig, Tls, serve};
use tokio::sync::{Mutex, MutexGuard};

/// How long something that must happen may take on a slow machine. Nothing here depends on being quick.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// One call at a time: the media of several would compete for two cores.
static SERIAL: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    // RUST_LOG shows what the engine says.
    let _already = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    SERIAL.lock().await
}

pub(crate) fn server_config(bind: SocketAddr) -> ServerConfig {
    ServerConfig {
        bind,
        hub: HubConfig { ice_servers: Vec::new(), ..HubConfig::default() },
        tls: Tls::Off,
        secret: Secret::Given(b"sixteen bytes, and more".to_vec()),
        state_dir: None,
        ..ServerConfig::default()
    }
}

pub(crate) async fn server() -> RunningServer {
    serve(server_config(([127, 0, 0, 1], 0).into())).await.unwrap()
}

pub(crate) fn address(server: &RunningServer) -> ServerAddress {
    ServerAddress { websocket_url: format!("ws://{}/ws", server.local_addr()), fingerprint: server.fingerprint() }
}

/// A network with these faults before a server; who joins through it meets the others through it.
pub(crate) fn lab(server: &RunningServer, rules: &[&str]) -> Lab {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    Lab::start(LabConfig { rules, ..LabConfig::new(&format!("http://{}", server.local_addr())) }).unwrap()
}

pub(crate) fn through(lab: &Lab) -> ServerAddress {
    ServerAddress { websocket_url: format!("{}/ws", lab.address().replacen("http", "ws", 1)), fingerprint: None }
}

pub(crate) struct Participant {
    pub(crate) call: Call,
    pub(crate) started: Instant,
}

/// A call on a test pattern, and a tone of its own.
pub(crate) fn join(server: ServerAddress, name: &str, tone_hz: f32) -> Participant {
    join_with(server, name, tone_hz, EnginePolicy::default())
}

pub(crate) fn join_with(server: ServerAddress, name: &str, tone_hz: f32, policy: EnginePolicy) -> Participant {
    join_on(None, server, name, tone_hz, policy)
}

/// On a socket that was opened ahead.
pub(crate) fn join_on(
    standby: Option<Standby>,
    server: ServerAddress,
    name: &str,
    tone_hz: f32,
    policy: EnginePolicy,
) -> Participant {
    let clock = MediaClock::system();
    let video = LocalVideo::new(LocalVideoConfig::default(), clock);
    video.set_source(VideoSource::TestPattern { name: name.to_owned() });
    let audio = LocalAudio::new(LocalAudioConfig::default(), clock);
    audio.set_source(AudioSource::Tone { frequency_hz: tone_hz });
    audio.set_sink(AudioSink::None);
    let media = LocalMedia { video: Arc::new(video), audio: Arc::new(audio), clock };
    let config = CallConfig {
        server,
        room: "quiet-otter".parse().unwrap(),
        name: name.parse().unwrap(),
        credentials: Credentials::default(),
        policy: EnginePolicy { describe_sound: true, ..policy },
    };
    let call = Call::start_on(standby, config, media, &tokio::runtime::Handle::current(), Arc::new(|| {}));
    Participant { call, started: Instant::now() }
}

impl Participant {
    /// Waits until the call looks as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut snapshots = self.call.subscribe();
        let waited = tokio::time::timeout(PATIENCE, snapshots.wait_for(|snapshot| wanted(snapshot))).await;
        match waited {
            Ok(snapshot) => snapshot.unwrap().clone(),
            Err(_elapsed) => panic!("waited in vain for: {what}\n{:#?}", self.call.snapshot()),
        }
    }

    /// Waits until the one other peer, or any of them, is as wanted.
    pub(crate) async fn until_peer(&self, name: &str, what: &str, wanted: impl Fn(&PeerView, &PeerMediaView) -> bool) {
        self.until(what, |snapshot| {
            peer(snapshot, name)
                .is_some_and(|peer| snapshot.peers.get(&peer.peer_id).is_some_and(|media| wanted(peer, media)))
        })
        .await;
    }

    pub(crate) async fn until_connected(&self, name: &str) {
        self.until_peer(name, "media flows", |peer, _| peer.state == PeerState::Connected).await;
    }

    /// Waits until the data channels work too, which takes a moment longer than media.
    pub(crate) async fn until_talking(&self, name: &str) {
        self.until_peer(name, "they told what their devices do", |peer, _| peer.media.is_some()).await;
    }

    pub(crate) async fn until_seen_and_heard(&self, name: &str, tone_hz: f32) {
        self.until_peer(name, "the picture is decoded and the tone is heard", |_, media| {
            media.video.frames_decoded >= 30 && media.audio.tone_hz.is_some_and(|heard| (heard - tone_hz).abs() < 15.0)
        })
        .await;
    }

    pub(crate) fn media_of(&self, name: &str) -> PeerMediaView {
        let snapshot = self.call.snapshot();
        let id = peer(&snapshot, name).map(|peer| peer.peer_id.clone()).unwrap();
        snapshot.peers[&id].clone()
    }

    pub(crate) fn self_id(&self) -> PeerId {
        self.call.snapshot().room.self_id.clone().unwrap()
    }

    /// Waits for a notice that is as wanted, and lets the others pass.
    pub(crate) async fn notice(&self, what: &str, wanted: impl Fn(&Notice) -> bool) -> Notice {
        let found = async {
            while let Some(notice) = self.call.next_notice().await {
                if wanted(&notice) {
                    return notice;
                }
            }
            panic!("the call ended before: {what}");
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(notice) => notice,
            Err(_elapsed) => panic!("waited in vain for: {what}\n{:#?}", self.call.snapshot()),
        }
    }

    /// Leaves, and waits until everything is closed.
    pub(crate) async fn leave(self) {
        self.call.send(parlor_engine::CallCommand::Leave).unwrap();
        tokio::time::timeout(PATIENCE, self.call.finished()).await.unwrap();
    }
}

pub(crate) fn peer<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a PeerView> {
    snapshot.room.peers.iter().find(|peer| peer.name.as_str() == name)
}

pub(crate) fn in_room(snapshot: &Snapshot) -> bool {
    snapshot.room.phase == Phase::InRoom
}
