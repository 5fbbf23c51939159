//! A queue so short that it loses packets before it is long. Pure.
//!
//! Many routers hold less than 100 ms: what is too much is dropped at the tail of their queue, and the delays tell of no queue worth ending.
//! There whatever was lost came behind packets that had waited longer than most; on the air it comes behind any. So each loss is looked at with
//! the wait of the packet before it, and where most of them lie at the upper end the link is full, however little is lost in all. Losses behind
//! packets that had not waited are the air's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back, by the times at which packets left.
const WINDOW: Duration = Duration::from_secs(5);
/// Packets remembered; of more the oldest are forgotten.
const SAMPLES_MAX: usize = 1_024;
/// Rows of lost packets that it takes. On the air one in three lies behind a long wait where that varies as by jitter: seven of eight by chance
/// once in 400.
const LOSSES_MIN: usize = 8;
/// So many are enough where a queue is seen to stand.
const LOSSES_BESIDE_QUEUE: usize = 4;
/// The share of them behind a long wait.
const LOSSES_SHARE: f64 = 0.85;
/// Where more of all packets waited long, the losses tell nothing: the path has just become longer.
const LONG_SHARE_MAX: f64 = 0.75;
/// Waits that differ by less are a busy machine's, or a fast link's.
const SPAN_MIN: Duration = Duration::from_millis(10);
/// From this part of the way between a short wait and a long one on it is long: a full queue has room for one packet now and then.
const LONG: f64 = 0.7;
/// Longer queues are seen by what stands in them, and are no reason for caution once they are empty.
const WAIT_MAX: Duration = Duration::from_millis(150);
/// One packet takes as long on the narrowest link that is left room: shorter waits are none.
const WAIT_HARDLY: Duration = Duration::from_millis(30);
/// How far back losses behind such waits are remembered: on a link that is mostly full there are few of them.
const AT_RANDOM_WINDOW: Duration = Duration::from_secs(15);
/// What is lost within so long is one accident.
const ACCIDENT: Duration = Duration::from_secs(1);
/// From this part of the usual wait before a loss on the link was busy: far more than one packet takes.
const BUSY: f64 = 0.5;
/// The time that the link has to be seen busy for its speed.
const BUSY_MIN: Duration = Duration::from_millis(100);
/// No link is busy with one packet for so long.
const PAUSE: Duration = Duration::from_millis(250);

/// A packet that came.
#[derive(Clone, Copy, Debug)]
struct Came {
    departure: Instant,
    arrival: Duration,
    waited: Duration,
    bytes: usize,
    /// Whether all that left between it and the one before is known.
    is_next: bool,
}

/// What became of the packet before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Unknown,
    Came,
    Lost,
}

/// What the packets of the last seconds have waited, and behind which of them others were lost.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// In the order in which they left. Bounded by [`SAMPLES_MAX`].
    came: VecDeque<Came>,
    /// How long the packets before lost ones had waited, and when the lost ones left. Bounded by [`SAMPLES_MAX`].
    losses: VecDeque<(Instant, Duration)>,
    /// When the last two accidents were: what was lost behind one that had hardly waited.
    at_random: [Option<Instant>; 2],
    last: Last,
    /// What left earlier is no matter.
    since: Option<Instant>,
}

impl Tail {
    /// A packet that came, and had waited so long.
    pub(super) fn add(&mut self, departure: Instant, arrival: Duration, waited: Duration, bytes: usize) {
        while self.came.len() >= SAMPLES_MAX || self.came.front().is_some_and(|came| is_old(came.departure, departure))
        {
            self.came.pop_front();
        }
        while self.losses.front().is_some_and(|(at, _)| is_old(*at, departure)) {
            self.losses.pop_front();
        }
        let is_next = self.last != Last::Unknown;
        self.came.push_back(Came { departure, arrival, waited, bytes, is_next });
        self.last = Last::Came;
    }

    /// A packet that did not come.
    pub(super) fn add_lost(&mut self, departure: Instant) {
        if self.last == Last::Unknown {
            return;
        }
        let is_first = std::mem::replace(&mut self.last, Last::Lost) == Last::Came;
        let Some(before) = self.came.back().filter(|_| is_first) else { return };
        let is_another = |last: Instant| departure.saturating_duration_since(last) >= ACCIDENT;
        if before.waited < WAIT_HARDLY && self.at_random[1].is_none_or(is_another) {
            self.at_random = [self.at_random[1], Some(departure)];
        }
        if self.since.is_none_or(|since| departure >= since) && self.losses.len() < SAMPLES_MAX {
            self.losses.push_back((departure, before.waited));
        }
    }

    /// A packet on which feedback was lost.
    pub(super) fn add_unknown(&mut self) {
        self.last = Last::Unknown;
    }

