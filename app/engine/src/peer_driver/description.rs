//! What a session description says about the picture, and about who opens the DTLS association.

use super::roaming::Credentials;

/// Whether the description has a video section that is not rejected and knows H.264.
///
/// Reads lines only, so any text is safe: `m=video PORT …`, port 0 being a rejected section (RFC 8829 §5.3.1).
pub(crate) fn has_h264(sdp: &str) -> bool {
    let mut in_video = false;
    for line in sdp.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            in_video = words.next() == Some("video") && words.next() != Some("0");
        } else if in_video && is_h264_map(line) {
            return true;
        }
    }
    false
}

/// The description without the ICE attributes of rejected sections (port 0), which say nothing (RFC 8829 §5.3.1).
///
/// Chromium writes some there all the same, other ones than those of the sections that it takes, and the stack then refuses
/// the whole description for "conflicting ice-ufrag values". Line ends are kept as they are.
pub(crate) fn without_rejected_transports(sdp: &str) -> String {
    const OF_TRANSPORT: [&str; 4] = ["a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates"];
    let mut is_rejected = false;
    let is_kept = |line: &&str| {
        if let Some(media) = line.strip_prefix("m=") {
            is_rejected = media.split(' ').nth(1) == Some("0");
        }
        !(is_rejected && OF_TRANSPORT.iter().any(|start| line.starts_with(start)))
    };
    sdp.split_inclusive('\n').filter(is_kept).collect()
}

/// Whether an offer asks for new ICE credentials (RFC 8839 §4.4.1.1.1): those in it are not those of the description before.
pub(crate) fn restarts_ice(current: &str, offer: &str) -> bool {
    match (credentials(current), credentials(offer)) {
        (Some(current), Some(offer)) => current != offer,
        _ => false,
    }
}

/// The ICE credentials of a description (RFC 8839 §5.4), which are the same in all its sections.
pub(crate) fn credentials(sdp: &str) -> Option<Credentials> {
    let first =
        |start: &str| sdp.lines().find_map(|line| line.strip_prefix(start).map(|value| value.trim().to_owned()));
    Some(Credentials { ufrag: first("a=ice-ufrag:")?, password: first("a=ice-pwd:")? })
}

/// `a=rtpmap:102 H264/90000` (RFC 6184 §8.2.1).
fn is_h264_map(line: &str) -> bool {
    let map = line.strip_prefix("a=rtpmap:").and_then(|map| map.split_once(' '));
    map.is_some_and(|(_, codec)| codec.trim().to_ascii_uppercase().starts_with("H264/90000"))
}

/// Who opened the DTLS association, as our `a=setup` says it.
///
/// An answer to a later offer keeps the role of the association that is there (RFC 8842 §5.3). The stack answers every
/// offer with `active`, which Chromium refuses where we are passive: "Failed to set SSL role".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DtlsRole(Option<Setup>);

