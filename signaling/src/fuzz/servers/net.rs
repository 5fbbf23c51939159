//! The servers of the fuzzed world, what they share, and what is on its way between them.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use parlor_proto::{PeerInfo, RoomId};

use super::super::{ADDRESS, SECRET, without_limits};
use super::CAPACITY;
use crate::backplane::{Event, LEASE, ServerId, SharedRooms, Statement};
use crate::hub::{CloseKind, ConnId, Heard, Hub, HubConfig, Output};

const UNIX_SECS: u64 = 1_760_000_000;

pub(super) struct Net {
    pub(super) now: Instant,
    started_at: Instant,
    meeting: SharedRooms,
    servers: Vec<Server>,
    boots: u8,
    is_held: bool,
}

struct Server {
    id: ServerId,
    hub: Hub,
    is_linked: bool,
    /// What is on its way to it. Ends with the link.
    under_way: VecDeque<Heard>,
}

impl Net {
    pub(super) fn new(count: usize) -> Self {
        let now = Instant::now();
        let mut net = Self {
            now,
            started_at: now,
            meeting: SharedRooms::new(LEASE),
            servers: Vec::new(),
            boots: 0,
            is_held: false,
        };
        for _ in 0..count {
            let server = net.boot();
            net.servers.push(server);
        }
        net
    }

    fn boot(&mut self) -> Server {
        self.boots = self.boots.wrapping_add(1);
        let config = HubConfig {
            room_capacity: u32::try_from(CAPACITY).unwrap_or(u32::MAX),
            message_burst: u32::MAX / 2,
            byte_burst: u32::MAX,
            idle_max: Duration::from_secs(1_000_000),
            password_iterations: NonZeroU32::MIN,
            guesses: without_limits(),
            ..HubConfig::default()
        };
        let id = ServerId::from_random(u128::from(self.boots));
        let unix_secs = UNIX_SECS + self.now.duration_since(self.started_at).as_secs();
        let hub = Hub::new(config, SECRET, [self.boots; 32], self.now, unix_secs).spanning(id);
        Server { id, hub, is_linked: false, under_way: VecDeque::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.servers.len()
    }

    // ---- clients ----

    pub(super) fn open(&mut self, server: usize, conn: ConnId) {
        self.servers[server].hub.handle_open(conn, ADDRESS, self.now);
    }

    pub(super) fn say(&mut self, server: usize, conn: ConnId, text: &str) {
        self.servers[server].hub.handle_message(conn, text, self.now);
    }

    pub(super) fn close(&mut self, server: usize, conn: ConnId, kind: CloseKind) {
        self.servers[server].hub.handle_close(conn, kind, self.now);
    }

    // ---- links and servers ----

    pub(super) fn link_up(&mut self, server: usize) {
        let server = &mut self.servers[server];
        if !std::mem::replace(&mut server.is_linked, true) {
            server.hub.handle_reached(self.now);
        }
    }

    pub(super) fn link_down(&mut self, server: usize) {
        let server = &mut self.servers[server];
        if std::mem::replace(&mut server.is_linked, false) {
            server.under_way.clear();
            server.hub.handle_lost(self.now);
        }
    }

    pub(super) fn shut_down(&mut self, server: usize) {
        self.servers[server].hub.shut_down(None);
    }

    pub(super) fn restart(&mut self, server: usize) {
        self.servers[server] = self.boot();
        self.link_up(server);
    }

    /// What is said to the hubs waits from now on.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
    }

    /// So much of it arrives at each; all of it, and nothing waits any more.
    pub(super) fn deliver(&mut self, count: usize) {
        self.is_held = count > 4 && count < usize::MAX;
        for index in 0..self.servers.len() {
            for _ in 0..count {
                let Some(heard) = self.servers[index].under_way.pop_front() else { break };
                self.servers[index].hub.handle_heard(heard, self.now);
            }
        }
    }

    /// The next that this server would hear of a room does not arrive.
    pub(super) fn lose_news(&mut self, server: usize) {
        let under_way = &mut self.servers[server].under_way;
        if let Some(index) = under_way.iter().position(|heard| matches!(heard, Heard::Event(Event::Room(_)))) {
            under_way.remove(index);
        }
    }

    /// The next that this server would hear of a room arrives once more, after all else.
    pub(super) fn repeat_news(&mut self, server: usize) {
        let under_way = &mut self.servers[server].under_way;
        let news = under_way.iter().find(|heard| matches!(heard, Heard::Event(Event::Room(_)))).cloned();
        under_way.extend(news);
    }

    /// Steps to the next time-out, if that is not after `end`; else to `end`.
    pub(super) fn advance_to_timeout(&mut self, end: Instant) -> bool {
        let due = self.servers.iter().filter_map(|server| server.hub.poll_timeout()).min();
        let Some(at) = due.filter(|at| *at <= end) else {
            self.now = end;
            return false;
        };
        assert!(at >= self.now, "a time-out lies in the past");
        self.now = at;
        for server in &mut self.servers {
            server.hub.handle_timeout(at);
            assert!(server.hub.poll_timeout().is_none_or(|next| next > at), "a time-out stays due");
        }
        true
    }

    // ---- what is there ----

    pub(super) fn roster(&self, server: usize, room: &RoomId) -> Vec<PeerInfo> {
        self.servers[server].hub.roster(room)
    }

    /// Rooms and connections.
    pub(super) fn census(&self, server: usize) -> (usize, usize) {
        let hub = &self.servers[server].hub;
        (hub.rooms().count(), hub.connection_count())
    }

    /// How many people a room has at the meeting place.
    pub(super) fn shared(&mut self, room: &RoomId) -> usize {
        let stranger = Statement {
            room: room.clone(),
            server: ServerId::from_random(u128::MAX),
            known: u64::MAX,
            members: Vec::new(),
            claiming: Vec::new(),
            left: Vec::new(),
            policy: None,
            base: None,
            expires: true,
        };
        let (state, _) = self.meeting.state(&stranger, self.now_ms());
        state.map_or(0, |state| state.members.len())
    }

    // ---- what happens between them ----

    /// What is said to clients next, and by which server; everything between servers is carried on the way there.
    pub(super) fn next_output(&mut self) -> Option<(usize, Output)> {
        loop {
            for index in 0..self.servers.len() {
                while let Some(output) = self.servers[index].hub.poll_output() {
                    if matches!(output, Output::Send { .. } | Output::Close { .. }) {
                        return Some((index, output));
                    }
                    self.carry(index, output);
                }
            }
            if self.is_held {
                return None;
            }
            let index = self.servers.iter().position(|server| !server.under_way.is_empty())?;
            let heard = self.servers[index].under_way.pop_front()?;
            self.servers[index].hub.handle_heard(heard, self.now);
        }
    }

    fn carry(&mut self, index: usize, output: Output) {
        if let Output::Stretch(stretch) = output {
            return self.servers[index].hub.handle_stretched(stretch.run(), self.now);
        }
        assert!(self.servers[index].is_linked, "{output:?} while nobody is in reach");
        let (from, now_ms) = (self.servers[index].id, self.now_ms());
        let is_there = |id| self.servers.iter().any(|server| server.id == id && server.is_linked);
        for (to, heard) in Heard::of(&mut self.meeting, from, output, is_there, now_ms) {
            if let Some(server) = self.servers.iter_mut().find(|server| server.id == to && server.is_linked) {
                server.under_way.push_back(heard);
            }
        }
    }

    fn now_ms(&self) -> u64 {
        let since = self.now.duration_since(self.started_at).as_millis();
        UNIX_SECS * 1_000 + u64::try_from(since).unwrap_or(u64::MAX)
    }
}
