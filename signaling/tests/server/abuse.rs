//! Every kind of abuse beside a hundred honest people: each of them hears all that is said to them, in order; each
//! abuser is closed with its code; and what waits for all stays within its bound.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use parlor_proto::{ErrorCode, PeerId, ServerMessage, Signal};
use parlor_signaling::{HubConfig, ServerConfig, SocketConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, PATIENCE, config, metric, start};

const OUTBOXES_BYTES_MAX: usize = 1 << 20;

fn server_config(message_burst: u32) -> ServerConfig {
    let sockets = SocketConfig {
        ping_interval: Duration::from_secs(1),
        silence_max: Duration::from_secs(5),
        handshake_timeout: Duration::from_secs(3),
        outboxes_bytes_max: OUTBOXES_BYTES_MAX,
        ..config().sockets
    };
    let hub = HubConfig { message_burst, byte_burst: u32::MAX, ..HubConfig::default() };
    ServerConfig { sockets, hub, ..config() }
}

/// A hundred people, five to a room. Each says something to the next one of the room.
struct Honest {
    addr: SocketAddr,
    people: Vec<(Client, PeerId)>,
    said: u32,
}

impl Honest {
    const IN_EACH_ROOM: usize = 5;

    async fn meet(addr: SocketAddr) -> Self {
        let mut people = Vec::new();
        for number in 0..100 {
            let room = format!("honest-{}", number / Self::IN_EACH_ROOM);
            let (client, joined) = Client::joined(addr, &room, "Honest").await;
            people.push((client, joined.peer_id));
        }
        for (number, (client, _)) in people.iter_mut().enumerate() {
            for _ in number % Self::IN_EACH_ROOM + 1..Self::IN_EACH_ROOM {
                let heard = client.hear().await;
                assert!(matches!(heard, ServerMessage::PeerJoined { .. }), "{heard:?}");
            }
        }
        Self { addr, people, said: 0 }
    }

    /// The very next thing that each hears is what was said to them now.
    async fn all_hear_each_other(&mut self) {
        self.said += 1;
        let text = format!("offer {}", self.said);
        for number in 0..self.people.len() {
            let room = number / Self::IN_EACH_ROOM * Self::IN_EACH_ROOM;
            let next = room + (number + 1) % Self::IN_EACH_ROOM;
            let to = self.people[next].1.clone();
            self.people[number].0.offer(&to, &text).await;
        }
        for (client, _) in &mut self.people {
            let heard = client.hear().await;
            assert!(
                matches!(&heard, ServerMessage::Signal { signal: Signal::Offer { sdp, .. }, .. } if *sdp == text),
                "{heard:?}"
            );
        }
        let held = metric(self.addr, "parlor_outboxes_bytes").await.unwrap();
        assert!(held <= OUTBOXES_BYTES_MAX as u64, "{held} bytes wait");
    }
}

