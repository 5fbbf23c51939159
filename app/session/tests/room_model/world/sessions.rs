//! What the sessions ask for is done, and what they tell is held against the model.

use std::time::Duration;

use parlor_proto::{ChatMessage, ClientMessage, ErrorCode, Signal};
use parlor_session::{Action, ConnectionState, EndReason, Event, PeerLeftReason};
use parlor_signaling::CloseKind;

use super::{Job, World};
use crate::peer_connection::{Description, Operation, PcId, PeerConnection};

impl World {
    pub(super) fn drain(&mut self, index: usize) {
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

    pub(super) fn note(&mut self, index: usize, event: Event) {
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

    pub(super) fn act(&mut self, index: usize, action: Action) {
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

    pub(super) fn send_signaling(&mut self, index: usize, message: &ClientMessage) {
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

    pub(super) fn live(&self, index: usize, slot: (u64, u32)) -> PcId {
        *self.clients[index].live.get(&slot).expect("actions are for live transports")
    }
}
