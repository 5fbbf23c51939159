//! The connections of a call, and the media of whoever is at their other ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_media::audio::level::SILENCE_DBFS;
use parlor_media::{RemoteAudioStats, VideoFrame, latest};
use parlor_proto::{CameraState, IceServer, PeerId};
use parlor_session::{ConnectionId, ConnectionState, Generation, RoomView};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::info_span;
use webrtc::peer_connection::RTCCertificate;

use crate::call::LocalMedia;
use crate::media_bridge::inbound::Inbound;
use crate::media_bridge::{Fanout, Leg, Limits};
use crate::peer_driver::{PeerCommand, PeerDriver, PeerEvent, PeerSetup, PeerShared, configuration};
use crate::policy::EnginePolicy;
use crate::snapshot::{PeerMediaView, TransportView};

/// Over which loss is measured.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks at what someone sounds like, which is a spectrum of a second.
const SOUND_INTERVAL: Duration = Duration::from_secs(1);

/// Random bytes from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "This system gives no random numbers".to_owned())?;
    Ok(bytes)
}

/// One connection.
pub(super) struct Peer {
    pub(super) peer_id: PeerId,
    pub(super) generation: Generation,
    pub(super) shared: Arc<PeerShared>,
    pub(super) connected_at: Option<Instant>,
    driver: PeerDriver,
    loss: LossMeter,
    sound: SoundMeter,
}

/// Share of their sound that was lost in the last second.
#[derive(Default)]
struct LossMeter {
    measured_at: Option<Instant>,
    packets: u64,
    lost: u64,
    share: f64,
}

impl LossMeter {
    fn measure(&mut self, now: Instant, stats: &RemoteAudioStats) {
        if self.measured_at.is_some_and(|at| now.saturating_duration_since(at) < LOSS_INTERVAL) {
            return;
        }
        let (packets, lost) =
            (stats.packets.saturating_sub(self.packets), stats.packets_lost.saturating_sub(self.lost));
        let sent = packets + lost;
        self.share = if sent == 0 { 0.0 } else { lost as f64 / sent as f64 };
        (self.measured_at, self.packets, self.lost) = (Some(now), stats.packets, stats.packets_lost);
    }
}

/// What their last second sounded like, looked at once a second.
struct SoundMeter {
    measured_at: Option<Instant>,
    dbfs: f32,
    tone_hz: Option<f32>,
}

impl Default for SoundMeter {
    fn default() -> Self {
        Self { measured_at: None, dbfs: SILENCE_DBFS, tone_hz: None }
    }
}

impl SoundMeter {
    fn measure(&mut self, now: Instant, describe: impl FnOnce() -> (f32, Option<f32>)) {
        if self.measured_at.is_none_or(|at| now.saturating_duration_since(at) >= SOUND_INTERVAL) {
            self.measured_at = Some(now);
            (self.dbfs, self.tone_hz) = describe();
        }
    }
}

/// All connections.
pub(super) struct Peers {
    policy: EnginePolicy,
    media: LocalMedia,
    fanout: Arc<Fanout>,
    certificate: RTCCertificate,
    events: mpsc::Sender<PeerEvent>,
    frame_shown: Arc<dyn Fn() + Send + Sync>,
    volumes: BTreeMap<PeerId, f32>,
    by_connection: BTreeMap<ConnectionId, Peer>,
    is_encoding: bool,
}

