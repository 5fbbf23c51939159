//! Locks, passwords, removal, and who may do that; before and after a restart.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::hub::GuessConfig;

const OPEN: RoomPolicy = RoomPolicy { locked: false, has_password: false, may_moderate: false };
const MODERATED: RoomPolicy = RoomPolicy { may_moderate: true, ..OPEN };

#[test]
fn the_first_member_moderates_and_then_whoever_is_longest_in_the_room() {
    let mut net = Net::new();
    let [ana, bo, cleo] = [net.greeted(), net.greeted(), net.greeted()];
    assert_eq!(net.join(ana, "a", "Ana").policy, MODERATED);
    assert_eq!(net.join(bo, "a", "Bo").policy, OPEN);
    net.join(cleo, "a", "Cleo");
    net.forget_heard();
    net.close(ana, CloseKind::Lost);
    net.advance(Duration::from_secs(10));
    assert_eq!((net.policy(bo), net.policy(cleo)), (Some(MODERATED), Some(OPEN)));
    net.say(bo, &ClientMessage::Leave);
    assert_eq!(net.policy(cleo), Some(MODERATED));
}

#[test]
fn who_was_replaced_as_moderator_is_not_one_again() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    let first = net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.close(ana, CloseKind::Lost);
    net.advance(Duration::from_secs(10));
    let ana = net.greeted();
    assert_eq!(net.resume(ana, "a", "Ana", &first.token).policy, OPEN);
}

#[test]
fn a_moderator_who_is_away_for_a_while_stays_one() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    let first = net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.close(ana, CloseKind::Lost);
    let ana = net.greeted();
    assert_eq!(net.resume(ana, "a", "Ana", &first.token).policy, MODERATED);
}

#[test]
fn only_who_moderates_can_lock_set_a_password_or_remove() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    let first = net.join(ana, "a", "Ana");
    for message in [lock(true), set_password(Some("a")), remove(&first.peer_id)] {
        net.say(bo, &message);
        assert_eq!(net.error(bo), ErrorCode::NotJoined);
    }
    net.join(bo, "a", "Bo");
    net.forget_heard();
    for message in [lock(true), set_password(Some("a")), remove(&first.peer_id)] {
        net.say(bo, &message);
        assert_eq!(net.error(bo), ErrorCode::NotModerator);
        assert_eq!(net.heard(ana), []);
    }
}

#[test]
fn a_locked_room_takes_nobody_new_and_everyone_who_belongs_to_it() {
    let mut net = Net::new();
    let [ana, bo, cleo] = [net.greeted(), net.greeted(), net.greeted()];
    net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.forget_heard();
    net.say(ana, &lock(true));
    let locked = RoomPolicy { locked: true, ..OPEN };
    assert_eq!(net.policy(ana), Some(RoomPolicy { may_moderate: true, ..locked }));
    let (policy, token) = net.policy_and_token(bo);
    assert_eq!(policy, locked);
    net.say(cleo, &join("a", "Cleo", None));
    assert_eq!(net.error(cleo), ErrorCode::RoomLocked);
    // Away, and then away for too long: one of them all the same.
    for lost_for in [5, 20] {
        net.close(bo, CloseKind::Lost);
        net.advance(Duration::from_secs(lost_for));
        let bo_again = net.greeted();
        assert_eq!(net.resume(bo_again, "a", "Bo", &token).policy, locked);
        net.close(bo_again, CloseKind::Lost);
        net.advance(Duration::from_secs(10));
    }
    net.say(ana, &lock(false));
    assert_eq!(net.join(cleo, "a", "Cleo").policy, OPEN);
}

