//! Servers that meet in Redis.
//!
//! A room is one hash, `parlor:{ROOM}`; its name in braces keeps it in one slot of a cluster. What [`super::SharedRooms`]
//! does is done there by two scripts, each at once. Every server listens on one channel of its own, `parlor:server:ID`,
//! for the rooms it has people in and for their messages: one connection hears everything, in the order in which it was said.

mod hearing;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Script, pipe};
use serde::Serialize;
use tokio::time::timeout;

use self::hearing::ear;
use super::encryption::{InvalidRedisTls, explain};
use super::{
    Backplane, Claim, Claimed, Event, Events, Forward, Link, RedisTls, RedisUrl, RoomState, ServerId, Statement,
    Unavailable,
};

/// A connection that takes longer to make is as good as none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Redis answers in well under a millisecond. Whoever joins waits for this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Which secret the servers share.
const SECRET_KEY: &str = "parlor:secret";
/// For so long after the last server is gone, one with another secret is refused.
const SECRET_LASTS_MS: u64 = 60_000;

/// A Redis where servers meet.
#[derive(Clone)]
pub struct RedisBackplane {
    url: RedisUrl,
    tls: RedisTls,
    /// What the shared secret is known by, without giving it away.
    fingerprint: String,
    lease: Duration,
    scripts: Arc<Scripts>,
}

struct Scripts {
    claim: Script,
    state: Script,
}

/// A way to it.
#[derive(Clone)]
pub struct RedisLink {
    commands: MultiplexedConnection,
    channel: String,
    lease_ms: u64,
    scripts: Arc<Scripts>,
}

impl RedisBackplane {
    /// Nothing is reached yet. All servers must have the same `fingerprint`; a part of a room holds for `lease`.
    pub fn new(url: RedisUrl, fingerprint: String, lease: Duration) -> Self {
        let script = |text: &str| Script::new(&[include_str!("redis/room.lua"), text].join("\n"));
        let scripts =
            Scripts { claim: script(include_str!("redis/claim.lua")), state: script(include_str!("redis/state.lua")) };
        Self { url, tls: RedisTls::default(), fingerprint, lease, scripts: Arc::new(scripts) }
    }

    /// With what a Redis over TLS is trusted by, and shown.
    #[must_use]
    pub fn with_tls(self, tls: RedisTls) -> Self {
        Self { tls, ..self }
    }

    /// What is said on this channel, from here on.
    async fn events(&self, client: &Client, channel: &str) -> Result<Events, Unavailable> {
        let (ear, heard) = ear();
        let config = connection_config().set_push_sender(move |push| ear.take(push));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        connection.subscribe(channel).await?;
        let events = heard.stream(connection).filter_map(|payload| async move { event(&payload) });
        Ok(Box::pin(events))
    }

    async fn commands(&self, client: &Client) -> Result<MultiplexedConnection, Unavailable> {
        let mut commands = client.get_multiplexed_async_connection_with_config(&connection_config()).await?;
        self.check_secret(&mut commands).await?;
        // Later they are called by their hash alone.
        self.scripts.claim.load_async(&mut commands).await?;
        self.scripts.state.load_async(&mut commands).await?;
        Ok(commands)
    }

    /// The first server's secret is the one that holds. With different ones, nobody could resume on another server.
    async fn check_secret(&self, commands: &mut MultiplexedConnection) -> Result<(), Unavailable> {
        let mut asked = pipe();
        asked.cmd("SET").arg(SECRET_KEY).arg(&self.fingerprint).arg("NX").arg("PX").arg(SECRET_LASTS_MS).ignore();
        asked.cmd("GET").arg(SECRET_KEY);
        let (held,): (Option<String>,) = asked.query_async(commands).await?;
        match held {
            Some(held) if held != self.fingerprint => Err(Unavailable::OtherSecret),
            Some(_) | None => Ok(()),
        }
    }
}

impl Backplane for RedisBackplane {
    type Link = RedisLink;

