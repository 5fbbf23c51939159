use std::time::{Duration, Instant};

use parlor_proto::{
    ChatMessage, ClientMessage, ControlMessage, ErrorCode, IceCandidate, IceServer, Limits, PeerId, PeerInfo,
    RoomPolicy, Secret, ServerMessage, Signal, Source, StreamDescription, TransportId,
};

use crate::{
    Action, Channel, Command, ConnectionEvent, ConnectionId, ConnectionState, Credentials, Event, Generation,
    OpenFailure, OperationId, PeerView, Session, SessionConfig, SignalingEvent,
};

/// The server, the transports and the clock, in the hands of the test.
pub(super) struct Fixture {
    pub(super) session: Session,
    pub(super) now: Instant,
    pub(super) actions: Vec<Action>,
    pub(super) events: Vec<Event>,
    /// What `joined` says.
    pub(super) ice_servers: Vec<IceServer>,
    pub(super) ice_lifetime_seconds: Option<u64>,
}

/// Us. `ANN` is polite towards us, we are polite towards `ZOE`.
pub(super) const ME: &str = "mmmmmmmmmmmmmmmmmmmmmmmmmm";
pub(super) const ANN: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(super) const ZOE: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzz";

pub(super) fn id(text: &str) -> PeerId {
    text.parse().unwrap()
}

pub(super) fn person(text: &str) -> PeerInfo {
    let name = if text == ANN { "Ann" } else { "Zoe" };
    PeerInfo { peer_id: id(text), name: name.parse().unwrap(), away: false }
}

pub(super) fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

pub(super) fn candidate(text: &str) -> IceCandidate {
    IceCandidate { candidate: text.into(), sdp_mid: Some("0".into()), sdp_m_line_index: None, username_fragment: None }
}

