use rtc::interceptor::{RTCPFeedback, RTPHeaderExtension};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

use super::super::stage::tests::{rtcp_packet, rtp_packet, video_stream};
use super::*;

const MS: Duration = Duration::from_millis(1);
const VIDEO: u32 = 1;

struct Bench {
    generator: NackGenerator,
    quality: Arc<LinkQuality>,
    begin: Instant,
}

impl Bench {
    fn new() -> Self {
        let quality = Arc::new(LinkQuality::default());
        let generator = NackGenerator::new(quality.clone(), 7);
        let mut bench = Self { generator, quality, begin: Instant::now() };
        bench.bind();
        bench
    }

    fn bind(&mut self) {
        let feedback = RTCPFeedback { typ: "nack".to_owned(), parameter: String::new() };
        self.generator.bind_remote(&StreamInfo { rtcp_feedback: vec![feedback], ..video_stream(VIDEO, 2) });
    }

    fn receive(&mut self, at_ms: u32, sequence_number: u16) {
        let mut belt = Belt::default();
        self.generator.handle_read(rtp_packet(self.begin + MS * at_ms, VIDEO, sequence_number, b"a"), &mut belt);
        assert_eq!(belt.read.len(), 1, "everything passes");
    }

    /// Steps to each deadline up to `until_ms`; gives the time of each request and what it names.
    fn requests(&mut self, until_ms: u32) -> Vec<(u128, Vec<u16>)> {
        let mut requests = Vec::new();
        while let Some(at) = self.generator.poll_timeout().filter(|at| *at <= self.begin + MS * until_ms) {
            let mut belt = Belt::default();
            self.generator.handle_timeout(at, &mut belt);
            let after_ms = at.duration_since(self.begin).as_millis();
            requests.extend(belt.write.iter().map(|packet| (after_ms, named(packet))));
        }
        requests
    }
}

fn named(packet: &TaggedPacket) -> Vec<u16> {
    let Packet::Rtcp(packets) = &packet.message.packet else { panic!("not RTCP") };
    let nack = packets[0].as_any().downcast_ref::<TransportLayerNack>().expect("a request");
    assert_eq!((nack.sender_ssrc, nack.media_ssrc), (7, VIDEO));
    nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect()
}

#[test]
fn a_lost_packet_is_asked_for_soon_and_again_until_it_comes() {
    let mut bench = Bench::new();
    bench.quality.note_path_rtt(MS);
    bench.receive(0, 65_534);
    bench.receive(0, 1);
    assert_eq!(bench.requests(4), []);
    assert_eq!(bench.requests(24), [(5, vec![65_535, 0]), (15, vec![65_535, 0])]);
    bench.receive(24, 65_535);
    assert_eq!(bench.requests(25), [(25, vec![0])]);
    bench.receive(26, 0);
    assert_eq!(bench.requests(1_000), []);
}

#[test]
fn nothing_is_asked_for_twice_before_the_answer_can_be_there() {
    let mut bench = Bench::new();
    bench.quality.note_path_rtt(MS * 100);
    bench.receive(0, 1);
    bench.receive(0, 3);
    let times: Vec<u128> = bench.requests(2_000).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [5, 130, 255, 380, 505, 630, 755], "and not for ever");
}

#[test]
fn where_much_is_lost_the_answer_is_not_waited_for() {
    let mut bench = Bench::new();
    bench.quality.note_path_rtt(MS * 100);
    (0..300_u16).filter(|number| number % 3 > 0).for_each(|number| bench.receive(0, number));
    let before = bench.requests(1_000).len();
    assert!(before > 0);
    bench.receive(1_001, 301);
    let times: Vec<u128> = bench.requests(1_200).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [1_006, 1_068, 1_131, 1_193]);
}

#[test]
fn what_is_out_of_order_is_not_asked_for() {
    let mut bench = Bench::new();
    for (at_ms, number) in [(0, 1), (1, 4), (3, 2), (5, 3), (6, 5)] {
        bench.receive(at_ms, number);
    }
    assert_eq!(bench.requests(1_000), []);
}

