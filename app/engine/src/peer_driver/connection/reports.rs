//! What a connection tells: messages, tracks, candidates and figures, in the words of the session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlor_proto::{CHAT_MESSAGE_BYTES_MAX, CONTROL_MESSAGE_BYTES_MAX, IceCandidate, Source};
use parlor_session::{Channel, ConnectionEvent};
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::statistics::report::{RTCStatsReport, RTCStatsReportEntry};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelMessage};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{PeerConnection, RTCIceCandidateInit, RTCIceCandidateType};

use crate::peer_driver::{PathStats, Reporter};

/// Reports a channel's messages until it closes. Waiting for the session holds the peer back, not us.
pub(super) async fn read_channel(
    data_channel: Arc<dyn DataChannel>,
    channel: Channel,
    opened: Box<dyn Fn() + Send + Sync>,
    reporter: Reporter,
) {
    while let Some(event) = data_channel.poll().await {
        match event {
            DataChannelEvent::OnOpen => {
                opened();
                reporter.report(ConnectionEvent::ChannelOpened(channel)).await;
            }
            DataChannelEvent::OnMessage(message) => {
                if let Some(event) = received(channel, message) {
                    reporter.report(event).await;
                }
            }
            _ => {}
        }
    }
}

fn received(channel: Channel, message: RTCDataChannelMessage) -> Option<ConnectionEvent> {
    let bytes_max = match channel {
        Channel::Control => CONTROL_MESSAGE_BYTES_MAX,
        Channel::Chat => CHAT_MESSAGE_BYTES_MAX,
    };
    let is_sound = message.is_string && message.data.len() <= bytes_max;
    // What is too large or no text still reaches the session, empty, so that it is counted there.
    let text = if is_sound { String::from_utf8(message.data.to_vec()).unwrap_or_default() } else { String::new() };
    Some(match channel {
        Channel::Control => ConnectionEvent::ControlReceived(text),
        Channel::Chat => ConnectionEvent::ChatReceived(text),
    })
}

/// What a track shows, by the media section it came in; where the other side named nothing, by its kind.
pub(super) async fn source_of(
    peer_connection: &Arc<dyn PeerConnection>,
    track: &Arc<dyn TrackRemote>,
    streams: &Mutex<BTreeMap<String, Source>>,
) -> Source {
    let track_id = track.track_id().await;
    for transceiver in peer_connection.get_transceivers().await {
        let (Ok(Some(mid)), Ok(Some(receiver))) = (transceiver.mid().await, transceiver.receiver().await) else {
            continue;
        };
        if receiver.track().track_id().await == track_id && receiver.track().kind().await == track.kind().await {
            let streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(source) = streams.get(&mid) {
                return *source;
            }
        }
    }
    match track.kind().await {
        RtpCodecKind::Audio => Source::Microphone,
        RtpCodecKind::Video => Source::Camera,
        // The stack's enum may grow.
        _ => Source::Unknown,
    }
}

pub(super) fn path_stats(report: &RTCStatsReport) -> PathStats {
    let Some(transport) = report.transport() else { return PathStats::default() };
    let mut path =
        PathStats { bytes_in: transport.bytes_received, bytes_out: transport.bytes_sent, ..PathStats::default() };
    let selected = report.get(&transport.selected_candidate_pair_id);
    let nominated = || report.candidate_pairs().find(|pair| pair.nominated);
    let pair = match selected {
        Some(RTCStatsReportEntry::IceCandidatePair(pair)) => Some(pair),
        Some(_) | None => nominated(),
    };
    if let Some(pair) = pair {
        path.rtt = (pair.current_round_trip_time > 0.0).then(|| Duration::from_secs_f64(pair.current_round_trip_time));
        // The pair names its candidates without the prefixes under which they stand in the report.
        let is_relay = |id: String| match report.get(&id) {
            Some(RTCStatsReportEntry::LocalCandidate(candidate) | RTCStatsReportEntry::RemoteCandidate(candidate)) => {
                candidate.candidate_type == RTCIceCandidateType::Relay
            }
            Some(_) | None => false,
        };
        let local = format!("RTCLocalIceCandidate_{}", pair.local_candidate_id);
        let remote = format!("RTCRemoteIceCandidate_{}", pair.remote_candidate_id);
        path.relayed = Some(is_relay(local) || is_relay(remote));
    }
    path
}

pub(super) fn to_proto(candidate: RTCIceCandidateInit) -> IceCandidate {
    IceCandidate {
        candidate: candidate.candidate,
        sdp_mid: candidate.sdp_mid,
        sdp_m_line_index: candidate.sdp_mline_index,
        username_fragment: candidate.username_fragment,
    }
}

pub(super) fn from_proto(candidate: IceCandidate) -> RTCIceCandidateInit {
    RTCIceCandidateInit {
        candidate: candidate.candidate,
        sdp_mid: candidate.sdp_mid,
        sdp_mline_index: candidate.sdp_m_line_index,
        username_fragment: candidate.username_fragment,
        ..RTCIceCandidateInit::default()
    }
}
