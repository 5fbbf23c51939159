//! Calls through a network with faults (tests/lab/net).

use parlor_engine::CallCommand;
use parlor_proto::SuspendReason;
use parlor_session::VideoFlow;

use crate::support::{PATIENCE, Participant, alone, join, lab, peer, server, through};

/// Pictures in a row that show that a state lasts: some seconds at half of the frames.
const HELD_FRAMES: u64 = 90;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_of_the_packets_lost_leaves_picture_and_sound() {
    let _alone = alone().await;
    let server = server().await;
    let lab = lab(&server, &["up loss=10%"]);
    let ana = join(through(&lab), "Ana", 440.0);
    let bo = join(through(&lab), "Bo", 880.0);
    tokio::join!(ana.until_seen_and_heard("Bo", 880.0), bo.until_seen_and_heard("Ana", 440.0));
    ana.until_peer("Bo", "ten seconds of picture", |_, media| media.video.frames_decoded >= 240).await;
    let media = ana.media_of("Bo");
    println!("at 10 % loss: {media:#?}");
    assert!(media.video.key_frames_requested < 30, "retransmission does the work: {:?}", media.video);
    for link in lab.report().relay.links {
        let share = link.up.lost as f64 / link.up.entered as f64;
        assert!((0.05..0.15).contains(&share), "the network lost {share} of what {} sent", link.name);
    }
    ana.leave().await;
    bo.leave().await;
}

