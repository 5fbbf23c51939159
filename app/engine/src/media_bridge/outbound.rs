//! The writer task of one connection: frames become RTP packets with this connection's header.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use parlor_media::rtp::red::Redundancy;
use parlor_media::{EncodedAudio, PacketizedFrame};
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodecParameters, RTCRtpSendParameters};
use tokio::time::{Instant, timeout_at};
use tracing::debug;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use super::copies::Copies;
use super::{Leg, LegQueue, Next};
use crate::interceptors::pictures::Handover;
use crate::interceptors::{CaptureTimes, LinkQuality, PacerGauge};
use crate::peer_driver::configuration::{AUDIO_LEVEL_URI, MIME_TYPE_RED};

/// How much the encoder puts into a packet.
const SOUND: Duration = Duration::from_millis(20);
/// After so long without another sound those that wait for it go alone: somebody has stopped speaking.
const HOLD_MAX: Duration = Duration::from_millis(80);

/// What was negotiated for one of our senders; packets with anything else are refused by the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SendParameters {
    pub(crate) payload_type: Option<u8>,
    /// Of sound with copies (RFC 2198), where the other side takes it. The same number stands for what it sends.
    pub(crate) red_payload_type: Option<u8>,
    audio_level_id: Option<u8>,
}

impl SendParameters {
    /// Reads what was negotiated; the payload type is that of `mime_type`, wherever it stands in the list.
    pub(crate) fn read(parameters: &RTCRtpSendParameters, mime_type: &str) -> Self {
        let parameters = &parameters.rtp_parameters;
        let payload_type = |mime_type| {
            let is_it = |codec: &&RTCRtpCodecParameters| codec.rtp_codec.mime_type.eq_ignore_ascii_case(mime_type);
            parameters.codecs.iter().find(is_it).map(|codec| codec.payload_type)
        };
        let level = parameters.header_extensions.iter().find(|extension| extension.uri == AUDIO_LEVEL_URI);
        Self {
            payload_type: payload_type(mime_type),
            red_payload_type: payload_type(MIME_TYPE_RED),
            audio_level_id: level.and_then(|extension| u8::try_from(extension.id).ok()),
        }
    }
}

/// One of our two permanent streams.
pub(crate) struct SendStream {
    pub(crate) track: Arc<TrackLocalStaticRTP>,
    pub(crate) ssrc: u32,
    parameters: Mutex<SendParameters>,
}

impl SendStream {
    pub(crate) fn new(track: Arc<TrackLocalStaticRTP>, ssrc: u32) -> Self {
        Self { track, ssrc, parameters: Mutex::default() }
    }

    /// After each negotiation.
    pub(crate) fn set_parameters(&self, parameters: SendParameters) {
        *self.parameters.lock().unwrap_or_else(PoisonError::into_inner) = parameters;
    }

