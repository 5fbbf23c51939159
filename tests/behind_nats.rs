//! Native peers behind symmetric NATs call through coturn; who hides their address shows only the relay's.
//!
//! Needs root for network namespaces; elsewhere the tests say that they were skipped.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use parlor_tests::nat::{Nats, PUBLIC};
use parlor_tests::peer::number;
use parlor_tests::turn::{Coturn, TurnServer};
use parlor_tests::{Peer, serial, skip};
use serde_json::Value;

/// Pictures that each is to decode of the other.
const FRAMES: f64 = 30.0;
const MEDIA: [&str; 6] = ["--video", "test-pattern", "--audio", "tone:440", "--speaker", "none"];

#[test]
fn two_peers_behind_nats_of_their_own_call_through_the_relay() {
    let _alone = serial();
    let Some(nats) = nats("two_peers_behind_nats_of_their_own_call_through_the_relay") else { return };
    let _coturn = Coturn::start(&nats, 600);
    let server = TurnServer::start(&nats, &TurnServer::udp_url(), &[]);
    let mut peers = call(&nats, [&server.link("a"), &server.link("a")], [&[], &[]]);
    for (peer, other) in peers.iter_mut().zip(["Bo", "Ana"]) {
        let (figures, _) = peer.stats_of(other, |figures| number(figures, "frames_decoded") >= FRAMES);
        assert_eq!(figures["relayed"], true, "{figures}");
        assert!(number(&figures, "audio_dbfs") > -60.0, "{figures}");
        assert!(!peer.told().contains("TURN"), "refused private addresses are no news:\n{}", peer.told());
        assert!(!peer.told().contains("track_remote"), "the stack has lost first packets:\n{}", peer.told());
    }
    for peer in peers {
        peer.leave();
    }
}

#[test]
fn who_hides_their_address_shows_only_the_relays() {
    let _alone = serial();
    let Some(nats) = nats("who_hides_their_address_shows_only_the_relays") else { return };
    let _coturn = Coturn::start(&nats, 600);
    let server = TurnServer::start(&nats, &TurnServer::udp_url(), &[]);
    nats.watch_udp(0);
    nats.watch_udp(1);
    let mut peers = call(&nats, [&server.recorded_link("a"), &server.link("a")], [&["--relay-only"], &[]]);
    see_each_other(&mut peers);
    restart_ice(&mut peers);
    let turn_server = SocketAddr::from((PUBLIC, 3478));
    assert_eq!(nats.udp_destinations(0), [turn_server], "Ana sends to the TURN server and nowhere else");
    let of_bo = nats.udp_destinations(1);
    assert!(of_bo.iter().any(|address| *address != turn_server), "Bo, who hides nothing, tries other ways: {of_bo:?}");

    let said = server.recorded();
    assert!(said.matches("typ relay raddr 0.0.0.0 rport 0").count() > 0, "{said}");
    assert_eq!(said.matches("typ ").count(), said.matches("typ relay raddr 0.0.0.0 rport 0").count(), "{said}");
    for address in nats.addresses_of(0) {
        assert!(!said.contains(&address.to_string()), "{address} was told:\n{said}");
    }
    for peer in peers {
        peer.leave();
    }
}

#[test]
fn without_a_relay_over_udp_who_hides_their_address_is_told_at_once() {
    let _alone = serial();
    let Some(nats) = nats("without_a_relay_over_udp_who_hides_their_address_is_told_at_once") else { return };
    let server = TurnServer::start(&nats, &[format!("turns:{PUBLIC}"), format!("turn:{PUBLIC}?transport=tcp")], &[]);
    let mut ana = Peer::join_from(&server.link("a"), "Ana", &["--relay-only"], |command| nats.client(0, command));
    ana.wait("error", |error| says(error, "You hide your address") && says(error, "over TCP or TLS only"));
    let mut bo = Peer::join_from(&server.link("b"), "Bo", &[], |command| nats.client(0, command));
    bo.wait("joined", |_| true);
    let mut chen = Peer::join_from(&server.link("b"), "Chen", &[], |command| nats.client(1, command));
    chen.wait("error", |error| says(error, "No way was found to Bo") && says(error, "relays over UDP only"));
    for peer in [ana, bo, chen] {
        peer.leave();
    }
}

