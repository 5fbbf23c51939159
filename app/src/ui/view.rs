//! What the window shows, as plain values, and what its user asks for.
//!
//! Drawing functions read these and nothing else, so that every state can be drawn without a call behind it.

use std::time::Duration;

use egui::{TextureId, Vec2};
use parlor_proto::{PeerId, Secret};

/// Whose tile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileId {
    /// The self view.
    You,
    /// Someone else.
    Peer(PeerId),
}

/// A picture ready to be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picture {
    /// On the graphics card.
    pub texture: TextureId,
    /// In pixels.
    pub size: Vec2,
}

/// How weighty a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Good to know.
    Quiet,
    /// Something does not work as it should.
    Warning,
}

/// A short text on a tile or in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What is said.
    pub text: String,
    /// How weighty it is.
    pub tone: Tone,
}

impl Note {
    /// A note that is good to know.
    pub fn quiet(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Quiet }
    }

    /// A note that something does not work as it should.
    pub fn warning(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Warning }
    }
}

/// One person's tile.
#[derive(Clone, Debug, PartialEq)]
pub struct TileView {
    /// Whose.
    pub id: TileId,
    /// Shown on the pill.
    pub name: String,
    /// Whose initial and colour stand in for a picture.
    pub avatar_of: String,
    /// The latest picture; an initial without one.
    pub picture: Option<Picture>,
    /// The self view is mirrored.
    pub mirrored: bool,
    /// The microphone mark on the pill.
    pub muted: bool,
    /// "camera off" and why, when there is no picture by wish or by trouble.
    pub camera_note: Option<String>,
    /// The connection in words, when there is something to say.
    pub state: Option<Note>,
    /// The outline.
    pub speaking: bool,
}

/// A microphone or camera as the toolbar shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// On by the user's wish.
    pub on: bool,
    /// Why it gives nothing although it is on, as a sentence.
    pub problem: Option<String>,
}

/// A line of the chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLineView {
    /// `None` for a note such as "Dara is reconnecting".
    pub author: Option<String>,
    /// "14:02".
    pub time: String,
    /// What was written.
    pub text: String,
    /// Names of those not connected when it was sent.
    pub unreached: Vec<String>,
}

/// The call screen.
#[derive(Clone, Debug, PartialEq)]
pub struct CallView {
    /// The room's name.
    pub room: String,
    /// Since joining; `None` before.
    pub elapsed: Option<Duration>,
    /// Yourself included.
    pub people: usize,
    /// Everyone else, in the order they came.
    pub others: Vec<TileView>,
    /// The self view.
    pub you: TileView,
    /// The microphone.
    pub microphone: DeviceView,
    /// The camera.
    pub camera: DeviceView,
    /// Nobody is heard.
    pub deafened: bool,
    /// The link to give to others.
    pub link: String,
    /// Who can reach the link, in words, when hosting.
    pub reach: Option<String>,
    /// The chat, oldest first.
    pub chat: Vec<ChatLineView>,
    /// Lines not yet seen.
    pub unread: usize,
    /// Not in the room yet.
    pub joining: bool,
    /// Why that takes longer, in words.
    pub join_problem: Option<String>,
    /// Trouble that lasts: "The server can't be reached…".
    pub banner: Option<Note>,
    /// Someone speaks into a muted microphone: the user.
    pub speaking_while_muted: bool,
    /// This window hosts the room.
    pub hosting: bool,
    /// The open Details sheet.
    pub details: Option<DetailsView>,
    /// Devices to choose from.
    pub devices: DevicesView,
    /// Who may come in.
    pub access: AccessView,
}

/// Who may come into the room, and what its user can do about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessView {
    /// Nobody new comes in.
    pub locked: bool,
    /// Newcomers are asked for a password.
    pub has_password: bool,
    /// The user may lock, set the password and remove people.
    pub may_moderate: bool,
    /// This window knows the password, so that links can carry it.
    pub knows_password: bool,
}

/// The Details sheet of one person.
#[derive(Clone, Debug, PartialEq)]
pub struct DetailsView {
    /// Who.
    pub peer: PeerId,
    /// Their name.
    pub name: String,
    /// How loud they are, 0 to 2.
    pub volume: f32,
    /// What is measured: a word and its value.
    pub rows: Vec<(String, String)>,
    /// What else there is to say about the connection, as a sentence.
    pub note: Option<String>,
}

