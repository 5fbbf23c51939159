//! From a connection's tracks to the decoder and the mixer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use parlor_media::{
    LocalAudio, MediaClock, MediaKind, Playout, PlayoutConfig, RemoteAudio, RemoteVideo, RemoteVideoEvents, RtpPacket,
    SenderReport,
};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp;
use tokio::sync::Notify;
use tracing::debug;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

use super::outbound::SendStream;
use crate::interceptors::ReportSink;

/// Streams whose sender report came before their first packet; a peer has two.
const EARLY_REPORTS_MAX: usize = 8;

/// Picture and sound of one peer, as one transport brings them.
pub(crate) struct Inbound {
    pub(crate) video: RemoteVideo,
    pub(crate) audio: RemoteAudio,
    key_frame_needed: Arc<Notify>,
    reports: Arc<ReportRouter>,
}

impl Inbound {
    /// Starts the decoder, and a place in the mixer. `frame_shown` is called for each new picture.
    pub(crate) fn new(clock: MediaClock, audio: &LocalAudio, frame_shown: Arc<dyn Fn() + Send + Sync>) -> Self {
        let playout = Arc::new(Playout::new(PlayoutConfig::default()));
        let key_frame_needed = Arc::new(Notify::new());
        let needed = key_frame_needed.clone();
        let events = RemoteVideoEvents { key_frame_needed: Arc::new(move || needed.notify_one()), frame_shown };
        Self {
            video: RemoteVideo::new(playout.clone(), clock, events),
            audio: audio.add_peer(playout.clone()),
            key_frame_needed,
            reports: Arc::new(ReportRouter::new(playout)),
        }
    }

    /// Where sender reports of this peer go.
    pub(crate) fn report_sink(&self) -> Arc<dyn ReportSink> {
        self.reports.clone()
    }

    /// Reads sound until the track ends; `ours` knows which payload type stands for sound with copies.
    pub(crate) async fn read_audio(&self, track: Arc<dyn TrackRemote>, ours: &SendStream) {
        while let Some(event) = track.poll().await {
            if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                self.reports.bind(MediaKind::Audio, packet.header.ssrc);
                let has_copies = ours.parameters().red_payload_type == Some(packet.header.payload_type);
                let (packet, now) = (own(packet), Instant::now());
                if has_copies {
                    self.audio.push_redundant(packet, now);
                } else {
                    self.audio.push(packet, now);
                }
            }
        }
    }

    /// Reads the picture until the track ends, and asks for key frames when the decoder needs one.
    pub(crate) async fn read_video(&self, track: Arc<dyn TrackRemote>, our_ssrc: u32) {
        let mut ssrc = None;
        loop {
            tokio::select! {
                event = track.poll() => match event {
                    Some(TrackRemoteEvent::OnRtpPacket(packet)) => {
                        ssrc = Some(packet.header.ssrc);
                        self.reports.bind(MediaKind::Video, packet.header.ssrc);
                        self.video.push(own(packet), Instant::now());
                    }
                    Some(_) => {}
                    None => return,
                },
                () = self.key_frame_needed.notified() => {
                    let Some(media_ssrc) = ssrc else { continue };
                    let pli = PictureLossIndication { sender_ssrc: our_ssrc, media_ssrc };
                    if let Err(error) = track.write_rtcp(vec![Box::new(pli)]).await {
                        debug!(%error, "a key frame could not be asked for");
                    }
                }
            }
        }
    }
}

fn own(packet: rtp::Packet) -> RtpPacket {
    let rtp::Packet { header, payload } = packet;
    RtpPacket {
        sequence_number: header.sequence_number,
        timestamp: header.timestamp,
        marker: header.marker,
        payload_type: header.payload_type,
        ssrc: header.ssrc,
        payload,
    }
}

/// Brings sender reports to the playout of their peer, once it is known which stream is which.
struct ReportRouter {
    playout: Arc<Playout>,
    /// 0: not known yet.
    audio_ssrc: AtomicU32,
    video_ssrc: AtomicU32,
    early: Mutex<BTreeMap<u32, SenderReport>>,
}

impl ReportRouter {
    fn new(playout: Arc<Playout>) -> Self {
        Self { playout, audio_ssrc: AtomicU32::new(0), video_ssrc: AtomicU32::new(0), early: Mutex::default() }
    }

    fn bind(&self, kind: MediaKind, ssrc: u32) {
        let known = match kind {
            MediaKind::Audio => &self.audio_ssrc,
            MediaKind::Video => &self.video_ssrc,
        };
        if known.swap(ssrc, Ordering::Relaxed) == ssrc {
            return;
        }
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner).remove(&ssrc);
        if let Some(report) = early {
            self.playout.on_sender_report(kind, report);
        }
    }
}

impl ReportSink for ReportRouter {
    fn sender_report(&self, ssrc: u32, ntp_time: u64, rtp_timestamp: u32) {
        let report = SenderReport { ntp_time, rtp_timestamp };
        if ssrc == self.audio_ssrc.load(Ordering::Relaxed) {
            self.playout.on_sender_report(MediaKind::Audio, report);
        } else if ssrc == self.video_ssrc.load(Ordering::Relaxed) {
            self.playout.on_sender_report(MediaKind::Video, report);
        } else {
            let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
            if early.len() < EARLY_REPORTS_MAX || early.contains_key(&ssrc) {
                early.insert(ssrc, report);
            }
        }
    }
}
