//! How the link to the other servers is: for the log, for whoever asks whether the server is ready, and for figures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::backplane::Unavailable;
use crate::metrics::BackplaneMetrics;

/// The state of the link, and what went over it since the start.
#[derive(Debug)]
pub(crate) struct BackplaneStatus {
    state: Mutex<State>,
    said: AtomicU64,
    pub(super) metrics: BackplaneMetrics,
}

#[derive(Debug, Default)]
struct State {
    is_reached: bool,
    /// Why not, in words.
    why: Option<String>,
    said_at: Option<(u64, Instant)>,
    heard_at: Option<Instant>,
}

impl BackplaneStatus {
    /// Not reached yet.
    pub(crate) fn new(metrics: BackplaneMetrics) -> Self {
        Self { state: Mutex::default(), said: AtomicU64::new(0), metrics }
    }

    /// Why the other servers cannot be reached; none where they can.
    pub(crate) fn unavailable(&self) -> Option<String> {
        let state = self.state();
        let why = || state.why.clone().unwrap_or_else(|| "Redis was not reached yet".to_owned());
        (!state.is_reached).then(why)
    }

    pub(super) fn reached(&self) {
        let mut state = self.state();
        state.is_reached = true;
        self.metrics.up.set(1);
        state.said_at = None;
        if state.why.take().is_some() {
            tracing::info!("the other servers are in reach again");
        }
    }

    pub(super) fn lost(&self, why: &Unavailable) {
        let mut state = self.state();
        if std::mem::take(&mut state.is_reached) {
            self.metrics.losses.inc();
            self.metrics.up.set(0);
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
            self.metrics.round_trip.observe((now - at).as_secs_f64());
        }
    }

    pub(super) fn last_heard(&self) -> Option<Instant> {
        self.state().heard_at
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
