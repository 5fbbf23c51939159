//! Reads a `signal` as programs write it, at a third of the cost.
//!
//! serde first copies everything of an enum whose tag is inside, as [`ClientMessage`] and [`Signal`] have it, since the tag could
//! come last. Signals are nearly all that a server reads. What is read here is read the same in that way; what is not, because
//! anything is unusual about it, is left to it.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{ClientMessage, IceCandidate, PeerId, Signal, Source, StreamDescription, TransportId};

/// As serde and `JSON.stringify` begin it.
const START: &str = r#"{"type":"signal","#;

/// The message, where it is a signal in which nothing is unusual.
pub(crate) fn signal(text: &str) -> Option<ClientMessage> {
    if !text.starts_with(START) {
        return None;
    }
    let PlainSignal { _kind, to, connection, signal } = serde_json::from_str(text).ok()?;
    Some(ClientMessage::Signal { to, connection, signal: signal.into_signal()? })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainSignal<'text> {
    /// Known already: a second one is an error.
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    to: PeerId,
    connection: TransportId,
    #[serde(borrow)]
    signal: PlainContent<'text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainContent<'text> {
    #[serde(borrow)]
    kind: Cow<'text, str>,
    #[serde(default)]
    sdp: Option<String>,
    #[serde(default)]
    streams: Vec<PlainStream>,
    #[serde(default)]
    candidate: Option<PlainCandidate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainStream {
    mid: String,
    owner: PeerId,
    source: Source,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlainCandidate {
    candidate: String,
    #[serde(default)]
    sdp_mid: Option<String>,
    #[serde(default, rename = "sdpMLineIndex")]
    sdp_m_line_index: Option<u16>,
    #[serde(default)]
    username_fragment: Option<String>,
}

impl PlainContent<'_> {
    fn into_signal(self) -> Option<Signal> {
        let Self { kind, sdp, streams, candidate } = self;
        let streams = streams.into_iter().map(PlainStream::into_description).collect();
        match (kind.as_ref(), sdp, candidate) {
            ("offer", Some(sdp), None) => Some(Signal::Offer { sdp, streams }),
            ("answer", Some(sdp), None) => Some(Signal::Answer { sdp, streams }),
            ("candidate", None, Some(candidate)) => Some(Signal::Candidate { candidate: candidate.into_candidate() }),
            ("end_of_candidates", None, None) => Some(Signal::EndOfCandidates),
            _ => None,
        }
    }
}

impl PlainStream {
    fn into_description(self) -> StreamDescription {
        let Self { mid, owner, source } = self;
        StreamDescription { mid, owner, source }
    }
}

impl PlainCandidate {
    fn into_candidate(self) -> IceCandidate {
        let Self { candidate, sdp_mid, sdp_m_line_index, username_fragment } = self;
        IceCandidate { candidate, sdp_mid, sdp_m_line_index, username_fragment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::decode;

    fn signal_of(content: &str) -> String {
        format!(r#"{START}"to":"abc","connection":"c","signal":{content}}}"#)
    }

    /// The detour.
    fn in_the_other_way(text: &str) -> Option<ClientMessage> {
        decode(text, &["signal"]).ok()
    }

    #[test]
    fn what_programs_send_is_read_here_and_the_same_as_in_the_other_way() {
        for content in [
            r#"{"kind":"offer","sdp":"v=0\r\n","streams":[{"mid":"0","owner":"abc","source":"camera"}]}"#,
            r#"{"kind":"answer","sdp":"\u00e9","streams":[{"mid":"0","owner":"abc","source":"newer"}]}"#,
            r#"{"kind":"candidate","candidate":{"candidate":"a","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":null}}"#,
            r#"{"candidate":{"candidate":""},"kind":"candidate"}"#,
            r#"{"kind":"end_of_candidates"}"#,
        ] {
            let text = signal_of(content);
            let read = signal(&text);
            assert!(read.is_some(), "{text}");
            assert_eq!(read, in_the_other_way(&text), "{text}");
        }
    }

    #[test]
    fn whatever_is_unusual_is_left_to_the_other_way() {
        let good = signal_of(r#"{"kind":"end_of_candidates"}"#);
        let cases = [
            (good.replace(r#""to""#, r#""newer":1,"to""#), true),
            (good.replace(r#""to""#, r#""type":"leave","to""#), false),
            (good.replace(r#""to":"abc""#, r#""to":"ABC""#), false),
            (good.replace("end_of_candidates", "newer"), false),
            (good.replace("{\"type", " {\"type"), true),
            (signal_of(r#"{"kind":"offer"}"#), false),
            (signal_of(r#"{"kind":"offer","sdp":null}"#), false),
            (signal_of(r#"{"kind":"offer","sdp":"","candidate":5}"#), true),
            (signal_of(r#"{"kind":"offer","kind":"answer","sdp":""}"#), false),
            (signal_of(r#"{"kind":"candidate","candidate":{"candidate":"","sdpMLineIndex":65536}}"#), false),
            (signal_of(r#"{"kind":"candidate","candidate":{"candidate":"","newer":[1]}}"#), true),
            (signal_of(&format!(r#"{{"kind":"end_of_candidates","newer":{}"#, "[".repeat(1_000_000))), false),
        ];
        for (text, is_message) in cases {
            assert_eq!(signal(&text), None, "{text:.200}");
            assert_eq!(in_the_other_way(&text).is_some(), is_message, "{text:.200}");
        }
    }
}
