//! Everything that is to be told at the end: who was there, and what was seen and heard of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlor_engine::PeerMediaView;
use parlor_media::LocalVideoStats;
use parlor_proto::{DisplayName, PeerId};
use parlor_session::{Event, PeerLeftReason};

use super::figures::{DeviceFigures, Figures, PeerFigures, SentFigures, rounded};
use super::report::Line;

/// People who left and are remembered for the summary; of more the earliest are forgotten.
const PEERS_MAX: usize = 256;

/// The figures of the call so far.
pub(super) struct Ledger {
    started: Instant,
    joined: bool,
    /// In the order in which they came.
    peers: Vec<Entry>,
    last_stats: Option<LastStats>,
    /// How long the call had lasted when the figures of the peers were taken.
    observed: Duration,
}

struct Entry {
    id: PeerId,
    name: DisplayName,
    figures: PeerFigures,
    /// Decoded when `stats` were printed last, and how long the call had lasted by then.
    before: (u64, Duration),
}

struct LastStats {
    at: Instant,
    bytes_encoded: u64,
}

impl Ledger {
    pub(super) fn new(started: Instant) -> Self {
        Self { started, joined: false, peers: Vec::new(), last_stats: None, observed: Duration::ZERO }
    }

    /// Takes note of what happened; what is to be printed of it.
    ///
    /// `frames_encoded` is our own count at this moment.
    pub(super) fn handle_event(&mut self, event: &Event, frames_encoded: u64) -> Option<Line> {
        match event {
            Event::Joined { peer_id, room, name, resumed } => {
                self.joined = true;
                Some(Line::joined(peer_id.clone(), room.clone(), name.clone(), *resumed))
            }
            Event::PeerJoined { peer_id, name } => {
                self.arrived(peer_id, name);
                Some(Line::PeerJoined(self.who(peer_id)))
            }
            Event::PeerConnected { peer_id } => Some(Line::PeerConnected { who: self.who(peer_id), frames_encoded }),
            Event::PeerReconnecting { peer_id } => Some(Line::PeerReconnecting(self.who(peer_id))),
            Event::PeerAway { peer_id } => Some(Line::PeerAway(self.who(peer_id))),
            Event::PeerBack { peer_id } => Some(Line::PeerBack(self.who(peer_id))),
            Event::PeerLeft { peer_id, name: _, reason } => {
                let who = self.who(peer_id);
                self.left(peer_id);
                Some(Line::PeerLeft { who, reason: left_word(*reason) })
            }
            Event::ChatReceived { peer_id, name: _, text, sent_at_ms } => {
                if let Some(entry) = self.entry(peer_id) {
                    entry.figures.chat_received += 1;
                }
                Some(Line::Chat { who: self.who(peer_id), text: text.clone(), sent_at_ms: *sent_at_ms })
            }
            Event::PeerMedia { peer_id, state } => Some(Line::PeerMedia { who: self.who(peer_id), state: *state }),
            Event::JoinDelayed { message } => Some(Line::JoinDelayed { message: message.clone() }),
            Event::Policy { policy, previous } => Some(Line::Policy { policy: *policy, previous: *previous }),
            Event::SignalingLost => Some(Line::SignalingLost),
            Event::SignalingRestored => Some(Line::SignalingRestored),
            Event::Error { code, message } => Some(Line::error(*code, message)),
            // Told by whoever ends the call.
            Event::Ended { reason: _ } => None,
        }
    }

    /// Takes over what the engine knows of each peer.
    ///
    /// `elapsed` is the call's age when it knew that.
    pub(super) fn observe(&mut self, views: &BTreeMap<PeerId, PeerMediaView>, elapsed: Duration) {
        self.observed = elapsed;
        for entry in &mut self.peers {
            if let Some(view) = views.get(&entry.id) {
                entry.figures.take(view);
            }
        }
    }

    /// Whether we were ever in the room.
    pub(super) fn joined(&self) -> bool {
        self.joined
    }

    /// Those who are in the room.
    pub(super) fn present(&self) -> impl Iterator<Item = (&PeerId, &DisplayName)> {
        self.peers.iter().filter(|entry| entry.figures.present).map(|entry| (&entry.id, &entry.name))
    }

