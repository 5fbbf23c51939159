//! Members who say nothing: what each costs in memory, and how many there can be.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{Heard, Target};
use crate::message::{self, Stamp};
use crate::process::{self, Memory};
use crate::rooms::{self, Member};

/// How long a signal may take when all are asked at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Members, and the server's memory with them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// How many there are.
    pub members: usize,
    /// The server's memory.
    pub memory: Memory,
}

/// What idle members cost.
#[derive(Debug, Serialize)]
pub struct Report {
    /// At each of the numbers asked for.
    pub points: Vec<Point>,
    /// Resident bytes for each member more, between the first and the last point.
    pub bytes_per_member: f64,
    /// Members still there at the end.
    pub held: usize,
    /// How many of them got a signal through to the next one of their room.
    pub reached: usize,
}

/// How to look at them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to measure, in rising order.
    pub counts: Vec<usize>,
    /// How long to wait before a measurement, so that what entering needed is over.
    pub settle: Duration,
    /// The server's process.
    pub server: u32,
    /// Whether it runs its garbage collector on SIGUSR2.
    pub collects_garbage: bool,
}

/// Lets members enter, up to each count, and measures there; at the end every one must still be alive.
///
/// # Errors
/// Where a client cannot enter, or the server ends.
pub async fn run(target: &Target, plan: &Plan) -> anyhow::Result<Report> {
    let mut crowd = Crowd::default();
    let mut points = Vec::new();
    for &count in &plan.counts {
        crowd.grow(target, count).await?;
        sleep(plan.settle).await;
        if plan.collects_garbage {
            collect_garbage(plan.server).await?;
        }
        points.push(Point { members: crowd.size, memory: process::memory(plan.server)? });
    }
    let (held, reached) = crowd.count().await;
    Ok(Report { bytes_per_member: slope(&points), points, held, reached })
}

fn slope(points: &[Point]) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return f64::NAN };
    let kib = last.memory.rss_kib as f64 - first.memory.rss_kib as f64;
    kib * 1024.0 / (last.members as f64 - first.members as f64)
}

/// A client that was there to the end, and whether the signal of the one before reached it. Kept until all are found:
/// a connection closed with unread bytes would take its last signal along.
type Found = (Member, bool);

/// Clients in rooms, each read by a task of its own, which answers pings.
#[derive(Default)]
struct Crowd {
    size: usize,
    tasks: JoinSet<Option<Found>>,
    ask: Option<watch::Sender<bool>>,
}

impl Crowd {
    async fn grow(&mut self, target: &Target, to: usize) -> anyhow::Result<()> {
        let asked = self.ask.get_or_insert_with(|| watch::Sender::new(false)).clone();
        for member in rooms::enter(target, self.size..to).await? {
            self.tasks.spawn(stay(member, asked.subscribe()));
        }
        self.size = to;
        Ok(())
    }

    /// Lets everyone signal once: how many are there, and how many were reached.
    async fn count(mut self) -> (usize, usize) {
        if let Some(ask) = &self.ask {
            ask.send_replace(true);
        }
        let mut found = Vec::new();
        while let Some(end) = self.tasks.join_next().await {
            // A task that panicked held nobody.
            found.extend(end.ok().flatten());
        }
        (found.len(), found.iter().filter(|(_, reached)| *reached).count())
    }
}

/// Reads until asked, signals to the next of the room, and waits for the signal of the one before. None: the connection
/// was lost before that.
async fn stay(mut member: Member, mut asked: watch::Receiver<bool>) -> Option<Found> {
    loop {
        tokio::select! {
            heard = member.client.hear() => match heard {
                // The one before was asked first.
                Ok(Heard::Signal(_)) => {
                    let said = say(&mut member).await;
                    return Some((member, said));
                }
                Ok(Heard::Refused(_) | Heard::Other(_)) => {}
                Ok(Heard::Ended(_)) | Err(_) => return None,
            },
            () = turned(&mut asked) => {
                let reached = say(&mut member).await && timeout(PATIENCE, hears(&mut member)).await.unwrap_or(false);
                return Some((member, reached));
            }
        }
    }
}

async fn say(member: &mut Member) -> bool {
    let signal = message::signal(Stamp { sent_ns: 0, number: 1 });
    member.client.signal(&member.next, &signal).await.is_ok()
}

async fn hears(member: &mut Member) -> bool {
    loop {
        match member.client.hear().await {
            Ok(Heard::Signal(_)) => return true,
            Ok(Heard::Refused(_) | Heard::Other(_)) => {}
            Ok(Heard::Ended(_)) | Err(_) => return false,
        }
    }
}

/// Asks the server to collect its garbage, and waits until it should have.
async fn collect_garbage(server: u32) -> anyhow::Result<()> {
    let status = std::process::Command::new("kill").args(["-USR2", &server.to_string()]).status()?;
    anyhow::ensure!(status.success(), "the server cannot be asked to collect its garbage");
    sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// Ready when the switch is true, or nobody holds it any more.
pub(crate) async fn turned(switch: &mut watch::Receiver<bool>) {
    let _ = switch.wait_for(|on| *on).await;
}
