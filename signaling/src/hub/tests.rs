//! The rules of the hub, one by one.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use parlor_proto::{
    ClientMessage, ErrorCode, LeaveReason, MESSAGE_BYTES_MAX, PeerId, ResumeToken, RoomPolicy, Secret, ServerMessage,
    Signal,
};

use self::net::*;
use super::{CloseKind, Comeback, ConnId, Hub, HubConfig, Output};
use crate::password::Stretch;
use crate::turn::TurnConfig;

mod guarded;
mod invited;
mod knocking;
mod limits;
mod net;

const SECRET: &[u8] = b"a secret of the tests";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const UNIX_SECS: u64 = 1_760_000_000;

#[test]
fn a_hello_is_answered_with_a_welcome() {
    let mut net = Net::new();
    let conn = net.open();
    net.say(conn, &hello(&[7, 1]));
    assert!(matches!(&net.heard(conn)[..], [ServerMessage::Welcome { version: 1, .. }]));
}

#[test]
fn without_a_common_version_the_connection_closes() {
    let mut net = Net::new();
    let conn = net.open();
    net.say(conn, &hello(&[2]));
    assert_eq!(net.error(conn), ErrorCode::UnsupportedVersion);
    assert_eq!(net.closed, [(conn, 4000)]);
}

#[test]
fn a_connection_begins_with_exactly_one_hello() {
    let mut net = Net::new();
    let conn = net.open();
    for message in [join("a", "Ana", None), ClientMessage::Leave, signal(&PeerId::from_random(1))] {
        net.say(conn, &message);
        assert_eq!(net.error(conn), ErrorCode::ExpectedHello);
    }
    net.say(conn, &hello(&[1]));
    net.heard(conn);
    net.say(conn, &hello(&[1]));
    assert_eq!(net.error(conn), ErrorCode::ExpectedHello);
    assert_eq!(net.closed, []);
}

#[test]
fn a_newcomer_gets_the_members_and_they_get_the_newcomer() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    let first = net.join(ana, "Quiet-Otter ", " Ana ");
    assert_eq!((first.room.as_str(), first.name.as_str(), first.resumed), ("quiet-otter", "Ana", false));
    assert_eq!(first.peers, []);
    let second = net.join(bo, "quiet-otter", "Bo");
    assert_eq!(second.peers, [(first.peer_id, "Ana".to_owned(), false)]);
    assert_eq!(net.heard(ana), [peer_joined(&second.peer_id, "Bo")]);
}

#[test]
fn the_newcomer_is_told_ice_servers_and_limits() {
    let mut net = Net::new();
    let ana = net.greeted();
    net.say(ana, &join("a", "Ana", None));
    let [ServerMessage::Joined { ice_servers, limits, .. }] = &net.heard(ana)[..] else { panic!("not joined") };
    assert_eq!(ice_servers[0].urls, ["stun:stun.example.org"]);
    assert_eq!((limits.room_capacity, limits.resume_seconds), (3, 10));
    assert_eq!((limits.message_bytes, limits.chat_characters), (65_536, 4_000));
}

#[test]
fn turn_credentials_are_each_members_own_and_fresh_when_asked_for() {
    let mut net = Net::new();
    let urls = vec!["turn:turn.example.org".to_owned()];
    let turn = TurnConfig { urls: urls.clone(), secret: b"north".to_vec(), lifetime: TurnConfig::LIFETIME };
    net.hub.config.turn = Some(turn);
    let ana = net.greeted();
    net.say(ana, &join("a", "Ana", None));
    let [ServerMessage::Joined { ice_servers, ice_lifetime_seconds, peer_id, .. }] = &net.heard(ana)[..] else {
        panic!("not joined")
    };
    assert_eq!((ice_servers.len(), ice_lifetime_seconds), (2, &Some(43_200)));
    assert_eq!(ice_servers[1].urls, urls);
    let expires_at = |seconds: u64| Some(format!("{}:{peer_id}", UNIX_SECS + 1 + 43_200 + seconds));
    assert_eq!(ice_servers[1].username, expires_at(0));

    net.now += Duration::from_secs(21_600);
    net.say(ana, &ClientMessage::RefreshIceServers);
    let [ServerMessage::IceServers { ice_servers: fresh, ice_lifetime_seconds }] = &net.heard(ana)[..] else {
        panic!("no answer")
    };
    assert_eq!((fresh[0].clone(), ice_lifetime_seconds), (ice_servers[0].clone(), &Some(43_200)));
    assert_eq!(fresh[1].username, expires_at(21_600));
    assert_ne!(fresh[1].credential, ice_servers[1].credential);

    let bo = net.greeted();
    net.say(bo, &ClientMessage::RefreshIceServers);
    assert_eq!(net.error(bo), ErrorCode::NotJoined, "only members have any");
}

