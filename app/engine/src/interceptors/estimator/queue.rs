//! How long packets wait on the way: their delay, less the shortest there was.
//!
//! Both clocks run apart from each other, so a delay by itself says nothing; but the shortest of the last half minute was one
//! without a queue, and clocks drift by less than a millisecond in that time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::control::QUEUE_SOME;

/// How far back the shortest delay is looked for: twice this, at least once.
const BASE_WINDOW: Duration = Duration::from_secs(15);
/// What stands is what all packets of this time have waited; jitter is no queue, nor what one key frame makes.
const STANDING_WINDOW: Duration = Duration::from_millis(500);
/// What is taken for the newest: longer than a key frame's packets or a pause of the radio need.
const NEWEST_WINDOW: Duration = Duration::from_millis(150);
/// What came within this time is what comes now. By arrival: while a queue grows, a moment of arrivals is a shorter one of departures.
const LATEST_WINDOW: Duration = Duration::from_millis(50);
/// Samples kept; more in so short a time say no more.
const SAMPLES_MAX: usize = 256;
/// Between two packets that waited so long each the link was busy: longer than a slow link needs for one large packet, which
/// looks like waiting too.
const WAITED: Duration = Duration::from_millis(60);
/// No link that carries sound is busy with one packet for so long: it was a machine that stood still, or the radio.
const PAUSE: Duration = Duration::from_millis(250);
/// How far back the speed of a busy link is looked for.
const BUSY_WINDOW: Duration = Duration::from_secs(1);
/// A link that was busy for less says nothing of its speed.
const BUSY_MIN: Duration = Duration::from_millis(100);
/// What stands and moves by no more than this, for so long and without a loss, is no queue of ours: its link would have to carry what is sent
/// to within a six hundredth. It is the path that has become longer.
const STILL: Duration = Duration::from_millis(3);
const STILL_FOR: Duration = Duration::from_secs(2);
/// Between two reports in which it is seen to stand: Opus in a quiet room sends each 420 ms.
const LOOK_MAX: Duration = Duration::from_millis(700);

/// Delays of one connection, in seconds on a scale of their own.
#[derive(Debug, Default)]
pub(super) struct StandingQueue {
    epoch: Option<Instant>,
    /// Departure, and delay; the newest last.
    recent: VecDeque<(Instant, f64)>,
    /// The shortest of this window and of the one before, and when this one began.
    base: Option<(Instant, f64, f64)>,
    /// The latest arrival, and how long that packet had waited.
    last: Option<(Duration, Duration)>,
    /// Arrival, time since the one before, and bytes of packets before which the link was busy all that time.
    /// Bounded by [`SAMPLES_MAX`].
    busy: VecDeque<(Duration, Duration, usize)>,
    still: Option<Still>,
}

/// A time in which what stands hardly moved.
#[derive(Clone, Copy, Debug)]
struct Still {
    since: Instant,
    looked_at: Instant,
    least: Duration,
    most: Duration,
}

impl StandingQueue {
    /// A packet of so many bytes left here at `departure` and came at `arrival` on the other end's clock. Gives how long it has waited.
    pub(super) fn add(&mut self, departure: Instant, arrival: Duration, bytes: usize) -> Duration {
        let epoch = *self.epoch.get_or_insert(departure);
        let Some(left) = departure.checked_duration_since(epoch) else { return Duration::ZERO };
        let delay = arrival.as_secs_f64() - left.as_secs_f64();
        while self.recent.front().is_some_and(|(at, _)| departure.saturating_duration_since(*at) > STANDING_WINDOW)
            || self.recent.len() >= SAMPLES_MAX
        {
            self.recent.pop_front();
        }
        self.recent.push_back((departure, delay));
        self.base = Some(match self.base {
            None => (departure, delay, f64::INFINITY),
            Some((began, shortest, _)) if departure.saturating_duration_since(began) >= BASE_WINDOW => {
                (departure, delay, shortest)
            }
            Some((began, shortest, before)) => (began, shortest.min(delay), before),
        });
        let waited = self.above_base(delay);
        self.note_busy(arrival, waited, bytes);
        waited
    }

    /// A packet on which feedback was lost: the time around it is no measure of the link's speed, since it may have passed.
    pub(super) fn add_unknown(&mut self) {
        self.last = None;
    }

    fn note_busy(&mut self, arrival: Duration, waited: Duration, bytes: usize) {
        if let Some((last, _)) = self.last.filter(|(last, _)| arrival < *last) {
            // Overtaken: it belongs to a moment that was looked at, in which the link carried it, too.
            if waited >= WAITED && !self.busy.is_empty() && self.busy.len() < SAMPLES_MAX {
                self.busy.push_back((last, Duration::ZERO, bytes));
            }
            return;
        }
        let Some((last, waited_last)) = self.last.replace((arrival, waited)) else { return };
        let since = arrival.saturating_sub(last);
        if waited.min(waited_last) >= WAITED && since < PAUSE {
            self.busy.push_back((arrival, since, bytes));
        }
        while self.busy.front().is_some_and(|(at, ..)| arrival.saturating_sub(*at) > BUSY_WINDOW)
            || self.busy.len() > SAMPLES_MAX
        {
            self.busy.pop_front();
        }
    }

