//! How long packets take, as far as one end can tell: their delay relative to the fastest of the last seconds. Pure.
//!
//! Where the fastest of late is another than before, since the path has changed, what is known of the others moves along: what counts is
//! how far they are apart, not how long they all take.
//!
//! All times are in samples at 48 kHz.

use std::collections::VecDeque;

/// Width of a class of the histogram: 5 ms.
const CLASS: i64 = 240;
/// Classes up to half a second; what takes longer counts as that.
const CLASSES: usize = 100;
/// This part of the packets comes in time; the others are concealed. More would make everybody wait for a few.
const QUANTILE: f32 = 0.95;
/// A packet's weight halves after some 100 more (2 s of 20 ms packets): eight late ones in a row raise the delay, and 9 s without any end
/// it.
const FORGET: f32 = 0.993;
/// Sound is taken 10 ms at a time, so a packet may be needed so much before it is played.
const MARGIN: i64 = 480;
/// The same for what comes after a loss, and 2.5 ms by which the delay may be below its target; what is measured is rounded up instead.
const LOSS_MARGIN: i64 = MARGIN + 120;
/// The fastest packet is looked for in this time, twice: 5 s.
const WINDOW: i64 = 240_000;
/// Before this many packets the first guess stands.
const ENOUGH: u32 = 25;
/// After a loss, sound is held long enough for its copy in a later packet, or its repetition: for 10 s.
const LOSS_MEMORY: i64 = 480_000;
/// So many losses are remembered; of more the oldest is forgotten.
const LOSSES: usize = 32;
/// Of so many, the one that took longest is not waited for: who waits for the third repetition is late with all the others.
const LOSSES_FOR_ONE: usize = 16;

/// Packets this much behind the fastest, so many in a row, are on another route or from a sender whose time line stood
/// still: half a second of 20 ms packets, half a second late.
const FAR: i64 = 24_000;
const FAR_PACKETS: u32 = 25;

#[derive(Debug)]
pub(super) struct DelayEstimator {
    initial: i64,
    fastest: Fastest,
    histogram: [f32; CLASSES],
    /// The transit at which its first class begins: the fastest one's, less than a class off.
    zero: i64,
    observed: u32,
    last_transit: Option<i64>,
    /// RFC 3550 §A.8, scaled by 16.
    jitter_16: i64,
    /// When, and how long after a packet its copy or its repetition came; at most [`LOSSES`].
    losses: VecDeque<(i64, i64)>,
    /// Until when such are waited for, and for how long.
    loss: Option<(i64, i64)>,
    newest: i64,
    far_in_a_row: u32,
}

/// The least transit of this window and the one before.
#[derive(Debug, Default)]
struct Fastest {
    since: i64,
    current: Option<i64>,
    previous: Option<i64>,
}

impl DelayEstimator {
    pub(super) fn new(initial: i64) -> Self {
        Self {
            initial,
            fastest: Fastest::default(),
            histogram: [0.0; CLASSES],
            zero: 0,
            observed: 0,
            last_transit: None,
            jitter_16: 0,
            losses: VecDeque::with_capacity(LOSSES),
            loss: None,
            newest: i64::MIN,
            far_in_a_row: 0,
        }
    }

    /// How far a packet's transit is from the fastest one's; `None` before the first.
    pub(super) fn distance(&self, transit: i64) -> Option<i64> {
        self.fastest.get().map(|fastest| transit - fastest)
    }

    /// Takes a packet with this RTP time that arrived `now`.
    pub(super) fn observe(&mut self, now: i64, timestamp: i64) {
        let transit = now - timestamp;
        let is_far = self.distance(transit).is_some_and(|distance| distance > FAR);
        self.far_in_a_row = if is_far { self.far_in_a_row + 1 } else { 0 };
        if self.far_in_a_row >= FAR_PACKETS {
            self.far_in_a_row = 0;
            self.fastest = Fastest::default();
            self.histogram = [0.0; CLASSES];
            self.observed = 0;
        }
        self.fastest.observe(now, transit);
        self.newest = self.newest.max(timestamp);
        if let Some(last) = self.last_transit.replace(transit) {
            let change = (transit - last).abs().min(CLASS * CLASSES as i64);
            self.jitter_16 += change - (self.jitter_16 + 8) / 16;
        }
        self.move_zero();
        let class = ((transit - self.zero).max(0) / CLASS).min(CLASSES as i64 - 1) as usize;
        // The first few weigh alike, instead of the first one weighing most.
        let forget = FORGET.min(self.observed as f32 / (self.observed as f32 + 1.0));
        self.histogram.iter_mut().for_each(|weight| *weight *= forget);
        self.histogram[class] += 1.0 - forget;
        self.observed = self.observed.saturating_add(1);
    }

    /// A packet was lost, and its copy or its repetition came, or could have come, so much later: such are worth waiting for.
    pub(super) fn note_loss(&mut self, timestamp: i64, later: i64) {
        self.losses.retain(|(at, _)| timestamp - at < LOSS_MEMORY);
        if self.losses.len() >= LOSSES {
            self.losses.pop_front();
        }
        self.losses.push_back((timestamp, later));
        let mut known: Vec<i64> = self.losses.iter().map(|(_, later)| *later).collect();
        known.sort_unstable();
        let usual = known.len() - 1 - known.len() / LOSSES_FOR_ONE;
        self.loss = Some((timestamp + LOSS_MEMORY, known[usual]));
    }

    /// Lets the histogram begin where the fastest packet is now; what falls off either end counts as that end.
    fn move_zero(&mut self) {
        let by = (self.base() - self.zero) / CLASS;
        self.zero += by * CLASS;
        if by == 0 || self.observed == 0 {
            return;
        }
        let before = std::mem::replace(&mut self.histogram, [0.0; CLASSES]);
        for (class, weight) in (0_i64..).zip(before) {
            self.histogram[(class - by).clamp(0, CLASSES as i64 - 1) as usize] += weight;
        }
    }

    /// The transit of the fastest packet.
    pub(super) fn base(&self) -> i64 {
        self.fastest.get().unwrap_or(0)
    }

    /// How long after the fastest packet sound is to be played, within these limits.
    pub(super) fn target(&self, min: i64, max: i64) -> i64 {
        let measured = self.quantile() + MARGIN;
        let jitter = if self.observed < ENOUGH { measured.max(self.initial) } else { measured };
        let for_fec = match self.loss {
            Some((until, later)) if self.newest < until => later + LOSS_MARGIN,
            Some(_) | None => 0,
        };
        jitter.max(for_fec).clamp(min, max)
    }

    pub(super) fn interarrival_jitter(&self) -> i64 {
        self.jitter_16 / 16
    }

    /// The upper end of the class below which the wanted part of the packets is, after the fastest one.
    fn quantile(&self) -> i64 {
        let mut below = 0.0;
        let class = self.histogram.iter().position(|weight| {
            below += weight;
            below >= QUANTILE
        });
        (class.unwrap_or(0) as i64 + 1) * CLASS + self.zero - self.base()
    }
}

impl Fastest {
    fn observe(&mut self, now: i64, transit: i64) {
        if now - self.since >= WINDOW {
            // After a long pause neither window is of use.
            self.previous = if now - self.since < 2 * WINDOW { self.current } else { None };
            self.current = None;
            self.since = now;
        }
        self.current = Some(self.current.map_or(transit, |fastest| fastest.min(transit)));
    }

    fn get(&self) -> Option<i64> {
        match (self.current, self.previous) {
            (Some(current), Some(previous)) => Some(current.min(previous)),
            (current, previous) => current.or(previous),
        }
    }
}
