//! Coming together and parting.

use parlor_engine::{EndReason, Notice};
use parlor_session::PeerLeftReason;

use crate::support::{address, alone, join, server};

#[tokio::test(flavor = "multi_thread")]
async fn two_peers_see_and_hear_each_other() {
    let _alone = alone().await;
    let server = server().await;
    let ana = join(address(&server), "Ana", 440.0);
    let bo = join(address(&server), "Bo", 880.0);
    ana.until_connected("Bo").await;
    println!("connected after {:?}", bo.started.elapsed());
    ana.until_peer("Bo", "the first picture", |_, media| media.video.frames_decoded > 0).await;
    println!("first frame after {:?}", bo.started.elapsed());
    tokio::join!(ana.until_seen_and_heard("Bo", 880.0), bo.until_seen_and_heard("Ana", 440.0));
    ana.until_peer("Bo", "statistics", |_, media| {
        media.transport.relayed == Some(false)
            && media.transport.bytes_in > 10_000
            && media.transport.rtt_ms.is_some()
            && media.transport.video_codec.as_deref() == Some("H264")
            && media.video.width == 640
    })
    .await;
    println!("{:#?}", ana.media_of("Bo"));
    let pictures = ana.call.pictures(&bo.self_id()).unwrap();
    assert_eq!(pictures.peek().map(|frame| (frame.width, frame.height)), Some((640, 360)));
    ana.leave().await;
    bo.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_peers_make_a_mesh_and_one_leaves() {
    let _alone = alone().await;
    let server = server().await;
    let tones = [("Ana", 440.0), ("Bo", 880.0), ("Cy", 1_320.0)];
    let [ana, bo, cy] = tones.map(|(name, tone)| join(address(&server), name, tone));
    for (listener, own) in [(&ana, "Ana"), (&bo, "Bo"), (&cy, "Cy")] {
        for (name, tone) in tones.iter().filter(|(name, _)| *name != own) {
            listener.until_seen_and_heard(name, *tone).await;
        }
    }
    let left = cy.self_id();
    cy.leave().await;
    for other in [&ana, &bo] {
        let notice = other.notice("someone left", |notice| matches!(notice, Notice::PeerLeft { .. })).await;
        let Notice::PeerLeft { peer_id, reason, .. } = notice else { unreachable!() };
        assert_eq!((peer_id, reason), (left.clone(), PeerLeftReason::Left));
        assert!(other.call.pictures(&left).is_none());
    }
    ana.until_connected("Bo").await;
    ana.leave().await;
    bo.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_last_handle_leaves_the_call() {
    let _alone = alone().await;
    let server = server().await;
    let ana = join(address(&server), "Ana", 440.0);
    let bo = join(address(&server), "Bo", 880.0);
    ana.until_connected("Bo").await;
    drop(bo);
    let notice = ana.notice("someone left", |notice| matches!(notice, Notice::PeerLeft { .. })).await;
    assert!(matches!(notice, Notice::PeerLeft { reason: PeerLeftReason::Left, .. }));
    let call = ana.call.clone();
    ana.leave().await;
    assert_eq!(call.finished().await, EndReason::Left);
    assert!(call.next_notice().await.is_some(), "the end is announced");
    while call.next_notice().await.is_some() {}
}
