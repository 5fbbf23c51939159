//! From what the engine knows to what the window shows. Pure.

use parlor_engine::{EndReason, Notice, PeerMediaView, Snapshot};
use parlor_media::{AudioDeviceError, CameraError, DeviceReason, LocalAudioStats, SourceStatus};
use parlor_proto::{CameraState, ErrorCode, MicrophoneState, PeerId, Reason, RoomPolicy, SuspendReason};
use parlor_session::{
    Author, MediaState, OpenFailure, PeerLeftReason, PeerState, PeerView, Phase, RelayNote, RoomView, ServerProblem,
    VideoFlow,
};

use super::chat_log::{ChatLog, Entry, Said};
use super::rates::Rates;
use super::view::{
    AccessView, CallView, ChatLineView, DetailsView, DeviceView, DevicesView, DoorView, EndedView, Note, Picture,
    TileId, TileView,
};
use super::words::clock_words;
use crate::refusals::{Refusal, policy_news, refusal};

/// What the window knows beside the snapshot.
pub struct Around<'a> {
    /// The picture of a tile.
    pub picture: &'a dyn Fn(&TileId) -> Option<Picture>,
    /// Unix seconds to local seconds.
    pub local: &'a dyn Fn(i64) -> i64,
    /// The link to give to others.
    pub link: &'a str,
    /// The room, before the server said it.
    pub room: &'a str,
    /// Who can reach the link, when hosting.
    pub reach: Option<&'a str>,
    /// Chat lines not yet seen.
    pub unread: usize,
    /// What was written, and remarks.
    pub chat: &'a ChatLog,
    /// Whose Details are open, and what flows.
    pub details: Option<(&'a PeerId, Option<Rates>)>,
    /// Devices to choose from.
    pub devices: DevicesView,
    /// The window knows the room's password.
    pub knows_password: bool,
}

/// The call screen.
pub fn call_view(snapshot: &Snapshot, around: Around<'_>) -> CallView {
    let room = &snapshot.room;
    let others: Vec<_> = room.peers.iter().map(|peer| peer_tile(peer, snapshot, around.picture)).collect();
    CallView {
        room: room.room.as_ref().map_or(around.room, |room| room.as_str()).to_owned(),
        elapsed: (!snapshot.elapsed.is_zero()).then_some(snapshot.elapsed),
        people: others.len() + 1,
        others,
        you: your_tile(snapshot, around.picture),
        microphone: DeviceView { on: !snapshot.muted, problem: sound_problem(&snapshot.microphone_status) },
        camera: DeviceView { on: snapshot.camera_enabled, problem: camera_problem(&snapshot.camera_status) },
        deafened: snapshot.deafened,
        link: around.link.to_owned(),
        reach: around.reach.map(str::to_owned),
        chat: chat(around.chat, around.local),
        unread: around.unread,
        joining: matches!(room.phase, Phase::Idle | Phase::Joining),
        join_problem: join_problem(room),
        banner: banner(&room.phase, room.server_problem.as_ref(), room.peers.len())
            .or_else(|| room.relay_note.map(relay_banner)),
        speaking_while_muted: snapshot.speaking_while_muted,
        hosting: around.reach.is_some(),
        details: around.details.and_then(|(peer, rates)| details(snapshot, peer, rates)),
        devices: around.devices,
        access: access_view(room.policy, around.knows_password),
    }
}

fn access_view(policy: RoomPolicy, knows_password: bool) -> AccessView {
    let RoomPolicy { locked, has_password, may_moderate } = policy;
    AccessView { locked, has_password, may_moderate, knows_password: knows_password && has_password }
}

/// Trouble with the server in a call with `others`, in words.
pub fn banner(phase: &Phase, problem: Option<&ServerProblem>, others: usize) -> Option<Note> {
    if *phase != Phase::Reconnecting {
        return None;
    }
    let lasting = problem.filter(|problem| problem.failure != OpenFailure::Passing);
    let what = lasting.map_or("The server can’t be reached", |problem| problem.message.as_str());
    let goes_on = if others == 0 { "" } else { " The call goes on, but nobody new can join." };
    Some(Note::warning(format!("{what}; trying again.{goes_on}")))
}

