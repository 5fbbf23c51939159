//! The running window: its screens, and the commands of its user carried out.

mod in_call;
mod joining;
mod media;
mod secrets;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use egui::{Context, ViewportCommand};
use parlor_engine::{CallCommand, Credentials, EndReason, ServerAddress, Standby};
use parlor_proto::{RoomId, RoomLink};
use tokio::runtime::Runtime;

use super::adapter::{door_view, ended_view};
use super::call::call_ui;
use super::chosen::GivenText;
use super::door::{DoorState, door_ui};
use super::ended::ended_ui;
use super::lobby::{LobbyState, lobby_ui};
use super::video_texture::card;
use super::view::{DoorView, EndedView, LobbyView, Note, RecentView, UiCommand};
use super::words::day_words;
use super::{FrameCost, FrameWatch, WindowOptions, theme};
use crate::config::Config;
use crate::credentials::Given;
use crate::hosting::{HostError, Hosted};
use in_call::InCall;
use media::Media;

/// How long closing waits for the others to be told, at most.
const LEAVE_MAX: Duration = Duration::from_secs(2);
/// How long a toast stays.
const TOAST_SECS: f64 = 4.0;

/// Where a call is, to join it and to join it again.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    server: ServerAddress,
    room: RoomId,
    /// To hand on to others: without what is for us alone.
    link: Option<RoomLink>,
    /// What the room may ask for, as far as it is known here.
    credentials: Credentials,
}

/// What is on the screen.
enum Screen {
    Lobby,
    /// A room is being opened on this computer.
    Hosting(Receiver<Result<Hosted, HostError>>),
    Call(Box<InCall>),
    Ended(EndedView),
    /// The room asks for its password.
    Door(DoorView, DoorState),
}

/// The window.
pub(crate) struct Window {
    runtime: Runtime,
    ctx: Context,
    config: Config,
    given_name: GivenText,
    given_server: GivenText,
    media: Media,
    lobby: LobbyState,
    problem: Option<String>,
    screen: Screen,
    place: Option<Place>,
    hosted: Option<Hosted>,
    /// A call that is still saying goodbye; the next one waits for it, since both need the devices.
    closing: Option<Receiver<()>>,
    waiting: Option<Place>,
    /// For the room in the lobby's field.
    standby: Option<Standby>,
    /// The room's field as the command line filled it, and what that room may ask for.
    given_place: (String, Given),
    /// What rooms entered in this run asked for, by their links, so that they can be entered again.
    known: BTreeMap<String, Credentials>,
    toast: Option<(Note, f64)>,
    join_now: bool,
    /// The user was asked about closing, or need not be.
    quitting: bool,
    watch: Option<FrameWatch>,
}

impl Window {
    pub(crate) fn new(ctx: &Context, options: WindowOptions) -> std::io::Result<Self> {
        theme::apply(ctx);
        let runtime = parlor_engine::runtime("network")?;
        let WindowOptions { config, prefill, watch } = options;
        let media = Media::new(ctx, &config, &prefill);
        theme::set_motion_reduced(ctx, config.reduced_motion);
        let given_name = GivenText::new(prefill.name, config.name.clone());
        let given_server = GivenText::new(prefill.server, config.server.clone().unwrap_or_default());
        let lobby_room = prefill.room_or_link.unwrap_or_default();
        let lobby = LobbyState {
            name: given_name.start().to_owned(),
            room: lobby_room.clone(),
            server: given_server.start().to_owned(),
            relay_only: prefill.relay_only.unwrap_or(config.relay_only),
            ..LobbyState::default()
        };
        let mut window = Self {
            runtime,
            ctx: ctx.clone(),
            given_name,
            given_server,
            media,
            lobby,
            problem: None,
            screen: Screen::Lobby,
            place: None,
            hosted: None,
            closing: None,
            waiting: None,
            standby: None,
            given_place: (lobby_room, prefill.credentials),
            known: BTreeMap::new(),
            toast: None,
            join_now: prefill.join_now,
            quitting: false,
            watch,
            config,
        };
        window.media.refresh_devices();
        let preview = window.config.preview_camera || window.config.preview_microphone;
        window.media.set_preview(preview, &window.lobby);
        Ok(window)
    }

