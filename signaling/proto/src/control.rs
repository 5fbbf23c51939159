//! What two peers say to each other over their data channels.

use serde::{Deserialize, Serialize};

use crate::message::{DecodeMessageError, decode, encode};

/// The largest control message taken, in bytes.
pub const CONTROL_MESSAGE_BYTES_MAX: usize = 4_096;
/// The largest chat message taken, in bytes: 4,000 characters of four bytes, and what is around them.
pub const CHAT_MESSAGE_BYTES_MAX: usize = 20_480;
/// The longest chat text, in characters.
pub const CHAT_CHARACTERS_MAX: usize = 4_000;

/// A message on the `control` channel (id 0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ControlMessage {
    /// The first message when the channel opens.
    Hello {
        /// The protocol versions the sender speaks.
        versions: Vec<u32>,
        /// Program and version.
        client: String,
        /// Equal at both ends on one machine since its start: their clocks are the same.
        #[serde(default)]
        boot_id: Option<String>,
    },
    /// What the sender's devices do; at the start and at every change.
    MediaState {
        /// The microphone.
        microphone: MicrophoneState,
        /// The camera.
        camera: CameraState,
        /// Why there is no sound, when it is not the user's wish.
        #[serde(default)]
        microphone_reason: Option<Reason>,
        /// Why there is no picture, when it is not the user's wish.
        #[serde(default)]
        camera_reason: Option<Reason>,
    },
    /// The sender sends this receiver only some of its pictures for now.
    VideoReduced {
        /// Why.
        reason: SuspendReason,
    },
    /// The sender sends this receiver no picture for now.
    VideoSuspended {
        /// Why.
        reason: SuspendReason,
    },
    /// All pictures are sent again.
    VideoResumed,
    /// The sender leaves for good.
    Bye,
}

/// What a microphone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MicrophoneState {
    /// Heard.
    On,
    /// There, and muted by its owner.
    Muted,
    /// Not there.
    Off,
}

/// What a camera does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraState {
    /// Seen.
    On,
    /// Not seen.
    Off,
}

/// Why a device gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// There is none.
    NoDevice,
    /// Another program has it.
    Busy,
    /// The system or the user refused it.
    Denied,
    /// It was pulled out.
    Unplugged,
    /// There is no sound server.
    NoSoundServer,
    /// Something else went wrong.
    #[serde(other)]
    Failed,
}

/// Why a sender holds its picture back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspendReason {
    /// The connection carries too little.
    Bandwidth,
    /// The two have no video codec in common.
    NoCommonCodec,
    /// A reason from a newer program.
    #[serde(other)]
    Unknown,
}

/// A message on the `chat` channel (id 1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatMessage {
    /// One line for everyone.
    Message {
        /// Unique for its sender; a repeated one is dropped.
        id: String,
        /// 1–4,000 characters.
        text: String,
        /// The sender's Unix time, in milliseconds.
        sent_at_ms: u64,
    },
}

impl ControlMessage {
    /// Reads one data-channel message.
    ///
    /// # Errors
    /// As [`crate::ClientMessage::decode`].
    pub fn decode(text: &str) -> Result<Self, DecodeMessageError> {
        decode(text, &["hello", "media_state", "video_reduced", "video_suspended", "video_resumed", "bye"])
    }

    /// Writes the message as JSON.
    pub fn encode(&self) -> String {
        encode(self)
    }
}

impl ChatMessage {
    /// Reads one data-channel message.
    ///
    /// # Errors
    /// As [`crate::ClientMessage::decode`].
    pub fn decode(text: &str) -> Result<Self, DecodeMessageError> {
        decode(text, &["message"])
    }

    /// Writes the message as JSON.
    pub fn encode(&self) -> String {
        encode(self)
    }
}
