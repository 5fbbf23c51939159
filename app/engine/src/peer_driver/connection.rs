//! The peer connection itself: two permanent tracks, two pre-negotiated channels, and what is done with them.

mod descriptions;
mod parts;
mod reports;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parlor_proto::{IceCandidate, IceServer, Source};
use parlor_session::{Channel, ConnectionEvent, ConnectionState};
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::statistics::StatsSelector;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{Instrument, debug, info, warn};
use webrtc::data_channel::DataChannel;
use webrtc::error::{Error, Result};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{PeerConnection, RTCIceCandidateInit, RTCIceCandidateType, RTCPeerConnectionState};
use webrtc::runtime::default_runtime;

use super::description::DtlsRole;
use super::handler::{Handler, STACK_EVENTS, StackEvent};
use super::rhythm::Change;
use super::runtime::{Nudge, OrderlyRuntime, Settled, SharedRoaming};
use super::{PathStats, PeerSetup, PeerShared, Reporter, configuration, relay_only};
use crate::interceptors::CaptureTimes;
use crate::interceptors::pictures::Handover;
use crate::media_bridge::Fanout;
use crate::media_bridge::outbound::Outbound;
use parts::{Sending, add_channel, add_track, stack};
use reports::{path_stats, read_channel, source_of, to_proto};

/// How long the last words on a channel may take.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(250);
/// Between two looks whether they are out; the stack has no event for it.
const FLUSH_LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Between two looks whether there is something to be missed, before anything came.
const FIRST_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long closing may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A local description that was set.
pub(crate) struct LocalDescription {
    pub(crate) sdp: String,
    pub(crate) streams: Vec<(String, Source)>,
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

    /// What the sockets know of the peer.
    pub(crate) fn roaming(&self) -> &SharedRoaming {
        &self.roaming
    }

    /// The peer goes on from another address; what was sent to the old one is lost.
    pub(crate) fn peer_moved(&self) {
        info!("the peer goes on from another address");
        self.fanout.request_key_frame();
    }

    /// When to [`look`](Self::look) next.
    pub(crate) fn next_look(&self) -> Instant {
        self.roaming.lock().rhythm().poll_timeout().unwrap_or_else(|| Instant::now() + FIRST_LOOK_INTERVAL)
    }

    /// Looks whether the peer is still heard.
    pub(crate) async fn look(&self) {
        let change = self.roaming.lock().rhythm().look(Instant::now());
        let event = match change {
            Some(Change::FellSilent(_)) => ConnectionEvent::FellSilent,
            Some(Change::HeardAgain) => ConnectionEvent::HeardAgain,
            None => return,
        };
        debug!(?change, "what comes from the peer");
        self.reporter.report(event).await;
    }

    /// What the stack counts and measures.
    pub(crate) async fn path_stats(&self) -> PathStats {
        let report = self.peer_connection.get_stats(Instant::now(), StatsSelector::None).await;
        let stats = path_stats(&report);
        if let Some(round_trip) = stats.rtt {
            self.roaming.lock().rhythm().handle_round_trip(round_trip);
        }
        stats
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
