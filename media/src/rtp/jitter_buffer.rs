//! The adaptive jitter buffer for sound: puts packets in order and decides which is played when. Pure.
//!
//! Its clock is the relative delay of each packet: how much longer than the fastest of late it took. The target delay
//! is what all but a few of them needed, and the sound is played so much after the fastest packet. Where the present
//! delay is off the target, the player is asked to shorten or lengthen what it plays, a pitch period at a time.
//!
//! Contract: `insert` for each packet, `next` each time the player has run out of decoded sound; each `next` is
//! answered by exactly what the player is to do for the next few milliseconds. Two situations look the same while
//! they last, and are told apart when the next packet comes: a sender that pauses (silence, mute) and a packet that
//! is late. Only the second is counted as concealed.

mod delay;
mod stream;
mod types;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::delay::DelayEstimator;
use self::stream::{MAX_CONCEAL, Stream};
pub use self::types::{Adjustment, JitterBufferConfig, JitterBufferStats, Next};
use super::packet::{AUDIO_CLOCK_RATE, RtpPacket};
use crate::audio::opus_packet;

/// Puts packets in order and decides when each is played; see the module.
#[derive(Debug)]
pub struct JitterBuffer {
    config: JitterBufferConfig,
    packets: BTreeMap<i64, Stored>,
    delay: DelayEstimator,
    stream: Option<Stream>,
    extra_delay: i64,
    /// RTP time up to which nothing is shortened.
    calm_until: i64,
    stats: JitterBufferStats,
}

#[derive(Debug)]
struct Stored {
    timestamp: i64,
    samples: i64,
    payload: Bytes,
    /// The packet itself has not come.
    is_copy: bool,
}

