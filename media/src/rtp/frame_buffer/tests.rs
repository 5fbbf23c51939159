use super::*;
use bytes::Bytes;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A frame buffer, a clock, and a sender that makes pictures of three packets.
struct Scene {
    buffer: FrameBuffer,
    now: Instant,
    sequence_number: u16,
    timestamp: u32,
}

impl Scene {
    fn new() -> Self {
        let buffer = FrameBuffer::new(FrameBufferConfig::default());
        Self { buffer, now: Instant::now(), sequence_number: 65_530, timestamp: u32::MAX - 5_000 }
    }

    /// The packets of the next picture, not sent yet.
    fn picture(&mut self, key: bool) -> Vec<RtpPacket> {
        self.timestamp = self.timestamp.wrapping_add(3000);
        let slice = if key { 0x65 } else { 0x61 };
        let first: Vec<u8> = if key { vec![0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2] } else { vec![slice, 0x88, 1] };
        [first, vec![slice, 0x48, 2], vec![slice, 0x28, 3]]
            .into_iter()
            .enumerate()
            .map(|(index, payload)| {
                self.sequence_number = self.sequence_number.wrapping_add(1);
                RtpPacket {
                    sequence_number: self.sequence_number,
                    timestamp: self.timestamp,
                    marker: index == 2,
                    payload_type: 102,
                    ssrc: 1,
                    payload: Bytes::from(payload),
                }
            })
            .collect()
    }

    /// The packets of the next picture, fragments of one slice to which no other picture refers.
    fn discardable(&mut self) -> Vec<RtpPacket> {
        let mut packets = self.picture(false);
        for (packet, header) in packets.iter_mut().zip([0x81, 0x01, 0x41]) {
            packet.payload = Bytes::from(vec![0x1c, header, 0x88]);
        }
        packets
    }

    fn insert(&mut self, packets: &[RtpPacket]) {
        for packet in packets {
            self.buffer.insert(packet.clone(), self.now);
        }
    }

    fn send(&mut self, key: bool) -> u32 {
        let packets = self.picture(key);
        self.insert(&packets);
        packets[0].timestamp
    }

    fn poll(&mut self) -> Vec<u32> {
        std::iter::from_fn(|| self.buffer.poll_frame(self.now)).map(|frame| frame.rtp_timestamp).collect()
    }

