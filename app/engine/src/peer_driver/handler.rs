//! The stack's callbacks. They run on its driver task, so they forward and return.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnectionEventHandler, RTCIceConnectionState, RTCIceGatheringState, RTCPeerConnectionIceErrorEvent,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState,
};

use super::runtime::Nudge;

/// What the stack reports.
pub(crate) enum StackEvent {
    Candidate(RTCPeerConnectionIceEvent),
    CandidatesEnd,
    State(RTCPeerConnectionState),
    Track(Arc<dyn TrackRemote>),
}

/// Events that may wait for the connection's loop. They are a few dozen in a connection's life; were it full, the
/// event would be dropped with a warning, since the callback must not wait.
pub(crate) const STACK_EVENTS: usize = 256;

/// Forwards.
pub(crate) struct Handler {
    pub(crate) events: mpsc::Sender<StackEvent>,
    pub(crate) nudge: Nudge,
}

impl Handler {
    fn forward(&self, event: StackEvent) {
        if self.events.try_send(event).is_err() {
            warn!("an event of the connection was lost");
        }
    }
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        self.forward(StackEvent::Candidate(event));
    }

    async fn on_ice_candidate_error(&self, event: RTCPeerConnectionIceErrorEvent) {
        debug!(?event, "an ICE server did not help");
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.forward(StackEvent::CandidatesEnd);
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        if state == RTCIceConnectionState::Connected {
            // The first flight of DTLS is written, and goes out with the next timer.
            self.nudge.now();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.forward(StackEvent::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.forward(StackEvent::Track(track));
    }
}
