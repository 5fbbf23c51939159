//! Sockets between the sessions and the hubs: each keeps its order, and loses what is on its way when it breaks.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use parlor_proto::ServerMessage;
use parlor_session::SignalingEvent;
use parlor_signaling::{CloseKind, ConnId, Output};

use super::{Job, Socket, SocketId, World};

impl World {
    pub(super) fn cut(&mut self, socket: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.cut = true;
        }
    }

    pub(super) fn socket_arrives(&mut self, id: SocketId) {
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
    pub(super) fn hub_closes(&mut self, socket: SocketId) -> bool {
        self.sockets.get_mut(&socket).is_some_and(|socket| std::mem::take(&mut socket.hub_open))
    }

    pub(super) fn client_notices(&mut self, socket: SocketId, retry_after_ms: Option<u64>) {
        let Some(state) = self.sockets.get_mut(&socket).filter(|state| state.client_open) else { return };
        state.client_open = false;
        let index = state.client;
        self.clients[index].socket = None;
        self.log(|| format!("{index} notices the end of socket {socket}"));
        let event = SignalingEvent::Closed { reason: "the network is gone".into(), retry_after_ms };
        self.clients[index].session.handle_signaling(event, self.now);
        self.drain(index);
    }

    pub(super) fn tell_signaling(&mut self, socket: SocketId, event: SignalingEvent) {
        let Some(state) = self.sockets.get(&socket).filter(|state| state.client_open) else { return };
        let index = state.client;
        self.log(|| format!("{index} <- {event:?}"));
        self.clients[index].session.handle_signaling(event, self.now);
        self.drain(index);
    }

    pub(super) fn open_socket(&mut self, index: usize) {
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

    pub(super) fn forget_socket(&mut self, index: usize, kind: CloseKind) {
        let Some(id) = self.clients[index].socket.take() else { return };
        self.sockets.get_mut(&id).unwrap().client_open = false;
        let at = self.up_time(id);
        self.at(at, Job::HubNotices { socket: id, kind });
    }

    /// When something sent now arrives: never before what was sent earlier on the same socket.
    pub(super) fn up_time(&mut self, socket: SocketId) -> Instant {
        let wait = self.latency();
        let socket = self.sockets.get_mut(&socket).unwrap();
        socket.last_up = socket.last_up.max(self.now + wait);
        socket.last_up
    }

    pub(super) fn down_time(&mut self, socket: SocketId) -> Instant {
        let wait = self.latency();
        let socket = self.sockets.get_mut(&socket).unwrap();
        socket.last_down = socket.last_down.max(self.now + wait);
        socket.last_down
    }

    pub(super) fn latency(&mut self) -> Duration {
        if self.dice.chance(4) { self.dice.millis(200, 2_500) } else { self.dice.millis(1, 120) }
    }

    pub(super) fn drain_hub(&mut self, server: usize) {
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
}
