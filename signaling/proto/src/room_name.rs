//! Names for new rooms: readable, and too many to be guessed.

use crate::RoomId;

/// 64 words, so that one is worth 6 bits. Short, and friendly in every pair with [`ANIMALS`].
#[rustfmt::skip]
const ADJECTIVES: [&str; 64] = [
    "able", "amber", "bold", "brave", "breezy", "bright", "calm", "candid",
    "clear", "clever", "cosy", "crisp", "curious", "daring", "eager", "early",
    "easy", "fair", "fast", "fine", "fond", "free", "fresh", "gentle",
    "glad", "golden", "grand", "green", "happy", "hearty", "honest", "jolly",
    "keen", "kind", "light", "lively", "loyal", "lucky", "mellow", "merry",
    "mild", "misty", "neat", "nimble", "noble", "patient", "plain", "polite",
    "proud", "quick", "quiet", "rapid", "ready", "rosy", "shiny", "silent",
    "smart", "snowy", "sunny", "swift", "tidy", "warm", "wise", "witty",
];

/// 64 words, worth 6 bits.
#[rustfmt::skip]
const ANIMALS: [&str; 64] = [
    "badger", "bear", "beaver", "bison", "bobcat", "camel", "cat", "crane",
    "cricket", "deer", "dolphin", "dove", "duck", "eagle", "egret", "elk",
    "falcon", "ferret", "finch", "fox", "gecko", "goose", "hare", "hawk",
    "heron", "horse", "ibex", "jackal", "jay", "kestrel", "kiwi", "koala",
    "lark", "lemur", "linnet", "lion", "lizard", "lynx", "magpie", "marten",
    "mole", "moose", "mouse", "newt", "otter", "owl", "panda", "pelican",
    "pony", "puffin", "rabbit", "raven", "robin", "salmon", "seal", "sparrow",
    "stork", "swan", "tiger", "toad", "turtle", "walrus", "whale", "wren",
];

/// Crockford's base32 in lower case: no i, l, o, u, which are misread or misheard.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl RoomId {
    /// A new room's name made of random bits, such as `quiet-otter-71k2-9mfd`.
    ///
    /// Of the 64 bits the lowest 52 count: 6 for each word, 40 for the characters.
    pub fn from_random(bits: u64) -> Self {
        let pick = |shift: u32, mask: u64| usize::try_from(bits >> shift & mask).unwrap_or(0);
        let digits = |from: u32| -> String { (from..from + 4).map(|i| char::from(DIGITS[pick(i * 5, 31)])).collect() };
        let name = format!("{}-{}-{}-{}", ADJECTIVES[pick(46, 63)], ANIMALS[pick(40, 63)], digits(0), digits(4));
        name.parse().expect("words, digits and hyphens, at most 30 characters")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_readable_and_valid() {
        assert_eq!(RoomId::from_random(0).as_str(), "able-badger-0000-0000");
        assert_eq!(RoomId::from_random(u64::MAX).as_str(), "witty-wren-zzzz-zzzz");
    }

    #[test]
    fn each_of_52_bits_makes_another_name() {
        let names: BTreeSet<_> = (0..52).map(|bit| RoomId::from_random(1 << bit)).collect();
        assert_eq!(names.len(), 52);
        assert_eq!(RoomId::from_random(1 << 52), RoomId::from_random(0));
    }

    #[test]
    fn every_word_is_there_once() {
        for words in [ADJECTIVES, ANIMALS] {
            assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), 64);
        }
    }
}
