//! The command line: what it refuses and how, its exit codes, its help.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::process::{Output, Stdio};

use parlor_tests::peer::{parlor, settings_file};
use parlor_tests::{Peer, Server};
use serde_json::{Value, json};

#[test]
fn a_room_on_no_server_is_a_usage_error_that_names_both_remedies() {
    let told = refused(&["join", "tea", "--headless"]);
    assert!(told.contains("--server") && told.contains("config.toml"), "{told}");
}

#[test]
fn wrong_usage_exits_with_2_and_a_sentence() {
    for (arguments, words) in [
        (&["join"][..], "ROOM-OR-LINK"),
        (&["join", "tea", "--json"], "--headless"),
        (&["join", "tea", "--headless", "--duration", "soon"], "10s"),
        (&["join", "tea", "--headless", "--video", "window"], "test-pattern"),
        (&["join", "tea", "--headless", "--audio", "loud"], "tone"),
        (&["join", "tea", "--headless", "--speaker", "tone"], "device:ID"),
        (&["join", "tea", "--headless", "--audio-processing", "maybe"], "on"),
        (&["join", "https://a.example/x", "--headless"], "names no room"),
        (&["join", "https://a.example/r/tea#fp=12", "--headless"], "fingerprint"),
        (&["join", "tea", "--server", "ftp://a.example", "--headless"], "not a server's address"),
        (&["join", "te a", "--server", "a.example", "--headless"], "not a room's name"),
        (&["join", "tea", "--server", "a.example", "--name", "\u{7}", "--headless"], "can't be your name"),
        (&["join", "tea", "--server", "a.example", "--headless", "--video", "file:/no/clip.y4m"], "no such file"),
        (&["join", "tea", "--server", "a.example", "--audio", "file:/no/speech.wav"], "no such file"),
        (&["devises"], "neither a command nor a link"),
    ] {
        let told = refused(arguments);
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
}

#[test]
fn broken_settings_are_told_by_their_line() {
    let (mut command, settings) = parlor();
    let file = settings_file(&settings);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "name = \"Ana\"\nserver = 7\n").unwrap();
    let output = command.args(["join", "tea", "--headless"]).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("config.toml, line 2"), "{told}");
}

#[test]
fn a_server_that_is_not_there_fails_the_call() {
    // Bound and not listening for anybody else: nothing answers at this port.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let mut peer = Peer::join_with(&format!("http://{address}/r/tea"), "Ana", &[]);
    let early = peer.wait("error", |_| true);
    assert_eq!((&early["code"], &early["retrying"]), (&json!("unreachable"), &json!(true)), "{early}");
    assert!(early["message"].as_str().unwrap().contains("connection refused"), "{early}");
    let (status, summary) = peer.end();
    assert_eq!(status, Some(1), "{}", peer.told());
    assert_eq!(summary["peers"].as_array().map(Vec::len), Some(0));
    assert_eq!(summary["joined"], false);
    let error = peer.events("error").last().unwrap();
    assert_eq!((&error["code"], error.get("retrying")), (&json!("unreachable"), None), "{error}");
}

