//! Parlor's signaling server: it brings people of one room together and then stays out of their call.
//!
//! [`Hub`] is the whole protocol as a state machine without sockets, clock or randomness of its own.
//! Everything else is the shell around it.

mod hub;
mod room;
mod token;

pub use hub::{CloseKind, ConnId, Hub, HubConfig, Output};
