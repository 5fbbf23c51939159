//! The socket to the server: when to open it, when to give it up, how long to wait in between.

use std::time::{Duration, Instant};

use crate::SessionConfig;
use crate::random::Random;
use crate::recovery::doubled;

/// Where the socket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// None is wanted.
    Off,
    /// One will be opened.
    Waiting { until: Instant },
    /// One is being opened.
    Opening { until: Instant },
    /// It is open; `hello` and `join` are sent.
    Joining { until: Instant },
    /// We are in the room.
    Ready,
}

/// The socket to the server.
#[derive(Debug)]
pub(crate) struct SignalingLink {
    state: State,
    /// Sockets that came to nothing since the last `joined`.
    failures: u32,
    /// What the server asked for on its last socket.
    retry_after: Option<Duration>,
}

/// What is to be done about the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkStep {
    Open,
    /// It did not get anywhere in time; drop it.
    Drop,
}

impl SignalingLink {
    pub(crate) fn new() -> Self {
        Self { state: State::Off, failures: 0, retry_after: None }
    }

    /// A socket is to be opened now.
    pub(crate) fn open(&mut self, config: &SessionConfig, now: Instant) {
        self.state = State::Opening { until: now + config.signaling_step_timeout };
        self.retry_after = None;
    }

    /// The socket is open. Returns whether it is one we wait for.
    pub(crate) fn opened(&mut self, config: &SessionConfig, now: Instant) -> bool {
        let expected = matches!(self.state, State::Opening { .. });
        if expected {
            self.state = State::Joining { until: now + config.signaling_step_timeout };
        }
        expected
    }

    /// The server took us in. Returns whether we were waiting for that.
    pub(crate) fn joined(&mut self) -> bool {
        let expected = matches!(self.state, State::Joining { .. } | State::Ready);
        if expected {
            self.state = State::Ready;
            self.failures = 0;
        }
        expected
    }

    /// The server names the wait before the next socket.
    pub(crate) fn ask_to_wait(&mut self, retry_after_ms: Option<u64>, config: &SessionConfig) {
        if let Some(wait_ms) = retry_after_ms {
            self.retry_after = Some(Duration::from_millis(wait_ms).min(config.retry_after_max));
        }
    }

    /// The socket is no more: the next one follows with full jitter, or when the server wants it. Returns whether one was wanted.
    pub(crate) fn closed(&mut self, config: &SessionConfig, random: &mut Random, now: Instant) -> bool {
        if matches!(self.state, State::Off | State::Waiting { .. }) {
            return false;
        }
        let bound = doubled(config.signaling_backoff_base, self.failures, config.signaling_backoff_max);
        self.failures = self.failures.saturating_add(1);
        let wait = self.retry_after.take().unwrap_or_else(|| random.up_to(bound));
        self.state = State::Waiting { until: now + wait };
        true
    }

    /// No socket is wanted any more.
    pub(crate) fn stop(&mut self) {
        *self = Self::new();
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Whether a socket is on its way.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening { .. })
    }

    /// Whether there is a socket that can be written.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Joining { .. } | State::Ready)
    }

    pub(crate) fn take_due(&mut self, config: &SessionConfig, random: &mut Random, now: Instant) -> Option<LinkStep> {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return None;
        }
        match self.state {
            State::Waiting { .. } => {
                self.open(config, now);
                Some(LinkStep::Open)
            }
            State::Opening { .. } | State::Joining { .. } => {
                self.closed(config, random, now);
                Some(LinkStep::Drop)
            }
            State::Off | State::Ready => None,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } | State::Opening { until } | State::Joining { until } => Some(until),
            State::Off | State::Ready => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods)]
    fn start() -> (SignalingLink, SessionConfig, Random, Instant) {
        (SignalingLink::new(), SessionConfig::default(), Random::new([3; 32]), Instant::now())
    }

    #[test]
    fn waits_have_full_jitter_and_are_capped_at_two_seconds() {
        let (mut link, config, mut random, now) = start();
        let mut longest = Duration::ZERO;
        for failure in 0..200_u32 {
            link.open(&config, now);
            assert!(link.closed(&config, &mut random, now));
            let wait = link.poll_timeout().unwrap() - now;
            assert!(wait <= Duration::from_millis(100) * 2_u32.pow(failure.min(5)));
            assert!(wait <= Duration::from_secs(2));
            longest = longest.max(wait);
        }
        assert!(longest > Duration::from_millis(1_800));
    }

    #[test]
    fn the_servers_wish_counts_once_and_within_reason() {
        let (mut link, config, mut random, now) = start();
        link.open(&config, now);
        link.ask_to_wait(Some(7_000), &config);
        link.closed(&config, &mut random, now);
        assert_eq!(link.poll_timeout(), Some(now + Duration::from_secs(7)));
        link.open(&config, now);
        link.closed(&config, &mut random, now);
        assert!(link.poll_timeout().unwrap() <= now + Duration::from_millis(200));
        link.open(&config, now);
        link.ask_to_wait(Some(u64::MAX), &config);
        link.closed(&config, &mut random, now);
        assert_eq!(link.poll_timeout(), Some(now + config.retry_after_max));
    }

    #[test]
    fn a_socket_that_gets_nowhere_is_dropped_and_tried_again() {
        let (mut link, config, mut random, now) = start();
        link.open(&config, now);
        assert_eq!(link.take_due(&config, &mut random, now + Duration::from_secs(9)), None);
        assert_eq!(link.take_due(&config, &mut random, now + Duration::from_secs(10)), Some(LinkStep::Drop));
        assert_eq!(link.take_due(&config, &mut random, now + Duration::from_secs(13)), Some(LinkStep::Open));
    }

    #[test]
    fn joining_ends_the_waits() {
        let (mut link, config, mut random, now) = start();
        link.open(&config, now);
        assert!(link.opened(&config, now));
        assert!(link.joined() && link.is_ready());
        assert_eq!(link.poll_timeout(), None);
        assert!(link.closed(&config, &mut random, now));
        assert!(!link.closed(&config, &mut random, now));
    }
}
