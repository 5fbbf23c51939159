//! Whatever a server, a peer or a shell says, in whatever order: no panic, no list without end, no time-out in the past.

use std::time::Duration;

use parlor_proto::{
    ErrorCode, LeaveReason, PeerId, PeerInfo, ServerMessage, Signal, Source, StreamDescription, TransportId,
};

use super::fixture::{ANN, Fixture, ME, ZOE, candidate, id, person};
use crate::random::Random;
use crate::{
    Channel, Command, ConnectionEvent, ConnectionId, ConnectionState, Generation, MediaState, OpenFailure, OperationId,
    SignalingEvent,
};

const SEEDS: u8 = 60;
const INPUTS: usize = 600;

#[test]
fn nothing_that_anybody_says_breaks_the_session() {
    for seed in 0..SEEDS {
        let mut dice = Dice(Random::new([seed; 32]));
        let mut fixture = Fixture::new();
        for _ in 0..INPUTS {
            input(&mut fixture, &mut dice);
            assert!(fixture.actions.len() < 200, "one input, {} actions", fixture.actions.len());
            fixture.forget();
            let view = fixture.session.view();
            assert!(view.peers.len() <= 32 && view.chat.len() <= 500);
            let wait = Duration::from_millis(dice.below(4_000));
            fixture.wait(wait);
            assert!(fixture.session.poll_timeout().is_none_or(|(at, _)| at > fixture.now));
            fixture.forget();
        }
    }
}

struct Dice(Random);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap();
        choices[index].clone()
    }

    fn peer(&mut self) -> PeerId {
        id(self.pick(&[ANN, ZOE, ME, "bbbbbbbbbbbbbbbbbbbbbbbbbb", "x"]))
    }

    fn info(&mut self) -> PeerInfo {
        PeerInfo { peer_id: self.peer(), name: person(ANN).name, away: self.below(3) == 0 }
    }

    fn code(&mut self) -> ErrorCode {
        let name = self.pick(&[
            "malformed",
            "not_joined",
            "room_full",
            "unknown_peer",
            "rate_limited",
            "going_away",
            "internal",
            "new",
            "server_full",
            "message_too_large",
            "expected_hello",
            "replaced",
        ]);
        match name {
            "malformed" => ErrorCode::Malformed,
            "not_joined" => ErrorCode::NotJoined,
            "room_full" => ErrorCode::RoomFull,
            "unknown_peer" => ErrorCode::UnknownPeer,
            "rate_limited" => ErrorCode::RateLimited,
            "going_away" => ErrorCode::GoingAway,
            "internal" => ErrorCode::Internal,
            "server_full" => ErrorCode::ServerFull,
            "message_too_large" => ErrorCode::MessageTooLarge,
            "expected_hello" => ErrorCode::ExpectedHello,
            "replaced" => ErrorCode::Replaced,
            _ => ErrorCode::Unknown,
        }
    }

    fn signal(&mut self) -> Signal {
        let streams = vec![StreamDescription { mid: "0".into(), owner: self.peer(), source: Source::Camera }; 20];
        match self.below(4) {
            0 => Signal::Offer { sdp: "x".into(), streams },
            1 => Signal::Answer { sdp: "x".into(), streams },
            2 => Signal::Candidate { candidate: candidate("x") },
            _ => Signal::EndOfCandidates,
        }
    }

    fn message(&mut self) -> ServerMessage {
        match self.below(8) {
            0 => ServerMessage::Welcome { version: 1, server: "s".into() },
            1 => ServerMessage::PeerJoined { peer: self.info() },
            2 => ServerMessage::PeerAway { peer_id: self.peer() },
            3 => ServerMessage::PeerBack { peer: self.info() },
            4 => {
                let reason = self.pick(&[LeaveReason::Left, LeaveReason::Timeout, LeaveReason::Unknown]);
                ServerMessage::PeerLeft { peer_id: self.peer(), reason }
            }
            5 | 6 => {
                let connection = TransportId::from_random(self.below(6));
                ServerMessage::Signal { from: self.peer(), connection, signal: self.signal() }
            }
            _ => {
                let retry_after_ms = self.pick(&[None, Some(0), Some(100), Some(u64::MAX)]);
                ServerMessage::Error { code: self.code(), message: "m".repeat(2_000), to: None, retry_after_ms }
            }
        }
    }

    fn event(&mut self) -> ConnectionEvent {
        let operation = OperationId(self.below(6));
        let state = self.pick(&[
            ConnectionState::New,
            ConnectionState::Connecting,
            ConnectionState::Connected,
            ConnectionState::Disconnected,
            ConnectionState::Failed,
            ConnectionState::Closed,
        ]);
        match self.below(12) {
            0 => ConnectionEvent::DescriptionReady { operation, sdp: "x".into(), streams: Vec::new() },
            1 => ConnectionEvent::OperationDone { operation },
            2 => ConnectionEvent::OperationFailed { operation, message: "why".repeat(1_000) },
            3 => ConnectionEvent::LocalCandidate(candidate("x")),
            4 => ConnectionEvent::LocalCandidatesEnd,
            5 => ConnectionEvent::StateChanged(state),
            6 => ConnectionEvent::ChannelOpened(self.pick(&[Channel::Control, Channel::Chat])),
            7 => ConnectionEvent::ControlReceived(
                self.pick(&["{\"type\":\"bye\"}", "{}", "{\"type\":\"video_resumed\"}"]).into(),
            ),
            8 => ConnectionEvent::ChatReceived(
                "{\"type\":\"message\",\"id\":\"1\",\"text\":\"t\",\"sent_at_ms\":1}".into(),
            ),
            9 => ConnectionEvent::FellSilent,
            10 => ConnectionEvent::HeardAgain,
            _ => ConnectionEvent::VideoCodec { common: false },
        }
    }
}

fn input(fixture: &mut Fixture, dice: &mut Dice) {
    match dice.below(20) {
        0 => fixture.join(),
        1 => fixture.open(),
        2 | 3 => {
            let who = dice.pick(&[ME, ME, ME, ANN]);
            fixture.joined(who, &[ANN, ZOE]);
        }
        4 => {
            let retry_after_ms = dice.pick(&[None, Some(1), Some(u64::MAX)]);
            fixture.signaling(SignalingEvent::Closed { reason: "r".into(), retry_after_ms });
            let failure = dice.pick(&[OpenFailure::Passing, OpenFailure::Certificate, OpenFailure::WrongAddress]);
            fixture.signaling(SignalingEvent::OpenFailed {
                failure,
                reason: "r".into(),
                retry_after_ms: Some(dice.below(100_000)),
            });
        }
        5 => fixture.signaling(SignalingEvent::Undecodable("x".into())),
        6 => {
            let command = match dice.below(12) {
                0 => Command::Leave,
                1..=5 => Command::SendChat { text: "hello".into(), sent_at_ms: u64::MAX },
                6 | 7 => Command::SetMedia(MediaState::default()),
                _ => Command::RequestIceRestart(dice.peer()),
            };
            fixture.command(command);
        }
        7..=12 => {
            let message = dice.message();
            fixture.message(message);
        }
        _ => {
            let connection = ConnectionId(dice.below(5));
            let generation = Generation(u32::try_from(dice.below(6)).unwrap());
            let event = dice.event();
            fixture.session.handle_connection(connection, generation, event, fixture.now);
            fixture.drain();
        }
    }
}
