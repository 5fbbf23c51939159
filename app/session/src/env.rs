//! What every machine may see and write to while it handles one input.

use std::collections::VecDeque;
use std::time::Instant;

use parlor_proto::{ErrorCode, PeerId, TransportId};

use crate::chat::Chat;
use crate::ice_servers::IceServers;
use crate::random::Random;
use crate::{Action, Event, MediaState, SessionConfig};

/// Events that are kept for a shell that does not fetch them; the oldest go first.
const EVENTS_MAX: usize = 1_024;
/// Ids of closed transports that are remembered: those of a full room, rebuilt several times.
const RETIRED_MAX: usize = 128;

/// Everything around a machine while it handles one input.
pub(crate) struct Env<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a SessionConfig,
    pub(crate) self_id: &'a PeerId,
    /// Whether we are in the server's room at this moment.
    pub(crate) signaling_ready: bool,
    pub(crate) ice_servers: &'a IceServers,
    pub(crate) media: MediaState,
    pub(crate) random: &'a mut Random,
    pub(crate) retired: &'a mut Retired,
    pub(crate) chat: &'a mut Chat,
    pub(crate) out: &'a mut Outputs,
}

/// What the shell must do and the user should know, in order.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// Bounded by what one input causes: they are drained before the next.
    pub(crate) actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

impl Outputs {
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Tells the user what did not work; `code` where the server said so.
    pub(crate) fn complain(&mut self, code: Option<ErrorCode>, message: impl Into<String>) {
        self.tell(Event::Error { code, message: shortened(message.into()) });
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

/// Ids of transports that were closed here. An offer for one of them comes from a peer that does not know yet, and must
/// not bring it back: the new transport would answer for a handshake it never made.
#[derive(Debug, Default)]
pub(crate) struct Retired(VecDeque<TransportId>);

impl Retired {
    pub(crate) fn add(&mut self, id: TransportId) {
        if self.0.len() == RETIRED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(id);
    }

    pub(crate) fn contains(&self, id: &TransportId) -> bool {
        self.0.contains(id)
    }
}

/// Error texts of the stack can hold whole packets; a user reads one line.
pub(crate) fn shortened(mut text: String) -> String {
    const CHARACTERS_MAX: usize = 300;
    if let Some((end, _)) = text.char_indices().nth(CHARACTERS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfetched_events_and_retired_ids_are_bounded() {
        let mut out = Outputs::default();
        let mut retired = Retired::default();
        for number in 0..5_000_u64 {
            out.complain(None, number.to_string());
            retired.add(TransportId::from_random(number));
        }
        assert_eq!(out.events.len(), EVENTS_MAX);
        assert_eq!(retired.0.len(), RETIRED_MAX);
        assert!(retired.contains(&TransportId::from_random(4_999)));
    }

    #[test]
    fn long_errors_are_cut_between_characters() {
        assert_eq!(shortened("é".repeat(1_000)).chars().count(), 301);
        assert_eq!(shortened("short".into()), "short");
    }
}
