//! Lock, password and removing someone: asked of the server, which decides, and heard from it.

use parlor_proto::{ClientMessage, ErrorCode, ResumeToken, RoomPolicy, Secret};

use super::Session;
use crate::Event;

impl Session {
    /// Asks for what only the server can do, and cannot do while it is away.
    pub(super) fn ask_server(&mut self, message: ClientMessage) {
        if self.membership.member().is_none() {
            return self.out.complain(None, "You are not in a call.");
        }
        if !self.link.is_ready() {
            return self.out.complain(None, "The server is out of reach; try again when it is back.");
        }
        self.send_all(vec![message]);
    }

    /// What we set is what we know, should we have to come in anew.
    pub(super) fn set_password(&mut self, password: Option<Secret>) {
        self.ask_server(ClientMessage::SetPassword { password: password.clone() });
        if let Some(member) = self.membership.member_mut().filter(|_| self.link.is_ready()) {
            member.credentials.password = password;
        }
    }

    pub(super) fn policy_changed(&mut self, policy: RoomPolicy, resume_token: ResumeToken) {
        let Some(member) = self.membership.member_mut() else { return };
        let previous = std::mem::replace(&mut member.policy, policy);
        member.resume_token = resume_token;
        if previous.has_password && !policy.has_password {
            member.credentials.password = None;
        }
        self.tell_policy(policy, Some(previous));
    }

    /// Tells what is news.
    pub(super) fn tell_policy(&mut self, policy: RoomPolicy, previous: Option<RoomPolicy>) {
        if previous != Some(policy) {
            self.out.tell(Event::Policy { policy, previous });
        }
    }

    /// A wrong password is not tried again by itself: each try counts as a guess.
    pub(super) fn forget_what_was_refused(&mut self, code: ErrorCode) {
        if code != ErrorCode::PasswordWrong {
            return;
        }
        if let Some(member) = self.membership.member_mut() {
            member.credentials.password = None;
        }
    }
}
