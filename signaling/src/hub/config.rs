//! What a hub allows.

use std::num::NonZeroU32;
use std::time::Duration;

use parlor_proto::{IceServer, MESSAGE_BYTES_MAX};

use crate::access::AccessKey;
use crate::backplane::LEASE;
use crate::turn::TurnConfig;

/// The numbers and names of a [`super::Hub`].
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// What `welcome` calls the server.
    pub server: String,
    /// People in one room. 8: each sends its picture to all others, and a home's upstream carries about seven.
    pub room_capacity: u32,
    /// Rooms at one time, so that room names cannot fill the memory.
    pub rooms_max: usize,
    /// Bytes that all rooms may hold, a room counted as 2 KiB and a person as 1 KiB, which neither exceeds. 64 MiB: 20,000 people
    /// in 10,000 rooms, one and a half times. Beyond it nobody new comes in: `too_many_rooms`.
    pub rooms_bytes_max: usize,
    /// How long a lost peer keeps its place. 10 s: longer than a change from Wi-Fi to mobile takes.
    pub resume_window: Duration,
    /// How long a resume token is good for. 24 h: longer than calls and server updates take.
    pub token_lifetime: Duration,
    /// Bytes of one message. What is larger closes its connection with `message_too_large`. 64 KiB: the longest the protocol has.
    pub message_bytes_max: usize,
    /// Messages a connection may send at once. 600: a call of eight renegotiating all at the same time sends about 200.
    pub message_burst: u32,
    /// Messages a second that a connection earns back.
    pub messages_per_sec: u32,
    /// Bytes of messages a connection may send at once. 4 MiB: those 200 messages, were each a large offer of 20 KiB.
    pub byte_burst: u32,
    /// Bytes a second that a connection earns back. 256 KiB: four messages of the longest kind.
    pub bytes_per_sec: u32,
    /// Joins of new people from one address in a minute, and at once. 60: a class or an office behind one address. Who
    /// resumes is not counted, so that a restart of the server costs nobody anything.
    pub joins_per_address_per_min: u32,
    /// How long a connection may be in no room. 2 min: somebody looks for a password meanwhile.
    pub idle_max: Duration,
    /// STUN and TURN servers told to everyone who joins.
    pub ice_servers: Vec<IceServer>,
    /// TURN servers told beside them, with credentials of each member's own.
    pub turn: Option<TurnConfig>,
    /// What access tokens are verified with; none where rooms are open to whoever knows their name.
    pub access: Option<AccessKey>,
    /// How slow a password is to guess. 10,000: about 6 ms, one at a time; guesses are limited anyway.
    pub password_iterations: NonZeroU32,
    /// How often passwords may be guessed.
    pub guesses: GuessConfig,
    /// Where rooms span servers: how long their members at this server stand without being stated again.
    pub lease: Duration,
}

/// How often passwords may be guessed, and hashed at all. One is hashed at a time and addresses take turns, so that there is no limit for
/// all together: it would be one more thing to use up for others.
#[derive(Clone, Debug)]
pub struct GuessConfig {
    /// Wrong passwords from one address, at once and then in each `window`. 10: a person who mistypes.
    pub per_address: u32,
    /// Wrong passwords for one room, the same way. 100: many who mistype, and no dictionary.
    pub per_room: u32,
    /// The time in which all that may be guessed again.
    pub window: Duration,
    /// Passwords of one address that are hashed at once, right ones too: an office that comes to a meeting.
    pub address_hash_burst: u32,
    /// And then each second.
    pub address_hashes_per_sec: u32,
}

impl Default for GuessConfig {
    fn default() -> Self {
        Self {
            per_address: 10,
            per_room: 100,
            window: Duration::from_secs(10 * 60),
            address_hash_burst: 50,
            address_hashes_per_sec: 2,
        }
    }
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            server: concat!("parlor-server ", env!("CARGO_PKG_VERSION")).to_owned(),
            room_capacity: 8,
            rooms_max: 10_000,
            rooms_bytes_max: 64 * 1024 * 1024,
            resume_window: Duration::from_secs(10),
            token_lifetime: Duration::from_secs(24 * 60 * 60),
            message_bytes_max: MESSAGE_BYTES_MAX,
            message_burst: 600,
            messages_per_sec: 100,
            byte_burst: 4 * 1024 * 1024,
            bytes_per_sec: 256 * 1024,
            joins_per_address_per_min: 60,
            idle_max: Duration::from_secs(120),
            ice_servers: Vec::new(),
            turn: None,
            access: None,
            password_iterations: NonZeroU32::new(10_000).unwrap_or(NonZeroU32::MIN),
            guesses: GuessConfig::default(),
            lease: LEASE,
        }
    }
}
