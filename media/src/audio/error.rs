//! Why a microphone, a speaker or a sound file cannot be had, in a user's words.

use crate::source::DeviceReason;

/// Why there is no sound from or to what was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudioDeviceError {
    /// There is no such device.
    #[error("There is no {kind}.")]
    NoDevice {
        /// "microphone" or "speaker".
        kind: &'static str,
    },
    /// Another program has it for itself.
    #[error("The {kind} is in use by another program.")]
    Busy {
        /// "microphone" or "speaker".
        kind: &'static str,
    },
    /// The system or the user refused it.
    #[error("This program is not allowed to use the {kind}. Allow it in the system's privacy settings.")]
    Denied {
        /// "microphone" or "speaker".
        kind: &'static str,
    },
    /// It was there and is gone.
    #[error("The {kind} was unplugged.")]
    Unplugged {
        /// "microphone" or "speaker".
        kind: &'static str,
    },
    /// The system has no way to play or record sound.
    #[error("This system has no sound server and no sound card.")]
    NoSoundServer,
    /// A sound file that cannot be read or written.
    #[error("The sound file {path} cannot be used: {problem}")]
    Unreadable {
        /// What is wrong with it.
        problem: String,
        /// Which one.
        path: String,
    },
    /// Something else went wrong.
    #[error("The {kind} does not work: {problem}")]
    Failed {
        /// "microphone" or "speaker".
        kind: &'static str,
        /// What the system says.
        problem: String,
    },
}

impl AudioDeviceError {
    /// The same in the few words that the other people in the room are told.
    pub fn reason(&self) -> DeviceReason {
        match self {
            Self::NoDevice { .. } => DeviceReason::NoDevice,
            Self::Busy { .. } => DeviceReason::Busy,
            Self::Denied { .. } => DeviceReason::Denied,
            Self::Unplugged { .. } => DeviceReason::Unplugged,
            Self::NoSoundServer => DeviceReason::NoSoundServer,
            Self::Unreadable { .. } | Self::Failed { .. } => DeviceReason::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sentences() {
        let kind = "microphone";
        let problem = "it is not a WAV file.".to_owned();
        for error in [
            AudioDeviceError::NoDevice { kind },
            AudioDeviceError::Busy { kind },
            AudioDeviceError::Denied { kind },
            AudioDeviceError::Unplugged { kind },
            AudioDeviceError::NoSoundServer,
            AudioDeviceError::Unreadable { problem, path: "a.wav".to_owned() },
        ] {
            let text = error.to_string();
            assert!(text.starts_with("Th") && text.ends_with('.'), "{text}");
        }
    }
}
