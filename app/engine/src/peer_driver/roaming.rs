//! A peer whose address changes in the middle of a call, behind a NAT that forgot it or on another network, is followed without a word from
//! anybody.
//!
//! The stack chooses a pair of addresses once and stays with it until ICE is restarted, which takes seconds: what we send goes nowhere
//! meanwhile, though the peer is heard from its new address. So the sockets see to it. Where media comes from somewhere else while the
//! chosen address is quiet, that address is asked to show who it is: a connectivity check with the credentials of the peer (RFC 8445
//! §7.2), whose answer proves that the peer is there and takes what we send (consent, RFC 7675). From then on what the stack sends to the
//! chosen address goes to the new one, and what comes from there is shown to the stack as from the chosen one.
//!
//! An ICE restart ends it, since that finds addresses of its own. Relayed paths are left alone: the relay knows its peer.
//!
//! Pure: what goes through the sockets goes through here, with the time.

mod check;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::rhythm::Rhythm;
use check::{Check, Kind, kind};

pub(crate) use check::{TransactionId, carries_media, is_of_call};

/// For so long nothing has to come from the chosen address before another one is asked. Three packets of sound: while a peer
/// itself changes between two ways, both bring something.
const QUIET: Duration = Duration::from_millis(60);
/// Between two checks; whoever sends us packets with a made-up source gets no more sent to it than that.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Remote credentials that are known: those of the present and of the coming session.
const CREDENTIALS_KEPT: usize = 2;

/// Which of our sockets.
pub(crate) type SocketId = usize;

/// Credentials of the other end, by its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

/// What is to be done with a datagram that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The stack gets it, as if it had come from here.
    Deliver(SocketAddr),
    /// The same, and the check goes out of the same socket.
    Ask(SocketAddr, Vec<u8>),
    /// It was for us.
    Swallow,
    /// It was for us, and proves that the peer is at another address now: what was sent to the old one is lost.
    Moved,
}

/// Where one peer is, for all sockets of one connection.
#[derive(Debug, Default)]
pub(crate) struct Roaming {
    credentials: VecDeque<Credentials>,
    /// The last check that the stack made: ours say the same of us.
    pattern: Option<Vec<u8>>,
    chosen: Option<Chosen>,
    check: Option<Check>,
    rhythm: Rhythm,
}

/// The pair that the stack sends media on.
#[derive(Debug)]
struct Chosen {
    socket: SocketId,
    /// The address that the stack knows.
    known: SocketAddr,
    /// The address at which the peer is.
    real: SocketAddr,
    /// When something came from there.
    heard_at: Instant,
    /// The last check that came from the known address while the peer was elsewhere: it is answered where it came from.
    asked_at_known: Option<TransactionId>,
}

impl Roaming {
    /// The other end described itself. Other credentials than before are an ICE restart.
    pub(crate) fn handle_credentials(&mut self, credentials: Credentials) {
        if self.credentials.back() == Some(&credentials) {
            return;
        }
        if self.credentials.len() == CREDENTIALS_KEPT {
            self.credentials.pop_front();
        }
        self.credentials.push_back(credentials);
        self.chosen = None;
        self.check = None;
    }

    /// Where a datagram goes that the stack sends to `to`.
    pub(crate) fn handle_sent(
        &mut self,
        now: Instant,
        socket: SocketId,
        to: SocketAddr,
        datagram: &[u8],
    ) -> SocketAddr {
        match kind(datagram) {
            Kind::Media => self.choose(now, socket, to),
            Kind::Relayed => self.chosen = None,
            Kind::Request => self.pattern = Some(datagram.to_vec()),
            Kind::Response | Kind::Other => {}
        }
        match &self.chosen {
            Some(chosen) if chosen.socket == socket && chosen.known == to && !chosen.is_answer_to_known(datagram) => {
                chosen.real
            }
            Some(_) | None => to,
        }
    }

    /// What to do with a datagram that came from `from`. `random` is asked for a transaction id.
    pub(crate) fn handle_received(
        &mut self,
        now: Instant,
        socket: SocketId,
        from: SocketAddr,
        datagram: &[u8],
        random: impl FnOnce() -> TransactionId,
    ) -> Arrival {
        if check::carries_media(datagram) {
            self.rhythm.handle_media(now);
        }
        let kind = kind(datagram);
        if kind == Kind::Response && self.check.as_ref().is_some_and(|check| check.is_answered_by(from, datagram)) {
            self.check = None;
            return self.follow(now, socket, from);
        }
        let Some(chosen) = self.chosen.as_mut().filter(|chosen| chosen.socket == socket) else {
            return Arrival::Deliver(from);
        };
        if from == chosen.real {
            chosen.heard_at = now;
            return Arrival::Deliver(chosen.known);
        }
        if kind == Kind::Request && from == chosen.known {
            chosen.asked_at_known = check::transaction(datagram);
        }
        let is_quiet = now.saturating_duration_since(chosen.heard_at) >= QUIET;
        match kind {
            Kind::Media if is_quiet => self.ask(now, from, random),
            Kind::Media | Kind::Request | Kind::Response | Kind::Relayed | Kind::Other => Arrival::Deliver(from),
        }
    }

    /// When media came, from wherever.
    pub(crate) fn rhythm(&mut self) -> &mut Rhythm {
        &mut self.rhythm
    }

    fn choose(&mut self, now: Instant, socket: SocketId, to: SocketAddr) {
        if self.chosen.as_ref().is_none_or(|chosen| (chosen.socket, chosen.known) != (socket, to)) {
            self.chosen = Some(Chosen { socket, known: to, real: to, heard_at: now, asked_at_known: None });
            self.check = None;
        }
    }

    fn ask(&mut self, now: Instant, whom: SocketAddr, random: impl FnOnce() -> TransactionId) -> Arrival {
        let is_early = |check: &Check| now.saturating_duration_since(check.made_at()) < CHECK_INTERVAL;
        if self.check.as_ref().is_some_and(is_early) {
            return Arrival::Deliver(whom);
        }
        let pattern = self.pattern.as_deref();
        let Some((check, datagram)) =
            pattern.and_then(|pattern| Check::make(pattern, &self.credentials, whom, now, random()))
        else {
            return Arrival::Deliver(whom);
        };
        self.check = Some(check);
        Arrival::Ask(whom, datagram)
    }

    fn follow(&mut self, now: Instant, socket: SocketId, to: SocketAddr) -> Arrival {
        let Some(chosen) = self.chosen.as_mut().filter(|chosen| chosen.socket == socket) else {
            return Arrival::Swallow;
        };
        chosen.real = to;
        chosen.heard_at = now;
        chosen.asked_at_known = None;
        Arrival::Moved
    }
}

impl Chosen {
    fn is_answer_to_known(&self, datagram: &[u8]) -> bool {
        self.real != self.known
            && self.asked_at_known.is_some()
            && kind(datagram) == Kind::Response
            && check::transaction(datagram) == self.asked_at_known
    }
}

#[cfg(test)]
mod tests;
