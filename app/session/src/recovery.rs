//! When to do something about media with one peer that does not flow: what is due next, and how patiently.
//!
//! | what happened | what is due |
//! |---|---|
//! | we are new, they were there before us | their offer, within 10 s; after 10 s more we offer |
//! | a transport was made | connected, within 15 s |
//! | media stopped | an ICE restart, the impolite end at once, the polite one a second later |
//! | a peer fell silent | the same once in 30 s, the polite end after 0.15 s |
//! | the stack gave up looking for a way | what is next, without its wait |
//! | an ICE restart was made | the next one after 2, 4, 8 … 15 s; after three a new transport |
//! | a transport broke | a new one after a random wait up to 1, 2, 4 … 15 s |
//!
//! None of it is due while there is no way to the peer through the server; when there is one again, what is overdue is
//! due at once.

use std::time::{Duration, Instant};

use crate::SessionConfig;
use crate::random::Random;

/// What is due next with one peer.
#[derive(Debug)]
pub(crate) struct Recovery {
    polite: bool,
    next: Next,
    ice_restarts: u32,
    rebuilds: u32,
    /// When a silence was last taken for the loss of media.
    silent_at: Option<Instant>,
    /// When they last offered: perhaps they have noticed as well.
    offered_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// Their offer. The wait begins when there is a way for it.
    TheirOffer {
        until: Option<Instant>,
        overdue: bool,
    },
    /// Ours.
    Attempt {
        at: Instant,
    },
}

/// What [`Recovery::take_due`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Their offer is late.
    OfferIsLate,
    /// Time to repair or replace the transport.
    Attempt,
}

impl Recovery {
    pub(crate) fn new(polite: bool) -> Self {
        Self { polite, next: Next::Nothing, ice_restarts: 0, rebuilds: 0, silent_at: None, offered_at: None }
    }

    pub(crate) fn expect_offer(&mut self) {
        self.next = Next::TheirOffer { until: None, overdue: false };
    }

    /// A transport was made, by us or at their wish.
    pub(crate) fn transport_made(&mut self, config: &SessionConfig, now: Instant) {
        self.ice_restarts = 0;
        self.attempt_after(config.connect_timeout + self.politeness(config), now);
    }

    pub(crate) fn media_flows(&mut self) {
        *self = Self { silent_at: self.silent_at, ..Self::new(self.polite) };
    }

    /// An offer of theirs came.
    pub(crate) fn they_offered(&mut self, now: Instant) {
        self.offered_at = Some(now);
    }

    /// Nothing comes any more, though the transport has not said so. Whether that is to be taken for the loss of media. An offer that came
    /// just now has a second to bring it back: who noticed first restarts.
    pub(crate) fn fell_silent(&mut self, config: &SessionConfig, now: Instant) -> bool {
        if self.silent_at.is_some_and(|at| now.saturating_duration_since(at) < config.silence_rest) {
            return false;
        }
        self.silent_at = Some(now);
        let wait = if self.polite { config.polite_silence_delay } else { Duration::ZERO };
        let theirs = self.offered_at.map(|at| (at + config.polite_restart_delay).saturating_duration_since(now));
        self.attempt_after(wait.max(theirs.unwrap_or_default()), now);
        true
    }

    /// Media comes again. A silence that ended before anything was done about it costs nobody, and the next one counts.
    pub(crate) fn heard_again(&mut self) {
        if self.ice_restarts == 0 && matches!(self.next, Next::Attempt { .. }) {
            self.silent_at = None;
        }
    }

    /// Nobody looks for a way until the next attempt, so that it is due at once. The stack looks for many seconds before it says so.
    pub(crate) fn gave_up(&mut self, config: &SessionConfig, now: Instant) {
        let wait = self.politeness(config);
        if let Next::Attempt { at } = &mut self.next {
            *at = (*at).min(now + wait);
        }
    }

    pub(crate) fn media_stopped(&mut self, config: &SessionConfig, now: Instant) {
        self.attempt_after(self.politeness(config), now);
    }

    /// They restart ICE: what we would do is done already.
    pub(crate) fn they_restarted(&mut self, config: &SessionConfig, now: Instant) {
        self.attempt_after(config.ice_restart_backoff_base * 2 + self.politeness(config), now);
    }

    pub(crate) fn transport_broke(&mut self, config: &SessionConfig, random: &mut Random, now: Instant) {
        let bound = doubled(config.rebuild_backoff_base, self.rebuilds, config.recovery_backoff_max);
        self.rebuilds = self.rebuilds.saturating_add(1);
        self.attempt_after(random.up_to(bound), now);
    }

    /// Something is in flight; look again soon.
    pub(crate) fn postpone(&mut self, now: Instant) {
        self.attempt_after(Duration::from_secs(1), now);
    }

    /// Whether the transport deserves another ICE restart; counts it.
    pub(crate) fn try_ice_restart(&mut self, config: &SessionConfig, now: Instant) -> bool {
        if self.ice_restarts >= config.ice_restarts_max {
            return false;
        }
        let wait = doubled(config.ice_restart_backoff_base, self.ice_restarts, config.recovery_backoff_max);
        self.ice_restarts += 1;
        self.attempt_after(wait + self.politeness(config), now);
        true
    }

    /// There is a way to the peer again.
    pub(crate) fn way_opened(&mut self, config: &SessionConfig, now: Instant) {
        match &mut self.next {
            Next::Attempt { at } if *at <= now => self.media_stopped(config, now),
            Next::TheirOffer { until, .. } => *until = Some(now + config.offer_expected),
            Next::Attempt { .. } | Next::Nothing => {}
        }
    }

