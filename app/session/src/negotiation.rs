//! Offers and answers of one transport: W3C perfect negotiation (WebRTC 1.0 §10.7) with one operation in flight.
//!
//! The machine never asks for something while an earlier request is unanswered, so nothing depends on how a
//! stack orders calls that overlap. Inputs are `want_offer`, `handle_*`; outputs are [`Step`]s.
//!
//! ```text
//!            want_offer                DescriptionReady             answer
//!   Stable ─────────────► CreatingOffer ──────────────► HaveLocalOffer ──────► ApplyingAnswer ──► Stable
//!     │                        │ their offer, we are polite   │                                      ▲
//!     │ their offer            └───────► RollingBack ◄────────┘  (also: unanswered, offered again)   │
//!     └───────────────► AcceptingOffer ◄──────┘ ─────────────────────────────────────────────────────┘
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parlor_proto::{Source, StreamDescription};

use crate::OperationId;

/// A remote description.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RemoteDescription {
    pub(crate) sdp: String,
    pub(crate) streams: Vec<StreamDescription>,
}

/// A local description.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LocalDescription {
    pub(crate) sdp: String,
    pub(crate) streams: Vec<(String, Source)>,
}

/// What negotiation wants done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    CreateOffer {
        operation: OperationId,
        ice_restart: bool,
    },
    AcceptOffer {
        operation: OperationId,
        description: RemoteDescription,
    },
    AcceptAnswer {
        operation: OperationId,
        description: RemoteDescription,
    },
    Rollback {
        operation: OperationId,
    },
    /// To be sent when there is a way; [`Negotiation::local_offer`] has it until it is answered.
    SendOffer,
    SendAnswer(LocalDescription),
    /// The offer that was sent has not been answered in time.
    Unanswered,
    /// This transport is beyond repair; nothing more comes from it.
    Failed(NegotiationError),
}

/// Why a transport is beyond repair.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NegotiationError {
    /// The transport refused what was asked.
    #[error("{0}")]
    Refused(String),
    /// The transport did not do what was asked.
    #[error("setting it up took too long")]
    TimedOut,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Stable,
    CreatingOffer { operation: OperationId, until: Instant },
    HaveLocalOffer { offer: LocalDescription, sent: bool, unanswered_at: Option<Instant> },
    ApplyingAnswer { operation: OperationId, until: Instant },
    RollingBack { operation: OperationId, until: Instant, then: AfterRollback },
    AcceptingOffer { operation: OperationId, until: Instant },
    Failed,
}

#[derive(Clone, Debug, PartialEq)]
enum AfterRollback {
    Accept(RemoteDescription),
    OfferAgain { ice_restart: bool },
}

/// The negotiation of one transport.
#[derive(Debug)]
pub(crate) struct Negotiation {
    polite: bool,
    operation_timeout: Duration,
    answer_timeout: Duration,
    state: State,
    operations: u64,
    /// An offer to make once stable; with new ICE credentials or not.
    wanted_offer: Option<WantedOffer>,
    /// An offer of theirs that came while an operation was in flight. The latest: it says that earlier ones were withdrawn.
    pending_offer: Option<RemoteDescription>,
    /// Whether a remote description was ever applied.
    described: bool,
    steps: VecDeque<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct WantedOffer {
    ice_restart: bool,
}

impl Negotiation {
    pub(crate) fn new(polite: bool, operation_timeout: Duration, answer_timeout: Duration) -> Self {
        Self {
            polite,
            operation_timeout,
            answer_timeout,
            state: State::Stable,
            operations: 0,
            wanted_offer: None,
            pending_offer: None,
            described: false,
            steps: VecDeque::new(),
        }
    }

    /// Offers as soon as nothing else is in flight.
    pub(crate) fn want_offer(&mut self, ice_restart: bool, now: Instant) {
        let earlier = self.wanted_offer.is_some_and(|wanted| wanted.ice_restart);
        self.wanted_offer = Some(WantedOffer { ice_restart: ice_restart || earlier });
        self.advance(now);
    }

