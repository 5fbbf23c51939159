//! Who is there, which socket stands for which address, and which rules hold. Time is an argument; only making sockets is not pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::flights::Flights;
use super::series::Series;
use super::{Datagram, bind};
use crate::direction::{Counters, HEADER_BYTES};
use crate::network::{LinkId, Network, Side};
use crate::rule::{Rule, What};

/// Addresses of one peer that stand before one other; more are refused and counted as astray.
const PORTS_EACH_MAX: usize = 32;

/// A socket that stands for an address of its owner before its viewer.
pub(super) struct Port {
    owner: String,
    viewer: String,
    inside: SocketAddr,
    outside: SocketAddr,
    socket: UdpSocket,
    alive: AtomicBool,
}

impl Port {
    /// The owner's own address.
    pub(super) fn inside(&self) -> SocketAddr {
        self.inside
    }

    /// The relay's address, which the viewer knows.
    pub(super) fn outside(&self) -> SocketAddr {
        self.outside
    }

    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }
}

struct Peer {
    name: String,
    link: LinkId,
    /// Their addresses that died and were not told anew.
    dead: BTreeSet<SocketAddr>,
    arrived: Series,
}

/// Everything the relay knows.
pub(super) struct Book {
    ip: IpAddr,
    network: Network<Datagram>,
    rules: Vec<Rule>,
    /// When the first packet of all came.
    began: Option<Instant>,
    /// What happens to addresses, in its time.
    address_events: BTreeMap<(Instant, u64), Rule>,
    events_made: u64,
    peers: BTreeMap<String, Peer>,
    /// In the order in which they came.
    order: Vec<String>,
    /// By owner and viewer, the newest last; dead ones stay, so that late packets find them.
    ports: BTreeMap<(String, String), Vec<Arc<Port>>>,
    new_ports: Vec<Arc<Port>>,
    astray: u64,
    flights: Flights,
}

impl Book {
    pub(super) fn new(ip: IpAddr, seed: u64, rules: Vec<Rule>) -> Self {
        Self {
            ip,
            network: Network::new(seed),
            rules,
            began: None,
            address_events: BTreeMap::new(),
            events_made: 0,
            peers: BTreeMap::new(),
            order: Vec::new(),
            ports: BTreeMap::new(),
            new_ports: Vec::new(),
            astray: 0,
            flights: Flights::default(),
        }
    }

    pub(super) fn add_peer(&mut self, id: &str, name: &str, now: Instant) {
        if self.peers.contains_key(id) {
            return;
        }
        let link = self.network.add_link();
        self.order.push(id.to_owned());
        let peer = Peer { name: name.to_owned(), link, dead: BTreeSet::new(), arrived: Series::default() };
        self.peers.insert(id.to_owned(), peer);
        let rules: Vec<Rule> = self.rules.iter().filter(|rule| rule.is_about(name)).cloned().collect();
        for rule in rules {
            let What::Link(side, change) = rule.what else { continue };
            match (rule.at, self.began) {
                (None, _) => self.network.schedule(link, side, now, change),
                (Some(after), Some(began)) => self.network.schedule(link, side, began + after, change),
                (Some(_), None) => {}
            }
        }
    }

    /// Holds for those who are here, and those who come.
    pub(super) fn apply(&mut self, rule: Rule, now: Instant) {
        let at = match (rule.at, self.began) {
            (None, _) => Some(now),
            (Some(after), Some(began)) => Some(began + after),
            (Some(_), None) => None,
        };
        if let Some(at) = at {
            self.schedule(&rule, at);
        }
        self.rules.push(rule);
    }

    fn schedule(&mut self, rule: &Rule, at: Instant) {
        match &rule.what {
            What::Link(side, change) => {
                for peer in self.peers.values().filter(|peer| rule.is_about(&peer.name)) {
                    self.network.schedule(peer.link, *side, at, change.clone());
                }
            }
            What::AddressDies | What::AddressMoves => {
                self.events_made += 1;
                self.address_events.insert((at, self.events_made), rule.clone());
            }
        }
    }

    /// The clock of timed rules starts with the first packet.
    fn begin(&mut self, now: Instant) {
        if self.began.is_some() {
            return;
        }
        self.began = Some(now);
        for rule in self.rules.clone() {
            if let Some(after) = rule.at {
                self.schedule(&rule, now + after);
            }
        }
    }

    pub(super) fn advertise(&mut self, owner: &str, viewer: &str, address: SocketAddr) -> Option<Arc<Port>> {
        if let Some(peer) = self.peers.get_mut(owner) {
            peer.dead.remove(&address);
        }
        match self.find_port(owner, viewer, |port| port.inside == address) {
            Some(port) => Some(port),
            None => self.add_port(owner, viewer, address),
        }
    }

