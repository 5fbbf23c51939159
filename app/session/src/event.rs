//! What happens: what the shell reports, and what the user should know.

use std::fmt;

use parlor_proto::{DisplayName, ErrorCode, IceCandidate, PeerId, RoomId, RoomPolicy, ServerMessage, Source};

use crate::{MediaState, OperationId, VideoFlow};

/// What the shell reports of the socket to the server.
#[derive(Clone, Debug, PartialEq)]
pub enum SignalingEvent {
    /// The socket is open.
    Opened,
    /// The server said something.
    Message(ServerMessage),
    /// The server said something that is no message; the text is the reader's complaint.
    Undecodable(String),
    /// The socket could not be opened.
    OpenFailed {
        /// Whether another attempt may go better.
        failure: OpenFailure,
        /// Why, as a sentence for the user.
        reason: String,
        /// When the server wants to see us again, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The socket has ended.
    Closed {
        /// Why, in words for the user.
        reason: String,
        /// When the server wants to see us again, in milliseconds.
        retry_after_ms: Option<u64>,
    },
}

/// What it means for the next attempt that a socket could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFailure {
    /// It may pass: nobody answers, the network is away.
    Passing,
    /// Whoever answers has a certificate that nobody vouches for.
    Certificate,
    /// What answers there is no server of ours, or is spoken to in the wrong way.
    WrongAddress,
}

/// What the shell reports of a transport.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionEvent {
    /// The local description of an offer or answer is set, as asked.
    DescriptionReady {
        /// The request.
        operation: OperationId,
        /// The description.
        sdp: String,
        /// What it sends: `mid` and source.
        streams: Vec<(String, Source)>,
    },
    /// An answer was applied, or a rollback made.
    OperationDone {
        /// The request.
        operation: OperationId,
    },
    /// What was asked could not be done.
    OperationFailed {
        /// The request.
        operation: OperationId,
        /// Why.
        message: String,
    },
    /// A candidate for the other end.
    LocalCandidate(IceCandidate),
    /// No more candidates.
    LocalCandidatesEnd,
    /// The transport's state (W3C `RTCPeerConnectionState`).
    StateChanged(ConnectionState),
    /// Nothing comes any more from a peer that had sent all the time; the transport has not said anything yet.
    FellSilent,
    /// Something comes again.
    HeardAgain,
    /// A data channel can be written.
    ChannelOpened(Channel),
    /// A text on the control channel.
    ControlReceived(String),
    /// A text on the chat channel.
    ChatReceived(String),
    /// Whether both ends have a video codec in common, known once both descriptions are set.
    VideoCodec {
        /// Whether there is one.
        common: bool,
    },
    /// How much of our own picture this peer gets, as adaptation decided.
    VideoFlow(VideoFlow),
}

/// The state of a transport (W3C `RTCPeerConnectionState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nothing has happened.
    New,
    /// ICE or DTLS is at work.
    Connecting,
    /// Media can flow.
    Connected,
    /// The path is lost, perhaps for a moment.
    Disconnected,
    /// ICE or DTLS has given up.
    Failed,
    /// It is closed.
    Closed,
}

/// The pre-negotiated data channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Stream 0.
    Control,
    /// Stream 1.
    Chat,
}

/// What the user should know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// We are in the room, for the first time or again.
    Joined {
        /// Who we are.
        peer_id: PeerId,
        /// The room.
        room: RoomId,
        /// Our name as the others see it.
        name: DisplayName,
        /// Whether an earlier membership was restored.
        resumed: bool,
    },
    /// Someone is in the room: those who came before us, and those who come.
    PeerJoined {
        /// Who.
        peer_id: PeerId,
        /// Their name.
        name: DisplayName,
    },
    /// Media flows, for the first time or again.
    PeerConnected {
        /// With whom.
        peer_id: PeerId,
    },
    /// Media no longer flows; it is being repaired.
    PeerReconnecting {
        /// With whom.
        peer_id: PeerId,
    },
    /// The server has lost someone. Their media may still flow.
    PeerAway {
        /// Whom.
        peer_id: PeerId,
    },
    /// The server has found them again.
    PeerBack {
        /// Whom.
        peer_id: PeerId,
    },
    /// Someone is gone.
    PeerLeft {
        /// Who.
        peer_id: PeerId,
        /// Their name.
        name: DisplayName,
        /// How.
        reason: PeerLeftReason,
    },
    /// Someone wrote a line.
    ChatReceived {
        /// Who.
        peer_id: PeerId,
        /// Their name.
        name: DisplayName,
        /// 1–4,000 characters.
        text: String,
        /// The sender's Unix time, in milliseconds; what it claims.
        sent_at_ms: u64,
    },
    /// Someone's microphone or camera changed.
    PeerMedia {
        /// Whose.
        peer_id: PeerId,
        /// What they do now.
        state: MediaState,
    },
    /// Joining takes longer, since the server is not reached; it is tried again.
    JoinDelayed {
        /// Why, as a sentence.
        message: String,
    },
    /// What holds in the room: when we come in, and at each change.
    Policy {
        /// What holds now, as it is for us.
        policy: RoomPolicy,
        /// What held before; none when we come in.
        previous: Option<RoomPolicy>,
    },
    /// The server is out of reach; media goes on.
    SignalingLost,
    /// The server is back.
    SignalingRestored,
    /// Something did not work; the call goes on.
    Error {
        /// The server's code, where it was the server that refused.
        code: Option<ErrorCode>,
        /// A sentence.
        message: String,
    },
    /// The call is over.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// How someone's place in the room ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerLeftReason {
    /// By their wish.
    Left,
    /// The server waited for them in vain.
    Timeout,
    /// Neither the server nor media reached them; or our own place in the room was lost.
    Lost,
    /// Someone who may moderate removed them.
    Removed,
}

/// Why the call is over; `Display` is a sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// By the user's wish.
    Left,
    /// The server refused us.
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its sentence.
        message: String,
    },
    /// The server could not be reached when joining.
    Unreachable {
        /// A sentence that says it, and why.
        message: String,
    },
    /// Whoever answered a first join has a certificate that nobody vouches for.
    Untrusted {
        /// A sentence that says it.
        message: String,
    },
    /// No server of ours is at the address of a first join.
    WrongAddress {
        /// A sentence that says it.
        message: String,
    },
    /// The same membership was taken over by another connection.
    Replaced,
}

impl fmt::Display for EndReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => write!(formatter, "You left the call."),
            Self::Refused { code: _, message }
            | Self::Unreachable { message }
            | Self::Untrusted { message }
            | Self::WrongAddress { message } => write!(formatter, "{message}"),
            Self::Replaced => write!(formatter, "This call was continued somewhere else."),
        }
    }
}
