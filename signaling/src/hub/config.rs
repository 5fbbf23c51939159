//! What a hub allows.

use std::time::Duration;

use parlor_proto::IceServer;

/// The numbers and names of a [`super::Hub`].
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// What `welcome` calls the server.
    pub server: String,
    /// People in one room. 8: each sends its picture to all others, and a home's upstream carries about seven.
    pub room_capacity: u32,
    /// Rooms at one time, so that room names cannot fill the memory.
    pub rooms_max: usize,
    /// How long a lost peer keeps its place. 10 s: longer than a change from Wi-Fi to mobile takes.
    pub resume_window: Duration,
    /// How long a resume token is good for. 24 h: longer than calls and server updates take.
    pub token_lifetime: Duration,
    /// Messages a connection may send at once. 600: a call of eight renegotiating all at the same time sends about 200.
    pub message_burst: u32,
    /// Messages a second that a connection earns back.
    pub messages_per_sec: u32,
    /// STUN and TURN servers told to everyone who joins.
    pub ice_servers: Vec<IceServer>,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            server: concat!("parlor-server ", env!("CARGO_PKG_VERSION")).to_owned(),
            room_capacity: 8,
            rooms_max: 10_000,
            resume_window: Duration::from_secs(10),
            token_lifetime: Duration::from_secs(24 * 60 * 60),
            message_burst: 600,
            messages_per_sec: 100,
            ice_servers: Vec::new(),
        }
    }
}
