//! How long packets take, as far as one end can tell: their delay relative to the fastest of the last seconds. Pure.
//!
//! All times are in samples at 48 kHz.

/// Width of a class of the histogram: 5 ms.
const CLASS: i64 = 240;
/// Classes up to half a second; what takes longer counts as that.
const CLASSES: usize = 100;
/// This part of the packets comes in time; the others are concealed. More would make everybody wait for a few.
const QUANTILE: f32 = 0.95;
/// A packet's weight halves after some 230 more (4.6 s of 20 ms packets).
const FORGET: f32 = 0.997;
/// Sound is taken 10 ms at a time, so a packet may be needed so much before it is played.
const MARGIN: i64 = 480;
/// The fastest packet is looked for in this time, twice: 5 s.
const WINDOW: i64 = 240_000;
/// Before this many packets the first guess stands.
const ENOUGH: u32 = 25;
/// After a loss, sound is held long enough for the copy in a later packet: for 10 s.
const LOSS_MEMORY: i64 = 480_000;

/// Packets this much behind the fastest, so many in a row, are on another route or from a sender whose time line stood
/// still: half a second of 20 ms packets, half a second late.
const FAR: i64 = 24_000;
const FAR_PACKETS: u32 = 25;

#[derive(Debug)]
pub(super) struct DelayEstimator {
    initial: i64,
    fastest: Fastest,
    histogram: [f32; CLASSES],
    observed: u32,
    last_transit: Option<i64>,
    /// RFC 3550 §A.8, scaled by 16.
    jitter_16: i64,
    /// Until when, and how long after a packet its copy comes.
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
            observed: 0,
            last_transit: None,
            jitter_16: 0,
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
        let class = ((transit - self.base()).max(0) / CLASS).min(CLASSES as i64 - 1) as usize;
        // The first few weigh alike, instead of the first one weighing most.
        let forget = FORGET.min(self.observed as f32 / (self.observed as f32 + 1.0));
        self.histogram.iter_mut().for_each(|weight| *weight *= forget);
        self.histogram[class] += 1.0 - forget;
        self.observed = self.observed.saturating_add(1);
    }

    /// A packet was lost: the copy of the next that comes so much later is worth waiting for.
    pub(super) fn note_loss(&mut self, timestamp: i64, later: i64) {
        let known = self.loss.filter(|(until, _)| timestamp < *until).map_or(0, |(_, later)| later);
        self.loss = Some((timestamp + LOSS_MEMORY, later.max(known)));
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
            Some((until, later)) if self.newest < until => later + MARGIN,
            Some(_) | None => 0,
        };
        jitter.max(for_fec).clamp(min, max)
    }

    pub(super) fn interarrival_jitter(&self) -> i64 {
        self.jitter_16 / 16
    }

    /// The upper end of the class below which the wanted part of the packets is.
    fn quantile(&self) -> i64 {
        let mut below = 0.0;
        let class = self.histogram.iter().position(|weight| {
            below += weight;
            below >= QUANTILE
        });
        (class.unwrap_or(0) as i64 + 1) * CLASS
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