#[test]
fn a_jump_or_a_new_beginning_asks_for_nothing() {
    let mut bench = Bench::new();
    for (at_ms, number) in [(0, 1), (1, 3), (2, 2_000), (3, 2_001), (4, 50_000), (5, 50_001), (6, 10), (7, 11)] {
        bench.receive(at_ms, number);
    }
    assert_eq!(bench.requests(1_000), []);
    bench.receive(1_001, 13);
    assert_eq!(bench.requests(1_006), [(1_006, vec![12])]);
}

#[test]
fn what_an_outage_took_is_missed_though_the_stream_is_bound_anew() {
    for is_bound_first in [true, false] {
        let mut bench = Bench::new();
        bench.receive(0, 1);
        if is_bound_first {
            bench.bind();
        }
        bench.receive(1_000, 5);
        bench.bind();
        assert_eq!(bench.requests(1_005), [(1_005, vec![2, 3, 4])]);
    }
}

#[test]
fn however_much_is_lost_so_many_are_asked_for_at_a_time() {
    let mut bench = Bench::new();
    for number in (0..8_000_u16).step_by(400) {
        bench.receive(0, number);
    }
    let missing = &bench.generator.streams[&VIDEO].missing;
    assert_eq!(missing.len(), MISSING_MAX);
    let asked: Vec<u16> = bench.requests(5).into_iter().flat_map(|(_, numbers)| numbers).collect();
    assert!(asked.len() == MISSING_MAX && asked.contains(&7_599), "the newest");
}

#[test]
fn what_does_not_come_is_asked_for_less_and_less() {
    let mut bench = Bench::new();
    bench.quality.note_path_rtt(MS);
    bench.receive(0, 1);
    bench.receive(0, 3);
    let times: Vec<u128> = bench.requests(2_000).into_iter().map(|(at, _)| at).collect();
    let at_a_pace = (0..10).map(|index| 5 + index * 10);
    let at_half_of_it = (0..10).map(|index| 105 + index * 20);
    assert_eq!(times, at_a_pace.chain(at_half_of_it).chain([305, 335]).collect::<Vec<_>>());
}

#[test]
fn of_a_flood_no_more_is_asked_than_the_way_back_can_spare() {
    let mut bench = Bench::new();
    bench.quality.note_path_rtt(MS);
    bench.quality.set_target_bps(100_000.0);
    let mut requests = 0;
    // Two seconds in which one of ten packets comes.
    for number in 0..200_u16 {
        requests += bench.requests(u32::from(number) * 10).len();
        if number % 10 == 0 {
            bench.receive(u32::from(number) * 10, number);
        }
    }
    // At 68 bytes each, 5 kbps of two and a quarter seconds.
    assert!((10..=21).contains(&requests), "{requests}");
}

#[test]
fn sound_that_nobody_reports_on_is_no_silence() {
    // How often it is asked in a second of a flood, after a report on another stream.
    let asked = |is_agreed: bool| {
        let mut bench = Bench::new();
        bench.quality.note_path_rtt(MS);
        let uri = if is_agreed { TRANSPORT_CC_URI } else { "another" };
        let rtp_header_extensions = vec![RTPHeaderExtension { uri: uri.to_owned(), id: 3 }];
        bench.generator.bind_local(&StreamInfo { ssrc: 9, rtp_header_extensions, ..Default::default() });
        let report = rtcp_packet(bench.begin, TransportLayerCc::default());
        bench.generator.handle_read(report, &mut Belt::default());
        for number in 0..100_u16 {
            let at_ms = u32::from(number) * 20;
            bench.generator.handle_write(rtp_packet(bench.begin + MS * at_ms, 9, number, b"a"), &mut Belt::default());
            bench.receive(at_ms, number * 10);
            _ = if at_ms < 1_000 { bench.requests(at_ms).len() } else { 0 };
        }
        bench.requests(2_200).len()
    };
    assert!(asked(true) < asked(false), "{} {}", asked(true), asked(false));
}

#[test]
fn what_is_missed_of_sound_and_picture_is_asked_for_together() {
    let mut bench = Bench::new();
    let info = StreamInfo { ssrc: 9, mime_type: "audio/opus".to_owned(), payload_type: 111, ..Default::default() };
    bench.generator.bind_remote(&info);
    for ssrc in [VIDEO, 9] {
        for number in [1, 3] {
            bench.generator.handle_read(rtp_packet(bench.begin, ssrc, number, b"a"), &mut Belt::default());
        }
    }
    let mut belt = Belt::default();
    bench.generator.handle_timeout(bench.begin + GRACE, &mut belt);
    let [packet] = belt.write.make_contiguous() else { panic!("one packet") };
    let Packet::Rtcp(requests) = &packet.message.packet else { panic!("not RTCP") };
    assert_eq!(requests.len(), 2);
}

