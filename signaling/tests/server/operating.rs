//! What the operator of a server has set, and what the server tells their machines.

use std::time::Duration;

use parlor_proto::ErrorCode;
use parlor_signaling::{DrainConfig, ServerConfig, TrustedProxies};
use tokio::time::timeout;

use crate::support::{Client, PATIENCE, UPGRADE, config, get, metric, start, upgrade};

fn behind_a_proxy() -> ServerConfig {
    let proxies = TrustedProxies { networks: vec!["127.0.0.0/8".parse().unwrap()], ..TrustedProxies::default() };
    ServerConfig { proxies, connections_per_address: 2, ..config() }
}

#[tokio::test]
async fn pages_of_other_sites_get_no_websocket_and_are_told_why() {
    let allow_origins = vec!["https://friends.example.org".parse().unwrap()];
    let public_url = Some("https://call.example.org".parse().unwrap());
    let server = start(ServerConfig { allow_origins, public_url, ..config() }).await;
    let addr = server.local_addr();
    for origin in ["https://evil.example", "null", &format!("http://{addr}.evil.example")] {
        let answer = get(addr, "/ws", &format!("Connection: upgrade\r\n{UPGRADE}Origin: {origin}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("origin_refused"), "{origin}: {answer}");
    }
    let own = format!("http://{addr}");
    for origin in [&own, "https://friends.example.org", "https://call.example.org"] {
        let (answer, _) = upgrade(addr, &format!("Origin: {origin}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{origin}: {answer}");
    }
    assert!(metric(addr, "parlor_refusals_total{code=\"origin_refused\"}").await == Some(3));
    let links = server.room_links(&"a".parse().unwrap());
    assert_eq!(links[0].to_string(), "https://call.example.org/r/a");
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may_by_the_word_of_the_proxy() {
    let server = start(behind_a_proxy()).await;
    let addr = server.local_addr();
    let ask = async |forwarded: &str| upgrade(addr, &format!("X-Forwarded-For: {forwarded}\r\n")).await;
    let (_, first) = ask("203.0.113.7").await;
    let (_, _second) = ask("2001:db8::1").await;
    let (answer, _third) = ask("198.51.100.1, 203.0.113.7").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // What stands left of the address was written by the client.
    for forwarded in ["203.0.113.7", "198.51.100.2, 203.0.113.7"] {
        let (answer, _) = ask(forwarded).await;
        assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: "), "{answer}");
    }
    let refused = get(addr, "/ws", &format!("Connection: upgrade\r\n{UPGRADE}X-Forwarded-For: 203.0.113.7\r\n")).await;
    assert!(refused.contains("too_many_connections"), "{refused}");
    let (answer, _) = ask("203.0.113.8").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "another address: {answer}");
    // A place comes free when the server has noticed.
    drop(first);
    let again = async { while !ask("203.0.113.7").await.0.starts_with("HTTP/1.1 101 ") {} };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn who_is_no_proxy_of_ours_is_not_believed() {
    let server = start(ServerConfig { connections_per_address: 1, ..config() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let (answer, tcp) = upgrade(server.local_addr(), "X-Forwarded-For: 203.0.113.7\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        held.push(tcp);
    }
}

#[tokio::test]
async fn machines_learn_whether_the_server_is_ready_and_what_it_has_counted() {
    let server = start(ServerConfig { connections_max: Some(2), ..config() }).await;
    let addr = server.local_addr();
    let ready = get(addr, "/readyz", "").await;
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.ends_with("ready\n"), "{ready}");
    let (mut ana, _) = Client::joined(addr, "a", "Ana").await;
    let (mut bo, joined) = Client::joined(addr, "a", "Bo").await;
    let full = get(addr, "/readyz", "").await;
    assert!(full.starts_with("HTTP/1.1 503 ") && full.contains("full: "), "{full}");
    ana.hear().await;
    ana.offer(&joined.peer_id, "an offer").await;
    bo.hear().await;
    bo.say_text("nonsense").await;
    assert_eq!(bo.error().await, ErrorCode::Malformed);
    for (name, value) in [
        ("parlor_rooms", 1),
        ("parlor_peers{presence=\"here\"}", 2),
        ("parlor_peers{presence=\"away\"}", 0),
        ("parlor_websockets", 2),
        ("parlor_joins_total{result=\"new\"}", 2),
        ("parlor_refusals_total{code=\"malformed\"}", 1),
        ("parlor_messages_received_total", 6),
        ("parlor_outboxes_bytes", 0),
        ("parlor_ready", 0),
    ] {
        assert_eq!(metric(addr, name).await, Some(value), "{name}\n{}", get(addr, "/metrics", "").await);
    }
    assert!(metric(addr, "parlor_received_bytes_total").await > Some(100));
    assert!(metric(addr, "parlor_sent_bytes_total").await > Some(100));
    let forwarded = get(addr, "/metrics", "X-Forwarded-For: 203.0.113.7\r\n").await;
    assert!(forwarded.starts_with("HTTP/1.1 403 "), "{forwarded}");
}

#[tokio::test]
async fn metrics_are_for_who_has_the_token_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "a token of the tests\n").unwrap();
    let server = start(ServerConfig { metrics_token_file: Some(file), ..config() }).await;
    let refused = get(server.local_addr(), "/metrics", "").await;
    assert!(refused.starts_with("HTTP/1.1 401 ") && refused.contains("www-authenticate: Bearer"), "{refused}");
    let told = get(server.local_addr(), "/metrics", "Authorization: Bearer a token of the tests\r\n").await;
    assert!(told.starts_with("HTTP/1.1 200 ") && told.contains("parlor_rooms 0\n"), "{told}");
}

#[tokio::test]
async fn a_server_that_stops_sends_new_people_elsewhere_before_it_sends_anybody_away() {
    let drain = DrainConfig { delay: Duration::from_secs(1), ..DrainConfig::default() };
    let server = start(ServerConfig { drain, ..config() }).await;
    let addr = server.local_addr();
    let (mut ana, _) = Client::joined(addr, "a", "Ana").await;
    let stopping = tokio::spawn(server.shutdown());
    let draining = async { while !get(addr, "/readyz", "").await.contains("draining: ") {} };
    timeout(PATIENCE, draining).await.unwrap();
    let heard = ana.hear().await;
    let parlor_proto::ServerMessage::Error { code: ErrorCode::GoingAway, retry_after_ms: Some(wait), .. } = heard
    else {
        panic!("{heard:?}")
    };
    assert!((500..10_000).contains(&wait), "{wait}");
    // Ana has not gone yet, and who comes now is told as much.
    let refused = get(addr, "/ws", &format!("Connection: upgrade\r\n{UPGRADE}")).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("going_away"), "{refused}");
    assert!(get(addr, "/readyz", "").await.starts_with("HTTP/1.1 503 "));
    assert_eq!(ana.closed().await.1, 1001);
    drop(ana);
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
}