    fn asks(&mut self) -> bool {
        self.buffer.poll_key_frame_request(self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// A scene in which a key frame was handed out.
    fn running() -> Self {
        let mut scene = Self::new();
        let key = scene.send(true);
        assert_eq!(scene.poll(), [key]);
        scene
    }
}

#[test]
fn a_picture_is_handed_out_as_soon_as_its_marker_is_there() {
    let mut scene = Scene::running();
    let packets = scene.picture(false);
    scene.insert(&packets[..2]);
    assert_eq!(scene.poll(), []);
    scene.insert(&packets[2..]);
    assert_eq!(scene.poll(), [packets[0].timestamp]);
    assert_eq!(scene.buffer.poll_timeout(), None);
}

#[test]
fn a_picture_without_a_marker_ends_where_the_next_begins() {
    let mut scene = Scene::running();
    let mut packets = scene.picture(false);
    packets[2].marker = false;
    scene.insert(&packets);
    assert_eq!(scene.poll(), []);
    let next = scene.picture(false);
    scene.insert(&next[..1]);
    assert_eq!(scene.poll(), [packets[0].timestamp]);
}

#[test]
fn packets_out_of_order_and_twice_change_nothing() {
    let mut scene = Scene::running();
    let (first, second) = (scene.picture(false), scene.picture(false));
    let mut mixed: Vec<_> = first.iter().chain(&second).cloned().collect();
    mixed.reverse();
    scene.insert(&mixed);
    scene.insert(&mixed);
    assert_eq!(scene.poll(), [first[0].timestamp, second[0].timestamp]);
    scene.insert(&mixed);
    assert_eq!(scene.poll(), []);
    let stats = scene.buffer.stats();
    assert_eq!((stats.duplicates, stats.frames_assembled, stats.packets_missing), (12, 3, 0));
}

#[test]
fn a_retransmission_within_the_wait_saves_the_picture() {
    let mut scene = Scene::running();
    let (first, second) = (scene.picture(false), scene.picture(false));
    scene.insert(&first[..1]);
    scene.insert(&first[2..]);
    scene.insert(&second);
    assert_eq!(scene.poll(), []);
    assert_eq!(scene.buffer.poll_timeout(), Some(scene.now + MS(300)));
    scene.pass(MS(299));
    assert_eq!(scene.poll(), []);
    scene.insert(&first[1..2]);
    assert_eq!(scene.poll(), [first[0].timestamp, second[0].timestamp]);
    assert!(!scene.asks());
}

#[test]
fn after_the_wait_everything_up_to_the_next_key_frame_is_dropped_and_one_is_asked_for() {
    let mut scene = Scene::running();
    let lost = scene.picture(false);
    scene.insert(&lost[1..]);
    scene.send(false);
    scene.send(false);
    assert_eq!(scene.poll(), []);
    scene.pass(MS(300));
    assert_eq!(scene.poll(), []);
    assert!(scene.asks());
    assert!(!scene.asks());
    let stats = scene.buffer.stats();
    assert_eq!((stats.frames_dropped_incomplete, stats.frames_dropped_no_reference), (1, 2));
    assert_eq!(stats.packets_missing, 1);
    scene.send(false);
    assert_eq!(scene.poll(), []);
    let key = scene.send(true);
    let after = scene.send(false);
    assert_eq!(scene.poll(), [key, after]);
    scene.pass(MS(5_000));
    assert!(!scene.asks());
}

#[test]
fn the_wait_grows_with_the_round_trip_time() {
    let mut scene = Scene::running();
    scene.buffer.set_rtt(MS(150));
    let lost = scene.picture(false);
    scene.insert(&lost[1..]);
    assert_eq!(scene.poll(), []);
    assert_eq!(scene.buffer.poll_timeout(), Some(scene.now + MS(1_050)));
}

#[test]
fn a_request_of_which_something_has_come_is_repeated_later() {
    let mut scene = Scene::new();
    scene.send(false);
    assert!(scene.poll().is_empty() && scene.asks());
    let key = scene.picture(true);
    scene.insert(&key[..2]);
    assert!(scene.poll().is_empty() && !scene.asks());
    assert_eq!(scene.buffer.poll_timeout(), Some(scene.now + MS(300)), "it is waited for");
    scene.pass(MS(300));
    assert!(scene.poll().is_empty() && scene.asks(), "and then given up");
}

#[test]
fn the_request_is_repeated_while_packets_come_but_none_of_a_key_frame() {
    let mut scene = Scene::new();
    let mut requests = Vec::new();
    let begin = scene.now;
    for _ in 0..60 {
        scene.send(false);
        assert_eq!(scene.poll(), []);
        if scene.asks() {
            requests.push((scene.now - begin).as_millis());
        }
        scene.pass(MS(33));
    }
    assert_eq!(requests, [0, 231, 462, 693, 924, 1155, 1386, 1617, 1848]);
    scene.pass(MS(600));
    assert!(scene.asks());
    scene.pass(MS(600));
    assert!(!scene.asks(), "a silent peer is not asked again");
    assert_eq!(scene.buffer.poll_timeout(), None);
}

#[test]
fn a_whole_key_frame_does_not_wait_for_what_lies_before_it() {
    let mut scene = Scene::running();
    let lost = scene.picture(false);
    scene.insert(&lost[1..]);
    scene.send(false);
    let key = scene.send(true);
    let after = scene.send(false);
    assert_eq!(scene.poll(), [key, after]);
    let stats = scene.buffer.stats();
    assert_eq!((stats.frames_dropped_incomplete, stats.frames_dropped_no_reference), (1, 1));
    scene.insert(&lost[..1]);
    assert_eq!(scene.poll(), []);
    assert_eq!(scene.buffer.stats().duplicates, 1);
}

#[test]
fn the_key_frame_after_an_outage_does_not_wait_for_the_outage() {
    let mut scene = Scene::running();
    for _ in 0..30 {
        scene.picture(false);
    }
    let key = scene.send(true);
    assert_eq!(scene.poll(), [key]);
    let after = scene.send(false);
    assert_eq!(scene.poll(), [after]);
    assert!(!scene.asks());
}

#[test]
fn what_nobody_asks_for_is_not_waited_for() {
    for (gap, within_a_picture) in [(512, false), (513, false), (510, true), (511, true)] {
        let mut scene = Scene::running();
        if within_a_picture {
            let begun = scene.picture(false);
            scene.insert(&begun[..1]);
        }
        // The two that are left of the picture are missing, too.
        let missing = gap + 2 * u16::from(within_a_picture);
        scene.sequence_number = scene.sequence_number.wrapping_add(gap);
        scene.pass(MS(5_000));
        scene.send(false);
        assert_eq!(scene.poll(), []);
        assert_eq!(scene.asks(), missing > 512, "{missing} are missing");
        scene.pass(MS(300));
        assert_eq!((scene.poll(), scene.asks()), (vec![], missing <= 512), "{missing} are missing");
    }
}

#[test]
fn an_incomplete_key_frame_is_waited_for() {
    let mut scene = Scene::new();
    let key = scene.picture(true);
    scene.insert(&key[1..]);
    let after = scene.send(false);
    assert_eq!(scene.poll(), []);
    assert!(!scene.asks());
    scene.pass(MS(60));
    scene.insert(&key[..1]);
    assert_eq!(scene.poll(), [key[0].timestamp, after]);
}

#[test]
fn a_key_frame_overtaken_by_the_next_picture_is_not_lost() {
    let mut scene = Scene::running();
    scene.buffer.decoding_failed(scene.now);
    assert!(scene.asks());
    let key = scene.picture(true);
    let after = scene.send(false);
    assert_eq!(scene.poll(), []);
    scene.pass(MS(15));
    scene.insert(&key);
    assert_eq!(scene.poll(), [key[0].timestamp, after]);
}

#[test]
fn the_rest_of_a_picture_that_was_given_up_is_not_taken_for_a_whole_one() {
    let mut scene = Scene::new();
    let mut key = scene.picture(true);
    key[1].payload = Bytes::from_static(&[0x65, 0x88, 2]);
    scene.insert(&key[..1]);
    assert_eq!(scene.poll(), []);
    scene.pass(MS(300));
    assert_eq!(scene.poll(), []);
    scene.insert(&key[1..]);
    assert_eq!(scene.poll(), []);
    let stats = scene.buffer.stats();
    assert_eq!((stats.frames_assembled, stats.frames_dropped_incomplete), (0, 1));
    assert!(scene.asks());
}

#[test]
fn padding_fills_the_gap_in_the_numbers() {
    let mut scene = Scene::running();
    let first = scene.send(false);
    let mut padding = scene.picture(false);
    for packet in &mut padding {
        packet.payload = Bytes::new();
        packet.timestamp = first;
        packet.marker = false;
    }
    scene.insert(&padding);
    let second = scene.send(false);
    assert_eq!(scene.poll(), [first, second]);
    assert_eq!(scene.buffer.stats().frames_dropped_incomplete, 0);
}

#[test]
fn malformed_packets_cost_their_picture_and_a_key_frame() {
    let mut scene = Scene::running();
    let mut broken = scene.picture(false);
    broken[1].payload = Bytes::from_static(&[0x78, 0xff, 0xff, 1]);
    scene.insert(&broken);
    assert_eq!(scene.poll(), []);
    assert!(scene.asks());
    assert_eq!(scene.buffer.stats().frames_dropped_malformed, 1);
    scene.send(false);
    let key = scene.send(true);
    assert_eq!(scene.poll(), [key]);
}

#[test]
fn a_failed_decoder_gets_the_next_key_frame() {
    let mut scene = Scene::running();
    scene.buffer.decoding_failed(scene.now);
    assert!(scene.asks());
    scene.send(false);
    let key = scene.send(true);
    assert_eq!(scene.poll(), [key]);
}

#[test]
fn a_full_buffer_is_emptied_and_a_key_frame_asked_for() {
    let mut scene = Scene::running();
    let lost = scene.picture(false);
    scene.insert(&lost[1..]);
    for _ in 0..1_000 {
        scene.send(false);
        assert!(scene.buffer.packets_held() <= 2048);
    }
    scene.poll();
    assert!(scene.asks());
    let stats = scene.buffer.stats();
    let dropped = stats.frames_dropped_incomplete + stats.frames_dropped_no_reference + stats.frames_dropped_flushed;
    assert_eq!(dropped, 1_001);
    let key = scene.send(true);
    assert_eq!(scene.poll(), [key]);
}

#[test]
fn another_sender_begins_anew_at_any_number() {
    let mut scene = Scene::running();
    scene.sequence_number = 20_000;
    let mut key = scene.picture(true);
    key.iter_mut().for_each(|packet| packet.ssrc = 2);
    scene.insert(&key);
    assert_eq!(scene.poll(), [key[0].timestamp]);
}

#[test]
fn one_stray_number_is_ignored_and_two_in_a_row_begin_anew() {
    let mut scene = Scene::running();
    let mut stray = scene.picture(false);
    stray[0].sequence_number = stray[0].sequence_number.wrapping_add(20_000);
    let normal = [stray[1].clone(), stray[2].clone()];
    scene.insert(&stray[..1]);
    scene.insert(&normal);
    stray[0].sequence_number = stray[0].sequence_number.wrapping_sub(20_000);
    scene.insert(&stray[..1]);
    assert_eq!(scene.poll(), [stray[0].timestamp]);
    scene.sequence_number = scene.sequence_number.wrapping_add(30_000);
    let restarted = scene.picture(true);
    scene.insert(&restarted[..2]);
    let key = scene.send(true);
    assert_eq!(scene.poll(), [key]);
}

#[test]
fn a_lost_part_of_a_picture_to_which_none_refers_costs_that_picture_only() {
    for lost in 0..3 {
        let mut scene = Scene::running();
        let mut partly = scene.discardable();
        partly.remove(lost);
        scene.insert(&partly);
        let next = scene.send(false);
        assert_eq!(scene.poll(), [], "a retransmission may come");
        scene.pass(MS(100));
        assert_eq!(scene.poll(), [next], "without packet {lost}");
        assert!(!scene.asks());
        let stats = scene.buffer.stats();
        assert_eq!((stats.frames_dropped_incomplete, stats.packets_missing), (1, 1));
        let after = scene.send(false);
        assert_eq!(scene.poll(), [after]);
    }
}

#[test]
fn where_a_reference_may_be_lost_too_a_key_frame_is_asked_for() {
    for lost in [0..1, 0..2, 2..4, 1..4, 3..6] {
        let mut scene = Scene::running();
        let discardable = scene.discardable();
        let mut packets: Vec<_> = discardable.into_iter().chain(scene.picture(false)).collect();
        // Of the three of the one and the three of the other; the first case loses a packet of the reference.
        let lost = if lost == (0..1) { 4..5 } else { lost };
        packets.drain(lost.clone());
        scene.insert(&packets);
        scene.send(false);
        scene.poll();
        scene.pass(MS(299));
        scene.poll();
        assert!(!scene.asks(), "without {lost:?}: a retransmission may come");
        scene.pass(MS(1));
        scene.poll();
        assert!(scene.asks(), "without {lost:?}");
    }
}

#[test]
fn a_picture_of_nothing_but_beginnings_takes_no_square_of_the_time() {
    let mut scene = Scene::running();
    let packets = 1_000_u64;
    let lost = scene.picture(false);
    scene.insert(&lost[1..]);
    for _ in 0..packets {
        let mut beginning = scene.picture(true).remove(0);
        scene.sequence_number = beginning.sequence_number;
        beginning.timestamp = lost[0].timestamp + 3_000;
        scene.insert(&[beginning]);
        scene.poll();
    }
    let looks = scene.buffer.held.looks.get();
    assert!(looks <= packets * (packets + 10), "{looks} looks");
}
