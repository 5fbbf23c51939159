//! Rooms that span servers, with several hubs around one meeting place, a made-up clock, and links that break.

mod servers;

use std::time::Duration;

use parlor_proto::{ClientMessage, ErrorCode, LeaveReason, PeerId, ServerMessage, Signal};

use self::servers::{Client, Servers};
use crate::backplane::{LEASE, renewal};
use crate::hub::CloseKind;

#[test]
fn people_at_different_servers_meet_and_their_signals_cross() {
    let mut net = Servers::new(2);
    let (ana, bo) = (net.join(0, "Ana"), net.join(1, "Bo"));
    assert_eq!(net.peers(&bo), [(ana.id.clone(), false)]);
    assert_eq!(net.heard(&ana), [ServerMessage::PeerJoined { peer: net.info(&bo) }]);
    net.signal(&bo, &ana.id);
    let [ServerMessage::Signal { from, signal: Signal::EndOfCandidates, .. }] = &net.heard(&ana)[..] else {
        panic!("no signal")
    };
    assert_eq!(*from, bo.id);
    assert_eq!(net.heard(&bo), []);
    assert_eq!((net.roster(0), net.roster(1)), (net.roster(1), net.roster(0)));
}

#[test]
fn being_away_coming_back_and_leaving_is_seen_everywhere() {
    let mut net = Servers::new(2);
    let (ana, bo) = (net.join(0, "Ana"), net.join(1, "Bo"));
    net.heard(&ana);
    net.close(&bo, CloseKind::Lost);
    assert_eq!(net.heard(&ana), [ServerMessage::PeerAway { peer_id: bo.id.clone() }]);
    net.signal(&ana, &bo.id);
    assert_eq!(net.error(&ana), ErrorCode::UnknownPeer);
    let bo = net.resume(1, &bo);
    assert_eq!(net.heard(&ana), [ServerMessage::PeerBack { peer: net.info(&bo) }]);
    net.say(&bo, &ClientMessage::Leave);
    assert_eq!(net.heard(&ana), [left(&bo.id, LeaveReason::Left)]);
    let cleo = net.join(1, "Cleo");
    net.heard(&ana);
    net.close(&cleo, CloseKind::Lost);
    net.advance(Duration::from_secs(10));
    assert_eq!(net.heard(&ana)[1..], [left(&cleo.id, LeaveReason::Timeout)]);
}

#[test]
fn a_room_is_full_everywhere_at_once() {
    let mut net = Servers::new(3);
    for server in 0..3 {
        net.join(server, "Ana");
    }
    let bo = net.greeted(1);
    net.say_join(bo, "Bo", None, None);
    assert_eq!(net.error_of(bo), ErrorCode::RoomFull);
    assert_eq!(net.hub(1).rooms().count(), 1);
    let cleo = net.greeted(2);
    net.say_join(cleo, "Cleo", None, None);
    assert_eq!(net.error_of(cleo), ErrorCode::RoomFull);
}

#[test]
fn who_comes_back_at_another_server_keeps_the_id_and_replaces_the_socket_there() {
    let mut net = Servers::new(3);
    let (ana, bo) = (net.join(0, "Ana"), net.join(1, "Bo"));
    net.heard(&ana);
    // The old socket is still open: nobody is told anything.
    let again = net.resume(2, &bo);
    assert_eq!((&again.id, net.peers(&again)), (&bo.id, vec![(ana.id.clone(), false)]));
    assert_eq!(net.closed(&bo), Some(4002));
    assert_eq!(net.heard(&ana), []);
    net.signal(&ana, &bo.id);
    assert_eq!(net.heard(&again).len(), 1);
    assert_eq!(net.hub(1).rooms().count(), 0);
    // From being away too, and then they are told.
    net.close(&again, CloseKind::Lost);
    let back = net.resume(0, &again);
    assert_eq!(back.id, bo.id);
    let news = [ServerMessage::PeerAway { peer_id: bo.id.clone() }, ServerMessage::PeerBack { peer: net.info(&back) }];
    assert_eq!(net.heard(&ana), news);
    net.advance(Duration::from_secs(20));
    assert_eq!(net.roster(0).len(), 2, "the time of who was away elsewhere is not up here");
}

