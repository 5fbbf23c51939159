//! The messages that are relayed: what a call sends, stamped with when and in which order it was sent.

use std::fmt::Write as _;

/// One message in eight is a description, the others are candidates: about what two browsers send each other.
const DESCRIPTION_EVERY: u32 = 8;
/// What the stamp begins with; no description or candidate holds it otherwise.
const MARK: &str = "stamp=";

/// When a message was sent and which of its sender's it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since the load began.
    pub sent_ns: u64,
    /// The sender's messages are numbered from 0.
    pub number: u32,
}

/// The `connection` and `signal` of a message, without the braces around them.
pub fn signal(stamp: Stamp) -> String {
    let mut text = String::with_capacity(512);
    let Stamp { sent_ns, number } = stamp;
    // Writing to a string cannot fail.
    let _ = if number % DESCRIPTION_EVERY == 0 {
        write!(
            text,
            r#""connection":"c0ffee","signal":{{"kind":"offer","sdp":"v=0\r\ns={MARK}{sent_ns:016x}.{number:08x}\r\n{}","streams":[]}}"#,
            description()
        )
    } else {
        write!(
            text,
            r#""connection":"c0ffee","signal":{{"kind":"candidate","candidate":{{"candidate":"candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag EEtu {MARK}{sent_ns:016x}.{number:08x}","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"EEtu"}}}}"#
        )
    };
    text
}

/// The stamp in a text that came from a server.
pub fn stamp(text: &str) -> Option<Stamp> {
    let start = text.find(MARK)? + MARK.len();
    let (sent_ns, number) = text.get(start..start + 25)?.split_once('.')?;
    Some(Stamp { sent_ns: u64::from_str_radix(sent_ns, 16).ok()?, number: u32::from_str_radix(number, 16).ok()? })
}

/// A description of the usual length, about 2.5 KB, its line ends escaped as JSON has them.
fn description() -> &'static str {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let mut text = String::new();
        for (kind, mid) in [("audio", 0), ("video", 1)] {
            let _ =
                write!(text, r"m={kind} 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 102\r\na=mid:{mid}\r\na=sendrecv\r\n");
            for payload in 96..103 {
                let _ = write!(
                    text,
                    r"a=rtpmap:{payload} H264/90000\r\na=rtcp-fb:{payload} nack pli\r\na=rtcp-fb:{payload} transport-cc\r\na=fmtp:{payload} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
                );
            }
        }
        text
    });
    &TEXT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_a_message_of_the_protocol() {
        for number in [0, 1, 8, 9] {
            let sent = Stamp { sent_ns: 123_456_789, number };
            let text = format!(r#"{{"type":"signal","to":"{}",{}}}"#, "a".repeat(26), signal(sent));
            parlor_proto::ClientMessage::decode(&text).unwrap();
            assert_eq!(stamp(&text), Some(sent));
        }
        assert_eq!(stamp("{}"), None);
        assert_eq!(stamp("stamp=12"), None);
    }

    #[test]
    fn descriptions_have_the_usual_length() {
        let bytes = signal(Stamp { sent_ns: 0, number: 0 }).len();
        assert!((2_000..3_500).contains(&bytes), "{bytes}");
    }
}
