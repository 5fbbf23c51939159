//! The peer connection itself: two permanent tracks, two pre-negotiated channels, and what is done with them.

mod reports;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use parlor_proto::{IceCandidate, IceServer, Source, StreamDescription};
use parlor_session::{Channel, ConnectionEvent, ConnectionState};
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::statistics::StatsSelector;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{Instrument, debug, info, trace, warn};
use webrtc::data_channel::{DataChannel, RTCDataChannelInit};
use webrtc::error::{Error, Result};
use webrtc::media_stream::MediaStreamTrack;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, RTCIceCandidateInit, RTCIceCandidateType, RTCPeerConnectionState,
    RTCSessionDescription,
};
use webrtc::rtp_transceiver::RtpSender;
use webrtc::runtime::default_runtime;

use super::configuration::{self, BindAddresses};
use super::description::{
    DtlsRole, credentials, has_h264, restarts_ice, with_requests_for_sounds, without_rejected_transports,
};
use super::handler::{Handler, STACK_EVENTS, StackEvent};
use super::rhythm::{Change, Rhythm};
use super::runtime::{Nudge, OrderlyRuntime, Settled, SharedRoaming};
use super::{Codecs, PathStats, PeerSetup, PeerShared, Reporter, relay_only};
use crate::interceptors::pictures::Handover;
use crate::interceptors::{self, CaptureTimes, ChainParts};
use crate::media_bridge::Fanout;
use crate::media_bridge::outbound::{Outbound, SendParameters, SendStream};
use reports::{from_proto, path_stats, read_channel, source_of, to_proto};

/// Remote candidates kept until there is a remote description; further ones are dropped.
const EARLY_CANDIDATES_MAX: usize = 64;
/// How long the last words on a channel may take.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(250);
/// Between two looks whether they are out; the stack has no event for it.
const FLUSH_LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// How long closing may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// One stream name, so that browsers play picture and sound together.
const STREAM_NAME: &str = "parlor";

/// A local description that was set.
pub(crate) struct LocalDescription {
    pub(crate) sdp: String,
    pub(crate) streams: Vec<(String, Source)>,
}

/// One of our senders with its stream.
struct Sending {
    stream: Arc<SendStream>,
    sender: Arc<dyn RtpSender>,
    mime_type: &'static str,
}

/// The connection.
pub(crate) struct Connection {
    peer_connection: Arc<dyn PeerConnection>,
    events: mpsc::Receiver<StackEvent>,
    nudge: Nudge,
    reporter: Reporter,
    shared: Arc<PeerShared>,
    fanout: Arc<Fanout>,
    audio: Sending,
    video: Sending,
    control: Arc<dyn DataChannel>,
    chat: Arc<dyn DataChannel>,
    remote_streams: Arc<Mutex<BTreeMap<String, Source>>>,
    early_candidates: Vec<RTCIceCandidateInit>,
    has_remote_description: bool,
    dtls_role: DtlsRole,
    /// What the next ICE restart gathers with, where it is not what was gathered with last.
    new_ice_servers: Option<Vec<IceServer>>,
    /// Whether our address is hidden.
    relay_only: bool,
    /// Whether a TURN server was to give an address and none has yet.
    awaits_relay: bool,
    roaming: SharedRoaming,
    rhythm: Rhythm,
    /// How often the peer had been found elsewhere at the last look.
    moves_seen: u64,
    /// Readers of tracks and channels, and the writer; they end with the connection.
    tasks: JoinSet<()>,
}