/// A device that can be chosen; `None` is the system's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOption {
    /// What the media crate knows it by.
    pub id: Option<String>,
    /// For people.
    pub name: String,
}

/// One list of devices.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PickerView {
    /// What there is.
    pub options: Vec<DeviceOption>,
    /// What is chosen; it may have been pulled out.
    pub selected: Option<String>,
}

/// All devices.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DevicesView {
    /// Cameras.
    pub cameras: PickerView,
    /// Microphones.
    pub microphones: PickerView,
    /// Speakers.
    pub speakers: PickerView,
    /// Echo cancellation, noise suppression and gain.
    pub audio_processing: bool,
    /// Why no sound is heard, when there is trouble with the speaker.
    pub speaker_problem: Option<String>,
}

/// A room joined before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentView {
    /// Its name.
    pub room: String,
    /// "yesterday".
    pub when: String,
}

/// The first screen.
#[derive(Clone, Debug, PartialEq)]
pub struct LobbyView {
    /// The preview is on: devices are open.
    pub preview: bool,
    /// The picture from the camera.
    pub picture: Option<Picture>,
    /// Why there is none, as a sentence.
    pub camera_problem: Option<String>,
    /// How loud the microphone is, 0 to 1.
    pub level: f32,
    /// Why it gives nothing, as a sentence.
    pub microphone_problem: Option<String>,
    /// Devices to choose from.
    pub devices: DevicesView,
    /// Rooms joined before, newest first.
    pub recent: Vec<RecentView>,
    /// Why the last attempt failed, as a sentence.
    pub problem: Option<String>,
    /// What is going on: "Opening a room on this computer…".
    pub busy: Option<String>,
}

/// The screen after a call that did not end by the user's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedView {
    /// "The call ended".
    pub title: String,
    /// Why, what still works, what to do.
    pub reason: String,
    /// Whether trying again makes sense.
    pub can_rejoin: bool,
}

/// The screen before a room that asks for its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorView {
    /// Which room.
    pub room: String,
    /// "This room has a password", or that it was another one.
    pub title: String,
    /// What to do.
    pub text: String,
    /// An earlier call still ends.
    pub busy: bool,
}

/// What the user asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum UiCommand {
    /// Join the room in the lobby's field.
    Join,
    /// They are about to: the pointer or the keyboard is on the button.
    PrepareJoin,
    /// A fresh room, hosted here without a server.
    NewCall,
    /// Join the room of this index again.
    OpenRecent(usize),
    /// Open or close the devices in the lobby.
    SetPreview(bool),
    /// Choose a camera; `None` is the default.
    SelectCamera(Option<String>),
    /// Choose a microphone.
    SelectMicrophone(Option<String>),
    /// Choose a speaker.
    SelectSpeaker(Option<String>),
    /// Echo cancellation, noise suppression and gain.
    SetAudioProcessing(bool),
    /// Hide the address from the others, or not.
    SetRelayOnly(bool),
    /// Things that move go to their place at once, or not.
    SetReducedMotion(bool),
    /// Play a sound.
    TestSound,
    /// Look for devices again.
    RefreshDevices,
    /// The lobby's text fields changed: keep them.
    SaveNames,
    /// Mute or unmute.
    SetMuted(bool),
    /// Camera on or off.
    SetCamera(bool),
    /// Hear nobody, or hear again.
    SetDeafened(bool),
    /// The chat was opened or closed.
    SetChatOpen(bool),
    /// Write to everyone.
    SendChat(String),
    /// Put the link on the clipboard.
    CopyLink,
    /// Leave the call (asked already, where asking was needed).
    Leave,
    /// Leave the call and close the window (asked already).
    Quit,
    /// How loud someone is, 0 to 2.
    SetVolume(PeerId, f32),
    /// The window fills the screen, or not.
    SetFullscreen(bool),
    /// Let nobody new in, or let them in again.
    SetLock(bool),
    /// Set the room's password, or take it away.
    SetPassword(Option<Secret>),
    /// Remove someone (asked already).
    Remove(PeerId),
    /// Try the room that asks for a password with this one.
    JoinWithPassword(Secret),
    /// Try the same call again.
    Rejoin,
    /// Back to the first screen.
    BackToLobby,
}