#[test]
fn a_password_is_asked_of_newcomers_and_of_nobody_who_resumes() {
    let mut net = Net::new();
    let [ana, bo, cleo] = [net.greeted(), net.greeted(), net.greeted()];
    let before = net.join(ana, "a", "Ana").token;
    net.say(ana, &set_password(Some("three green apples")));
    let (policy, token) = net.policy_and_token(ana);
    assert_eq!(policy, RoomPolicy { has_password: true, ..MODERATED });
    net.say(bo, &join("a", "Bo", None));
    assert_eq!(net.error(bo), ErrorCode::PasswordRequired);
    for wrong in ["", "three green pears", &"x".repeat(129)] {
        net.say(bo, &join_with("a", "Bo", None, wrong));
        assert_eq!(net.error(bo), ErrorCode::PasswordWrong, "{wrong}");
    }
    net.say(bo, &join_with("a", "Bo", None, "three green apples"));
    assert_eq!(net.joined(bo).policy, RoomPolicy { has_password: true, ..OPEN });
    net.say(ana, &ClientMessage::Leave);
    let ana = net.greeted();
    // A token of before the password was set does not take its place; the one that came with it does.
    net.say(ana, &join("a", "Ana", Some(&before)));
    assert_eq!(net.error(ana), ErrorCode::PasswordRequired);
    assert!(net.resume(ana, "a", "Ana", &token).resumed);
    net.say(bo, &set_password(None));
    assert!(!net.join(cleo, "a", "Cleo").policy.has_password);
}

#[test]
fn a_password_of_the_wrong_form_is_refused() {
    let mut net = Net::new();
    let ana = net.greeted();
    net.join(ana, "a", "Ana");
    for text in ["", &"x".repeat(129)] {
        net.say(ana, &set_password(Some(text)));
        assert_eq!(net.error(ana), ErrorCode::InvalidPassword);
    }
}

#[test]
fn guesses_of_a_stranger_lock_out_neither_members_nor_other_addresses() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    net.join(ana, "a", "Ana");
    net.say(ana, &set_password(Some("right")));
    let token = net.policy_and_token(ana).1;
    let eve = net.greeted_from([192, 0, 2, 1].into());
    for _ in 0..10 {
        net.say(eve, &join_with("a", "Eve", None, "wrong"));
        assert_eq!(net.error(eve), ErrorCode::PasswordWrong);
    }
    // Not even the right one now: there is nothing to be learnt.
    net.say(eve, &join_with("a", "Eve", None, "right"));
    let [ServerMessage::Error { code: ErrorCode::TooManyGuesses, retry_after_ms: Some(wait), .. }] =
        &net.heard(eve)[..]
    else {
        panic!("not limited")
    };
    let wait = Duration::from_millis(*wait);
    let another = net.greeted_from([192, 0, 2, 1].into());
    net.say(another, &join_with("a", "Eve", None, "right"));
    assert_eq!(net.error(another), ErrorCode::TooManyGuesses);
    net.say(bo, &join_with("a", "Bo", None, "right"));
    net.joined(bo);
    net.close(ana, CloseKind::Lost);
    let ana = net.greeted_from([192, 0, 2, 1].into());
    assert!(net.resume(ana, "a", "Ana", &token).resumed);
    net.advance(wait);
    net.say(eve, &join_with("a", "Eve", None, "right"));
    net.joined(eve);
}

#[test]
fn guesses_from_many_addresses_are_limited_for_the_room() {
    let mut net = Net::new();
    let ana = net.greeted();
    net.join(ana, "a", "Ana");
    net.say(ana, &set_password(Some("right")));
    for guess in 0..=100 {
        net.now += Duration::from_millis(20);
        let eve = net.greeted_from([192, 0, 2, u8::try_from(guess).unwrap()].into());
        net.say(eve, &join_with("a", "Eve", None, "wrong"));
        let expected = if guess < 100 { ErrorCode::PasswordWrong } else { ErrorCode::TooManyGuesses };
        assert_eq!(net.error(eve), expected, "guess {guess}");
    }
}

#[test]
fn hashing_is_limited_for_who_knows_the_password_too() {
    let mut net = Net::new();
    net.hub.guesses = crate::hub::guesses::Guesses::new(GuessConfig {
        address_hash_burst: 3,
        address_hashes_per_sec: 1,
        ..GuessConfig::default()
    });
    let ana = net.greeted();
    net.join(ana, "a", "Ana");
    for _ in 0..3 {
        net.say(ana, &set_password(Some("a")));
        assert!(net.policy(ana).is_some());
    }
    net.say(ana, &set_password(Some("a")));
    assert_eq!(net.error(ana), ErrorCode::RateLimited);
    net.advance(Duration::from_secs(1));
    net.say(ana, &set_password(Some("a")));
    assert!(net.policy(ana).is_some());
}

