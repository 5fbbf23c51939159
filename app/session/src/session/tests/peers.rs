//! The others, and the transports with them.

use parlor_proto::{
    ControlMessage, LeaveReason, PeerInfo, ServerMessage, Signal, Source, StreamDescription, SuspendReason, TransportId,
};

use super::fixture::{ANN, Fixture, ME, ZOE, candidate, id, person, secs};
use crate::{
    Action, Author, Channel, Command, ConnectionEvent, ConnectionState, Event, PeerLeftReason, PeerState, Presence,
    SignalingEvent, VideoFlow,
};

fn name(number: u64) -> TransportId {
    TransportId::from_random(number)
}

#[test]
fn who_was_there_offers_and_the_newcomer_answers() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    assert_eq!(fixture.said(), ["create connection 1.1", "create offer false"]);
    fixture.finish_offer(ANN);
    assert_eq!(fixture.said()[2..], ["offer ours", "apply theirs"]);

    let mut fixture = Fixture::in_room_with(&[ANN]);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connecting);
    fixture.offer(ANN, &name(1));
    fixture.describe(ANN, "mine");
    let accept = format!("accept offer {}", name(1));
    assert_eq!(fixture.said(), ["create connection 1.1", &accept, "answer mine"]);
    assert_eq!(fixture.last_name(), name(1));
    fixture.connect(ANN);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected);
    assert!(fixture.events.contains(&Event::PeerConnected { peer_id: id(ANN) }));
}

#[test]
fn an_offer_that_does_not_come_is_noticed_and_then_made_by_us() {
    let mut fixture = Fixture::in_room_with(&[ANN]);
    fixture.wait(secs(9));
    assert!(!fixture.view_of(ANN).slow_to_connect);
    fixture.wait(secs(1));
    assert!(fixture.view_of(ANN).slow_to_connect);
    assert_eq!(fixture.said(), [""; 0]);
    fixture.wait(secs(10));
    assert_eq!(fixture.said(), ["create connection 1.1", "create offer false"]);
    fixture.finish_offer(ANN);
    fixture.connect(ANN);
    assert!(!fixture.view_of(ANN).slow_to_connect);
}

#[test]
fn an_unanswered_first_offer_is_made_again_on_a_new_transport() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.describe(ANN, "first");
    let first = fixture.last_name();
    fixture.forget();
    fixture.wait(secs(10));
    assert_eq!(fixture.said(), ["close connection 1.1", "create connection 1.2", "create offer false"]);
    fixture.describe(ANN, "second");
    assert_ne!(fixture.last_name(), first);
    fixture.signal(ANN, &first, Signal::Answer { sdp: "late".into(), streams: Vec::new() });
    assert!(!fixture.has("apply late"));
}

#[test]
fn an_unanswered_restart_of_a_working_transport_is_rolled_back_and_made_again() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.command(Command::RequestIceRestart(id(ANN)));
    fixture.describe(ANN, "first");
    fixture.wait(secs(10));
    fixture.complete(ANN);
    assert_eq!(fixture.said(), ["create offer true", "offer first", "rollback", "create offer true"]);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Connected);
}

#[test]
fn of_two_fresh_offers_the_impolite_ends_stands() {
    // Ann's id is smaller: she is polite, and will take ours.
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.describe(ANN, "ours");
    fixture.forget();
    fixture.offer(ANN, &name(1));
    assert_eq!(fixture.said(), [""; 0]);

    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ZOE) });
    fixture.describe(ZOE, "ours");
    fixture.forget();
    fixture.offer(ZOE, &name(1));
    let accept = format!("accept offer {}", name(1));
    assert_eq!(fixture.said(), ["close connection 1.1", "create connection 1.2", &accept]);
}

#[test]
fn an_offer_of_a_new_name_replaces_an_established_transport() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.offer(ANN, &name(1));
    let accept = format!("accept offer {}", name(1));
    assert_eq!(fixture.said(), ["close connection 1.1", "create connection 1.2", &accept]);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Reconnecting);
}

