use rtc::crypto::default_provider;
use rtc::stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, MessageType, Setter};

use super::*;

const SOUND: [u8; 40] = [0x80; 40];
const OURS: &str = "ours";
const THEIRS: &str = "theirs";
const PASSWORD: &str = "what only they and we know";
const MS: Duration = Duration::from_millis(1);

/// A connection whose peer was at `home`, and what it does next.
struct Scene {
    roaming: Roaming,
    now: Instant,
    /// Transaction ids given out; they are numbered.
    asked: u8,
}

fn home() -> SocketAddr {
    "192.0.2.1:1000".parse().unwrap()
}

fn abroad() -> SocketAddr {
    "198.51.100.7:2000".parse().unwrap()
}

fn message(kind: MessageType, transaction: TransactionId, attributes: &[(u16, &[u8])], password: &str) -> Vec<u8> {
    let mut message = Message::new();
    message.set_type(kind);
    message.transaction_id.0 = transaction;
    message.write_header();
    for (attribute, value) in attributes {
        message.add(rtc::stun::attributes::AttrType(*attribute), value);
    }
    let provider = default_provider().unwrap();
    let integrity = MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), provider.crypto());
    integrity.add_to(&mut message).unwrap();
    FINGERPRINT.add_to(&mut message).unwrap();
    message.raw
}

/// As the stack checks the pair, with a nomination.
fn stack_check() -> Vec<u8> {
    let username = format!("{THEIRS}:{OURS}");
    let attributes: [(u16, &[u8]); 4] = [
        (ATTR_USERNAME.0, username.as_bytes()),
        (ATTR_USE_CANDIDATE.0, &[]),
        (ATTR_ICE_CONTROLLING.0, &[7; 8]),
        (ATTR_PRIORITY.0, &[1, 2, 3, 4]),
    ];
    message(BINDING_REQUEST, [200; 12], &attributes, PASSWORD)
}

fn answer(transaction: TransactionId, password: &str) -> Vec<u8> {
    message(BINDING_SUCCESS, transaction, &[], password)
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self { roaming: Roaming::default(), now: Instant::now(), asked: 0 };
        let credentials = Credentials { ufrag: THEIRS.to_owned(), password: PASSWORD.to_owned() };
        scene.roaming.handle_credentials(credentials);
        assert_eq!(scene.sent(home(), &stack_check()), home());
        assert_eq!(scene.sent(home(), &SOUND), home());
        assert_eq!(scene.received(home(), &SOUND), Arrival::Deliver(home()));
        scene
    }

    fn sent(&mut self, to: SocketAddr, datagram: &[u8]) -> SocketAddr {
        self.roaming.handle_sent(self.now, 0, to, datagram)
    }

    fn received(&mut self, from: SocketAddr, datagram: &[u8]) -> Arrival {
        let Self { roaming, now, asked } = self;
        roaming.handle_received(*now, 0, from, datagram, || {
            *asked += 1;
            [*asked; 12]
        })
    }

    /// Sound comes from abroad after home was quiet; the check that follows.
    fn check(&mut self) -> Vec<u8> {
        self.now += QUIET;
        match self.received(abroad(), &SOUND) {
            Arrival::Ask(whom, check) if whom == abroad() => check,
            other => panic!("{other:?}"),
        }
    }

    fn moved() -> Self {
        let mut scene = Self::new();
        scene.check();
        assert_eq!(scene.received(abroad(), &answer([1; 12], PASSWORD)), Arrival::Moved);
        scene
    }
}

#[test]
fn a_peer_that_answers_from_another_address_is_followed_there() {
    let mut scene = Scene::moved();
    assert_eq!(scene.sent(home(), &SOUND), abroad());
    assert_eq!(scene.sent(home(), &stack_check()), abroad());
    assert_eq!(scene.received(abroad(), &SOUND), Arrival::Deliver(home()), "the stack need not know");
    let elsewhere = "203.0.113.3:7".parse().unwrap();
    assert_eq!(scene.sent(elsewhere, &stack_check()), elsewhere);
}

/// How long something comes each 20 ms, five seconds after sound, until the peer is missed.
fn missed_after(what: &[u8]) -> Option<Duration> {
    let mut scene = Scene::new();
    let tick = |scene: &mut Scene, what: &[u8]| {
        scene.now += 20 * MS;
        scene.received(home(), what);
        scene.roaming.rhythm().look(scene.now)
    };
    for _ in 0..250 {
        assert_eq!(tick(&mut scene, &SOUND), None);
    }
    (0..250).find_map(|_| match tick(&mut scene, what)? {
        crate::peer_driver::rhythm::Change::FellSilent(after) => Some(after),
        crate::peer_driver::rhythm::Change::HeardAgain => None,
    })
}

#[test]
fn who_still_checks_and_answers_but_sends_nothing_is_missed() {
    let in_channel = |datagram: &[u8]| [&[0x40, 0, 0, datagram.len() as u8][..], datagram].concat();
    let answer = answer([9; 12], PASSWORD);
    for what in [stack_check(), answer.clone(), in_channel(&answer)] {
        assert_eq!(missed_after(&what), Some(200 * MS));
    }
    for what in [SOUND.to_vec(), in_channel(&SOUND)] {
        assert_eq!(missed_after(&what), None);
    }
}

