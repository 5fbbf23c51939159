//! Every state of the window, as values: what the tests look at and the gallery shows.

// The gallery shows pictures, the tests do without; each uses a part of this.
#![allow(dead_code, unreachable_pub, clippy::large_enum_variant)]

use std::time::Duration;

use egui::{Color32, ColorImage, Context, TextureHandle, TextureOptions, vec2};
use parlor::ui::adapter;
use parlor::ui::call::{CallState, Sheet};
use parlor::ui::door::DoorState;
use parlor::ui::lobby::LobbyState;
use parlor::ui::view::{
    AccessView, CallView, ChatLineView, DetailsView, DeviceOption, DeviceView, DevicesView, DoorView, EndedView,
    LobbyView, Note, PickerView, Picture, RecentView, TileId, TileView,
};
use parlor_engine::EndReason;
use parlor_media::{AudioDeviceError, CameraError, SourceStatus};
use parlor_proto::{CameraState, ErrorCode, MicrophoneState, PeerId, SuspendReason};
use parlor_session::{MediaState, PeerState, PeerView, Phase, Presence, VideoFlow};

/// Names of people in the fixtures.
pub const NAMES: [&str; 9] =
    ["Ana", "Bo", "Chen", "Dara", "Emre", "Fatou", "Gil", "Hana", "Ioana-Maria Constantinescu"];

/// A screen and what is open in it.
pub enum Screen {
    /// The lobby.
    Lobby(LobbyView, LobbyState),
    /// A call, and what just happened.
    Call(Box<CallView>, CallState, Option<Note>),
    /// After a call.
    Ended(EndedView),
    /// Before a room that asks for its password.
    Door(DoorView, DoorState),
}

/// Somebody's id.
pub fn peer(index: usize) -> PeerId {
    PeerId::from_random(index as u128 + 1)
}

/// Somebody as the session knows them, connected and well.
pub fn peer_view(index: usize) -> PeerView {
    PeerView {
        peer_id: peer(index),
        name: NAMES[index % NAMES.len()].parse().expect("a name"),
        state: PeerState::Connected,
        presence: Presence::Here,
        media: Some(media(CameraState::On)),
        connection: None,
        same_boot: false,
        their_video: VideoFlow::All,
        our_video: VideoFlow::All,
        common_video_codec: Some(true),
        slow_to_connect: false,
        relay_note: None,
        messages_dropped: 0,
    }
}

/// A microphone that is on, and a camera.
pub fn media(camera: CameraState) -> MediaState {
    MediaState { microphone: MicrophoneState::On, camera, microphone_reason: None, camera_reason: None }
}

/// Somebody with the camera off and nothing else to say.
pub fn tile(index: usize) -> TileView {
    TileView {
        id: TileId::Peer(peer(index)),
        name: NAMES[index % NAMES.len()].to_owned(),
        avatar_of: NAMES[index % NAMES.len()].to_owned(),
        picture: None,
        mirrored: false,
        muted: false,
        camera_note: None,
        state: None,
        speaking: false,
    }
}

/// The self view.
pub fn you() -> TileView {
    TileView { id: TileId::You, name: "You".to_owned(), mirrored: true, ..tile(0) }
}

/// Devices as a laptop with a headset has them.
pub fn devices() -> DevicesView {
    let list = |names: &[&str]| PickerView {
        options: std::iter::once(DeviceOption { id: None, name: "System default".to_owned() })
            .chain(names.iter().map(|name| DeviceOption { id: Some((*name).to_owned()), name: (*name).to_owned() }))
            .collect(),
        selected: names.first().map(|name| (*name).to_owned()),
    };
    DevicesView {
        cameras: list(&["Integrated camera", "USB camera with a very long name that no list is wide enough for"]),
        microphones: list(&["Headset microphone", "Built-in microphone"]),
        speakers: list(&["Headset", "Built-in speakers"]),
        audio_processing: true,
        speaker_problem: None,
    }
}