#[test]
fn an_offer_for_a_closed_transport_does_not_bring_it_back() {
    let mut fixture = Fixture::in_room_with(&[ANN]);
    fixture.offer(ANN, &name(1));
    fixture.offer(ANN, &name(2));
    fixture.forget();
    fixture.offer(ANN, &name(1));
    fixture.signal(ANN, &name(1), Signal::Candidate { candidate: candidate("old") });
    assert_eq!(fixture.said(), [""; 0]);
}

#[test]
fn who_starts_anew_all_the_time_is_not_followed() {
    let mut fixture = Fixture::in_room_with(&[ANN]);
    for number in 0..100 {
        fixture.offer(ANN, &name(number));
    }
    assert_eq!(fixture.said().iter().filter(|said| said.starts_with("create connection")).count(), 10);
    fixture.wait(secs(10));
    fixture.forget();
    fixture.offer(ANN, &name(500));
    assert!(fixture.has("create connection"));
}

#[test]
fn candidates_that_come_before_their_offer_wait_for_it() {
    let mut fixture = Fixture::in_room_with(&[ANN]);
    fixture.signal(ANN, &name(1), Signal::Candidate { candidate: candidate("early") });
    fixture.offer(ANN, &name(1));
    fixture.signal(ANN, &name(1), Signal::EndOfCandidates);
    assert!(!fixture.has("add"));
    fixture.describe(ANN, "mine");
    let said = fixture.said();
    assert_eq!(said[said.len() - 3..], ["answer mine", "add early", "add end"]);
}

#[test]
fn own_candidates_follow_their_description() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.report(ANN, ConnectionEvent::LocalCandidate(candidate("mine")));
    assert!(!fixture.has("mine"));
    fixture.describe(ANN, "ours");
    let said = fixture.said();
    assert_eq!(said[said.len() - 2..], ["offer ours", "mine"]);
}

#[test]
fn a_way_that_opens_again_gets_everything_it_may_have_lost() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.finish_offer(ANN);
    fixture.report(ANN, ConnectionEvent::LocalCandidate(candidate("one")));
    fixture.message(ServerMessage::PeerAway { peer_id: id(ANN) });
    fixture.report(ANN, ConnectionEvent::LocalCandidate(candidate("two")));
    fixture.forget();
    fixture.message(ServerMessage::PeerBack { peer: person(ANN) });
    assert_eq!(fixture.said(), ["one", "two"]);
}

#[test]
fn an_answer_that_could_not_be_sent_goes_out_with_the_way_back() {
    let mut fixture = Fixture::in_room_with(&[ANN]);
    fixture.offer(ANN, &name(1));
    fixture.message(ServerMessage::PeerAway { peer_id: id(ANN) });
    fixture.describe(ANN, "mine");
    assert!(!fixture.has("answer"));
    fixture.message(ServerMessage::PeerBack { peer: person(ANN) });
    assert!(fixture.has("answer mine"));
}

#[test]
fn an_outstanding_offer_is_replaced_when_the_way_opens_again() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.describe(ANN, "ours");
    fixture.message(ServerMessage::PeerAway { peer_id: id(ANN) });
    fixture.forget();
    fixture.message(ServerMessage::PeerBack { peer: person(ANN) });
    assert_eq!(fixture.said(), ["close connection 1.1", "create connection 1.2", "create offer false"]);
}

#[test]
fn dead_media_is_restarted_at_once_then_with_backoff_then_anew_and_never_dropped() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.state(ANN, ConnectionState::Disconnected);
    assert_eq!(fixture.view_of(ANN).state, PeerState::Reconnecting);
    assert_eq!(fixture.events, [Event::PeerReconnecting { peer_id: id(ANN) }]);
    for wait in [0, 2, 4] {
        fixture.forget();
        fixture.wait(secs(wait));
        assert_eq!(fixture.said(), ["create offer true"]);
        fixture.finish_offer(ANN);
    }
    fixture.forget();
    fixture.wait(secs(8));
    assert_eq!(fixture.said(), ["close connection 1.1", "create connection 1.2", "create offer false"]);
    fixture.wait(secs(600));
    assert_eq!(fixture.view_of(ANN).state, PeerState::Reconnecting);
}

