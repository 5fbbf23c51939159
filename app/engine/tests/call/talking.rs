//! What people do in a call: mute, hide, write, turn down.

use parlor_engine::{CallCommand, Notice};
use parlor_media::VideoSource;
use parlor_proto::{CameraState, MicrophoneState};
use parlor_session::Author;

use crate::support::{address, alone, join, peer, server};

#[tokio::test(flavor = "multi_thread")]
async fn mute_and_camera_off_are_seen_and_nothing_is_sent() {
    let _alone = alone().await;
    let server = server().await;
    let ana = join(address(&server), "Ana", 440.0);
    let bo = join(address(&server), "Bo", 880.0);
    ana.until_seen_and_heard("Bo", 880.0).await;
    bo.call.send(CallCommand::SetMuted(true)).unwrap();
    bo.call.send(CallCommand::SetCameraEnabled(false)).unwrap();
    ana.until_peer("Bo", "muted and hidden", |peer, _| {
        peer.media.is_some_and(|media| (media.microphone, media.camera) == (MicrophoneState::Muted, CameraState::Off))
    })
    .await;
    let pictures = ana.call.pictures(&bo.self_id()).unwrap();
    ana.until("no stale picture is left", |_| pictures.peek().is_none()).await;
    ana.until_peer("Bo", "silence", |_, media| media.audio.tone_hz.is_none()).await;
    bo.until("speaking into a muted microphone", |snapshot| snapshot.muted && snapshot.speaking_while_muted).await;
    let before = ana.media_of("Bo");
    bo.call.send(CallCommand::SetMuted(false)).unwrap();
    bo.call.send(CallCommand::SetCameraEnabled(true)).unwrap();
    ana.until_peer("Bo", "seen and heard again", |_, media| {
        media.video.frames_shown >= before.video.frames_shown + 10 && media.audio.tone_hz.is_some()
    })
    .await;
    assert!(pictures.peek().is_some());
    ana.leave().await;
    bo.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_reaches_everyone_with_its_sender() {
    let _alone = alone().await;
    let server = server().await;
    let ana = join(address(&server), "Ana", 440.0);
    let bo = join(address(&server), "Bo", 880.0);
    tokio::join!(ana.until_talking("Bo"), bo.until_talking("Ana"));
    ana.call.send(CallCommand::SendChat("My train is about to enter a tunnel".to_owned())).unwrap();
    let notice = bo.notice("a line of chat", |notice| matches!(notice, Notice::ChatReceived { .. })).await;
    let Notice::ChatReceived { peer_id, name, text, sent_at_ms } = notice else { unreachable!() };
    assert_eq!(peer_id, ana.self_id());
    assert_eq!((name.as_str(), text.as_str()), ("Ana", "My train is about to enter a tunnel"));
    assert!(sent_at_ms > 1_700_000_000_000);
    let own = ana.until("our own line", |snapshot| !snapshot.room.chat.is_empty()).await;
    assert_eq!(own.room.chat[0].author, Author::You);
    assert!(own.room.chat[0].unreached.is_empty());
    ana.leave().await;
    bo.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_camera_changes_the_picture_without_renegotiation() {
    let _alone = alone().await;
    let server = server().await;
    let ana = join(address(&server), "Ana", 440.0);
    let bo = join(address(&server), "Bo", 880.0);
    ana.until_seen_and_heard("Bo", 880.0).await;
    let generation = peer(&ana.call.snapshot(), "Bo").and_then(|peer| peer.connection);
    let before = ana.media_of("Bo").video.frames_decoded;
    bo.call.send(CallCommand::SetVideoSource(VideoSource::None)).unwrap();
    ana.until_peer("Bo", "the camera is off", |peer, _| {
        peer.media.is_some_and(|media| media.camera == CameraState::Off)
    })
    .await;
    bo.call.send(CallCommand::SetVideoSource(VideoSource::TestPattern { name: "Bo again".to_owned() })).unwrap();
    ana.until_peer("Bo", "another picture", |_, media| media.video.frames_decoded > before + 10).await;
    assert_eq!(peer(&ana.call.snapshot(), "Bo").and_then(|peer| peer.connection), generation);
    ana.leave().await;
    bo.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volume_is_kept_between_nothing_and_double() {
    let _alone = alone().await;
    let server = server().await;
    let ana = join(address(&server), "Ana", 440.0);
    let bo = join(address(&server), "Bo", 880.0);
    ana.until_connected("Bo").await;
    bo.until_connected("Ana").await;
    for (asked, kept) in [(0.5, 0.5), (9.0, 2.0), (-1.0, 0.0), (f32::NAN, 1.0)] {
        ana.call.send(CallCommand::SetVolume(bo.self_id(), asked)).unwrap();
        ana.until_peer("Bo", "the volume", |_, media| media.volume == kept).await;
    }
    ana.leave().await;
    bo.leave().await;
}