/// A sequence number this far off is another stream, not a reordered packet (RFC 3550 §A.1 has 3000 and 100).
const MAX_SEQUENCE_JUMP: i64 = 1000;
/// So many samples off the time line is another time line.
const MAX_TIME_JUMP: i64 = 3 * AUDIO_CLOCK_RATE as i64;
/// What came longer before the packet that brings its copy is not waited for: 100 ms.
const MAX_COPY_AGE: i64 = 4_800;
/// What is sent again and comes later than this after the fastest is not waited for: 100 ms.
const MAX_REPEAT_AGE: i64 = 4_800;
/// So long after a packet that came late nothing is shortened: half a second, in which it shows whether the path has become longer, or
/// less even. Otherwise what was just waited for would be cut away, and be waited for again.
const CALM: i64 = 24_000;
/// What one call conceals or pauses at most.
const STEP: i64 = 480;
/// The finest that a concealment can be, 2.5 ms.
const GRAIN: i64 = 120;
/// The delay may be this much above its target, or below, before the player stretches: 5 and 2.5 ms. Voices have longer periods than
/// that, so it is in their pauses that the delay comes so near.
const SHORTEN_ABOVE: i64 = 240;
const LENGTHEN_BELOW: i64 = 120;

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(config: JitterBufferConfig) -> Self {
        let delay = DelayEstimator::new(ticks(config.initial_delay));
        Self {
            config,
            packets: BTreeMap::new(),
            delay,
            stream: None,
            extra_delay: 0,
            calm_until: i64::MIN,
            stats: Default::default(),
        }
    }

    /// Takes a packet from the network.
    pub fn insert(&mut self, packet: &RtpPacket, arrived: Instant) {
        self.stats.packets += 1;
        self.stats.bytes += packet.payload.len() as u64;
        let Some(samples) = opus_packet::samples(&packet.payload) else {
            self.stats.invalid += 1;
            return;
        };
        if self.stream.as_ref().is_some_and(|stream| stream.ssrc != packet.ssrc) {
            self.restart();
        }
        let first = self.stream.is_none();
        let stream = self.stream.get_or_insert_with(|| Stream::starting_with(packet, arrived));
        let sequence = stream.extend_sequence(packet.sequence_number);
        let timestamp = stream.extend_timestamp(packet.timestamp);
        let now = stream.ticks(arrived);
        let ahead = sequence - stream.highest_sequence;
        let off_time = self.delay.distance(now - timestamp).is_some_and(|distance| distance.abs() > MAX_TIME_JUMP);
        if ahead.abs() > MAX_SEQUENCE_JUMP || (ahead > 0 && off_time) {
            self.restart();
            self.stats.packets -= 1;
            self.stats.bytes -= packet.payload.len() as u64;
            return self.insert(packet, arrived);
        }
        if !first && stream.seen(sequence) {
            self.stats.duplicates += 1;
            return;
        }
        let is_behind = sequence < stream.highest_sequence;
        stream.note_received(sequence, timestamp);
        if is_behind {
            // Sent again, or overtaken: in time or not, it is worth waiting for such.
            let after = now - timestamp - self.delay.base();
            if (1..=MAX_REPEAT_AGE).contains(&after) {
                self.delay.note_loss(stream.highest_timestamp, after);
            }
        }
        if stream.played_sequence.is_some_and(|played| sequence <= played) {
            self.stats.late += 1;
            self.stats.lost = self.stats.lost.saturating_sub(1);
            self.delay.observe(now, timestamp);
            return;
        }
        self.delay.observe(now, timestamp);
        let stored = Stored { timestamp, samples: i64::from(samples), payload: packet.payload.clone(), is_copy: false };
        self.packets.insert(sequence, stored);
        while self.packets.len() > self.config.capacity {
            self.packets.pop_first();
            self.stats.discarded += 1;
        }
    }

    /// Takes the copy of an earlier packet that came with a later one (RFC 2198), after that one was inserted. It does nothing
    /// where the packet itself has come.
    pub fn insert_copy(&mut self, packet: &RtpPacket) {
        let Some(samples) = opus_packet::samples(&packet.payload) else { return };
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == packet.ssrc) else { return };
        let Some(played) = stream.played_sequence else { return };
        let sequence = stream.extend_sequence(packet.sequence_number);
        let timestamp = stream.extend_timestamp(packet.timestamp);
        let behind = stream.highest_timestamp - timestamp;
        let is_known = sequence >= stream.highest_sequence || stream.seen(sequence);
        if is_known || !(1..=MAX_COPY_AGE).contains(&behind) {
            return;
        }
        // In time or not: it is worth waiting for such copies.
        self.delay.note_loss(stream.highest_timestamp, behind);
        if sequence <= played || self.packets.len() >= self.config.capacity {
            return;
        }
        stream.note_received(sequence, timestamp);
        self.stats.fec_recovered += 1;
        let stored = Stored { timestamp, samples: i64::from(samples), payload: packet.payload.clone(), is_copy: true };
        self.packets.insert(sequence, stored);
    }

    /// What to play from `now` on. The caller says when what it gets will be played, not when it asks.
    pub fn next(&mut self, now: Instant) -> Next {
        let target = self.target();
        let Some(stream) = &mut self.stream else { return Next::Pause { samples: STEP as u32 } };
        let now = stream.ticks(now);
        let base = self.delay.base();
        if stream.playing {
            self.skip_excess(now - base, target);
        }
        self.drop_what_is_past();
        let Some(stream) = &mut self.stream else { return Next::Pause { samples: STEP as u32 } };
        let Some((&sequence, head)) = self.packets.first_key_value() else {
            return if stream.playing { stream.wait() } else { stream.pause() };
        };
        let gap = head.timestamp - stream.playhead;
        let missing = stream.played_sequence.map_or(0, |played| sequence - played - 1);
        let head_is_due = base + head.timestamp + target <= now;
        if stream.playing && gap < GRAIN {
            return self.play(sequence);
        }
        if missing == 0 || !stream.playing {
            // After a pause, or at the start: when its time has come, and not before.
            return if head_is_due { self.play(sequence) } else { stream.pause() };
        }
        let lost_samples = gap.min(missing.saturating_mul(head.samples));
        // What is between that and the packet before is a pause.
        let lost_from = head.timestamp - lost_samples;
        if base + lost_from + target > now + STEP {
            return if lost_from > stream.playhead { stream.pause() } else { stream.wait() };
        }
        self.make_up(sequence, lost_samples)
    }

    /// Whether what is decoded next, to be played at `now`, should be played shorter or longer.
    pub fn adjustment(&self, now: Instant) -> Adjustment {
        let Some(stream) = self.stream.as_ref().filter(|stream| stream.playing) else { return Adjustment::Keep };
        let off = stream.ticks(now) - self.delay.base() - stream.playhead - self.target();
        if off > SHORTEN_ABOVE && stream.playhead < self.calm_until {
            Adjustment::Keep
        } else if off > SHORTEN_ABOVE {
            Adjustment::Shorten { by: off as usize }
        } else if off < -LENGTHEN_BELOW {
            Adjustment::Lengthen { by: off.unsigned_abs() as usize }
        } else {
            Adjustment::Keep
        }
    }

    /// Holds the sound longer than jitter asks for, so that it stays with the picture.
    pub fn set_extra_delay(&mut self, extra: Duration) {
        self.extra_delay = ticks(extra.min(self.config.max_extra_delay));
    }

    /// How long after the fastest packet the sound is to be played.
    pub fn target_delay(&self) -> Duration {
        duration(self.target())
    }

    /// How long after the fastest packet what is played at `now` is played; zero while nothing is.
    pub fn current_delay(&self, now: Instant) -> Duration {
        let playing = self.stream.as_ref().filter(|stream| stream.playing);
        playing.map_or(Duration::ZERO, |stream| duration(stream.ticks(now) - self.delay.base() - stream.playhead))
    }

    /// The interarrival jitter of RFC 3550 §6.4.1.
    pub fn jitter(&self) -> Duration {
        duration(self.delay.interarrival_jitter())
    }

    /// What has been counted.
    pub fn stats(&self) -> JitterBufferStats {
        self.stats
    }

    fn target(&self) -> i64 {
        let jitter = self.delay.target(ticks(self.config.min_delay), ticks(self.config.max_delay));
        jitter + self.extra_delay
    }

    /// What takes the place of so much before this packet, whose time has come: its copy, or something made up.
    fn make_up(&mut self, sequence: i64, lost_samples: i64) -> Next {
        let (Some(head), Some(stream)) = (self.packets.get(&sequence), &mut self.stream) else {
            return Next::Pause { samples: STEP as u32 };
        };
        let (frame, lost_from) = (head.samples, head.timestamp - lost_samples);
        if lost_samples == frame && opus_packet::has_fec(&head.payload) {
            let following = head.payload.clone();
            stream.playhead = head.timestamp;
            self.stats.fec_recovered += 1;
            return Next::Recover { following, timestamp: lost_from as u32, samples: frame as u32 };
        }
        // What was made up while it was waited for has taken its place already.
        let covered = if lost_from > stream.playhead { 0 } else { stream.waited.min(lost_samples) / GRAIN * GRAIN };
        stream.playhead = lost_from + covered;
        stream.waited -= covered;
        self.stats.concealed_samples += covered as u64;
        let lost_samples = lost_samples - covered;
        if lost_samples < GRAIN {
            return self.play(sequence);
        }
        let samples = lost_samples.min(frame).min(MAX_CONCEAL) / GRAIN * GRAIN;
        stream.playhead += samples;
        self.stats.concealed_samples += samples as u64;
        Next::Conceal { samples: samples as u32 }
    }

    fn play(&mut self, sequence: i64) -> Next {
        let (Some(head), Some(stream)) = (self.packets.remove(&sequence), &mut self.stream) else {
            return Next::Pause { samples: STEP as u32 };
        };
        if let Some(played) = stream.played_sequence {
            let missing = sequence - played - 1;
            let gap = head.timestamp - stream.playhead;
            self.stats.lost += missing.max(0) as u64 + u64::from(head.is_copy);
            if missing > 0 {
                self.delay.note_loss(stream.highest_timestamp, head.samples);
            }
            // Nothing lost and time left out: the sender paused. Otherwise the wait was for a packet.
            let paused = missing == 0 && gap >= GRAIN;
            if !paused {
                self.stats.concealed_samples += stream.waited as u64;
            }
            if !paused && missing == 0 && stream.waited > 0 {
                self.calm_until = head.timestamp + CALM;
            }
        }
        stream.waited = 0;
        stream.playing = true;
        stream.played_sequence = Some(sequence);
        stream.playhead = head.timestamp + head.samples;
        Next::Play { payload: head.payload, timestamp: head.timestamp as u32, samples: head.samples as u32 }
    }

    /// Gives up the oldest packets where the delay has become so long that playing faster would not help.
    fn skip_excess(&mut self, since_base: i64, target: i64) {
        let limit = target + ticks(self.config.skip_excess);
        let Some(stream) = &mut self.stream else { return };
        if since_base - stream.playhead <= limit {
            return;
        }
        while self.packets.len() > 1 {
            let Some(entry) = self.packets.first_entry() else { return };
            let (sequence, end) = (*entry.key(), entry.get().timestamp + entry.get().samples);
            if since_base - end < target {
                return;
            }
            entry.remove();
            self.stats.discarded += 1;
            self.stats.lost += stream.missing_before(sequence);
            stream.playhead = end.max(stream.playhead);
            stream.played_sequence = Some(sequence);
        }
    }

    /// Packets whose time line contradicts their order, or whose time was concealed, are of no use.
    fn drop_what_is_past(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        if stream.played_sequence.is_none() {
            return;
        }
        while let Some(entry) = self.packets.first_entry() {
            if entry.get().timestamp > stream.playhead - GRAIN {
                return;
            }
            self.stats.lost += stream.missing_before(*entry.key());
            stream.played_sequence = stream.played_sequence.max(Some(*entry.key()));
            entry.remove();
            self.stats.late += 1;
        }
    }

    fn restart(&mut self) {
        self.stats.restarts += 1;
        self.stats.discarded += self.packets.len() as u64;
        self.packets.clear();
        self.stream = None;
        self.calm_until = i64::MIN;
        self.delay = DelayEstimator::new(ticks(self.config.initial_delay));
    }
}

