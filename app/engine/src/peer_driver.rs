//! One peer connection as a task: does what the session asks, one operation at a time, and reports what happens.
//!
//! The stack's callbacks run on its own driver task, so they only forward. Everything else waits its turn in one
//! loop, which is why a description is always reported before the candidates that follow from it.

pub(crate) mod configuration;
mod connection;
mod departure;
mod description;
mod handler;
mod handshake;
mod relay_only;
mod rhythm;
mod roaming;
mod runtime;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlor_proto::{IceCandidate, IceServer, StreamDescription};
use parlor_session::{Channel, ConnectionEvent, ConnectionId, ConnectionState, Generation, OperationId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{Instrument, Span, debug, warn};
use webrtc::peer_connection::RTCCertificate;

use crate::interceptors::{LinkQuality, PacerGauge};
use crate::media_bridge::inbound::Inbound;
use crate::media_bridge::{Fanout, Leg};
use crate::policy::EnginePolicy;
use connection::Connection;

/// Commands waiting for one connection. Full only when the stack hangs: then the connection counts as failed.
const COMMANDS: usize = 256;
/// Between two looks at the stack's statistics.
const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// What is reported to the owner of the session.
pub(crate) type PeerEvent = (ConnectionId, Generation, ConnectionEvent);

/// What a connection can be asked to do.
#[derive(Debug)]
pub(crate) enum PeerCommand {
    CreateOffer {
        operation: OperationId,
        ice_restart: bool,
    },
    AcceptOffer {
        operation: OperationId,
        sdp: String,
        streams: Vec<StreamDescription>,
    },
    AcceptAnswer {
        operation: OperationId,
        sdp: String,
        streams: Vec<StreamDescription>,
    },
    Rollback {
        operation: OperationId,
    },
    /// For what is gathered from the next ICE restart on.
    UseIceServers(Vec<IceServer>),
    AddCandidate(IceCandidate),
    Send(Channel, String),
    Close,
}

/// What the stack knows about a connection's path.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PathStats {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) rtt: Option<Duration>,
    /// Whether a relay carries it; none before a path is chosen.
    pub(crate) relayed: Option<bool>,
}

/// What the task and the owner of the session both see.
pub(crate) struct PeerShared {
    pub(crate) leg: Arc<Leg>,
    pub(crate) inbound: Inbound,
    pub(crate) quality: Arc<LinkQuality>,
    pub(crate) gauge: Arc<PacerGauge>,
    path: Mutex<PathStats>,
    codecs: Mutex<Codecs>,
}

/// The negotiated codecs' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Codecs {
    pub(crate) audio: Option<String>,
    pub(crate) video: Option<String>,
}

impl PeerShared {
    pub(crate) fn new(leg: Leg, inbound: Inbound) -> Self {
        Self {
            leg: Arc::new(leg),
            inbound,
            quality: Arc::default(),
            gauge: Arc::default(),
            path: Mutex::default(),
            codecs: Mutex::default(),
        }
    }

    pub(crate) fn path(&self) -> PathStats {
        *self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn codecs(&self) -> Codecs {
        self.codecs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_path(&self, path: PathStats) {
        if let Some(rtt) = path.rtt {
            self.quality.note_path_rtt(rtt);
            self.inbound.video.set_rtt(self.quality.repair_rtt().unwrap_or(rtt));
        }
        *self.path.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }

    fn set_codecs(&self, codecs: Codecs) {
        *self.codecs.lock().unwrap_or_else(PoisonError::into_inner) = codecs;
    }
}

/// What a connection is made from.
pub(crate) struct PeerSetup {
    pub(crate) connection: ConnectionId,
    pub(crate) generation: Generation,
    pub(crate) ice_servers: Vec<IceServer>,
    pub(crate) certificate: RTCCertificate,
    pub(crate) policy: EnginePolicy,
    pub(crate) clock: parlor_media::MediaClock,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) shared: Arc<PeerShared>,
    /// Unpredictable bits for SSRCs and first sequence numbers (RFC 3550 §8.1).
    pub(crate) random: [u32; 5],
}

/// The handle of one connection's task.
pub(crate) struct PeerDriver {
    commands: mpsc::Sender<PeerCommand>,
    task: JoinHandle<()>,
}

impl PeerDriver {
    /// Starts the task. Everything is reported on `events`.
    pub(crate) fn start(setup: PeerSetup, events: mpsc::Sender<PeerEvent>, span: Span) -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let reporter = Reporter { connection: setup.connection, generation: setup.generation, events };
        let task = tokio::spawn(run(setup, commands, reporter).instrument(span));
        Self { commands: sender, task }
    }