    /// The peer offers. Returns whether its offer will be taken; the impolite end of a glare ignores it.
    pub(crate) fn handle_offer(&mut self, description: RemoteDescription, now: Instant) -> bool {
        match &mut self.state {
            State::CreatingOffer { .. } | State::HaveLocalOffer { .. } if !self.polite => false,
            State::HaveLocalOffer { .. } => {
                self.roll_back(AfterRollback::Accept(description), now);
                true
            }
            State::RollingBack { then, .. } => {
                *then = AfterRollback::Accept(description);
                true
            }
            State::Stable
            | State::CreatingOffer { .. }
            | State::ApplyingAnswer { .. }
            | State::AcceptingOffer { .. } => {
                self.pending_offer = Some(description);
                self.advance(now);
                true
            }
            State::Failed => false,
        }
    }

    /// The peer answers. Returns whether there was an offer to answer.
    pub(crate) fn handle_answer(&mut self, description: RemoteDescription, now: Instant) -> bool {
        match self.state {
            State::HaveLocalOffer { .. } => {
                let (operation, until) = self.begin(now);
                self.state = State::ApplyingAnswer { operation, until };
                self.steps.push_back(Step::AcceptAnswer { operation, description });
                true
            }
            State::Stable
            | State::CreatingOffer { .. }
            | State::ApplyingAnswer { .. }
            | State::RollingBack { .. }
            | State::AcceptingOffer { .. }
            | State::Failed => false,
        }
    }

    /// The transport has set a local description.
    pub(crate) fn handle_description(&mut self, operation: OperationId, local: LocalDescription, now: Instant) {
        if self.operation() != Some(operation) {
            return;
        }
        match &self.state {
            State::CreatingOffer { .. } => match self.pending_offer.take() {
                // Only the polite end holds an offer here: its own is taken back before anybody has seen it.
                Some(theirs) => self.roll_back(AfterRollback::Accept(theirs), now),
                None => {
                    self.state = State::HaveLocalOffer { offer: local, sent: false, unanswered_at: None };
                    self.steps.push_back(Step::SendOffer);
                }
            },
            State::AcceptingOffer { .. } => {
                self.state = State::Stable;
                self.described = true;
                // A newer offer on the same ordered way means that they took the answered one back.
                if self.pending_offer.is_none() {
                    self.steps.push_back(Step::SendAnswer(local));
                }
                self.advance(now);
            }
            State::ApplyingAnswer { .. } | State::RollingBack { .. } => {
                self.fail(NegotiationError::Refused("the connection answered something else than it was asked".into()));
            }
            State::Stable | State::HaveLocalOffer { .. } | State::Failed => {}
        }
    }

    /// The transport has applied an answer or made a rollback.
    pub(crate) fn handle_done(&mut self, operation: OperationId, now: Instant) {
        if self.operation() != Some(operation) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Stable) {
            State::ApplyingAnswer { .. } => self.described = true,
            State::RollingBack { then: AfterRollback::Accept(description), .. } => {
                self.pending_offer.get_or_insert(description);
            }
            State::RollingBack { then: AfterRollback::OfferAgain { ice_restart }, .. } => {
                self.wanted_offer.get_or_insert(WantedOffer { ice_restart });
            }
            State::CreatingOffer { .. } | State::AcceptingOffer { .. } => {
                return self.fail(NegotiationError::Refused("the connection gave no description".into()));
            }
            state @ (State::Stable | State::HaveLocalOffer { .. } | State::Failed) => self.state = state,
        }
        self.advance(now);
    }

    /// The transport could not do what was asked.
    pub(crate) fn handle_failed(&mut self, operation: OperationId, message: String) {
        if self.operation() == Some(operation) {
            self.fail(NegotiationError::Refused(message));
        }
    }

    /// The local offer has gone out, or its answer may come only now: from now on it waits for its answer.
    pub(crate) fn offer_sent(&mut self, now: Instant) {
        if let State::HaveLocalOffer { sent, unanswered_at, .. } = &mut self.state {
            *sent = true;
            *unanswered_at = Some(now + self.answer_timeout);
        }
    }

