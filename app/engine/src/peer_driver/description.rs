//! What a session description says about the picture.

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

/// `a=rtpmap:102 H264/90000` (RFC 6184 §8.2.1).
fn is_h264_map(line: &str) -> bool {
    let map = line.strip_prefix("a=rtpmap:").and_then(|map| map.split_once(' '));
    map.is_some_and(|(_, codec)| codec.trim().to_ascii_uppercase().starts_with("H264/90000"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
