//! Whole servers around a real Redis: in this process, and as programs that are killed.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use parlor_proto::{ClientMessage, LeaveReason, PeerId, ServerMessage, Signal};
use parlor_signaling::{HubConfig, RunningServer, ServerConfig, StartError};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::contract::until;
use crate::redis_server::RedisServer;
use crate::support::{Client, config, get, metric, start};

/// Shorter than in earnest, so that a test can wait for its end; long enough to come back within it.
const SHORT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn people_at_three_servers_are_in_one_room() {
    let redis = RedisServer::start().await;
    let servers = [server(&redis).await, server(&redis).await, server(&redis).await];
    let mut clients = Vec::new();
    for server in &servers {
        clients.push(Client::joined(server.local_addr(), "a", "Ana").await);
    }
    let ids: Vec<PeerId> = clients.iter().map(|(_, joined)| joined.peer_id.clone()).collect();
    let found: Vec<_> = clients.iter().map(|(_, joined)| joined.peers.len()).collect();
    assert_eq!(found, [0, 1, 2]);
    let ((ana, _), others) = clients.split_first_mut().unwrap();
    for _ in &mut *others {
        assert!(matches!(ana.hear().await, ServerMessage::PeerJoined { .. }));
    }
    // In order, each to its addressee.
    for number in 0..50 {
        for to in &ids[1..] {
            ana.say(&signal(to, number)).await;
        }
    }
    for (client, _) in others {
        for number in 0..50 {
            assert_eq!(hear_signal(client).await, (ids[0].clone(), number));
        }
    }
    let forwarded = metric(servers[0].local_addr(), "parlor_backplane_forwarded_total").await;
    assert_eq!(forwarded, Some(100));
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_no_ghost() {
    let redis = RedisServer::start().await;
    let alive = server_with_lease(&redis, SHORT).await;
    let (mut ana, _) = Client::joined(alive.local_addr(), "a", "Ana").await;
    let (mut program, addr) = spawn(&["--redis", &redis.url(), "--redis-lease-seconds", "2"]).await;
    let (_bo, bo) = Client::joined(addr, "a", "Bo").await;
    let (_cleo, cleo) = Client::joined(addr, "a", "Cleo").await;
    for _ in 0..2 {
        hear_until(&mut ana, |heard| matches!(heard, ServerMessage::PeerJoined { .. })).await;
    }
    let mut back = Client::greeted(alive.local_addr()).await;
    let killed = Instant::now();
    program.kill().await.unwrap();
    // Whoever comes back elsewhere was never gone.
    let again = back.join("a", "Bo", Some(&bo.token)).await;
    assert_eq!((again.peer_id, again.resumed), (bo.peer_id, true));
    let gone = hear_until(&mut ana, |heard| matches!(heard, ServerMessage::PeerLeft { .. })).await;
    let reason = LeaveReason::Timeout;
    assert_eq!(gone, ServerMessage::PeerLeft { peer_id: cleo.peer_id, reason });
    if std::env::var_os("PARLOR_TIMES").is_some() {
        println!("gone after {:?}", killed.elapsed());
    }
}

#[tokio::test]
async fn a_redis_outage_leaves_the_rooms_of_one_server_working_and_heals() {
    let mut redis = RedisServer::start().await;
    let (one, other) = (server(&redis).await, server(&redis).await);
    let (mut ana, ana_joined) = Client::joined(one.local_addr(), "a", "Ana").await;
    let (mut bo, bo_joined) = Client::joined(other.local_addr(), "a", "Bo").await;
    hear_until(&mut ana, |heard| matches!(heard, ServerMessage::PeerJoined { .. })).await;
    assert_eq!(readiness(&one).await, "ready");
    redis.stop();
    until(async || readiness(&one).await.starts_with("ready, but alone: ")).await;
    assert_eq!(metric(one.local_addr(), "parlor_backplane_up").await, Some(0));
    hear_until(&mut ana, |heard| matches!(heard, ServerMessage::PeerAway { .. })).await;
    // Somebody comes in, and is called.
    let (mut cleo, cleo_joined) = Client::joined(one.local_addr(), "a", "Cleo").await;
    assert_eq!(cleo_joined.peers.len(), 2);
    ana.say(&signal(&cleo_joined.peer_id, 1)).await;
    assert_eq!(hear_signal(&mut cleo).await.0, ana_joined.peer_id);
    // It comes back with nothing in it.
    redis.start_again().await;
    let ids = [ana_joined.peer_id, bo_joined.peer_id, cleo_joined.peer_id];
    for (client, me) in [(&mut ana, &ids[0]), (&mut bo, &ids[1]), (&mut cleo, &ids[2])] {
        comes_to_see(client, others(&ids, me)).await;
    }
    bo.say(&signal(&ids[0], 7)).await;
    assert_eq!(hear_signal(&mut ana).await, (ids[1].clone(), 7));
    until(async || readiness(&one).await == "ready").await;
    assert_eq!(metric(one.local_addr(), "parlor_backplane_losses_total").await, Some(1));
}

#[tokio::test]
async fn a_redis_that_hangs_for_long_costs_nobody_their_place() {
    let redis = RedisServer::start().await;
    let (one, other) = (server_with_lease(&redis, SHORT).await, server_with_lease(&redis, SHORT).await);
    let (mut ana, _) = Client::joined(one.local_addr(), "a", "Ana").await;
    let (_bo, bo) = Client::joined(other.local_addr(), "a", "Bo").await;
    hear_until(&mut ana, |heard| matches!(heard, ServerMessage::PeerJoined { .. })).await;
    redis.signal("-STOP");
    // That is said two seconds after it was noticed: all leases have ended meanwhile.
    hear_until(&mut ana, |heard| matches!(heard, ServerMessage::PeerAway { .. })).await;
    redis.signal("-CONT");
    let heard = hear_until(&mut ana, |heard| !matches!(heard, ServerMessage::PeerAway { .. })).await;
    let ServerMessage::Roster { peers } = heard else { panic!("{heard:?}") };
    assert_eq!(peers.iter().map(|peer| (&peer.peer_id, peer.away)).collect::<Vec<_>>(), [(&bo.peer_id, false)]);
}

#[tokio::test]
async fn a_server_that_stops_leaves_its_people_away_for_another() {
    let redis = RedisServer::start().await;
    let (one, other) = (server(&redis).await, server(&redis).await);
    let (mut ana, _) = Client::joined(one.local_addr(), "a", "Ana").await;
    let (_bo, bo) = Client::joined(other.local_addr(), "a", "Bo").await;
    hear_until(&mut ana, |heard| matches!(heard, ServerMessage::PeerJoined { .. })).await;
    let stopping = tokio::spawn(other.shutdown());
    let away = hear_until(&mut ana, |heard| !matches!(heard, ServerMessage::Policy { .. })).await;
    assert_eq!(away, ServerMessage::PeerAway { peer_id: bo.peer_id.clone() });
    let mut back = Client::greeted(one.local_addr()).await;
    assert_eq!(back.join("a", "Bo", Some(&bo.token)).await.peer_id, bo.peer_id);
    assert!(matches!(ana.hear().await, ServerMessage::PeerBack { .. }));
    drop(_bo);
    stopping.await.unwrap();
}

#[tokio::test]
async fn another_secret_does_not_start_and_a_redis_that_is_away_does() {
    let redis = RedisServer::start().await;
    let _one = server(&redis).await;
    let secret = parlor_signaling::Secret::Given(b"quite another secret".to_vec());
    let refused = parlor_signaling::serve(ServerConfig { secret, ..spanning(&redis) }).await;
    assert!(matches!(refused.err(), Some(StartError::OtherSecret)));
    let mut away = RedisServer::start().await;
    away.stop();
    let alone = start(spanning(&away)).await;
    let (_ana, _) = Client::joined(alone.local_addr(), "a", "Ana").await;
    assert!(
        readiness(&alone).await.starts_with("ready, but alone: Redis is out of reach"),
        "{}",
        readiness(&alone).await
    );
}

pub(crate) fn spanning(redis: &RedisServer) -> ServerConfig {
    ServerConfig { redis: Some(redis.url().parse().unwrap()), ..config() }
}

/// A server that has reached Redis.
pub(crate) async fn server(redis: &RedisServer) -> RunningServer {
    ready(spanning(redis)).await
}

async fn server_with_lease(redis: &RedisServer, lease: Duration) -> RunningServer {
    let config = spanning(redis);
    ready(ServerConfig { hub: HubConfig { lease, ..config.hub }, ..config }).await
}

pub(crate) async fn ready(config: ServerConfig) -> RunningServer {
    let server = start(config).await;
    until(async || readiness(&server).await == "ready").await;
    server
}

pub(crate) async fn readiness(server: &RunningServer) -> String {
    readiness_of(server.local_addr()).await
}

async fn readiness_of(addr: SocketAddr) -> String {
    let answer = get(addr, "/readyz", "").await;
    answer.lines().last().unwrap_or_default().to_owned()
}

/// The program, so that it can be killed, and its flags.
pub(crate) async fn spawn(arguments: &[&str]) -> (Child, SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, b"a secret of the tests").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_parlor-server"))
        .args(["--bind", "127.0.0.1:0", "--ice-server", "none", "--secret-file", secret.to_str().unwrap()])
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let addr = line.rsplit_once("http://").unwrap().1.parse().unwrap();
    until(async || readiness_of(addr).await == "ready").await;
    (child, addr)
}

