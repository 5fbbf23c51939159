//! A real call of two, in this process: two engines, each with threads of its own name, and a server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use parlor_engine::{
    Call, CallCommand, CallConfig, Credentials, EnginePolicy, LocalMedia, PeerMediaView, ServerAddress, Snapshot,
};
use parlor_media::{
    AudioSink, AudioSource, LocalAudio, LocalAudioConfig, LocalVideo, LocalVideoConfig, MediaClock, VideoSource,
};
use parlor_proto::{CameraState, MicrophoneState};
use parlor_signaling::RunningServer;
use tokio::runtime::Runtime;

use parlor_lab_cost::server;
use parlor_lab_cost::threads::Threads;

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rates settle, and what connecting cost is over.
const SETTLE: Duration = Duration::from_secs(6);
/// The threads of the server, which is no part of a call's cost.
const SERVER: &str = "server";
/// The threads that carry the packets of the first and of the second.
const NAMES: [&str; 2] = ["ana", "bo"];
/// Version, type, number, time, source (RFC 3550 §5.1), then the extensions that we send.
const HEADER_BYTES: f64 = 12.0 + 16.0;
/// RFC 7714.
const TAG_BYTES: f64 = 16.0;

/// Two in a room.
pub(crate) struct Meeting {
    server: Option<RunningServer>,
    server_runtime: Runtime,
    parties: [Party; 2],
}

struct Party {
    call: Call,
    media: LocalMedia,
    runtime: Runtime,
}

/// What a call cost in which both sent, and what its codecs were asked to do meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Called {
    pub(crate) took: Duration,
    /// Of the process, without the server.
    pub(crate) cpu: Duration,
    /// The same by the names of threads.
    pub(crate) threads: BTreeMap<String, Duration>,
    pub(crate) frames_encoded: u64,
    pub(crate) frames_decoded: u64,
    pub(crate) sounds_encoded: u64,
    pub(crate) sounds_decoded: u64,
    /// What the encoders aimed at.
    pub(crate) bitrate_bps: u32,
}

/// What it cost to carry the packets of one who alone sends.
#[derive(Debug)]
pub(crate) struct OneWay {
    took: Duration,
    cpu: Duration,
    packets: u64,
    /// Of one on the wire, on average, without UDP and IP.
    pub(crate) packet_bytes: usize,
}

impl OneWay {
    pub(crate) fn cost_of_packet(&self) -> Duration {
        Duration::from_secs_f64(self.cpu.as_secs_f64() / self.packets as f64)
    }

    pub(crate) fn packets_per_second(&self) -> f64 {
        self.packets as f64 / self.took.as_secs_f64()
    }
}

/// Counters at one moment.
struct Look {
    at: Instant,
    threads: Threads,
    frames_encoded: u64,
    sounds_encoded: u64,
    bitrate_bps: u32,
    received: [PeerMediaView; 2],
}

impl Meeting {
    /// Both join, and see and hear each other.
    pub(crate) fn begin(clip: &Path) -> anyhow::Result<Self> {
        let server_runtime = tokio::runtime::Builder::new_multi_thread().thread_name(SERVER).enable_all().build()?;
        let server = server::start(&server_runtime)?;
        let url = format!("ws://{}/ws", server.local_addr());
        let parties = [Party::join(NAMES[0], &url, clip)?, Party::join(NAMES[1], &url, clip)?];
        for party in &parties {
            party.until("the other is seen and heard", |snapshot| {
                let mut peers = snapshot.peers.values();
                peers.next().is_some_and(|peer| peer.video.frames_decoded > 30 && peer.audio.samples_played > 0)
            })?;
        }
        Ok(Self { server: Some(server), server_runtime, parties })
    }

    /// Measures for `span` while both send.
    pub(crate) fn both_send(&self, span: Duration) -> anyhow::Result<Called> {
        std::thread::sleep(SETTLE);
        let before = self.look()?;
        std::thread::sleep(span);
        let after = self.look()?;
        let mut threads = after.threads.since(&before.threads);
        threads.retain(|name, _| !name.starts_with(SERVER));
        let more = |of: fn(&PeerMediaView) -> u64| {
            let sum = |look: &Look| look.received.iter().map(of).sum::<u64>();
            sum(&after) - sum(&before)
        };
        Ok(Called {
            took: after.at - before.at,
            cpu: threads.values().sum(),
            threads,
            frames_encoded: after.frames_encoded - before.frames_encoded,
            frames_decoded: more(|peer| peer.video.frames_decoded),
            sounds_encoded: after.sounds_encoded - before.sounds_encoded,
            sounds_decoded: more(|peer| peer.audio.packets),
            bitrate_bps: u32::midpoint(before.bitrate_bps, after.bitrate_bps),
        })
    }

