//! Addresses that change or die in the middle of a call.

use std::time::Duration;

use parlor_engine::EnginePolicy;
use parlor_session::{PeerState, Phase};

use crate::support::{Participant, alone, join, join_with, lab, server, through};

/// Two seconds of picture.
const FRAMES: u64 = 60;

/// Without a server nobody can restart ICE: whoever is at the old address has to find the new one by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_address_changes_is_followed_without_a_word() {
    let _alone = alone().await;
    let server = server().await;
    let lab = lab(&server, &[]);
    let ana = join(through(&lab), "Ana", 440.0);
    let bo = join(through(&lab), "Bo", 880.0);
    tokio::join!(ana.until_seen_and_heard("Bo", 880.0), bo.until_seen_and_heard("Ana", 440.0));
    server.shutdown().await;
    for participant in [&ana, &bo] {
        participant.until("signaling is lost", |snapshot| snapshot.room.phase == Phase::Reconnecting).await;
    }
    let seen = seen(&ana, &bo);
    lab.apply("Ana: address moves".parse().unwrap());
    until_the_picture_goes_on(&ana, &bo, seen).await;
    // And once more.
    let seen = self::seen(&ana, &bo);
    lab.apply("Ana: address moves".parse().unwrap());
    until_the_picture_goes_on(&ana, &bo, seen).await;
    ana.leave().await;
    bo.leave().await;
}

/// The stack would say so in an hour: that nothing comes any more is what is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_dies_is_given_up_when_nothing_comes_from_it() {
    let _alone = alone().await;
    let server = server().await;
    let lab = lab(&server, &[]);
    let hour = Duration::from_secs(3_600);
    let policy = EnginePolicy { ice_timeouts: [hour, hour, Duration::from_secs(1)], ..EnginePolicy::default() };
    let ana = join_with(through(&lab), "Ana", 440.0, policy.clone());
    let bo = join_with(through(&lab), "Bo", 880.0, policy);
    tokio::join!(ana.until_seen_and_heard("Bo", 880.0), bo.until_seen_and_heard("Ana", 440.0));
    tokio::join!(ana.until_talking("Bo"), bo.until_talking("Ana"));
    let seen = seen(&ana, &bo);
    lab.apply("Ana: address dies".parse().unwrap());
    until_the_picture_goes_on(&ana, &bo, seen).await;
    ana.leave().await;
    bo.leave().await;
    server.shutdown().await;
}

/// Frames that each has seen of the other.
fn seen(ana: &Participant, bo: &Participant) -> (u64, u64) {
    (ana.media_of("Bo").video.frames_decoded, bo.media_of("Ana").video.frames_decoded)
}

async fn until_the_picture_goes_on(ana: &Participant, bo: &Participant, seen: (u64, u64)) {
    let goes_on = async |who: &Participant, other: &str, before: u64| {
        who.until_peer(other, "the picture goes on", |peer, media| {
            peer.state == PeerState::Connected && media.video.frames_decoded >= before + FRAMES
        })
        .await;
    };
    tokio::join!(goes_on(ana, "Bo", seen.0), goes_on(bo, "Ana", seen.1));
}
