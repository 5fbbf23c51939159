//! What servers rely on when they share rooms. Each sentence holds in memory and in Redis.

use std::time::Duration;

use futures_util::StreamExt as _;
use parlor_proto::{PeerId, RoomId, ServerMessage};
use parlor_signaling::backplane::{
    Backplane, Claim, Claimed, Event, Events, Forward, LEASE, Link, MemoryBackplane, RoomState, ServerId, SharedMember,
    SharedPolicy, Statement,
};

use crate::redis_server::RedisServer;

/// Runs each sentence over both.
macro_rules! contract {
    ($($(#[$meta:meta])* $name:ident($lease:expr);)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::MemoryBackplane::new($lease)).await;
            })*
        }
        mod redis {
            $(#[tokio::test]
            async fn $name() {
                let redis = super::RedisServer::start().await;
                super::$name(redis.backplane($lease)).await;
            })*
        }
    };
}

/// So short that a test can wait for its end.
const SHORT: std::time::Duration = std::time::Duration::from_millis(300);

contract! {
    who_comes_in_is_told_to_the_other_servers_of_the_room(super::LEASE);
    of_many_who_come_at_once_no_more_come_in_than_there_are_places(super::LEASE);
    who_was_judged_under_another_policy_is_judged_again(super::LEASE);
    who_comes_in_on_another_server_moves_there_with_place_and_name(super::LEASE);
    a_part_that_is_stated_again_changes_nothing(super::LEASE);
    a_part_replaces_the_earlier_one_and_says_who_left(super::LEASE);
    a_part_that_is_not_stated_again_ends_and_one_that_is_does_not(super::SHORT);
    a_server_that_was_out_of_reach_itself_lets_no_lease_end(super::SHORT);
    two_policies_at_once_become_one_and_the_other_server_learns_it(super::LEASE);
    who_came_in_out_of_reach_is_taken_in_above_capacity(super::LEASE);
    of_two_who_hold_one_person_the_one_they_came_to_later_keeps_them(super::LEASE);
    a_room_that_was_forgotten_comes_back_with_its_order_and_a_later_version(super::SHORT);
    messages_reach_their_server_in_order_and_nobody_else(super::LEASE);
    what_is_said_to_a_server_that_is_not_there_is_known_not_to_be_heard(super::LEASE);
    a_server_hears_itself(super::LEASE);
    a_server_that_does_not_listen_is_cut_off_and_then_reads_its_rooms(super::LEASE);
}

struct Server<L> {
    id: ServerId,
    link: L,
    events: Events,
}

impl<L: Link> Server<L> {
    async fn new(backplane: &impl Backplane<Link = L>, number: u128) -> Self {
        let id = ServerId::from_random(number);
        let (link, events) = backplane.connect(&id).await.unwrap();
        Self { id, link, events }
    }

    async fn claim(&self, peer: u128) -> Claimed {
        self.claim_with(peer, |_| {}).await
    }

    async fn claim_with(&self, peer: u128, change: impl FnOnce(&mut Claim)) -> Claimed {
        let mut claim = claim(0, peer);
        claim.member.server = self.id;
        claim.judged = Some("1".to_owned());
        change(&mut claim);
        self.link.claim(&claim).await.unwrap()
    }

    async fn admitted(&self, peer: u128) -> RoomState {
        admitted(self.claim(peer).await)
    }

    async fn state(&self, members: &[SharedMember], change: impl FnOnce(&mut Statement)) -> Option<RoomState> {
        let mut statement = Statement { server: self.id, members: members.to_vec(), ..statement(0) };
        change(&mut statement);
        self.link.state(&[statement]).await.unwrap().remove(0)
    }

    /// Waits until nobody is in this room, as far as leases say.
    async fn forgotten(&self, room: &str) {
        let stays = |statement: &mut Statement| {
            statement.room = room.parse().unwrap();
            statement.claiming = ids(&[1, 2, 9]);
        };
        until(async || self.state(&[], stays).await.is_none_or(|state| state.members.is_empty())).await;
    }

    /// The next room that it hears of.
    async fn hears(&mut self) -> RoomState {
        match self.event().await {
            Event::Room(state) => state,
            other => panic!("{other:?}"),
        }
    }

    async fn event(&mut self) -> Event {
        tokio::time::timeout(Duration::from_secs(20), self.events.next()).await.expect("something is said").unwrap()
    }

    /// Nothing was said to it before this.
    async fn hears_nothing(&mut self) {
        self.link.echo(77).await.unwrap();
        assert_eq!(self.event().await, Event::Echo(77));
    }

