//! A server that asks for access tokens.

use super::*;
use crate::access::AccessSigner;
use crate::access::tests::SECRET as KEY;

const MODERATED: RoomPolicy = RoomPolicy { locked: false, has_password: false, may_moderate: true };

#[test]
fn without_a_token_or_with_a_wrong_one_nobody_comes_in_and_each_refusal_has_its_code() {
    let mut net = invited();
    let ana = net.greeted();
    let forged = token(b"fedcba9876543210fedcba9876543210", "a", "1", "");
    for (access, code) in [
        (None, ErrorCode::AccessRequired),
        (Some("a.b.c".to_owned()), ErrorCode::AccessInvalid),
        (Some(forged), ErrorCode::AccessInvalid),
        (Some(token(KEY, "b", "1", "")), ErrorCode::AccessWrongRoom),
        (Some(token(KEY, "a", "1", &format!(r#","nbf":{}"#, UNIX_SECS + 60))), ErrorCode::AccessExpired),
    ] {
        net.say(ana, &join_by("a", "Ana", None, access.as_deref()));
        assert_eq!(net.error(ana), code, "{access:?}");
    }
    net.advance(Duration::from_secs(3_600 + 30));
    net.say(ana, &join_by("a", "Ana", None, Some(&token(KEY, "a", "1", ""))));
    assert_eq!(net.error(ana), ErrorCode::AccessExpired);
    assert_eq!(net.hub.rooms().count(), 0);
}

#[test]
fn a_token_is_one_person_whom_a_second_use_replaces_or_resumes() {
    let mut net = invited();
    let [ana, bo] = [net.greeted(), net.greeted()];
    let access = token(KEY, "a", "1", r#","name":"Ana Invited""#);
    let first = net.join_by(ana, "a", "", None, Some(&access));
    assert_eq!((first.name.as_str(), first.resumed), ("Ana Invited", false));
    let other = net.join_by(bo, "a", "Bo", None, Some(&token(KEY, "a", "2", "")));
    assert_ne!(other.peer_id, first.peer_id);
    net.heard(ana);
    let again = net.greeted();
    let second = net.join_by(again, "a", "Ana", None, Some(&access));
    assert_eq!((&second.peer_id, second.resumed), (&first.peer_id, true));
    assert_eq!(net.error(ana), ErrorCode::Replaced);
    net.close(again, CloseKind::Lost);
    let again = net.greeted();
    assert!(net.join_by(again, "a", "Ana", None, Some(&access)).resumed);
    assert_eq!(net.hub.roster(&"a".parse().unwrap()).len(), 2);
    // Another server with the same secret gives the same id.
    let mut net = invited_after_restart();
    let ana = net.greeted();
    assert_eq!(net.join_by(ana, "a", "Ana", None, Some(&access)).peer_id, first.peer_id);
}

#[test]
fn those_moderate_whose_token_says_so_and_nobody_else_ever() {
    let mut net = invited();
    let [ana, bo, cleo] = [net.greeted(), net.greeted(), net.greeted()];
    assert!(!net.join_by(bo, "a", "Bo", None, Some(&token(KEY, "a", "2", ""))).policy.may_moderate);
    for (conn, jti) in [(ana, "1"), (cleo, "3")] {
        let access = token(KEY, "a", jti, r#","moderate":true"#);
        assert_eq!(net.join_by(conn, "a", "Ana", None, Some(&access)).policy, MODERATED);
    }
    net.say(ana, &ClientMessage::SetLock { locked: true });
    let Some(ServerMessage::Policy { resume_token, .. }) = net.heard(ana).pop() else { panic!("no policy") };
    net.say(ana, &ClientMessage::Leave);
    net.say(cleo, &ClientMessage::Leave);
    net.advance(Duration::from_secs(60));
    assert!(
        net.heard(bo)
            .iter()
            .all(|message| { !matches!(message, ServerMessage::Policy { policy, .. } if policy.may_moderate) })
    );
    let ana = net.greeted();
    assert!(net.resume(ana, "a", "Ana", &resume_token).policy.may_moderate);
}

#[test]
fn lock_and_removal_hold_for_who_is_invited_too() {
    let mut net = invited();
    let [ana, bo, cleo] = [net.greeted(), net.greeted(), net.greeted()];
    net.join_by(ana, "a", "Ana", None, Some(&token(KEY, "a", "1", r#","moderate":true"#)));
    let access = token(KEY, "a", "2", "");
    let second = net.join_by(bo, "a", "Bo", None, Some(&access));
    net.say(ana, &ClientMessage::Remove { peer_id: second.peer_id });
    let bo = net.greeted();
    net.say(bo, &join_by("a", "Bo", None, Some(&access)));
    assert_eq!(net.error(bo), ErrorCode::Removed);
    net.say(ana, &ClientMessage::SetLock { locked: true });
    net.say(cleo, &join_by("a", "Cleo", None, Some(&token(KEY, "a", "3", ""))));
    assert_eq!(net.error(cleo), ErrorCode::RoomLocked);
}

#[test]
fn who_resumes_needs_no_token_until_a_day_after_it_ended() {
    let mut net = invited();
    let ana = net.greeted();
    let access = token(KEY, "a", "1", "");
    let mut resume = net.join_by(ana, "a", "Ana", None, Some(&access)).token;
    // Hours later the access token has ended; sent along all the same, it does no harm.
    for hours in [3, 20] {
        net.close(ana, CloseKind::Lost);
        net.advance(Duration::from_secs(hours * 3_600));
        let conn = net.greeted();
        let back = net.join_by(conn, "a", "Ana", Some(&resume), Some(&access));
        assert!(back.resumed);
        resume = back.token;
        net.close(conn, CloseKind::Lost);
    }
    net.advance(Duration::from_secs(2 * 3_600 + 30));
    let conn = net.greeted();
    net.say(conn, &join_by("a", "Ana", Some(&resume), Some(&access)));
    assert_eq!(net.error(conn), ErrorCode::AccessExpired);
}

#[test]
fn a_resume_token_of_the_time_when_rooms_were_open_is_no_invitation() {
    let mut net = Net::new();
    let ana = net.greeted();
    let open = net.join(ana, "a", "Ana");
    let mut net = invited_after_restart();
    let ana = net.greeted();
    net.say(ana, &join("a", "Ana", Some(&open.token)));
    assert_eq!(net.error(ana), ErrorCode::AccessRequired);
    // And nobody is somebody else with it.
    let back = net.join_by(ana, "a", "Ana", Some(&open.token), Some(&token(KEY, "a", "1", "")));
    assert_ne!(back.peer_id, open.peer_id);
}

#[test]
fn another_persons_resume_token_does_not_go_with_an_invitation() {
    let mut net = invited();
    let [ana, bo] = [net.greeted(), net.greeted()];
    let first = net.join_by(ana, "a", "Ana", None, Some(&token(KEY, "a", "1", r#","moderate":true"#)));
    let second = net.join_by(bo, "a", "Bo", Some(&first.token), Some(&token(KEY, "a", "2", "")));
    assert_eq!((second.peer_id == first.peer_id, second.policy.may_moderate), (false, false));
}

impl Net {
    fn join_by(
        &mut self,
        conn: ConnId,
        room: &str,
        name: &str,
        resume: Option<&ResumeToken>,
        access: Option<&str>,
    ) -> Joined {
        self.say(conn, &join_by(room, name, resume, access));
        self.joined(conn)
    }
}

fn invited() -> Net {
    with_key(Net::new())
}

fn invited_after_restart() -> Net {
    with_key(Net::restarted(2))
}

fn with_key(mut net: Net) -> Net {
    net.hub.config.access = crate::AccessKey::from_file_content(KEY).ok();
    net
}

fn join_by(room: &str, name: &str, resume: Option<&ResumeToken>, access: Option<&str>) -> ClientMessage {
    let resume = resume.map(|token| token.as_str().into());
    let access = access.map(Secret::from);
    ClientMessage::Join { room: room.to_owned(), name: name.to_owned(), resume, access, password: None }
}

/// A token for an hour from the start of the tests, with more claims.
fn token(key: &[u8], room: &str, jti: &str, more: &str) -> String {
    let exp = UNIX_SECS + 3_600;
    let signer = AccessSigner::from_file_content(key).unwrap_or_else(|error| panic!("{error}"));
    signer.sign_json(&format!(r#"{{"room":"{room}","exp":{exp},"jti":"{jti}"{more}}}"#))
}
