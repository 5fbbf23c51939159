//! How often passwords may be guessed, and how much hashing strangers can cause. Asked before anything is hashed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parlor_proto::ErrorCode;

use super::budget::Budget;
use super::config::GuessConfig;
use super::refusal::Refusal;
use crate::client_address::AddressGroup;

/// Addresses remembered. When there are more, those that owe nothing are forgotten, and then the one that owes least.
const ADDRESSES_MAX: usize = 10_000;

/// The wrong passwords and the hashing of each address.
pub(crate) struct Guesses {
    config: GuessConfig,
    addresses: BTreeMap<AddressGroup, Address>,
}

struct Address {
    wrong: Budget,
    hashes: Budget,
}

impl Guesses {
    pub(crate) fn new(config: GuessConfig) -> Self {
        Self { config, addresses: BTreeMap::new() }
    }

    /// The wrong passwords of one room.
    pub(crate) fn of_room(config: &GuessConfig, now: Instant) -> Budget {
        Budget::each(config.per_room, config.window / config.per_room.max(1), now)
    }

    /// Whether a password from this address may be hashed, to set it or to compare it.
    ///
    /// # Errors
    /// `rate_limited` with the time to wait.
    pub(crate) fn allow_hash(&mut self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.address(address, now).hashes.take(now).map_err(Refusal::rate_limited)
    }

    /// Whether a password from this address may be compared with that of a room.
    ///
    /// # Errors
    /// `too_many_guesses` or `rate_limited`, with the time to wait.
    pub(crate) fn allow_guess(&mut self, address: IpAddr, room: &Budget, now: Instant) -> Result<(), Refusal> {
        let of_address = self.address(address, now).wrong.wait(now);
        match of_address.max(room.wait(now)) {
            Some(wait) => Err(Refusal::waiting(ErrorCode::TooManyGuesses, wait)),
            None => self.allow_hash(address, now),
        }
    }

    /// A password from this address was wrong.
    pub(crate) fn note_wrong(&mut self, address: IpAddr, room: &mut Budget, now: Instant) {
        // Where one of the two has nothing left, `allow_guess` has refused already.
        let _ = self.address(address, now).wrong.take(now);
        let _ = room.take(now);
    }

    fn address(&mut self, address: IpAddr, now: Instant) -> &mut Address {
        let address = AddressGroup::from(address);
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            self.make_room(now);
        }
        let config = &self.config;
        self.addresses.entry(address).or_insert_with(|| Address {
            wrong: Budget::each(config.per_address, config.window / config.per_address.max(1), now),
            hashes: Budget::new(config.address_hash_burst, config.address_hashes_per_sec, now),
        })
    }

    fn make_room(&mut self, now: Instant) {
        self.addresses.retain(|_, address| address.debt(now) > Duration::ZERO);
        if self.addresses.len() < ADDRESSES_MAX {
            return;
        }
        let least = self.addresses.iter().min_by_key(|(_, address)| address.debt(now)).map(|(address, _)| *address);
        if let Some(least) = least {
            self.addresses.remove(&least);
        }
    }
}

impl Address {
    fn debt(&self, now: Instant) -> Duration {
        self.wrong.debt(now).max(self.hashes.debt(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    fn code(outcome: Result<(), Refusal>) -> Option<ErrorCode> {
        outcome.err().map(|refusal| refusal.code)
    }

    #[test]
    fn wrong_passwords_are_limited_for_an_address_and_for_a_room() {
        let now = Instant::now();
        let config = GuessConfig { per_address: 3, per_room: 5, window: Duration::from_secs(60), ..Default::default() };
        let (mut guesses, mut room) = (Guesses::new(config.clone()), Guesses::of_room(&config, now));
        for guesser in [1, 1, 1, 2, 2] {
            assert_eq!(code(guesses.allow_guess(address(guesser), &room, now)), None);
            guesses.note_wrong(address(guesser), &mut room, now);
        }
        let other_room = Guesses::of_room(&config, now);
        assert_eq!(code(guesses.allow_guess(address(1), &other_room, now)), Some(ErrorCode::TooManyGuesses));
        assert_eq!(code(guesses.allow_guess(address(2), &other_room, now)), None);
        assert_eq!(code(guesses.allow_guess(address(3), &room, now)), Some(ErrorCode::TooManyGuesses));
        let later = now + Duration::from_secs(20);
        assert_eq!(code(guesses.allow_guess(address(1), &room, later)), None);
    }

    #[test]
    fn hashing_is_limited_even_with_the_right_password() {
        let now = Instant::now();
        let config = GuessConfig { address_hash_burst: 2, ..Default::default() };
        let mut guesses = Guesses::new(config);
        let hashed: Vec<_> = [1, 1, 1, 2, 2].map(|of| code(guesses.allow_hash(address(of), now))).into();
        let limited = Some(ErrorCode::RateLimited);
        assert_eq!(hashed, [None, None, limited, None, None]);
    }

    #[test]
    fn remembered_addresses_are_bounded_and_the_guiltiest_stay() {
        let now = Instant::now();
        let config = GuessConfig::default();
        let (mut guesses, mut room) = (Guesses::new(config.clone()), Guesses::of_room(&config, now));
        for _ in 0..config.per_address {
            guesses.note_wrong(address(0), &mut room, now);
        }
        for number in 1..u32::try_from(ADDRESSES_MAX).unwrap() + 20 {
            guesses.note_wrong(address(number), &mut room, now);
        }
        assert_eq!(guesses.addresses.len(), ADDRESSES_MAX);
        let room = Guesses::of_room(&config, now);
        assert_eq!(code(guesses.allow_guess(address(0), &room, now)), Some(ErrorCode::TooManyGuesses));
    }
}
