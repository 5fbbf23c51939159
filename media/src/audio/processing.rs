//! Echo cancellation, noise suppression and gain for the microphone, by way of WebRTC's audio processing (`sonora`).

use sonora::config::{
    AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate, NoiseSuppression, Pipeline,
};
use sonora::{AudioProcessing, Config, StreamConfig};

use super::{BLOCK, Block, SAMPLE_RATE};

/// Cleans what the microphone hears, knowing what the speaker plays. Blocks of 10 ms, 48 kHz, mono.
pub(crate) struct Processing {
    inner: AudioProcessing,
    discarded: Block,
}

impl Processing {
    pub(crate) fn new() -> Self {
        let stream = StreamConfig::new(SAMPLE_RATE, 1);
        let inner = AudioProcessing::builder().config(config()).capture_config(stream).render_config(stream).build();
        Self { inner, discarded: [0.0; BLOCK] }
    }

    /// Takes 10 ms of what the speaker is given; before the microphone's block in which its echo may be.
    pub(crate) fn played(&mut self, block: &Block) {
        if let Err(error) = self.inner.process_render_f32(&[block], &mut [&mut self.discarded]) {
            tracing::trace!(%error, "the speaker's sound was not processed");
        }
    }

    /// Cleans 10 ms from the microphone in place.
    pub(crate) fn heard(&mut self, block: &mut Block) {
        let dirty = *block;
        if let Err(error) = self.inner.process_capture_f32(&[&dirty], &mut [block]) {
            tracing::trace!(%error, "the microphone's sound was not processed");
            *block = dirty;
        }
    }
}

fn config() -> Config {
    Config {
        pipeline: Pipeline { maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz, ..Pipeline::default() },
        high_pass_filter: Some(HighPassFilter::default()),
        echo_canceller: Some(EchoCanceller::default()),
        noise_suppression: Some(NoiseSuppression::default()),
        gain_controller2: Some(GainController2 { adaptive_digital: Some(gain()), ..GainController2::default() }),
        ..Config::default()
    }
}

/// Lifts soft voices, starts at no gain, and leaves voices of ordinary loudness as they are.
fn gain() -> AdaptiveDigital {
    AdaptiveDigital { headroom_db: 12.0, max_gain_db: 18.0, initial_gain_db: 0.0, ..AdaptiveDigital::default() }
}

impl std::fmt::Debug for Processing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processing").finish_non_exhaustive()
    }
}
