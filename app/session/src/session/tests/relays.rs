//! TURN credentials that expire, and users who hide their address.

use parlor_proto::{IceServer, ServerMessage};

use super::fixture::*;
use crate::{ConnectionState, Event, RelayNote, Session, SessionConfig};

fn turn(url: &str) -> Vec<IceServer> {
    vec![IceServer { urls: vec![url.into()], username: Some("u".into()), credential: Some("p".into()) }]
}

fn with_turn(url: &str, lifetime: Option<u64>, relay_only: bool) -> Fixture {
    let mut fixture = Fixture::new();
    let config = SessionConfig { relay_only, ..SessionConfig::default() };
    fixture.session = Session::new(config, [1; 32], fixture.now);
    fixture.ice_servers = turn(url);
    fixture.ice_lifetime_seconds = lifetime;
    fixture.join();
    fixture.open();
    fixture.joined(ME, &[]);
    fixture
}

#[test]
fn past_half_of_their_life_new_credentials_are_fetched_for_what_is_gathered_from_then_on() {
    let mut fixture = with_turn("turn:a", Some(43_200), false);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.finish_offer(ANN);
    fixture.connect(ANN);
    fixture.forget();
    fixture.wait(secs(21_599));
    assert!(!fixture.has("RefreshIceServers"), "{:?}", fixture.said());
    fixture.wait(secs(1));
    assert!(fixture.has("RefreshIceServers"));
    fixture.forget();

    fixture.message(ServerMessage::IceServers { ice_servers: turn("turn:b"), ice_lifetime_seconds: Some(43_200) });
    assert_eq!(fixture.said(), ["use 1.1 turn:b"], "the connection that lives is not touched");
    fixture.wait(secs(21_599));
    assert!(!fixture.has("RefreshIceServers"), "{:?}", fixture.said());
    fixture.wait(secs(1));
    assert!(fixture.has("RefreshIceServers"));
}

#[test]
fn an_answer_that_does_not_come_is_asked_for_again() {
    let mut fixture = with_turn("turn:a", Some(100), false);
    fixture.forget();
    fixture.wait(secs(50 + 29));
    assert_eq!(fixture.said(), ["RefreshIceServers"]);
    fixture.wait(secs(1));
    assert_eq!(fixture.said(), ["RefreshIceServers", "RefreshIceServers"]);
}

#[test]
fn a_server_that_was_away_brings_new_credentials_by_itself() {
    let mut fixture = with_turn("turn:a", Some(100), false);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.close();
    fixture.forget();
    fixture.ice_servers = turn("turn:b");
    fixture.resume(&[ANN]);
    assert!(fixture.has("use 1.1 turn:b"), "{:?}", fixture.said());
    assert!(!fixture.has("RefreshIceServers"));
}

#[test]
fn who_hides_their_address_is_told_at_once_that_there_is_no_relay() {
    for (url, note) in [("turns:a", RelayNote::NoRelayOverUdp), ("stun:a", RelayNote::NoRelay)] {
        let mut fixture = with_turn(url, None, true);
        assert_eq!(fixture.errors(), [note.to_string()]);
        assert_eq!(fixture.session.view().relay_note, Some(note));
        fixture.close();
        fixture.resume(&[]);
        assert_eq!(fixture.errors().len(), 1, "once");
        fixture.message(ServerMessage::IceServers { ice_servers: turn("turn:a"), ice_lifetime_seconds: None });
        assert_eq!(fixture.session.view().relay_note, None);
    }
    assert!(with_turn("turn:a", None, true).errors().is_empty());
    assert!(with_turn("turns:a", None, false).errors().is_empty(), "a direct path may do");
}

#[test]
fn where_udp_finds_no_path_the_relay_that_only_browsers_use_is_named_once() {
    let mut fixture = with_turn("turn:a?transport=tcp", None, false);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.finish_offer(ANN);
    fixture.state(ANN, ConnectionState::Failed);
    let named = |events: &[Event]| format!("{events:?}").matches("over UDP only; a browser can").count();
    assert_eq!(named(&fixture.events), 1, "{:?}", fixture.events);
    assert_eq!(fixture.view_of(ANN).relay_note, Some(RelayNote::NoPathOverUdp));
    fixture.wait(secs(3));
    fixture.finish_offer(ANN);
    fixture.state(ANN, ConnectionState::Failed);
    assert_eq!(named(&fixture.events), 1);
    fixture.wait(secs(5));
    fixture.finish_offer(ANN);
    fixture.connect(ANN);
    assert_eq!(fixture.view_of(ANN).relay_note, None);
}