impl Fixture {
    #[allow(clippy::disallowed_methods)]
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let config = SessionConfig { boot_id: Some("boot".into()), ..SessionConfig::default() };
        Self {
            session: Session::new(config, [1; 32], now),
            now,
            actions: Vec::new(),
            events: Vec::new(),
            ice_servers: Vec::new(),
            ice_lifetime_seconds: None,
        }
    }

    /// In a room with these, who were there before.
    pub(super) fn in_room_with(others: &[&str]) -> Self {
        let mut fixture = Self::new();
        fixture.join();
        fixture.open();
        fixture.joined(ME, others);
        fixture.forget();
        fixture
    }

    /// In a room with one other, who came after us, and connected.
    pub(super) fn connected_with(other: &str) -> Self {
        let mut fixture = Self::in_room_with(&[]);
        fixture.message(ServerMessage::PeerJoined { peer: person(other) });
        fixture.finish_offer(other);
        fixture.connect(other);
        fixture.forget();
        fixture
    }

    pub(super) fn forget(&mut self) {
        self.actions.clear();
        self.events.clear();
    }

    pub(super) fn drain(&mut self) {
        self.actions.extend(std::iter::from_fn(|| self.session.poll_action()));
        self.events.extend(std::iter::from_fn(|| self.session.poll_event()));
    }

    pub(super) fn command(&mut self, command: Command) {
        self.session.handle_command(command, self.now);
        self.drain();
    }

    pub(super) fn join(&mut self) {
        self.join_with(Credentials::default());
    }

    pub(super) fn join_with(&mut self, credentials: Credentials) {
        let (room, name) = ("room".parse().unwrap(), "Me".parse().unwrap());
        self.command(Command::Join { room, name, credentials });
    }

    pub(super) fn signaling(&mut self, event: SignalingEvent) {
        self.session.handle_signaling(event, self.now);
        self.drain();
    }

    pub(super) fn open(&mut self) {
        self.signaling(SignalingEvent::Opened);
    }

    pub(super) fn close(&mut self) {
        self.signaling(SignalingEvent::Closed { reason: "gone".into(), retry_after_ms: None });
    }

    pub(super) fn fail_to_open(&mut self, failure: OpenFailure, reason: &str) {
        self.signaling(SignalingEvent::OpenFailed { failure, reason: reason.into(), retry_after_ms: None });
    }

    pub(super) fn message(&mut self, message: ServerMessage) {
        self.signaling(SignalingEvent::Message(message));
    }

    pub(super) fn refuse(&mut self, code: ErrorCode, retry_after_ms: Option<u64>) {
        self.message(ServerMessage::Error { code, message: "A sentence.".into(), to: None, retry_after_ms });
    }

    pub(super) fn joined(&mut self, who: &str, others: &[&str]) {
        self.message(ServerMessage::Joined {
            room: "room".parse().unwrap(),
            peer_id: id(who),
            name: "Me".parse().unwrap(),
            resume_token: "token".parse().unwrap(),
            resumed: false,
            peers: others.iter().map(|other| person(other)).collect(),
            policy: RoomPolicy::default(),
            ice_servers: self.ice_servers.clone(),
            ice_lifetime_seconds: self.ice_lifetime_seconds,
            limits: Limits { room_capacity: 8, message_bytes: 65_536, resume_seconds: 10, chat_characters: 4_000 },
        });
    }

    /// Lets time pass, with every time-out at its instant.
    pub(super) fn wait(&mut self, wait: Duration) {
        let end = self.now + wait;
        while let Some((at, _)) = self.session.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// The socket is lost, opened again, and gives us our place back.
    pub(super) fn resume(&mut self, others: &[&str]) {
        self.wait(secs(2));
        self.open();
        self.joined(ME, others);
    }

    // ---- the peer ----

    pub(super) fn view_of(&self, who: &str) -> PeerView {
        self.find(who).expect("the peer is there")
    }

    pub(super) fn find(&self, who: &str) -> Option<PeerView> {
        self.session.view().peers.into_iter().find(|peer| peer.peer_id == id(who))
    }

    pub(super) fn slot(&self, who: &str) -> (ConnectionId, Generation) {
        self.view_of(who).connection.expect("there is a transport")
    }

    pub(super) fn report(&mut self, who: &str, event: ConnectionEvent) {
        let (connection, generation) = self.slot(who);
        self.session.handle_connection(connection, generation, event, self.now);
        self.drain();
    }

    pub(super) fn state(&mut self, who: &str, state: ConnectionState) {
        self.report(who, ConnectionEvent::StateChanged(state));
    }

    pub(super) fn connect(&mut self, who: &str) {
        self.state(who, ConnectionState::Connected);
        self.report(who, ConnectionEvent::ChannelOpened(Channel::Control));
        self.report(who, ConnectionEvent::ChannelOpened(Channel::Chat));
        self.control(who, &ControlMessage::Hello { versions: vec![1], client: "x".into(), boot_id: None });
    }

    pub(super) fn control(&mut self, who: &str, message: &ControlMessage) {
        self.report(who, ConnectionEvent::ControlReceived(message.encode()));
    }

    pub(super) fn chat(&mut self, who: &str, id: &str, text: &str) {
        let message = ChatMessage::Message { id: id.into(), text: text.into(), sent_at_ms: 7 };
        self.report(who, ConnectionEvent::ChatReceived(message.encode()));
    }

    pub(super) fn signal(&mut self, from: &str, connection: &TransportId, signal: Signal) {
        self.message(ServerMessage::Signal { from: id(from), connection: connection.clone(), signal });
    }

    pub(super) fn offer(&mut self, from: &str, connection: &TransportId) {
        let streams = vec![StreamDescription { mid: "0".into(), owner: id(from), source: Source::Microphone }];
        self.signal(from, connection, Signal::Offer { sdp: format!("offer {connection}"), streams });
    }

    /// The transport does what it was asked last.
    pub(super) fn complete(&mut self, who: &str) {
        let operation = self.last_operation();
        self.report(who, ConnectionEvent::OperationDone { operation });
    }

    pub(super) fn describe(&mut self, who: &str, sdp: &str) {
        let operation = self.last_operation();
        let streams = vec![("0".to_owned(), Source::Microphone)];
        self.report(who, ConnectionEvent::DescriptionReady { operation, sdp: sdp.into(), streams });
    }

    fn last_operation(&self) -> OperationId {
        let operation = |action: &Action| match action {
            Action::CreateOffer { operation, .. }
            | Action::AcceptOffer { operation, .. }
            | Action::AcceptAnswer { operation, .. }
            | Action::Rollback { operation, .. } => Some(*operation),
            _ => None,
        };
        self.actions.iter().rev().find_map(operation).expect("something was asked")
    }

    /// Our offer is made, sent, answered and applied.
    pub(super) fn finish_offer(&mut self, who: &str) {
        self.describe(who, "ours");
        let name = self.last_name();
        self.signal(who, &name, Signal::Answer { sdp: "theirs".into(), streams: Vec::new() });
        self.complete(who);
    }

    /// The name that the last signal of ours had.
    pub(super) fn last_name(&self) -> TransportId {
        let name = |action: &Action| match action {
            Action::SendSignaling(ClientMessage::Signal { connection, .. }) => Some(connection.clone()),
            _ => None,
        };
        self.actions.iter().rev().find_map(name).expect("a signal was sent")
    }

    // ---- what came out, in short ----

    pub(super) fn said(&self) -> Vec<String> {
        self.actions.iter().map(short).collect()
    }

    pub(super) fn has(&self, text: &str) -> bool {
        self.said().iter().any(|said| said.starts_with(text))
    }

    pub(super) fn errors(&self) -> Vec<String> {
        let error = |event: &Event| match event {
            Event::Error { message, .. } => Some(message.clone()),
            _ => None,
        };
        self.events.iter().filter_map(error).collect()
    }
}