    /// What is due at `now`, where there is a way to the peer. An offer that is late is waited for once more, then made.
    pub(crate) fn take_due(&mut self, config: &SessionConfig, now: Instant) -> Option<Due> {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return None;
        }
        match self.next {
            Next::TheirOffer { overdue: false, .. } => {
                self.next = Next::TheirOffer { until: Some(now + config.offer_expected), overdue: true };
                Some(Due::OfferIsLate)
            }
            Next::TheirOffer { overdue: true, .. } | Next::Attempt { .. } => {
                self.next = Next::Nothing;
                Some(Due::Attempt)
            }
            Next::Nothing => None,
        }
    }

    /// When something is due, if there is a way to the peer then.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.next {
            Next::Nothing => None,
            Next::TheirOffer { until, .. } => until,
            Next::Attempt { at } => Some(at),
        }
    }

    fn attempt_after(&mut self, wait: Duration, now: Instant) {
        self.next = Next::Attempt { at: now + wait };
    }

    fn politeness(&self, config: &SessionConfig) -> Duration {
        if self.polite { config.polite_restart_delay } else { Duration::ZERO }
    }
}

/// `base · 2ⁿ`, at most `max`.
pub(crate) fn doubled(base: Duration, times: u32, max: Duration) -> Duration {
    base.checked_mul(2_u32.saturating_pow(times)).map_or(max, |wait| wait.min(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods)]
    fn start() -> (Recovery, SessionConfig, Instant) {
        (Recovery::new(false), SessionConfig::default(), Instant::now())
    }

    fn secs(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn ice_restarts_back_off_and_give_way_to_a_new_transport() {
        let (mut recovery, config, now) = start();
        recovery.media_stopped(&config, now);
        assert_eq!(recovery.take_due(&config, now), Some(Due::Attempt));
        for wait in [2, 4, 8] {
            assert!(recovery.try_ice_restart(&config, now));
            assert_eq!(recovery.poll_timeout(), Some(now + secs(wait)));
        }
        assert!(!recovery.try_ice_restart(&config, now));
        recovery.transport_made(&config, now);
        assert_eq!(recovery.poll_timeout(), Some(now + secs(15)));
        assert!(recovery.try_ice_restart(&config, now));
    }

    #[test]
    fn the_polite_end_waits_a_second() {
        let (_, config, now) = start();
        let mut recovery = Recovery::new(true);
        recovery.media_stopped(&config, now);
        assert_eq!(recovery.poll_timeout(), Some(now + secs(1)));
    }

    #[test]
    fn a_silence_counts_once_in_half_a_minute_whatever_comes_between() {
        let (mut recovery, config, now) = start();
        assert!(recovery.fell_silent(&config, now));
        assert_eq!(recovery.take_due(&config, now), Some(Due::Attempt));
        recovery.media_flows();
        assert!(!recovery.fell_silent(&config, now + secs(29)));
        assert_eq!(recovery.poll_timeout(), None);
        assert!(recovery.fell_silent(&config, now + secs(30)));
    }

    #[test]
    fn a_silence_is_left_for_a_second_to_whoever_noticed_it_first() {
        let (mut recovery, config, now) = start();
        recovery.they_offered(now);
        assert!(recovery.fell_silent(&config, now + secs(1) / 4));
        assert_eq!(recovery.poll_timeout(), Some(now + secs(1)));
        recovery.heard_again();
        recovery.media_flows();
        assert_eq!(recovery.poll_timeout(), None);
        assert!(recovery.fell_silent(&config, now + secs(9)), "nothing had been done");
        assert_eq!(recovery.poll_timeout(), Some(now + secs(9)));
    }

    #[test]
    fn nothing_is_waited_for_once_the_stack_gave_up() {
        let (mut recovery, config, now) = start();
        recovery.gave_up(&config, now);
        assert_eq!(recovery.poll_timeout(), None, "nothing was to be done");
        assert!(recovery.try_ice_restart(&config, now));
        recovery.gave_up(&config, now + secs(1));
        assert_eq!(recovery.take_due(&config, now + secs(1)), Some(Due::Attempt));
        let mut polite = Recovery::new(true);
        assert!(polite.fell_silent(&config, now));
        assert_eq!(polite.poll_timeout(), Some(now + config.polite_silence_delay));
    }

    #[test]
    fn a_late_offer_is_mentioned_once_and_then_made_by_us() {
        let (mut recovery, config, now) = start();
        recovery.expect_offer();
        assert_eq!(recovery.poll_timeout(), None);
        recovery.way_opened(&config, now);
        assert_eq!(recovery.take_due(&config, now + secs(9)), None);
        assert_eq!(recovery.take_due(&config, now + secs(10)), Some(Due::OfferIsLate));
        assert_eq!(recovery.take_due(&config, now + secs(20)), Some(Due::Attempt));
        assert_eq!(recovery.poll_timeout(), None);
    }

    #[test]
    fn waits_are_doubled_up_to_their_bound() {
        let waits: Vec<_> = [0, 1, 2, 3, 31, 32, u32::MAX].map(|times| doubled(secs(2), times, secs(15))).to_vec();
        assert_eq!(waits, [2, 4, 8, 15, 15, 15, 15].map(secs));
    }

    #[test]
    fn what_was_overdue_without_a_way_is_due_when_there_is_one() {
        let (mut recovery, config, now) = start();
        recovery.media_stopped(&config, now);
        recovery.way_opened(&config, now + secs(30));
        assert_eq!(recovery.take_due(&config, now + secs(30)), Some(Due::Attempt));
    }
}
