//! What goes over the WebSocket between a client and the server.

use serde::{Deserialize, Serialize};

use crate::{DisplayName, ErrorCode, PeerId, ResumeToken, RoomId, Secret, TransportId, plain};

/// The largest WebSocket message either side takes, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 65_536;

/// The longest password of a room, in characters.
pub const PASSWORD_CHARACTERS_MAX: usize = 128;

/// From client to server. Room and name stay text here, so that the server can answer each with its own code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// The first message of every connection.
    Hello {
        /// The protocol versions the client speaks.
        versions: Vec<u32>,
        /// Program and version, for logs.
        client: String,
    },
    /// Enter a room, or come back to it.
    Join {
        /// The room id, not yet checked.
        room: String,
        /// The display name, not yet checked.
        name: String,
        /// The token of an earlier `joined`, unchecked.
        #[serde(default)]
        resume: Option<Secret>,
        /// A JWT for servers that ask for one, unchecked.
        #[serde(default)]
        access: Option<Secret>,
        /// The room's password, where it has one.
        #[serde(default)]
        password: Option<Secret>,
    },
    /// A description or candidate for one other peer.
    Signal {
        /// The addressee.
        to: PeerId,
        /// The transport it belongs to.
        connection: TransportId,
        /// What is said.
        signal: Signal,
    },
    /// Let nobody new in, or let them in again; for who may moderate.
    SetLock {
        /// Whether the room is to be locked.
        locked: bool,
    },
    /// Set, change or take away the room's password; for who may moderate.
    SetPassword {
        /// The password, not yet checked; none for none.
        #[serde(default)]
        password: Option<Secret>,
    },
    /// End someone's membership; for who may moderate.
    Remove {
        /// Whose.
        peer_id: PeerId,
    },
    /// Ask for fresh credentials for new connections.
    RefreshIceServers,
    /// Leave the room; the socket stays.
    Leave,
}

/// From server to client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The answer to `hello`.
    Welcome {
        /// The version both will speak.
        version: u32,
        /// Program and version, for logs.
        server: String,
    },
    /// The answer to `join`.
    Joined {
        /// The room as the server wrote it.
        room: RoomId,
        /// Who you are.
        peer_id: PeerId,
        /// Your name as the others see it.
        name: DisplayName,
        /// Shows who you are after a lost connection.
        resume_token: ResumeToken,
        /// Whether an earlier membership was restored.
        resumed: bool,
        /// Everyone else, in the order they joined.
        peers: Vec<PeerInfo>,
        /// What holds in the room.
        #[serde(default)]
        policy: RoomPolicy,
        /// STUN and TURN servers to use.
        ice_servers: Vec<IceServer>,
        /// How long the credentials in them are good for, in seconds; none for ever.
        #[serde(default)]
        ice_lifetime_seconds: Option<u64>,
        /// What the server allows.
        limits: Limits,
    },
    /// Someone came in.
    PeerJoined {
        /// Who.
        peer: PeerInfo,
    },
    /// Someone's socket was lost; they may come back.
    PeerAway {
        /// Who.
        peer_id: PeerId,
    },
    /// Someone who was away resumed.
    PeerBack {
        /// Who.
        peer: PeerInfo,
    },
    /// Someone is no longer in the room.
    PeerLeft {
        /// Who.
        peer_id: PeerId,
        /// By their wish or by time.
        reason: LeaveReason,
    },
    /// A description or candidate from one other peer.
    Signal {
        /// The sender, stamped by the server.
        from: PeerId,
        /// The transport it belongs to.
        connection: TransportId,
        /// What is said.
        signal: Signal,
    },
    /// What holds in the room has changed.
    Policy {
        /// What holds now, as it is for the reader.
        policy: RoomPolicy,
        /// Takes the place of the earlier token.
        resume_token: ResumeToken,
    },
    /// The answer to `refresh_ice_servers`.
    IceServers {
        /// STUN and TURN servers for new connections.
        ice_servers: Vec<IceServer>,
        /// How long the credentials in them are good for, in seconds; none for ever.
        #[serde(default)]
        ice_lifetime_seconds: Option<u64>,
    },
    /// Everyone else anew, from a server that has missed something.
    Roster {
        /// Everyone else, in the order they joined.
        peers: Vec<PeerInfo>,
    },
    /// Something was refused.
    Error {
        /// Stable, for programs.
        code: ErrorCode,
        /// A sentence, for people.
        message: String,
        /// The addressee that could not be reached, with `unknown_peer`.
        #[serde(default)]
        to: Option<PeerId>,
        /// When to try again, in milliseconds.
        #[serde(default)]
        retry_after_ms: Option<u64>,
    },
}

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Who, unmistakably.
    pub peer_id: PeerId,
    /// Who, for people.
    pub name: DisplayName,
    /// Whether their socket is lost at the moment.
    #[serde(default)]
    pub away: bool,
}

