//! Stands in for the engine's own type until it is there.
use parlor_proto::{Fingerprint, RoomLink};

/// Where a signaling server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// `ws(s)://…/ws`.
    pub websocket_url: String,
    /// The self-signed certificate to accept.
    pub fingerprint: Option<Fingerprint>,
}

impl From<&RoomLink> for ServerAddress {
    fn from(link: &RoomLink) -> Self {
        Self { websocket_url: link.websocket_url(), fingerprint: link.fingerprint }
    }
}
