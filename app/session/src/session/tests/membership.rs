//! Our own place in the room.

use parlor_proto::{ErrorCode, ServerMessage};

use super::fixture::{ANN, Fixture, ME, ZOE, candidate, id, person, secs};
use crate::{
    Command, ConnectionEvent, ConnectionState, EndReason, Event, MediaState, OpenFailure, PeerLeftReason, PeerState,
    Phase, Presence,
};

const OTHER_ME: &str = "nnnnnnnnnnnnnnnnnnnnnnnnnn";

#[test]
fn joining_greets_and_returning_shows_the_token() {
    let mut fixture = Fixture::new();
    fixture.join();
    assert_eq!(fixture.session.view().phase, Phase::Joining);
    fixture.open();
    assert_eq!(fixture.said(), ["open signaling", "hello", "join room Me None"]);
    fixture.joined(ME, &[ANN]);
    assert_eq!(fixture.session.view().phase, Phase::InRoom);
    fixture.forget();
    fixture.close();
    assert_eq!(fixture.session.view().phase, Phase::Reconnecting);
    fixture.resume(&[ANN]);
    assert_eq!(fixture.said(), ["open signaling", "hello", "join room Me Some(\"token\")"]);
    assert_eq!(fixture.events[0], Event::SignalingLost);
    assert_eq!(fixture.events[1], Event::SignalingRestored);
    assert!(matches!(fixture.events[2], Event::Joined { resumed: true, .. }));
}

#[test]
fn a_server_that_cannot_be_reached_ends_the_first_join_with_its_reason() {
    let mut fixture = Fixture::new();
    fixture.join();
    for _ in 0..200 {
        fixture.fail_to_open(OpenFailure::Passing, "The server refuses");
        fixture.wait(secs(1));
    }
    let reason = EndReason::Unreachable { message: "The server refuses".into() };
    assert_eq!(reason.to_string(), "The server refuses", "said once");
    let delayed = Event::JoinDelayed { message: "The server refuses".into() };
    assert_eq!(fixture.events, [delayed, Event::Ended { reason: reason.clone() }], "told at once, and once");
    assert_eq!(fixture.session.view().phase, Phase::Ended(reason));
    assert_eq!(fixture.session.poll_timeout(), None);
}

#[test]
fn a_silent_server_ends_the_first_join_too() {
    let mut fixture = Fixture::new();
    fixture.join();
    fixture.wait(secs(3));
    let silent = "The server has not answered yet".to_owned();
    assert_eq!(fixture.events, [Event::JoinDelayed { message: silent.clone() }]);
    assert_eq!(problem_of(&fixture), Some((OpenFailure::Passing, silent)));
    fixture.forget();
    fixture.wait(secs(13));
    assert!(fixture.has("drop signaling"));
    let message = "The server did not answer in time".to_owned();
    let reason = EndReason::Unreachable { message: message.clone() };
    assert_eq!(fixture.events, [Event::JoinDelayed { message }, Event::Ended { reason }]);
}

#[test]
fn what_no_second_attempt_mends_ends_a_first_join_at_once() {
    let message = "A sentence".to_owned();
    let untrusted = EndReason::Untrusted { message: message.clone() };
    let wrong = EndReason::WrongAddress { message };
    for (failure, reason) in [(OpenFailure::Certificate, untrusted), (OpenFailure::WrongAddress, wrong)] {
        let mut fixture = Fixture::new();
        fixture.join();
        fixture.fail_to_open(failure, "A sentence");
        assert_eq!(fixture.events, [Event::Ended { reason }]);
        fixture.forget();
        fixture.wait(secs(30));
        assert_eq!((fixture.said(), fixture.session.poll_timeout()), (vec![], None), "it is not tried again");
    }
}

#[test]
fn what_no_second_attempt_mends_is_told_once_in_a_running_call_which_goes_on() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.close();
    assert_eq!(problem_of(&fixture), Some((OpenFailure::Passing, "gone".to_owned())));
    fixture.forget();
    for _ in 0..3 {
        fixture.wait(secs(2));
        fixture.fail_to_open(OpenFailure::Certificate, "The server shows another certificate");
    }
    let message = "The server shows another certificate".to_owned();
    assert_eq!(fixture.events, [Event::Error { code: None, message: message.clone() }]);
    assert_eq!(problem_of(&fixture), Some((OpenFailure::Certificate, message)));
    assert_eq!(fixture.session.view().phase, Phase::Reconnecting);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected);
    fixture.wait(secs(2));
    fixture.open();
    fixture.joined(ME, &[ANN]);
    assert_eq!(problem_of(&fixture), None);
}

fn problem_of(fixture: &Fixture) -> Option<(OpenFailure, String)> {
    fixture.session.view().server_problem.map(|problem| (problem.failure, problem.message))
}

#[test]
fn late_words_of_a_socket_that_is_not_awaited_end_nothing() {
    let mut fixture = Fixture::new();
    fixture.join();
    fixture.open();
    fixture.fail_to_open(OpenFailure::Certificate, "A sentence");
    assert_eq!(fixture.session.view().phase, Phase::Joining);
}

#[test]
fn a_full_room_ends_a_first_join_and_is_tried_again_in_a_call() {
    let mut fixture = Fixture::new();
    fixture.join();
    fixture.open();
    fixture.refuse(ErrorCode::RoomFull, None);
    let reason = EndReason::Refused { code: ErrorCode::RoomFull, message: "A sentence.".into() };
    assert_eq!(fixture.events, [Event::Ended { reason }]);

    let mut fixture = Fixture::connected_with(ANN);
    fixture.close();
    fixture.wait(secs(1));
    fixture.open();
    fixture.refuse(ErrorCode::RoomFull, None);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected);
    fixture.forget();
    fixture.wait(secs(2));
    assert_eq!(fixture.said(), ["open signaling"]);
}