#[tokio::test]
async fn every_abuser_is_closed_with_its_code_beside_a_hundred_who_hear_each_other() {
    // More than a slow reader's accomplice needs.
    let server = start(server_config(300)).await;
    let addr = server.local_addr();
    let mut honest = Honest::meet(addr).await;

    let mut half_open = Vec::new();
    for said in ["", "G", "GET /ws HTTP/1.1\r\n", "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: "].repeat(10) {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(said.as_bytes()).await.unwrap();
        half_open.push(tcp);
    }
    let byte_by_byte = tokio::spawn(byte_by_byte(addr));
    honest.all_hear_each_other().await;

    let mut flood = Client::greeted(addr).await;
    for _ in 0..30 {
        for _ in 0..50 {
            // Fails once the server has closed.
            if !flood.try_say_text(r#"{"type":"leave"}"#).await {
                break;
            }
        }
        honest.all_hear_each_other().await;
        if metric(addr, "parlor_refusals_total{code=\"flooding\"}").await == Some(1) {
            break;
        }
    }
    assert_eq!(flood.closed().await, (Some(ErrorCode::Flooding), 4005));

    let mut slow = slow_reader(addr, &mut honest).await;
    assert_eq!(slow.closed().await, (Some(ErrorCode::TooSlow), 4001));

    for (text, ends) in [
        ("[".repeat(60_000), false),
        (r#"{"type":"#.repeat(7_000), false),
        ("x".repeat(65_537), true),
        ("[".repeat(1_000_000), true),
    ] {
        let mut client = Client::greeted(addr).await;
        client.try_say_text(&text).await;
        if ends {
            assert_eq!(client.closed().await, (Some(ErrorCode::MessageTooLarge), 1009));
        } else {
            assert_eq!(client.error().await, ErrorCode::Malformed);
        }
        honest.all_hear_each_other().await;
    }

    assert_eq!(timeout(PATIENCE, byte_by_byte).await.unwrap().unwrap(), (Some(ErrorCode::Idle), 4004));
    for mut tcp in half_open {
        let mut rest = Vec::new();
        // Ended in order or reset, but ended.
        let _ = timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("the connection stays open");
    }
    honest.all_hear_each_other().await;
}

#[tokio::test]
async fn many_slow_readers_together_hold_no_more_than_the_bound() {
    let server = start(server_config(1_000_000)).await;
    let addr = server.local_addr();
    let (mut sender, _) = Client::joined(addr, "slow", "Sender").await;
    let mut readers = Vec::new();
    for _ in 0..7 {
        let (client, joined) = Client::joined(addr, "slow", "Reader").await;
        sender.hear().await;
        readers.push((client, joined.peer_id));
    }
    // Each of them takes what the system's buffers take, and then a little less than one alone may leave waiting; all of
    // them together too much.
    let sdp = "x".repeat(30 * 1024);
    let mut away = 0;
    while away == 0 {
        for (_, peer_id) in &readers {
            sender.offer(peer_id, &sdp).await;
        }
        // An answer that comes after all of these.
        sender.say_text("nonsense").await;
        while let ServerMessage::PeerAway { .. } = sender.hear().await {
            away += 1;
        }
        let held = metric(addr, "parlor_outboxes_bytes").await.unwrap();
        assert!(held <= OUTBOXES_BYTES_MAX as u64, "{held} bytes wait");
    }
}

/// Sends a message of which a byte comes at a time, and never its end.
async fn byte_by_byte(addr: SocketAddr) -> (Option<ErrorCode>, u16) {
    let mut client = Client::greeted(addr).await;
    client.websocket.get_mut().write_all(b"\x81\xfe\xea\x60\0\0\0\0").await.unwrap();
    let mut last = None;
    loop {
        // The pace is the abuse: often enough that the connection is never quiet.
        match timeout(Duration::from_millis(50), client.websocket.next()).await {
            // Fails once the server has closed; its last words are still to be read.
            Err(_) => drop(client.websocket.get_mut().write_all(b"x").await),
            Ok(Some(Ok(Message::Text(text)))) => {
                if let ServerMessage::Error { code, .. } = ServerMessage::decode(&text).unwrap() {
                    last = Some(code);
                }
            }
            Ok(Some(Ok(Message::Close(frame)))) => return (last, frame.unwrap().code.into()),
            Ok(Some(Ok(_))) => {}
            Ok(other) => panic!("{other:?}"),
        }
    }
}

/// Somebody who reads nothing of what an accomplice sends them, until the server has had enough.
async fn slow_reader(addr: SocketAddr, honest: &mut Honest) -> Client {
    let (mut accomplice, _) = Client::joined(addr, "slow", "Accomplice").await;
    let (slow, joined) = Client::joined(addr, "slow", "Slow").await;
    accomplice.hear().await;
    let sdp = "x".repeat(48 * 1024);
    loop {
        for _ in 0..20 {
            accomplice.offer(&joined.peer_id, &sdp).await;
        }
        honest.all_hear_each_other().await;
        accomplice.say_text("nonsense").await;
        loop {
            match accomplice.hear().await {
                ServerMessage::PeerAway { peer_id } => {
                    assert_eq!(peer_id, joined.peer_id);
                    return slow;
                }
                ServerMessage::Error { code: ErrorCode::Malformed, .. } => break,
                // Once too much: the next round is heard after a while.
                ServerMessage::Error { code: ErrorCode::RateLimited | ErrorCode::UnknownPeer, .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
