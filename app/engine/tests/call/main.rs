//! Calls between peers of this process, over real sockets, through a real server, on synthetic cameras and microphones.

#![allow(clippy::unwrap_used)]

mod bad_network;
mod meeting;
mod moving;
mod recovery;
mod signaling;
mod support;
mod talking;
