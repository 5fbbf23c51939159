//! Datagrams of media that leave together.
//!
//! A system call costs more than what is in it, and the stack makes one for each packet, or for groups of one fixed number of them. So what
//! goes to one address in one round of its loop waits here, and leaves in one call (UDP GSO) when the round ends or something comes
//! that cannot go along. What is no media never waits.
//!
//! Pure: datagrams go in, a group comes out.

use std::net::SocketAddr;

use webrtc::runtime::Transmit;

/// Of one group: a large picture's part that the pacer lets go at once. Full: the group leaves before the next datagram.
const SEGMENTS_MAX: usize = 16;
/// Of one group, below the 65,535 bytes of an IP packet. Full: as above.
const BYTES_MAX: usize = 60_000;

/// What waits to leave. The system cuts it into datagrams of one size, of which only the last may be shorter.
#[derive(Debug, Default)]
pub(crate) struct Departure {
    destination: Option<SocketAddr>,
    segment_size: usize,
    contents: Vec<u8>,
}

impl Departure {
    /// Whether a datagram may go along with what waits, where the system takes so many at once.
    pub(crate) fn takes(&self, destination: SocketAddr, datagram: &[u8], segments: usize) -> bool {
        let Some(waiting) = self.destination else { return true };
        waiting == destination
            && datagram.len() <= self.segment_size
            && self.contents.len().is_multiple_of(self.segment_size)
            && self.contents.len() / self.segment_size < segments.min(SEGMENTS_MAX)
            && self.contents.len() + datagram.len() <= BYTES_MAX
    }

    /// Adds what [`Self::takes`] allows.
    pub(crate) fn add(&mut self, destination: SocketAddr, datagram: &[u8]) {
        if self.destination.is_none() {
            self.destination = Some(destination);
            self.segment_size = datagram.len().max(1);
        }
        self.contents.extend_from_slice(datagram);
    }

    /// What waits, as one call.
    pub(crate) fn group(&self) -> Option<Transmit<'_>> {
        let destination = self.destination?;
        let segment_size = Some(self.segment_size).filter(|size| *size < self.contents.len());
        Some(Transmit { destination, ecn: None, contents: &self.contents, segment_size, src_ip: None })
    }

    /// It left, or is lost.
    pub(crate) fn clear(&mut self) {
        self.destination = None;
        self.contents.clear();
    }
}

/// Whether a datagram is RTP (RFC 7983 §7), and not RTCP (RFC 5761 §4).
pub(crate) fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, kind, ..] if !(192..=223).contains(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups (bytes, size of a segment) in which datagrams of these lengths leave for one address.
    fn groups(lengths: &[usize], segments: usize) -> Vec<(usize, Option<usize>)> {
        let destination = ([127, 0, 0, 1], 1).into();
        let (mut departure, mut groups) = (Departure::default(), Vec::new());
        for length in lengths {
            let datagram = vec![0; *length];
            if !departure.takes(destination, &datagram, segments) {
                groups.extend(departure.group().map(|group| (group.contents.len(), group.segment_size)));
                departure.clear();
            }
            departure.add(destination, &datagram);
        }
        groups.extend(departure.group().map(|group| (group.contents.len(), group.segment_size)));
        groups
    }

    #[test]
    fn a_picture_is_one_group_and_a_shorter_datagram_ends_it() {
        assert_eq!(groups(&[1_200, 1_200, 700], 64), [(3_100, Some(1_200))]);
        assert_eq!(groups(&[1_200, 700, 700], 64), [(1_900, Some(1_200)), (700, None)]);
        assert_eq!(groups(&[100, 1_200, 1_200], 64), [(100, None), (2_400, Some(1_200))]);
    }

    #[test]
    fn a_group_is_bounded_by_the_system_and_by_us() {
        assert_eq!(groups(&[1_000; 5], 2), [(2_000, Some(1_000)), (2_000, Some(1_000)), (1_000, None)]);
        assert_eq!(groups(&[1_000; 20], 64).len(), 2);
        assert_eq!(groups(&[20_000; 5], 64).len(), 2);
    }

    #[test]
    fn who_goes_elsewhere_goes_alone() {
        let mut departure = Departure::default();
        departure.add(([127, 0, 0, 1], 1).into(), b"one");
        assert!(departure.takes(([127, 0, 0, 1], 1).into(), b"two", 64));
        assert!(!departure.takes(([127, 0, 0, 1], 2).into(), b"two", 64));
    }

    #[test]
    fn sound_and_pictures_are_media_and_reports_checks_and_handshakes_are_not() {
        assert!(is_media(&[0x80, 111, 0]) && is_media(&[0x90, 128 | 102, 0]));
        for other in [&[0x80, 200][..], &[0x81, 205], &[0, 1], &[22, 254], &[0x40, 0], &[0x80], &[]] {
            assert!(!is_media(other), "{other:?}");
        }
    }
}
