//! What may leave the machine while its address is hidden: relay candidates, and no word of where they come from.
//!
//! The stack gathers nothing else then, but its relay candidates name the machine's own address as the related one
//! (RFC 8839 §5.1), also inside the description. So everything is filtered once more on its way out.

/// What a related address is replaced by, as browsers do (RFC 8828 §5.2).
const NOWHERE: &str = "0.0.0.0";

/// The candidate without its related address; none for any other kind than `relay`.
///
/// Takes the line with or without `a=`.
pub(crate) fn candidate(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let value_of = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
    if value_of("typ") != Some(&"relay") {
        return None;
    }
    let mut hidden = Vec::with_capacity(words.len());
    let mut before = "";
    for word in &words {
        hidden.push(match before {
            "raddr" => NOWHERE,
            "rport" => "0",
            _ => word,
        });
        before = word;
    }
    Some(hidden.join(" "))
}

/// The description without candidates of other kinds, without related addresses, and without addresses in the lines
/// that ICE makes meaningless: `o=`, `c=` and `a=rtcp:` (RFC 9429 §5.2.1). Line ends are kept as they are.
pub(crate) fn description(sdp: &str) -> String {
    sdp.split_inclusive('\n').filter_map(line).collect()
}

fn line(with_end: &str) -> Option<String> {
    let text = with_end.trim_end_matches(['\r', '\n']);
    let end = with_end.get(text.len()..).unwrap_or_default();
    let hidden = if text.starts_with("a=candidate:") {
        candidate(text)?
    } else if text.starts_with("c=") {
        format!("c=IN IP4 {NOWHERE}")
    } else if text.starts_with("o=") || text.starts_with("a=rtcp:") {
        without_address(text)
    } else {
        text.to_owned()
    };
    Some(hidden + end)
}

/// `… IN IP4 192.0.2.7` with nowhere in the address's place.
fn without_address(text: &str) -> String {
    match text.find(" IN IP") {
        Some(at) => format!("{} IN IP4 {NOWHERE}", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relay_candidates_go_out_and_say_nothing_of_where_they_come_from() {
        let relay =
            "candidate:1 1 udp 16777215 203.0.113.1 50000 typ relay raddr 192.168.1.7 rport 4711 generation 0 ufrag ab";
        let hidden =
            "candidate:1 1 udp 16777215 203.0.113.1 50000 typ relay raddr 0.0.0.0 rport 0 generation 0 ufrag ab";
        assert_eq!(candidate(relay).as_deref(), Some(hidden));
        assert_eq!(candidate(hidden).as_deref(), Some(hidden));
        let v6 = "candidate:1 1 udp 1 2001:db8::1 50000 typ relay raddr fd00::7 rport 9";
        assert_eq!(
            candidate(v6).as_deref(),
            Some("candidate:1 1 udp 1 2001:db8::1 50000 typ relay raddr 0.0.0.0 rport 0")
        );
        for other in [
            "candidate:1 1 udp 2130706431 192.168.1.7 4711 typ host",
            "candidate:1 1 udp 1 198.51.100.7 4711 typ srflx raddr 192.168.1.7 rport 4711",
            "candidate:1 1 udp 1 198.51.100.7 4711 typ prflx raddr 192.168.1.7 rport 4711",
            "candidate:1 1 udp 1 0b1.local 4711 typ host relay",
            "candidate:1 1 udp 1 192.168.1.7 4711 typ",
            "",
        ] {
            assert_eq!(candidate(other), None, "{other}");
        }
    }

    #[test]
    fn a_description_keeps_its_lines_and_loses_its_addresses() {
        let sdp = "v=0\r\no=- 7 2 IN IP4 192.168.1.7\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
                   c=IN IP6 fd00::7\r\na=rtcp:9 IN IP4 192.168.1.7\r\na=ice-ufrag:x\r\n\
                   a=candidate:1 1 udp 1 192.168.1.7 4711 typ host\r\n\
                   a=candidate:2 1 udp 1 203.0.113.1 50000 typ relay raddr 192.168.1.7 rport 4711\r\na=mid:0\r\n";
        let hidden = "v=0\r\no=- 7 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
                      c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:x\r\n\
                      a=candidate:2 1 udp 1 203.0.113.1 50000 typ relay raddr 0.0.0.0 rport 0\r\na=mid:0\r\n";
        assert_eq!(description(sdp), hidden);
        assert_eq!(description(hidden), hidden);
        for other in ["", "o=", "no description", "a=rtcp:9\r\n"] {
            assert_eq!(description(other), other);
        }
    }
}
