//! Puts packets together into pictures and hands them out in the order in which they can be decoded.
//!
//! Packets may come late, twice, out of order, or never. A picture is handed out only when it is whole and the one it
//! refers to was handed out before. When a packet is missing, the buffer waits for its retransmission; when that does
//! not come in time, everything up to the next key frame is dropped and one is asked for. That is what freezes a call, so
//! it is put off for as long as a retransmission may still come; a key frame that is whole never waits for what lies before
//! it. Of an incomplete picture to which no other refers only that is dropped, and sooner, where its packets show that
//! nothing else is missing.
//!
//! Pure: `now` is an argument. After each `insert` drain [`FrameBuffer::poll_frame`] and
//! [`FrameBuffer::poll_key_frame_request`], then ask [`FrameBuffer::poll_timeout`] when to come again.

use std::time::{Duration, Instant};

use super::h264::Depacketizer;
use super::packet::{RtpPacket, SequenceExtender};

mod held;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod types;

use held::{Group, Held};
pub use types::{AssembledFrame, FrameBufferConfig, FrameBufferStats};

/// See the module's description.
#[derive(Debug)]
pub struct FrameBuffer {
    config: FrameBufferConfig,
    extender: SequenceExtender,
    ssrc: Option<u32>,
    /// RFC 3550 §A.1: where a stream that jumped far would go on.
    jumped_to: Option<u16>,
    held: Held,
    /// The number with which the next picture begins; what is below is done with.
    next: Option<u64>,
    chain: Chain,
    /// The first missing packet, and since when that is known.
    gap: Option<(u64, Instant)>,
    deadline: Option<Instant>,
    rtt: Duration,
    request: Request,
    last_dropped_timestamp: Option<u32>,
    stats: FrameBufferStats,
}

/// Whether the picture that the next one refers to was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    Unbroken,
    NeedsKeyFrame,
}

/// The state of asking for a key frame.
#[derive(Debug, Default)]
struct Request {
    /// Since when one is needed.
    since: Option<Instant>,
    last: Option<Instant>,
    /// Whether anything came since the last request: a peer that sends nothing needs no reminder.
    heard_since: bool,
}

/// What to do about the foremost picture.
enum Step {
    Deliver,
    Drop(Why),
    /// A later key frame is whole: go there.
    JumpTo(u64),
    /// What is missing will not come, and no other picture refers to it; the next one begins here.
    Skip(u64),
    /// What is missing will not come.
    Broken,
    Wait(Option<Instant>),
}

#[derive(Clone, Copy)]
enum Why {
    Incomplete,
    NoReference,
    Malformed,
}

/// Farther jumps are not reordering; RFC 3550 §A.1 has 3000 for the same purpose.
const MAX_JUMP: u16 = 3000;

impl FrameBuffer {
    /// An empty buffer that waits for a key frame.
    pub fn new(config: FrameBufferConfig) -> Self {
        Self {
            config,
            extender: SequenceExtender::default(),
            ssrc: None,
            jumped_to: None,
            held: Held::default(),
            next: None,
            chain: Chain::NeedsKeyFrame,
            gap: None,
            deadline: None,
            rtt: Duration::ZERO,
            request: Request::default(),
            last_dropped_timestamp: None,
            stats: FrameBufferStats::default(),
        }
    }

