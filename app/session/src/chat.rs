//! Lines of chat: what may be sent, what is taken, and the last of them.

use std::collections::VecDeque;

use parlor_proto::{CHAT_CHARACTERS_MAX, CHAT_MESSAGE_BYTES_MAX, ChatMessage, DecodeMessageError, Limits};

use crate::view::ChatLine;

/// Lines kept; older ones go.
const LINES_MAX: usize = 500;
/// Ids remembered of each peer. Channels deliver in order and once, so that a repetition comes soon.
const IDS_MAX: usize = 256;
/// The longest id of a line (`PROTOCOL.md`).
const ID_BYTES_MAX: usize = 32;

/// Why a line is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChatError {
    #[error("You can write once you are in a room.")]
    NotInRoom,
    #[error("There is nothing to send.")]
    Empty,
    #[error("This message is too long: {characters} of at most {max} characters.")]
    TooLong { characters: usize, max: usize },
    #[error("This message is too large to send.")]
    TooLarge,
}

/// The chat of one call.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    lines: VecDeque<ChatLine>,
    total: u64,
    sent: u64,
}

impl Chat {
    pub(crate) fn add(&mut self, line: ChatLine) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        self.total += 1;
    }

    /// Lines there have been, those that went included.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn lines(&self) -> Vec<ChatLine> {
        self.lines.iter().cloned().collect()
    }

    /// Checks a line of ours and gives it its id.
    pub(crate) fn compose(
        &mut self,
        text: &str,
        sent_at_ms: u64,
        limits: Option<&Limits>,
    ) -> Result<ChatMessage, ChatError> {
        let text = text.trim();
        let allowed = limits.and_then(|limits| usize::try_from(limits.chat_characters).ok());
        let max = allowed.unwrap_or(CHAT_CHARACTERS_MAX).min(CHAT_CHARACTERS_MAX);
        let characters = text.chars().count();
        if characters == 0 {
            return Err(ChatError::Empty);
        }
        if characters > max {
            return Err(ChatError::TooLong { characters, max });
        }
        let message = ChatMessage::Message { id: format!("{:x}", self.sent + 1), text: text.to_owned(), sent_at_ms };
        // Control characters take six bytes each in JSON.
        if message.encode().len() > CHAT_MESSAGE_BYTES_MAX {
            return Err(ChatError::TooLarge);
        }
        self.sent += 1;
        Ok(message)
    }
}

/// The ids of lines that one peer has sent.
#[derive(Debug, Default)]
pub(crate) struct ReceivedIds(VecDeque<String>);

/// What a text on the chat channel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Line {
        text: String,
        sent_at_ms: u64,
    },
    /// A type from a newer program.
    Unknown,
    /// Malformed, too large or a repetition.
    Refused,
}

impl ReceivedIds {
    /// Reads a text of theirs.
    pub(crate) fn receive(&mut self, text: &str) -> Received {
        if text.len() > CHAT_MESSAGE_BYTES_MAX {
            return Received::Refused;
        }
        match ChatMessage::decode(text) {
            Ok(ChatMessage::Message { id, text, sent_at_ms }) if self.is_new_line(&id, &text) => {
                self.remember(id);
                Received::Line { text, sent_at_ms }
            }
            Ok(ChatMessage::Message { .. }) | Err(DecodeMessageError::Malformed(_)) => Received::Refused,
            Err(DecodeMessageError::UnknownType) => Received::Unknown,
        }
    }

    fn is_new_line(&self, id: &String, text: &str) -> bool {
        let id_fits = (1..=ID_BYTES_MAX).contains(&id.len());
        let id_reads = id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
        let text_fits = (1..=CHAT_CHARACTERS_MAX).contains(&text.chars().count());
        id_fits && id_reads && text_fits && !self.0.contains(id)
    }

    fn remember(&mut self, id: String) {
        if self.0.len() == IDS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(id: &str, text: &str) -> String {
        ChatMessage::Message { id: id.into(), text: text.into(), sent_at_ms: 5 }.encode()
    }

    fn line(sent_at_ms: u64) -> Received {
        Received::Line { text: "hello".into(), sent_at_ms }
    }

    #[test]
    fn lines_have_one_to_four_thousand_characters() {
        let mut chat = Chat::default();
        assert_eq!(chat.compose(" \n", 0, None), Err(ChatError::Empty));
        assert!(chat.compose(&"é".repeat(4_000), 0, None).is_ok());
        let too_long = ChatError::TooLong { characters: 4_001, max: 4_000 };
        assert_eq!(chat.compose(&"é".repeat(4_001), 0, None), Err(too_long));
        assert_eq!(chat.compose(&"\u{1}".repeat(4_000), 0, None), Err(ChatError::TooLarge));
    }

    #[test]
    fn a_servers_smaller_limit_counts_and_a_larger_one_does_not() {
        let limits =
            |chat_characters| Limits { room_capacity: 8, message_bytes: 0, resume_seconds: 0, chat_characters };
        let mut chat = Chat::default();
        assert!(chat.compose("123456", 0, Some(&limits(5))).is_err());
        assert!(chat.compose(&"x".repeat(4_001), 0, Some(&limits(u32::MAX))).is_err());
    }

    #[test]
    fn ids_are_unique_and_read_back() {
        let mut chat = Chat::default();
        let mut received = ReceivedIds::default();
        for number in 0..300_u64 {
            let message = chat.compose("hello", number, None).unwrap();
            assert_eq!(received.receive(&message.encode()), line(number));
            assert_eq!(received.receive(&message.encode()), Received::Refused);
        }
        assert_eq!(received.0.len(), IDS_MAX);
    }

    #[test]
    fn malformed_and_oversized_lines_are_dropped() {
        let mut received = ReceivedIds::default();
        for text in [
            "",
            "{}",
            "{\"type\":\"message\"}",
            &encoded("", "x"),
            &encoded("A", "x"),
            &encoded(&"a".repeat(33), "x"),
            &encoded("a", ""),
            &encoded("a", &"x".repeat(4_001)),
            &encoded("a", &"x".repeat(30_000)),
        ] {
            assert_eq!(received.receive(text), Received::Refused, "{text}");
        }
        assert_eq!(received.receive("{\"type\":\"reaction\"}"), Received::Unknown);
        assert_eq!(received.receive(&encoded("a", "hello")), line(5));
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut chat = Chat::default();
        for at_ms in 0..600 {
            chat.add(ChatLine { author: crate::Author::You, text: "x".into(), at_ms, unreached: vec![] });
        }
        assert_eq!((chat.lines().len(), chat.lines()[0].at_ms), (LINES_MAX, 100));
        assert_eq!(chat.total(), 600);
    }
}
