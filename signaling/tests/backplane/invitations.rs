//! Access tokens, with people at two servers around a real Redis.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parlor_proto::{ClientMessage, ErrorCode, PeerId, ResumeToken, ServerMessage};
use parlor_signaling::{AccessClaims, AccessKey, AccessSigner, HubConfig, RunningServer, ServerConfig};

use crate::contract::until;
use crate::redis_server::RedisServer;
use crate::servers::{hear_signal, hear_until, ready, signal, spanning};
use crate::support::{Client, Joined};

const KEY: &[u8] = b"a key of the tests, of 32 bytes.";
/// For how long after `exp` clocks may disagree.
const LEEWAY_SECS: u64 = 30;

#[tokio::test]
async fn an_access_token_is_one_person_at_all_servers_together() {
    let redis = RedisServer::start().await;
    let [one, other] = two_servers(&redis, HubConfig::default().token_lifetime).await;
    let token = access_token(3_600, false);
    let (mut ana, ana_joined) = joined(&one, &token).await;
    let (mut bo, bo_joined) = joined(&other, &access_token(3_600, false)).await;
    assert_eq!(bo_joined.peers.len(), 1);
    // The token is used a second time, elsewhere: its bearer has moved there, and nobody else is told anything.
    let (mut again, moved) = joined(&other, &token).await;
    assert_eq!((&moved.peer_id, moved.resumed, moved.peers.len()), (&ana_joined.peer_id, true, 1));
    assert_eq!(ana.closed().await, (Some(ErrorCode::Replaced), 4002));
    bo.say(&signal(&moved.peer_id, 1)).await;
    assert_eq!(hear_signal(&mut again).await, (bo_joined.peer_id.clone(), 1));
    again.say(&signal(&bo_joined.peer_id, 2)).await;
    match bo.hear().await {
        ServerMessage::Signal { from, .. } => assert_eq!(from, ana_joined.peer_id),
        other => panic!("{other:?}"),
    }
    // And back, which the first server has to hear of from the other.
    let (mut ana, back) = joined(&one, &token).await;
    assert_eq!((&back.peer_id, back.peers.len()), (&ana_joined.peer_id, 1));
    assert_eq!(again.closed().await, (Some(ErrorCode::Replaced), 4002));
    bo.say(&signal(&back.peer_id, 3)).await;
    assert_eq!(hear_signal(&mut ana).await.1, 3);
}

#[tokio::test]
async fn an_invitation_to_moderate_holds_at_each_server_and_no_other_does() {
    let redis = RedisServer::start().await;
    let [one, other] = two_servers(&redis, HubConfig::default().token_lifetime).await;
    // The first in the room is nobody special here.
    let (mut bo, _) = joined(&one, &access_token(3_600, false)).await;
    let (mut ana, ana_joined) = joined(&other, &access_token(3_600, true)).await;
    bo.say(&ClientMessage::SetLock { locked: true }).await;
    hear_until(&mut bo, |heard| error(heard) == Some(ErrorCode::NotModerator)).await;
    ana.say(&ClientMessage::SetLock { locked: true }).await;
    hear_until(&mut bo, |heard| locked(heard) == Some(true)).await;
    let mut cleo = Client::greeted(one.local_addr()).await;
    say_join(&mut cleo, Some(&access_token(3_600, false)), None).await;
    assert_eq!(cleo.error().await, ErrorCode::RoomLocked);
    // By a resume token, without the invitation, at the other server.
    let mut ana = resumed(&one, &ana_joined.token).await.unwrap().0;
    ana.say(&ClientMessage::SetLock { locked: false }).await;
    hear_until(&mut bo, |heard| locked(heard) == Some(false)).await;
}

