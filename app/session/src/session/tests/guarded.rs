//! A room that is not open to everyone: what it asks for, what holds in it, who is removed from it.

use parlor_proto::{ErrorCode, LeaveReason, RoomPolicy, Secret, ServerMessage};

use super::fixture::{ANN, Fixture, ME, ZOE, id, person, secs};
use crate::{
    Command, ConnectionState, Credentials, EndReason, Event, OpenFailure, PeerLeftReason, PeerState, Phase, Presence,
    SignalingEvent,
};

const OPEN: RoomPolicy = RoomPolicy { locked: false, has_password: false, may_moderate: false };

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::from(text.to_owned()))
}

fn policy(fixture: &mut Fixture, policy: RoomPolicy, token: &str) {
    fixture.message(ServerMessage::Policy { policy, resume_token: token.parse().unwrap() });
}

#[test]
fn what_the_room_may_ask_for_is_shown_at_once_and_again_with_the_token() {
    let mut fixture = Fixture::new();
    fixture.join_with(Credentials { access: secret("jwt"), password: secret("apples") });
    fixture.open();
    assert!(fixture.has("join room Me None access jwt password apples"), "{:?}", fixture.said());
    fixture.joined(ME, &[]);
    fixture.forget();
    fixture.close();
    fixture.resume(&[]);
    assert!(fixture.has("join room Me Some(\"token\") access jwt password apples"), "{:?}", fixture.said());
}

#[test]
fn what_a_first_join_is_refused_for_ends_it_with_its_code() {
    for code in [
        ErrorCode::AccessRequired,
        ErrorCode::AccessInvalid,
        ErrorCode::AccessExpired,
        ErrorCode::AccessWrongRoom,
        ErrorCode::PasswordRequired,
        ErrorCode::PasswordWrong,
        ErrorCode::TooManyGuesses,
        ErrorCode::RoomLocked,
        ErrorCode::Removed,
        ErrorCode::TooManyConnections,
        ErrorCode::OriginRefused,
    ] {
        let mut fixture = Fixture::new();
        fixture.join();
        fixture.open();
        fixture.refuse(code, Some(60_000));
        let reason = EndReason::Refused { code, message: "A sentence.".into() };
        assert_eq!(fixture.session.view().phase, Phase::Ended(reason), "{code:?}");
        assert_eq!(fixture.session.poll_timeout(), None, "nothing is tried again by itself");
        // From here the user may try again.
        fixture.forget();
        fixture.join_with(Credentials { password: secret("pears"), ..Credentials::default() });
        fixture.open();
        assert!(fixture.has("join room Me None password pears"), "{:?}", fixture.said());
    }
}

#[test]
fn a_password_that_no_longer_opens_ends_no_running_call_and_is_not_guessed_with() {
    let mut fixture = Fixture::new();
    fixture.join_with(Credentials { password: secret("old"), ..Credentials::default() });
    fixture.open();
    fixture.joined(ME, &[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.finish_offer(ANN);
    fixture.connect(ANN);
    fixture.forget();
    fixture.close();
    for _ in 0..5 {
        fixture.wait(secs(2));
        fixture.open();
        fixture.refuse(ErrorCode::PasswordWrong, None);
        fixture.wait(secs(2));
        fixture.open();
        fixture.refuse(ErrorCode::PasswordRequired, None);
    }
    let guesses = fixture.said().iter().filter(|said| said.contains("password old")).count();
    assert_eq!(guesses, 1, "{:?}", fixture.said());
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected);
    assert_eq!(fixture.session.view().phase, Phase::Reconnecting);
}

#[test]
fn a_server_that_does_not_take_us_back_says_so_once() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.close();
    for _ in 0..4 {
        fixture.wait(secs(2));
        fixture.open();
        fixture.refuse(ErrorCode::RoomLocked, None);
    }
    assert_eq!(fixture.errors(), ["A sentence."]);
    fixture.resume(&[ANN]);
    assert_eq!(fixture.session.view().phase, Phase::InRoom);
}

#[test]
fn what_holds_in_the_room_is_told_when_we_come_in_and_when_it_changes() {
    let mut fixture = Fixture::new();
    fixture.join();
    fixture.open();
    fixture.joined(ME, &[]);
    assert_eq!(fixture.events[1], Event::Policy { policy: OPEN, previous: None });
    fixture.forget();
    let locked = RoomPolicy { locked: true, may_moderate: true, ..OPEN };
    policy(&mut fixture, locked, "newer");
    policy(&mut fixture, locked, "newest");
    assert_eq!(fixture.events, [Event::Policy { policy: locked, previous: Some(OPEN) }], "told once");
    assert_eq!(fixture.session.view().policy, locked);
    fixture.close();
    fixture.wait(secs(2));
    fixture.open();
    assert!(fixture.has("join room Me Some(\"newest\")"), "the token of the last policy counts: {:?}", fixture.said());
    fixture.forget();
    fixture.joined(ME, &[]);
    let opened = Event::Policy { policy: OPEN, previous: Some(locked) };
    assert!(fixture.events.contains(&opened), "it was opened while we were away: {:?}", fixture.events);
}

