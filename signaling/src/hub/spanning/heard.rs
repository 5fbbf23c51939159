//! What hubs and their meeting place say to each other, as values: for worlds that delay, lose and repeat it.

use std::time::Instant;

use super::super::{Hub, Output};
use crate::backplane::{Claimed, Event, Forward, RoomState, ServerId, SharedRooms};

/// Something that a hub hears from the meeting place, or over it from another server.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// What became of its claim of this number.
    Claimed(u64, Claimed),
    /// The answer to its statement of a room.
    Room(RoomState),
    /// What others did.
    Event(Event),
    /// Its message reached nobody.
    Undelivered(Forward),
}

impl Heard {
    /// Who hears what when a hub's request has come to the meeting place: first the others, then whoever asked.
    /// `is_there` says which servers a message can be sent on to. What a hub has to say to clients leads to nothing here.
    pub fn of(
        meeting: &mut SharedRooms,
        from: ServerId,
        request: Output,
        is_there: impl Fn(ServerId) -> bool,
        now_ms: u64,
    ) -> Vec<(ServerId, Self)> {
        let (news, answer) = match request {
            Output::Claim { number, claim } => {
                let (claimed, news) = meeting.claim(&claim, now_ms);
                (news, Some((from, Self::Claimed(number, claimed))))
            }
            Output::State(statement) => {
                let (state, news) = meeting.state(&statement, now_ms);
                (news, state.map(|state| (from, Self::Room(state))))
            }
            Output::Forward(forward) if is_there(forward.server) => {
                (None, Some((forward.server, Self::Event(Event::Forwarded(*forward)))))
            }
            Output::Forward(forward) => (None, Some((from, Self::Undelivered(*forward)))),
            Output::Send { .. } | Output::Close { .. } | Output::Stretch(_) => (None, None),
        };
        let told = news.into_iter().flat_map(|(state, servers)| {
            servers.into_iter().map(move |server| (server, Self::Event(Event::Room(state.clone()))))
        });
        told.chain(answer).collect()
    }
}

impl Hub {
    /// Takes what it hears.
    pub fn handle_heard(&mut self, heard: Heard, now: Instant) {
        match heard {
            Heard::Claimed(number, claimed) => self.handle_claimed(number, claimed, now),
            Heard::Room(state) | Heard::Event(Event::Room(state)) => self.handle_room(state, now),
            Heard::Event(Event::Forwarded(forward)) => self.handle_forwarded(forward),
            Heard::Undelivered(forward) => self.handle_undelivered(forward, now),
            Heard::Event(Event::Echo(_)) => {}
        }
    }
}
