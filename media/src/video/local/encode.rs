//! The encoder thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::counters::count;
use super::{Shared, lock};
use crate::frame::{EncodedFrame, VideoFrame};
use crate::latest;
use crate::rtp::h264;
use crate::rtp::packet::VIDEO_CLOCK_RATE;
use crate::video::encoder::{EncodeError, VideoEncoder, VideoEncoderConfig};
use crate::video::key_frame::KeyFrameLimiter;
use crate::video::small::{self, Smaller};

/// Encodes each new picture while there is a sink, until the slot is closed.
pub(super) fn run(shared: &Shared, mut frames: latest::Receiver<VideoFrame>) {
    let mut encoder: Option<VideoEncoder> = None;
    let mut key_frames = KeyFrameLimiter::default();
    let mut smaller = Smaller::default();
    let mut missed = frames.missed();
    let mut generation = None;
    loop {
        let Some(frame) = frames.wait(Duration::MAX) else { return };
        let overwritten = frames.missed() - missed;
        missed = frames.missed();
        let present = lock(&shared.encoding).current();
        if present != generation {
            // A new encoder begins with a key frame. Without a sink its memory is free.
            encoder = None;
            generation = present;
        }
        let Some(generation) = generation else { continue };
        shared.counters.frames_overwritten.fetch_add(overwritten, Ordering::Relaxed);
        if shared.counters.key_frame_wanted.swap(false, Ordering::AcqRel) {
            key_frames.request();
        }
        let is_small = shared.counters.is_small.load(Ordering::Relaxed);
        let taken = if is_small { smaller.take(&frame) } else { Some(frame) };
        let encoded = taken.map(|frame| encode(shared, &mut encoder, &mut key_frames, &frame, is_small));
        match encoded.unwrap_or(Ok(None)) {
            Ok(Some(encoded)) => {
                let rtp_timestamp = shared.clock.rtp_timestamp(encoded.captured_at, VIDEO_CLOCK_RATE);
                let packetized = h264::packetize(&encoded, rtp_timestamp, shared.config.max_payload);
                // Not locked while encoding, so that nobody who starts or stops waits for that.
                lock(&shared.encoding).hand_over(generation, Arc::new(packetized));
            }
            Ok(None) => count(&shared.counters.frames_skipped),
            Err(error) => {
                if shared.counters.encode_errors.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::error!(%error, "a picture was not encoded");
                }
                // A fresh encoder may do better; it starts with a key frame.
                encoder = None;
            }
        }
    }
}

fn encode(
    shared: &Shared,
    encoder: &mut Option<VideoEncoder>,
    key_frames: &mut KeyFrameLimiter,
    frame: &VideoFrame,
    is_small: bool,
) -> Result<Option<EncodedFrame>, EncodeError> {
    let counters = &shared.counters;
    let bitrate_bps = counters.target_bitrate_bps.load(Ordering::Relaxed);
    let encoder = match encoder {
        Some(encoder) => encoder,
        None => encoder.insert(VideoEncoder::new(VideoEncoderConfig {
            codec: shared.config.codec,
            bitrate_bps,
            frame_rate_hz: shared.config.capture.fps as f32,
        })?),
    };
    encoder.set_bitrate_bps(bitrate_bps);
    encoder.set_frame_rate_hz(if is_small { small::FRAME_RATE_HZ } else { shared.config.capture.fps as f32 });
    let begin = Instant::now();
    let encoded = encoder.encode(frame, key_frames.is_due(begin))?;
    counters.encode_us_total.fetch_add(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
    let Some(encoded) = encoded else { return Ok(None) };
    if encoded.key {
        key_frames.made(begin);
        count(&counters.key_frames);
    }
    count(&counters.frames_encoded);
    counters.bytes_encoded.fetch_add(encoded.data.len() as u64, Ordering::Relaxed);
    counters.width.store(encoded.width, Ordering::Relaxed);
    counters.height.store(encoded.height, Ordering::Relaxed);
    Ok(Some(encoded))
}
