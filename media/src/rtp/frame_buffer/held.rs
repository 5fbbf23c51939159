//! The packets that a frame buffer holds, and what they show of the pictures they belong to.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;

use crate::rtp::h264::PayloadInfo;
use crate::rtp::packet::RtpPacket;

/// Packets by their extended sequence number.
#[derive(Debug, Default)]
pub(super) struct Held {
    packets: BTreeMap<u64, Packet>,
    bytes: usize,
    /// How many of them may belong to a key frame.
    key_packets: usize,
    /// Packets looked at to find out what pictures they make.
    #[cfg(test)]
    pub(super) looks: std::cell::Cell<u64>,
}

#[derive(Debug)]
struct Packet {
    timestamp: u32,
    marker: bool,
    payload: Bytes,
    info: PayloadInfo,
    arrived: Instant,
}

impl Packet {
    fn is_key(&self) -> bool {
        self.info.idr || self.info.starts_with_sps
    }
}

/// The packets of one picture, as far as they have come.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) timestamp: u32,
    pub(super) first: u64,
    /// The last that has come.
    pub(super) last: u64,
    /// The lowest number from `first` on that has not come.
    pub(super) first_missing: u64,
    /// How many have come.
    pub(super) packets: usize,
    /// Whether `last` is the last of the picture for certain.
    pub(super) end_known: bool,
    /// Whether a packet of a later picture has come.
    pub(super) is_over: bool,
    /// Whether there is anything but padding.
    pub(super) has_content: bool,
    /// What the first packet shows, see [`PayloadInfo`].
    pub(super) starts_picture: bool,
    pub(super) starts_with_sps: bool,
    /// What any packet shows.
    pub(super) idr: bool,
    pub(super) delta: bool,
    /// Whether no other picture refers to it, as far as its packets show.
    pub(super) discardable: bool,
    /// Whether `last` is a fragment that is not the last one.
    is_open: bool,
    /// The first packet of a later picture, where that surely begins one.
    following: Option<u64>,
    pub(super) arrived_first: Instant,
    pub(super) arrived_last: Instant,
}

impl Group {
    /// Whether nothing is missing from `first` to the end.
    pub(super) fn is_whole(&self) -> bool {
        self.end_known && self.has_content && self.first_missing == self.last + 1
    }

    /// Where the next picture begins if this one, to which no other refers, and nothing else is incomplete.
    ///
    /// `next` is where a picture must begin. `None` where others may be missing too, or this one may be a reference.
    pub(super) fn end_if_lost_alone(&self, next: u64) -> Option<u64> {
        let begins = self.first == next || (self.first == next + 1 && !self.starts_picture);
        if !self.discardable || !begins {
            return None;
        }
        match self.following {
            _ if self.end_known => Some(self.last + 1),
            // The one missing packet holds the rest of the fragments.
            Some(following) if self.is_open && following == self.last + 2 => Some(following),
            Some(_) | None => None,
        }
    }
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is anything that may be part of a key frame.
    pub(super) fn may_hold_key_frame(&self) -> bool {
        self.key_packets > 0
    }

    pub(super) fn contains(&self, sequence: u64) -> bool {
        self.packets.contains_key(&sequence)
    }

