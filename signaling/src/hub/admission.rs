//! Who may come in: a decision over what holds in a room and what somebody shows, without a room, a clock or a socket.
//!
//! Rooms of one name follow each other, and a server that restarts knows none of them. What holds in a room therefore
//! travels, sealed, in its members' resume tokens, and is ordered by [`Stamp`]s: which life of the room it is about, and
//! how new it is.

use parlor_proto::{ErrorCode, PeerId};
use ring::digest;

use crate::password::PasswordHash;

/// Removed people whom a room remembers. When there are more, the oldest is forgotten; its resume tokens stay worthless,
/// since `closed` is later than they are.
pub(crate) const REMOVED_MAX: usize = 64;
/// How many of them, the latest, are sealed into a resume token: what the protocol's 512 bytes leave room for.
pub(crate) const REMOVED_SEALED_MAX: usize = 20;

/// When something was decided: Unix milliseconds, and never twice the same on one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(pub(crate) u64);

/// What holds in a room, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// When the room began: tells the rooms apart that had this name.
    pub(crate) founded: Stamp,
    /// The latest change of anything here, or of who moderates. Of two policies of one room the higher one holds.
    pub(crate) revision: Stamp,
    /// The latest change that keeps people out who could come in before it. An older token does not pass.
    pub(crate) closed: Stamp,
    /// Nobody new comes in.
    pub(crate) locked: bool,
    /// What newcomers must know.
    pub(crate) password: Option<PasswordHash>,
    /// Who does not come in again.
    pub(crate) removed: Removed,
}

/// Those who were removed, the latest last; marks of their ids, since the ids themselves take too many bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed(Vec<Mark>);

/// Eight bytes of a digest. Ids are unguessable, so that nobody can choose one with the mark of another.
pub(crate) type Mark = [u8; 8];

/// What somebody shows at the door.
#[derive(Debug)]
pub(crate) struct Candidate<'shown> {
    /// Who they say they are, as far as they can prove it.
    pub(crate) peer_id: Option<&'shown PeerId>,
    /// They are a member whose place is kept.
    pub(crate) is_member: bool,
    /// The revision of a resume token of this life of the room.
    pub(crate) vouched: Option<Stamp>,
}

/// What is to be done with them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'policy> {
    /// Let them in.
    Enter,
    /// Let them in if they know the password.
    Ask(&'policy PasswordHash),
    /// Do not let them in.
    Refuse(ErrorCode),
}

impl Policy {
    /// A room that is open to all.
    pub(crate) fn founded(founded: Stamp) -> Self {
        Self {
            founded,
            revision: Stamp::default(),
            closed: Stamp::default(),
            locked: false,
            password: None,
            removed: Removed::default(),
        }
    }

    /// Decides about a candidate. A password is asked for last, so that nothing is hashed for those refused anyway.
    pub(crate) fn judge(&self, candidate: &Candidate<'_>) -> Verdict<'_> {
        if candidate.peer_id.is_some_and(|peer_id| self.removed.contains(peer_id)) {
            return Verdict::Refuse(ErrorCode::Removed);
        }
        if candidate.is_member || candidate.vouched.is_some_and(|stamp| stamp >= self.closed) {
            return Verdict::Enter;
        }
        match (self.locked, &self.password) {
            (true, _) => Verdict::Refuse(ErrorCode::RoomLocked),
            (false, Some(password)) => Verdict::Ask(password),
            (false, None) => Verdict::Enter,
        }
    }

    /// Whether somebody who came in under `earlier` would have come in under this policy too.
    pub(crate) fn stands(
        &self,
        earlier: &Self,
        peer_id: &PeerId,
        vouched: Option<Stamp>,
        knows_password: bool,
    ) -> bool {
        let vouched = vouched.filter(|_| self.founded == earlier.founded);
        match self.judge(&Candidate { peer_id: Some(peer_id), is_member: false, vouched }) {
            Verdict::Enter => true,
            Verdict::Ask(password) => knows_password && earlier.password.as_ref() == Some(password),
            Verdict::Refuse(_) => false,
        }
    }

    /// The revision of a token that was given in this life of the room. One of version 1 is older than every change.
    pub(crate) fn vouched(&self, sealed: Option<&Self>) -> Option<Stamp> {
        match sealed {
            None => Some(Stamp::default()),
            Some(sealed) => (sealed.founded == self.founded).then_some(sealed.revision),
        }
    }

    /// Whether both are the same state of the same life of the room.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.founded == other.founded && self.revision == other.revision
    }

