//! From the engine's task to everyone who looks: snapshots, notices, pictures, the end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_media::{VideoFrame, latest};
use parlor_proto::PeerId;
use parlor_session::{EndReason, Event, MediaState, Phase, RoomView};
use tokio::sync::{Notify, watch};

use crate::call::LocalMedia;
use crate::snapshot::{SentView, Snapshot};

/// Notices that wait; when full the oldest is dropped.
const NOTICES_MAX: usize = 256;

/// What the handles read.
pub(crate) struct Published {
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) ended: watch::Receiver<Option<EndReason>>,
    pub(crate) notices: Arc<Notices>,
    pictures: Arc<Pictures>,
}

type Pictures = Mutex<BTreeMap<PeerId, latest::Receiver<VideoFrame>>>;

impl Published {
    pub(crate) fn pictures(&self, peer: &PeerId) -> Option<latest::Receiver<VideoFrame>> {
        self.pictures.lock().unwrap_or_else(PoisonError::into_inner).get(peer).cloned()
    }
}

/// A bounded queue of notices, read by polling or by waiting.
#[derive(Default)]
pub(crate) struct Notices {
    waiting: Mutex<(VecDeque<Event>, bool)>,
    changed: Notify,
}

impl Notices {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Event>, bool)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Event) {
        let mut waiting = self.lock();
        if waiting.0.len() >= NOTICES_MAX {
            waiting.0.pop_front();
        }
        waiting.0.push_back(event);
        drop(waiting);
        self.changed.notify_waiters();
    }

    fn close(&self) {
        self.lock().1 = true;
        self.changed.notify_waiters();
    }

    pub(crate) fn pop(&self) -> Option<Event> {
        self.lock().0.pop_front()
    }

    pub(crate) async fn next(&self) -> Option<Event> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that no notice falls between.
            changed.as_mut().enable();
            {
                let mut waiting = self.lock();
                if let Some(event) = waiting.0.pop_front() {
                    return Some(event);
                }
                if waiting.1 {
                    return None;
                }
            }
            changed.await;
        }
    }
}

/// The writing side.
pub(crate) struct Publisher {
    snapshots: watch::Sender<Arc<Snapshot>>,
    ended: watch::Sender<Option<EndReason>>,
    notices: Arc<Notices>,
    pictures: Arc<Pictures>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Publisher {
    pub(crate) fn new(media: &LocalMedia, wake: Arc<dyn Fn() + Send + Sync>) -> (Self, Arc<Published>) {
        let (snapshots, snapshot_receiver) = watch::channel(Arc::new(first_snapshot(media)));
        let (ended, ended_receiver) = watch::channel(None);
        let notices = Arc::new(Notices::default());
        let pictures = Arc::new(Pictures::default());
        let published = Published {
            snapshots: snapshot_receiver,
            ended: ended_receiver,
            notices: notices.clone(),
            pictures: pictures.clone(),
        };
        (Self { snapshots, ended, notices, pictures, wake }, Arc::new(published))
    }

    /// Called for each new picture.
    pub(crate) fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        self.wake.clone()
    }

    pub(crate) fn snapshot(&self, snapshot: Snapshot) {
        self.snapshots.send_replace(Arc::new(snapshot));
        (self.wake)();
    }

    pub(crate) fn notice(&self, event: Event) {
        self.notices.push(event);
        (self.wake)();
    }

    pub(crate) fn set_pictures(&self, peer: PeerId, pictures: Option<latest::Receiver<VideoFrame>>) {
        let mut all = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        match pictures {
            Some(pictures) => all.insert(peer, pictures),
            None => all.remove(&peer),
        };
    }

    /// The last word.
    pub(crate) fn end(&self, reason: EndReason) {
        self.notices.close();
        self.ended.send_replace(Some(reason));
        (self.wake)();
    }
}

fn first_snapshot(media: &LocalMedia) -> Snapshot {
    let room = RoomView {
        phase: Phase::Idle,
        room: None,
        server_problem: None,
        self_id: None,
        name: None,
        peers: Vec::new(),
        chat: Vec::new(),
        chat_total: 0,
        media: MediaState::default(),
        policy: Default::default(),
        relay_note: None,
        limits: None,
    };
    Snapshot {
        room: Arc::new(room),
        muted: false,
        camera_enabled: media.video.is_enabled(),
        deafened: false,
        microphone_status: media.audio.source_status(),
        camera_status: media.video.status(),
        speaker_status: media.audio.sink_status(),
        peers: BTreeMap::new(),
        speaking_while_muted: false,
        speaking: false,
        level: 0.0,
        elapsed: Duration::ZERO,
        sent: SentView::default(),
    }
}