#[test]
fn the_polite_end_leaves_the_restart_to_the_other() {
    let mut fixture = Fixture::connected_with(ZOE);
    let own = fixture.session.view().peers[0].connection;
    fixture.state(ZOE, ConnectionState::Disconnected);
    fixture.wait(secs(0));
    assert_eq!(fixture.said(), [""; 0]);
    fixture.wait(secs(1));
    assert_eq!(fixture.said(), ["create offer true"]);
    assert_eq!(fixture.session.view().peers[0].connection, own);
}

#[test]
fn a_transport_that_breaks_is_made_again_and_said_so() {
    let mut fixture = Fixture::connected_with(ANN);
    let (connection, generation) = fixture.slot(ANN);
    fixture.state(ANN, ConnectionState::Closed);
    assert_eq!(fixture.errors(), ["The connection with Ann failed and is made again: it was closed."]);
    fixture.wait(secs(1));
    assert_eq!(fixture.said(), ["close connection 1.1", "create connection 1.2", "create offer false"]);
    // What comes late from the old one is of no interest.
    fixture.session.handle_connection(
        connection,
        generation,
        ConnectionEvent::StateChanged(ConnectionState::Connected),
        fixture.now,
    );
    assert_eq!(fixture.view_of(ANN).state, PeerState::Reconnecting);
}

#[test]
fn an_operation_that_never_completes_leads_to_a_new_transport() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.wait(secs(12));
    assert_eq!(fixture.errors(), ["The connection with Ann failed and is made again: setting it up took too long."]);
    assert!(fixture.has("create connection 1.2"));
}

#[test]
fn an_offer_that_cannot_be_used_is_told_and_answered_by_one_of_ours() {
    let mut fixture = Fixture::in_room_with(&[ANN]);
    fixture.offer(ANN, &name(1));
    let operation = crate::OperationId(1);
    fixture.report(ANN, ConnectionEvent::OperationFailed { operation, message: "no m-lines".into() });
    assert_eq!(fixture.errors(), ["The connection with Ann failed and is made again: no m-lines."]);
    fixture.wait(secs(2));
    assert!(fixture.has("create offer"));
}

#[test]
fn who_leaves_goes_at_once_and_whose_time_is_up_stays_while_media_lives() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.message(ServerMessage::PeerLeft { peer_id: id(ANN), reason: LeaveReason::Left });
    let left = Event::PeerLeft { peer_id: id(ANN), name: "Ann".parse().unwrap(), reason: PeerLeftReason::Left };
    assert_eq!(fixture.events, [left]);

    let mut fixture = Fixture::connected_with(ANN);
    fixture.message(ServerMessage::PeerAway { peer_id: id(ANN) });
    assert_eq!(fixture.events, [Event::PeerAway { peer_id: id(ANN) }]);
    fixture.message(ServerMessage::PeerLeft { peer_id: id(ANN), reason: LeaveReason::Timeout });
    assert_eq!((fixture.view_of(ANN).state, fixture.view_of(ANN).presence), (PeerState::Connected, Presence::Missing));
    fixture.state(ANN, ConnectionState::Disconnected);
    fixture.wait(secs(15));
    assert!(fixture.find(ANN).is_none());

    let mut fixture = Fixture::in_room_with(&[ANN]);
    fixture.message(ServerMessage::PeerAway { peer_id: id(ANN) });
    assert_eq!(fixture.view_of(ANN).state, PeerState::Away);
    fixture.message(ServerMessage::PeerLeft { peer_id: id(ANN), reason: LeaveReason::Timeout });
    assert!(fixture.find(ANN).is_none());
}

#[test]
fn goodbye_needs_no_server() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.control(ANN, &ControlMessage::Bye);
    assert!(fixture.find(ANN).is_none());
    fixture.forget();
    fixture.message(ServerMessage::PeerLeft { peer_id: id(ANN), reason: LeaveReason::Left });
    assert_eq!(fixture.events, []);
}