fn short(action: &Action) -> String {
    match action {
        Action::OpenSignaling => "open signaling".into(),
        Action::CloseSignaling => "close signaling".into(),
        Action::DropSignaling => "drop signaling".into(),
        Action::SendSignaling(message) => match message {
            ClientMessage::Hello { .. } => "hello".into(),
            ClientMessage::Join { room, name, resume, access, password } => {
                let shown = |word: &str, secret: &Option<Secret>| {
                    secret.as_ref().map_or(String::new(), |secret| format!(" {word} {}", secret.reveal()))
                };
                let resume = resume.as_ref().map(Secret::reveal);
                format!("join {room} {name} {resume:?}{}{}", shown("access", access), shown("password", password))
            }
            ClientMessage::SetPassword { password } => {
                format!("set password {}", password.as_ref().map_or("none", Secret::reveal))
            }
            ClientMessage::SetLock { .. } | ClientMessage::Remove { .. } | ClientMessage::RefreshIceServers => {
                format!("{message:?}")
            }
            ClientMessage::Leave => "leave".into(),
            ClientMessage::Signal { signal: Signal::Offer { sdp, .. }, .. } => format!("offer {sdp}"),
            ClientMessage::Signal { signal: Signal::Answer { sdp, .. }, .. } => format!("answer {sdp}"),
            ClientMessage::Signal { signal: Signal::Candidate { candidate }, .. } => candidate.candidate.clone(),
            ClientMessage::Signal { signal: Signal::EndOfCandidates, .. } => "end".into(),
        },
        Action::CreateConnection { connection, generation, .. } => {
            format!("create connection {connection}.{generation}")
        }
        Action::UseIceServers { connection, generation, ice_servers } => {
            let urls: Vec<&str> = ice_servers.iter().flat_map(|server| &server.urls).map(String::as_str).collect();
            format!("use {connection}.{generation} {}", urls.join(" "))
        }
        Action::CloseConnection { connection, generation } => format!("close connection {connection}.{generation}"),
        Action::CreateOffer { ice_restart, .. } => format!("create offer {ice_restart}"),
        Action::AcceptOffer { sdp, .. } => format!("accept {sdp}"),
        Action::AcceptAnswer { sdp, .. } => format!("apply {sdp}"),
        Action::Rollback { .. } => "rollback".into(),
        Action::AddCandidate { candidate, .. } => format!("add {}", candidate.candidate),
        Action::EndOfCandidates { .. } => "add end".into(),
        Action::SendControl { message, .. } => format!("control {}", message.encode()),
        Action::SendChat { message: ChatMessage::Message { text, .. }, .. } => format!("chat {text}"),
    }
}
