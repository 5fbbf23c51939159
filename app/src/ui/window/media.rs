//! The devices of the window: which are chosen, and when they are open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::Context;
use parlor_engine::{CallCommand, LocalMedia};
use parlor_media::{
    AudioSink, AudioSource, LocalAudio, LocalAudioConfig, LocalVideo, LocalVideoConfig, MediaClock, VideoFrame,
    VideoSource, latest,
};

use crate::config::Config;
use crate::ui::adapter::{camera_problem, sound_problem};
use crate::ui::chosen::Chosen;
use crate::ui::device_list::DeviceList;
use crate::ui::lobby::LobbyState;
use crate::ui::test_sound::{Step, TestSound};
use crate::ui::video_texture::VideoTexture;
use crate::ui::view::{DevicesView, Picture};
use crate::ui::{Prefill, wake as wake_window};

/// How often the level meter moves.
const METER_INTERVAL: Duration = Duration::from_millis(50);

/// Camera, microphone and speaker.
pub(super) struct Media {
    local: LocalMedia,
    camera: Chosen<VideoSource>,
    microphone: Chosen<AudioSource>,
    speaker: Chosen<AudioSink>,
    processing: bool,
    test_sound: TestSound,
    preview: bool,
    in_call: bool,
    frames: latest::Receiver<VideoFrame>,
    texture: VideoTexture,
    list: DeviceList,
    ctx: Context,
    changes: Vec<CallCommand>,
}

impl Media {
    /// Nothing is opened yet. The command line's choices stand over the kept ones.
    pub(super) fn new(ctx: &Context, config: &Config, prefill: &Prefill) -> Self {
        let clock = MediaClock::system();
        let processing = prefill.audio_processing.unwrap_or(config.audio_processing);
        let audio = LocalAudio::new(LocalAudioConfig { processing, ..LocalAudioConfig::default() }, clock);
        let video = LocalVideo::new(LocalVideoConfig::default(), clock);
        let wake = || -> Arc<dyn Fn() + Send + Sync> {
            let ctx = ctx.clone();
            Arc::new(move || wake_window(&ctx))
        };
        video.on_status(wake());
        audio.on_status(wake());
        let frames = video.preview();
        frames.set_waker(wake());
        video.set_source(VideoSource::None);
        Self {
            local: LocalMedia { video: Arc::new(video), audio: Arc::new(audio), clock },
            camera: Chosen::new(prefill.video.clone(), config.camera.clone()),
            microphone: Chosen::new(prefill.audio.clone(), config.microphone.clone()),
            speaker: Chosen::new(prefill.speaker.clone(), config.speaker.clone()),
            processing,
            test_sound: TestSound::None,
            preview: false,
            in_call: false,
            frames,
            texture: VideoTexture::default(),
            list: DeviceList::default(),
            ctx: ctx.clone(),
            changes: Vec::new(),
        }
    }

    pub(super) fn local(&self) -> LocalMedia {
        self.local.clone()
    }

    pub(super) fn preview(&self) -> bool {
        self.preview
    }

    pub(super) fn set_preview(&mut self, on: bool, lobby: &LobbyState) {
        self.preview = on;
        self.apply_preview(lobby);
    }

    /// Opens or closes the devices for the lobby.
    pub(super) fn apply_preview(&mut self, lobby: &LobbyState) {
        self.changes.clear();
        self.test_sound = TestSound::None;
        let (video, audio) = (&self.local.video, &self.local.audio);
        let camera = self.preview && !lobby.camera_off;
        video.set_enabled(camera);
        video.set_source(if camera { self.camera.now().clone() } else { VideoSource::None });
        audio.set_muted(false);
        audio.set_deafened(false);
        audio.set_source(if self.preview { self.microphone.now().clone() } else { AudioSource::None });
        audio.set_sink(if self.preview { self.speaker.now().clone() } else { AudioSink::None });
        if !camera {
            self.texture = VideoTexture::default();
        }
    }