#[test]
fn who_is_removed_is_told_and_closed_and_does_not_come_back_with_their_token() {
    let mut net = Net::new();
    let [ana, bo, cleo] = [net.greeted(), net.greeted(), net.greeted()];
    let first = net.join(ana, "a", "Ana");
    let second = net.join(bo, "a", "Bo");
    net.join(cleo, "a", "Cleo");
    net.forget_heard();
    net.say(ana, &remove(&second.peer_id));
    assert_eq!(net.error(bo), ErrorCode::Removed);
    assert_eq!(net.closed, [(bo, 4003)]);
    assert_eq!(net.heard(cleo)[0], peer_left(&second.peer_id, LeaveReason::Removed));
    net.close(bo, CloseKind::Lost);
    assert_eq!(net.hub.poll_timeout(), None);
    let bo = net.greeted();
    net.say(bo, &join("a", "Bo", Some(&second.token)));
    assert_eq!(net.error(bo), ErrorCode::Removed);
    assert_eq!(net.closed.last(), Some(&(bo, 4003)));
    // The room is open: under another id, and as somebody new, they can come in.
    let bo = net.greeted();
    assert_ne!(net.join(bo, "a", "Bo").peer_id, second.peer_id);
    net.say(ana, &remove(&first.peer_id));
    assert_eq!(net.error(ana), ErrorCode::SelfSignal);
    net.say(ana, &remove(&second.peer_id));
    assert_eq!(net.error(ana), ErrorCode::UnknownPeer);
}

#[test]
fn someone_away_can_be_removed_too() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    net.join(ana, "a", "Ana");
    let second = net.join(bo, "a", "Bo");
    net.close(bo, CloseKind::Lost);
    net.forget_heard();
    net.say(ana, &remove(&second.peer_id));
    assert_eq!(net.heard(ana)[0], peer_left(&second.peer_id, LeaveReason::Removed));
    assert_eq!(net.hub.poll_timeout(), None);
    let bo = net.greeted();
    net.say(bo, &join("a", "Bo", Some(&second.token)));
    assert_eq!(net.error(bo), ErrorCode::Removed);
}

#[test]
fn a_new_room_of_the_same_name_is_open_and_remembers_nobody() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    net.join(ana, "a", "Ana");
    let second = net.join(bo, "a", "Bo");
    net.say(ana, &remove(&second.peer_id));
    net.say(ana, &set_password(Some("a")));
    net.say(ana, &lock(true));
    let old = net.policy_and_token(ana).1;
    net.say(ana, &ClientMessage::Leave);
    let cleo = net.greeted();
    assert_eq!(net.join(cleo, "a", "Cleo").policy, MODERATED);
    // Once it is under way, a token of the room before changes nothing in it.
    net.advance(Duration::from_secs(60));
    net.resume(ana, "a", "Ana", &old);
    let bo = net.greeted();
    assert_eq!(net.resume(bo, "a", "Bo", &second.token).policy, OPEN);
}

#[test]
fn after_a_restart_the_first_who_comes_back_brings_lock_and_password() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.say(ana, &set_password(Some("right")));
    net.say(ana, &lock(true));
    let (ana_token, bo_token) = (net.policy_and_token(ana).1, net.policy_and_token(bo).1);
    let mut net = Net::restarted(2);
    let [ana, bo, eve] = [net.greeted(), net.greeted(), net.greeted()];
    let guarded = RoomPolicy { locked: true, has_password: true, may_moderate: false };
    assert_eq!(net.resume(bo, "a", "Bo", &bo_token).policy, guarded);
    net.say(eve, &join("a", "Eve", None));
    assert_eq!(net.error(eve), ErrorCode::RoomLocked);
    net.say(bo, &lock(false));
    assert_eq!(net.error(bo), ErrorCode::NotModerator);
    assert!(net.resume(ana, "a", "Ana", &ana_token).policy.may_moderate);
    net.say(ana, &lock(false));
    net.say(eve, &join_with("a", "Eve", None, "wrong"));
    assert_eq!(net.error(eve), ErrorCode::PasswordWrong);
    net.say(eve, &join_with("a", "Eve", None, "right"));
    net.joined(eve);
}

