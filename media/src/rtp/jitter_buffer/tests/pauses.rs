//! Pauses of the sender and of the network.

use super::*;

#[test]
fn a_pause_of_the_sender_is_no_loss() {
    let mut line = Line::new();
    for n in 0..50 {
        line.send(n);
        line.run(20);
    }
    line.run(10_000);
    // The numbers go on, the time line has moved by the pause.
    line.offset = 480_000;
    for n in 50..100 {
        line.send(n);
        line.run(20);
    }
    assert!(line.buffer.current_delay(line.now) < ms(60));
    line.run(60);
    let stats = line.buffer.stats();
    assert_eq!((stats.lost, stats.concealed_samples, stats.restarts), (0, 0, 0), "{stats:?}");
    assert_eq!(line.played, (0..100).collect::<Vec<_>>());
}

#[test]
fn the_gaps_of_discontinuous_transmission_are_no_loss() {
    let mut line = Line::new();
    let mut sequence = 0;
    for _ in 0..20 {
        // Ten packets of speech, then one every 400 ms.
        for _ in 0..10 {
            line.send(sequence);
            sequence += 1;
            line.run(20);
        }
        for _ in 0..3 {
            line.run(380);
            line.offset += 19 * 960;
            line.send(sequence);
            sequence += 1;
            line.run(20);
        }
    }
    line.run(60);
    let stats = line.buffer.stats();
    assert_eq!((stats.lost, stats.concealed_samples, stats.late), (0, 0, 0), "{stats:?}");
    assert_eq!(line.played.len(), sequence as usize);
}

#[test]
fn a_network_that_stops_is_concealed_then_silent_and_counted_when_it_goes_on() {
    let mut line = Line::new();
    for n in 0..50 {
        line.send(n);
        line.run(20);
    }
    let before = line.pauses;
    line.run(1000);
    assert!(line.pauses > before, "a second is not made up");
    for n in 50..100 {
        line.send(n);
    }
    for n in 100..200 {
        line.send(n);
        line.run(20);
    }
    let stats = line.buffer.stats();
    assert!((40_000..60_000).contains(&stats.concealed_samples), "{stats:?}");
    assert!(stats.discarded >= 20, "what is a second late is not listened to: {stats:?}");
    assert!(line.buffer.current_delay(line.now) < ms(700), "{:?}", line.buffer.current_delay(line.now));
}

#[test]
fn a_time_line_that_stood_still_in_a_pause_is_got_used_to() {
    let mut line = Line::new();
    for n in 0..50 {
        line.send(n);
        line.run(20);
    }
    line.run(2000);
    for n in 50..200 {
        line.send(n);
        line.run(20);
    }
    assert!(line.buffer.current_delay(line.now) < ms(80), "{:?}", line.buffer.current_delay(line.now));
    assert!(line.buffer.target_delay() < ms(80), "{:?}", line.buffer.target_delay());
    assert!(line.played.ends_with(&[195, 196, 197]) || line.played.ends_with(&[196, 197, 198]), "{:?}", line.played);
}
