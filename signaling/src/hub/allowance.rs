//! What one connection may send, and what the connections of one address may do together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::HubConfig;
use super::budget::Budget;
use crate::client_address::AddressGroup;

/// Addresses remembered at one time. More would need more machines than limits by address are made for; then all are
/// forgotten, so that nobody is refused for want of memory.
const ADDRESSES_MAX: usize = 65_536;
/// How many times its burst a connection may send in vain before it is closed. An honest client that learns of the
/// limit has a round trip's worth of messages under way, not this many.
const PATIENCE: u32 = 2;

/// What one connection may still send.
#[derive(Debug)]
pub(crate) struct Allowance {
    messages: Budget,
    bytes: Budget,
    /// What may still be dropped before the connection is closed.
    patience: Budget,
}

/// What happens to a message for which there is nothing left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// It is dropped; in this time one like it would be taken.
    Dropped(Duration),
    /// It is the last: the client does not listen.
    Flooding,
}

impl Allowance {
    pub(crate) fn new(config: &HubConfig, now: Instant) -> Self {
        Self {
            messages: Budget::new(config.message_burst, config.messages_per_sec, now),
            bytes: Budget::new(config.byte_burst, config.bytes_per_sec, now),
            patience: Budget::new(config.message_burst.saturating_mul(PATIENCE), config.messages_per_sec, now),
        }
    }

    /// Takes one message of this length. What is refused for one of the two may have cost the other.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Result<(), Excess> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let taken = self.messages.take(now).and_then(|()| self.bytes.take_units(bytes, now));
        taken.map_err(|wait| match self.patience.take(now) {
            Ok(()) => Excess::Dropped(wait),
            Err(_) => Excess::Flooding,
        })
    }
}

/// The joins of each address.
#[derive(Debug, Default)]
pub(crate) struct Joins(BTreeMap<AddressGroup, Budget>);

impl Joins {
    /// Takes one join of somebody new.
    ///
    /// # Errors
    /// How long this address has to wait.
    pub(crate) fn take(&mut self, from: AddressGroup, per_minute: u32, now: Instant) -> Result<(), Duration> {
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&from) {
            self.0.retain(|_, budget| budget.debt(now) > Duration::ZERO);
            if self.0.len() >= ADDRESSES_MAX {
                self.0.clear();
            }
        }
        self.0
            .entry(from)
            .or_insert_with(|| Budget::each(per_minute, Duration::from_secs(60) / per_minute.max(1), now))
            .take(now)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn allowance(now: Instant) -> Allowance {
        let config = HubConfig {
            message_burst: 10,
            messages_per_sec: 10,
            byte_burst: 1_000,
            bytes_per_sec: 1_000,
            ..HubConfig::default()
        };
        Allowance::new(&config, now)
    }

    #[test]
    fn messages_and_bytes_are_limited_each_by_itself() {
        let now = Instant::now();
        let mut few_and_long = allowance(now);
        assert_eq!(few_and_long.take(1_000, now), Ok(()));
        assert_eq!(few_and_long.take(500, now), Err(Excess::Dropped(Duration::from_millis(500))));
        let mut many_and_short = allowance(now);
        assert!((0..10).all(|_| many_and_short.take(1, now).is_ok()));
        assert_eq!(many_and_short.take(1, now), Err(Excess::Dropped(Duration::from_millis(100))));
    }

    #[test]
    fn who_never_waits_is_flooding_and_who_waits_is_not() {
        let now = Instant::now();
        let mut deaf = allowance(now);
        let outcomes: Vec<_> = (0..40).map(|_| deaf.take(1, now)).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
        assert_eq!(outcomes.iter().position(|outcome| *outcome == Err(Excess::Flooding)), Some(30));
        let mut listening = allowance(now);
        let mut at = now;
        for _ in 0..1_000 {
            if let Err(excess) = listening.take(1, at) {
                let Excess::Dropped(wait) = excess else { panic!("{excess:?}") };
                at += wait;
            }
        }
    }

    #[test]
    fn joins_are_limited_by_address_and_the_table_is_bounded() {
        let now = Instant::now();
        let mut joins = Joins::default();
        let address = |number: u32| AddressGroup::from(IpAddr::V4(Ipv4Addr::from_bits(number)));
        assert!((0..2).all(|_| joins.take(address(1), 2, now).is_ok()));
        assert_eq!(joins.take(address(1), 2, now), Err(Duration::from_secs(30)));
        assert_eq!(joins.take(address(2), 2, now), Ok(()));
        for number in 0..200_000 {
            let _ = joins.take(address(number), 2, now + Duration::from_millis(u64::from(number)));
            assert!(joins.0.len() <= ADDRESSES_MAX);
        }
    }
}