    fn member(&self, peer: u128) -> SharedMember {
        SharedMember { server: self.id, ..claim(0, peer).member }
    }
}

fn room() -> RoomId {
    "quiet-otter".parse().unwrap()
}

fn policy(tag: &str) -> SharedPolicy {
    SharedPolicy { tag: tag.to_owned(), text: format!("policy/{tag} \u{1f511}") }
}

pub(crate) fn claim(server: u128, peer: u128) -> Claim {
    let member = SharedMember {
        peer_id: PeerId::from_random(peer),
        name: format!("Ana \"{peer}\" ‹ä/›").parse().unwrap(),
        server: ServerId::from_random(server),
        away: false,
        moderates: false,
        invited_until: None,
        order: 0,
        seated_at_ms: 1_760_000_000_000,
    };
    Claim { room: room(), member, capacity: 3, judged: None, founding: policy("1"), expires: true }
}

/// Of a server that has nobody there.
pub(crate) fn statement(server: u128) -> Statement {
    Statement {
        room: room(),
        server: ServerId::from_random(server),
        known: 0,
        members: Vec::new(),
        claiming: Vec::new(),
        left: Vec::new(),
        policy: None,
        base: None,
        expires: true,
    }
}

fn admitted(claimed: Claimed) -> RoomState {
    match claimed {
        Claimed::Admitted(state) => state,
        other => panic!("{other:?}"),
    }
}

fn peers(state: &RoomState) -> Vec<&PeerId> {
    state.members.iter().map(|member| &member.peer_id).collect()
}

fn ids(peers: &[u128]) -> Vec<PeerId> {
    peers.iter().map(|peer| PeerId::from_random(*peer)).collect()
}

/// Asks until it is so.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("it becomes so");
}

