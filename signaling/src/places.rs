//! How many connections each address has.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client_address::AddressGroup;

/// Counts the connections of each address. As large as there are connections, no larger: an address without any is
/// forgotten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<BTreeMap<AddressGroup, usize>>>);

/// A connection's place among those of its address; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// None for this machine's own addresses, which are not counted.
    counted: Option<(Places, AddressGroup)>,
}

impl Places {
    /// A place for one more, where the address has fewer than `max`.
    ///
    /// This machine's own addresses are not counted: whoever is on it can do worse, and a proxy on it that was not named
    /// to us must not make everybody one.
    pub(crate) fn take(&self, address: IpAddr, max: usize) -> Option<Place> {
        if address.to_canonical().is_loopback() {
            return Some(Place { counted: None });
        }
        let group = AddressGroup::from(address);
        let mut counts = self.counts();
        let count = counts.get(&group).copied().unwrap_or(0);
        if count >= max {
            return None;
        }
        counts.insert(group, count + 1);
        drop(counts);
        Some(Place { counted: Some((self.clone(), group)) })
    }

    fn give_back(&self, group: AddressGroup) {
        let mut counts = self.counts();
        match counts.get_mut(&group) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(counts.remove(&group)),
        }
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<AddressGroup, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((places, group)) = self.counted.take() {
            places.give_back(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_as_many_places_as_it_may_and_no_more() {
        let places = Places::default();
        let first = places.take(address("203.0.113.1"), 2).unwrap();
        let _second = places.take(address("203.0.113.1"), 2).unwrap();
        assert!(places.take(address("203.0.113.1"), 2).is_none());
        assert!(places.take(address("203.0.113.2"), 2).is_some());
        drop(first);
        assert!(places.take(address("203.0.113.1"), 2).is_some());
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let places = Places::default();
        let _first = places.take(address("2001:db8::1"), 1).unwrap();
        assert!(places.take(address("2001:db8::ffff"), 1).is_none());
        assert!(places.take(address("2001:db8:0:1::1"), 1).is_some());
    }

    #[test]
    fn this_machine_is_not_counted_and_nothing_is_left_behind() {
        let places = Places::default();
        let local: Vec<_> =
            ["127.0.0.1", "::1", "127.9.9.9", "::ffff:127.0.0.1"].map(|text| places.take(address(text), 0)).into();
        assert!(local.iter().all(Option::is_some));
        drop(places.take(address("203.0.113.1"), 1));
        assert!(places.counts().is_empty());
    }
}
