//! The shell around [`Network`](crate::network::Network): UDP sockets, threads, the real clock.
//!
//! Between two peers each address of one is stood for by a socket of the relay, a port: what the other sends there goes on to
//! that address, out of the socket that stands for whoever sent it. One thread a socket waits for packets, one thread sends what is
//! due; it sleeps until then and wakes within tens of microseconds on an idle machine. How late it was in truth is recorded.

mod book;
pub(crate) mod flights;
mod series;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::direction::{Counters, Payload};
use crate::lateness::{Lateness, LatenessReport};
use crate::network::Side;
use crate::rule::Rule;
use book::{Book, Port};

/// The largest UDP datagram.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// A packet on its way through.
#[derive(Clone)]
struct Datagram {
    payload: Vec<u8>,
    /// Where it came in.
    entry: Arc<Port>,
    /// Where it goes out.
    exit: Arc<Port>,
    /// See [`flights`].
    flight: u32,
}

impl Payload for Datagram {
    fn len(&self) -> usize {
        self.payload.len()
    }

    fn flip(&mut self, bit: usize) {
        self.payload.flip(bit);
    }
}

/// What one peer's link did.
#[derive(Clone, Debug, Serialize)]
pub struct LinkReport {
    /// The peer's name.
    pub name: String,
    /// What they sent.
    pub up: Counters,
    /// What they received.
    pub down: Counters,
    /// Bytes that arrived, headers included, in each tenth of a second since [`RelayReport::began_unix_ms`]; of the first hour.
    pub arrived_bytes_per_100ms: Vec<u64>,
    /// Since someone last opened a connection to the server: in which flight the first media came to them. Two flights are a round
    /// trip, on a path with a delay; without one the number says nothing.
    pub flights_to_media: Option<u32>,
}

/// What the relay did since its start.
#[derive(Clone, Debug, Serialize)]
pub struct RelayReport {
    /// How late it was itself.
    pub lateness: LatenessReport,
    /// Each peer's link, in the order in which they came.
    pub links: Vec<LinkReport>,
    /// When the first packet came, as Unix time.
    pub began_unix_ms: Option<f64>,
    /// Packets for or from an address that had died, or that there was no socket for.
    pub astray: u64,
}

struct State {
    book: Book,
    lateness: Lateness,
    /// Until when the sender sleeps; none while it does not, or sleeps for good.
    sleeps_until: Option<Instant>,
    threads: Vec<JoinHandle<()>>,
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the sender where something is due before it would wake.
    fn wake_for(&self, state: &State) {
        let due = state.book.poll_timeout();
        if due.is_some_and(|due| state.sleeps_until.is_none_or(|until| due < until)) {
            self.wake.notify_one();
        }
    }
}

