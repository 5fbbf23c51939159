//! A peer from whom nothing comes any more, though their transport says that it is connected.

use parlor_proto::{CameraState, ControlMessage, MicrophoneState, PeerId, ServerMessage};

use super::fixture::{ANN, Fixture, ZOE, id, secs};
use crate::{ConnectionEvent, ConnectionState, Event, PeerState};

fn sends(fixture: &mut Fixture, who: &str, microphone: MicrophoneState, camera: CameraState) {
    let message = ControlMessage::MediaState { microphone, camera, microphone_reason: None, camera_reason: None };
    fixture.control(who, &message);
    fixture.forget();
}

/// Connected with someone who is heard.
fn heard(who: &str) -> Fixture {
    let mut fixture = Fixture::connected_with(who);
    sends(&mut fixture, who, MicrophoneState::On, CameraState::Off);
    fixture
}

fn peer(who: &str) -> PeerId {
    id(who)
}

#[test]
fn a_silent_peer_is_looked_for_at_once() {
    let mut fixture = heard(ANN);
    fixture.report(ANN, ConnectionEvent::FellSilent);
    fixture.wait(secs(0));
    assert_eq!(fixture.said(), ["create offer true"]);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Reconnecting);
    assert_eq!(fixture.events, [Event::PeerReconnecting { peer_id: peer(ANN) }]);
    // The restart shows in the transport's own states, and ends it.
    fixture.state(ANN, ConnectionState::Connecting);
    fixture.state(ANN, ConnectionState::Connected);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected);
}

#[test]
fn the_polite_end_waits_and_does_nothing_where_the_peer_is_heard_again() {
    let mut fixture = heard(ZOE);
    fixture.report(ZOE, ConnectionEvent::FellSilent);
    assert_eq!(fixture.view_of(ZOE).state, PeerState::Reconnecting);
    fixture.report(ZOE, ConnectionEvent::HeardAgain);
    assert_eq!(fixture.view_of(ZOE).state, PeerState::Connected);
    assert_eq!(fixture.events.last(), Some(&Event::PeerConnected { peer_id: peer(ZOE) }));
    fixture.wait(secs(60));
    assert_eq!(fixture.said(), [""; 0]);
}

#[test]
fn a_silence_that_ended_by_itself_leaves_the_next_one_its_due() {
    let mut fixture = heard(ZOE);
    fixture.report(ZOE, ConnectionEvent::FellSilent);
    fixture.report(ZOE, ConnectionEvent::HeardAgain);
    fixture.wait(secs(1));
    fixture.report(ZOE, ConnectionEvent::FellSilent);
    fixture.wait(secs(1));
    assert_eq!(fixture.said(), ["create offer true"]);
}

#[test]
fn whoever_said_that_they_send_nothing_is_not_missed() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.report(ANN, ConnectionEvent::FellSilent);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected, "nothing is known of them");
    sends(&mut fixture, ANN, MicrophoneState::Muted, CameraState::Off);
    fixture.report(ANN, ConnectionEvent::FellSilent);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected);
    sends(&mut fixture, ANN, MicrophoneState::Muted, CameraState::On);
    fixture.report(ANN, ConnectionEvent::FellSilent);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Reconnecting);
}

#[test]
fn without_a_way_for_an_offer_the_transport_has_time_to_come_back() {
    let mut fixture = heard(ANN);
    fixture.close();
    fixture.forget();
    fixture.report(ANN, ConnectionEvent::FellSilent);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected);
    assert_eq!(fixture.events, []);
}

#[test]
fn a_bad_way_is_not_restarted_again_and_again() {
    let mut fixture = heard(ANN);
    fixture.report(ANN, ConnectionEvent::FellSilent);
    fixture.wait(secs(0));
    fixture.finish_offer(ANN);
    fixture.report(ANN, ConnectionEvent::HeardAgain);
    for second in 0..29 {
        fixture.report(ANN, ConnectionEvent::FellSilent);
        fixture.report(ANN, ConnectionEvent::HeardAgain);
        assert_eq!(fixture.view_of(ANN).state, PeerState::Connected, "after {second} s");
        fixture.wait(secs(1));
    }
    let reconnecting = fixture.events.iter().filter(|event| matches!(event, Event::PeerReconnecting { .. })).count();
    assert_eq!(reconnecting, 1);
    fixture.wait(secs(1));
    fixture.report(ANN, ConnectionEvent::FellSilent);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Reconnecting);
}

#[test]
fn what_the_transport_says_itself_counts_for_more() {
    let mut fixture = heard(ZOE);
    fixture.report(ZOE, ConnectionEvent::FellSilent);
    fixture.state(ZOE, ConnectionState::Disconnected);
    fixture.report(ZOE, ConnectionEvent::HeardAgain);
    assert_eq!(fixture.view_of(ZOE).state, PeerState::Reconnecting);
    fixture.state(ZOE, ConnectionState::Connected);
    assert_eq!(fixture.view_of(ZOE).state, PeerState::Connected);
    fixture.message(ServerMessage::PeerAway { peer_id: peer(ZOE) });
    fixture.report(ZOE, ConnectionEvent::FellSilent);
    assert_eq!(fixture.view_of(ZOE).state, PeerState::Connected, "they hear no offer");
}
