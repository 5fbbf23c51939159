//! What a room may ask for before it lets someone in.

use parlor_proto::Secret;

/// What a room may ask for before it lets someone in (`PROTOCOL.md`, *Who may come in*).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The token that a server asks everyone for.
    pub access: Option<Secret>,
    /// The room's password.
    pub password: Option<Secret>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed_for_logs() {
        let secret = |text: &str| Some(Secret::from(text.to_owned()));
        let credentials = Credentials { access: secret("a.b.c"), password: secret("three green apples") };
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("a.b.c") && !shown.contains("apples"), "{shown}");
    }
}