    /// What the link carried while it was busy, of what is `counted` of a packet's bytes. Known while packets queue, however little of the time
    /// that is.
    pub(super) fn capacity_bps(&self, counted: fn(usize) -> usize) -> Option<f64> {
        let time: Duration = self.busy.iter().map(|(_, since, _)| *since).sum();
        let bytes: usize = self.busy.iter().map(|(_, _, bytes)| counted(*bytes)).sum();
        (time >= BUSY_MIN).then(|| bytes as f64 * 8.0 / time.as_secs_f64())
    }

    fn above_base(&self, delay: f64) -> Duration {
        let shortest = self.base.map_or(delay, |(_, shortest, before)| shortest.min(before));
        Duration::try_from_secs_f64(delay - shortest).unwrap_or_default()
    }

    fn shortest_recent(&self) -> Option<f64> {
        self.recent.iter().map(|(_, delay)| *delay).reduce(f64::min)
    }

    /// How long every recent packet has waited at least.
    pub(super) fn standing(&self) -> Duration {
        self.shortest_recent().map_or(Duration::ZERO, |recent| self.above_base(recent))
    }

    /// How long each of the newest packets has waited at least.
    pub(super) fn newest(&self) -> Duration {
        let Some((last, _)) = self.recent.back() else { return Duration::ZERO };
        let newest =
            self.recent.iter().rev().take_while(|(at, _)| last.saturating_duration_since(*at) <= NEWEST_WINDOW);
        newest.map(|(_, delay)| self.above_base(*delay)).min().unwrap_or_default()
    }

    /// Looks at what stands, with each report and whether all of that came. Where the path has become longer, gives since when
    /// what was taken for a queue was none.
    pub(super) fn note_still(&mut self, now: Instant, is_whole: bool) -> Option<Instant> {
        let standing = self.standing();
        let before = self.still.filter(|still| is_whole && now.saturating_duration_since(still.looked_at) <= LOOK_MAX);
        let still = before.map_or(Still { since: now, looked_at: now, least: standing, most: standing }, |still| {
            Still { looked_at: now, least: still.least.min(standing), most: still.most.max(standing), ..still }
        });
        if still.most - still.least > STILL {
            self.still = Some(Still { since: now, least: standing, most: standing, ..still });
            return None;
        }
        self.still = Some(still);
        let is_long_enough = now.saturating_duration_since(still.since) >= STILL_FOR;
        let began = still.since.checked_sub(STANDING_WINDOW).unwrap_or(still.since);
        (standing >= QUEUE_SOME && is_long_enough).then_some(began)
    }

    /// How long what comes now has waited at least: the first word of a queue that grows.
    pub(super) fn latest(&self) -> Duration {
        let Some(epoch) = self.epoch else { return Duration::ZERO };
        let arrival = |(left, delay): &(Instant, f64)| left.saturating_duration_since(epoch).as_secs_f64() + delay;
        let last = self.recent.iter().map(arrival).fold(f64::NEG_INFINITY, f64::max);
        let now = self.recent.iter().filter(|sample| last - arrival(sample) <= LATEST_WINDOW.as_secs_f64());
        now.map(|(_, delay)| self.above_base(*delay)).min().unwrap_or_default()
    }