#[test]
fn a_lock_a_password_and_a_removal_hold_at_every_server() {
    let mut net = Servers::new(2);
    let (ana, bo) = (net.join(0, "Ana"), net.join(1, "Bo"));
    net.say(&ana, &ClientMessage::SetLock { locked: true });
    assert!(matches!(&net.heard(&bo)[..], [ServerMessage::Policy { policy, .. }] if policy.locked));
    let cleo = net.greeted(1);
    net.say_join(cleo, "Cleo", None, None);
    assert_eq!(net.error_of(cleo), ErrorCode::RoomLocked);
    net.say(&ana, &ClientMessage::SetLock { locked: false });
    net.say(&ana, &ClientMessage::SetPassword { password: Some("apples".into()) });
    net.say_join(cleo, "Cleo", None, None);
    assert_eq!(net.error_of(cleo), ErrorCode::PasswordRequired);
    net.say_join(cleo, "Cleo", None, Some("pears"));
    assert_eq!(net.error_of(cleo), ErrorCode::PasswordWrong);
    net.say_join(cleo, "Cleo", None, Some("apples"));
    let cleo = net.joined(cleo);
    net.heard(&bo);
    net.say(&ana, &ClientMessage::Remove { peer_id: cleo.id.clone() });
    assert_eq!(net.closed(&cleo), Some(4003));
    assert!(net.heard(&bo).contains(&left(&cleo.id, LeaveReason::Removed)));
    assert_eq!((net.roster(0).len(), net.roster(1).len()), (2, 2));
    for server in 0..2 {
        let conn = net.greeted(server);
        net.say_join(conn, "Cleo", Some(&cleo.token), Some("apples"));
        assert_eq!(net.error_of(conn), ErrorCode::Removed);
    }
}

#[test]
fn at_a_server_that_knows_nothing_of_the_room_its_rules_hold_too() {
    let mut net = Servers::new(2);
    let ana = net.join(0, "Ana");
    net.say(&ana, &ClientMessage::SetPassword { password: Some("apples".into()) });
    let bo = net.greeted(1);
    net.say_join(bo, "Bo", None, None);
    assert_eq!(net.error_of(bo), ErrorCode::PasswordRequired);
    assert_eq!(net.hub(1).rooms().count(), 0);
    net.say_join(bo, "Bo", None, Some("apples"));
    assert_eq!(net.joined(bo).policy.map(|policy| (policy.has_password, policy.may_moderate)), Some((true, false)));
}

#[test]
fn whoever_is_longest_in_the_room_moderates_wherever_they_are() {
    let mut net = Servers::new(2);
    let (ana, bo, cleo) = (net.join(0, "Ana"), net.join(1, "Bo"), net.join(0, "Cleo"));
    for (client, moderates) in [(&ana, true), (&bo, false), (&cleo, false)] {
        assert_eq!(client.policy.map(|policy| policy.may_moderate), Some(moderates), "{}", client.id);
    }
    net.say(&ana, &ClientMessage::Leave);
    assert!(
        net.heard(&bo).iter().any(|heard| matches!(heard, ServerMessage::Policy { policy, .. } if policy.may_moderate))
    );
    net.say(&cleo, &ClientMessage::SetLock { locked: true });
    assert_eq!(net.error(&cleo), ErrorCode::NotModerator);
    net.say(&bo, &ClientMessage::SetLock { locked: true });
    assert!(
        net.heard(&cleo).iter().any(|heard| matches!(heard, ServerMessage::Policy { policy, .. } if policy.locked))
    );
    // A moderator who changes the server stays one.
    let bo = net.resume(0, &bo);
    assert_eq!(bo.policy.map(|policy| policy.may_moderate), Some(true));
}

