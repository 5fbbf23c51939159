//! Members who signal to each other: how many signals a server relays, at what cost, and how long each takes.
//!
//! Each member signals to the next of its room, so that a signal heard has one sender, whose signals are numbered. What
//! is on its way is bounded: by `tokens` for each member in a closed loop, by the server's own outboxes at a given rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::client::{Heard, Target};
use crate::figures::Percentiles;
use crate::idle::turned;
use crate::message::{self, Stamp};
use crate::process::{CpuTimes, CpuUse, Memory, memory};
use crate::rooms::{self, Member};

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as the server relays, with so many signals of each member on their way.
    Closed {
        /// Of each member.
        tokens: u32,
    },
    /// So many signals a second, of all members together, whatever comes back.
    Rate(f64),
}

/// How to relay.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many members.
    pub members: usize,
    /// How fast they send.
    pub pace: Pace,
    /// Before anything is measured.
    pub warm_up: Duration,
    /// How long to measure.
    pub measure: Duration,
    /// The server's process.
    pub server: u32,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many members there were.
    pub members: usize,
    /// How long it was measured.
    pub seconds: f64,
    /// Signals sent in all, warm-up included.
    pub sent: u64,
    /// Of these: did not arrive.
    pub lost: u64,
    /// Arrived after a later one of the same sender.
    pub out_of_order: u64,
    /// Refusals that members heard.
    pub refused: u64,
    /// Signals that arrived while it was measured.
    pub relayed: usize,
    /// The same for each second.
    pub per_second: f64,
    /// For each second of the server's processor time.
    pub per_cpu_second: f64,
    /// Where the processor time went.
    pub cpu: CpuUse,
    /// From just before a signal is written to when it was read.
    pub delay: Percentiles,
    /// The server's memory at the end.
    pub memory: Memory,
}

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const DRAIN: u8 = 2;

/// How long what is on its way may take to arrive when nothing is sent any more.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// What all members share.
struct Shared {
    began: Instant,
    phase: AtomicU8,
    sent: AtomicU64,
    heard: AtomicU64,
}

/// What one member saw.
#[derive(Default)]
struct Tally {
    delays: Vec<Duration>,
    out_of_order: u64,
    refused: u64,
}

/// Relays as planned.
///
/// # Errors
/// Where a member cannot enter, or the server ends.
pub async fn run(target: &Target, plan: &Plan) -> anyhow::Result<Report> {
    let members = rooms::enter(target, 0..plan.members).await?;
    let shared = Arc::new(Shared {
        began: Instant::now(),
        phase: AtomicU8::new(WARM_UP),
        sent: AtomicU64::new(0),
        heard: AtomicU64::new(0),
    });
    let end = watch::Sender::new(false);
    let mut tasks = JoinSet::new();
    for (place, member) in members.into_iter().enumerate() {
        let sender = Sender::new(&shared, plan, place);
        tasks.spawn(take_part(member, sender, Arc::clone(&shared), end.subscribe()));
    }
    sleep(plan.warm_up).await;
    let (started, before) = (Instant::now(), CpuTimes::now(plan.server)?);
    shared.phase.store(MEASURE, Ordering::Relaxed);
    sleep(plan.measure).await;
    shared.phase.store(DRAIN, Ordering::Relaxed);
    let (seconds, after) = (started.elapsed().as_secs_f64(), CpuTimes::now(plan.server)?);
    let memory = memory(plan.server)?;
    // Lost ones are counted below.
    let _ = timeout(DRAIN_MAX, drained(&shared)).await;
    end.send_replace(true);
    let mut all = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        let tally = tally??;
        all.delays.extend(tally.delays);
        all.out_of_order += tally.out_of_order;
        all.refused += tally.refused;
    }
    let sent = shared.sent.load(Ordering::Relaxed);
    let (relayed, cpu) = (all.delays.len(), before.until(&after));
    Ok(Report {
        members: plan.members,
        seconds,
        sent,
        lost: sent.saturating_sub(shared.heard.load(Ordering::Relaxed)),
        out_of_order: all.out_of_order,
        refused: all.refused,
        relayed,
        per_second: relayed as f64 / seconds,
        per_cpu_second: relayed as f64 / cpu.server_seconds,
        cpu,
        delay: Percentiles::of(all.delays),
        memory,
    })
}

/// Waits until as many signals were heard as sent.
async fn drained(shared: &Shared) {
    while shared.heard.load(Ordering::Relaxed) < shared.sent.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// When one member sends.
struct Sender {
    number: u32,
    first: u32,
    /// When the next signal is due, and the time between two; none in a closed loop.
    timed: Option<(Instant, Duration)>,
}

impl Sender {
    fn new(shared: &Shared, plan: &Plan, place: usize) -> Self {
        match plan.pace {
            Pace::Closed { tokens } => Self { number: 0, first: tokens, timed: None },
            Pace::Rate(rate) => {
                let between = Duration::from_secs_f64(plan.members as f64 / rate);
                // Spread evenly, by a step that neighbours do not share.
                let phase = between.mul_f64((place as f64 * 0.618_033_988_75).fract());
                Self { number: 0, first: 0, timed: Some((shared.began + phase, between)) }
            }
        }
    }

    /// Waits until the next signal is due.
    async fn due(&mut self) {
        match &mut self.timed {
            None => std::future::pending().await,
            Some((due, between)) => {
                sleep_until(*due).await;
                *due += *between;
            }
        }
    }

    async fn send(&mut self, member: &mut Member, shared: &Shared) -> anyhow::Result<()> {
        if shared.phase.load(Ordering::Relaxed) == DRAIN {
            return Ok(());
        }
        shared.sent.fetch_add(1, Ordering::Relaxed);
        let sent_ns = u64::try_from(shared.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let signal = message::signal(Stamp { sent_ns, number: self.number });
        self.number += 1;
        member.client.signal(&member.next, &signal).await
    }
}

async fn take_part(
    mut member: Member,
    mut sender: Sender,
    shared: Arc<Shared>,
    mut end: watch::Receiver<bool>,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut expected = 0;
    for _ in 0..sender.first {
        sender.send(&mut member, &shared).await?;
    }
    loop {
        tokio::select! {
            heard = member.client.hear() => match heard? {
                Heard::Signal(text) => {
                    tally.hear(&text, &mut expected, &shared);
                    if sender.timed.is_none() {
                        sender.send(&mut member, &shared).await?;
                    }
                }
                Heard::Refused(_) => tally.refused += 1,
                Heard::Other(_) => {}
                Heard::Ended(code) => anyhow::bail!("the server ended a connection ({code:?})"),
            },
            () = sender.due() => sender.send(&mut member, &shared).await?,
            () = turned(&mut end) => return Ok(tally),
        }
    }
}

impl Tally {
    fn hear(&mut self, text: &str, expected: &mut u32, shared: &Shared) {
        let Some(stamp) = message::stamp(text) else { return };
        let now = shared.began.elapsed();
        shared.heard.fetch_add(1, Ordering::Relaxed);
        if stamp.number < *expected {
            self.out_of_order += 1;
        }
        *expected = stamp.number + 1;
        if shared.phase.load(Ordering::Relaxed) == MEASURE {
            self.delays.push(now.saturating_sub(Duration::from_nanos(stamp.sent_ns)));
        }
    }
}
