//! Every parser of this crate, fed with bytes from a fuzzer.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use crate::{
    ChatMessage, ClientMessage, ControlMessage, DecodeMessageError, DisplayName, Fingerprint, PeerId, ResumeToken,
    RoomId, RoomLink, ServerMessage, TransportId, plain,
};

/// Reads bytes as everything that comes from outside, and panics where something that was read is not written and
/// read again as the same.
pub fn fuzz_wire(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    message(text, ClientMessage::decode, ClientMessage::encode);
    if let Some(signal) = plain::signal(text) {
        assert_eq!(crate::message::decode(text, &["signal"]).ok(), Some(signal));
    }
    message(text, ServerMessage::decode, ServerMessage::encode);
    message(text, ControlMessage::decode, ControlMessage::encode);
    message(text, ChatMessage::decode, ChatMessage::encode);
    identifier::<RoomId>(text);
    identifier::<DisplayName>(text);
    identifier::<PeerId>(text);
    identifier::<TransportId>(text);
    identifier::<Fingerprint>(text);
    identifier::<RoomLink>(text);
    if let Ok(token) = text.parse::<ResumeToken>() {
        assert_eq!(token.as_str(), text);
    }
}

fn message<T: PartialEq + Debug>(
    text: &str,
    decode: impl Fn(&str) -> Result<T, DecodeMessageError>,
    encode: impl Fn(&T) -> String,
) {
    if let Ok(message) = decode(text) {
        let again = decode(&encode(&message));
        assert_eq!(again.ok().as_ref(), Some(&message));
    }
}

fn identifier<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(id) = text.parse::<T>() {
        let again = id.to_string().parse::<T>();
        assert_eq!(again.ok().as_ref(), Some(&id));
    }
}
