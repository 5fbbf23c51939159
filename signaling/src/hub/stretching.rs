//! Passwords on their way in: each is stretched outside the hub, one at a time, while who gave it waits at the door and everyone
//! else goes on.
//!
//! Addresses take turns, so that whoever tries many passwords holds up nobody elsewhere by more than a turn. What waits is bounded
//! by the connections: at most one wish of each, since a later one takes its place.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use parlor_proto::{ErrorCode, Secret};

use super::guesses::Guesses;
use super::joining::Comer;
use super::refusal::Refusal;
use super::{ConnId, ConnectionState, Hub, Output, Seat};
use crate::client_address::AddressGroup;
use crate::password::{Grain, PasswordHash, Stretch, Stretched, is_password};

/// Who waits for a password to be stretched.
#[derive(Default)]
pub(super) struct Stretches {
    waiting: BTreeMap<AddressGroup, VecDeque<Waiting>>,
    /// The addresses of those who wait, the next one first.
    turns: VecDeque<AddressGroup>,
    current: Option<Current>,
    begun: u64,
}

/// What is being stretched.
struct Current {
    number: u64,
    /// None where nobody waits for it any more.
    waiting: Option<Waiting>,
}

struct Waiting {
    conn: ConnId,
    address: IpAddr,
    password: Secret,
    grain: Grain,
    wish: Wish,
}

/// What a password is for.
enum Wish {
    /// To come in. Where servers share rooms, they have been judged so often.
    Join { comer: Box<Comer>, judged: u32 },
    /// To be the room's from now on.
    Set(Seat),
}

impl Stretches {
    fn push(&mut self, waiting: Waiting) {
        let group = AddressGroup::from(waiting.address);
        let of_group = self.waiting.entry(group).or_default();
        if of_group.is_empty() {
            self.turns.push_back(group);
        }
        of_group.push_back(waiting);
    }

    fn pop(&mut self) -> Option<Waiting> {
        let group = self.turns.pop_front()?;
        let of_group = self.waiting.get_mut(&group)?;
        let waiting = of_group.pop_front();
        if of_group.is_empty() {
            self.waiting.remove(&group);
        } else {
            self.turns.push_back(group);
        }
        waiting
    }

    fn begin(&mut self, waiting: Waiting) -> Stretch {
        self.begun += 1;
        let stretch = Stretch { number: self.begun, password: waiting.password.clone(), grain: waiting.grain };
        self.current = Some(Current { number: self.begun, waiting: Some(waiting) });
        stretch
    }

    fn end(&mut self, number: u64) -> Option<Waiting> {
        self.current.take_if(|current| current.number == number)?.waiting
    }

    /// A connection does not wait any more.
    pub(super) fn forget(&mut self, conn: ConnId, address: IpAddr) {
        let group = AddressGroup::from(address);
        if let Some(of_group) = self.waiting.get_mut(&group) {
            of_group.retain(|waiting| waiting.conn != conn);
            if of_group.is_empty() {
                self.waiting.remove(&group);
                self.turns.retain(|turn| *turn != group);
            }
        }
        if let Some(current) = &mut self.current {
            current.waiting.take_if(|waiting| waiting.conn == conn);
        }
    }

    /// Nobody waits any more.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.turns.clear();
        if let Some(current) = &mut self.current {
            current.waiting = None;
        }
    }
}

impl Hub {
    /// A password that [`Output::Stretch`] spoke of is stretched.
    pub fn handle_stretched(&mut self, stretched: Stretched, now: Instant) {
        if let Some(Waiting { conn, wish, .. }) = self.stretches.end(stretched.number) {
            match wish {
                Wish::Join { mut comer, judged } => {
                    self.set_state(conn, ConnectionState::Greeted, now);
                    comer.stretched = Some(stretched);
                    if let Err(refusal) = self.go_in(conn, *comer, judged, now) {
                        self.refuse_join(conn, refusal, now);
                    }
                }
                Wish::Set(seat) => {
                    if let Err(refusal) = self.put_password(&seat, Some(&stretched), now) {
                        self.answer(conn, refusal, now);
                    }
                }
            }
        }
        self.next_stretch(now);
    }

