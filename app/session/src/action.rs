//! What the shell must do.

use parlor_proto::{ChatMessage, ClientMessage, ControlMessage, IceCandidate, IceServer, PeerId, StreamDescription};

use crate::{ConnectionId, Generation, OperationId};

/// What the shell must do, in this order.
///
/// Of one connection and generation at most one operation (what carries an [`OperationId`]) is in flight; the shell
/// answers each with exactly one `ConnectionEvent`. Actions for a connection that it has closed do nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a socket to the server; answered with `SignalingEvent::Opened` or `OpenFailed`. What was left of an earlier
    /// socket is dropped, and nothing more is reported of it.
    OpenSignaling,
    /// Close the socket with code 1000, which leaves the room, after all before is sent. Nothing more is reported of it.
    CloseSignaling,
    /// Drop the socket without a close frame, so that the membership can be resumed. Nothing more is reported of it.
    DropSignaling,
    /// Send to the server.
    SendSignaling(ClientMessage),
    /// Make a transport with one audio and one video m-line, `sendrecv`, and the two pre-negotiated channels.
    CreateConnection {
        /// Its place.
        connection: ConnectionId,
        /// Its incarnation, one more than the last one's.
        generation: Generation,
        /// Who is at the other end.
        peer: PeerId,
        /// STUN and TURN servers.
        ice_servers: Vec<IceServer>,
    },
    /// New ICE servers for what a transport gathers from its next ICE restart on. What is allocated on a relay stays with the
    /// credentials that made it: refreshed with others, it is refused (RFC 8656 §7.3).
    UseIceServers {
        /// Of which transport.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
        /// STUN and TURN servers.
        ice_servers: Vec<IceServer>,
    },
    /// Close a transport, after what was sent on its channels has had a moment to go out.
    CloseConnection {
        /// Its place.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
    },
    /// Create an offer and set it as local description; answered with `DescriptionReady`.
    CreateOffer {
        /// Of which transport.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
        /// Named in the answer.
        operation: OperationId,
        /// Whether with new ICE credentials (RFC 8445 §9).
        ice_restart: bool,
    },
    /// Set a remote offer, create an answer, set it as local description; answered with `DescriptionReady`.
    AcceptOffer {
        /// Of which transport.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
        /// Named in the answer.
        operation: OperationId,
        /// The offer.
        sdp: String,
        /// What the offerer sends; unknown sources and other owners are left out.
        streams: Vec<StreamDescription>,
    },
    /// Set a remote answer; answered with `OperationDone`.
    AcceptAnswer {
        /// Of which transport.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
        /// Named in the answer.
        operation: OperationId,
        /// The answer.
        sdp: String,
        /// What the answerer sends; unknown sources and other owners are left out.
        streams: Vec<StreamDescription>,
    },
    /// Take the local offer back (RFC 9429 §4.1.10.2); answered with `OperationDone`.
    Rollback {
        /// Of which transport.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
        /// Named in the answer.
        operation: OperationId,
    },
    /// Add a remote candidate; there is a remote description already. A refused one is of no consequence.
    AddCandidate {
        /// Of which transport.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
        /// The candidate.
        candidate: IceCandidate,
    },
    /// The remote peer has no more candidates.
    EndOfCandidates {
        /// Of which transport.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
    },
    /// Send on the control channel.
    SendControl {
        /// Of which transport.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
        /// What.
        message: ControlMessage,
    },
    /// Send on the chat channel.
    SendChat {
        /// Of which transport.
        connection: ConnectionId,
        /// Its incarnation.
        generation: Generation,
        /// What.
        message: ChatMessage,
    },
}
