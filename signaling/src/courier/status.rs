//! How the link to the other servers is: for the log, for whoever asks whether the server is ready, and for figures.

// `/readyz` and `/metrics` are yet to read it.
#![allow(dead_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backplane::Unavailable;

/// The state of the link, and what went over it since the start.
#[derive(Debug, Default)]
pub(crate) struct BackplaneStatus {
    state: Mutex<State>,
    said: AtomicU64,
    /// How often the link was lost.
    pub(crate) losses: Count,
    /// Claims answered.
    pub(crate) claims: Count,
    /// Parts of rooms stated.
    pub(crate) statements: Count,
    /// Messages sent on to other servers.
    pub(crate) forwarded: Count,
    /// Those among them that nobody heard.
    pub(crate) undelivered: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

#[derive(Debug, Default)]
struct State {
    is_reached: bool,
    /// Why not, in words.
    why: Option<String>,
    said_at: Option<(u64, Instant)>,
    heard_at: Option<Instant>,
    round_trip: Option<Duration>,
}

impl Count {
    pub(crate) fn add(&self, number: usize) {
        self.0.fetch_add(u64::try_from(number).unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl BackplaneStatus {
    /// Why the other servers cannot be reached, as a sentence; none where they can.
    pub(crate) fn unavailable(&self) -> Option<String> {
        let state = self.state();
        (!state.is_reached).then(|| state.why.clone().unwrap_or_else(|| "Redis was not reached yet".to_owned()))
    }

    /// The latest time from saying something to hearing it.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.state().round_trip
    }

    pub(super) fn reached(&self) {
        let mut state = self.state();
        state.is_reached = true;
        state.said_at = None;
        if state.why.take().is_some() {
            tracing::info!("the other servers are in reach again");
        }
    }

    pub(super) fn lost(&self, why: &Unavailable) {
        let mut state = self.state();
        if std::mem::take(&mut state.is_reached) {
            self.losses.add(1);
        }
        let why = why.to_string();
        if state.why.as_ref() != Some(&why) {
            tracing::warn!(%why, "the other servers are out of reach; rooms go on with who is here");
            state.why = Some(why);
        }
    }

    /// The number to say next.
    pub(super) fn says(&self) -> u64 {
        let number = self.said.fetch_add(1, Ordering::Relaxed);
        self.state().said_at = Some((number, Instant::now()));
        number
    }

    pub(super) fn heard(&self, number: u64) {
        let mut state = self.state();
        let now = Instant::now();
        state.heard_at = Some(now);
        if let Some((said, at)) = state.said_at
            && said == number
        {
            state.round_trip = Some(now - at);
        }
    }

    pub(super) fn last_heard(&self) -> Option<Instant> {
        self.state().heard_at
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
