//! Microphone, speaker, Opus and the mixer.