/// Our description, saying that we ask for lost sounds (RFC 4585 §4.2). Browsers answer such requests where the other side's
/// description allows for them, though theirs does not; the stack only says what both do. Our own peers send copies instead.
pub(crate) fn with_requests_for_sounds(sdp: &str) -> String {
    let opus = sdp.lines().find_map(|line| {
        let (payload_type, codec) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        codec.to_ascii_lowercase().starts_with("opus/").then_some((line, payload_type))
    });
    let Some((line, payload_type)) = opus else { return sdp.to_owned() };
    let feedback = format!("a=rtcp-fb:{payload_type} nack");
    if sdp.lines().any(|line| line.trim_end() == feedback) {
        return sdp.to_owned();
    }
    sdp.replacen(line, &format!("{line}\r\n{feedback}"), 1)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setup {
    Active,
    Passive,
}

impl DtlsRole {
    /// Learns our role from the other side's answer, where it is not settled yet.
    pub(crate) fn follow(&mut self, remote_answer: &str) {
        let ours = setup(remote_answer).map(|theirs| match theirs {
            Setup::Active => Setup::Passive,
            Setup::Passive => Setup::Active,
        });
        self.0 = self.0.or(ours);
    }

    /// Our answer with the settled role in it; the first answer settles it.
    pub(crate) fn keep(&mut self, answer: String) -> String {
        let Some(said) = setup(&answer) else { return answer };
        match *self.0.get_or_insert(said) {
            settled if settled == said => answer,
            Setup::Active => answer.replace("a=setup:passive", "a=setup:active"),
            Setup::Passive => answer.replace("a=setup:active", "a=setup:passive"),
        }
    }
}

/// The first `a=setup` line (RFC 4145 §4) that says a role.
fn setup(sdp: &str) -> Option<Setup> {
    sdp.lines().find_map(|line| match line.strip_prefix("a=setup:")?.trim() {
        "active" => Some(Setup::Active),
        "passive" => Some(Setup::Passive),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ice_attributes_of_rejected_sections_are_left_out() {
        let taken = "v=0\r\nm=audio 9 X 111\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\na=candidate:1\r\n";
        let rejected = "m=video 0 X 96\r\na=ice-ufrag:c\r\na=ice-pwd:d\r\na=mid:1\r\n";
        let last = "m=application 9 X\r\na=ice-ufrag:a\r\n";
        assert_eq!(
            without_rejected_transports(&format!("{taken}{rejected}{last}")),
            format!("{taken}m=video 0 X 96\r\na=mid:1\r\n{last}")
        );
        for other in ["", "m=", "m=video", "no description"] {
            assert_eq!(without_rejected_transports(other), other);
        }
    }

    #[test]
    fn an_offer_with_other_ice_credentials_restarts_ice() {
        let with =
            |ufrag: &str, pwd: &str| format!("v=0\r\nm=audio 9 X 111\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n");
        assert!(!restarts_ice(&with("a", "b"), &with("a", "b")));
        assert!(restarts_ice(&with("a", "b"), &with("c", "b")));
        assert!(restarts_ice(&with("a", "b"), &with("a", "c")));
        assert!(!restarts_ice(&with("a", "b"), "v=0"));
    }

    #[test]
    fn a_later_answer_keeps_the_dtls_role() {
        let active = "m=audio 9 X 111\r\na=setup:active\r\n".to_owned();
        let passive = "m=audio 9 X 111\r\na=setup:passive\r\n".to_owned();

        let mut offerer = DtlsRole::default();
        offerer.follow(&active);
        assert_eq!(offerer.keep(active.clone()), passive);
        offerer.follow(&passive);
        assert_eq!(offerer.keep(active.clone()), passive);

        let mut answerer = DtlsRole::default();
        assert_eq!(answerer.keep(active.clone()), active);
        answerer.follow(&active);
        assert_eq!(answerer.keep(active.clone()), active);
        assert_eq!(answerer.keep("no role".to_owned()), "no role");
    }

    #[test]
    fn our_description_says_that_we_ask_for_sounds() {
        let audio = "v=0\r\nm=audio 9 X 111 63\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\n";
        let with = with_requests_for_sounds(audio);
        assert_eq!(with, audio.replace("2\r\na=rtpmap:63", "2\r\na=rtcp-fb:111 nack\r\na=rtpmap:63"));
        assert_eq!(with_requests_for_sounds(&with), with, "once");
        let none = "v=0\r\nm=audio 9 X 0\r\na=rtpmap:0 PCMU/8000\r\n";
        assert_eq!(with_requests_for_sounds(none), none);
    }

    #[test]
    fn h264_in_a_video_section_is_a_common_codec() {
        assert!(has_h264(
            "v=0\r\nm=audio 9 X 111\r\nm=video 9 X 96 102\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\n"
        ));
        assert!(has_h264("m=video 9 X 102\na=rtpmap:102 h264/90000\n"));
    }

    #[test]
    fn other_codecs_rejected_sections_and_nonsense_are_not() {
        for sdp in [
            "",
            "a=rtpmap:102 H264/90000",
            "m=video 9 X 96\r\na=rtpmap:96 VP8/90000\r\n",
            "m=video 0 X 102\r\na=rtpmap:102 H264/90000\r\n",
            "m=video 9 X 96\r\nm=audio 9 X 102\r\na=rtpmap:102 H264/90000\r\n",
            "m=video\r\na=rtpmap:102\r\n",
        ] {
            assert!(!has_h264(sdp), "{sdp:?}");
        }
    }
}
