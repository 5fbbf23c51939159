//! The whole room as one value, for whoever shows it.

use parlor_proto::{DisplayName, Limits, PeerId, RoomId, RoomPolicy, SuspendReason};

use crate::{ConnectionId, EndReason, Generation, MediaState, OpenFailure, RelayNote};

/// The whole room as one value.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomView {
    /// Where the call stands.
    pub phase: Phase,
    /// The room that was joined or is being joined.
    pub room: Option<RoomId>,
    /// Why the last attempt to reach the server came to nothing; none once we are in its room.
    pub server_problem: Option<ServerProblem>,
    /// Who we are, once the server said so.
    pub self_id: Option<PeerId>,
    /// Our name: as the server wrote it, before that as the user did.
    pub name: Option<DisplayName>,
    /// Everyone else, in the order in which they came to be known.
    pub peers: Vec<PeerView>,
    /// The last 500 lines, oldest first.
    pub chat: Vec<ChatLine>,
    /// How many lines there have been, those no longer in `chat` included. Lines stand in the order of their arrival.
    pub chat_total: u64,
    /// What our own microphone and camera do.
    pub media: MediaState,
    /// Lock, password, and whether we may change them.
    pub policy: RoomPolicy,
    /// What keeps us from connecting anybody while our address is hidden.
    pub relay_note: Option<RelayNote>,
    /// What the server allows, once it said so.
    pub limits: Option<Limits>,
}

/// Why the server is not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProblem {
    /// Whether it may pass by itself. A first join does not go on with one that does not.
    pub failure: OpenFailure,
    /// A sentence.
    pub message: String,
}

/// Where the call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was asked for yet.
    Idle,
    /// On the way into the room.
    Joining,
    /// In the room.
    InRoom,
    /// In the room, but the server is out of reach; media goes on.
    Reconnecting,
    /// Over.
    Ended(EndReason),
}

/// One other person.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerView {
    /// Who.
    pub peer_id: PeerId,
    /// Their name, from the server's roster.
    pub name: DisplayName,
    /// What to say about the connection with them.
    pub state: PeerState,
    /// What the server says about them; media may flow nevertheless.
    pub presence: Presence,
    /// What their microphone and camera do, once they said so.
    pub media: Option<MediaState>,
    /// The transport with them, where there is one.
    pub connection: Option<(ConnectionId, Generation)>,
    /// Whether both ends run on one machine since its start, so that their clocks are the same.
    pub same_boot: bool,
    /// How much of their picture they send us.
    pub their_video: VideoFlow,
    /// How much of our picture we send them.
    pub our_video: VideoFlow,
    /// Whether there is a video codec in common, once known.
    pub common_video_codec: Option<bool>,
    /// Whether connecting takes unusually long.
    pub slow_to_connect: bool,
    /// Why no path may have been found, where none was and that is known.
    pub relay_note: Option<RelayNote>,
    /// Messages of theirs on the data channels that were malformed, too large or repeated, and dropped.
    pub messages_dropped: u64,
}

/// How much of a picture goes one way; what the camera does is another matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoFlow {
    /// Every frame.
    #[default]
    All,
    /// Only some frames: the connection carries too little for all.
    Reduced,
    /// None.
    Suspended(SuspendReason),
}

impl VideoFlow {
    /// Whether nothing of it goes.
    pub fn is_suspended(self) -> bool {
        matches!(self, Self::Suspended(_))
    }
}

/// What to say about the connection with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Not connected yet.
    Connecting,
    /// Media flows.
    Connected,
    /// Media has stopped and is being repaired.
    Reconnecting,
    /// Media does not flow, and the server has lost them too.
    Away,
}

/// What the server says about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In the room.
    Here,
    /// Their socket is lost; they may come back.
    Away,
    /// Not, or no longer, in the server's roster; kept since media with them lives or lived a moment ago.
    Missing,
}

/// One line of chat.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatLine {
    /// Who wrote it.
    pub author: Author,
    /// What.
    pub text: String,
    /// The writer's Unix time, in milliseconds; their clock may be wrong.
    pub at_ms: u64,
    /// Who was not connected when it was sent, and did not get it.
    pub unreached: Vec<DisplayName>,
}

/// Who wrote a line of chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// We did.
    You,
    /// Someone else did.
    Peer {
        /// Who.
        peer_id: PeerId,
        /// Their name then.
        name: DisplayName,
    },
    /// Nobody: a remark of the program that shows the chat. The session writes none.
    Note,
}
