use super::super::feedback::FeedbackGaps;
use super::*;

/// What is told of a packet that left and came so long after `begin`; lost, where it did not come.
fn report(begin: Instant, number: u32, departure: Duration, arrival: Option<Duration>, size: usize) -> PacketReport {
    PacketReport {
        ssrc: 1,
        id: u64::from(number),
        // Both are that number's lower half.
        rtp_sequence_number: number as u16,
        is_twcc: true,
        twcc_sequence_number: number as u16,
        size,
        arrived: arrival.is_some(),
        departure: begin + departure,
        arrival,
        ecn: Default::default(),
    }
}

/// A sender of a packet each 10 ms through a network that loses this share of them, and of the feedback, each on ten of them; gives
/// the loss that the estimator sees on average. Seeded.
fn loss_seen(share: f64) -> f64 {
    let unreported = Arc::new(Unreported::default());
    let mut estimator = Estimator::new(EstimatorPolicy::default(), Arc::default(), unreported.clone());
    let mut gaps = FeedbackGaps::new(unreported);
    let (begin, mut seed) = (Instant::now(), 1_u32);
    let mut happens = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(seed >> 8) / f64::from(1 << 24) < share
    };
    let (mut waiting, mut seen) = (Vec::new(), Vec::new());
    for round in 0..1_000_u16 {
        let is_feedback_lost = happens();
        for number in round * 10..(round + 1) * 10 {
            let at = Duration::from_millis(10) * u32::from(number);
            // The stack takes packets for lost that it heard nothing of.
            let arrived = !happens() && !is_feedback_lost;
            let arrival = arrived.then_some(Duration::from_secs(1) + at);
            waiting.push(report(begin, u32::from(number), at, arrival, 1_000));
        }
        if !is_feedback_lost {
            gaps.note(round * 10, 10);
            estimator.on_reports(begin + Duration::from_millis(100) * u32::from(round), &waiting);
            waiting.clear();
            seen.push(estimator.loss);
        }
    }
    seen.iter().sum::<f64>() / seen.len() as f64
}

#[test]
fn feedback_that_was_lost_is_not_taken_for_lost_packets() {
    for share in [0.0, 0.1, 0.3] {
        let loss = loss_seen(share);
        assert!((loss - share).abs() < 0.03, "{share} lost each way look like {loss}");
    }
}

/// Tells the estimator of five packets each 100 ms, 2 Mbit/s, in these milliseconds; `arrival` gives when what leaves then comes.
fn tell(estimator: &mut Estimator, begin: Instant, span_ms: [u32; 2], arrival: impl Fn(Duration) -> Duration) -> f64 {
    let ms = Duration::from_millis(1);
    for at in (span_ms[0]..span_ms[1]).step_by(100) {
        let told = |packet: u32| {
            let departure = ms * (at + 20 * packet);
            report(begin, at / 20 + packet, departure, Some(arrival(departure)), 5_000)
        };
        let reports: Vec<_> = (0..5).map(told).collect();
        estimator.on_reports(begin + ms * (at + 150), &reports);
    }
    estimator.target_bitrate()
}

#[test]
fn how_long_ago_that_left_which_came_last_is_told_once() {
    let (quality, begin, ms) = (Arc::new(LinkQuality::default()), Instant::now(), Duration::from_millis(1));
    let mut estimator = Estimator::new(EstimatorPolicy::default(), quality.clone(), Arc::default());
    let came = |number: u32, at: u32| report(begin, number, ms * at, Some(ms * (at + 20)), 1_000);
    estimator
        .on_reports(begin + ms * 150, &[came(1, 10), came(3, 80), came(2, 70), report(begin, 4, ms * 90, None, 1_000)]);
    assert_eq!(quality.take_newest_age(), Some(ms * 70));
    assert_eq!(quality.take_newest_age(), None);
    estimator.on_reports(begin + ms * 250, &[report(begin, 5, ms * 200, None, 1_000)]);
    assert_eq!(quality.take_newest_age(), None, "nothing came");
}