/// That nobody can be connected while the address is hidden; the whole sentence was told when it became known.
fn relay_banner(note: RelayNote) -> Note {
    Note::warning(match note {
        RelayNote::NoRelay => "You hide your address, and this server has no relay: nobody can be connected.",
        RelayNote::NoRelayOverUdp | RelayNote::NoPathOverUdp => {
            "You hide your address, and this server has no relay over UDP: nobody can be connected."
        }
    })
}

/// Why joining takes longer, in words.
fn join_problem(room: &RoomView) -> Option<String> {
    let problem = room.server_problem.as_ref().filter(|_| room.phase == Phase::Joining)?;
    Some(format!("{} Trying again…", sentence(&problem.message)))
}

fn peer_tile(peer: &PeerView, snapshot: &Snapshot, picture: &dyn Fn(&TileId) -> Option<Picture>) -> TileView {
    let id = TileId::Peer(peer.peer_id.clone());
    let seen = peer.media.as_ref().is_none_or(|media| media.camera == CameraState::On) && !video_held_back(peer);
    let speaking = snapshot.peers.get(&peer.peer_id).is_some_and(|media| media.speaking);
    TileView {
        picture: picture(&id).filter(|_| seen),
        id,
        name: peer.name.as_str().to_owned(),
        avatar_of: peer.name.as_str().to_owned(),
        mirrored: false,
        muted: peer.media.as_ref().is_some_and(|media| media.microphone != MicrophoneState::On),
        camera_note: peer.media.as_ref().and_then(camera_note),
        state: peer_state(peer),
        speaking,
    }
}

fn video_held_back(peer: &PeerView) -> bool {
    peer.their_video.is_suspended() || peer.common_video_codec == Some(false)
}

/// Why they are not seen, when that is their wish or their trouble.
pub fn camera_note(media: &MediaState) -> Option<String> {
    match media.camera {
        CameraState::On => None,
        CameraState::Off => Some(media.camera_reason.map_or("camera off", |reason| camera_words(reason)).to_owned()),
    }
}

fn camera_words(reason: Reason) -> &'static str {
    match reason {
        Reason::NoDevice => "no camera",
        Reason::Busy => "camera used by another program",
        Reason::Denied => "camera not allowed",
        Reason::Unplugged => "camera unplugged",
        Reason::NoSoundServer | Reason::Failed => "camera not working",
    }
}

fn microphone_words(reason: Reason) -> &'static str {
    match reason {
        Reason::NoDevice => "No microphone",
        Reason::Busy => "Microphone used by another program",
        Reason::Denied => "Microphone not allowed",
        Reason::Unplugged => "Microphone unplugged",
        Reason::NoSoundServer => "No sound on their computer",
        Reason::Failed => "Microphone not working",
    }
}

/// The connection in words; when it is well, why they are not heard, if that is not their wish.
pub fn peer_state(peer: &PeerView) -> Option<Note> {
    match peer.state {
        PeerState::Connecting if peer.relay_note.is_some() => {
            Some(Note::warning("Can’t be reached without a relay over TCP or TLS"))
        }
        PeerState::Connecting if peer.slow_to_connect => {
            Some(Note::warning("Can’t be reached directly; trying another way"))
        }
        PeerState::Connecting => Some(Note::quiet("Connecting…")),
        PeerState::Reconnecting => Some(Note::warning("Reconnecting…")),
        PeerState::Away => Some(Note::warning("Connection lost; they may come back")),
        PeerState::Connected => video_state(peer).or_else(|| {
            let reason = peer.media.as_ref().and_then(|media| media.microphone_reason);
            reason.map(|reason| Note::quiet(microphone_words(reason)))
        }),
    }
}

