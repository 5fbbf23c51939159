//! One transport in one incarnation: its negotiation, its candidates, its channels. Turns what the machines want into actions.

use parlor_proto::{
    ChatMessage, ClientMessage, ControlMessage, IceCandidate, PeerId, Signal, Source, StreamDescription, TransportId,
};

use crate::candidates::{LocalCandidates, RemoteCandidates, Trickle};
use crate::env::{Env, Outputs};
use crate::negotiation::{LocalDescription, Negotiation, NegotiationError, RemoteDescription, Step};
use crate::{Action, Channel, ConnectionId, ConnectionState, Generation};

/// Streams taken from one description; a person has at most four.
const STREAMS_MAX: usize = 16;

/// One transport.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) connection: ConnectionId,
    pub(crate) generation: Generation,
    /// Its name on the wire.
    pub(crate) id: TransportId,
    pub(crate) state: ConnectionState,
    pub(crate) connected_before: bool,
    /// Whether it counts as disconnected for a silence alone: it says itself that it is connected.
    pub(crate) is_silent: bool,
    pub(crate) control_open: bool,
    pub(crate) chat_open: bool,
    /// Whether their `hello` came: both ends of the channels are open, and nothing said from then on is lost.
    heard_hello: bool,
    peer: PeerId,
    named_by: NamedBy,
    negotiation: Negotiation,
    local_candidates: LocalCandidates,
    remote_candidates: RemoteCandidates,
    /// An answer that could not be sent: the way to the peer was closed.
    held_answer: Option<Signal>,
}

/// Who made the transport's name, by offering first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedBy {
    Us,
    Them,
}

/// What a transport cannot settle by itself.
#[derive(Debug, PartialEq)]
pub(crate) enum Trouble {
    Unanswered,
    Failed(NegotiationError),
}

impl Transport {
    pub(crate) fn create(
        (connection, generation): (ConnectionId, Generation),
        (id, named_by): (TransportId, NamedBy),
        peer: &PeerId,
        env: &mut Env<'_>,
    ) -> Self {
        let ice_servers = env.ice_servers.servers().to_vec();
        env.out.act(Action::CreateConnection { connection, generation, peer: peer.clone(), ice_servers });
        let polite = env.self_id < peer;
        Self {
            connection,
            generation,
            id,
            state: ConnectionState::New,
            connected_before: false,
            is_silent: false,
            control_open: false,
            chat_open: false,
            heard_hello: false,
            peer: peer.clone(),
            named_by,
            negotiation: Negotiation::new(polite, env.config.operation_timeout, env.config.answer_timeout),
            local_candidates: LocalCandidates::default(),
            remote_candidates: RemoteCandidates::default(),
            held_answer: None,
        }
    }

    pub(crate) fn close(self, env: &mut Env<'_>) {
        let Self { connection, generation, id, .. } = self;
        env.out.act(Action::CloseConnection { connection, generation });
        env.retired.add(id);
    }

    /// There are new ICE servers, for what this transport gathers from now on.
    pub(crate) fn use_ice_servers(&self, env: &mut Env<'_>) {
        let Self { connection, generation, .. } = *self;
        let ice_servers = env.ice_servers.servers().to_vec();
        env.out.act(Action::UseIceServers { connection, generation, ice_servers });
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state == ConnectionState::Connected
    }

    pub(crate) fn is_stable(&self) -> bool {
        self.negotiation.is_stable()
    }

    /// Whether we have just offered it, and heard nothing yet.
    pub(crate) fn is_fresh_offer(&self) -> bool {
        self.named_by == NamedBy::Us && !self.negotiation.heard_from_peer()
    }

    pub(crate) fn want_offer(&mut self, ice_restart: bool, env: &Env<'_>) {
        self.negotiation.want_offer(ice_restart, env.now);
    }

    pub(crate) fn offer_again(&mut self, ice_restart: bool, env: &Env<'_>) {
        self.negotiation.offer_again(ice_restart, env.now);
    }

    /// Returns whether the offer is taken.
    pub(crate) fn receive_offer(&mut self, sdp: String, streams: Vec<StreamDescription>, env: &Env<'_>) -> bool {
        self.held_answer = None;
        let description = RemoteDescription { sdp, streams: self.credible(streams) };
        self.negotiation.handle_offer(description, env.now)
    }

    pub(crate) fn receive_answer(&mut self, sdp: String, streams: Vec<StreamDescription>, env: &Env<'_>) {
        let description = RemoteDescription { sdp, streams: self.credible(streams) };
        self.negotiation.handle_answer(description, env.now);
    }

    pub(crate) fn receive_candidate(&mut self, trickle: Trickle) {
        self.remote_candidates.add(trickle);
    }

    pub(crate) fn add_local_candidate(&mut self, trickle: Trickle) {
        self.local_candidates.add(trickle);
    }

    pub(crate) fn negotiation(&mut self) -> &mut Negotiation {
        &mut self.negotiation
    }

    pub(crate) fn poll_timeout(&self) -> Option<std::time::Instant> {
        self.negotiation.poll_timeout()
    }

    /// The way to the peer is open again: what may have been lost on it is sent once more.
    ///
    /// An offer is not: if the first was answered after all, the second answer could be taken for that to a later offer.
    /// On a working transport its answer is waited for again; otherwise a new transport is better. Returns whether this one may stay.
    pub(crate) fn reach_again(&mut self, env: &mut Env<'_>) -> bool {
        if self.negotiation.awaits_answer() {
            self.negotiation.offer_sent(env.now);
            return self.is_connected();
        }
        if self.negotiation.local_offer().is_some() {
            self.send_offer(env);
        }
        if !self.is_connected() {
            self.local_candidates.rewind();
        }
        true
    }

