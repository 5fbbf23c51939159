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

/// Lifts soft voices, starts at no gain, and changes voices of ordinary loudness by less than 3 dB.
///
/// Measured with a voice at -26 dBFS and an echo as loud: the echo suppressor takes 3.1 dB of it and noise suppression
/// 0.7 while both speak. A headroom of 12 dB left it at that (-3.8 dB); the library's own 5 dB makes it -2.4, and the
/// voice alone +0.3 at first and +2.5 after half a minute.
fn gain() -> AdaptiveDigital {
    AdaptiveDigital { headroom_db: 5.0, max_gain_db: 18.0, initial_gain_db: 0.0, ..AdaptiveDigital::default() }
}

impl std::fmt::Debug for Processing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processing").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::level::dbfs;
    use super::super::speech;
    use super::*;

    /// Delay of the loudspeaker's way into the microphone: 80 ms.
    const ECHO_DELAY: usize = 3840;
    /// -6 dB.
    const ECHO_GAIN: f32 = 0.5;

    #[test]
    fn the_far_end_is_not_heard_back_after_two_seconds() {
        let far = speech::far_end();
        let (microphone, cleaned) = run(&far, &vec![0.0; far.len()]);
        let from = 2 * SAMPLE_RATE as usize;
        let (before, after) = (dbfs(&microphone[from..]), dbfs(&cleaned[from..]));
        println!("echo {before:.1} dBFS, after two seconds {after:.1} dBFS");
        assert!(before > -35.0, "the test needs an echo: {before} dBFS");
        assert!(before - after >= 35.0, "{before} dBFS of echo became {after}");
    }

    #[test]
    fn the_near_end_is_as_loud_as_before() {
        let near = speech::near_end();
        let often = near.repeat(4);
        let (microphone, cleaned) = run(&vec![0.0; often.len()], &often);
        // Gain that is found slowly is heard in the last part.
        for part in [0..near.len(), 3 * near.len()..often.len()] {
            let (before, after) = (dbfs(&microphone[part.clone()]), dbfs(&cleaned[part]));
            println!("near end {before:.1} dBFS, cleaned {after:.1} dBFS");
            assert!((before - after).abs() <= 3.0, "{before} dBFS of speech became {after}");
        }
    }

    #[test]
    fn the_near_end_is_heard_while_the_far_end_speaks() {
        let (far, near) = (speech::far_end(), speech::near_end());
        // Two seconds to learn the room, then both at once.
        let quiet = 2 * SAMPLE_RATE as usize;
        let near: Vec<f32> = vec![0.0; quiet].into_iter().chain(near).take(far.len()).collect();
        let (_, cleaned) = run(&far, &near);
        let (said, heard) = (dbfs(&near[quiet..]), dbfs(&cleaned[quiet..]));
        println!("both speak: near end {said:.1} dBFS, cleaned {heard:.1} dBFS");
        assert!((heard - said).abs() <= 3.0, "{said} dBFS of speech became {heard}");
    }

    #[test]
    fn a_soft_voice_is_lifted() {
        let near: Vec<f32> = speech::near_end().into_iter().map(|sample| sample * 0.15).collect();
        let twice = [near.clone(), near].concat();
        let (microphone, cleaned) = run(&vec![0.0; twice.len()], &twice);
        let half = twice.len() / 2;
        let (before, after) = (dbfs(&microphone[half..]), dbfs(&cleaned[half..]));
        println!("soft voice {before:.1} dBFS, lifted to {after:.1} dBFS");
        assert!(after > before + 3.0 && after < before + 18.0, "{before} dBFS became {after}");
    }

    /// Gives what the microphone hears of both ends, and what is left of it.
    fn run(far: &[f32], near: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut processing = Processing::new();
        let echo = |n: usize| n.checked_sub(ECHO_DELAY).map_or(0.0, |n| ECHO_GAIN * far[n]);
        let microphone: Vec<f32> = near.iter().enumerate().map(|(n, sample)| sample + echo(n)).collect();
        let mut cleaned = Vec::new();
        for (played, heard) in far.chunks_exact(BLOCK).zip(microphone.chunks_exact(BLOCK)) {
            let mut block = [0.0; BLOCK];
            block.copy_from_slice(played);
            processing.played(&block);
            block.copy_from_slice(heard);
            processing.heard(&mut block);
            cleaned.extend(block);
        }
        (microphone, cleaned)
    }
}
