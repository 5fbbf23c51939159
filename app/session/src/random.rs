//! A small deterministic generator for jitter and transport ids, none of which needs to be secret.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut random = Self { state: 0 };
        for word in seed.as_chunks::<8>().0 {
            random.state ^= u64::from_le_bytes(*word);
            random.state = random.next_u64();
        }
        random
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration from nothing to `max`, in whole milliseconds.
    pub(crate) fn up_to(&mut self, max: Duration) -> Duration {
        let max_ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.next_u64() % (max_ms.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_seed_counts() {
        let first = Random::new([0; 32]).next_u64();
        for byte in 0..32 {
            let mut seed = [0; 32];
            seed[byte] = 1;
            assert_ne!(Random::new(seed).next_u64(), first, "byte {byte}");
        }
    }

    #[test]
    fn jitter_stays_within_its_bound_and_reaches_both_ends() {
        let mut random = Random::new([7; 32]);
        let drawn: Vec<u128> = (0..200).map(|_| random.up_to(Duration::from_millis(3)).as_millis()).collect();
        assert!(drawn.iter().all(|&ms| ms <= 3) && drawn.contains(&0) && drawn.contains(&3));
    }
}
