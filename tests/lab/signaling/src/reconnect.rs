//! Everyone comes back at once, after the server was restarted.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, Seat, Target};
use crate::figures::Percentiles;
use crate::rooms;

/// Longer than anything takes; reached only by who does not come back.
const PATIENCE: Duration = Duration::from_secs(60);
/// PROTOCOL.md, *Reconnecting*: the longest that a client waits before it tries again.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// How they came back.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many there were.
    pub members: usize,
    /// How many came back under the same id.
    pub back: usize,
    /// How many came back as somebody else.
    pub strangers: usize,
    /// How many did not come back.
    pub lost: usize,
    /// How many attempts failed and were made again.
    pub retries: u64,
    /// From the moment when all began to connect to each one's `joined`.
    pub join: Percentiles,
}

/// Lets members enter, cuts all connections, waits for `restarted`, and lets them come back at the same moment.
///
/// # Errors
/// Where they cannot enter in the first place.
pub async fn run(
    target: &Target,
    members: usize,
    restarted: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let seats: Vec<Seat> = rooms::enter(target, 0..members).await?.into_iter().map(|member| member.seat).collect();
    restarted().await?;
    let start = Arc::new(Barrier::new(members + 1));
    let mut returning = JoinSet::new();
    for (number, seat) in seats.into_iter().enumerate() {
        let (target, start) = (target.clone(), Arc::clone(&start));
        returning.spawn(async move {
            start.wait().await;
            timeout(PATIENCE, come_back(&target, number, &seat)).await
        });
    }
    start.wait().await;
    let began = Instant::now();
    let mut report = Report { members, back: 0, strangers: 0, lost: 0, retries: 0, join: Percentiles::default() };
    let (mut clients, mut joins) = (Vec::new(), Vec::new());
    while let Some(end) = returning.join_next().await {
        let Ok(Return { client, same, at, retries }) = end? else {
            report.lost += 1;
            continue;
        };
        // Held until all are back: who leaves early makes room for the others.
        clients.push(client);
        joins.push(at.saturating_duration_since(began));
        report.retries += retries;
        if same { report.back += 1 } else { report.strangers += 1 }
    }
    report.join = Percentiles::of(joins);
    Ok(report)
}

struct Return {
    client: Client,
    same: bool,
    at: Instant,
    retries: u64,
}

/// Tries until it is in, as the protocol asks clients to.
async fn come_back(target: &Target, number: usize, seat: &Seat) -> Return {
    let mut retries = 0;
    loop {
        let attempt = async {
            let mut client = Client::connect(target, number).await?;
            let new = client.enter(&rooms::room(number), &format!("peer{number}"), seat.resume.as_deref()).await?;
            anyhow::Ok((client, new))
        };
        if let Ok((client, new)) = attempt.await {
            return Return { client, same: new.resumed && new.id == seat.id, at: Instant::now(), retries };
        }
        retries += 1;
        // Spread by the client's number: a load is the same at every run.
        let share = (number as f64 * 0.618_033_988_75 + retries as f64 * 0.37).fract();
        sleep(RETRY_MAX.mul_f64(share)).await;
    }
}