#[test]
fn two_changes_at_once_at_two_servers_both_hold() {
    let mut net = Servers::new(2);
    let (ana, bo) = (net.join(0, "Ana"), net.join(1, "Bo"));
    let cleo = net.join(0, "Cleo");
    // Another server says that Bo moderates too, as with access tokens.
    net.hub(1).rooms.values_mut().for_each(|room| room.get_mut(&bo.id).unwrap().moderates = true);
    net.hold();
    net.say(&ana, &ClientMessage::SetLock { locked: true });
    net.say(&bo, &ClientMessage::Remove { peer_id: cleo.id.clone() });
    net.let_go();
    for server in 0..2 {
        assert_eq!(net.roster(server).len(), 2, "server {server}");
        let room = net.hub(server).rooms.values().next().unwrap();
        assert!(room.policy.locked && room.policy.removed.contains(&cleo.id), "server {server}");
    }
    assert_eq!(net.closed(&cleo), Some(4003));
}

#[test]
fn a_server_that_dies_leaves_nobody_behind_after_ten_seconds() {
    let mut net = Servers::new(2);
    let (ana, bo, cleo) = (net.join(0, "Ana"), net.join(1, "Bo"), net.join(1, "Cleo"));
    net.heard(&ana);
    net.kill(1);
    net.signal(&ana, &bo.id);
    assert_eq!(net.error(&ana), ErrorCode::UnknownPeer);
    // Whoever comes back elsewhere in time was never gone.
    let bo = net.resume(0, &bo);
    assert_eq!(net.heard(&ana), []);
    for _ in 0..99 {
        net.advance(Duration::from_millis(100));
    }
    assert_eq!(net.heard(&ana), [left(&cleo.id, LeaveReason::Timeout)]);
    assert_eq!(net.heard(&bo), [left(&cleo.id, LeaveReason::Timeout)]);
    net.advance(Duration::from_secs(100));
    assert_eq!(net.roster(0).len(), 2);
}

#[test]
fn a_server_that_stops_leaves_its_people_away_and_they_come_back_elsewhere() {
    let mut net = Servers::new(2);
    let (ana, bo) = (net.join(0, "Ana"), net.join(1, "Bo"));
    net.heard(&ana);
    net.shut_down(1);
    assert_eq!(net.heard(&ana), [ServerMessage::PeerAway { peer_id: bo.id.clone() }]);
    net.advance(Duration::from_secs(5));
    let bo = net.resume(0, &bo);
    assert_eq!(net.heard(&ana), [ServerMessage::PeerBack { peer: net.info(&bo) }]);
}

#[test]
fn out_of_reach_everything_here_goes_on_and_afterwards_the_roster_tells_the_rest() {
    let mut net = Servers::new(2);
    let (ana, cleo) = (net.join(0, "Ana"), net.join(1, "Cleo"));
    net.lose();
    let bo = net.join(0, "Bo");
    assert_eq!(net.peers(&bo), [(ana.id.clone(), false), (cleo.id.clone(), false)]);
    net.drop_heard();
    net.signal(&ana, &bo.id);
    assert_eq!(net.heard(&bo).len(), 1, "signals within a server");
    net.signal(&ana, &cleo.id);
    assert_eq!(net.error(&ana), ErrorCode::UnknownPeer);
    net.advance(Duration::from_secs(2));
    assert_eq!(net.heard(&ana), [ServerMessage::PeerAway { peer_id: cleo.id.clone() }]);
    let dee = net.join(1, "Dee");
    assert_eq!(net.peers(&dee), [(ana.id.clone(), true), (cleo.id.clone(), false)]);
    net.advance(Duration::from_secs(60));
    net.drop_heard();
    net.reach();
    let infos = |net: &Servers, clients: &[&Client]| clients.iter().map(|client| net.info(client)).collect::<Vec<_>>();
    assert_eq!(net.told_roster(&ana), infos(&net, &[&cleo, &bo, &dee]));
    assert_eq!(net.told_roster(&cleo), infos(&net, &[&ana, &bo, &dee]));
    assert_eq!(net.closed(&dee), None, "more than there are places, and nobody is thrown out");
    net.signal(&ana, &dee.id);
    assert!(matches!(net.heard(&dee).pop(), Some(ServerMessage::Signal { .. })));
}