#[test]
fn a_path_that_becomes_longer_holds_nothing_down_for_long() {
    for longer in [50, 80, 150].map(Duration::from_millis) {
        let mut estimator = Estimator::new(EstimatorPolicy::default(), Arc::default(), Arc::default());
        let (begin, path) = (Instant::now(), Duration::from_millis(20));
        tell(&mut estimator, begin, [0, 1_000], |at| at + path);
        let taken_for_a_queue = tell(&mut estimator, begin, [1_000, 2_500], |at| at + path + longer);
        assert!(taken_for_a_queue < 2_000_000.0, "{longer:?}: {taken_for_a_queue}");
        let target = tell(&mut estimator, begin, [2_500, 9_000], |at| at + path + longer);
        assert_eq!(target, EstimatorPolicy::default().max_bps, "{longer:?}");
    }
}

#[test]
fn a_clock_that_begins_anew_at_the_other_end_changes_nothing() {
    let mut estimator = Estimator::new(EstimatorPolicy::default(), Arc::default(), Arc::default());
    let (begin, full) = (Instant::now(), Duration::from_millis(64 << 24));
    tell(&mut estimator, begin, [0, 500], |at| full - Duration::from_millis(500) + at);
    let target = tell(&mut estimator, begin, [500, 6_000], |at| at - Duration::from_millis(500));
    assert_eq!(target, EstimatorPolicy::default().max_bps);
    assert_eq!(estimator.queue.latest(), Duration::ZERO);
}

#[test]
fn what_was_known_of_a_narrow_link_is_forgotten_when_nothing_was_sent_for_a_minute() {
    let quality = Arc::new(LinkQuality::default());
    let mut estimator = Estimator::new(EstimatorPolicy::default(), quality.clone(), Arc::default());
    let begin = Instant::now();
    estimator.reported_at = Some(begin);
    assert_eq!(estimator.poll_timeout(), None, "there is room for a picture");
    estimator.control.target_bps = 30_000.0;
    quality.set_target_bps(30_000.0);
    let at = estimator.poll_timeout().unwrap();
    assert_eq!(at - begin, Duration::from_secs(60));
    estimator.handle_timeout(at - Duration::from_millis(1));
    assert_eq!(quality.target_bps(), 30_000);
    estimator.handle_timeout(at);
    assert_eq!(quality.target_bps(), 165_000);
    assert_eq!(estimator.poll_timeout(), None);
}

#[test]
fn a_link_seems_no_narrower_while_its_queue_drains_with_sound_alone() {
    let mut estimator = Estimator::new(EstimatorPolicy::default(), Arc::default(), Arc::default());
    let (mut times, ms) = ([Duration::ZERO; 2], Duration::from_millis(1));
    passes(&mut estimator, &mut times, ms * 40, &[1_000; 250]);
    let with_pictures = passes(&mut estimator, &mut times, ms * 10, &[1_000; 30]);
    assert!((270_000.0..300_000.0).contains(&with_pictures), "{with_pictures}");
    let with_sound = passes(&mut estimator, &mut times, ms * 4, &[100; 300]);
    assert!(with_sound > 0.9 * with_pictures, "{with_sound} after {with_pictures}");
}

/// Sends so many packets of so many bytes, one each `interval`, over a link of 300 kbit/s that queues; gives what the link
/// seems to carry. `at` is when the last one left, `busy_until` when the link has passed it on.
fn passes(estimator: &mut Estimator, [at, busy_until]: &mut [Duration; 2], interval: Duration, sizes: &[usize]) -> f64 {
    let begin = *estimator.epoch.get_or_insert_with(Instant::now);
    for &size in sizes {
        *at += interval;
        let takes = Duration::from_secs_f64((size + 44) as f64 * 8.0 / 300_000.0);
        *busy_until = (*busy_until).max(*at) + takes;
        estimator.on_reports(begin + *busy_until, &[report(begin, 0, *at, Some(*busy_until), size)]);
    }
    estimator.queue.capacity_bps(mix::whole).map_or(0.0, |whole| estimator.mix.rtp_bps(whole))
}
