//! What all rooms hold together, in bytes: counted where it comes and goes, whoever does it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A room without anybody: its name, what holds in it, here and at the other servers, and who was removed.
pub(crate) const ROOM_BYTES: usize = 2_048;
/// A person: the longest name, the id, and their places in the lists of those who are away.
pub(crate) const MEMBER_BYTES: usize = 1_024;

/// The bytes of all rooms of a hub.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holdings(Arc<AtomicUsize>);

/// What one room holds; given back with it.
#[derive(Debug)]
pub(crate) struct Share {
    all: Holdings,
    bytes: usize,
}

impl Holdings {
    /// The share of a room that begins.
    pub(crate) fn room(&self) -> Share {
        let mut share = Share { all: self.clone(), bytes: 0 };
        share.set(ROOM_BYTES);
        share
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Share {
    pub(crate) fn set_members(&mut self, members: usize) {
        self.set(ROOM_BYTES + members * MEMBER_BYTES);
    }

    fn set(&mut self, bytes: usize) {
        self.all.0.fetch_add(bytes, Ordering::Relaxed);
        self.all.0.fetch_sub(std::mem::replace(&mut self.bytes, bytes), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::admission::{Policy, REMOVED_MAX, Stamp};
    use crate::room::{Member, Room};

    #[test]
    fn what_is_counted_is_no_less_than_what_is_held() {
        let (name, id, room_name) = (64 * 4, 26, 64);
        let away = size_of::<(std::time::Instant, String, String)>() + room_name + id;
        // A list grows by doubling.
        let member = 2 * size_of::<Member>() + name + id + away;
        assert!(member <= MEMBER_BYTES, "{member}");
        let policies = size_of::<Policy>() + 2 * 8 * REMOVED_MAX;
        let room = size_of::<Room>() + policies + 3 * (room_name + size_of::<(Stamp, String)>());
        assert!(room <= ROOM_BYTES, "{room}");
    }

    #[test]
    fn what_a_room_held_is_free_when_it_ends() {
        let all = Holdings::default();
        let (mut first, second) = (all.room(), all.room());
        first.set_members(3);
        first.set_members(2);
        assert_eq!(all.bytes(), 2 * ROOM_BYTES + 2 * MEMBER_BYTES);
        drop(first);
        assert_eq!(all.bytes(), ROOM_BYTES);
        drop(second);
        assert_eq!(all.bytes(), 0);
    }
}