/// A running relay; it ends when dropped.
pub struct Relay {
    shared: Arc<Shared>,
    sender: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts one whose sockets are on this address.
    ///
    /// # Errors
    /// When there are no threads to be had.
    pub fn start(ip: IpAddr, seed: u64, rules: Vec<Rule>) -> std::io::Result<Self> {
        let state = State {
            book: Book::new(ip, seed, rules),
            lateness: Lateness::default(),
            sleeps_until: None,
            threads: Vec::new(),
            stopped: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new() });
        let for_sender = shared.clone();
        let sender = thread::Builder::new().name("relay-send".into()).spawn(move || send(&for_sender))?;
        Ok(Self { shared, sender: Some(sender) })
    }

    /// Someone is here; their rules hold from now on.
    pub fn add_peer(&self, id: &str, name: &str) {
        self.shared.state().book.add_peer(id, name, Instant::now());
    }

    /// The address to tell `viewer` for an address of `owner`. None when there are no more sockets.
    pub fn advertise(&self, owner: &str, viewer: &str, address: SocketAddr) -> Option<SocketAddr> {
        let mut state = self.shared.state();
        let port = state.book.advertise(owner, viewer, address)?;
        self.listen_on_new(&mut state);
        Some(port.outside())
    }

    /// Follows a rule from now on, or from its time.
    pub fn apply(&self, rule: Rule) {
        let mut state = self.shared.state();
        state.book.apply(rule, Instant::now());
        self.shared.wake.notify_one();
    }

    /// What happened so far.
    pub fn report(&self) -> RelayReport {
        let state = self.shared.state();
        let links = state.book.links().map(|(name, counters, arrived, flights)| LinkReport {
            name: name.to_owned(),
            up: counters(Side::Up),
            down: counters(Side::Down),
            arrived_bytes_per_100ms: arrived.to_vec(),
            flights_to_media: flights,
        });
        RelayReport {
            links: links.collect(),
            lateness: state.lateness.report(),
            began_unix_ms: state.book.began().map(unix_ms),
            astray: state.book.astray(),
        }
    }

    /// The lateness that is told is that from now on.
    pub fn forget_lateness(&self) {
        self.shared.state().lateness = Lateness::default();
    }

    /// Someone opens a connection to the server: flights are counted from now on.
    pub(crate) fn begin_flights(&self) {
        self.shared.state().book.flights().begin();
    }

    /// The number of a message that someone sends now.
    pub(crate) fn message_sent(&self, from: &str) -> u32 {
        self.shared.state().book.flights().sent(from)
    }

    /// A message came.
    pub(crate) fn message_came(&self, to: &str, flight: u32) {
        self.shared.state().book.flights().came(to, flight);
    }

    fn listen_on_new(&self, state: &mut State) {
        listen_on_new(&self.shared, state);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let (threads, ports) = {
            let mut state = self.shared.state();
            state.stopped = true;
            (std::mem::take(&mut state.threads), state.book.ports())
        };
        self.shared.wake.notify_one();
        // A thread that waits for packets is woken by one.
        for port in ports {
            // Best effort: a socket whose buffer is full wakes its thread anyway.
            let _ = port.socket().send_to(&[], port.outside());
        }
        for thread in threads.into_iter().chain(self.sender.take()) {
            if thread.join().is_err() {
                eprintln!("a thread of the relay panicked");
            }
        }
    }
}

/// Starts a thread for each socket that has none.
fn listen_on_new(shared: &Arc<Shared>, state: &mut State) {
    for port in state.book.take_new_ports() {
        let for_thread = shared.clone();
        let started = thread::Builder::new().name("relay-receive".into()).spawn(move || receive(&for_thread, &port));
        match started {
            Ok(thread) => state.threads.push(thread),
            Err(error) => eprintln!("a socket of the relay has no thread: {error}"),
        }
    }
}

fn receive(shared: &Arc<Shared>, port: &Arc<Port>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let received = port.socket().recv_from(&mut buffer);
        let now = Instant::now();
        let mut state = shared.state();
        if state.stopped {
            return;
        }
        // An error here is about an earlier packet that could not be delivered: no concern of the next one.
        let Ok((length, source)) = received else { continue };
        state.book.handle_packet(now, port, source, &buffer[..length]);
        listen_on_new(shared, &mut state);
        shared.wake_for(&state);
    }
}

fn send(shared: &Arc<Shared>) {
    let mut due = Vec::new();
    let mut state = shared.state();
    while !state.stopped {
        state.sleeps_until = None;
        let now = Instant::now();
        while let Some(packet) = state.book.poll_packet(now) {
            due.push(packet);
        }
        if !due.is_empty() {
            drop(state);
            let late: Vec<Duration> = due.drain(..).filter_map(|(at, datagram)| send_one(at, &datagram)).collect();
            state = shared.state();
            late.into_iter().for_each(|late| state.lateness.record(late));
            continue;
        }
        match state.book.poll_timeout() {
            Some(at) => {
                state.sleeps_until = Some(at);
                let left = at.saturating_duration_since(Instant::now());
                state = shared.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            None => state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Sends a packet that was due at `at`; how late that was.
fn send_one(at: Instant, datagram: &Datagram) -> Option<Duration> {
    if !(datagram.entry.is_alive() && datagram.exit.is_alive()) {
        return None;
    }
    // A peer that has left refuses packets: that is what happens on a network too.
    let _ = datagram.exit.socket().send_to(&datagram.payload, datagram.entry.inside());
    Some(Instant::now().saturating_duration_since(at))
}

/// A time of the monotonic clock as Unix time, by both clocks of now.
fn unix_ms(at: Instant) -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(at.elapsed()).as_secs_f64() * 1_000.0
}

/// A socket of the relay, blocking.
fn bind(ip: IpAddr) -> std::io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind((ip, 0))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests;
