use super::*;

fn seen(signal: Signal, loss: f64, received_bps: f64, offered_bps: f64) -> Observation {
    let (received_bps, offered_bps) = (Some(received_bps), Some(offered_bps));
    Observation {
        signal,
        loss,
        received_bps,
        offered_bps,
        queue: Duration::ZERO,
        newest: Duration::ZERO,
        latest: Duration::ZERO,
        capacity_bps: None,
        link_bps: None,
        lasting_bps: None,
        flood_passed_bps: None,
        is_short_queue_full: false,
        is_lossy: false,
    }
}

/// Feeds the same observation every 100 ms.
fn feed(control: &mut RateControl, now: &mut Instant, span: Duration, seen: impl Fn(f64) -> Observation) -> f64 {
    let end = *now + span;
    while *now < end {
        *now += Duration::from_millis(100);
        control.update(*now, seen(control.target_bps));
    }
    control.target_bps
}

fn control() -> (RateControl, Instant) {
    (RateControl::new(EstimatorPolicy::default()), Instant::now())
}

#[test]
fn a_link_that_loses_most_is_taken_for_what_arrives_at_once() {
    let (now, policy) = (Instant::now(), EstimatorPolicy::default());
    let mut control = RateControl::new(policy);
    assert_eq!(control.update(now, seen(Signal::Normal, 0.7, 110_000.0, 900_000.0)), 110_000.0);
    let mut control = RateControl::new(policy);
    assert!(control.update(now, seen(Signal::Normal, 0.3, 500_000.0, 900_000.0)) > 800_000.0, "radio loses so much");
}

/// A link whose queue stands for so long.
fn queued(queue_ms: u64, loss: f64, capacity_bps: f64, offered_bps: f64) -> Observation {
    let queue = Duration::from_millis(queue_ms);
    Observation { queue, capacity_bps: Some(capacity_bps), ..seen(Signal::Normal, loss, capacity_bps, offered_bps) }
}

#[test]
fn a_queue_that_stands_is_drained_in_a_second_by_one_cut() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    let full = |_| queued(300, 0.4, 170_000.0, 900_000.0);
    let target = feed(&mut control, &mut now, Duration::from_millis(900), full);
    assert!((target - 119_000.0).abs() < 1.0, "{target}");
    // Drained: back to just below what the link carries at once, and on from there with care.
    let empty = |target| seen(Signal::Normal, 0.0, target, target);
    let target = feed(&mut control, &mut now, Duration::from_millis(900), empty);
    assert!((150_000.0..165_000.0).contains(&target), "{target}");
    let target = feed(&mut control, &mut now, Duration::from_secs(2), empty);
    assert!((165_000.0..180_000.0).contains(&target), "{target}");
}

#[test]
fn loss_on_the_air_is_told_from_loss_in_a_full_queue() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    assert!(control.update(now, queued(10, 0.15, 200_000.0, 900_000.0)) > 900_000.0);
    now += Duration::from_secs(2);
    let target = control.update(now, queued(50, 0.15, 200_000.0, 900_000.0));
    assert!((target - 190_000.0).abs() < 1.0, "{target}");
}

#[test]
fn a_queue_that_no_cut_ends_is_not_ours() {
    let (mut control, mut now) = control();
    let foreign = |_| queued(250, 0.0, 500_000.0, 500_000.0);
    feed(&mut control, &mut now, Duration::from_millis(3_500), foreign);
    assert!(control.is_draining_futile(foreign(0.0)));
}

#[test]
fn little_that_is_sent_proves_nothing_beyond_the_known_limit() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    control.update(now, queued(300, 0.4, 170_000.0, 900_000.0));
    let sound_only = |_| seen(Signal::Normal, 0.0, 40_000.0, 40_000.0);
    let target = feed(&mut control, &mut now, Duration::from_secs(8), sound_only);
    assert!((160_000.0..=170_000.0).contains(&target), "{target}");
    let target = feed(&mut control, &mut now, Duration::from_secs(15), sound_only);
    assert!(target <= 200_000.0, "a picture is tried again, but a small one: {target}");
}

/// What is tried over a link that once carried 45 kbps of sound, after 55 seconds of sound alone and after 63.
fn tried_beside_sound(link_bps: Option<f64>) -> [f64; 2] {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    control.update(now, Observation { link_bps, ..queued(300, 0.4, 45_000.0, 900_000.0) });
    let sound_only = |_| seen(Signal::Normal, 0.0, 22_000.0, 22_000.0);
    [55, 8].map(|seconds| feed(&mut control, &mut now, Duration::from_secs(seconds), sound_only))
}