/// A call with so many others.
pub fn call(others: usize) -> CallView {
    CallView {
        room: "quiet-otter-71k2".to_owned(),
        elapsed: Some(Duration::from_secs(767)),
        people: others + 1,
        others: (0..others).map(tile).collect(),
        you: you(),
        microphone: DeviceView { on: true, problem: None },
        camera: DeviceView { on: true, problem: None },
        deafened: false,
        link: "https://calls.example.org/r/quiet-otter-71k2".to_owned(),
        reach: None,
        chat: Vec::new(),
        unread: 0,
        joining: false,
        join_problem: None,
        banner: None,
        speaking_while_muted: false,
        hosting: false,
        details: None,
        devices: devices(),
        access: AccessView::default(),
    }
}

/// A lobby of someone who was here before.
pub fn lobby() -> (LobbyView, LobbyState) {
    let view = LobbyView {
        preview: false,
        picture: None,
        camera_problem: None,
        level: 0.0,
        microphone_problem: None,
        devices: devices(),
        recent: vec![
            RecentView { room: "family-sunday".to_owned(), when: "yesterday".to_owned() },
            RecentView { room: "standup-blue".to_owned(), when: "Thursday".to_owned() },
        ],
        problem: None,
        busy: None,
    };
    let state = LobbyState { name: "Mira".to_owned(), room: "quiet-otter-71k2".to_owned(), ..LobbyState::default() };
    (view, state)
}

/// A chat with a link, a breath of two lines, and a line not everyone got.
pub fn chat() -> Vec<ChatLineView> {
    let line = |author: &str, time: &str, text: &str| ChatLineView {
        author: (!author.is_empty()).then(|| author.to_owned()),
        time: time.to_owned(),
        text: text.to_owned(),
        unreached: Vec::new(),
    };
    let mut early = line("You", "14:06", "Safe travels");
    early.unreached = vec!["Dara".to_owned()];
    vec![
        line("Ana", "14:02", "Notes are here: https://example.org/notes"),
        line("You", "14:03", "Thanks, reading. 👍"),
        line("You", "14:03", "Two questions:\n1. who, 2. when?"),
        line("Dara", "14:05", "My train is about to enter a tunnel, carry on without me for a minute."),
        line("", "14:05", "Dara is reconnecting"),
        early,
    ]
}

/// The Details sheet of the first of the others.
pub fn details() -> DetailsView {
    let rows = [
        ("Picture", "H.264, 640 × 360, 30 a second"),
        ("Sound", "Opus, 32 kbit/s"),
        ("Sound waits", "20 ms, and 35 ms for the speaker"),
        ("Receiving", "612 kbit/s"),
        ("Sending", "598 kbit/s"),
        ("Round trip", "23 ms"),
        ("Lost on the way", "0.4 %"),
        ("Path", "direct"),
    ];
    DetailsView {
        peer: peer(0),
        name: NAMES[0].to_owned(),
        volume: 1.0,
        rows: rows.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        note: None,
    }
}

/// The states, by name.
pub const SCREENS: [&str; 29] = [
    "lobby",
    "lobby-preview",
    "lobby-problems",
    "lobby-busy",
    "lobby-settings",
    "lobby-new",
    "call-alone",
    "call-joining",
    "call-one",
    "call-four",
    "call-states",
    "call-muted",
    "call-chat",
    "call-nine",
    "call-full",
    "call-details",
    "call-settings",
    "call-leave",
    "ended",
    "ended-final",
    "ended-locked",
    "ended-removed",
    "door",
    "door-wrong",
    "call-locked",
    "call-room",
    "call-room-guest",
    "call-remove",
    "ended-untrusted",
];

/// The state of a name; pictures come from `pictures` where there are any.
pub fn screen(name: &str, pictures: &[Picture]) -> Screen {
    match name {
        "lobby" | "lobby-preview" | "lobby-problems" | "lobby-busy" | "lobby-settings" | "lobby-new" => {
            lobby_screen(name, pictures)
        }
        "ended" => ended(&EndReason::Refused {
            code: ErrorCode::RoomFull,
            message: "8 people are in this room, and it takes no more.".to_owned(),
        }),
        "ended-final" => ended(&EndReason::Refused {
            code: ErrorCode::UnsupportedVersion,
            message: "This server speaks another version of the protocol.".to_owned(),
        }),
        "ended-untrusted" => ended(&EndReason::Untrusted {
            message: "The server at calls.example.org shows another certificate than its link names: it was set up \
                      anew, or someone is in between"
                .to_owned(),
        }),
        "ended-locked" => refused(ErrorCode::RoomLocked),
        "ended-removed" => refused(ErrorCode::Removed),
        "door" => door(ErrorCode::PasswordRequired),
        "door-wrong" => door(ErrorCode::PasswordWrong),
        _ => call_screen(name, pictures),
    }
}

