//! One other person: what the server says about them, the transport with them, and its repair.

mod channels;
mod signals;
mod silence;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parlor_proto::{DisplayName, PeerId, PeerInfo, TransportId};

use crate::candidates::EarlyCandidates;
use crate::chat::ReceivedIds;
use crate::env::Env;
use crate::negotiation::{LocalDescription, NegotiationError};
use crate::recovery::{Due, Recovery};
use crate::transport::{NamedBy, Transport, Trouble, trickle};
use crate::view::{PeerState, PeerView, Presence, VideoFlow};
use crate::{ConnectionEvent, ConnectionId, ConnectionState, Event, Generation, MediaState, RelayNote};

/// One other person.
#[derive(Debug)]
pub(crate) struct Peer {
    id: PeerId,
    name: DisplayName,
    /// Their place in the list that the user sees.
    pub(crate) seat: u64,
    polite: bool,
    presence: Presence,
    /// Whether the server carries messages between us: we are in the room, and so are they.
    reachable: bool,
    connection: ConnectionId,
    generation: Generation,
    transport: Option<Transport>,
    early_candidates: EarlyCandidates,
    recovery: Recovery,
    connected_before: bool,
    slow_to_connect: bool,
    relay_note: Option<RelayNote>,
    /// Since when neither the server nor media reaches them.
    lost_since: Option<Instant>,
    /// When they replaced the transport; at most `replacements_max`.
    replaced_at: VecDeque<Instant>,
    media: Option<MediaState>,
    same_boot: bool,
    their_video: VideoFlow,
    /// What adaptation lets them have.
    allowed_video: VideoFlow,
    common_video_codec: Option<bool>,
    received_ids: ReceivedIds,
    messages_dropped: u64,
}

/// Whether a peer stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    /// They said goodbye.
    Goes,
}

impl Peer {
    pub(crate) fn new(info: PeerInfo, seat: u64, connection: ConnectionId, env: &mut Env<'_>) -> Self {
        let polite = *env.self_id < info.peer_id;
        env.out.tell(Event::PeerJoined { peer_id: info.peer_id.clone(), name: info.name.clone() });
        let mut peer = Self {
            id: info.peer_id,
            name: info.name,
            seat,
            polite,
            presence: Presence::Here,
            reachable: false,
            connection,
            generation: Generation(0),
            transport: None,
            early_candidates: EarlyCandidates::default(),
            recovery: Recovery::new(polite),
            connected_before: false,
            slow_to_connect: false,
            relay_note: None,
            lost_since: None,
            replaced_at: VecDeque::new(),
            media: None,
            same_boot: false,
            their_video: VideoFlow::All,
            allowed_video: VideoFlow::All,
            common_video_codec: None,
            received_ids: ReceivedIds::default(),
            messages_dropped: 0,
        };
        peer.set_presence(if info.away { Presence::Away } else { Presence::Here }, env);
        peer
    }

    pub(crate) fn name(&self) -> &DisplayName {
        &self.name
    }

    pub(crate) fn connection(&self) -> ConnectionId {
        self.connection
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.transport.as_ref().is_some_and(Transport::is_connected)
    }

    /// They were there before us: theirs is the first offer.
    pub(crate) fn expect_offer(&mut self) {
        self.recovery.expect_offer();
    }

    /// Offers as soon as there is a way, the polite end a little later: both may think so.
    pub(crate) fn offer_soon(&mut self, env: &Env<'_>) {
        self.recovery.media_stopped(env.config, env.now);
    }

    /// They came after us: ours is the first offer.
    pub(crate) fn offer_now(&mut self, env: &mut Env<'_>) {
        self.make_own_transport(env);
    }

    /// The roster names them.
    pub(crate) fn is_listed(&mut self, info: PeerInfo, env: &mut Env<'_>) {
        self.name = info.name;
        self.set_presence(if info.away { Presence::Away } else { Presence::Here }, env);
    }

    pub(crate) fn set_presence(&mut self, presence: Presence, env: &mut Env<'_>) {
        let was_here = std::mem::replace(&mut self.presence, presence) == Presence::Here;
        let peer_id = self.id.clone();
        match presence {
            Presence::Here if !was_here => env.out.tell(Event::PeerBack { peer_id }),
            Presence::Away | Presence::Missing if was_here => env.out.tell(Event::PeerAway { peer_id }),
            Presence::Here | Presence::Away | Presence::Missing => {}
        }
    }

