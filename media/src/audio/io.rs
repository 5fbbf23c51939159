//! The thread "audio-io", which owns the devices' streams.

use std::sync::Arc;

use super::AudioDeviceError;
use super::capture::Capture;
use super::playback::Playback;
use super::ring::Counters;
use super::status::{Choice, Direction, Status, StatusBoard};

pub(crate) struct DeviceThread {
    status: Arc<StatusBoard>,
    input: Arc<Counters>,
    output: Arc<Counters>,
}

impl DeviceThread {
    pub(crate) fn new(_capture: Arc<Capture>, _playback: Arc<Playback>, status: Arc<StatusBoard>) -> Self {
        Self { status, input: Arc::default(), output: Arc::default() }
    }

    pub(crate) fn set(&self, direction: Direction, choice: Choice, device: Option<Option<String>>) {
        if device.is_some() {
            self.status.set(direction, choice, Status::Failed(AudioDeviceError::NoSoundServer));
        }
    }

    pub(crate) fn stop(&self) {}

    pub(crate) fn counters(&self, direction: Direction) -> &Counters {
        match direction {
            Direction::Input => &self.input,
            Direction::Output => &self.output,
        }
    }
}
