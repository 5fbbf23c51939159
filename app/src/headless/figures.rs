//! The numbers that a headless peer reports.

use parlor_engine::PeerMediaView;
use parlor_media::{LocalAudioStats, LocalVideoStats};
use serde::Serialize;

/// What `stats` and `summary` carry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Since the start of the program.
    pub seconds: f64,
    /// Whether we were ever in the room.
    pub joined: bool,
    /// Everybody who was in the room, in the order in which they came; those who left keep their last figures.
    pub peers: Vec<PeerFigures>,
    /// What we sent.
    pub sent: SentFigures,
    /// Our microphone and speaker.
    pub devices: DeviceFigures,
    /// Processor time of this process, all threads together; null where the system does not say.
    pub cpu_seconds: Option<f64>,
}

/// What was seen and heard of one peer, and the way to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct PeerFigures {
    /// Who.
    pub peer_id: String,
    /// Their name.
    pub name: String,
    /// Whether they are in the room.
    pub present: bool,
    /// Since media last began to flow; null while it does not.
    pub connected_seconds: Option<f64>,
    /// Pictures decoded.
    pub frames_decoded: u64,
    /// Of these, a second: in `stats` during the last second, in `summary` while connected.
    pub fps: f64,
    /// Width of the last picture, in pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// How often the picture stood still for want of new ones.
    pub freezes: u64,
    /// For how long altogether.
    pub frozen_ms: u64,
    /// From their camera to our screen, the median; null unless both ends run on the same boot of one machine.
    pub latency_ms_p50: Option<f64>,
    /// Pictures put together from packets.
    pub frames_assembled: u64,
    /// Pictures handed to the screen.
    pub frames_shown: u64,
    /// Pictures replaced by a newer one before the screen took them.
    pub frames_overwritten: u64,
    /// Pictures given up since one they build on was missing.
    pub frames_dropped_no_reference: u64,
    /// Pictures given up since packets of them were missing.
    pub frames_dropped_incomplete: u64,
    /// Pictures given up since the decoder was behind.
    pub frames_dropped_queue: u64,
    /// Pictures given up since their packets were not as they should be.
    pub frames_dropped_malformed: u64,
    /// Pictures that the decoder refused.
    pub decode_errors: u64,
    /// Key frames we asked for.
    pub key_frames_requested: u64,
    /// Loudness of their last second; 0 is full scale, −127 silence.
    pub audio_dbfs: f64,
    /// The strongest frequency of their last second; null in silence.
    pub audio_tone_hz: Option<f64>,
    /// Samples (48,000 a second) that were made up in place of lost ones.
    pub audio_concealed: u64,
    /// Samples of their own that were played.
    pub audio_played: u64,
    /// Sound packets that never came.
    pub audio_packets_lost: u64,
    /// How long their sound waits before it is played.
    pub audio_delay_ms: f64,
    /// Lines of chat that came from them.
    pub chat_received: u64,
    /// Bytes received from them.
    pub bytes_in: u64,
    /// Bytes sent to them.
    pub bytes_out: u64,
    /// Round-trip time; null before it is known.
    pub rtt_ms: Option<f64>,
    /// Our pictures sent to them.
    pub frames_sent: u64,
    /// Our pictures not sent to them because they, or the network, did not keep up.
    pub frames_dropped: u64,
    /// Our pictures held back because the connection carries too little.
    pub frames_withheld: u64,
    /// What the connection to them is thought to carry.
    pub target_bitrate_bps: u64,
    /// Whether a relay carries it; null before a path is chosen.
    pub relayed: Option<bool>,
    /// The picture's codec, once negotiated.
    pub video_codec: Option<String>,
    /// The sound's codec, once negotiated.
    pub audio_codec: Option<String>,
}