    /// Takes an unanswered offer back and makes a new one.
    pub(crate) fn offer_again(&mut self, ice_restart: bool, now: Instant) {
        if matches!(self.state, State::HaveLocalOffer { .. }) {
            self.roll_back(AfterRollback::OfferAgain { ice_restart }, now);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        match &mut self.state {
            State::HaveLocalOffer { unanswered_at, .. } => {
                *unanswered_at = None;
                self.steps.push_back(Step::Unanswered);
            }
            State::Stable
            | State::CreatingOffer { .. }
            | State::ApplyingAnswer { .. }
            | State::RollingBack { .. }
            | State::AcceptingOffer { .. }
            | State::Failed => self.fail(NegotiationError::TimedOut),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::CreatingOffer { until, .. }
            | State::ApplyingAnswer { until, .. }
            | State::RollingBack { until, .. }
            | State::AcceptingOffer { until, .. } => Some(*until),
            State::HaveLocalOffer { unanswered_at, .. } => *unanswered_at,
            State::Stable | State::Failed => None,
        }
    }

    pub(crate) fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Whether nothing is in flight and nothing unanswered.
    pub(crate) fn is_stable(&self) -> bool {
        self.state == State::Stable
    }

    /// Whether remote candidates can be added: there is a remote description, and none is on its way.
    pub(crate) fn takes_candidates(&self) -> bool {
        self.described && self.is_stable()
    }

    /// Whether an answer or an offer of the peer was ever taken up, applied or being applied.
    pub(crate) fn heard_from_peer(&self) -> bool {
        let busy_with_theirs = match &self.state {
            State::ApplyingAnswer { .. } | State::AcceptingOffer { .. } => true,
            State::RollingBack { then, .. } => matches!(then, AfterRollback::Accept(_)),
            State::Stable | State::CreatingOffer { .. } | State::HaveLocalOffer { .. } | State::Failed => false,
        };
        self.described || busy_with_theirs || self.pending_offer.is_some()
    }

    /// Whether an offer has gone out that has no answer yet.
    pub(crate) fn awaits_answer(&self) -> bool {
        matches!(self.state, State::HaveLocalOffer { sent: true, .. })
    }

    /// The offer that has no answer yet.
    pub(crate) fn local_offer(&self) -> Option<&LocalDescription> {
        match &self.state {
            State::HaveLocalOffer { offer, .. } => Some(offer),
            State::Stable
            | State::CreatingOffer { .. }
            | State::ApplyingAnswer { .. }
            | State::RollingBack { .. }
            | State::AcceptingOffer { .. }
            | State::Failed => None,
        }
    }

    /// Starts what waits, theirs before ours, once stable.
    fn advance(&mut self, now: Instant) {
        if self.state != State::Stable {
            return;
        }
        if let Some(description) = self.pending_offer.take() {
            let (operation, until) = self.begin(now);
            self.state = State::AcceptingOffer { operation, until };
            self.steps.push_back(Step::AcceptOffer { operation, description });
        } else if let Some(WantedOffer { ice_restart }) = self.wanted_offer.take() {
            let (operation, until) = self.begin(now);
            self.state = State::CreatingOffer { operation, until };
            self.steps.push_back(Step::CreateOffer { operation, ice_restart });
        }
    }

    /// What was to be offered need not be offered again after a glare: an ICE restart is asked for anew while media is
    /// dead, and there is nothing else yet that a renegotiation would be for.
    fn roll_back(&mut self, then: AfterRollback, now: Instant) {
        let (operation, until) = self.begin(now);
        self.state = State::RollingBack { operation, until, then };
        self.steps.push_back(Step::Rollback { operation });
    }

    fn begin(&mut self, now: Instant) -> (OperationId, Instant) {
        self.operations += 1;
        (OperationId(self.operations), now + self.operation_timeout)
    }

    fn operation(&self) -> Option<OperationId> {
        match &self.state {
            State::CreatingOffer { operation, .. }
            | State::ApplyingAnswer { operation, .. }
            | State::RollingBack { operation, .. }
            | State::AcceptingOffer { operation, .. } => Some(*operation),
            State::Stable | State::HaveLocalOffer { .. } | State::Failed => None,
        }
    }

    fn fail(&mut self, error: NegotiationError) {
        self.state = State::Failed;
        self.steps.clear();
        self.steps.push_back(Step::Failed(error));
    }
}

#[cfg(test)]
mod tests;
