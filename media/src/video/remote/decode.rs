//! The decoder's thread of one peer.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::quality::{FreezeMeter, LatencyMeter};
use super::stats::RemoteVideoStats;
use super::{Inbox, Shared, lock};
use crate::frame::VideoFrame;
use crate::rtp::frame_buffer::{AssembledFrame, FrameBuffer, FrameBufferConfig};
use crate::video::barcode;
use crate::video::codec::VideoCodec;
use crate::video::decoder::VideoDecoder;

/// Whole pictures that wait until they are due, at most: half a second at 60 per second. When there are more, all are
/// dropped and a key frame is asked for.
const MAX_WAITING: usize = 32;

/// Puts together, decodes and shows until it is told to stop.
pub(super) fn run(shared: &Shared) {
    let mut worker = Worker::new();
    while let Some(inbox) = wait(shared, worker.next_timeout(shared)) {
        worker.step(shared, inbox);
    }
}

/// Waits for packets or for `deadline`; `None` when it is over.
fn wait(shared: &Shared, deadline: Option<Instant>) -> Option<Inbox> {
    let mut inbox = lock(&shared.inbox);
    loop {
        if inbox.stop {
            return None;
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if !inbox.packets.is_empty() || inbox.hides || left == Some(Duration::ZERO) {
            let packets = std::mem::take(&mut inbox.packets);
            let overflowed = std::mem::take(&mut inbox.overflowed);
            let hides = std::mem::take(&mut inbox.hides);
            let (rtt, same_boot, hidden) = (inbox.rtt, inbox.same_boot, inbox.hidden);
            return Some(Inbox { packets, overflowed, hides, hidden, rtt, same_boot, ..Inbox::default() });
        }
        inbox = match left {
            None => shared.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner),
            Some(left) => shared.arrived.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0,
        };
    }
}

struct Worker {
    buffer: FrameBuffer,
    waiting: VecDeque<AssembledFrame>,
    decoder: Option<VideoDecoder>,
    freezes: FreezeMeter,
    latency: LatencyMeter,
    same_boot: bool,
    hidden: bool,
    /// What only this thread counts; the rest is the buffer's.
    stats: RemoteVideoStats,
}

impl Worker {
    fn new() -> Self {
        Self {
            buffer: FrameBuffer::new(FrameBufferConfig::default()),
            waiting: VecDeque::new(),
            decoder: None,
            freezes: FreezeMeter::default(),
            latency: LatencyMeter::default(),
            same_boot: false,
            hidden: false,
            stats: RemoteVideoStats::default(),
        }
    }

    fn step(&mut self, shared: &Shared, inbox: Inbox) {
        self.same_boot = inbox.same_boot;
        self.buffer.set_rtt(inbox.rtt);
        let now = Instant::now();
        self.hidden = inbox.hidden;
        if inbox.hides {
            self.freezes.pause();
            shared.frames.clear();
        }
        if inbox.overflowed {
            self.flush(now);
        }
        for (packet, arrived) in inbox.packets {
            self.buffer.insert(packet, arrived.min(now));
            // After each packet, so that the buffer never holds more than it must.
            self.collect(now);
        }
        self.collect(now);
        self.show_due(shared);
        if self.buffer.poll_key_frame_request(Instant::now()) {
            (shared.events.key_frame_needed)();
        }
        self.publish(shared);
    }

    fn collect(&mut self, now: Instant) {
        while let Some(frame) = self.buffer.poll_frame(now) {
            if self.waiting.len() >= MAX_WAITING {
                self.flush(now);
                if !frame.key {
                    self.stats.frames_dropped_queue += 1;
                    continue;
                }
            }
            self.waiting.push_back(frame);
        }
    }

    fn flush(&mut self, now: Instant) {
        self.stats.frames_dropped_queue += self.waiting.len() as u64;
        self.waiting.clear();
        self.buffer.flush(now);
    }

    /// When something is to be done though no packet comes.
    fn next_timeout(&self, shared: &Shared) -> Option<Instant> {
        let due = self.waiting.front().map(|frame| self.due(shared, frame, Instant::now()));
        due.into_iter().chain(self.buffer.poll_timeout()).min()
    }

    fn due(&self, shared: &Shared, frame: &AssembledFrame, now: Instant) -> Instant {
        shared.playout.video_due(frame.rtp_timestamp, frame.arrived, now)
    }

    fn show_due(&mut self, shared: &Shared) {
        while let Some(frame) = self.waiting.front() {
            let now = Instant::now();
            if self.due(shared, frame, now) > now {
                return;
            }
            let Some(frame) = self.waiting.pop_front() else { return };
            self.decode(shared, &frame, now);
        }
    }

    fn decode(&mut self, shared: &Shared, frame: &AssembledFrame, now: Instant) {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => match VideoDecoder::new(VideoCodec::H264) {
                Ok(decoder) => self.decoder.insert(decoder),
                Err(error) => return self.failed(&error, now),
            },
        };
        match decoder.decode(&frame.data, now) {
            Ok(Some(picture)) => {
                self.stats.frames_decoded += 1;
                self.stats.key_frames_decoded += u64::from(frame.key);
                self.show(shared, picture);
            }
            Ok(None) => self.failed(&"nothing to be shown in it", now),
            Err(error) => self.failed(&error, now),
        }
    }

    fn failed(&mut self, error: &dyn std::fmt::Display, now: Instant) {
        tracing::debug!(%error, "a picture was not decoded");
        self.stats.decode_errors += 1;
        // What waits refers to the picture that failed.
        let until_key = self.waiting.iter().position(|frame| frame.key);
        let dropped = self.waiting.drain(..until_key.unwrap_or(self.waiting.len())).count();
        self.stats.frames_dropped_no_reference += dropped as u64;
        if until_key.is_none() {
            self.buffer.decoding_failed(now);
        }
        // A decoder in an unknown state is not asked to go on.
        self.decoder = None;
    }

    fn show(&mut self, shared: &Shared, mut picture: VideoFrame) {
        if self.hidden {
            return;
        }
        let shown_at = Instant::now();
        picture.captured_at = shown_at;
        (self.stats.width, self.stats.height) = (picture.width, picture.height);
        self.freezes.shown(shown_at);
        if self.same_boot {
            let (width, height) = (picture.width as usize, picture.height as usize);
            let captured = barcode::read(&picture.planes.y, picture.planes.y_stride, width, height);
            if let Some(captured) = captured {
                self.latency.add(captured, shared.clock.unix_tenth_ms(shown_at));
                self.stats.latency_ms_p50 = self.latency.p50_ms();
            }
        }
        self.stats.frames_shown += 1;
        shared.frames.send(picture);
        (shared.events.frame_shown)();
    }

    fn publish(&self, shared: &Shared) {
        let buffer = self.buffer.stats();
        *lock(&shared.stats) = RemoteVideoStats {
            packets: buffer.packets,
            bytes: buffer.bytes,
            frames_assembled: buffer.frames_assembled,
            frames_dropped_no_reference: buffer.frames_dropped_no_reference + self.stats.frames_dropped_no_reference,
            frames_dropped_incomplete: buffer.frames_dropped_incomplete,
            frames_dropped_queue: buffer.frames_dropped_flushed + self.stats.frames_dropped_queue,
            frames_dropped_malformed: buffer.frames_dropped_malformed,
            packets_missing: buffer.packets_missing,
            duplicates: buffer.duplicates,
            key_frames_requested: buffer.key_frames_requested,
            freezes: self.freezes.freezes(),
            frozen_ms: self.freezes.frozen().as_millis() as u64,
            ..self.stats
        };
    }
}