#[test]
fn after_a_restart_a_moderator_who_does_not_come_back_is_followed_by_another() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    let first = net.join(ana, "a", "Ana");
    let second = net.join(bo, "a", "Bo");
    let mut net = Net::restarted(2);
    let [ana, bo] = [net.greeted(), net.greeted()];
    assert_eq!(net.resume(bo, "a", "Bo", &second.token).policy, OPEN);
    net.advance(Duration::from_millis(9_999));
    assert_eq!(net.heard(bo), []);
    net.advance(Duration::from_millis(1));
    assert_eq!(net.policy(bo), Some(MODERATED));
    assert_eq!(net.resume(ana, "a", "Ana", &first.token).policy, OPEN);
    assert_eq!(net.hub.poll_timeout(), None);
}

#[test]
fn a_room_that_ends_while_its_moderator_is_awaited_leaves_nothing_behind() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    net.join(ana, "a", "Ana");
    let second = net.join(bo, "a", "Bo");
    let mut net = Net::restarted(2);
    let bo = net.greeted();
    net.resume(bo, "a", "Bo", &second.token);
    net.close(bo, CloseKind::Left);
    assert_eq!((net.hub.poll_timeout(), net.hub.rooms().count()), (None, 0));
}

#[test]
fn who_slipped_into_a_guarded_room_after_a_restart_is_removed_and_who_into_an_open_one_stays() {
    for guarded in [true, false] {
        let mut net = Net::new();
        let ana = net.greeted();
        let mut token = net.join(ana, "a", "Ana").token;
        if guarded {
            net.say(ana, &set_password(Some("right")));
            token = net.policy_and_token(ana).1;
        }
        let mut net = Net::restarted(2);
        let [ana, eve] = [net.greeted(), net.greeted()];
        assert_eq!(net.join(eve, "a", "Eve").policy, MODERATED);
        net.advance(Duration::from_secs(5));
        let back = net.resume(ana, "a", "Ana", &token);
        assert_eq!(back.policy, RoomPolicy { has_password: guarded, ..MODERATED });
        assert_eq!(back.peers.len(), usize::from(!guarded));
        if guarded {
            assert_eq!(net.error(eve), ErrorCode::Removed);
            assert_eq!(net.closed, [(eve, 4003)]);
            let eve = net.greeted();
            net.say(eve, &join_with("a", "Eve", None, "right"));
            net.joined(eve);
        } else {
            assert_eq!(net.policy(eve), Some(OPEN));
        }
    }
}

#[test]
fn the_latest_policy_wins_and_who_came_in_by_an_older_one_is_removed() {
    let mut net = Net::new();
    let [ana, bo, cleo] = [net.greeted(), net.greeted(), net.greeted()];
    net.join(ana, "a", "Ana");
    // Away while the password is set, and so without the token that came with it.
    let old = net.join(bo, "a", "Bo").token;
    net.join(cleo, "a", "Cleo");
    net.close(bo, CloseKind::Lost);
    net.say(ana, &set_password(Some("right")));
    let new = net.policy_and_token(cleo).1;
    let mut net = Net::restarted(2);
    let [bo, cleo, eve] = [net.greeted(), net.greeted(), net.greeted()];
    net.resume(bo, "a", "Bo", &old);
    net.join(eve, "a", "Eve");
    let back = net.resume(cleo, "a", "Cleo", &new);
    assert_eq!((back.policy.has_password, &back.peers[..]), (true, &[][..]));
    assert_eq!((net.error(bo), net.error(eve)), (ErrorCode::Removed, ErrorCode::Removed));
    let bo = net.greeted();
    net.say(bo, &join_with("a", "Bo", Some(&old), "right"));
    assert!(net.joined(bo).resumed);
}