    /// Does what negotiation wants and hands candidates on, until something needs a decision from above.
    pub(crate) fn pump(&mut self, reachable: bool, env: &mut Env<'_>) -> Option<Trouble> {
        while let Some(step) = self.negotiation.poll_step() {
            match step {
                Step::SendOffer if reachable => self.send_offer(env),
                Step::SendOffer => {}
                Step::SendAnswer(local) => self.held_answer = Some(self.answer(local, env)),
                Step::Unanswered => return Some(Trouble::Unanswered),
                Step::Failed(error) => return Some(Trouble::Failed(error)),
                Step::CreateOffer { .. }
                | Step::AcceptOffer { .. }
                | Step::AcceptAnswer { .. }
                | Step::Rollback { .. } => {
                    self.ask(step, env.out);
                }
            }
        }
        self.flush(reachable, env);
        None
    }

    pub(crate) fn send_control(&self, message: ControlMessage, out: &mut Outputs) {
        let Self { connection, generation, .. } = *self;
        if self.control_open {
            out.act(Action::SendControl { connection, generation, message });
        }
    }

    /// Returns whether the line is on its way. Before their `hello` it might be lost where nobody sees it.
    pub(crate) fn send_chat(&self, message: ChatMessage, out: &mut Outputs) -> bool {
        let Self { connection, generation, .. } = *self;
        let reaches = self.is_connected() && self.chat_open && self.heard_hello;
        if reaches {
            out.act(Action::SendChat { connection, generation, message });
        }
        reaches
    }

    /// Returns whether the channel was closed before.
    pub(crate) fn open_channel(&mut self, channel: Channel) -> bool {
        let open = match channel {
            Channel::Control => &mut self.control_open,
            Channel::Chat => &mut self.chat_open,
        };
        !std::mem::replace(open, true)
    }

    /// Returns whether it is the first.
    pub(crate) fn hear_hello(&mut self) -> bool {
        !std::mem::replace(&mut self.heard_hello, true)
    }

    fn ask(&mut self, step: Step, out: &mut Outputs) {
        let Self { connection, generation, .. } = *self;
        match step {
            Step::CreateOffer { operation, ice_restart } => {
                if ice_restart {
                    self.local_candidates.restart();
                }
                out.act(Action::CreateOffer { connection, generation, operation, ice_restart });
            }
            Step::AcceptOffer { operation, description: RemoteDescription { sdp, streams } } => {
                out.act(Action::AcceptOffer { connection, generation, operation, sdp, streams });
            }
            Step::AcceptAnswer { operation, description: RemoteDescription { sdp, streams } } => {
                out.act(Action::AcceptAnswer { connection, generation, operation, sdp, streams });
            }
            Step::Rollback { operation } => out.act(Action::Rollback { connection, generation, operation }),
            Step::SendOffer | Step::SendAnswer(_) | Step::Unanswered | Step::Failed(_) => {}
        }
    }

    fn flush(&mut self, reachable: bool, env: &mut Env<'_>) {
        if reachable {
            if let Some(answer) = self.held_answer.take() {
                self.send(answer, env);
                self.local_candidates.release();
            }
            for trickle in self.local_candidates.take() {
                let signal = match trickle {
                    Trickle::Candidate(candidate) => Signal::Candidate { candidate },
                    Trickle::End => Signal::EndOfCandidates,
                };
                self.send(signal, env);
            }
        }
        if self.negotiation.takes_candidates() {
            let Self { connection, generation, .. } = *self;
            for trickle in self.remote_candidates.take() {
                env.out.act(match trickle {
                    Trickle::Candidate(candidate) => Action::AddCandidate { connection, generation, candidate },
                    Trickle::End => Action::EndOfCandidates { connection, generation },
                });
            }
        }
    }

    fn send_offer(&mut self, env: &mut Env<'_>) {
        let Some(LocalDescription { sdp, streams }) = self.negotiation.local_offer().cloned() else { return };
        if let Some(answer) = self.held_answer.take() {
            self.send(answer, env);
        }
        self.send(Signal::Offer { sdp, streams: owned(streams, env.self_id) }, env);
        self.negotiation.offer_sent(env.now);
        self.local_candidates.release();
    }

    fn answer(&self, LocalDescription { sdp, streams }: LocalDescription, env: &Env<'_>) -> Signal {
        Signal::Answer { sdp, streams: owned(streams, env.self_id) }
    }

    fn send(&self, signal: Signal, env: &mut Env<'_>) {
        let (to, connection) = (self.peer.clone(), self.id.clone());
        env.out.act(Action::SendSignaling(ClientMessage::Signal { to, connection, signal }));
    }

    /// A peer speaks for its own streams only; sources we do not know are ignored.
    fn credible(&self, streams: Vec<StreamDescription>) -> Vec<StreamDescription> {
        let own = streams.into_iter().filter(|stream| stream.owner == self.peer && stream.source != Source::Unknown);
        own.take(STREAMS_MAX).collect()
    }
}

/// What the wire calls a candidate or their end.
pub(crate) fn trickle(candidate: Option<IceCandidate>) -> Trickle {
    candidate.map_or(Trickle::End, Trickle::Candidate)
}

fn owned(streams: Vec<(String, Source)>, owner: &PeerId) -> Vec<StreamDescription> {
    streams.into_iter().map(|(mid, source)| StreamDescription { mid, owner: owner.clone(), source }).collect()
}