#[test]
fn the_server_is_asked_to_lock_to_set_a_password_and_to_remove() {
    let mut fixture = Fixture::in_room_with(&[ANN]);
    fixture.command(Command::SetLock(true));
    fixture.command(Command::SetPassword(secret("apples")));
    fixture.command(Command::Remove(id(ANN)));
    let said = fixture.said();
    assert_eq!(said[0], "SetLock { locked: true }");
    assert_eq!(said[1], "set password apples");
    assert_eq!(said[2], format!("Remove {{ peer_id: PeerId({ANN:?}) }}"));
    assert_eq!(fixture.session.view().policy, OPEN, "the server decides");
    // Whoever may not is told, and stays.
    fixture.refuse(ErrorCode::NotModerator, None);
    fixture.refuse(ErrorCode::InvalidPassword, None);
    assert_eq!(fixture.errors().len(), 2);
    assert_eq!(fixture.session.view().phase, Phase::InRoom);
}

#[test]
fn a_password_that_we_set_is_known_when_we_have_to_come_in_anew() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.command(Command::SetPassword(secret("apples")));
    policy(&mut fixture, RoomPolicy { has_password: true, ..OPEN }, "token");
    fixture.close();
    fixture.wait(secs(2));
    fixture.open();
    assert!(fixture.has("join room Me Some(\"token\") password apples"), "{:?}", fixture.said());
    fixture.joined(ME, &[]);
    policy(&mut fixture, RoomPolicy { has_password: true, ..OPEN }, "token");
    policy(&mut fixture, OPEN, "token");
    fixture.forget();
    fixture.close();
    fixture.wait(secs(2));
    fixture.open();
    assert!(fixture.has("join room Me Some(\"token\")") && !fixture.has("join room Me Some(\"token\") password"));
}

#[test]
fn a_server_with_no_place_for_us_says_when_to_come_back() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.close();
    fixture.wait(secs(2));
    let reason = "no more connections from your network".to_owned();
    let failure = OpenFailure::Passing;
    fixture.signaling(SignalingEvent::OpenFailed { failure, reason, retry_after_ms: Some(5_000) });
    assert_eq!(fixture.session.poll_timeout(), Some((fixture.now + secs(5), "signaling")));
}

#[test]
fn nothing_is_asked_of_a_server_that_is_away() {
    let mut fixture = Fixture::in_room_with(&[ANN]);
    fixture.close();
    fixture.forget();
    fixture.command(Command::SetLock(true));
    fixture.command(Command::SetPassword(secret("apples")));
    assert_eq!(fixture.said(), [""; 0]);
    assert_eq!(fixture.errors(), ["The server is out of reach; try again when it is back."; 2]);
    fixture.wait(secs(2));
    fixture.open();
    assert!(!fixture.has("join room Me Some(\"token\") password"), "it was never set: {:?}", fixture.said());
}

#[test]
fn who_is_removed_is_out_at_once_and_who_removed_us_ends_the_call() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.message(ServerMessage::PeerLeft { peer_id: id(ANN), reason: LeaveReason::Removed });
    let left = Event::PeerLeft { peer_id: id(ANN), name: "Ann".parse().unwrap(), reason: PeerLeftReason::Removed };
    assert_eq!(fixture.events, [left]);
    assert!(fixture.has("close connection 1.1"));

    let mut fixture = Fixture::connected_with(ANN);
    fixture.refuse(ErrorCode::Removed, None);
    let reason = EndReason::Refused { code: ErrorCode::Removed, message: "A sentence.".into() };
    assert_eq!(fixture.session.view().phase, Phase::Ended(reason));
    assert!(fixture.has("close connection 1.1"), "whoever removed us neither sees nor hears us any more");
}

#[test]
fn a_fresh_roster_is_treated_as_that_of_a_resumed_join() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.message(ServerMessage::Roster { peers: vec![person(ZOE)] });
    assert_eq!((fixture.view_of(ANN).state, fixture.view_of(ANN).presence), (PeerState::Connected, Presence::Missing));
    fixture.wait(secs(60));
    assert!(fixture.find(ANN).is_some(), "kept while media lives");
    assert!(fixture.has("create connection 2.1"), "who is new is offered to: {:?}", fixture.said());
    fixture.state(ANN, ConnectionState::Disconnected);
    fixture.wait(secs(15));
    assert!(fixture.find(ANN).is_none());

    let mut fixture = Fixture::connected_with(ANN);
    fixture.message(ServerMessage::Roster { peers: Vec::new() });
    fixture.message(ServerMessage::Roster { peers: vec![person(ANN), person(ME)] });
    assert_eq!(fixture.view_of(ANN).presence, Presence::Here);
    assert_eq!(fixture.session.view().peers.len(), 1, "we are not among the others");
    assert!(!fixture.has("create"), "a live connection is kept: {:?}", fixture.said());
}