impl Connection {
    /// Makes the connection with everything that it will ever carry.
    pub(crate) async fn build(setup: &PeerSetup, reporter: Reporter) -> Result<Self> {
        let [audio_ssrc, video_ssrc, rtx_ssrc, sequence, _] = setup.random;
        let capture_times = Arc::new(CaptureTimes::default());
        let pictures = Arc::new(Handover::default());
        let (sender, events) = mpsc::channel(STACK_EVENTS);
        let settled = Settled::default();
        let roaming = SharedRoaming::default();
        let nudge = Nudge::default();
        let handler = Handler { events: sender, nudge: nudge.clone() };
        let runtime = default_runtime().ok_or_else(|| Error::Other("there is no async runtime".to_owned()))?;
        let runtime = OrderlyRuntime::new(runtime, settled.clone(), roaming.clone(), nudge.clone());
        let peer_connection =
            stack(setup, handler, runtime, capture_times.clone(), pictures.clone(), video_ssrc).await?;
        // In this order the m-lines come, and so they are expected.
        let audio = add_track(&peer_connection, RtpCodecKind::Audio, audio_ssrc, None).await?;
        let video = add_track(&peer_connection, RtpCodecKind::Video, video_ssrc, Some(rtx_ssrc)).await?;
        let control = add_channel(&peer_connection, "control", 0).await?;
        let chat = add_channel(&peer_connection, "chat", 1).await?;
        let mut tasks = JoinSet::new();
        // They open together, in the order of their ids.
        let opened: [Box<dyn Fn() + Send + Sync>; 2] = [Box::new(|| {}), Box::new(move || settled.set())];
        let channels = [(Channel::Control, &control), (Channel::Chat, &chat)];
        for ((channel, data_channel), opened) in channels.into_iter().zip(opened) {
            tasks.spawn(read_channel(data_channel.clone(), channel, opened, reporter.clone()).in_current_span());
        }
        let outbound = Outbound {
            leg: setup.shared.leg.clone(),
            audio: audio.stream.clone(),
            video: video.stream.clone(),
            capture_times,
            pictures,
            gauge: setup.shared.gauge.clone(),
            quality: setup.shared.quality.clone(),
        };
        tasks.spawn(outbound.run(sequence as u16).in_current_span());
        Ok(Self {
            peer_connection,
            events,
            nudge,
            reporter,
            shared: setup.shared.clone(),
            fanout: setup.fanout.clone(),
            audio,
            video,
            control,
            chat,
            remote_streams: Arc::default(),
            early_candidates: Vec::new(),
            has_remote_description: false,
            dtls_role: DtlsRole::default(),
            new_ice_servers: None,
            relay_only: setup.policy.session.relay_only,
            awaits_relay: configuration::has_relay(&setup.ice_servers),
            roaming,
            rhythm: Rhythm::default(),
            moves_seen: 0,
            tasks,
        })
    }

    /// The next thing the stack says.
    pub(crate) async fn next_event(&mut self) -> Option<StackEvent> {
        self.events.recv().await
    }

    pub(crate) async fn handle_event(&mut self, event: Option<StackEvent>) {
        match event {
            Some(StackEvent::Candidate(event)) => match event.candidate.to_json() {
                Ok(candidate) => {
                    self.awaits_relay &= event.candidate.typ != RTCIceCandidateType::Relay;
                    self.report_candidate(to_proto(candidate)).await;
                }
                Err(error) => debug!(%error, "a local candidate has no text"),
            },
            Some(StackEvent::CandidatesEnd) => {
                if std::mem::take(&mut self.awaits_relay) {
                    warn!(
                        "no relay gave an address: the server's TURN servers are out of reach, or refuse its credentials"
                    );
                }
                self.reporter.report(ConnectionEvent::LocalCandidatesEnd).await;
            }
            Some(StackEvent::State(state)) => self.state_changed(state).await,
            Some(StackEvent::Track(track)) => self.read_track(track),
            // The stack has stopped; the session learns it by its own time-outs and by `Closed`.
            None => std::future::pending().await,
        }
    }

    async fn report_candidate(&self, mut candidate: IceCandidate) {
        if self.relay_only {
            let Some(hidden) = relay_only::candidate(&candidate.candidate) else { return };
            candidate.candidate = hidden;
        }
        debug!(candidate.candidate, "local candidate");
        self.reporter.report(ConnectionEvent::LocalCandidate(candidate)).await;
    }

    async fn state_changed(&mut self, state: RTCPeerConnectionState) {
        let state = match state {
            RTCPeerConnectionState::Connecting => ConnectionState::Connecting,
            RTCPeerConnectionState::Connected => ConnectionState::Connected,
            RTCPeerConnectionState::Disconnected => ConnectionState::Disconnected,
            RTCPeerConnectionState::Failed => ConnectionState::Failed,
            RTCPeerConnectionState::Closed => ConnectionState::Closed,
            // `New`, `Unspecified`, and what the stack may invent.
            _ => ConnectionState::New,
        };
        debug!(?state, "connection state");
        match state {
            ConnectionState::Connected => {
                self.read_parameters().await;
                self.shared.leg.queue().open();
                self.fanout.request_key_frame();
            }
            ConnectionState::Failed | ConnectionState::Closed => self.shared.leg.queue().close(),
            ConnectionState::New | ConnectionState::Connecting | ConnectionState::Disconnected => {}
        }
        self.reporter.report(ConnectionEvent::StateChanged(state)).await;
    }

    /// Creates an offer and sets it.
    pub(crate) async fn create_offer(&mut self, ice_restart: bool) -> Result<LocalDescription> {
        let options = ice_restart.then_some(RTCOfferOptions { ice_restart });
        let offer = self.peer_connection.create_offer(options).await?;
        if ice_restart {
            self.gather_with_new_ice_servers().await?;
        }
        self.peer_connection.set_local_description(offer).await?;
        self.local_description().await
    }

