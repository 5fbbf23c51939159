//! What may be chosen as microphone and as speaker.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The tone that is sent when no other frequency is asked for.
const DEFAULT_TONE_HZ: f32 = 440.0;

/// Where the sound that others hear comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AudioSource {
    /// Nothing is sent.
    #[default]
    None,
    /// A steady sine.
    Tone {
        /// Its frequency in Hz.
        frequency_hz: f32,
    },
    /// A WAV file, over and over.
    File(PathBuf),
    /// The microphone with this id.
    Device(String),
    /// The microphone that the system prefers.
    DefaultDevice,
}

/// Where the sound of the others goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AudioSink {
    /// Mixed at the pace of the clock, measured, and thrown away.
    #[default]
    None,
    /// A WAV file, 48 kHz mono.
    File(PathBuf),
    /// The speaker with this id.
    Device(String),
    /// The speaker that the system prefers.
    DefaultDevice,
}

/// A text that names no source or sink of sound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("“{text}” names no sound: use {choices}")]
pub struct ParseAudioSourceError {
    choices: &'static str,
    text: String,
}

impl FromStr for AudioSource {
    type Err = ParseAudioSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseAudioSourceError {
            choices: "none, default, tone, tone:HZ (20 to 20000), file:PATH or device:ID",
            text: text.to_owned(),
        };
        match text.split_once(':') {
            None => match text {
                "none" => Ok(Self::None),
                "default" => Ok(Self::DefaultDevice),
                "tone" => Ok(Self::Tone { frequency_hz: DEFAULT_TONE_HZ }),
                _ => Err(refused()),
            },
            Some(("tone", hz)) => {
                let frequency_hz = hz.parse().ok().filter(|hz| (20.0..=20_000.0).contains(hz));
                frequency_hz.map(|frequency_hz| Self::Tone { frequency_hz }).ok_or_else(refused)
            }
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("device", id)) if !id.is_empty() => Ok(Self::Device(id.to_owned())),
            Some(_) => Err(refused()),
        }
    }
}

impl fmt::Display for AudioSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Tone { frequency_hz } => write!(f, "tone:{frequency_hz}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Device(id) => write!(f, "device:{id}"),
            Self::DefaultDevice => f.write_str("default"),
        }
    }
}

impl FromStr for AudioSink {
    type Err = ParseAudioSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "default" => Ok(Self::DefaultDevice),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("device", id)) if !id.is_empty() => Ok(Self::Device(id.to_owned())),
            _ => Err(ParseAudioSourceError { choices: "none, default, file:PATH or device:ID", text: text.to_owned() }),
        }
    }
}

impl fmt::Display for AudioSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Device(id) => write!(f, "device:{id}"),
            Self::DefaultDevice => f.write_str("default"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_reads_back_as_it_is_written() {
        for text in ["none", "tone:440", "tone:97.5", "file:/tmp/a:b.wav", "device:pulseaudio:x.monitor", "default"] {
            assert_eq!(text.parse::<AudioSource>().unwrap().to_string(), text);
        }
        assert_eq!("tone".parse(), Ok(AudioSource::Tone { frequency_hz: 440.0 }));
        for text in ["none", "file:out.wav", "device:pulseaudio:spk", "default"] {
            assert_eq!(text.parse::<AudioSink>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_no_sound_is_refused_with_the_choices() {
        for text in ["", "tone:", "tone:0", "tone:NaN", "tone:inf", "tone:99999", "file:", "device:", "loud", "x:y"] {
            let error = text.parse::<AudioSource>().unwrap_err();
            assert!(error.to_string().contains("device:ID"), "{error}");
        }
        assert!("tone".parse::<AudioSink>().is_err());
    }
}
