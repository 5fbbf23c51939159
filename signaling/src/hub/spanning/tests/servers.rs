//! Several hubs around one meeting place.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use parlor_proto::{
    ClientMessage, ErrorCode, PeerId, PeerInfo, ResumeToken, RoomPolicy, Secret, ServerMessage, Signal,
};

use crate::backplane::{Event, LEASE, ServerId, SharedRooms};
use crate::hub::{CloseKind, ConnId, Heard, Hub, HubConfig, Output};

const UNIX_SECS: u64 = 1_760_000_000;

pub(super) struct Servers {
    pub(super) now: Instant,
    started_at: Instant,
    rooms: SharedRooms,
    servers: Vec<Server>,
    /// What is on its way to each hub.
    under_way: VecDeque<(usize, Heard)>,
    is_reachable: bool,
    is_held: bool,
    opened: u64,
    heard: Vec<(ConnId, ServerMessage)>,
    closed: Vec<(ConnId, u16)>,
}

struct Server {
    id: ServerId,
    hub: Hub,
    is_alive: bool,
    is_deaf: bool,
}

pub(super) struct Client {
    pub(super) conn: ConnId,
    pub(super) id: PeerId,
    pub(super) name: String,
    pub(super) token: ResumeToken,
    pub(super) policy: Option<RoomPolicy>,
    peers: Vec<PeerInfo>,
}

impl Servers {
    pub(super) fn new(count: usize) -> Self {
        let now = Instant::now();
        let servers = (0..count).map(|index| Server::new(index, now));
        let mut net = Self {
            now,
            started_at: now,
            rooms: SharedRooms::new(LEASE),
            servers: servers.collect(),
            under_way: VecDeque::new(),
            is_reachable: true,
            is_held: false,
            opened: 0,
            heard: Vec::new(),
            closed: Vec::new(),
        };
        net.reach();
        net
    }

    pub(super) fn hub(&mut self, server: usize) -> &mut Hub {
        &mut self.servers[server].hub
    }

    pub(super) fn roster(&self, server: usize) -> Vec<PeerInfo> {
        self.servers[server].hub.roster(&"a".parse().unwrap())
    }

    // ---- clients ----

    pub(super) fn join(&mut self, server: usize, name: &str) -> Client {
        let conn = self.greeted(server);
        self.say_join(conn, name, None, None);
        self.joined(conn)
    }

    pub(super) fn resume(&mut self, server: usize, client: &Client) -> Client {
        let conn = self.greeted(server);
        self.say_join(conn, &client.name, Some(&client.token), None);
        self.joined(conn)
    }

    pub(super) fn greeted(&mut self, server: usize) -> ConnId {
        self.opened += 1;
        let conn = ConnId(self.opened * 10 + server as u64);
        let now = self.now;
        self.hub(server).handle_open(conn, IpAddr::from(Ipv4Addr::LOCALHOST), now);
        self.say_text(conn, &ClientMessage::Hello { versions: vec![1], client: String::new() });
        self.heard_by(conn);
        conn
    }

    pub(super) fn say_join(&mut self, conn: ConnId, name: &str, resume: Option<&ResumeToken>, password: Option<&str>) {
        let message = ClientMessage::Join {
            room: "a".to_owned(),
            name: name.to_owned(),
            resume: resume.map(|token| token.as_str().into()),
            access: None,
            password: password.map(Secret::from),
        };
        self.say_text(conn, &message);
    }

    /// What the `joined` of this connection says; what came after it stays.
    pub(super) fn joined(&mut self, conn: ConnId) -> Client {
        let is_joined =
            |(to, message): &(ConnId, ServerMessage)| *to == conn && matches!(message, ServerMessage::Joined { .. });
        let index = self.heard.iter().position(is_joined);
        let index = index.unwrap_or_else(|| panic!("not joined: {:?}", self.heard));
        let (_, message) = self.heard.remove(index);
        let ServerMessage::Joined { peer_id: id, name, resume_token: token, peers, policy, .. } = message else {
            unreachable!("looked at above")
        };
        Client { conn, id, name: name.to_string(), token, policy: Some(policy), peers }
    }

    pub(super) fn say(&mut self, client: &Client, message: &ClientMessage) {
        self.say_text(client.conn, message);
    }

    pub(super) fn say_text(&mut self, conn: ConnId, message: &ClientMessage) {
        let (now, server) = (self.now, server_of(conn));
        self.hub(server).handle_message(conn, &message.encode(), now);
        self.pump();
    }

    pub(super) fn signal(&mut self, client: &Client, to: &PeerId) {
        let connection = "c0ffee".parse().unwrap();
        self.say(client, &ClientMessage::Signal { to: to.clone(), connection, signal: Signal::EndOfCandidates });
    }

    pub(super) fn close(&mut self, client: &Client, kind: CloseKind) {
        self.close_conn(client.conn, kind);
    }

    pub(super) fn close_conn(&mut self, conn: ConnId, kind: CloseKind) {
        let now = self.now;
        self.hub(server_of(conn)).handle_close(conn, kind, now);
        self.pump();
    }

    pub(super) fn heard(&mut self, client: &Client) -> Vec<ServerMessage> {
        self.heard_by(client.conn)
    }

    pub(super) fn heard_by(&mut self, conn: ConnId) -> Vec<ServerMessage> {
        let (mine, others) = std::mem::take(&mut self.heard).into_iter().partition(|(to, _)| *to == conn);
        self.heard = others;
        let mine: Vec<(ConnId, ServerMessage)> = mine;
        mine.into_iter().map(|(_, message)| message).collect()
    }

    pub(super) fn drop_heard(&mut self) {
        self.heard.clear();
    }

