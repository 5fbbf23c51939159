use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use egui::{TextureId, vec2};
use parlor_engine::SentView;
use parlor_session::{ChatLine, Presence, VideoFlow};

use super::*;
use crate::ui::view::Tone;

#[test]
fn every_state_of_a_connection_has_its_words() {
    let note = |state, slow_to_connect| peer_state(&PeerView { state, slow_to_connect, ..ana() });
    assert_eq!(note(PeerState::Connecting, false), Some(Note::quiet("Connecting…")));
    assert!(text(note(PeerState::Connecting, true)).contains("trying another way"));
    assert_eq!(note(PeerState::Reconnecting, false), Some(Note::warning("Reconnecting…")));
    assert!(text(note(PeerState::Away, false)).contains("may come back"));
    assert_eq!(note(PeerState::Connected, false), None);
}

#[test]
fn a_relay_that_this_program_cannot_use_is_named_on_the_tile_and_in_the_details() {
    let peer = PeerView { state: PeerState::Connecting, relay_note: Some(RelayNote::NoPathOverUdp), ..ana() };
    assert!(text(peer_state(&peer)).contains("relay over TCP or TLS"));
    let id = peer.peer_id.clone();
    let note = details(&snapshot(vec![peer]), &id, None).unwrap().note;
    assert!(note.is_some_and(|note| note.contains("a browser can")));
    assert!(relay_banner(RelayNote::NoRelay).text.contains("hide your address"));
}

#[test]
fn without_a_common_codec_the_tiles_on_both_ends_say_why() {
    // Either end finds out by itself, and is told by the other.
    let here = PeerView {
        common_video_codec: Some(false),
        our_video: VideoFlow::Suspended(SuspendReason::NoCommonCodec),
        ..ana()
    };
    let there = PeerView { their_video: VideoFlow::Suspended(SuspendReason::NoCommonCodec), ..ana() };
    for peer in [here, there] {
        let tile = only_tile(peer);
        assert_eq!(tile.state, Some(Note::warning("No video format in common; sound only")));
        assert_eq!(tile.picture, None, "no frozen picture");
    }
    // Only they can't show ours.
    let peer = PeerView { our_video: VideoFlow::Suspended(SuspendReason::NoCommonCodec), ..ana() };
    let tile = only_tile(peer);
    assert_eq!(tile.state, Some(Note::quiet("They can’t show your video; they hear you")));
    assert!(tile.picture.is_some());
}

#[test]
fn when_bandwidth_thins_the_picture_the_tiles_on_both_ends_say_so_and_show_it() {
    for (peer, words) in [
        (PeerView { their_video: VideoFlow::Reduced, ..ana() }, "Slow connection; fewer pictures"),
        (PeerView { our_video: VideoFlow::Reduced, ..ana() }, "Slow connection; they see fewer pictures"),
    ] {
        let tile = only_tile(peer);
        assert_eq!(tile.state, Some(Note::quiet(words)));
        assert!(tile.picture.is_some());
    }
}

#[test]
fn when_bandwidth_suspends_video_the_tiles_on_both_ends_say_why() {
    let receiving = only_tile(PeerView { their_video: VideoFlow::Suspended(SuspendReason::Bandwidth), ..ana() });
    assert_eq!(receiving.state, Some(Note::warning("Connection too slow for video; sound only")));
    assert_eq!(receiving.picture, None, "no frozen picture");
    let sending = only_tile(PeerView { our_video: VideoFlow::Suspended(SuspendReason::Bandwidth), ..ana() });
    assert_eq!(sending.state, Some(Note::quiet("Too slow to send video; they hear you")));
    assert!(sending.picture.is_some(), "theirs still comes");
    let unknown = only_tile(PeerView { their_video: VideoFlow::Suspended(SuspendReason::Unknown), ..ana() });
    assert!(text(unknown.state).starts_with("Video paused"));
}

