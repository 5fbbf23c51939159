//! Decides when there is something new to show, and puts it together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_session::{MediaState, RoomView, Session};

use super::peers::Peers;
use crate::call::LocalMedia;
use crate::media_state::{Wishes, media_state};
use crate::snapshot::{SentView, Snapshot};

/// Between two snapshots because of the room: together what happens together.
const STATE_INTERVAL: Duration = Duration::from_millis(10);
/// Between two snapshots because of meters.
const METER_INTERVAL: Duration = Duration::from_millis(100);
/// Between two snapshots in any case: the timer, and the statistics.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// A level is shown in so many steps; smaller changes are none.
const LEVEL_STEPS: f32 = 24.0;

/// Keeps what was shown last.
pub(super) struct Viewer {
    room: Option<Arc<RoomView>>,
    media: Option<MediaState>,
    meters: Vec<(bool, u8)>,
    published_at: Option<Instant>,
    publish_at: Option<Instant>,
    joined_at: Option<Instant>,
    counted: Counted,
}

/// What was encoded at the beginning of the second.
#[derive(Clone, Copy)]
struct Counted {
    at: Instant,
    bytes: u64,
    bitrate_bps: u64,
}

impl Viewer {
    pub(super) fn new(media: &LocalMedia) -> Self {
        let counted = Counted { at: Instant::now(), bytes: media.video.stats().bytes_encoded, bitrate_bps: 0 };
        Self {
            room: None,
            media: None,
            meters: Vec::new(),
            published_at: None,
            publish_at: None,
            joined_at: None,
            counted,
        }
    }

    /// When the next snapshot is due.
    pub(super) fn publish_at(&self) -> Option<Instant> {
        self.publish_at
    }

    fn publish_within(&mut self, now: Instant, interval: Duration) {
        let due = self.published_at.map_or(now, |at| (at + interval).max(now));
        self.publish_at = Some(self.publish_at.map_or(due, |at| at.min(due)));
    }

    /// The room has changed.
    pub(super) fn state_changed(&mut self, now: Instant) {
        self.room = None;
        self.publish_within(now, STATE_INTERVAL);
    }

    pub(super) fn joined(&mut self, now: Instant) {
        self.joined_at.get_or_insert(now);
    }

    /// What our devices do, if that is not what it was.
    pub(super) fn media_state(&mut self, wishes: Wishes, media: &LocalMedia) -> Option<MediaState> {
        let state = media_state(wishes, &media.audio.source_status(), &media.video.status());
        (self.media.replace(state) != Some(state)).then_some(state)
    }

    /// Looks at the meters.
    pub(super) fn look(&mut self, now: Instant, media: &LocalMedia, peers: &Peers) {
        // Clamped, so the cast keeps its value.
        let steps = |level: f32| (level.clamp(0.0, 1.0) * LEVEL_STEPS) as u8;
        let own = (media.audio.is_speaking(), steps(media.audio.level()));
        let others = peers.iter().map(|(_, peer)| {
            let audio = &peer.shared.inbound.audio;
            (audio.is_speaking(), steps(audio.level()))
        });
        let meters: Vec<_> = std::iter::once(own).chain(others).collect();
        if meters != self.meters {
            self.meters = meters;
            self.publish_within(now, METER_INTERVAL);
        }
        self.publish_within(now, IDLE_INTERVAL);
        self.count(now, media);
    }

    fn count(&mut self, now: Instant, media: &LocalMedia) {
        let elapsed = now.saturating_duration_since(self.counted.at);
        if elapsed < IDLE_INTERVAL {
            return;
        }
        let bytes = media.video.stats().bytes_encoded;
        let bits = bytes.saturating_sub(self.counted.bytes) as f64 * 8.0;
        self.counted = Counted { at: now, bytes, bitrate_bps: (bits / elapsed.as_secs_f64()) as u64 };
    }

    pub(super) fn snapshot(
        &mut self,
        now: Instant,
        session: &Session,
        media: &LocalMedia,
        peers: &mut Peers,
        wishes: Wishes,
        deafened: bool,
    ) -> Snapshot {
        self.published_at = Some(now);
        self.publish_at = None;
        let room = self.room.get_or_insert_with(|| {
            let room = session.view();
            peers.follow(&room);
            Arc::new(room)
        });
        let speaking = media.audio.is_speaking();
        Snapshot {
            room: room.clone(),
            muted: wishes.muted,
            camera_enabled: wishes.camera_enabled,
            deafened,
            microphone_status: media.audio.source_status(),
            camera_status: media.video.status(),
            speaker_status: media.audio.sink_status(),
            peers: peers.views(now),
            speaking_while_muted: wishes.muted && speaking,
            speaking,
            level: media.audio.level(),
            elapsed: self.joined_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
            sent: SentView {
                video: media.video.stats(),
                video_bitrate_bps: self.counted.bitrate_bps,
                audio: media.audio.stats(),
            },
        }
    }
}
