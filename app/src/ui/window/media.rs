//! The devices of the window: which are chosen, and when they are open.

use std::sync::Arc;
use std::time::Duration;

use egui::Context;
use parlor_engine::{CallCommand, LocalMedia};
use parlor_media::{
    AudioSink, AudioSource, LocalAudio, LocalAudioConfig, LocalVideo, LocalVideoConfig, MediaClock, VideoFrame,
    VideoSource, latest,
};

use crate::config::Config;
use crate::ui::Prefill;
use crate::ui::adapter::{camera_problem, sound_problem};
use crate::ui::device_list::{DeviceList, picker};
use crate::ui::lobby::LobbyState;
use crate::ui::video_texture::VideoTexture;
use crate::ui::view::{DevicesView, Picture};

/// How often the level meter moves.
const METER_INTERVAL: Duration = Duration::from_millis(50);

/// Camera, microphone and speaker.
pub(super) struct Media {
    local: LocalMedia,
    camera: VideoSource,
    microphone: AudioSource,
    speaker: AudioSink,
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
            Arc::new(move || ctx.request_repaint())
        };
        video.on_status(wake());
        audio.on_status(wake());
        let frames = video.preview();
        frames.set_waker(wake());
        video.set_source(VideoSource::None);
        Self {
            local: LocalMedia { video: Arc::new(video), audio: Arc::new(audio), clock },
            camera: prefill.video.clone().unwrap_or_else(|| camera_of(config.camera.clone())),
            microphone: prefill.audio.clone().unwrap_or_else(|| microphone_of(config.microphone.clone())),
            speaker: prefill.speaker.clone().unwrap_or_else(|| speaker_of(config.speaker.clone())),
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
        let (video, audio) = (&self.local.video, &self.local.audio);
        let camera = self.preview && !lobby.camera_off;
        video.set_enabled(camera);
        video.set_source(if camera { self.camera.clone() } else { VideoSource::None });
        audio.set_muted(false);
        audio.set_deafened(false);
        audio.set_source(if self.preview { self.microphone.clone() } else { AudioSource::None });
        audio.set_sink(if self.preview { self.speaker.clone() } else { AudioSink::None });
        if !camera {
            self.texture = VideoTexture::default();
        }
    }

    /// Opens them for a call; the pattern of a test carries the caller's name.
    pub(super) fn open_for_call(&mut self, lobby: &LobbyState, name: &str) {
        self.in_call = true;
        self.changes.clear();
        let camera = match &self.camera {
            VideoSource::TestPattern { name: none } if none.is_empty() => {
                VideoSource::TestPattern { name: name.to_owned() }
            }
            VideoSource::None
            | VideoSource::TestPattern { .. }
            | VideoSource::File(_)
            | VideoSource::Device(_)
            | VideoSource::DefaultDevice => self.camera.clone(),
        };
        self.local.video.set_source(camera);
        self.local.video.set_enabled(!lobby.camera_off);
        self.local.audio.set_source(self.microphone.clone());
        self.local.audio.set_sink(self.speaker.clone());
    }

    pub(super) fn close_after_call(&mut self, lobby: &LobbyState) {
        self.in_call = false;
        self.apply_preview(lobby);
    }

    pub(super) fn refresh_devices(&mut self) {
        let ctx = self.ctx.clone();
        self.list.refresh(move || ctx.request_repaint());
    }

    pub(super) fn poll(&mut self) {
        self.list.poll();
    }

    pub(super) fn choose_camera(&mut self, id: Option<String>) {
        self.camera = camera_of(id);
        self.changes.push(CallCommand::SetVideoSource(self.camera.clone()));
    }

    pub(super) fn choose_microphone(&mut self, id: Option<String>) {
        self.microphone = microphone_of(id);
        self.changes.push(CallCommand::SetAudioSource(self.microphone.clone()));
    }

    pub(super) fn choose_speaker(&mut self, id: Option<String>) {
        self.speaker = speaker_of(id);
        self.changes.push(CallCommand::SetAudioSink(self.speaker.clone()));
    }

    /// Choices made in a call, for the call to carry out.
    pub(super) fn take_changes(&mut self) -> Vec<CallCommand> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn set_processing(&self, on: bool) {
        self.local.audio.set_processing(on);
    }

    /// Plays a sound; in a lobby without preview the speaker is opened for it.
    pub(super) fn test_sound(&self) {
        self.local.audio.set_sink(self.speaker.clone());
        self.local.audio.play_test_sound();
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

    pub(super) fn devices(&self, config: &Config) -> DevicesView {
        DevicesView {
            cameras: picker(&self.list.cameras, config.camera.as_deref()),
            microphones: picker(&self.list.microphones, config.microphone.as_deref()),
            speakers: picker(&self.list.speakers, config.speaker.as_deref()),
            audio_processing: config.audio_processing,
            speaker_problem: sound_problem(&self.local.audio.sink_status()),
        }
    }
}

fn camera_of(id: Option<String>) -> VideoSource {
    id.map_or(VideoSource::DefaultDevice, VideoSource::Device)
}

fn microphone_of(id: Option<String>) -> AudioSource {
    id.map_or(AudioSource::DefaultDevice, AudioSource::Device)
}

fn speaker_of(id: Option<String>) -> AudioSink {
    id.map_or(AudioSink::DefaultDevice, AudioSink::Device)
}
