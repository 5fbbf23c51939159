//! What is printed: one JSON object a line, or lines for people.

use std::fmt::Write as _;
use std::io::{self, Write};

use parlor_proto::{CameraState, DisplayName, ErrorCode, MicrophoneState, PeerId, Reason, RoomId, RoomPolicy};
use parlor_session::{EndReason, MediaState};
use serde_json::{Value, json};

use super::figures::{Figures, PeerFigures};
use crate::refusals::policy_news;

/// A peer and their name.
pub(super) type Who = (PeerId, String);

/// One thing to print.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    Ready,
    Joined { peer_id: PeerId, room: RoomId, name: DisplayName, resumed: bool },
    PeerJoined(Who),
    PeerConnected { who: Who, frames_encoded: u64 },
    PeerReconnecting(Who),
    PeerAway(Who),
    PeerBack(Who),
    PeerLeft { who: Who, reason: &'static str },
    Chat { who: Who, text: String, sent_at_ms: u64 },
    PeerMedia { who: Who, state: MediaState },
    JoinDelayed { message: String },
    Policy { policy: RoomPolicy, previous: Option<RoomPolicy> },
    SignalingLost,
    SignalingRestored,
    Error { code: Option<String>, message: String },
    Stats(Figures),
    Summary(Figures),
}

/// Prints lines; those for people that tell trouble go where trouble is told, those in JSON all the same way.
pub(super) struct Reporter<W, E> {
    out: W,
    trouble: E,
    json: bool,
}

impl<W: Write, E: Write> Reporter<W, E> {
    pub(super) fn new(out: W, trouble: E, json: bool) -> Self {
        Self { out, trouble, json }
    }

    /// Prints at once, so that whoever reads a pipe knows what we know.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub(super) fn print(&mut self, line: &Line) -> io::Result<()> {
        if self.json {
            writeln!(self.out, "{}", line.to_json())?;
        } else if let Some(text) = line.to_text() {
            if line.is_trouble() {
                writeln!(self.trouble, "{text}")?;
                return self.trouble.flush();
            }
            writeln!(self.out, "{text}")?;
        }
        self.out.flush()
    }
}

/// The error to print when a call ended other than by our wish.
pub(super) fn end_error(reason: &EndReason) -> Option<Line> {
    match reason {
        EndReason::Left => None,
        EndReason::Refused { code, message: _ } => {
            Some(Line::error(Some(*code), &format!("{reason}{}", advice(*code))))
        }
        EndReason::Unreachable { .. } => Some(Line::ended("unreachable", reason)),
        EndReason::Untrusted { .. } => Some(Line::ended("untrusted", reason)),
        EndReason::WrongAddress { .. } => Some(Line::ended("wrong_address", reason)),
        EndReason::Replaced => Some(Line::error(Some(ErrorCode::Replaced), &reason.to_string())),
    }
}

impl Line {
    pub(super) fn joined(peer_id: PeerId, room: RoomId, name: DisplayName, resumed: bool) -> Self {
        Self::Joined { peer_id, room, name, resumed }
    }

    pub(super) fn error(code: Option<ErrorCode>, message: &str) -> Self {
        Self::Error { code: code.map(word), message: message.to_owned() }
    }

    fn is_trouble(&self) -> bool {
        match self {
            Self::Error { .. } | Self::JoinDelayed { .. } => true,
            Self::Summary(figures) => !figures.joined,
            Self::Ready
            | Self::Joined { .. }
            | Self::PeerJoined(_)
            | Self::PeerConnected { .. }
            | Self::PeerReconnecting(_)
            | Self::PeerAway(_)
            | Self::PeerBack(_)
            | Self::PeerLeft { .. }
            | Self::Chat { .. }
            | Self::PeerMedia { .. }
            | Self::Policy { .. }
            | Self::SignalingLost
            | Self::SignalingRestored
            | Self::Stats(_) => false,
        }
    }

    fn ended(code: &str, reason: &EndReason) -> Self {
        Self::Error { code: Some(code.to_owned()), message: reason.to_string() }
    }

