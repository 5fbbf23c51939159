//! Speech for tests, spoken by espeak-ng: echo cancellers and codecs behave otherwise on anything else.

use std::process::Command;

use super::BLOCK;
use super::level::dbfs;
use super::wav::WavLoop;

/// What an ordinary microphone makes of an ordinary voice.
const LOUDNESS_DBFS: f32 = -26.0;

/// Somebody far away, for about ten seconds.
pub(super) fn far_end() -> Vec<f32> {
    speak(
        "en",
        "The quick brown fox jumps over the lazy dog. One two three four five six seven. Please call me again tomorrow at noon, when everybody is here.",
        -20.0,
    )
}

/// Somebody else here, for about ten seconds.
pub(crate) fn near_end() -> Vec<f32> {
    speak(
        "en+f3",
        "Good morning to all of you, can you hear me well? We should begin with the weather, and after that we talk about trains.",
        LOUDNESS_DBFS,
    )
}

/// Speech at 48 kHz mono with this loudness.
fn speak(voice: &str, text: &str, loudness_dbfs: f32) -> Vec<f32> {
    let output = Command::new("espeak-ng")
        .args(["-v", voice, "--stdout", text])
        .output()
        .expect("espeak-ng should be installed, the tests need it to speak (apt: espeak-ng)");
    let mut header = output.stdout.clone();
    assert!(header.len() > 10_000, "espeak-ng should have said something: {}", String::from_utf8_lossy(&output.stderr));
    // It streams, and so does not know its length when it writes the header.
    let length = (header.len() - 44) as u32;
    header[40..44].copy_from_slice(&length.to_le_bytes());
    let seconds = f64::from(length) / 2.0 / 22_050.0;
    let mut sound = WavLoop::new(std::io::Cursor::new(header)).expect("espeak-ng writes WAV");
    let mut speech = Vec::new();
    for _ in 0..(seconds * 100.0) as usize {
        let mut block = [0.0; BLOCK];
        sound.fill(&mut block).expect("it is in memory");
        speech.extend(block);
    }
    let gain = 10_f32.powf((loudness_dbfs - dbfs(&speech)) / 20.0);
    speech.iter_mut().for_each(|sample| *sample *= gain);
    speech
}
