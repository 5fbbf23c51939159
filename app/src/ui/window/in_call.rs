//! A call in the window: what it shows beside the snapshot, and what it was told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use egui::Context;
use parlor_engine::{Call, EndReason, Snapshot};
use parlor_proto::PeerId;
use parlor_session::Phase;

use super::{Place, local_seconds};
use crate::ui::adapter::{Around, Told, call_view, speaker_news, tell};
use crate::ui::call::{CallState, Sheet};
use crate::ui::chat_log::ChatLog;
use crate::ui::leave;
use crate::ui::rates::{Counters, RateMeter, Rates};
use crate::ui::video_texture::VideoTexture;
use crate::ui::view::{CallView, DevicesView, Note, Picture, TileId};

/// Whoever is announced this soon after joining was there before.
const EARLY: Duration = Duration::from_secs(1);

/// A call, and what only its window knows of it.
pub(super) struct InCall {
    pub(super) call: Call,
    pub(super) state: CallState,
    entered: bool,
    unread: usize,
    chat: ChatLog,
    textures: BTreeMap<PeerId, VideoTexture>,
    measured: Option<(PeerId, RateMeter)>,
    /// Why nobody is heard, as it was told.
    speaker_problem: Option<String>,
}

/// What the rest of the window lends for drawing.
pub(super) struct Surroundings<'a> {
    pub(super) ctx: &'a Context,
    pub(super) place: Option<&'a Place>,
    pub(super) reach: Option<&'a str>,
    pub(super) devices: DevicesView,
    pub(super) your_picture: Option<Picture>,
}

impl InCall {
    pub(super) fn new(call: Call) -> Self {
        Self {
            call,
            state: CallState::default(),
            entered: false,
            unread: 0,
            chat: ChatLog::default(),
            textures: BTreeMap::new(),
            measured: None,
            speaker_problem: None,
        }
    }

    /// Takes what there is to tell. Answers the last thing worth showing for a moment.
    pub(super) fn poll(&mut self, now_unix: Duration) -> Option<Note> {
        let snapshot = self.call.snapshot();
        let now_ms = u64::try_from(now_unix.as_millis()).unwrap_or(u64::MAX);
        let mut toast = None;
        while let Some(notice) = self.call.poll_notice() {
            match tell(&notice, snapshot.elapsed < EARLY, |peer| name_of(&snapshot, peer)) {
                Told::Remark(text) => {
                    self.chat.remark(text.clone(), now_ms);
                    toast = Some(Note::quiet(text));
                }
                Told::Toast(note) => toast = Some(note),
                Told::Chat => {
                    self.unread += usize::from(!self.state.chat_open);
                    self.chat.take_through_next_of_others(&snapshot.room, now_ms);
                }
                Told::Nothing => {}
            }
        }
        self.chat.take(&snapshot.room, now_ms);
        speaker_news(&mut self.speaker_problem, &snapshot.speaker_status).or(toast)
    }

    /// The window is to be closed. Answers whether the user is asked first, since others depend on it.
    pub(super) fn asks_before_closing(&mut self, hosting: bool) -> bool {
        let asks = leave::asks(hosting, self.call.snapshot().room.peers.len());
        if asks {
            self.state.sheet = Some(Sheet::Quit);
        }
        asks
    }

    pub(super) fn chat_opened(&mut self, open: bool) {
        if open {
            self.unread = 0;
        }
    }

    /// Whether the room was entered since the last question; true once.
    pub(super) fn just_entered(&mut self) -> bool {
        let inside = matches!(self.call.snapshot().room.phase, Phase::InRoom | Phase::Reconnecting);
        inside && !std::mem::replace(&mut self.entered, true)
    }

    /// Why the call is over, once it is.
    pub(super) fn ended(&self) -> Option<EndReason> {
        match &self.call.snapshot().room.phase {
            Phase::Ended(reason) => Some(reason.clone()),
            Phase::Idle | Phase::Joining | Phase::InRoom | Phase::Reconnecting => None,
        }
    }

    pub(super) fn view(&mut self, around: &Surroundings<'_>) -> CallView {
        let snapshot = self.call.snapshot();
        self.update_textures(around.ctx, &snapshot);
        let rates = self.measure(&snapshot);
        let textures = &self.textures;
        let picture = |id: &TileId| match id {
            TileId::You => around.your_picture,
            TileId::Peer(peer) => textures.get(peer).and_then(VideoTexture::picture),
        };
        let link = around.place.and_then(|place| place.link.as_ref()).map(ToString::to_string).unwrap_or_default();
        let knows_password = around.place.is_some_and(|place| place.credentials.password.is_some());
        call_view(
            &snapshot,
            Around {
                picture: &picture,
                local: &local_seconds,
                link: &link,
                room: around.place.map_or("", |place| place.room.as_str()),
                reach: around.reach,
                unread: self.unread,
                chat: &self.chat,
                details: self.measured.as_ref().map(|(peer, _)| (peer, rates)),
                devices: around.devices.clone(),
                knows_password,
            },
        )
    }

    /// Textures of those who are here, with the newest picture each.
    fn update_textures(&mut self, ctx: &Context, snapshot: &Snapshot) {
        self.textures.retain(|peer, _| snapshot.room.peers.iter().any(|view| view.peer_id == *peer));
        for peer in &snapshot.room.peers {
            // The slot is asked for each time: a new connection brings a new one.
            if let Some(frame) = self.call.pictures(&peer.peer_id).and_then(|slot| slot.peek()) {
                let texture = self.textures.entry(peer.peer_id.clone()).or_default();
                texture.update(ctx, peer.peer_id.as_str(), &frame);
            }
        }
    }

    /// Measures the connection whose Details are open, and only that.
    fn measure(&mut self, snapshot: &Snapshot) -> Option<Rates> {
        let Some(Sheet::Details(open)) = &self.state.sheet else {
            self.measured = None;
            return None;
        };
        let counters = snapshot.peers.get(open).map_or_else(Counters::default, |media| Counters {
            bytes_in: media.transport.bytes_in,
            bytes_out: media.transport.bytes_out,
            frames: media.video.frames_shown,
        });
        let now = Instant::now();
        if self.measured.as_ref().is_none_or(|(peer, _)| peer != open) {
            self.measured = Some((open.clone(), RateMeter::new(now, counters)));
        }
        self.measured.as_mut().and_then(|(_, meter)| meter.update(now, counters))
    }
}

fn name_of(snapshot: &Snapshot, peer: &PeerId) -> String {
    let view = snapshot.room.peers.iter().find(|view| view.peer_id == *peer);
    view.map_or_else(|| "Someone".to_owned(), |view| view.name.as_str().to_owned())
}
