//! Real sockets on loopback; what is exact is proved without them.

use super::*;

const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// So long nothing takes on a working machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// What must not come is not waited for longer: it would have come with what came after it.
const MOMENT: Duration = Duration::from_millis(50);

/// Two peers with a socket each, and what each was told of the other.
struct Pair {
    relay: Relay,
    ana: UdpSocket,
    bo: UdpSocket,
    /// Ana's address, as Bo knows it.
    ana_outside: SocketAddr,
    bo_outside: SocketAddr,
}

impl Pair {
    fn new(rules: &[&str]) -> Self {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let relay = Relay::start(LOCALHOST, 1, rules).unwrap();
        relay.add_peer("a", "Ana");
        relay.add_peer("b", "Bo");
        let socket = || {
            let (socket, _) = bind(LOCALHOST).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        let (ana, bo) = (socket(), socket());
        let ana_outside = relay.advertise("a", "b", ana.local_addr().unwrap()).unwrap();
        let bo_outside = relay.advertise("b", "a", bo.local_addr().unwrap()).unwrap();
        Self { relay, ana, bo, ana_outside, bo_outside }
    }
}

fn receive_at(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_000];
    let (length, source) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), source)
}

fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_read_timeout(Some(MOMENT)).unwrap();
    let received = socket.recv_from(&mut [0; 2_000]);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    received.is_err()
}

#[test]
fn what_arrived_is_told_by_its_time_with_the_flight_of_the_first_media() {
    let pair = Pair::new(&[]);
    // In the second flight, since it answers the first.
    pair.bo.send_to(b"a request", pair.ana_outside).unwrap();
    receive_at(&pair.ana);
    let rtp = [&[0x80, 96][..], &[0; 98]].concat();
    pair.ana.send_to(&rtp, pair.bo_outside).unwrap();
    receive_at(&pair.bo);
    let report = pair.relay.report();
    assert!(report.began_unix_ms.is_some_and(|began| began > 1e12));
    let told = |name: &str| {
        let link = report.links.iter().find(|link| link.name == name).unwrap();
        (link.arrived_bytes_per_100ms.iter().sum::<u64>(), link.flights_to_media)
    };
    assert_eq!(told("Bo"), (128, Some(2)));
    assert_eq!(told("Ana"), (37, None));
    pair.relay.begin_flights();
    assert!(pair.relay.report().links.iter().all(|link| link.flights_to_media.is_none()));
}

#[test]
fn lateness_can_begin_anew() {
    let pair = Pair::new(&[]);
    pair.ana.send_to(b"hello", pair.bo_outside).unwrap();
    receive_at(&pair.bo);
    // The lateness of a packet is noted after it has left: the next one tells that it was.
    pair.ana.send_to(b"again", pair.bo_outside).unwrap();
    receive_at(&pair.bo);
    assert!(pair.relay.report().lateness.packets > 0);
    pair.relay.forget_lateness();
    assert!(pair.relay.report().lateness.packets < 2);
}

#[test]
fn each_sees_the_other_at_the_address_it_was_told() {
    let pair = Pair::new(&[]);
    pair.ana.send_to(b"hello", pair.bo_outside).unwrap();
    assert_eq!(receive_at(&pair.bo), (b"hello".to_vec(), pair.ana_outside));
    pair.bo.send_to(b"good day", pair.ana_outside).unwrap();
    assert_eq!(receive_at(&pair.ana), (b"good day".to_vec(), pair.bo_outside));
}

#[test]
fn who_was_not_told_of_yet_is_seen_at_the_address_that_is_told_later() {
    let relay = Relay::start(LOCALHOST, 1, Vec::new()).unwrap();
    relay.add_peer("a", "Ana");
    relay.add_peer("b", "Bo");
    let (ana, ana_inside) = bind(LOCALHOST).unwrap();
    let (bo, bo_inside) = bind(LOCALHOST).unwrap();
    for socket in [&ana, &bo] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let ana_outside = relay.advertise("a", "b", ana_inside).unwrap();
    bo.send_to(b"early", ana_outside).unwrap();
    let (_, source) = receive_at(&ana);
    assert_eq!(relay.advertise("b", "a", bo_inside), Some(source));
}

#[test]
fn each_direction_has_its_own_delay_and_the_relay_knows_how_late_it_was() {
    let pair = Pair::new(&["Ana: up delay=60ms", "Bo: up delay=5ms"]);
    let begin = Instant::now();
    pair.ana.send_to(b"slow", pair.bo_outside).unwrap();
    pair.bo.send_to(b"quick", pair.ana_outside).unwrap();
    receive_at(&pair.ana);
    let quick = begin.elapsed();
    receive_at(&pair.bo);
    let slow = begin.elapsed();
    assert!(quick >= Duration::from_millis(5) && slow >= Duration::from_millis(60), "{quick:?} {slow:?}");
    let report = pair.relay.report();
    assert_eq!(report.links[0].up.left, 1);
    assert_eq!(report.links[1].down.left, 1);
    assert_eq!(report.links[0].name, "Ana");
}

#[test]
fn a_rule_given_meanwhile_holds_from_then_on() {
    let pair = Pair::new(&[]);
    pair.ana.send_to(b"1", pair.bo_outside).unwrap();
    assert_eq!(receive_at(&pair.bo).0, b"1");
    pair.relay.apply("Ana: up blackout".parse().unwrap());
    pair.ana.send_to(b"2", pair.bo_outside).unwrap();
    assert!(is_silent(&pair.bo));
    pair.relay.apply("Ana: up clear".parse().unwrap());
    pair.ana.send_to(b"3", pair.bo_outside).unwrap();
    assert_eq!(receive_at(&pair.bo).0, b"3");
}

#[test]
fn a_timed_rule_counts_from_the_first_packet() {
    let pair = Pair::new(&["at 0s Ana: up delay=30ms"]);
    let begin = Instant::now();
    pair.ana.send_to(b"1", pair.bo_outside).unwrap();
    receive_at(&pair.bo);
    assert!(begin.elapsed() >= Duration::from_millis(30));
}

#[test]
fn an_address_that_died_works_again_once_it_is_told_anew() {
    let pair = Pair::new(&[]);
    pair.relay.apply("Ana: address dies".parse().unwrap());
    pair.ana.send_to(b"1", pair.bo_outside).unwrap();
    pair.bo.send_to(b"1", pair.ana_outside).unwrap();
    assert!(is_silent(&pair.bo) && is_silent(&pair.ana));
    let outside = pair.relay.advertise("a", "b", pair.ana.local_addr().unwrap()).unwrap();
    assert_ne!(outside, pair.ana_outside);
    pair.ana.send_to(b"2", pair.bo_outside).unwrap();
    assert_eq!(receive_at(&pair.bo), (b"2".to_vec(), outside));
    pair.bo.send_to(b"2", outside).unwrap();
    assert_eq!(receive_at(&pair.ana).0, b"2");
    assert_eq!(pair.relay.report().astray, 2);
}

#[test]
fn an_address_that_moved_is_heard_from_somewhere_new() {
    let pair = Pair::new(&[]);
    pair.relay.apply("Ana: address moves".parse().unwrap());
    pair.bo.send_to(b"1", pair.ana_outside).unwrap();
    assert!(is_silent(&pair.ana));
    pair.ana.send_to(b"2", pair.bo_outside).unwrap();
    let (_, outside) = receive_at(&pair.bo);
    assert_ne!(outside, pair.ana_outside);
    pair.bo.send_to(b"3", outside).unwrap();
    assert_eq!(receive_at(&pair.ana), (b"3".to_vec(), pair.bo_outside));
}
