//! What cameras and sound devices have in common: their state, and why one cannot be had.

/// The state of a device or of what stands in for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceStatus<E> {
    /// Nothing is chosen, or it is switched off.
    Off,
    /// It is being opened; a real device may take a second.
    Opening,
    /// It runs.
    Live {
        /// What the user knows it as.
        label: String,
    },
    /// It cannot be had, and why.
    Failed(E),
}

impl<E> SourceStatus<E> {
    /// Whether it runs.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }
}

/// Why a device cannot be had, in the few words that the other people in the room are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceReason {
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
    Failed,
}
