//! The adaptive jitter buffer for sound.
