//! What is run next. Pure: runs that are there and seconds that are left in, the next run out.

use super::scenarios::Contender;

/// One run to be made: which of the chosen scenarios, by whom, for the how-manieth time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) scenario: usize,
    pub(super) contender: Contender,
    pub(super) repeat: usize,
}

/// All of some rounds: A B C of every scenario, then all of it again. What the machine does meanwhile hits all alike.
pub(super) fn rounds(contenders: &[&[Contender]], rounds: usize) -> Vec<Slot> {
    (0..rounds)
        .flat_map(|repeat| contenders.iter().enumerate().flat_map(move |(at, _)| turn(contenders, at, repeat)))
        .collect()
}

/// One scenario, by all contenders in turn.
pub(super) fn turn(contenders: &[&[Contender]], scenario: usize, repeat: usize) -> Vec<Slot> {
    contenders[scenario].iter().map(|contender| Slot { scenario, contender: *contender, repeat }).collect()
}

/// A scenario that may be repeated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) scenario: usize,
    /// The widest of its intervals beside its median.
    pub(super) width: f64,
    /// What all contenders take together.
    pub(super) seconds: f64,
    /// How often it has been run.
    pub(super) repeats: usize,
}

/// A scenario that gave no interval in so many repeats will not give one in the next.
const HOPELESS: usize = 3;

/// Where a repeat says most: the widest interval that still fits into what is left of the budget.
///
/// Of scenarios that were run once nothing is known, which counts as wider than anything; among equals the one with fewer runs, then
/// the first in the table.
pub(super) fn widest(candidates: &[Candidate], seconds_left: f64) -> Option<Candidate> {
    let may_help = |candidate: &&Candidate| {
        let is_hopeless = candidate.width.is_infinite() && candidate.repeats >= HOPELESS;
        candidate.seconds <= seconds_left && candidate.width > 0.0 && !is_hopeless
    };
    candidates.iter().filter(may_help).copied().min_by(|one, other| {
        other.width.total_cmp(&one.width).then(one.repeats.cmp(&other.repeats)).then(one.scenario.cmp(&other.scenario))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_take_turns_and_rounds_follow_each_other() {
        use Contender::{Chromium, Mixed, Native};
        let contenders: [&[Contender]; 2] = [&[Native, Mixed, Chromium], &[Native]];
        let order: Vec<_> =
            rounds(&contenders, 2).iter().map(|slot| (slot.scenario, slot.contender, slot.repeat)).collect();
        let round = |repeat| [(0, Native, repeat), (0, Mixed, repeat), (0, Chromium, repeat), (1, Native, repeat)];
        assert_eq!(order, [round(0), round(1)].concat());
    }

    #[test]
    fn repeats_go_where_the_interval_is_widest() {
        let candidate = |scenario, width, seconds, repeats| Candidate { scenario, width, seconds, repeats };
        let chosen = |candidates: &[Candidate], left| widest(candidates, left).map(|candidate| candidate.scenario);
        let (narrow, wide, huge) = (candidate(0, 0.1, 10.0, 3), candidate(1, 0.9, 60.0, 3), candidate(2, 0.5, 20.0, 3));
        assert_eq!(chosen(&[narrow, wide, huge], 100.0), Some(1));
        assert_eq!(chosen(&[narrow, wide, huge], 30.0), Some(2), "what does not fit is passed over");
        assert_eq!(chosen(&[narrow, wide, huge], 5.0), None);
        let once = candidate(3, f64::INFINITY, 10.0, 1);
        assert_eq!(chosen(&[wide, once], 100.0), Some(3), "of one run nothing is known");
        let never_measured = candidate(4, f64::INFINITY, 10.0, 2);
        assert_eq!(chosen(&[never_measured, once], 100.0), Some(3), "one that gives no figure comes last of these");
        assert_eq!(chosen(&[candidate(4, f64::INFINITY, 10.0, 3), narrow], 100.0), Some(0), "and then is left alone");
        assert_eq!(chosen(&[candidate(5, 0.0, 10.0, 2)], 100.0), None, "what is certain is not repeated");
    }
}
