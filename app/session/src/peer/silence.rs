//! A person from whom nothing comes any more, before their transport says so.

use parlor_proto::{CameraState, MicrophoneState};

use super::Peer;
use crate::env::Env;
use crate::{ConnectionState, Event, MediaState};

impl Peer {
    /// A way that is lost is looked for at once, not when the transport gives it up. Who said that they send nothing is not missed, and
    /// where there is no way for an offer the transport has time to come back by itself.
    pub(super) fn fell_silent(&mut self, env: &mut Env<'_>) {
        let sends = |media: MediaState| media.microphone == MicrophoneState::On || media.camera == CameraState::On;
        let is_missed = self.reachable && self.is_connected() && self.media.is_some_and(sends);
        if !is_missed || !self.recovery.fell_silent(env.config, env.now) {
            return;
        }
        if let Some(transport) = &mut self.transport {
            transport.state = ConnectionState::Disconnected;
            transport.is_silent = true;
        }
        env.out.tell(Event::PeerReconnecting { peer_id: self.id.clone() });
    }

    /// The transport was connected all the time.
    pub(super) fn heard_again(&mut self, env: &mut Env<'_>) {
        let Some(transport) = self.transport.as_mut().filter(|transport| transport.is_silent) else { return };
        transport.is_silent = false;
        transport.state = ConnectionState::Connected;
        self.recovery.heard_again();
        self.media_flows(env);
    }
}