fn ended(reason: &EndReason) -> Screen {
    Screen::Ended(adapter::ended_view(reason).expect("not the user's wish"))
}

fn refused(code: ErrorCode) -> Screen {
    ended(&EndReason::Refused { code, message: "A sentence of the server.".to_owned() })
}

fn door(code: ErrorCode) -> Screen {
    let reason = EndReason::Refused { code, message: "A sentence of the server.".to_owned() };
    let view = adapter::door_view(&reason, "quiet-otter-71k2").expect("a room that asks for its password");
    Screen::Door(view, DoorState::default())
}

fn lobby_screen(name: &str, pictures: &[Picture]) -> Screen {
    let (mut view, mut state) = lobby();
    match name {
        "lobby-preview" => {
            view.preview = true;
            view.picture = pictures.first().copied();
            view.level = 0.46;
        }
        "lobby-problems" => {
            view.preview = true;
            view.camera_problem = camera_busy();
            let none = AudioDeviceError::NoDevice { kind: "microphone" };
            view.microphone_problem = adapter::sound_problem(&SourceStatus::Failed(none));
            view.problem = Some(
                "The server at calls.example.org can’t be reached. Check the address and your network.".to_owned(),
            );
            state.room_problem = Some("The room’s name may only have letters a–z, digits and hyphens.".to_owned());
        }
        "lobby-busy" => view.busy = Some("Opening a room on this computer…".to_owned()),
        "lobby-settings" => state.settings_open = true,
        "lobby-new" => {
            view.recent.clear();
            state = LobbyState::default();
        }
        _ => {}
    }
    Screen::Lobby(view, state)
}

fn call_screen(name: &str, pictures: &[Picture]) -> Screen {
    let mut state = CallState::default();
    let mut toast = None;
    let mut view = match name {
        "call-alone" | "call-joining" => call(0),
        "call-one" | "call-full" | "call-muted" => call(1),
        "call-four" | "call-details" | "call-settings" | "call-leave" | "call-room" | "call-room-guest"
        | "call-remove" => call(3),
        "call-nine" => call(8),
        _ => call(4),
    };
    for (tile, picture) in view.others.iter_mut().zip(pictures.iter().cycle().skip(1)) {
        tile.picture = Some(*picture);
    }
    view.you.picture = pictures.first().copied();
    if let Some(first) = view.others.first_mut() {
        first.speaking = true;
    }
    match name {
        "call-alone" => {
            view.hosting = true;
            view.reach = Some("People in the same network can open it. From elsewhere it needs a server.".to_owned());
            view.link = format!("https://192.168.1.20:8443/r/quiet-otter-71k2#fp={}", "0123456789abcdef".repeat(4));
        }
        "call-joining" => {
            (view.joining, view.elapsed) = (true, None);
            let words = "The server at calls.example.org can't be reached: connection refused. Trying again…";
            view.join_problem = Some(words.to_owned());
        }
        "call-states" => states(&mut view),
        "call-chat" => {
            states(&mut view);
            view.chat = chat();
            view.unread = 2;
            state.chat_open = true;
            state.draft = "Write to everyone, over more than one line when there is more to say".to_owned();
        }
        "call-muted" => {
            view.microphone.on = false;
            view.you.muted = true;
            view.deafened = true;
            view.speaking_while_muted = true;
            view.camera.problem = camera_busy();
            view.unread = 12;
        }
        "call-full" => state.alone = Some(TileId::Peer(peer(0))),
        "call-details" => {
            view.details = Some(details());
            state.sheet = Some(Sheet::Details(peer(0)));
        }
        "call-settings" => state.sheet = Some(Sheet::Settings),
        "call-locked" => view.access.locked = true,
        "call-room" => {
            view.access = AccessView { locked: true, has_password: true, may_moderate: true, knows_password: true };
            state.sheet = Some(Sheet::Room);
        }
        "call-room-guest" => state.sheet = Some(Sheet::Room),
        "call-remove" => {
            view.access.may_moderate = true;
            state.sheet = Some(Sheet::Remove(peer(1)));
        }
        "call-leave" => {
            view.hosting = true;
            state.sheet = Some(Sheet::Leave);
        }
        "call-four" => toast = Some(Note::quiet("Link copied")),
        _ => {}
    }
    Screen::Call(Box::new(view), state, toast)
}

