//! Which peers there should be, and which transport belongs to whom: the only place that maps people to connections.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlor_proto::{ChatMessage, ControlMessage, DisplayName, LeaveReason, PeerId, PeerInfo, Signal, TransportId};

use crate::env::Env;
use crate::peer::{Fate, Peer};
use crate::view::{PeerView, Presence};
use crate::{ConnectionEvent, ConnectionId, Event, Generation, PeerLeftReason};

/// Everyone else in the room, at most `peers_max`.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    peers: BTreeMap<PeerId, Peer>,
    owners: BTreeMap<ConnectionId, PeerId>,
    connections: u64,
    seats: u64,
}

/// Who makes the first offer to someone not met before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstOffer {
    /// They do: they were there before us.
    Theirs,
    /// We do: they came after us.
    Ours,
    /// Either: it is not known who came first.
    Either,
}

impl Mesh {
    /// The server names everyone else in the room.
    pub(crate) fn meet_roster(&mut self, roster: Vec<PeerInfo>, first_offer: FirstOffer, env: &mut Env<'_>) {
        for (id, peer) in &mut self.peers {
            if !roster.iter().any(|info| info.peer_id == *id) {
                peer.set_presence(Presence::Missing, env);
            }
        }
        for info in roster {
            self.meet(info, first_offer, env);
        }
    }

    /// The server names one person in the room.
    pub(crate) fn meet(&mut self, info: PeerInfo, first_offer: FirstOffer, env: &mut Env<'_>) {
        if let Some(peer) = self.peers.get_mut(&info.peer_id) {
            return peer.is_listed(info, env);
        }
        if info.peer_id == *env.self_id {
            return;
        }
        if self.peers.len() >= env.config.peers_max {
            let message = format!("{} can't be connected: there are too many people in this room.", info.name);
            return env.out.complain(None, message);
        }
        self.connections += 1;
        self.seats += 1;
        let connection = ConnectionId(self.connections);
        self.owners.insert(connection, info.peer_id.clone());
        let id = info.peer_id.clone();
        let mut peer = Peer::new(info, self.seats, connection, env);
        match first_offer {
            FirstOffer::Theirs => peer.expect_offer(),
            FirstOffer::Ours => peer.offer_now(env),
            FirstOffer::Either => peer.offer_soon(env),
        }
        self.peers.insert(id, peer);
    }

    /// The server has lost someone, who may come back.
    pub(crate) fn peer_away(&mut self, id: &PeerId, env: &mut Env<'_>) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.set_presence(Presence::Away, env);
        }
    }

    /// The server no longer has someone in the room. Whose time is up only there is kept while media with them lives.
    pub(crate) fn peer_left(&mut self, id: &PeerId, reason: LeaveReason, env: &mut Env<'_>) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        match reason {
            LeaveReason::Left => self.remove(id, PeerLeftReason::Left, env),
            LeaveReason::Removed => self.remove(id, PeerLeftReason::Removed, env),
            LeaveReason::Timeout | LeaveReason::Unknown if peer.is_connected() => {
                peer.set_presence(Presence::Missing, env);
            }
            LeaveReason::Timeout | LeaveReason::Unknown => self.remove(id, PeerLeftReason::Timeout, env),
        }
    }

    /// A description or candidate from someone; from nobody known it is ignored.
    pub(crate) fn signal(&mut self, from: &PeerId, id: TransportId, signal: Signal, env: &mut Env<'_>) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.handle_signal(id, signal, env);
        }
    }

    /// Something happened to a transport; late events of closed ones are ignored.
    pub(crate) fn connection_event(
        &mut self,
        (connection, generation): (ConnectionId, Generation),
        event: ConnectionEvent,
        env: &mut Env<'_>,
    ) {
        let Some(id) = self.owners.get(&connection).cloned() else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match peer.handle_connection(generation, event, env) {
            Fate::Stays => {}
            Fate::Goes => self.remove(&id, PeerLeftReason::Left, env),
        }
    }

    /// The server named other ICE servers, or the same with new credentials.
    pub(crate) fn use_ice_servers(&self, env: &mut Env<'_>) {
        for peer in self.peers.values() {
            peer.use_ice_servers(env);
        }
    }

    pub(crate) fn request_ice_restart(&mut self, id: &PeerId, env: &Env<'_>) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.request_ice_restart(env);
        }
    }

    /// Sends to everyone whose control channel is open.
    pub(crate) fn send_control(&self, message: &ControlMessage, env: &mut Env<'_>) {
        for peer in self.peers.values() {
            peer.send_control(message.clone(), env);
        }
    }

    /// Sends to everyone connected. Returns who is not, in the order of the list.
    pub(crate) fn send_chat(&self, message: &ChatMessage, env: &mut Env<'_>) -> Vec<DisplayName> {
        let mut peers: Vec<&Peer> = self.peers.values().collect();
        peers.sort_by_key(|peer| peer.seat);
        peers.retain(|peer| !peer.send_chat(message.clone(), env));
        peers.into_iter().map(|peer| peer.name().clone()).collect()
    }

    /// Messages to the server were refused: what matters of them is sent again.
    pub(crate) fn resync(&mut self) {
        for peer in self.peers.values_mut() {
            peer.resync();
        }
    }

    /// Closes all transports; `reason` is told of each person, where it is news.
    pub(crate) fn clear(&mut self, reason: Option<PeerLeftReason>, env: &mut Env<'_>) {
        self.owners.clear();
        for (peer_id, peer) in std::mem::take(&mut self.peers) {
            let name = peer.name().clone();
            peer.dismiss(env);
            if let Some(reason) = reason {
                env.out.tell(Event::PeerLeft { peer_id, name, reason });
            }
        }
    }

    /// Brings everyone in line with what is known now.
    pub(crate) fn settle(&mut self, env: &mut Env<'_>) {
        for peer in self.peers.values_mut() {
            peer.settle(env);
        }
    }

    pub(crate) fn handle_timeout(&mut self, env: &mut Env<'_>) {
        for peer in self.peers.values_mut() {
            peer.handle_timeout(env);
        }
        let lost: Vec<PeerId> =
            self.peers.iter().filter(|(_, peer)| peer.is_lost(env)).map(|(id, _)| id.clone()).collect();
        for id in lost {
            self.remove(&id, PeerLeftReason::Lost, env);
        }
    }

    pub(crate) fn poll_timeout(&self, lost_after: Duration) -> Option<(Instant, &'static str)> {
        self.peers.values().filter_map(|peer| peer.poll_timeout(lost_after)).min()
    }

    pub(crate) fn views(&self) -> Vec<PeerView> {
        let mut peers: Vec<&Peer> = self.peers.values().collect();
        peers.sort_by_key(|peer| peer.seat);
        peers.into_iter().map(Peer::view).collect()
    }

    fn remove(&mut self, id: &PeerId, reason: PeerLeftReason, env: &mut Env<'_>) {
        let Some(peer) = self.peers.remove(id) else { return };
        self.owners.remove(&peer.connection());
        let (peer_id, name) = (id.clone(), peer.name().clone());
        peer.dismiss(env);
        env.out.tell(Event::PeerLeft { peer_id, name, reason });
    }
}