impl Peers {
    pub(super) fn new(
        policy: &EnginePolicy,
        media: &LocalMedia,
        fanout: Arc<Fanout>,
        events: mpsc::Sender<PeerEvent>,
        frame_shown: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Self, String> {
        let certificate = configuration::certificate().map_err(|error| error.to_string())?;
        Ok(Self {
            policy: policy.clone(),
            media: media.clone(),
            fanout,
            certificate,
            events,
            frame_shown,
            volumes: BTreeMap::new(),
            by_connection: BTreeMap::new(),
            is_encoding: false,
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Peer)> {
        self.by_connection.iter().map(|(connection, peer)| (*connection, peer))
    }

    /// Makes a connection, in place of an earlier generation; gives the pictures that it will bring.
    pub(super) fn create(
        &mut self,
        connection: ConnectionId,
        generation: Generation,
        peer_id: PeerId,
        ice_servers: Vec<IceServer>,
        tasks: &mut JoinSet<()>,
    ) -> latest::Receiver<VideoFrame> {
        if let Some(earlier) = self.by_connection.remove(&connection) {
            self.finish(connection, earlier, tasks);
        }
        let inbound = Inbound::new(self.media.clock, &self.media.audio, self.frame_shown.clone());
        inbound.audio.set_volume(self.volume(&peer_id));
        let frames = inbound.video.frames();
        let pacer = self.policy.pacer;
        let leg = Leg::new(Limits { backlog_max: pacer.backlog_max, backlog_low: pacer.backlog_low });
        let shared = Arc::new(PeerShared::new(leg, inbound));
        self.fanout.insert(connection, shared.leg.clone());
        let setup = PeerSetup {
            connection,
            generation,
            ice_servers,
            certificate: self.certificate.clone(),
            policy: self.policy.clone(),
            clock: self.media.clock,
            fanout: self.fanout.clone(),
            shared: shared.clone(),
            random: random_words(),
        };
        let span = info_span!("peer", peer = %peer_id, %generation);
        let driver = PeerDriver::start(setup, self.events.clone(), span);
        let peer = Peer {
            peer_id,
            generation,
            shared,
            connected_at: None,
            driver,
            loss: LossMeter::default(),
            sound: SoundMeter::default(),
        };
        self.by_connection.insert(connection, peer);
        frames
    }

    /// The encoders run from the first connection that carries media on, so that their first frame is a key frame for it.
    fn start_encoding(&mut self) {
        if std::mem::replace(&mut self.is_encoding, true) {
            return;
        }
        let fanout = self.fanout.clone();
        self.media.video.start_encoding(Box::new(move |frame| fanout.video(&frame)));
        let fanout = self.fanout.clone();
        self.media.audio.start_encoding(Box::new(move |audio| fanout.audio(&audio)));
    }

    /// Hands a command over; false when the connection hangs. Commands for a closed one do nothing.
    pub(super) fn send(&self, connection: ConnectionId, generation: Generation, command: PeerCommand) -> bool {
        match self.by_connection.get(&connection) {
            Some(peer) if peer.generation == generation => peer.driver.send(command),
            Some(_) | None => true,
        }
    }

    /// Closes a connection in the background; gives whose it was.
    pub(super) fn close(
        &mut self,
        connection: ConnectionId,
        generation: Generation,
        tasks: &mut JoinSet<()>,
    ) -> Option<PeerId> {
        if self.by_connection.get(&connection).is_none_or(|peer| peer.generation != generation) {
            return None;
        }
        let peer = self.by_connection.remove(&connection)?;
        let peer_id = peer.peer_id.clone();
        self.finish(connection, peer, tasks);
        if self.by_connection.is_empty() && std::mem::replace(&mut self.is_encoding, false) {
            self.media.video.stop_encoding();
            self.media.audio.stop_encoding();
        }
        Some(peer_id)
    }

    /// Closes everything; gives whose it was.
    pub(super) fn close_all(&mut self, tasks: &mut JoinSet<()>) -> Vec<PeerId> {
        let all: Vec<_> = self.by_connection.iter().map(|(id, peer)| (*id, peer.generation)).collect();
        all.into_iter().filter_map(|(connection, generation)| self.close(connection, generation, tasks)).collect()
    }

    fn finish(&self, connection: ConnectionId, peer: Peer, tasks: &mut JoinSet<()>) {
        self.fanout.remove(connection);
        let Peer { driver, shared, .. } = peer;
        shared.leg.queue().close();
        let closing = driver.close();
        tasks.spawn(async move {
            if let Err(error) = closing.await {
                tracing::error!(%error, "a connection's task has died");
            }
            // The decoder's thread is joined here.
            if tokio::task::spawn_blocking(move || drop(shared)).await.is_err() {
                tracing::error!("a decoder could not be ended");
            }
        });
    }

    pub(super) fn state_changed(
        &mut self,
        connection: ConnectionId,
        generation: Generation,
        state: ConnectionState,
        now: Instant,
    ) {
        let Some(peer) = self.by_connection.get_mut(&connection) else { return };
        if peer.generation == generation {
            let is_connected = state == ConnectionState::Connected;
            peer.connected_at = is_connected.then(|| peer.connected_at.unwrap_or(now));
            if is_connected {
                self.start_encoding();
            }
        }
    }

    pub(super) fn set_volume(&mut self, peer_id: PeerId, volume: f32) {
        let volume = if volume.is_finite() { volume.clamp(0.0, 2.0) } else { 1.0 };
        for peer in self.by_connection.values().filter(|peer| peer.peer_id == peer_id) {
            peer.shared.inbound.audio.set_volume(volume);
        }
        self.volumes.insert(peer_id, volume);
    }

    fn volume(&self, peer_id: &PeerId) -> f32 {
        self.volumes.get(peer_id).copied().unwrap_or(1.0)
    }

    /// What the roster says that the media has to know.
    pub(super) fn follow(&mut self, room: &RoomView) {
        for view in &room.peers {
            let Some((connection, _)) = view.connection else { continue };
            if let Some(peer) = self.by_connection.get(&connection) {
                peer.shared.inbound.video.set_same_boot(view.same_boot);
                let is_off = view.media.is_some_and(|media| media.camera == CameraState::Off);
                peer.shared.inbound.video.set_hidden(is_off || view.their_video.is_suspended());
            }
        }
        // What was turned for people who are gone is forgotten.
        self.volumes.retain(|peer_id, _| room.peers.iter().any(|peer| peer.peer_id == *peer_id));
    }

    /// Measures what is measured over time.
    pub(super) fn measure(&mut self, now: Instant) {
        for peer in self.by_connection.values_mut() {
            let audio = &peer.shared.inbound.audio;
            peer.loss.measure(now, &audio.counters());
            if self.policy.describe_sound {
                peer.sound.measure(now, || audio.describe());
            }
        }
    }

    pub(super) fn views(&self, now: Instant) -> BTreeMap<PeerId, PeerMediaView> {
        self.by_connection.values().map(|peer| (peer.peer_id.clone(), self.view(peer, now))).collect()
    }

    fn view(&self, peer: &Peer, now: Instant) -> PeerMediaView {
        let audio = &peer.shared.inbound.audio;
        PeerMediaView {
            speaking: audio.is_speaking(),
            level: audio.level(),
            volume: self.volume(&peer.peer_id),
            connected_for: peer.connected_at.map(|at| now.saturating_duration_since(at)),
            video: peer.shared.inbound.video.stats(),
            audio: RemoteAudioStats { dbfs: peer.sound.dbfs, tone_hz: peer.sound.tone_hz, ..audio.counters() },
            transport: transport_view(peer),
        }
    }
}

fn random_words() -> [u32; 5] {
    // Zero where the system fails later than at the start: SSRCs are then equal, which only the statistics mind.
    let bytes = random::<20>().unwrap_or_default();
    std::array::from_fn(|word| u32::from_be_bytes(std::array::from_fn(|byte| bytes[word * 4 + byte])).max(1))
}

fn transport_view(peer: &Peer) -> TransportView {
    let shared = &peer.shared;
    let (path, codecs, leg) = (shared.path(), shared.codecs(), shared.leg.queue().stats());
    let rtt = shared.quality.rtt().or(path.rtt);
    TransportView {
        rtt_ms: rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
        loss_out: shared.quality.audio_loss().max(shared.quality.video_loss()),
        loss_in: peer.loss.share,
        bytes_in: path.bytes_in,
        bytes_out: path.bytes_out,
        target_bitrate_bps: shared.quality.target_bps(),
        relayed: path.relayed,
        video_codec: codecs.video,
        audio_codec: codecs.audio,
        frames_sent: leg.frames_sent,
        frames_dropped: leg.frames_dropped,
        frames_withheld: leg.frames_withheld,
        packets_dropped: shared.gauge.dropped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_someone_sounds_like_is_looked_at_once_a_second() {
        let (mut meter, start, mut looks) = (SoundMeter::default(), Instant::now(), 0);
        assert_eq!((meter.dbfs, meter.tone_hz), (SILENCE_DBFS, None));
        for tick in 0..=20 {
            meter.measure(start + tick * Duration::from_millis(100), || {
                looks += 1;
                (-15.0, Some(440.0))
            });
        }
        assert_eq!((looks, meter.dbfs, meter.tone_hz), (3, -15.0, Some(440.0)));
    }
}