    /// What was lost of what left before now is no matter any more.
    pub(super) fn forget_losses(&mut self, now: Instant) {
        self.since = Some(now);
        self.losses.clear();
    }

    /// Whether a short queue is full; where one stands it takes less to tell.
    pub(super) fn is_full(&self, stands: bool) -> bool {
        if self.losses.len() < if stands { LOSSES_BESIDE_QUEUE } else { LOSSES_MIN } {
            return false;
        }
        let waits = sorted(self.came.iter().map(|came| came.waited));
        let (Some(&short), Some(&long)) = (waits.get(waits.len() / 10), waits.get(waits.len() * 9 / 10)) else {
            return false;
        };
        let span = long.saturating_sub(short);
        if span < SPAN_MIN || long > WAIT_MAX {
            return false;
        }
        let from = short + span.mul_f64(LONG);
        let share = |long: usize, all: usize| long as f64 / all.max(1) as f64;
        let of_all = share(waits.iter().filter(|waited| **waited >= from).count(), waits.len());
        let of_losses = share(self.losses.iter().filter(|(_, waited)| *waited >= from).count(), self.losses.len());
        of_losses >= LOSSES_SHARE && of_all <= LONG_SHARE_MAX
    }

    /// Whether packets are lost behind such as have hardly waited: not since a queue is full, unless that holds next to nothing. One accident may happen.
    pub(super) fn loses_at_random(&self) -> bool {
        let (Some(first), Some(newest)) = (self.at_random[0], self.came.back()) else { return false };
        newest.departure.saturating_duration_since(first) <= AT_RANDOM_WINDOW
    }

    /// What the link carried while it was busy, of what is `counted` of a packet's bytes, in the time in which the last losses lie: before that it
    /// may have been another.
    pub(super) fn capacity_bps(&self, counted: fn(usize) -> usize) -> Option<f64> {
        let last = self.losses.range(self.losses.len().saturating_sub(LOSSES_MIN)..);
        let since = last.clone().next()?.0;
        let waits = sorted(last.map(|(_, waited)| *waited));
        let busy_from = waits[waits.len() / 2].mul_f64(BUSY);
        let (mut time, mut bytes) = (Duration::ZERO, 0);
        for (before, came) in self.came.iter().zip(self.came.iter().skip(1)) {
            let took = came.arrival.saturating_sub(before.arrival);
            let is_busy = before.waited.min(came.waited) >= busy_from && took < PAUSE;
            if came.is_next && came.departure >= since && is_busy {
                time += took;
                bytes += counted(came.bytes);
            }
        }
        (time >= BUSY_MIN).then(|| bytes as f64 * 8.0 / time.as_secs_f64())
    }
}

fn sorted(waits: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut waits: Vec<Duration> = waits.collect();
    waits.sort_unstable();
    waits
}

