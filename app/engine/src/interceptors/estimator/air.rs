//! Which share of the loss is none of our doing: what gets lost on the air, whatever we send.
//!
//! Where a queue tells, it is asked first ([`super::queue`]); this is about loss beside an empty one. A link that drops what is too much
//! loses less when less is sent, and it can be said how much less: as much as before comes through. On the air the share stays. So a cut
//! for loss is an experiment as well, and its outcome is remembered: 20 % lost at random otherwise held a call on a free link of any
//! speed at 250 kbit/s.

use std::time::{Duration, Instant};

/// After the first cut: an average that is still rising is no beginning of an experiment.
const SETTLES: Duration = Duration::from_secs(1);
/// How long one lasts at least, for the average to follow.
const LASTS: Duration = Duration::from_secs(2);
/// After so long it says nothing any more.
const LASTS_MAX: Duration = Duration::from_secs(10);
/// How much less has to be sent for an outcome.
const LESS: f64 = 0.87;
/// How much a measure of the rate enters the average: a second of feedback.
const WEIGHT: f64 = 0.1;
/// How quickly a share that is no longer lost is forgotten, for each feedback: in some seconds.
const FORGET_WEIGHT: f64 = 0.02;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Air {
    share: f64,
    offered_bps: Option<f64>,
    trial: Option<Trial>,
}

/// A cut whose effect is awaited.
#[derive(Clone, Copy, Debug)]
struct Trial {
    at: Instant,
    loss: f64,
    offered_bps: f64,
}

impl Air {
    /// What is lost whatever is sent.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// What of the loss may be our doing.
    pub(super) fn ours(&self, loss: f64) -> f64 {
        (loss - self.share).max(0.0)
    }

    /// Less is sent from now on, for the loss.
    pub(super) fn note_cut(&mut self, now: Instant, loss: f64) {
        if let (None, Some(offered_bps)) = (self.trial, self.offered_bps) {
            self.trial = Some(Trial { at: now, loss, offered_bps });
        }
    }

    /// The average loss, and what was sent, at each feedback.
    pub(super) fn look(&mut self, now: Instant, loss: f64, offered_bps: Option<f64>) {
        if loss < self.share {
            self.share += FORGET_WEIGHT * (loss - self.share);
        }
        if let Some(offered) = offered_bps {
            let average = self.offered_bps.get_or_insert(offered);
            *average += WEIGHT * (offered - *average);
        }
        let (Some(trial), Some(offered)) = (&mut self.trial, self.offered_bps) else { return };
        let lasted = now.saturating_duration_since(trial.at);
        if lasted < SETTLES {
            (trial.loss, trial.offered_bps) = (loss, offered);
        } else if lasted >= SETTLES + LASTS && offered <= LESS * trial.offered_bps {
            // As much as before comes through, if it was too much.
            let if_too_much = (1.0 - (1.0 - trial.loss) * trial.offered_bps / offered).max(0.0);
            let is_air = loss > f64::midpoint(trial.loss, if_too_much);
            self.share = if is_air { loss } else { self.share.min(if_too_much) };
            self.trial = None;
        } else if lasted >= LASTS_MAX {
            self.trial = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends ever less, cut by cut; gives the share that is taken for the air's.
    fn experiment(loss_of: impl Fn(f64) -> f64) -> f64 {
        let (mut air, mut now, mut offered, mut loss) = (Air::default(), Instant::now(), 1_000_000.0, 0.0);
        for step in 1..=60 {
            now += Duration::from_millis(100);
            loss += 0.1 * (loss_of(offered) - loss);
            air.look(now, loss, Some(offered));
            if step % 10 == 0 {
                air.note_cut(now, loss);
                offered *= 1.0 - 0.5 * loss;
            }
        }
        air.share()
    }

    #[test]
    fn what_is_lost_whatever_is_sent_is_the_airs() {
        for loss in [0.12, 0.2, 0.3, 0.4] {
            let share = experiment(|_| loss);
            assert!((share - loss).abs() < 0.02, "{share} of {loss}");
        }
    }

    #[test]
    fn what_is_lost_because_too_much_is_sent_is_not() {
        for carried in [500_000.0, 600_000.0, 700_000.0, 800_000.0] {
            let share = experiment(|offered: f64| (1.0 - carried / offered).max(0.0));
            assert!(share < 0.02, "{share} at {carried}");
        }
    }

    #[test]
    fn a_share_that_is_no_longer_lost_is_forgotten_in_seconds() {
        let now = Instant::now();
        let mut air = Air { share: 0.3, ..Air::default() };
        (0..100).for_each(|_| air.look(now, 0.0, None));
        assert!(air.share() < 0.05, "{}", air.share());
        assert!((air.ours(0.2) - 0.2).abs() < 0.05);
    }
}