    /// Keeps the settings; what the command line gave holds for this run only.
    fn save(&mut self) {
        self.config.name = self.given_name.to_keep(&self.lobby.name).to_owned();
        let server = self.given_server.to_keep(&self.lobby.server);
        self.config.server = (!server.is_empty()).then(|| server.to_owned());
        if let Err(error) = self.config.save() {
            tracing::warn!("settings are not kept: {error}");
        }
    }

    /// Ends the call towards the others, and shows the screen told.
    fn leave(&mut self, next: Screen) {
        if let Screen::Call(in_call) = std::mem::replace(&mut self.screen, next) {
            let call = in_call.call;
            // A full queue empties; dropping the handle leaves as well.
            let _ = call.send(CallCommand::Leave);
            let (sender, receiver) = sync_channel(1);
            let ctx = self.ctx.clone();
            self.runtime.spawn(async move {
                let _late = tokio::time::timeout(LEAVE_MAX, call.finished()).await;
                drop(call);
                let _ = sender.send(());
                ctx.request_repaint();
            });
            self.closing = Some(receiver);
            self.ctx.send_viewport_cmd(ViewportCommand::Fullscreen(false));
            if matches!(self.screen, Screen::Lobby) {
                self.hosted = None;
            }
        }
    }

    /// Takes what came from other threads. Never waits.
    fn poll(&mut self) {
        self.media.poll();
        if self.closing.as_ref().is_some_and(|closing| closing.try_recv() != Err(TryRecvError::Empty)) {
            self.closing = None;
            match self.waiting.take() {
                Some(place) => self.go(place),
                None if !matches!(self.screen, Screen::Call(_)) => self.media.close_after_call(&self.lobby),
                None => {}
            }
        }
        if std::mem::take(&mut self.join_now) {
            self.join_typed();
        }
        if let Screen::Hosting(receiver) = &self.screen {
            match receiver.try_recv() {
                Ok(Ok(hosted)) => self.hosted(hosted),
                Ok(Err(error)) => self.hosting_failed(&error.to_string()),
                Err(TryRecvError::Disconnected) => self.hosting_failed("it stopped without a word"),
                Err(TryRecvError::Empty) => {}
            }
        }
        self.poll_call();
    }

    fn poll_call(&mut self) {
        let Screen::Call(in_call) = &mut self.screen else { return };
        let toast = in_call.poll(unix_time());
        let entered = in_call.just_entered();
        let ended = in_call.ended();
        if entered {
            self.keep_place();
        }
        if let Some(note) = toast {
            self.show(note);
        }
        match ended {
            None => {}
            Some(EndReason::Left) => self.leave(Screen::Lobby),
            Some(reason) => {
                let room = self.place.as_ref().map_or("", |place| place.room.as_str());
                let next = match door_view(&reason, room) {
                    Some(view) => Screen::Door(view, DoorState::default()),
                    None => ended_view(&reason).map_or(Screen::Lobby, Screen::Ended),
                };
                self.forget_refused_password(&reason);
                self.leave(next);
            }
        }
    }

    fn show(&mut self, note: Note) {
        self.toast = Some((note, self.ctx.time() + TOAST_SECS));
    }

    /// What just happened, while it is new; wakes the window when it no longer is.
    fn toast(&mut self) -> Option<Note> {
        let (note, until) = self.toast.clone()?;
        let left = until - self.ctx.time();
        if left <= 0.0 {
            self.toast = None;
            return None;
        }
        self.ctx.request_repaint_after_secs(left as f32);
        Some(note)
    }

    fn lobby_view(&self) -> LobbyView {
        let now = local_seconds(unix_time().as_secs().cast_signed());
        let recent = self.config.recent.iter().take(4).map(|recent| RecentView {
            room: recent.room.clone(),
            when: day_words(local_seconds(recent.at_unix_seconds.cast_signed()), now),
        });
        let busy = match (&self.screen, &self.waiting) {
            (Screen::Hosting(_), _) => Some("Opening a room on this computer…".to_owned()),
            (_, Some(_)) => Some("Leaving the last call first…".to_owned()),
            (_, None) => None,
        };
        LobbyView {
            preview: self.media.preview(),
            picture: self.media.picture(),
            camera_problem: self.media.camera_problem(),
            level: self.media.level(),
            microphone_problem: self.media.microphone_problem(),
            devices: self.media.devices(),
            recent: recent.collect(),
            problem: self.problem.clone(),
            busy,
        }
    }

