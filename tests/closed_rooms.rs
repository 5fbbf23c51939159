//! Rooms that are not open to everyone, from the command line: password, lock, removing someone, and every refusal in words.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use parlor_tests::peer::parlor;
use parlor_tests::{Peer, Server, programs};

const PASSWORD: &str = "drei grüne Äpfel";

#[test]
fn a_password_is_asked_for_and_given_by_file_by_variable_and_by_link() {
    let server = Server::start();
    let link = server.link("tea");
    let mut ana = moderator(&link);
    ana.command(&format!("password {PASSWORD}"));
    ana.wait("policy", |policy| policy["has_password"] == true);

    let (code, told) = refused(&link, |_| {});
    assert_eq!(code, "password_required");
    assert!(told.contains("--password-file") && told.contains("PARLOR_PASSWORD"), "{told}");
    let (code, told) = refused(&format!("{link}#password=pears"), |_| {});
    assert_eq!(code, "password_wrong", "{told}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let by_file = join(&link, |command| {
        command.arg("--password-file").arg(&file);
    });
    let by_variable = join(&link, |command| {
        command.env("PARLOR_PASSWORD", PASSWORD);
    });
    let by_link = join(&format!("{link}#password=drei%20gr%C3%BCne%20%C3%84pfel"), |_| {});
    for output in [by_file, by_variable, by_link] {
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }

    ana.command("no-password");
    ana.wait("policy", |policy| policy["has_password"] == false && policy["may_moderate"] == true);
    assert_eq!(join(&link, |_| {}).status.code(), Some(0));
    ana.leave();
}

#[test]
fn a_locked_room_lets_nobody_new_in_until_it_is_unlocked() {
    let server = Server::start();
    let link = server.link("tea");
    let mut ana = moderator(&link);
    let mut bo = Peer::join_with(&link, "Bo", &[]);
    bo.wait("joined", |_| true);
    // Only who moderates can.
    bo.command("lock");
    let error = bo.wait("error", |_| true);
    assert_eq!(error["code"], "not_moderator", "{error}");
    ana.command("lock");
    let locked = bo.wait("policy", |policy| policy["locked"] == true);
    assert_eq!(locked["may_moderate"], false, "{locked}");
    assert_eq!(refused(&link, |_| {}).0, "room_locked");
    ana.command("unlock");
    let mark = bo.mark();
    bo.wait_after(mark, "policy", |policy| policy["locked"] == false);
    assert_eq!(join(&link, |_| {}).status.code(), Some(0));
    ana.leave();
    // Whoever is longest there is next.
    bo.wait("policy", |policy| policy["may_moderate"] == true);
    bo.leave();
}

#[test]
fn who_is_removed_is_told_and_fails_and_the_others_see_it() {
    let server = Server::start();
    let link = server.link("tea");
    let mut ana = moderator(&link);
    let mut bo = Peer::join_with(&link, "Bo", &[]);
    let id = ana.connected_with("Bo");
    ana.command("remove Chen");
    let error = ana.wait("error", |_| true);
    assert!(error["message"].as_str().unwrap().contains("“Chen” is not in the room"), "{error}");
    ana.command("remove Bo");
    let left = ana.wait("peer_left", |left| left["peer_id"] == id.as_str());
    assert_eq!(left["reason"], "removed", "{left}");
    let (status, _) = bo.end();
    assert_eq!(status, Some(1), "{}", bo.told());
    let error = bo.events("error").last().unwrap();
    assert_eq!(error["code"], "removed", "{error}");
    ana.leave();
}

#[test]
fn a_server_that_asks_for_invitations_takes_them_by_link_by_file_and_by_variable() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "a secret of at least thirty-two bytes\n").unwrap();
    let server = Server::start_asking_for_tokens(&key);
    let link = server.link("tea");
    let token = invitation(&key, &["--room", "tea", "--name", "Bo"]);

    let (code, told) = refused(&link, |_| {});
    assert_eq!(code, "access_required");
    assert!(told.contains("--access-file") && told.contains("PARLOR_ACCESS"), "{told}");
    assert_eq!(refused(&format!("{link}#access={token}x"), |_| {}).0, "access_invalid");
    assert_eq!(refused(&format!("{}#access={token}", server.link("coffee")), |_| {}).0, "access_wrong_room");

    let file = folder.path().join("token");
    std::fs::write(&file, &token).unwrap();
    let by_link = join(&format!("{link}#access={token}"), |_| {});
    let by_file = join(&link, |command| {
        command.arg("--access-file").arg(&file);
    });
    let by_variable = join(&link, |command| {
        command.env("PARLOR_ACCESS", &token);
    });
    for output in [by_link, by_file, by_variable] {
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(told.contains("\"name\":\"Bo\""), "the token names its bearer: {told}");
    }

    // One token is one person: who comes with it again takes their place.
    let may_moderate = invitation(&key, &["--room", "tea", "--moderate"]);
    let mut ana = moderator(&format!("{link}#access={may_moderate}"));
    let again = moderator(&format!("{link}#access={may_moderate}"));
    let (status, _) = ana.end();
    assert_eq!(status, Some(1), "{}", ana.told());
    assert_eq!(ana.events("error").last().unwrap()["code"], "replaced");
    again.leave();
}

#[test]
fn a_file_without_a_password_is_wrong_usage() {
    let output = join("http://127.0.0.1:9/r/tea", |command| {
        command.args(["--password-file", "/nowhere/password"]);
    });
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("/nowhere/password can't be read"), "{told}");
}

/// Ana, the first in a room, who therefore moderates it.
fn moderator(link: &str) -> Peer {
    let mut ana = Peer::join_with(link, "Ana", &[]);
    let policy = ana.wait("policy", |_| true);
    assert_eq!(policy["may_moderate"], true, "{policy}");
    ana
}

/// What `parlor-server token` prints.
fn invitation(key: &Path, flags: &[&str]) -> String {
    let output =
        Command::new(programs::parlor_server()).args(["token", "--key-file"]).arg(key).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A join for a moment.
fn join(link: &str, adapt: impl Fn(&mut Command)) -> Output {
    let (mut command, _settings) = parlor();
    command.args(["join", link, "--name", "Guest", "--headless", "--json", "--duration", "100ms"]);
    adapt(&mut command);
    command.stdin(Stdio::null()).output().unwrap()
}

/// A join that is refused; the code and the sentence.
fn refused(link: &str, adapt: impl Fn(&mut Command)) -> (String, String) {
    let output = join(link, adapt);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let mut lines = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let error = lines.rfind(|line| line["event"] == "error").unwrap();
    (error["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
}
