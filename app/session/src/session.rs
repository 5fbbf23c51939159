//! The facade: one call, from joining to leaving.

mod moderation;
mod server;

use std::time::Instant;

use parlor_proto::{ClientMessage, ControlMessage, DisplayName, ErrorCode, RoomId};

use crate::chat::{Chat, ChatError};
use crate::env::{Env, Outputs, Retired};
use crate::mesh::Mesh;
use crate::random::Random;
use crate::reconnect::{LinkStep, SignalingLink};
use crate::room::{Joining, Membership};
use crate::{
    Action, Author, ChatLine, Command, ConnectionEvent, ConnectionId, Credentials, EndReason, Event, Generation,
    MediaState, OpenFailure, Phase, RelayNote, RoomView, ServerProblem, SessionConfig, SignalingEvent,
};

/// One call, from joining to leaving. See the crate's documentation for the contract.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    random: Random,
    membership: Membership,
    link: SignalingLink,
    /// Whether the user was told that the server is out of reach.
    told_signaling_lost: bool,
    /// Why the last attempt to reach the server came to nothing.
    server_problem: Option<ServerProblem>,
    told_relay_note: Option<RelayNote>,
    /// What the server said last when it did not take us back, so that it is told once.
    told_refusal: Option<ErrorCode>,
    /// When to send again what the server refused for being too much.
    resync_at: Option<Instant>,
    mesh: Mesh,
    retired: Retired,
    chat: Chat,
    media: MediaState,
    out: Outputs,
}

impl Session {
    /// A session that has not joined anything. `seed` makes jitter and the names of transports; it should be new for
    /// every session, but need not be secret.
    pub fn new(config: SessionConfig, seed: [u8; 32], _now: Instant) -> Self {
        Self {
            config,
            random: Random::new(seed),
            membership: Membership::None,
            link: SignalingLink::new(),
            told_signaling_lost: false,
            server_problem: None,
            told_relay_note: None,
            told_refusal: None,
            resync_at: None,
            mesh: Mesh::default(),
            retired: Retired::default(),
            chat: Chat::default(),
            media: MediaState::default(),
            out: Outputs::default(),
        }
    }

