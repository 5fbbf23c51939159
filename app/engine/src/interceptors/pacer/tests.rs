use super::*;
use crate::interceptors::stage::tests::{header, rtcp_packet, rtp_packet};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

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
fn what_comes_after_a_pause_leaves_five_milliseconds_of_it_at_once() {
    let (mut pacer, start) = (pacer(), Instant::now());
    pacer.handle_write(rtp_packet(start, VIDEO, 0, &PAYLOAD), &mut Belt::default());
    run(&mut pacer, start, Duration::from_millis(100));
    let (later, mut belt) = (start + Duration::from_secs(1), Belt::default());
    (1..20).for_each(|number| pacer.handle_write(rtp_packet(later, VIDEO, number, &PAYLOAD), &mut belt));
    // 12,500 bits at 2.5 Mbps, and the packet with which they end.
    assert_eq!(belt.write.len(), 2);
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
fn a_key_frame_does_not_wait_for_repairs_of_what_lies_before_it() {
    for is_full in [true, false] {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.quality.set_full(is_full);
        let mut belt = Belt::default();
        pacer.handle_write(rtp_packet(start, VIDEO, 100, &PAYLOAD), &mut belt);
        pacer.handle_write(rtp_packet(start, VIDEO, 101, &PAYLOAD), &mut belt);
        (80..100).for_each(|number| pacer.handle_write(repair(start, number, number), &mut belt));
        // One packet of 1,212 bytes at 2.5 Mbit/s, and none of the repairs.
        let waits = pacer.gauge.backlog_of_key_frame();
        assert!(
            if is_full { waits.is_zero() } else { waits > Duration::ZERO && waits < Duration::from_millis(5) },
            "{waits:?}"
        );
        let mut key_frame = PAYLOAD;
        // STAP-A, the size of its first unit, SPS.
        key_frame[..4].copy_from_slice(&[24, 0, 12, 0x67]);
        pacer.handle_write(rtp_packet(start, VIDEO, 102, &key_frame), &mut belt);
        assert!(!pacer.gauge.backlog_of_key_frame().is_zero(), "the next one does not replace it");
        // Asked for again; and a part of the key frame itself.
        [90, 102].into_iter().for_each(|number| pacer.handle_write(repair(start, 200 + number, number), &mut belt));
        let released: Vec<u32> =
            run(&mut pacer, start, Duration::from_secs(5)).into_iter().map(|(_, ssrc)| ssrc).collect();
        // Its own part first, then the picture, and where there is room the others; on a full link it does not wait for what it replaces.
        let expected = if is_full { vec![3, VIDEO] } else { [vec![3, VIDEO, VIDEO], vec![3; 20]].concat() };
        assert_eq!(released, expected, "full: {is_full}");
    }
}

#[test]
fn a_report_on_what_has_just_left_ends_the_silence() {
    for (age_ms, is_heard) in [(40, true), (400, false)] {
        let (mut pacer, start) = (pacer(), Instant::now());
        let extension = rtc::interceptor::RTPHeaderExtension {
            uri: crate::peer_driver::configuration::TRANSPORT_CC_URI.to_owned(),
            id: 3,
        };
        let info = StreamInfo {
            ssrc: AUDIO,
            mime_type: "audio/opus".to_owned(),
            rtp_header_extensions: vec![extension],
            ..StreamInfo::default()
        };
        pacer.bind_local(&info);
        let mut belt = Belt::default();
        for ms in [0, 500, 1_001] {
            pacer.handle_write(rtp_packet(start + Duration::from_millis(ms), AUDIO, 0, b"a"), &mut belt);
        }
        assert_eq!(pacer.gauge.backlog(), PacerGauge::FOR_EVER);
        pacer.quality.set_newest_age(Duration::from_millis(age_ms));
        pacer.handle_read(rtcp_packet(start + Duration::from_secs(2), TransportLayerCc::default()), &mut belt);
        assert_eq!(pacer.gauge.backlog() < PacerGauge::FOR_EVER, is_heard, "{age_ms} ms");
    }
}

#[test]
fn a_key_frame_of_long_ago_ends_no_repairs() {
    let (mut pacer, start) = (pacer(), Instant::now());
    let mut key_frame = PAYLOAD;
    key_frame[..4].copy_from_slice(&[24, 0, 12, 0x67]);
    pacer.hold(rtp_packet(start, VIDEO, 0, &key_frame));
    for number in 1..=40_000 {
        pacer.video.clear();
        pacer.hold(rtp_packet(start, VIDEO, number, &PAYLOAD));
    }
    pacer.hold(repair(start, 1, 40_000));
    assert!(pacer.pop_repair().is_some(), "though the picture waits");
}

#[test]
fn a_full_queue_takes_no_more() {
    let (mut pacer, start) = (pacer(), Instant::now());
    let mut belt = Belt::default();
    (0..2_000).for_each(|number| pacer.handle_write(rtp_packet(start, VIDEO, number, &PAYLOAD), &mut belt));
    assert_eq!(pacer.video.len(), PacerPolicy::default().packets_max);
    assert!(pacer.gauge.dropped() > 900);
}

#[test]
fn what_would_take_too_long_over_the_link_that_was_found_is_given_up() {
    // Twenty packets of 1,200 bytes: 0.77 s at 250 kbps, 2.1 at 90.
    for (known_bps, left) in [(250_000.0, 19), (90_000.0, 0)] {
        let (mut pacer, start) = (pacer(), Instant::now());
        let mut belt = Belt::default();
        (0..20).for_each(|number| pacer.handle_write(rtp_packet(start, VIDEO, number, &PAYLOAD), &mut belt));
        pacer.quality.set_pace_bps(Some(known_bps));
        let mut feedback = rtcp_packet(start, PictureLossIndication::default());
        feedback.message.add(Attribute::TargetBitrateChanged { bits_per_second: known_bps });
        pacer.handle_read(feedback, &mut belt);
        assert_eq!(run(&mut pacer, start, Duration::from_secs(5)).len(), left);
        assert_eq!((pacer.gauge.take_broken(), pacer.gauge.take_broken()), (left == 0, false), "told once");
    }
}