#[test]
fn a_camera_and_a_microphone_that_give_nothing_say_why() {
    for (reason, camera, microphone) in [
        (Reason::NoDevice, "no camera", "No microphone"),
        (Reason::Busy, "camera used by another program", "Microphone used by another program"),
        (Reason::Denied, "camera not allowed", "Microphone not allowed"),
        (Reason::Unplugged, "camera unplugged", "Microphone unplugged"),
        (Reason::NoSoundServer, "camera not working", "No sound on their computer"),
        (Reason::Failed, "camera not working", "Microphone not working"),
    ] {
        let media = MediaState {
            microphone: MicrophoneState::Off,
            camera: CameraState::Off,
            microphone_reason: Some(reason),
            camera_reason: Some(reason),
        };
        let tile = only_tile(PeerView { media: Some(media), ..ana() });
        assert_eq!(tile.camera_note.as_deref(), Some(camera));
        assert_eq!(tile.state, Some(Note::quiet(microphone)));
        assert!(tile.muted && tile.picture.is_none());
    }
    let off = MediaState { camera: CameraState::Off, ..on() };
    assert_eq!(camera_note(&off).as_deref(), Some("camera off"));
    assert_eq!(camera_note(&on()), None);
}

#[test]
fn your_own_tile_says_what_the_others_do_not_get() {
    let mut snapshot = snapshot(Vec::new());
    let you = |snapshot: &Snapshot| view(snapshot, &ChatLog::default()).you;
    assert!(you(&snapshot).picture.is_some() && you(&snapshot).camera_note.is_none() && !you(&snapshot).muted);
    snapshot.camera_status = SourceStatus::Failed(CameraError::Busy);
    assert_eq!(you(&snapshot).camera_note.as_deref(), Some("camera used by another program"));
    assert_eq!(you(&snapshot).picture, None);
    snapshot.camera_enabled = false;
    assert_eq!(you(&snapshot).camera_note.as_deref(), Some("camera off"));
    snapshot.microphone_status = SourceStatus::Failed(AudioDeviceError::NoSoundServer);
    assert!(you(&snapshot).muted);
    let view = view(&snapshot, &ChatLog::default());
    assert!(view.microphone.problem.is_some() && view.camera.problem.is_some());
}

#[test]
fn your_own_tile_has_your_initial_under_the_label_you() {
    let mut snapshot = snapshot(Vec::new());
    let room = RoomView { name: Some("Bo".parse().unwrap()), ..(*snapshot.room).clone() };
    snapshot.room = Arc::new(room);
    let you = view(&snapshot, &ChatLog::default()).you;
    assert_eq!((you.name.as_str(), you.avatar_of.as_str()), ("You", "Bo"));
}

#[test]
fn only_a_lost_server_has_a_banner() {
    let quiet = [Phase::Idle, Phase::Joining, Phase::InRoom, Phase::Ended(EndReason::Left)];
    assert!(quiet.iter().all(|phase| banner(phase, None, 1).is_none()));
    let told = banner(&Phase::Reconnecting, None, 1).unwrap();
    let words = "The server can’t be reached; trying again. The call goes on, but nobody new can join.";
    assert_eq!((told.tone, told.text.as_str()), (Tone::Warning, words), "as the page says it");
    assert_eq!(banner(&Phase::Reconnecting, None, 0).unwrap().text, "The server can’t be reached; trying again.");
    let message = "The server shows another certificate".to_owned();
    let problem = ServerProblem { failure: OpenFailure::Certificate, message };
    let told = banner(&Phase::Reconnecting, Some(&problem), 1).unwrap();
    assert!(told.text.starts_with("The server shows another certificate; trying again."), "{}", told.text);
}

#[test]
fn a_missing_speaker_is_told_once_and_again_after_there_was_one() {
    let mut told = None;
    let failed = SourceStatus::Failed(AudioDeviceError::NoDevice { kind: "speaker" });
    let live = SourceStatus::Live { label: "Headset".into() };
    assert_eq!(speaker_news(&mut told, &live), None);
    for _ in 0..2 {
        assert_eq!(speaker_news(&mut told, &failed), Some(Note::warning("You hear nobody. There is no speaker.")));
        assert_eq!(speaker_news(&mut told, &failed), None);
        assert_eq!(speaker_news(&mut told, &live), None);
    }
}

