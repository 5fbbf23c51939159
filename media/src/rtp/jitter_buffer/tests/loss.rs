//! What is lost, copied and sent again.

use super::*;

#[test]
fn a_lost_packet_is_concealed_once_and_counted() {
    let mut line = Line::new();
    for n in 0..40 {
        if n != 20 {
            line.send(n);
        }
        line.run(20);
    }
    line.run(60);
    let stats = line.buffer.stats();
    assert_eq!(stats.lost, 1);
    assert!((960..=1920).contains(&stats.concealed_samples), "{stats:?}");
    assert!(!line.played.contains(&20) && line.played.contains(&39));
}

#[test]
fn a_lost_packet_is_recovered_from_the_copy_in_the_next() {
    let mut line = Line::new();
    line.payload = &WITH_FEC;
    for n in 0..200 {
        if n % 20 != 10 {
            line.send(n);
        }
        line.run(20);
    }
    let stats = line.buffer.stats();
    assert_eq!((stats.lost, stats.fec_recovered), (10, 10), "{stats:?}");
    // Until the first loss nobody waited for the next packet; afterwards there is time to.
    assert!(stats.concealed_samples <= 1920, "{stats:?}");
}

/// Three of ten packets lost at random for 40 s, each packet with so many of those before it; what came of the last 36 s, and the
/// delay at the end.
fn three_of_ten_lost(copies: i64) -> (JitterBufferStats, Duration) {
    let mut line = Line::new();
    let mut random = Random(3);
    let mut settled = JitterBufferStats::default();
    for n in 0..2_000 {
        if n == 200 {
            settled = line.buffer.stats();
        }
        if random.below(10) >= 3 {
            line.send(n);
            (1..=copies.min(n)).for_each(|back| line.send_copy(n - back));
        }
        line.run(20);
    }
    let stats = line.buffer.stats();
    let lost = stats.lost - settled.lost;
    let concealed_samples = stats.concealed_samples - settled.concealed_samples;
    (JitterBufferStats { lost, concealed_samples, ..stats }, line.buffer.current_delay(line.now))
}

#[test]
fn copies_in_later_packets_leave_little_of_a_heavy_loss() {
    let shares = [0, 1, 2].map(|copies| {
        let (stats, delay) = three_of_ten_lost(copies);
        println!("{copies} copies: {delay:?} {stats:?}");
        assert!((480..=600).contains(&stats.lost), "{stats:?}");
        assert!(delay < ms(100), "{delay:?}");
        stats.concealed_samples as f64 / (1_800.0 * 960.0)
    });
    assert!((0.25..0.35).contains(&shares[0]) && shares[1] < 0.14 && shares[2] < 0.05, "{shares:?}");
}

#[test]
fn what_is_sent_again_is_waited_for_and_without_loss_no_longer() {
    let mut line = Line::new();
    let mut random = Random(5);
    let mut settled = JitterBufferStats::default();
    for n in 0..1_000 {
        if n == 100 {
            settled = line.buffer.stats();
        }
        // The gap shows when the next packet comes, 20 ms later; asking and repeating takes some more.
        let is_lost = random.below(20) == 0;
        line.send_late(n, if is_lost { 27 } else { 0 });
        line.run(20);
    }
    let stats = line.buffer.stats();
    let concealed = stats.concealed_samples - settled.concealed_samples;
    assert!(concealed < 900 * 960 / 200, "{concealed} samples: {stats:?}");
    let delay = line.buffer.current_delay(line.now);
    assert!((ms(30)..ms(60)).contains(&delay), "{delay:?}");
    (1_000..1_800).for_each(|n| {
        line.send(n);
        line.run(20);
    });
    assert!(line.buffer.current_delay(line.now) < ms(30), "{:?}", line.buffer.current_delay(line.now));
}

#[test]
fn a_copy_of_what_has_come_or_was_played_changes_nothing() {
    let mut line = Line::new();
    line.send_copy(0);
    for n in 0..20 {
        line.send(n);
        (0..n).for_each(|earlier| line.send_copy(earlier));
        line.send_copy(n);
        line.run(20);
    }
    line.run(60);
    let stats = line.buffer.stats();
    assert_eq!((stats.packets, stats.lost, stats.fec_recovered, stats.duplicates), (20, 0, 0, 0));
    assert_eq!(line.played, (0..20).collect::<Vec<_>>());
    assert!(line.buffer.target_delay() <= ms(40), "{:?}", line.buffer.target_delay());
}

#[test]
fn for_the_rare_sound_that_was_sent_again_three_times_the_others_do_not_wait() {
    let mut line = Line::new();
    let mut random = Random(6);
    for n in 0..1_500 {
        let lost = random.below(20) == 0;
        // One in thirty of them takes 90 ms.
        let late_ms = if random.below(30) == 0 { 90 } else { 27 };
        line.send_late(n, if lost { late_ms } else { 0 });
        line.run(20);
        if n > 500 {
            let target = line.buffer.target_delay();
            assert!((ms(35)..ms(60)).contains(&target), "{n}: {target:?}");
        }
    }
}
