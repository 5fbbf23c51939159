//! Rooms that are not open to everyone, with people at two servers around a real Redis.

use parlor_proto::{ClientMessage, ErrorCode, LeaveReason, PeerId, ResumeToken, RoomPolicy, ServerMessage};
use parlor_signaling::{GuessConfig, HubConfig, ServerConfig};

use crate::redis_server::RedisServer;
use crate::servers::{hear_until, ready, server, spanning};
use crate::support::Client;

const PASSWORD: &str = "drei grüne Äpfel";

#[tokio::test]
async fn a_room_locked_at_one_server_lets_nobody_new_in_at_another() {
    let redis = RedisServer::start().await;
    let (one, other, third) = (server(&redis).await, server(&redis).await, server(&redis).await);
    let (mut ana, _) = Client::joined(one.local_addr(), "a", "Ana").await;
    let (mut bo, bo_joined) = Client::joined(other.local_addr(), "a", "Bo").await;
    ana.say(&ClientMessage::SetLock { locked: true }).await;
    hears_policy(&mut bo, |policy| policy.locked).await;
    // Where somebody is already, and where nobody has heard of the room.
    let mut cleo = Client::greeted(other.local_addr()).await;
    let mut dee = Client::greeted(third.local_addr()).await;
    assert_eq!(refused(&mut cleo, None, None).await, ErrorCode::RoomLocked);
    assert_eq!(refused(&mut dee, None, None).await, ErrorCode::RoomLocked);
    // Whoever was inside comes back, at any of them; and does not moderate for that.
    let mut bo = Client::greeted(third.local_addr()).await;
    assert_eq!(bo.join("a", "Bo", Some(&bo_joined.token)).await.peer_id, bo_joined.peer_id);
    bo.say(&ClientMessage::SetLock { locked: false }).await;
    assert_eq!(hears_error(&mut bo).await, ErrorCode::NotModerator);
    ana.say(&ClientMessage::SetLock { locked: false }).await;
    hears_policy(&mut bo, |policy| !policy.locked).await;
    let cleo = cleo.join("a", "Cleo", None).await;
    assert_eq!(cleo.peers.len(), 2);
}

#[tokio::test]
async fn a_password_set_at_one_server_is_asked_for_at_another_and_each_limits_guesses() {
    let redis = RedisServer::start().await;
    let config = spanning(&redis);
    let guesses = GuessConfig { per_room: 2, ..GuessConfig::default() };
    let config = ServerConfig { hub: HubConfig { guesses, ..config.hub.clone() }, ..config };
    let (one, other) = (ready(config.clone()).await, ready(config).await);
    let (mut ana, _) = Client::joined(one.local_addr(), "a", "Ana").await;
    let (mut bo, _) = Client::joined(other.local_addr(), "a", "Bo").await;
    ana.say(&ClientMessage::SetPassword { password: Some(PASSWORD.into()) }).await;
    hears_policy(&mut bo, |policy| policy.has_password).await;
    let mut cleo = Client::greeted(other.local_addr()).await;
    assert_eq!(refused(&mut cleo, None, None).await, ErrorCode::PasswordRequired);
    say_join(&mut cleo, None, Some(PASSWORD)).await;
    assert_eq!(cleo.hear_joined().await.peers.len(), 2);
    let mut guesser = Client::greeted(other.local_addr()).await;
    for _ in 0..2 {
        assert_eq!(refused(&mut guesser, None, Some("pears")).await, ErrorCode::PasswordWrong);
    }
    assert_eq!(refused(&mut guesser, None, Some(PASSWORD)).await, ErrorCode::TooManyGuesses);
    // Each server counts for itself.
    let mut dee = Client::greeted(one.local_addr()).await;
    say_join(&mut dee, None, Some(PASSWORD)).await;
    assert_eq!(dee.hear_joined().await.peers.len(), 3);
}

#[tokio::test]
async fn who_is_removed_from_another_server_is_cut_there_and_comes_back_at_none() {
    let redis = RedisServer::start().await;
    let (one, other) = (server(&redis).await, server(&redis).await);
    let (mut ana, ana_joined) = Client::joined(one.local_addr(), "a", "Ana").await;
    let (mut bo, bo_joined) = Client::joined(other.local_addr(), "a", "Bo").await;
    let (mut cleo, _) = Client::joined(other.local_addr(), "a", "Cleo").await;
    cleo.say(&ClientMessage::Remove { peer_id: ana_joined.peer_id.clone() }).await;
    assert_eq!(hears_error(&mut cleo).await, ErrorCode::NotModerator);
    ana.say(&ClientMessage::Remove { peer_id: bo_joined.peer_id.clone() }).await;
    assert_eq!(bo.closed().await, (Some(ErrorCode::Removed), 4003));
    for client in [&mut ana, &mut cleo] {
        assert_eq!(hears_left(client).await, (bo_joined.peer_id.clone(), LeaveReason::Removed));
    }
    for addr in [one.local_addr(), other.local_addr()] {
        let mut again = Client::greeted(addr).await;
        assert_eq!(refused(&mut again, Some(&bo_joined.token), None).await, ErrorCode::Removed);
    }
    // Who moderates next does so from the other server.
    let (mut eli, _) = Client::joined(one.local_addr(), "a", "Eli").await;
    ana.say(&ClientMessage::Leave).await;
    assert_eq!(hears_left(&mut cleo).await, (ana_joined.peer_id, LeaveReason::Left));
    hears_policy(&mut cleo, |policy| policy.may_moderate).await;
    cleo.say(&ClientMessage::SetLock { locked: true }).await;
    hears_policy(&mut eli, |policy| policy.locked && !policy.may_moderate).await;
    let mut dee = Client::greeted(one.local_addr()).await;
    assert_eq!(refused(&mut dee, None, None).await, ErrorCode::RoomLocked);
}

async fn say_join(client: &mut Client, resume: Option<&ResumeToken>, password: Option<&str>) {
    let message = ClientMessage::Join {
        room: "a".into(),
        name: "Newcomer".into(),
        resume: resume.map(|token| token.as_str().into()),
        access: None,
        password: password.map(Into::into),
    };
    client.say(&message).await;
}

async fn refused(client: &mut Client, resume: Option<&ResumeToken>, password: Option<&str>) -> ErrorCode {
    say_join(client, resume, password).await;
    client.error().await
}

async fn hears_policy(client: &mut Client, is_wanted: impl Fn(&RoomPolicy) -> bool) {
    hear_until(client, |heard| matches!(heard, ServerMessage::Policy { policy, .. } if is_wanted(policy))).await;
}

async fn hears_error(client: &mut Client) -> ErrorCode {
    match hear_until(client, |heard| matches!(heard, ServerMessage::Error { .. })).await {
        ServerMessage::Error { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

async fn hears_left(client: &mut Client) -> (PeerId, LeaveReason) {
    match hear_until(client, |heard| matches!(heard, ServerMessage::PeerLeft { .. })).await {
        ServerMessage::PeerLeft { peer_id, reason } => (peer_id, reason),
        other => panic!("{other:?}"),
    }
}