    /// Queues a command; false when the connection does not keep up any more.
    pub(crate) fn send(&self, command: PeerCommand) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Closes in the background; the handle ends when everything is closed.
    pub(crate) fn close(self) -> JoinHandle<()> {
        let Self { commands, task } = self;
        // Where the queue is full, dropping it closes as well.
        let _full = commands.try_send(PeerCommand::Close);
        task
    }
}

/// Reports with the sender's name on it.
#[derive(Clone)]
pub(crate) struct Reporter {
    connection: ConnectionId,
    generation: Generation,
    events: mpsc::Sender<PeerEvent>,
}

impl Reporter {
    pub(crate) async fn report(&self, event: ConnectionEvent) {
        // Nobody listens any more when the call is over.
        let _gone = self.events.send((self.connection, self.generation, event)).await;
    }

    async fn failed(&self, operation: OperationId, error: String) {
        // The stack's errors may hold whole packets or descriptions.
        let message: String = error.chars().take(200).collect();
        warn!(message, "an operation failed");
        self.report(ConnectionEvent::OperationFailed { operation, message }).await;
    }
}

async fn run(setup: PeerSetup, mut commands: mpsc::Receiver<PeerCommand>, reporter: Reporter) {
    let mut connection = match Connection::build(&setup, reporter.clone()).await {
        Ok(connection) => connection,
        Err(error) => {
            warn!(%error, "no connection could be made");
            reporter.report(ConnectionEvent::StateChanged(ConnectionState::Failed)).await;
            return refuse_all(commands, &reporter).await;
        }
    };
    let mut stats = tokio::time::interval(STATS_INTERVAL);
    let roaming = connection.roaming().clone();
    loop {
        let next_look = connection.next_look();
        tokio::select! {
            command = commands.recv() => match command {
                Some(PeerCommand::Close) | None => break,
                Some(command) => perform(&mut connection, command, &reporter).await,
            },
            event = connection.next_event() => connection.handle_event(event).await,
            () = roaming.moved() => connection.peer_moved(),
            () = tokio::time::sleep_until(next_look.into()) => connection.look().await,
            _ = stats.tick() => setup.shared.set_path(connection.path_stats().await),
        }
    }
    setup.shared.leg.queue().close();
    connection.close().await;
    debug!("closed");
}

async fn perform(connection: &mut Connection, command: PeerCommand, reporter: &Reporter) {
    match command {
        PeerCommand::CreateOffer { operation, ice_restart } => {
            describe(operation, connection.create_offer(ice_restart).await, reporter).await;
        }
        PeerCommand::AcceptOffer { operation, sdp, streams } => {
            describe(operation, connection.accept_offer(sdp, streams).await, reporter).await;
            connection.report_codecs().await;
        }
        PeerCommand::AcceptAnswer { operation, sdp, streams } => {
            done(operation, connection.accept_answer(sdp, streams).await, reporter).await;
            connection.report_codecs().await;
        }
        PeerCommand::Rollback { operation } => done(operation, connection.rollback().await, reporter).await,
        PeerCommand::UseIceServers(ice_servers) => connection.use_ice_servers(ice_servers),
        PeerCommand::AddCandidate(candidate) => connection.add_candidate(candidate).await,
        PeerCommand::Send(channel, text) => connection.send(channel, &text).await,
        PeerCommand::Close => {}
    }
}

async fn describe(
    operation: OperationId,
    result: webrtc::error::Result<connection::LocalDescription>,
    reporter: &Reporter,
) {
    match result {
        Ok(connection::LocalDescription { sdp, streams }) => {
            reporter.report(ConnectionEvent::DescriptionReady { operation, sdp, streams }).await;
        }
        Err(error) => reporter.failed(operation, error.to_string()).await,
    }
}

async fn done(operation: OperationId, result: webrtc::error::Result<()>, reporter: &Reporter) {
    match result {
        Ok(()) => reporter.report(ConnectionEvent::OperationDone { operation }).await,
        Err(error) => reporter.failed(operation, error.to_string()).await,
    }
}

/// Answers everything that waits for an answer, until the session gives up.
async fn refuse_all(mut commands: mpsc::Receiver<PeerCommand>, reporter: &Reporter) {
    while let Some(command) = commands.recv().await {
        match command {
            PeerCommand::CreateOffer { operation, .. }
            | PeerCommand::AcceptOffer { operation, .. }
            | PeerCommand::AcceptAnswer { operation, .. }
            | PeerCommand::Rollback { operation } => {
                reporter.failed(operation, "there is no connection".to_owned()).await
            }
            PeerCommand::UseIceServers(_) | PeerCommand::AddCandidate(_) | PeerCommand::Send(..) => {}
            PeerCommand::Close => return,
        }
    }
}
