//! What the chat shows: lines and remarks in the order in which they came here. Pure.
//!
//! Senders say when they wrote, but their clocks may be wrong, or lie; order and times are those of this window.

use std::collections::VecDeque;

use parlor_session::{Author, ChatLine, RoomView};

/// Entries kept: the 500 lines that a call keeps and remarks among them. The oldest go first.
const ENTRIES_MAX: usize = 600;

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When this window learnt of it: Unix time in milliseconds.
    pub at_ms: u64,
    /// What it is.
    pub what: Said,
}

/// A line or a remark.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Somebody wrote it.
    Line(ChatLine),
    /// The window says it.
    Remark(String),
}

/// The chat of one call.
#[derive(Clone, Debug, Default)]
pub struct ChatLog {
    entries: VecDeque<Entry>,
    /// How many of the call's lines were taken, as in [`RoomView::chat_total`].
    taken: u64,
}

impl ChatLog {
    /// Takes the lines that are new.
    pub fn take(&mut self, room: &RoomView, now_ms: u64) {
        while self.take_one(room, now_ms).is_some() {}
    }

    /// Takes new lines up to and with the first that someone else wrote, so that a remark on what happened after it can
    /// be put there.
    pub fn take_through_next_of_others(&mut self, room: &RoomView, now_ms: u64) {
        while let Some(author) = self.take_one(room, now_ms) {
            match author {
                Author::Peer { .. } => return,
                Author::You | Author::Note => {}
            }
        }
    }

    /// Adds a remark.
    pub fn remark(&mut self, text: String, now_ms: u64) {
        self.add(Entry { at_ms: now_ms, what: Said::Remark(text) });
    }

    /// Everything, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    fn take_one<'r>(&mut self, room: &'r RoomView, now_ms: u64) -> Option<&'r Author> {
        let new = usize::try_from(room.chat_total.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        let new = new.min(room.chat.len());
        let line = room.chat.get(room.chat.len() - new)?;
        self.taken = room.chat_total - new as u64 + 1;
        self.add(Entry { at_ms: now_ms, what: Said::Line(line.clone()) });
        Some(&line.author)
    }

    fn add(&mut self, entry: Entry) {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::PeerId;
    use parlor_session::{MediaState, Phase};

    use super::*;

    #[test]
    fn lines_stay_in_the_order_of_their_arrival_whatever_their_senders_clocks_say() {
        let mut log = ChatLog::default();
        let mut chat = vec![from_ana("late", u64::MAX)];
        log.take(&room(&chat, 1), 1_000);
        log.remark("Bo joined".into(), 2_000);
        chat.extend([from_ana("early", 0), yours("now", 3_000)]);
        log.take(&room(&chat, 3), 3_000);
        log.take(&room(&chat, 3), 4_000);
        assert_eq!(texts(&log), [("late", 1_000), ("Bo joined", 2_000), ("early", 3_000), ("now", 3_000)]);
    }

    #[test]
    fn a_remark_finds_its_place_among_lines_that_came_at_once() {
        let mut log = ChatLog::default();
        let room = room(&[yours("hello?", 1), from_ana("bye", 2), from_ana("really", 3)], 3);
        log.take_through_next_of_others(&room, 5);
        log.remark("Bo left".into(), 5);
        log.take(&room, 5);
        assert_eq!(texts(&log), [("hello?", 5), ("bye", 5), ("Bo left", 5), ("really", 5)]);
    }

    #[test]
    fn lines_that_went_before_they_were_seen_are_skipped_and_old_entries_go() {
        let mut log = ChatLog::default();
        let chat: Vec<_> = (0..500).map(|number| yours(&number.to_string(), number)).collect();
        log.take(&room(&chat, 10_000), 1);
        assert_eq!(log.entries().count(), 500);
        log.take(&room(&chat, 10_000), 2);
        assert_eq!(log.entries().count(), 500);
        (0..200).for_each(|_| log.remark("x".into(), 3));
        assert_eq!(log.entries().count(), ENTRIES_MAX);
        log.take(&room(&[], 10_000), 4);
    }

    fn texts(log: &ChatLog) -> Vec<(&str, u64)> {
        log.entries().map(|entry| (text(entry), entry.at_ms)).collect()
    }

    fn text(entry: &Entry) -> &str {
        match &entry.what {
            Said::Line(line) => &line.text,
            Said::Remark(text) => text,
        }
    }

    fn room(chat: &[ChatLine], chat_total: u64) -> RoomView {
        RoomView {
            phase: Phase::InRoom,
            room: None,
            server_problem: None,
            self_id: None,
            name: None,
            peers: Vec::new(),
            chat: chat.to_vec(),
            chat_total,
            media: MediaState::default(),
            policy: Default::default(),
            relay_note: None,
            limits: None,
        }
    }

    fn from_ana(text: &str, at_ms: u64) -> ChatLine {
        let author = Author::Peer { peer_id: PeerId::from_random(1), name: "Ana".parse().unwrap() };
        ChatLine { author, ..yours(text, at_ms) }
    }

    fn yours(text: &str, at_ms: u64) -> ChatLine {
        ChatLine { author: Author::You, text: text.to_owned(), at_ms, unreached: Vec::new() }
    }
}