    fn carry_out(&mut self, command: UiCommand) {
        match command {
            UiCommand::Join => self.join_typed(),
            UiCommand::PrepareJoin => self.prepare_join(),
            UiCommand::NewCall => self.new_call(),
            UiCommand::OpenRecent(index) => {
                if let Some(recent) = self.config.recent.get(index) {
                    self.lobby.room = recent.link.clone();
                    self.join_typed();
                }
            }
            UiCommand::SetPreview(on) => {
                (self.config.preview_camera, self.config.preview_microphone) = (on, on);
                self.media.set_preview(on, &self.lobby);
                self.save();
            }
            UiCommand::SelectCamera(id) => self.select(|config| &mut config.camera, id, Media::choose_camera),
            UiCommand::SelectMicrophone(id) => {
                self.select(|config| &mut config.microphone, id, Media::choose_microphone);
            }
            UiCommand::SelectSpeaker(id) => self.select(|config| &mut config.speaker, id, Media::choose_speaker),
            UiCommand::SetAudioProcessing(on) => {
                self.config.audio_processing = on;
                self.media.set_processing(on);
                self.save();
            }
            UiCommand::SetRelayOnly(on) => {
                self.config.relay_only = on;
                self.lobby.relay_only = on;
                self.save();
            }
            UiCommand::SetReducedMotion(reduced) => {
                self.config.reduced_motion = reduced;
                theme::set_motion_reduced(&self.ctx, reduced);
                self.save();
            }
            UiCommand::TestSound => self.media.test_sound(),
            UiCommand::RefreshDevices => self.media.refresh_devices(),
            UiCommand::SaveNames => (self.problem, self.lobby.server_problem) = (None, None),
            UiCommand::CopyLink => {
                if let Some((link, with_password)) = self.link_to_copy() {
                    self.ctx.copy_text(link.to_string());
                    self.show(Note::quiet(if with_password { "Link with the password copied" } else { "Link copied" }));
                }
            }
            UiCommand::SetFullscreen(on) => self.ctx.send_viewport_cmd(ViewportCommand::Fullscreen(on)),
            UiCommand::Leave | UiCommand::BackToLobby => {
                // What another attempt can't mend stays in sight, beside the field where it can be mended.
                if let Screen::Ended(EndedView { reason, can_rejoin: false, .. }) = &self.screen {
                    self.problem = Some(reason.clone());
                }
                self.leave(Screen::Lobby);
                self.screen = Screen::Lobby;
                self.hosted = None;
                self.lobby.focused = false;
                self.media.refresh_devices();
            }
            // Ending the window ends the call.
            UiCommand::Quit => {
                self.quitting = true;
                self.ctx.send_viewport_cmd(ViewportCommand::Close);
            }
            UiCommand::SetLock(locked) => self.tell_call(CallCommand::SetLock(locked)),
            UiCommand::SetPassword(password) => self.set_password(password),
            UiCommand::Remove(peer) => self.tell_call(CallCommand::Remove(peer)),
            UiCommand::JoinWithPassword(password) => self.join_with_password(password),
            UiCommand::Rejoin => {
                self.screen = Screen::Lobby;
                if let Some(place) = self.place.clone() {
                    self.go(place);
                }
            }
            UiCommand::SetMuted(muted) => {
                self.lobby.muted = muted;
                self.tell_call(CallCommand::SetMuted(muted));
            }
            UiCommand::SetCamera(on) => {
                self.lobby.camera_off = !on;
                self.tell_call(CallCommand::SetCameraEnabled(on));
            }
            UiCommand::SetDeafened(deafened) => self.tell_call(CallCommand::SetDeafened(deafened)),
            UiCommand::SetChatOpen(open) => {
                if let Screen::Call(in_call) = &mut self.screen {
                    in_call.chat_opened(open);
                }
            }
            UiCommand::SendChat(text) => self.tell_call(CallCommand::SendChat(text)),
            UiCommand::SetVolume(peer, volume) => self.tell_call(CallCommand::SetVolume(peer, volume)),
        }
    }

