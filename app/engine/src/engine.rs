//! The one task that owns the session: it feeds it what happens, and does what it says.

mod adapt;
mod peers;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::PeerId;
use parlor_session::{
    Action, Command, ConnectionEvent, ConnectionId, ConnectionState, EndReason, Event, Generation, Phase, Session,
    SignalingEvent,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::boot::boot_id;
use crate::call::{CallCommand, CallConfig, LocalMedia};
use crate::media_bridge::Fanout;
use crate::media_state::Wishes;
use crate::peer_driver::{PeerCommand, PeerEvent};
use crate::publisher::Publisher;
use crate::signaling_client::{Queued, SignalingClient, SocketId, Standby};
use adapt::Adaptation;
use peers::Peers;
use view::Viewer;

/// Events that may wait, of all sockets and of all connections each; full: the reporting tasks wait.
const EVENTS: usize = 256;
/// Meters, adaptation and device states are looked at this often.
const TICK_INTERVAL: Duration = Duration::from_millis(100);
/// How long goodbyes may take at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

struct Engine {
    config: CallConfig,
    media: LocalMedia,
    session: Session,
    signaling: Option<SignalingClient>,
    /// For the first socket.
    standby: Option<Standby>,
    /// Of the socket that was opened last.
    socket: SocketId,
    signaling_events: mpsc::Sender<(SocketId, SignalingEvent)>,
    peers: Peers,
    adaptation: Adaptation,
    wishes: Wishes,
    deafened: bool,
    viewer: Viewer,
    publisher: Publisher,
    /// What went wrong while doing what the session asked; told to it when all of it is done.
    failures: Vec<Failure>,
    /// Sockets and connections that are open or closing.
    tasks: JoinSet<()>,
    end: Option<EndReason>,
}

/// Something that takes no more work.
enum Failure {
    Signaling,
    Connection(ConnectionId, Generation),
}

/// Runs a call from joining to the last goodbye.
pub(crate) async fn run(
    config: CallConfig,
    standby: Option<Standby>,
    media: LocalMedia,
    commands: mpsc::Receiver<CallCommand>,
    publisher: Publisher,
) {
    let span = info_span!("room", room = %config.room);
    run_in_room(config, standby, media, commands, publisher).instrument(span).await;
}

async fn run_in_room(
    mut config: CallConfig,
    standby: Option<Standby>,
    media: LocalMedia,
    mut commands: mpsc::Receiver<CallCommand>,
    publisher: Publisher,
) {
    config.policy.session.boot_id = config.policy.session.boot_id.or_else(boot_id);
    let (signaling_events, mut signaling_receiver) = mpsc::channel(EVENTS);
    let (peer_events, mut peer_receiver) = mpsc::channel(EVENTS);
    let mut engine = match Engine::new(config, media, signaling_events, peer_events, publisher) {
        Ok(engine) => engine,
        Err((publisher, message)) => {
            warn!(message, "the call could not begin");
            publisher.end(EndReason::Unreachable { message });
            return;
        }
    };
    engine.standby = standby;
    engine.join();
    let mut tick = tokio::time::interval(TICK_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_handles = true;
    while engine.end.is_none() {
        let session_timeout = engine.session.poll_timeout().map(|(at, _why)| at);
        let publish_at = engine.viewer.publish_at();
        tokio::select! {
            command = commands.recv(), if has_handles => match command {
                Some(command) => engine.command(command),
                None => {
                    has_handles = false;
                    engine.handle(|session, now| session.handle_command(Command::Leave, now));
                }
            },
            Some((socket, event)) = signaling_receiver.recv() => engine.signaling_event(socket, event),
            Some(event) = peer_receiver.recv() => engine.peer_event(event),
            () = sleep_until(session_timeout) => engine.handle(Session::handle_timeout),
            () = sleep_until(publish_at) => engine.publish(),
            _ = tick.tick() => engine.tick(),
            Some(_ended) = engine.tasks.join_next() => {}
        }
    }
    engine.shut_down(&mut signaling_receiver, &mut peer_receiver).await;
}

/// Waits for an instant; for ever without one.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Engine {
    fn new(
        config: CallConfig,
        media: LocalMedia,
        signaling_events: mpsc::Sender<(SocketId, SignalingEvent)>,
        peer_events: mpsc::Sender<PeerEvent>,
        publisher: Publisher,
    ) -> Result<Self, (Publisher, String)> {
        let video = media.video.clone();
        let fanout = Arc::new(Fanout::new(Box::new(move || video.request_key_frame())));
        let peers = Peers::new(&config.policy, &media, fanout, peer_events, publisher.waker());
        let (seed, peers) = match (peers::random::<32>(), peers) {
            (Ok(seed), Ok(peers)) => (seed, peers),
            (Err(message), _) | (_, Err(message)) => return Err((publisher, message)),
        };
        let session = Session::new(config.policy.session.clone(), seed, Instant::now());
        let wishes = Wishes { muted: false, camera_enabled: media.video.is_enabled() };
        Ok(Self {
            config,
            viewer: Viewer::new(&media),
            media,
            session,
            signaling: None,
            standby: None,
            socket: 0,
            signaling_events,
            peers,
            adaptation: Adaptation::default(),
            wishes,
            deafened: false,
            publisher,
            failures: Vec::new(),
            tasks: JoinSet::new(),
            end: None,
        })
    }

    fn join(&mut self) {
        self.media.audio.set_muted(self.wishes.muted);
        self.media.audio.set_deafened(self.deafened);
        self.media.video.set_enabled(self.wishes.camera_enabled);
        self.tell_media_state();
        let CallConfig { room, name, credentials, .. } = self.config.clone();
        self.handle(|session, now| session.handle_command(Command::Join { room, name, credentials }, now));
    }

    /// One input to the session, and everything that follows from it.
    fn handle(&mut self, input: impl FnOnce(&mut Session, Instant)) {
        input(&mut self.session, Instant::now());
        self.drain();
        while let Some(failure) = self.failures.pop() {
            self.report(failure);
            self.drain();
        }
        self.viewer.state_changed(Instant::now());
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.perform(action);
        }
        while let Some(event) = self.session.poll_event() {
            self.notice(event);
        }
    }

    fn report(&mut self, failure: Failure) {
        let now = Instant::now();
        match failure {
            Failure::Signaling => {
                let reason = "The server stopped reading".to_owned();
                self.session.handle_signaling(SignalingEvent::Closed { reason, retry_after_ms: None }, now);
            }
            Failure::Connection(connection, generation) => {
                let event = ConnectionEvent::StateChanged(ConnectionState::Failed);
                self.session.handle_connection(connection, generation, event, now);
            }
        }
    }

    fn notice(&mut self, event: Event) {
        match &event {
            Event::Joined { resumed, .. } => {
                info!(resumed, "joined");
                self.viewer.joined(Instant::now());
            }
            Event::Ended { reason } => {
                info!(%reason, "ended");
                self.end = Some(reason.clone());
            }
            Event::PeerConnected { peer_id } => info!(%peer_id, "peer connected"),
            Event::PeerLeft { peer_id, reason, .. } => info!(%peer_id, ?reason, "peer left"),
            Event::PeerJoined { .. }
            | Event::PeerReconnecting { .. }
            | Event::PeerAway { .. }
            | Event::PeerBack { .. }
            | Event::ChatReceived { .. }
            | Event::PeerMedia { .. }
            | Event::JoinDelayed { .. }
            | Event::Policy { .. }
            | Event::SignalingLost
            | Event::SignalingRestored
            | Event::Error { .. } => {}
        }
        self.publisher.notice(event);
    }

    fn signaling_event(&mut self, socket: SocketId, event: SignalingEvent) {
        if self.signaling.as_ref().is_none_or(|signaling| signaling.id() != socket) {
            return;
        }
        if matches!(event, SignalingEvent::OpenFailed { .. } | SignalingEvent::Closed { .. }) {
            self.signaling = None;
        }
        self.handle(|session, now| session.handle_signaling(event, now));
    }

    fn peer_event(&mut self, (connection, generation, event): PeerEvent) {
        if let ConnectionEvent::StateChanged(state) = event {
            self.peers.state_changed(connection, generation, state, Instant::now());
        }
        self.handle(|session, now| session.handle_connection(connection, generation, event, now));
    }

    fn command(&mut self, command: CallCommand) {
        match command {
            CallCommand::Leave => self.handle(|session, now| session.handle_command(Command::Leave, now)),
            CallCommand::SetMuted(muted) => {
                self.wishes.muted = muted;
                self.media.audio.set_muted(muted);
                self.tell_media_state();
            }
            CallCommand::SetCameraEnabled(enabled) => {
                self.wishes.camera_enabled = enabled;
                self.media.video.set_enabled(enabled);
                self.tell_media_state();
            }
            CallCommand::SetDeafened(deafened) => {
                self.deafened = deafened;
                self.media.audio.set_deafened(deafened);
                self.viewer.state_changed(Instant::now());
            }
            CallCommand::SetVideoSource(source) => self.media.video.set_source(source),
            CallCommand::SetAudioSource(source) => self.media.audio.set_source(source),
            CallCommand::SetAudioSink(sink) => self.media.audio.set_sink(sink),
            CallCommand::SendChat(text) => {
                let sent_at_ms = self.media.clock.unix_tenth_ms(Instant::now()) / 10;
                self.handle(|session, now| session.handle_command(Command::SendChat { text, sent_at_ms }, now));
            }
            CallCommand::SetVolume(peer, volume) => {
                self.peers.set_volume(peer, volume);
                self.viewer.state_changed(Instant::now());
            }
            CallCommand::RestartIce => self.restart_ice(),
            CallCommand::SetLock(locked) => self.tell_session(Command::SetLock(locked)),
            CallCommand::SetPassword(password) => self.tell_session(Command::SetPassword(password)),
            CallCommand::Remove(peer) => self.tell_session(Command::Remove(peer)),
        }
    }

    fn tell_session(&mut self, command: Command) {
        self.handle(|session, now| session.handle_command(command, now));
    }

    fn restart_ice(&mut self) {
        let peers: Vec<PeerId> = self.session.view().peers.into_iter().map(|peer| peer.peer_id).collect();
        for peer in peers {
            self.handle(|session, now| session.handle_command(Command::RequestIceRestart(peer), now));
        }
    }

    /// Tells the session what our devices do, where that has changed.
    fn tell_media_state(&mut self) {
        if let Some(state) = self.viewer.media_state(self.wishes, &self.media) {
            self.handle(|session, now| session.handle_command(Command::SetMedia(state), now));
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::OpenSignaling => self.open_signaling(),
            Action::CloseSignaling => {
                if let Some(signaling) = self.signaling.take() {
                    signaling.close();
                }
            }
            Action::DropSignaling => self.signaling = None,
            Action::SendSignaling(message) => self.send_signaling(&message),
            Action::CreateConnection { connection, generation, peer, ice_servers } => {
                let frames = self.peers.create(connection, generation, peer.clone(), ice_servers, &mut self.tasks);
                self.publisher.set_pictures(peer, Some(frames));
            }
            Action::UseIceServers { connection, generation, ice_servers } => {
                self.tell_peer(connection, generation, PeerCommand::UseIceServers(ice_servers));
            }
            Action::CloseConnection { connection, generation } => {
                if let Some(peer) = self.peers.close(connection, generation, &mut self.tasks) {
                    self.publisher.set_pictures(peer, None);
                }
            }
            Action::CreateOffer { connection, generation, operation, ice_restart } => {
                self.tell_peer(connection, generation, PeerCommand::CreateOffer { operation, ice_restart });
            }
            Action::AcceptOffer { connection, generation, operation, sdp, streams } => {
                self.tell_peer(connection, generation, PeerCommand::AcceptOffer { operation, sdp, streams });
            }
            Action::AcceptAnswer { connection, generation, operation, sdp, streams } => {
                self.tell_peer(connection, generation, PeerCommand::AcceptAnswer { operation, sdp, streams });
            }
            Action::Rollback { connection, generation, operation } => {
                self.tell_peer(connection, generation, PeerCommand::Rollback { operation });
            }
            Action::AddCandidate { connection, generation, candidate } => {
                self.tell_peer(connection, generation, PeerCommand::AddCandidate(candidate));
            }
            // The stack has no use for it: checks end by time.
            Action::EndOfCandidates { .. } => {}
            Action::SendControl { connection, generation, message } => {
                let command = PeerCommand::Send(parlor_session::Channel::Control, message.encode());
                self.tell_peer(connection, generation, command);
            }
            Action::SendChat { connection, generation, message } => {
                let command = PeerCommand::Send(parlor_session::Channel::Chat, message.encode());
                self.tell_peer(connection, generation, command);
            }
        }
    }

    /// A connection that does not take commands any more has failed; the session decides what follows.
    fn tell_peer(&mut self, connection: ConnectionId, generation: Generation, command: PeerCommand) {
        if !self.peers.send(connection, generation, command) {
            warn!(%connection, "the connection hangs");
            self.failures.push(Failure::Connection(connection, generation));
        }
    }

    fn open_signaling(&mut self) {
        self.socket = self.socket.wrapping_add(1);
        self.signaling = Some(SignalingClient::open(
            self.socket,
            self.config.server.clone(),
            self.standby.take(),
            self.config.policy.signaling,
            self.signaling_events.clone(),
            &mut self.tasks,
        ));
    }

    fn send_signaling(&mut self, message: &parlor_proto::ClientMessage) {
        let Some(signaling) = &self.signaling else { return };
        match signaling.send(message) {
            Queued::Waiting | Queued::Ended => {}
            Queued::Overflow => {
                self.signaling = None;
                self.failures.push(Failure::Signaling);
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.tell_media_state();
        self.peers.measure(now);
        for (connection, generation, flow) in self.adaptation.apply(&self.peers, &self.media, now) {
            let event = ConnectionEvent::VideoFlow(flow);
            self.handle(|session, now| session.handle_connection(connection, generation, event, now));
        }
        self.viewer.look(now, &self.media, &self.peers);
    }

    fn publish(&mut self) {
        let now = Instant::now();
        let Self { viewer, session, media, peers, wishes, deafened, .. } = self;
        let snapshot = viewer.snapshot(now, session, media, peers, *wishes, *deafened);
        self.publisher.snapshot(snapshot);
    }

    /// Waits for the goodbyes, and takes what is still reported so that nobody waits for us.
    async fn shut_down(
        mut self,
        signaling: &mut mpsc::Receiver<(SocketId, SignalingEvent)>,
        peers: &mut mpsc::Receiver<PeerEvent>,
    ) {
        // A socket that the session left open is dropped; connections are closed.
        self.signaling = None;
        for peer in self.peers.close_all(&mut self.tasks) {
            self.publisher.set_pictures(peer, None);
        }
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        loop {
            tokio::select! {
                joined = self.tasks.join_next() => if joined.is_none() { break },
                Some(_late) = signaling.recv() => {}
                Some(_late) = peers.recv() => {}
                () = sleep_until(Some(deadline)) => {
                    warn!("not everything closed in time");
                    break;
                }
            }
        }
        self.publish();
        let reason = self.end.take().unwrap_or(EndReason::Left);
        debug!(phase = ?Phase::Ended(reason.clone()), "over");
        self.publisher.end(reason);
    }
}