    pub(super) fn error(&mut self, client: &Client) -> ErrorCode {
        self.error_of(client.conn)
    }

    /// The last error that a connection has heard.
    pub(super) fn error_of(&mut self, conn: ConnId) -> ErrorCode {
        let heard = self.heard_by(conn);
        let code = heard.iter().rev().find_map(|message| match message {
            ServerMessage::Error { code, .. } => Some(*code),
            _ => None,
        });
        code.unwrap_or_else(|| panic!("no error: {heard:?}"))
    }

    /// The others by a `roster`, and what was told after it.
    pub(super) fn told_roster(&mut self, client: &Client) -> Vec<PeerInfo> {
        let heard = self.heard(client);
        let Some(ServerMessage::Roster { peers }) = heard.first() else { panic!("no roster: {heard:?}") };
        let later = heard[1..].iter().map(|message| match message {
            ServerMessage::PeerJoined { peer } => peer.clone(),
            other => panic!("{other:?} after a roster"),
        });
        peers.iter().cloned().chain(later).collect()
    }

    pub(super) fn closed(&self, client: &Client) -> Option<u16> {
        self.closed.iter().find(|(conn, _)| *conn == client.conn).map(|(_, code)| *code)
    }

    /// As others see them, when they are there.
    pub(super) fn info(&self, client: &Client) -> PeerInfo {
        PeerInfo { peer_id: client.id.clone(), name: client.name.parse().unwrap(), away: false }
    }

    /// Whom they found there, and whether those were away.
    pub(super) fn peers(&self, client: &Client) -> Vec<(PeerId, bool)> {
        client.peers.iter().map(|peer| (peer.peer_id.clone(), peer.away)).collect()
    }

    // ---- servers ----

    /// Nobody reaches the meeting place.
    pub(super) fn lose(&mut self) {
        self.is_reachable = false;
        self.under_way.clear();
        let now = self.now;
        self.servers.iter_mut().for_each(|server| server.hub.handle_lost(now));
        self.pump();
    }

    pub(super) fn reach(&mut self) {
        self.is_reachable = true;
        let now = self.now;
        self.servers.iter_mut().filter(|server| server.is_alive).for_each(|server| server.hub.handle_reached(now));
        self.pump();
    }

    pub(super) fn forget_rooms(&mut self) {
        self.rooms = SharedRooms::new(LEASE);
    }

    /// What is said to the hubs waits from now on.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
    }

    pub(super) fn let_go(&mut self) {
        self.is_held = false;
        self.pump();
    }

    /// The next news for this server gets lost, all of it.
    pub(super) fn deafen(&mut self, server: usize) {
        self.servers[server].is_deaf = true;
    }

    /// The server is gone, and nobody is told.
    pub(super) fn kill(&mut self, server: usize) {
        let now = self.now;
        self.servers[server] = Server { is_alive: false, ..Server::new(server + 10, now) };
    }

    pub(super) fn shut_down(&mut self, server: usize) {
        self.servers[server].hub.shut_down(None);
        self.pump();
        self.kill(server);
    }

    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        loop {
            let due = self.servers.iter().filter_map(|server| server.hub.poll_timeout()).min();
            let Some(at) = due.filter(|at| *at <= end) else { break };
            assert!(at >= self.now, "a time-out lies in the past");
            self.now = at;
            self.servers.iter_mut().for_each(|server| server.hub.handle_timeout(at));
            self.pump();
        }
        self.now = end;
    }

    /// Lets everything happen that follows.
    fn pump(&mut self) {
        loop {
            for index in 0..self.servers.len() {
                while let Some(output) = self.servers[index].hub.poll_output() {
                    self.carry(index, output);
                }
            }
            if self.is_held {
                return;
            }
            let Some((index, heard)) = self.under_way.pop_front() else { return };
            self.servers[index].hub.handle_heard(heard, self.now);
        }
    }

    fn carry(&mut self, index: usize, output: Output) {
        let now_ms = UNIX_SECS * 1_000 + u64::try_from((self.now - self.started_at).as_millis()).unwrap();
        match output {
            Output::Send { conn, message } => self.heard.push((conn, message)),
            Output::Close { conn, code, .. } => self.closed.push((conn, code)),
            Output::Stretch(stretch) => self.servers[index].hub.handle_stretched(stretch.run(), self.now),
            Output::Claim { .. } | Output::State(_) | Output::Forward(_) if !self.is_reachable => {
                panic!("{output:?} while nobody is in reach")
            }
            request => {
                let from = self.servers[index].id;
                let is_there = |id| self.servers.iter().any(|server| server.id == id && server.is_alive);
                for (to, heard) in Heard::of(&mut self.rooms, from, request, is_there, now_ms) {
                    let is_news = matches!(heard, Heard::Event(Event::Room(_)));
                    if let Some(to) = self.index(to)
                        && !(is_news && self.servers[to].is_deaf)
                    {
                        self.under_way.push_back((to, heard));
                    }
                }
            }
        }
    }

    fn index(&self, id: ServerId) -> Option<usize> {
        self.servers.iter().position(|server| server.id == id && server.is_alive)
    }
}

impl Server {
    fn new(index: usize, now: Instant) -> Self {
        let id = ServerId::from_random(index as u128);
        let config = HubConfig { room_capacity: 3, password_iterations: NonZeroU32::MIN, ..HubConfig::default() };
        let seed = [u8::try_from(index).unwrap(); 32];
        let hub = Hub::new(config, b"a secret of the tests", seed, now, UNIX_SECS).spanning(id);
        Self { id, hub, is_alive: true, is_deaf: false }
    }
}

/// The last digit of a connection's number.
fn server_of(conn: ConnId) -> usize {
    usize::try_from(conn.0 % 10).unwrap()
}