    /// The user wants something.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Join { room, name, credentials } => self.join(room, name, credentials, now),
            Command::Leave => self.leave(now),
            Command::SetMedia(media) => self.set_media(media, now),
            Command::SendChat { text, sent_at_ms } => self.send_chat(&text, sent_at_ms, now),
            Command::RequestIceRestart(peer_id) => {
                self.with_mesh(now, |mesh, env| mesh.request_ice_restart(&peer_id, env));
            }
            Command::SetLock(locked) => self.ask_server(ClientMessage::SetLock { locked }),
            Command::SetPassword(password) => self.set_password(password),
            Command::Remove(peer_id) => self.ask_server(ClientMessage::Remove { peer_id }),
        }
        self.settle(now);
    }

    /// The socket to the server reported something.
    pub fn handle_signaling(&mut self, event: SignalingEvent, now: Instant) {
        match event {
            SignalingEvent::Opened => {
                if self.link.opened(&self.config, now) {
                    self.send_all(self.membership.greeting(&self.config));
                }
            }
            SignalingEvent::Message(message) => self.handle_message(message, now),
            SignalingEvent::Undecodable(why) => {
                self.out
                    .complain(None, format!("The server said something that this program does not understand: {why}."));
            }
            SignalingEvent::OpenFailed { failure, reason, retry_after_ms } => {
                self.open_failed(failure, reason, retry_after_ms, now);
            }
            SignalingEvent::Closed { reason, retry_after_ms } => {
                self.link.ask_to_wait(retry_after_ms, &self.config);
                self.signaling_closed(reason, now);
            }
        }
        self.settle(now);
    }

    /// A transport reported something. What comes late from an earlier generation is ignored.
    pub fn handle_connection(
        &mut self,
        connection: ConnectionId,
        generation: Generation,
        event: ConnectionEvent,
        now: Instant,
    ) {
        self.with_mesh(now, |mesh, env| mesh.connection_event((connection, generation), event, env));
        self.settle(now);
    }

    /// The instant named by [`Session::poll_timeout`] has come. Calling it early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.membership.give_up_at().is_some_and(|at| at <= now) {
            self.give_up(now);
        }
        match self.link.take_due(&self.config, &mut self.random, now) {
            Some(LinkStep::Open) => self.out.act(Action::OpenSignaling),
            Some(LinkStep::Drop) => {
                self.out.act(Action::DropSignaling);
                self.note_signaling_lost("The server did not answer in time".into());
            }
            None => {}
        }
        if self.membership.tell_silence_at().is_some_and(|at| at <= now) {
            self.note_signaling_lost("The server has not answered yet".into());
        }
        if self.resync_at.is_some_and(|at| at <= now) {
            self.resync_at = None;
            self.mesh.resync();
        }
        self.renew_ice_servers(now);
        self.with_mesh(now, |mesh, env| mesh.handle_timeout(env));
        self.settle(now);
    }

    /// The next thing the shell must do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.actions.pop_front()
    }

    /// The next thing the user should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.next_event()
    }

    /// When to call [`Session::handle_timeout`], and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let give_up = self.membership.give_up_at().map(|at| (at, "first join"));
        let silence = self.membership.tell_silence_at().map(|at| (at, "silence"));
        let link = self.link.poll_timeout().map(|at| (at, "signaling"));
        let resync = self.resync_at.map(|at| (at, "rate limit"));
        let ice_servers = self.membership.member().and_then(|member| member.ice_servers.poll_timeout());
        // While the server is out of reach nothing can be asked; its next `joined` brings new ones.
        let ice_servers = ice_servers.filter(|_| self.link.is_ready()).map(|at| (at, "ICE servers"));
        let mesh = self.mesh.poll_timeout(self.config.lost_peer_timeout);
        [give_up, silence, link, resync, ice_servers, mesh].into_iter().flatten().min()
    }

    /// The whole room as one value.
    pub fn view(&self) -> RoomView {
        let (room, name) = self.membership.room_and_name().unzip();
        RoomView {
            phase: self.phase(),
            room: room.cloned(),
            server_problem: self.server_problem.clone(),
            self_id: self.membership.member().map(|member| member.self_id.clone()),
            name: name.cloned(),
            peers: self.mesh.views(),
            chat: self.chat.lines(),
            chat_total: self.chat.total(),
            media: self.media,
            policy: self.membership.member().map(|member| member.policy).unwrap_or_default(),
            relay_note: self.relay_note(),
            limits: self.membership.member().map(|member| member.limits.clone()),
        }
    }

    fn phase(&self) -> Phase {
        match &self.membership {
            Membership::None => Phase::Idle,
            Membership::Joining(_) => Phase::Joining,
            Membership::Member(_) if self.link.is_ready() => Phase::InRoom,
            Membership::Member(_) => Phase::Reconnecting,
            Membership::Ended { reason, .. } => Phase::Ended(reason.clone()),
        }
    }

    fn join(&mut self, room: RoomId, name: DisplayName, credentials: Credentials, now: Instant) {
        if self.membership.is_wanted() {
            return self.out.complain(None, "You are in a call already; leave it first.");
        }
        let give_up_at = now + self.config.first_join_timeout;
        let tell_silence_at = Some(now + self.config.join_silence_max);
        self.membership = Membership::Joining(Joining { room, name, credentials, give_up_at, tell_silence_at });
        self.told_signaling_lost = false;
        self.server_problem = None;
        self.told_relay_note = None;
        self.told_refusal = None;
        self.chat = Chat::default();
        self.link.stop();
        self.link.open(&self.config, now);
        self.out.act(Action::OpenSignaling);
    }

    /// The peers are told directly, and by the server: whichever way is open.
    fn leave(&mut self, now: Instant) {
        if !self.membership.is_wanted() {
            return;
        }
        self.with_mesh(now, |mesh, env| mesh.send_control(&ControlMessage::Bye, env));
        if self.link.is_open() {
            self.send_all(vec![ClientMessage::Leave]);
        }
        self.end(EndReason::Left, now);
    }

    /// Ends the call, whatever state it is in.
    fn end(&mut self, reason: EndReason, now: Instant) {
        self.with_mesh(now, |mesh, env| mesh.clear(None, env));
        self.out.act(Action::CloseSignaling);
        self.link.stop();
        self.resync_at = None;
        let (room, name) = self.membership.room_and_name().unzip();
        self.membership = Membership::Ended { reason: reason.clone(), room: room.cloned(), name: name.cloned() };
        self.out.tell(Event::Ended { reason });
    }

    fn give_up(&mut self, now: Instant) {
        let silence = || "The server did not answer in time".to_owned();
        let message = self.server_problem.take().map_or_else(silence, |problem| problem.message);
        self.end(EndReason::Unreachable { message }, now);
    }

    fn set_media(&mut self, media: MediaState, now: Instant) {
        if std::mem::replace(&mut self.media, media) != media {
            self.with_mesh(now, |mesh, env| mesh.send_control(&media.into(), env));
        }
    }

    fn send_chat(&mut self, text: &str, sent_at_ms: u64, now: Instant) {
        let Some(member) = self.membership.member() else {
            return self.out.complain(None, ChatError::NotInRoom.to_string());
        };
        let message = match self.chat.compose(text, sent_at_ms, Some(&member.limits)) {
            Ok(message) => message,
            Err(error) => return self.out.complain(None, error.to_string()),
        };
        let unreached = self.with_mesh(now, |mesh, env| mesh.send_chat(&message, env)).unwrap_or_default();
        let line = ChatLine { author: Author::You, text: text.trim().to_owned(), at_ms: sent_at_ms, unreached };
        self.chat.add(line);
    }

    /// What no second attempt mends ends a first join; in a running call it is told, and media goes on.
    fn open_failed(&mut self, failure: OpenFailure, reason: String, retry_after_ms: Option<u64>, now: Instant) {
        if !self.link.is_opening() {
            return;
        }
        let message = crate::env::shortened(reason);
        let joining = matches!(self.membership, Membership::Joining(_));
        match failure {
            OpenFailure::Certificate if joining => return self.end(EndReason::Untrusted { message }, now),
            OpenFailure::WrongAddress if joining => return self.end(EndReason::WrongAddress { message }, now),
            OpenFailure::Passing | OpenFailure::Certificate | OpenFailure::WrongAddress => {}
        }
        self.link.ask_to_wait(retry_after_ms, &self.config);
        self.link.closed(&self.config, &mut self.random, now);
        self.note_problem(ServerProblem { failure, message });
    }

    fn signaling_closed(&mut self, reason: String, now: Instant) {
        if self.link.closed(&self.config, &mut self.random, now) {
            self.note_signaling_lost(reason);
        }
    }

    fn note_signaling_lost(&mut self, reason: String) {
        self.note_problem(ServerProblem { failure: OpenFailure::Passing, message: crate::env::shortened(reason) });
    }

    /// Tells what is new in it.
    fn note_problem(&mut self, problem: ServerProblem) {
        let ServerProblem { failure, message } = problem.clone();
        let is_news = self.server_problem.replace(problem.clone()) != Some(problem);
        match &mut self.membership {
            Membership::Joining(joining) => {
                joining.tell_silence_at = None;
                if is_news {
                    self.out.tell(Event::JoinDelayed { message });
                }
            }
            Membership::Member(_) => {
                if !std::mem::replace(&mut self.told_signaling_lost, true) {
                    self.out.tell(Event::SignalingLost);
                }
                if is_news && failure != OpenFailure::Passing {
                    self.out.complain(None, message);
                }
            }
            Membership::None | Membership::Ended { .. } => {}
        }
    }

    /// What keeps a user who hides their address from being connected.
    fn relay_note(&self) -> Option<RelayNote> {
        let member = self.membership.member().filter(|_| self.config.relay_only)?;
        member.ice_servers.relay_only_note()
    }

    /// Asks for new TURN credentials in time.
    fn renew_ice_servers(&mut self, now: Instant) {
        if !self.link.is_ready() {
            return;
        }
        let Some(member) = self.membership.member_mut() else { return };
        if member.ice_servers.take_due(self.config.ice_servers_retry, now) {
            self.send_all(vec![ClientMessage::RefreshIceServers]);
        }
    }

    fn send_all(&mut self, messages: Vec<ClientMessage>) {
        for message in messages {
            self.out.act(Action::SendSignaling(message));
        }
    }

    fn settle(&mut self, now: Instant) {
        self.with_mesh(now, |mesh, env| mesh.settle(env));
    }

    /// Works on the peers, of whom there are none before we are in a room.
    fn with_mesh<T>(&mut self, now: Instant, work: impl FnOnce(&mut Mesh, &mut Env<'_>) -> T) -> Option<T> {
        let member = self.membership.member()?;
        let mut env = Env {
            now,
            config: &self.config,
            self_id: &member.self_id,
            signaling_ready: self.link.is_ready(),
            ice_servers: &member.ice_servers,
            media: self.media,
            random: &mut self.random,
            retired: &mut self.retired,
            chat: &mut self.chat,
            out: &mut self.out,
        };
        Some(work(&mut self.mesh, &mut env))
    }
}

#[cfg(test)]
mod tests;
