//! The servers of the simulated world: one hub, or several that share the room at a meeting place, over links that delay and break.

use std::time::{Duration, Instant};

use parlor_signaling::backplane::{Claimed, Event, Forward, LEASE, News, RoomState, ServerId, SharedRooms};
use parlor_signaling::{Hub, HubConfig, Output};

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
    Claimed(u64, Claimed),
    Heard(Event),
    Undelivered(Forward),
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
            Content::Claimed(number, claimed) => {
                server.hub.handle_claimed(number, claimed, now);
                Vec::new()
            }
            Content::Heard(Event::Room(state)) => {
                server.hub.handle_room(state, now);
                Vec::new()
            }
            Content::Heard(Event::Forwarded(forward)) => {
                server.hub.handle_forwarded(forward);
                Vec::new()
            }
            Content::Heard(Event::Echo(_)) => Vec::new(),
            Content::Undelivered(forward) => {
                server.hub.handle_undelivered(forward, now);
                Vec::new()
            }
        }
    }

    fn carry_out(&mut self, from: usize, request: Output, wait: Duration, now: Instant) -> Vec<(Instant, Letter)> {
        let now_ms = UNIX_SECS * 1_000 + u64::try_from((now - self.start).as_millis()).unwrap();
        let mut letters = Vec::new();
        match request {
            Output::Claim { number, claim } => {
                let (claimed, news) = self.meeting.claim(&claim, now_ms);
                letters.extend(self.answer(from, Content::Claimed(number, claimed), wait, now));
                letters.extend(self.tell(news, wait, now));
            }
            Output::State(statement) => {
                let (state, news): (Option<RoomState>, News) = self.meeting.state(&statement, now_ms);
                let content = state.map(|state| Content::Heard(Event::Room(state)));
                letters.extend(content.and_then(|content| self.answer(from, content, wait, now)));
                letters.extend(self.tell(news, wait, now));
            }
            Output::Forward(forward) => {
                let to = self.all.iter().position(|server| server.id == forward.server && server.link.is_some());
                let (to, content) = match to {
                    Some(to) => (to, Content::Heard(Event::Forwarded(*forward))),
                    None => (from, Content::Undelivered(*forward)),
                };
                letters.extend(self.answer(to, content, wait, now));
            }
            Output::Send { .. } | Output::Close { .. } | Output::Stretch(_) => panic!("{request:?} is for a client"),
        }
        letters
    }

    fn tell(&mut self, news: News, wait: Duration, now: Instant) -> Vec<(Instant, Letter)> {
        let Some((state, servers)) = news else { return Vec::new() };
        let told = (0..self.all.len()).filter(|&index| servers.contains(&self.all[index].id));
        let told: Vec<usize> = told.collect();
        told.into_iter()
            .filter_map(|index| self.answer(index, Content::Heard(Event::Room(state.clone())), wait, now))
            .collect()
    }

    fn answer(&mut self, to: usize, content: Content, wait: Duration, now: Instant) -> Option<(Instant, Letter)> {
        let server = &mut self.all[to];
        let link = server.link?;
        server.last_down = server.last_down.max(now + wait);
        Some((server.last_down, Letter { server: to, link, content }))
    }
}