    pub(super) fn insert(&mut self, sequence: u64, packet: RtpPacket, arrived: Instant) {
        let info = PayloadInfo::of(&packet.payload);
        let RtpPacket { timestamp, marker, payload, .. } = packet;
        let packet = Packet { timestamp, marker, payload, info, arrived };
        self.bytes += packet.payload.len();
        self.key_packets += usize::from(packet.is_key());
        self.packets.insert(sequence, packet);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Removes all packets up to and including `sequence`, and tells how many they were.
    pub(super) fn remove_up_to(&mut self, sequence: u64) -> u64 {
        let mut removed = 0;
        while let Some(entry) = self.packets.first_entry()
            && *entry.key() <= sequence
        {
            let packet = entry.remove();
            self.bytes -= packet.payload.len();
            self.key_packets -= usize::from(packet.is_key());
            removed += 1;
        }
        removed
    }

    pub(super) fn is_padding(&self, sequence: u64) -> bool {
        self.packets.get(&sequence).is_some_and(|packet| packet.payload.is_empty())
    }

    pub(super) fn first_timestamp(&self) -> Option<u32> {
        self.packets.values().next().map(|packet| packet.timestamp)
    }

    /// How many pictures the packets belong to, and the number and time of the last packet.
    pub(super) fn pictures(&self) -> (u64, Option<(u64, u32)>) {
        let (mut pictures, mut last) = (0, None);
        for (sequence, packet) in &self.packets {
            let same = last.is_some_and(|(_, timestamp)| timestamp == packet.timestamp);
            pictures += u64::from(!same);
            last = Some((*sequence, packet.timestamp));
        }
        (pictures, last)
    }

    /// The next number after `sequence` that is held.
    pub(super) fn next_after(&self, sequence: u64) -> Option<u64> {
        self.packets.range(sequence + 1..).next().map(|(held, _)| *held)
    }

    /// When the first packet with a number above `sequence` came.
    pub(super) fn first_arrival_after(&self, sequence: u64) -> Option<Instant> {
        self.packets.range(sequence + 1..).map(|(_, packet)| packet.arrived).min()
    }

    pub(super) fn first_group(&self) -> Option<Group> {
        self.group_at(*self.packets.keys().next()?)
    }

    pub(super) fn payloads<'a>(&'a self, group: &Group) -> impl Iterator<Item = &'a [u8]> {
        self.packets.range(group.first..=group.last).map(|(_, packet)| &*packet.payload)
    }

    /// Where a whole key frame begins that lies after `sequence`.
    pub(super) fn whole_key_frame_after(&self, sequence: u64) -> Option<u64> {
        if self.key_packets == 0 {
            return None;
        }
        let mut previous: Option<(u64, &Packet)> = None;
        // Each picture is looked at once: one that consists of nothing but beginnings would take a square of the time.
        let mut was_looked_at = false;
        for (&number, packet) in self.packets.range(sequence..) {
            was_looked_at &= previous.is_some_and(|(_, last)| !last.marker && last.timestamp == packet.timestamp);
            let at_boundary = previous.is_some_and(|(before, last)| {
                before + 1 == number && (last.marker || last.timestamp != packet.timestamp)
            });
            let begins = packet.info.starts_with_sps || packet.info.idr && packet.info.starts_picture && at_boundary;
            if number > sequence && begins && !was_looked_at {
                was_looked_at = true;
                if self.group_at(number).is_some_and(|group| group.is_whole() && group.idr) {
                    return Some(number);
                }
            }
            previous = Some((number, packet));
        }
        None
    }

    /// The picture whose first packet is the one with this number.
    fn group_at(&self, first: u64) -> Option<Group> {
        let start = self.packets.get(&first)?;
        let mut group = Group {
            timestamp: start.timestamp,
            first,
            last: first,
            first_missing: first + 1,
            packets: 0,
            end_known: false,
            is_over: false,
            has_content: false,
            starts_picture: start.info.starts_picture,
            starts_with_sps: start.info.starts_with_sps,
            idr: false,
            delta: false,
            discardable: false,
            is_open: false,
            following: None,
            arrived_first: start.arrived,
            arrived_last: start.arrived,
        };
        let mut is_reference = false;
        for (&number, packet) in self.packets.range(first..) {
            #[cfg(test)]
            self.looks.set(self.looks.get() + 1);
            if packet.timestamp != group.timestamp {
                group.is_over = true;
                group.end_known = number == group.last + 1;
                group.following = Some(number).filter(|_| packet.info.starts_picture);
                return Some(group);
            }
            if number == group.first_missing {
                group.first_missing += 1;
            }
            group.last = number;
            group.packets += 1;
            group.has_content |= !packet.payload.is_empty();
            group.idr |= packet.info.idr;
            group.delta |= packet.info.delta;
            is_reference |= packet.info.idr || packet.info.starts_with_sps;
            is_reference |= packet.info.delta && !packet.info.discardable;
            group.discardable = !is_reference && (group.discardable || packet.info.discardable);
            group.is_open = packet.info.continues;
            group.arrived_first = group.arrived_first.min(packet.arrived);
            group.arrived_last = group.arrived_last.max(packet.arrived);
            if packet.marker {
                group.end_known = true;
                group.is_over = true;
                return Some(group);
            }
        }
        Some(group)
    }
}