pub(crate) fn signal(to: &PeerId, number: u32) -> ClientMessage {
    let connection = format!("c{number}").parse().unwrap();
    ClientMessage::Signal { to: to.clone(), connection, signal: Signal::EndOfCandidates }
}

pub(crate) fn others(ids: &[PeerId], me: &PeerId) -> Vec<PeerId> {
    ids.iter().filter(|id| *id != me).cloned().collect()
}

/// The next message of this kind; those before it are dropped.
pub(crate) async fn hear_until(client: &mut Client, is_wanted: impl Fn(&ServerMessage) -> bool) -> ServerMessage {
    loop {
        let heard = client.hear().await;
        if is_wanted(&heard) {
            return heard;
        }
    }
}

/// The next signal, and what else comes before it is of no interest.
pub(crate) async fn hear_signal(client: &mut Client) -> (PeerId, u32) {
    match hear_until(client, |heard| matches!(heard, ServerMessage::Signal { .. })).await {
        ServerMessage::Signal { from, connection, .. } => (from, connection.as_str()[1..].parse().unwrap()),
        other => panic!("{other:?}"),
    }
}

/// Follows the roster from the next one that is told, until these and nobody else are there, none of them away.
pub(crate) async fn comes_to_see(client: &mut Client, mut wanted: Vec<PeerId>) {
    wanted.sort();
    let heard = hear_until(client, |heard| matches!(heard, ServerMessage::Roster { .. })).await;
    let ServerMessage::Roster { mut peers } = heard else { panic!("{heard:?}") };
    loop {
        peers.sort_by(|one, other| one.peer_id.cmp(&other.peer_id));
        if peers.iter().all(|peer| !peer.away) && peers.iter().map(|peer| &peer.peer_id).eq(&wanted) {
            return;
        }
        match client.hear().await {
            ServerMessage::Roster { peers: anew } => peers = anew,
            ServerMessage::PeerJoined { peer } | ServerMessage::PeerBack { peer } => {
                peers.retain(|known| known.peer_id != peer.peer_id);
                peers.push(peer);
            }
            ServerMessage::PeerAway { peer_id } => {
                peers.iter_mut().filter(|peer| peer.peer_id == peer_id).for_each(|peer| peer.away = true);
            }
            ServerMessage::PeerLeft { peer_id, .. } => peers.retain(|known| known.peer_id != peer_id),
            _ => {}
        }
    }
}
