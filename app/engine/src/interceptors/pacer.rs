//! Spreads packets over time, so that a key frame does not fill the queues of the network.
//!
//! Control packets and sound pass at once (sound is charged to the budget), video waits for the budget, and
//! retransmissions have a budget of their own inside it. The pace is a multiple of the estimate, since the encoder
//! already keeps to the estimate on average.
//!
//! The pacer does not choose frames: packets here are numbered and remembered for retransmission, so dropping one
//! would only bring it back. Its backlog is published in [`PacerGauge`], and the writer drops whole frames
//! before it numbers them. A key frame that goes over a full link ends repairs of what lies before it ([`beginning`]).

mod beginning;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rtc::interceptor::{Attribute, Packet, StreamInfo, TaggedPacket};
use rtc::shared::marshal::MarshalSize;

use super::reports::LinkQuality;
use super::stage::{Belt, Stage};
use crate::policy::PacerPolicy;
use beginning::Beginning;

/// What the pacer holds, for those who feed it.
#[derive(Default)]
pub(crate) struct PacerGauge {
    queued_bits: AtomicU64,
    /// Of those what a key frame has to wait for.
    before_key_frame_bits: AtomicU64,
    pace_bps: AtomicU64,
    dropped: AtomicU64,
}

impl PacerGauge {
    /// How long the packets that wait will take.
    pub(crate) fn backlog(&self) -> Duration {
        self.takes(self.queued_bits.load(Ordering::Relaxed))
    }

    /// The same for a key frame, which on a full link does not wait for what it replaces.
    pub(crate) fn backlog_of_key_frame(&self) -> Duration {
        self.takes(self.before_key_frame_bits.load(Ordering::Relaxed))
    }

    fn takes(&self, bits: u64) -> Duration {
        let pace = self.pace_bps.load(Ordering::Relaxed).max(1);
        Duration::from_micros(bits.saturating_mul(1_000_000) / pace)
    }

