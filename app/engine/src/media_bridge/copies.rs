//! How many of the sounds before it each sound carries once more. Pure.
//!
//! They cost as much again each, and help only against loss that they do not cause: on a link that is full there are none, nor on one that carries
//! little more than the sound. Such a link is not always known to be full: the sounds alone may pass, and the copies not.

use parlor_media::rtp::red::COPIES_MAX;

/// From this share of lost sounds on, one copy: then Opus' own copies leave gaps that are heard.
const ONE_FROM: f64 = 0.02;
/// From this share on, as many as there may be: two in a row are lost now and then.
const ALL_FROM: f64 = 0.08;
/// Below this estimate the copies themselves may be what is too much: two of them are more than twice the sound. Loss on the air alone does not
/// press an estimate so low.
const ROOM_BPS: u64 = 100_000;
/// How much of what is reported enters the average with each sound: about two seconds, since a report tells of fifty sounds.
const WEIGHT: f64 = 0.01;

/// What is known of one connection's loss.
#[derive(Debug, Default)]
pub(super) struct Copies {
    loss: f64,
}

impl Copies {
    /// For the next sound: `loss` is the share reported last, `is_full` whether the link carries no more than it gets, and
    /// `target_bps` what it carries, 0 while that is not known.
    pub(super) fn next(&mut self, loss: f64, is_full: bool, target_bps: u64) -> usize {
        self.loss += WEIGHT * (loss - self.loss);
        match self.loss {
            _ if is_full || (1..ROOM_BPS).contains(&target_bps) => 0,
            loss if loss >= ALL_FROM => COPIES_MAX,
            loss if loss >= ONE_FROM => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(copies: &mut Copies, sounds: u32, loss: f64) -> usize {
        (0..sounds).map(|_| copies.next(loss, false, 0)).last().unwrap_or(0)
    }

    #[test]
    fn the_more_is_lost_the_more_is_sent_again_and_nothing_without_loss() {
        let mut copies = Copies::default();
        assert_eq!(after(&mut copies, 500, 0.0), 0);
        assert_eq!(after(&mut copies, 500, 0.03), 1);
        assert_eq!(after(&mut copies, 500, 0.3), COPIES_MAX);
        assert_eq!(after(&mut copies, 500, 0.0), 0);
    }

    #[test]
    fn one_bad_report_is_no_loss_and_a_third_lost_is_met_within_a_second() {
        let mut copies = Copies::default();
        assert_eq!(after(&mut copies, 25, 0.06), 0);
        assert_eq!(after(&mut copies, 50, 0.3), COPIES_MAX);
    }

    #[test]
    fn a_full_link_is_not_made_fuller() {
        let mut copies = Copies::default();
        after(&mut copies, 500, 0.3);
        assert_eq!(copies.next(0.3, true, 1_000_000), 0);
        assert_eq!(copies.next(0.3, false, 1_000_000), COPIES_MAX);
    }

    #[test]
    fn a_link_for_little_more_than_the_sound_gets_no_copies_though_nobody_calls_it_full() {
        let mut copies = Copies::default();
        after(&mut copies, 500, 0.3);
        assert_eq!(copies.next(0.3, false, 51_000), 0);
        assert_eq!(copies.next(0.3, false, 100_000), COPIES_MAX);
        assert_eq!(copies.next(0.3, false, 0), COPIES_MAX, "before the first estimate");
    }
}