    /// `{"event": …}`.
    fn to_json(&self) -> Value {
        match self {
            Self::Ready => json!({"event": "ready"}),
            Self::Joined { peer_id, room, name, resumed } => {
                json!({"event": "joined", "peer_id": peer_id, "room": room, "name": name, "resumed": resumed})
            }
            Self::PeerJoined(who) => of_peer("peer_joined", who, json!({})),
            Self::PeerConnected { who, frames_encoded } => {
                of_peer("peer_connected", who, json!({"frames_encoded": frames_encoded}))
            }
            Self::PeerReconnecting(who) => of_peer("peer_reconnecting", who, json!({})),
            Self::PeerAway(who) => of_peer("peer_away", who, json!({})),
            Self::PeerBack(who) => of_peer("peer_back", who, json!({})),
            Self::PeerLeft { who, reason } => of_peer("peer_left", who, json!({"reason": reason})),
            Self::Chat { who, text, sent_at_ms } => {
                of_peer("chat", who, json!({"text": text, "sent_at_ms": sent_at_ms}))
            }
            Self::PeerMedia { who, state } => of_peer("peer_media", who, media_json(state)),
            Self::JoinDelayed { message } => {
                json!({"event": "error", "code": "unreachable", "message": message, "retrying": true})
            }
            Self::Policy { policy, previous: _ } => policy_json(*policy),
            Self::SignalingLost => json!({"event": "signaling_lost"}),
            Self::SignalingRestored => json!({"event": "signaling_restored"}),
            Self::Error { code, message } => json!({"event": "error", "code": code, "message": message}),
            Self::Stats(figures) => of_figures("stats", figures),
            Self::Summary(figures) => of_figures("summary", figures),
        }
    }

    /// A line for people; none for what would only fill the screen.
    fn to_text(&self) -> Option<String> {
        let text = match self {
            Self::Ready => "Ready to join.".to_owned(),
            Self::Joined { room, name, resumed: false, .. } => format!("Joined {room} as {name}."),
            Self::Joined { room, resumed: true, .. } => format!("Back in {room}."),
            Self::PeerJoined((_, name)) => format!("{name} is here."),
            Self::PeerConnected { who: (_, name), .. } => format!("Connected with {name}."),
            Self::PeerReconnecting((_, name)) => format!("The connection with {name} is lost; reconnecting…"),
            Self::PeerAway((_, name)) => format!("{name} has lost the server; waiting for them."),
            Self::PeerBack((_, name)) => format!("{name} is back."),
            Self::PeerLeft { who: (_, name), reason: "left" } => format!("{name} left."),
            Self::PeerLeft { who: (_, name), reason: "removed" } => format!("{name} was removed."),
            Self::PeerLeft { who: (_, name), .. } => format!("{name} is gone."),
            Self::Chat { who: (_, name), text, .. } => format!("{name}: {text}"),
            Self::PeerMedia { who: (_, name), state } => media_text(name, state),
            Self::JoinDelayed { message } => format!("{message}; trying again…"),
            Self::Policy { policy, previous } => return policy_text(*policy, *previous),
            Self::SignalingLost => {
                "The server can't be reached; trying again. The call goes on, but nobody new can join.".to_owned()
            }
            Self::SignalingRestored => "The server is back.".to_owned(),
            Self::Error { message, .. } => format!("Error: {message}"),
            Self::Stats(_) => return None,
            Self::Summary(figures) => summary_text(figures),
        };
        Some(for_terminal(&text))
    }
}

/// What others wrote must neither steer the terminal nor look like a line of ours: what goes on after a line's end is
/// indented, and control characters and those that turn the direction of writing are replaced.
fn for_terminal(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\n    "),
            // Unicode UAX #9 §2, and the separators that some terminals take for a line's end.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                safe.push('\u{fffd}');
            }
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

fn of_peer(event: &str, (peer_id, name): &Who, mut rest: Value) -> Value {
    rest["event"] = json!(event);
    rest["peer_id"] = json!(peer_id);
    rest["name"] = json!(name);
    rest
}

