//! The facade.

use std::time::Instant;

use crate::{
    Action, Command, ConnectionEvent, ConnectionId, Event, Generation, MediaState, Phase, RoomView, SessionConfig,
    SignalingEvent,
};

/// One call, from joining to leaving.
pub struct Session {
    config: SessionConfig,
}

impl Session {
    /// A session that has not joined anything. `seed` makes jitter and transport ids.
    pub fn new(config: SessionConfig, _seed: [u8; 32], _now: Instant) -> Self {
        Self { config }
    }

    /// The user wants something.
    pub fn handle_command(&mut self, _command: Command, _now: Instant) {}

    /// The socket to the server reported something.
    pub fn handle_signaling(&mut self, _event: SignalingEvent, _now: Instant) {}

    /// A transport reported something.
    pub fn handle_connection(
        &mut self,
        _connection: ConnectionId,
        _generation: Generation,
        _event: ConnectionEvent,
        _now: Instant,
    ) {
    }

    /// The instant named by [`Session::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// The next thing the shell must do.
    pub fn poll_action(&mut self) -> Option<Action> {
        None
    }

    /// The next thing the user should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When to call [`Session::handle_timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        None
    }

    /// The whole room as one value.
    pub fn view(&self) -> RoomView {
        let _ = &self.config;
        RoomView {
            phase: Phase::Idle,
            room: None,
            self_id: None,
            name: None,
            peers: Vec::new(),
            chat: Vec::new(),
            media: MediaState::default(),
            limits: None,
        }
    }
}
