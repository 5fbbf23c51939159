//! What one person says by way of the server: descriptions and candidates, and with them new transports.

use parlor_proto::{IceCandidate, Signal, StreamDescription, TransportId};

use super::Peer;
use crate::env::Env;
use crate::transport::{NamedBy, Transport, trickle};

impl Peer {
    pub(crate) fn handle_signal(&mut self, id: TransportId, signal: Signal, env: &mut Env<'_>) {
        match signal {
            Signal::Offer { sdp, streams } => self.receive_offer(id, sdp, streams, env),
            Signal::Answer { sdp, streams } => {
                if let Some(transport) = self.current(&id) {
                    transport.receive_answer(sdp, streams, env);
                }
            }
            Signal::Candidate { candidate } => self.receive_candidate(id, Some(candidate), env),
            Signal::EndOfCandidates => self.receive_candidate(id, None, env),
        }
    }

    fn current(&mut self, id: &TransportId) -> Option<&mut Transport> {
        self.transport.as_mut().filter(|transport| transport.id == *id)
    }

    fn receive_candidate(&mut self, id: TransportId, candidate: Option<IceCandidate>, env: &Env<'_>) {
        match self.current(&id) {
            Some(transport) => transport.receive_candidate(trickle(candidate)),
            None if env.retired.contains(&id) => {}
            None => self.early_candidates.add(id, trickle(candidate)),
        }
    }

    fn receive_offer(&mut self, id: TransportId, sdp: String, streams: Vec<StreamDescription>, env: &mut Env<'_>) {
        if let Some(transport) = self.current(&id) {
            let repairs = transport.connected_before && !transport.is_connected();
            if !transport.receive_offer(sdp, streams, env) {
                return;
            }
            self.recovery.they_offered(env.now);
            if repairs {
                self.recovery.they_restarted(env.config, env.now);
            }
            return;
        }
        if env.retired.contains(&id) {
            // They do not know yet that it is closed. An offer of ours tells them, where none is on its way.
            if self.transport.is_none() {
                self.offer_soon(env);
            }
            return;
        }
        if !self.polite && self.transport.as_ref().is_some_and(Transport::is_fresh_offer) {
            // Both have offered something new: the impolite end's stands.
            return;
        }
        if !self.may_replace(env) {
            return;
        }
        self.close_transport(env);
        let transport = self.make_transport(id, NamedBy::Them, env);
        transport.receive_offer(sdp, streams, env);
    }

    /// Whether they have not started anew too often.
    fn may_replace(&mut self, env: &mut Env<'_>) -> bool {
        let window = env.config.replacement_window;
        self.replaced_at.retain(|&at| at + window > env.now);
        let allowed = self.replaced_at.len() < env.config.replacements_max;
        if allowed {
            self.replaced_at.push_back(env.now);
        } else {
            self.messages_dropped += 1;
        }
        allowed
    }
}
