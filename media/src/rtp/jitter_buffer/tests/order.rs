//! Order, numbers, and streams that begin anew.

use super::*;

#[test]
fn reordered_packets_are_put_in_order() {
    let mut line = Line::new();
    for n in (0..60).step_by(2) {
        line.send(n + 1);
        line.send(n);
        line.run(40);
    }
    assert!(line.played.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", line.played);
    // The first one may be skipped: nobody knew of it yet.
    assert!(line.played.len() >= 57, "{:?}", line.played);
}

#[test]
fn a_packet_that_comes_twice_is_played_once() {
    let mut line = Line::new();
    for n in 0..20 {
        line.send(n);
        line.send(n);
        line.run(20);
        line.send(n);
    }
    line.run(60);
    assert_eq!(line.buffer.stats().duplicates, 40);
    assert_eq!(line.played, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_packet_after_its_time_is_late_and_not_lost() {
    let mut line = Line::new();
    for n in 0..40 {
        if n != 20 {
            line.send(n);
        }
        line.run(20);
        if n == 25 {
            line.send(20);
        }
    }
    let stats = line.buffer.stats();
    assert_eq!((stats.lost, stats.late), (0, 1));
    assert!(!line.played.contains(&20));
}

#[test]
fn another_stream_begins_anew() {
    let mut line = Line::new();
    for n in 0..50 {
        line.send(n);
        line.run(20);
    }
    line.ssrc = 2;
    line.offset = 0x7fff_0000;
    for n in 30_000..30_050 {
        line.send(n);
        line.run(20);
    }
    line.run(60);
    assert_eq!(line.buffer.stats().restarts, 1);
    assert!(line.played.ends_with(&[30_048, 30_049]), "{:?}", line.played);
}

#[test]
fn a_jump_of_the_time_line_begins_anew() {
    let mut line = Line::new();
    for n in 0..50 {
        line.send(n);
        line.run(20);
    }
    line.offset = -1_000_000;
    for n in 50..100 {
        line.send(n);
        line.run(20);
    }
    line.run(60);
    assert_eq!(line.buffer.stats().restarts, 1);
    assert!(line.played.ends_with(&[98, 99]), "{:?}", line.played);
}

#[test]
fn numbers_and_times_wrap_without_a_gap() {
    let mut line = Line::new();
    line.offset = i64::from(u32::MAX) - 20_000;
    for n in 65_500..65_600 {
        line.send(n);
        line.run(20);
    }
    line.run(60);
    assert_eq!(line.played, (65_500..65_600).collect::<Vec<_>>());
    assert_eq!(line.buffer.stats().lost, 0);
}

#[test]
fn what_is_not_opus_is_left_out() {
    let mut line = Line::new();
    line.payload = &[];
    line.send(0);
    line.payload = &[31 << 3 | 3, 63];
    line.send(1);
    assert_eq!(line.buffer.stats().invalid, 2);
    assert_eq!(line.buffer.next(line.now), Next::Pause { samples: 480 });
}

/// Order, bounded delay and honest counting on a thousand bad networks.
#[test]
fn on_any_network_the_order_is_kept_and_the_delay_is_bounded() {
    for seed in 1..=200 {
        let mut random = Random(seed);
        let (loss, jitter, twice) = (random.below(30), random.below(200) + 1, random.below(10));
        let mut line = Line::new();
        for n in 0..400 {
            if random.below(100) >= loss {
                line.send_late(n, random.below(jitter));
            }
            if random.below(100) < twice {
                line.send_late(n, random.below(jitter));
            }
            line.run(20);
            let delay = line.buffer.current_delay(line.now);
            assert!(delay < ms(800), "seed {seed}, packet {n}: {delay:?}");
        }
        line.run(2000);
        assert!(line.played.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: {:?}", line.played);
        let stats = line.buffer.stats();
        // Nobody knows of those lost at the beginning and at the end.
        let accounted = line.played.len() as u64 + stats.lost + stats.late + stats.discarded;
        assert!((390..=410).contains(&accounted), "seed {seed}: {} played, {stats:?}", line.played.len());
    }
}

#[test]
fn noise_instead_of_packets_does_no_harm() {
    for seed in 1..=300 {
        let mut random = Random(seed);
        let mut data: Vec<u8> = (0..2400).map(|_| random.below(256) as u8).collect();
        if seed % 2 == 0 {
            // Likelier numbers and valid payloads reach deeper.
            for (n, part) in data.chunks_exact_mut(12).enumerate() {
                part[0] = 0;
                part[1] = part[1] % 16 + n as u8;
                part[2..4].fill(0);
                part[7] %= 30;
                part[8] = 31 << 3;
            }
        }
        fuzz_jitter_buffer(&data);
    }
}
