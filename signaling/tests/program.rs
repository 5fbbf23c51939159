//! The program `parlor-server` as its users start it.
//!
//! Apart from the other tests: for a moment a started program holds the listening sockets of whoever starts it, and a
//! server that restarts in this process would find its port in use.
#![cfg(test)]
#![cfg(unix)]
#![allow(missing_docs)]

#[path = "server/support.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use parlor_proto::{ClientMessage, ErrorCode, PeerId, ServerMessage};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{Client, PATIENCE, address_of_its_own, get};

#[tokio::test]
async fn it_says_where_it_listens_and_stops_in_good_order() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Program::start(dir.path(), "127.0.0.1:0").await;
        let (mut ana, _) = Client::joined(server.addr, "a", "Ana").await;
        server.signal(signal).await;
        assert_eq!(ana.closed().await, (Some(ErrorCode::GoingAway), 1001));
        drop(ana);
        assert!(server.ended().await.success());
    }
}

#[tokio::test]
async fn killed_and_started_again_it_gives_the_same_ids() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Program::start(dir.path(), &address_of_its_own(2).to_string()).await;
    let (ana, first) = Client::joined(server.addr, "a", "Ana").await;
    server.child.kill().await.unwrap();
    drop(ana);
    let server = Program::start(dir.path(), &server.addr.to_string()).await;
    let mut ana = Client::greeted(server.addr).await;
    let again = ana.join("a", "Ana", Some(&first.token)).await;
    assert_eq!((again.peer_id, again.resumed), (first.peer_id, true));
}