    /// Sets a remote offer, creates an answer and sets it.
    pub(crate) async fn accept_offer(
        &mut self,
        sdp: String,
        streams: Vec<StreamDescription>,
    ) -> Result<LocalDescription> {
        let has_picture = has_h264(&sdp);
        let current = self.peer_connection.current_remote_description().await;
        let restarts_ice = current.is_some_and(|current| restarts_ice(&current.sdp, &sdp));
        self.set_remote(RTCSessionDescription::offer(without_rejected_transports(&sdp))?, streams).await?;
        if !has_picture {
            // A sender without a codec makes the stack refuse to answer at all; without the sender it rejects the section.
            self.peer_connection.remove_track(&self.video.sender).await?;
        }
        let answer = self.peer_connection.create_answer(None).await?;
        if restarts_ice {
            self.gather_with_new_ice_servers().await?;
        }
        self.peer_connection.set_local_description(answer).await?;
        self.read_parameters().await;
        let LocalDescription { sdp, streams } = self.local_description().await?;
        Ok(LocalDescription { sdp: self.dtls_role.keep(sdp), streams })
    }

    /// Sets a remote answer.
    pub(crate) async fn accept_answer(&mut self, sdp: String, streams: Vec<StreamDescription>) -> Result<()> {
        let mut dtls_role = self.dtls_role;
        dtls_role.follow(&sdp);
        self.set_remote(RTCSessionDescription::answer(without_rejected_transports(&sdp))?, streams).await?;
        self.dtls_role = dtls_role;
        self.read_parameters().await;
        Ok(())
    }

    /// Takes the local offer back.
    pub(crate) async fn rollback(&mut self) -> Result<()> {
        self.peer_connection.set_local_description(RTCSessionDescription::rollback(None)?).await
    }

    /// Keeps the servers for the next ICE restart: only that gathers anew, on new sockets. Given to the stack before, it would
    /// refresh the live allocation with the new credentials, which coturn refuses.
    pub(crate) fn use_ice_servers(&mut self, ice_servers: Vec<IceServer>) {
        self.new_ice_servers = Some(ice_servers);
    }

    /// To be called between the restart's description and its setting, which starts gathering.
    async fn gather_with_new_ice_servers(&mut self) -> Result<()> {
        let Some(ice_servers) = self.new_ice_servers.take() else { return Ok(()) };
        let configuration = configuration::configuration(&ice_servers, self.relay_only).build();
        self.peer_connection.set_configuration(configuration).await
    }