    async fn connect(&self, server: &ServerId) -> Result<(RedisLink, Events), Unavailable> {
        let channel = channel(*server);
        let client = within(CONNECT_TIMEOUT, self.url.client(self.tls.read()?)).await?;
        let events = self.events(&client, &channel).await?;
        let commands = self.commands(&client).await?;
        let lease_ms = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        let link = RedisLink { commands, channel, lease_ms, scripts: Arc::clone(&self.scripts) };
        Ok((link, events))
    }
}

fn connection_config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT))
}

fn channel(server: ServerId) -> String {
    format!("parlor:server:{server}")
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, Unavailable> {
    match timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Unavailable::Unreachable(format!("it did not answer within {} s", limit.as_secs()))),
    }
}

fn event(payload: &[u8]) -> Option<Event> {
    serde_json::from_slice(payload)
        .inspect_err(|error| tracing::warn!(%error, "another server says what this one does not understand"))
        .ok()
}

impl Link for RedisLink {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, Unavailable> {
        let call = self.call(&self.scripts.claim, claim.room.as_str(), claim)?;
        let (outcome, state): (String, String) = call.query_async(&mut self.commands.clone()).await?;
        match outcome.as_str() {
            "admitted" => Ok(Claimed::Admitted(room_state(&state)?)),
            "full" => Ok(Claimed::Full),
            "outdated" => Ok(Claimed::Outdated(room_state(&state)?)),
            _ => Err(Unavailable::Unreachable(format!("its script says {outcome}"))),
        }
    }

    async fn state(&self, statements: &[Statement]) -> Result<Vec<Option<RoomState>>, Unavailable> {
        let mut calls = pipe();
        for statement in statements {
            calls.add_command(self.call(&self.scripts.state, statement.room.as_str(), statement)?);
        }
        let answers: Vec<Option<String>> = calls.query_async(&mut self.commands.clone()).await?;
        answers.iter().map(|answer| answer.as_deref().map(room_state).transpose()).collect()
    }

    async fn forward(&self, forwards: &[Forward]) -> Result<Vec<bool>, Unavailable> {
        let mut calls = pipe();
        for forward in forwards {
            calls.publish(channel(forward.server), text(&Event::Forwarded(forward.clone()))?);
        }
        let heard: Vec<u64> = calls.query_async(&mut self.commands.clone()).await?;
        Ok(heard.into_iter().map(|servers| servers > 0).collect())
    }

    async fn echo(&self, number: u64) -> Result<(), Unavailable> {
        let mut calls = pipe();
        calls.publish(&self.channel, text(&Event::Echo(number))?).ignore();
        calls.pexpire(SECRET_KEY, i64::try_from(SECRET_LASTS_MS).unwrap_or(i64::MAX)).ignore();
        Ok(calls.query_async(&mut self.commands.clone()).await?)
    }
}

impl RedisLink {
    fn call(&self, script: &Script, room: &str, said: &impl Serialize) -> Result<Cmd, Unavailable> {
        let mut call = Cmd::new();
        call.arg("EVALSHA").arg(script.get_hash()).arg(1);
        call.arg(format!("parlor:{{{room}}}")).arg(text(said)?).arg(self.lease_ms);
        Ok(call)
    }
}

fn text(said: &impl Serialize) -> Result<String, Unavailable> {
    serde_json::to_string(said).map_err(|error| Unavailable::Unreachable(format!("this cannot be said ({error})")))
}

fn room_state(text: &str) -> Result<RoomState, Unavailable> {
    serde_json::from_str(text).map_err(|error| Unavailable::Unreachable(format!("a room cannot be read ({error})")))
}

impl From<RedisError> for Unavailable {
    fn from(error: RedisError) -> Self {
        Self::Unreachable(explain(&error).unwrap_or_else(|| error.to_string()))
    }
}

impl From<InvalidRedisTls> for Unavailable {
    fn from(error: InvalidRedisTls) -> Self {
        Self::Unreachable(error.to_string())
    }
}
