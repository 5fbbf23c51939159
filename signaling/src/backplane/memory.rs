//! Servers of one process that meet in its memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream;
use tokio::sync::mpsc;

use super::{
    Backplane, Claim, Claimed, Event, Events, Forward, Link, RoomState, ServerId, SharedRooms, Statement, Unavailable,
};

/// Events that wait for one server. When they are more, its link breaks, and it reads its rooms anew.
const EVENTS_MAX: usize = 1_024;

/// A meeting place in memory; its clones are the same one.
#[derive(Clone)]
pub struct MemoryBackplane {
    shared: Arc<Shared>,
}

/// A way to it.
#[derive(Clone)]
pub struct MemoryLink {
    shared: Arc<Shared>,
    server: ServerId,
    /// Which connection this is: an earlier one of the same server is broken.
    number: u64,
}

struct Shared {
    started_at: Instant,
    state: Mutex<State>,
}

struct State {
    rooms: SharedRooms,
    servers: BTreeMap<ServerId, (u64, mpsc::Sender<Event>)>,
    connected: u64,
    is_reachable: bool,
}

impl MemoryBackplane {
    /// A meeting place without rooms, where a part of a room holds for this long.
    pub fn new(lease: Duration) -> Self {
        let rooms = SharedRooms::new(lease);
        let state = State { rooms, servers: BTreeMap::new(), connected: 0, is_reachable: true };
        Self { shared: Arc::new(Shared { started_at: Instant::now(), state: Mutex::new(state) }) }
    }

    /// Breaks all links and lets nobody in, or lets them in again.
    pub fn set_reachable(&self, is_reachable: bool) {
        let mut state = self.shared.state();
        state.is_reachable = is_reachable;
        if !is_reachable {
            state.servers.clear();
        }
    }
}

impl Backplane for MemoryBackplane {
    type Link = MemoryLink;

    async fn connect(&self, server: &ServerId) -> Result<(MemoryLink, Events), Unavailable> {
        let mut state = self.shared.state();
        if !state.is_reachable {
            return Err(unavailable());
        }
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        state.connected += 1;
        let number = state.connected;
        state.servers.insert(*server, (number, sender));
        let events =
            stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|event| (event, receiver)) });
        Ok((MemoryLink { shared: Arc::clone(&self.shared), server: *server, number }, Box::pin(events)))
    }
}

impl Link for MemoryLink {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, Unavailable> {
        let mut state = self.state()?;
        let (claimed, news) = state.rooms.claim(claim, self.shared.now_ms());
        state.tell(news);
        Ok(claimed)
    }

    async fn state(&self, statements: &[Statement]) -> Result<Vec<Option<RoomState>>, Unavailable> {
        let mut state = self.state()?;
        let now_ms = self.shared.now_ms();
        let answers = statements.iter().map(|statement| {
            let (answer, news) = state.rooms.state(statement, now_ms);
            state.tell(news);
            answer
        });
        Ok(answers.collect())
    }

    async fn forward(&self, forwards: &[Forward]) -> Result<Vec<bool>, Unavailable> {
        let mut state = self.state()?;
        Ok(forwards.iter().map(|forward| state.send(&forward.server, Event::Forwarded(forward.clone()))).collect())
    }

    async fn echo(&self, number: u64) -> Result<(), Unavailable> {
        self.state()?.send(&self.server, Event::Echo(number));
        Ok(())
    }
}

impl MemoryLink {
    fn state(&self) -> Result<MutexGuard<'_, State>, Unavailable> {
        let state = self.shared.state();
        let is_current = state.servers.get(&self.server).is_some_and(|(number, _)| *number == self.number);
        if is_current { Ok(state) } else { Err(unavailable()) }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl State {
    fn tell(&mut self, news: Option<(RoomState, Vec<ServerId>)>) {
        let Some((room, servers)) = news else { return };
        for server in servers {
            self.send(&server, Event::Room(room.clone()));
        }
    }

    /// Returns whether the server is there. One that does not read what it is told is cut off.
    fn send(&mut self, server: &ServerId, event: Event) -> bool {
        let Some((_, sender)) = self.servers.get(server) else { return false };
        if sender.try_send(event).is_ok() {
            return true;
        }
        self.servers.remove(server);
        false
    }
}

fn unavailable() -> Unavailable {
    Unavailable::Unreachable("it is cut off".to_owned())
}