    /// Has the comer's password stretched, to be compared with this one.
    pub(super) fn knock(
        &mut self,
        conn: ConnId,
        comer: Comer,
        judged: u32,
        asked: &PasswordHash,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(address) = self.connections.get(&conn).map(|connection| connection.address) else { return Ok(()) };
        let password = comer.password.clone().ok_or(ErrorCode::PasswordRequired)?;
        if !is_password(password.reveal()) {
            self.allow_guess(address, &comer, now)?;
            return Err(self.wrong_password(address, &comer, now));
        }
        self.set_state(conn, ConnectionState::Knocking { room: comer.room.clone() }, now);
        let wish = Wish::Join { comer: Box::new(comer), judged };
        self.stretches.push(Waiting { conn, address, password, grain: asked.grain(), wish });
        self.next_stretch(now);
        Ok(())
    }

    /// Has a password stretched that is to be the room's.
    pub(super) fn stretch_to_set(&mut self, conn: ConnId, seat: &Seat, password: Secret, now: Instant) {
        let Some(address) = self.connections.get(&conn).map(|connection| connection.address) else { return };
        let grain = self.passwords.grain(self.numbers.next());
        self.stretches.push(Waiting { conn, address, password, grain, wish: Wish::Set(seat.clone()) });
        self.next_stretch(now);
    }

    /// Compares a stretched password with the room's.
    pub(super) fn check_password(
        &mut self,
        conn: ConnId,
        comer: &Comer,
        stretched: &Stretched,
        asked: &PasswordHash,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(address) = self.connections.get(&conn).map(|connection| connection.address) else { return Ok(()) };
        if self.passwords.verify(asked, stretched) { Ok(()) } else { Err(self.wrong_password(address, comer, now)) }
    }

    /// What this connection wanted with a password it does not want any more.
    pub(super) fn forget_password(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get(&conn) {
            self.stretches.forget(conn, connection.address);
        }
    }

    /// Begins the next, where none is under way. Who has none left is refused.
    fn next_stretch(&mut self, now: Instant) {
        while self.stretches.current.is_none() {
            let Some(mut waiting) = self.stretches.pop() else { return };
            let allowed = match &waiting.wish {
                Wish::Set(_) => self.guesses.allow_hash(waiting.address, now),
                Wish::Join { comer, .. } => {
                    // It may have been changed meanwhile.
                    let asked = self.rooms.get(&comer.room).and_then(|room| room.policy.password.as_ref());
                    waiting.grain = asked.map_or(waiting.grain, PasswordHash::grain);
                    self.allow_guess(waiting.address, comer, now)
                }
            };
            match (allowed, &waiting.wish) {
                (Ok(()), _) => {
                    let stretch = self.stretches.begin(waiting);
                    self.outputs.push_back(Output::Stretch(Box::new(stretch)));
                }
                (Err(refusal), Wish::Join { .. }) => {
                    self.set_state(waiting.conn, ConnectionState::Greeted, now);
                    self.refuse_join(waiting.conn, refusal, now);
                }
                (Err(refusal), Wish::Set(_)) => self.answer(waiting.conn, refusal, now),
            }
        }
    }

    fn allow_guess(&mut self, address: IpAddr, comer: &Comer, now: Instant) -> Result<(), Refusal> {
        match self.rooms.get(&comer.room) {
            Some(room) => self.guesses.allow_guess(address, &room.guesses, now),
            None => {
                let of_room = Guesses::of_room(&self.config.guesses, now);
                self.guesses.allow_guess(address, &of_room, now)
            }
        }
    }

    fn wrong_password(&mut self, address: IpAddr, comer: &Comer, now: Instant) -> Refusal {
        if let Some(room) = self.rooms.get_mut(&comer.room) {
            self.guesses.note_wrong(address, &mut room.guesses, now);
        }
        ErrorCode::PasswordWrong.into()
    }
}
