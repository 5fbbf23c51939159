//! Spreads packets over time, so that a key frame does not fill the queues of the network.
//!
//! Control packets and sound pass at once (sound is charged to the budget), video waits for the budget, and
//! retransmissions have a budget of their own inside it. The pace is a multiple of the estimate, since the encoder
//! already keeps to the estimate on average.
//!
//! The pacer does not choose frames: packets here are numbered and remembered for retransmission, so dropping one
//! would only bring it back. Its backlog is published in [`PacerGauge`], and the writer drops whole frames
//! before it numbers them. Where the estimate falls so far that what waits would take seconds, it is given up, and the picture begins anew.
//! Repairs of what lies before a key frame let the picture pass, and end where the link is full ([`beginning`]). While the other side says
//! nothing of what comes there, no more pictures are let go ([`unheard`]).

mod beginning;
mod unheard;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rtc::interceptor::{Attribute, Packet, StreamInfo, TaggedPacket};
use rtc::shared::marshal::MarshalSize;

use super::reports::LinkQuality;
use super::stage::{Belt, Stage};
use crate::policy::PacerPolicy;
use beginning::Beginning;
use unheard::Unheard;

/// An estimate that falls to less than this share of the one before was wrong. A cut that drains a queue leaves more, and ends.
const HOPELESS_FALL: f64 = 0.5;

/// What the pacer holds, for those who feed it.
#[derive(Default)]
pub(crate) struct PacerGauge {
    queued_bits: AtomicU64,
    /// Of those what a key frame has to wait for.
    before_key_frame_bits: AtomicU64,
    pace_bps: AtomicU64,
    dropped: AtomicU64,
    /// Whether nobody says what comes of what is sent.
    is_unheard: AtomicBool,
    /// Whether a part of the picture was given up.
    is_broken: AtomicBool,
}

impl PacerGauge {
    /// The backlog while nobody says what comes of what is sent.
    pub(crate) const FOR_EVER: Duration = Duration::MAX;

    /// How long the packets that wait will take; for ever while nobody says what comes.
    pub(crate) fn backlog(&self) -> Duration {
        self.takes(self.queued_bits.load(Ordering::Relaxed))
    }

    /// The same for a key frame, which does not wait for repairs, and on a full link not for what it replaces either.
    pub(crate) fn backlog_of_key_frame(&self) -> Duration {
        self.takes(self.before_key_frame_bits.load(Ordering::Relaxed))
    }