    pub(crate) fn handle_connection(
        &mut self,
        generation: Generation,
        event: ConnectionEvent,
        env: &mut Env<'_>,
    ) -> Fate {
        let Some(transport) = self.transport.as_mut().filter(|transport| transport.generation == generation) else {
            return Fate::Stays;
        };
        match event {
            ConnectionEvent::DescriptionReady { operation, sdp, streams } => {
                transport.negotiation().handle_description(operation, LocalDescription { sdp, streams }, env.now);
            }
            ConnectionEvent::OperationDone { operation } => transport.negotiation().handle_done(operation, env.now),
            ConnectionEvent::OperationFailed { operation, message } => {
                transport.negotiation().handle_failed(operation, message);
            }
            ConnectionEvent::LocalCandidate(candidate) => transport.add_local_candidate(trickle(Some(candidate))),
            ConnectionEvent::LocalCandidatesEnd => transport.add_local_candidate(trickle(None)),
            ConnectionEvent::StateChanged(state) => self.change_state(state, env),
            ConnectionEvent::FellSilent => self.fell_silent(env),
            ConnectionEvent::HeardAgain => self.heard_again(env),
            ConnectionEvent::ChannelOpened(channel) => self.open_channel(channel, env),
            ConnectionEvent::ControlReceived(text) => return self.receive_control(&text, env),
            ConnectionEvent::ChatReceived(text) => self.receive_chat(&text, env),
            ConnectionEvent::VideoCodec { common } => self.set_common_codec(common, env),
            ConnectionEvent::VideoFlow(flow) => self.set_allowed_video(flow, env),
        }
        Fate::Stays
    }

    pub(crate) fn use_ice_servers(&self, env: &mut Env<'_>) {
        if let Some(transport) = &self.transport {
            transport.use_ice_servers(env);
        }
    }

    pub(crate) fn request_ice_restart(&mut self, env: &Env<'_>) {
        if let Some(transport) = self.transport.as_mut().filter(|transport| transport.connected_before) {
            transport.want_offer(true, env);
        }
    }

    /// What was sent may have been lost, as if the way had been closed and opened again.
    pub(crate) fn resync(&mut self) {
        self.reachable = false;
    }

    pub(crate) fn handle_timeout(&mut self, env: &mut Env<'_>) {
        if let Some(transport) = &mut self.transport {
            transport.negotiation().handle_timeout(env.now);
        }
        self.settle(env);
        if !self.reachable {
            return;
        }
        match self.recovery.take_due(env.config, env.now) {
            Some(Due::OfferIsLate) => self.slow_to_connect = true,
            Some(Due::Attempt) => self.attempt(env),
            None => {}
        }
        self.settle(env);
    }

    pub(crate) fn poll_timeout(&self, lost_after: Duration) -> Option<(Instant, &'static str)> {
        let negotiation = self.transport.as_ref().and_then(Transport::poll_timeout).map(|at| (at, "negotiation"));
        let recovery = self.recovery.poll_timeout().filter(|_| self.reachable).map(|at| (at, "media recovery"));
        let lost = self.lost_since.map(|since| (since + lost_after, "lost peer"));
        [negotiation, recovery, lost].into_iter().flatten().min()
    }

    /// Whether they have been out of reach for too long.
    pub(crate) fn is_lost(&self, env: &Env<'_>) -> bool {
        self.lost_since.is_some_and(|since| since + env.config.lost_peer_timeout <= env.now)
    }

    /// Brings everything in line with what is known now; called after every input.
    pub(crate) fn settle(&mut self, env: &mut Env<'_>) {
        let was_reachable = self.reachable;
        self.reachable = env.signaling_ready && self.presence == Presence::Here;
        if self.reachable && !was_reachable {
            self.recovery.way_opened(env.config, env.now);
            if self.transport.as_mut().is_some_and(|transport| !transport.reach_again(env)) {
                self.close_transport(env);
                self.make_own_transport(env);
            }
        }
        self.pump(env);
        let lost = !self.reachable && !self.is_connected();
        self.lost_since = lost.then(|| self.lost_since.unwrap_or(env.now));
    }

    /// Closes the transport, if there is one.
    pub(crate) fn close_transport(&mut self, env: &mut Env<'_>) {
        let Some(transport) = self.transport.take() else { return };
        if transport.is_connected() {
            env.out.tell(Event::PeerReconnecting { peer_id: self.id.clone() });
        }
        transport.close(env);
        self.their_video = VideoFlow::All;
        self.allowed_video = VideoFlow::All;
        self.common_video_codec = None;
    }

    /// Closes the transport of someone who is no longer there.
    pub(crate) fn dismiss(mut self, env: &mut Env<'_>) {
        if let Some(transport) = self.transport.take() {
            transport.close(env);
        }
    }

    pub(crate) fn view(&self) -> PeerView {
        PeerView {
            peer_id: self.id.clone(),
            name: self.name.clone(),
            state: self.state(),
            presence: self.presence,
            media: self.media,
            connection: self.transport.as_ref().map(|transport| (transport.connection, transport.generation)),
            same_boot: self.same_boot,
            their_video: self.their_video,
            our_video: self.our_video(),
            common_video_codec: self.common_video_codec,
            slow_to_connect: self.slow_to_connect,
            relay_note: self.relay_note,
            messages_dropped: self.messages_dropped,
        }
    }

