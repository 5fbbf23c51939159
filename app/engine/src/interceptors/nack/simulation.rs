//! Requests, repairs and the frame buffer over the lab's network, by a made-up clock: what a picture needs to go on where a third
//! of everything is lost, the requests included.

use bytes::Bytes;
use parlor_lab_net::direction::Direction;
use parlor_media::RtpPacket;
use parlor_media::rtp::frame_buffer::{FrameBuffer, FrameBufferConfig};
use rtc::interceptor::RTCPFeedback;

use super::super::stage::tests::{rtp_packet, video_stream};
use super::*;

const MS: Duration = Duration::from_millis(1);
const VIDEO: u32 = 1;
const FRAMES: u32 = 900;
/// Between two key frames made on request.
const KEY_INTERVAL_MS: u32 = 500;
/// A request for a key frame, among requests for packets.
const KEY_FRAME: [u8; 1] = [1];

struct Simulation {
    begin: Instant,
    now: Instant,
    forth: Direction<Vec<u8>>,
    back: Direction<Vec<u8>>,
    generator: NackGenerator,
    buffer: FrameBuffer,
    sent: Vec<RtpPacket>,
    key_wanted: bool,
    key_made_ms: u32,
    outcome: Outcome,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
struct Outcome {
    shown: u32,
    key_frames: u32,
    repairs: usize,
    packets: usize,
    /// Between two pictures, by when they came.
    longest_gap: Duration,
    shown_at: Option<Instant>,
}

impl Simulation {
    fn new(description: &str, rtt: Duration, seed: u64) -> Self {
        let (begin, quality) = (Instant::now(), Arc::new(LinkQuality::default()));
        let way = |seed| {
            let mut way = Direction::new(seed);
            way.schedule(begin, description.parse().unwrap());
            way
        };
        quality.note_path_rtt(rtt);
        let mut buffer = FrameBuffer::new(FrameBufferConfig::default());
        buffer.set_rtt(rtt);
        let mut generator = NackGenerator::new(quality, 7);
        let feedback = RTCPFeedback { typ: "nack".to_owned(), parameter: String::new() };
        generator.bind_remote(&StreamInfo { rtcp_feedback: vec![feedback], ..video_stream(VIDEO, 2) });
        Self {
            begin,
            now: begin,
            forth: way(seed),
            back: way(seed + 1_000),
            generator,
            buffer,
            sent: Vec::new(),
            key_wanted: true,
            key_made_ms: 0,
            outcome: Outcome::default(),
        }
    }

    fn run(mut self) -> Outcome {
        for ms in 0..FRAMES * 33 {
            self.now = self.begin + MS * ms;
            if ms.is_multiple_of(33) {
                self.make_frame(ms);
            }
            while let Some((_, request)) = self.back.poll_packet(self.now) {
                self.answer(&request);
            }
            while let Some((_, packet)) = self.forth.poll_packet(self.now) {
                self.receive(u32::from_be_bytes(packet[..4].try_into().unwrap()));
            }
            self.ask();
        }
        self.outcome.packets = self.sent.len();
        self.outcome
    }

    /// Of three packets, a key frame of thirty; to every second one no other refers.
    fn make_frame(&mut self, ms: u32) {
        let key = self.key_wanted && (self.sent.is_empty() || ms - self.key_made_ms >= KEY_INTERVAL_MS);
        let (indicator, slice, count) = match (key, ms / 33 % 2) {
            (true, _) => (0x7c, 5, 30),
            (false, 0) => (0x7c, 1, 3),
            (false, _) => (0x1c, 1, 3),
        };
        if key {
            (self.key_wanted, self.key_made_ms) = (false, ms);
            self.outcome.key_frames += 1;
            self.send_new(ms, false, vec![0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2]);
        }
        for index in 0..count {
            let edge = if index == 0 { 0x80 } else { u8::from(index + 1 == count) << 6 };
            let mut payload = vec![indicator, edge | slice, 0x88];
            payload.resize(1_100, 0xaa);
            self.send_new(ms, index + 1 == count, payload);
        }
    }

