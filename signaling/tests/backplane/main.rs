//! Servers that share rooms: the meeting place in memory and in Redis, held to the same tests.

#![allow(clippy::unwrap_used, clippy::panic)]

mod contract;
mod redis_server;
