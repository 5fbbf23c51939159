//! What is kept between runs: `config.toml` in the folder the system has for configuration
//! (`$XDG_CONFIG_HOME/parlor`, normally `~/.config/parlor`, on Linux).
//!
//! Flags win over `PARLOR_*` variables, those over this file, this file over the defaults. The first two are read by
//! [`crate::cli`]; this file holds the rest.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How many rooms are remembered: a list that is read at one glance.
pub const RECENT_ROOMS_MAX: usize = 8;

/// The user's settings, as they stand in `config.toml`. Every field may be left out of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name shown to others; empty while none was given.
    pub name: String,
    /// The server for rooms given by name alone, such as `https://call.example.org`.
    pub server: Option<String>,
    /// The camera's id as in `parlor devices`; the system's first one when not given.
    pub camera: Option<String>,
    /// The microphone's id; the system's default when not given.
    pub microphone: Option<String>,
    /// The speaker's id; the system's default when not given.
    pub speaker: Option<String>,
    /// Whether the lobby opens the camera for its preview.
    pub preview_camera: bool,
    /// Whether the lobby opens the microphone for its meter.
    pub preview_microphone: bool,
    /// Echo cancellation, noise suppression and automatic gain for the microphone.
    pub audio_processing: bool,
    /// Whether your address is hidden from the others: calls go through relays only.
    pub relay_only: bool,
    /// Whether things that move in the window go to their place at once.
    pub reduced_motion: bool,
    /// Who converts the pictures of the others into colours, `"graphics-card"` or `"processor"`; chosen by the window when
    /// not given.
    pub picture_conversion: Option<PictureConversion>,
    /// STUN and TURN servers for calls hosted by the window, as `parlor-server --ice-server` takes them; an empty list or
    /// `["none"]` means none, leaving it out means the same one as for `parlor-server`.
    pub ice_servers: Option<Vec<String>>,
    /// The rooms last visited, newest first; at most [`RECENT_ROOMS_MAX`].
    pub recent: Vec<RecentRoom>,
}

/// Who converts pictures into the colours of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureConversion {
    /// The processor; the card gets four bytes a point.
    Processor,
    /// The card, which gets one and a half.
    GraphicsCard,
}

/// A room that was visited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentRoom {
    /// The room's id.
    pub room: String,
    /// The link that leads there.
    pub link: String,
    /// When it was entered last, in seconds of Unix time.
    pub at_unix_seconds: u64,
}

/// Why the settings could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The system names no folder for configuration.
    #[error("There is no home folder to keep settings in.")]
    NoFolder,
    /// The file cannot be read.
    #[error("{} can't be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}, line {line}: {problem}. Correct the line, or delete the file to start afresh.", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The file cannot be written.
    #[error("{} can't be written: {source}.", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            server: None,
            camera: None,
            microphone: None,
            speaker: None,
            preview_camera: false,
            preview_microphone: false,
            audio_processing: true,
            relay_only: false,
            reduced_motion: false,
            picture_conversion: None,
            ice_servers: None,
            recent: Vec::new(),
        }
    }
}

impl Config {
    /// Where the settings are kept.
    ///
    /// # Errors
    /// [`ConfigError::NoFolder`] where the system names none.
    pub fn path() -> Result<PathBuf, ConfigError> {
        let folders = directories::ProjectDirs::from("", "", "parlor").ok_or(ConfigError::NoFolder)?;
        Ok(folders.config_dir().join("config.toml"))
    }

    /// Reads the settings; a file that is not there means the defaults.
    ///
    /// # Errors
    /// A file that is there and cannot be understood, with the line.
    pub fn load() -> Result<Self, ConfigError> {
        match Self::path() {
            Ok(path) => Self::load_from(&path),
            Err(_) => Ok(Self::default()),
        }
    }

    /// As [`Config::load`], from a given file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_from(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error: toml::de::Error| ConfigError::Broken {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            problem: error.message().trim().replace('\n', ", "),
        })
    }

    /// Writes the settings; the folder is made where it is missing, and a reader never sees half a file.
    ///
    /// # Errors
    /// [`ConfigError::Unwritable`] with the system's reason.
    pub fn save(&self) -> Result<(), ConfigError> {
        self.save_to(&Self::path()?)
    }

    /// As [`Config::save`], to a given file.
    ///
    /// # Errors
    /// As [`Config::save`].
    pub fn save_to(&self, path: &Path) -> Result<(), ConfigError> {
        let unwritable = |source| ConfigError::Unwritable { path: path.to_owned(), source };
        let text = toml::to_string_pretty(self).map_err(|error| unwritable(io::Error::other(error)))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let beside = path.with_extension("toml.new");
        std::fs::write(&beside, text).map_err(unwritable)?;
        std::fs::rename(&beside, path).map_err(unwritable)
    }

    /// Puts a room first among the recent ones, and forgets the oldest when there are too many.
    pub fn remember(&mut self, visited: RecentRoom) {
        self.recent.retain(|known| known.link != visited.link);
        self.recent.insert(0, visited);
        self.recent.truncate(RECENT_ROOMS_MAX);
    }
}

/// The line, counted from one, in which a byte of the text stands.
fn line_of(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_means_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Config::load_from(&folder.path().join("config.toml")).unwrap(), Config::default());
    }

    #[test]
    fn settings_read_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("config.toml");
        let mut config = Config { name: "Zoë".into(), server: Some("https://a.example".into()), ..Config::default() };
        config.remember(visit(1));
        config.save_to(&path).unwrap();
        config.name = "Bo".into();
        config.save_to(&path).unwrap();
        assert_eq!(Config::load_from(&path).unwrap(), config);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside the file");
    }

    #[test]
    fn a_partial_file_keeps_the_other_defaults() {
        let config = Config::parse(Path::new("c"), "name = \"Ana\"\n").unwrap();
        assert_eq!(config, Config { name: "Ana".into(), ..Config::default() });
    }

    #[test]
    fn a_broken_file_is_told_by_its_line() {
        for (text, line) in [
            ("name = \"Ana\"\nserver = 7\n", 2),
            ("name = \"Ana\"\n\n\npreview_camera = maybe\n", 4),
            ("sever = \"https://a.example\"\n", 1),
            ("name = \"Ana", 1),
        ] {
            let error = Config::parse(Path::new("/x/config.toml"), text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("/x/config.toml, line {line}: ")), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn recent_rooms_are_newest_first_once_each_and_few() {
        let mut config = Config::default();
        (0..20).for_each(|number| config.remember(visit(number)));
        config.remember(visit(15));
        assert_eq!(config.recent.len(), RECENT_ROOMS_MAX);
        assert_eq!(config.recent.iter().filter(|known| known.room == "room-15").count(), 1);
        assert_eq!(config.recent[0].room, "room-15");
        assert_eq!(config.recent[1].room, "room-19");
    }

    fn visit(number: u64) -> RecentRoom {
        RecentRoom {
            room: format!("room-{number}"),
            link: format!("https://a.example/r/room-{number}"),
            at_unix_seconds: number,
        }
    }
}
