//! Hands what is known of the connections to the session's adaptation, and does what it decides.

use std::collections::BTreeMap;
use std::time::Instant;

use parlor_proto::SuspendReason;
use parlor_session::adaptation::{AdaptationConfig, LegSignals, Share, Signals, Size, Sound, evaluate};
use parlor_session::{ConnectionId, Generation, VideoFlow};

use super::peers::Peers;
use crate::call::LocalMedia;
use crate::media_bridge::Picture;

/// What was decided last.
#[derive(Default)]
pub(super) struct Adaptation {
    config: AdaptationConfig,
    legs: BTreeMap<ConnectionId, (Generation, parlor_session::adaptation::Leg)>,
    target_bps: u32,
}

impl Adaptation {
    /// Looks at all connections; gives those that get more or less of our picture now.
    pub(super) fn apply(
        &mut self,
        peers: &Peers,
        media: &LocalMedia,
        now: Instant,
    ) -> Vec<(ConnectionId, Generation, VideoFlow)> {
        let connected = || peers.iter().filter(|(_, peer)| peer.connected_at.is_some());
        let legs = connected().map(|(connection, peer)| {
            let previous = self.legs.get(&connection).filter(|(generation, _)| *generation == peer.generation);
            let target = u32::try_from(peer.shared.quality.target_bps()).unwrap_or(u32::MAX);
            let signals = LegSignals { target_bitrate_bps: Some(target), previous: previous.map(|(_, leg)| *leg) };
            (connection, signals)
        });
        let decision = evaluate(&Signals { legs: legs.collect() }, &self.config, now);
        if decision.encoder_target_bps != self.target_bps {
            self.target_bps = decision.encoder_target_bps;
            media.video.set_target_bitrate_bps(decision.encoder_target_bps);
        }
        media.video.set_small(decision.size == Size::Small);
        media.audio.set_bitrate_bps(decision.sound_bps);
        let loss = connected().map(|(_, peer)| peer.shared.quality.audio_loss()).fold(0.0, f64::max);
        media.audio.set_packet_loss(loss as f32);

        let mut changed = Vec::new();
        let mut legs = BTreeMap::new();
        for (connection, peer) in connected() {
            let Some(leg) = decision.legs.get(&connection) else { continue };
            let mut queue = peer.shared.leg.queue();
            queue.set_picture(picture(leg.share));
            queue.set_bundles_sound(leg.sound != Sound::Full);
            drop(queue);
            let before = self.legs.get(&connection).filter(|(generation, _)| *generation == peer.generation);
            let was = before.map_or(VideoFlow::All, |(_, leg)| flow(leg.share));
            if was != flow(leg.share) {
                changed.push((connection, peer.generation, flow(leg.share)));
            }
            legs.insert(connection, (peer.generation, *leg));
        }
        self.legs = legs;
        changed
    }
}

fn flow(share: Share) -> VideoFlow {
    match share {
        Share::All => VideoFlow::All,
        Share::Fraction { .. } => VideoFlow::Reduced,
        Share::SoundOnly => VideoFlow::Suspended(SuspendReason::Bandwidth),
    }
}

fn picture(share: Share) -> Picture {
    match share {
        Share::All => Picture::Full,
        Share::Fraction { keep_permille } => Picture::Fraction { keep_permille },
        Share::SoundOnly => Picture::Suspended,
    }
}