fn of_figures(event: &str, figures: &Figures) -> Value {
    let mut object = json!(figures);
    object["event"] = json!(event);
    object
}

fn policy_json(RoomPolicy { locked, has_password, may_moderate }: RoomPolicy) -> Value {
    json!({"event": "policy", "locked": locked, "has_password": has_password, "may_moderate": may_moderate})
}

/// What changed; what held when we came in did not.
fn policy_text(policy: RoomPolicy, previous: Option<RoomPolicy>) -> Option<String> {
    let news = policy_news(policy, previous?);
    let sentences: Vec<String> = news.into_iter().map(|sentence| format!("{sentence}.")).collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// What to do about a refusal on the command line.
fn advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::PasswordRequired | ErrorCode::PasswordWrong => {
            " Give the password with --password-file FILE or in PARLOR_PASSWORD."
        }
        ErrorCode::AccessRequired => " Give the whole link, or the token with --access-file FILE or in PARLOR_ACCESS.",
        _ => "",
    }
}

fn media_json(state: &MediaState) -> Value {
    json!({
        "microphone": state.microphone,
        "camera": state.camera,
        "microphone_reason": state.microphone_reason,
        "camera_reason": state.camera_reason,
    })
}

fn media_text(name: &str, state: &MediaState) -> String {
    let microphone = match state.microphone {
        MicrophoneState::On => "microphone on",
        MicrophoneState::Muted => "muted",
        MicrophoneState::Off => "no microphone",
    };
    let camera = match state.camera {
        CameraState::On => "camera on",
        CameraState::Off => "camera off",
    };
    let because = |reason: Option<Reason>| {
        reason.map_or(String::new(), |reason| format!(" ({})", word(reason).replace('_', " ")))
    };
    format!("{name}: {microphone}{}, {camera}{}", because(state.microphone_reason), because(state.camera_reason))
}

/// The word that stands for a value on the wire.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}