#[test]
fn two_people_may_have_the_same_name() {
    let mut net = Net::new();
    let (one, two) = (net.greeted(), net.greeted());
    assert_ne!(net.join(one, "a", "Ana").peer_id, net.join(two, "a", "Ana").peer_id);
}

#[test]
fn names_and_rooms_of_the_wrong_form_have_their_codes() {
    let mut net = Net::new();
    let ana = net.greeted();
    for room in ["", " ", "a b", "ä", &"a".repeat(65)] {
        net.say(ana, &join(room, "Ana", None));
        assert_eq!(net.error(ana), ErrorCode::InvalidRoom, "{room}");
    }
    for name in ["", " ", "a\u{0}", &"a".repeat(65)] {
        net.say(ana, &join("a", name, None));
        assert_eq!(net.error(ana), ErrorCode::InvalidName, "{name:?}");
    }
    assert_eq!(net.hub.rooms().count(), 0);
}

#[test]
fn the_same_room_again_gives_the_same_joined_and_another_is_refused() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    let first = net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.heard(ana);
    let again = net.join(ana, "A", "Another name");
    assert_eq!((&again.peer_id, again.name.as_str(), again.resumed), (&first.peer_id, "Ana", false));
    assert_eq!(again.peers.len(), 1);
    assert_eq!(net.heard(bo), []);
    net.say(ana, &join("b", "Ana", None));
    assert_eq!(net.error(ana), ErrorCode::AlreadyJoined);
}

#[test]
fn a_full_room_takes_nobody_until_someone_leaves() {
    let mut net = Net::new();
    let conns: Vec<_> = (0..4).map(|_| net.greeted()).collect();
    for conn in &conns[..3] {
        net.join(*conn, "a", "Ana");
    }
    net.say(conns[3], &join("a", "Bo", None));
    assert_eq!(net.error(conns[3]), ErrorCode::RoomFull);
    net.say(conns[0], &ClientMessage::Leave);
    assert_eq!(net.join(conns[3], "a", "Bo").peers.len(), 2);
}

#[test]
fn who_is_away_keeps_their_place_in_a_full_room() {
    let mut net = Net::new();
    let conns: Vec<_> = (0..4).map(|_| net.greeted()).collect();
    let joined: Vec<_> = conns[..3].iter().map(|conn| net.join(*conn, "a", "Ana")).collect();
    net.close(conns[0], CloseKind::Lost);
    net.say(conns[3], &join("a", "Bo", None));
    assert_eq!(net.error(conns[3]), ErrorCode::RoomFull);
    assert!(net.resume(conns[3], "a", "Ana", &joined[0].token).resumed);
}

#[test]
fn the_server_holds_only_so_many_rooms() {
    let mut net = Net::new();
    let conns: Vec<_> = (0..3).map(|_| net.greeted()).collect();
    net.join(conns[0], "a", "Ana");
    net.join(conns[1], "b", "Bo");
    net.say(conns[2], &join("c", "Cleo", None));
    assert_eq!(net.error(conns[2]), ErrorCode::TooManyRooms);
    net.say(conns[0], &ClientMessage::Leave);
    net.join(conns[2], "c", "Cleo");
}

#[test]
fn signals_reach_the_addressee_alone_and_name_their_true_sender() {
    let mut net = Net::new();
    let conns: Vec<_> = (0..3).map(|_| net.greeted()).collect();
    let joined: Vec<_> = conns.iter().map(|conn| net.join(*conn, "a", "Ana")).collect();
    conns.iter().for_each(|conn| drop(net.heard(*conn)));
    net.say(conns[0], &signal(&joined[1].peer_id));
    let [ServerMessage::Signal { from, connection, signal }] = &net.heard(conns[1])[..] else { panic!("no signal") };
    assert_eq!((from, connection.as_str(), signal), (&joined[0].peer_id, "c0ffee", &Signal::EndOfCandidates));
    assert_eq!(net.heard(conns[0]), []);
    assert_eq!(net.heard(conns[2]), []);
}

