//! The signaling server is killed and restarted in a call: nobody notices but the log.

use std::time::Duration;

use parlor_tests::peer::number;
use parlor_tests::{Peer, Server};

/// From the moment the port listens again until everybody is in the room again.
const ROSTER_WHOLE_WITHIN: Duration = Duration::from_secs(5);
const NAMES: [&str; 3] = ["Ana", "Bo", "Chen"];

#[test]
fn a_call_outlives_its_server_and_everybody_keeps_their_id() {
    let mut server = Server::start();
    let link = server.link("restart");
    let mut peers = [0, 1, 2].map(|index| Peer::join(&link, NAMES[index], 440 + 200 * index as u32));
    let ids = peers.each_mut().map(|peer| peer.wait("joined", |_| true)["peer_id"].clone());
    for_each_pair(&mut peers, |peer, other| {
        peer.connected_with(other);
    });

    let marks = peers.each_ref().map(Peer::mark);
    server.kill();
    for (peer, mark) in peers.iter_mut().zip(marks) {
        peer.wait_after(mark, "signaling_lost", |_| true);
    }
    // Pictures go on while there is no server at all.
    for_each_pair(&mut peers, |peer, other| {
        let (figures, _) = peer.stats_of(other, |_| true);
        let frames = number(&figures, "frames_decoded") + 45.0;
        peer.stats_of(other, |figures| number(figures, "frames_decoded") >= frames);
    });

    let listening = server.start_again();
    for ((peer, mark), id) in peers.iter_mut().zip(marks).zip(&ids) {
        let (at, _) = peer.wait_after(mark, "signaling_restored", |_| true);
        let took = at - listening;
        assert!(took < ROSTER_WHOLE_WITHIN, "{} was back after {took:?}\n{}", peer.name(), peer.told());
        let (_, joined) = peer.wait_after(mark, "joined", |_| true);
        assert_eq!((&joined["peer_id"], &joined["resumed"]), (id, &true.into()), "{}", peer.told());
    }

    // A newcomer finds everybody, under their old ids.
    let mut dora = Peer::join(&link, "Dora", 1_200);
    for (name, id) in NAMES.iter().zip(&ids) {
        let joined = dora.wait("peer_joined", |event| event["name"] == *name);
        assert_eq!(joined["peer_id"], *id, "{}", dora.told());
        dora.connected_with(name);
    }
    for peer in &mut peers {
        peer.connected_with("Dora");
    }

    for peer in peers {
        for event in ["peer_left", "peer_reconnecting", "error"] {
            assert_eq!(peer.events(event).count(), 0, "{event}\n{}", peer.told());
        }
        let connected = peer.events("peer_connected").filter(|event| event["name"] != "Dora").count();
        assert_eq!(connected, 2, "no connection was made anew\n{}", peer.told());
        peer.leave();
    }
    dora.leave();
}

#[test]
fn a_server_with_another_certificate_is_told_in_a_call_which_goes_on() {
    let mut server = Server::start_self_signed();
    let link = server.whole_link("other");
    let mut ana = Peer::join(&link, "Ana", 440);
    ana.wait("joined", |_| true);
    let mut bo = Peer::join(&link, "Bo", 660);
    ana.connected_with("Bo");
    bo.connected_with("Ana");

    server.kill();
    server.start_another();
    for (peer, other) in [(&mut ana, "Bo"), (&mut bo, "Ana")] {
        let error = peer.wait("error", |_| true);
        assert!(error["message"].as_str().unwrap_or_default().contains("another certificate"), "{error}");
        let (figures, _) = peer.stats_of(other, |_| true);
        let frames = number(&figures, "frames_decoded") + 45.0;
        peer.stats_of(other, |figures| number(figures, "frames_decoded") >= frames);
    }

    for peer in [ana, bo] {
        let (lost, told) = (peer.events("signaling_lost").count(), peer.events("error").count());
        assert_eq!((lost, told), (1, 1), "each is told once\n{}", peer.told());
        for event in ["peer_left", "peer_reconnecting", "peer_away"] {
            assert_eq!(peer.events(event).count(), 0, "{event}\n{}", peer.told());
        }
        peer.leave();
    }
}

fn for_each_pair(peers: &mut [Peer; 3], mut act: impl FnMut(&mut Peer, &str)) {
    for peer in peers {
        for other in NAMES {
            if other != peer.name() {
                act(peer, other);
            }
        }
    }
}
