//! A machine that has no time now and then: everything there happens late, but by its own clock at that time.

/// In milliseconds.
#[derive(Clone, Copy)]
struct Pauses {
    /// From, and how much more, until the next.
    apart: [u64; 2],
    /// From, and how much more.
    long: [u64; 2],
}

/// Measured on two cores with six busy programs: a thread waits tens of milliseconds all the time,
const SHORT: Pauses = Pauses { apart: [5, 60], long: [2, 30] };
/// longer each second or two,
const LONGER: Pauses = Pauses { apart: [500, 2_000], long: [60, 100] };
/// and the whole machine stands still for half a second now and then.
const STANDSTILL: Pauses = Pauses { apart: [3_000, 12_000], long: [200, 400] };

/// When it has none; seeded.
pub(super) struct Busy {
    state: u64,
    pauses: Pauses,
    /// Free until then, in milliseconds; then busy until then. None for a machine that always has time.
    next: Option<[u128; 2]>,
}

impl Busy {
    pub(super) fn never() -> Self {
        Self { state: 0, pauses: SHORT, next: None }
    }

    /// A thread that others take turns with.
    pub(super) fn thread(seed: u64) -> [Self; 2] {
        [Self::new(seed, SHORT), Self::new(!seed, LONGER)]
    }

    /// All threads.
    pub(super) fn machine(seed: u64) -> Self {
        Self::new(seed, STANDSTILL)
    }

    fn new(seed: u64, pauses: Pauses) -> Self {
        let mut busy = Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, pauses, next: None };
        busy.next = Some(busy.pause(0));
        busy
    }

    fn pause(&mut self, ms: u128) -> [u128; 2] {
        let Pauses { apart, long } = self.pauses;
        let begin = ms + u128::from(apart[0]) + self.random(apart[1]);
        [begin, begin + u128::from(long[0]) + self.random(long[1])]
    }

    /// Xorshift; below `end`.
    fn random(&mut self, end: u64) -> u128 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        u128::from((self.state >> 11) % end)
    }

    /// Whether nothing happens there in this millisecond.
    pub(super) fn is_busy(&mut self, ms: u128) -> bool {
        let Some([begin, end]) = self.next else { return false };
        if ms >= end {
            self.next = Some(self.pause(ms));
        }
        (begin..end).contains(&ms)
    }
}
