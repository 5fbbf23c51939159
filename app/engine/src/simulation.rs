//! One sender on a link that carries little, by a made-up clock: the real estimator, adaptation and queue between a modelled
//! encoder and pacer and the lab's network.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parlor_lab_net::direction::Direction;
use parlor_media::{Layer, MediaPacket, PacketizedFrame};
use parlor_session::ConnectionId;
use parlor_session::adaptation::{AdaptationConfig, Decision, LegSignals, Share, Signals, evaluate};
use rtc::interceptor::{BandwidthEstimator, PacketReport};

use crate::interceptors::LinkQuality;
use crate::interceptors::estimator::Estimator;
use crate::media_bridge::{LegQueue, Next, Picture};
use crate::policy::EnginePolicy;

const MS: Duration = Duration::from_millis(1);
const LEG: ConnectionId = ConnectionId(1);
/// Another one, for whom everything is sent at full speed.
const FAST: ConnectionId = ConnectionId(2);
/// RTP header with its extensions; below it the link sees SRTP's tag too.
const RTP_BYTES: usize = 24;
const SRTP_BYTES: usize = 10;
const AUDIO_BYTES: usize = 80;
const PACKET_BYTES: usize = 1_170;

struct Sent {
    departure: Instant,
    size: usize,
    arrival: Option<Duration>,
    frame: Option<u32>,
    retried: bool,
}

/// Counted each second.
#[derive(Clone, Copy, Debug, Default)]
#[expect(dead_code, reason = "some fields are only shown, where a test fails")]
struct Second {
    target_bps: u64,
    share_permille: u16,
    frames_sent: u64,
    frames_withheld: u64,
    frames_dropped: u64,
    frames_seen: u32,
    sounds_lost: u32,
}

struct Simulation {
    begin: Instant,
    now: Instant,
    network: Direction<Vec<u8>>,
    estimator: Estimator,
    quality: Arc<LinkQuality>,
    policy: EnginePolicy,
    decision: Decision,
    leg: LegQueue,
    /// What the encoder makes; it follows its target within a few hundred milliseconds.
    encoder_bps: f64,
    key_wanted: bool,
    key_made: Instant,
    frame: u32,
    pacer: VecDeque<(u32, usize)>,
    credit_bits: f64,
    sent: Vec<Sent>,
    reported: usize,
    /// Packets of each frame that are missing, and whether it is a key frame.
    frames: BTreeMap<u32, (usize, bool)>,
    /// The receiver's picture: whether it waits for a key frame, and the last frame seen.
    broken_since: Option<Instant>,
    pending: VecDeque<u32>,
    second: Second,
}

impl Simulation {
    fn new(description: &str) -> Self {
        let begin = Instant::now();
        let mut network = Direction::new(1);
        network.schedule(begin, description.parse().unwrap());
        let policy = EnginePolicy::default();
        let quality = Arc::new(LinkQuality::default());
        let mut leg = LegQueue::default();
        leg.open();
        Self {
            begin,
            now: begin,
            network,
            estimator: Estimator::new(policy.estimator, quality.clone(), Arc::default()),
            quality,
            policy,
            decision: Decision { encoder_target_bps: 600_000, legs: BTreeMap::new() },
            leg,
            encoder_bps: 600_000.0,
            key_wanted: true,
            key_made: begin - Duration::from_secs(1),
            frame: 0,
            pacer: VecDeque::new(),
            credit_bits: 0.0,
            sent: Vec::new(),
            reported: 0,
            frames: BTreeMap::new(),
            broken_since: Some(begin),
            pending: VecDeque::new(),
            second: Second::default(),
        }
    }

    fn target(&self) -> f64 {
        self.quality.target_bps() as f64
    }

    /// One second at a time.
    fn run(&mut self, seconds: usize) -> Vec<Second> {
        (0..seconds).map(|_| self.run_second()).collect()
    }

    fn run_second(&mut self) -> Second {
        self.second = Second::default();
        let before = self.leg.stats();
        for _ in 0..1_000 {
            self.now += MS;
            self.step();
        }
        let stats = self.leg.stats();
        let share_permille = match self.decision.legs.get(&LEG).map(|leg| leg.share) {
            Some(Share::Fraction { keep_permille }) => keep_permille,
            Some(Share::SoundOnly) => 0,
            Some(Share::All) | None => 1_001,
        };
        Second {
            target_bps: self.quality.target_bps(),
            share_permille,
            frames_sent: stats.frames_sent - before.frames_sent,
            frames_withheld: stats.frames_withheld - before.frames_withheld,
            frames_dropped: stats.frames_dropped - before.frames_dropped,
            ..self.second
        }
    }

