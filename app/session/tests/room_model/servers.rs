//! The servers of the simulated world: one hub, or several that share the room at a meeting place, over links that delay and break.

use std::time::{Duration, Instant};

use parlor_signaling::backplane::{LEASE, ServerId, SharedRooms};
use parlor_signaling::{Heard, Hub, HubConfig, Output};

/// What the world begins with, Unix seconds.
const UNIX_SECS: u64 = 1_700_000_000;

/// One server, alive or about to be.
pub(crate) struct Server {
    pub(crate) hub: Hub,
    pub(crate) is_alive: bool,
    id: ServerId,
    /// Which link it has to the meeting place; what an earlier one carried never arrives. None while there is none.
    link: Option<u64>,
    last_up: Instant,
    last_down: Instant,
}

/// All of them, and what they share.
pub(crate) struct Servers {
    pub(crate) all: Vec<Server>,
    meeting: SharedRooms,
    start: Instant,
}

/// Something on its way between a server and the meeting place.
pub(crate) struct Letter {
    pub(crate) server: usize,
    link: u64,
    content: Content,
}

enum Content {
    Request(Output),
    Heard(Heard),
}

impl Servers {
    pub(crate) fn new(count: usize, secret: u64, start: Instant) -> Self {
        let mut servers = Self { all: Vec::new(), meeting: SharedRooms::new(LEASE), start };
        for index in 0..count {
            let server = servers.boot(index, count, secret, u64::try_from(index).unwrap(), start);
            servers.all.push(server);
        }
        servers
    }

    pub(crate) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// A server starts, without a link.
    pub(crate) fn restart(&mut self, index: usize, secret: u64, boot: u64, now: Instant) {
        self.all[index] = self.boot(index, self.all.len(), secret, boot, now);
    }

    fn boot(&self, index: usize, count: usize, secret: u64, boot: u64, now: Instant) -> Server {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&boot.to_le_bytes());
        seed[8] = u8::try_from(index).unwrap();
        let unix_secs = UNIX_SECS + (now - self.start).as_secs();
        let mut hub = Hub::new(HubConfig::default(), &secret.to_le_bytes(), seed, now, unix_secs);
        let id = ServerId::from_random(u128::from_le_bytes(*seed.first_chunk().unwrap()));
        if count > 1 {
            hub = hub.spanning(id);
        }
        Server { hub, is_alive: true, id, link: None, last_up: now, last_down: now }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.all.iter().filter_map(|server| server.hub.poll_timeout()).min()
    }

    /// The meeting place is in reach of a living server, over a new link.
    pub(crate) fn link_up(&mut self, index: usize, number: u64, now: Instant) {
        let server = &mut self.all[index];
        if server.is_alive && server.link.is_none() {
            server.link = Some(number);
            server.hub.handle_reached(now);
        }
    }

    /// It is no more; everything under way is lost. Says whether there was a link.
    pub(crate) fn link_down(&mut self, index: usize, now: Instant) -> bool {
        let server = &mut self.all[index];
        let was_linked = server.link.take().is_some();
        if was_linked {
            server.hub.handle_lost(now);
        }
        was_linked
    }

    /// A request starts on its way, and arrives after those before it; none where there is no link.
    pub(crate) fn send(
        &mut self,
        index: usize,
        request: Output,
        wait: Duration,
        now: Instant,
    ) -> Option<(Instant, Letter)> {
        let server = &mut self.all[index];
        let link = server.link?;
        server.last_up = server.last_up.max(now + wait);
        Some((server.last_up, Letter { server: index, link, content: Content::Request(request) }))
    }

    /// A letter arrives; what follows from it starts on its way.
    pub(crate) fn arrive(&mut self, letter: Letter, wait: Duration, now: Instant) -> Vec<(Instant, Letter)> {
        let server = &mut self.all[letter.server];
        match letter.content {
            // What was sent arrives, even if the server is gone meanwhile.
            Content::Request(request) => self.carry_out(letter.server, request, wait, now),
            _ if server.link != Some(letter.link) => Vec::new(),
            Content::Heard(heard) => {
                server.hub.handle_heard(heard, now);
                Vec::new()
            }
        }
    }

    fn carry_out(&mut self, from: usize, request: Output, wait: Duration, now: Instant) -> Vec<(Instant, Letter)> {
        let now_ms = UNIX_SECS * 1_000 + u64::try_from((now - self.start).as_millis()).unwrap();
        let is_there = |id| self.all.iter().any(|server| server.id == id && server.link.is_some());
        let heard = Heard::of(&mut self.meeting, self.all[from].id, request, is_there, now_ms);
        heard.into_iter().filter_map(|(to, heard)| self.answer(to, heard, wait, now)).collect()
    }

    fn answer(&mut self, to: ServerId, heard: Heard, wait: Duration, now: Instant) -> Option<(Instant, Letter)> {
        let index = self.all.iter().position(|server| server.id == to)?;
        let server = &mut self.all[index];
        let link = server.link?;
        server.last_down = server.last_down.max(now + wait);
        Some((server.last_down, Letter { server: index, link, content: Content::Heard(heard) }))
    }
}