#[test]
fn a_link_that_leaves_nothing_beside_sound_is_tried_again_after_a_minute() {
    let [before, after] = tried_beside_sound(Some(50_000.0));
    assert!((40_000.0..=45_000.0).contains(&before), "{before}");
    assert!((50_000.0..90_000.0).contains(&after), "and slowly: {after}");
}

#[test]
fn what_is_not_known_to_be_the_whole_link_is_tried_again_soon() {
    // The headers of small packets, requests and reports took the rest; and where nothing was measured.
    for link_bps in [Some(76_000.0), None] {
        let [before, _] = tried_beside_sound(link_bps);
        assert!(before > 100_000.0, "{link_bps:?}: {before}");
    }
}

#[test]
fn what_queues_behind_a_flood_corrects_what_came_of_it() {
    let target = |queues: bool| {
        let (mut control, mut now) = control();
        now += Duration::from_secs(1);
        control.update(now, seen(Signal::Normal, 0.7, 31_000.0, 900_000.0));
        let behind = |_| Observation {
            link_bps: queues.then_some(80_000.0),
            lasting_bps: queues.then_some(64_000.0),
            ..seen(Signal::Normal, 0.0, 22_000.0, 22_000.0)
        };
        feed(&mut control, &mut now, Duration::from_secs(1), behind);
        feed(&mut control, &mut now, Duration::from_secs(4), |_| seen(Signal::Normal, 0.0, 22_000.0, 22_000.0))
    };
    assert!(target(false) <= 31_000.0);
    assert!((58_000.0..=64_000.0).contains(&target(true)), "{}", target(true));
}

#[test]
fn a_full_link_is_met_at_once_and_approached_with_care() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    let target = control.update(now, seen(Signal::Over, 0.0, 600_000.0, 1_000_000.0));
    assert!((target - 510_000.0).abs() < 1.0, "{target}");
    let normal = |target| seen(Signal::Normal, 0.0, target, target);
    let target = feed(&mut control, &mut now, Duration::from_secs(3), normal);
    assert!((580_000.0..700_000.0).contains(&target), "{target}");
}

#[test]
fn a_limit_that_more_passes_without_a_queue_is_soon_none() {
    let met = |queue_ms| {
        let (mut control, mut now) = control();
        now += Duration::from_secs(1);
        control.update(now, queued(300, 0.0, 900_000.0, 1_000_000.0));
        feed(&mut control, &mut now, Duration::from_secs(4), |target| seen(Signal::Normal, 0.0, target, target));
        let newest = Duration::from_millis(queue_ms);
        let passes = |target| Observation { newest, ..seen(Signal::Normal, 0.0, 1.1 * target, 1.1 * target) };
        feed(&mut control, &mut now, Duration::from_secs(3), passes)
    };
    let (without, with) = (met(2), met(30));
    assert!(without > 1_300_000.0, "{without}");
    assert!(with < 1_180_000.0, "{with}");
}

#[test]
fn no_more_is_tried_than_a_little_beyond_what_queued_a_moment_ago() {
    let (mut control, mut now) = control();
    control.target_bps = 200_000.0;
    let begins = |target: f64| Observation {
        lasting_bps: Some(280_000.0),
        ..seen(Signal::Normal, 0.0, target.min(270_000.0), target.min(275_000.0))
    };
    let target = feed(&mut control, &mut now, Duration::from_secs(10), begins);
    assert!((270_000.0..=1.2 * 280_000.0).contains(&target), "{target}");
}

#[test]
fn jitter_beside_sound_alone_does_not_keep_a_picture_from_coming_back() {
    let (mut control, mut now) = control();
    control.target_bps = 40_000.0;
    let jittery = |target: f64| {
        let sent = target.min(42_000.0);
        Observation { lasting_bps: Some(sent), ..seen(Signal::Normal, 0.0, sent, sent) }
    };
    let target = feed(&mut control, &mut now, Duration::from_secs(30), jittery);
    assert!(target >= 162_000.0, "{target}");
}

#[test]
fn a_link_that_grew_is_found_in_seconds() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    control.update(now, seen(Signal::Over, 0.0, 100_000.0, 1_000_000.0));
    let normal = |target| seen(Signal::Normal, 0.0, target, target);
    let memory = EstimatorPolicy::default().limit_memory;
    feed(&mut control, &mut now, memory, normal);
    let target = feed(&mut control, &mut now, Duration::from_secs(5), normal);
    assert!(target > 1_900_000.0, "{target}");
}