    /// Takes the delay of now for one without a queue: then no link was seen busy either.
    pub(super) fn accept(&mut self) {
        if let (Some(recent), Some((began, _, _))) = (self.shortest_recent(), self.base) {
            self.base = Some((began, recent, f64::INFINITY));
        }
        self.busy.clear();
        (self.last, self.still) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    /// The other end's clock began long ago.
    const THEIRS: Duration = Duration::from_secs(86_400);

    /// A packet each 20 ms from `from_ms` to `to_ms`, delayed by so much; what stands at the end, in milliseconds.
    fn pass(queue: &mut StandingQueue, begin: Instant, span_ms: [u32; 2], delay_ms: impl Fn(u32) -> u32) -> u128 {
        for ms in (span_ms[0]..span_ms[1]).step_by(20) {
            queue.add(begin + MS * ms, THEIRS + MS * ms + MS * delay_ms(ms), 100);
        }
        queue.standing().as_millis()
    }

    #[test]
    fn a_long_path_is_no_queue_and_a_queue_is_seen_whole() {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        assert_eq!(queue.standing(), Duration::ZERO);
        assert_eq!(pass(&mut queue, begin, [0, 5_000], |_| 150), 0);
        assert_eq!(pass(&mut queue, begin, [5_000, 10_000], |_| 450), 300);
        assert_eq!(pass(&mut queue, begin, [10_000, 11_000], |_| 150), 0);
    }

    #[test]
    fn the_speed_of_a_link_is_known_from_one_burst() {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        pass(&mut queue, begin, [0, 5_000], |_| 20);
        assert_eq!(queue.capacity_bps(|bytes| bytes), None);
        // Twenty packets at once over 200 kbit/s: 1,000 bytes take 40 ms.
        for number in 1..=20 {
            queue.add(begin + MS * 5_000, THEIRS + MS * (5_020 + 40 * number), 1_000);
        }
        let capacity = queue.capacity_bps(|bytes| bytes).unwrap();
        assert!((capacity - 200_000.0).abs() < 1.0, "{capacity}");
        pass(&mut queue, begin, [6_000, 9_000], |_| 20);
        assert_eq!(queue.capacity_bps(|bytes| bytes), None, "it is forgotten");
    }

    #[test]
    fn what_was_not_reported_on_does_not_slow_the_link_down() {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        pass(&mut queue, begin, [0, 5_000], |_| 20);
        // 200 kbit/s, and nothing is known of every fifth.
        for number in 1..=40 {
            match number % 5 {
                0 => queue.add_unknown(),
                _ => _ = queue.add(begin + MS * 5_000, THEIRS + MS * (5_020 + 40 * number), 1_000),
            }
        }
        let capacity = queue.capacity_bps(|bytes| bytes).unwrap();
        assert!((capacity - 200_000.0).abs() < 1.0, "{capacity}");
    }

    #[test]
    fn a_machine_that_stands_still_is_no_slow_link() {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        pass(&mut queue, begin, [0, 5_000], |_| 20);
        // The link is busy: 100 bytes each 20 ms are 40 kbit/s. Then nothing comes for 400 ms, and then it goes on.
        pass(&mut queue, begin, [5_000, 5_200], |_| 100);
        pass(&mut queue, begin, [5_200, 5_400], |_| 500);
        let capacity = queue.capacity_bps(|bytes| bytes).unwrap();
        assert!((38_000.0..42_000.0).contains(&capacity), "{capacity}");
    }

    #[test]
    fn jitter_and_the_packets_of_one_frame_do_not_stand() {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        let standing = pass(&mut queue, begin, [0, 20_000], |ms| 30 + (ms / 20 % 8) * 12);
        assert_eq!(standing, 0);
    }

    #[test]
    fn a_queue_that_begins_is_seen_in_what_comes_first() {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        pass(&mut queue, begin, [0, 5_000], |_| 20);
        // A link that carries a third of what is sent.
        pass(&mut queue, begin, [5_000, 5_120], |ms| 20 + 2 * (ms - 5_000));
        assert_eq!((queue.latest(), queue.newest()), (MS * 200, Duration::ZERO));
    }

    /// A report each 100 ms from 5 s on, after which what is sent takes so much longer: when it is a longer path, in milliseconds from then.
    fn found_longer_after(delay_ms: impl Fn(u32) -> u32, is_whole: impl Fn(u32) -> bool) -> Option<u32> {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        pass(&mut queue, begin, [0, 5_000], |_| 20);
        (0..10_000).step_by(100).find(|ms| {
            pass(&mut queue, begin, [5_000 + ms, 5_100 + ms], |at| 20 + delay_ms(at - 5_000));
            queue.note_still(begin + MS * (5_100 + ms), is_whole(*ms)).is_some()
        })
    }

    #[test]
    fn what_stands_still_and_loses_nothing_is_a_longer_path() {
        let found = found_longer_after(|_| 50, |_| true);
        assert!(found.is_some_and(|ms| (2_000..3_000).contains(&ms)), "{found:?}");
        assert_eq!(found_longer_after(|_| 30, |_| true), None, "too little to matter");
        assert_eq!(found_longer_after(|_| 290, |ms| ms % 1_500 > 0), None, "a full queue");
        assert_eq!(found_longer_after(|ms| 50 + ms / 250, |_| true), None, "a queue that grows by 4 ms a second");
    }

    #[test]
    fn two_packets_that_waited_are_no_longer_path() {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        pass(&mut queue, begin, [0, 5_000], |_| 20);
        for ms in [6_000, 16_000] {
            pass(&mut queue, begin, [ms, ms + 20], |_| 70);
            assert_eq!(queue.note_still(begin + MS * (ms + 100), true), None);
        }
    }

    #[test]
    fn whoever_reports_packets_out_of_order_fills_no_memory() {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        pass(&mut queue, begin, [0, 1_000], |_| 20);
        for ms in 1_000..3_000 {
            // What came last seems to come ever later, what follows it as it does.
            let ahead = if ms % 200 == 0 { 20_000 + ms } else { 100 };
            queue.add(begin + MS * ms, THEIRS + MS * (ms + ahead), 1_000);
            assert!(queue.busy.len() <= SAMPLES_MAX + 1 && queue.recent.len() <= SAMPLES_MAX);
        }
    }

    #[test]
    fn a_path_that_became_longer_is_one_after_half_a_minute_or_when_accepted() {
        let (mut queue, begin) = (StandingQueue::default(), Instant::now());
        pass(&mut queue, begin, [0, 1_000], |_| 20);
        assert_eq!(pass(&mut queue, begin, [1_000, 14_000], |_| 220), 200);
        assert_eq!(pass(&mut queue, begin, [14_000, 32_000], |_| 220), 0);
        assert_eq!(pass(&mut queue, begin, [32_000, 33_000], |_| 320), 100);
        queue.accept();
        assert_eq!(queue.standing(), Duration::ZERO);
    }
}
