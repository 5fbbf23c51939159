//! What a call *is*: pure state machines, without sockets, clock or randomness of their own.
//!
//! [`Session`] is the whole of it. The shell around it calls one `handle_*` with what happened and the time, and then
//! **drains [`Session::poll_action`] and [`Session::poll_event`] before the next input**; it calls
//! [`Session::handle_timeout`] at the instant that [`Session::poll_timeout`] names. The queues of outputs are thereby
//! bounded by what one input can cause: some actions for each peer of a room, of which there are at most
//! [`SessionConfig::peers_max`]. Events that nobody fetches are dropped from the oldest on; actions never are.
//!
//! Three things are kept apart: a person (`PeerId`), a transport ([`ConnectionId`] and [`Generation`]) and a stream
//! ([`StreamId`]). Only `mesh` maps people to transports. Whatever a peer or the server sends wrong becomes an
//! [`Event`] or is counted; it never panics and never keeps the others from being served.

mod action;
pub mod adaptation;
mod candidates;
mod chat;
mod command;
mod config;
mod credentials;
mod env;
mod event;
mod ice_servers;
mod id;
mod mesh;
mod negotiation;
mod peer;
mod random;
mod reconnect;
mod recovery;
mod room;
mod session;
mod transport;
mod view;

pub use action::Action;
pub use command::{Command, MediaState};
pub use config::SessionConfig;
pub use credentials::Credentials;
pub use event::{
    Channel, ConnectionEvent, ConnectionState, EndReason, Event, OpenFailure, PeerLeftReason, SignalingEvent,
};
pub use ice_servers::{RelayNote, TurnTransport, turn_transport};
pub use id::{ConnectionId, Generation, OperationId, StreamId};
pub use session::Session;
pub use view::{Author, ChatLine, PeerState, PeerView, Phase, Presence, RoomView, ServerProblem, VideoFlow};