#[test]
fn two_programs_on_one_boot_know_it_when_both_say_so() {
    for (boot_id, same) in [(Some("boot"), true), (Some("other"), false), (None, false)] {
        let mut fixture = Fixture::connected_with(ANN);
        let boot_id = boot_id.map(str::to_owned);
        fixture.control(ANN, &ControlMessage::Hello { versions: vec![1], client: "x".into(), boot_id });
        assert_eq!(fixture.view_of(ANN).same_boot, same);
    }
}

#[test]
fn a_control_channel_opens_with_who_we_are_and_what_our_devices_do() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.forget();
    fixture.report(ANN, ConnectionEvent::ChannelOpened(Channel::Control));
    fixture.report(ANN, ConnectionEvent::ChannelOpened(Channel::Control));
    let said = fixture.said();
    assert_eq!(said.len(), 2);
    assert!(said[0].contains("\"hello\"") && said[0].contains("\"boot_id\":\"boot\""));
    assert!(said[1].contains("media_state"));
}

#[test]
fn what_was_said_before_the_other_end_listens_is_said_once_more() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.message(ServerMessage::PeerJoined { peer: person(ANN) });
    fixture.state(ANN, ConnectionState::Connected);
    fixture.report(ANN, ConnectionEvent::ChannelOpened(Channel::Control));
    fixture.report(ANN, ConnectionEvent::ChannelOpened(Channel::Chat));
    fixture.report(ANN, ConnectionEvent::VideoFlow(VideoFlow::Reduced));
    fixture.command(Command::SendChat { text: "too early".into(), sent_at_ms: 3 });
    assert_eq!(
        fixture.session.view().chat.last().unwrap().unreached.len(),
        1,
        "the line says that it does not reach her"
    );
    fixture.forget();
    let hello = ControlMessage::Hello { versions: vec![1], client: "x".into(), boot_id: None };
    fixture.control(ANN, &hello);
    let said = fixture.said();
    assert_eq!(said.len(), 3, "{said:?}");
    for (said, what) in said.iter().zip(["\"hello\"", "\"media_state\"", "\"video_reduced\""]) {
        assert!(said.contains(what), "{said}");
    }
    fixture.forget();
    fixture.control(ANN, &hello);
    assert!(fixture.said().is_empty(), "two that answer each other do not go on for ever");
    fixture.command(Command::SendChat { text: "now".into(), sent_at_ms: 4 });
    assert_eq!(fixture.said(), ["chat now"]);
}

#[test]
fn pictures_held_back_are_told_both_ways() {
    let mut fixture = Fixture::connected_with(ANN);
    let suspended = VideoFlow::Suspended(SuspendReason::Bandwidth);
    for flow in [VideoFlow::Reduced, suspended, suspended] {
        fixture.report(ANN, ConnectionEvent::VideoFlow(flow));
        assert_eq!(fixture.view_of(ANN).our_video, flow);
    }
    fixture.report(ANN, ConnectionEvent::VideoFlow(VideoFlow::All));
    fixture.report(ANN, ConnectionEvent::VideoCodec { common: false });
    assert_eq!(fixture.view_of(ANN).our_video, VideoFlow::Suspended(SuspendReason::NoCommonCodec));
    let told = |what: &str, reason: &str| format!("control {{\"type\":\"{what}\",\"reason\":\"{reason}\"}}");
    let wanted = [
        told("video_reduced", "bandwidth"),
        told("video_suspended", "bandwidth"),
        "control {\"type\":\"video_resumed\"}".to_owned(),
        told("video_suspended", "no_common_codec"),
    ];
    assert_eq!(fixture.said(), wanted);
    let reason = SuspendReason::Bandwidth;
    for (message, flow) in [
        (ControlMessage::VideoSuspended { reason }, suspended),
        (ControlMessage::VideoReduced { reason }, VideoFlow::Reduced),
        (ControlMessage::VideoResumed, VideoFlow::All),
    ] {
        fixture.control(ANN, &message);
        assert_eq!(fixture.view_of(ANN).their_video, flow);
    }
}

