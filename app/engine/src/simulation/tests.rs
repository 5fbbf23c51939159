use super::*;

pub(super) fn shown(seconds: &[Second]) -> String {
    seconds.iter().enumerate().map(|(number, second)| format!("{number:3} {second:?}\n")).collect()
}

fn is_reduced(second: &Second) -> bool {
    (1..=1_000).contains(&second.share_permille)
}

fn lost(seconds: &[Second]) -> u32 {
    seconds.iter().map(|second| second.sounds_lost).sum()
}

/// Runs on machines that have time and on busy ones; those stand still for a twentieth of the time, for which `stood_still` is 1.
fn each(description: &str, mut check: impl FnMut(Simulation, u32)) {
    check(Simulation::new(description), 0);
    (1..=20).for_each(|seed| check(Simulation::busy(description, seed), 1));
}

#[test]
fn a_link_for_most_of_the_frames_keeps_them_until_it_opens_and_then_has_all() {
    each("rate=200kbps", |mut simulation, stood_still| {
        let narrow = simulation.run(60);
        let settled = &narrow[5..];
        assert!(settled.iter().all(is_reduced), "it lasts\n{}", shown(&narrow));
        let seen: u32 = settled.iter().map(|second| second.frames_seen).sum();
        assert!(seen >= 55 * (15 - 2 * stood_still), "half or more are seen: {seen}\n{}", shown(&narrow));
        assert!(lost(settled) <= 40 * stood_still, "and heard: {} lost\n{}", lost(settled), shown(&narrow));
        simulation.network.schedule(simulation.now, "clear".parse().unwrap());
        let open = simulation.run(18);
        let recovered = &open[15..];
        assert!(recovered.iter().all(|second| second.share_permille == 1_001), "{}", shown(&open));
        let seen: u32 = recovered.iter().map(|second| second.frames_seen).sum();
        assert!(seen >= 88 - 20 * stood_still, "{seen} of 90 frames\n{}", shown(&open));
    });
}

#[test]
fn a_link_for_all_frames_at_a_lower_rate_has_all_frames() {
    each("rate=600kbps", |mut simulation, stood_still| {
        let seconds = simulation.run(30);
        let settled = &seconds[10..];
        assert!(settled.iter().all(|second| second.share_permille == 1_001), "{}", shown(&seconds));
        let seen: u32 = settled.iter().map(|second| second.frames_seen).sum();
        assert!(seen >= 580 - 100 * stood_still, "{seen} of 600 frames\n{}", shown(&seconds));
    });
}

#[test]
fn a_link_for_sound_alone_is_left_to_it() {
    each("rate=100kbps", |mut simulation, stood_still| {
        let seconds = simulation.run(60);
        let settled = &seconds[15..];
        let sound_only = settled.iter().filter(|second| second.share_permille == 0).count();
        assert!(sound_only * 3 >= settled.len() * 2, "a picture is tried now and then\n{}", shown(&seconds));
        assert!(lost(settled) <= 60 * stood_still, "{} sounds lost\n{}", lost(settled), shown(&seconds));
    });
}

#[test]
fn from_50_kilobits_a_second_on_no_sound_is_lost_but_at_the_very_start() {
    for rate in [50, 60, 80, 100, 120, 150, 175, 200, 250, 300, 400, 600] {
        let mut simulation = Simulation::new(&format!("rate={rate}kbps"));
        if rate == 50 {
            // The feedback of one peer, on sound alone.
            simulation.foreign_interval_ms = 100;
        }
        let seconds = simulation.run(90);
        assert_eq!(lost(&seconds[10..]), 0, "at {rate} kbit/s\n{}", shown(&seconds));
        assert!(rate < 100 || lost(&seconds[2..]) == 0, "at {rate} kbit/s\n{}", shown(&seconds));
    }
}
