//! Sound: microphone to Opus, and Opus to speaker, with a mixer between.
//!
//! ```text
//! microphone ─► ring ─► "aenc": 48 kHz mono, 10 ms ─► processing ─► Opus ─► every peer
//!                                                         ▲
//! speaker ◄─ ring ◄─ "mixer": 10 ms of everybody ─────────┘◄─ player ◄─ jitter buffer ◄─ peer
//! ```
//!
//! Everything works on blocks of 10 ms, 48 kHz, mono. Devices are owned by one thread ("audio-io"); their callbacks
//! touch a ring and atomics only. Where there is no device the same two threads run by the clock.

mod analysis;
mod capture;
mod device;
mod error;
mod gain;
mod io;
pub mod level;
mod local;
pub(crate) mod opus;
pub mod opus_packet;
mod playback;
mod player;
mod processing;
mod recording;
mod remote;
mod resample;
mod ring;
mod source;
#[cfg(test)]
pub(crate) mod speech;
mod status;
mod stretch;
mod talk;
mod tone;
mod wake;
pub mod wav;

pub use device::{AudioDeviceInfo, microphones, speakers};
pub use error::AudioDeviceError;
pub use local::{LocalAudio, LocalAudioConfig, LocalAudioStats};
pub use remote::{RemoteAudio, RemoteAudioStats};
pub use source::{AudioSink, AudioSource, ParseAudioSourceError};

/// Samples a second, everywhere between the devices and the codec.
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples in the 10 ms on which everything works; the echo canceller takes no other size.
pub const BLOCK: usize = 480;

/// How long one block is.
pub(crate) const BLOCK_DURATION: std::time::Duration = std::time::Duration::from_millis(10);

/// Ten milliseconds of sound.
pub(crate) type Block = [f32; BLOCK];

/// How long this many samples last.
pub(crate) fn samples_duration(samples: usize) -> std::time::Duration {
    std::time::Duration::from_nanos(samples as u64 * 1_000_000_000 / u64::from(SAMPLE_RATE))
}

/// The content of a lock, even where a thread that held it panicked: all that is kept so is valid at every step.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
