//! ICE candidates in `signal` messages, trickled ones and those inside descriptions: each is replaced by one at the relay.
//!
//! Only UDP over IPv4 between hosts stays: one kind of path, which the relay can reach. What does not stay is left out of the
//! message, or with it.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

/// What becomes of the candidates of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Replaced by one at the relay.
    pub replaced: u32,
    /// Left out.
    pub dropped: u32,
}

/// Rewrites a `signal` message from a client; `relay` gives the relay's address that stands for an address of theirs, or none
/// when it has no more. False when nothing is left to send.
pub fn rewrite(message: &mut Value, kept: &mut Kept, mut relay: impl FnMut(SocketAddr) -> Option<SocketAddr>) -> bool {
    let signal = &mut message["signal"];
    if let Some(sdp) = signal["sdp"].as_str() {
        signal["sdp"] = Value::String(rewrite_description(sdp, kept, &mut relay));
    }
    let Some(line) = signal["candidate"]["candidate"].as_str() else { return true };
    if line.is_empty() {
        // RFC 8838 §13: the end of the candidates of one section.
        return true;
    }
    let Some(rewritten) = rewrite_line(line, kept, &mut relay) else { return false };
    signal["candidate"]["candidate"] = Value::String(rewritten);
    true
}

fn rewrite_description(sdp: &str, kept: &mut Kept, relay: &mut impl FnMut(SocketAddr) -> Option<SocketAddr>) -> String {
    let mut rewritten = String::with_capacity(sdp.len());
    for line in sdp.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        match content.strip_prefix("a=candidate:") {
            None => rewritten.push_str(line),
            Some(rest) => {
                if let Some(candidate) = rewrite_line(&format!("candidate:{rest}"), kept, relay) {
                    rewritten.push_str("a=");
                    rewritten.push_str(&candidate);
                    rewritten.push_str(&line[content.len()..]);
                }
            }
        }
    }
    rewritten
}

/// RFC 8839 §5.1: foundation, component, transport, priority, address, port, `typ`, type, and what else there is.
fn rewrite_line(
    line: &str,
    kept: &mut Kept,
    relay: &mut impl FnMut(SocketAddr) -> Option<SocketAddr>,
) -> Option<String> {
    let replaced = replacement(line, relay);
    match replaced {
        Some(_) => kept.replaced += 1,
        None => kept.dropped += 1,
    }
    replaced
}

fn replacement(line: &str, relay: &mut impl FnMut(SocketAddr) -> Option<SocketAddr>) -> Option<String> {
    let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[_, component, transport, _, address, port, "typ", "host", ..] = words.as_slice() else { return None };
    if component != "1" || !transport.eq_ignore_ascii_case("udp") {
        return None;
    }
    let address: IpAddr = address.parse().ok().filter(IpAddr::is_ipv4)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    let relay = relay(SocketAddr::new(address, port))?;
    let (address, port) = (relay.ip().to_string(), relay.port().to_string());
    (words[4], words[5]) = (&address, &port);
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The relay's port is the peer's and ten thousand.
    fn relay(address: SocketAddr) -> Option<SocketAddr> {
        Some(SocketAddr::new([127, 0, 0, 1].into(), address.port() + 10_000))
    }

    fn trickled(candidate: &str) -> (Option<String>, Kept) {
        let mut message = json!({"type": "signal", "to": "x", "connection": "c",
            "signal": {"kind": "candidate", "candidate": {"candidate": candidate, "sdpMid": "0", "usernameFragment": "u"}}});
        let mut kept = Kept::default();
        let stays = rewrite(&mut message, &mut kept, relay);
        let candidate = &message["signal"]["candidate"];
        assert_eq!(candidate["sdpMid"], "0");
        (stays.then(|| candidate["candidate"].as_str().unwrap().to_owned()), kept)
    }

    #[test]
    fn a_trickled_candidate_is_replaced_and_keeps_the_rest() {
        let (line, kept) =
            trickled("candidate:1 1 udp 2113937151 192.0.2.2 5000 typ host generation 0 ufrag u network-cost 999");
        let wanted = "candidate:1 1 udp 2113937151 127.0.0.1 15000 typ host generation 0 ufrag u network-cost 999";
        assert_eq!(line.as_deref(), Some(wanted));
        assert_eq!(kept, Kept { replaced: 1, dropped: 0 });
    }

    #[test]
    fn what_the_relay_cannot_stand_for_is_left_out() {
        for line in [
            "candidate:1 1 tcp 1 192.0.2.2 9 typ host tcptype active",
            "candidate:1 2 udp 1 192.0.2.2 5000 typ host",
            "candidate:1 1 udp 1 2001:db8::1 5000 typ host",
            "candidate:1 1 udp 1 4a6b.local 5000 typ host",
            "candidate:1 1 udp 1 198.51.100.7 5000 typ srflx raddr 192.0.2.2 rport 5000",
            "candidate:1 1 udp 1 192.0.2.2 0 typ host",
            "candidate:1 1 udp 1 192.0.2.2 70000 typ host",
            "nonsense",
        ] {
            assert_eq!(trickled(line), (None, Kept { replaced: 0, dropped: 1 }), "{line}");
        }
    }

    #[test]
    fn the_end_of_candidates_passes() {
        assert_eq!(trickled(""), (Some(String::new()), Kept::default()));
        let mut message = json!({"type": "signal", "signal": {"kind": "end_of_candidates"}});
        assert!(rewrite(&mut message, &mut Kept::default(), relay));
    }

    #[test]
    fn candidates_inside_a_description_are_replaced_too() {
        let sdp = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
                   a=candidate:1 1 UDP 1 192.0.2.2 5000 typ host\r\n\
                   a=candidate:2 1 tcp 1 192.0.2.2 9 typ host tcptype active\r\n\
                   a=end-of-candidates\r\n";
        let mut message = json!({"type": "signal", "signal": {"kind": "offer", "sdp": sdp, "streams": []}});
        let mut kept = Kept::default();
        assert!(rewrite(&mut message, &mut kept, relay));
        let wanted = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
                      a=candidate:1 1 UDP 1 127.0.0.1 15000 typ host\r\n\
                      a=end-of-candidates\r\n";
        assert_eq!(message["signal"]["sdp"], wanted);
        assert_eq!(message["signal"]["kind"], "offer");
        assert_eq!(kept, Kept { replaced: 1, dropped: 1 });
    }
}
