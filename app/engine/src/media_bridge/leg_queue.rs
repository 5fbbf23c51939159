//! What waits for one connection's writer, and what is dropped when it does not keep up. Pure.
//!
//! Video: four frames. When they are too many, discardable ones go first; then everything until the next key frame,
//! since a frame without its reference is worth nothing. Sound: half a second, the oldest goes first. Frames are dropped
//! here, before they get sequence numbers, so that nobody asks for them again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_media::{EncodedAudio, PacketizedFrame};

use super::key_pace::KeyPace;

/// Frames that may wait: 130 ms at 30 fps.
const FRAMES_MAX: usize = 4;
/// Sounds that may wait: half a second.
const SOUNDS_MAX: usize = 25;

/// What a thinned out picture may save, or be in debt for a key frame, in thousandths of bytes: 8 kB, a second or two.
const ALLOWANCE_MAX: i64 = 8_000 * 1_000;

/// When the network below counts as behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The pacer's backlog from which on frames are dropped.
    pub(crate) backlog_max: Duration,
    /// The backlog below which the picture begins again.
    pub(crate) backlog_low: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let pacer = crate::policy::PacerPolicy::default();
        Self { backlog_max: pacer.backlog_max, backlog_low: pacer.backlog_low }
    }
}

/// What the writer does next.
pub(crate) enum Next {
    /// Write this sound.
    Audio(EncodedAudio),
    /// Write this frame.
    Video(Arc<PacketizedFrame>),
}

/// Counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LegStats {
    pub(crate) frames_sent: u64,
    /// Of those that should have been sent: too slow a writer or network, and what hung on such frames.
    pub(crate) frames_dropped: u64,
    /// Held back by adaptation: thinned out, or the picture suspended.
    pub(crate) frames_withheld: u64,
    pub(crate) sounds_sent: u64,
    pub(crate) sounds_dropped: u64,
}

/// How much of the picture a connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    /// Every frame.
    Full,
    /// About so many of a thousand bytes, as far as leaving out frames that nothing hangs on can bring it down: with two
    /// temporal layers to half of the frames, and two thirds of the bytes. The rest is the pacer's backlog, which stops
    /// the picture until a key frame.
    Fraction { keep_permille: u16 },
    /// Nothing.
    Suspended,
}

/// The state of one connection's sending side.
pub(crate) struct LegQueue {
    limits: Limits,
    /// Nothing is taken before the connection can carry it: what is written earlier vanishes silently.
    is_open: bool,
    picture: Picture,
    /// Frames are useless until the next key frame.
    awaits_key: bool,
    /// The network has room again, so the key frame may be asked for.
    may_ask: bool,
    /// The other end asked for a key frame.
    peer_asks: bool,
    key_pace: KeyPace,
    /// With [`Picture::Fraction`]: thousandths of bytes that may still go.
    allowance: i64,
    video: VecDeque<Arc<PacketizedFrame>>,
    audio: VecDeque<EncodedAudio>,
    stats: LegStats,
}