    /// Who is meant by an id, or by a name that only one person here has.
    ///
    /// # Errors
    /// A sentence, when it is nobody, or more than one.
    pub(super) fn find(&self, who: &str) -> Result<PeerId, String> {
        let named: Vec<&PeerId> = self.present().filter(|(_, name)| name.as_str() == who).map(|(id, _)| id).collect();
        let identified = self.present().map(|(id, _)| id).find(|id| id.as_str() == who);
        match (identified, named.as_slice()) {
            (Some(id), _) => Ok(id.clone()),
            (None, [id]) => Ok((*id).clone()),
            (None, []) => Err(format!("“{who}” is not in the room")),
            (None, _) => Err(format!("more than one person here is called “{who}”: give the peer_id")),
        }
    }

    /// The figures of the last second.
    pub(super) fn stats(&mut self, sent: LocalVideoStats, now: Instant) -> Figures {
        let since = self.last_stats.replace(LastStats { at: now, bytes_encoded: sent.bytes_encoded });
        let (passed, bytes_before) = match since {
            Some(last) => (now.saturating_duration_since(last.at), last.bytes_encoded),
            None => (now.saturating_duration_since(self.started), 0),
        };
        let mut figures = self.figures(&sent, sent.bytes_encoded.saturating_sub(bytes_before), passed, now);
        for (entry, peer) in self.peers.iter_mut().zip(&mut figures.peers) {
            let (decoded_before, observed_before) = entry.before;
            if self.observed > observed_before {
                let decoded = peer.frames_decoded.saturating_sub(decoded_before);
                entry.figures.fps = rounded(per_second(decoded, self.observed - observed_before));
                entry.before = (peer.frames_decoded, self.observed);
            }
            peer.fps = entry.figures.fps;
        }
        figures
    }

    /// The figures of the whole call.
    pub(super) fn summary(&self, sent: LocalVideoStats, now: Instant) -> Figures {
        let passed = now.saturating_duration_since(self.started);
        let mut figures = self.figures(&sent, sent.bytes_encoded, passed, now);
        for peer in &mut figures.peers {
            let connected = Duration::try_from_secs_f64(peer.connected_seconds.unwrap_or(0.0)).unwrap_or_default();
            peer.fps = rounded(per_second(peer.frames_decoded, connected));
        }
        figures
    }

    fn figures(&self, sent: &LocalVideoStats, bytes: u64, passed: Duration, now: Instant) -> Figures {
        // Bit rates are far below what a double holds exactly.
        let bitrate_bps = per_second(bytes * 8, passed) as u64;
        Figures {
            seconds: rounded(now.saturating_duration_since(self.started).as_secs_f64()),
            joined: self.joined,
            peers: self.peers.iter().map(|entry| entry.figures.clone()).collect(),
            sent: SentFigures::new(sent, bitrate_bps),
            // They are no business of the ledger; whoever has them adds them.
            devices: DeviceFigures::default(),
            cpu_seconds: cpu_time::ProcessTime::try_now().ok().map(|time| rounded(time.as_duration().as_secs_f64())),
        }
    }

    fn arrived(&mut self, id: &PeerId, name: &DisplayName) {
        if let Some(entry) = self.entry(id) {
            entry.figures.present = true;
            return;
        }
        if self.peers.len() >= PEERS_MAX {
            self.forget_one();
        }
        let figures = PeerFigures {
            peer_id: id.to_string(),
            name: name.to_string(),
            present: true,
            audio_dbfs: -127.0,
            ..PeerFigures::default()
        };
        self.peers.push(Entry { id: id.clone(), name: name.clone(), figures, before: (0, self.observed) });
    }

    fn left(&mut self, id: &PeerId) {
        if let Some(entry) = self.entry(id) {
            entry.figures.present = false;
        }
    }

    fn forget_one(&mut self) {
        let gone = self.peers.iter().position(|entry| !entry.figures.present).unwrap_or(0);
        self.peers.remove(gone);
    }

    fn entry(&mut self, id: &PeerId) -> Option<&mut Entry> {
        self.peers.iter_mut().find(|entry| entry.id == *id)
    }