async fn who_comes_in_is_told_to_the_other_servers_of_the_room(backplane: impl Backplane) {
    let (mut a, mut b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    let mut stranger = Server::new(&backplane, 3).await;
    let first = admitted(a.claim_with(9, |claim| claim.judged = None).await);
    assert_eq!((first.policy.clone(), first.members.len()), (Some(policy("1")), 1));
    let second = b.admitted(4).await;
    assert!(second.version > first.version);
    // In the order in which they joined, not of their ids.
    assert_eq!(peers(&second), ids(&[9, 4]).iter().collect::<Vec<_>>());
    assert_eq!(second.members[1], SharedMember { order: 2, ..b.member(4) });
    assert_eq!(a.hears().await, second);
    a.hears_nothing().await;
    b.hears_nothing().await;
    stranger.hears_nothing().await;
}

async fn of_many_who_come_at_once_no_more_come_in_than_there_are_places(backplane: impl Backplane) {
    let (a, b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    a.admitted(1).await;
    let claims = (2..22).map(|peer| if peer % 2 == 0 { a.claim(peer) } else { b.claim(peer) });
    let claimed = futures_util::future::join_all(claims).await;
    let full = claimed.iter().filter(|claimed| matches!(claimed, Claimed::Full)).count();
    assert_eq!(full, 18);
    let state = a.state(&[a.member(1)], |statement| statement.members.clear()).await.unwrap();
    assert!(state.members.len() <= 3, "{}", state.members.len());
}

async fn who_was_judged_under_another_policy_is_judged_again(backplane: impl Backplane) {
    let (a, b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    a.admitted(1).await;
    for judged in [None, Some("2".to_owned())] {
        let claimed = b.claim_with(2, |claim| claim.judged = judged).await;
        let Claimed::Outdated(state) = claimed else { panic!("{claimed:?}") };
        assert_eq!((state.policy.clone(), peers(&state)), (Some(policy("1")), ids(&[1]).iter().collect()));
    }
    assert_eq!(peers(&b.admitted(2).await).len(), 2);
}

async fn who_comes_in_on_another_server_moves_there_with_place_and_name(backplane: impl Backplane) {
    let (mut a, b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    a.admitted(1).await;
    let chief = SharedMember { moderates: true, invited_until: Some(1_800_000_000), order: 1, ..a.member(1) };
    a.state(std::slice::from_ref(&chief), |_| {}).await;
    b.admitted(2).await;
    a.hears().await;
    let renamed = |claim: &mut Claim| claim.member.name = "Another".parse().unwrap();
    let state = admitted(b.claim_with(1, renamed).await);
    // Others are told nothing of who was here all the time, not even a name.
    let moved = SharedMember { server: b.id, ..chief.clone() };
    assert_eq!(state.members[0], moved);
    assert_eq!(a.hears().await, state);
    // Out of date, and not taken back for it.
    let stands = a.state(&[chief], |statement| statement.known = state.version).await;
    assert_eq!(stands.unwrap().members, state.members);
    let away = SharedMember { away: true, ..moved };
    b.state(&[away, SharedMember { order: 2, ..b.member(2) }], |_| {}).await;
    let back = admitted(a.claim_with(1, renamed).await);
    assert_eq!((back.members[0].name.as_str(), back.members[0].away), ("Another", false));
}

async fn a_part_that_is_stated_again_changes_nothing(backplane: impl Backplane) {
    let (a, mut b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    a.admitted(1).await;
    let known = b.admitted(2).await.version;
    let part = [SharedMember { order: 1, ..a.member(1) }];
    assert_eq!(a.state(&part, |statement| statement.known = known).await, None);
    let whole = a.state(&part, |statement| statement.known = known - 1).await.unwrap();
    assert_eq!((whole.version, whole.members.len()), (known, 2));
    b.hears_nothing().await;
}

async fn a_part_replaces_the_earlier_one_and_says_who_left(backplane: impl Backplane) {
    let (a, mut b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    a.admitted(1).await;
    a.admitted(2).await;
    b.admitted(3).await;
    let away = SharedMember { order: 2, away: true, ..a.member(2) };
    a.state(&[away], |statement| statement.left = ids(&[1])).await;
    let heard = b.hears().await;
    assert_eq!((peers(&heard), &heard.left), (ids(&[2, 3]).iter().collect(), &ids(&[1])));
    assert!(heard.members[0].away);
    a.state(&[], |statement| statement.claiming = ids(&[2, 5])).await;
    b.hears_nothing().await;
    a.state(&[], |_| {}).await;
    let heard = b.hears().await;
    assert_eq!((peers(&heard), &heard.left[..]), (ids(&[3]).iter().collect(), &[][..]));
    // The last one takes the room along.
    b.state(&[], |_| {}).await;
    assert_eq!(admitted(a.claim_with(1, |claim| claim.judged = None).await).members.len(), 1);
}

async fn a_part_that_is_not_stated_again_ends_and_one_that_is_does_not(backplane: impl Backplane) {
    let (a, mut b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    a.admitted(1).await;
    b.admitted(2).await;
    let part = [b.member(2)];
    until(async || b.state(&part, |_| {}).await.unwrap().members.len() == 1).await;
    let rest = b.state(&part, |_| {}).await.unwrap();
    assert_eq!(peers(&rest), ids(&[2]).iter().collect::<Vec<_>>());
    b.hears_nothing().await;
}

async fn a_server_that_was_out_of_reach_itself_lets_no_lease_end(backplane: impl Backplane) {
    let (a, b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    let out_of_reach = |claim: &mut Claim| claim.expires = false;
    a.claim_with(1, out_of_reach).await;
    b.claim_with(2, out_of_reach).await;
    // Another room, whose part was stated later, has ended by now.
    b.claim_with(9, |claim| claim.room = "another-otter".parse().unwrap()).await;
    b.forgotten("another-otter").await;
    let still = b.state(&[b.member(2)], |statement| statement.expires = false).await.unwrap();
    assert_eq!(still.members.len(), 2);
    assert_eq!(admitted(b.claim_with(3, out_of_reach).await).members.len(), 3);
    assert!(!peers(&b.admitted(4).await).contains(&&PeerId::from_random(1)), "the place of who is gone is free");
}

async fn two_policies_at_once_become_one_and_the_other_server_learns_it(backplane: impl Backplane) {
    let (mut a, b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    a.admitted(1).await;
    let known = b.admitted(2).await.version;
    a.hears().await;
    let locks = |statement: &mut Statement| {
        statement.known = known;
        (statement.policy, statement.base) = (Some(policy("2")), Some("1".to_owned()));
    };
    let state = b.state(&[SharedMember { order: 2, ..b.member(2) }], locks).await.unwrap();
    assert_eq!(state.policy, Some(policy("2")));
    assert_eq!(a.hears().await, state);
    let too_late = |statement: &mut Statement| {
        statement.known = state.version;
        (statement.policy, statement.base) = (Some(policy("3")), Some("1".to_owned()));
    };
    let part = [SharedMember { order: 1, ..a.member(1) }];
    assert_eq!(a.state(&part, too_late).await, Some(state.clone()));
    let in_time = |statement: &mut Statement| {
        statement.known = state.version;
        (statement.policy, statement.base) = (Some(policy("3")), Some("2".to_owned()));
    };
    assert_eq!(a.state(&part, in_time).await.unwrap().policy, Some(policy("3")));
    assert!(matches!(b.claim(5).await, Claimed::Outdated(_)));
}

async fn who_came_in_out_of_reach_is_taken_in_above_capacity(backplane: impl Backplane) {
    let (mut a, b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    for peer in 1..=3 {
        a.admitted(peer).await;
    }
    let merged = b.state(&[b.member(4), b.member(5)], |_| {}).await.unwrap();
    assert_eq!(peers(&merged), ids(&[1, 2, 3, 4, 5]).iter().collect::<Vec<_>>());
    assert_eq!(a.hears().await, merged);
    assert!(matches!(b.claim(6).await, Claimed::Full));
}

async fn of_two_who_hold_one_person_the_one_they_came_to_later_keeps_them(backplane: impl Backplane) {
    let (mut a, b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    a.admitted(1).await;
    let at = |seated_at_ms| SharedMember { seated_at_ms, ..b.member(1) };
    let earlier = b.state(&[at(1_750_000_000_000)], |_| {}).await.unwrap();
    assert_eq!(earlier.members[0].server, a.id);
    let later = b.state(&[at(1_770_000_000_000)], |_| {}).await.unwrap();
    assert_eq!(later.members[0].server, b.id);
    assert_eq!(a.hears().await, later);
}

async fn a_room_that_was_forgotten_comes_back_with_its_order_and_a_later_version(backplane: impl Backplane) {
    let (a, mut b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    let one = a.admitted(1).await.members.remove(0);
    let two = admitted(b.claim_with(2, |claim| claim.expires = false).await);
    // Asked by a stranger, who keeps nobody there.
    Server::new(&backplane, 3).await.forgotten("quiet-otter").await;
    let again = |policy: SharedPolicy| move |statement: &mut Statement| statement.policy = Some(policy);
    let part = [two.members[1].clone()];
    let forgotten = b.state(&part, again(policy("1"))).await.unwrap();
    assert_eq!((forgotten.members.len(), &forgotten.policy), (1, &Some(policy("1"))));
    assert!(forgotten.version > two.version);
    let whole = a.state(&[one], again(policy("1"))).await.unwrap();
    assert_eq!(peers(&whole)[0], &PeerId::from_random(1));
    while b.hears().await.version < whole.version {}
}

async fn messages_reach_their_server_in_order_and_nobody_else(backplane: impl Backplane) {
    let (a, mut b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    let mut c = Server::new(&backplane, 3).await;
    let said: Vec<_> = (1..=20).map(|number| forward(&b.id, number)).collect();
    assert_eq!(a.link.forward(&said).await.unwrap(), vec![true; 20]);
    for forward in said {
        assert_eq!(b.event().await, Event::Forwarded(forward));
    }
    c.hears_nothing().await;
}

async fn what_is_said_to_a_server_that_is_not_there_is_known_not_to_be_heard(backplane: impl Backplane) {
    let (a, b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    let said = [forward(&ServerId::from_random(3), 1), forward(&b.id, 2)];
    assert_eq!(a.link.forward(&said).await.unwrap(), [false, true]);
}

async fn a_server_hears_itself(backplane: impl Backplane) {
    let mut a = Server::new(&backplane, 1).await;
    a.link.echo(u64::MAX).await.unwrap();
    assert_eq!(a.event().await, Event::Echo(u64::MAX));
}

async fn a_server_that_does_not_listen_is_cut_off_and_then_reads_its_rooms(backplane: impl Backplane) {
    let (a, mut b) = (Server::new(&backplane, 1).await, Server::new(&backplane, 2).await);
    a.admitted(1).await;
    let (mut said, mut heard) = (0, 0);
    loop {
        if heard % 1_000 == 0 {
            // Several times as fast as it listens.
            let more: Vec<_> = (said..said + 4_000).map(|number| forward(&b.id, number)).collect();
            a.link.forward(&more).await.unwrap();
            said += 4_000;
        }
        let Some(event) = b.events.next().await else { break };
        assert_eq!(event, Event::Forwarded(forward(&b.id, heard)), "in order, and none is left out before the end");
        heard += 1;
    }
    assert!(1_000 < heard && heard < said, "{heard} of {said} were heard");
    let b = Server::new(&backplane, 2).await;
    let room = b.state(&[], |_| {}).await.unwrap();
    assert_eq!(peers(&room), ids(&[1]).iter().collect::<Vec<_>>());
}

fn forward(server: &ServerId, number: u128) -> Forward {
    let message = ServerMessage::PeerAway { peer_id: PeerId::from_random(number) };
    Forward { server: *server, room: room(), to: PeerId::from_random(9), message }
}