    /// Whether `other` is a newer policy of the same life of the room.
    pub(crate) fn is_outdated_by(&self, other: &Self) -> bool {
        self.founded == other.founded && other.revision > self.revision
    }

    /// Nobody new comes in, or they do again.
    pub(crate) fn set_lock(&mut self, locked: bool, now: Stamp) {
        self.locked = locked;
        self.changed(locked, now);
    }

    /// Newcomers are asked for another password, or for none.
    pub(crate) fn set_password(&mut self, password: Option<PasswordHash>, now: Stamp) {
        let closes = password.is_some();
        self.password = password;
        self.changed(closes, now);
    }

    /// Two changes of `base`, made out of each other's sight, become one: of what both have changed the later holds, and nobody
    /// who was removed comes back by it.
    pub(crate) fn merge(&mut self, base: Option<&Self>, other: &Self, now: Stamp) {
        let is_later = other.revision > self.revision;
        self.locked = merged(base.map(|base| &base.locked), &self.locked, &other.locked, is_later);
        self.password = merged(base.map(|base| &base.password), &self.password, &other.password, is_later);
        self.closed = self.closed.max(other.closed);
        self.removed.merge(&other.removed);
        self.changed(self.removed.0.len() > REMOVED_SEALED_MAX, now);
    }

    /// Somebody does not come in again.
    pub(crate) fn remove(&mut self, peer_id: &PeerId, now: Stamp) {
        self.removed.add(peer_id);
        self.changed(self.removed.0.len() > REMOVED_SEALED_MAX, now);
    }

    /// Something has changed; `closes` where that keeps people out.
    pub(crate) fn changed(&mut self, closes: bool, now: Stamp) {
        self.revision = now;
        if closes {
            self.closed = now;
        }
    }
}

impl Removed {
    /// Those of whom a resume token speaks.
    pub(crate) fn from_marks(marks: Vec<Mark>) -> Self {
        Self(marks)
    }

    pub(crate) fn contains(&self, peer_id: &PeerId) -> bool {
        self.0.contains(&mark(peer_id))
    }

    /// The latest marks, as many as a resume token holds.
    pub(crate) fn sealed(&self) -> &[Mark] {
        &self.0[self.0.len().saturating_sub(REMOVED_SEALED_MAX)..]
    }

    /// All marks, the latest last.
    pub(crate) fn marks(&self) -> &[Mark] {
        &self.0
    }

    fn add(&mut self, peer_id: &PeerId) {
        self.push(mark(peer_id));
    }

    fn merge(&mut self, other: &Self) {
        for mark in &other.0 {
            if !self.0.contains(mark) {
                self.push(*mark);
            }
        }
    }

    fn push(&mut self, mark: Mark) {
        if self.0.len() >= REMOVED_MAX {
            self.0.remove(0);
        }
        self.0.push(mark);
    }
}

/// The one that differs from `base`; where both do, the later one.
fn merged<T: PartialEq + Clone>(base: Option<&T>, mine: &T, theirs: &T, is_theirs_later: bool) -> T {
    let is_theirs = match base {
        Some(base) if base == theirs => false,
        Some(base) if base == mine => true,
        Some(_) | None => is_theirs_later,
    };
    if is_theirs { theirs.clone() } else { mine.clone() }
}