    /// Opens them for a call; the pattern of a test carries the caller's name.
    pub(super) fn open_for_call(&mut self, lobby: &LobbyState, name: &str) {
        self.in_call = true;
        self.changes.clear();
        self.test_sound = TestSound::None;
        let camera = match self.camera.now() {
            VideoSource::TestPattern { name: none } if none.is_empty() => {
                VideoSource::TestPattern { name: name.to_owned() }
            }
            VideoSource::None
            | VideoSource::TestPattern { .. }
            | VideoSource::File(_)
            | VideoSource::Device(_)
            | VideoSource::DefaultDevice => self.camera.now().clone(),
        };
        self.local.video.set_source(camera);
        self.local.video.set_enabled(!lobby.camera_off);
        self.local.audio.set_source(self.microphone.now().clone());
        self.local.audio.set_sink(self.speaker.now().clone());
    }

    pub(super) fn close_after_call(&mut self, lobby: &LobbyState) {
        self.in_call = false;
        self.apply_preview(lobby);
        self.refresh_devices();
    }

    pub(super) fn refresh_devices(&mut self) {
        let ctx = self.ctx.clone();
        self.list.refresh(move || ctx.request_repaint());
    }

    pub(super) fn poll(&mut self) {
        self.list.poll();
        let audio = &self.local.audio;
        match self.test_sound.step(&audio.sink_status(), Instant::now()) {
            Step::Rest => {}
            Step::Wait(left) => self.ctx.request_repaint_after(left),
            Step::Play(lasts) => {
                audio.play_test_sound();
                self.ctx.request_repaint_after(lasts);
            }
            Step::Close => audio.set_sink(AudioSink::None),
        }
    }

    /// This and the next two answer whether the choice is to be kept.
    pub(super) fn choose_camera(&mut self, id: Option<String>) -> bool {
        let keep = self.camera.choose(id);
        self.changes.push(CallCommand::SetVideoSource(self.camera.now().clone()));
        keep
    }

    pub(super) fn choose_microphone(&mut self, id: Option<String>) -> bool {
        let keep = self.microphone.choose(id);
        self.changes.push(CallCommand::SetAudioSource(self.microphone.now().clone()));
        keep
    }

    pub(super) fn choose_speaker(&mut self, id: Option<String>) -> bool {
        let keep = self.speaker.choose(id);
        self.changes.push(CallCommand::SetAudioSink(self.speaker.now().clone()));
        keep
    }

    /// Choices made in a call, for the call to carry out.
    pub(super) fn take_changes(&mut self) -> Vec<CallCommand> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn set_processing(&mut self, on: bool) {
        self.processing = on;
        self.local.audio.set_processing(on);
    }

    /// Plays a sound; in a lobby without preview the speaker is opened for it, and closed when it is over.
    pub(super) fn test_sound(&mut self) {
        if self.preview || self.in_call {
            self.local.audio.play_test_sound();
        } else {
            self.local.audio.set_sink(self.speaker.now().clone());
            self.test_sound = TestSound::Opening;
            // A file is open at once, and says so to nobody.
            self.ctx.request_repaint();
        }
    }

    /// The lobby's picture, and the meter kept moving while the microphone is open.
    pub(super) fn update_preview(&mut self, ctx: &Context) {
        if self.preview {
            self.update_self_view(ctx);
            if self.local.audio.source_status().is_live() {
                ctx.request_repaint_after(METER_INTERVAL);
            }
        }
    }

    pub(super) fn update_self_view(&mut self, ctx: &Context) {
        if self.local.video.status().is_live()
            && let Some(frame) = self.frames.peek()
        {
            self.texture.update(ctx, "you", &frame);
        }
    }

    pub(super) fn picture(&self) -> Option<Picture> {
        self.texture.picture().filter(|_| self.local.video.status().is_live())
    }

    pub(super) fn level(&self) -> f32 {
        if self.preview { self.local.audio.level() } else { 0.0 }
    }

    pub(super) fn camera_problem(&self) -> Option<String> {
        camera_problem(&self.local.video.status())
    }

    pub(super) fn microphone_problem(&self) -> Option<String> {
        sound_problem(&self.local.audio.source_status())
    }

    pub(super) fn devices(&self) -> DevicesView {
        DevicesView {
            cameras: self.camera.picker(&self.list.cameras),
            microphones: self.microphone.picker(&self.list.microphones),
            speakers: self.speaker.picker(&self.list.speakers),
            audio_processing: self.processing,
            speaker_problem: sound_problem(&self.local.audio.sink_status()),
        }
    }
}