#[test]
fn a_join_that_takes_longer_says_why() {
    let mut slow = snapshot(Vec::new());
    let message = "The server at tea can't be reached: connection refused".to_owned();
    let server_problem = Some(ServerProblem { failure: OpenFailure::Passing, message });
    let room = RoomView { phase: Phase::Joining, server_problem, ..(*slow.room).clone() };
    slow.room = Arc::new(room);
    let told = view(&slow, &ChatLog::default()).join_problem.unwrap();
    assert_eq!(told, "The server at tea can't be reached: connection refused. Trying again…");
}

#[test]
fn every_end_but_the_users_own_says_why_and_what_to_do() {
    assert_eq!(ended_view(&EndReason::Left), None);
    let refused = |code, message: &str| EndReason::Refused { code, message: message.into() };
    for (reason, title, words, can_rejoin) in [
        (
            EndReason::Unreachable { message: "connection refused".into() },
            "The server can’t be reached",
            "Connection refused. Check the link and your network, then try again.",
            true,
        ),
        (
            refused(ErrorCode::RoomFull, "this room is full"),
            "This room is full",
            "This room is full. Ask someone to leave, or start another call.",
            true,
        ),
        (refused(ErrorCode::ServerFull, "no place left."), "You could not join", "No place left.", true),
        (refused(ErrorCode::UnsupportedVersion, "too old"), "You could not join", "Too old.", false),
        (refused(ErrorCode::InvalidName, "no such names"), "You could not join", "No such names.", false),
        (
            EndReason::Untrusted { message: "its certificate is another".into() },
            "This server can’t be trusted",
            "Its certificate is another. Nothing was sent to it. Ask for a new link from someone you trust.",
            false,
        ),
        (
            EndReason::WrongAddress { message: "there is no Parlor server at tea".into() },
            "This address does not work",
            "There is no Parlor server at tea. Check the link, or ask for a new one.",
            false,
        ),
        (EndReason::Replaced, "The call goes on elsewhere", "You joined it again from another window.", true),
    ] {
        let view = ended_view(&reason).unwrap();
        assert_eq!((view.title.as_str(), view.reason.as_str(), view.can_rejoin), (title, words, can_rejoin));
    }
}

#[test]
fn notices_become_remarks_toasts_or_nothing() {
    let told = |notice: &Notice, early| tell(notice, early, |_| "Ana".to_owned());
    let peer_id = ana().peer_id;
    let joined = Notice::PeerJoined { peer_id: peer_id.clone(), name: ana().name };
    assert_eq!(told(&joined, false), Told::Remark("Ana joined".into()));
    assert_eq!(told(&joined, true), Told::Nothing, "whoever was there before did not join now");
    let left = |reason| Notice::PeerLeft { peer_id: peer_id.clone(), name: ana().name, reason };
    assert_eq!(told(&left(PeerLeftReason::Left), false), Told::Remark("Ana left".into()));
    assert_eq!(told(&left(PeerLeftReason::Timeout), false), Told::Remark("Ana’s connection was lost".into()));
    assert_eq!(told(&left(PeerLeftReason::Lost), false), Told::Remark("Ana’s connection was lost".into()));
    let reconnecting = Notice::PeerReconnecting { peer_id };
    assert_eq!(told(&reconnecting, false), Told::Remark("Ana is reconnecting".into()));
    assert_eq!(told(&Notice::SignalingRestored, false), Told::Toast(Note::quiet("The server is back")));
}

#[test]
fn a_changed_room_is_remarked_and_one_just_entered_is_not() {
    let told = |policy, previous| tell(&Notice::Policy { policy, previous }, false, |_| "Ana".to_owned());
    let open = RoomPolicy::default();
    let locked = RoomPolicy { locked: true, ..open };
    let words = Told::Remark("The room is locked: nobody new can come in".into());
    assert_eq!(told(locked, Some(open)), words);
    assert_eq!(told(locked, None), Told::Nothing, "the header shows it");
}