#[test]
fn with_the_camera_off_jitter_does_not_throw_the_estimate_away() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    control.update(now, seen(Signal::Over, 0.0, 50_000.0, 50_000.0));
    assert!(control.target_bps >= 850_000.0);
    let idle = |_| seen(Signal::Normal, 0.0, 50_000.0, 50_000.0);
    let target = feed(&mut control, &mut now, Duration::from_secs(10), idle);
    assert!((850_000.0..=1_000_000.0).contains(&target), "nothing is claimed that was not tried: {target}");
}

#[test]
fn loss_at_random_is_no_reason_to_leave_a_link_unused() {
    for loss in [0.15, 0.25, 0.35] {
        let (mut control, mut now) = control();
        let lossy = |target| seen(Signal::Normal, loss, (1.0 - loss) * target, target);
        let target = feed(&mut control, &mut now, Duration::from_secs(20), lossy);
        assert!(target > 1_500_000.0, "{target} at {loss}");
    }
}

#[test]
fn a_link_without_a_queue_that_drops_what_is_too_much_is_not_taken_for_air() {
    let (mut control, mut now) = control();
    let policed = |target: f64| {
        let passes = target.min(400_000.0);
        seen(Signal::Normal, 1.0 - passes / target, passes, target)
    };
    feed(&mut control, &mut now, Duration::from_secs(30), policed);
    for _ in 0..30 {
        let target = feed(&mut control, &mut now, Duration::from_secs(1), policed);
        assert!((240_000.0..560_000.0).contains(&target), "{target}");
    }
}

#[test]
fn an_estimate_that_fell_for_another_reason_comes_back_in_spite_of_loss_at_random() {
    let (mut control, mut now) = control();
    let longer_path = |_| queued(60, 0.3, 50_000.0, 900_000.0);
    let target = feed(&mut control, &mut now, Duration::from_secs(3), longer_path);
    assert!(target < 60_000.0, "taken for a queue: {target}");
    let lossy = |target| seen(Signal::Normal, 0.3, 0.7 * target, target);
    let target = feed(&mut control, &mut now, Duration::from_secs(30), lossy);
    assert!(target > 240_000.0, "{target}");
    let severe = |target| seen(Signal::Normal, 0.6, 0.4 * target, target);
    feed(&mut control, &mut now, Duration::from_secs(20), severe);
    let target = feed(&mut control, &mut now, Duration::from_secs(20), severe);
    assert!((target - EstimatorPolicy::default().min_bps).abs() < 1.0, "not where most is lost: {target}");
}

#[test]
fn loss_of_more_than_half_leaves_the_voice() {
    let (mut control, mut now) = control();
    let lossy = |target| seen(Signal::Normal, 0.6, 0.4 * target, target);
    let target = feed(&mut control, &mut now, Duration::from_secs(60), lossy);
    assert!((target - EstimatorPolicy::default().min_bps).abs() < 1.0, "{target}");
}

#[test]
fn a_few_per_cent_of_loss_change_nothing() {
    let (mut control, mut now) = control();
    let lossy = |target| seen(Signal::Normal, 0.07, 0.93 * target, target);
    assert_eq!(feed(&mut control, &mut now, Duration::from_secs(20), lossy), 1_000_000.0);
}

#[test]
fn the_estimate_keeps_to_its_bounds() {
    let policy = EstimatorPolicy::default();
    let (mut control, mut now) = control();
    let normal = |target| seen(Signal::Normal, 0.0, target, target);
    assert_eq!(feed(&mut control, &mut now, Duration::from_secs(30), normal), policy.max_bps);
    let over = |_| seen(Signal::Over, 0.0, 1_000.0, 2_000_000.0);
    assert_eq!(feed(&mut control, &mut now, Duration::from_secs(3), over), policy.min_bps);
}

#[test]
fn a_link_that_is_far_too_narrow_is_met_before_its_queue_stands() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    let begun = Observation { newest: Duration::from_millis(290), ..queued(0, 0.0, 180_000.0, 1_000_000.0) };
    let target = control.update(now, begun);
    assert!((target - 127_800.0).abs() < 1.0, "{target}");
    // A pause of the radio: everything comes late, but then it comes quickly.
    let (mut control, mut now) = self::control();
    now += Duration::from_secs(1);
    let pause = Observation { newest: Duration::from_millis(290), ..queued(0, 0.0, 5_000_000.0, 900_000.0) };
    assert!(control.update(now, pause) >= 1_000_000.0);
}

#[test]
fn a_wide_link_that_shrinks_is_cut_for_what_is_still_under_way_to_it_too() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    let shrunk = Observation { newest: Duration::from_millis(120), ..queued(0, 0.0, 560_000.0, 1_600_000.0) };
    control.target_bps = 2_500_000.0;
    let target = control.update(now, shrunk);
    // 120 ms, and as much again and 100 ms that are known too late.
    assert!((target - 369_600.0).abs() < 1.0, "{target}");
}

