//! Transports between two: what they are asked, when they connect, what goes through.

use std::time::Duration;

use parlor_proto::{IceCandidate, Source};
use parlor_session::{Channel, ConnectionEvent, ConnectionState, OperationId};

use super::{Job, World};
use crate::peer_connection::{Operation, Outcome, PcId, PeerConnection};

impl World {
    pub(super) fn start(&mut self, index: usize, slot: (u64, u32), operation: OperationId, what: Operation) {
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

    pub(super) fn perform(&mut self, id: PcId, operation: OperationId, what: &Operation) {
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

    pub(super) fn gather(&mut self, pc: PcId, ufrag: u64, early: bool) {
        if !early {
            let wait = self.dice.millis(0, 200);
            self.after(wait, Job::Report { pc, event: local_candidate(ufrag) });
        }
        self.after(Duration::from_millis(300), Job::Report { pc, event: ConnectionEvent::LocalCandidatesEnd });
    }

    pub(super) fn report(&mut self, pc: PcId, event: ConnectionEvent) {
        let pc = &self.pcs[&pc];
        let (index, connection, generation) = (pc.client, pc.connection, pc.generation);
        self.log(|| format!("{index} <- pc {} ({connection}.{generation}) {event:?}", pc.id));
        self.clients[index].session.handle_connection(connection, generation, event, self.now);
        self.drain(index);
    }

    /// The other end, if both are alive, mean each other, and something goes through between them.
    pub(super) fn partner(&self, id: PcId) -> Option<PcId> {
        let pc = &self.pcs[&id];
        let remote = &self.pcs[&pc.remote.as_ref()?.pc];
        let mutual = remote.remote.as_ref().is_some_and(|description| description.pc == id);
        let ends = (pc.client.min(remote.client), pc.client.max(remote.client));
        let path = !self.blocked.contains(&ends) && !pc.needs_restart && !remote.needs_restart;
        (mutual && path && !pc.closed && !remote.closed).then_some(remote.id)
    }

    /// Whether both have the other's current credentials, and candidates to go with them.
    pub(super) fn credentials_match(&self, a: PcId, b: PcId) -> bool {
        let knows = |one: &PeerConnection, other: &PeerConnection| {
            one.remote.as_ref().map(|remote| remote.ufrag) == other.ufrag
                && other.ufrag.is_some_and(|ufrag| one.candidates.contains(&ufrag))
        };
        knows(&self.pcs[&a], &self.pcs[&b]) && knows(&self.pcs[&b], &self.pcs[&a])
    }

    pub(super) fn try_connect(&mut self, id: PcId) {
        let Some(remote) = self.partner(id) else { return };
        if self.credentials_match(id, remote) && !(self.is_connected(id) && self.is_connected(remote)) {
            let wait = self.dice.millis(20, 300);
            self.after(wait, Job::Connect { pc: id, remote });
        }
    }

    pub(super) fn is_connected(&self, pc: PcId) -> bool {
        self.pcs[&pc].state == ConnectionState::Connected
    }

    pub(super) fn connect(&mut self, a: PcId, b: PcId) {
        if self.partner(a) != Some(b) || !self.credentials_match(a, b) {
            return;
        }
        for id in [a, b] {
            if self.is_connected(id) || self.pcs[&id].closed {
                continue;
            }
            let pc = self.pcs.get_mut(&id).unwrap();
            pc.state = ConnectionState::Connected;
            let first = !std::mem::replace(&mut pc.connected_before, true);
            self.report(id, ConnectionEvent::StateChanged(ConnectionState::Connected));
            if first {
                // One end opens before the other; on a full link much before.
                let wait = self.dice.millis(0, 1_500);
                self.after(wait, Job::OpenChannels { pc: id });
            }
        }
        self.flush(a);
        self.flush(b);
    }

    pub(super) fn open_channels(&mut self, id: PcId) {
        let pc = self.pcs.get_mut(&id).unwrap();
        if pc.closed {
            return;
        }
        pc.channels_open = true;
        self.report(id, ConnectionEvent::ChannelOpened(Channel::Control));
        self.report(id, ConnectionEvent::ChannelOpened(Channel::Chat));
    }

    /// What reaches an end before its channels are open is lost, as on the real stack.
    pub(super) fn deliver(&mut self, id: PcId, chat: bool, text: String) {
        let pc = &self.pcs[&id];
        if pc.closed {
            return;
        }
        if !pc.channels_open {
            self.coverage.lost_early += 1;
            return;
        }
        let event = if chat { ConnectionEvent::ChatReceived(text) } else { ConnectionEvent::ControlReceived(text) };
        self.report(id, event);
    }

    pub(super) fn flush(&mut self, id: PcId) {
        if self.is_connected(id) && self.partner(id).is_some() {
            for (chat, text) in std::mem::take(&mut self.pcs.get_mut(&id).unwrap().outbox) {
                self.carry(id, chat, text);
            }
        }
    }

    pub(super) fn media_dead(&mut self, id: PcId) {
        if self.pcs[&id].closed || !self.is_connected(id) || self.partner(id).is_some() {
            return;
        }
        self.pcs.get_mut(&id).unwrap().state = ConnectionState::Disconnected;
        self.after(Duration::from_secs(9), Job::IceGivesUp { pc: id });
        self.report(id, ConnectionEvent::StateChanged(ConnectionState::Disconnected));
    }

    pub(super) fn ice_gives_up(&mut self, id: PcId) {
        let pc = self.pcs.get_mut(&id).unwrap();
        if pc.closed || pc.state == ConnectionState::Connected || pc.state == ConnectionState::Failed {
            return;
        }
        pc.state = ConnectionState::Failed;
        pc.needs_restart = true;
        self.report(id, ConnectionEvent::StateChanged(ConnectionState::Failed));
    }

    pub(super) fn close_pc(&mut self, id: PcId) {
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

    pub(super) fn send_on_channel(&mut self, index: usize, slot: (u64, u32), chat: bool, text: String) {
        let pc = self.live(index, slot);
        if self.is_connected(pc) && self.partner(pc).is_some() {
            self.carry(pc, chat, text);
        } else {
            self.pcs.get_mut(&pc).unwrap().outbox.push((chat, text));
        }
    }

    pub(super) fn carry(&mut self, from: PcId, chat: bool, text: String) {
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
