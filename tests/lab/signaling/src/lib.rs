//! Load for signaling servers, from a process of its own: clients that enter rooms and relay messages, clients that
//! misbehave, and the figures both give.
//!
//! What is measured, and beside whom, is in `signaling/BENCHMARKS.md`; `cargo xtask bench signaling` runs it.

pub mod abuse;
pub mod client;
pub mod figures;
pub mod idle;
pub mod message;
pub mod process;
pub mod reconnect;
pub mod relay;
pub mod rooms;