fn video_state(peer: &PeerView) -> Option<Note> {
    if peer.common_video_codec == Some(false) {
        return Some(Note::warning("No video format in common; sound only"));
    }
    match (peer.their_video, peer.our_video) {
        (VideoFlow::Suspended(SuspendReason::Bandwidth), _) => {
            Some(Note::warning("Connection too slow for video; sound only"))
        }
        (VideoFlow::Suspended(SuspendReason::NoCommonCodec), _) => {
            Some(Note::warning("No video format in common; sound only"))
        }
        (VideoFlow::Suspended(SuspendReason::Unknown), _) => Some(Note::warning("Video paused; sound only")),
        (VideoFlow::Reduced, _) => Some(Note::quiet("Slow connection; fewer pictures")),
        (VideoFlow::All, VideoFlow::Suspended(SuspendReason::Bandwidth)) => {
            Some(Note::quiet("Too slow to send video; they hear you"))
        }
        (VideoFlow::All, VideoFlow::Suspended(SuspendReason::NoCommonCodec)) => {
            Some(Note::quiet("They can’t show your video; they hear you"))
        }
        (VideoFlow::All, VideoFlow::Reduced) => Some(Note::quiet("Slow connection; they see fewer pictures")),
        (VideoFlow::All, VideoFlow::Suspended(SuspendReason::Unknown) | VideoFlow::All) => None,
    }
}

fn your_tile(snapshot: &Snapshot, picture: &dyn Fn(&TileId) -> Option<Picture>) -> TileView {
    let failed = match &snapshot.camera_status {
        SourceStatus::Failed(error) => Some(camera_words(reason_of(error.reason()))),
        SourceStatus::Off | SourceStatus::Opening | SourceStatus::Live { .. } => None,
    };
    let note = if snapshot.camera_enabled { failed } else { Some("camera off") };
    let live = snapshot.camera_enabled && snapshot.camera_status.is_live();
    TileView {
        id: TileId::You,
        name: "You".to_owned(),
        avatar_of: snapshot.room.name.as_ref().map_or("You", |name| name.as_str()).to_owned(),
        picture: picture(&TileId::You).filter(|_| live),
        mirrored: true,
        muted: snapshot.muted || matches!(snapshot.microphone_status, SourceStatus::Failed(_)),
        camera_note: note.map(str::to_owned),
        state: None,
        speaking: snapshot.speaking && !snapshot.muted,
    }
}

fn reason_of(reason: DeviceReason) -> Reason {
    match reason {
        DeviceReason::NoDevice => Reason::NoDevice,
        DeviceReason::Busy => Reason::Busy,
        DeviceReason::Denied => Reason::Denied,
        DeviceReason::Unplugged => Reason::Unplugged,
        DeviceReason::NoSoundServer => Reason::NoSoundServer,
        DeviceReason::Failed => Reason::Failed,
    }
}

/// Why there is no sound, as a sentence.
pub fn sound_problem(status: &SourceStatus<AudioDeviceError>) -> Option<String> {
    match status {
        SourceStatus::Failed(error) => Some(error.to_string()),
        SourceStatus::Off | SourceStatus::Opening | SourceStatus::Live { .. } => None,
    }
}

/// A speaker that fails, told once: the tiles say what is wrong with pictures and microphones, but silence says nothing.
/// `told` is the problem that was told last.
pub fn speaker_news(told: &mut Option<String>, status: &SourceStatus<AudioDeviceError>) -> Option<Note> {
    let problem = sound_problem(status);
    let is_news = *told != problem;
    told.clone_from(&problem);
    problem.filter(|_| is_news).map(|problem| Note::warning(format!("You hear nobody. {problem}")))
}

/// Why there is no picture, as a sentence.
pub fn camera_problem(status: &SourceStatus<CameraError>) -> Option<String> {
    match status {
        SourceStatus::Failed(error) => Some(error.to_string()),
        SourceStatus::Off | SourceStatus::Opening | SourceStatus::Live { .. } => None,
    }
}

