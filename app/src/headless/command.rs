//! Commands on standard input, one a line, for scripts that direct a headless peer.

use std::io::BufRead as _;
use std::str::FromStr;

use parlor_engine::{CallCommand, Secret};
use tokio::sync::mpsc;

/// Lines read ahead of the call; when full, reading waits, and with it who writes.
const LINES_AHEAD: usize = 16;

/// What a line asks for.
#[derive(Debug)]
pub(super) enum UserCommand {
    /// Go into the room, with `--join-on-command`.
    Join,
    /// End the call.
    Leave,
    /// Something the call does.
    Call(CallCommand),
    /// End the part of someone, named or by id.
    Remove(String),
}

impl FromStr for UserCommand {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let command = match (word, rest) {
            ("join", "") => return Ok(Self::Join),
            ("leave", "") => return Ok(Self::Leave),
            ("say", text) if !text.is_empty() => CallCommand::SendChat(text.to_owned()),
            ("mute", "") => CallCommand::SetMuted(true),
            ("unmute", "") => CallCommand::SetMuted(false),
            ("deafen", "") => CallCommand::SetDeafened(true),
            ("undeafen", "") => CallCommand::SetDeafened(false),
            ("camera", "on") => CallCommand::SetCameraEnabled(true),
            ("camera", "off") => CallCommand::SetCameraEnabled(false),
            ("lock", "") => CallCommand::SetLock(true),
            ("unlock", "") => CallCommand::SetLock(false),
            ("password", text) if !text.is_empty() => CallCommand::SetPassword(Some(Secret::from(text.to_owned()))),
            ("no-password", "") => CallCommand::SetPassword(None),
            ("remove", who) if !who.is_empty() => return Ok(Self::Remove(who.to_owned())),
            ("restart-ice", "") => CallCommand::RestartIce,
            ("video", source) => CallCommand::SetVideoSource(source.parse().map_err(in_words)?),
            ("audio", source) => CallCommand::SetAudioSource(source.parse().map_err(in_words)?),
            ("speaker", sink) => CallCommand::SetAudioSink(sink.parse().map_err(in_words)?),
            _ => return Err(format!("“{line}” is no command: see `parlor join --help`")),
        };
        Ok(Self::Call(command))
    }
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Reads standard input in a thread of its own, since nothing else can be interrupted in it; ends with the input.
pub(super) fn from_standard_input() -> mpsc::Receiver<Result<UserCommand, String>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    let read = move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
            if sender.blocking_send(line.parse()).is_err() {
                return;
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("stdin".into()).spawn(read) {
        tracing::warn!(%error, "standard input can't be read");
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_help_is_understood() {
        for line in [
            "join",
            "leave",
            "say Hello,  you",
            "mute",
            "unmute",
            "deafen",
            "undeafen",
            "camera on",
            " camera  off ",
            "video test-pattern",
            "audio tone:880",
            "restart-ice",
            "speaker none",
            "lock",
            "unlock",
            "password three green apples",
            "no-password",
            "remove Ana Maria",
        ] {
            assert!(line.parse::<UserCommand>().is_ok(), "{line}");
        }
        let Ok(UserCommand::Call(CallCommand::SendChat(text))) = "say Hello,  you".parse() else { panic!() };
        assert_eq!(text, "Hello,  you");
    }

    #[test]
    fn what_is_no_command_says_so() {
        for line in [
            "",
            "say",
            "mute now",
            "camera",
            "camera maybe",
            "video",
            "audio loud",
            "dance",
            "password",
            "lock it",
            "remove",
        ] {
            assert!(line.parse::<UserCommand>().is_err(), "{line}");
        }
    }
}