    /// Measures for `span` while only the first one sends: what the threads of its connection cost.
    pub(crate) fn one_sends(&self, span: Duration) -> anyhow::Result<OneWay> {
        let [ana, bo] = &self.parties;
        for command in [CallCommand::SetCameraEnabled(false), CallCommand::SetMuted(true)] {
            bo.call.send(command)?;
        }
        ana.until("the other is hidden", |snapshot| {
            snapshot.room.peers.iter().any(|peer| {
                peer.media
                    .is_some_and(|media| (media.camera, media.microphone) == (CameraState::Off, MicrophoneState::Muted))
            })
        })?;
        std::thread::sleep(SETTLE / 3);
        let before = self.look()?;
        std::thread::sleep(span);
        let after = self.look()?;
        let used = after.threads.since(&before.threads);
        let more = |of: fn(&PeerMediaView) -> u64| of(&after.received[1]) - of(&before.received[1]);
        let packets = more(|peer| peer.video.packets + peer.audio.packets);
        let back = after.received[0].video.packets - before.received[0].video.packets;
        if packets == 0 || back > packets / 20 {
            bail!("{packets} packets went one way and {back} the other, where all were to go one way");
        }
        let payload = more(|peer| peer.video.bytes + peer.audio.bytes) as f64 / packets as f64;
        Ok(OneWay {
            took: after.at - before.at,
            cpu: used.get(NAMES[0]).copied().unwrap_or_default(),
            packets,
            packet_bytes: (payload + HEADER_BYTES + TAG_BYTES) as usize,
        })
    }

    /// Ends the call and the server.
    pub(crate) fn end(mut self) {
        for party in &self.parties {
            // A full queue empties; dropping the handle leaves as well.
            let _ = party.call.send(CallCommand::Leave);
            party.runtime.block_on(async { tokio::time::timeout(PATIENCE, party.call.finished()).await }).ok();
        }
        if let Some(server) = self.server.take() {
            self.server_runtime.block_on(server.shutdown());
        }
    }

    fn look(&self) -> anyhow::Result<Look> {
        let video = self.parties.each_ref().map(|party| party.media.video.stats());
        let received = self.parties.each_ref().map(Party::received);
        let [Some(first), Some(second)] = received else { bail!("the call broke off while it was measured") };
        Ok(Look {
            at: Instant::now(),
            threads: Threads::now()?,
            frames_encoded: video.iter().map(|stats| stats.frames_encoded).sum(),
            sounds_encoded: self.parties.iter().map(|party| party.media.audio.stats().packets_encoded).sum(),
            bitrate_bps: u32::midpoint(video[0].target_bitrate_bps, video[1].target_bitrate_bps),
            received: [first, second],
        })
    }
}

impl Party {
    fn join(name: &'static str, url: &str, clip: &Path) -> anyhow::Result<Self> {
        let runtime = parlor_engine::runtime(name)?;
        let clock = MediaClock::system();
        let video = LocalVideo::new(LocalVideoConfig::default(), clock);
        video.set_source(VideoSource::File(clip.to_owned()));
        let audio = LocalAudio::new(LocalAudioConfig::default(), clock);
        audio.set_source(AudioSource::Tone { frequency_hz: 440.0 });
        audio.set_sink(AudioSink::None);
        let media = LocalMedia { video: Arc::new(video), audio: Arc::new(audio), clock };
        let config = CallConfig {
            server: ServerAddress { websocket_url: url.to_owned(), fingerprint: None },
            room: "bench".parse().context("a room")?,
            name: name.parse().context("a name")?,
            credentials: Credentials::default(),
            policy: EnginePolicy::default(),
        };
        let call = Call::start(config, media.clone(), runtime.handle(), Arc::new(|| {}));
        Ok(Self { call, media, runtime })
    }

    fn received(&self) -> Option<PeerMediaView> {
        self.call.snapshot().peers.values().next().cloned()
    }

    fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> anyhow::Result<()> {
        let mut snapshots = self.call.subscribe();
        let waited = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, snapshots.wait_for(|snapshot| wanted(snapshot)))
                .await
                .map(|seen| seen.is_ok())
        });
        if waited == Ok(true) { Ok(()) } else { bail!("waited in vain for: {what}") }
    }
}
