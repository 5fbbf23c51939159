//! Parlor's signaling server: it brings people of one room together and then stays out of their call.
//!
//! [`Hub`] is the whole protocol as a state machine without sockets, clock or randomness of its own.
//! Everything else is the shell around it: [`serve`] runs a server inside another program, [`bind`] and
//! [`Server::run`] do the same in two steps, [`run`] takes a socket that is listening already.

mod access;
mod addresses;
pub mod backplane;
mod client_address;
mod config;
mod connection;
mod courier;
mod descriptors;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod hub;
mod metrics;
mod operations;
mod origin;
mod outbox;
mod password;
mod places;
mod room;
mod server;
mod socket;
mod state;
mod switchboard;
mod tls;
mod token;
mod turn;
mod upgrade;
mod web;
mod websocket;
mod wire;

pub use access::{AccessClaims, AccessKey, AccessSigner, InvalidAccessKey};
pub use addresses::is_link_local;
pub use client_address::{AddressGroup, ForwardedHeader, TrustedProxies};
pub use config::{
    DEFAULT_ICE_SERVER, DrainConfig, InvalidIceServer, InvalidTurnUrl, Secret, ServerConfig, SocketConfig, Tls,
    TurnFile, default_state_dir, parse_ice_server, parse_turn_url,
};
pub use descriptors::raise_descriptor_limit;
pub use error::StartError;
pub use hub::{Census, CloseKind, Comeback, ConnId, GuessConfig, Heard, Hub, HubConfig, JoinCounts, Output};
pub use origin::{InvalidOrigin, Origin};
pub use password::{Stretch, Stretched};
pub use server::{RunningServer, Server, bind, check, run, serve};
pub use turn::TurnConfig;
