//! What the user wants.

use parlor_proto::{CameraState, ControlMessage, DisplayName, MicrophoneState, PeerId, Reason, RoomId, Secret};

use crate::Credentials;

/// What the user wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Enter a room.
    Join {
        /// Which.
        room: RoomId,
        /// As whom.
        name: DisplayName,
        /// What the room may ask for.
        credentials: Credentials,
    },
    /// Leave for good.
    Leave,
    /// Tell the others what microphone and camera do.
    SetMedia(MediaState),
    /// Write a line to everyone.
    SendChat {
        /// 1–4,000 characters after trimming.
        text: String,
        /// Unix time, in milliseconds.
        sent_at_ms: u64,
    },
    /// Look for a new network path to a peer, for instance since this machine's address changed.
    RequestIceRestart(PeerId),
    /// Let nobody new in, or let them in again; for who may moderate.
    SetLock(bool),
    /// Set, change or take away the room's password; for who may moderate.
    SetPassword(Option<Secret>),
    /// End someone's membership; for who may moderate.
    Remove(PeerId),
}

/// What microphone and camera of one person do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaState {
    /// The microphone.
    pub microphone: MicrophoneState,
    /// The camera.
    pub camera: CameraState,
    /// Why there is no sound, when it is not the user's wish.
    pub microphone_reason: Option<Reason>,
    /// Why there is no picture, when it is not the user's wish.
    pub camera_reason: Option<Reason>,
}

impl Default for MediaState {
    fn default() -> Self {
        Self {
            microphone: MicrophoneState::Off,
            camera: CameraState::Off,
            microphone_reason: None,
            camera_reason: None,
        }
    }
}

impl From<MediaState> for ControlMessage {
    fn from(state: MediaState) -> Self {
        let MediaState { microphone, camera, microphone_reason, camera_reason } = state;
        Self::MediaState { microphone, camera, microphone_reason, camera_reason }
    }
}