#[test]
fn who_was_removed_before_a_restart_and_is_back_first_is_removed_again() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    net.join(ana, "a", "Ana");
    let second = net.join(bo, "a", "Bo");
    net.say(ana, &remove(&second.peer_id));
    let token = net.policy_and_token(ana).1;
    let mut net = Net::restarted(2);
    let [ana, bo] = [net.greeted(), net.greeted()];
    net.resume(bo, "a", "Bo", &second.token);
    assert_eq!(net.resume(ana, "a", "Ana", &token).peers, []);
    assert_eq!(net.error(bo), ErrorCode::Removed);
}

#[test]
fn a_room_that_everyone_lost_comes_back_as_it_was() {
    let mut net = Net::new();
    let [ana, bo] = [net.greeted(), net.greeted()];
    net.join(ana, "a", "Ana");
    net.join(bo, "a", "Bo");
    net.say(ana, &lock(true));
    let token = net.policy_and_token(bo).1;
    net.close(ana, CloseKind::Lost);
    net.close(bo, CloseKind::Lost);
    net.advance(Duration::from_secs(60));
    assert_eq!(net.hub.rooms().count(), 0);
    let bo = net.greeted();
    assert!(net.resume(bo, "a", "Bo", &token).policy.locked);
}

#[test]
fn a_token_of_an_older_server_brings_its_person_back_into_an_open_room() {
    let content = [&[1][..], &(UNIX_SECS + 60).to_be_bytes(), &[26], &[b'a'; 26], b"a"].concat();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let tag = ring::hmac::sign(&key, &[b"parlor resume token 1\0", &content[..]].concat());
    let token = URL_SAFE_NO_PAD.encode([&content, tag.as_ref()].concat()).parse().unwrap();
    let mut net = Net::new();
    let ana = net.greeted();
    let back = net.resume(ana, "a", "Ana", &token);
    assert_eq!((back.peer_id.as_str(), back.resumed, back.policy), (&"a".repeat(26)[..], true, MODERATED));
    net.say(ana, &ClientMessage::Leave);
    let bo = net.greeted();
    net.join(bo, "a", "Bo");
    net.forget_heard();
    assert_eq!(net.resume(ana, "a", "Ana", &token).policy, OPEN);
    net.say(ana, &ClientMessage::Leave);
    net.say(bo, &lock(true));
    net.forget_heard();
    net.say(ana, &join("a", "Ana", Some(&token)));
    assert_eq!(net.error(ana), ErrorCode::RoomLocked);
}

impl Net {
    pub(super) fn forget_heard(&mut self) {
        self.heard.clear();
    }

    /// The last policy that a connection was told, since it was last asked.
    pub(super) fn policy(&mut self, conn: ConnId) -> Option<RoomPolicy> {
        self.heard(conn).into_iter().rev().find_map(|message| match message {
            ServerMessage::Policy { policy, .. } => Some(policy),
            _ => None,
        })
    }

    fn policy_and_token(&mut self, conn: ConnId) -> (RoomPolicy, ResumeToken) {
        let heard = self.heard(conn);
        let Some(ServerMessage::Policy { policy, resume_token }) = heard.last() else { panic!("no policy: {heard:?}") };
        (*policy, resume_token.clone())
    }
}

pub(super) fn join_with(room: &str, name: &str, resume: Option<&ResumeToken>, given: &str) -> ClientMessage {
    match join(room, name, resume) {
        ClientMessage::Join { room, name, resume, access, password: _ } => {
            ClientMessage::Join { room, name, resume, access, password: Some(given.into()) }
        }
        other => other,
    }
}

fn lock(locked: bool) -> ClientMessage {
    ClientMessage::SetLock { locked }
}

pub(super) fn set_password(password: Option<&str>) -> ClientMessage {
    ClientMessage::SetPassword { password: password.map(Secret::from) }
}

fn remove(peer_id: &PeerId) -> ClientMessage {
    ClientMessage::Remove { peer_id: peer_id.clone() }
}
