use super::*;

#[test]
fn the_sound_of_all_takes_less_while_one_carries_next_to_nothing() {
    let mut call = Call::new();
    call.run([Some(100_000), Some(900_000)], 2_000);
    assert_eq!(call.decision.sound_bps, 32_000);
    call.run([Some(50_000), Some(900_000)], 100);
    assert_eq!(call.decision.sound_bps, 12_000);
    call.run([Some(120_000), Some(900_000)], 10_100);
    assert_eq!(call.decision.sound_bps, 32_000);
}

pub(super) const A: ConnectionId = ConnectionId(1);
pub(super) const B: ConnectionId = ConnectionId(2);

/// Both connections, asked each 100 ms, with the decisions fed back.
pub(super) struct Call {
    now: Instant,
    pub(super) decision: Decision,
}

impl Call {
    #[allow(clippy::disallowed_methods)]
    pub(super) fn new() -> Self {
        let decision = Decision { encoder_target_bps: 0, size: Size::Usual, sound_bps: 0, legs: BTreeMap::new() };
        Self { now: Instant::now(), decision }
    }

    pub(super) fn run(&mut self, targets: [Option<u32>; 2], millis: u64) -> Vec<Share> {
        let mut seen = Vec::new();
        for _ in 0..millis / 100 {
            self.now += Duration::from_millis(100);
            let legs = [A, B].into_iter().zip(targets).map(|(connection, target_bitrate_bps)| {
                let previous = self.decision.legs.get(&connection).copied();
                (connection, LegSignals { target_bitrate_bps, previous })
            });
            let signals = Signals { legs: legs.collect() };
            self.decision = evaluate(&signals, &AdaptationConfig::default(), self.now);
            seen.push(self.decision.legs[&A].share);
        }
        seen
    }
}

pub(super) fn with_sound(video_bps: u32) -> Option<u32> {
    Some(video_bps + AdaptationConfig::default().sound_bps)
}

#[test]
fn the_encoder_follows_the_lowest_target_between_floor_and_ceiling() {
    let mut call = Call::new();
    for (targets, wanted) in [
        ([None, None], 600_000),
        ([with_sound(900_000), None], 900_000),
        ([with_sound(900_000), with_sound(400_000)], 400_000),
        ([with_sound(900_000), Some(10_000)], 150_000),
        ([with_sound(9_000_000), with_sound(u32::MAX - 100_000)], 1_500_000),
    ] {
        call.run(targets, 100);
        assert_eq!(call.decision.encoder_target_bps, wanted, "{targets:?}");
    }
}

#[test]
fn who_is_below_the_floor_gets_fewer_frames_and_the_others_all() {
    let mut call = Call::new();
    call.run([with_sound(90_000), with_sound(900_000)], 1_200);
    assert_eq!(call.decision.legs[&A].share, Share::Fraction { keep_permille: 600 });
    assert_eq!(call.decision.legs[&B].share, Share::All);
    assert_eq!(call.decision.encoder_target_bps, 150_000);
}

#[test]
fn a_short_dip_changes_nothing() {
    let mut call = Call::new();
    call.run([with_sound(20_000), None], 900);
    assert_eq!(call.run([with_sound(300_000), None], 2_000), vec![Share::All; 20]);
}

#[test]
fn sound_only_frees_the_encoder_and_the_picture_returns_after_five_good_seconds() {
    let mut call = Call::new();
    call.run([with_sound(20_000), with_sound(900_000)], 5_500);
    assert_eq!(call.decision.legs[&A].share, Share::SoundOnly);
    assert_eq!(call.decision.encoder_target_bps, 900_000);
    let seen = call.run([with_sound(130_000), with_sound(900_000)], 4_900);
    assert!(seen.iter().all(|&share| share == Share::SoundOnly));
    call.run([with_sound(130_000), with_sound(900_000)], 300);
    assert_eq!(call.decision.legs[&A].share, Share::Fraction { keep_permille: 866 });
    call.run([with_sound(170_000), with_sound(900_000)], 2_300);
    assert_eq!(call.decision.legs[&A].share, Share::All);
}

#[test]
fn the_encoder_slows_down_a_second_before_a_picture_returns() {
    let mut call = Call::new();
    call.run([with_sound(20_000), with_sound(900_000)], 5_500);
    call.run([with_sound(130_000), with_sound(900_000)], 3_900);
    assert_eq!(call.decision.encoder_target_bps, 900_000);
    call.run([with_sound(130_000), with_sound(900_000)], 300);
    assert_eq!(call.decision.encoder_target_bps, 150_000);
    assert_eq!(call.decision.legs[&A].share, Share::SoundOnly);
}

#[test]
fn an_estimate_that_swings_about_half_a_floor_ends_in_sound_only() {
    let mut call = Call::new();
    call.run([with_sound(90_000), None], 1_200);
    for video_bps in [60_000, 85_000, 70_000, 80_000, 65_000].repeat(2) {
        call.run([with_sound(video_bps), None], 500);
    }
    assert_eq!(call.decision.legs[&A].share, Share::SoundOnly);
    let mut call = Call::new();
    call.run([with_sound(90_000), None], 1_200);
    for video_bps in [60_000, 110_000, 70_000, 120_000, 65_000].repeat(2) {
        call.run([with_sound(video_bps), None], 500);
    }
    assert!(matches!(call.decision.legs[&A].share, Share::Fraction { .. }));
}

#[test]
fn a_picture_that_stops_again_soon_waits_twice_as_long_each_time() {
    let mut call = Call::new();
    call.run([with_sound(20_000), None], 5_500);
    for wait_ms in [5_000, 10_000, 20_000, 40_000, 80_000, 80_000] {
        let seen = call.run([with_sound(300_000), None], wait_ms);
        assert!(seen.iter().all(|&share| share == Share::SoundOnly), "{wait_ms}");
        assert!(call.run([with_sound(300_000), None], 100)[0] != Share::SoundOnly, "{wait_ms}");
        call.run([with_sound(20_000), None], 5_500);
    }
    // A minute of picture forgives.
    call.run([with_sound(300_000), None], 160_000);
    call.run([with_sound(20_000), None], 5_500);
    let seen = call.run([with_sound(300_000), None], 5_500);
    assert!(seen.last().is_some_and(|&share| share != Share::SoundOnly));
}

#[test]
fn a_path_at_the_edge_does_not_blink() {
    let mut call = Call::new();
    call.run([with_sound(120_000), None], 2_000);
    let mut changes = 0;
    for _ in 0..20 {
        let seen = [call.run([with_sound(155_000), None], 500), call.run([with_sound(140_000), None], 500)].concat();
        changes += seen.iter().filter(|&&share| share == Share::All || share == Share::SoundOnly).count();
    }
    assert_eq!(changes, 0);
}

#[test]
fn a_picture_without_any_hope_stops_a_second_after_it_was_thinned_out() {
    let mut call = Call::new();
    let seen = call.run([with_sound(9_000), with_sound(900_000)], 2_500);
    assert_eq!(seen.iter().position(|share| *share == Share::SoundOnly), Some(21));
    let mut call = Call::new();
    let seen = call.run([with_sound(11_000), with_sound(900_000)], 5_500);
    assert_eq!(seen.iter().position(|share| *share == Share::SoundOnly), Some(51));
}