/// What was written and what happened, in the order in which it came here.
fn chat(log: &ChatLog, local: &dyn Fn(i64) -> i64) -> Vec<ChatLineView> {
    let line = |entry: &Entry| {
        let time = clock_words(local(i64::try_from(entry.at_ms / 1_000).unwrap_or(0)));
        match &entry.what {
            Said::Remark(text) => ChatLineView { author: None, time, text: text.clone(), unreached: Vec::new() },
            Said::Line(line) => {
                let author = match &line.author {
                    Author::You => Some("You".to_owned()),
                    Author::Peer { name, .. } => Some(name.as_str().to_owned()),
                    Author::Note => None,
                };
                let unreached = line.unreached.iter().map(|name| name.as_str().to_owned()).collect();
                ChatLineView { author, time, text: line.text.clone(), unreached }
            }
        }
    };
    log.entries().map(line).collect()
}

fn details(snapshot: &Snapshot, peer: &PeerId, rates: Option<Rates>) -> Option<DetailsView> {
    let view = snapshot.room.peers.iter().find(|view| view.peer_id == *peer)?;
    let media = snapshot.peers.get(peer);
    Some(DetailsView {
        peer: peer.clone(),
        name: view.name.as_str().to_owned(),
        volume: media.map_or(1.0, |media| media.volume),
        rows: media.map_or_else(
            || vec![("Connection".to_owned(), "not there yet".to_owned())],
            |media| details_rows(media, &snapshot.sent.audio, rates),
        ),
        note: snapshot.room.relay_note.or(view.relay_note).map(|note| note.to_string()),
    })
}