#[test]
fn leaving_says_goodbye_every_way_and_closes() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.command(Command::Leave);
    let said = fixture.said();
    assert_eq!(said, ["control {\"type\":\"bye\"}", "leave", "close connection 1.1", "close signaling"]);
    assert_eq!(fixture.events, [Event::Ended { reason: EndReason::Left }]);
    fixture.join();
    assert!(matches!(fixture.session.view().phase, Phase::Joining));
}

#[test]
fn joining_twice_is_an_error_in_words() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.join();
    assert_eq!(fixture.errors(), ["You are in a call already; leave it first."]);
}

#[test]
fn what_was_taken_over_elsewhere_ends_here() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.refuse(ErrorCode::Replaced, None);
    assert_eq!(fixture.session.view().phase, Phase::Ended(EndReason::Replaced));
    assert!(fixture.has("close connection"));
}

#[test]
fn the_server_says_when_to_return() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.refuse(ErrorCode::GoingAway, Some(5_000));
    fixture.close();
    assert_eq!(fixture.session.poll_timeout(), Some((fixture.now + secs(5), "signaling")));
}

#[test]
fn another_version_of_the_protocol_is_told() {
    let mut fixture = Fixture::new();
    fixture.join();
    fixture.open();
    fixture.message(ServerMessage::Welcome { version: 2, server: "new".into() });
    assert!(matches!(fixture.session.view().phase, Phase::Ended(EndReason::Refused { .. })));
}

#[test]
fn a_lost_server_drops_nobody_whose_media_lives_and_candidates_wait_for_it() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.close();
    fixture.report(ANN, ConnectionEvent::LocalCandidate(candidate("new path")));
    fixture.wait(secs(120));
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected);
    assert!(!fixture.has("new path"));
    fixture.open();
    fixture.joined(ME, &[ANN]);
    assert!(fixture.has("new path"));
    assert!(!fixture.has("create"), "no new offer: {:?}", fixture.said());
}

#[test]
fn whom_neither_server_nor_media_reaches_is_dropped_after_fifteen_seconds() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.close();
    fixture.wait(secs(5));
    fixture.state(ANN, ConnectionState::Disconnected);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Reconnecting);
    fixture.wait(secs(14));
    assert!(fixture.find(ANN).is_some());
    fixture.wait(secs(1));
    assert!(fixture.find(ANN).is_none());
    let left = Event::PeerLeft { peer_id: id(ANN), name: "Ann".parse().unwrap(), reason: PeerLeftReason::Lost };
    assert!(fixture.events.contains(&left));
    assert!(fixture.has("close connection 1.1"));
}

#[test]
fn after_a_server_restart_who_is_missing_is_kept_while_media_lives() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.close();
    fixture.resume(&[]);
    assert_eq!((fixture.view_of(ANN).state, fixture.view_of(ANN).presence), (PeerState::Connected, Presence::Missing));
    fixture.wait(secs(60));
    fixture.forget();
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    assert_eq!(fixture.events, [Event::PeerBack { peer_id: id(ANN) }]);
    assert_eq!(fixture.said(), [""; 0], "a live connection is kept, with no new offer");
}

#[test]
fn after_a_server_restart_who_is_missing_goes_fifteen_seconds_after_media() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.close();
    fixture.resume(&[]);
    fixture.wait(secs(60));
    fixture.state(ANN, ConnectionState::Disconnected);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Away);
    fixture.wait(secs(14));
    assert!(fixture.find(ANN).is_some());
    fixture.wait(secs(1));
    assert!(fixture.find(ANN).is_none());
}

#[test]
fn a_new_identity_rebuilds_everything_and_leaves_our_ghost_out() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.close();
    fixture.wait(secs(2));
    fixture.open();
    fixture.joined(OTHER_ME, &[ANN, ME]);
    assert!(fixture.has("close connection 1.1"));
    let peers: Vec<_> = fixture.session.view().peers.into_iter().map(|peer| peer.peer_id).collect();
    assert_eq!(peers, [id(ANN)]);
    assert_eq!(fixture.view_of(ANN).connection, None, "they were there before us: they offer");
    assert!(matches!(fixture.events[..], [.., Event::Joined { resumed: false, .. }, Event::PeerJoined { .. }]));
}

#[test]
fn who_came_while_we_were_away_is_offered_to() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.close();
    fixture.resume(&[ANN, ZOE]);
    fixture.wait(secs(2));
    assert!(fixture.has("create connection 1.1") && fixture.has("create connection 2.1"));
}

#[test]
fn own_devices_are_told_when_they_change() {
    let mut fixture = Fixture::connected_with(ANN);
    let muted = MediaState { microphone: parlor_proto::MicrophoneState::Muted, ..MediaState::default() };
    fixture.command(Command::SetMedia(muted));
    fixture.command(Command::SetMedia(muted));
    assert_eq!(fixture.said().len(), 1);
    assert!(fixture.said()[0].contains("\"microphone\":\"muted\""));
    assert_eq!(fixture.session.view().media, muted);
}

#[test]
fn too_many_messages_are_sent_again_when_the_server_allows() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.finish_offer(ANN);
    fixture.report(ANN, ConnectionEvent::LocalCandidate(candidate("refused")));
    fixture.refuse(ErrorCode::RateLimited, Some(3_000));
    fixture.forget();
    fixture.wait(secs(4));
    assert_eq!(fixture.said(), ["refused"]);
}
