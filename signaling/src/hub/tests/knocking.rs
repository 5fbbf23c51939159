//! Passwords are stretched outside the hub, and nobody waits for another's.

use super::guarded::{join_with, set_password};
use super::*;

impl Net {
    /// Passwords are stretched only when the test says so from now on.
    fn holding() -> Self {
        Self { holds_stretches: true, ..Self::new() }
    }

    /// A room with a password, and who moderates it.
    fn closed_room(&mut self, password: &str) -> ConnId {
        let ana = self.greeted();
        self.join(ana, "a", "Ana");
        self.say(ana, &set_password(Some(password)));
        self.stretch();
        self.heard(ana);
        ana
    }

    /// Stretches the one password that waits for it.
    fn stretch(&mut self) {
        let [stretch] = &std::mem::take(&mut self.stretches)[..] else {
            panic!("not one password: {:?}", self.stretches)
        };
        self.hub.handle_stretched(stretch.run(), self.now);
        self.drain();
        assert!(self.stretches.len() <= 1, "more than one at a time");
    }

    fn knock(&mut self, from: IpAddr, password: &str) -> ConnId {
        let conn = self.greeted_from(from);
        self.say(conn, &join_with("a", "Eve", None, password));
        conn
    }
}

fn elsewhere(last: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, last).into()
}

#[test]
fn while_a_guess_is_looked_at_everyone_else_goes_on() {
    let mut net = Net::holding();
    let ana = net.closed_room("right");
    let (bo, eve) = (net.knock(elsewhere(1), "right"), net.greeted_from(elsewhere(2)));
    net.stretch();
    let second = net.joined(bo).peer_id;
    net.say(eve, &join_with("a", "Eve", None, "wrong"));
    // Nothing is done for Eve from here on: not for those in her room, nor for those at other doors.
    net.heard(ana);
    net.say(ana, &signal(&second));
    assert!(matches!(&net.heard(bo)[..], [ServerMessage::Signal { .. }]));
    let cleo = net.greeted();
    net.join(cleo, "b", "Cleo");
    assert_eq!((net.heard(eve), net.heard(ana)), (vec![], vec![]));
    net.stretch();
    assert_eq!(net.error(eve), ErrorCode::PasswordWrong);
}

#[test]
fn whoever_tries_many_holds_up_nobody_elsewhere_by_more_than_a_turn() {
    let mut net = Net::holding();
    net.closed_room("right");
    for _ in 0..50 {
        net.knock(elsewhere(1), "wrong");
    }
    let bo = net.knock(elsewhere(2), "right");
    // What is under way, and one more.
    for _ in 0..2 {
        net.stretch();
        assert_eq!(net.heard(bo), []);
    }
    net.stretch();
    net.joined(bo);
}

#[test]
fn guesses_made_at_the_same_time_are_counted_as_if_one_after_the_other() {
    let mut net = Net::holding();
    net.closed_room("right");
    let guesses: Vec<_> = (0..30).map(|_| net.knock(elsewhere(1), "wrong")).collect();
    let mut stretched = 0;
    while !net.stretches.is_empty() {
        net.stretch();
        stretched += 1;
    }
    let codes: Vec<_> = guesses.into_iter().map(|conn| net.error(conn)).collect();
    assert_eq!(stretched, 10);
    assert_eq!(codes[..10], [ErrorCode::PasswordWrong; 10]);
    assert_eq!(codes[10..], [ErrorCode::TooManyGuesses; 20]);
}

#[test]
fn nothing_is_stretched_for_those_who_are_gone() {
    let mut net = Net::holding();
    let ana = net.closed_room("right");
    let conns = [(); 3].map(|()| net.knock(elsewhere(1), "wrong"));
    net.close(conns[0], CloseKind::Lost);
    net.say(conns[1], &ClientMessage::Leave);
    net.close(conns[2], CloseKind::Left);
    net.stretch();
    assert!(net.stretches.is_empty());
    assert_eq!(net.heard(conns[1]), [], "the wish is over, the connection stays");
    net.say(conns[1], &join_with("a", "Eve", None, "right"));
    net.say(conns[1], &join_with("a", "Eve", None, "wrong"));
    net.stretch();
    net.joined(conns[1]);
    assert_eq!(net.hub.roster(&"a".parse().unwrap()).len(), 2);
    net.say(ana, &set_password(Some("another")));
    net.close(ana, CloseKind::Left);
    net.stretch();
    net.heard(conns[1]);
    let bo = net.knock(elsewhere(2), "right");
    net.stretch();
    net.joined(bo);
}

#[test]
fn a_password_that_was_changed_meanwhile_is_asked_for_anew() {
    let mut net = Net::holding();
    let ana = net.closed_room("old");
    let (eve, bo) = (net.knock(elsewhere(1), "old"), net.knock(elsewhere(2), "new"));
    // Before Bo's turn, but after Eve's has begun.
    net.say(ana, &set_password(Some("new")));
    net.stretch();
    net.joined(eve);
    net.stretch();
    assert_eq!(net.error(bo), ErrorCode::PasswordWrong);
    net.stretch();
    assert!(net.policy(ana).is_some());
    let (eve, bo) = (net.knock(elsewhere(1), "new"), net.knock(elsewhere(2), "old"));
    net.say(ana, &set_password(None));
    net.stretch();
    net.stretch();
    net.joined(eve);
    assert_eq!(net.error(bo), ErrorCode::RoomFull, "open to all now");
}

#[test]
fn of_two_passwords_set_the_later_holds_and_taking_it_away_is_the_latest() {
    let mut net = Net::holding();
    let ana = net.closed_room("first");
    net.say(ana, &set_password(Some("second")));
    net.say(ana, &set_password(Some("third")));
    net.say(ana, &set_password(Some("fourth")));
    net.stretch();
    net.stretch();
    assert!(net.stretches.is_empty(), "the second was under way, the third never");
    let bo = net.knock(elsewhere(1), "fourth");
    net.stretch();
    net.joined(bo);
    net.say(ana, &set_password(Some("fifth")));
    net.say(ana, &set_password(None));
    net.stretch();
    let cleo = net.greeted();
    assert!(!net.join(cleo, "a", "Cleo").policy.has_password);
}

#[test]
fn a_room_that_ended_meanwhile_begins_anew_with_who_knocked() {
    let mut net = Net::holding();
    let ana = net.closed_room("right");
    let bo = net.knock(elsewhere(1), "wrong");
    net.close(ana, CloseKind::Left);
    net.stretch();
    assert!(net.joined(bo).policy.may_moderate);
}

#[test]
fn who_knocks_for_too_long_is_idle_and_a_stopping_server_waits_for_no_password() {
    let mut net = Net::holding();
    net.closed_room("right");
    net.hub.config.idle_max = Duration::from_secs(60);
    let eve = net.knock(elsewhere(1), "wrong");
    net.advance(Duration::from_secs(60));
    assert_eq!(net.error(eve), ErrorCode::Idle);
    let bo = net.knock(elsewhere(2), "right");
    net.hub.shut_down(None);
    net.drain();
    assert_eq!(net.error(bo), ErrorCode::GoingAway);
    net.stretch();
    assert!(net.stretches.is_empty() && net.hub.rooms().count() == 0);
}
