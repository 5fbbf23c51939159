//! The server over real sockets.
#![cfg(test)]
#![allow(missing_docs)]

mod abuse;
mod hostile;
mod operating;
mod pages;
mod rooms;
mod support;
mod tls;
mod tls_client;
