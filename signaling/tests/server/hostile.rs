//! Wrong and hostile clients: each is answered with its code, and a pair in a room goes on as if nobody else were there.

use std::net::SocketAddr;

use parlor_proto::{ClientMessage, ErrorCode, PeerId, Secret, ServerMessage, Signal};
use parlor_signaling::{HubConfig, Secret as ServerSecret, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use futures_util::SinkExt as _;

use crate::support::{Client, PATIENCE, config, start, upgrade};

/// Two who talk while others misbehave.
struct Pair {
    ana: Client,
    bo: Client,
    bo_id: PeerId,
    said: u32,
}

impl Pair {
    async fn meet(addr: SocketAddr) -> Self {
        let (mut ana, _) = Client::joined(addr, "pair", "Ana").await;
        let (bo, joined) = Client::joined(addr, "pair", "Bo").await;
        ana.hear().await;
        Self { ana, bo, bo_id: joined.peer_id, said: 0 }
    }

    /// The very next thing Bo hears is what Ana says now.
    async fn goes_on(&mut self) {
        self.said += 1;
        let text = format!("offer {}", self.said);
        self.ana.offer(&self.bo_id, &text).await;
        let heard = self.bo.hear().await;
        assert!(
            matches!(&heard, ServerMessage::Signal { signal: Signal::Offer { sdp, .. }, .. } if *sdp == text),
            "{heard:?}"
        );
    }
}

#[tokio::test]
async fn wrong_messages_are_answered_with_their_codes_and_disturb_nobody() {
    use ErrorCode::{
        AlreadyJoined, ExpectedHello, InvalidName, InvalidRoom, Malformed, NotJoined, SelfSignal, UnknownMessage,
        UnknownPeer,
    };
    let server = start(config()).await;
    let mut pair = Pair::meet(server.local_addr()).await;
    let stranger = PeerId::from_random(7);
    let bo = pair.bo_id.clone();
    let signal = |to: &dyn std::fmt::Display, signal: &str| {
        format!(r#"{{"type":"signal","to":"{to}","connection":"c","signal":{signal}}}"#)
    };
    let end = r#"{"kind":"end_of_candidates"}"#;
    let join = |room: &str, name: &str| format!(r#"{{"type":"join","room":"{room}","name":"{name}"}}"#);

    let anywhere: Vec<(String, ErrorCode)> = vec![
        (String::new(), Malformed),
        ("hello".into(), Malformed),
        ("null".into(), Malformed),
        ("[1,2,3]".into(), Malformed),
        ("\"hello\"".into(), Malformed),
        ("{}".into(), Malformed),
        ("{".into(), Malformed),
        ("[".repeat(60_000), Malformed),
        (r#"{"a":"#.repeat(10_000), Malformed),
        (r#"{"type":null}"#.into(), Malformed),
        (r#"{"type":1}"#.into(), Malformed),
        (r#"{"type":"hello"}"#.into(), Malformed),
        (r#"{"type":"hello","versions":"1","client":"x"}"#.into(), Malformed),
        (r#"{"type":"hello","versions":[-1],"client":"x"}"#.into(), Malformed),
        (r#"{"type":"hello","versions":[4294967296],"client":"x"}"#.into(), Malformed),
        (r#"{"type":"join","room":"a"}"#.into(), Malformed),
        (r#"{"type":"join","room":["a"],"name":"x"}"#.into(), Malformed),
        (r#"{"type":"join","room":"a","name":"x","name":"y"}"#.into(), Malformed),
        (signal(&"../etc/passwd", end), Malformed),
        (signal(&"", end), Malformed),
        (signal(&stranger, r#"{"kind":"dance"}"#), Malformed),
        (signal(&stranger, r#"{"kind":"offer"}"#), Malformed),
        (signal(&stranger, r#"{"kind":"candidate","candidate":{"candidate":"x","sdpMLineIndex":70000}}"#), Malformed),
        (r#"{"type":"dance"}"#.into(), UnknownMessage),
        (r#"{"type":"Hello","versions":[1],"client":"x"}"#.into(), UnknownMessage),
        (r#"{"type":"peer_left","peer_id":"a","reason":"left"}"#.into(), UnknownMessage),
        (r#"{"type":"error","code":"internal","message":"x"}"#.into(), UnknownMessage),
    ];
    let before_hello = [
        (join("pair", "Eve"), ExpectedHello),
        (signal(&bo, end), ExpectedHello),
        (r#"{"type":"leave"}"#.into(), ExpectedHello),
    ];
    let before_join = [
        (r#"{"type":"hello","versions":[1],"client":"x"}"#.into(), ExpectedHello),
        (signal(&bo, end), NotJoined),
        (r#"{"type":"leave"}"#.into(), NotJoined),
        (join("", "Eve"), InvalidRoom),
        (join("pair/../other", "Eve"), InvalidRoom),
        (join(&"p".repeat(65), "Eve"), InvalidRoom),
        (join("pair", ""), InvalidName),
        (join("pair", r"Eve\u0000"), InvalidName),
        (join("pair", r"Eve\nBo"), InvalidName),
        (join("pair", &"E".repeat(65)), InvalidName),
    ];
    let mut eve = Client::open(server.local_addr()).await;
    for (text, code) in anywhere.iter().chain(&before_hello) {
        expect(&mut eve, text, *code).await;
        pair.goes_on().await;
    }
    let mut eve = Client::greeted(server.local_addr()).await;
    for (text, code) in anywhere.iter().chain(&before_join) {
        expect(&mut eve, text, *code).await;
        pair.goes_on().await;
    }
    let joined = eve.join("elsewhere", "Eve", None).await;
    let elsewhere = [
        (join("pair", "Eve"), AlreadyJoined),
        (signal(&bo, end), UnknownPeer),
        (signal(&stranger, end), UnknownPeer),
        (signal(&joined.peer_id, end), SelfSignal),
    ];
    for (text, code) in anywhere.iter().chain(&elsewhere) {
        expect(&mut eve, text, *code).await;
        pair.goes_on().await;
    }
    eve.websocket.send(Message::binary(vec![0; 100])).await.unwrap();
    assert_eq!(eve.error().await, Malformed);
    pair.goes_on().await;
}

#[tokio::test]
async fn who_says_to_be_somebody_else_is_passed_on_as_who_they_are() {
    let server = start(config()).await;
    let (mut ana, _) = Client::joined(server.local_addr(), "pair", "Ana").await;
    let (mut bo, bo_joined) = Client::joined(server.local_addr(), "pair", "Bo").await;
    let (mut eve, eve_joined) = Client::joined(server.local_addr(), "pair", "Eve").await;
    bo.hear().await;
    ana.hear().await;
    let (to, spoofed) = (&bo_joined.peer_id, &bo_joined.peers[0].peer_id);
    let text = format!(
        r#"{{"type":"signal","to":"{to}","from":"{spoofed}","peer_id":"{spoofed}","connection":"c",
        "signal":{{"kind":"offer","sdp":"v=0","streams":[],"from":"{spoofed}"}}}}"#
    );
    eve.say_text(&text).await;
    let heard = bo.hear().await;
    let ServerMessage::Signal { from, .. } = &heard else { panic!("{heard:?}") };
    assert_eq!(*from, eve_joined.peer_id);
    assert!(!heard.encode().contains(spoofed.as_str()));
}

#[tokio::test]
async fn a_guessed_resume_token_makes_nobody_somebody_else() {
    let server = start(config()).await;
    let addr = server.local_addr();
    let mut pair = Pair::meet(addr).await;
    let mut bo_token = None;
    pair.bo.say(&join_again("pair")).await;
    if let ServerMessage::Joined { resume_token, .. } = pair.bo.hear().await {
        bo_token = Some(resume_token);
    }
    let real = bo_token.unwrap();
    let elsewhere =
        start(ServerConfig { secret: ServerSecret::Given(b"another secret than this one".to_vec()), ..config() });
    let elsewhere = elsewhere.await;
    let (_other, of_another_server) = Client::joined(elsewhere.local_addr(), "pair", "Bo").await;
    let (_far, of_another_room) = Client::joined(addr, "far", "Bo").await;
    let altered = |place: usize| {
        let mut text = real.as_str().to_owned();
        let other = if &text[place..=place] == "A" { "B" } else { "A" };
        text.replace_range(place..=place, other);
        text
    };
    let guesses = [
        String::new(),
        "A".repeat(100),
        "A".repeat(60_000),
        pair.bo_id.to_string(),
        real.as_str()[1..].to_owned(),
        real.as_str()[..real.as_str().len() - 1].to_owned(),
        altered(0),
        altered(20),
        altered(60),
        altered(real.as_str().len() - 2),
        of_another_server.token.as_str().to_owned(),
        of_another_room.token.as_str().to_owned(),
    ];
    for guess in guesses {
        let mut eve = Client::greeted(addr).await;
        eve.say(&join_with("pair", Some(guess), None)).await;
        let ServerMessage::Joined { peer_id, resumed, policy, .. } = eve.hear().await else { panic!("not joined") };
        assert!(!resumed && peer_id != pair.bo_id && !policy.may_moderate);
        for member in [&mut pair.ana, &mut pair.bo] {
            let heard = member.hear().await;
            assert!(matches!(&heard, ServerMessage::PeerJoined { peer } if peer.peer_id == peer_id), "{heard:?}");
        }
        eve.say_text(r#"{"type":"leave"}"#).await;
        for member in [&mut pair.ana, &mut pair.bo] {
            let heard = member.hear().await;
            assert!(matches!(heard, ServerMessage::PeerLeft { .. }), "{heard:?}");
        }
        pair.goes_on().await;
    }
}

#[tokio::test]
async fn from_another_room_nothing_reaches_a_pair() {
    let server = start(config()).await;
    let mut pair = Pair::meet(server.local_addr()).await;
    // She moderates a room, but not theirs.
    let (mut eve, joined) = Client::joined(server.local_addr(), "elsewhere", "Eve").await;
    let (mut mallory, _) = Client::joined(server.local_addr(), "elsewhere", "Mallory").await;
    eve.hear().await;
    let bo = &pair.bo_id;
    let cases = [
        (
            format!(
                r#"{{"type":"signal","room":"pair","to":"{bo}","connection":"c","signal":{{"kind":"end_of_candidates"}}}}"#
            ),
            ErrorCode::UnknownPeer,
        ),
        (format!(r#"{{"type":"remove","room":"pair","peer_id":"{bo}"}}"#), ErrorCode::UnknownPeer),
        (format!(r#"{{"type":"remove","peer_id":"{}"}}"#, joined.peer_id), ErrorCode::SelfSignal),
    ];
    for (text, code) in &cases {
        expect(&mut eve, text, *code).await;
        pair.goes_on().await;
    }
    for text in [r#"{"type":"set_lock","room":"pair","locked":true}"#, r#"{"type":"set_password","password":"mine"}"#] {
        expect(&mut mallory, text, ErrorCode::NotModerator).await;
        eve.say_text(text).await;
        for client in [&mut eve, &mut mallory] {
            let heard = client.hear().await;
            assert!(matches!(heard, ServerMessage::Policy { .. }), "{heard:?}");
        }
        pair.goes_on().await;
    }
    // It is as open as it was.
    Client::joined(server.local_addr(), "pair", "Cleo").await;
}

#[tokio::test]
async fn passwords_cannot_be_tried_for_long_and_those_inside_notice_nothing() {
    let server = start(config()).await;
    let mut pair = Pair::meet(server.local_addr()).await;
    pair.ana.say_text(r#"{"type":"set_password","password":"three green apples"}"#).await;
    for member in [&mut pair.ana, &mut pair.bo] {
        assert!(matches!(member.hear().await, ServerMessage::Policy { .. }));
    }
    let mut eve = Client::greeted(server.local_addr()).await;
    expect(&mut eve, r#"{"type":"join","room":"pair","name":"Eve"}"#, ErrorCode::PasswordRequired).await;
    for guess in 0..12 {
        let code = if guess < 10 { ErrorCode::PasswordWrong } else { ErrorCode::TooManyGuesses };
        eve.say(&join_with("pair", None, Some(format!("guess {guess}")))).await;
        assert_eq!(eve.error().await, code);
        pair.goes_on().await;
    }
    // From another connection, and with the right one: there is nothing to be learnt.
    let mut eve = Client::greeted(server.local_addr()).await;
    eve.say(&join_with("pair", None, Some("three green apples".into()))).await;
    assert_eq!(eve.error().await, ErrorCode::TooManyGuesses);
    pair.goes_on().await;
}

fn join_again(room: &str) -> ClientMessage {
    join_with(room, None, None)
}

fn join_with(room: &str, resume: Option<String>, password: Option<String>) -> ClientMessage {
    let (resume, password) = (resume.map(Secret::from), password.map(Secret::from));
    ClientMessage::Join { room: room.into(), name: "Eve".into(), resume, access: None, password }
}

async fn expect(client: &mut Client, text: &str, code: ErrorCode) {
    client.say_text(text).await;
    assert_eq!(client.error().await, code, "{}", &text[..text.len().min(200)]);
}

#[tokio::test]
async fn an_unknown_version_is_told_before_the_close() {
    let server = start(config()).await;
    let mut client = Client::open(server.local_addr()).await;
    client.say_text(r#"{"type":"hello","versions":[2,3],"client":"from the future"}"#).await;
    assert_eq!(client.closed().await, (Some(ErrorCode::UnsupportedVersion), 4000));
}

#[tokio::test]
async fn a_full_room_and_a_full_server_of_rooms_have_their_codes() {
    let hub = HubConfig { room_capacity: 2, rooms_max: 1, ..HubConfig::default() };
    let server = start(ServerConfig { hub, ..config() }).await;
    let mut pair = Pair::meet(server.local_addr()).await;
    let mut eve = Client::greeted(server.local_addr()).await;
    expect(&mut eve, r#"{"type":"join","room":"pair","name":"Eve"}"#, ErrorCode::RoomFull).await;
    expect(&mut eve, r#"{"type":"join","room":"other","name":"Eve"}"#, ErrorCode::TooManyRooms).await;
    pair.goes_on().await;
}

#[tokio::test]
async fn a_flood_is_limited_and_disturbs_nobody() {
    let hub = HubConfig { message_burst: 60, messages_per_sec: 1, ..HubConfig::default() };
    let server = start(ServerConfig { hub, ..config() }).await;
    let mut pair = Pair::meet(server.local_addr()).await;
    let mut eve = Client::greeted(server.local_addr()).await;
    let mut codes = Vec::new();
    while codes.last() != Some(&ErrorCode::Flooding) {
        eve.say_text(r#"{"type":"leave"}"#).await;
        codes.push(eve.error().await);
        if codes.len() % 10 == 0 {
            pair.goes_on().await;
        }
    }
    assert!(codes.contains(&ErrorCode::RateLimited), "told before the end: {codes:?}");
    assert_eq!(eve.closed().await, (None, 4005));
    pair.goes_on().await;
}

#[tokio::test]
async fn broken_websockets_end_alone() {
    let server = start(config()).await;
    let mut pair = Pair::meet(server.local_addr()).await;
    let long_ping = [&b"\x89\xfe\x01\x00"[..], &[0; 4 + 256]].concat();
    let frames: [&[u8]; 8] = [
        // An unmasked text.
        b"\x81\x02hi",
        // A reserved opcode.
        b"\x83\x80\0\0\0\0",
        // Reserved bits.
        b"\xf1\x80\0\0\0\0",
        // A ping longer than pings may be.
        &long_ping,
        // A continuation of nothing.
        b"\x80\x80\0\0\0\0",
        // A text that is not UTF-8.
        b"\x81\x82\0\0\0\0\xff\xff",
        // A message of 2^62 bytes.
        b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0",
        // A close frame with half a code.
        b"\x88\x81\0\0\0\0\x03",
    ];
    for frame in frames {
        let mut tcp = upgraded(server.local_addr()).await;
        tcp.write_all(frame).await.unwrap();
        pair.goes_on().await;
        // The server ends its side; whether it says more before that is not looked at here.
        let mut rest = Vec::new();
        timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("the connection stays open").unwrap();
        pair.goes_on().await;
    }
    // And a message that never ends.
    let _endless = {
        let mut tcp = upgraded(server.local_addr()).await;
        tcp.write_all(b"\x01\xfe\x10\x00\0\0\0\0abc").await.unwrap();
        tcp
    };
    pair.goes_on().await;
}

async fn upgraded(addr: SocketAddr) -> TcpStream {
    let (answer, tcp) = upgrade(addr, "").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    tcp
}