#[test]
fn signals_to_oneself_strangers_the_away_and_other_rooms_are_refused() {
    let mut net = Net::new();
    let conns: Vec<_> = (0..3).map(|_| net.greeted()).collect();
    let ana = net.join(conns[0], "a", "Ana");
    let away = net.join(conns[1], "a", "Bo");
    let elsewhere = net.join(conns[2], "b", "Cleo");
    net.close(conns[1], CloseKind::Lost);
    net.heard(conns[0]);
    net.say(conns[0], &signal(&ana.peer_id));
    assert_eq!(net.error(conns[0]), ErrorCode::SelfSignal);
    for to in [&away.peer_id, &elsewhere.peer_id, &PeerId::from_random(1)] {
        net.say(conns[0], &signal(to));
        let [ServerMessage::Error { code, to: named, .. }] = &net.heard(conns[0])[..] else { panic!("not refused") };
        assert_eq!((*code, named.as_ref()), (ErrorCode::UnknownPeer, Some(to)));
    }
    assert_eq!(net.heard(conns[2]), []);
}

#[test]
fn signal_and_leave_need_a_room() {
    let mut net = Net::new();
    let ana = net.greeted();
    for message in [signal(&PeerId::from_random(1)), ClientMessage::Leave] {
        net.say(ana, &message);
        assert_eq!(net.error(ana), ErrorCode::NotJoined);
    }
}

#[test]
fn a_leave_is_told_at_once_and_the_connection_may_join_again() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    let left = net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.say(ana, &ClientMessage::Leave);
    assert_eq!(net.heard(bo)[0], peer_left(&left.peer_id, LeaveReason::Left));
    net.heard(ana);
    assert_ne!(net.join(ana, "a", "Ana").peer_id, left.peer_id);
}

#[test]
fn a_close_by_wish_leaves_at_once() {
    for code in [1000, 1001] {
        let mut net = Net::new();
        let (ana, bo) = (net.greeted(), net.greeted());
        let left = net.join(ana, "a", "Ana");
        net.join(bo, "a", "Bo");
        net.close(ana, CloseKind::from_close_code(Some(code)));
        assert_eq!(net.heard(bo)[0], peer_left(&left.peer_id, LeaveReason::Left));
        assert_eq!(net.hub.poll_timeout(), None);
    }
}

#[test]
fn any_other_end_is_away_at_once_and_left_after_the_resume_window() {
    for code in [None, Some(1006), Some(1011), Some(4000)] {
        let mut net = Net::new();
        let (ana, bo) = (net.greeted(), net.greeted());
        let lost = net.join(ana, "a", "Ana");
        net.join(bo, "a", "Bo");
        net.close(ana, CloseKind::from_close_code(code));
        assert_eq!(net.heard(bo), [ServerMessage::PeerAway { peer_id: lost.peer_id.clone() }]);
        assert_eq!(net.hub.poll_timeout(), Some(net.now + Duration::from_secs(10)));
        net.advance(Duration::from_millis(9_999));
        assert_eq!(net.heard(bo), []);
        net.advance(Duration::from_millis(1));
        assert_eq!(net.heard(bo)[0], peer_left(&lost.peer_id, LeaveReason::Timeout));
        assert_eq!(net.hub.poll_timeout(), None);
    }
}

#[test]
fn a_newcomer_sees_who_is_away() {
    let mut net = Net::new();
    let (ana, bo, cleo) = (net.greeted(), net.greeted(), net.greeted());
    let lost = net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.close(ana, CloseKind::Lost);
    assert_eq!(net.join(cleo, "a", "Cleo").peers[0], (lost.peer_id, "Ana".to_owned(), true));
}

#[test]
fn who_resumes_in_time_is_back_with_the_same_id_and_a_new_name_if_wished() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    let lost = net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.close(ana, CloseKind::Lost);
    net.heard(bo);
    net.advance(Duration::from_secs(9));
    let conn = net.greeted();
    let back = net.resume(conn, "a", "Anna", &lost.token);
    assert_eq!((&back.peer_id, back.resumed, back.name.as_str()), (&lost.peer_id, true, "Anna"));
    let [ServerMessage::PeerBack { peer }] = &net.heard(bo)[..] else { panic!("not back") };
    assert_eq!((&peer.peer_id, peer.name.as_str(), peer.away), (&lost.peer_id, "Anna", false));
    net.advance(Duration::from_secs(60));
    assert_eq!(net.heard(bo), []);
}