#[test]
fn a_certificate_that_the_link_does_not_name_ends_the_call_at_once() {
    let server = Server::start_self_signed();
    let other = "0".repeat(64);
    for (link, words) in [
        (format!("{}#fp={other}", server.link("tea")), "another certificate than its link names"),
        (server.link("tea"), "#fp="),
    ] {
        let mut peer = Peer::join_with(&link, "Ana", &[]);
        let (status, summary) = peer.end();
        assert_eq!((status, &summary["joined"]), (Some(1), &json!(false)), "{}", peer.told());
        let errors: Vec<_> = peer.events("error").collect();
        let [error] = &errors[..] else { panic!("{}", peer.told()) };
        assert_eq!(error["code"], "untrusted", "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        // A user's patience would be 15 s; a handshake takes milliseconds.
        assert!(summary["seconds"].as_f64().unwrap() < 10.0, "{summary}");
    }
    let output = run(&["join", &server.link("tea"), "--headless"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{told}");
    assert!(told.contains("Error: The certificate of the server at 127.0.0.1"), "{told}");
    assert!(told.contains("Not joined; stopped after"), "{told}");
}

#[test]
fn an_address_without_a_parlor_server_ends_the_call_at_once() {
    let server = Server::start_self_signed();
    let mut peer = Peer::join_with(&server.link("tea").replace("https", "http"), "Ana", &[]);
    assert_eq!(peer.end().0, Some(1), "{}", peer.told());
    let error = peer.events("error").next().unwrap();
    assert_eq!(error["code"], "wrong_address", "{error}");
    assert!(error["message"].as_str().unwrap().contains("starts with https"), "{error}");
}

#[test]
fn commands_that_come_before_the_room_is_joined_wait_for_it() {
    let server = Server::start();
    let (mut command, _settings) = parlor();
    command.args(["join", &server.link("eager"), "--headless", "--json", "--commands", "--name", "Ana"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"say Hello\nmute\nleave\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("\"joined\"") && !told.contains("\"error\""), "{told}");
}

#[test]
fn a_headless_peer_alone_leaves_after_its_time_and_sums_up() {
    let server = Server::start();
    let flags = ["--duration", "1500ms", "--video", "test-pattern", "--audio", "tone"];
    let mut peer = Peer::join_with(&server.link("alone"), "Ana", &flags);
    let (status, summary) = peer.end();
    assert_eq!(status, Some(0), "{}", peer.told());
    assert!(summary["seconds"].as_f64().unwrap() >= 1.5, "{summary}");
    assert_eq!(peer.events("joined").count(), 1);
    assert!(peer.events("stats").count() >= 1);
}

#[test]
fn a_room_is_found_on_the_server_of_the_settings() {
    let server = Server::start();
    let (mut command, settings) = parlor();
    let file = settings_file(&settings);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, format!("name = \"Ana\"\nserver = \"{}\"\n", server.address())).unwrap();
    command.args(["join", "Settings-Room", "--headless", "--duration", "100ms"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told} {}", String::from_utf8_lossy(&output.stderr));
    assert!(told.starts_with("Joined settings-room as Ana.\n"), "{told}");
}

#[test]
fn a_device_that_is_not_there_is_told_in_words_and_the_call_goes_on() {
    let server = Server::start();
    let flags = ["--duration", "3s", "--video", "device:no-such-camera", "--audio", "device:no-such-microphone"];
    let mut peer = Peer::join_with(&server.link("deviceless"), "Ana", &flags);
    let (status, _) = peer.end();
    assert_eq!(status, Some(0), "{}", peer.told());
    let messages: Vec<_> = peer.events("error").filter_map(|error| error["message"].as_str()).collect();
    assert!(messages.iter().any(|message| message.contains("camera")), "{messages:?}");
    assert!(messages.len() >= 2, "{messages:?}");
}

#[test]
fn commands_that_are_none_are_told_and_do_no_harm() {
    let server = Server::start();
    let mut peer = Peer::join_with(&server.link("commands"), "Ana", &[]);
    peer.wait("joined", |_| true);
    peer.command("dance");
    let error = peer.wait("error", |_| true);
    assert!(error["message"].as_str().unwrap().contains("dance"), "{error}");
    peer.leave();
}

#[test]
fn devices_are_listed_in_words_and_in_json() {
    let listed = run(&["devices", "--json"]);
    assert_eq!(listed.status.code(), Some(0));
    let object: Value = serde_json::from_slice(&listed.stdout).unwrap();
    for key in ["cameras", "microphones", "speakers", "problems"] {
        assert!(object[key].is_array(), "{key}: {object}");
    }
    let text = String::from_utf8(run(&["devices"]).stdout).unwrap();
    assert!(text.starts_with("Cameras\n"), "{text}");
}

#[test]
fn help_has_examples_and_the_exit_codes() {
    for (arguments, words) in [
        (&["--help"][..], &["Examples:", "parlor devices", "130"][..]),
        (&["join", "--help"], &["Examples:", "--audio-processing", "test-pattern", "PARLOR_NAME"]),
        (&["devices", "--help"], &["--json"]),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert!(version.starts_with("parlor "), "{version}");
}

/// What it says on standard error, having refused with exit code 2.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    told
}

fn run(arguments: &[&str]) -> Output {
    let (mut command, _settings) = parlor();
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}
