//! What waits for one connection's writer, and what is dropped when it does not keep up. Pure.
//!
//! Video: four frames. When they are too many, discardable ones go first; then everything until the next key frame,
//! since a frame without its reference is worth nothing. A key frame takes the place of all that waits. Sound: half a second,
//! the oldest goes first. Frames are dropped here, before they get sequence numbers, so that nobody asks for them again. For a
//! narrow link three sounds at a time make a packet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_media::rtp::bundle;
use parlor_media::{EncodedAudio, PacketizedFrame};

use super::key_pace::KeyPace;
use crate::interceptors::PacerGauge;

/// Frames that may wait: 130 ms at 30 fps.
const FRAMES_MAX: usize = 4;
/// Sounds that may wait: half a second.
const SOUNDS_MAX: usize = 25;

/// What a thinned out picture may save, or be in debt for a key frame, in thousandths of bytes: 8 kB, a second or two.
const ALLOWANCE_MAX: i64 = 8_000 * 1_000;

/// When the network below counts as behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The pacer's backlog from which on frames wait.
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
    /// Nobody says what comes there, and no picture leaves: what is asked for meanwhile waits, too.
    is_unheard: bool,
    key_pace: KeyPace,
    /// With [`Picture::Fraction`]: thousandths of bytes that may still go.
    allowance: i64,
    video: VecDeque<Arc<PacketizedFrame>>,
    audio: VecDeque<EncodedAudio>,
    /// Sounds go together, as many as fit a packet.
    bundles_sound: bool,
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
            is_unheard: false,
            key_pace: KeyPace::default(),
            allowance: 0,
            video: VecDeque::new(),
            audio: VecDeque::new(),
            bundles_sound: false,
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

    /// Whether sounds wait until they fill a packet.
    pub(crate) fn set_bundles_sound(&mut self, bundles_sound: bool) {
        self.bundles_sound = bundles_sound;
    }

    pub(crate) fn stats(&self) -> LegStats {
        self.stats
    }

    /// Whether a key frame would help now.
    fn wants_key_frame(&self) -> bool {
        let is_wanted = self.peer_asks || (self.awaits_key && self.may_ask);
        self.is_open && is_wanted && !self.is_unheard && self.picture != Picture::Suspended
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

    /// What the next frames refer to was given up below: they are worth nothing, up to a key frame.
    pub(crate) fn begin_anew(&mut self) {
        match self.video.iter().position(|frame| frame.key) {
            Some(index) => {
                self.stats.frames_dropped += index as u64;
                self.video.drain(..index);
            }
            None => self.await_key(),
        }
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
            // What waits before it is not worth waiting for: behind it the key frame would be dropped with it, by the next frame too many.
            self.stats.frames_dropped += self.video.len() as u64;
            self.video.clear();
        }
        if self.awaits_key {
            self.stats.frames_dropped += 1;
            // The writer looks at the backlog again, so that the key frame can be asked for when there is room.
            return !self.may_ask || self.is_unheard;
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

    /// Whether the next of the picture is a key frame, so that what was before it does not matter any more.
    pub(crate) fn begins_anew(&self) -> bool {
        self.video.front().map_or(self.awaits_key, |frame| frame.key)
    }

    /// What to write next, sound first. `backlog` is how long the pacer below will be busy.
    pub(crate) fn pop(&mut self, backlog: Duration) -> Option<Next> {
        self.may_ask = backlog <= self.limits.backlog_low;
        self.is_unheard = backlog == PacerGauge::FOR_EVER;
        if let Some(audio) = self.pop_audio(false) {
            return Some(Next::Audio(audio));
        }
        // Frames wait for a busy pacer, and the queue drops what becomes too many: after a key frame, which alone keeps a slow
        // link busy for longer than this, the next ones would otherwise be lost, and the next key frame be asked for.
        if backlog > self.limits.backlog_max {
            return None;
        }
        let frame = self.video.pop_front()?;
        if frame.key {
            self.peer_asks = false;
        }
        self.stats.frames_sent += 1;
        Some(Next::Video(frame))
    }

    /// Whether sounds wait for those that are to go with them.
    pub(crate) fn holds_sounds(&self) -> bool {
        self.bundles_sound && !self.audio.is_empty()
    }

    /// What waits for sounds that do not come, since the other side of a pause is another packet.
    pub(crate) fn pop_held_sounds(&mut self) -> Option<EncodedAudio> {
        self.pop_audio(true)
    }

    fn pop_audio(&mut self, is_last: bool) -> Option<EncodedAudio> {
        let alike =
            self.audio.iter().zip(self.audio.iter().skip(1)).take_while(|(one, next)| bundle::follows(one, next));
        let together = (alike.count() + 1).min(if self.bundles_sound { bundle::SOUNDS_MAX } else { 1 });
        let is_whole = is_last || together < self.audio.len() || !self.bundles_sound || together == bundle::SOUNDS_MAX;
        if self.audio.is_empty() || !is_whole {
            return None;
        }
        let joined = bundle::join(&self.audio.make_contiguous()[..together]);
        // What cannot be joined goes as it is, one by one.
        let count = if joined.is_some() { together } else { 1 };
        let first = self.audio.drain(..count).next();
        self.stats.sounds_sent += count as u64;
        joined.or(first)
    }
}

#[cfg(test)]
pub(crate) mod tests;