fn states(view: &mut CallView) {
    view.others[1].muted = true;
    view.others[2].picture = None;
    view.others[2].camera_note = adapter::camera_note(&media(CameraState::Off));
    view.others[3].state = adapter::peer_state(&PeerView { state: PeerState::Reconnecting, ..peer_view(3) });
    let too_slow = PeerView { their_video: VideoFlow::Suspended(SuspendReason::Bandwidth), ..peer_view(0) };
    view.others[0].state = adapter::peer_state(&too_slow);
    view.you.muted = true;
    view.microphone.on = false;
    view.unread = 2;
    let none = AudioDeviceError::NoDevice { kind: "speaker" };
    view.devices.speaker_problem = adapter::sound_problem(&SourceStatus::Failed(none));
    view.banner = adapter::banner(&Phase::Reconnecting, None, 4);
}

fn camera_busy() -> Option<String> {
    adapter::camera_problem(&SourceStatus::Failed(CameraError::Busy))
}

/// Pictures of nobody: a wall, a head, shoulders, in the colours of a few evenings.
pub fn pictures(ctx: &Context) -> (Vec<TextureHandle>, Vec<Picture>) {
    let colors = [
        ([0x2c, 0x3a, 0x4b], [0xd9, 0xa6, 0x7a], [0x4a, 0x63, 0x82]),
        ([0x3a, 0x2c, 0x3b], [0xe0, 0xb0, 0x8c], [0x8b, 0x5a, 0x6b]),
        ([0x26, 0x40, 0x3d], [0xc8, 0x8d, 0x62], [0x41, 0x6b, 0x5d]),
        ([0x40, 0x34, 0x26], [0xb8, 0x7e, 0x5a], [0x7c, 0x65, 0x31]),
    ];
    let textures: Vec<_> = colors
        .iter()
        .enumerate()
        .map(|(index, (wall, face, shirt))| {
            ctx.load_texture(format!("person {index}"), person(*wall, *face, *shirt), TextureOptions::LINEAR)
        })
        .collect();
    let pictures =
        textures.iter().map(|texture| Picture { texture: texture.id(), size: texture.size_vec2() }).collect();
    (textures, pictures)
}

fn person(wall: [u8; 3], face: [u8; 3], shirt: [u8; 3]) -> ColorImage {
    let (width, height) = (640_usize, 360_usize);
    let pixels = (0..width * height)
        .map(|index| {
            let at = vec2((index % width) as f32, (index / width) as f32);
            let head = ((at.x - 320.0) / 62.0).powi(2) + ((at.y - 150.0) / 80.0).powi(2);
            let shoulders = ((at.x - 320.0) / 150.0).powi(2) + ((at.y - 360.0) / 110.0).powi(2);
            // A lamp at the left, so that mirroring shows.
            let light = 1.25 - at.x / 640.0 * 0.6;
            let [r, g, b] = if head < 1.0 {
                face
            } else if shoulders < 1.0 {
                shirt
            } else {
                wall
            };
            let light = if head < 1.0 || shoulders < 1.0 { 1.0 } else { light };
            let shade = |value: u8| (f32::from(value) * light).min(255.0) as u8;
            Color32::from_rgb(shade(r), shade(g), shade(b))
        })
        .collect();
    ColorImage::new([width, height], pixels)
}
