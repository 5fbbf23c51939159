//! The server over real sockets.
#![cfg(test)]
#![allow(missing_docs)]

mod hostile;
mod pages;
mod rooms;
mod support;
mod tls;
