//! Password and access token in the window: which room is shown which, and what goes into links.

use parlor_engine::{CallCommand, Credentials, EndReason, Secret};
use parlor_proto::{ErrorCode, RoomLink};

use super::{Place, Screen, Window};
use crate::credentials::Given;

/// Rooms of this run whose passwords and tokens are kept; with more, all are forgotten and typed again.
const KNOWN_MAX: usize = 32;

impl Window {
    /// What a room may ask for: what its link carries, and what the command line gave with that very room. Nothing is
    /// shown to another room, or to another server.
    pub(super) fn credentials_for(&self, link: Option<&RoomLink>) -> Credentials {
        let (text, given) = &self.given_place;
        let given = if *text == self.lobby.room && !text.is_empty() { given.clone() } else { Given::default() };
        let Credentials { access, password } = given.for_link(link);
        let known = link.and_then(|link| self.known.get(&link.without_secrets().to_string())).cloned();
        let known = known.unwrap_or_default();
        Credentials { access: access.or(known.access), password: password.or(known.password) }
    }

    /// The room was entered with these, so they are good for it.
    pub(super) fn remember_credentials(&mut self) {
        let Some(Place { link: Some(link), credentials, .. }) = &self.place else { return };
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(link.to_string(), credentials.clone());
    }

    /// Tries the room at whose door we stand.
    pub(super) fn join_with_password(&mut self, password: Secret) {
        let Some(mut place) = self.place.clone() else { return };
        place.credentials.password = Some(password);
        self.go(place);
    }

    /// A refused password is not tried again: each try counts as a guess.
    pub(super) fn forget_refused_password(&mut self, reason: &EndReason) {
        let EndReason::Refused { code: ErrorCode::PasswordWrong | ErrorCode::TooManyGuesses, .. } = reason else {
            return;
        };
        if let Some(place) = &mut self.place {
            place.credentials.password = None;
        }
        self.remember_credentials();
    }

    pub(super) fn set_password(&mut self, password: Option<Secret>) {
        if let Some(place) = &mut self.place {
            place.credentials.password.clone_from(&password);
        }
        self.remember_credentials();
        self.tell_call(CallCommand::SetPassword(password));
    }

    /// The link to hand on, and whether it carries the password, as the user wishes.
    pub(super) fn link_to_copy(&self) -> Option<(RoomLink, bool)> {
        let Place { link, credentials, .. } = self.place.as_ref()?;
        let link = link.clone()?;
        let Screen::Call(in_call) = &self.screen else { return Some((link, false)) };
        let wanted = in_call.state.link_with_password && in_call.call.snapshot().room.policy.has_password;
        let password = credentials.password.as_ref().filter(|_| wanted).map(|password| password.reveal().to_owned());
        let with_password = password.is_some();
        Some((RoomLink { password, ..link }, with_password))
    }
}
