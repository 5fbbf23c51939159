//! Tells a camera library's errors apart. It reports what the system said as text, error number included.

use nokhwa::NokhwaError;

use crate::video::source::CameraError;

/// Which of the user's situations an error stands for.
pub(super) fn camera_error(error: &NokhwaError) -> CameraError {
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["(os error 16)", "resource busy", "in use"]) {
        return CameraError::Busy;
    }
    if says(&["(os error 13)", "(os error 1)", "ermission denied", "not authorized", "Access is denied"]) {
        return CameraError::Denied;
    }
    let opening = matches!(error, NokhwaError::OpenDeviceError(..));
    if says(&["(os error 19)"]) {
        return if opening { CameraError::NoDevice } else { CameraError::Unplugged };
    }
    if says(&["(os error 2)", "No such file", "(os error 6)"]) {
        return CameraError::NoDevice;
    }
    CameraError::Failed { reason: text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_a_linux_camera_are_told_apart() {
        let text = str::to_owned;
        let cases = [
            (NokhwaError::OpenStreamError(text("Device or resource busy (os error 16)")), CameraError::Busy),
            (NokhwaError::ReadFrameError(text("No such device (os error 19)")), CameraError::Unplugged),
            (
                NokhwaError::OpenDeviceError(text("7"), text("V4L2 Error: No such file or directory (os error 2)")),
                CameraError::NoDevice,
            ),
            (
                NokhwaError::OpenDeviceError(text("0"), text("V4L2 Error: Permission denied (os error 13)")),
                CameraError::Denied,
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(camera_error(&error), expected, "{error}");
        }
        let other = camera_error(&NokhwaError::GeneralError(text("out of cheese")));
        assert!(matches!(other, CameraError::Failed { reason } if reason.contains("cheese")));
    }
}