    fn select(
        &mut self,
        field: fn(&mut Config) -> &mut Option<String>,
        id: Option<String>,
        choose: fn(&mut Media, Option<String>) -> bool,
    ) {
        if choose(&mut self.media, id.clone()) {
            *field(&mut self.config) = id;
        }
        if !matches!(self.screen, Screen::Call(_)) {
            self.media.apply_preview(&self.lobby);
        } else {
            for command in self.media.take_changes() {
                self.tell_call(command);
            }
        }
        self.save();
    }

    /// Whether closing has to wait for an answer: others are in a call that ends for newcomers with this window.
    fn asks_before_closing(&mut self) -> bool {
        match &mut self.screen {
            Screen::Call(in_call) if !self.quitting => in_call.asks_before_closing(self.hosted.is_some()),
            Screen::Lobby | Screen::Hosting(_) | Screen::Call(_) | Screen::Ended(_) | Screen::Door(..) => false,
        }
    }

    fn tell_call(&mut self, command: CallCommand) {
        let Screen::Call(in_call) = &self.screen else { return };
        if in_call.call.send(command).is_err() {
            self.show(Note::warning("The call is busy; try again in a moment."));
        }
    }
}

impl eframe::App for Window {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        self.poll();
        if ctx.input(|input| input.viewport().close_requested()) && self.asks_before_closing() {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            ctx.send_viewport_cmd(ViewportCommand::Focus);
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        if let Some(FrameWatch(painted)) = &self.watch {
            painted(FrameCost { previous_seconds: frame.info().cpu_usage });
        }
        let mut commands = Vec::new();
        let toast = self.toast();
        if ui.input_mut(|input| input.consume_key(egui::Modifiers::COMMAND, egui::Key::Q)) {
            self.ctx.send_viewport_cmd(ViewportCommand::Close);
        }
        match &mut self.screen {
            Screen::Lobby | Screen::Hosting(_) => {
                self.media.update_preview(&self.ctx);
                let view = self.lobby_view();
                let before = (self.lobby.muted, self.lobby.camera_off);
                lobby_ui(ui, &view, &mut self.lobby, &mut commands);
                if before != (self.lobby.muted, self.lobby.camera_off) {
                    self.media.apply_preview(&self.lobby);
                }
            }
            Screen::Call(in_call) => {
                self.media.update_self_view(&self.ctx);
                let view = in_call.view(&in_call::Surroundings {
                    ctx: &self.ctx,
                    place: self.place.as_ref(),
                    reach: self.hosted.as_ref().map(Hosted::reach),
                    devices: self.media.devices(),
                    your_picture: self.media.picture(),
                });
                // The clock in the header moves with the call's snapshots, which wake the window, at least once a second.
                call_ui(ui, &view, &mut in_call.state, toast.as_ref(), &mut commands);
            }
            Screen::Ended(view) => ended_ui(ui, view, &mut commands),
            Screen::Door(view, state) => {
                view.busy = self.waiting.is_some();
                door_ui(ui, view, state, &mut commands);
            }
        }
        for command in commands {
            self.carry_out(command);
        }
    }

    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        theme::BG.to_normalized_gamma_f32()
    }

    /// The window is gone: the others are told, and names are kept, in bounded time.
    fn on_exit(&mut self, gl: Option<&eframe::glow::Context>) {
        card::close(&self.ctx, gl);
        self.save();
        if let Screen::Call(in_call) = std::mem::replace(&mut self.screen, Screen::Lobby) {
            let call = in_call.call;
            let _ = call.send(CallCommand::Leave);
            let _late = self.runtime.block_on(async { tokio::time::timeout(LEAVE_MAX, call.finished()).await });
        }
        self.hosted = None;
    }
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Unix seconds as the clock on the wall shows them, in seconds.
pub(crate) fn local_seconds(unix_seconds: i64) -> i64 {
    use chrono::TimeZone as _;
    let offset = chrono::Local.timestamp_opt(unix_seconds, 0).single().map(|time| time.offset().local_minus_utc());
    unix_seconds + i64::from(offset.unwrap_or(0))
}