/// What we sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct SentFigures {
    /// Pictures that the source gave.
    pub frames_captured: u64,
    /// Pictures encoded, once for all peers together.
    pub frames_encoded: u64,
    /// Pictures that the encoder left out to keep its bit rate.
    pub frames_skipped: u64,
    /// Pictures replaced by a newer one before the encoder took them.
    pub frames_overwritten: u64,
    /// Of the encoded ones, key frames.
    pub key_frames: u64,
    /// What the encoder made: in `stats` during the last second, in `summary` on average.
    pub bitrate_bps: u64,
}

/// How long sound is in the microphone and the speaker, and what got lost there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct DeviceFigures {
    /// How old the newest sample of the microphone is when we get it; 0 without one.
    pub microphone_ms: f64,
    /// Samples from it that we were too slow for.
    pub microphone_overruns: u64,
    /// What waits in this program for the speaker; 0 without one.
    pub speaker_ready_ms: f64,
    /// How long what the speaker has taken is in it.
    pub speaker_ms: f64,
    /// Samples that it wanted and that were not there.
    pub speaker_underruns: u64,
}

impl From<LocalAudioStats> for DeviceFigures {
    fn from(stats: LocalAudioStats) -> Self {
        let ms = |duration: std::time::Duration| rounded(duration.as_secs_f64() * 1_000.0);
        Self {
            microphone_ms: ms(stats.input_latency),
            microphone_overruns: stats.input_overruns,
            speaker_ready_ms: ms(stats.output_ready),
            speaker_ms: ms(stats.output_latency),
            speaker_underruns: stats.output_underruns,
        }
    }
}

impl PeerFigures {
    /// Takes over what the engine knows.
    pub(super) fn take(&mut self, view: &PeerMediaView) {
        let PeerMediaView { connected_for, video, audio, transport, .. } = view;
        self.connected_seconds = connected_for.map(|duration| rounded(duration.as_secs_f64()));
        self.frames_decoded = video.frames_decoded;
        self.width = video.width;
        self.height = video.height;
        self.freezes = video.freezes;
        self.frozen_ms = video.frozen_ms;
        // What was known stays known when someone is about to leave.
        self.latency_ms_p50 = video.latency_ms_p50.map(rounded).or(self.latency_ms_p50);
        self.frames_assembled = video.frames_assembled;
        self.frames_shown = video.frames_shown;
        self.frames_overwritten = video.frames_overwritten;
        self.frames_dropped_no_reference = video.frames_dropped_no_reference;
        self.frames_dropped_incomplete = video.frames_dropped_incomplete;
        self.frames_dropped_queue = video.frames_dropped_queue;
        self.frames_dropped_malformed = video.frames_dropped_malformed;
        self.decode_errors = video.decode_errors;
        self.key_frames_requested = video.key_frames_requested;
        self.audio_dbfs = rounded(f64::from(audio.dbfs).max(-127.0));
        self.audio_tone_hz = audio.tone_hz.map(|hz| rounded(f64::from(hz)));
        self.audio_concealed = audio.concealed_samples;
        self.audio_played = audio.samples_played;
        self.audio_packets_lost = audio.packets_lost;
        self.audio_delay_ms = rounded(audio.delay_ms);
        self.bytes_in = transport.bytes_in;
        self.bytes_out = transport.bytes_out;
        self.rtt_ms = transport.rtt_ms.map(rounded).or(self.rtt_ms);
        self.frames_sent = transport.frames_sent;
        self.frames_dropped = transport.frames_dropped;
        self.frames_withheld = transport.frames_withheld;
        self.target_bitrate_bps = transport.target_bitrate_bps;
        self.relayed = transport.relayed;
        self.video_codec.clone_from(&transport.video_codec);
        self.audio_codec.clone_from(&transport.audio_codec);
    }
}

impl SentFigures {
    pub(super) fn new(stats: &LocalVideoStats, bitrate_bps: u64) -> Self {
        Self {
            frames_captured: stats.frames_captured,
            frames_encoded: stats.frames_encoded,
            frames_skipped: stats.frames_skipped,
            frames_overwritten: stats.frames_overwritten,
            key_frames: stats.key_frames,
            bitrate_bps,
        }
    }
}

/// To three digits behind the point: more says nothing and makes lines long.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