    fn step(&mut self) {
        let ms = self.now.duration_since(self.begin).as_millis();
        if ms.is_multiple_of(100) {
            self.report();
            self.adapt();
        }
        if ms.is_multiple_of(20) {
            self.put(None, AUDIO_BYTES + RTP_BYTES, false);
        }
        if [0, 33, 67].contains(&(ms % 100)) {
            self.encode();
        }
        self.pace();
        while let Some((at, packet)) = self.network.poll_packet(self.now) {
            let id = u32::from_be_bytes(packet[..4].try_into().unwrap());
            self.arrive(id as usize, at);
        }
        self.look();
    }

    /// The feedback of the last 100 ms: everything up to the latest that came.
    fn report(&mut self) {
        let Some(latest) = self.sent.iter().rposition(|sent| sent.arrival.is_some()) else { return };
        let new: Vec<usize> = (self.reported..=latest).collect();
        if new.is_empty() {
            return;
        }
        let reports = new.iter().map(|&id| {
            let sent = &self.sent[id];
            PacketReport {
                ssrc: 1,
                id: id as u64,
                rtp_sequence_number: id as u16,
                is_twcc: true,
                twcc_sequence_number: id as u16,
                size: sent.size,
                arrived: sent.arrival.is_some(),
                departure: sent.departure,
                arrival: sent.arrival,
                ecn: Default::default(),
            }
        });
        self.estimator.on_reports(self.now, &reports.collect::<Vec<_>>());
        self.reported = latest + 1;
        for id in new {
            let sent = &mut self.sent[id];
            if sent.arrival.is_some() {
                continue;
            }
            match sent.frame {
                None => self.second.sounds_lost += 1,
                Some(frame) if !sent.retried => {
                    let size = sent.size;
                    self.pacer.push_front((frame, size));
                }
                Some(_) => {}
            }
        }
    }

    fn adapt(&mut self) {
        let target = u32::try_from(self.quality.target_bps()).unwrap();
        let previous = |leg| self.decision.legs.get(&leg).copied();
        let legs = [(LEG, target), (FAST, 2_000_000)];
        let legs =
            legs.map(|(leg, target)| (leg, LegSignals { target_bitrate_bps: Some(target), previous: previous(leg) }));
        self.decision = evaluate(&Signals { legs: legs.into() }, &AdaptationConfig::default(), self.now);
        self.leg.set_picture(match self.decision.legs[&LEG].share {
            Share::All => Picture::Full,
            Share::Fraction { keep_permille } => Picture::Fraction { keep_permille },
            Share::SoundOnly => Picture::Suspended,
        });
    }

    fn encode(&mut self) {
        // The content has a limit of its own.
        let wanted = f64::from(self.decision.encoder_target_bps).min(800_000.0);
        self.encoder_bps += 0.15 * (wanted - self.encoder_bps);
        let discardable = self.frame % 2 == 1;
        let key = self.key_wanted && !discardable && self.now - self.key_made >= MS * 500;
        let average = self.encoder_bps / 8.0 / 30.0;
        let factor = match (key, discardable) {
            (true, _) => 8.0,
            (false, true) => 2.0 / 3.0,
            (false, false) => 4.0 / 3.0,
        };
        let bytes = (average * factor) as usize;
        if key {
            (self.key_wanted, self.key_made) = (false, self.now);
        }
        let packets = bytes.div_ceil(PACKET_BYTES).max(1);
        let packet =
            |index| MediaPacket { payload: Bytes::from(vec![0; bytes / packets]), marker: index + 1 == packets };
        let frame = PacketizedFrame {
            packets: (0..packets).map(packet).collect(),
            rtp_timestamp: self.frame,
            captured_at: self.now,
            layer: Layer(0),
            temporal_id: u8::from(discardable),
            key,
            discardable,
            bytes,
        };
        self.frame += 1;
        self.leg.push_video(&Arc::new(frame));
        self.key_wanted |= self.leg.key_frame_due(self.now);
    }

    fn pace(&mut self) {
        let pace = (self.target() * self.policy.pacer.factor).max(self.policy.pacer.min_bps);
        self.credit_bits = (self.credit_bits + pace / 1_000.0).min(pace * self.policy.pacer.burst.as_secs_f64());
        loop {
            let queued: usize = self.pacer.iter().map(|(_, size)| size * 8).sum();
            let backlog = Duration::from_secs_f64(queued as f64 / pace);
            let Some(Next::Video(frame)) = self.leg.pop(backlog) else { break };
            self.frames.insert(frame.rtp_timestamp, (frame.packets.len(), frame.key));
            self.pending.push_back(frame.rtp_timestamp);
            let sizes = frame.packets.iter().map(|packet| (frame.rtp_timestamp, packet.payload.len() + RTP_BYTES));
            self.pacer.extend(sizes);
        }
        while self.credit_bits >= 0.0 {
            let Some((frame, size)) = self.pacer.pop_front() else { break };
            let is_first = self.frames.get(&frame).is_some_and(|(missing, _)| *missing > 0);
            self.put(Some(frame), size, !is_first);
            self.credit_bits -= size as f64 * 8.0;
        }
    }

