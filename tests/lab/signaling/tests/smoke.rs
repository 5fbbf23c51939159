//! The load itself, small, against a server in this process: nothing is lost, nobody is hurt by who misbehaves.

use std::net::SocketAddr;
use std::time::Duration;

use parlor_lab_signaling::client::{Target, Wire};
use parlor_lab_signaling::relay::{Pace, Plan};
use parlor_lab_signaling::{abuse, idle, reconnect, relay};
use parlor_signaling::{HubConfig, RunningServer, Secret, ServerConfig, SocketConfig};

/// What is too slow for the server of a test: short, since some abusers are waited for.
const LIMIT: Duration = Duration::from_secs(3);

async fn start(bind: SocketAddr) -> RunningServer {
    start_with(bind, HubConfig::default()).await
}

async fn start_with(bind: SocketAddr, hub: HubConfig) -> RunningServer {
    let config = ServerConfig {
        bind,
        hub,
        secret: Secret::Given(b"a secret of the tests".to_vec()),
        state_dir: None,
        sockets: SocketConfig {
            handshake_timeout: LIMIT,
            silence_max: LIMIT,
            ping_interval: LIMIT / 6,
            ..SocketConfig::default()
        },
        ..ServerConfig::default()
    };
    parlor_signaling::serve(config).await.expect("the server starts")
}

fn target(addr: SocketAddr) -> Target {
    let sources = if cfg!(target_os = "linux") { 16 } else { 0 };
    Target { addrs: vec![addr], wire: Wire::Parlor, tls: false, sources }
}

/// On Linux an address whose ports nobody else takes.
fn address() -> SocketAddr {
    SocketAddr::from(if cfg!(target_os = "linux") { ([127, 77, 84, 1], 0) } else { ([127, 0, 0, 1], 0) })
}

fn plan(pace: Pace) -> Plan {
    let (warm_up, measure) = (Duration::from_millis(50), Duration::from_millis(300));
    Plan { members: 12, pace, warm_up, measure, server: std::process::id() }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn every_signal_arrives_in_its_order_at_any_pace() {
    // A few members in a closed loop send more than people do.
    let hub = HubConfig { message_burst: u32::MAX, ..HubConfig::default() };
    let server = start_with(address(), hub).await;
    for pace in [Pace::Closed { tokens: 2 }, Pace::Rate(300.0)] {
        let report = relay::run(&target(server.local_addr()), &plan(pace)).await.unwrap();
        assert!(report.sent > 0, "{report:?}");
        assert_eq!((report.lost, report.out_of_order, report.refused), (0, 0, 0), "{report:?}");
        assert_eq!(report.delay.count, report.relayed, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn idle_members_are_all_there_at_the_end() {
    let server = start(address()).await;
    let settle = Duration::from_millis(10);
    let plan = idle::Plan { counts: vec![4, 20], settle, server: std::process::id(), collects_garbage: false };
    let report = idle::run(&target(server.local_addr()), &plan).await.unwrap();
    assert_eq!((report.held, report.reached), (20, 20));
    assert_eq!(report.points.iter().map(|point| point.members).collect::<Vec<_>>(), [4, 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_all_come_back_at_once_as_who_they_were() {
    let server = start(address()).await;
    let addr = server.local_addr();
    let mut again = None;
    let restart = async || {
        server.shutdown().await;
        again = Some(start(addr).await);
        Ok(())
    };
    let report = reconnect::run(&target(addr), 40, restart).await.unwrap();
    assert_eq!((report.back, report.strangers, report.lost), (40, 0, 0), "{report:?}");
    again.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn abusers_are_told_their_codes_and_honest_people_lose_nothing() {
    let server = start(address()).await;
    let target = target(server.local_addr());
    let honest = Plan { measure: LIMIT, ..plan(Pace::Rate(200.0)) };
    let bounds = abuse::Bounds { duration: Duration::from_secs(60), connections: 1, flood: 5_000 };
    let (abused, honest) = tokio::join!(abuse::run(&target, &abuse::Kind::ALL, bounds), relay::run(&target, &honest));
    let honest = honest.unwrap();
    assert_eq!((honest.lost, honest.out_of_order, honest.refused), (0, 0, 0), "{honest:?}");
    assert!(honest.relayed > 0);
    let ends = |kind: &str| &abused[kind];
    assert!(ends("flood").refused.contains_key("rate_limited"), "{:?}", ends("flood"));
    for kind in ["slow_request", "slow_message", "half_open"] {
        assert_eq!(ends(kind).closed.get("none"), Some(&ends(kind).connections), "{kind}: {:?}", ends(kind));
    }
    for kind in ["too_large", "deep_and_large"] {
        assert!(ends(kind).closed.contains_key("1009"), "{kind}: {:?}", ends(kind));
        assert!(ends(kind).refused.contains_key("message_too_large"), "{kind}: {:?}", ends(kind));
    }
    assert!(ends("deep").refused.contains_key("malformed"), "{:?}", ends("deep"));
    assert!(ends("slow_reader").closed.contains_key("4001"), "{:?}", ends("slow_reader"));
}
