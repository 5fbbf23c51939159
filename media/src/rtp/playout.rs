//! When a peer's picture and sound are shown, together.
//!
//! Sender reports tell which wall-clock time of the sender an RTP time of either stream stands for. With them it is
//! known how long after its capture a sound is heard, and how long after its capture a picture could be seen. Whichever
//! is too early waits: sound may lead the picture by at most 40 ms and follow it by at most 110, since people notice
//! the first sooner than the second. On a clean path neither waits, though sound takes some 30 ms longer. Without reports, or without sound, a picture is shown as soon as it can be
//! decoded, evened out by less than one frame interval.
//!
//! Whatever a peer reports, nothing waits longer than [`PlayoutConfig::max_delay`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::packet::{AUDIO_CLOCK_RATE, MediaKind, SenderReport, VIDEO_CLOCK_RATE};

mod smoother;
#[cfg(test)]
mod tests;

use smoother::Smoother;

/// The limits of [`Playout`].
#[derive(Clone, Debug)]
pub struct PlayoutConfig {
    /// The longest that picture or sound is held for the other.
    pub max_delay: Duration,
    /// How far sound may be ahead of the picture.
    pub max_audio_lead: Duration,
    /// How far sound may be behind the picture.
    pub max_audio_lag: Duration,
    /// How far inside these limits is aimed at, so that noise does not cross them.
    pub margin: Duration,
    /// Sound heard, and a picture seen, longer ago than this say nothing of those to come.
    pub memory: Duration,
}

impl Default for PlayoutConfig {
    /// 40 ms and 110 ms, within what ITU-R BT.1359 found undetectable (45 ms early, 125 ms late): being in step is worth no delay that
    /// nobody notices.
    fn default() -> Self {
        Self {
            max_delay: Duration::from_millis(500),
            max_audio_lead: Duration::from_millis(40),
            max_audio_lag: Duration::from_millis(110),
            margin: Duration::from_millis(10),
            memory: Duration::from_secs(2),
        }
    }
}

/// One clock a peer for picture and sound, shared by both; its lock is held for arithmetic only.
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    state: Mutex<State>,
}

/// Times are microseconds: local ones since `epoch`, the sender's since the NTP epoch.
#[derive(Debug, Default)]
struct State {
    epoch: Option<Instant>,
    audio_report: Option<Report>,
    video_report: Option<Report>,
    smoother: Smoother,
    /// The RTP time heard last, and when.
    heard: Option<(u32, i64)>,
    /// Local minus sender's time of the sound heard, evened out.
    audio_offset: Option<f64>,
    /// The same for the picture, before it waits for sound.
    video_offset: Option<f64>,
    /// When the last picture came.
    video_seen_at: i64,
    audio_extra_us: f64,
    adjusted_at: i64,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    ntp_us: i64,
    rtp_timestamp: u32,
    clock_rate: u32,
}

impl Report {
    /// The sender's time that an RTP time stands for; RTP time wraps, so the nearest one is meant.
    fn sender_time_us(&self, rtp_timestamp: u32) -> i64 {
        let ticks = i64::from(rtp_timestamp.wrapping_sub(self.rtp_timestamp) as i32);
        self.ntp_us + ticks * 1_000_000 / i64::from(self.clock_rate)
    }
}

/// Offsets between picture and sound beyond this are a mistake or a lie, and nothing is done about them.
const IMPLAUSIBLE_US: f64 = 5_000_000.0;

/// How much one report or one picture moves an offset.
const OFFSET_WEIGHT: f64 = 1.0 / 8.0;

/// A jump of an offset by more than this is followed at once.
const JUMP_US: f64 = 150_000.0;

/// Sound's extra delay changes at most this often: the jitter buffer needs time to follow, and to show it.
const ADJUST_EVERY_US: i64 = 1_000_000;

impl Playout {
    /// A playout clock that knows nothing of its peer yet.
    pub fn new(config: PlayoutConfig) -> Self {
        Self { config, state: Mutex::default() }
    }

    /// Learns which wall-clock time of the sender an RTP time of this stream stands for.
    pub fn on_sender_report(&self, kind: MediaKind, report: SenderReport) {
        // RFC 3550 §6.4.1: a sender without a clock says 0.
        if report.ntp_time == 0 {
            return;
        }
        let seconds = (report.ntp_time >> 32) as i64;
        let fraction_us = ((report.ntp_time & 0xffff_ffff) * 1_000_000) >> 32;
        let clock_rate = match kind {
            MediaKind::Audio => AUDIO_CLOCK_RATE,
            MediaKind::Video => VIDEO_CLOCK_RATE,
        };
        let ntp_us = seconds * 1_000_000 + fraction_us as i64;
        let report = Some(Report { ntp_us, rtp_timestamp: report.rtp_timestamp, clock_rate });
        let mut state = self.lock();
        match kind {
            MediaKind::Audio => state.audio_report = report,
            MediaKind::Video => state.video_report = report,
        }
    }

