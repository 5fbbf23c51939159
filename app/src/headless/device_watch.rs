//! Devices that fail, told once each.

use parlor_media::{AudioDeviceError, CameraError, SourceStatus};

use super::report::Line;
use crate::devices::reason_word;

/// Remembers what was told of camera, microphone and speaker.
#[derive(Debug, Default)]
pub(super) struct DeviceWatch {
    camera: Option<String>,
    microphone: Option<String>,
    speaker: Option<String>,
}

impl DeviceWatch {
    /// What is to be told now.
    pub(super) fn observe(
        &mut self,
        camera: &SourceStatus<CameraError>,
        microphone: &SourceStatus<AudioDeviceError>,
        speaker: &SourceStatus<AudioDeviceError>,
    ) -> Vec<Line> {
        let sound = |status: &SourceStatus<AudioDeviceError>| {
            failure(status).map(|error| (reason_word(error.reason()), error.to_string()))
        };
        let camera = failure(camera).map(|error: &CameraError| (reason_word(error.reason()), error.to_string()));
        [
            news(&mut self.camera, camera),
            news(&mut self.microphone, sound(microphone)),
            news(&mut self.speaker, sound(speaker)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn failure<E>(status: &SourceStatus<E>) -> Option<&E> {
    match status {
        SourceStatus::Failed(error) => Some(error),
        SourceStatus::Off | SourceStatus::Opening | SourceStatus::Live { .. } => None,
    }
}

/// The failure, where it was not told before.
fn news(told: &mut Option<String>, failure: Option<(&'static str, String)>) -> Option<Line> {
    let Some((code, message)) = failure else {
        *told = None;
        return None;
    };
    if told.as_ref() == Some(&message) {
        return None;
    }
    *told = Some(message.clone());
    Some(Line::Error { code: Some(code.to_owned()), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_device_is_told_once_and_again_after_it_worked() {
        let mut told = None;
        let busy = || Some(("busy", "The camera is in use.".to_owned()));
        assert!(news(&mut told, None).is_none());
        assert!(news(&mut told, busy()).is_some());
        assert!(news(&mut told, busy()).is_none());
        assert!(news(&mut told, None).is_none());
        assert!(news(&mut told, busy()).is_some());
    }
}
