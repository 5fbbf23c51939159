//! Wrong and hostile clients: each is answered with its code, and a pair in a room goes on as if nobody else were there.

use std::net::SocketAddr;

use parlor_proto::{ErrorCode, PeerId, ServerMessage, Signal};
use parlor_signaling::{HubConfig, ServerConfig};
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