#[test]
fn a_link_that_passes_less_than_half_is_cut_for_with_the_first_packets_that_waited() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    let shrunk = Observation { latest: Duration::from_millis(90), ..queued(0, 0.0, 560_000.0, 1_600_000.0) };
    control.target_bps = 2_500_000.0;
    let target = control.update(now, shrunk);
    assert!((target - 403_200.0).abs() < 1.0, "{target}");
    let drained_at = control.draining_until();
    now += Duration::from_millis(100);
    assert_eq!((control.update(now, shrunk), control.draining_until()), (target, drained_at), "it is cut for once");
    // What it carries is not much less than what is sent: it may be jitter. And what is known of a narrow link is from a packet or two.
    for (carries, offered) in [(560_000.0, 900_000.0), (100_000.0, 900_000.0)] {
        let (mut control, mut now) = self::control();
        now += Duration::from_secs(1);
        let begun = Observation { latest: Duration::from_millis(90), ..queued(0, 0.0, carries, offered) };
        assert!(control.update(now, begun) >= 1_000_000.0, "{carries} of {offered}");
    }
}

#[test]
fn a_queue_that_has_begun_is_ended_by_a_small_cut_where_it_is_ours() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    let target = control.update(now, queued(50, 0.0, 900_000.0, 1_000_000.0));
    assert!((target - 855_000.0).abs() < 1.0, "{target}");
    let (mut control, mut now) = self::control();
    now += Duration::from_secs(1);
    let target = control.update(now, queued(50, 0.0, 900_000.0, 900_000.0));
    assert_eq!(target, 1_000_000.0, "a longer path");
}

#[test]
fn the_pace_follows_what_the_link_was_seen_to_carry() {
    let (mut control, mut now) = control();
    assert_eq!(control.pace_bps(now), None, "nothing is known");
    now += Duration::from_secs(1);
    control.update(now, queued(300, 0.0, 200_000.0, 900_000.0));
    assert_eq!(control.pace_bps(now), Some(control.target_bps), "while a queue drains");
    now += Duration::from_secs(2);
    control.update(now, seen(Signal::Normal, 0.0, 140_000.0, 140_000.0));
    assert_eq!(control.pace_bps(now), Some(240_000.0));
    now += Duration::from_secs(1);
    control.update(now, seen(Signal::Normal, 0.0, 240_000.0, 240_000.0));
    assert_eq!(control.pace_bps(now), Some(288_000.0), "more has passed than was known");
}

#[test]
fn a_flood_is_ended_at_once_by_less_than_what_passes() {
    let (mut control, now) = (RateControl::new(EstimatorPolicy::default()), Instant::now());
    let flooded = |passed| Observation { flood_passed_bps: Some(passed), ..seen(Signal::Normal, 0.1, 1e5, 1e6) };
    assert_eq!(control.update(now, flooded(50_000.0)), 30_000.0);
    assert_eq!(control.pace_bps(now), Some(30_000.0));
    assert!(control.draining_until().is_some());
    // More than is sent passes.
    assert_eq!(control.update(now, flooded(60_000.0)), 30_000.0);
}

/// A short queue that is full, on a link of this speed.
fn short(capacity_bps: f64, target_bps: f64) -> Observation {
    let capacity_bps = Some(capacity_bps);
    Observation { is_short_queue_full: true, capacity_bps, ..seen(Signal::Normal, 0.03, target_bps, target_bps) }
}

#[test]
fn a_link_with_a_short_queue_is_left_room_and_more_for_longer_each_time_it_is_full() {
    let (mut control, mut now) = control();
    let clear = |target| seen(Signal::Normal, 0.0, target, target);
    now += Duration::from_secs(1);
    assert!((control.update(now, short(800_000.0, 900_000.0)) - 680_000.0).abs() < 1.0);
    for (left_room_for, most) in [(10, 720_000.0), (20, 684_000.0), (40, 649_800.0), (60, 617_310.0)] {
        let target = feed(&mut control, &mut now, Duration::from_secs(left_room_for - 1), clear);
        assert!((target - most).abs() < 1.0, "{target} for {left_room_for} s");
        assert_eq!(control.pace_bps(now), Some(800_000.0), "no faster than the link");
        let target = feed(&mut control, &mut now, Duration::from_millis(3_500), clear);
        assert!(target > 780_000.0, "{target} after {left_room_for} s");
        now += Duration::from_millis(100);
        let target = control.update(now, short(800_000.0, target));
        assert!(target < 681_000.0, "{target}");
    }
}

