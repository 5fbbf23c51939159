//! Runs a call: the session's decisions, the peer connections, the signaling socket and the media, bridged together.
//!
//! [`Call::start`] spawns one task that alone owns the session; a [`Call`] is a handle to it. Everything that shows
//! a call reads [`Snapshot`]s and sends [`CallCommand`]s, and never waits.
//!
//! ```text
//!  Call ──commands (64)──► engine task ──actions──► peer tasks, signaling task
//!       ◄──watch, notices──            ◄──events───
//! ```
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | commands | 64 | [`Busy`] |
//! | notices | 256 | the oldest is dropped |
//! | events of connections and signaling | 256 each | the task that reports waits |
//! | commands of a connection | 256 | the connection counts as failed |
//! | signaling outbox | 256 | the socket is closed |
//! | frames, sounds of a connection | 4, 25 | see `media_bridge` |

mod boot;
mod call;
mod engine;
mod interceptors;
mod media_bridge;
mod media_state;
mod peer_driver;
mod policy;
mod publisher;
mod runtime;
mod signaling_client;
#[cfg(test)]
mod simulation;
mod snapshot;

pub use call::{Busy, Call, CallCommand, CallConfig, LocalMedia};
pub use parlor_proto::Secret;
pub use parlor_session::{Credentials, EndReason, Event as Notice};
pub use policy::{EnginePolicy, EstimatorPolicy, PacerPolicy, SignalingPolicy};
pub use runtime::runtime;
pub use signaling_client::{ServerAddress, Standby};
pub use snapshot::{PeerMediaView, SentView, Snapshot, TransportView};
