//! ICE candidates that cannot go on yet: ours until the peer knows what they belong to, theirs until we do (RFC 8838 §4).

use std::collections::VecDeque;

use parlor_proto::{IceCandidate, TransportId};

/// Candidates kept each way: a machine with many interfaces and three TURN servers has about 40. Further ones are dropped:
/// the first are the direct ones.
const CANDIDATES_MAX: usize = 64;
/// The longest `candidate:` line that is taken; real ones have at most about 250 characters.
const CANDIDATE_BYTES_MAX: usize = 1_024;

/// A candidate, or the news that there are no more.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trickle {
    Candidate(IceCandidate),
    End,
}

impl Trickle {
    fn is_sane(&self) -> bool {
        match self {
            Self::Candidate(candidate) => {
                let IceCandidate { candidate, sdp_mid, sdp_m_line_index: _, username_fragment } = candidate;
                let short = |text: &Option<String>| text.as_ref().is_none_or(|text| text.len() <= 256);
                candidate.len() <= CANDIDATE_BYTES_MAX && short(sdp_mid) && short(username_fragment)
            }
            Self::End => true,
        }
    }
}

/// Our own: kept all of them, since those that were on their way when a socket was lost have to be sent again.
#[derive(Debug, Default)]
pub(crate) struct LocalCandidates {
    kept: Vec<Trickle>,
    sent: usize,
    released: bool,
}

impl LocalCandidates {
    pub(crate) fn add(&mut self, trickle: Trickle) {
        if self.kept.len() < CANDIDATES_MAX || trickle == Trickle::End && self.kept.len() == CANDIDATES_MAX {
            self.kept.push(trickle);
        }
    }

    /// New ICE credentials: what was gathered before is of no use. Held until the offer with them is sent.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }

    /// The peer has been sent the description that they belong to.
    pub(crate) fn release(&mut self) {
        self.released = true;
    }

    /// Everything has to be sent again.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
    }

    /// What can be sent now.
    pub(crate) fn take(&mut self) -> Vec<Trickle> {
        if !self.released {
            return Vec::new();
        }
        let unsent = self.kept.get(self.sent..).map(<[Trickle]>::to_vec).unwrap_or_default();
        self.sent = self.kept.len();
        unsent
    }
}

/// Theirs, held until a remote description is applied.
#[derive(Debug, Default)]
pub(crate) struct RemoteCandidates(VecDeque<Trickle>);

impl RemoteCandidates {
    /// Returns whether it was taken.
    pub(crate) fn add(&mut self, trickle: Trickle) -> bool {
        let fits = self.0.len() < CANDIDATES_MAX && trickle.is_sane();
        if fits {
            self.0.push_back(trickle);
        }
        fits
    }

    pub(crate) fn take(&mut self) -> impl Iterator<Item = Trickle> {
        std::mem::take(&mut self.0).into_iter()
    }
}

/// Theirs for a transport whose offer has not come yet.
#[derive(Debug, Default)]
pub(crate) struct EarlyCandidates(VecDeque<(TransportId, Trickle)>);

impl EarlyCandidates {
    /// Keeps one; the oldest go first.
    pub(crate) fn add(&mut self, transport_id: TransportId, trickle: Trickle) {
        if !trickle.is_sane() {
            return;
        }
        if self.0.len() == CANDIDATES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((transport_id, trickle));
    }

    /// Those of this transport; the others were of transports that never came.
    pub(crate) fn take(&mut self, transport_id: &TransportId) -> impl Iterator<Item = Trickle> {
        std::mem::take(&mut self.0).into_iter().filter(move |(id, _)| id == transport_id).map(|(_, trickle)| trickle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(number: usize) -> Trickle {
        Trickle::Candidate(IceCandidate {
            candidate: format!("candidate:{number}"),
            sdp_mid: None,
            sdp_m_line_index: None,
            username_fragment: None,
        })
    }

    #[test]
    fn local_candidates_wait_for_their_description_and_go_out_once() {
        let mut local = LocalCandidates::default();
        local.add(candidate(1));
        assert_eq!(local.take(), vec![]);
        local.release();
        assert_eq!(local.take(), vec![candidate(1)]);
        local.add(candidate(2));
        local.add(Trickle::End);
        assert_eq!(local.take(), vec![candidate(2), Trickle::End]);
        assert_eq!(local.take(), vec![]);
    }

    #[test]
    fn what_a_lost_socket_may_have_swallowed_is_sent_again() {
        let mut local = LocalCandidates::default();
        local.release();
        local.add(candidate(1));
        local.take();
        local.rewind();
        assert_eq!(local.take(), vec![candidate(1)]);
    }

    #[test]
    fn an_ice_restart_forgets_and_holds() {
        let mut local = LocalCandidates::default();
        local.release();
        local.add(candidate(1));
        local.restart();
        local.add(candidate(2));
        assert_eq!(local.take(), vec![]);
        local.release();
        assert_eq!(local.take(), vec![candidate(2)]);
    }

    #[test]
    fn all_lists_are_bounded_and_long_lines_refused() {
        let (mut local, mut remote, mut early) =
            (LocalCandidates::default(), RemoteCandidates::default(), EarlyCandidates::default());
        let id = TransportId::from_random(1);
        for number in 0..1_000 {
            local.add(candidate(number));
            remote.add(candidate(number));
            early.add(id.clone(), candidate(number));
        }
        local.add(Trickle::End);
        local.release();
        assert_eq!(local.take().len(), CANDIDATES_MAX + 1);
        assert_eq!(remote.take().count(), CANDIDATES_MAX);
        assert_eq!(early.take(&id).next(), Some(candidate(1_000 - CANDIDATES_MAX)));
        let Trickle::Candidate(mut long) = candidate(1) else { unreachable!() };
        long.candidate = "x".repeat(2_000);
        assert!(!remote.add(Trickle::Candidate(long)));
    }

    #[test]
    fn early_candidates_of_other_transports_are_dropped() {
        let mut early = EarlyCandidates::default();
        early.add(TransportId::from_random(1), candidate(1));
        early.add(TransportId::from_random(2), candidate(2));
        assert_eq!(early.take(&TransportId::from_random(2)).collect::<Vec<_>>(), vec![candidate(2)]);
        assert_eq!(early.take(&TransportId::from_random(1)).count(), 0);
    }
}
