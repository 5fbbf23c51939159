//! When to write the one line of `--say`.

use std::time::{Duration, Instant};

use parlor_session::{PeerState, PeerView, Presence};

/// How long everybody has to have been connected: who starts at the same time as we do shall get the line too.
const SETTLED_FOR: Duration = Duration::from_secs(1);
/// Written even so when someone has been connected for this long and someone else still is not.
const PATIENCE: Duration = Duration::from_secs(10);

/// A line to be written once, when everybody who is there can read it.
#[derive(Debug)]
pub(super) struct SayOnce {
    /// The line.
    pub(super) text: String,
    settled_since: Option<Instant>,
    connected_since: Option<Instant>,
    people: usize,
}

impl SayOnce {
    pub(super) fn new(text: String) -> Self {
        Self { text, settled_since: None, connected_since: None, people: 0 }
    }

    /// Takes note of who is there.
    pub(super) fn observe(&mut self, peers: &[PeerView], now: Instant) {
        let here = peers.iter().filter(|peer| peer.presence == Presence::Here);
        self.count(here.clone().count(), here.filter(|peer| peer.state == PeerState::Connected).count(), now);
    }

    fn count(&mut self, people: usize, connected: usize, now: Instant) {
        let is_settled = connected > 0 && connected == people;
        if !is_settled || people != self.people {
            self.settled_since = None;
        }
        if is_settled {
            self.settled_since.get_or_insert(now);
        }
        match connected {
            0 => self.connected_since = None,
            _ => {
                self.connected_since.get_or_insert(now);
            }
        }
        self.people = people;
    }

    /// When to write it, as far as can be said now.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let settled = self.settled_since.map(|since| since + SETTLED_FOR);
        let impatient = self.connected_since.map(|since| since + PATIENCE);
        settled.into_iter().chain(impatient).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_waits_until_everybody_has_been_connected_for_a_second() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut say = SayOnce::new("Hello".into());
        say.count(0, 0, start);
        assert_eq!(say.due_at(), None);
        say.count(1, 0, after(100));
        assert_eq!(say.due_at(), None);
        say.count(1, 1, after(200));
        say.count(1, 1, after(500));
        assert_eq!(say.due_at(), Some(after(1200)));
        // Someone else comes, and is connected.
        say.count(2, 1, after(600));
        assert_eq!(say.due_at(), Some(after(10_200)));
        say.count(2, 2, after(900));
        assert_eq!(say.due_at(), Some(after(1900)));
    }

    #[test]
    fn someone_who_cannot_be_reached_does_not_hold_the_line_up_for_ever() {
        let start = Instant::now();
        let mut say = SayOnce::new("Hello".into());
        say.count(2, 1, start);
        assert_eq!(say.due_at(), Some(start + PATIENCE));
        say.count(2, 0, start);
        assert_eq!(say.due_at(), None);
    }

    #[test]
    fn who_replaces_someone_is_waited_for_too() {
        let start = Instant::now();
        let mut say = SayOnce::new("Hello".into());
        say.count(1, 1, start);
        say.count(2, 2, start + Duration::from_millis(800));
        assert_eq!(say.due_at(), Some(start + Duration::from_millis(1800)));
    }
}
