//! What a connection does about descriptions and candidates, one operation at a time (WebRTC 1.0 §4.4.1.5).

use std::sync::PoisonError;

use parlor_proto::{IceCandidate, IceServer, Source, StreamDescription};
use parlor_session::ConnectionEvent;
use rtc::peer_connection::configuration::RTCOfferOptions;
use tracing::{debug, trace};
use webrtc::error::{Error, Result};
use webrtc::peer_connection::{RTCIceCandidateInit, RTCSessionDescription};

use super::reports::from_proto;
use super::{Connection, LocalDescription};
use crate::media_bridge::outbound::SendParameters;
use crate::peer_driver::description::{
    credentials, has_h264, restarts_ice, with_requests_for_sounds, without_rejected_transports,
};
use crate::peer_driver::{Codecs, configuration, relay_only};

/// Remote candidates kept until there is a remote description; further ones are dropped.
const EARLY_CANDIDATES_MAX: usize = 64;

impl Connection {
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
    pub(super) async fn read_parameters(&self) {
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
}
