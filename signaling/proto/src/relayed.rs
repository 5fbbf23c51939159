//! A signal on its way through a server: written as JSON before anybody looks who it is from, or whom it reaches.

use serde::Serialize;

use crate::message::encode;
use crate::{PeerId, Signal, TransportId};

/// A [`crate::ServerMessage::Signal`] in JSON, but for who it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayedSignal(String);

impl RelayedSignal {
    /// Writes all but the sender.
    pub fn new(connection: &TransportId, signal: &Signal) -> Self {
        #[derive(Serialize)]
        struct Rest<'signal> {
            connection: &'signal TransportId,
            signal: &'signal Signal,
        }
        Self(encode(&Rest { connection, signal }))
    }

    /// The whole message, as [`crate::ServerMessage::encode`] writes it.
    pub fn encode_from(&self, from: &PeerId) -> String {
        // An id has letters and digits only.
        let rest = self.0.strip_prefix('{').unwrap_or_default();
        [r#"{"type":"signal","from":""#, from.as_str(), r#"","#, rest].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IceCandidate, ServerMessage, Source, StreamDescription};

    #[test]
    fn a_relayed_signal_is_written_as_the_message_is() {
        let from = PeerId::from_random(7);
        let connection: TransportId = "c0ffee".parse().unwrap();
        let candidate = IceCandidate {
            candidate: "candidate:1 \"\\\u{1}é".into(),
            sdp_mid: Some("0".into()),
            sdp_m_line_index: None,
            username_fragment: None,
        };
        let stream = StreamDescription { mid: "0".into(), owner: from.clone(), source: Source::Screen };
        for signal in [
            Signal::Offer { sdp: "v=0\r\n".into(), streams: vec![stream.clone(), stream] },
            Signal::Answer { sdp: String::new(), streams: Vec::new() },
            Signal::Candidate { candidate },
            Signal::EndOfCandidates,
        ] {
            let relayed = RelayedSignal::new(&connection, &signal).encode_from(&from);
            let message = ServerMessage::Signal { from: from.clone(), connection: connection.clone(), signal };
            assert_eq!(relayed, message.encode());
        }
    }
}
