//! A signaling server inside this program, for calls among people who have none.
//!
//! It listens on all interfaces with a self-signed certificate, since browsers on other machines give camera and
//! microphone to secure pages only. The certificate's fingerprint goes into the links.

use std::net::IpAddr;

use parlor_proto::{Fingerprint, RoomId, RoomLink};

/// A server that runs for as long as this value lives.
pub struct Hosted {
    authority: String,
    fingerprint: Fingerprint,
    reach: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

/// Why no server could be started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No port could be had.
    #[error("This computer gave no port to listen on: {0}.")]
    Listen(std::io::Error),
    /// The server's certificate or secret could not be made or kept.
    #[error("The call's certificate could not be made: {0}.")]
    Certificate(String),
}

impl Hosted {
    /// The link that leads others to a room on this server.
    pub fn link(&self, room: &RoomId) -> RoomLink {
        RoomLink {
            secure: true,
            authority: self.authority.clone(),
            room: room.clone(),
            fingerprint: Some(self.fingerprint),
        }
    }

    /// Who can reach this server, in words for its user.
    pub fn reach(&self) -> &str {
        &self.reach
    }

    /// Stops the server; dropping it does the same. Running calls go on, new people can't join.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The other end is gone when the server ended by itself.
            let _ = stop.send(());
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a server on all interfaces; its tasks run on `runtime`.
///
/// # Errors
/// When there is no port or no certificate to be had.
pub fn host(runtime: &tokio::runtime::Handle) -> Result<Hosted, HostError> {
    let _ = runtime;
    Err(HostError::Certificate("the server is not there yet".into()))
}

/// Who can reach a server at these addresses.
fn reach_in_words(addresses: &[IpAddr]) -> String {
    let _ = addresses;
    String::new()
}
