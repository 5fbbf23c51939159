//! What our devices do, as the others are told.

use parlor_media::{AudioDeviceError, CameraError, DeviceReason, SourceStatus};
use parlor_proto::{CameraState, MicrophoneState, Reason};
use parlor_session::MediaState;

/// What the user wants of microphone and camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(crate) muted: bool,
    pub(crate) camera_enabled: bool,
}

/// The state of both, with the reason where it is not the user's wish.
pub(crate) fn media_state(
    wishes: Wishes,
    microphone: &SourceStatus<AudioDeviceError>,
    camera: &SourceStatus<CameraError>,
) -> MediaState {
    let (microphone, microphone_reason) = match microphone {
        SourceStatus::Live { .. } if wishes.muted => (MicrophoneState::Muted, None),
        SourceStatus::Live { .. } => (MicrophoneState::On, None),
        SourceStatus::Failed(error) => (MicrophoneState::Off, Some(reason(error.reason()))),
        SourceStatus::Off | SourceStatus::Opening => (MicrophoneState::Off, None),
    };
    let (camera, camera_reason) = match camera {
        _ if !wishes.camera_enabled => (CameraState::Off, None),
        SourceStatus::Live { .. } => (CameraState::On, None),
        SourceStatus::Failed(error) => (CameraState::Off, Some(reason(error.reason()))),
        SourceStatus::Off | SourceStatus::Opening => (CameraState::Off, None),
    };
    MediaState { microphone, camera, microphone_reason, camera_reason }
}

fn reason(reason: DeviceReason) -> Reason {
    match reason {
        DeviceReason::NoDevice => Reason::NoDevice,
        DeviceReason::Busy => Reason::Busy,
        DeviceReason::Denied => Reason::Denied,
        DeviceReason::Unplugged => Reason::Unplugged,
        DeviceReason::NoSoundServer => Reason::NoSoundServer,
        DeviceReason::Failed => Reason::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wishes = Wishes { muted: false, camera_enabled: true };

    #[test]
    fn a_device_that_failed_is_off_with_its_reason() {
        let state = media_state(
            WANTED,
            &SourceStatus::Failed(AudioDeviceError::NoSoundServer),
            &SourceStatus::Failed(CameraError::Busy),
        );
        assert_eq!((state.microphone, state.microphone_reason), (MicrophoneState::Off, Some(Reason::NoSoundServer)));
        assert_eq!((state.camera, state.camera_reason), (CameraState::Off, Some(Reason::Busy)));
    }

    #[test]
    fn what_the_user_wants_needs_no_reason() {
        let live = SourceStatus::Live { label: "x".to_owned() };
        let wishes = Wishes { muted: true, camera_enabled: false };
        let state = media_state(wishes, &live, &SourceStatus::Failed(CameraError::Busy));
        assert_eq!((state.microphone, state.microphone_reason), (MicrophoneState::Muted, None));
        assert_eq!((state.camera, state.camera_reason), (CameraState::Off, None));
        let state = media_state(WANTED, &live, &SourceStatus::Live { label: "y".to_owned() });
        assert_eq!((state.microphone, state.camera), (MicrophoneState::On, CameraState::On));
    }
}
