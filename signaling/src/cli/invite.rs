//! `parlor-server token`: an invitation for one person.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use parlor_proto::{DisplayName, RoomId, RoomLink};
use parlor_signaling::{AccessClaims, AccessSigner};

/// What the token says, and what signs it.
#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// The room that it opens
    #[arg(long, value_name = "ROOM")]
    room: RoomId,

    /// How long it is good for, such as 90s, 15m, 1h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    ttl: Duration,

    /// The name that its bearer has in the room [default: of their choice]
    #[arg(long, value_name = "NAME")]
    name: Option<DisplayName>,

    /// Its bearer may lock the room, set its password and remove people
    #[arg(long)]
    moderate: bool,

    /// What signs it: the secret that the server has, or the Ed25519 private key (PEM) to the public one that it has
    /// [default: access_key_file of the settings]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Where the server is reached, such as https://meet.example.org: prints a link too
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

impl Invite {
    /// The token, and after it the link, each in a line of its own.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn print(self, access_key_file: Option<PathBuf>) -> Result<String, String> {
        let Some(path) = self.key_file.or(access_key_file) else {
            return Err("A token needs a key to be signed with. Name it with --key-file.".to_owned());
        };
        let content = std::fs::read(&path).map_err(|error| {
            format!("Cannot read {} ({error}). Check that it exists and that this user may read it.", path.display())
        })?;
        let unusable = |error| format!("{} is no key for access tokens: {error}.", path.display());
        let signer = AccessSigner::from_file_content(&content).map_err(unusable)?;
        let link = self.server.map(|server| link(&server, &self.room)).transpose()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires_at = now.saturating_add(self.ttl).as_secs();
        let claims = AccessClaims { room: self.room, expires_at, name: self.name, moderate: self.moderate };
        let token = signer.sign(&claims).map_err(unusable)?;
        let link = link.map(|link| format!("{}\n", RoomLink { access: Some(token.clone()), ..link }));
        Ok(format!("{token}\n{}", link.unwrap_or_default()))
    }
}

fn link(server: &str, room: &RoomId) -> Result<RoomLink, String> {
    let text = format!("{}/r/{room}", server.trim_end_matches('/'));
    text.parse().map_err(|error| format!("{server} is not the address of a server: {error}."))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "it is not a time such as 90s, 15m, 1h or 7d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    if number == 0 { Err(wrong()) } else { Ok(Duration::from_secs(u64::from(number) * seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs()).ok();
        assert_eq!(["90s", "15m", "1h", "7d"].map(seconds), [Some(90), Some(900), Some(3_600), Some(604_800)]);
        for text in ["", "1", "h", "0h", "-1h", "1.5h", "1w", "1 h", "é", "99999999999d"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
