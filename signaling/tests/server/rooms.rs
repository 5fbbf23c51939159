//! What people in a room see of each other.

use std::time::Duration;

use futures_util::SinkExt as _;
use parlor_proto::{ClientMessage, ErrorCode, LeaveReason, ServerMessage, Signal};
use parlor_signaling::{HubConfig, Secret, ServerConfig, SocketConfig};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::support::{Client, address_of_its_own, config, start};

#[tokio::test]
async fn two_join_and_exchange_an_offer() {
    let server = start(config()).await;
    let (mut ana, first) = Client::joined(server.local_addr(), "quiet-otter", "Ana").await;
    let (mut bo, second) = Client::joined(server.local_addr(), "Quiet-Otter", "Bo").await;
    assert_eq!(second.peers.len(), 1);
    assert_eq!((&second.peers[0].peer_id, second.peers[0].name.as_str()), (&first.peer_id, "Ana"));
    let heard = ana.hear().await;
    assert!(matches!(&heard, ServerMessage::PeerJoined { peer } if peer.peer_id == second.peer_id), "{heard:?}");

    ana.offer(&second.peer_id, "v=0").await;
    let heard = bo.hear().await;
    let ServerMessage::Signal { from, connection, signal: Signal::Offer { sdp, streams } } = heard else {
        panic!("{heard:?}")
    };
    assert_eq!((from, connection.as_str(), sdp.as_str(), streams.len()), (first.peer_id, "c0ffee", "v=0", 2));
}

#[tokio::test]
async fn a_page_that_closes_leaves_at_once() {
    for code in [1000, 1001] {
        let server = start(config()).await;
        let (mut ana, _) = Client::joined(server.local_addr(), "a", "Ana").await;
        let (mut bo, left) = Client::joined(server.local_addr(), "a", "Bo").await;
        ana.hear().await;
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        bo.websocket.close(Some(frame)).await.unwrap();
        let peer_left = ServerMessage::PeerLeft { peer_id: left.peer_id, reason: LeaveReason::Left };
        assert_eq!(ana.hear().await, peer_left);
        assert_eq!(bo.closed().await, (None, code));
    }
}