impl Default for LegQueue {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl LegQueue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            is_open: false,
            picture: Picture::Full,
            awaits_key: true,
            may_ask: true,
            peer_asks: false,
            key_pace: KeyPace::default(),
            allowance: 0,
            video: VecDeque::new(),
            audio: VecDeque::new(),
            stats: LegStats::default(),
        }
    }

    /// The connection can carry media from now on; the picture begins with a key frame.
    pub(crate) fn open(&mut self) {
        self.is_open = true;
        self.await_key();
        self.may_ask = true;
        self.key_pace = KeyPace::default();
    }

    /// The connection carries nothing any more.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
        self.video.clear();
        self.audio.clear();
    }

    /// How much of the picture goes this way from now on.
    pub(crate) fn set_picture(&mut self, picture: Picture) {
        if self.picture == Picture::Suspended && picture != Picture::Suspended {
            self.await_key();
            self.may_ask = true;
        }
        self.picture = picture;
    }

    pub(crate) fn stats(&self) -> LegStats {
        self.stats
    }

    /// Whether a key frame would help now.
    fn wants_key_frame(&self) -> bool {
        let is_wanted = self.peer_asks || (self.awaits_key && self.may_ask);
        self.is_open && is_wanted && self.picture != Picture::Suspended
    }

    /// Whether to ask the encoder for a key frame now; if so, that counts as having asked.
    pub(crate) fn key_frame_due(&mut self, now: Instant) -> bool {
        self.wants_key_frame() && self.key_pace.ask(now)
    }

    /// The other end asks for a key frame; gives whether to ask the encoder at once, otherwise it is due later.
    pub(crate) fn peer_asks(&mut self, now: Instant) -> bool {
        self.peer_asks = true;
        self.key_frame_due(now)
    }

    fn await_key(&mut self) {
        self.stats.frames_dropped += self.video.len() as u64;
        self.video.clear();
        self.awaits_key = true;
    }

    /// Takes a frame; false when the writer need not be woken.
    pub(crate) fn push_video(&mut self, frame: &Arc<PacketizedFrame>) -> bool {
        if !self.is_open {
            return false;
        }
        if self.is_withheld(frame) {
            self.stats.frames_withheld += 1;
            return false;
        }
        if frame.key {
            self.awaits_key = false;
            self.peer_asks = false;
        }
        if self.awaits_key {
            self.stats.frames_dropped += 1;
            // The writer looks at the backlog again, so that the key frame can be asked for when there is room.
            return !self.may_ask;
        }
        if self.video.len() >= FRAMES_MAX && !self.make_room(frame) {
            return false;
        }
        self.video.push_back(frame.clone());
        true
    }

    fn is_withheld(&mut self, frame: &PacketizedFrame) -> bool {
        match self.picture {
            Picture::Full => false,
            Picture::Suspended => true,
            Picture::Fraction { keep_permille } => {
                // A frame is at most a few megabytes.
                let cost = i64::try_from(frame.bytes).unwrap_or(i64::MAX / 2_000) * 1_000;
                let earned = cost / 1_000 * i64::from(keep_permille.min(1_000));
                self.allowance = (self.allowance + earned).min(ALLOWANCE_MAX);
                let withheld = frame.discardable && !frame.key && self.allowance < cost;
                if !withheld {
                    self.allowance = (self.allowance - cost).max(-ALLOWANCE_MAX);
                }
                withheld
            }
        }
    }

    /// Drops what hurts least; false when that is the new frame.
    fn make_room(&mut self, frame: &PacketizedFrame) -> bool {
        if let Some(index) = self.video.iter().position(|waiting| waiting.discardable && !waiting.key) {
            self.video.remove(index);
            self.stats.frames_dropped += 1;
            return true;
        }
        if frame.key {
            // It replaces everything before it.
            self.stats.frames_dropped += self.video.len() as u64;
            self.video.clear();
            return true;
        }
        self.stats.frames_dropped += 1;
        if !frame.discardable {
            self.await_key();
        }
        false
    }

    /// Takes a sound; false when the writer need not be woken.
    pub(crate) fn push_audio(&mut self, audio: &EncodedAudio) -> bool {
        if !self.is_open {
            return false;
        }
        if self.audio.len() >= SOUNDS_MAX {
            self.audio.pop_front();
            self.stats.sounds_dropped += 1;
        }
        self.audio.push_back(audio.clone());
        true
    }

    /// What to write next, sound first. `backlog` is how long the pacer below will be busy.
    pub(crate) fn pop(&mut self, backlog: Duration) -> Option<Next> {
        self.may_ask = backlog <= self.limits.backlog_low;
        if let Some(audio) = self.audio.pop_front() {
            self.stats.sounds_sent += 1;
            return Some(Next::Audio(audio));
        }
        while let Some(frame) = self.video.pop_front() {
            if backlog <= self.limits.backlog_max {
                self.stats.frames_sent += 1;
                return Some(Next::Video(frame));
            }
            self.stats.frames_dropped += 1;
            if !frame.discardable {
                self.await_key();
            }
        }
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Instant;

    use bytes::Bytes;
    use parlor_media::{Layer, MediaPacket};

    use super::*;

    pub(crate) fn frame(number: u32, key: bool, discardable: bool) -> Arc<PacketizedFrame> {
        Arc::new(PacketizedFrame {
            packets: vec![MediaPacket { payload: Bytes::from_static(b"x"), marker: true }],
            rtp_timestamp: number,
            captured_at: Instant::now(),
            layer: Layer(0),
            temporal_id: u8::from(discardable),
            key,
            discardable,
            bytes: 1,
        })
    }

    pub(crate) fn audio(number: u32) -> EncodedAudio {
        EncodedAudio {
            payload: Bytes::from_static(b"x"),
            captured_at: Instant::now(),
            rtp_timestamp: number,
            duration: Duration::from_millis(20),
            level_dbov: 30,
            voice: true,
        }
    }

    fn open() -> LegQueue {
        let mut queue = LegQueue::default();
        queue.open();
        queue
    }

    /// The time stamps of what comes out; sounds are negative.
    fn drain(queue: &mut LegQueue, backlog: Duration) -> Vec<i64> {
        std::iter::from_fn(|| queue.pop(backlog))
            .map(|next| match next {
                Next::Audio(audio) => -i64::from(audio.rtp_timestamp),
                Next::Video(frame) => i64::from(frame.rtp_timestamp),
            })
            .collect()
    }

    #[test]
    fn nothing_is_taken_before_the_connection_is_open() {
        let mut queue = LegQueue::default();
        assert!(!queue.push_video(&frame(1, true, false)));
        assert!(!queue.push_audio(&audio(1)));
        assert!(!queue.wants_key_frame());
        assert!(drain(&mut queue, Duration::ZERO).is_empty());
    }

    #[test]
    fn the_picture_begins_with_a_key_frame_and_sound_goes_first() {
        let mut queue = open();
        assert!(queue.wants_key_frame());
        assert!(!queue.push_video(&frame(1, false, false)));
        assert!(queue.push_video(&frame(2, true, false)));
        assert!(queue.push_video(&frame(3, false, false)));
        assert!(queue.push_audio(&audio(9)));
        assert_eq!(drain(&mut queue, Duration::ZERO), [-9, 2, 3]);
        assert!(!queue.wants_key_frame());
    }

    #[test]
    fn discardable_frames_are_dropped_first() {
        let mut queue = open();
        queue.push_video(&frame(1, true, false));
        queue.push_video(&frame(2, false, true));
        queue.push_video(&frame(3, false, false));
        queue.push_video(&frame(4, false, true));
        queue.push_video(&frame(5, false, false));
        queue.push_video(&frame(6, false, false));
        assert_eq!(drain(&mut queue, Duration::ZERO), [1, 3, 5, 6]);
        assert!(!queue.wants_key_frame());
        assert_eq!(queue.stats().frames_dropped, 2);
    }

    #[test]
    fn then_everything_until_the_next_key_frame() {
        let mut queue = open();
        queue.push_video(&frame(1, true, false));
        (2..6).for_each(|number| _ = queue.push_video(&frame(number, false, false)));
        assert!(queue.wants_key_frame());
        assert!(!queue.push_video(&frame(6, false, false)));
        assert!(queue.push_video(&frame(7, true, false)));
        assert_eq!(drain(&mut queue, Duration::ZERO), [7]);
        assert_eq!(queue.stats(), LegStats { frames_sent: 1, frames_dropped: 6, ..LegStats::default() });
    }

    #[test]
    fn a_key_frame_replaces_what_waits_before_it() {
        let mut queue = open();
        queue.push_video(&frame(1, true, false));
        (2..5).for_each(|number| _ = queue.push_video(&frame(number, false, false)));
        queue.push_video(&frame(5, true, false));
        assert_eq!(drain(&mut queue, Duration::ZERO), [5]);
    }

    #[test]
    fn a_busy_pacer_drops_whole_frames_and_asks_again_when_it_has_room() {
        let mut queue = open();
        let (busy, idle) = (Duration::from_millis(300), Duration::from_millis(10));
        queue.push_video(&frame(1, true, false));
        queue.push_video(&frame(2, false, false));
        assert!(drain(&mut queue, busy).is_empty());
        assert!(!queue.wants_key_frame(), "a key frame now would make it worse");
        assert!(drain(&mut queue, idle).is_empty());
        assert!(queue.wants_key_frame());
    }

    #[test]
    fn what_the_other_end_asks_for_is_granted_at_once_and_then_at_a_pace() {
        let (mut queue, now) = (open(), Instant::now());
        queue.push_video(&frame(1, true, false));
        assert!(queue.peer_asks(now));
        queue.push_video(&frame(2, true, false));
        assert!(!queue.key_frame_due(now), "it has come");
        let soon = now + Duration::from_millis(300);
        assert!(!queue.peer_asks(soon));
        assert!(!queue.key_frame_due(soon));
        assert!(queue.key_frame_due(now + Duration::from_millis(500)), "it is not forgotten");
    }

    #[test]
    fn old_sounds_make_room_for_new_ones() {
        let mut queue = open();
        (0..30).for_each(|number| _ = queue.push_audio(&audio(number)));
        let first = drain(&mut queue, Duration::ZERO)[0];
        assert_eq!(first, -5);
        assert_eq!(queue.stats().sounds_dropped, 5);
    }

    #[test]
    fn a_fraction_is_kept_of_a_stream_that_can_be_thinned_out() {
        let mut queue = open();
        queue.set_picture(Picture::Fraction { keep_permille: 750 });
        let mut sent = 0;
        for number in 0..1_000 {
            queue.push_video(&frame(number, number == 0, number % 2 == 1));
            sent += drain(&mut queue, Duration::ZERO).len();
        }
        assert!((740..=760).contains(&sent), "{sent}");
    }

    #[test]
    fn a_fraction_is_one_of_bytes_since_discardable_frames_are_the_small_ones() {
        let mut queue = open();
        queue.set_picture(Picture::Fraction { keep_permille: 800 });
        let (mut sent, mut all) = (0, 0);
        for number in 0..1_000 {
            let mut frame = Arc::unwrap_or_clone(frame(number, number == 0, number % 2 == 1));
            frame.bytes = if frame.discardable { 400 } else { 800 };
            all += frame.bytes;
            if queue.push_video(&Arc::new(frame)) {
                sent += if number % 2 == 1 { 400 } else { 800 };
            }
            drain(&mut queue, Duration::ZERO);
        }
        let share = f64::from(sent) / all as f64;
        assert!((0.78..=0.82).contains(&share), "{share}");
    }

    #[test]
    fn adaptation_thins_out_and_suspends_the_picture() {
        let mut queue = open();
        queue.set_picture(Picture::Fraction { keep_permille: 600 });
        queue.push_video(&frame(1, true, false));
        queue.push_video(&frame(2, false, true));
        queue.push_video(&frame(3, false, false));
        assert_eq!(drain(&mut queue, Duration::ZERO), [1, 3]);
        queue.set_picture(Picture::Suspended);
        assert!(!queue.push_video(&frame(4, true, false)));
        assert!(!queue.wants_key_frame());
        queue.set_picture(Picture::Full);
        assert!(queue.wants_key_frame());
        assert!(!queue.push_video(&frame(5, false, false)));
        assert!(queue.push_video(&frame(6, true, false)));
        assert_eq!(drain(&mut queue, Duration::ZERO), [6]);
        assert_eq!(queue.stats().frames_withheld, 2);
    }
}
