//! How a room spans servers: what servers tell each other, and where they meet.
//!
//! Each server states **its part** of a room: the members that are connected to it. The meeting place merges the parts,
//! decides who comes in, and tells everyone the **whole room** whenever it has changed, under a version that only grows. There are no
//! increments: a lost, repeated or late message is mended by the next whole room, and stating a part again changes
//! nothing. A part that is not stated again within its lease is gone, so that a server that dies leaves nobody behind.
//!
//! Who may come in is decided by the hub over what holds in the room, and made sure of here: a claim names the policy
//! that it was judged under, and is answered with the room where another one holds meanwhile.
//!
//! [`SharedRooms`] says what the meeting place does, as a pure machine; [`MemoryBackplane`] lets servers of one process
//! meet in it. [`RedisBackplane`] does the same in Redis, and passes the same tests.

mod address;
mod encryption;
mod memory;
mod redis;
mod shared_rooms;

use std::fmt;
use std::future::Future;
use std::num::ParseIntError;
use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use parlor_proto::{DisplayName, PeerId, RoomId, ServerMessage};
use serde::{Deserialize, Serialize};

pub use self::address::{InvalidRedisUrl, RedisUrl};
pub use self::encryption::{InvalidRedisTls, RedisTls};
pub use self::memory::MemoryBackplane;
pub use self::redis::RedisBackplane;
pub(crate) use self::shared_rooms::takes_over;
pub use self::shared_rooms::{News, SharedRooms};

/// How long a part of a room holds without being stated again; tests take less.
///
/// With [`renewal`] and the time of one message it stays below the 10 s after which nobody may see a dead server's people.
pub const LEASE: Duration = Duration::from_millis(7_000);

/// How often a server states its parts again, 2 s for [`LEASE`]. A lease stands three times that and more: two may be lost.
pub fn renewal(lease: Duration) -> Duration {
    lease * 2 / 7
}

/// One run of one server; a restarted server has a new one. 32 hex digits as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerId(u128);

impl ServerId {
    /// The id made of 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl From<ServerId> for String {
    fn from(id: ServerId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ServerId {
    type Error = ParseIntError;

    fn try_from(text: String) -> Result<Self, ParseIntError> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}

/// Somebody in a room, as the servers know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedMember {
    /// Who.
    pub peer_id: PeerId,
    /// What they are called.
    pub name: DisplayName,
    /// The server that they are connected to, or were last.
    pub server: ServerId,
    /// Whether their place is kept for them, and nothing reaches them.
    pub away: bool,
    /// Whether they may lock, set the password and remove others.
    pub moderates: bool,
    /// They came with an access token: resume tokens of theirs are good until then, Unix seconds, at most eleven digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited_until: Option<u64>,
    /// Their place in the order of joining, given here. 0 for who came in while the meeting place was out of reach.
    pub order: u64,
    /// When their server let them in, Unix milliseconds: decides between two servers that both did so out of reach.
    pub seated_at_ms: u64,
}

/// What holds in a room, sealed by the hubs, which alone can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPolicy {
    /// Names this very state of this life of the room; compared, and nothing else.
    pub tag: String,
    /// What the hubs make of it, as text.
    pub text: String,
}

/// A whole room, at one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomState {
    /// Which.
    pub room: RoomId,
    /// Grows with each change, also over a loss of everything, as clocks do.
    pub version: u64,
    /// What holds; none in a room that no policy was ever stated for.
    pub policy: Option<SharedPolicy>,
    /// Everyone, in the order they joined.
    pub members: Vec<SharedMember>,
    /// Who has left by their own wish with this change. A hub that misses it takes them for lost.
    #[serde(default)]
    pub left: Vec<PeerId>,
}

/// Somebody wants to come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Where.
    pub room: RoomId,
    /// Who, and on which server. Who is in the room already moves there.
    pub member: SharedMember,
    /// How many people may be in the room.
    pub capacity: u32,
    /// The tag of the policy that they were judged under; none where their server knows of no room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<String>,
    /// What holds from now on, if nobody is there.
    pub founding: SharedPolicy,
    /// Whether leases that are over end memberships. Not for a while after a server was out of reach itself: the others
    /// may have been too, and are about to state their parts again.
    pub expires: bool,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claimed {
    /// They are in.
    Admitted(RoomState),
    /// There is no place.
    Full,
    /// Another policy holds: judge again.
    Outdated(RoomState),
}

/// A server's part of a room: everyone there who is connected to it, and nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Which room.
    pub room: RoomId,
    /// Whose part.
    pub server: ServerId,
    /// The version that the server knows; the answer is the room if it is at another one.
    pub known: u64,
    /// Its members.
    pub members: Vec<SharedMember>,
    /// Whose claims are under way: if they are in already, they stay.
    pub claiming: Vec<PeerId>,
    /// Members of its own who have left by their own wish.
    pub left: Vec<PeerId>,
    /// What the server takes to hold, and the tag that it had when that was changed. It is taken over where that tag, or
    /// nothing, is here; else the answer is the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<SharedPolicy>,
    /// See `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// As in [`Claim`].
    pub expires: bool,
}

/// A message for somebody's client on another server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forward {
    /// Which server.
    pub server: ServerId,
    /// In which room.
    pub room: RoomId,
    /// To whom.
    pub to: PeerId,
    /// What.
    pub message: ServerMessage,
}

/// What a server hears from the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A room has changed that this server has people in, or had.
    Room(RoomState),
    /// A message for somebody here.
    Forwarded(Forward),
    /// What this server said to itself, to know that it hears.
    Echo(u64),
}

/// Why the meeting place is of no use now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It cannot be reached, did not answer in time, or not in a way that can be understood.
    #[error("Redis is out of reach: {0}")]
    Unreachable(String),
    /// The servers there have another secret.
    #[error("the other servers at this Redis have another secret; give all of them the same --secret-file")]
    OtherSecret,
}

/// What a server hears, in order; it ends when nothing is heard any more and what was said meanwhile is lost.
pub type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// A way to the other servers.
pub trait Backplane: Send + Sync + 'static {
    /// What there is once they are reached.
    type Link: Link;

    /// Reaches them: from here on, this server hears what is said to it.
    fn connect(&self, server: &ServerId) -> impl Future<Output = Result<(Self::Link, Events), Unavailable>> + Send;
}

/// The others, reached. After an error it is not known whether a request was carried out; each may be repeated.
pub trait Link: Clone + Send + Sync + 'static {
    /// Lets somebody in, or says why not.
    fn claim(&self, claim: &Claim) -> impl Future<Output = Result<Claimed, Unavailable>> + Send;

    /// States parts of rooms. Each answer is the room, if it is not as the server knows it.
    fn state(
        &self,
        statements: &[Statement],
    ) -> impl Future<Output = Result<Vec<Option<RoomState>>, Unavailable>> + Send;

    /// Sends messages on, in order. Each answer says whether that server was there to hear it.
    fn forward(&self, forwards: &[Forward]) -> impl Future<Output = Result<Vec<bool>, Unavailable>> + Send;

    /// Says something to this server itself, as an [`Event::Echo`].
    fn echo(&self, number: u64) -> impl Future<Output = Result<(), Unavailable>> + Send;
}