    fn put(&mut self, frame: Option<u32>, size: usize, retried: bool) {
        if frame.is_none() {
            self.credit_bits -= size as f64 * 8.0;
        }
        let mut packet = (self.sent.len() as u32).to_be_bytes().to_vec();
        packet.resize(size + SRTP_BYTES, 0);
        self.sent.push(Sent { departure: self.now, size, arrival: None, frame, retried });
        self.network.handle_packet(self.now, packet);
    }

    fn arrive(&mut self, id: usize, at: Instant) {
        let sent = &mut self.sent[id];
        sent.arrival = Some(Duration::from_secs(1_000) + at.duration_since(self.begin));
        if let Some((missing, _)) = sent.frame.and_then(|frame| self.frames.get_mut(&frame)) {
            *missing = missing.saturating_sub(1);
        }
    }

    /// What the receiver shows: whole frames in order; a hole lasts until a key frame, which is asked for after a while.
    fn look(&mut self) {
        while let Some(frame) = self.pending.front() {
            let (missing, key) = self.frames[frame];
            let later = self.pending.iter().skip(1).any(|later| self.frames[later].0 == 0);
            if missing == 0 && (key || self.broken_since.is_none()) {
                self.second.frames_seen += 1;
                self.broken_since = None;
            } else if missing == 0 {
                // Whole, but of no use.
            } else if later {
                self.broken_since.get_or_insert(self.now);
                let newest_key = self.pending.iter().any(|later| self.frames[later] == (0, true));
                if !newest_key {
                    break;
                }
            } else {
                break;
            }
            self.pending.pop_front();
        }
        if self.broken_since.is_some_and(|since| self.now - since >= MS * 200) {
            self.broken_since = Some(self.now);
            self.key_wanted |= self.leg.peer_asks(self.now);
        }
    }
}

fn shown(seconds: &[Second]) -> String {
    seconds.iter().enumerate().map(|(number, second)| format!("{number:3} {second:?}\n")).collect()
}

fn is_reduced(second: &Second) -> bool {
    (1..=1_000).contains(&second.share_permille)
}

#[test]
fn a_link_for_most_of_the_frames_keeps_them_until_it_opens_and_then_has_all() {
    let mut simulation = Simulation::new("rate=200kbps");
    let narrow = simulation.run(40);
    let settled = &narrow[20..];
    assert!(settled.iter().all(is_reduced), "it lasts\n{}", shown(&narrow));
    assert!(settled.iter().all(|second| second.frames_seen >= 13), "about half or more are seen\n{}", shown(&narrow));
    assert!(settled.iter().map(|second| second.sounds_lost).sum::<u32>() <= 10, "and heard\n{}", shown(&narrow));
    simulation.network.schedule(simulation.now, "clear".parse().unwrap());
    let open = simulation.run(15);
    let recovered = &open[12..];
    assert!(recovered.iter().all(|second| second.share_permille == 1_001), "{}", shown(&open));
    assert!(recovered.iter().all(|second| second.frames_seen >= 29), "{}", shown(&open));
}

#[test]
fn a_link_for_all_frames_at_a_lower_rate_has_all_frames() {
    let mut simulation = Simulation::new("rate=600kbps");
    let seconds = simulation.run(30);
    let settled = &seconds[10..];
    assert!(settled.iter().all(|second| second.share_permille == 1_001), "{}", shown(&seconds));
    let seen: u32 = settled.iter().map(|second| second.frames_seen).sum();
    assert!(seen >= 560, "{seen} of 600 frames\n{}", shown(&seconds));
}

#[test]
fn a_link_for_sound_alone_is_left_to_it() {
    let mut simulation = Simulation::new("rate=100kbps");
    let seconds = simulation.run(60);
    let settled = &seconds[15..];
    let sound_only = settled.iter().filter(|second| second.share_permille == 0).count();
    assert!(sound_only * 3 >= settled.len() * 2, "a picture is tried now and then\n{}", shown(&seconds));
    let lost: u32 = settled.iter().map(|second| second.sounds_lost).sum();
    assert!(lost * 5 < 45 * 50, "most of the sound passes: {lost} lost\n{}", shown(&seconds));
}
