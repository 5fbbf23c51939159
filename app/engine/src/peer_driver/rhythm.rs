//! Whether a peer that sends all the time has fallen silent, long before the stack would say so.
//!
//! The stack asks its chosen address once a second and gives an answer three seconds. But sound comes every 20 ms, so that its
//! absence says much sooner that the way is lost. What that means is for the session to say: it knows whether the peer has muted itself.
//!
//! How long a silence has to be follows from the gaps that there were: a fifth of a second where packets come evenly, up to a second where they
//! come in bunches or the air pauses now and then. Only media counts. A peer behind a lost way may still answer checks: a browser does,
//! and goes on sending into the void for seconds.
//!
//! Pure: the time is an argument. A look that comes late says that this machine stood still, when nothing was heard and nothing was missed.

use std::time::{Duration, Instant};

/// The shortest silence: ten packets of sound; and a round trip more. Where it was none, what is lost is an ICE restart, once in half a minute:
/// it stops what we send for a few round trips (measured: 13 to 100 ms without a delay, 250 ms where a round trip takes 100).
const SILENCE_MIN: Duration = Duration::from_millis(200);
/// The longest; from there on the stack's own time-out is near.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// A silence is so much longer than any gap that is remembered.
const PATIENCE: u32 = 3;
/// With a longer gap whoever sends does so only now and then. A gap counts as no more than this.
const GAP_MAX: Duration = Duration::from_millis(333);
/// For so long there was no longer gap, before a peer can be missed.
const LIVELY: Duration = Duration::from_secs(1);
/// A gap is remembered for one to two of these: the air that pauses once a minute is not lost each minute.
const MEMORY: Duration = Duration::from_secs(60);
/// Gaps of a call's beginning, when everything starts, say nothing of the way.
const SETTLING: Duration = Duration::from_secs(2);
/// Between the suspicion and its confirmation: what waits in the socket is read first.
const CONFIRMATION: Duration = Duration::from_millis(20);
/// A look that is later than this says that the machine stood still or is busy: the silence counts from then on.
const LATE: Duration = Duration::from_millis(50);
/// Between two looks at someone who is silent.
const SILENT_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// For so long nothing came.
    FellSilent(Duration),
    HeardAgain,
}

/// When media came from one peer.
#[derive(Debug, Default)]
pub(crate) struct Rhythm {
    heard: Option<Heard>,
    gaps: Gaps,
    round_trip: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    first_at: Instant,
    last_at: Instant,
    /// Since when there was no long gap.
    lively_since: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Heard,
    /// Not counted before: a look was late then, or found nobody to be missed.
    CountedFrom(Instant),
    SuspectedAt(Instant),
    Silent {
        looked_at: Instant,
    },
}

impl Rhythm {
    /// A packet of media came.
    pub(crate) fn handle_media(&mut self, now: Instant) {
        let Some(heard) = &mut self.heard else {
            self.heard = Some(Heard { first_at: now, last_at: now, lively_since: now });
            return;
        };
        let gap = now.saturating_duration_since(heard.last_at);
        heard.last_at = now;
        if gap > GAP_MAX {
            heard.lively_since = now;
        }
        if now.saturating_duration_since(heard.first_at) > SETTLING {
            self.gaps.note(now, gap.min(GAP_MAX));
        }
    }

    /// What a round trip takes now.
    pub(crate) fn handle_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    /// When to look next. None before anything came.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let last_at = self.heard?.last_at;
        Some(match self.state {
            State::Silent { looked_at } => looked_at + SILENT_LOOK_INTERVAL,
            State::SuspectedAt(at) if at > last_at => at + CONFIRMATION,
            State::CountedFrom(at) if at > last_at => at + self.silence() - CONFIRMATION,
            State::Heard | State::SuspectedAt(_) | State::CountedFrom(_) => last_at + self.silence() - CONFIRMATION,
        })
    }

    /// Looks whether the peer is still heard.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Change> {
        let Heard { last_at, lively_since, .. } = self.heard?;
        if let State::Silent { looked_at } = self.state {
            return self.look_at_silent(now, last_at > looked_at);
        }
        let due = self.poll_timeout().filter(|due| *due <= now)?;
        let is_lively = last_at.saturating_duration_since(lively_since) >= LIVELY;
        if !is_lively || now.saturating_duration_since(due) > LATE {
            self.state = State::CountedFrom(now);
            return None;
        }
        if !matches!(self.state, State::SuspectedAt(at) if at > last_at) {
            self.state = State::SuspectedAt(now);
            return None;
        }
        self.state = State::Silent { looked_at: now };
        Some(Change::FellSilent(now.saturating_duration_since(last_at)))
    }

    fn look_at_silent(&mut self, now: Instant, is_heard: bool) -> Option<Change> {
        if !is_heard {
            self.state = State::Silent { looked_at: now };
            return None;
        }
        self.state = State::Heard;
        // A second of packets comes before the next silence.
        if let Some(heard) = &mut self.heard {
            heard.lively_since = heard.last_at;
        }
        Some(Change::HeardAgain)
    }

    fn silence(&self) -> Duration {
        let silence = (self.gaps.longest() * PATIENCE).max(SILENCE_MIN);
        silence.saturating_add(self.round_trip).min(SILENCE_MAX)
    }
}

/// The longest gap of late.
#[derive(Debug, Default)]
struct Gaps {
    since: Option<Instant>,
    now: Duration,
    before: Duration,
}

impl Gaps {
    fn note(&mut self, now: Instant, gap: Duration) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= MEMORY {
            self.before = std::mem::take(&mut self.now);
            self.since = Some(now);
        }
        self.now = self.now.max(gap);
    }

    fn longest(&self) -> Duration {
        self.now.max(self.before)
    }
}

#[cfg(test)]
mod tests;
