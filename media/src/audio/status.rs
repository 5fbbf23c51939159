//! The state of the chosen microphone and speaker, told to whoever listens.

use std::sync::{Arc, Mutex};

use super::error::AudioDeviceError;
use super::lock;
use crate::source::SourceStatus;

/// State of a microphone or speaker.
pub(crate) type Status = SourceStatus<AudioDeviceError>;

/// One direction of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Input,
    Output,
}

impl Direction {
    /// As it is called in a sentence.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Input => "microphone",
            Self::Output => "speaker",
        }
    }
}

/// Counts choices: what belongs to an earlier one than the latest is out of date and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Choice(u64);

impl Choice {
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Both states, and who is told when one changes.
#[derive(Default)]
pub(crate) struct StatusBoard {
    input: Mutex<Entry>,
    output: Mutex<Entry>,
    listener: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

struct Entry {
    choice: Choice,
    status: Status,
}

impl Default for Entry {
    fn default() -> Self {
        Self { choice: Choice::default(), status: Status::Off }
    }
}

impl StatusBoard {
    pub(crate) fn get(&self, direction: Direction) -> Status {
        lock(self.entry(direction)).status.clone()
    }

    /// Notes the state of what was chosen by `choice`, unless something else has been chosen since.
    pub(crate) fn set(&self, direction: Direction, choice: Choice, status: Status) {
        {
            let mut entry = lock(self.entry(direction));
            if choice < entry.choice || (entry.status == status && choice == entry.choice) {
                return;
            }
            *entry = Entry { choice, status };
        }
        // Outside of the lock, so that the listener may ask.
        let listener = lock(&self.listener).clone();
        if let Some(listener) = listener {
            listener();
        }
    }

    pub(crate) fn listen(&self, listener: Arc<dyn Fn() + Send + Sync>) {
        *lock(&self.listener) = Some(listener);
    }

    fn entry(&self, direction: Direction) -> &Mutex<Entry> {
        match direction {
            Direction::Input => &self.input,
            Direction::Output => &self.output,
        }
    }
}
