//! What is said with one person over the data channels.

use parlor_proto::{
    CONTROL_MESSAGE_BYTES_MAX, ChatMessage, ControlMessage, DecodeMessageError, PROTOCOL_VERSION, SuspendReason,
};

use super::{Fate, Peer};
use crate::chat::Received;
use crate::env::Env;
use crate::transport::Transport;
use crate::{Author, Channel, ChatLine, Event, MediaState, VideoFlow};

impl Peer {
    pub(super) fn open_channel(&mut self, channel: Channel, env: &mut Env<'_>) {
        let Some(transport) = &mut self.transport else { return };
        if transport.open_channel(channel) && channel == Channel::Control {
            self.introduce(env);
        }
    }

    /// Says who we are, and what the other end must know of our devices and pictures.
    fn introduce(&self, env: &mut Env<'_>) {
        let hello = ControlMessage::Hello {
            versions: vec![PROTOCOL_VERSION],
            client: env.config.client.clone(),
            boot_id: env.config.boot_id.clone(),
        };
        self.send_control(hello, env);
        self.send_control(env.media.into(), env);
        let flow = self.our_video();
        if flow != VideoFlow::All {
            self.send_control(message_of(flow), env);
        }
    }

    /// One end's channels open before the other's, and what arrives in between may be lost there. So all that was said is said once more
    /// when the other end is known to listen.
    fn hear_hello(&mut self, env: &mut Env<'_>) {
        if self.transport.as_mut().is_some_and(Transport::hear_hello) {
            self.introduce(env);
        }
    }

    /// Tells them what our microphone and camera do, or that we leave.
    pub(crate) fn send_control(&self, message: ControlMessage, env: &mut Env<'_>) {
        if let Some(transport) = &self.transport {
            transport.send_control(message, env.out);
        }
    }

    /// Returns whether the line is on its way.
    pub(crate) fn send_chat(&self, message: ChatMessage, env: &mut Env<'_>) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.send_chat(message, env.out))
    }

    pub(super) fn receive_control(&mut self, text: &str, env: &mut Env<'_>) -> Fate {
        if text.len() > CONTROL_MESSAGE_BYTES_MAX {
            self.drop_message(env);
            return Fate::Stays;
        }
        match ControlMessage::decode(text) {
            Ok(message) => return self.heed_control(message, env),
            // From a newer program.
            Err(DecodeMessageError::UnknownType) => {}
            Err(DecodeMessageError::Malformed(_)) => self.drop_message(env),
        }
        Fate::Stays
    }

    fn heed_control(&mut self, message: ControlMessage, env: &mut Env<'_>) -> Fate {
        match message {
            ControlMessage::Hello { versions: _, client: _, boot_id } => {
                self.same_boot = boot_id.is_some() && boot_id == env.config.boot_id;
                self.hear_hello(env);
            }
            ControlMessage::MediaState { microphone, camera, microphone_reason, camera_reason } => {
                self.set_media(MediaState { microphone, camera, microphone_reason, camera_reason }, env);
            }
            ControlMessage::VideoReduced { reason: _ } => self.their_video = VideoFlow::Reduced,
            ControlMessage::VideoSuspended { reason } => self.their_video = VideoFlow::Suspended(reason),
            ControlMessage::VideoResumed => self.their_video = VideoFlow::All,
            ControlMessage::Bye => return Fate::Goes,
        }
        Fate::Stays
    }

    pub(super) fn receive_chat(&mut self, text: &str, env: &mut Env<'_>) {
        let (text, sent_at_ms) = match self.received_ids.receive(text) {
            Received::Line { text, sent_at_ms } => (text, sent_at_ms),
            Received::Unknown => return,
            Received::Refused => return self.drop_message(env),
        };
        let (peer_id, name) = (self.id.clone(), self.name.clone());
        let author = Author::Peer { peer_id: peer_id.clone(), name: name.clone() };
        env.chat.add(ChatLine { author, text: text.clone(), at_ms: sent_at_ms, unreached: Vec::new() });
        env.out.tell(Event::ChatReceived { peer_id, name, text, sent_at_ms });
    }

    pub(super) fn set_common_codec(&mut self, common: bool, env: &mut Env<'_>) {
        let before = self.our_video();
        self.common_video_codec = Some(common);
        self.tell_video(before, env);
    }

    pub(super) fn set_allowed_video(&mut self, flow: VideoFlow, env: &mut Env<'_>) {
        let before = self.our_video();
        self.allowed_video = flow;
        self.tell_video(before, env);
    }

    /// Without a common codec the bandwidth does not matter.
    pub(super) fn our_video(&self) -> VideoFlow {
        match self.common_video_codec {
            Some(false) => VideoFlow::Suspended(SuspendReason::NoCommonCodec),
            Some(true) | None => self.allowed_video,
        }
    }

    fn tell_video(&self, before: VideoFlow, env: &mut Env<'_>) {
        let now = self.our_video();
        if before != now {
            self.send_control(message_of(now), env);
        }
    }

    fn set_media(&mut self, state: MediaState, env: &mut Env<'_>) {
        if self.media.replace(state) != Some(state) {
            env.out.tell(Event::PeerMedia { peer_id: self.id.clone(), state });
        }
    }

    /// Counts it; the user is told of the first only.
    fn drop_message(&mut self, env: &mut Env<'_>) {
        self.messages_dropped += 1;
        if self.messages_dropped == 1 {
            env.out.complain(None, format!("{} sent something that this program does not understand.", self.name));
        }
    }
}

fn message_of(flow: VideoFlow) -> ControlMessage {
    match flow {
        VideoFlow::All => ControlMessage::VideoResumed,
        VideoFlow::Reduced => ControlMessage::VideoReduced { reason: SuspendReason::Bandwidth },
        VideoFlow::Suspended(reason) => ControlMessage::VideoSuspended { reason },
    }
}
