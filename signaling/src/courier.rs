//! Between the hub and the meeting place of the servers: keeps the link, carries requests there and what is heard back.
//!
//! Requests go through a few lanes, each room always through the same one, in order; a lane carries a batch at a time. A lane
//! holds [`LANE_MAX`] requests: what finds no place is answered as if the others could not be reached. One error, or silence, ends
//! the link with everything in it, and another is made; the hub then states and reads everything anew.

mod status;

use std::collections::hash_map::DefaultHasher;
use std::future::Future;
use std::hash::{Hash as _, Hasher as _};
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::select_all;
use parlor_proto::RoomId;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

pub(crate) use self::status::BackplaneStatus;

use crate::backplane::{Backplane, Claim, Event, Events, Forward, Link, ServerId, Statement, Unavailable};
use crate::hub::Hub;
use crate::switchboard::Switchboard;

/// Enough that one slow claim holds up few others; each costs a task's worth of memory and no more.
const LANES: usize = 8;
/// Requests that wait in one lane: all rooms of a large server at once, as after an outage.
const LANE_MAX: usize = 4_096;
/// Requests carried at a time: enough to hide the way there, few enough not to hold Redis up for others.
const BATCH_MAX: usize = 64;
/// How often the server says something to itself, to know that it hears. Also what the round trip is measured by.
const ECHO_INTERVAL: Duration = Duration::from_secs(1);
/// Silence for longer means that nothing is heard.
const ECHO_WITHIN: Duration = Duration::from_secs(3);
/// The first wait before another try, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Something to carry to the meeting place.
#[derive(Debug)]
pub(crate) enum Request {
    Claim { number: u64, claim: Box<Claim> },
    State(Box<Statement>),
    Forward(Box<Forward>),
}

/// Where requests are posted.
pub(crate) struct Lanes(Vec<mpsc::Sender<Request>>);

impl Lanes {
    /// Lanes, and where they end.
    pub(crate) fn new() -> (Self, Vec<mpsc::Receiver<Request>>) {
        let (senders, receivers) = (0..LANES).map(|_| mpsc::channel(LANE_MAX)).unzip();
        (Self(senders), receivers)
    }

    /// Posts a request, after all others of the same room.
    ///
    /// # Errors
    /// The request, where its lane is full.
    pub(crate) fn post(&self, request: Request) -> Result<(), Request> {
        let mut hasher = DefaultHasher::new();
        request.room().hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % LANES as u64).unwrap_or(0);
        let Some(sender) = self.0.get(lane) else { return Err(request) };
        sender.try_send(request).map_err(mpsc::error::TrySendError::into_inner)
    }
}

impl Request {
    fn room(&self) -> &RoomId {
        match self {
            Self::Claim { claim, .. } => &claim.room,
            Self::State(statement) => &statement.room,
            Self::Forward(forward) => &forward.room,
        }
    }
}