#[test]
fn streams_without_the_feedback_are_left_alone() {
    let mut bench = Bench::new();
    bench.generator.unbind_remote(&video_stream(VIDEO, 2));
    bench.generator.bind_remote(&video_stream(VIDEO, 2));
    bench.receive(0, 1);
    bench.receive(0, 3);
    assert_eq!(bench.generator.poll_timeout(), None);
}

/// A bench for sound, with packets of this payload type.
fn sound(rtt: Duration, packets: &[(u32, u16, u8)]) -> Vec<(u128, Vec<u16>)> {
    sound_bound(&[("audio/opus", 111)], rtt, packets)
}

/// The same, bound by these.
fn sound_bound(by: &[(&str, u8)], rtt: Duration, packets: &[(u32, u16, u8)]) -> Vec<(u128, Vec<u16>)> {
    let mut bench = Bench::new();
    bench.quality.note_path_rtt(rtt);
    for (mime_type, payload_type) in by {
        let mime_type = (*mime_type).to_owned();
        bench.generator.bind_remote(&StreamInfo {
            ssrc: VIDEO,
            mime_type,
            payload_type: *payload_type,
            ..Default::default()
        });
    }
    for (at_ms, number, payload_type) in packets {
        // With two copies where it is not plain Opus.
        let payload: &[u8] = if *payload_type == 63 { b"\xef\x1e\0\x01\xef\x0f\0\x01\x6fabc" } else { b"c" };
        let mut packet = rtp_packet(bench.begin + MS * *at_ms, VIDEO, *number, payload);
        let Packet::Rtp(rtp) = &mut packet.message.packet else { panic!("not RTP") };
        rtp.header.payload_type = *payload_type;
        bench.generator.handle_read(packet, &mut Belt::default());
    }
    bench.requests(1_000)
}

#[test]
fn a_sound_is_asked_for_while_it_can_still_be_heard() {
    let requests = sound(MS * 20, &[(0, 1, 111), (40, 3, 111)]);
    assert_eq!(requests.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [45, 70, 95, 120, 145]);
    assert_eq!(sound(MS * 100, &[(0, 1, 111), (40, 3, 111)]), [], "the answer would be too late");
}

#[test]
fn of_the_sounds_of_an_outage_only_the_last_are_asked_for() {
    let requests = sound(MS, &[(0, 1, 111), (900, 51, 111)]);
    assert_eq!(requests[0], (905, (43..=50).collect()));
}

#[test]
fn sounds_that_came_as_copies_are_not_asked_for() {
    assert_eq!(sound(MS, &[(0, 1, 111), (60, 4, 63)]), []);
    let asked = sound(MS, &[(0, 1, 111), (80, 5, 63)]);
    assert!(!asked.is_empty() && asked.iter().all(|(_, numbers)| *numbers == [2]), "{asked:?}");
}

#[test]
fn a_sound_that_is_bound_by_one_with_copies_is_known_as_well() {
    let [opus, red] = [("audio/opus", 111), ("audio/red", 63)];
    for by in [&[red][..], &[opus, red], &[red, opus]] {
        assert_eq!(sound_bound(by, MS, &[(0, 1, 111), (60, 4, 63)]), [], "{by:?}");
        assert_ne!(sound_bound(by, MS, &[(0, 1, 63), (60, 4, 111)]), [], "{by:?}");
        assert_eq!(sound_bound(by, MS * 100, &[(0, 1, 111), (40, 3, 111)]), [], "{by:?}");
    }
}

#[test]
fn as_many_are_asked_for_as_are_kept_and_none_of_more() {
    for (last, asked) in [(514, 512), (515, 0)] {
        let mut bench = Bench::new();
        bench.receive(0, 1);
        bench.receive(0, last);
        let requests = bench.requests(20);
        assert_eq!(requests.first().map_or(0, |(_, numbers)| numbers.len()), asked, "{last}");
    }
}