#[test]
fn the_check_is_the_stacks_own_without_the_nomination() {
    let check = Scene::new().check();
    let mut message = Message { raw: check, ..Message::default() };
    message.decode().unwrap();
    assert_eq!((message.typ, message.transaction_id.0), (BINDING_REQUEST, [1; 12]));
    assert_eq!(message.get(ATTR_USERNAME).unwrap(), format!("{THEIRS}:{OURS}").into_bytes());
    assert_eq!(message.get(ATTR_PRIORITY).unwrap(), [1, 2, 3, 4]);
    assert_eq!(message.get(ATTR_ICE_CONTROLLING).unwrap(), [7; 8]);
    assert!(!message.contains(ATTR_USE_CANDIDATE));
    let provider = default_provider().unwrap();
    MessageIntegrity::check(&mut message, PASSWORD.as_bytes(), provider.crypto()).unwrap();
}

#[test]
fn while_the_chosen_address_is_heard_nobody_else_is_asked() {
    let mut scene = Scene::new();
    for _ in 0..10 {
        scene.now += MS * 20;
        assert_eq!(scene.received(home(), &SOUND), Arrival::Deliver(home()));
        assert_eq!(scene.received(abroad(), &SOUND), Arrival::Deliver(abroad()));
    }
}

#[test]
fn only_the_right_answer_from_the_right_address_counts() {
    let mut scene = Scene::new();
    scene.check();
    let right = answer([1; 12], PASSWORD);
    for (from, datagram) in [
        (abroad(), answer([1; 12], "a guess")),
        (abroad(), answer([9; 12], PASSWORD)),
        ("203.0.113.3:7".parse().unwrap(), right.clone()),
        (abroad(), right[..right.len() - 1].to_vec()),
        (abroad(), right[..20].to_vec()),
        (abroad(), message(BINDING_REQUEST, [1; 12], &[], PASSWORD)),
    ] {
        assert_eq!(scene.received(from, &datagram), Arrival::Deliver(from));
        assert_eq!(scene.sent(home(), &SOUND), home());
    }
    assert_eq!(scene.received(abroad(), &right), Arrival::Moved);
    assert_eq!(scene.sent(home(), &SOUND), abroad());
}

#[test]
fn packets_from_nowhere_cause_no_more_than_a_check_in_50_ms() {
    let mut scene = Scene::new();
    scene.now += QUIET;
    let mut checks = 0;
    for number in 0..200_u8 {
        scene.now += MS * 5;
        let from = SocketAddr::from(([203, 0, 113, number], 9));
        checks += usize::from(matches!(scene.received(from, &SOUND), Arrival::Ask(..)));
    }
    assert_eq!(checks, 20);
}

#[test]
fn a_peer_can_come_home_again() {
    let mut scene = Scene::moved();
    scene.now += QUIET;
    assert!(matches!(scene.received(home(), &SOUND), Arrival::Ask(whom, _) if whom == home()));
    assert_eq!(scene.received(home(), &answer([2; 12], PASSWORD)), Arrival::Moved);
    assert_eq!(scene.sent(home(), &SOUND), home());
    assert_eq!(scene.received(home(), &SOUND), Arrival::Deliver(home()));
}

#[test]
fn a_check_from_the_address_left_behind_is_answered_there() {
    let mut scene = Scene::moved();
    let from_home = message(BINDING_REQUEST, [50; 12], &[], PASSWORD);
    assert_eq!(scene.received(home(), &from_home), Arrival::Deliver(home()));
    assert_eq!(scene.sent(home(), &answer([50; 12], PASSWORD)), home());
    assert_eq!(scene.sent(home(), &answer([51; 12], PASSWORD)), abroad());
}

#[test]
fn an_ice_restart_and_a_relay_end_it() {
    let mut scene = Scene::moved();
    scene.roaming.handle_credentials(Credentials { ufrag: "new".to_owned(), password: "new".to_owned() });
    assert_eq!(scene.sent(home(), &stack_check()), home());
    assert_eq!(scene.received(abroad(), &SOUND), Arrival::Deliver(abroad()));

    let mut scene = Scene::moved();
    let relay = "192.0.2.9:3478".parse().unwrap();
    assert_eq!(scene.sent(relay, &[0x40, 0, 0, 4, 1, 2, 3, 4]), relay);
    scene.now += QUIET;
    assert_eq!(scene.received(abroad(), &SOUND), Arrival::Deliver(abroad()));
    assert_eq!(scene.sent(home(), &stack_check()), home());
}

#[test]
fn the_same_description_again_is_no_restart() {
    let mut scene = Scene::moved();
    scene.roaming.handle_credentials(Credentials { ufrag: THEIRS.to_owned(), password: PASSWORD.to_owned() });
    assert_eq!(scene.sent(home(), &SOUND), abroad());
}

#[test]
fn another_of_our_sockets_is_none_of_its_business() {
    let mut scene = Scene::moved();
    assert_eq!(scene.roaming.handle_sent(scene.now, 1, home(), &stack_check()), home());
    let arrival = scene.roaming.handle_received(scene.now + QUIET, 1, abroad(), &SOUND, || [9; 12]);
    assert_eq!(arrival, Arrival::Deliver(abroad()));
}
