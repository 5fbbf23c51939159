//! What goes wrong: sockets, servers, the links between them, media paths.

use std::time::Duration;

use parlor_session::{ConnectionEvent, ConnectionState};
use parlor_signaling::{CloseKind, Comeback};

use super::{Job, Socket, SocketId, World};
use crate::peer_connection::{PcId, PeerConnection};

impl World {
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

    pub(super) fn link_up(&mut self, server: usize) {
        if !self.servers.are_several() {
            return;
        }
        self.log(|| format!("hub {server} reaches the others"));
        let number = self.number();
        self.servers.link_up(server, number, self.now);
        self.drain_hub(server);
    }

    /// Does not touch the dice where there is one.
    pub(super) fn any_server(&mut self) -> usize {
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

    pub(super) fn unblock(&mut self, ends: (usize, usize)) {
        self.log(|| format!("media between {ends:?} unblocked"));
        self.blocked.remove(&ends);
        let moved = self.dice.chance(50);
        for pc in self.between(ends) {
            self.pcs.get_mut(&pc).unwrap().needs_restart |= moved;
            self.try_connect(pc);
            self.flush(pc);
        }
    }

    pub(super) fn between(&self, ends: (usize, usize)) -> Vec<PcId> {
        let own = |pc: &&PeerConnection| {
            !pc.closed && (pc.client.min(pc.remote_client), pc.client.max(pc.remote_client)) == ends
        };
        self.pcs.values().filter(own).map(|pc| pc.id).collect()
    }
}
