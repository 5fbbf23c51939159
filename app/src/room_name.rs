//! Names for new rooms: easy to say, hard to guess.

use parlor_proto::RoomId;
use ring::rand::{SecureRandom, SystemRandom};

const QUALITIES: [&str; 64] = [
    "amber", "ample", "apt", "bold", "brave", "bright", "brisk", "calm", "candid", "civil", "clear", "clever", "cosy",
    "crisp", "curious", "daring", "deft", "eager", "early", "easy", "fair", "fond", "frank", "free", "fresh", "gentle",
    "glad", "golden", "grand", "happy", "hardy", "honest", "ideal", "jolly", "keen", "kind", "light", "lively", "lucky",
    "lunar", "mellow", "merry", "mild", "neat", "noble", "open", "patient", "plain", "polite", "proud", "quick", "quiet",
    "ready", "rosy", "silver", "smooth", "snug", "solid", "steady", "sunny", "swift", "tidy", "warm", "wise",
];
const ANIMALS: [&str; 64] = [
    "badger", "bear", "beaver", "bison", "camel", "cat", "crane", "cricket", "crow", "deer", "dingo", "dolphin", "dove",
    "duck", "eagle", "elk", "falcon", "ferret", "finch", "fox", "frog", "gecko", "goat", "goose", "hare", "hawk", "heron",
    "horse", "ibex", "jay", "koala", "lark", "lemur", "lion", "lizard", "llama", "lynx", "magpie", "marten", "mole",
    "moose", "moth", "mouse", "newt", "orca", "otter", "owl", "panda", "puffin", "rabbit", "raven", "robin", "salmon",
    "seal", "shrew", "sparrow", "squid", "stork", "swan", "tapir", "tiger", "toad", "walrus", "wren",
];
/// Digits and letters without those that are taken for one another (0 o, 1 l).
const SIGNS: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";

/// A new room's name from the system's random numbers; none where the system has none to give.
pub fn random_room() -> Option<RoomId> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(room_from_random(u64::from_ne_bytes(bytes)))
}

/// The room name made of 52 of these random bits: two words (6 bits each) and eight signs (5 bits each).
pub fn room_from_random(bits: u64) -> RoomId {
    let signs: String = (0..8).map(|place| char::from(pick(SIGNS, bits >> (12 + place * 5)))).collect();
    let (first, second) = signs.split_at(4);
    format!("{}-{}-{first}-{second}", pick(&QUALITIES, bits), pick(&ANIMALS, bits >> 6))
        .parse()
        .expect("words, digits and hyphens make a room id")
}

fn pick<T: Copy, const N: usize>(from: &[T; N], bits: u64) -> T {
    let index = usize::try_from(bits % N as u64).unwrap_or(0);
    from[index]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_one_of_52_bits_changes_the_name() {
        let names: BTreeSet<_> = (0..52).map(|bit| room_from_random(1 << bit)).chain([room_from_random(0)]).collect();
        assert_eq!(names.len(), 53);
        assert_eq!(room_from_random(0).as_str(), "amber-badger-2222-2222");
        assert_eq!(room_from_random(u64::MAX).as_str(), "wise-wren-zzzz-zzzz");
    }

    #[test]
    fn no_word_stands_twice() {
        assert_eq!(QUALITIES.iter().collect::<BTreeSet<_>>().len(), 64);
        assert_eq!(ANIMALS.iter().collect::<BTreeSet<_>>().len(), 64);
        assert_eq!(SIGNS.iter().collect::<BTreeSet<_>>().len(), 32);
    }

    #[test]
    fn two_new_rooms_have_two_names() {
        assert_ne!(random_room().unwrap(), random_room().unwrap());
    }
}
