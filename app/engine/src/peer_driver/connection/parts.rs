//! What a connection is made of: the stack's own part with our chain in it, tracks, channels.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters, RtpCodecKind,
};
use webrtc::data_channel::{DataChannel, RTCDataChannelInit};
use webrtc::error::Result;
use webrtc::media_stream::MediaStreamTrack;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{PeerConnection, PeerConnectionBuilder};
use webrtc::rtp_transceiver::RtpSender;

use crate::interceptors::pictures::Handover;
use crate::interceptors::{self, CaptureTimes, ChainParts};
use crate::media_bridge::outbound::SendStream;
use crate::peer_driver::PeerSetup;
use crate::peer_driver::configuration::{self, BindAddresses};
use crate::peer_driver::handler::Handler;
use crate::peer_driver::runtime::OrderlyRuntime;

/// One stream name, so that browsers play picture and sound together.
const STREAM_NAME: &str = "parlor";

/// One of our senders with its stream.
pub(super) struct Sending {
    pub(super) stream: Arc<SendStream>,
    pub(super) sender: Arc<dyn RtpSender>,
    pub(super) mime_type: &'static str,
}

impl Sending {
    pub(super) fn payload_type(&self) -> Option<u8> {
        self.stream.parameters().payload_type
    }
}

pub(super) async fn stack(
    setup: &PeerSetup,
    handler: Handler,
    runtime: OrderlyRuntime,
    capture_times: Arc<CaptureTimes>,
    pictures: Arc<Handover>,
    video_ssrc: u32,
) -> Result<Arc<dyn PeerConnection>> {
    let media_engine = configuration::media_engine()?;
    let BindAddresses { addresses, loopback } = configuration::bind_addresses();
    let (fanout, leg) = (setup.fanout.clone(), setup.shared.leg.clone());
    let parts = ChainParts {
        clock: setup.clock,
        capture_times,
        quality: setup.shared.quality.clone(),
        gauge: setup.shared.gauge.clone(),
        report_sink: setup.shared.inbound.report_sink(),
        key_frame_requested: Arc::new(move || fanout.peer_asks_for_key_frame(&leg, Instant::now())),
        video_ssrc,
        pictures,
    };
    let relay_only = setup.policy.session.relay_only;
    let configuration = configuration::configuration(&setup.ice_servers, relay_only)
        .with_certificates(vec![setup.certificate.clone()])
        .build();
    let peer_connection = PeerConnectionBuilder::<SocketAddr>::new()
        .with_runtime(Arc::new(runtime))
        .with_configuration(configuration)
        .with_media_engine(media_engine)
        .with_setting_engine(configuration::setting_engine(&setup.policy, loopback))
        .with_interceptor_registry(interceptors::chain(parts, &setup.policy))
        .with_handler(Arc::new(handler))
        .with_udp_addrs(addresses)
        .with_data_channel_send_buffer_limit(configuration::CHANNEL_BUFFER_BYTES)
        .build()
        .await?;
    Ok(Arc::new(peer_connection))
}

pub(super) async fn add_track(
    peer_connection: &Arc<dyn PeerConnection>,
    kind: RtpCodecKind,
    ssrc: u32,
    rtx_ssrc: Option<u32>,
) -> Result<Sending> {
    let (name, mime_type, codec): (_, _, RTCRtpCodec) = match kind {
        RtpCodecKind::Audio => ("microphone", MIME_TYPE_OPUS, configuration::opus()),
        // Of the stack's kinds, nobody asks for another one.
        _ => ("camera", MIME_TYPE_H264, configuration::h264()),
    };
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(ssrc),
            rtx: rtx_ssrc.map(|ssrc| RTCRtpRtxParameters { ssrc }),
            ..RTCRtpCodingParameters::default()
        },
        codec,
        ..RTCRtpEncodingParameters::default()
    };
    let track = MediaStreamTrack::new(STREAM_NAME.to_owned(), name.to_owned(), name.to_owned(), kind, vec![encoding]);
    let track = Arc::new(TrackLocalStaticRTP::new(track));
    let sender = peer_connection.add_track(track.clone() as Arc<dyn TrackLocal>).await?;
    Ok(Sending { stream: Arc::new(SendStream::new(track, ssrc)), sender, mime_type })
}

pub(super) async fn add_channel(
    peer_connection: &Arc<dyn PeerConnection>,
    label: &str,
    id: u16,
) -> Result<Arc<dyn DataChannel>> {
    let init = RTCDataChannelInit { negotiated: Some(id), ..RTCDataChannelInit::default() };
    peer_connection.create_data_channel(label, Some(init)).await
}