fn mark(peer_id: &PeerId) -> Mark {
    let digest = digest::digest(&digest::SHA256, peer_id.as_str().as_bytes());
    *digest.as_ref().first_chunk().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::password::PasswordKey;

    fn someone(number: u128) -> PeerId {
        PeerId::from_random(number)
    }

    fn newcomer() -> Candidate<'static> {
        Candidate { peer_id: None, is_member: false, vouched: None }
    }

    fn member(policy: &Policy) -> Candidate<'static> {
        Candidate { vouched: Some(policy.revision), ..newcomer() }
    }

    fn password(text: &str) -> PasswordHash {
        PasswordKey::new(b"secret", NonZeroU32::MIN).hash_text(text, [0; 16])
    }

    #[test]
    fn an_open_room_takes_everyone_and_a_locked_one_only_those_who_belong() {
        let mut policy = Policy::founded(Stamp(1));
        assert_eq!(policy.judge(&newcomer()), Verdict::Enter);
        let before = Candidate { vouched: Some(policy.revision), ..newcomer() };
        policy.set_lock(true, Stamp(2));
        assert_eq!(policy.judge(&newcomer()), Verdict::Refuse(ErrorCode::RoomLocked));
        assert_eq!(policy.judge(&before), Verdict::Refuse(ErrorCode::RoomLocked));
        assert_eq!(policy.judge(&member(&policy)), Verdict::Enter);
        assert_eq!(policy.judge(&Candidate { is_member: true, ..newcomer() }), Verdict::Enter);
        policy.set_lock(false, Stamp(3));
        assert_eq!(policy.judge(&newcomer()), Verdict::Enter);
    }

    #[test]
    fn a_token_of_before_the_password_was_set_does_not_take_its_place() {
        let mut policy = Policy::founded(Stamp(1));
        let before = member(&policy);
        policy.set_password(Some(password("a")), Stamp(2));
        assert_eq!(policy.judge(&before), Verdict::Ask(&password("a")));
        let after = member(&policy);
        policy.set_password(None, Stamp(3));
        policy.changed(false, Stamp(4));
        assert_eq!((policy.judge(&before), policy.judge(&after)), (Verdict::Enter, Verdict::Enter));
        policy.set_password(Some(password("b")), Stamp(5));
        assert_eq!(policy.judge(&after), Verdict::Ask(&password("b")));
    }

    #[test]
    fn who_was_removed_does_not_come_in_with_anything() {
        let mut policy = Policy::founded(Stamp(1));
        policy.remove(&someone(1), Stamp(2));
        let back = Candidate { peer_id: Some(&someone(1)), is_member: true, vouched: Some(Stamp(9)) };
        assert_eq!(policy.judge(&back), Verdict::Refuse(ErrorCode::Removed));
        assert_eq!(policy.judge(&Candidate { peer_id: Some(&someone(2)), ..back }), Verdict::Enter);
    }

    #[test]
    fn the_list_of_the_removed_is_bounded_and_who_falls_off_it_has_no_pass() {
        let mut policy = Policy::founded(Stamp(1));
        policy.set_lock(true, Stamp(2));
        let pass = member(&policy);
        for number in 0..REMOVED_MAX + 5 {
            let number = u64::try_from(number).unwrap();
            policy.remove(&someone(u128::from(number)), Stamp(10 + number));
        }
        assert_eq!((policy.removed.0.len(), policy.removed.sealed().len()), (REMOVED_MAX, REMOVED_SEALED_MAX));
        assert!(!policy.removed.contains(&someone(0)) && policy.removed.contains(&someone(68)));
        assert_eq!(policy.judge(&pass), Verdict::Refuse(ErrorCode::RoomLocked));
    }

    #[test]
    fn under_a_newer_policy_stands_who_would_have_come_in_under_it() {
        let restored = Policy::founded(Stamp(1));
        let mut newer = restored.clone();
        newer.set_password(Some(password("a")), Stamp(5));
        let stands =
            |policy: &Policy, earlier: &Policy, vouched, knows| policy.stands(earlier, &someone(1), vouched, knows);
        assert!(stands(&newer, &restored, Some(Stamp(5)), false), "a member of that time");
        assert!(!stands(&newer, &restored, Some(Stamp(4)), false), "a member of before");
        assert!(!stands(&newer, &restored, None, false), "a stranger");
        let mut newest = newer.clone();
        newest.changed(false, Stamp(6));
        assert!(stands(&newest, &newer, None, true), "who knew this very password");
        newest.set_password(Some(password("b")), Stamp(7));
        assert!(!stands(&newest, &newer, None, true), "who knew another password");
        let elsewhere = Policy { founded: Stamp(9), ..newer.clone() };
        assert!(!stands(&newer, &elsewhere, Some(Stamp(99)), false), "a member of another life of the room");
        newer.set_password(None, Stamp(8));
        assert!(stands(&newer, &elsewhere, None, false), "anybody, where it is open");
    }

    #[test]
    fn the_higher_revision_of_one_life_wins() {
        let policy = Policy { revision: Stamp(5), ..Policy::founded(Stamp(1)) };
        assert!(policy.is_outdated_by(&Policy { revision: Stamp(6), ..policy.clone() }));
        assert!(!policy.is_outdated_by(&policy));
        assert!(!policy.is_outdated_by(&Policy { founded: Stamp(2), revision: Stamp(6), ..policy.clone() }));
    }
}