fn details_rows(media: &PeerMediaView, devices: &LocalAudioStats, rates: Option<Rates>) -> Vec<(String, String)> {
    let transport = &media.transport;
    let unknown = || "–".to_owned();
    let rate =
        |bps: f64| if bps >= 1e6 { format!("{:.1} Mbit/s", bps / 1e6) } else { format!("{:.0} kbit/s", bps / 1e3) };
    let picture = match (&transport.video_codec, media.video.width) {
        (Some(codec), 1..) => {
            let fps = rates.map_or_else(String::new, |rates| format!(", {:.0} a second", rates.frames));
            format!("{codec}, {} × {}{fps}", media.video.width, media.video.height)
        }
        (Some(codec), 0) => format!("{codec}, none yet"),
        (None, _) => unknown(),
    };
    let path = match transport.relayed {
        Some(true) => "through a relay".to_owned(),
        Some(false) => "direct".to_owned(),
        None => unknown(),
    };
    let rows = [
        ("Picture", picture),
        ("Sound", transport.audio_codec.clone().unwrap_or_else(unknown)),
        ("Sound waits", sound_waits(media.audio.delay_ms, devices)),
        ("Receiving", rates.map_or_else(unknown, |rates| rate(rates.in_bps))),
        ("Sending", rates.map_or_else(unknown, |rates| rate(rates.out_bps))),
        ("Round trip", transport.rtt_ms.map_or_else(unknown, |rtt| format!("{rtt:.0} ms"))),
        ("Lost, in and out", format!("{:.1} % and {:.1} %", transport.loss_in * 100.0, transport.loss_out * 100.0)),
        ("Path", path),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// From the packet to the ear: for packets that are late, and for the speaker.
fn sound_waits(delay_ms: f64, devices: &LocalAudioStats) -> String {
    let speaker = (devices.output_ready + devices.output_latency).as_secs_f64() * 1000.0;
    format!("{delay_ms:.0} ms, and {speaker:.0} ms for the speaker")
}

/// The screen at the door, when a room asked for its password or was given another one.
pub fn door_view(reason: &EndReason, room: &str) -> Option<DoorView> {
    let EndReason::Refused { code: code @ (ErrorCode::PasswordRequired | ErrorCode::PasswordWrong), .. } = reason
    else {
        return None;
    };
    let Refusal { title, text, .. } = refusal(*code)?;
    Some(DoorView { room: room.to_owned(), title: title.to_owned(), text: text.to_owned(), busy: false })
}

/// The screen after a call; none when the user left.
pub fn ended_view(reason: &EndReason) -> Option<EndedView> {
    let (title, reason, can_rejoin) = match reason {
        EndReason::Left => return None,
        EndReason::Unreachable { message } => {
            let words = "Check the link and your network, then try again.";
            ("The server can’t be reached", format!("{} {words}", sentence(message)), true)
        }
        EndReason::Refused { code: ErrorCode::RoomFull, message } => {
            ("This room is full", format!("{} Ask someone to leave, or start another call.", sentence(message)), true)
        }
        // Trying the same again can't help.
        EndReason::Refused {
            code: ErrorCode::UnsupportedVersion | ErrorCode::InvalidRoom | ErrorCode::InvalidName,
            message,
        } => ("You could not join", sentence(message), false),
        EndReason::Refused { code, message } => match refusal(*code) {
            Some(Refusal { title, text, again }) => (title, text.to_owned(), again),
            None => ("You could not join", sentence(message), true),
        },
        EndReason::Untrusted { message } => {
            let words = "Nothing was sent to it. Ask for a new link from someone you trust.";
            ("This server can’t be trusted", format!("{} {words}", sentence(message)), false)
        }
        EndReason::WrongAddress { message } => {
            let words = "Check the link, or ask for a new one.";
            ("This address does not work", format!("{} {words}", sentence(message)), false)
        }
        EndReason::Replaced => {
            ("The call goes on elsewhere", "You joined it again from another window.".to_owned(), true)
        }
    };
    Some(EndedView { title: title.to_owned(), reason, can_rejoin })
}

/// The server's words as a sentence.
fn sentence(message: &str) -> String {
    let message = message.trim_end_matches('.');
    let mut letters = message.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What a notice is to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Shown for a moment, and remarked in the chat.
    Remark(String),
    /// Shown for a moment.
    Toast(Note),
    /// Someone wrote.
    Chat,
    /// Seen elsewhere already.
    Nothing,
}

/// Puts a notice into words. `name` gives someone's name; `early` is the moment of joining, when everybody who is
/// already there is announced too.
pub fn tell(notice: &Notice, early: bool, name: impl Fn(&PeerId) -> String) -> Told {
    match notice {
        Notice::PeerJoined { .. } if early => Told::Nothing,
        Notice::PeerJoined { name, .. } => Told::Remark(format!("{name} joined")),
        Notice::PeerLeft { name, reason, .. } => Told::Remark(match reason {
            PeerLeftReason::Left => format!("{name} left"),
            PeerLeftReason::Removed => format!("{name} was removed"),
            PeerLeftReason::Timeout | PeerLeftReason::Lost => format!("{name}’s connection was lost"),
        }),
        Notice::PeerReconnecting { peer_id } => Told::Remark(format!("{} is reconnecting", name(peer_id))),
        Notice::Policy { policy, previous: Some(previous) } => match policy_news(*policy, *previous) {
            news if news.is_empty() => Told::Nothing,
            news => Told::Remark(news.join(". ")),
        },
        Notice::SignalingRestored => Told::Toast(Note::quiet("The server is back")),
        Notice::Error { message, .. } => Told::Toast(Note::warning(sentence(message))),
        Notice::ChatReceived { .. } => Told::Chat,
        Notice::Joined { .. }
        | Notice::PeerConnected { .. }
        | Notice::PeerAway { .. }
        | Notice::PeerBack { .. }
        | Notice::PeerMedia { .. }
        | Notice::JoinDelayed { .. }
        | Notice::Policy { previous: None, .. }
        | Notice::SignalingLost
        | Notice::Ended { .. } => Told::Nothing,
    }
}

#[cfg(test)]
mod tests;
