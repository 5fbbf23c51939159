//! The simulated world: the real hub, N sessions, sockets that keep their order but nothing else, and media paths.

mod faults;
mod sessions;
mod sockets;
mod transports;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use parlor_proto::{PeerId, ServerMessage, TransportId};
use parlor_session::{
    Command, ConnectionEvent, ConnectionState, Credentials, EndReason, OperationId, Session, SessionConfig,
    SignalingEvent,
};
use parlor_signaling::{CloseKind, ConnId};

use crate::peer_connection::{Operation, PcId, PeerConnection};
use crate::random::Dice;
use crate::servers::{Letter, Servers};

type SocketId = u64;

/// Something that is on its way.
enum Job {
    SocketArrives { socket: SocketId },
    SocketOpened { socket: SocketId },
    SocketRefused { socket: SocketId },
    ToHub { socket: SocketId, text: String },
    ToClient { socket: SocketId, message: ServerMessage },
    ClientNotices { socket: SocketId, retry_after_ms: Option<u64> },
    HubNotices { socket: SocketId, kind: CloseKind },
    HubStarts { server: usize },
    LinkUp { server: usize },
    Arrives(Letter),
    Perform { pc: PcId, operation: OperationId, what: Operation },
    Report { pc: PcId, event: ConnectionEvent },
    Connect { pc: PcId, remote: PcId },
    MediaDead { pc: PcId },
    IceGivesUp { pc: PcId },
    OpenChannels { pc: PcId },
    Deliver { pc: PcId, chat: bool, text: String },
    Unblock { ends: (usize, usize) },
    Online { client: usize },
}

struct Socket {
    client: usize,
    server: usize,
    /// In-flight messages of a cut socket never arrive.
    cut: bool,
    client_open: bool,
    hub_open: bool,
    last_up: Instant,
    last_down: Instant,
}

/// One person's program.
pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) name: String,
    /// Whether the user wants to be in the room: the model's roster.
    pub(crate) present: bool,
    pub(crate) peer_id: Option<PeerId>,
    socket: Option<SocketId>,
    online: bool,
    pub(crate) live: BTreeMap<(u64, u32), PcId>,
    pub(crate) received: BTreeMap<String, u32>,
    pub(crate) ended: Option<EndReason>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) dice: Dice,
    jobs: BTreeMap<(Instant, u64), Job>,
    scheduled: u64,
    numbers: u64,
    servers: Servers,
    secret: u64,
    sockets: BTreeMap<SocketId, Socket>,
    pub(crate) clients: Vec<Client>,
    pub(crate) pcs: BTreeMap<PcId, PeerConnection>,
    people: BTreeMap<PeerId, usize>,
    /// The wire's name of each transport, as each end used it.
    pub(crate) names: BTreeMap<PcId, TransportId>,
    blocked: BTreeSet<(usize, usize)>,
    /// What was closed in this drain: to whom, and in which state it was.
    closed: Vec<(usize, ConnectionState)>,
    quiet_since: Option<Instant>,
    start: Instant,
    trace: bool,
    pub(crate) coverage: Coverage,
}

/// What happened at all, over all seeds: a run in which nothing goes wrong proves nothing.
#[derive(Default, Debug)]
pub(crate) struct Coverage {
    pub(crate) rollbacks: u64,
    pub(crate) ice_restarts: u64,
    pub(crate) transports: u64,
    pub(crate) resumed: u64,
    pub(crate) chats: u64,
    pub(crate) replacements: u64,
    pub(crate) links_lost: u64,
    pub(crate) locked_out: u64,
    pub(crate) removed: u64,
    /// Messages that came before the channels were open.
    pub(crate) lost_early: u64,
}

impl World {
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn new(seed: u64, servers: usize, trace: bool) -> Self {
        let start = Instant::now();
        let mut world = Self {
            now: start,
            dice: Dice::new(seed),
            jobs: BTreeMap::new(),
            scheduled: 0,
            numbers: 0,
            servers: Servers::new(servers, 1, start),
            secret: 1,
            sockets: BTreeMap::new(),
            clients: Vec::new(),
            pcs: BTreeMap::new(),
            people: BTreeMap::new(),
            names: BTreeMap::new(),
            blocked: BTreeSet::new(),
            closed: Vec::new(),
            quiet_since: None,
            start,
            trace,
            coverage: Coverage::default(),
        };
        for server in 0..servers {
            world.at(start, Job::LinkUp { server });
        }
        world
    }

    fn log(&self, text: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:9.3} {}", (self.now - self.start).as_secs_f64(), text());
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn after(&mut self, wait: Duration, job: Job) {
        self.at(self.now + wait, job);
    }

    fn at(&mut self, at: Instant, job: Job) {
        self.scheduled += 1;
        self.jobs.insert((at, self.scheduled), job);
    }

    /// Lets everything happen that happens until `end`.
    pub(crate) fn run_until(&mut self, end: Instant) {
        loop {
            let job = self.jobs.keys().next().map(|(at, _)| *at);
            let session =
                self.clients.iter().filter_map(|client| client.session.poll_timeout()).map(|(at, _)| at).min();
            let hub = self.servers.poll_timeout();
            let Some(next) = [job, session, hub].into_iter().flatten().min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if job == Some(next) {
                let ((_, _), job) = self.jobs.pop_first().unwrap();
                self.happen(job);
            } else if hub == Some(next) {
                for server in 0..self.servers.all.len() {
                    self.servers.all[server].hub.handle_timeout(self.now);
                    self.drain_hub(server);
                }
            } else {
                self.time_out();
            }
        }
        self.now = end;
    }

