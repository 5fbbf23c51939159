//! A real Redis that sentinels watch, and what becomes of the people when it dies.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use parlor_proto::{ClientMessage, LeaveReason, ServerMessage};
use parlor_signaling::backplane::{Backplane as _, LEASE, Link as _, RedisBackplane, ServerId};
use parlor_signaling::{RunningServer, ServerConfig};

use crate::contract::{claim, until};
use crate::redis_server::RedisServer;
use crate::servers::{comes_to_see, hear_signal, hear_until, others, readiness, ready, signal};
use crate::support::{Client, config, metric};

#[tokio::test]
async fn sentinels_name_the_redis_that_takes_writes() {
    let redis = RedisServer::start().await;
    let mut sentinel = sentinel_of(&redis).await;
    let url = url_of(&sentinel).parse().unwrap();
    let backplane = RedisBackplane::new(url, "secret".to_owned(), LEASE);
    let (link, _events) = backplane.connect(&ServerId::from_random(1)).await.unwrap();
    link.claim(&claim(1, 1)).await.unwrap();
    sentinel.stop();
    // The Redis that was found goes on without them.
    link.claim(&claim(1, 1)).await.unwrap();
}

#[tokio::test]
async fn when_the_master_dies_the_servers_go_on_at_its_replica_and_nobody_is_lost_or_left_over() {
    let (mut master, replica, sentinel) = watched().await;
    let (one, other) = (server(&sentinel).await, server(&sentinel).await);
    let (mut ana, ana_joined) = Client::joined(one.local_addr(), "a", "Ana").await;
    let (mut bo, bo_joined) = Client::joined(other.local_addr(), "a", "Bo").await;
    let (mut cleo, cleo_joined) = Client::joined(other.local_addr(), "a", "Cleo").await;
    until(async || redis_says(&replica, "HGETALL", "parlor:{a}").await.contains(cleo_joined.peer_id.as_str())).await;
    let died = std::time::Instant::now();
    master.stop();
    until(async || readiness(&one).await.starts_with("ready, but alone")).await;
    // Somebody leaves, and somebody comes, while nobody can be told.
    cleo.say(&ClientMessage::Leave).await;
    let gone = hear_until(&mut bo, |heard| matches!(heard, ServerMessage::PeerLeft { .. })).await;
    let reason = LeaveReason::Left;
    assert_eq!(gone, ServerMessage::PeerLeft { peer_id: cleo_joined.peer_id.clone(), reason });
    let (mut dee, dee_joined) = Client::joined(one.local_addr(), "a", "Dee").await;
    until(async || redis_says(&replica, "INFO", "replication").await.contains("role:master")).await;
    for server in [&one, &other] {
        until(async || readiness(server).await == "ready").await;
    }
    let ids = [ana_joined.peer_id, bo_joined.peer_id, dee_joined.peer_id];
    for (client, me) in [(&mut ana, &ids[0]), (&mut bo, &ids[1]), (&mut dee, &ids[2])] {
        comes_to_see(client, others(&ids, me)).await;
    }
    if std::env::var_os("PARLOR_TIMES").is_some() {
        println!("healed after {:?}", died.elapsed());
    }
    bo.say(&signal(&ids[0], 7)).await;
    assert_eq!(hear_signal(&mut ana).await, (ids[1].clone(), 7));
    let (_eli, eli) = Client::joined(other.local_addr(), "a", "Eli").await;
    assert_eq!(eli.peers.len(), 3);
}

#[tokio::test]
async fn a_master_that_becomes_a_replica_is_left_for_the_new_one() {
    let (master, replica, sentinel) = watched().await;
    let (one, other) = (server(&sentinel).await, server(&sentinel).await);
    let (mut ana, ana_joined) = Client::joined(one.local_addr(), "a", "Ana").await;
    let (mut bo, _) = Client::joined(other.local_addr(), "a", "Bo").await;
    redis_says(&sentinel, "SENTINEL FAILOVER", "calls").await;
    until(async || redis_says(&replica, "INFO", "replication").await.contains("role:master")).await;
    // As the sentinel does some seconds later. Nobody can write there from now on.
    redis_says(&master, &format!("REPLICAOF 127.0.0.1 {}", replica.port()), "").await;
    for server in [&one, &other] {
        until(async || {
            let losses = metric(server.local_addr(), "parlor_backplane_losses_total").await;
            losses.is_some_and(|losses| losses > 0) && readiness(server).await == "ready"
        })
        .await;
    }
    assert!(redis_says(&replica, "PUBSUB", "CHANNELS").await.contains("parlor:server:"));
    bo.say(&signal(&ana_joined.peer_id, 3)).await;
    assert_eq!(hear_signal(&mut ana).await.1, 3);
}

/// A master and its replica, in step, and a sentinel that knows both.
async fn watched() -> (RedisServer, RedisServer, RedisServer) {
    let master = RedisServer::with(&["--repl-diskless-sync-delay", "0"]).await;
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &master.port().to_string()]).await;
    until(async || redis_says(&replica, "INFO", "replication").await.contains("master_link_status:up")).await;
    let sentinel = sentinel_of(&master).await;
    until(async || {
        let replicas = redis::cmd("SENTINEL").arg("REPLICAS").arg("calls").to_owned();
        let replicas: Vec<BTreeMap<String, String>> =
            replicas.query_async(&mut sentinel.connection().await).await.unwrap();
        replicas.iter().any(|replica| replica.get("master-link-status").is_some_and(|status| status == "ok"))
    })
    .await;
    (master, replica, sentinel)
}

/// A sentinel that is quick to call a Redis dead.
async fn sentinel_of(master: &RedisServer) -> RedisServer {
    let mut lines = format!("sentinel monitor calls 127.0.0.1 {} 1\n", master.port());
    for (what, ms) in [("down-after-milliseconds", 500), ("failover-timeout", 5_000)] {
        writeln!(lines, "sentinel {what} calls {ms}").unwrap();
    }
    let sentinel = RedisServer::sentinel(&lines).await;
    until(async || redis_says(&sentinel, "SENTINEL MASTERS", "").await.contains("calls")).await;
    sentinel
}

fn url_of(sentinel: &RedisServer) -> String {
    format!("redis-sentinel://127.0.0.1:{}#calls", sentinel.port())
}

async fn server(sentinel: &RedisServer) -> RunningServer {
    ready(ServerConfig { redis: Some(url_of(sentinel).parse().unwrap()), ..config() }).await
}

/// The answer, whatever it is, as text. Sentinel ends all connections of a Redis whose part it changes; then it is asked again.
async fn redis_says(redis: &RedisServer, command: &str, argument: &str) -> String {
    let mut asked = redis::Cmd::new();
    for part in command.split(' ').chain([argument]).filter(|part| !part.is_empty()) {
        asked.arg(part);
    }
    let answer = loop {
        match redis.answer(&asked).await {
            Ok(answer) => break answer,
            Err(error) => assert!(error.is_connection_dropped() && !error.is_connection_refusal(), "{error}"),
        }
    };
    match answer {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        redis::Value::Int(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}