/// Keeps the link until the server stops, and everything is carried out.
pub(crate) async fn run(
    backplane: impl Backplane,
    server: ServerId,
    switchboard: &Switchboard,
    status: &BackplaneStatus,
) {
    let mut wait = RETRY.0;
    loop {
        let why = match backplane.connect(&server).await {
            Ok((link, events)) => {
                wait = RETRY.0;
                let (lanes, receivers) = Lanes::new();
                switchboard.reached(lanes);
                status.reached();
                let why = keep(&link, events, receivers, switchboard, status).await;
                switchboard.lost();
                match why {
                    Some(why) => why,
                    None => return,
                }
            }
            Err(why) => why,
        };
        if switchboard.is_stopped() {
            return;
        }
        status.lost(&why);
        sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

/// Uses a link until it fails, and says why; none where the lanes have ended.
async fn keep(
    link: &impl Link,
    events: Events,
    lanes: Vec<mpsc::Receiver<Request>>,
    switchboard: &Switchboard,
    status: &BackplaneStatus,
) -> Option<Unavailable> {
    tokio::select! {
        why = hear(events, switchboard, status) => Some(why),
        why = echo(link, status) => Some(why),
        done = carry_all(link, lanes, switchboard, status) => done.err(),
    }
}

async fn hear(mut events: Events, switchboard: &Switchboard, status: &BackplaneStatus) -> Unavailable {
    while let Some(event) = events.next().await {
        match event {
            Event::Room(state) => switchboard.input(|hub, now| hub.handle_room(state, now)),
            Event::Forwarded(forward) => switchboard.input(|hub, _| hub.handle_forwarded(forward)),
            Event::Echo(number) => status.heard(number),
        }
    }
    Unavailable::Unreachable("the connection that hears the others has ended".to_owned())
}

async fn echo(link: &impl Link, status: &BackplaneStatus) -> Unavailable {
    let mut ticks = interval(ECHO_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = Instant::now();
    loop {
        ticks.tick().await;
        if status.last_heard().unwrap_or(begun).max(begun).elapsed() > ECHO_WITHIN {
            return Unavailable::Unreachable(format!("nothing was heard for {} s", ECHO_WITHIN.as_secs()));
        }
        if let Err(why) = link.echo(status.says()).await {
            return why;
        }
    }
}

/// Carries everything, until the lanes end or one of them fails.
async fn carry_all(
    link: &impl Link,
    lanes: Vec<mpsc::Receiver<Request>>,
    switchboard: &Switchboard,
    status: &BackplaneStatus,
) -> Result<(), Unavailable> {
    type Lane<'a> = Pin<Box<dyn Future<Output = Result<(), Unavailable>> + Send + 'a>>;
    let lane = |requests| Box::pin(carry(link, requests, switchboard, status)) as Lane<'_>;
    let mut lanes: Vec<Lane<'_>> = lanes.into_iter().map(lane).collect();
    while !lanes.is_empty() {
        let (done, _, rest) = select_all(lanes).await;
        done?;
        lanes = rest;
    }
    Ok(())
}

async fn carry(
    link: &impl Link,
    mut requests: mpsc::Receiver<Request>,
    switchboard: &Switchboard,
    status: &BackplaneStatus,
) -> Result<(), Unavailable> {
    let mut batch = Vec::new();
    while requests.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (mut statements, mut forwards) = (Vec::new(), Vec::new());
        for request in batch.drain(..) {
            // What is of one kind goes together; the order of the kinds is kept.
            match request {
                Request::Claim { number, claim } => {
                    state(link, &mut statements, switchboard, status).await?;
                    forward(link, &mut forwards, switchboard, status).await?;
                    let claimed = link.claim(&claim).await?;
                    status.metrics.claims.inc();
                    switchboard.input(|hub, now| hub.handle_claimed(number, claimed, now));
                }
                Request::State(statement) => {
                    forward(link, &mut forwards, switchboard, status).await?;
                    statements.push(*statement);
                }
                Request::Forward(message) => {
                    state(link, &mut statements, switchboard, status).await?;
                    forwards.push(*message);
                }
            }
        }
        state(link, &mut statements, switchboard, status).await?;
        forward(link, &mut forwards, switchboard, status).await?;
    }
    Ok(())
}

async fn state(
    link: &impl Link,
    statements: &mut Vec<Statement>,
    switchboard: &Switchboard,
    status: &BackplaneStatus,
) -> Result<(), Unavailable> {
    if statements.is_empty() {
        return Ok(());
    }
    let rooms = link.state(statements).await?;
    status.metrics.statements.inc_by(to_u64(statements.len()));
    statements.clear();
    for room in rooms.into_iter().flatten() {
        switchboard.input(|hub: &mut Hub, now| hub.handle_room(room, now));
    }
    Ok(())
}

async fn forward(
    link: &impl Link,
    forwards: &mut Vec<Forward>,
    switchboard: &Switchboard,
    status: &BackplaneStatus,
) -> Result<(), Unavailable> {
    if forwards.is_empty() {
        return Ok(());
    }
    let heard = link.forward(forwards).await?;
    status.metrics.forwarded.inc_by(to_u64(forwards.len()));
    for (message, heard) in forwards.drain(..).zip(heard) {
        if !heard {
            status.metrics.undelivered.inc();
            switchboard.input(|hub, now| hub.handle_undelivered(message, now));
        }
    }
    Ok(())
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