    pub(crate) fn note_broken(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// Whether a part of the picture was given up since this was last asked: what refers to it is worth nothing.
    pub(crate) fn take_broken(&self) -> bool {
        self.is_broken.swap(false, Ordering::Relaxed)
    }

    fn takes(&self, bits: u64) -> Duration {
        if self.is_unheard.load(Ordering::Relaxed) {
            return Self::FOR_EVER;
        }
        let pace = self.pace_bps.load(Ordering::Relaxed).max(1);
        Duration::from_micros(bits.saturating_mul(1_000_000) / pace)
    }

    /// Packets dropped since the start: retransmissions that are stale or of what a key frame replaced, what was given up, and what came when the
    /// queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The stage.
pub(crate) struct Pacer {
    policy: PacerPolicy,
    gauge: Arc<PacerGauge>,
    quality: Arc<LinkQuality>,
    target_bps: f64,
    /// May go below zero by one packet, or by sound that did not wait.
    credit_bits: f64,
    retransmission_credit_bits: f64,
    refilled_at: Option<Instant>,
    audio: BTreeSet<u32>,
    /// Bounded by `packets_max`.
    video: VecDeque<TaggedPacket>,
    /// Bounded by `retransmissions_max`.
    retransmissions: VecDeque<TaggedPacket>,
    beginning: Beginning,
    unheard: Unheard,
}

fn bits(packet: &TaggedPacket) -> f64 {
    match &packet.message.packet {
        Packet::Rtp(rtp) => rtp.marshal_size() as f64 * 8.0,
        _ => 0.0,
    }
}

/// Whether two retransmissions bring the same packet: it is asked for again while the first still waits here. Their own numbers differ
/// (RFC 4588 §4), that of the original is in the payload.
fn repairs_the_same(one: &TaggedPacket, other: &TaggedPacket) -> bool {
    match (&one.message.packet, &other.message.packet) {
        (Packet::Rtp(one), Packet::Rtp(other)) => {
            one.header.ssrc == other.header.ssrc
                && one.header.timestamp == other.header.timestamp
                && one.payload == other.payload
        }
        _ => false,
    }
}

impl Pacer {
    pub(crate) fn new(policy: PacerPolicy, start_bps: f64, gauge: Arc<PacerGauge>, quality: Arc<LinkQuality>) -> Self {
        let pacer = Self {
            policy,
            gauge,
            quality,
            target_bps: start_bps,
            credit_bits: 0.0,
            retransmission_credit_bits: 0.0,
            refilled_at: None,
            audio: BTreeSet::new(),
            video: VecDeque::new(),
            retransmissions: VecDeque::new(),
            beginning: Beginning::default(),
            unheard: Unheard::default(),
        };
        pacer.publish();
        pacer
    }

    fn pace_bps(&self) -> f64 {
        let pace = (self.target_bps * self.policy.factor).max(self.policy.min_bps);
        self.quality.pace_bps().map_or(pace, |known| known.min(pace))
    }

    fn retransmission_bps(&self) -> f64 {
        self.target_bps * self.policy.retransmission_factor
    }

    fn publish(&self) {
        let video: f64 = self.video.iter().map(bits).sum();
        let repairs: f64 = self.retransmissions.iter().map(bits).sum();
        self.gauge.queued_bits.store((video + repairs) as u64, Ordering::Relaxed);
        let before_key_frame = if self.gives_way() { 0.0 } else { video };
        self.gauge.before_key_frame_bits.store(before_key_frame as u64, Ordering::Relaxed);
        self.gauge.pace_bps.store(self.pace_bps() as u64, Ordering::Relaxed);
    }

    fn publish_unheard(&self) {
        self.gauge.is_unheard.store(self.unheard.is_unheard(), Ordering::Relaxed);
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = self.refilled_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.refilled_at = Some(self.refilled_at.map_or(now, |at| at.max(now)));
        // What had to wait may make up for a timer that fires late; what comes after a pause may not.
        let is_waiting = !(self.video.is_empty() && self.retransmissions.is_empty());
        let burst = if is_waiting { self.policy.lateness_max } else { self.policy.burst };
        let credit = self.credit_bits + self.pace_bps() * elapsed.as_secs_f64();
        self.credit_bits = credit.min(self.pace_bps() * burst.as_secs_f64());
        let credit = self.retransmission_credit_bits + self.retransmission_bps() * elapsed.as_secs_f64();
        // One second of it: repairs come in clusters.
        self.retransmission_credit_bits = credit.min(self.retransmission_bps());
    }

    fn drop_stale(&mut self, now: Instant) {
        let age_max = self.policy.retransmission_age_max;
        while let Some(oldest) = self.retransmissions.front() {
            let is_stale = now.saturating_duration_since(oldest.now) > age_max;
            if !is_stale && self.retransmissions.len() <= self.policy.retransmissions_max {
                break;
            }
            self.retransmissions.pop_front();
            self.note_dropped(1);
        }
    }

    /// The next repair: a frame waits for it, unless a key frame has followed, when the picture goes first.
    fn pop_repair(&mut self) -> Option<TaggedPacket> {
        let is_old = |waiting: &TaggedPacket| matches!(&waiting.message.packet, Packet::Rtp(rtp) if self.beginning.repairs_before(rtp));
        let needed = self.retransmissions.iter().position(|waiting| !is_old(waiting));
        self.retransmissions.remove(needed.or(self.video.is_empty().then_some(0))?)
    }

    /// Lets go what the budgets allow, repairs first.
    fn release(&mut self, now: Instant, belt: &mut Belt) {
        self.refill(now);
        self.drop_stale(now);
        while self.credit_bits >= 0.0 {
            let repairs = self.retransmission_credit_bits >= 0.0;
            let next = if repairs { self.pop_repair() } else { None };
            if let Some(packet) = &next {
                self.retransmission_credit_bits -= bits(packet);
            }
            let Some(mut packet) = next.or_else(|| self.video.pop_front()) else { break };
            self.credit_bits -= bits(&packet);
            // The send history below must see when it left, not when it came.
            packet.now = now;
            belt.write.push_back(packet);
        }
        self.publish();
    }

    /// Gives up what waits, now that the estimate fell to `target_bps`, where that was far too high and it would take too long. It was to leave within a
    /// moment over the link that seemed to be there; over the one that is, it would take half of it for many seconds, and be shown by
    /// nobody. It can be asked for, but is no more repaired once a key frame has followed ([`beginning`]).
    fn give_up_hopeless(&mut self, before_bps: f64) {
        let waiting_bits: f64 = self.video.iter().map(bits).sum();
        let takes_too_long = waiting_bits > self.pace_bps() * self.policy.backlog_hopeless.as_secs_f64();
        if self.target_bps < HOPELESS_FALL * before_bps && takes_too_long {
            self.clear();
            self.publish();
            self.gauge.note_broken();
        }
    }

    fn clear(&mut self) {
        self.note_dropped(self.retransmissions.len() + self.video.len());
        self.retransmissions.clear();
        self.video.clear();
    }

    fn note_dropped(&self, packets: usize) {
        self.gauge.dropped.fetch_add(packets as u64, Ordering::Relaxed);
    }

    /// Whether what waits makes room for a key frame: on a link with room it goes first, and a key frame is never replaced by another, or
    /// none might ever be whole.
    fn gives_way(&self) -> bool {
        self.quality.is_full()
            && !self
                .video
                .iter()
                .any(|waiting| matches!(&waiting.message.packet, Packet::Rtp(rtp) if self.beginning.is_of_it(rtp)))
    }

    fn hold(&mut self, packet: TaggedPacket) {
        let Packet::Rtp(rtp) = &packet.message.packet else { return };
        if packet.message.has(&Attribute::Retransmission) {
            if self.quality.is_full() && self.beginning.repairs_before(rtp) {
                self.note_dropped(1);
            } else if !self.retransmissions.iter().any(|waiting| repairs_the_same(waiting, &packet)) {
                self.retransmissions.push_back(packet);
            }
        } else if self.video.len() < self.policy.packets_max {
            let gives_way = self.gives_way();
            if self.beginning.note(rtp) && gives_way {
                self.clear();
            }
            self.video.push_back(packet);
        } else {
            self.note_dropped(1);
        }
    }
}

impl Stage for Pacer {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        let changed = packet.message.get(&Attribute::TargetBitrateChanged { bits_per_second: 0.0 });
        if let Some(Attribute::TargetBitrateChanged { bits_per_second }) = changed {
            let before_bps = std::mem::replace(&mut self.target_bps, *bits_per_second);
            self.give_up_hopeless(before_bps);
            self.publish();
        }
        self.unheard.note_received(packet.now, &packet.message.packet, self.quality.take_newest_age());
        self.publish_unheard();
        belt.read.push_back(packet);
    }

    fn handle_write(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        let Packet::Rtp(rtp) = &packet.message.packet else {
            belt.write.push_back(packet);
            return;
        };
        let now = packet.now;
        self.unheard.note_sent(now, self.quality.repair_rtt());
        self.publish_unheard();
        if self.audio.contains(&rtp.header.ssrc) {
            self.refill(now);
            // Sound never waits; what it takes is missing for the picture.
            self.credit_bits -= bits(&packet);
            belt.write.push_back(packet);
            return;
        }
        // Before it waits: what is saved in a pause is little, what a late timer missed is more.
        self.refill(now);
        self.hold(packet);
        self.release(now, belt);
    }

    fn handle_timeout(&mut self, now: Instant, belt: &mut Belt) {
        self.unheard.handle_timeout(now);
        self.publish_unheard();
        if !(self.video.is_empty() && self.retransmissions.is_empty()) {
            self.release(now, belt);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let again = self.unheard.poll_timeout();
        let Some(refilled_at) = self.refilled_at else { return again };
        let after = |missing_bits: f64, bps: f64| {
            // At least a millisecond: the runtime's timers are no finer, and the budget makes up for it.
            refilled_at + Duration::from_secs_f64((missing_bits.max(0.0) / bps).clamp(0.001, 1.0))
        };
        let budget = after(-self.credit_bits, self.pace_bps());
        let video = (!self.video.is_empty()).then_some(budget);
        let repairs = (!self.retransmissions.is_empty())
            .then(|| budget.max(after(-self.retransmission_credit_bits, self.retransmission_bps())));
        video.into_iter().chain(repairs).chain(again).min()
    }

    fn bind_local(&mut self, info: &StreamInfo) {
        self.unheard.bind(info);
        if info.mime_type.to_ascii_lowercase().starts_with("audio/") {
            self.audio.insert(info.ssrc);
        }
    }

    fn unbind_local(&mut self, info: &StreamInfo) {
        self.audio.remove(&info.ssrc);
    }
}

#[cfg(test)]
mod tests;
