//! The simulated world: the real hub, N sessions, sockets that keep their order but nothing else, and media paths.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use parlor_proto::{
    ChatMessage, ClientMessage, ErrorCode, IceCandidate, PeerId, ServerMessage, Signal, Source, TransportId,
};
use parlor_session::{
    Action, Channel, Command, ConnectionEvent, ConnectionState, Credentials, EndReason, Event, OperationId,
    PeerLeftReason, Session, SessionConfig, SignalingEvent,
};
use parlor_signaling::{CloseKind, Comeback, ConnId, Output};

use crate::peer_connection::{Description, Operation, Outcome, PcId, PeerConnection};
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
            Job::Deliver { pc, chat, text } => {
                let event =
                    if chat { ConnectionEvent::ChatReceived(text) } else { ConnectionEvent::ControlReceived(text) };
                if !self.pcs[&pc].closed {
                    self.report(pc, event);
                }
            }
            Job::Unblock { ends } => self.unblock(ends),
            Job::Online { client } => self.clients[client].online = true,
        }
    }

    // ---- people ----

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

    // ---- faults ----

    /// The socket breaks; each end notices when it does.
    pub(crate) fn lose_socket(&mut self, index: usize) {
        let Some(socket) = self.clients[index].socket else { return };
        self.log(|| format!("{index} loses socket {socket}"));
        self.cut(socket);
        let (client, hub) = (self.dice.millis(0, 3_000), self.dice.millis(0, 3_000));
        self.after(client, Job::ClientNotices { socket, retry_after_ms: None });
        self.after(hub, Job::HubNotices { socket, kind: CloseKind::Lost });
    }

    pub(crate) fn restart_server(&mut self, graceful: bool, new_secret: bool, down: Duration) {
        let server = self.any_server();
        if !self.servers.all[server].is_alive {
            return;
        }
        // Servers that share rooms have one secret, or none would know another's people.
        let new_secret = new_secret && !self.servers.are_several();
        self.log(|| format!("hub {server} stops (graceful {graceful}, new secret {new_secret}) for {down:?}"));
        if graceful {
            let comeback = Comeback { first: Duration::from_millis(100), spread: Duration::from_millis(400) };
            self.servers.all[server].hub.shut_down(Some(comeback));
            self.drain_hub(server);
        }
        self.servers.restart(server, self.secret, 0, self.now);
        self.servers.all[server].is_alive = false;
        if new_secret {
            self.secret += 1;
        }
        let is_open = |socket: &Socket| socket.hub_open && socket.server == server;
        let open: Vec<SocketId> =
            self.sockets.iter().filter(|(_, socket)| is_open(socket)).map(|(&id, _)| id).collect();
        for socket in open {
            self.cut(socket);
            let wait = self.dice.millis(0, 500);
            self.after(wait, Job::ClientNotices { socket, retry_after_ms: None });
        }
        for socket in self.sockets.values_mut().filter(|socket| socket.server == server) {
            socket.hub_open = false;
        }
        self.after(down, Job::HubStarts { server });
    }

    /// A server loses the others, or all do: for a moment, or for long.
    pub(crate) fn lose_link(&mut self, all: bool, lasts: Duration) {
        let one = self.any_server();
        for server in (0..self.servers.all.len()).filter(|&server| all || server == one) {
            self.log(|| format!("hub {server} loses the others for {lasts:?}"));
            if self.servers.link_down(server, self.now) {
                self.coverage.links_lost += 1;
                self.after(lasts, Job::LinkUp { server });
                self.drain_hub(server);
            }
        }
    }

    fn link_up(&mut self, server: usize) {
        if !self.servers.are_several() {
            return;
        }
        self.log(|| format!("hub {server} reaches the others"));
        let number = self.number();
        self.servers.link_up(server, number, self.now);
        self.drain_hub(server);
    }

    /// Does not touch the dice where there is one.
    fn any_server(&mut self) -> usize {
        if self.servers.are_several() { self.dice.below(self.servers.all.len()) } else { 0 }
    }

    /// No media between two for a while.
    pub(crate) fn block(&mut self, a: usize, b: usize, lasts: Duration) {
        let ends = (a.min(b), a.max(b));
        if a == b || !self.blocked.insert(ends) {
            return;
        }
        self.log(|| format!("media between {a} and {b} blocked for {lasts:?}"));
        self.after(lasts, Job::Unblock { ends });
        for pc in self.between(ends) {
            let wait = self.dice.millis(2_000, 3_000);
            self.after(wait, Job::MediaDead { pc });
        }
    }

    /// A machine without network: neither socket nor media.
    pub(crate) fn outage(&mut self, index: usize, lasts: Duration) {
        self.clients[index].online = false;
        self.lose_socket(index);
        for other in 0..self.clients.len() {
            self.block(index, other, lasts);
        }
        self.after(lasts, Job::Online { client: index });
    }

    /// A transport breaks down without reason.
    pub(crate) fn break_transport(&mut self, index: usize) {
        let live: Vec<PcId> = self.clients[index].live.values().copied().collect();
        if live.is_empty() {
            return;
        }
        let pc = live[self.dice.below(live.len())];
        self.log(|| format!("pc {pc} of {index} breaks"));
        self.report(pc, ConnectionEvent::StateChanged(ConnectionState::Closed));
    }

    /// No more faults: what is broken heals.
    pub(crate) fn heal(&mut self) {
        self.log(|| "---- quiet ----".into());
        self.quiet_since = Some(self.now);
    }

    fn unblock(&mut self, ends: (usize, usize)) {
        self.log(|| format!("media between {ends:?} unblocked"));
        self.blocked.remove(&ends);
        let moved = self.dice.chance(50);
        for pc in self.between(ends) {
            self.pcs.get_mut(&pc).unwrap().needs_restart |= moved;
            self.try_connect(pc);
            self.flush(pc);
        }
    }

    fn between(&self, ends: (usize, usize)) -> Vec<PcId> {
        let own = |pc: &&PeerConnection| {
            !pc.closed && (pc.client.min(pc.remote_client), pc.client.max(pc.remote_client)) == ends
        };
        self.pcs.values().filter(own).map(|pc| pc.id).collect()
    }

    // ---- sockets ----

    fn cut(&mut self, socket: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.cut = true;
        }
    }

    fn socket_arrives(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.cut || !self.servers.all[socket.server].is_alive || !self.clients[socket.client].online {
            let wait = self.dice.millis(1, 300);
            return self.after(wait, Job::SocketRefused { socket: id });
        }
        socket.hub_open = true;
        let server = socket.server;
        self.servers.all[server].hub.handle_open(ConnId(id), Ipv4Addr::LOCALHOST.into(), self.now);
        self.drain_hub(server);
        let at = self.down_time(id);
        self.at(at, Job::SocketOpened { socket: id });
    }

    /// Returns whether the hub knew it.
    fn hub_closes(&mut self, socket: SocketId) -> bool {
        self.sockets.get_mut(&socket).is_some_and(|socket| std::mem::take(&mut socket.hub_open))
    }

    fn client_notices(&mut self, socket: SocketId, retry_after_ms: Option<u64>) {
        let Some(state) = self.sockets.get_mut(&socket).filter(|state| state.client_open) else { return };
        state.client_open = false;
        let index = state.client;
        self.clients[index].socket = None;
        self.log(|| format!("{index} notices the end of socket {socket}"));
        let event = SignalingEvent::Closed { reason: "the network is gone".into(), retry_after_ms };
        self.clients[index].session.handle_signaling(event, self.now);
        self.drain(index);
    }

    fn tell_signaling(&mut self, socket: SocketId, event: SignalingEvent) {
        let Some(state) = self.sockets.get(&socket).filter(|state| state.client_open) else { return };
        let index = state.client;
        self.log(|| format!("{index} <- {event:?}"));
        self.clients[index].session.handle_signaling(event, self.now);
        self.drain(index);
    }

    fn open_socket(&mut self, index: usize) {
        self.forget_socket(index, CloseKind::Lost);
        let id = self.number();
        let server = self.any_server();
        let socket = Socket {
            client: index,
            server,
            cut: false,
            client_open: true,
            hub_open: false,
            last_up: self.now,
            last_down: self.now,
        };
        self.sockets.insert(id, socket);
        self.clients[index].socket = Some(id);
        let at = self.up_time(id);
        self.at(at, Job::SocketArrives { socket: id });
    }

    fn forget_socket(&mut self, index: usize, kind: CloseKind) {
        let Some(id) = self.clients[index].socket.take() else { return };
        self.sockets.get_mut(&id).unwrap().client_open = false;
        let at = self.up_time(id);
        self.at(at, Job::HubNotices { socket: id, kind });
    }

    /// When something sent now arrives: never before what was sent earlier on the same socket.
    fn up_time(&mut self, socket: SocketId) -> Instant {
        let wait = self.latency();
        let socket = self.sockets.get_mut(&socket).unwrap();
        socket.last_up = socket.last_up.max(self.now + wait);
        socket.last_up
    }

    fn down_time(&mut self, socket: SocketId) -> Instant {
        let wait = self.latency();
        let socket = self.sockets.get_mut(&socket).unwrap();
        socket.last_down = socket.last_down.max(self.now + wait);
        socket.last_down
    }

    fn latency(&mut self) -> Duration {
        if self.dice.chance(4) { self.dice.millis(200, 2_500) } else { self.dice.millis(1, 120) }
    }

    fn drain_hub(&mut self, server: usize) {
        while let Some(output) = self.servers.all[server].hub.poll_output() {
            match output {
                Output::Send { conn: ConnId(socket), message } => {
                    if let Some(state) = self.sockets.get(&socket) {
                        if let ServerMessage::Joined { peer_id, .. } = &message {
                            self.people.insert(peer_id.clone(), state.client);
                        }
                        let at = self.down_time(socket);
                        self.at(at, Job::ToClient { socket, message });
                    }
                }
                Output::Close { conn: ConnId(socket), .. } => {
                    self.hub_closes(socket);
                    let at = self.down_time(socket);
                    self.at(at, Job::ClientNotices { socket, retry_after_ms: None });
                }
                Output::Stretch(stretch) => self.servers.all[server].hub.handle_stretched(stretch.run(), self.now),
                Output::Claim { .. } | Output::State(_) | Output::Forward(_) => {
                    let wait = self.dice.millis(1, 20);
                    if let Some((at, letter)) = self.servers.send(server, output, wait, self.now) {
                        self.at(at, Job::Arrives(letter));
                    }
                }
            }
        }
    }

    // ---- sessions ----

    fn drain(&mut self, index: usize) {
        self.closed.clear();
        while let Some(action) = self.clients[index].session.poll_action() {
            self.log(|| format!("{index} -> {action:?}"));
            self.act(index, action);
        }
        while let Some(event) = self.clients[index].session.poll_event() {
            self.log(|| format!("{index} event {event:?}"));
            self.note(index, event);
        }
    }

    fn note(&mut self, index: usize, event: Event) {
        match event {
            Event::Joined { peer_id, resumed, .. } => {
                self.coverage.resumed += u64::from(resumed);
                self.clients[index].peer_id = Some(peer_id);
            }
            Event::ChatReceived { text, .. } => {
                self.coverage.chats += 1;
                let count = self.clients[index].received.entry(text).or_default();
                *count += 1;
                assert_eq!(*count, 1, "a line of chat came twice");
            }
            Event::Error { code, message } => {
                // What hung in the last noisy moment is noticed later.
                let echo = self.quiet_since.is_none_or(|since| self.now < since + Duration::from_secs(45));
                let explained = echo && code.is_none() && message.starts_with("The connection with");
                let full = message.contains("is full");
                // The lock of a room; the words of a moderator of a moment ago, or to a server that is away.
                let guarded = matches!(code, Some(ErrorCode::RoomLocked | ErrorCode::NotModerator));
                let unsaid = message.starts_with("The server is out of reach");
                self.coverage.locked_out += u64::from(code == Some(ErrorCode::RoomLocked));
                assert!(explained || full || guarded || unsaid, "error event: {code:?} {message}");
            }
            Event::Ended { reason } => {
                match &reason {
                    EndReason::Left | EndReason::Unreachable { .. } => {}
                    EndReason::Refused { code: ErrorCode::RoomLocked, .. } => self.coverage.locked_out += 1,
                    EndReason::Refused { code: ErrorCode::Removed, .. } => self.coverage.removed += 1,
                    _ => panic!("the call ended: {reason:?}"),
                }
                self.clients[index].ended = Some(reason);
                self.clients[index].present = false;
            }
            Event::PeerLeft { peer_id, reason: PeerLeftReason::Timeout, .. } => {
                let whom = self.people.get(&peer_id).copied().unwrap_or(usize::MAX);
                let lived = self.closed.contains(&(whom, ConnectionState::Connected));
                assert!(!lived, "{index} dropped {whom}, whose media lived");
            }
            Event::PeerJoined { .. }
            | Event::PeerConnected { .. }
            | Event::PeerReconnecting { .. }
            | Event::PeerAway { .. }
            | Event::PeerBack { .. }
            | Event::PeerLeft { .. }
            | Event::PeerMedia { .. }
            | Event::JoinDelayed { .. }
            | Event::SignalingLost
            | Event::Policy { .. }
            | Event::SignalingRestored => {}
        }
    }

    fn act(&mut self, index: usize, action: Action) {
        match action {
            Action::OpenSignaling => self.open_socket(index),
            Action::CloseSignaling => self.forget_socket(index, CloseKind::Left),
            Action::DropSignaling => self.forget_socket(index, CloseKind::Lost),
            Action::SendSignaling(message) => self.send_signaling(index, &message),
            Action::CreateConnection { connection, generation, peer, .. } => {
                let id = self.number();
                // Nobody: a place was claimed, and the server that did so died before it could say so.
                let remote = self.people.get(&peer).copied().unwrap_or(usize::MAX);
                self.coverage.transports += 1;
                self.pcs.insert(id, PeerConnection::new(id, (index, remote), (connection, generation)));
                let slot = (connection.0, generation.0);
                let others = self.clients[index].live.keys().filter(|(other, _)| *other == slot.0).count();
                assert_eq!(others, 0, "two live generations of one connection");
                self.clients[index].live.insert(slot, id);
            }
            Action::UseIceServers { connection, generation, .. } => {
                self.live(index, (connection.0, generation.0));
            }
            Action::CloseConnection { connection, generation } => {
                let pc = self.clients[index].live.remove(&(connection.0, generation.0));
                self.close_pc(pc.expect("only live transports are closed"));
            }
            Action::CreateOffer { connection, generation, operation, ice_restart } => {
                self.coverage.ice_restarts += u64::from(ice_restart);
                self.start(index, (connection.0, generation.0), operation, Operation::CreateOffer { ice_restart });
            }
            Action::AcceptOffer { connection, generation, operation, sdp, .. } => {
                self.start(index, (connection.0, generation.0), operation, Operation::AcceptOffer { sdp });
            }
            Action::AcceptAnswer { connection, generation, operation, sdp, .. } => {
                self.start(index, (connection.0, generation.0), operation, Operation::AcceptAnswer { sdp });
            }
            Action::Rollback { connection, generation, operation } => {
                self.coverage.rollbacks += 1;
                self.start(index, (connection.0, generation.0), operation, Operation::Rollback);
            }
            Action::AddCandidate { connection, generation, candidate } => {
                let pc = self.live(index, (connection.0, generation.0));
                self.pcs.get_mut(&pc).unwrap().add_candidate(&candidate.candidate);
                self.try_connect(pc);
            }
            Action::EndOfCandidates { connection, generation } => {
                self.live(index, (connection.0, generation.0));
            }
            Action::SendControl { connection, generation, message } => {
                self.send_on_channel(index, (connection.0, generation.0), false, message.encode());
            }
            Action::SendChat { connection, generation, message } => {
                let ChatMessage::Message { .. } = &message;
                self.send_on_channel(index, (connection.0, generation.0), true, message.encode());
            }
        }
    }

    fn send_signaling(&mut self, index: usize, message: &ClientMessage) {
        let socket = self.clients[index].socket.expect("messages are sent on an open socket");
        if let ClientMessage::Signal { connection, signal, .. } = message
            && let Signal::Offer { sdp, .. } | Signal::Answer { sdp, .. } = signal
        {
            let pc = Description::parse(sdp).pc;
            let name = self.names.entry(pc).or_insert_with(|| connection.clone());
            assert_eq!(name, connection, "a transport changed its name");
        }
        if let ClientMessage::Signal { connection, signal: Signal::Candidate { .. }, .. } = message {
            let known = self.clients[index].live.values().any(|pc| self.names.get(pc) == Some(connection));
            assert!(known, "a candidate was sent before its description");
        }
        let at = self.up_time(socket);
        self.at(at, Job::ToHub { socket, text: message.encode() });
    }

    fn live(&self, index: usize, slot: (u64, u32)) -> PcId {
        *self.clients[index].live.get(&slot).expect("actions are for live transports")
    }

    // ---- transports ----

    fn start(&mut self, index: usize, slot: (u64, u32), operation: OperationId, what: Operation) {
        let pc = self.live(index, slot);
        self.pcs.get_mut(&pc).unwrap().begin(operation);
        // Sometimes a transport never does what it was asked.
        if self.quiet_since.is_none() && self.dice.below(1_000) < 3 {
            self.log(|| format!("pc {pc} hangs"));
            return;
        }
        let slow = self.quiet_since.is_none() && self.dice.chance(3);
        let wait = if slow { self.dice.millis(500, 3_000) } else { self.dice.millis(1, 60) };
        self.after(wait, Job::Perform { pc, operation, what });
    }

    fn perform(&mut self, id: PcId, operation: OperationId, what: &Operation) {
        let number = self.number();
        let pc = self.pcs.get_mut(&id).unwrap();
        if pc.closed {
            // Late news of a closed transport.
            return self.report(id, ConnectionEvent::OperationDone { operation });
        }
        let first_remote = pc.remote.is_none();
        match pc.perform(what, number) {
            Outcome::Done => self.report(id, ConnectionEvent::OperationDone { operation }),
            Outcome::Description { description, gathers } => {
                let early = gathers && self.dice.chance(50);
                if early {
                    self.report(id, local_candidate(description.ufrag));
                }
                let streams = vec![("0".to_owned(), Source::Microphone), ("1".to_owned(), Source::Camera)];
                let event = ConnectionEvent::DescriptionReady { operation, sdp: description.sdp(), streams };
                self.report(id, event);
                if gathers {
                    self.gather(id, description.ufrag, early);
                }
            }
        }
        if first_remote && self.pcs[&id].remote.is_some() {
            self.after(Duration::from_secs(20), Job::IceGivesUp { pc: id });
            self.report(id, ConnectionEvent::StateChanged(ConnectionState::Connecting));
        }
        self.try_connect(id);
    }

    fn gather(&mut self, pc: PcId, ufrag: u64, early: bool) {
        if !early {
            let wait = self.dice.millis(0, 200);
            self.after(wait, Job::Report { pc, event: local_candidate(ufrag) });
        }
        self.after(Duration::from_millis(300), Job::Report { pc, event: ConnectionEvent::LocalCandidatesEnd });
    }

    fn report(&mut self, pc: PcId, event: ConnectionEvent) {
        let pc = &self.pcs[&pc];
        let (index, connection, generation) = (pc.client, pc.connection, pc.generation);
        self.log(|| format!("{index} <- pc {} ({connection}.{generation}) {event:?}", pc.id));
        self.clients[index].session.handle_connection(connection, generation, event, self.now);
        self.drain(index);
    }

    /// The other end, if both are alive, mean each other, and something goes through between them.
    fn partner(&self, id: PcId) -> Option<PcId> {
        let pc = &self.pcs[&id];
        let remote = &self.pcs[&pc.remote.as_ref()?.pc];
        let mutual = remote.remote.as_ref().is_some_and(|description| description.pc == id);
        let ends = (pc.client.min(remote.client), pc.client.max(remote.client));
        let path = !self.blocked.contains(&ends) && !pc.needs_restart && !remote.needs_restart;
        (mutual && path && !pc.closed && !remote.closed).then_some(remote.id)
    }

    /// Whether both have the other's current credentials, and candidates to go with them.
    fn credentials_match(&self, a: PcId, b: PcId) -> bool {
        let knows = |one: &PeerConnection, other: &PeerConnection| {
            one.remote.as_ref().map(|remote| remote.ufrag) == other.ufrag
                && other.ufrag.is_some_and(|ufrag| one.candidates.contains(&ufrag))
        };
        knows(&self.pcs[&a], &self.pcs[&b]) && knows(&self.pcs[&b], &self.pcs[&a])
    }

    fn try_connect(&mut self, id: PcId) {
        let Some(remote) = self.partner(id) else { return };
        if self.credentials_match(id, remote) && !(self.is_connected(id) && self.is_connected(remote)) {
            let wait = self.dice.millis(20, 300);
            self.after(wait, Job::Connect { pc: id, remote });
        }
    }

    fn is_connected(&self, pc: PcId) -> bool {
        self.pcs[&pc].state == ConnectionState::Connected
    }

    fn connect(&mut self, a: PcId, b: PcId) {
        if self.partner(a) != Some(b) || !self.credentials_match(a, b) {
            return;
        }
        for id in [a, b] {
            if self.is_connected(id) || self.pcs[&id].closed {
                continue;
            }
            let pc = self.pcs.get_mut(&id).unwrap();
            pc.state = ConnectionState::Connected;
            let first = !std::mem::replace(&mut pc.channels_open, true);
            self.report(id, ConnectionEvent::StateChanged(ConnectionState::Connected));
            if first {
                self.report(id, ConnectionEvent::ChannelOpened(Channel::Control));
                self.report(id, ConnectionEvent::ChannelOpened(Channel::Chat));
            }
        }
        self.flush(a);
        self.flush(b);
    }

    fn flush(&mut self, id: PcId) {
        if self.is_connected(id) && self.partner(id).is_some() {
            for (chat, text) in std::mem::take(&mut self.pcs.get_mut(&id).unwrap().outbox) {
                self.carry(id, chat, text);
            }
        }
    }

    fn media_dead(&mut self, id: PcId) {
        if self.pcs[&id].closed || !self.is_connected(id) || self.partner(id).is_some() {
            return;
        }
        self.pcs.get_mut(&id).unwrap().state = ConnectionState::Disconnected;
        self.after(Duration::from_secs(9), Job::IceGivesUp { pc: id });
        self.report(id, ConnectionEvent::StateChanged(ConnectionState::Disconnected));
    }

    fn ice_gives_up(&mut self, id: PcId) {
        let pc = self.pcs.get_mut(&id).unwrap();
        if pc.closed || pc.state == ConnectionState::Connected || pc.state == ConnectionState::Failed {
            return;
        }
        pc.state = ConnectionState::Failed;
        pc.needs_restart = true;
        self.report(id, ConnectionEvent::StateChanged(ConnectionState::Failed));
    }

    fn close_pc(&mut self, id: PcId) {
        let pc = self.pcs.get_mut(&id).unwrap();
        pc.closed = true;
        self.closed.push((pc.remote_client, pc.state));
        self.coverage.replacements += u64::from(pc.remote.is_some());
        let remote = pc.remote.as_ref().map(|remote| remote.pc);
        // What a shell says when all is over; nobody should listen any more.
        self.after(
            Duration::from_millis(30),
            Job::Report { pc: id, event: ConnectionEvent::StateChanged(ConnectionState::Closed) },
        );
        if let Some(remote) = remote {
            let wait = self.dice.millis(2_000, 3_000);
            self.after(wait, Job::MediaDead { pc: remote });
        }
    }

    fn send_on_channel(&mut self, index: usize, slot: (u64, u32), chat: bool, text: String) {
        let pc = self.live(index, slot);
        if self.is_connected(pc) && self.partner(pc).is_some() {
            self.carry(pc, chat, text);
        } else {
            self.pcs.get_mut(&pc).unwrap().outbox.push((chat, text));
        }
    }

    fn carry(&mut self, from: PcId, chat: bool, text: String) {
        let Some(pc) = self.partner(from) else { return };
        // One delay for all keeps the order.
        self.after(Duration::from_millis(40), Job::Deliver { pc, chat, text });
    }
}

fn local_candidate(ufrag: u64) -> ConnectionEvent {
    ConnectionEvent::LocalCandidate(IceCandidate {
        candidate: ufrag.to_string(),
        sdp_mid: Some("0".into()),
        sdp_m_line_index: Some(0),
        username_fragment: None,
    })
}
