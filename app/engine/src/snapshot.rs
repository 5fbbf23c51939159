//! What those who show a call may see of it: one immutable value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parlor_media::{
    AudioDeviceError, CameraError, LocalAudioStats, LocalVideoStats, RemoteAudioStats, RemoteVideoStats, SourceStatus,
};
use parlor_proto::PeerId;
use parlor_session::RoomView;

/// A call at one moment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Who is here, in which state, and what was written.
    pub room: Arc<RoomView>,
    /// Whether we muted ourselves.
    pub muted: bool,
    /// Whether we want to be seen.
    pub camera_enabled: bool,
    /// Whether we hear nobody.
    pub deafened: bool,
    /// What the microphone does.
    pub microphone_status: SourceStatus<AudioDeviceError>,
    /// What the camera does.
    pub camera_status: SourceStatus<CameraError>,
    /// What the speaker does.
    pub speaker_status: SourceStatus<AudioDeviceError>,
    /// Picture and sound of everyone with a connection.
    pub peers: BTreeMap<PeerId, PeerMediaView>,
    /// We speak and nobody hears it, because we are muted.
    pub speaking_while_muted: bool,
    /// Whether we speak, muted or not.
    pub speaking: bool,
    /// How loud we are, 0 to 1, muted or not.
    pub level: f32,
    /// Since we first entered the room; zero before.
    pub elapsed: Duration,
    /// What we send.
    pub sent: SentView,
}

/// Picture and sound of one peer.
#[derive(Clone, Debug)]
pub struct PeerMediaView {
    /// Whether they speak.
    pub speaking: bool,
    /// How loud they are, 0 to 1.
    pub level: f32,
    /// What we turned them to, 0 to 2.
    pub volume: f32,
    /// Since media last began to flow; none while it does not.
    pub connected_for: Option<Duration>,
    /// Their picture.
    pub video: RemoteVideoStats,
    /// Their sound.
    pub audio: RemoteAudioStats,
    /// The way between us.
    pub transport: TransportView,
}

/// The way to a peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransportView {
    /// Round-trip time.
    pub rtt_ms: Option<f64>,
    /// Share of our packets that did not arrive, 0 to 1; of the sound, which is not repaired.
    pub loss_out: f64,
    /// Share of their sound packets that did not arrive in the last second, 0 to 1.
    pub loss_in: f64,
    /// Bytes received, everything on the connection included.
    pub bytes_in: u64,
    /// Bytes sent, everything on the connection included.
    pub bytes_out: u64,
    /// What the connection is thought to carry.
    pub target_bitrate_bps: u64,
    /// Whether a relay carries it; none before a path is chosen.
    pub relayed: Option<bool>,
    /// The picture's codec, once negotiated.
    pub video_codec: Option<String>,
    /// The sound's codec, once negotiated.
    pub audio_codec: Option<String>,
    /// Our frames sent to them.
    pub frames_sent: u64,
    /// Our frames not sent to them because they, or the network, did not keep up.
    pub frames_dropped: u64,
    /// Our frames held back by adaptation.
    pub frames_withheld: u64,
    /// Packets dropped while waiting for their turn.
    pub packets_dropped: u64,
}

/// What we send.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentView {
    /// The camera and the encoder.
    pub video: LocalVideoStats,
    /// What the encoder made in the last second, in bits per second.
    pub video_bitrate_bps: u64,
    /// The microphone, and the speaker at which the others are heard.
    pub audio: LocalAudioStats,
}
