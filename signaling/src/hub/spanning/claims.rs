//! Who is about to come in: their claims at the meeting place, and what becomes of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlor_proto::{ErrorCode, PeerId, RoomId};

use super::super::admission::Policy;
use super::super::joining::Comer;
use super::super::refusal::Refusal;
use super::super::{ConnId, ConnectionState, Hub, Output};
use super::policy::share;
use crate::backplane::{Claim, Claimed, RoomState, SharedMember};
use crate::room::Presence;

/// How long an answer is waited for. The shell notices a meeting place that is gone long before.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How often somebody is judged anew, because what holds in the room has changed meanwhile.
const JUDGED_MAX: u32 = 5;

/// The claims under way: at most one for each connection.
#[derive(Default)]
pub(super) struct Claims {
    made: u64,
    /// In the order in which they were made, and in which their time is up.
    pending: BTreeMap<u64, Pending>,
    rooms: BTreeMap<RoomId, BTreeMap<u64, PeerId>>,
}

struct Pending {
    conn: ConnId,
    comer: Comer,
    /// What holds in the room if nobody is there.
    founding: Policy,
    until: Instant,
    judged: u32,
}

impl Claims {
    fn add(&mut self, pending: Pending) -> u64 {
        self.made += 1;
        let of_room = self.rooms.entry(pending.comer.room.clone()).or_default();
        of_room.insert(self.made, pending.comer.peer_id.clone());
        self.pending.insert(self.made, pending);
        self.made
    }

    fn take(&mut self, number: u64) -> Option<Pending> {
        let pending = self.pending.remove(&number)?;
        if let Some(of_room) = self.rooms.get_mut(&pending.comer.room) {
            of_room.remove(&number);
            if of_room.is_empty() {
                self.rooms.remove(&pending.comer.room);
            }
        }
        Some(pending)
    }

    pub(super) fn of_room(&self, room: &RoomId) -> Vec<PeerId> {
        self.rooms.get(room).map(|of_room| of_room.values().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.pending.first_key_value().map(|(_, pending)| pending.until)
    }
}

impl Hub {
    /// What became of a claim.
    pub fn handle_claimed(&mut self, number: u64, claimed: Claimed, now: Instant) {
        let Some(Pending { conn, comer, founding, judged, .. }) = self.take_claim(number) else {
            // Nobody waits for it any more: a statement without them takes the place back.
            if let Claimed::Admitted(state) = claimed {
                self.mark(&state.room, now);
            }
            return;
        };
        let room = comer.room.clone();
        self.set_state(conn, ConnectionState::Greeted, now);
        let outcome = match claimed {
            Claimed::Full => Err(Refusal::room_full(self.config.room_capacity)),
            Claimed::Outdated(_) if judged >= JUDGED_MAX => Err(ErrorCode::Internal.into()),
            Claimed::Outdated(state) => self.claim_again(conn, comer, state, judged, now),
            Claimed::Admitted(state) => self.take_place(conn, comer, founding, state, now),
        };
        self.forget_deserted(&room);
        if let Err(refusal) = outcome {
            self.refuse_join(conn, refusal, now);
        }
    }

    /// A claim could not be made at all: its comer comes in by what this server knows.
    pub fn handle_unclaimed(&mut self, number: u64, now: Instant) {
        let Some(pending) = self.take_claim(number) else { return };
        self.set_state(pending.conn, ConnectionState::Greeted, now);
        if let Err(refusal) = self.come_in(pending.conn, pending.comer, now) {
            self.refuse_join(pending.conn, refusal, now);
        }
    }

    /// The connection has ended, or left again.
    pub(in super::super) fn forget_claim(&mut self, number: u64) {
        self.take_claim(number);
    }

    pub(super) fn give_up_claims(&mut self, now: Instant) {
        while let Some(number) = self.first_claim(|_| true) {
            self.handle_unclaimed(number, now);
        }
    }

    pub(super) fn give_up_late_claims(&mut self, now: Instant) {
        while let Some(number) = self.first_claim(|pending| pending.until <= now) {
            self.handle_unclaimed(number, now);
        }
    }

    fn first_claim(&self, is_due: impl Fn(&Pending) -> bool) -> Option<u64> {
        let (number, pending) = self.span.as_ref()?.claims.pending.first_key_value()?;
        is_due(pending).then_some(*number)
    }

    fn take_claim(&mut self, number: u64) -> Option<Pending> {
        self.span.as_mut()?.claims.take(number)
    }

    /// Judges by what is known here, and claims a place under that.
    pub(in super::super) fn claim(
        &mut self,
        conn: ConnId,
        comer: Comer,
        judged: u32,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.learn_policy(&comer, now);
        let Some(comer) = self.admit(conn, comer, judged, now)? else { return Ok(()) };
        let known = self.rooms.get(&comer.room).map(|room| room.policy.clone());
        if !self.is_member(&comer.room, &comer.peer_id) {
            self.check_holdings(&comer.room)?;
        }
        if judged == 1 && comer.membership.is_none() {
            self.take_join(conn, now)?;
        }
        let tag = known.as_ref().map(|policy| share(policy).tag);
        let founding = match known {
            Some(policy) => policy,
            None => self.founding_policy(&comer, now),
        };
        // What was just learned must be there when the claim is.
        self.flush(&comer.room);
        let (seated_at_ms, expires) = (self.unix_ms(now), self.leases_end(now));
        let Some(span) = &mut self.span else { return Err(ErrorCode::Internal.into()) };
        let member = SharedMember {
            peer_id: comer.peer_id.clone(),
            name: comer.name.clone(),
            server: span.server,
            away: false,
            moderates: false,
            invited_until: None,
            order: 0,
            seated_at_ms,
        };
        let room = comer.room.clone();
        let claim = Claim {
            room: room.clone(),
            member,
            capacity: self.config.room_capacity,
            judged: tag,
            founding: share(&founding),
            expires,
        };
        let number = span.claims.add(Pending { conn, comer, founding, until: now + ANSWERED_WITHIN, judged });
        self.outputs.push_back(Output::Claim { number, claim: Box::new(claim) });
        self.set_state(conn, ConnectionState::Joining { room, number }, now);
        Ok(())
    }

    fn claim_again(
        &mut self,
        conn: ConnId,
        comer: Comer,
        state: RoomState,
        judged: u32,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.open_shared(&state, now)?;
        self.read_for(state, &comer.peer_id, now);
        self.claim(conn, comer, judged + 1, now)
    }

    fn take_place(
        &mut self,
        conn: ConnId,
        mut comer: Comer,
        founding: Policy,
        state: RoomState,
        now: Instant,
    ) -> Result<(), Refusal> {
        if let Some(room) = self.rooms.get(&comer.room) {
            let presence = room.get(&comer.peer_id).map(|member| member.presence);
            if room.shared.version > state.version && matches!(presence, Some(Presence::Elsewhere { .. })) {
                return Err(ErrorCode::Replaced.into());
            }
        } else if state.members.len() == 1 && state.policy == Some(share(&founding)) {
            self.open_room(&comer, founding, now);
        } else {
            self.open_shared(&state, now)?;
        }
        comer.record = state.members.iter().find(|member| member.peer_id == comer.peer_id).cloned();
        if let Some(record) = &comer.record {
            comer.name.clone_from(&record.name);
        }
        self.read_for(state, &comer.peer_id, now);
        self.seat(conn, comer, now);
        Ok(())
    }
}
