//! What is known of the rate at which a link was full. Pure.

use std::time::{Duration, Instant};

use super::Observation;

/// A link that carries less in all leaves next to nothing beside sound: to try more costs the sound, so it is tried seldom. Measured on links of 50 kbit/s:
/// 50 at most; of 100: 59 at least, where requests and reports took the rest.
const BARELY_SOUND_BPS: f64 = 55_000.0;

/// Where the link was last full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) bps: f64,
    pub(super) at: Instant,
    /// The most that has passed since.
    pub(super) passed_bps: f64,
    /// What it carried in all, where that was seen.
    pub(super) link_bps: Option<f64>,
    pub(super) basis: Basis,
    /// Where its queue is short: each try to get beyond costs sounds.
    pub(super) short: Option<Room>,
}

/// That less than all of a link is used, so that nothing waits there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// For how long after it was full.
    pub(super) lasts: Duration,
    /// How much is used.
    pub(super) share: f64,
}

/// What is known of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// It was seen busy.
    Measured,
    /// What came is all that is known.
    Guessed,
    /// And a queue shows more just now.
    Corrected,
}

impl Limit {
    /// What came of a flood; what was known of the link before.
    pub(super) fn guess(bps: f64, at: Instant, link_bps: Option<f64>) -> Self {
        Self { bps, at, passed_bps: bps, link_bps, basis: Basis::Guessed, short: None }
    }

    /// Where it was met just now and carried so much.
    pub(super) fn met(seen: Observation, carried_bps: f64, at: Instant) -> Self {
        let bps = seen.lasting_bps.unwrap_or(carried_bps);
        let basis = if seen.capacity_bps.is_some() { Basis::Measured } else { Basis::Guessed };
        Self { bps, at, passed_bps: carried_bps, link_bps: seen.link_bps, basis, short: None }
    }

    /// Of a flood hardly a report comes back: what came is told too low. The queue behind it shows what the link carries at least.
    pub(super) fn correct(&mut self, seen: Observation) {
        match (self.basis, seen.link_bps.zip(seen.lasting_bps)) {
            (Basis::Guessed | Basis::Corrected, Some((link, lasting))) => {
                self.bps = self.bps.max(lasting);
                self.passed_bps = self.passed_bps.max(lasting);
                self.link_bps = Some(self.link_bps.map_or(link, |known| known.max(link)));
                self.basis = Basis::Corrected;
            }
            (Basis::Corrected, None) => self.basis = Basis::Measured,
            (Basis::Measured, _) | (Basis::Guessed, None) => {}
        }
    }

    /// Whether the link leaves next to nothing beside sound, as far as was seen since. Where it was never seen busy, nobody knows.
    pub(super) fn is_barely_sound(&self) -> bool {
        self.link_bps.is_some_and(|link| link.max(self.bps).max(self.passed_bps) < BARELY_SOUND_BPS)
    }
}