/// Counted from the moment at which the loss is known, as whoever calls on such a network sees it after the first seconds.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_third_lost_each_way_nearly_all_pictures_and_most_of_the_sound_remain() {
    let _alone = alone().await;
    let server = server().await;
    let lab = lab(&server, &["up loss=30%"]);
    let ana = join(through(&lab), "Ana", 440.0);
    let bo = join(through(&lab), "Bo", 880.0);
    tokio::join!(ana.until_seen_and_heard("Bo", 880.0), bo.until_seen_and_heard("Ana", 440.0));
    // Whether lost sounds come again or with later ones depends on what the reports, which get lost too, say first.
    ana.until_peer("Bo", "five seconds of sound to settle", |_, media| media.audio.samples_played >= 240_000).await;
    let (before, sent_before) = (ana.media_of("Bo"), bo.media_of("Ana").transport.frames_sent);
    ana.until_peer("Bo", "ten seconds of sound", |_, media| {
        media.audio.samples_played >= before.audio.samples_played + 480_000
    })
    .await;
    let (after, sent_after) = (ana.media_of("Bo"), bo.media_of("Ana").transport.frames_sent);
    let (shown, sent) = (after.video.frames_decoded - before.video.frames_decoded, sent_after - sent_before);
    let concealed = after.audio.concealed_samples - before.audio.concealed_samples;
    println!("of {sent} frames {shown} were shown, {concealed} of 480000 samples made up: {after:#?}");
    // Both counts are up to a second old.
    assert!(shown + 40 >= sent * 9 / 10, "{shown} of {sent} frames: {:?}", after.video);
    assert!(sent >= 100, "the picture is not given up for the loss: {sent} frames");
    assert!(concealed < 480_000 * 15 / 100, "{concealed} samples made up: {:?}", after.audio);
    for link in lab.report().relay.links {
        let share = link.up.lost as f64 / link.up.entered as f64;
        assert!((0.25..0.35).contains(&share), "the network lost {share} of what {} sent", link.name);
    }
    ana.leave().await;
    bo.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_sound_alone_gets_sound_only_and_holds_up_nobody() {
    let _alone = alone().await;
    let server = server().await;
    let lab = lab(&server, &["Cy: down rate=120kbps"]);
    let ana = join(through(&lab), "Ana", 440.0);
    let bo = join(through(&lab), "Bo", 880.0);
    only_watch(&bo);
    bo.until_seen_and_heard("Ana", 440.0).await;
    let cy = join(through(&lab), "Cy", 1_320.0);
    cy.until_peer("Ana", "the tile says that the link is too slow for a picture", |peer, _| {
        peer.their_video == VideoFlow::Suspended(SuspendReason::Bandwidth)
    })
    .await;
    println!("suspended after {:?}", cy.started.elapsed());
    let ana_id = ana.self_id();
    cy.until("no stale picture", |_| cy.call.pictures(&ana_id).is_none_or(|slot| slot.peek().is_none())).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_link_keeps_some_of_the_frames_until_it_opens_and_the_others_have_all() {
    let _alone = alone().await;
    let server = server().await;
    let lab = lab(&server, &["Cy: down rate=200kbps"]);
    let ana = join(through(&lab), "Ana", 440.0);
    let bo = join(through(&lab), "Bo", 880.0);
    only_watch(&bo);
    bo.until_seen_and_heard("Ana", 440.0).await;
    let cy = join(through(&lab), "Cy", 1_320.0);

    let lasts = tokio::time::timeout(PATIENCE * 3, until_reduced_lasts(&ana, &cy)).await;
    let to_cy = ana.media_of("Cy").transport;
    assert!(lasts.is_ok(), "no lasting state: {to_cy:#?}\n{:#?}", cy.media_of("Ana"));
    println!("settled after {:?}: {to_cy:?}", cy.started.elapsed());
    assert!(to_cy.frames_withheld > 0, "{to_cy:?}");
    cy.until_peer("Ana", "the sound goes on", |_, media| {
        media.audio.tone_hz.is_some_and(|heard| (heard - 440.0).abs() < 15.0)
    })
    .await;
    assert_eq!(ana.media_of("Bo").transport.frames_withheld, 0, "the others have all frames");

    lab.apply("Cy: down clear".parse().unwrap());
    ana.until_peer("Cy", "all frames go again", |peer, _| peer.our_video == VideoFlow::All).await;
    cy.until_peer("Ana", "the tile says so", |peer, _| peer.their_video == VideoFlow::All).await;
    let before = ana.media_of("Cy").transport;
    ana.until_peer("Cy", "none is held back", |_, media| media.transport.frames_sent >= before.frames_sent + 60).await;
    assert_eq!(ana.media_of("Cy").transport.frames_withheld, before.frames_withheld);
    ana.leave().await;
    bo.leave().await;
    cy.leave().await;
}

/// Waits for seconds of pictures in a row, fewer than there are, as both ends say. How long that takes is the estimator's matter, and in the
/// end the machine's: it has all the time there is.
async fn until_reduced_lasts(sender: &Participant, viewer: &Participant) {
    let (mut held, mut seen) = (0, 0);
    while held < HELD_FRAMES {
        let more = |frames_decoded| frames_decoded >= seen + 30;
        viewer.until_peer("Ana", "more pictures come", |_, media| more(media.video.frames_decoded)).await;
        let now = viewer.media_of("Ana").video.frames_decoded;
        let is_sent = peer(&sender.call.snapshot(), "Cy").is_some_and(|peer| peer.our_video == VideoFlow::Reduced);
        let is_told = peer(&viewer.call.snapshot(), "Ana").is_some_and(|peer| peer.their_video == VideoFlow::Reduced);
        held = if is_sent && is_told { held + now - seen } else { 0 };
        seen = now;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_link_of_50_kilobits_a_second_no_sound_is_lost() {
    let _alone = alone().await;
    let server = server().await;
    let lab = lab(&server, &["Cy: down rate=50kbps"]);
    let ana = join(through(&lab), "Ana", 440.0);
    let cy = join(through(&lab), "Cy", 1_320.0);
    cy.call.send(CallCommand::SetCameraEnabled(false)).unwrap();
    cy.until_connected("Ana").await;
    let lasts = tokio::time::timeout(PATIENCE * 3, until_nothing_is_lost(&cy, "Ana")).await;
    assert!(lasts.is_ok(), "{:#?}\n{:#?}", cy.media_of("Ana"), ana.media_of("Cy").transport);
    println!("nothing lost after {:?}: {:?}", cy.started.elapsed(), cy.media_of("Ana").audio);
    cy.until_peer("Ana", "the tone is heard", |_, media| {
        media.audio.tone_hz.is_some_and(|heard| (heard - 440.0).abs() < 15.0)
    })
    .await;
    ana.leave().await;
    cy.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_link_of_50_kilobits_a_second_what_is_written_arrives() {
    let _alone = alone().await;
    let server = server().await;
    let lab = lab(&server, &["Cy: down rate=50kbps"]);
    let ana = join(through(&lab), "Ana", 440.0);
    let cy = join(through(&lab), "Cy", 1_320.0);
    tokio::join!(until_told(&ana, "Cy"), until_told(&cy, "Ana"));
    println!("talking after {:?}", cy.started.elapsed());
    ana.call.send(CallCommand::SendChat("My train is about to enter a tunnel".to_owned())).unwrap();
    let own = ana.until("our own line", |snapshot| !snapshot.room.chat.is_empty()).await;
    assert!(own.room.chat[0].unreached.is_empty());
    cy.until("the line", |snapshot| !snapshot.room.chat.is_empty()).await;
    println!("read after {:?}", cy.started.elapsed());
    ana.leave().await;
    cy.leave().await;
}

/// Waits until they told what their devices do. The set-up of the channels that was lost is tried again after one, two, four, eight seconds.
async fn until_told(participant: &Participant, name: &str) {
    let mut snapshots = participant.call.subscribe();
    let told = snapshots.wait_for(|snapshot| peer(snapshot, name).is_some_and(|peer| peer.media.is_some()));
    let told = tokio::time::timeout(PATIENCE * 3, told).await;
    assert!(told.is_ok_and(|told| told.is_ok()), "{:#?}", participant.call.snapshot());
}

/// Waits for ten seconds of sound of which every packet came.
async fn until_nothing_is_lost(viewer: &Participant, sender: &str) {
    loop {
        let before = viewer.media_of(sender).audio;
        let end = before.samples_played + 480_000;
        viewer.until_peer(sender, "sound is played", |_, media| media.audio.samples_played >= end).await;
        if viewer.media_of(sender).audio.packets_lost == before.packets_lost {
            return;
        }
    }
}

/// Sends neither picture nor sound, so that the link of someone else is for one sender alone.
fn only_watch(participant: &Participant) {
    participant.call.send(CallCommand::SetMuted(true)).unwrap();
    participant.call.send(CallCommand::SetCameraEnabled(false)).unwrap();
}
