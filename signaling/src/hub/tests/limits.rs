//! What one connection and one address may do.

use super::*;

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, last).into()
}

impl Net {
    fn step_to_timeout(&mut self) {
        let at = self.hub.poll_timeout().unwrap();
        self.advance(at - self.now);
    }
}

#[test]
fn who_goes_on_after_being_told_to_wait_is_closed() {
    let mut net = Net::new();
    net.hub.config.message_burst = 10;
    let eve = net.greeted();
    let mut codes = Vec::new();
    while net.hub.connection_count() > 0 {
        net.say(eve, &ClientMessage::Leave);
        codes.push(net.error(eve));
        assert!(codes.len() < 100, "never closed");
    }
    let count = |code| codes.iter().filter(|found| **found == code).count();
    assert_eq!((count(ErrorCode::NotJoined), count(ErrorCode::RateLimited)), (9, 20));
    assert_eq!(codes.last(), Some(&ErrorCode::Flooding));
    assert_eq!(net.closed, [(eve, 4005)]);
}

#[test]
fn long_messages_use_up_their_bytes_before_their_number() {
    let mut net = Net::new();
    net.hub.config.byte_burst = 10_000;
    net.hub.config.bytes_per_sec = 1_000;
    let eve = net.greeted();
    let long = " ".repeat(6_000);
    net.hub.handle_message(eve, &long, net.now);
    net.drain();
    assert_eq!(net.error(eve), ErrorCode::Malformed);
    net.hub.handle_binary(eve, 6_000, net.now);
    net.drain();
    assert_eq!(net.error(eve), ErrorCode::RateLimited);
    net.join(eve, "a", "Eve");
}

#[test]
fn nobody_new_comes_in_where_rooms_hold_as_much_as_they_may() {
    let mut net = Net::new();
    net.hub.config.rooms_bytes_max = 2 * 2_048 + 3 * 1_024;
    let [ana, bo, cleo, dee] = [(); 4].map(|()| net.greeted());
    let token = net.join(ana, "a", "Ana").token;
    net.join(bo, "a", "Bo");
    net.join(cleo, "b", "Cleo");
    net.say(dee, &join("a", "Dee", None));
    assert_eq!(net.error(dee), ErrorCode::TooManyRooms);
    assert_eq!(net.hub.census().rooms_bytes, net.hub.config.rooms_bytes_max);
    net.close(ana, CloseKind::Lost);
    let ana = net.greeted();
    assert!(net.resume(ana, "a", "Ana", &token).resumed, "who is in a room already keeps their place");
    net.say(cleo, &ClientMessage::Leave);
    net.join(dee, "a", "Dee");
    for conn in [ana, bo, dee] {
        net.say(conn, &ClientMessage::Leave);
    }
    assert_eq!(net.hub.census().rooms_bytes, 0);
}

#[test]
fn the_longest_message_is_what_the_operator_says_and_everyone_is_told() {
    let mut net = Net::new();
    net.hub.config.message_bytes_max = 40_000;
    let ana = net.greeted();
    net.say(ana, &join("a", "Ana", None));
    let heard = net.heard(ana);
    assert!(
        matches!(&heard[..], [ServerMessage::Joined { limits, .. }] if limits.message_bytes == 40_000),
        "{heard:?}"
    );
    net.hub.handle_message(ana, &" ".repeat(40_001), net.now);
    net.drain();
    assert_eq!((net.error(ana), &net.closed[..]), (ErrorCode::MessageTooLarge, &[(ana, 1009)][..]));
}

#[test]
fn joins_of_one_address_are_limited_and_those_of_another_are_not() {
    let mut net = Net::new();
    net.hub.config.joins_per_address_per_min = 2;
    let (ana, bo, cleo) = (net.greeted_from(address(1)), net.greeted_from(address(1)), net.greeted_from(address(1)));
    net.join(ana, "a", "Ana");
    net.join(bo, "b", "Bo");
    net.say(cleo, &join("a", "Cleo", None));
    assert_eq!(net.error(cleo), ErrorCode::RateLimited);
    let dee = net.greeted_from(address(2));
    net.join(dee, "a", "Dee");
    let local = net.greeted_from(ADDRESS);
    net.join(local, "a", "Eli");
    net.advance(Duration::from_secs(31));
    net.say(cleo, &join("b", "Cleo", None));
    net.joined(cleo);
}

#[test]
fn who_resumes_is_not_counted_even_on_a_restarted_server() {
    let mut net = Net::new();
    let ana = net.greeted_from(address(1));
    let token = net.join(ana, "a", "Ana").token;
    for mut net in [net, Net::restarted(2)] {
        net.hub.config.joins_per_address_per_min = 1;
        let bo = net.greeted_from(address(1));
        net.join(bo, "b", "Bo");
        let again = net.greeted_from(address(1));
        assert!(net.resume(again, "a", "Ana", &token).resumed);
    }
}

#[test]
fn a_connection_in_no_room_is_closed_in_the_end_also_after_a_room() {
    let mut net = Net::new();
    let idle_max = Duration::from_secs(60);
    net.hub.config.idle_max = idle_max;
    let (mute, eve, ana) = (net.open(), net.greeted(), net.greeted());
    net.join(ana, "a", "Ana");
    net.advance(idle_max / 2);
    net.say(eve, &ClientMessage::Leave);
    net.heard(eve);
    net.step_to_timeout();
    assert_eq!((net.error(mute), net.error(eve)), (ErrorCode::Idle, ErrorCode::Idle), "messages don't help");
    assert_eq!(net.closed, [(mute, 4004), (eve, 4004)]);
    assert_eq!(net.hub.poll_timeout(), None, "who is in a room may say nothing");
    net.say(ana, &ClientMessage::Leave);
    let left_at = net.now;
    net.step_to_timeout();
    assert_eq!((net.now, net.closed.last()), (left_at + idle_max, Some(&(ana, 4004))));
}