    fn send_new(&mut self, ms: u32, marker: bool, payload: Vec<u8>) {
        let number = self.sent.len();
        self.sent.push(RtpPacket {
            sequence_number: number as u16,
            timestamp: ms * 90,
            marker,
            payload_type: 102,
            ssrc: VIDEO,
            payload: Bytes::from(payload),
        });
        self.put(number);
    }

    fn put(&mut self, number: usize) {
        let mut packet = (number as u32).to_be_bytes().to_vec();
        packet.resize(1_150, 0);
        self.forth.handle_packet(self.now, packet);
    }

    fn answer(&mut self, request: &[u8]) {
        if request == KEY_FRAME {
            self.key_wanted = true;
            return;
        }
        for number in request.chunks_exact(2) {
            self.outcome.repairs += 1;
            self.put(usize::from(u16::from_be_bytes([number[0], number[1]])));
        }
    }

    fn receive(&mut self, number: u32) {
        let packet = self.sent[number as usize].clone();
        let mut belt = Belt::default();
        self.generator.handle_read(rtp_packet(self.now, VIDEO, packet.sequence_number, b"a"), &mut belt);
        self.buffer.insert(packet, self.now);
        self.look();
    }

    fn look(&mut self) {
        while self.buffer.poll_frame(self.now).is_some() {
            let gap = self.outcome.shown_at.replace(self.now).map_or(Duration::ZERO, |at| self.now - at);
            self.outcome.longest_gap = self.outcome.longest_gap.max(gap);
            self.outcome.shown += 1;
        }
    }

    fn ask(&mut self) {
        self.look();
        if self.generator.poll_timeout().is_some_and(|at| at <= self.now) {
            let mut belt = Belt::default();
            self.generator.handle_timeout(self.now, &mut belt);
            for packet in belt.write {
                let Packet::Rtcp(packets) = &packet.message.packet else { continue };
                let nack = packets[0].as_any().downcast_ref::<TransportLayerNack>().unwrap();
                let numbers = nack.nacks.iter().flat_map(|pair| pair.packet_list());
                self.back.handle_packet(self.now, numbers.flat_map(u16::to_be_bytes).collect());
            }
        }
        if self.buffer.poll_key_frame_request(self.now) {
            self.back.handle_packet(self.now, KEY_FRAME.to_vec());
        }
    }
}

/// Of some seeds, the outcome with the fewest pictures.
fn worst(description: &str, rtt: Duration) -> Outcome {
    let outcomes = (1..=8).map(|seed| Simulation::new(description, rtt, seed).run());
    outcomes.min_by_key(|outcome| outcome.shown).unwrap()
}

#[test]
fn with_a_tenth_lost_each_way_no_picture_is_missed_or_late() {
    let outcome = worst("loss=10%", MS);
    println!("{outcome:?}");
    assert!(outcome.shown >= FRAMES - 1, "{outcome:?}");
    assert!(outcome.longest_gap < MS * 183, "a freeze: {outcome:?}");
    assert_eq!(outcome.key_frames, 1, "{outcome:?}");
}

#[test]
fn with_a_third_lost_each_way_nearly_every_picture_is_shown() {
    let outcome = worst("loss=30%", MS);
    println!("{outcome:?}");
    assert!(outcome.shown >= FRAMES * 99 / 100, "{outcome:?}");
    assert!(outcome.key_frames <= 2, "{outcome:?}");
    assert!(outcome.repairs < outcome.packets, "no storm: {outcome:?}");
}

#[test]
fn on_a_longer_path_a_third_lost_costs_few_pictures() {
    let outcome = worst("loss=30%,delay=50ms", MS * 100);
    println!("{outcome:?}");
    // Of those to which no other refers some are left out: the others would wait for them.
    assert!(outcome.shown >= FRAMES * 85 / 100, "{outcome:?}");
    assert!(outcome.key_frames <= 2 && outcome.longest_gap < MS * 800, "{outcome:?}");
    assert!(outcome.repairs < outcome.packets, "no storm: {outcome:?}");
}
