//! Which RTP time each frame of sound gets: even steps while somebody talks, jumps by real time after a pause. Pure.

use std::time::{Duration, Instant};

use super::BLOCK_DURATION;

/// The farthest that the stamps may be behind the media clock before they catch up in a quiet moment: 40 ms.
const QUIET_LIMIT: i32 = 1920;
/// The same at any moment, and also for stamps ahead of the clock, where a frame is left out instead: 120 ms.
const LIMIT: i32 = 5760;

/// Stamps frames; a sound card's clock never quite agrees with the media clock, and neither may jump audibly.
#[derive(Debug, Default)]
pub(crate) struct TalkClock {
    next: Option<u32>,
}

impl TalkClock {
    /// The stamp of a frame captured at `captured` in the media clock's RTP time; `None`: the frame is to be left out.
    pub(crate) fn stamp(&mut self, captured: u32, samples: u32, voice: bool) -> Option<u32> {
        let Some(even) = self.next else {
            self.next = Some(captured.wrapping_add(samples));
            return Some(captured);
        };
        // The cast is the point: the distance modulo 2^32, as a signed number.
        let behind = captured.wrapping_sub(even) as i32;
        if behind < -LIMIT || (behind < -QUIET_LIMIT && !voice) {
            return None;
        }
        let jump = behind > LIMIT || (behind > QUIET_LIMIT && !voice);
        let stamp = if jump { captured } else { even };
        self.next = Some(stamp.wrapping_add(samples));
        Some(stamp)
    }

    /// The sound stops here: the next frame is stamped by the clock alone, never before what was sent.
    pub(crate) fn pause(&mut self, captured: u32) {
        if let Some(even) = self.next
            && captured.wrapping_sub(even) as i32 > 0
        {
            self.next = Some(captured);
        }
    }
}

/// When blocks from a microphone were captured: what the device tells, freed of its jitter.
///
/// A device hands over 20 ms at a time, and its thread is sometimes held up; the blocks themselves are 10 ms apart.
#[derive(Debug, Default)]
pub(crate) struct CaptureClock {
    next: Option<Instant>,
    /// How much it holds to its own time: little at first, since the first word of a device may be off by a tenth of a second. Until the
    /// most is reached, each block counts as much as every one before.
    inertia: u32,
}

impl CaptureClock {
    /// Farther off than this is a gap in the sound, not jitter.
    const GAP: Duration = Duration::from_millis(150);
    /// One part in so many of the difference is believed for each block, at last: half of it after half a second.
    const INERTIA_MAX: u32 = 64;

    /// The capture time of the next block, which was `measured` by the device's word and the time that it came.
    pub(crate) fn block(&mut self, measured: Instant) -> Instant {
        let even = self.next.unwrap_or(measured);
        let late = measured.saturating_duration_since(even);
        let early = even.saturating_duration_since(measured);
        let at = if late.max(early) > Self::GAP {
            self.inertia = 1;
            measured
        } else {
            self.inertia = (self.inertia + 1).min(Self::INERTIA_MAX);
            (even + late / self.inertia).checked_sub(early / self.inertia).unwrap_or(measured)
        };
        self.next = Some(at + BLOCK_DURATION);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jitter_of_the_device_is_not_in_the_capture_times() {
        let start = Instant::now();
        let mut clock = CaptureClock::default();
        let mut last = None;
        for n in 0..1000_u32 {
            // Two blocks at a time, every fiftieth pair 30 ms late.
            let held_up = if n / 2 % 50 == 7 { 30 } else { 0 };
            let measured = start + BLOCK_DURATION * (n / 2 * 2) + Duration::from_millis(held_up);
            let at = clock.block(measured);
            // The first half second finds out where the blocks are.
            if let Some(last) = last.replace(at).filter(|_| n >= CaptureClock::INERTIA_MAX) {
                let step = at.saturating_duration_since(last);
                assert!(step.abs_diff(BLOCK_DURATION) < Duration::from_millis(1), "block {n}: {step:?}");
            }
            assert!(at.saturating_duration_since(measured) < Duration::from_millis(15));
        }
    }

    #[test]
    fn a_first_word_of_the_device_that_is_off_is_soon_forgotten() {
        let start = Instant::now() + Duration::from_secs(1);
        for first in [start - Duration::from_millis(80), start + Duration::from_millis(80)] {
            let mut clock = CaptureClock::default();
            clock.block(first);
            for n in 1..20_u32 {
                clock.block(start + BLOCK_DURATION * n);
            }
            let even = start + BLOCK_DURATION * 20;
            let off = clock.block(even).saturating_duration_since(start).abs_diff(even - start);
            assert!(off < Duration::from_millis(5), "{off:?} off after 200 ms");
        }
    }

    #[test]
    fn a_gap_in_the_sound_is_a_gap_in_the_capture_times() {
        let start = Instant::now();
        let mut clock = CaptureClock::default();
        clock.block(start);
        let later = start + Duration::from_secs(3);
        assert_eq!(clock.block(later), later);
    }

    #[test]
    fn steps_are_even_in_a_talk_though_the_capture_times_are_not() {
        let mut talk = TalkClock::default();
        let jitter = [0, 500, -300, 900, -900];
        for n in 0..50_u32 {
            let captured = (u32::MAX - 10_000).wrapping_add(n * 960).wrapping_add_signed(jitter[n as usize % 5]);
            assert_eq!(talk.stamp(captured, 960, true), Some((u32::MAX - 10_000).wrapping_add(n * 960)));
        }
    }

    #[test]
    fn after_a_pause_the_stamp_jumps_by_real_time() {
        let mut talk = TalkClock::default();
        assert_eq!(talk.stamp(0, 960, true), Some(0));
        assert_eq!(talk.stamp(480_000, 960, true), Some(480_000));
        talk.pause(500_000);
        assert_eq!(talk.stamp(500_100, 960, true), Some(500_000));
    }

    #[test]
    fn a_fast_sound_card_loses_a_quiet_frame_now_and_then() {
        let mut talk = TalkClock::default();
        let left_out = (0..1000_u32).filter(|n| talk.stamp(n * 950, 960, false).is_none()).count();
        assert!((5..20).contains(&left_out), "{left_out}");
    }

    #[test]
    fn a_slow_sound_card_jumps_in_a_quiet_moment() {
        let mut talk = TalkClock::default();
        let mut last = 0;
        for n in 0..1000_u32 {
            let stamp = talk.stamp(n * 970, 960, n % 10 > 0).unwrap();
            assert!(n == 0 || stamp.wrapping_sub(last) == 960 || n % 10 == 0);
            assert!((n * 970).wrapping_sub(stamp) < 2400);
            last = stamp;
        }
    }
}