#[test]
fn a_meeting_place_that_lost_everything_is_told_all_again() {
    let mut net = Servers::new(2);
    let (ana, bo) = (net.join(0, "Ana"), net.join(1, "Bo"));
    net.say(&ana, &ClientMessage::SetLock { locked: true });
    net.drop_heard();
    net.lose();
    net.forget_rooms();
    net.reach();
    net.advance(Duration::from_secs(30));
    for client in [&ana, &bo] {
        let heard = net.heard(client);
        let is_roster = |heard: &ServerMessage| matches!(heard, ServerMessage::Roster { .. });
        assert!(heard.iter().any(is_roster), "{heard:?}");
        assert!(net.closed(client).is_none());
    }
    assert_eq!((net.roster(0).len(), net.roster(1).len()), (2, 2));
    let cleo = net.greeted(1);
    net.say_join(cleo, "Cleo", None, None);
    assert_eq!(net.error_of(cleo), ErrorCode::RoomLocked);
}

#[test]
fn who_slipped_into_a_locked_room_while_it_was_out_of_reach_is_sent_away() {
    let mut net = Servers::new(2);
    let ana = net.join(0, "Ana");
    net.say(&ana, &ClientMessage::SetLock { locked: true });
    net.lose();
    let stranger = net.join(1, "Stranger");
    net.reach();
    assert_eq!(net.closed(&stranger), Some(4003));
    assert_eq!(net.roster(0).len(), 1);
    assert_eq!(net.hub(1).rooms().count(), 0);
}

#[test]
fn news_that_was_lost_comes_with_the_next_statement() {
    let mut net = Servers::new(2);
    let ana = net.join(0, "Ana");
    net.deafen(0);
    let bo = net.join(1, "Bo");
    assert_eq!(net.heard(&ana), []);
    net.advance(Duration::from_secs(2));
    assert_eq!(net.heard(&ana), [ServerMessage::PeerJoined { peer: net.info(&bo) }]);
}

#[test]
fn while_a_claim_is_under_way_everything_else_has_its_answer_and_leaving_leaves_nobody() {
    let mut net = Servers::new(2);
    let ana = net.join(0, "Ana");
    net.hold();
    let bo = net.greeted(1);
    net.say_join(bo, "Bo", None, None);
    assert_eq!(net.heard_by(bo), []);
    net.say_text(bo, &ClientMessage::SetLock { locked: true });
    assert_eq!(net.error_of(bo), ErrorCode::NotJoined);
    net.say_join(bo, "Bo", None, None);
    assert_eq!(net.heard_by(bo), [], "the answer to the first is on its way");
    let other =
        ClientMessage::Join { room: "b".to_owned(), name: "Bo".to_owned(), resume: None, access: None, password: None };
    net.say_text(bo, &other);
    assert_eq!(net.error_of(bo), ErrorCode::AlreadyJoined);
    net.say_text(bo, &ClientMessage::Leave);
    let cleo = net.greeted(1);
    net.say_join(cleo, "Cleo", None, None);
    net.close_conn(cleo, CloseKind::Lost);
    net.let_go();
    net.advance(Duration::from_secs(3));
    assert_eq!((net.roster(0).len(), net.hub(1).rooms().count()), (1, 0));
    net.heard(&ana);
    net.say_join(bo, "Bo", None, None);
    net.joined(bo);
}

#[test]
fn a_claim_that_is_not_answered_ends_in_coming_in_here() {
    let mut net = Servers::new(2);
    net.join(0, "Ana");
    net.hold();
    let bo = net.greeted(1);
    net.say_join(bo, "Bo", None, None);
    net.advance(Duration::from_secs(5));
    let bo = net.joined(bo);
    assert_eq!(net.peers(&bo), []);
    net.let_go();
    net.advance(Duration::from_secs(2));
    assert_eq!((net.roster(0).len(), net.roster(1).len()), (2, 2));
}

#[test]
fn leases_outlast_a_claim_and_two_lost_statements() {
    assert!(LEASE >= 3 * renewal(LEASE));
    assert!(LEASE + renewal(LEASE) < Duration::from_secs(10));
}

fn left(peer_id: &PeerId, reason: LeaveReason) -> ServerMessage {
    ServerMessage::PeerLeft { peer_id: peer_id.clone(), reason }
}
