//! Everybody's access to the network: each has a link with two directions, and a packet passes the sender's way up, then the
//! receiver's way down. Pure, as [`Direction`] is.
//!
//! A link is shared by all of its owner's calls, as at home: four peers that send to one share the rate of its way down.

use std::time::Instant;

use crate::conditions::Change;
use crate::direction::{Counters, Direction, Payload};

/// Whose link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(usize);

/// Which direction of it, as its owner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// What the owner sends.
    Up,
    /// What the owner receives.
    Down,
}

/// A packet that knows whose way down it takes.
#[derive(Clone)]
struct Parcel<P> {
    to: LinkId,
    packet: P,
}

impl<P: Payload> Payload for Parcel<P> {
    fn len(&self) -> usize {
        self.packet.len()
    }

    fn flip(&mut self, bit: usize) {
        self.packet.flip(bit);
    }
}

struct Link<P> {
    up: Direction<Parcel<P>>,
    down: Direction<Parcel<P>>,
}

impl<P> Link<P> {
    fn side(&mut self, side: Side) -> &mut Direction<Parcel<P>> {
        match side {
            Side::Up => &mut self.up,
            Side::Down => &mut self.down,
        }
    }
}

/// The links of all.
pub struct Network<P> {
    seed: u64,
    links: Vec<Link<P>>,
}

impl<P: Payload> Network<P> {
    /// Without links.
    pub fn new(seed: u64) -> Self {
        Self { seed, links: Vec::new() }
    }

    /// One more link, perfect so far. Equal networks give equal chances to links that are added in the same order.
    pub fn add_link(&mut self) -> LinkId {
        let number = self.links.len() as u64 * 2;
        let seed_of = |side: u64| self.seed.wrapping_add((number + side).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.links.push(Link { up: Direction::new(seed_of(0)), down: Direction::new(seed_of(1)) });
        LinkId(self.links.len() - 1)
    }

    /// Changes one direction at a time.
    pub fn schedule(&mut self, link: LinkId, side: Side, at: Instant, change: Change) {
        self.links[link.0].side(side).schedule(at, change);
    }

    /// What one direction counted.
    pub fn counters(&self, link: LinkId, side: Side) -> Counters {
        match side {
            Side::Up => self.links[link.0].up.counters(),
            Side::Down => self.links[link.0].down.counters(),
        }
    }

    /// Takes a packet that someone sent to someone now.
    pub fn handle_packet(&mut self, now: Instant, from: LinkId, to: LinkId, packet: P) {
        self.links[from.0].up.handle_packet(now, Parcel { to, packet });
    }

    /// When something happens next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next().map(|(at, _, _)| at)
    }

    /// The next packet that has arrived, and when it did. Everything happens in the order of its time, however late the call.
    pub fn poll_packet(&mut self, now: Instant) -> Option<(Instant, P)> {
        while let Some((at, link, side)) = self.next().filter(|(at, _, _)| *at <= now) {
            let Some((at, parcel)) = self.links[link].side(side).poll_packet(at) else { continue };
            match side {
                Side::Up => self.links[parcel.to.0].down.handle_packet(at, parcel),
                Side::Down => return Some((at, parcel.packet)),
            }
        }
        None
    }

    fn next(&self) -> Option<(Instant, usize, Side)> {
        let sides = self.links.iter().enumerate().flat_map(|(index, link)| {
            let up = link.up.poll_timeout().map(|at| (at, index, Side::Up));
            let down = link.down.poll_timeout().map(|at| (at, index, Side::Down));
            [up, down].into_iter().flatten()
        });
        sides.min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn network(links: &[(&str, &str)]) -> (Network<Vec<u8>>, Vec<LinkId>, Instant) {
        let begin = Instant::now();
        let mut network = Network::new(1);
        let ids = links.iter().map(|(up, down)| {
            let id = network.add_link();
            network.schedule(id, Side::Up, begin, up.parse().unwrap());
            network.schedule(id, Side::Down, begin, down.parse().unwrap());
            id
        });
        let ids = ids.collect();
        (network, ids, begin)
    }

    #[test]
    fn a_packet_takes_the_senders_way_up_and_the_receivers_way_down() {
        let (mut network, ids, begin) = network(&[("delay=10ms", "delay=200ms"), ("delay=400ms", "rate=1Mbps")]);
        // With headers 1,000 bytes.
        network.handle_packet(begin, ids[0], ids[1], vec![0; 972]);
        assert_eq!(network.poll_packet(begin + MS * 10), None);
        assert_eq!(network.poll_timeout(), Some(begin + MS * 18));
        assert_eq!(network.poll_packet(begin + MS * 18), Some((begin + MS * 18, vec![0; 972])));
        assert_eq!(network.poll_timeout(), None);
    }

    #[test]
    fn a_call_that_comes_late_changes_no_time() {
        let (mut network, ids, begin) = network(&[("delay=10ms", ""), ("delay=5ms", ""), ("", "rate=1Mbps")]);
        network.handle_packet(begin, ids[0], ids[2], vec![0; 972]);
        network.handle_packet(begin, ids[1], ids[2], vec![1; 972]);
        let late = begin + MS * 500;
        assert_eq!(network.poll_packet(late), Some((begin + MS * 13, vec![1; 972])));
        assert_eq!(network.poll_packet(late), Some((begin + MS * 21, vec![0; 972])));
        assert_eq!(network.poll_packet(late), None);
    }

    #[test]
    fn all_who_send_to_one_share_its_rate() {
        let (mut network, ids, begin) = network(&[("", ""), ("", ""), ("", "rate=1Mbps")]);
        for from in [0, 1, 0, 1] {
            network.handle_packet(begin, ids[from], ids[2], vec![0; 972]);
        }
        network.handle_packet(begin, ids[2], ids[0], vec![0; 972]);
        let late = begin + MS * 500;
        let times: Vec<Duration> = std::iter::from_fn(|| network.poll_packet(late)).map(|(at, _)| at - begin).collect();
        assert_eq!(times, [Duration::ZERO, MS * 8, MS * 16, MS * 24, MS * 32]);
    }
}
