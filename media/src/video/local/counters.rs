//! What the two threads of the local video count, and the few numbers they are told.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::LocalVideoConfig;

/// What happened to our own picture so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalVideoStats {
    /// Pictures from the source.
    pub frames_captured: u64,
    /// Pictures encoded and handed to the sink.
    pub frames_encoded: u64,
    /// Pictures left out by the rate control, or because the small picture has fewer.
    pub frames_skipped: u64,
    /// Pictures replaced by a later one before the encoder took them.
    pub frames_overwritten: u64,
    /// Pictures that the encoder refused.
    pub encode_errors: u64,
    /// How many of the encoded ones are key frames.
    pub key_frames: u64,
    /// Size of all encoded pictures, packet headers not counted.
    pub bytes_encoded: u64,
    /// What the encoder aims at, in bits per second.
    pub target_bitrate_bps: u32,
    /// Width in pixels of the last encoded picture.
    pub width: u32,
    /// Height in pixels of the last encoded picture.
    pub height: u32,
    /// Time spent encoding, in microseconds.
    pub encode_us_total: u64,
}

#[derive(Debug)]
pub(super) struct Counters {
    pub(super) frames_captured: AtomicU64,
    pub(super) frames_encoded: AtomicU64,
    pub(super) frames_skipped: AtomicU64,
    pub(super) frames_overwritten: AtomicU64,
    pub(super) encode_errors: AtomicU64,
    pub(super) key_frames: AtomicU64,
    pub(super) bytes_encoded: AtomicU64,
    pub(super) target_bitrate_bps: AtomicU32,
    pub(super) width: AtomicU32,
    pub(super) height: AtomicU32,
    pub(super) encode_us_total: AtomicU64,
    pub(super) key_frame_wanted: AtomicBool,
    pub(super) is_small: AtomicBool,
}

impl Counters {
    pub(super) fn new(config: &LocalVideoConfig) -> Self {
        Self {
            frames_captured: AtomicU64::new(0),
            frames_encoded: AtomicU64::new(0),
            frames_skipped: AtomicU64::new(0),
            frames_overwritten: AtomicU64::new(0),
            encode_errors: AtomicU64::new(0),
            key_frames: AtomicU64::new(0),
            bytes_encoded: AtomicU64::new(0),
            target_bitrate_bps: AtomicU32::new(config.start_bitrate_bps),
            width: AtomicU32::new(0),
            height: AtomicU32::new(0),
            encode_us_total: AtomicU64::new(0),
            key_frame_wanted: AtomicBool::new(false),
            is_small: AtomicBool::new(false),
        }
    }

    pub(super) fn snapshot(&self) -> LocalVideoStats {
        LocalVideoStats {
            frames_captured: self.frames_captured.load(Ordering::Relaxed),
            frames_encoded: self.frames_encoded.load(Ordering::Relaxed),
            frames_skipped: self.frames_skipped.load(Ordering::Relaxed),
            frames_overwritten: self.frames_overwritten.load(Ordering::Relaxed),
            encode_errors: self.encode_errors.load(Ordering::Relaxed),
            key_frames: self.key_frames.load(Ordering::Relaxed),
            bytes_encoded: self.bytes_encoded.load(Ordering::Relaxed),
            target_bitrate_bps: self.target_bitrate_bps.load(Ordering::Relaxed),
            width: self.width.load(Ordering::Relaxed),
            height: self.height.load(Ordering::Relaxed),
            encode_us_total: self.encode_us_total.load(Ordering::Relaxed),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
