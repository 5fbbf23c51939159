//! What one direction of sound is to be connected to, and when to try and to look again. Pure.

use std::time::{Duration, Instant};

use super::super::error::AudioDeviceError;
use super::super::status::{Choice, Direction, Status};

/// After a failure the next try comes so much later, doubled each time up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// How often devices are looked at, where that is cheap and where it is not.
const LOOK_QUICK: Duration = Duration::from_secs(1);
const LOOK_SLOW: Duration = Duration::from_secs(4);

/// Which device is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The one that the system prefers.
    Default,
    /// This one.
    Id(String),
}

/// One direction of sound.
#[derive(Debug)]
pub(super) struct Slot {
    direction: Direction,
    choice: Choice,
    wanted: Option<Wanted>,
    state: State,
    /// The wanted device was open once, so its absence means that it was pulled out.
    was_there: bool,
    failures: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Idle,
    Closed { open_at: Instant },
    Open { look_at: Instant, is_wanted: bool },
}

impl Slot {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, choice: Choice::default(), wanted: None, state: State::Idle, was_there: false, failures: 0 }
    }

    pub(super) fn direction(&self) -> Direction {
        self.direction
    }

    pub(super) fn choice(&self) -> Choice {
        self.choice
    }

    pub(super) fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_ref()
    }

    /// Takes a new choice; what was open before is to be closed.
    pub(super) fn choose(&mut self, choice: Choice, wanted: Option<Wanted>, now: Instant) {
        self.state = if wanted.is_some() { State::Closed { open_at: now } } else { State::Idle };
        self.choice = choice;
        self.wanted = wanted;
        self.was_there = false;
        self.failures = 0;
    }

    /// When there is something to do next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Closed { open_at } => Some(open_at),
            State::Open { look_at, .. } => Some(look_at),
        }
    }

    pub(super) fn is_due_to_open(&self, now: Instant) -> bool {
        matches!(self.state, State::Closed { open_at } if open_at <= now)
    }

    pub(super) fn is_due_to_look(&self, now: Instant) -> bool {
        matches!(self.state, State::Open { look_at, .. } if look_at <= now)
    }

    /// Whether what is open is what was chosen.
    pub(super) fn is_on_wanted(&self) -> bool {
        matches!(self.state, State::Open { is_wanted: true, .. })
    }

    /// Whether the default device may stand in: only for one that was there, not for one that never was.
    pub(super) fn may_fall_back(&self) -> bool {
        self.was_there
    }

    /// The devices have been looked at.
    pub(super) fn on_looked(&mut self, now: Instant, quick: bool) {
        if let State::Open { look_at, .. } = &mut self.state {
            *look_at = now + if quick { LOOK_QUICK } else { LOOK_SLOW };
        }
    }

    /// The device is gone or to be left: open one again, at once.
    pub(super) fn on_lost(&mut self, now: Instant) {
        self.state = State::Closed { open_at: now };
    }

    /// A device was opened (its name, and whether it is the wanted one), or not; gives what to tell the user.
    pub(super) fn on_opened(&mut self, opened: Result<(&str, bool), &AudioDeviceError>, now: Instant) -> Status {
        match opened {
            Ok((name, is_wanted)) => {
                self.failures = 0;
                self.was_there |= is_wanted;
                self.state = State::Open { look_at: now + LOOK_QUICK, is_wanted };
                Status::Live { label: name.to_owned() }
            }
            Err(error) => {
                let wait = (FIRST_RETRY * 2_u32.saturating_pow(self.failures.min(8))).min(LAST_RETRY);
                self.failures += 1;
                self.state = State::Closed { open_at: now + wait };
                let unplugged = self.was_there && matches!(error, AudioDeviceError::NoDevice { .. });
                let kind = self.direction.kind();
                Status::Failed(if unplugged { AudioDeviceError::Unplugged { kind } } else { error.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: AudioDeviceError = AudioDeviceError::NoDevice { kind: "microphone" };

    fn slot(now: Instant) -> Slot {
        let mut slot = Slot::new(Direction::Input);
        slot.choose(Choice::default().next(), Some(Wanted::Id("headset".to_owned())), now);
        slot
    }

    #[test]
    fn a_choice_is_opened_at_once_and_none_never() {
        let now = Instant::now();
        let mut slot = slot(now);
        assert!(slot.is_due_to_open(now));
        slot.choose(Choice::default(), None, now);
        assert!(!slot.is_due_to_open(now) && slot.deadline().is_none());
    }

    #[test]
    fn a_device_that_never_was_is_no_reason_to_take_another_one() {
        let now = Instant::now();
        let mut slot = slot(now);
        assert!(!slot.may_fall_back());
        assert_eq!(slot.on_opened(Err(&MISSING), now), Status::Failed(MISSING));
    }

    #[test]
    fn an_unplugged_device_is_replaced_and_taken_again_when_it_is_back() {
        let now = Instant::now();
        let mut slot = slot(now);
        assert!(slot.on_opened(Ok(("Headset", true)), now).is_live());
        slot.on_lost(now);
        assert!(slot.is_due_to_open(now) && slot.may_fall_back());
        assert_eq!(slot.on_opened(Ok(("Built-in", false)), now), Status::Live { label: "Built-in".to_owned() });
        assert!(!slot.is_on_wanted());
        assert!(slot.is_due_to_look(now + LOOK_QUICK));
        slot.on_lost(now + LOOK_QUICK);
        slot.on_opened(Ok(("Headset", true)), now + LOOK_QUICK);
        assert!(slot.is_on_wanted());
    }

    #[test]
    fn with_nothing_in_its_place_it_was_unplugged() {
        let now = Instant::now();
        let mut slot = slot(now);
        slot.on_opened(Ok(("Headset", true)), now);
        slot.on_lost(now);
        let unplugged = AudioDeviceError::Unplugged { kind: "microphone" };
        assert_eq!(slot.on_opened(Err(&MISSING), now), Status::Failed(unplugged));
    }

    #[test]
    fn tries_become_rarer_but_never_end() {
        let mut now = Instant::now();
        let mut slot = slot(now);
        let mut waits = Vec::new();
        for _ in 0..20 {
            slot.on_opened(Err(&MISSING), now);
            let next = slot.deadline().unwrap();
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits[0], FIRST_RETRY);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits[19], LAST_RETRY);
    }
}
