//! A real Redis of a test's own, and what only Redis has: links that break, a secret that is checked.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt as _;
use parlor_signaling::backplane::{Backplane, Event, LEASE, Link as _, RedisBackplane, ServerId, Unavailable};
use tempfile::TempDir;

/// A Redis that keeps nothing, on a free port of loopback; it ends with this.
pub(crate) struct RedisServer {
    process: Child,
    port: u16,
    arguments: Vec<String>,
    dir: TempDir,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With further lines of configuration, as arguments.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = spawn(port, &arguments, &dir);
        let server = Self { process, port, arguments, dir };
        server.answers().await;
        server
    }

    /// A sentinel, with these lines of configuration.
    pub(crate) async fn sentinel(lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (file, port) = (dir.path().join("sentinel.conf"), free_port());
        std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{lines}")).unwrap();
        let mut command = Command::new("redis-server");
        let process = command.arg(&file).arg("--sentinel").stdout(Stdio::null()).spawn().unwrap();
        let server = Self { process, port, arguments: Vec::new(), dir };
        server.answers().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn backplane(&self, lease: Duration) -> RedisBackplane {
        RedisBackplane::new(self.url().parse().unwrap(), "secret".to_owned(), lease)
    }

    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(self.port, &self.arguments, &self.dir);
        self.answers().await;
    }

    /// `SIGSTOP` or `SIGCONT`: a machine that hangs, and comes back.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// What it answers on a connection of its own.
    pub(crate) async fn answer(&self, asked: &redis::Cmd) -> redis::RedisResult<redis::Value> {
        let mut connection = redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await?;
        asked.query_async(&mut connection).await
    }

    async fn answers(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut waited = 0;
        while client.get_multiplexed_async_connection().await.is_err() {
            waited += 1;
            assert!(waited < 1_000, "redis-server does not answer: is it installed? `cargo xtask test` installs it");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Fails where it has been stopped already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16, arguments: &[String], dir: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--daemonize", "no", "--dir", dir.path().to_str().unwrap()])
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server starts: `cargo xtask test` installs it")
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_server_with_another_secret_is_told_so() {
    let redis = RedisServer::start().await;
    let backplane = redis.backplane(LEASE);
    let (link, _events) = backplane.connect(&ServerId::from_random(1)).await.unwrap();
    let other = RedisBackplane::new(redis.url().parse().unwrap(), "another".to_owned(), LEASE);
    let refused = other.connect(&ServerId::from_random(2)).await.err();
    assert_eq!(refused, Some(Unavailable::OtherSecret));
    link.echo(1).await.unwrap();
    let lasts: i64 = redis::cmd("PTTL").arg("parlor:secret").query_async(&mut redis.connection().await).await.unwrap();
    assert!((1..=60_000).contains(&lasts), "{lasts} ms");
}

#[tokio::test]
async fn a_user_with_the_documented_rights_is_enough() {
    let rights = include_str!("../../OPERATING.md").split("`~parlor:* ").nth(1).unwrap().split('`').next().unwrap();
    let mut arguments = vec!["--user", "parlor", "on", ">secret", "~parlor:*"];
    arguments.extend(rights.split(' '));
    let redis = RedisServer::with(&arguments).await;
    let url = format!("redis://parlor:secret@127.0.0.1:{}", redis.port()).parse().unwrap();
    let backplane = RedisBackplane::new(url, "secret".to_owned(), LEASE);
    let (link, mut events) = backplane.connect(&ServerId::from_random(1)).await.unwrap();
    link.claim(&crate::contract::claim(1, 1)).await.unwrap();
    link.state(&[crate::contract::statement(1)]).await.unwrap();
    link.echo(1).await.unwrap();
    assert_eq!(events.next().await, Some(Event::Echo(1)));
}

#[tokio::test]
async fn a_redis_that_hangs_is_out_of_reach_and_not_waited_for() {
    let redis = RedisServer::start().await;
    let backplane = redis.backplane(LEASE);
    let (link, _events) = backplane.connect(&ServerId::from_random(1)).await.unwrap();
    redis.signal("-STOP");
    assert!(matches!(link.echo(1).await, Err(Unavailable::Unreachable(_))));
    assert!(matches!(backplane.connect(&ServerId::from_random(1)).await.err(), Some(Unavailable::Unreachable(_))));
    redis.signal("-CONT");
    assert!(backplane.connect(&ServerId::from_random(1)).await.is_ok());
}

#[tokio::test]
async fn a_redis_that_restarts_breaks_the_link_and_the_next_one_works() {
    let mut redis = RedisServer::start().await;
    let backplane = redis.backplane(LEASE);
    let (link, mut events) = backplane.connect(&ServerId::from_random(1)).await.unwrap();
    redis.stop();
    assert_eq!(events.next().await, None);
    assert!(link.echo(1).await.is_err());
    redis.start_again().await;
    let (link, _events) = backplane.connect(&ServerId::from_random(1)).await.unwrap();
    link.claim(&crate::contract::claim(1, 1)).await.unwrap();
}

#[tokio::test]
async fn rooms_of_nobody_do_not_stay_in_redis() {
    let redis = RedisServer::start().await;
    let (link, _events) = redis.backplane(Duration::from_millis(50)).connect(&ServerId::from_random(1)).await.unwrap();
    link.claim(&crate::contract::claim(1, 1)).await.unwrap();
    let mut connection = redis.connection().await;
    let keys = async |connection: &mut _| -> Vec<String> {
        redis::cmd("KEYS").arg("parlor:{*").query_async(connection).await.unwrap()
    };
    assert_eq!(keys(&mut connection).await, ["parlor:{quiet-otter}"]);
    crate::contract::until(async || keys(&mut connection).await.is_empty()).await;
}
