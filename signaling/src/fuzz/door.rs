//! What must hold at the door of each room: the words of `PROTOCOL.md` once more, in plain text and without bytes.
//!
//! Which policy is newer the model takes from the hub's own stamps; what the policy says it knows by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlor_proto::{ErrorCode, PeerId};

use crate::hub::admission::{REMOVED_MAX, REMOVED_SEALED_MAX, Stamp};

const TAKEN_BACK_FOR: Duration = Duration::from_secs(60);

/// What holds in a room.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) founded: Stamp,
    pub(super) revision: Stamp,
    pub(super) closed: Stamp,
    pub(super) locked: bool,
    /// The text, and when it was set: the same text set anew is another password.
    pub(super) password: Option<(String, Stamp)>,
    removed: Vec<PeerId>,
}

/// A room's door, and how each member came through it.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) held: Held,
    began: Instant,
    restored: bool,
    pub(super) members: BTreeMap<PeerId, Came>,
}

/// With what a member came in.
#[derive(Clone, Debug, Default)]
pub(super) struct Came {
    pub(super) vouched: Option<Stamp>,
    pub(super) password: Option<(String, Stamp)>,
}

impl Held {
    /// What is left of it in a resume token.
    pub(super) fn sealed(&self) -> Self {
        let removed = self.removed[self.removed.len().saturating_sub(REMOVED_SEALED_MAX)..].to_vec();
        Self { removed, ..self.clone() }
    }

    /// Forgets, as the hub does, the oldest of too many; says whether older resume tokens are worthless now.
    pub(super) fn remove(&mut self, peer_id: &PeerId) -> bool {
        self.removed.push(peer_id.clone());
        if self.removed.len() > REMOVED_MAX {
            self.removed.remove(0);
        }
        self.removed.len() > REMOVED_SEALED_MAX
    }

    fn judge(&self, who: Option<&PeerId>, is_member: bool, vouched: Option<Stamp>) -> Result<bool, ErrorCode> {
        if who.is_some_and(|who| self.removed.contains(who)) {
            Err(ErrorCode::Removed)
        } else if is_member || vouched.is_some_and(|stamp| stamp >= self.closed) {
            Ok(false)
        } else if self.locked {
            Err(ErrorCode::RoomLocked)
        } else {
            Ok(self.password.is_some())
        }
    }
}

impl Door {
    /// A room begins, with what a token says of the one before.
    pub(super) fn new(token: Option<&Held>, now: Instant) -> Self {
        let held = token.cloned().unwrap_or_default();
        Self { held, began: now, restored: token.is_some(), members: BTreeMap::new() }
    }

    /// Somebody shows a token: whether the room becomes the one it speaks of, and who has to go then.
    pub(super) fn learn(&mut self, token: &Held, now: Instant) -> Option<Vec<PeerId>> {
        let is_same = token.founded == self.held.founded;
        let is_newer = is_same && token.revision > self.held.revision;
        let is_truer = !is_same && (!self.restored || token.founded > self.held.founded);
        let is_taken_back = is_truer && now < self.began + TAKEN_BACK_FOR;
        if !is_newer && !is_taken_back {
            return None;
        }
        let before = std::mem::replace(&mut self.held, token.clone());
        self.restored = true;
        let stands = |who: &PeerId, came: &Came| match token.judge(Some(who), false, came.vouched.filter(|_| is_same)) {
            Err(_) => false,
            Ok(asked) => !asked || (came.password.is_some() && before.password == token.password),
        };
        let gone: Vec<_> =
            self.members.iter().filter(|(who, came)| !stands(who, came)).map(|(who, _)| who.clone()).collect();
        self.members.retain(|who, _| !gone.contains(who));
        Some(gone)
    }

    /// The code that somebody is refused with, or how they came in.
    pub(super) fn judge(
        &self,
        who: Option<&PeerId>,
        token: Option<&Held>,
        password: Option<&str>,
    ) -> Result<Came, ErrorCode> {
        let is_member = who.is_some_and(|who| self.members.contains_key(who));
        let vouched = token.filter(|token| token.founded == self.held.founded).map(|token| token.revision);
        if !self.held.judge(who, is_member, vouched)? {
            return Ok(Came { vouched, password: None });
        }
        match (password, &self.held.password) {
            (None, _) => Err(ErrorCode::PasswordRequired),
            (Some(given), Some((right, _))) if given == right => {
                Ok(Came { vouched, password: self.held.password.clone() })
            }
            (Some(_), _) => Err(ErrorCode::PasswordWrong),
        }
    }
}