    /// The round-trip time, on which the wait for a retransmission depends; at most a second is taken into account.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt.min(Duration::from_secs(1));
    }

    /// Takes a packet that came at `now`.
    pub fn insert(&mut self, packet: RtpPacket, now: Instant) {
        self.stats.packets += 1;
        self.stats.bytes += packet.payload.len() as u64;
        self.request.heard_since = true;
        if self.ssrc.is_some_and(|ssrc| ssrc != packet.ssrc) {
            self.restart();
        }
        self.ssrc = Some(packet.ssrc);
        let Some(sequence) = self.place(packet.sequence_number) else { return };
        if self.next.is_some_and(|next| sequence < next) || self.held.contains(sequence) {
            self.stats.duplicates += 1;
            return;
        }
        self.held.insert(sequence, packet, now);
        if self.held.len() > self.config.max_packets || self.held.bytes() > self.config.max_bytes {
            self.flush(now);
        }
    }

    /// The next picture that can be decoded.
    pub fn poll_frame(&mut self, now: Instant) -> Option<AssembledFrame> {
        self.deadline = None;
        loop {
            self.skip_padding();
            let front = self.held.first_group()?;
            let step = match self.chain {
                Chain::Unbroken => self.step_in_chain(&front, now),
                Chain::NeedsKeyFrame => self.step_to_key_frame(&front, now),
            };
            match step {
                Step::Deliver => match self.deliver(&front, now) {
                    Some(frame) => return Some(frame),
                    None => self.need_key_frame(now),
                },
                Step::Drop(why) => {
                    self.drop_group(&front, why);
                    self.need_key_frame(now);
                }
                Step::JumpTo(sequence) => self.jump_to(sequence),
                Step::Skip(sequence) => {
                    self.drop_group(&front, Why::Incomplete);
                    self.advance(sequence);
                    self.gap = None;
                }
                Step::Broken => self.need_key_frame(now),
                Step::Wait(deadline) => {
                    self.deadline = deadline;
                    return None;
                }
            }
        }
    }

    /// Whether a key frame is to be asked for now; calling it counts as having asked.
    pub fn poll_key_frame_request(&mut self, now: Instant) -> bool {
        if self.request_due().is_none_or(|due| due > now) {
            return false;
        }
        self.request.last = Some(now);
        self.request.heard_since = false;
        self.stats.key_frames_requested += 1;
        true
    }

    /// When to call the `poll_` functions again if no packet comes before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.request_due()).min()
    }

    /// The decoder made nothing of a picture: all up to the next key frame is of no use.
    pub fn decoding_failed(&mut self, now: Instant) {
        self.need_key_frame(now);
    }

    /// Drops everything held, as when a queue before this one overflowed; a key frame is asked for.
    pub fn flush(&mut self, now: Instant) {
        let (pictures, last) = self.held.pictures();
        let counted = u64::from(pictures > 0 && self.held.first_timestamp() == self.last_dropped_timestamp);
        self.stats.frames_dropped_flushed += pictures - counted;
        if let Some((sequence, timestamp)) = last {
            self.next = Some(sequence + 1);
            self.last_dropped_timestamp = Some(timestamp);
        }
        self.held.clear();
        self.need_key_frame(now);
    }

    /// What happened so far.
    pub fn stats(&self) -> FrameBufferStats {
        self.stats
    }

    /// Packets held now.
    pub fn packets_held(&self) -> usize {
        self.held.len()
    }

    /// Bytes of payload held now.
    pub fn bytes_held(&self) -> usize {
        self.held.bytes()
    }

    /// The extended number of a packet, or `None` for a stray one far from all others.
    fn place(&mut self, sequence_number: u16) -> Option<u64> {
        if let Some(highest) = self.extender.highest() {
            // The cast is the point: the distance modulo 2^16, as a signed number.
            let distance = sequence_number.wrapping_sub(highest as u16) as i16;
            if distance.unsigned_abs() > MAX_JUMP {
                if self.jumped_to != Some(sequence_number) {
                    self.jumped_to = Some(sequence_number.wrapping_add(1));
                    self.stats.duplicates += 1;
                    return None;
                }
                self.restart();
            }
        }
        self.jumped_to = None;
        Some(self.extender.extend(sequence_number))
    }

    /// The stream begins anew: another sender, or the same one after a long silence.
    fn restart(&mut self) {
        let (pictures, _) = self.held.pictures();
        self.stats.frames_dropped_flushed += pictures;
        self.held.clear();
        self.extender = SequenceExtender::default();
        self.next = None;
        self.chain = Chain::NeedsKeyFrame;
        self.gap = None;
        self.last_dropped_timestamp = None;
    }

    /// Packets without content fill a gap in the numbers and are no part of a picture.
    fn skip_padding(&mut self) {
        while let Some(next) = self.next
            && self.held.is_padding(next)
        {
            self.held.remove_up_to(next);
            self.next = Some(next + 1);
        }
    }

    fn step_in_chain(&mut self, front: &Group, now: Instant) -> Step {
        let next = self.next.unwrap_or(front.first);
        if front.first == next && front.is_whole() {
            return Step::Deliver;
        }
        // After an outage nothing is held of what lies before it.
        if front.is_whole() && front.idr && front.starts_with_sps {
            return Step::JumpTo(front.first);
        }
        if let Some(key_frame) = self.held.whole_key_frame_after(front.first) {
            return Step::JumpTo(key_frame);
        }
        let missing = if front.first > next { next } else { front.first_missing };
        if self.held.next_after(missing).is_some_and(|held| held - missing > self.config.gap_max) {
            return Step::Broken;
        }
        let Some(noticed) = self.held.first_arrival_after(missing) else { return Step::Wait(None) };
        let since = match self.gap {
            Some((sequence, since)) if sequence == missing => since,
            _ => noticed,
        };
        self.gap = Some((missing, since));
        let without_it = front.end_if_lost_alone(next);
        let wait = if without_it.is_some() { self.config.min_wait.max(self.rtt * 2) } else { self.wait() };
        let deadline = since + wait;
        if now < deadline {
            return Step::Wait(Some(deadline));
        }
        without_it.map_or(Step::Broken, Step::Skip)
    }

    fn step_to_key_frame(&mut self, front: &Group, now: Instant) -> Step {
        if self.last_dropped_timestamp == Some(front.timestamp) {
            // The rest of a picture whose beginning was given up, whole as it may look.
            return Step::Drop(Why::Incomplete);
        }
        let nothing_before = self.next == Some(front.first);
        if front.is_whole() && front.idr && front.starts_picture && (front.starts_with_sps || nothing_before) {
            return Step::Deliver;
        }
        if let Some(key_frame) = self.held.whole_key_frame_after(front.first) {
            return Step::JumpTo(key_frame);
        }
        let whole = front.is_whole() && (front.starts_picture || nothing_before);
        let why = if whole { Why::NoReference } else { Why::Incomplete };
        let of_no_use = front.is_over && !front.idr && (front.delta || !front.has_content);
        if of_no_use && nothing_before {
            return Step::Drop(why);
        }
        if of_no_use && self.next.is_none() {
            // In the middle of a stream, it seems; waiting for a key frame of its own accord may take for ever.
            self.need_key_frame(now);
        }
        // What is missing may be a key frame's, or this one's head that shows it to be one.
        let deadline = front.arrived_first + self.wait();
        if now < deadline {
            return Step::Wait(Some(deadline));
        }
        // A whole key frame whose parameter sets are missing may still fit those of the last one.
        if whole && front.idr && front.starts_picture { Step::Deliver } else { Step::Drop(why) }
    }

    fn deliver(&mut self, group: &Group, now: Instant) -> Option<AssembledFrame> {
        let mut depacketizer = Depacketizer::default();
        let mut result = Ok(());
        for payload in self.held.payloads(group) {
            result = result.and_then(|()| depacketizer.push(payload));
        }
        let unit = match result.and_then(|()| depacketizer.finish()) {
            Ok(unit) => unit,
            Err(error) => {
                tracing::debug!(%error, "packets make no picture");
                self.drop_group(group, Why::Malformed);
                return None;
            }
        };
        self.advance(group.last + 1);
        self.stats.frames_assembled += 1;
        self.gap = None;
        if unit.key {
            self.chain = Chain::Unbroken;
            self.request.since = None;
        }
        let arrived = group.arrived_last.min(now);
        let rtp_timestamp = group.timestamp;
        Some(AssembledFrame { rtp_timestamp, key: unit.key, data: unit.data, arrived, packets: group.packets })
    }

    fn jump_to(&mut self, sequence: u64) {
        while let Some(front) = self.held.first_group()
            && front.first < sequence
        {
            let whole = front.is_whole() && (front.starts_picture || self.next == Some(front.first));
            self.drop_group(&front, if whole { Why::NoReference } else { Why::Incomplete });
        }
        self.advance(sequence);
        self.chain = Chain::NeedsKeyFrame;
        self.gap = None;
    }

    fn drop_group(&mut self, group: &Group, why: Why) {
        self.advance(group.last + 1);
        let counted_before = self.last_dropped_timestamp == Some(group.timestamp);
        self.last_dropped_timestamp = Some(group.timestamp);
        if counted_before || !group.has_content {
            return;
        }
        match why {
            Why::Incomplete => self.stats.frames_dropped_incomplete += 1,
            Why::NoReference => self.stats.frames_dropped_no_reference += 1,
            Why::Malformed => self.stats.frames_dropped_malformed += 1,
        }
    }

    /// Everything below `sequence` is done with; what had not come is missing for good.
    fn advance(&mut self, sequence: u64) {
        let had = self.held.remove_up_to(sequence - 1);
        if let Some(next) = self.next {
            self.stats.packets_missing += sequence.saturating_sub(next).saturating_sub(had);
        }
        self.next = Some(sequence.max(self.next.unwrap_or(sequence)));
    }

    fn need_key_frame(&mut self, now: Instant) {
        self.chain = Chain::NeedsKeyFrame;
        self.gap = None;
        self.request.since.get_or_insert(now);
    }

    /// For a picture to which others refer, or that shows it to be one.
    fn wait(&self) -> Duration {
        (self.config.reference_wait + self.rtt * 5).min(self.config.max_wait)
    }

    fn request_due(&self) -> Option<Instant> {
        let since = self.request.since?;
        let Some(last) = self.request.last else { return Some(since) };
        // What has come of a key frame shows that the request was heard; without that it may be lost itself.
        let is_heard = self.held.may_hold_key_frame();
        let interval = if is_heard { self.config.request_interval } else { self.config.request_again };
        // On a slow path the answer to the last request is still under way after the usual time.
        let interval = interval.max(self.rtt + self.config.min_wait);
        self.request.heard_since.then(|| since.max(last + interval))
    }
}