/// What holds in a room, as it is for one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomPolicy {
    /// Nobody new comes in.
    #[serde(default)]
    pub locked: bool,
    /// Newcomers are asked for a password.
    #[serde(default)]
    pub has_password: bool,
    /// Whether this member may lock, set the password and remove others.
    #[serde(default)]
    pub may_moderate: bool,
}

/// A STUN or TURN server, as in W3C `RTCIceServer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` URLs.
    pub urls: Vec<String>,
    /// The TURN user name.
    #[serde(default)]
    pub username: Option<String>,
    /// The TURN password.
    #[serde(default)]
    pub credential: Option<Secret>,
}

/// What the server allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// People in one room.
    pub room_capacity: u32,
    /// Bytes in one WebSocket message.
    pub message_bytes: u32,
    /// Seconds in which a lost peer may resume.
    pub resume_seconds: u32,
    /// Characters in one chat message.
    pub chat_characters: u32,
}

/// How someone's membership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// They left.
    Left,
    /// They were away too long.
    Timeout,
    /// Someone who may moderate removed them.
    Removed,
    /// A reason from a newer server.
    #[serde(other)]
    Unknown,
}

/// One step of JSEP or ICE (RFC 9429, RFC 8838).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Signal {
    /// An SDP offer.
    Offer {
        /// The description.
        sdp: String,
        /// What the offerer sends.
        #[serde(default)]
        streams: Vec<StreamDescription>,
    },
    /// An SDP answer.
    Answer {
        /// The description.
        sdp: String,
        /// What the answerer sends.
        #[serde(default)]
        streams: Vec<StreamDescription>,
    },
    /// A trickled candidate.
    Candidate {
        /// W3C `RTCIceCandidateInit`.
        candidate: IceCandidate,
    },
    /// No more candidates of this generation.
    EndOfCandidates,
}

/// W3C `RTCIceCandidateInit`, with its own field names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IceCandidate {
    /// The `candidate:` line.
    pub candidate: String,
    /// The media section it belongs to.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The same, by index.
    #[serde(default, rename = "sdpMLineIndex")]
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation it belongs to.
    #[serde(default)]
    pub username_fragment: Option<String>,
}

/// Which stream a media section carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDescription {
    /// The media section.
    pub mid: String,
    /// Whose microphone or camera.
    pub owner: PeerId,
    /// What it is.
    pub source: Source,
}

/// What a stream shows or sounds like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A microphone.
    Microphone,
    /// A camera.
    Camera,
    /// A shared screen.
    Screen,
    /// The sound of a shared screen.
    ScreenSound,
    /// Something newer than this program; ignored.
    #[serde(other)]
    Unknown,
}

/// Why a text is not a message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeMessageError {
    /// Valid JSON, of a `type` we do not know.
    #[error("unknown message type")]
    UnknownType,
    /// Not JSON, or a field missing or of the wrong form.
    #[error("not a message of this protocol")]
    Malformed(#[source] serde_json::Error),
}

impl ClientMessage {
    /// Reads one WebSocket text message.
    ///
    /// # Errors
    /// [`DecodeMessageError::UnknownType`] where only the `type` is strange, otherwise `Malformed`.
    pub fn decode(text: &str) -> Result<Self, DecodeMessageError> {
        const TYPES: [&str; 8] =
            ["hello", "join", "signal", "set_lock", "set_password", "remove", "refresh_ice_servers", "leave"];
        plain::signal(text).map_or_else(|| decode(text, &TYPES), Ok)
    }

    /// Writes the message as JSON.
    pub fn encode(&self) -> String {
        encode(self)
    }
}

impl ServerMessage {
    /// Reads one WebSocket text message.
    ///
    /// # Errors
    /// [`DecodeMessageError::UnknownType`] where only the `type` is strange, otherwise `Malformed`.
    pub fn decode(text: &str) -> Result<Self, DecodeMessageError> {
        const TYPES: [&str; 11] = [
            "welcome",
            "joined",
            "peer_joined",
            "peer_away",
            "peer_back",
            "peer_left",
            "signal",
            "policy",
            "ice_servers",
            "roster",
            "error",
        ];
        decode(text, &TYPES)
    }

    /// Writes the message as JSON.
    pub fn encode(&self) -> String {
        encode(self)
    }
}

/// Reads a tagged message, telling a strange `type` from a broken text.
pub(crate) fn decode<'text, T: Deserialize<'text>>(text: &'text str, types: &[&str]) -> Result<T, DecodeMessageError> {
    #[derive(Deserialize)]
    struct Tag<'tag> {
        #[serde(rename = "type", borrow)]
        kind: std::borrow::Cow<'tag, str>,
    }
    serde_json::from_str(text).map_err(|error| match serde_json::from_str::<Tag<'_>>(text) {
        Ok(tag) if !types.contains(&tag.kind.as_ref()) => DecodeMessageError::UnknownType,
        Ok(_) | Err(_) => DecodeMessageError::Malformed(error),
    })
}

/// Writes a message as JSON.
pub(crate) fn encode<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message).expect("strings, numbers and lists always become JSON")
}
