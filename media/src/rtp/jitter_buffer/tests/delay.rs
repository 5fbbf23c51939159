//! How long sound is held.

use super::*;

#[test]
fn packets_on_time_are_played_in_order_after_a_short_wait() {
    let mut line = Line::new();
    for n in 0..50 {
        line.send(n);
        line.run(20);
    }
    assert!(line.buffer.current_delay(line.now) <= ms(50), "{:?}", line.buffer.current_delay(line.now));
    line.run(60);
    assert_eq!(line.played, (0..50).collect::<Vec<_>>());
    assert_eq!(line.buffer.stats().concealed_samples, 0);
}

#[test]
fn the_delay_follows_the_jitter_up_and_down() {
    let mut line = Line::new();
    let mut random = Random(7);
    for n in 0..500 {
        line.send_late(n, random.below(120));
        line.run(20);
    }
    let jittery = line.buffer.target_delay();
    assert!((ms(90)..ms(150)).contains(&jittery), "{jittery:?}");
    for n in 500..2500 {
        line.send(n);
        line.run(20);
    }
    assert!(line.buffer.target_delay() <= ms(30), "{:?}", line.buffer.target_delay());
    assert!(line.buffer.current_delay(line.now) <= ms(60), "{:?}", line.buffer.current_delay(line.now));
}

#[test]
fn with_jitter_hardly_anything_is_concealed_once_it_is_known() {
    let mut line = Line::new();
    let mut random = Random(11);
    for n in 0..300 {
        line.send_late(n, random.below(80));
        line.run(20);
    }
    let before = line.buffer.stats().concealed_samples;
    for n in 300..1300 {
        line.send_late(n, random.below(80));
        line.run(20);
    }
    let concealed = line.buffer.stats().concealed_samples - before;
    assert!(concealed < 1000 * 960 * 3 / 100, "{concealed} samples of 20 s");
}

#[test]
fn a_sender_whose_clock_runs_fast_or_slow_is_followed() {
    for drift in [-2, 2] {
        let mut line = Line::new();
        for n in 0..3000 {
            line.send(n);
            // 2 per mille: ten times what a bad sound card does.
            line.run_samples(960 + drift);
        }
        let delay = line.buffer.current_delay(line.now);
        assert!(delay < ms(80), "{drift}: {delay:?}");
        assert!(line.buffer.stats().concealed_samples < 9600, "{drift}: {:?}", line.buffer.stats());
    }
}

#[test]
fn sound_waits_for_the_picture_when_asked_to() {
    let mut line = Line::new();
    for n in 0..50 {
        line.send(n);
        line.run(20);
    }
    line.buffer.set_extra_delay(ms(100));
    for n in 50..200 {
        line.send(n);
        line.run(20);
    }
    let delay = line.buffer.current_delay(line.now);
    assert!((ms(100)..ms(160)).contains(&delay), "{delay:?}");
    assert_eq!(line.buffer.stats().concealed_samples, 0);
}

#[test]
fn on_a_steady_network_sound_is_held_for_little_more_than_a_block() {
    for phase in [0, 3, 7] {
        let mut line = Line::new();
        line.run(phase);
        for n in 0..200 {
            line.send_late(n, 5 + phase as u64);
            line.run(20);
        }
        let delay = line.delay();
        assert!((ms(10)..=ms(20)).contains(&delay), "{phase}: {delay:?}");
        assert_eq!(line.buffer.stats().concealed_samples, 0, "{phase}");
    }
}

#[test]
fn a_path_that_gets_longer_or_shorter_leaves_no_delay_behind() {
    for (before_ms, after_ms) in [(10, 60), (10, 250), (60, 10), (250, 10)] {
        let mut line = Line::new();
        for n in 0..250 {
            line.send_late(n, before_ms);
            line.run(20);
        }
        // The fastest packet of the last ten seconds is then one of the new path.
        for n in 250..800 {
            line.send_late(n, after_ms);
            line.run(20);
        }
        let (delay, target) = (line.delay(), line.buffer.target_delay());
        assert!(delay <= ms(25) && target <= ms(20), "{before_ms} to {after_ms} ms: {delay:?}, to be {target:?}");
        let concealed = line.buffer.stats().concealed_samples;
        assert!(concealed <= after_ms.saturating_sub(before_ms) * 48 * 3, "{before_ms} to {after_ms} ms: {concealed}");
    }
}

#[test]
fn jitter_is_still_known_after_the_path_has_changed() {
    let mut line = Line::new();
    let mut random = Random(13);
    for n in 0..2_000 {
        let path_ms = if n < 500 { 20 } else { 70 };
        line.send_late(n, path_ms + random.below(40));
        line.run(20);
        if n > 1_100 {
            let target = line.buffer.target_delay();
            assert!((ms(40)..=ms(60)).contains(&target), "{n}: {target:?}");
        }
    }
}
