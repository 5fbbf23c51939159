//! What each message must come to, by the words of `PROTOCOL.md`: expected before it is said, compared with what was heard after.

use parlor_proto::{ClientMessage, DisplayName, ErrorCode, PeerId, RoomId, Secret};

use super::client::{Client, Place};
use super::door::{Came, Door, Held};
use super::{CAPACITY, CLIENTS, Issued, Model, ROOMS_MAX};

/// A message as it must go: who is sent away by it, and what its sender is refused with.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) refusal: Option<ErrorCode>,
    pub(super) gone: Option<(RoomId, Vec<PeerId>)>,
    pub(super) enters: Option<Entry>,
}

/// Somebody about to come in.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) room: RoomId,
    pub(super) who: Option<PeerId>,
    pub(super) came: Came,
    pub(super) token: Option<Held>,
}

impl Model {
    /// How this message must go, by the words of `PROTOCOL.md`.
    pub(super) fn expected(&mut self, who: usize, message: &ClientMessage) -> Expected {
        let refused = |refusal: Option<ErrorCode>| Expected { refusal, ..Expected::default() };
        match (self.clients[who].clone(), message) {
            (Client::Closed, _) => refused(None),
            (Client::Opened(_), ClientMessage::Hello { versions, .. }) => {
                refused((!versions.contains(&1)).then_some(ErrorCode::UnsupportedVersion))
            }
            (Client::Opened(_), _) | (_, ClientMessage::Hello { .. }) => refused(Some(ErrorCode::ExpectedHello)),
            (Client::Greeted(_), ClientMessage::Join { .. }) => {
                let mut gone = None;
                match self.expected_of_join(message, &mut gone) {
                    Ok(enters) => Expected { refusal: None, gone, enters: Some(enters) },
                    Err(code) => Expected { refusal: Some(code), gone, enters: None },
                }
            }
            (Client::Greeted(_), _) => refused(Some(ErrorCode::NotJoined)),
            (Client::Joined(_, place), ClientMessage::Remove { peer_id }) => {
                let refusal = place.refusal_of(message);
                let gone = refusal.is_none().then(|| (place.room.clone(), vec![peer_id.clone()]));
                Expected { refusal, gone, enters: None }
            }
            (Client::Joined(_, place), _) => refused(place.refusal_of(message)),
        }
    }

    /// How somebody comes in, or what they are refused with. Whoever has to go then is `gone`, either way.
    fn expected_of_join(
        &mut self,
        message: &ClientMessage,
        gone: &mut Option<(RoomId, Vec<PeerId>)>,
    ) -> Result<Entry, ErrorCode> {
        let ClientMessage::Join { room, name, resume, access, password } = message else { panic!("a join") };
        let room = room.parse::<RoomId>().map_err(|_| ErrorCode::InvalidRoom)?;
        let issued = self.issued(&room, resume.as_ref().map(Secret::reveal));
        let invited = match (self.invited, access) {
            (false, _) => None,
            (true, None) if issued.is_none() => return Err(ErrorCode::AccessRequired),
            (true, None) => None,
            (true, Some(text)) => match self.invited_id(text.reveal(), &room) {
                Err(code) if issued.is_none() => return Err(code),
                found => found.ok(),
            },
        };
        name.parse::<DisplayName>().map_err(|_| ErrorCode::InvalidName)?;
        let issued = issued.filter(|issued| invited.as_ref().is_none_or(|id| *id == issued.peer_id));
        let who = invited.or_else(|| issued.as_ref().map(|issued| issued.peer_id.clone()));
        let token = issued.and_then(|issued| issued.held);
        if let (Some(door), Some(token)) = (self.doors.get_mut(&room), &token) {
            *gone = door.learn(token, self.now).map(|gone| (room.clone(), gone));
            if let Some((_, gone)) = gone {
                self.learnt = (self.learnt.0 + 1, self.learnt.1 + gone.len());
            }
            if door.members.is_empty() {
                self.doors.remove(&room);
            }
        }
        let came = match self.doors.get(&room) {
            None if self.doors.len() >= ROOMS_MAX => return Err(ErrorCode::TooManyRooms),
            // The token says what holds from now on, and so its bearer is in.
            None => Came { vouched: token.as_ref().map(|token| token.revision), password: None },
            Some(door) => {
                let came = door.judge(who.as_ref(), token.as_ref(), password.as_ref().map(Secret::reveal))?;
                let is_member = who.as_ref().is_some_and(|who| door.members.contains_key(who));
                if !is_member && door.members.len() >= CAPACITY {
                    return Err(ErrorCode::RoomFull);
                }
                came
            }
        };
        Ok(Entry { room, who, came, token })
    }

    /// What this token restores in this room.
    fn issued(&self, room: &RoomId, token: Option<&str>) -> Option<Issued> {
        let issued = self.tokens.iter().flatten().find(|issued| Some(issued.token.as_str()) == token)?;
        (issued.room == *room && issued.until > self.now).then(|| issued.clone())
    }