fn is_old(departure: Instant, now: Instant) -> bool {
    now.saturating_duration_since(departure) > WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Seeded.
    struct Chance(u32);

    impl Chance {
        /// From 0 to 1.
        fn draw(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(self.0 >> 8) / f64::from(1 << 24)
        }
    }

    /// Sends packets of 1,000 bytes, for half of each second one each 8 ms and then one each 14 ms, over a link of 800 kbit/s whose queue holds so
    /// many milliseconds.
    fn overload(tail: &mut Tail, begin: Instant, [from_ms, to_ms]: [u32; 2], queue_ms: u32) {
        let mut free_at = Duration::ZERO;
        for ms in from_ms..to_ms {
            if ms % if ms % 1_000 < 500 { 8 } else { 14 } > 0 {
                continue;
            }
            let wait = free_at.saturating_sub(MS * ms);
            if wait > MS * queue_ms {
                tail.add_lost(begin + MS * ms);
                continue;
            }
            free_at = MS * ms + wait + MS * 10;
            tail.add(begin + MS * ms, free_at, wait, 1_000);
        }
    }

    #[test]
    fn a_short_queue_that_is_full_tells_what_its_link_carries() {
        for queue_ms in [20, 50, 100] {
            let (mut tail, begin) = (Tail::default(), Instant::now());
            overload(&mut tail, begin, [0, 4_000], queue_ms);
            assert!(tail.is_full(false), "{queue_ms} ms");
            let capacity = tail.capacity_bps(|bytes| bytes).unwrap();
            assert!((780_000.0..820_000.0).contains(&capacity), "{capacity} with {queue_ms} ms");
        }
        let (mut tail, begin) = (Tail::default(), Instant::now());
        overload(&mut tail, begin, [0, 4_000], 300);
        assert!(!tail.is_full(false), "that one is seen to stand");
    }

    #[test]
    fn what_was_lost_before_a_cut_is_forgotten() {
        let (mut tail, begin) = (Tail::default(), Instant::now());
        overload(&mut tail, begin, [0, 4_000], 50);
        tail.forget_losses(begin + MS * 4_000);
        overload(&mut tail, begin, [3_000, 4_000], 50);
        assert!(!tail.is_full(false), "what left before it is told later");
        overload(&mut tail, begin, [4_000, 5_000], 50);
        assert!(tail.is_full(false));
    }

    #[test]
    fn what_is_not_known_is_no_loss() {
        let (mut tail, begin) = (Tail::default(), Instant::now());
        for ms in (0..4_000).step_by(10) {
            let wait = MS * (ms % 50);
            tail.add(begin + MS * ms, MS * ms + wait, wait, 1_000);
            if ms % 50 == 40 {
                tail.add_unknown();
                tail.add_lost(begin + MS * ms);
            }
        }
        assert!(!tail.is_full(false));
    }

    #[test]
    fn fewer_losses_are_enough_where_a_queue_stands() {
        let (mut tail, begin) = (Tail::default(), Instant::now());
        overload(&mut tail, begin, [0, 420], 50);
        assert!((LOSSES_BESIDE_QUEUE..LOSSES_MIN).contains(&tail.losses.len()), "{}", tail.losses.len());
        assert_eq!((tail.is_full(false), tail.is_full(true)), (false, true));
    }

    #[test]
    fn losses_while_a_path_becomes_longer_tell_nothing() {
        let (mut tail, begin) = (Tail::default(), Instant::now());
        for ms in (0..10_000).step_by(10) {
            let wait = MS * if ms < 4_000 { 2 } else { 40 };
            match ms % 200 {
                0 => tail.add_lost(begin + MS * ms),
                _ => tail.add(begin + MS * ms, MS * ms + wait, wait, 1_000),
            }
            assert!(!tail.is_full(false), "after {ms} ms");
        }
    }

    #[test]
    fn losses_behind_packets_that_had_hardly_waited_are_at_random_and_one_may_be_an_accident() {
        let (mut tail, begin) = (Tail::default(), Instant::now());
        let lose_behind = |tail: &mut Tail, ms: u32, wait_ms: u32| {
            tail.add(begin + MS * ms, MS * (ms + wait_ms), MS * wait_ms, 1_000);
            tail.add_lost(begin + MS * ms);
            tail.loses_at_random()
        };
        assert!(!lose_behind(&mut tail, 0, 10));
        assert!(!lose_behind(&mut tail, 900, 10), "the same accident");
        assert!(!lose_behind(&mut tail, 1_000, 100), "a queue");
        assert!(!lose_behind(&mut tail, 16_000, 10), "the first is too long ago");
        tail.forget_losses(begin + MS * 17_000);
        assert!(lose_behind(&mut tail, 30_000, 10), "a cut for a queue is no reason to forget");
        assert!(!lose_behind(&mut tail, 31_001, 100));
        for queue_ms in [50, 100, 300] {
            let mut full = Tail::default();
            overload(&mut full, begin, [0, 4_000], queue_ms);
            assert!(!full.loses_at_random(), "{queue_ms} ms");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut tail, begin) = (Tail::default(), Instant::now());
        for number in 0..10_000 {
            tail.add(begin, MS * number, MS, 1_000);
            tail.add_lost(begin);
        }
        assert!(tail.came.len() <= SAMPLES_MAX && tail.losses.len() <= SAMPLES_MAX);
    }

    /// For how many of a minute's seconds loss on the air, at random on a path with this much jitter, looks like a short queue.
    fn mistaken(loss: f64, jitter_ms: f64, seed: u32) -> usize {
        let (mut tail, begin, mut chance) = (Tail::default(), Instant::now(), Chance(seed));
        let second = |second: u32| {
            for ms in (second * 1_000..(second + 1) * 1_000).step_by(10) {
                let wait = MS.mul_f64(jitter_ms * chance.draw());
                match chance.draw() < loss {
                    true => tail.add_lost(begin + MS * ms),
                    false => tail.add(begin + MS * ms, MS * ms + wait, wait, 1_000),
                }
            }
            tail.is_full(false)
        };
        (0..60).map(second).filter(|is_full| *is_full).count()
    }

    #[test]
    fn loss_on_the_air_is_not_taken_for_a_full_queue() {
        for loss in [0.01, 0.02, 0.05, 0.1, 0.3] {
            for jitter_ms in [0.0, 5.0, 20.0, 60.0] {
                let mistaken: usize = (1..=20).map(|seed| mistaken(loss, jitter_ms, seed)).sum();
                assert!(mistaken <= 1, "{mistaken} of 1,200 seconds at {loss} with {jitter_ms} ms");
            }
        }
    }
}