    /// Learns that the sound with this RTP time leaves the speaker at `at`.
    pub fn audio_played(&self, rtp_timestamp: u32, at: Instant) {
        let mut state = self.lock();
        let at_us = state.local_us(at);
        state.heard = Some((rtp_timestamp, at_us));
        let Some(report) = state.audio_report else { return };
        let offset = (at_us - report.sender_time_us(rtp_timestamp)) as f64;
        state.audio_offset = Some(moved(state.audio_offset, offset));
        state.adjust_audio(&self.config, at_us);
    }

    /// How much longer sound is to be held, so that it does not lead the picture by more than is forgiven.
    pub fn audio_extra_delay(&self) -> Duration {
        // At most `max_delay`, and never negative.
        Duration::from_micros(self.lock().audio_extra_us as u64)
    }

    /// When the picture with this RTP time, whole at `arrived`, is to be shown: not before `arrived`, and at most
    /// [`PlayoutConfig::max_delay`] later.
    pub fn video_due(&self, rtp_timestamp: u32, arrived: Instant, now: Instant) -> Instant {
        let mut state = self.lock();
        let arrived_us = state.local_us(arrived);
        let now_us = state.local_us(now);
        let mut due_us = state.smoother.due_us(rtp_timestamp, arrived_us);
        if let Some(report) = state.video_report {
            let sender_us = report.sender_time_us(rtp_timestamp);
            if state.smoother.is_new(rtp_timestamp) {
                state.video_seen_at = arrived_us;
                state.video_offset = Some(moved(state.video_offset, (due_us - sender_us) as f64));
            }
            if let Some(audio_offset) = state.fresh_audio_offset(&self.config, now_us)
                && (audio_offset - (due_us - sender_us) as f64).abs() < IMPLAUSIBLE_US
            {
                let lag = (self.config.max_audio_lag.saturating_sub(self.config.margin)).as_micros() as i64;
                due_us = due_us.max(sender_us.saturating_add(audio_offset as i64) - lag);
            }
        }
        let max_us = self.config.max_delay.as_micros() as i64;
        let wait_us = due_us.saturating_sub(arrived_us).clamp(0, max_us);
        arrived + Duration::from_micros(wait_us as u64)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Only numbers: no panic leaves them half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn local_us(&mut self, at: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(at);
        match at.checked_duration_since(epoch) {
            Some(after) => after.as_micros() as i64,
            None => -(epoch.duration_since(at).as_micros() as i64),
        }
    }

    fn fresh_audio_offset(&self, config: &PlayoutConfig, now_us: i64) -> Option<f64> {
        let (_, heard_us) = self.heard?;
        let fresh = now_us.saturating_sub(heard_us) < config.memory.as_micros() as i64;
        self.audio_offset.filter(|_| fresh)
    }

    /// Moves sound's extra delay half of the way to where it should be; what it really did shows in the next offset.
    fn adjust_audio(&mut self, config: &PlayoutConfig, now_us: i64) {
        if now_us - self.adjusted_at < ADJUST_EVERY_US {
            return;
        }
        let (Some(audio), Some(video)) = (self.audio_offset, self.video_offset) else { return };
        self.adjusted_at = now_us;
        let lead = video - audio;
        if now_us.saturating_sub(self.video_seen_at) >= config.memory.as_micros() as i64 || lead.abs() >= IMPLAUSIBLE_US
        {
            // There is no picture to wait for.
            self.audio_extra_us /= 2.0;
            return;
        }
        let limit = config.max_audio_lead.as_micros() as f64;
        let margin = config.margin.as_micros() as f64;
        let change = if lead > limit - margin / 2.0 {
            (lead - (limit - margin)) / 2.0
        } else if lead < 0.0 {
            // More is held back than is needed; less delay is worth more than perfect sync.
            lead / 2.0
        } else {
            0.0
        };
        self.audio_extra_us = (self.audio_extra_us + change).clamp(0.0, config.max_delay.as_micros() as f64);
    }
}

/// An offset evened out, or the new one where it has jumped.
fn moved(offset: Option<f64>, new: f64) -> f64 {
    match offset {
        Some(old) if (new - old).abs() < JUMP_US => old + (new - old) * OFFSET_WEIGHT,
        _ => new,
    }
}