#[test]
fn a_line_names_whom_it_did_not_reach() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.message(ServerMessage::PeerJoined { peer: person(ZOE) });
    fixture.forget();
    fixture.command(Command::SendChat { text: " hello ".into(), sent_at_ms: 3 });
    assert_eq!(fixture.said(), ["chat hello"]);
    let line = fixture.session.view().chat.pop().unwrap();
    assert_eq!((line.author, line.text.as_str(), line.at_ms), (Author::You, "hello", 3));
    assert_eq!(line.unreached, ["Zoe".parse().unwrap()]);
    fixture.command(Command::SendChat { text: "x".repeat(4_001), sent_at_ms: 3 });
    assert_eq!(fixture.errors(), ["This message is too long: 4001 of at most 4000 characters."]);
}

#[test]
fn a_line_of_theirs_comes_once_and_under_the_name_of_the_roster() {
    let mut fixture = Fixture::connected_with(ANN);
    fixture.chat(ANN, "1", "hello");
    fixture.chat(ANN, "1", "hello");
    let chat = fixture.session.view().chat;
    assert_eq!(chat.len(), 1);
    assert_eq!(chat[0].author, Author::Peer { peer_id: id(ANN), name: "Ann".parse().unwrap() });
    assert_eq!(fixture.view_of(ANN).messages_dropped, 1);
}

#[test]
fn what_cannot_be_understood_is_counted_and_told_once() {
    let mut fixture = Fixture::connected_with(ANN);
    let large = ControlMessage::Hello { versions: vec![1], client: "x".repeat(5_000), boot_id: None }.encode();
    for text in ["", "{", "{\"type\":\"media_state\"}", &large] {
        fixture.report(ANN, ConnectionEvent::ControlReceived(text.into()));
    }
    fixture.report(ANN, ConnectionEvent::ControlReceived("{\"type\":\"from the future\"}".into()));
    assert_eq!(fixture.errors(), ["Ann sent something that this program does not understand."]);
    assert_eq!(fixture.view_of(ANN).messages_dropped, 4);
    fixture.signaling(SignalingEvent::Undecodable("not JSON".into()));
    assert_eq!(fixture.errors().len(), 2);
}

#[test]
fn a_peer_speaks_for_its_own_known_streams_only() {
    let mut fixture = Fixture::in_room_with(&[ANN]);
    let stream = |mid: &str, owner: &str, source| StreamDescription { mid: mid.into(), owner: id(owner), source };
    let streams = vec![
        stream("0", ANN, Source::Microphone),
        stream("1", ZOE, Source::Camera),
        stream("2", ANN, Source::Unknown),
        stream("3", ME, Source::Camera),
    ];
    fixture.signal(ANN, &name(1), Signal::Offer { sdp: "x".into(), streams });
    let Some(Action::AcceptOffer { streams, .. }) = fixture.actions.last() else { panic!("{:?}", fixture.actions) };
    assert_eq!(streams, &[stream("0", ANN, Source::Microphone)]);
}

#[test]
fn signals_of_strangers_are_ignored_and_a_huge_roster_is_cut() {
    let mut fixture = Fixture::in_room_with(&[]);
    fixture.offer(ZOE, &name(1));
    assert_eq!(fixture.said(), [""; 0]);
    for number in 0..100_u128 {
        let peer = PeerInfo { peer_id: parlor_proto::PeerId::from_random(number), ..person(ANN) };
        fixture.message(ServerMessage::PeerJoined { peer });
    }
    assert_eq!(fixture.session.view().peers.len(), 32);
}

#[test]
fn peers_are_listed_in_the_order_they_came_and_names_follow_the_roster() {
    let mut fixture = Fixture::in_room_with(&[ZOE, ANN]);
    let names = |fixture: &Fixture| -> Vec<String> {
        fixture.session.view().peers.iter().map(|peer| peer.name.to_string()).collect()
    };
    assert_eq!(names(&fixture), ["Zoe", "Ann"]);
    fixture.message(ServerMessage::PeerAway { peer_id: id(ZOE) });
    fixture.message(ServerMessage::PeerBack { peer: PeerInfo { name: "Zoë".parse().unwrap(), ..person(ZOE) } });
    assert_eq!(names(&fixture), ["Zoë", "Ann"]);
}