#[tokio::test]
async fn two_hundred_people_in_rooms_outlive_a_restart_and_nobody_is_said_to_have_left() {
    const ROOMS: usize = 25;
    const PEOPLE_IN_EACH: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let mut server = Program::start(dir.path(), &address_of_its_own(3).to_string()).await;
    let addr = server.addr;
    let mut people = Vec::new();
    for number in 0..ROOMS * PEOPLE_IN_EACH {
        let room = format!("room-{}", number % ROOMS);
        let (client, joined) = Client::joined(addr, &room, "Somebody").await;
        people.push((client, room, joined.peer_id, joined.token));
    }
    server.signal("-TERM").await;
    let mut sent_away = JoinSet::new();
    for (client, room, peer_id, token) in people {
        sent_away.spawn(async move { (wait_asked_for(client).await, room, peer_id, token) });
    }
    let sent_away = timeout(PATIENCE, sent_away.join_all()).await.unwrap();
    assert!(server.ended().await.success());
    // They are asked to come back one after the other, and those of one room close to one another.
    let mut in_turn: Vec<_> = sent_away.iter().map(|(wait, room, ..)| (*wait, room.clone())).collect();
    in_turn.sort();
    let (first, last) = (in_turn[0].0, in_turn[in_turn.len() - 1].0);
    assert!(first >= 500 && last >= first + 900 && last < 10_000, "from {first} to {last} ms");
    for room in in_turn.chunks(PEOPLE_IN_EACH) {
        assert!(room.iter().all(|(_, name)| *name == room[0].1), "{room:?}");
    }

    let _server = Program::start(dir.path(), &addr.to_string()).await;
    let mut back = JoinSet::new();
    for (_, room, peer_id, token) in sent_away {
        back.spawn(async move {
            let mut client = Client::greeted(addr).await;
            let joined = client.join(&room, "Somebody", Some(&token)).await;
            assert_eq!((&joined.peer_id, joined.resumed), (&peer_id, true));
            let mut everyone: BTreeSet<PeerId> = joined.peers.into_iter().map(|peer| peer.peer_id).collect();
            everyone.insert(peer_id);
            while everyone.len() < PEOPLE_IN_EACH {
                match client.hear().await {
                    ServerMessage::PeerJoined { peer } => assert!(everyone.insert(peer.peer_id)),
                    ServerMessage::Policy { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            (room, everyone, client)
        });
    }
    let back = timeout(PATIENCE, back.join_all()).await.unwrap();
    let rosters: BTreeSet<_> = back.iter().map(|(room, everyone, _)| (room, everyone)).collect();
    assert_eq!((back.len(), rosters.len()), (ROOMS * PEOPLE_IN_EACH, ROOMS), "all of a room see the same people");
}

/// Reads to the end; gives the wait that the server asked for.
async fn wait_asked_for(mut client: Client) -> u64 {
    loop {
        match client.hear().await {
            ServerMessage::Error { code: ErrorCode::GoingAway, retry_after_ms, .. } => {
                assert_eq!(client.closed().await.1, 1001);
                return retry_after_ms.unwrap();
            }
            ServerMessage::PeerJoined { .. } | ServerMessage::Policy { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_log_is_json_where_asked_for_and_holds_nothing_of_the_people() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("parlor.toml");
    std::fs::write(&config, "log_format = \"json\"\nmessage_burst = 10\n").unwrap();
    let args = ["--config", config.to_str().unwrap()];
    let mut server = Program::start_with(dir.path(), "127.0.0.1:0", &args).await;
    let (mut ana, first) = Client::joined(server.addr, "secret-meeting", "Anastasia").await;
    let (mut bo, second) = Client::joined(server.addr, "secret-meeting", "Bonifatius").await;
    ana.offer(&second.peer_id, "v=0 o=- candidate 192.0.2.99").await;
    bo.say_text(r#"{"type": "Anastasia""#).await;
    drop(bo);
    let mut flooding = Client::greeted(server.addr).await;
    while flooding.try_say_text("nonsense of Anastasia").await {}
    drop(ana);
    let mut ana = Client::greeted(server.addr).await;
    ana.join("secret-meeting", "Anastasia", Some(&first.token)).await;
    server.signal("-TERM").await;
    ana.closed().await;
    drop(ana);
    assert!(server.ended().await.success());
    let mut log = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    assert!(log.contains("stopped"), "{log}");
    let ids = [first.peer_id.as_str(), second.peer_id.as_str(), first.token.as_str()];
    for personal in ["secret-meeting", "Anastasia", "Bonifatius", "192.0.2.99", "127.0.0.1", "v=0"].iter().chain(&ids) {
        assert!(!log.contains(personal), "{personal} in\n{log}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = run(&["--bind", &addr, "--state-dir", dir.path().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&addr) && said.contains("--bind"), "{said}");
}

#[tokio::test]
async fn a_certificate_that_is_not_there_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let output =
        run(&["--bind", "127.0.0.1:0", "--state-dir", dir, "--tls-cert", "none.pem", "--tls-key", "none.pem"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Cannot read none.pem"), "{said}");
    assert_eq!(said.matches("os error").count(), 1, "{said}");
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_help_shows_examples() {
    for args in [&["--bind", "here"][..], &["--ice-server", "http://a"], &["--room-capacity", "1"], &["--unknown"]] {
        assert_eq!(run(args).await.status.code(), Some(2), "{args:?}");
    }
    let help = String::from_utf8(run(&["--help"]).await.stdout).unwrap();
    assert!(help.contains("Examples:") && help.contains("stun:stun.l.google.com:19302"), "{help}");
    let version = String::from_utf8(run(&["--version"]).await.stdout).unwrap();
    assert_eq!(version.trim(), concat!("parlor-server ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn settings_are_checked_and_an_example_of_them_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let (file, state) = (dir.path().join("parlor.toml"), dir.path().join("state"));
    let (file, state) = (file.to_str().unwrap(), state.to_str().unwrap());
    let example = run(&["config", "example"]).await;
    std::fs::write(file, &example.stdout).unwrap();
    let checked = run(&["--config", file, "--state-dir", state, "config", "check"]).await;
    assert!(checked.status.success(), "{checked:?}");
    assert!(!Path::new(state).exists(), "a check makes no files");

    std::fs::write(file, "room_capcity = 8\nmax_rooms = 0\n").unwrap();
    for args in [&["config", "check", "--config", file][..], &["--config", file]] {
        let output = run(args).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("Did you mean room_capacity?") && said.contains("max_rooms cannot be 0"), "{said}");
    }

    let certificate = ["--tls-cert", "none.pem", "--tls-key", "none.pem"];
    let output = run(&[&["--state-dir", state][..], &certificate, &["config", "check"]].concat()).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("Cannot read none.pem"), "{said}");
}

#[tokio::test]
async fn more_clients_than_descriptors_are_said_in_words_and_by_default_there_are_fewer() {
    let dir = tempfile::tempdir().unwrap();
    let limited = async |args: &str| {
        let run = format!("ulimit -n 1000; exec \"$0\" --bind 127.0.0.1:0 --state-dir \"$1\" {args}");
        let mut command = Command::new("sh");
        command.args(["-c", &run, env!("CARGO_BIN_EXE_parlor-server")]).arg(dir.path());
        command.kill_on_drop(true).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    for args in ["--max-connections 745", "--max-connections 745 config check"] {
        let output = timeout(PATIENCE, limited(args).await.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("max_connections is 745") && said.contains("744 can be clients"), "{said}");
    }
    let output = timeout(PATIENCE, limited("config check").await.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut running = limited("").await;
    let mut log = BufReader::new(running.stderr.take().unwrap()).lines();
    let said = timeout(PATIENCE, async {
        loop {
            let line = log.next_line().await.unwrap().expect("it ended without a word of its limit");
            if line.contains("connections_max") {
                return line;
            }
        }
    });
    let said = said.await.unwrap();
    assert!(said.contains("744"), "{said}");
}

#[tokio::test]
async fn bound_to_all_interfaces_each_line_is_an_address() {
    let dir = tempfile::tempdir().unwrap();
    let server = Program::start(dir.path(), "0.0.0.0:0").await;
    assert!(server.addr.ip().is_loopback());
    assert!(get(server.addr, "/healthz", "").await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_token_of_the_program_opens_its_room_on_the_server_with_the_key_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.txt");
    std::fs::write(&key, "thirty-two bytes or more of secret\n").unwrap();
    let key = key.to_str().unwrap();
    let server = Program::start_with(dir.path(), "127.0.0.1:0", &["--access", "token", "--access-key-file", key]).await;
    let url = format!("http://{}", server.addr);
    let made =
        run(&["token", "--key-file", key, "--room", "Tea", "--name", "Ana", "--moderate", "--server", &url]).await;
    let printed = String::from_utf8(made.stdout).unwrap();
    let [token, link] = printed.lines().collect::<Vec<_>>()[..] else { panic!("{printed}") };
    assert_eq!(link, format!("{url}/r/tea#access={token}"));
    let joined = |room: &str, access: Option<&str>| {
        let (room, access) = (room.to_owned(), access.map(Into::into));
        async move {
            let mut client = Client::greeted(server.addr).await;
            client
                .say(&ClientMessage::Join { room, name: "Someone".into(), resume: None, access, password: None })
                .await;
            client.hear().await
        }
    };
    let refusal = |heard: ServerMessage| match heard {
        ServerMessage::Error { code, .. } => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(joined("tea", None).await), ErrorCode::AccessRequired);
    assert_eq!(refusal(joined("coffee", Some(token)).await), ErrorCode::AccessWrongRoom);
    assert_eq!(refusal(joined("tea", Some(&token[..token.len() - 2])).await), ErrorCode::AccessInvalid);
    let ServerMessage::Joined { name, policy, .. } = joined("tea", Some(token)).await else { panic!("not joined") };
    assert_eq!((name.as_str(), policy.may_moderate), ("Ana", true));
    let from_the_manual = Command::new("python3").args(["-c", &manual_example(), key]).output().await.unwrap();
    let said = String::from_utf8(from_the_manual.stderr).unwrap();
    let token = String::from_utf8(from_the_manual.stdout).unwrap();
    let heard = joined("tea", Some(token.trim())).await;
    assert!(matches!(&heard, ServerMessage::Joined { peers, .. } if peers.len() == 1), "{heard:?}\n{said}");
}

/// The program in `OPERATING.md` with which somebody's backend invites people.
fn manual_example() -> String {
    let manual = include_str!("../OPERATING.md");
    let (_, rest) = manual.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test]
async fn what_is_wrong_with_access_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let (key, state) = (dir.path().join("key.txt"), dir.path().join("state"));
    std::fs::write(&key, "too short").unwrap();
    let (key, state) = (key.to_str().unwrap(), state.to_str().unwrap());
    let check = ["--state-dir", state, "config", "check"];
    for (args, words) in [
        (&[&["--access", "token"], &check[..]].concat(), "needs an access_key_file"),
        (&[&["--access-key-file", key], &check[..]].concat(), "while access is open"),
        (&[&["--access", "token", "--access-key-file", key], &check[..]].concat(), "at least 32 bytes"),
        (&vec!["token", "--room", "tea"], "--key-file"),
        (&vec!["token", "--room", "tea", "--key-file", key], "at least 32 bytes"),
        (&vec!["--access-key-file", "none.txt", "token", "--room", "tea"], "Cannot read none.txt"),
    ] {
        let output = run(args).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(words), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn nothing_personal_and_no_secret_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let server = Program::start(dir.path(), "127.0.0.1:0").await;
    let (mut ana, first) = Client::joined(server.addr, "room-of-ana", "Ana Name").await;
    let (mut bo, second) = Client::joined(server.addr, "room-of-ana", "Bo Name").await;
    bo.offer(&first.peer_id, "v=0 an address").await;
    ana.say(&ClientMessage::SetPassword { password: Some("three green apples".into()) }).await;
    bo.hear().await;
    let mut eve = Client::greeted(server.addr).await;
    let (room, name) = ("room-of-ana".to_owned(), "Eve Name".to_owned());
    let password = Some("three red apples".into());
    eve.say(&ClientMessage::Join { room, name, resume: None, access: Some("a.b.c".into()), password }).await;
    assert_eq!(eve.error().await, ErrorCode::PasswordWrong);
    eve.say_text("no message of Eve's").await;
    assert_eq!(eve.error().await, ErrorCode::Malformed);
    ana.say(&ClientMessage::Remove { peer_id: second.peer_id.clone() }).await;
    assert_eq!(bo.closed().await.1, 4003);
    server.signal("-TERM").await;
    ana.closed().await;
    drop((ana, bo, eve));
    let log = server.log().await;
    assert!(log.contains("stopped"), "{log}");
    let ids = [first.peer_id.as_str(), second.peer_id.as_str(), first.token.as_str()];
    for personal in ["room-of-ana", "Name", "apples", "v=0", "a.b.c", "Eve", "127.0.0.1"].iter().chain(&ids) {
        assert!(!log.contains(personal), "{personal} in\n{log}");
    }
}

async fn run(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_parlor-server")).args(args).kill_on_drop(true).output();
    timeout(PATIENCE, output).await.unwrap().unwrap()
}

/// A running `parlor-server`; killed when dropped.
struct Program {
    child: Child,
    addr: SocketAddr,
}

impl Program {
    async fn start(state_dir: &Path, bind: &str) -> Self {
        Self::start_with(state_dir, bind, &[]).await
    }

    async fn start_with(state_dir: &Path, bind: &str, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_parlor-server"))
            .args(["--bind", bind, "--state-dir"])
            .arg(state_dir)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let addr = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { child, addr }
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    /// All that it said on standard error, once it has ended.
    async fn log(mut self) -> String {
        let mut log = String::new();
        timeout(PATIENCE, self.child.stderr.take().unwrap().read_to_string(&mut log)).await.unwrap().unwrap();
        log
    }

    async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
    }
}
