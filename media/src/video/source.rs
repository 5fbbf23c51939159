//! Where our picture comes from, and what can go wrong with it, in a user's words.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use crate::source::DeviceReason;

pub use crate::camera::nokhwa::cameras;

/// Where our picture comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VideoSource {
    /// Nowhere.
    None,
    /// A moving pattern with a name and a barcode on it.
    TestPattern {
        /// What is written on it.
        name: String,
    },
    /// A Y4M file, played in a loop.
    File(PathBuf),
    /// The camera with this [`CameraInfo::id`]; when it goes, the default one until it is back.
    Device(String),
    /// The first camera there is.
    #[default]
    DefaultDevice,
}

/// A video source that was not understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("“{0}” is no video source; there are: default, device:ID, test-pattern, file:PATH and none")]
pub struct UnknownVideoSource(String);

impl FromStr for VideoSource {
    type Err = UnknownVideoSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownVideoSource(text.to_owned());
        match text.split_once(':') {
            None => match text {
                "none" => Ok(Self::None),
                "test-pattern" => Ok(Self::TestPattern { name: String::new() }),
                "default" => Ok(Self::DefaultDevice),
                _ => Err(unknown()),
            },
            Some((_, "")) => Err(unknown()),
            Some(("file", path)) => Ok(Self::File(path.into())),
            Some(("device", id)) => Ok(Self::Device(id.to_owned())),
            Some(("test-pattern", name)) => Ok(Self::TestPattern { name: name.to_owned() }),
            Some(_) => Err(unknown()),
        }
    }
}

impl fmt::Display for VideoSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::TestPattern { name } if name.is_empty() => f.write_str("test-pattern"),
            Self::TestPattern { name } => write!(f, "test-pattern:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Device(id) => write!(f, "device:{id}"),
            Self::DefaultDevice => f.write_str("default"),
        }
    }
}

/// Why there is no picture.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CameraError {
    /// There is none, or not the one that was chosen.
    #[error("No camera was found. Plug one in, or choose another in the settings.")]
    NoDevice,
    /// Another program has it.
    #[error("The camera is in use by another program. Close that program, then turn the camera on again.")]
    Busy,
    /// The system refuses it to us.
    #[error(
        "Parlor may not use the camera. Allow it in the system's privacy settings (on Linux: be in the group “video”), then turn the camera on again."
    )]
    Denied,
    /// It was pulled out.
    #[error("The camera was unplugged. Plug it in again, or choose another in the settings.")]
    Unplugged,
    /// The file cannot be played.
    #[error("The video file {} cannot be played: {reason}.", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Anything else.
    #[error("The camera does not work: {reason}.")]
    Failed {
        /// What the system says.
        reason: String,
    },
}

impl CameraError {
    /// The reason in the few words that the other people in the room are told.
    pub fn reason(&self) -> DeviceReason {
        match self {
            Self::NoDevice => DeviceReason::NoDevice,
            Self::Busy => DeviceReason::Busy,
            Self::Denied => DeviceReason::Denied,
            Self::Unplugged => DeviceReason::Unplugged,
            Self::Unreadable { .. } | Self::Failed { .. } => DeviceReason::Failed,
        }
    }
}

/// One camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraInfo {
    /// What [`VideoSource::Device`] takes.
    pub id: String,
    /// What the user knows it as.
    pub name: String,
    /// What it can do; empty when another program has it.
    pub formats: Vec<CameraFormat>,
}

/// One way in which a camera can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameraFormat {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: u32,
    /// How the pixels come.
    pub pixel_format: PixelFormat,
}

/// How a camera gives its pixels, the cheapest to convert first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PixelFormat {
    /// Packed 4:2:2.
    Yuyv,
    /// 4:2:0 with interleaved chroma.
    Nv12,
    /// One JPEG image a picture.
    Mjpeg,
    /// 24 bit red, green, blue.
    Rgb,
    /// 24 bit blue, green, red.
    Bgr,
    /// Brightness only; infrared cameras have it.
    Gray,
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yuyv => "YUYV",
            Self::Nv12 => "NV12",
            Self::Mjpeg => "MJPEG",
            Self::Rgb => "RGB",
            Self::Bgr => "BGR",
            Self::Gray => "GRAY",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_from_the_command_line_and_written_back() {
        for text in ["none", "test-pattern", "test-pattern:Ada", "file:/tmp/a:b.y4m", "device:3", "default"] {
            assert_eq!(text.parse::<VideoSource>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_unknown_source_names_those_there_are() {
        for text in ["", "camera", "file:", "device:", "files:a"] {
            let message = text.parse::<VideoSource>().unwrap_err().to_string();
            assert!(message.contains("test-pattern"), "{message}");
        }
    }

    #[test]
    fn each_error_says_what_to_do() {
        let sentence = CameraError::Busy.to_string();
        assert!(sentence.contains("another program") && sentence.contains("Close"));
        assert_ne!(CameraError::Unplugged.to_string(), CameraError::NoDevice.to_string());
        let missing = CameraError::Unreadable { path: "a.y4m".into(), reason: "there is no such file".into() };
        assert_eq!(missing.to_string(), "The video file a.y4m cannot be played: there is no such file.");
    }
}
