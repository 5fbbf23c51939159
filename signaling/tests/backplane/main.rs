//! Servers that share rooms: the meeting place in memory and in Redis, held to the same tests.

#![allow(clippy::unwrap_used, clippy::panic)]

mod closed_rooms;
mod contract;
mod invitations;
mod redis_server;
mod sentinels;
mod servers;
#[path = "../server/support.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod support;
mod tls;
