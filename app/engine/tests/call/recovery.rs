//! Bad networks, and a server that goes away.

use parlor_engine::{CallCommand, EnginePolicy};
use parlor_proto::SuspendReason;
use parlor_session::{PeerState, Phase};
use parlor_signaling::serve;

use crate::support::{address, alone, join, join_with, peer, server, server_config};

#[tokio::test(flavor = "multi_thread")]
async fn media_goes_on_while_the_server_is_away_and_peer_ids_stay() {
    let _alone = alone().await;
    let first = server().await;
    let at = first.local_addr();
    let ana = join(address(&first), "Ana", 440.0);
    let bo = join(address(&first), "Bo", 880.0);
    tokio::join!(ana.until_seen_and_heard("Bo", 880.0), bo.until_seen_and_heard("Ana", 440.0));
    let ids = (ana.self_id(), bo.self_id());
    let connection = peer(&ana.call.snapshot(), "Bo").and_then(|peer| peer.connection);
    first.shutdown().await;
    ana.until("signaling is lost", |snapshot| snapshot.room.phase == Phase::Reconnecting).await;
    let before = ana.media_of("Bo").video.frames_decoded;
    ana.until_peer("Bo", "the picture goes on", |peer, media| {
        peer.state == PeerState::Connected && media.video.frames_decoded > before + 30
    })
    .await;
    let second = serve(server_config(at)).await.unwrap();
    for participant in [&ana, &bo] {
        participant.until("signaling is back", |snapshot| snapshot.room.phase == Phase::InRoom).await;
    }
    let before = ana.media_of("Bo").video.frames_decoded;
    ana.until_peer("Bo", "the picture still goes on", |peer, media| {
        peer.state == PeerState::Connected && media.video.frames_decoded > before + 30
    })
    .await;
    assert_eq!((ana.self_id(), bo.self_id()), ids);
    assert_eq!(peer(&ana.call.snapshot(), "Bo").and_then(|peer| peer.connection), connection, "no new connection");
    ana.leave().await;
    bo.leave().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ice_restart_keeps_the_connection() {
    let _alone = alone().await;
    let server = server().await;
    let ana = join(address(&server), "Ana", 440.0);
    let bo = join(address(&server), "Bo", 880.0);
    tokio::join!(ana.until_seen_and_heard("Bo", 880.0), bo.until_seen_and_heard("Ana", 440.0));
    let connection = peer(&ana.call.snapshot(), "Bo").and_then(|peer| peer.connection);
    // From both sides at once: the offers cross.
    ana.call.send(CallCommand::RestartIce).unwrap();
    bo.call.send(CallCommand::RestartIce).unwrap();
    let before = (ana.media_of("Bo").video.frames_decoded, bo.media_of("Ana").video.frames_decoded);
    ana.until_peer("Bo", "the picture goes on", |_, media| media.video.frames_decoded > before.0 + 90).await;
    bo.until_peer("Ana", "the picture goes on", |_, media| media.video.frames_decoded > before.1 + 90).await;
    ana.until_connected("Bo").await;
    assert_eq!(peer(&ana.call.snapshot(), "Bo").and_then(|peer| peer.connection), connection);
    ana.leave().await;
    bo.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_of_the_packets_lost_leaves_picture_and_sound() {
    let _alone = alone().await;
    let server = server().await;
    let lossy = || EnginePolicy { simulated_loss: 0.10, ..EnginePolicy::default() };
    let ana = join_with(address(&server), "Ana", 440.0, lossy());
    let bo = join_with(address(&server), "Bo", 880.0, lossy());
    tokio::join!(ana.until_seen_and_heard("Bo", 880.0), bo.until_seen_and_heard("Ana", 440.0));
    ana.until_peer("Bo", "ten seconds of picture", |_, media| media.video.frames_decoded >= 240).await;
    let media = ana.media_of("Bo");
    println!("at 10 % loss: {:#?}", media);
    assert!(media.video.key_frames_requested < 30, "retransmission does the work: {:?}", media.video);
    ana.leave().await;
    bo.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_narrow_link_gets_sound_only_and_holds_up_nobody() {
    let _alone = alone().await;
    let server = server().await;
    let narrow = EnginePolicy { simulated_link_bps: Some(120_000), ..EnginePolicy::default() };
    let ana = join(address(&server), "Ana", 440.0);
    let bo = join(address(&server), "Bo", 880.0);
    let cy = join_with(address(&server), "Cy", 1_320.0, narrow);
    bo.until_seen_and_heard("Ana", 440.0).await;
    cy.until_peer("Ana", "the tile says that the link is too slow for a picture", |peer, _| {
        peer.their_video_suspended == Some(SuspendReason::Bandwidth)
    })
    .await;
    println!("suspended after {:?}", cy.started.elapsed());
    assert!(cy.call.pictures(&ana.self_id()).is_none_or(|slot| slot.peek().is_none()), "no stale picture");
    cy.until_peer("Ana", "the sound goes on", |_, media| {
        media.audio.tone_hz.is_some_and(|heard| (heard - 440.0).abs() < 15.0)
    })
    .await;
    let before = bo.media_of("Ana").video;
    bo.until_peer("Ana", "the picture goes on for the others", |_, media| {
        media.video.frames_decoded >= before.frames_decoded + 60
    })
    .await;
    let (to_bo, to_cy) = (ana.media_of("Bo").transport, ana.media_of("Cy").transport);
    println!("to Bo {to_bo:#?}, to Cy {to_cy:#?}, Bo sees {:#?}", bo.media_of("Ana").video);
    println!("Cy hears {:#?}", cy.media_of("Ana").audio);
    assert_eq!(to_bo.frames_withheld, 0, "{to_bo:?}");
    assert!(to_bo.frames_sent >= 10 * to_bo.frames_dropped.max(1), "{to_bo:?}");
    assert!(to_cy.frames_withheld + to_cy.frames_dropped >= to_cy.frames_sent / 4, "{to_cy:?}");
    ana.leave().await;
    bo.leave().await;
    cy.leave().await;
}
