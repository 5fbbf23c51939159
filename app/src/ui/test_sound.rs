//! When the speaker that was opened for the test sound can be closed again. Pure.

use std::time::{Duration, Instant};

use parlor_media::{AudioDeviceError, SourceStatus};

/// Two notes in 1.15 s, and what a slow speaker holds before one hears it.
const SOUND_MAX: Duration = Duration::from_millis(1_800);

/// A test sound on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TestSound {
    /// None.
    #[default]
    None,
    /// The speaker is being opened.
    Opening,
    /// It plays, and is over then.
    Playing(Instant),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, and nothing later.
    Rest,
    /// Nothing yet; ask again after this.
    Wait(Duration),
    /// Play the sound, then ask again after this.
    Play(Duration),
    /// The speaker is no longer needed.
    Close,
}

impl TestSound {
    /// What to do now, the speaker being in this state.
    pub fn step(&mut self, speaker: &SourceStatus<AudioDeviceError>, now: Instant) -> Step {
        match (*self, speaker) {
            (Self::None, _) => Step::Rest,
            // Nothing is open; the reason stays on the screen.
            (_, SourceStatus::Failed(_) | SourceStatus::Off) => {
                *self = Self::None;
                Step::Rest
            }
            // Its status wakes the window.
            (Self::Opening, SourceStatus::Opening) => Step::Rest,
            (Self::Opening, SourceStatus::Live { .. }) => {
                *self = Self::Playing(now + SOUND_MAX);
                Step::Play(SOUND_MAX)
            }
            (Self::Playing(ends), SourceStatus::Live { .. } | SourceStatus::Opening) if now < ends => {
                Step::Wait(ends - now)
            }
            (Self::Playing(_), SourceStatus::Live { .. } | SourceStatus::Opening) => {
                *self = Self::None;
                Step::Close
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speaker_is_closed_when_the_sound_is_over() {
        let start = Instant::now();
        let live = SourceStatus::Live { label: "Headset".into() };
        let mut sound = TestSound::Opening;
        assert_eq!(sound.step(&SourceStatus::Opening, start), Step::Rest);
        assert_eq!(sound.step(&live, start), Step::Play(SOUND_MAX));
        let half = SOUND_MAX / 2;
        assert_eq!(sound.step(&live, start + half), Step::Wait(half));
        assert_eq!(sound.step(&live, start + SOUND_MAX), Step::Close);
        assert_eq!(sound.step(&live, start + SOUND_MAX), Step::Rest);
    }

    #[test]
    fn a_speaker_that_cannot_be_opened_keeps_its_complaint() {
        let failed = SourceStatus::Failed(AudioDeviceError::NoSoundServer);
        let mut sound = TestSound::Opening;
        assert_eq!(sound.step(&failed, Instant::now()), Step::Rest);
        assert_eq!(sound, TestSound::None);
    }
}
