//! Seeded chance: equal seeds, equal networks.

/// SplitMix64: one number a step, each seed its own sequence.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator of its own for each purpose, so that one more kind of trouble does not move all the others.
    pub(crate) fn of(seed: u64, purpose: &str) -> Self {
        let mut mixed = Self::new(seed);
        let mut state = mixed.next();
        for byte in purpose.bytes() {
            mixed = Self::new(state ^ u64::from(byte));
            state = mixed.next();
        }
        Self::new(state)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to 1, without 1.
    pub(crate) fn share(&mut self) -> f64 {
        // 53 bits: what a double holds exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True for this share of the calls. Draws once, whatever the share.
    pub(crate) fn happens(&mut self, share: f64) -> bool {
        self.share() < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_and_each_purpose_its_own() {
        let numbers = |seed, purpose: &str| {
            let mut random = Random::of(seed, purpose);
            (0..8).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1, "loss"), numbers(1, "loss"));
        assert_ne!(numbers(1, "loss"), numbers(2, "loss"));
        assert_ne!(numbers(1, "loss"), numbers(1, "jitter"));
    }

    #[test]
    fn what_happens_to_a_share_happens_to_about_that_share() {
        let mut random = Random::new(7);
        let happened = (0..100_000).filter(|_| random.happens(0.3)).count();
        assert!((29_500..30_500).contains(&happened), "{happened}");
        assert!((0..1_000).all(|_| !random.happens(0.0)));
        assert!((0..1_000).all(|_| random.happens(1.0)));
    }
}