#[test]
fn who_resumes_too_late_joins_anew_under_the_old_id() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    let lost = net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.close(ana, CloseKind::Lost);
    net.advance(Duration::from_secs(10));
    net.heard(bo);
    let conn = net.greeted();
    assert_eq!(net.resume(conn, "a", "Ana", &lost.token).peer_id, lost.peer_id);
    assert_eq!(net.heard(bo), [peer_joined(&lost.peer_id, "Ana")]);
}

#[test]
fn a_resume_while_the_old_socket_lives_replaces_it_without_a_word_to_others() {
    let mut net = Net::new();
    let (old, bo) = (net.greeted(), net.greeted());
    let first = net.join(old, "a", "Ana");
    let other = net.join(bo, "a", "Bo");
    net.heard(old);
    let new = net.greeted();
    let again = net.resume(new, "a", "Ana", &first.token);
    assert_eq!((&again.peer_id, again.resumed), (&first.peer_id, true));
    assert_eq!(net.error(old), ErrorCode::Replaced);
    assert_eq!(net.closed, [(old, 4002)]);
    net.close(old, CloseKind::Left);
    net.say(old, &ClientMessage::Leave);
    assert_eq!((net.heard(bo), net.heard(old)), (vec![], vec![]));
    net.say(bo, &signal(&first.peer_id));
    assert!(matches!(&net.heard(new)[..], [ServerMessage::Signal { from, .. }] if *from == other.peer_id));
}

#[test]
fn a_restarted_server_gives_everyone_their_old_ids() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    let (first, second) = (net.join(ana, "a", "Ana"), net.join(bo, "a", "Bo"));
    let mut net = Net::restarted(2);
    let (bo, ana) = (net.greeted(), net.greeted());
    let bo_again = net.resume(bo, "a", "Bo", &second.token);
    assert_eq!((&bo_again.peer_id, bo_again.resumed, &bo_again.peers[..]), (&second.peer_id, true, &[][..]));
    let ana_again = net.resume(ana, "a", "Ana", &first.token);
    assert_eq!(ana_again.peers, [(second.peer_id, "Bo".to_owned(), false)]);
    assert_eq!(net.heard(bo), [peer_joined(&first.peer_id, "Ana")]);
}

#[test]
fn tokens_of_other_rooms_servers_and_times_are_ignored() {
    let mut net = Net::new();
    let (ana, bo, cleo) = (net.greeted(), net.greeted(), net.greeted());
    let first = net.join(ana, "a", "Ana");
    let elsewhere = net.resume(bo, "b", "Ana", &first.token);
    assert_eq!((elsewhere.resumed, elsewhere.peer_id == first.peer_id), (false, false));
    let forged: ResumeToken = "AAAA".parse().unwrap();
    assert!(!net.resume(cleo, "a", "Ana", &forged).resumed);
    net.say(ana, &ClientMessage::Leave);
    net.heard(ana);
    net.advance(Duration::from_secs(24 * 60 * 60));
    assert!(!net.resume(ana, "a", "Ana", &first.token).resumed);
}

#[test]
fn each_joined_carries_a_token_that_lasts_longer() {
    let mut net = Net::new();
    let ana = net.greeted();
    net.join(ana, "a", "Ana");
    net.advance(Duration::from_secs(23 * 60 * 60));
    let again = net.join(ana, "a", "Ana");
    net.say(ana, &ClientMessage::Leave);
    net.heard(ana);
    net.advance(Duration::from_secs(23 * 60 * 60));
    assert!(net.resume(ana, "a", "Ana", &again.token).resumed);
}

#[test]
fn a_room_ends_with_its_last_member() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.close(ana, CloseKind::Lost);
    net.close(bo, CloseKind::Lost);
    assert_eq!(net.hub.rooms().count(), 1);
    net.advance(Duration::from_secs(10));
    assert_eq!((net.hub.rooms().count(), net.hub.connection_count()), (0, 0));
}