#[test]
fn a_signal_beside_a_part_of_a_link_makes_its_limit_no_lower() {
    let clear = |target| seen(Signal::Normal, 0.0, target, target);
    let lossy = |target| Observation { is_lossy: true, ..seen(Signal::Normal, 0.01, target, target) };
    check_that_signals_lower_no_limit(short(800_000.0, 900_000.0), 5, clear);
    check_that_signals_lower_no_limit(full_and_lossy(), 2, lossy);
}

fn check_that_signals_lower_no_limit(full: Observation, signals: u32, part: impl Fn(f64) -> Observation + Copy) {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    control.update(now, full);
    for _ in 0..signals {
        feed(&mut control, &mut now, Duration::from_secs(1), part);
        now += Duration::from_millis(300);
        control.update(now, Observation { signal: Signal::Over, ..part(control.target_bps) });
    }
    let limit = control.limit.unwrap();
    assert_eq!(limit.bps, 800_000.0);
}

/// A queue that stands on a link of 800 kbit/s, beside loss on the air.
fn full_and_lossy() -> Observation {
    Observation { capacity_bps: Some(800_000.0), is_lossy: true, ..queued(100, 0.01, 800_000.0, 900_000.0) }
}

#[test]
fn another_speed_is_another_link() {
    let (mut control, mut now) = control();
    now += Duration::from_secs(1);
    control.update(now, short(2_000_000.0, 2_200_000.0));
    now += Duration::from_secs(2);
    control.update(now, short(800_000.0, 1_700_000.0));
    let target =
        feed(&mut control, &mut now, Duration::from_secs(9), |target| seen(Signal::Normal, 0.0, target, target));
    assert!((target - 720_000.0).abs() < 1.0, "{target}");
}

#[test]
fn beside_others_in_a_short_queue_a_picture_is_left() {
    let (mut control, mut now) = control();
    let target = feed(&mut control, &mut now, Duration::from_secs(60), |target| short(target, target));
    assert_eq!(target, EstimatorPolicy::default().loss_floor_bps);
    // Sound alone is no measure of the link.
    let (mut control, now) = self::control();
    let before = control.target_bps;
    assert!(control.update(now, short(40_000.0, 40_000.0)) >= before);
}

#[test]
fn what_is_assumed_to_arrive_is_no_measure_of_a_short_queue() {
    let (mut control, now) = control();
    let before = control.target_bps;
    let unmeasured = Observation { capacity_bps: None, received_bps: Some(2.0 * before), ..short(0.0, before) };
    assert!(control.update(now, unmeasured) >= before);
    let measured = Observation { received_bps: Some(500_000.0), ..unmeasured };
    assert!((control.update(now, measured) - 425_000.0).abs() < 1.0);
}

#[test]
fn a_queue_that_is_met_after_cuts_for_a_short_one_is_not_yet_taken_for_the_path() {
    let (mut control, mut now) = control();
    for _ in 0..5 {
        now += Duration::from_secs(1);
        let queue = Duration::from_millis(10);
        control.update(now, Observation { queue, ..short(800_000.0, 900_000.0) });
    }
    assert!(!control.is_draining_futile(queued(250, 0.0, 800_000.0, 900_000.0)));
}

#[test]
fn a_short_queue_that_is_full_is_met_by_less_than_the_estimate_as_well() {
    let (mut control, now) = control();
    control.target_bps = 2_500_000.0;
    let target = control.update(now, Observation { offered_bps: Some(1_500_000.0), ..short(750_000.0, 750_000.0) });
    assert!((target - 637_500.0).abs() < 1.0, "{target}");
}

#[test]
fn a_full_link_that_loses_besides_is_left_room_for_repairs_for_a_while() {
    for is_lossy in [false, true] {
        let (mut control, mut now) = control();
        let lossy = |seen: Observation| Observation { is_lossy, ..seen };
        let target = control.update(now, lossy(full_and_lossy()));
        assert!((target - if is_lossy { 680_000.0 } else { 720_000.0 }).abs() < 1.0, "{target}");
        let clear = |target| lossy(seen(Signal::Normal, 0.01, target, target));
        let target = feed(&mut control, &mut now, Duration::from_millis(3_900), clear);
        assert!(if is_lossy { (target - 720_000.0).abs() < 1.0 } else { target > 740_000.0 }, "{target}");
        assert_eq!(control.pace_bps(now) == Some(800_000.0), is_lossy, "no faster than the link");
        let target = feed(&mut control, &mut now, Duration::from_millis(4_000), clear);
        assert!(target > 780_000.0, "{target}");
    }
}