#[tokio::test]
async fn a_lost_socket_is_away_then_back_or_gone() {
    let hub = HubConfig { resume_window: Duration::from_millis(300), ..HubConfig::default() };
    let server = start(ServerConfig { hub, ..config() }).await;
    let addr = server.local_addr();
    let (mut ana, _) = Client::joined(addr, "a", "Ana").await;
    let (bo, lost) = Client::joined(addr, "a", "Bo").await;
    ana.hear().await;
    let away = ServerMessage::PeerAway { peer_id: lost.peer_id.clone() };

    drop(bo);
    assert_eq!(ana.hear().await, away);
    let mut bo = Client::greeted(addr).await;
    let back = bo.join("a", "Bo", Some(&lost.token)).await;
    assert_eq!((&back.peer_id, back.resumed), (&lost.peer_id, true));
    // On a machine that stood still meanwhile, Bo was gone already and has joined again, under the same id.
    let peer = match ana.hear().await {
        ServerMessage::PeerBack { peer } => peer,
        ServerMessage::PeerLeft { .. } => match ana.hear().await {
            ServerMessage::PeerJoined { peer } => peer,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(peer.peer_id, lost.peer_id);

    drop(bo);
    assert_eq!(ana.hear().await, away);
    let gone = ServerMessage::PeerLeft { peer_id: lost.peer_id, reason: LeaveReason::Timeout };
    assert_eq!(ana.hear().await, gone);
}

#[tokio::test]
async fn a_client_that_no_longer_answers_is_away() {
    let sockets = SocketConfig {
        ping_interval: Duration::from_millis(100),
        silence_max: Duration::from_secs(3),
        ..config().sockets
    };
    let server = start(ServerConfig { sockets, ..config() }).await;
    let (mut ana, _) = Client::joined(server.local_addr(), "a", "Ana").await;
    // Bo's program stands still: nothing reads its socket, so nothing answers the pings. Ana's goes on.
    let (_bo, silent) = Client::joined(server.local_addr(), "a", "Bo").await;
    ana.hear().await;
    assert_eq!(ana.hear().await, ServerMessage::PeerAway { peer_id: silent.peer_id });
}

#[tokio::test]
async fn a_resume_on_another_socket_replaces_the_first() {
    let server = start(config()).await;
    let (mut old, first) = Client::joined(server.local_addr(), "a", "Ana").await;
    let mut new = Client::greeted(server.local_addr()).await;
    assert_eq!(new.join("a", "Ana", Some(&first.token)).await.peer_id, first.peer_id);
    assert_eq!(old.closed().await, (Some(ErrorCode::Replaced), 4002));
}

#[tokio::test]
async fn a_stopping_server_says_so_and_a_restarted_one_gives_the_same_ids() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = ServerConfig {
        bind: address_of_its_own(1),
        secret: Secret::StateDir,
        state_dir: Some(dir.path().to_owned()),
        ..config()
    };
    let server = start(config.clone()).await;
    config.bind = server.local_addr();
    let addr = server.local_addr();
    let (ana, first) = Client::joined(addr, "a", "Ana").await;
    let (bo, second) = Client::joined(addr, "a", "Bo").await;
    let ((), ana_end, bo_end) = tokio::join!(server.shutdown(), end(ana), end(bo));
    assert_eq!([ana_end, bo_end], [(Some(ErrorCode::GoingAway), 1001); 2]);

    let _server = start(config).await;
    let (mut ana, mut bo) = (Client::greeted(addr).await, Client::greeted(addr).await);
    let bo_again = bo.join("a", "Bo", Some(&second.token)).await;
    assert_eq!((&bo_again.peer_id, bo_again.resumed, bo_again.peers.len()), (&second.peer_id, true, 0));
    let ana_again = ana.join("a", "Ana", Some(&first.token)).await;
    assert_eq!((&ana_again.peer_id, &ana_again.peers[0].peer_id), (&first.peer_id, &second.peer_id));
    let heard = bo.hear().await;
    assert!(matches!(&heard, ServerMessage::PeerJoined { peer } if peer.peer_id == first.peer_id), "{heard:?}");
}

#[tokio::test]
async fn who_does_not_read_is_cut_with_its_code_and_the_others_go_on() {
    // The system's own buffers take more than a client may send at once.
    let hub = HubConfig { byte_burst: 1 << 30, ..HubConfig::default() };
    let server = start(ServerConfig { hub, ..config() }).await;
    let (mut ana, _) = Client::joined(server.local_addr(), "a", "Ana").await;
    let (mut slow, slow_joined) = Client::joined(server.local_addr(), "a", "Slow").await;
    ana.hear().await;
    // Nobody reads `slow`: the system's buffers fill up, then the outbox. Ana reads, and sends until she hears of it.
    let sdp = "x".repeat(48 * 1024);
    let (mut bo, bo_joined) = Client::joined(server.local_addr(), "a", "Bo").await;
    ana.hear().await;
    let away = loop {
        ana.offer(&slow_joined.peer_id, &sdp).await;
        ana.offer(&bo_joined.peer_id, "still there?").await;
        let heard = bo.hear().await;
        if let ServerMessage::PeerAway { peer_id } = heard {
            break peer_id;
        }
        assert!(matches!(heard, ServerMessage::Signal { .. }), "{heard:?}");
    };
    assert_eq!(away, slow_joined.peer_id);
    assert_eq!(ana.hear().await, ServerMessage::PeerAway { peer_id: away });
    assert_eq!(slow.closed().await, (Some(ErrorCode::TooSlow), 4001));
}

#[tokio::test]
async fn a_message_too_large_is_named_before_the_close() {
    let server = start(config()).await;
    let (mut ana, joined) = Client::joined(server.local_addr(), "a", "Ana").await;
    ana.say_text(&" ".repeat(65_537)).await;
    assert_eq!(ana.closed().await, (Some(ErrorCode::MessageTooLarge), 1009));

    // Also where the sender is still sending.
    let mut ana = Client::greeted(server.local_addr()).await;
    assert!(ana.join("a", "Ana", Some(&joined.token)).await.resumed);
    let _ = ana.websocket.feed(Message::text(" ".repeat(300_000))).await;
    let _ = ana.websocket.get_mut().flush().await;
    assert_eq!(ana.closed().await, (Some(ErrorCode::MessageTooLarge), 1009));
}

#[tokio::test]
async fn the_socket_stays_after_a_leave_and_may_join_again() {
    let server = start(config()).await;
    let (mut ana, first) = Client::joined(server.local_addr(), "a", "Ana").await;
    ana.say(&ClientMessage::Leave).await;
    let second = ana.join("b", "Ana", None).await;
    assert_ne!(first.peer_id, second.peer_id);
}

/// Waits until the server closes, then goes.
async fn end(mut client: Client) -> (Option<ErrorCode>, u16) {
    client.closed().await
}