fn summary_text(figures: &Figures) -> String {
    if !figures.joined {
        return format!("Not joined; stopped after {:.0} s.", figures.seconds);
    }
    let sent = &figures.sent;
    let mut text = format!(
        "After {:.0} s: {} frames captured, {} encoded, {} kbit/s.",
        figures.seconds,
        sent.frames_captured,
        sent.frames_encoded,
        sent.bitrate_bps / 1_000
    );
    for peer in &figures.peers {
        let PeerFigures { name, frames_decoded, fps, width, height, freezes, audio_dbfs, chat_received, .. } = peer;
        // Cannot fail: a String takes everything.
        let _ = write!(
            text,
            "\n{name}: {frames_decoded} frames decoded ({fps:.1} a second, {width}x{height}, {freezes} freezes), \
             sound at {audio_dbfs:.0} dBFS, {chat_received} chat lines"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::figures::{DeviceFigures, SentFigures};
    use super::*;

    #[test]
    fn every_line_is_one_json_object_with_its_event() {
        for (line, event) in lines() {
            let mut out = Vec::new();
            Reporter::new(&mut out, Vec::new(), true).print(&line).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            let object: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(object["event"], event, "{text}");
        }
    }

    #[test]
    fn the_summary_has_the_fields_that_scripts_read() {
        let object = Line::Summary(figures()).to_json();
        for key in ["seconds", "peers", "sent", "devices", "cpu_seconds"] {
            assert!(object.get(key).is_some(), "{key}");
        }
        for key in [
            "name",
            "frames_decoded",
            "fps",
            "width",
            "height",
            "freezes",
            "latency_ms_p50",
            "audio_dbfs",
            "audio_concealed",
            "chat_received",
            "bytes_in",
            "bytes_out",
            "rtt_ms",
        ] {
            assert!(object["peers"][0].get(key).is_some(), "{key}");
        }
        for key in ["frames_captured", "frames_encoded", "bitrate_bps"] {
            assert!(object["sent"].get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn lines_for_people_cannot_steer_the_terminal() {
        let chat = Line::Chat { who: bo(), text: "\u{1b}[2Jgone\r".into(), sent_at_ms: 0 };
        assert_eq!(chat.to_text().unwrap(), "Bo: \u{fffd}[2Jgone\u{fffd}");
        let chat = Line::Chat { who: bo(), text: "hi\nAna left.\u{2028}\u{202e}Bo".into(), sent_at_ms: 0 };
        assert_eq!(chat.to_text().unwrap(), "Bo: hi\n    Ana left.\u{fffd}\u{fffd}Bo");
    }

    #[test]
    fn people_read_words_for_everything_but_statistics() {
        for (line, event) in lines() {
            assert_eq!(line.to_text().is_none(), event == "stats", "{event}");
        }
        let state = MediaState { camera_reason: Some(Reason::NoDevice), ..MediaState::default() };
        let text = Line::PeerMedia { who: bo(), state }.to_text().unwrap();
        assert_eq!(text, "Bo: no microphone, camera off (no device)");
    }

    #[test]
    fn trouble_is_told_to_people_apart_from_the_call() {
        let mut figures = figures();
        figures.joined = false;
        let (mut out, mut trouble) = (Vec::new(), Vec::new());
        let mut reporter = Reporter::new(&mut out, &mut trouble, false);
        for line in [Line::JoinDelayed { message: "No answer".into() }, Line::PeerJoined(bo()), Line::Summary(figures)]
        {
            reporter.print(&line).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "Bo is here.\n");
        let trouble = String::from_utf8(trouble).unwrap();
        assert_eq!(trouble, "No answer; trying again…\nNot joined; stopped after 1 s.\n");
    }

    #[test]
    fn a_call_that_was_refused_tells_the_code() {
        let reason = EndReason::Refused { code: ErrorCode::RoomFull, message: "This room is full.".into() };
        let line = end_error(&reason).unwrap();
        assert_eq!(line, Line::Error { code: Some("room_full".into()), message: "This room is full.".into() });
        assert_eq!(end_error(&EndReason::Left), None);
        let untrusted = end_error(&EndReason::Untrusted { message: "Another certificate".into() });
        assert_eq!(
            untrusted,
            Some(Line::Error { code: Some("untrusted".into()), message: "Another certificate".into() })
        );
    }

    fn lines() -> Vec<(Line, &'static str)> {
        let policy = RoomPolicy { locked: true, ..RoomPolicy::default() };
        let (peer_id, room, name) = (bo().0, "tea".parse().unwrap(), "Bo".parse().unwrap());
        vec![
            (Line::Ready, "ready"),
            (Line::joined(peer_id, room, name, false), "joined"),
            (Line::PeerJoined(bo()), "peer_joined"),
            (Line::PeerConnected { who: bo(), frames_encoded: 3 }, "peer_connected"),
            (Line::PeerReconnecting(bo()), "peer_reconnecting"),
            (Line::PeerAway(bo()), "peer_away"),
            (Line::PeerBack(bo()), "peer_back"),
            (Line::PeerLeft { who: bo(), reason: "timeout" }, "peer_left"),
            (Line::Chat { who: bo(), text: "two\nlines".into(), sent_at_ms: 1 }, "chat"),
            (Line::PeerMedia { who: bo(), state: MediaState::default() }, "peer_media"),
            (Line::JoinDelayed { message: "The server does not answer".into() }, "error"),
            (Line::Policy { policy, previous: Some(RoomPolicy::default()) }, "policy"),
            (Line::SignalingLost, "signaling_lost"),
            (Line::SignalingRestored, "signaling_restored"),
            (Line::error(Some(ErrorCode::RoomFull), "x"), "error"),
            (Line::Stats(figures()), "stats"),
            (Line::Summary(figures()), "summary"),
        ]
    }

    fn figures() -> Figures {
        let peers = vec![PeerFigures { name: "Bo".into(), ..PeerFigures::default() }];
        let (sent, devices) = (SentFigures::default(), DeviceFigures::default());
        Figures { seconds: 1.0, joined: true, peers, sent, devices, cpu_seconds: None }
    }

    fn bo() -> Who {
        (PeerId::from_random(7), "Bo".into())
    }
}