    pub(super) fn handle_packet(&mut self, now: Instant, entry: &Arc<Port>, source: SocketAddr, payload: &[u8]) {
        self.begin(now);
        self.run_address_events(now);
        let Some((exit, from, to)) = self.exit_for(entry, source) else {
            self.astray += 1;
            return;
        };
        let flight = self.flights.sent(&entry.viewer);
        let datagram = Datagram { payload: payload.to_vec(), entry: entry.clone(), exit, flight };
        self.network.handle_packet(now, from, to, datagram);
    }

    /// The socket that stands for whoever sent from `source`, before the owner of `entry`; and both their links.
    fn exit_for(&mut self, entry: &Port, source: SocketAddr) -> Option<(Arc<Port>, LinkId, LinkId)> {
        let (from, to) = (self.peers.get(&entry.viewer)?, self.peers.get(&entry.owner)?);
        if !entry.is_alive() || from.dead.contains(&source) {
            return None;
        }
        let links = (from.link, to.link);
        // A socket on all interfaces sends from another of its machine's addresses than it told, but from the same port.
        let exit = self
            .find_port(&entry.viewer, &entry.owner, |port| port.inside == source)
            .or_else(|| self.find_port(&entry.viewer, &entry.owner, |port| port.inside.port() == source.port()))
            .or_else(|| self.add_port(&entry.viewer, &entry.owner, source))?;
        Some((exit, links.0, links.1))
    }

    fn find_port(&self, owner: &str, viewer: &str, is_it: impl Fn(&Port) -> bool) -> Option<Arc<Port>> {
        let ports = self.ports.get(&(owner.to_owned(), viewer.to_owned()))?;
        ports.iter().rev().find(|port| port.is_alive() && is_it(port)).cloned()
    }

    fn add_port(&mut self, owner: &str, viewer: &str, inside: SocketAddr) -> Option<Arc<Port>> {
        let ports = self.ports.entry((owner.to_owned(), viewer.to_owned())).or_default();
        if ports.len() >= PORTS_EACH_MAX {
            return None;
        }
        let (socket, outside) = match bind(self.ip) {
            Ok(bound) => bound,
            Err(error) => {
                eprintln!("the relay has no socket at {}: {error}", self.ip);
                return None;
            }
        };
        let (owner, viewer) = (owner.to_owned(), viewer.to_owned());
        let port = Arc::new(Port { owner, viewer, inside, outside, socket, alive: AtomicBool::new(true) });
        ports.push(port.clone());
        self.new_ports.push(port.clone());
        Some(port)
    }

    /// Sockets made since the last call.
    pub(super) fn take_new_ports(&mut self) -> Vec<Arc<Port>> {
        std::mem::take(&mut self.new_ports)
    }

    /// All sockets.
    pub(super) fn ports(&self) -> Vec<Arc<Port>> {
        self.ports.values().flatten().cloned().collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let event = self.address_events.keys().next().map(|(at, _)| *at);
        [event, self.network.poll_timeout()].into_iter().flatten().min()
    }

    pub(super) fn poll_packet(&mut self, now: Instant) -> Option<(Instant, Datagram)> {
        self.run_address_events(now);
        let (at, datagram) = self.network.poll_packet(now)?;
        let Datagram { payload, entry, flight, .. } = &datagram;
        self.flights.packet_came(&entry.owner, *flight, payload);
        if let (Some(peer), Some(began)) = (self.peers.get_mut(&entry.owner), self.began) {
            peer.arrived.add(began, at, payload.len() + HEADER_BYTES);
        }
        Some((at, datagram))
    }

    /// What was sent after what.
    pub(super) fn flights(&mut self) -> &mut Flights {
        &mut self.flights
    }

    /// When the first packet of all came.
    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    fn run_address_events(&mut self, now: Instant) {
        while let Some(event) = self.address_events.first_entry().filter(|event| event.key().0 <= now) {
            let rule = event.remove();
            let dies = rule.what == What::AddressDies;
            let concerned: Vec<String> =
                self.peers.iter().filter(|(_, peer)| rule.is_about(&peer.name)).map(|(id, _)| id.clone()).collect();
            concerned.iter().for_each(|id| self.end_addresses(id, dies));
        }
    }

    fn end_addresses(&mut self, id: &str, dies: bool) {
        let of_owner = self.ports.iter().filter(|((owner, _), _)| owner == id).flat_map(|(_, ports)| ports);
        for port in of_owner {
            port.alive.store(false, Ordering::Relaxed);
            if let Some(peer) = self.peers.get_mut(id).filter(|_| dies) {
                peer.dead.insert(port.inside);
            }
        }
    }

    /// Names in the order in which they came, each with what its link counted, the bytes that arrived by tenths of a second, and the
    /// flight in which media first came.
    pub(super) fn links(&self) -> impl Iterator<Item = (&str, impl Fn(Side) -> Counters, &[u64], Option<u32>)> {
        self.order.iter().filter_map(move |id| {
            let peer = self.peers.get(id)?;
            let counters = move |side| self.network.counters(peer.link, side);
            Some((peer.name.as_str(), counters, peer.arrived.bins(), self.flights.to_media(id)))
        })
    }

    pub(super) fn astray(&self) -> u64 {
        self.astray
    }
}