    fn invited_id(&self, access: &str, room: &RoomId) -> Result<PeerId, ErrorCode> {
        let pass = self.passes.iter().find(|pass| pass.text == access);
        pass.map_or(Err(ErrorCode::AccessInvalid), |pass| pass.peer_id(&self.ids, room))
    }

    pub(super) fn note_entry(&mut self, who: usize, entry: Entry) {
        let Client::Joined(_, place) = &self.clients[who] else { panic!("not in the room") };
        assert!(entry.who.is_none_or(|id| id == place.me), "somebody else than they are");
        let door = self.doors.entry(entry.room).or_insert_with(|| Door::new(entry.token.as_ref(), self.now));
        door.members.entry(place.me.clone()).or_insert(entry.came);
    }

    /// Something about the room of `place` was changed by its moderator.
    pub(super) fn note_policy(&mut self, place: &Place, message: &ClientMessage) {
        let Some(door) = self.doors.get_mut(&place.room) else { return };
        let (_, now) = self.hub.stamps(&place.room).unwrap_or_default();
        let closes = match message {
            ClientMessage::SetLock { locked } => {
                door.held.locked = *locked;
                *locked
            }
            ClientMessage::SetPassword { password } => {
                door.held.password = password.as_ref().map(|text| (text.reveal().to_owned(), now));
                password.is_some()
            }
            ClientMessage::Remove { peer_id } => door.held.remove(peer_id),
            ClientMessage::Hello { .. }
            | ClientMessage::Join { .. }
            | ClientMessage::Signal { .. }
            | ClientMessage::RefreshIceServers
            | ClientMessage::Leave => false,
        };
        if closes {
            door.held.closed = now;
        }
    }

    /// Who had to go was told so and cut; nobody else was.
    pub(super) fn check_gone(&self, sender: usize, before: &[Client; CLIENTS], gone: Option<&(RoomId, Vec<PeerId>)>) {
        for (who, client) in before.iter().enumerate().filter(|(who, _)| *who != sender) {
            let goes = gone.is_some_and(|(room, gone)| gone.iter().any(|peer_id| client.is(room, peer_id)));
            assert_eq!(self.errors[who].contains(&ErrorCode::Removed), goes, "{client:?}");
            assert!(!goes || matches!(self.clients[who], Client::Closed), "{client:?} was removed and is there");
        }
    }

    /// A signal that is not refused reaches its addressee and nobody else; nothing else makes a signal.
    pub(super) fn check_deliveries(&self, sender: &Client, message: &ClientMessage, refused: Option<ErrorCode>) {
        match (sender, message) {
            (Client::Joined(_, place), ClientMessage::Signal { to, .. }) if refused.is_none() => {
                let [(receiver, from)] = &self.signals[..] else { panic!("signals: {:?}", self.signals) };
                assert_eq!(*from, place.me);
                let Client::Joined(_, other) = &self.clients[*receiver] else { panic!("a signal to nobody") };
                assert_eq!((&other.me, &other.room), (to, &place.room));
            }
            (_, _) => assert_eq!(self.signals, []),
        }
    }
}

impl Place {
    /// What a member's message must be refused with.
    pub(super) fn refusal_of(&self, message: &ClientMessage) -> Option<ErrorCode> {
        let not_moderator = (!self.policy.may_moderate).then_some(ErrorCode::NotModerator);
        match message {
            ClientMessage::Hello { .. } => Some(ErrorCode::ExpectedHello),
            ClientMessage::Join { room, .. } => match room.parse::<RoomId>() {
                Err(_) => Some(ErrorCode::InvalidRoom),
                Ok(room) => (room != self.room).then_some(ErrorCode::AlreadyJoined),
            },
            ClientMessage::Signal { to, .. } if *to == self.me => Some(ErrorCode::SelfSignal),
            ClientMessage::Signal { to, .. } => {
                let is_there = self.others.get(to).is_some_and(|peer| !peer.away);
                (!is_there).then_some(ErrorCode::UnknownPeer)
            }
            ClientMessage::Leave | ClientMessage::RefreshIceServers => None,
            ClientMessage::SetLock { .. } => not_moderator,
            ClientMessage::SetPassword { password } => {
                let is_wrong =
                    password.as_ref().is_some_and(|text| !(1..=128).contains(&text.reveal().chars().count()));
                not_moderator.or(is_wrong.then_some(ErrorCode::InvalidPassword))
            }
            ClientMessage::Remove { peer_id } if *peer_id == self.me => not_moderator.or(Some(ErrorCode::SelfSignal)),
            ClientMessage::Remove { peer_id } => {
                let is_there = self.others.contains_key(peer_id);
                not_moderator.or((!is_there).then_some(ErrorCode::UnknownPeer))
            }
        }
    }
}