#[test]
fn a_password_is_known_only_while_the_room_has_one() {
    let mut snapshot = snapshot(vec![ana()]);
    assert!(!view(&snapshot, &ChatLog::default()).access.knows_password);
    let policy = RoomPolicy { has_password: true, ..RoomPolicy::default() };
    snapshot.room = Arc::new(RoomView { policy, ..(*snapshot.room).clone() });
    assert!(view(&snapshot, &ChatLog::default()).access.knows_password);
}

#[test]
fn the_door_opens_on_a_password_only() {
    let refused = |code| EndReason::Refused { code, message: "A sentence.".into() };
    for code in [ErrorCode::PasswordRequired, ErrorCode::PasswordWrong] {
        assert_eq!(door_view(&refused(code), "tea").unwrap().room, "tea");
    }
    assert_eq!(door_view(&refused(ErrorCode::RoomLocked), "tea"), None);
    assert_eq!(door_view(&EndReason::Left, "tea"), None);
}

#[test]
fn the_chat_shows_authors_times_of_arrival_and_whom_a_line_missed() {
    let author = Author::Peer { peer_id: ana().peer_id, name: ana().name };
    let theirs = ChatLine { author, text: "hello".into(), at_ms: u64::MAX, unreached: Vec::new() };
    let yours = ChatLine { author: Author::You, text: "hi".into(), at_ms: 0, unreached: vec!["Bo".parse().unwrap()] };
    let mut snapshot = snapshot(vec![ana()]);
    let room = RoomView { chat: vec![theirs, yours], chat_total: 2, ..(*snapshot.room).clone() };
    snapshot.room = Arc::new(room);
    let mut log = ChatLog::default();
    log.take(&snapshot.room, 50_520_000);
    log.remark("Ana left".into(), 50_580_000);
    let chat = view(&snapshot, &log).chat;
    let seen: Vec<_> = chat.iter().map(|line| (line.author.as_deref(), &*line.time, &*line.text)).collect();
    assert_eq!(seen, [(Some("Ana"), "14:02", "hello"), (Some("You"), "14:02", "hi"), (None, "14:03", "Ana left")]);
    assert_eq!(chat[1].unreached, ["Bo"]);
}

fn text(note: Option<Note>) -> String {
    note.unwrap().text
}

fn only_tile(peer: PeerView) -> TileView {
    view(&snapshot(vec![peer]), &ChatLog::default()).others.remove(0)
}

/// Everybody has a picture, which is shown where it may be.
fn view(snapshot: &Snapshot, chat: &ChatLog) -> CallView {
    let picture = |_: &TileId| Some(Picture { texture: TextureId::User(1), size: vec2(640.0, 360.0) });
    let around = Around {
        picture: &picture,
        local: &|unix| unix,
        link: "",
        room: "tea",
        reach: None,
        unread: 0,
        chat,
        details: None,
        devices: DevicesView::default(),
        knows_password: true,
    };
    call_view(snapshot, around)
}

fn on() -> MediaState {
    MediaState {
        microphone: MicrophoneState::On,
        camera: CameraState::On,
        microphone_reason: None,
        camera_reason: None,
    }
}

fn ana() -> PeerView {
    PeerView {
        peer_id: PeerId::from_random(1),
        name: "Ana".parse().unwrap(),
        state: PeerState::Connected,
        presence: Presence::Here,
        media: Some(on()),
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

fn snapshot(peers: Vec<PeerView>) -> Snapshot {
    let room = RoomView {
        phase: Phase::InRoom,
        room: None,
        server_problem: None,
        self_id: None,
        name: None,
        peers,
        chat: Vec::new(),
        chat_total: 0,
        media: on(),
        policy: Default::default(),
        relay_note: None,
        limits: None,
    };
    Snapshot {
        room: Arc::new(room),
        muted: false,
        camera_enabled: true,
        deafened: false,
        microphone_status: SourceStatus::Live { label: "Headset".into() },
        camera_status: SourceStatus::Live { label: "Camera".into() },
        speaker_status: SourceStatus::Off,
        peers: BTreeMap::new(),
        speaking_while_muted: false,
        speaking: false,
        level: 0.0,
        elapsed: Duration::ZERO,
        sent: SentView::default(),
    }
}