    fn who(&mut self, id: &PeerId) -> (PeerId, String) {
        let name = self.entry(id).map(|entry| entry.name.to_string());
        (id.clone(), name.unwrap_or_default())
    }
}

/// The word for how someone's place ended, as on the wire; `lost` is what only this side noticed.
fn left_word(reason: PeerLeftReason) -> &'static str {
    match reason {
        PeerLeftReason::Left => "left",
        PeerLeftReason::Removed => "removed",
        PeerLeftReason::Timeout => "timeout",
        PeerLeftReason::Lost => "lost",
    }
}

fn per_second(count: u64, passed: Duration) -> f64 {
    let seconds = passed.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_stays_in_the_summary_with_what_came_from_them() {
        let mut ledger = Ledger::new(Instant::now());
        let (ana, bo) = (PeerId::from_random(1), PeerId::from_random(2));
        join(&mut ledger, &bo, "Bo");
        join(&mut ledger, &ana, "Ana");
        let chat = Event::ChatReceived {
            peer_id: bo.clone(),
            name: "Bo".parse().unwrap(),
            text: "Hello".into(),
            sent_at_ms: 5,
        };
        ledger.handle_event(&chat, 0);
        let left =
            Event::PeerLeft { peer_id: bo.clone(), name: "Bo".parse().unwrap(), reason: PeerLeftReason::Timeout };
        let Some(Line::PeerLeft { who, reason: "timeout" }) = ledger.handle_event(&left, 0) else { panic!() };
        assert_eq!(who, (bo, "Bo".to_owned()));
        assert_eq!(ledger.present().map(|(peer, _)| peer.clone()).collect::<Vec<_>>(), [ana]);
        let summary = ledger.summary(LocalVideoStats::default(), Instant::now());
        let told: Vec<_> =
            summary.peers.iter().map(|peer| (peer.name.as_str(), peer.present, peer.chat_received)).collect();
        assert_eq!(told, [("Bo", false, 1), ("Ana", true, 0)]);
    }

    #[test]
    fn stats_tell_the_last_second_and_the_summary_all_of_it() {
        let start = Instant::now();
        let mut ledger = Ledger::new(start);
        let bo = PeerId::from_random(2);
        join(&mut ledger, &bo, "Bo");
        ledger.peers[0].figures.frames_decoded = 30;
        ledger.observed = Duration::from_secs(1);
        let sent = |bytes_encoded| LocalVideoStats { bytes_encoded, ..LocalVideoStats::default() };
        let stats = ledger.stats(sent(125_000), start + Duration::from_secs(1));
        assert_eq!((stats.peers[0].fps, stats.sent.bitrate_bps), (30.0, 1_000_000));
        ledger.peers[0].figures.frames_decoded = 40;
        ledger.peers[0].figures.connected_seconds = Some(2.0);
        ledger.observed = Duration::from_secs(2);
        let stats = ledger.stats(sent(125_000), start + Duration::from_secs(2));
        assert_eq!((stats.peers[0].fps, stats.sent.bitrate_bps), (10.0, 0));
        let summary = ledger.summary(sent(125_000), start + Duration::from_secs(2));
        assert_eq!((summary.peers[0].fps, summary.sent.bitrate_bps, summary.seconds), (20.0, 500_000, 2.0));
    }

    #[test]
    fn more_people_than_can_be_remembered_push_out_those_who_left() {
        let mut ledger = Ledger::new(Instant::now());
        for number in 0..PEERS_MAX as u128 {
            join(&mut ledger, &PeerId::from_random(number), "Someone");
        }
        ledger.left(&PeerId::from_random(9));
        join(&mut ledger, &PeerId::from_random(1 << 100), "Newcomer");
        assert_eq!(ledger.peers.len(), PEERS_MAX);
        assert!(ledger.entry(&PeerId::from_random(9)).is_none());
        assert!(ledger.entry(&PeerId::from_random(0)).is_some());
    }

    fn join(ledger: &mut Ledger, peer: &PeerId, name: &str) {
        let event = Event::PeerJoined { peer_id: peer.clone(), name: name.parse().unwrap() };
        assert!(matches!(ledger.handle_event(&event, 0), Some(Line::PeerJoined(_))));
    }
}