fn ticks(duration: Duration) -> i64 {
    let ticks = duration.as_nanos() * u128::from(AUDIO_CLOCK_RATE) / 1_000_000_000;
    i64::try_from(ticks).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

fn duration(ticks: i64) -> Duration {
    Duration::from_nanos(ticks.max(0) as u64 * 1_000_000 / u64::from(AUDIO_CLOCK_RATE / 1000))
}

/// Feeds arbitrary packets at arbitrary times; for fuzzing: it may drop them all, never panic or grow.
///
/// Each packet takes 12 bytes: 2 sequence number, 4 time stamp, 1 stream and whether a copy, 1 time passed (2 ms each), 4 payload.
pub fn fuzz_jitter_buffer(data: &[u8]) {
    let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
    let mut now = Instant::now();
    for part in data.chunks_exact(12) {
        let packet = RtpPacket {
            sequence_number: u16::from_be_bytes([part[0], part[1]]),
            timestamp: u32::from_be_bytes([part[2], part[3], part[4], part[5]]),
            marker: false,
            payload_type: 111,
            ssrc: u32::from(part[6] & 1),
            payload: Bytes::copy_from_slice(&part[8..]),
        };
        now += Duration::from_millis(u64::from(part[7]) * 2);
        if part[6] & 2 == 0 {
            buffer.insert(&packet, now);
        } else {
            buffer.insert_copy(&packet);
        }
        let samples = match buffer.next(now) {
            Next::Play { samples, .. } | Next::Recover { samples, .. } => samples,
            Next::Conceal { samples } | Next::Pause { samples } => samples,
        };
        assert!((1..=opus_packet::MAX_SAMPLES).contains(&samples), "{samples} samples at once");
        assert!(buffer.packets.len() <= buffer.config.capacity, "more packets than there is room for");
        let _ = (buffer.adjustment(now), buffer.current_delay(now), buffer.target_delay(), buffer.jitter());
    }
}

#[cfg(test)]
mod tests;
