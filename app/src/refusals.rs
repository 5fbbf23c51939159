//! What it means for people when a room does not let them in: the window's words, and the page's (`assets/web/words.js`).

use parlor_proto::{ErrorCode, RoomPolicy};

/// What is said of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What happened.
    pub title: &'static str,
    /// What it means, and what to do.
    pub text: &'static str,
    /// Whether trying again makes sense.
    pub again: bool,
}

/// A browser test holds the page's table against this one.
#[rustfmt::skip]
const REFUSALS: [(ErrorCode, &str, &str, bool); 9] = [
    (ErrorCode::AccessRequired, "You need an invitation", "This server lets in only whoever was invited. Open the link that you were sent, or ask for one.", false),
    (ErrorCode::AccessInvalid, "This invitation can’t be used", "It is damaged, or was made for another server. Ask for a new link.", false),
    (ErrorCode::AccessExpired, "This invitation is not valid now", "Its time is over, or has not come yet. Ask for a new link.", true),
    (ErrorCode::AccessWrongRoom, "This invitation is for another room", "Open the link just as it was sent to you, or ask for a new one.", false),
    (ErrorCode::PasswordRequired, "This room has a password", "Ask whoever invited you for it.", true),
    (ErrorCode::PasswordWrong, "This is not the password", "Check it and try again. Small and capital letters matter.", true),
    (ErrorCode::TooManyGuesses, "Too many wrong passwords", "For a few minutes no other is taken, not even the right one. Then try again.", true),
    (ErrorCode::RoomLocked, "This room is locked", "Nobody new can come in. Ask someone inside to unlock it, then try again.", true),
    (ErrorCode::Removed, "You were removed", "Whoever moderates this call ended your part in it.", false),
];

/// The words for a refusal that has its own; the server's have to do for the others.
pub fn refusal(code: ErrorCode) -> Option<Refusal> {
    let (_, title, text, again) = REFUSALS.into_iter().find(|(known, ..)| *known == code)?;
    Some(Refusal { title, text, again })
}

/// What changed in a room, each a sentence without its end.
pub fn policy_news(policy: RoomPolicy, before: RoomPolicy) -> Vec<&'static str> {
    let mut news = Vec::new();
    match (before.locked, policy.locked) {
        (false, true) => news.push("The room is locked: nobody new can come in"),
        (true, false) => news.push("The room is unlocked: new people can come in"),
        (false, false) | (true, true) => {}
    }
    match (before.has_password, policy.has_password) {
        (false, true) => news.push("The room has a password now: newcomers are asked for it"),
        (true, false) => news.push("The room has no password any more"),
        (false, false) | (true, true) => {}
    }
    match (before.may_moderate, policy.may_moderate) {
        (false, true) => news.push("You moderate: you can lock the room, set a password and remove people"),
        (true, false) => news.push("You no longer moderate the room"),
        (false, false) | (true, true) => {}
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_not_being_let_in_has_words_that_say_what_to_do() {
        for (code, title, text, _) in REFUSALS {
            assert!(!title.ends_with('.') && text.ends_with('.'), "{code:?}");
            assert_eq!(refusal(code).unwrap().title, title, "each code once");
        }
        assert_eq!(refusal(ErrorCode::RoomFull), None);
    }

    #[test]
    fn only_what_changed_is_news() {
        let open = RoomPolicy::default();
        let locked = RoomPolicy { locked: true, ..open };
        assert_eq!(policy_news(locked, open), ["The room is locked: nobody new can come in"]);
        assert_eq!(policy_news(open, locked), ["The room is unlocked: new people can come in"]);
        assert!(policy_news(locked, locked).is_empty());
        assert_eq!(policy_news(RoomPolicy { locked: true, has_password: true, may_moderate: true }, open).len(), 3);
    }
}
