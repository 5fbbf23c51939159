//! Parlor's wire protocol: what a client and a signaling server say to each other, and what two peers say
//! over their data channels. `PROTOCOL.md` beside this crate is the document; these types are its Rust form.

mod control;
mod error_code;
#[doc(hidden)]
pub mod fuzz;
mod id;
mod link;
mod message;
mod plain;
mod relayed;
mod room_name;
mod secret;

pub use control::{
    CHAT_CHARACTERS_MAX, CHAT_MESSAGE_BYTES_MAX, CONTROL_MESSAGE_BYTES_MAX, CameraState, ChatMessage, ControlMessage,
    MicrophoneState, Reason, SuspendReason,
};
pub use error_code::ErrorCode;
pub use id::{DisplayName, InvalidId, PeerId, ResumeToken, RoomId, TransportId};
pub use link::{Fingerprint, InvalidLink, RoomLink};
pub use message::{
    ClientMessage, DecodeMessageError, IceCandidate, IceServer, LeaveReason, Limits, MESSAGE_BYTES_MAX,
    PASSWORD_CHARACTERS_MAX, PeerInfo, RoomPolicy, ServerMessage, Signal, Source, StreamDescription,
};
pub use relayed::RelayedSignal;
pub use secret::Secret;

/// The protocol version this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;