#[test]
fn what_is_no_message_has_its_code_and_changes_nothing() {
    let mut net = Net::new();
    let ana = net.greeted();
    net.join(ana, "a", "Ana");
    for (text, code) in [
        ("", ErrorCode::Malformed),
        ("nonsense", ErrorCode::Malformed),
        ("[]", ErrorCode::Malformed),
        (r#"{"type":"join"}"#, ErrorCode::Malformed),
        (r#"{"type":"signal","to":"…","connection":"a","signal":{"kind":"end_of_candidates"}}"#, ErrorCode::Malformed),
        (r#"{"type":"dance"}"#, ErrorCode::UnknownMessage),
    ] {
        net.hub.handle_message(ana, text, net.now);
        net.drain();
        assert_eq!(net.error(ana), code, "{text}");
    }
    net.hub.handle_binary(ana, 4, net.now);
    net.drain();
    assert_eq!(net.error(ana), ErrorCode::Malformed);
    assert_eq!(net.hub.roster(&"a".parse().unwrap()).len(), 1);
}

#[test]
fn a_message_too_large_closes_its_sender_who_is_then_away() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    let lost = net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.heard(ana);
    net.hub.handle_message(ana, &" ".repeat(MESSAGE_BYTES_MAX + 1), net.now);
    net.drain();
    assert_eq!(net.error(ana), ErrorCode::MessageTooLarge);
    assert_eq!(net.closed, [(ana, 1009)]);
    assert_eq!(net.heard(bo), [ServerMessage::PeerAway { peer_id: lost.peer_id }]);
}

#[test]
fn a_signal_that_would_grow_too_large_on_its_way_is_its_senders_fault() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    net.join(ana, "a", "Ana");
    let to = net.join(bo, "a", "Bo").peer_id;
    net.heard(ana);
    let head = format!(r#"{{"type":"signal","to":"{to}","connection":"c","signal":{{"kind":"offer","sdp":""#);
    let sdp = "x".repeat(MESSAGE_BYTES_MAX - head.len() - 3);
    let text = format!("{head}{sdp}\"}}}}");
    assert_eq!(text.len(), MESSAGE_BYTES_MAX);
    net.hub.handle_message(ana, &text, net.now);
    net.drain();
    assert_eq!(net.error(ana), ErrorCode::MessageTooLarge);
    assert!(matches!(&net.heard(bo)[..], [ServerMessage::PeerAway { .. }]));
}

#[test]
fn too_many_messages_are_refused_until_the_time_that_is_told() {
    let mut net = Net::new();
    net.hub.config.message_burst = 5;
    net.hub.config.messages_per_sec = 10;
    let ana = net.greeted();
    for _ in 0..4 {
        net.say(ana, &ClientMessage::Leave);
        assert_eq!(net.error(ana), ErrorCode::NotJoined);
    }
    net.say(ana, &ClientMessage::Leave);
    let [ServerMessage::Error { code: ErrorCode::RateLimited, retry_after_ms: Some(wait), .. }] = &net.heard(ana)[..]
    else {
        panic!("not limited")
    };
    let wait = Duration::from_millis(*wait);
    net.advance(wait);
    net.join(ana, "a", "Ana");
}

#[test]
fn those_of_one_room_are_told_to_come_back_close_to_one_another() {
    let mut net = Net::new();
    let rooms = ["b", "a", "b", "a"];
    let conns = rooms.map(|room| {
        let conn = net.greeted();
        net.join(conn, room, "Ana");
        conn
    });
    net.heard.clear();
    net.hub.shut_down(Some(Comeback { first: Duration::from_millis(500), spread: Duration::from_secs(4) }));
    net.drain();
    let waits = conns.map(|conn| match &net.heard(conn)[..] {
        [ServerMessage::Error { retry_after_ms: Some(wait), .. }] => *wait,
        heard => panic!("{heard:?}"),
    });
    assert_eq!(waits, [2_500, 500, 3_500, 1_500]);
}

#[test]
fn a_stopping_server_tells_everyone_and_forgets_them() {
    let mut net = Net::new();
    let (ana, bo) = (net.greeted(), net.greeted());
    net.join(ana, "a", "Ana");
    net.hub.shut_down(Some(Comeback { first: Duration::from_secs(2), spread: Duration::ZERO }));
    net.drain();
    for conn in [ana, bo] {
        let heard = net.heard(conn);
        assert!(
            matches!(
                &heard[..],
                [ServerMessage::Error { code: ErrorCode::GoingAway, retry_after_ms: Some(2_000), .. }]
            ),
            "{heard:?}"
        );
    }
    assert_eq!(net.closed, [(ana, 1001), (bo, 1001)]);
    assert_eq!((net.hub.rooms().count(), net.hub.connection_count()), (0, 0));
}
