//! One sender on a link that carries little, by a made-up clock: the real estimator, pacer, adaptation and queue between a modelled
//! encoder and receiver and the lab's network.

mod busy;
mod capacity;
#[path = "../../../media/src/video/encoder/tests/hard_film.rs"]
mod hard_film;
mod pair;
mod receiver;
mod sender;
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parlor_lab_net::direction::Direction;
use parlor_session::ConnectionId;
use parlor_session::adaptation::Share;
use rtc::interceptor::PacketReport;

use crate::media_bridge::leg_queue::LegStats;
use busy::Busy;
use receiver::Receiver;
use sender::Sender;

const MS: Duration = Duration::from_millis(1);
const LEG: ConnectionId = ConnectionId(1);
/// Another one, for whom everything is sent at full speed.
const FAST: ConnectionId = ConnectionId(2);
/// RTP header with its extensions; below it the link sees SRTP's tag too.
const RTP_BYTES: usize = 24;
const SRTP_BYTES: usize = 10;
/// And the headers of IP and UDP.
const IP_BYTES: usize = 28;
const PACKET_BYTES: usize = 1_170;
/// What others send on the same link, such as feedback on the receiver's own picture: 19 kbit/s with headers, where nothing else
/// is said.
const FOREIGN_BYTES: usize = 90;
/// Marks such a packet.
const FOREIGN: u32 = u32::MAX;
/// Marks feedback of this side on what the other sends, before its number.
const FEEDBACK: u32 = 1 << 31;

/// What a packet is.
#[derive(Clone, Copy, Debug)]
enum What {
    Sound,
    /// By its sequence number.
    Picture(usize),
    /// Repeats a packet of the picture.
    Repair(usize),
}

/// A packet that left.
struct Sent {
    departure: Instant,
    /// When it was made, in milliseconds since the beginning.
    made_ms: u128,
    size: usize,
    arrival: Option<Duration>,
    what: What,
}

/// What the receiver says.
enum Feedback {
    Report {
        /// What reports that never came were on.
        skipped: Vec<PacketReport>,
        reports: Vec<PacketReport>,
    },
    /// These packets of the picture are missing.
    Nack(Vec<usize>),
    KeyFrame,
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
    repairs: u32,
    sounds_lost: u32,
    /// The longest that a sound was on its way.
    sound_ms_max: u128,
    /// The longest from capture until a picture was shown.
    picture_ms_max: u128,
    /// What came out of the link, headers counted.
    arrived_bits: usize,
}

struct Simulation {
    begin: Instant,
    now: Instant,
    network: Direction<Vec<u8>>,
    sender: Sender,
    receiver: Receiver,
    /// Every packet that left, by its number.
    sent: Vec<Sent>,
    /// What the receiver has said. With nobody else there nothing is slow on its way back.
    feedback: VecDeque<Feedback>,
    /// Numbers of feedback that this side's link has passed on.
    passed_on: Vec<usize>,
    second: Second,
    machine: Busy,
    /// Between two packets of others.
    foreign_interval_ms: u128,
}

impl Simulation {
    /// On machines that have time.
    fn new(description: &str) -> Self {
        Self::on(description, [[Busy::never(), Busy::never()], [Busy::never(), Busy::never()]], Busy::never())
    }

    /// On one machine that is busy with other things; seeded.
    fn busy(description: &str, seed: u64) -> Self {
        Self::on(description, [Busy::thread(3 * seed), Busy::thread(3 * seed + 1)], Busy::machine(3 * seed + 2))
    }

    fn on(description: &str, [here, there]: [[Busy; 2]; 2], machine: Busy) -> Self {
        let begin = Instant::now();
        let mut network = Direction::new(1);
        network.schedule(begin, description.parse().unwrap());
        Self {
            begin,
            now: begin,
            network,
            sender: Sender::new(begin, here),
            receiver: Receiver::new(there),
            sent: Vec::new(),
            feedback: VecDeque::new(),
            passed_on: Vec::new(),
            second: Second::default(),
            machine,
            foreign_interval_ms: 50,
        }
    }

    /// One second at a time.
    fn run(&mut self, seconds: usize) -> Vec<Second> {
        (0..seconds).map(|_| self.run_second()).collect()
    }

    fn run_second(&mut self) -> Second {
        let before = self.begin_second();
        (0..1_000).for_each(|_| self.pass_a_millisecond());
        self.end_second(before)
    }

    fn pass_a_millisecond(&mut self) {
        self.now += MS;
        self.step();
    }

    fn begin_second(&mut self) -> LegStats {
        self.second = Second::default();
        self.sender.leg.stats()
    }

    fn end_second(&self, before: LegStats) -> Second {
        let stats = self.sender.leg.stats();
        let share_permille = match self.sender.share() {
            Some(Share::Fraction { keep_permille }) => keep_permille,
            Some(Share::SoundOnly) => 0,
            Some(Share::All) | None => 1_001,
        };
        Second {
            target_bps: self.sender.quality.target_bps(),
            share_permille,
            frames_sent: stats.frames_sent - before.frames_sent,
            frames_withheld: stats.frames_withheld - before.frames_withheld,
            frames_dropped: stats.frames_dropped - before.frames_dropped,
            ..self.second
        }
    }

    fn step(&mut self) {
        let ms = self.now.duration_since(self.begin).as_millis();
        let stands_still = self.machine.is_busy(ms);
        for (size, made_ms, what) in self.sender.step(self.now, ms, stands_still, &mut self.feedback) {
            self.second.repairs += u32::from(matches!(what, What::Repair(_)));
            self.put(size, made_ms, what);
        }
        if ms.is_multiple_of(self.foreign_interval_ms) {
            self.put_else(FOREIGN);
        }
        while let Some((_, packet)) = self.network.poll_packet(self.now) {
            self.second.arrived_bits += (packet.len() + IP_BYTES) * 8;
            let id = u32::from_be_bytes(packet[..4].try_into().unwrap());
            match id {
                FOREIGN => {}
                id if id >= FEEDBACK => self.passed_on.push((id - FEEDBACK) as usize),
                id => self.receiver.waiting.push_back(id as usize),
            }
        }
        if !stands_still {
            self.receiver.step(ms, &mut self.sent, &self.sender, &mut self.second, &mut self.feedback);
        }
    }

    fn put(&mut self, size: usize, made_ms: u128, what: What) {
        let mut packet = (self.sent.len() as u32).to_be_bytes().to_vec();
        packet.resize(size + SRTP_BYTES, 0);
        self.sent.push(Sent { departure: self.now, made_ms, size, arrival: None, what });
        self.network.handle_packet(self.now, packet);
    }

    /// What is neither sound nor picture.
    fn put_else(&mut self, id: u32) {
        let mut packet = id.to_be_bytes().to_vec();
        packet.resize(FOREIGN_BYTES, 0);
        self.network.handle_packet(self.now, packet);
    }
}