#[tokio::test]
async fn an_invitation_ends_at_each_server_however_often_its_bearer_changes_them() {
    let redis = RedisServer::start().await;
    // Resume tokens are good until `exp` and this, which is in three seconds: `exp` itself has passed, as far as clocks may.
    let lifetime = LEEWAY_SECS - 1;
    let servers = two_servers(&redis, Duration::from_secs(lifetime)).await;
    let expires_at = unix_secs() - (LEEWAY_SECS - 4);
    let (mut ana, mut last) = joined(&servers[0], &token_until(expires_at, false)).await;
    assert_eq!(invited_until(&redis, &last.peer_id).await, Some(expires_at + lifetime));
    let (mut moves, mut refusal) = (0, None);
    until(async || {
        moves += 1;
        match resumed(&servers[moves % 2], &last.token).await {
            Ok((client, joined)) => {
                assert_eq!(joined.peer_id, last.peer_id);
                assert_eq!(invited_until(&redis, &joined.peer_id).await, Some(expires_at + lifetime));
                (ana, last) = (client, joined);
            }
            Err(code) => refusal = Some(code),
        }
        refusal.is_some()
    })
    .await;
    assert_eq!(refusal, Some(ErrorCode::AccessRequired));
    assert!(moves > 2, "{moves} moves");
    assert!(unix_secs() >= expires_at + lifetime);
    drop(ana);
}

/// Servers that ask for access tokens, and have reached Redis.
async fn two_servers(redis: &RedisServer, token_lifetime: Duration) -> [RunningServer; 2] {
    let config = spanning(redis);
    let access = Some(AccessKey::from_file_content(KEY).unwrap());
    let config = ServerConfig { hub: HubConfig { access, token_lifetime, ..config.hub.clone() }, ..config };
    [ready(config.clone()).await, ready(config).await]
}

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn access_token(secs: u64, moderate: bool) -> String {
    token_until(unix_secs() + secs, moderate)
}

fn token_until(expires_at: u64, moderate: bool) -> String {
    let claims = AccessClaims { room: "a".parse().unwrap(), expires_at, name: None, moderate };
    AccessSigner::from_file_content(KEY).unwrap().sign(&claims).unwrap()
}

async fn say_join(client: &mut Client, access: Option<&str>, resume: Option<&ResumeToken>) {
    let message = ClientMessage::Join {
        room: "a".into(),
        name: "Somebody".into(),
        resume: resume.map(|token| token.as_str().into()),
        access: access.map(Into::into),
        password: None,
    };
    client.say(&message).await;
}

async fn joined(server: &RunningServer, access: &str) -> (Client, Joined) {
    let mut client = Client::greeted(server.local_addr()).await;
    say_join(&mut client, Some(access), None).await;
    let joined = client.hear_joined().await;
    (client, joined)
}

/// Comes back by a resume token alone, or is refused with a code.
async fn resumed(server: &RunningServer, token: &ResumeToken) -> Result<(Client, Joined), ErrorCode> {
    let mut client = Client::greeted(server.local_addr()).await;
    say_join(&mut client, None, Some(token)).await;
    match client.hear().await {
        ServerMessage::Joined { peer_id, resume_token: token, resumed, peers, .. } => {
            Ok((client, Joined { peer_id, token, resumed, peers }))
        }
        ServerMessage::Error { code, .. } => Err(code),
        other => panic!("{other:?}"),
    }
}

/// Until when somebody's resume tokens are good, as the servers tell each other.
async fn invited_until(redis: &RedisServer, peer_id: &PeerId) -> Option<u64> {
    let mut ask = redis::cmd("HGET");
    ask.arg("parlor:{a}").arg(format!("m:{peer_id}"));
    let member: String = ask.query_async(&mut redis.connection().await).await.unwrap();
    serde_json::from_str::<serde_json::Value>(&member).unwrap()["invited_until"].as_u64()
}

fn error(heard: &ServerMessage) -> Option<ErrorCode> {
    match heard {
        ServerMessage::Error { code, .. } => Some(*code),
        _ => None,
    }
}

fn locked(heard: &ServerMessage) -> Option<bool> {
    match heard {
        ServerMessage::Policy { policy, .. } => Some(policy.locked),
        _ => None,
    }
}