    async fn set_remote(&mut self, description: RTCSessionDescription, streams: Vec<StreamDescription>) -> Result<()> {
        trace!(description.sdp, "remote description");
        let credentials = credentials(&description.sdp);
        self.peer_connection.set_remote_description(description).await?;
        self.has_remote_description = true;
        if let Some(credentials) = credentials {
            self.roaming.lock().handle_credentials(credentials);
        }
        let streams = streams.into_iter().map(|stream| (stream.mid, stream.source)).collect();
        *self.remote_streams.lock().unwrap_or_else(PoisonError::into_inner) = streams;
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.add(candidate).await;
        }
        Ok(())
    }

    async fn local_description(&self) -> Result<LocalDescription> {
        let description = self.peer_connection.local_description().await;
        let mut sdp = description.ok_or_else(|| Error::Other("there is no local description".to_owned()))?.sdp;
        if self.relay_only {
            sdp = relay_only::description(&sdp);
        }
        sdp = with_requests_for_sounds(&sdp);
        trace!(sdp, "local description");
        let mut streams = Vec::new();
        for transceiver in self.peer_connection.get_transceivers().await {
            let (Some(mid), Some(sender)) = (transceiver.mid().await?, transceiver.sender().await?) else { continue };
            if sender.id() == self.audio.sender.id() {
                streams.push((mid, Source::Microphone));
            } else if sender.id() == self.video.sender.id() {
                streams.push((mid, Source::Camera));
            }
        }
        Ok(LocalDescription { sdp, streams })
    }

    /// Which payload types were negotiated; until then nothing can be written.
    async fn read_parameters(&self) {
        for sending in [&self.audio, &self.video] {
            match sending.sender.get_parameters().await {
                Ok(parameters) => {
                    sending.stream.set_parameters(SendParameters::read(&parameters, sending.mime_type));
                }
                Err(error) => debug!(%error, "a sender has no parameters"),
            }
        }
    }

    /// Says whether there is a video codec in common, now that both descriptions are set.
    pub(crate) async fn report_codecs(&self) {
        let local = self.peer_connection.current_local_description().await;
        let remote = self.peer_connection.current_remote_description().await;
        let (Some(local), Some(remote)) = (local, remote) else { return };
        let common = has_h264(&local.sdp) && has_h264(&remote.sdp) && self.video.payload_type().is_some();
        self.shared.set_codecs(Codecs {
            audio: self.audio.payload_type().map(|_| "Opus".to_owned()),
            video: common.then(|| "H264".to_owned()),
        });
        self.reporter.report(ConnectionEvent::VideoCodec { common }).await;
    }

    /// Adds a candidate, or keeps it for the description to come. A refused one is of no consequence.
    pub(crate) async fn add_candidate(&mut self, candidate: IceCandidate) {
        let candidate = from_proto(candidate);
        if self.has_remote_description {
            self.add(candidate).await;
        } else if self.early_candidates.len() < EARLY_CANDIDATES_MAX {
            self.early_candidates.push(candidate);
        }
    }

    async fn add(&self, candidate: RTCIceCandidateInit) {
        debug!(candidate.candidate, "remote candidate");
        if let Err(error) = self.peer_connection.add_ice_candidate(candidate).await {
            debug!(%error, "a candidate was refused");
        }
        // Its first check is due now, and goes out with the next timer.
        self.nudge.now();
    }

    /// Sends on a channel. A peer that reads nothing loses what does not fit.
    pub(crate) async fn send(&self, channel: Channel, text: &str) {
        let data_channel = match channel {
            Channel::Control => &self.control,
            Channel::Chat => &self.chat,
        };
        if let Err(error) = data_channel.try_send_text(text).await {
            warn!(?channel, %error, "a message could not be sent");
        }
    }

    fn read_track(&mut self, track: Arc<dyn TrackRemote>) {
        let peer_connection = Arc::downgrade(&self.peer_connection);
        let streams = self.remote_streams.clone();
        let shared = self.shared.clone();
        let our_ssrc = self.video.stream.ssrc;
        let our_audio = self.audio.stream.clone();
        let reader = async move {
            let Some(peer_connection) = peer_connection.upgrade() else { return };
            let source = source_of(&peer_connection, &track, &streams).await;
            // Held on, the connection would outlive its owner.
            drop(peer_connection);
            debug!(?source, "remote track");
            match (source, track.kind().await) {
                (Source::Microphone, RtpCodecKind::Audio) => shared.inbound.read_audio(track, &our_audio).await,
                (Source::Camera, RtpCodecKind::Video) => shared.inbound.read_video(track, our_ssrc).await,
                _ => debug!("a track of an unknown source is ignored"),
            }
        };
        self.tasks.spawn(reader.in_current_span());
    }

    /// Looks whether the peer is still heard, each [`LOOK_INTERVAL`](super::rhythm::LOOK_INTERVAL).
    pub(crate) async fn look(&mut self) {
        let (arrived, moves) = {
            let roaming = self.roaming.lock();
            (roaming.arrived(), roaming.moves())
        };
        if std::mem::replace(&mut self.moves_seen, moves) != moves {
            info!("the peer goes on from another address");
            // What was sent to the old address is lost.
            self.fanout.request_key_frame();
        }
        let event = match self.rhythm.look(arrived) {
            Some(Change::FellSilent) => ConnectionEvent::FellSilent,
            Some(Change::HeardAgain) => ConnectionEvent::HeardAgain,
            None => return,
        };
        debug!(?event, "what comes from the peer");
        self.reporter.report(event).await;
    }

    /// What the stack counts and measures.
    pub(crate) async fn path_stats(&self) -> PathStats {
        let report = self.peer_connection.get_stats(Instant::now(), StatsSelector::None).await;
        path_stats(&report)
    }

    /// Lets the last words go out, then closes.
    pub(crate) async fn close(mut self) {
        let flushed = async {
            while self.control.outstanding_bytes().await.unwrap_or(0) > 0 {
                tokio::time::sleep(FLUSH_LOOK_INTERVAL).await;
            }
        };
        if tokio::time::timeout(FLUSH_TIMEOUT, flushed).await.is_err() {
            debug!("the last words may be lost");
        }
        // Never left out: a dropped connection leaks memory and descriptors.
        match tokio::time::timeout(CLOSE_TIMEOUT, self.peer_connection.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "closing complained"),
            Err(_elapsed) => warn!("the connection does not close"),
        }
        self.tasks.shutdown().await;
    }
}

impl Sending {
    fn payload_type(&self) -> Option<u8> {
        self.stream.parameters().payload_type
    }
}

async fn stack(
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

async fn add_track(
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

async fn add_channel(peer_connection: &Arc<dyn PeerConnection>, label: &str, id: u16) -> Result<Arc<dyn DataChannel>> {
    let init = RTCDataChannelInit { negotiated: Some(id), ..RTCDataChannelInit::default() };
    peer_connection.create_data_channel(label, Some(init)).await
}
