//! Three native peers in one room see, hear and read each other, and notice how each leaves.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use parlor_tests::peer::{number, of};
use parlor_tests::{Peer, Server, serial};
use serde_json::Value;

const NAMES: [&str; 3] = ["Ana", "Bo", "Chen"];
const TONES_HZ: [u32; 3] = [440, 660, 990];
/// Pictures that each is to decode of each other one. So many that the half second in which a newcomer may have to wait
/// for its key frame is below one in twenty.
const FRAMES: f64 = 400.0;
/// A frame may be encoded between the moment media flows and the moment this is printed.
const SLACK: f64 = 3.0;

#[test]
fn three_peers_see_hear_and_read_each_other() {
    let _alone = serial();
    let server = Server::start();
    let mut peers = room_of_three(&server.link("mesh"));
    let encoded_before = connect_all(&mut peers);
    hear_each_other(&mut peers);
    read_each_other(&mut peers);
    account_for_every_frame(&mut peers, &encoded_before);
    for peer in peers {
        let summary = peer.leave();
        assert!(number(&summary, "cpu_seconds") > 0.0, "{summary}");
        for other in summary["peers"].as_array().unwrap() {
            assert_eq!(other["chat_received"], 1, "{summary}");
            // All run on this machine since its start, so the barcode in the picture tells its age.
            assert!(other["latency_ms_p50"].as_f64().is_some_and(|ms| ms > 0.0), "{summary}");
            assert_eq!((&other["width"], &other["height"]), (&640.into(), &360.into()), "{summary}");
        }
    }
}

#[test]
fn one_who_leaves_is_gone_at_once_and_one_who_crashes_after_a_while() {
    let _alone = serial();
    let server = Server::start();
    let mut peers = room_of_three(&server.link("leaving"));
    connect_all(&mut peers);
    let [mut ana, mut bo, chen] = peers;

    chen.leave();
    for peer in [&mut ana, &mut bo] {
        let left = peer.wait("peer_left", |event| event["name"] == "Chen");
        assert_eq!(left["reason"], "left", "{}", peer.told());
        assert_eq!(peer.events("peer_away").count(), 0, "{}", peer.told());
    }

    let mark = ana.mark();
    bo.kill();
    let (away_at, _) = ana.wait_after(mark, "peer_away", |event| event["name"] == "Bo");
    let (left_at, left) = ana.wait_after(mark, "peer_left", |event| event["name"] == "Bo");
    assert_eq!(left["reason"], "timeout", "{}", ana.told());
    // The server waits ten seconds for those who may come back; it may notice the loss a moment before Ana is told.
    assert!(left_at - away_at > Duration::from_secs(8), "gone after {:?}", left_at - away_at);
    ana.leave();
}

#[test]
fn an_interrupted_peer_leaves_properly_and_sums_up() {
    let _alone = serial();
    let server = Server::start();
    let link = server.link("interrupted");
    let mut ana = Peer::join(&link, NAMES[0], TONES_HZ[0]);
    let mut bo = Peer::join(&link, NAMES[1], TONES_HZ[1]);
    ana.connected_with("Bo");
    bo.connected_with("Ana");
    let (status, summary) = bo.interrupt();
    assert_eq!(status, Some(130));
    assert_eq!(summary["peers"][0]["name"], "Ana");
    let left = ana.wait("peer_left", |event| event["name"] == "Bo");
    assert_eq!(left["reason"], "left", "{}", ana.told());
    ana.leave();
}

#[test]
fn mute_and_camera_off_are_told_and_the_picture_comes_back() {
    let _alone = serial();
    let server = Server::start();
    let link = server.link("muted");
    let mut ana = Peer::join(&link, NAMES[0], TONES_HZ[0]);
    let mut bo = Peer::join(&link, NAMES[1], TONES_HZ[1]);
    ana.connected_with("Bo");
    bo.connected_with("Ana");
    bo.stats_of("Ana", |ana| number(ana, "frames_decoded") > 0.0 && is_tone(ana, TONES_HZ[0]));

    let mark = bo.mark();
    ana.command("mute");
    ana.command("camera off");
    bo.wait_after(mark, "peer_media", |event| event["microphone"] == "muted" && event["camera"] == "off");
    let (silent, _) = bo.stats_of("Ana", |ana| number(ana, "audio_dbfs") <= -100.0 && number(ana, "fps") == 0.0);

    let mark = bo.mark();
    ana.command("unmute");
    ana.command("camera on");
    bo.wait_after(mark, "peer_media", |event| event["microphone"] == "on" && event["camera"] == "on");
    let frames = number(&silent, "frames_decoded") + 30.0;
    bo.stats_of("Ana", |ana| number(ana, "frames_decoded") >= frames && is_tone(ana, TONES_HZ[0]));
    ana.leave();
    bo.leave();
}

