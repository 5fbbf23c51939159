//! How long a message can become on its way.

use parlor_proto::{IceCandidate, Signal, StreamDescription};

/// More than a relayed signal can be long in JSON, told without writing it.
pub(super) fn encoded_bytes_max(signal: &Signal) -> usize {
    /// A byte of text at its longest: `\u0000`.
    const BYTE: usize = 6;
    /// Names and punctuation around the texts, ids included: of the message, and of each stream.
    const FRAME: usize = 512;
    FRAME
        + match signal {
            Signal::Offer { sdp, streams } | Signal::Answer { sdp, streams } => {
                let stream = |stream: &StreamDescription| FRAME + BYTE * stream.mid.len();
                BYTE * sdp.len() + streams.iter().map(stream).sum::<usize>()
            }
            Signal::Candidate { candidate } => {
                let IceCandidate { candidate, sdp_mid, sdp_m_line_index: _, username_fragment } = candidate;
                let optional = [sdp_mid, username_fragment].into_iter().flatten().map(String::len).sum::<usize>();
                BYTE * (candidate.len() + optional)
            }
            Signal::EndOfCandidates => 0,
        }
}

#[cfg(test)]
mod tests {
    use parlor_proto::{PeerId, ServerMessage};

    use super::*;

    #[test]
    fn no_signal_is_longer_in_json_than_is_said_of_it() {
        let worst = "\u{1}".repeat(1_000);
        let peer_id = PeerId::from_random(u128::MAX);
        let stream =
            StreamDescription { mid: worst.clone(), owner: peer_id.clone(), source: parlor_proto::Source::ScreenSound };
        let candidate = IceCandidate {
            candidate: worst.clone(),
            sdp_mid: Some(worst.clone()),
            sdp_m_line_index: Some(u16::MAX),
            username_fragment: Some(worst.clone()),
        };
        for signal in [
            Signal::Offer { sdp: worst.clone(), streams: vec![stream; 3] },
            Signal::Answer { sdp: String::new(), streams: Vec::new() },
            Signal::Candidate { candidate },
            Signal::EndOfCandidates,
        ] {
            let bytes_max = encoded_bytes_max(&signal);
            let connection = "c".repeat(32).parse().unwrap();
            let message = ServerMessage::Signal { from: peer_id.clone(), connection, signal };
            assert!(message.encode().len() <= bytes_max, "{bytes_max} bytes for {message:?}");
        }
    }
}