#[test]
fn an_allocation_outlives_its_lifetimes_on_the_credentials_that_made_it() {
    let _alone = serial();
    let Some(nats) = nats("an_allocation_outlives_its_lifetimes_on_the_credentials_that_made_it") else { return };
    outlive(&nats, 22, 2);
}

/// `cargo xtask test turn`: the same with lifetimes of a minute.
#[test]
#[ignore = "takes four minutes"]
fn an_allocation_outlives_lifetimes_of_a_minute() {
    let _alone = serial();
    let Some(nats) = nats("an_allocation_outlives_lifetimes_of_a_minute") else { return };
    outlive(&nats, 60, 6);
}

/// Each allocation is refreshed under the name that made it, though that has expired by then and newer credentials are
/// there; the one that an ICE restart makes has the newer ones. So for as many allocations.
///
/// Coturn gives the short lifetime to a new allocation only: refreshed, it lives for ten minutes.
fn outlive(nats: &Nats, lifetime_secs: u32, allocations: usize) {
    let mut coturn = Coturn::start(nats, lifetime_secs);
    let server = TurnServer::start(nats, &TurnServer::udp_url(), &["--turn-lifetime-seconds", "10"]);
    let mut peers = call(nats, [&server.link("a"), &server.link("a")], [&["--relay-only"], &["--relay-only"]]);
    let mut names = coturn.names(2, "new, realm=");
    for number in 1..=allocations {
        assert_eq!(coturn.names(2, "refreshed, realm="), names, "refreshed under the name that made it");
        see_each_other(&mut peers);
        if number < allocations {
            restart_ice(&mut peers);
            let fresh = coturn.names(2, "new, realm=");
            assert!(fresh.is_disjoint(&names), "an ICE restart allocates with new credentials: {fresh:?}");
            names = fresh;
        }
    }
    for peer in peers {
        peer.leave();
    }
    // 437: allocation mismatch; 441: wrong credentials.
    let refused = |line: &&String| line.contains("error 437") || line.contains("error 441");
    let refused: Vec<_> = coturn.lines().iter().filter(refused).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

fn nats(test: &str) -> Option<Nats> {
    Nats::make().map_err(|why| skip(test, &why)).ok()
}

/// Ana behind one NAT and Bo behind the other, connected.
fn call(nats: &Nats, links: [&str; 2], flags: [&[&str]; 2]) -> [Peer; 2] {
    let join = |client: usize, name| {
        let flags = [&MEDIA, flags[client]].concat();
        Peer::join_from(links[client], name, &flags, |command| nats.client(client, command))
    };
    let mut ana = join(0, "Ana");
    ana.wait("joined", |_| true);
    let mut bo = join(1, "Bo");
    ana.connected_with("Bo");
    bo.connected_with("Ana");
    [ana, bo]
}

/// Both decode more pictures of each other, through a relay.
fn see_each_other(peers: &mut [Peer; 2]) {
    for (peer, other) in peers.iter_mut().zip(["Bo", "Ana"]) {
        let (before, _) = peer.stats_of(other, |_| true);
        let enough = number(&before, "frames_decoded") + FRAMES;
        let (figures, _) = peer.stats_of(other, |figures| number(figures, "frames_decoded") >= enough);
        assert_eq!(figures["relayed"], true, "{figures}");
    }
}

/// Ana looks for a new path, and the pictures go on.
fn restart_ice(peers: &mut [Peer; 2]) {
    peers[0].command("restart-ice");
    see_each_other(peers);
}

fn says(error: &Value, words: &str) -> bool {
    error["message"].as_str().is_some_and(|message| message.contains(words))
}