    fn time_out(&mut self) {
        for index in 0..self.clients.len() {
            let due = |client: &Client, now: Instant| client.session.poll_timeout().is_some_and(|(at, _)| at <= now);
            for _ in 0..10 {
                if !due(&self.clients[index], self.now) {
                    break;
                }
                let why = self.clients[index].session.poll_timeout().unwrap().1;
                self.log(|| format!("{index} time-out: {why}"));
                self.clients[index].session.handle_timeout(self.now);
                self.drain(index);
            }
            let (client, now) = (&self.clients[index], self.now);
            assert!(!due(client, now), "a timeout lies in the past: {:?}", client.session.poll_timeout());
        }
    }

    fn happen(&mut self, job: Job) {
        match job {
            Job::SocketArrives { socket } => self.socket_arrives(socket),
            Job::SocketOpened { socket } => self.tell_signaling(socket, SignalingEvent::Opened),
            Job::SocketRefused { socket } => self.client_notices(socket, None),
            Job::ToHub { socket, text } => {
                if let Some(state) = self.sockets.get(&socket).filter(|socket| socket.hub_open && !socket.cut) {
                    let server = state.server;
                    self.servers.all[server].hub.handle_message(ConnId(socket), &text, self.now);
                    self.drain_hub(server);
                }
            }
            Job::ToClient { socket, message } => {
                if self.sockets.get(&socket).is_some_and(|socket| !socket.cut) {
                    self.tell_signaling(socket, SignalingEvent::Message(message));
                }
            }
            Job::ClientNotices { socket, retry_after_ms } => self.client_notices(socket, retry_after_ms),
            Job::HubNotices { socket, kind } => {
                if self.hub_closes(socket) {
                    let server = self.sockets[&socket].server;
                    self.servers.all[server].hub.handle_close(ConnId(socket), kind, self.now);
                    self.drain_hub(server);
                }
            }
            Job::HubStarts { server } => {
                self.log(|| format!("hub {server} starts"));
                let boot = self.number();
                self.servers.restart(server, self.secret, boot, self.now);
                self.link_up(server);
            }
            Job::LinkUp { server } => self.link_up(server),
            Job::Arrives(letter) => {
                let server = letter.server;
                let wait = self.dice.millis(1, 20);
                for (at, letter) in self.servers.arrive(letter, wait, self.now) {
                    self.at(at, Job::Arrives(letter));
                }
                self.drain_hub(server);
            }
            Job::Perform { pc, operation, what } => self.perform(pc, operation, &what),
            Job::Report { pc, event } => self.report(pc, event),
            Job::Connect { pc, remote } => self.connect(pc, remote),
            Job::MediaDead { pc } => self.media_dead(pc),
            Job::IceGivesUp { pc } => self.ice_gives_up(pc),
            Job::OpenChannels { pc } => self.open_channels(pc),
            Job::Deliver { pc, chat, text } => self.deliver(pc, chat, text),
            Job::Unblock { ends } => self.unblock(ends),
            Job::Online { client } => self.clients[client].online = true,
        }
    }

    pub(crate) fn add_client(&mut self) -> usize {
        let index = self.clients.len();
        let seed = self.dice.seed();
        let config = SessionConfig { boot_id: Some(format!("boot{}", index % 2)), ..SessionConfig::default() };
        self.clients.push(Client {
            session: Session::new(config, seed, self.now),
            name: format!("person {index}"),
            present: false,
            peer_id: None,
            socket: None,
            online: true,
            live: BTreeMap::new(),
            received: BTreeMap::new(),
            ended: None,
        });
        index
    }

    pub(crate) fn command(&mut self, index: usize, command: Command) {
        self.log(|| format!("{index} command {command:?}"));
        self.clients[index].session.handle_command(command, self.now);
        self.drain(index);
    }

    pub(crate) fn join(&mut self, index: usize) {
        let client = &mut self.clients[index];
        (client.present, client.ended) = (true, None);
        let name = client.name.parse().unwrap();
        self.command(index, Command::Join { room: "room".parse().unwrap(), name, credentials: Credentials::default() });
    }

    pub(crate) fn leave(&mut self, index: usize) {
        self.clients[index].present = false;
        self.command(index, Command::Leave);
    }

    /// The program is killed: nothing says goodbye.
    pub(crate) fn kill(&mut self, index: usize) {
        self.log(|| format!("{index} killed"));
        self.lose_socket(index);
        if let Some(socket) = self.clients[index].socket {
            self.sockets.get_mut(&socket).unwrap().client_open = false;
        }
        let seed = self.dice.seed();
        let client = &mut self.clients[index];
        client.session = Session::new(SessionConfig::default(), seed, self.now);
        (client.present, client.socket, client.ended) = (false, None, None);
        for pc in std::mem::take(&mut client.live).into_values() {
            self.close_pc(pc);
        }
    }

    pub(crate) fn peer_ids(&self) -> Vec<Option<PeerId>> {
        self.clients.iter().map(|client| client.peer_id.clone()).collect()
    }

    /// Whoever moderates locks the room, or unlocks it.
    pub(crate) fn lock(&mut self, locked: bool) {
        for index in 0..self.clients.len() {
            if self.clients[index].session.view().policy.may_moderate {
                self.command(index, Command::SetLock(locked));
            }
        }
    }

    /// Whoever moderates removes this one.
    pub(crate) fn remove(&mut self, index: usize) {
        let Some(peer_id) = self.clients[index].peer_id.clone() else { return };
        for by in 0..self.clients.len() {
            if by != index && self.clients[by].session.view().policy.may_moderate {
                self.command(by, Command::Remove(peer_id.clone()));
            }
        }
    }
}