fn room_of_three(link: &str) -> [Peer; 3] {
    [0, 1, 2].map(|index| Peer::join(link, NAMES[index], TONES_HZ[index]))
}

/// Waits until media flows between each two; how many frames each had encoded when it was connected with each other one.
fn connect_all(peers: &mut [Peer; 3]) -> [[f64; 3]; 3] {
    let mut encoded = [[0.0; 3]; 3];
    for (index, peer) in peers.iter_mut().enumerate() {
        for (other, name) in others(index) {
            let connected = peer.wait("peer_connected", |event| event["name"] == name);
            encoded[index][other] = number(&connected, "frames_encoded");
        }
    }
    encoded
}

fn hear_each_other(peers: &mut [Peer; 3]) {
    for (index, peer) in peers.iter_mut().enumerate() {
        for (other, name) in others(index) {
            peer.stats_of(name, |figures| is_tone(figures, TONES_HZ[other]));
        }
    }
}

fn read_each_other(peers: &mut [Peer; 3]) {
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.command(&format!("say Hello from {}", NAMES[index]));
    }
    for (index, peer) in peers.iter_mut().enumerate() {
        for (_, name) in others(index) {
            let chat = peer.wait("chat", |event| event["name"] == name);
            assert_eq!(chat["text"], format!("Hello from {name}"));
        }
    }
}

/// At least 95 of 100 frames that were encoded since two were connected are decoded, and each missing one was counted
/// by whoever dropped it.
fn account_for_every_frame(peers: &mut [Peer; 3], encoded_before: &[[f64; 3]; 3]) {
    for (index, peer) in peers.iter_mut().enumerate() {
        for (_, name) in others(index) {
            peer.stats_of(name, |figures| number(figures, "frames_decoded") >= FRAMES);
        }
    }
    let sent = stop_cameras(peers);
    let mut unexplained = Vec::new();
    for (receiver, peer) in peers.iter_mut().enumerate() {
        for (sender, name) in others(receiver) {
            let of_sender = of(&sent[sender], NAMES[receiver]).cloned().unwrap_or_default();
            let at_sender =
                ["frames_dropped", "frames_withheld"].map(|key| number(&of_sender, key)).iter().sum::<f64>();
            let encoded = number(&sent[sender]["sent"], "frames_encoded") - encoded_before[sender][receiver];
            // What was sent arrives within a round trip; statistics come each second.
            let settled = |figures: &Value| decoded_and_lost(figures) + at_sender >= encoded - SLACK;
            let (figures, _) = peer.stats_of(name, settled);
            let decoded = number(&figures, "frames_decoded");
            let told = format!("{} decoded {decoded} of {encoded} of {name}: {figures} {of_sender}", NAMES[receiver]);
            println!("{told}");
            let offered = number(&of_sender, "frames_sent") + at_sender;
            if decoded < 0.95 * encoded || (offered - encoded).abs() > SLACK {
                unexplained.push(told);
            }
        }
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}

/// Switches all cameras off; each peer's statistics once nothing more was encoded.
fn stop_cameras(peers: &mut [Peer; 3]) -> [Value; 3] {
    for peer in peers.iter_mut() {
        peer.command("camera off");
    }
    [0, 1, 2].map(|index| {
        let (_, name) = others(index).next().unwrap();
        let peer = &mut peers[index];
        let (_, mut last) = peer.stats_of(name, |_| true);
        loop {
            let (_, next) = peer.stats_of(name, |_| true);
            if next["sent"]["frames_encoded"] == last["sent"]["frames_encoded"] {
                return next;
            }
            last = next;
        }
    })
}

fn decoded_and_lost(figures: &Value) -> f64 {
    let keys = [
        "frames_decoded",
        "frames_dropped_no_reference",
        "frames_dropped_incomplete",
        "frames_dropped_queue",
        "frames_dropped_malformed",
        "decode_errors",
    ];
    keys.iter().map(|key| number(figures, key)).sum()
}

/// Whether this frequency is what is heard.
fn is_tone(figures: &Value, hz: u32) -> bool {
    figures["audio_tone_hz"].as_f64().is_some_and(|heard| (heard / f64::from(hz) - 1.0).abs() < 0.02)
        && number(figures, "audio_dbfs") > -60.0
}

fn others(index: usize) -> impl Iterator<Item = (usize, &'static str)> {
    NAMES.into_iter().enumerate().filter(move |(other, _)| *other != index)
}