    fn state(&self) -> PeerState {
        if self.is_connected() {
            return PeerState::Connected;
        }
        match self.presence {
            Presence::Away | Presence::Missing => PeerState::Away,
            Presence::Here if self.connected_before => PeerState::Reconnecting,
            Presence::Here => PeerState::Connecting,
        }
    }

    fn make_own_transport(&mut self, env: &mut Env<'_>) {
        let id = TransportId::from_random(env.random.next_u64());
        let transport = self.make_transport(id, NamedBy::Us, env);
        transport.want_offer(false, env);
    }

    fn make_transport(&mut self, id: TransportId, named_by: NamedBy, env: &mut Env<'_>) -> &mut Transport {
        self.generation = Generation(self.generation.0.wrapping_add(1));
        self.recovery.transport_made(env.config, env.now);
        let early: Vec<_> = self.early_candidates.take(&id).collect();
        let mut transport = Transport::create((self.connection, self.generation), (id, named_by), &self.id, env);
        for trickle in early {
            transport.receive_candidate(trickle);
        }
        self.transport.insert(transport)
    }

    fn change_state(&mut self, state: ConnectionState, env: &mut Env<'_>) {
        let Some(transport) = &mut self.transport else { return };
        let was_connected = transport.is_connected();
        transport.is_silent = false;
        match state {
            // An ICE restart on a working path says so; the media goes on meanwhile (WebRTC 1.0 §4.4.3).
            ConnectionState::New | ConnectionState::Connecting if was_connected => {}
            ConnectionState::New | ConnectionState::Connecting => transport.state = state,
            ConnectionState::Connected => {
                transport.state = state;
                transport.connected_before = true;
                if !was_connected {
                    self.media_flows(env);
                }
            }
            ConnectionState::Failed if !transport.connected_before => {
                self.no_path_found(env);
            }
            ConnectionState::Disconnected | ConnectionState::Failed => {
                transport.state = state;
                if was_connected {
                    self.recovery.media_stopped(env.config, env.now);
                    env.out.tell(Event::PeerReconnecting { peer_id: self.id.clone() });
                } else if state == ConnectionState::Failed {
                    self.recovery.gave_up(env.config, env.now);
                }
            }
            ConnectionState::Closed => self.transport_broke("it was closed", env),
        }
    }

    fn media_flows(&mut self, env: &mut Env<'_>) {
        self.recovery.media_flows();
        self.connected_before = true;
        self.slow_to_connect = false;
        self.relay_note = None;
        env.out.tell(Event::PeerConnected { peer_id: self.id.clone() });
    }

    fn pump(&mut self, env: &mut Env<'_>) {
        while let Some(transport) = &mut self.transport {
            match transport.pump(self.reachable, env) {
                None => return,
                Some(Trouble::Unanswered) => self.offer_unanswered(env),
                Some(Trouble::Failed(NegotiationError::Refused(why))) => self.transport_broke(&why, env),
                Some(Trouble::Failed(error @ NegotiationError::TimedOut)) => {
                    self.transport_broke(&error.to_string(), env)
                }
            }
        }
    }

    /// Takes the offer back and makes it again. Without media a new transport is made for it: a late answer to the first
    /// offer then names the old one, and cannot be taken for the answer to the second.
    fn offer_unanswered(&mut self, env: &mut Env<'_>) {
        self.slow_to_connect |= !self.connected_before;
        match &mut self.transport {
            // It goes out again when there is a way.
            Some(_) if !self.reachable => {}
            Some(transport) if transport.is_connected() => transport.offer_again(true, env),
            Some(_) | None => {
                self.close_transport(env);
                self.make_own_transport(env);
            }
        }
    }

    fn transport_broke(&mut self, why: &str, env: &mut Env<'_>) {
        env.out.complain(None, format!("The connection with {} failed and is made again: {why}.", self.name));
        self.close_transport(env);
        self.recovery.transport_broke(env.config, env.random, env.now);
    }

    fn no_path_found(&mut self, env: &mut Env<'_>) {
        if env.ice_servers.has_relay_over_tcp() && self.relay_note.replace(RelayNote::NoPathOverUdp).is_none() {
            env.out.complain(None, format!("No way was found to {}. {}", self.name, RelayNote::NoPathOverUdp));
        }
        self.transport_broke("no way was found to it", env);
    }

    fn attempt(&mut self, env: &mut Env<'_>) {
        match &mut self.transport {
            Some(transport) if transport.is_connected() => {}
            Some(transport) if !transport.is_stable() => self.recovery.postpone(env.now),
            Some(transport) if transport.connected_before && self.recovery.try_ice_restart(env.config, env.now) => {
                transport.want_offer(true, env);
            }
            Some(_) | None => {
                self.slow_to_connect |= !self.connected_before;
                self.close_transport(env);
                self.make_own_transport(env);
            }
        }
    }
}
