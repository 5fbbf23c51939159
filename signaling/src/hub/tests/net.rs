//! One hub, the ends of its connections, and a clock that the test moves.

use std::time::{Duration, Instant};

use super::*;

/// One hub and the ends of its connections.
pub(super) struct Net {
    pub(super) hub: Hub,
    pub(super) now: Instant,
    pub(super) opened: u64,
    pub(super) heard: Vec<(ConnId, ServerMessage)>,
    pub(super) closed: Vec<(ConnId, u16)>,
    /// Whether passwords are stretched only when the test says so.
    pub(super) holds_stretches: bool,
    pub(super) stretches: Vec<Stretch>,
}

/// What `joined` said.
pub(super) struct Joined {
    pub(super) room: String,
    pub(super) peer_id: PeerId,
    pub(super) name: String,
    pub(super) token: ResumeToken,
    pub(super) resumed: bool,
    pub(super) policy: RoomPolicy,
    pub(super) peers: Vec<(PeerId, String, bool)>,
}

impl Net {
    pub(super) fn new() -> Self {
        Self::restarted(1)
    }

    pub(super) fn restarted(seed: u8) -> Self {
        let now = Instant::now();
        let stun =
            parlor_proto::IceServer { urls: vec!["stun:stun.example.org".into()], username: None, credential: None };
        let config = HubConfig {
            room_capacity: 3,
            rooms_max: 2,
            idle_max: Duration::from_secs(30 * 24 * 60 * 60),
            ice_servers: vec![stun],
            password_iterations: std::num::NonZeroU32::MIN,
            ..HubConfig::default()
        };
        let hub = Hub::new(config, SECRET, [seed; 32], now, UNIX_SECS + u64::from(seed));
        let (heard, closed, stretches) = (Vec::new(), Vec::new(), Vec::new());
        Self { hub, now, opened: 0, heard, closed, holds_stretches: false, stretches }
    }

    pub(super) fn open(&mut self) -> ConnId {
        self.open_from(ADDRESS)
    }

    pub(super) fn open_from(&mut self, address: IpAddr) -> ConnId {
        self.opened += 1;
        let conn = ConnId(self.opened);
        self.hub.handle_open(conn, address, self.now);
        conn
    }

    pub(super) fn greeted(&mut self) -> ConnId {
        self.greeted_from(ADDRESS)
    }

    pub(super) fn greeted_from(&mut self, address: IpAddr) -> ConnId {
        let conn = self.open_from(address);
        self.say(conn, &hello(&[1]));
        assert_eq!(self.heard(conn).len(), 1);
        conn
    }

    pub(super) fn say(&mut self, conn: ConnId, message: &ClientMessage) {
        self.hub.handle_message(conn, &message.encode(), self.now);
        self.drain();
    }

    pub(super) fn join(&mut self, conn: ConnId, room: &str, name: &str) -> Joined {
        self.say(conn, &join(room, name, None));
        self.joined(conn)
    }

    pub(super) fn resume(&mut self, conn: ConnId, room: &str, name: &str, token: &ResumeToken) -> Joined {
        self.say(conn, &join(room, name, Some(token)));
        self.joined(conn)
    }

    pub(super) fn joined(&mut self, conn: ConnId) -> Joined {
        let heard = self.heard(conn);
        let [ServerMessage::Joined { room, peer_id, name, resume_token, resumed, peers, policy, .. }] = &heard[..]
        else {
            panic!("not joined: {heard:?}")
        };
        Joined {
            room: room.to_string(),
            peer_id: peer_id.clone(),
            name: name.to_string(),
            token: resume_token.clone(),
            resumed: *resumed,
            policy: *policy,
            peers: peers.iter().map(|peer| (peer.peer_id.clone(), peer.name.to_string(), peer.away)).collect(),
        }
    }

    pub(super) fn close(&mut self, conn: ConnId, kind: CloseKind) {
        self.hub.handle_close(conn, kind, self.now);
        self.drain();
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now += by;
        self.hub.handle_timeout(self.now);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { conn, message } => self.heard.push((conn, message)),
                Output::Close { conn, code, reason } => {
                    assert!(reason.len() <= 123);
                    self.closed.push((conn, code));
                }
                Output::Stretch(stretch) if self.holds_stretches => self.stretches.push(*stretch),
                Output::Stretch(stretch) => self.hub.handle_stretched(stretch.run(), self.now),
                Output::Claim { .. } | Output::State(_) | Output::Forward(_) => panic!("a hub alone says {output:?}"),
            }
        }
    }

    /// What a connection has heard since it was last asked.
    pub(super) fn heard(&mut self, conn: ConnId) -> Vec<ServerMessage> {
        let (mine, others) = std::mem::take(&mut self.heard).into_iter().partition(|(to, _)| *to == conn);
        self.heard = others;
        let mine: Vec<(ConnId, ServerMessage)> = mine;
        mine.into_iter().map(|(_, message)| message).collect()
    }

    /// The code of the last thing a connection has heard.
    pub(super) fn error(&mut self, conn: ConnId) -> ErrorCode {
        let heard = self.heard(conn);
        let Some(ServerMessage::Error { code, message, .. }) = heard.last() else { panic!("no error: {heard:?}") };
        assert!(message.ends_with('.'), "{message}");
        *code
    }
}

pub(super) fn hello(versions: &[u32]) -> ClientMessage {
    ClientMessage::Hello { versions: versions.to_vec(), client: "test".into() }
}

pub(super) fn join(room: &str, name: &str, resume: Option<&ResumeToken>) -> ClientMessage {
    let resume = resume.map(|token| token.as_str().into());
    ClientMessage::Join { room: room.to_owned(), name: name.to_owned(), resume, access: None, password: None }
}

pub(super) fn signal(to: &PeerId) -> ClientMessage {
    let connection = "c0ffee".parse().unwrap();
    ClientMessage::Signal { to: to.clone(), connection, signal: Signal::EndOfCandidates }
}

pub(super) fn peer_joined(peer_id: &PeerId, name: &str) -> ServerMessage {
    let name = name.parse().unwrap();
    ServerMessage::PeerJoined { peer: parlor_proto::PeerInfo { peer_id: peer_id.clone(), name, away: false } }
}

pub(super) fn peer_left(peer_id: &PeerId, reason: LeaveReason) -> ServerMessage {
    ServerMessage::PeerLeft { peer_id: peer_id.clone(), reason }
}
