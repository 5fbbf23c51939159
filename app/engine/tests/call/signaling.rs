//! Reaching the server, and being refused.

use futures_util::{SinkExt as _, StreamExt as _};
use parlor_engine::{EndReason, EnginePolicy, ServerAddress, Standby};
use parlor_proto::{ErrorCode, Fingerprint, ServerMessage};
use parlor_session::{Phase, SessionConfig};
use parlor_signaling::{ServerConfig, Tls, serve};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::support::{PATIENCE, address, alone, in_room, join, join_on, join_with, server, server_config};

/// Gives up quickly, so that a test need not wait for a user's patience.
fn impatient() -> EnginePolicy {
    let session = SessionConfig { first_join_timeout: Duration::from_secs(1), ..SessionConfig::default() };
    EnginePolicy { session, ..EnginePolicy::default() }
}

async fn end_of(server: ServerAddress) -> EndReason {
    let ana = join_with(server, "Ana", 440.0, impatient());
    tokio::time::timeout(PATIENCE, ana.call.finished()).await.unwrap()
}

/// The sentence under which a call to an address ends that no second attempt mends.
async fn wrong_address(websocket_url: String) -> String {
    let ana = join(ServerAddress { websocket_url, fingerprint: None }, "Ana", 440.0);
    let reason = tokio::time::timeout(PATIENCE, ana.call.finished()).await.unwrap();
    let EndReason::WrongAddress { message } = reason else { panic!("{reason:?}") };
    message
}

/// Someone who opened a socket ahead joins through a door that ends the first so many connections once they are open and passes
/// the others on; how many came until they were in.
async fn connections_to_join(ended: usize) -> usize {
    let _alone = alone().await;
    let server = server().await;
    let (listener, came) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(AtomicUsize::new(0)));
    let websocket_url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let (counted, inside) = (came.clone(), server.local_addr());
    let (first, mut is_first) = tokio::sync::mpsc::channel(1);
    let door = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            if counted.fetch_add(1, Ordering::Relaxed) < ended {
                drop(accept_async(client).await);
            } else {
                let mut server = TcpStream::connect(inside).await.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
            }
            let _told = first.try_send(());
        }
    });
    let (address, policy) = (ServerAddress { websocket_url, fingerprint: None }, EnginePolicy::default());
    let standby = Standby::open(address.clone(), policy.signaling, &tokio::runtime::Handle::current());
    is_first.recv().await.unwrap();
    let ana = join_on(Some(standby), address, "Ana", 440.0, policy);
    ana.until("in the room", |snapshot| snapshot.room.phase == Phase::InRoom).await;
    ana.leave().await;
    door.abort();
    came.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_begins_on_the_socket_that_was_opened_ahead() {
    assert_eq!(connections_to_join(0).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_socket_ahead_has_ended_opens_another() {
    assert_eq!(connections_to_join(1).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_returned_to_when_it_said() {
    // Without being told, the first attempt follows within 100 ms.
    const WAIT: Duration = Duration::from_millis(700);
    let _alone = alone().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let websocket_url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let ana = join(ServerAddress { websocket_url, fingerprint: None }, "Ana", 440.0);
    let come = async || tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap().0;
    let mut socket = accept_async(come().await).await.unwrap();
    socket.next().await.unwrap().unwrap();
    let told_at = Instant::now();
    let goodbye = ServerMessage::Error {
        code: ErrorCode::GoingAway,
        message: "The server is stopping.".into(),
        to: None,
        retry_after_ms: Some(u64::try_from(WAIT.as_millis()).unwrap()),
    };
    socket.send(Message::text(goodbye.encode())).await.unwrap();
    socket.close(Some(CloseFrame { code: 1001.into(), reason: "".into() })).await.unwrap();
    come().await;
    assert!(told_at.elapsed() >= WAIT, "back after {:?}", told_at.elapsed());
    ana.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_named_in_a_sentence() {
    let _alone = alone().await;
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let reason = end_of(ServerAddress { websocket_url: format!("ws://{unused}/ws"), fingerprint: None }).await;
    let message = format!("The server at {unused} can't be reached: connection refused");
    assert_eq!(reason, EndReason::Unreachable { message });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_named() {
    let _alone = alone().await;
    let said = wrong_address("http://x".to_owned()).await;
    assert!(said.contains("is not the address of a server"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_server_is_known_by_its_fingerprint_only() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let config = ServerConfig {
        tls: Tls::SelfSigned,
        state_dir: Some(folder.path().to_owned()),
        ..server_config(([127, 0, 0, 1], 0).into())
    };
    let server = serve(config).await.unwrap();
    let right = ServerAddress { websocket_url: format!("wss://{}/ws", server.local_addr()), ..address(&server) };
    assert!(right.fingerprint.is_some());
    for (fingerprint, words) in
        [(Some(Fingerprint([7; 32])), "shows another certificate than its link names"), (None, "would end in #fp=")]
    {
        // With a user's patience: this does not wait for it.
        let ana = join(ServerAddress { fingerprint, ..right.clone() }, "Ana", 440.0);
        let reason = tokio::time::timeout(PATIENCE, ana.call.finished()).await.unwrap();
        let EndReason::Untrusted { message } = reason else { panic!("{reason:?}") };
        assert!(message.contains(words), "{message}");
    }
    let said = wrong_address(right.websocket_url.replace("wss:", "ws:")).await;
    assert!(said.contains("its address starts with https"), "{said}");
    let ana = join(right, "Ana", 440.0);
    ana.until("in the room", in_room).await;
    ana.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_says_so_to_whoever_speaks_it() {
    let _alone = alone().await;
    let server = serve(server_config(([127, 0, 0, 1], 0).into())).await.unwrap();
    let said = wrong_address(format!("wss://{}/ws", server.local_addr())).await;
    assert!(said.contains("does not speak TLS"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_than_a_parlor_server_is_recognised() {
    let _alone = alone().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let stranger = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 1_024];
            let _read = socket.read(&mut request).await;
            let _written = socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let said = wrong_address(format!("ws://{at}/ws")).await;
    assert_eq!(said, format!("There is no Parlor server at {at}"));
    stranger.abort();
}
