//! A WebRTC transport as JSEP (RFC 9429 §3.5) and ICE (RFC 8445) would have it, without the network: descriptions are short
//! texts, and whatever is asked for in a wrong state fails the test.

use std::collections::BTreeSet;

use parlor_session::{ConnectionId, ConnectionState, Generation, OperationId};

/// A number for each transport that was ever made.
pub(crate) type PcId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalingState {
    Stable,
    HaveLocalOffer,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    CreateOffer { ice_restart: bool },
    AcceptOffer { sdp: String },
    AcceptAnswer { sdp: String },
    Rollback,
}

/// What a description says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) pc: PcId,
    pub(crate) number: u64,
    pub(crate) ufrag: u64,
    /// For an answer: the number of its offer.
    pub(crate) answers: Option<u64>,
}

impl Description {
    pub(crate) fn sdp(&self) -> String {
        let answers = self.answers.map_or("-".to_owned(), |number| number.to_string());
        format!("{} {} {} {answers}", self.pc, self.number, self.ufrag)
    }

    pub(crate) fn parse(sdp: &str) -> Self {
        let fields: Vec<&str> = sdp.split(' ').collect();
        let number = |index: usize| fields[index].parse().unwrap();
        Self { pc: number(0), number: number(1), ufrag: number(2), answers: fields[3].parse().ok() }
    }
}

pub(crate) struct PeerConnection {
    pub(crate) id: PcId,
    pub(crate) client: usize,
    pub(crate) remote_client: usize,
    pub(crate) connection: ConnectionId,
    pub(crate) generation: Generation,
    pub(crate) closed: bool,
    pub(crate) signaling_state: SignalingState,
    pub(crate) operation: Option<OperationId>,
    pub(crate) state: ConnectionState,
    pub(crate) ufrag: Option<u64>,
    pub(crate) remote: Option<Description>,
    pending: Option<Description>,
    pub(crate) candidates: BTreeSet<u64>,
    /// The path is gone for good; only new credentials find another.
    pub(crate) needs_restart: bool,
    pub(crate) connected_before: bool,
    pub(crate) channels_open: bool,
    /// Data-channel messages that wait for the path.
    pub(crate) outbox: Vec<(bool, String)>,
}

/// What came of an operation.
pub(crate) enum Outcome {
    Description { description: Description, gathers: bool },
    Done,
}

impl PeerConnection {
    pub(crate) fn new(id: PcId, ends: (usize, usize), slot: (ConnectionId, Generation)) -> Self {
        Self {
            id,
            client: ends.0,
            remote_client: ends.1,
            connection: slot.0,
            generation: slot.1,
            closed: false,
            signaling_state: SignalingState::Stable,
            operation: None,
            state: ConnectionState::New,
            ufrag: None,
            remote: None,
            pending: None,
            candidates: BTreeSet::new(),
            needs_restart: false,
            connected_before: false,
            channels_open: false,
            outbox: Vec::new(),
        }
    }

    pub(crate) fn begin(&mut self, operation: OperationId) {
        assert_eq!(self.operation, None, "two operations in flight");
        self.operation = Some(operation);
    }

    pub(crate) fn perform(&mut self, operation: &Operation, number: u64) -> Outcome {
        self.operation = None;
        let wanted = match operation {
            Operation::CreateOffer { .. } | Operation::AcceptOffer { .. } => SignalingState::Stable,
            Operation::AcceptAnswer { .. } | Operation::Rollback => SignalingState::HaveLocalOffer,
        };
        assert_eq!(self.signaling_state, wanted, "InvalidStateError: {operation:?}");
        match operation {
            Operation::CreateOffer { ice_restart } => {
                let gathers = *ice_restart || self.ufrag.is_none();
                let ufrag = self.ufrag.filter(|_| !gathers).unwrap_or(number);
                let description = Description { pc: self.id, number, ufrag, answers: None };
                self.pending = Some(description.clone());
                self.signaling_state = SignalingState::HaveLocalOffer;
                Outcome::Description { description, gathers }
            }
            Operation::AcceptOffer { sdp } => self.accept_offer(Description::parse(sdp), number),
            Operation::AcceptAnswer { sdp } => {
                let answer = Description::parse(sdp);
                let offer = self.pending.take().expect("there is a local offer");
                assert_eq!(answer.answers, Some(offer.number), "an answer to another offer was applied");
                self.same_remote(&answer);
                self.set_ufrag(offer.ufrag);
                self.remote = Some(answer);
                self.signaling_state = SignalingState::Stable;
                Outcome::Done
            }
            Operation::Rollback => {
                self.pending = None;
                self.signaling_state = SignalingState::Stable;
                Outcome::Done
            }
        }
    }

    pub(crate) fn add_candidate(&mut self, candidate: &str) {
        assert!(self.remote.is_some(), "InvalidStateError: a candidate without a remote description");
        assert_eq!(self.signaling_state, SignalingState::Stable, "a candidate while an answer is awaited");
        self.candidates.insert(candidate.parse().unwrap());
    }

    fn accept_offer(&mut self, offer: Description, number: u64) -> Outcome {
        assert_eq!(offer.answers, None, "an answer was taken for an offer");
        self.same_remote(&offer);
        let restarts = self.remote.as_ref().is_none_or(|remote| remote.ufrag != offer.ufrag);
        let ufrag = self.ufrag.filter(|_| !restarts).unwrap_or(number);
        self.set_ufrag(ufrag);
        let description = Description { pc: self.id, number, ufrag, answers: Some(offer.number) };
        self.remote = Some(offer);
        Outcome::Description { description, gathers: restarts }
    }

    fn set_ufrag(&mut self, ufrag: u64) {
        if self.ufrag.replace(ufrag) != Some(ufrag) {
            self.needs_restart = false;
        }
    }

    /// DTLS is with one other end, for good.
    fn same_remote(&self, description: &Description) {
        if let Some(remote) = &self.remote {
            assert_eq!(remote.pc, description.pc, "the description of another transport was applied");
        }
    }
}