    pub(crate) fn parameters(&self) -> SendParameters {
        *self.parameters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the writer of one connection needs.
pub(crate) struct Outbound {
    pub(crate) leg: Arc<Leg>,
    pub(crate) audio: Arc<SendStream>,
    pub(crate) video: Arc<SendStream>,
    pub(crate) capture_times: Arc<CaptureTimes>,
    pub(crate) pictures: Arc<Handover>,
    pub(crate) gauge: Arc<PacerGauge>,
    pub(crate) quality: Arc<LinkQuality>,
}

/// What the writer keeps from sound to sound.
struct SoundWriter {
    sequence: Sequence,
    redundancy: Redundancy,
    copies: Copies,
}

/// What to write next, as far as the pacer is ready for it.
pub(crate) fn next(queue: &mut LegQueue, gauge: &PacerGauge) -> Option<Next> {
    if gauge.take_broken() {
        queue.begin_anew();
    }
    let backlog = if queue.begins_anew() { gauge.backlog_of_key_frame() } else { gauge.backlog() };
    queue.pop(backlog)
}

/// Numbers packets of one stream.
struct Sequence(u16);

impl Sequence {
    /// The first of the next so many.
    fn take(&mut self, count: usize) -> u16 {
        let number = self.0;
        // The cast is the point: numbers wrap.
        self.0 = number.wrapping_add(count as u16);
        number
    }
}

impl Outbound {
    /// Writes until the task is aborted or the connection is gone.
    pub(crate) async fn run(self, first_sequence_number: u16) {
        let mut sound = SoundWriter {
            sequence: Sequence(first_sequence_number),
            redundancy: Redundancy::default(),
            copies: Copies::default(),
        };
        let mut video_sequence = Sequence(first_sequence_number.rotate_left(7));
        let mut held_until = None;
        loop {
            let held = self.ready(&mut held_until).await;
            let mut held = held.map(Next::Audio);
            loop {
                // The guard must not live into the await.
                let next = held.take().or_else(|| next(&mut self.leg.queue(), &self.gauge));
                let written = match next {
                    Some(Next::Audio(audio)) => self.write_audio(audio, &mut sound).await,
                    Some(Next::Video(frame)) => self.write_video(frame, &mut video_sequence).await,
                    None => break,
                };
                if let Err(error) = written {
                    // The stack's errors may hold whole packets.
                    let error: String = error.to_string().chars().take(120).collect();
                    debug!(error, "a packet was not written");
                }
            }
        }
    }

    /// Waits until there may be something to write; gives sounds that have waited in vain for those to go with them.
    async fn ready(&self, held_until: &mut Option<Instant>) -> Option<EncodedAudio> {
        if !self.leg.queue().holds_sounds() {
            *held_until = None;
            self.leg.ready().await;
            return None;
        }
        let until = *held_until.get_or_insert_with(|| Instant::now() + HOLD_MAX);
        if timeout_at(until, self.leg.ready()).await.is_ok() {
            return None;
        }
        *held_until = None;
        self.leg.queue().pop_held_sounds()
    }

    async fn write_audio(&self, audio: EncodedAudio, writer: &mut SoundWriter) -> webrtc::error::Result<()> {
        let SendParameters { payload_type, red_payload_type, audio_level_id } = self.audio.parameters();
        let Some(opus) = payload_type else { return Ok(()) };
        let quality = &self.quality;
        let wanted = writer.copies.next(quality.audio_loss(), quality.is_full(), quality.target_bps());
        // Of what holds 60 ms, one: an older copy would come too late.
        let wanted = if audio.duration > SOUND { wanted.min(1) } else { wanted };
        let copies = red_payload_type.map_or(0, |_| wanted);
        let packed = writer.redundancy.pack(opus, audio.rtp_timestamp, &audio.payload, copies);
        let (payload_type, payload) = match (red_payload_type, packed) {
            (Some(red), Some(packed)) => (red, packed),
            _ => (opus, audio.payload),
        };
        self.capture_times.set(self.audio.ssrc, audio.captured_at, audio.rtp_timestamp);
        let mut header = rtp::header::Header {
            version: 2,
            payload_type,
            sequence_number: writer.sequence.take(1),
            timestamp: audio.rtp_timestamp,
            ssrc: self.audio.ssrc,
            ..rtp::header::Header::default()
        };
        if let Some(id) = audio_level_id {
            // RFC 6464 §3: the voice flag and the level in −dBov.
            let level = u8::from(audio.voice) << 7 | audio.level_dbov.min(127);
            header.set_extension(id, Bytes::copy_from_slice(&[level]))?;
        }
        self.audio.track.write_rtp(rtp::Packet { header, payload }).await
    }

    /// Writes one envelope for the picture; `interceptors/pictures.rs` puts the packets in its place.
    async fn write_video(&self, frame: Arc<PacketizedFrame>, sequence: &mut Sequence) -> webrtc::error::Result<()> {
        let Some(payload_type) = self.video.parameters().payload_type else { return Ok(()) };
        self.capture_times.set(self.video.ssrc, frame.captured_at, frame.rtp_timestamp);
        let header = rtp::header::Header {
            version: 2,
            payload_type,
            sequence_number: sequence.take(frame.packets.len()),
            timestamp: frame.rtp_timestamp,
            ssrc: self.video.ssrc,
            ..rtp::header::Header::default()
        };
        self.pictures.leave(header.sequence_number, frame);
        self.video.track.write_rtp(rtp::Packet { header, payload: Bytes::new() }).await
    }
}