    /// Packets dropped since the start: stale retransmissions, and what came when the queue was full.
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
        let queued: f64 = self.video.iter().chain(&self.retransmissions).map(bits).sum();
        self.gauge.queued_bits.store(queued as u64, Ordering::Relaxed);
        let before_key_frame = if self.gives_way() { 0 } else { queued as u64 };
        self.gauge.before_key_frame_bits.store(before_key_frame, Ordering::Relaxed);
        self.gauge.pace_bps.store(self.pace_bps() as u64, Ordering::Relaxed);
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
            self.gauge.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets go what the budgets allow; repairs first, since a frame waits for them.
    fn release(&mut self, now: Instant, belt: &mut Belt) {
        self.refill(now);
        self.drop_stale(now);
        while self.credit_bits >= 0.0 {
            let repairs = self.retransmission_credit_bits >= 0.0;
            let next = if repairs { self.retransmissions.pop_front() } else { None };
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
                self.gauge.dropped.fetch_add(1, Ordering::Relaxed);
            } else if !self.retransmissions.iter().any(|waiting| repairs_the_same(waiting, &packet)) {
                self.retransmissions.push_back(packet);
            }
        } else if self.video.len() < self.policy.packets_max {
            let gives_way = self.gives_way();
            if self.beginning.note(rtp) && gives_way {
                let dropped = self.retransmissions.len() + self.video.len();
                self.gauge.dropped.fetch_add(dropped as u64, Ordering::Relaxed);
                self.retransmissions.clear();
                self.video.clear();
            }
            self.video.push_back(packet);
        } else {
            self.gauge.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Stage for Pacer {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        let changed = packet.message.get(&Attribute::TargetBitrateChanged { bits_per_second: 0.0 });
        if let Some(Attribute::TargetBitrateChanged { bits_per_second }) = changed {
            self.target_bps = *bits_per_second;
            self.publish();
        }
        belt.read.push_back(packet);
    }

    fn handle_write(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        let Packet::Rtp(rtp) = &packet.message.packet else {
            belt.write.push_back(packet);
            return;
        };
        let now = packet.now;
        if self.audio.contains(&rtp.header.ssrc) {
            self.refill(now);
            // Sound never waits; what it takes is missing for the picture.
            self.credit_bits -= bits(&packet);
            belt.write.push_back(packet);
            return;
        }
        self.hold(packet);
        self.release(now, belt);
    }

    fn handle_timeout(&mut self, now: Instant, belt: &mut Belt) {
        if !(self.video.is_empty() && self.retransmissions.is_empty()) {
            self.release(now, belt);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let refilled_at = self.refilled_at?;
        let after = |missing_bits: f64, bps: f64| {
            // At least a millisecond: the runtime's timers are no finer, and the budget makes up for it.
            refilled_at + Duration::from_secs_f64((missing_bits.max(0.0) / bps).clamp(0.001, 1.0))
        };
        let budget = after(-self.credit_bits, self.pace_bps());
        let video = (!self.video.is_empty()).then_some(budget);
        let repairs = (!self.retransmissions.is_empty())
            .then(|| budget.max(after(-self.retransmission_credit_bits, self.retransmission_bps())));
        video.into_iter().chain(repairs).min()
    }

    fn bind_local(&mut self, info: &StreamInfo) {
        if info.mime_type.to_ascii_lowercase().starts_with("audio/") {
            self.audio.insert(info.ssrc);
        }
    }

    fn unbind_local(&mut self, info: &StreamInfo) {
        self.audio.remove(&info.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::tests::{header, rtcp_packet, rtp_packet};
    use super::*;
    use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;

    const AUDIO: u32 = 1;
    const VIDEO: u32 = 2;
    const PAYLOAD: [u8; 1_188] = [0; 1_188];

    fn pacer() -> Pacer {
        let mut pacer = Pacer::new(PacerPolicy::default(), 1_000_000.0, Arc::default(), Arc::default());
        let info = StreamInfo { ssrc: AUDIO, mime_type: "audio/opus".to_owned(), ..StreamInfo::default() };
        pacer.bind_local(&info);
        pacer
    }

    /// A retransmission with a number of its own.
    fn repair(now: Instant, number: u16, original: u16) -> TaggedPacket {
        let mut payload = PAYLOAD;
        payload[..2].copy_from_slice(&original.to_be_bytes());
        let mut packet = rtp_packet(now, 3, number, &payload);
        packet.message.add(Attribute::Retransmission);
        packet
    }

    /// Steps to each deadline for `span`; gives (ms since start, ssrc) of everything released.
    fn run(pacer: &mut Pacer, start: Instant, span: Duration) -> Vec<(u128, u32)> {
        let mut released = Vec::new();
        let mut now = start;
        while let Some(at) = pacer.poll_timeout() {
            assert!(at > now, "a deadline must lie ahead");
            now = at;
            if now > start + span {
                break;
            }
            let mut belt = Belt::default();
            pacer.handle_timeout(now, &mut belt);
            released.extend(belt.write.iter().map(|packet| ((packet.now - start).as_millis(), header(packet).ssrc)));
        }
        released
    }

    #[test]
    fn a_burst_leaves_at_two_and_a_half_times_the_estimate() {
        let (mut pacer, start) = (pacer(), Instant::now());
        let mut belt = Belt::default();
        (0..100).for_each(|number| pacer.handle_write(rtp_packet(start, VIDEO, number, &PAYLOAD), &mut belt));
        let released = run(&mut pacer, start, Duration::from_secs(5));
        assert_eq!(belt.write.len() + released.len(), 100, "nothing is lost");
        // 100 packets of 1,200 bytes at 2.5 Mbps take 384 ms.
        let last = released.last().map(|(ms, _)| *ms).unwrap();
        assert!((360..=400).contains(&last), "{last}");
        assert!(pacer.gauge.backlog().is_zero());
    }

    #[test]
    fn timers_that_fire_late_do_not_slow_the_queue_down() {
        let (mut pacer, start) = (pacer(), Instant::now());
        let mut belt = Belt::default();
        (0..100).for_each(|number| pacer.handle_write(rtp_packet(start, VIDEO, number, &PAYLOAD), &mut belt));
        let mut now = start;
        while let Some(at) = pacer.poll_timeout() {
            now = at + Duration::from_millis(30);
            pacer.handle_timeout(now, &mut belt);
        }
        // On time it takes 384 ms.
        assert!(now - start <= Duration::from_millis(450), "{:?}", now - start);
    }

    #[test]
    fn a_link_that_was_met_is_not_sent_more_than_it_carries() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.quality.set_pace_bps(Some(200_000.0));
        let mut belt = Belt::default();
        (0..20).for_each(|number| pacer.handle_write(rtp_packet(start, VIDEO, number, &PAYLOAD), &mut belt));
        let released = run(&mut pacer, start, Duration::from_secs(5));
        // 19 packets of 1,200 bytes at 200 kbps.
        let last = released.last().map(|(ms, _)| *ms).unwrap();
        assert!((860..=920).contains(&last), "{last}");
    }

    #[test]
    fn sound_and_control_overtake_video() {
        let (mut pacer, start) = (pacer(), Instant::now());
        let mut belt = Belt::default();
        (0..50).for_each(|number| pacer.handle_write(rtp_packet(start, VIDEO, number, &PAYLOAD), &mut belt));
        belt.write.clear();
        pacer.handle_write(rtp_packet(start, AUDIO, 0, &[0; 80]), &mut belt);
        pacer.handle_write(rtcp_packet(start, PictureLossIndication::default()), &mut belt);
        assert_eq!(belt.write.len(), 2);
    }

    #[test]
    fn the_gauge_tells_how_long_the_queue_takes() {
        let (mut pacer, start) = (pacer(), Instant::now());
        let mut belt = Belt::default();
        (0..101).for_each(|number| pacer.handle_write(rtp_packet(start, VIDEO, number, &PAYLOAD), &mut belt));
        let backlog = pacer.gauge.backlog().as_millis();
        assert!((370..=390).contains(&backlog), "{backlog}");
    }

    #[test]
    fn a_lower_estimate_slows_the_queue_down() {
        let (mut pacer, start) = (pacer(), Instant::now());
        let mut belt = Belt::default();
        let mut feedback = rtcp_packet(start, PictureLossIndication::default());
        feedback.message.add(Attribute::TargetBitrateChanged { bits_per_second: 100_000.0 });
        pacer.handle_read(feedback, &mut belt);
        assert_eq!(belt.read.len(), 1, "what comes in passes");
        (0..20).for_each(|number| pacer.handle_write(rtp_packet(start, VIDEO, number, &PAYLOAD), &mut belt));
        let released = run(&mut pacer, start, Duration::from_secs(5));
        // 19 packets of 1,200 bytes at 250 kbps.
        let last = released.last().map(|(ms, _)| *ms).unwrap();
        assert!((690..=740).contains(&last), "{last}");
    }

    #[test]
    fn retransmissions_are_bounded_in_number_rate_and_age() {
        let (mut pacer, start) = (pacer(), Instant::now());
        let mut belt = Belt::default();
        (0..400).for_each(|number| pacer.handle_write(repair(start, number, number), &mut belt));
        assert!(pacer.retransmissions.len() <= PacerPolicy::default().retransmissions_max);
        let released = run(&mut pacer, start, Duration::from_secs(5));
        assert!(released.iter().all(|(ms, _)| *ms <= 501), "stale ones are not sent");
        // Three quarters of 1 Mbps for half a second are 39 packets.
        assert!((33..=43).contains(&released.len()), "{}", released.len());
        assert!(pacer.gauge.dropped() >= 340);
        assert_eq!(pacer.poll_timeout(), None, "idle means idle");
    }

    #[test]
    fn a_packet_that_is_asked_for_again_is_repaired_once_while_it_waits() {
        let (mut pacer, start) = (pacer(), Instant::now());
        let mut belt = Belt::default();
        for number in 0..200 {
            pacer.handle_write(repair(start, number, number % 20), &mut belt);
        }
        let released = run(&mut pacer, start, Duration::from_secs(5));
        // The first left before it was asked for again.
        assert_eq!((belt.write.len(), released.len()), (1, 20));
    }

    #[test]
    fn a_key_frame_on_a_full_link_does_not_wait_for_repairs_of_what_lies_before_it() {
        for (is_full, repairs) in [(true, 0), (false, 20)] {
            let (mut pacer, start) = (pacer(), Instant::now());
            pacer.quality.set_full(is_full);
            let mut belt = Belt::default();
            pacer.handle_write(rtp_packet(start, VIDEO, 100, &PAYLOAD), &mut belt);
            pacer.handle_write(rtp_packet(start, VIDEO, 101, &PAYLOAD), &mut belt);
            (80..100).for_each(|number| pacer.handle_write(repair(start, number, number), &mut belt));
            assert_eq!(pacer.gauge.backlog_of_key_frame().is_zero(), is_full);
            let mut key_frame = PAYLOAD;
            // STAP-A, the size of its first unit, SPS.
            key_frame[..4].copy_from_slice(&[24, 0, 12, 0x67]);
            pacer.handle_write(rtp_packet(start, VIDEO, 102, &key_frame), &mut belt);
            assert!(!pacer.gauge.backlog_of_key_frame().is_zero(), "the next one does not replace it");
            // Asked for again; and a part of the key frame itself.
            [90, 102].into_iter().for_each(|number| pacer.handle_write(repair(start, 200 + number, number), &mut belt));
            let released = run(&mut pacer, start, Duration::from_secs(5));
            let count = |wanted| released.iter().filter(|(_, ssrc)| *ssrc == wanted).count();
            assert_eq!((count(3), count(VIDEO)), (repairs + 1, if is_full { 1 } else { 2 }), "full: {is_full}");
        }
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let (mut pacer, start) = (pacer(), Instant::now());
        let mut belt = Belt::default();
        (0..2_000).for_each(|number| pacer.handle_write(rtp_packet(start, VIDEO, number, &PAYLOAD), &mut belt));
        assert_eq!(pacer.video.len(), PacerPolicy::default().packets_max);
        assert!(pacer.gauge.dropped() > 900);
    }
}
