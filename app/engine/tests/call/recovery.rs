//! A server that goes away, and paths that are made anew.

use parlor_engine::CallCommand;
use parlor_session::{PeerState, Phase};
use parlor_signaling::serve;

use crate::support::{address, alone, join, peer, server, server_config};

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
