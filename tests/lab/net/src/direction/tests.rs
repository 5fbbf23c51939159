//! Each trouble exactly, by a made-up clock.

use proptest::prelude::*;

use super::*;

/// A link, and packets that carry their number.
struct Link {
    begin: Instant,
    direction: Direction<Vec<u8>>,
}

const MS: Duration = Duration::from_millis(1);

impl Link {
    fn new(description: &str) -> Self {
        Self::seeded(description, 1)
    }

    fn seeded(description: &str, seed: u64) -> Self {
        let begin = Instant::now();
        let mut direction = Direction::new(seed);
        direction.schedule(begin, description.parse().unwrap());
        Self { begin, direction }
    }

    fn at(&mut self, ms: u64, description: &str) -> &mut Self {
        self.direction.schedule(self.begin + MS * ms as u32, description.parse().unwrap());
        self
    }

    /// A packet of so many bytes on the wire, headers included, that carries a number.
    fn send(&mut self, after: Duration, number: u32, bytes: usize) {
        let mut packet = number.to_be_bytes().to_vec();
        packet.resize(bytes - HEADER_BYTES, 0);
        self.direction.handle_packet(self.begin + after, packet);
    }

    /// Everything that comes until a minute after the begin, stepping from one event to the next: number and time. What is
    /// already past counts as asked for now.
    fn arrivals(&mut self) -> Vec<(u32, Duration)> {
        let mut arrivals = Vec::new();
        while let Some(at) = self.direction.poll_timeout().filter(|at| *at <= self.begin + Duration::from_secs(60)) {
            while let Some((arrival, packet)) = self.direction.poll_packet(at) {
                assert!(self.direction.now.is_some_and(|now| arrival <= now));
                arrivals.push((number(&packet), arrival - self.begin));
            }
        }
        arrivals
    }

    /// So many packets of 128 bytes, one each tenth of a millisecond; the numbers of those that arrive.
    fn pass(&mut self, packets: u32) -> Vec<u32> {
        let mut passed = Vec::new();
        for number in 0..packets {
            self.send(MS * number / 10, number, 128);
            passed.extend(self.arrivals().into_iter().map(|(number, _)| number));
        }
        passed
    }
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[..4].try_into().unwrap())
}

/// Lengths of the gaps in the numbers.
fn gaps(passed: &[u32]) -> Vec<u32> {
    passed.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect()
}

#[test]
fn a_perfect_link_lets_all_pass_at_once() {
    let mut link = Link::new("");
    link.send(MS, 1, 100);
    link.send(MS * 2, 2, 1_200);
    assert_eq!(link.arrivals(), [(1, MS), (2, MS * 2)]);
}

#[test]
fn delay_is_exact() {
    let mut link = Link::new("delay=50ms");
    link.send(MS, 1, 100);
    assert_eq!(link.direction.poll_packet(link.begin + MS * 51 - Duration::from_nanos(1)), None);
    assert_eq!(link.direction.poll_timeout(), Some(link.begin + MS * 51));
    assert_eq!(link.arrivals(), [(1, MS * 51)]);
}

#[test]
fn a_rate_counts_whole_ip_packets_and_sends_one_after_the_other() {
    // 1,000 bytes with headers are 8 ms at 1 Mbps.
    let mut link = Link::new("rate=1Mbps");
    for number in 0..3 {
        link.send(MS, number, 1_000);
    }
    link.send(MS * 100, 3, 500);
    assert_eq!(link.arrivals(), [(0, MS * 9), (1, MS * 17), (2, MS * 25), (3, MS * 104)]);
}

#[test]
fn a_full_queue_drops_what_comes() {
    // 8 ms a packet: one that finds more than 20 ms before it is dropped.
    let mut link = Link::new("rate=1Mbps,queue=20ms");
    for number in 0..6 {
        link.send(Duration::ZERO, number, 1_000);
    }
    // 16 ms later two of the three that were taken are gone.
    link.send(MS * 16, 6, 1_000);
    assert_eq!(link.arrivals(), [(0, MS * 8), (1, MS * 16), (2, MS * 24), (6, MS * 32)]);
    assert_eq!(link.direction.counters().queue_full, 3);
}

#[test]
fn a_rate_step_slows_what_still_waits() {
    let mut link = Link::new("rate=1Mbps");
    link.at(4, "rate=500kbps").at(30, "rate=none");
    for number in 0..4 {
        link.send(Duration::ZERO, number, 1_000);
    }
    // The first was being sent; the others take 16 ms each; at 30 ms the limit is gone, and with it the queue.
    assert_eq!(link.arrivals(), [(0, MS * 8), (1, MS * 24), (2, MS * 30), (3, MS * 30)]);
}

#[test]
fn a_blackout_swallows_what_comes_and_what_leaves_the_queue() {
    let mut link = Link::new("rate=1Mbps,delay=5ms");
    link.at(10, "blackout").at(30, "blackout=off");
    for number in 0..3 {
        link.send(Duration::ZERO, number, 1_000);
    }
    link.send(MS * 20, 3, 1_000);
    link.send(MS * 30, 4, 1_000);
    // What was on the wire already arrives.
    assert_eq!(link.arrivals(), [(0, MS * 13), (4, MS * 43)]);
    assert_eq!(link.direction.counters().blacked_out, 3);
}

#[test]
fn random_loss_takes_about_its_share_each_packet_by_itself() {
    for share in [0.02, 0.10, 0.30] {
        let passed = Link::new(&format!("loss={share}")).pass(20_000);
        let lost = 1.0 - passed.len() as f64 / 20_000.0;
        assert!((lost - share).abs() < 0.01, "{lost} instead of {share}");
        let gaps = gaps(&passed);
        let mean = gaps.iter().sum::<u32>() as f64 / gaps.len() as f64;
        assert!((mean - 1.0 / (1.0 - share)).abs() < 0.05, "gaps are {mean} long");
    }
}

#[test]
fn bursts_have_their_length_and_take_their_share() {
    for share in [0.05, 0.10, 0.30] {
        let passed = Link::new(&format!("loss={share}x3")).pass(30_000);
        let lost = 1.0 - passed.len() as f64 / 30_000.0;
        assert!((lost - share).abs() < 0.02, "{lost} instead of {share}");
        assert!(gaps(&passed).iter().all(|gap| gap % 3 == 0), "only whole bursts");
    }
}

#[test]
fn a_gilbert_elliott_link_is_bad_for_its_share_of_time_and_so_long() {
    // Bad for 1 % / (1 % + 25 %) of the packets, four at a time; half of them are lost.
    let passed = Link::new("ge=1%/25%/100%").pass(100_000);
    let lost = 1.0 - passed.len() as f64 / 100_000.0;
    assert!((lost - 0.01 / 0.26).abs() < 0.005, "{lost}");
    let gaps = gaps(&passed);
    let mean = gaps.iter().sum::<u32>() as f64 / gaps.len() as f64;
    assert!((mean - 4.0).abs() < 0.3, "{mean}");
    let passed = Link::new("ge=1%/25%/50%").pass(100_000);
    let lost = 1.0 - passed.len() as f64 / 100_000.0;
    assert!((lost - 0.5 * 0.01 / 0.26).abs() < 0.005, "{lost}");
}

#[test]
fn copies_and_damage_come_in_their_share() {
    let mut link = Link::new("duplicate=10%,corrupt=20%");
    let mut damaged = 0;
    for number in 0..10_000 {
        link.direction.handle_packet(link.begin + MS * number, vec![0; 100]);
        while let Some((_, packet)) = link.direction.poll_packet(link.begin + MS * number) {
            let turned: u32 = packet.iter().map(|byte| byte.count_ones()).sum();
            assert!(turned <= 1);
            damaged += turned;
        }
    }
    let counters = link.direction.counters();
    assert!((900..1_100).contains(&counters.duplicated), "{counters:?}");
    assert!((1_850..2_150).contains(&counters.corrupted), "{counters:?}");
    assert_eq!(counters.left, counters.entered + counters.duplicated);
    assert!(damaged >= u32::try_from(counters.corrupted).unwrap(), "copies are damaged as the original is");
}

#[test]
fn jitter_keeps_within_its_bounds_and_reorders_only_when_told() {
    for (description, overtakes) in [("delay=50ms,jitter=20ms", false), ("delay=50ms,jitter=20ms,reorder", true)] {
        let mut link = Link::new(description);
        for number in 0..2_000 {
            link.send(MS * number, number, 100);
        }
        let arrivals = link.arrivals();
        assert_eq!(arrivals.len(), 2_000);
        let late = |(number, at): &(u32, Duration)| *at - MS * *number;
        assert!(arrivals.iter().all(|one| late(one) >= MS * 30 && late(one) <= MS * 70), "{description}");
        let mean = arrivals.iter().map(late).sum::<Duration>() / 2_000;
        assert!(mean >= MS * 49 && (overtakes || mean < MS * 70) && (!overtakes || mean <= MS * 51), "{mean:?}");
        let in_order = arrivals.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert_eq!(in_order, !overtakes, "{description}");
    }
}

#[test]
fn jitter_beyond_the_delay_never_turns_time_around() {
    let mut link = Link::new("jitter=5ms,reorder");
    for number in 0..500 {
        link.send(MS * number, number, 100);
    }
    let arrivals = link.arrivals();
    assert!(arrivals.iter().all(|(number, at)| *at >= MS * *number));
    assert!(arrivals.iter().any(|(number, at)| *at == MS * *number));
}

#[test]
fn steps_happen_at_their_time_even_when_nothing_comes() {
    let mut link = Link::new("delay=10ms");
    link.at(100, "delay=20ms").at(200, "loss=100%").at(300, "loss=0%");
    link.send(MS * 99, 1, 100);
    link.send(MS * 100, 2, 100);
    link.send(MS * 250, 3, 100);
    link.send(MS * 300, 4, 100);
    assert_eq!(link.arrivals(), [(1, MS * 109), (2, MS * 120), (4, MS * 320)]);
}

#[test]
fn what_is_held_is_bounded() {
    let mut link = Link::new("delay=10s");
    for number in 0..PACKETS_MAX as u32 + 5 {
        link.send(Duration::ZERO, number, 64);
    }
    assert_eq!(link.direction.counters().overflowed, 5);
}

/// Any description of the kinds that can come together.
fn description() -> impl Strategy<Value = String> {
    let loss = prop_oneof![Just(""), Just("loss=20%,"), Just("loss=30%x3,"), Just("ge=5%/20%,")];
    let order = prop_oneof![Just(""), Just("reorder,")];
    (loss, order, 0..50_u32, 0..80_u32, 50..5_000_u32, 0..400_u32, 0..30_u32).prop_map(
        |(loss, order, delay, jitter, kbps, queue, copies)| {
            format!(
                "{loss}{order}delay={delay}ms,jitter={jitter}ms,rate={kbps}kbps,queue={queue}ms,duplicate={copies}%"
            )
        },
    )
}

proptest! {
    #[test]
    fn every_packet_is_accounted_for_and_the_bounds_hold(
        description in description(),
        seed: u64,
        packets in prop::collection::vec((0..20_000_u64, 64..1_400_usize), 1..200),
    ) {
        let mut link = Link::seeded(&description, seed);
        let mut after = Duration::ZERO;
        let mut sent = Vec::new();
        for (number, (micros, bytes)) in packets.iter().enumerate() {
            after += Duration::from_micros(*micros);
            sent.push(after);
            link.send(after, number as u32, *bytes);
        }
        let arrivals = link.arrivals();
        let counters = link.direction.counters();
        let gone = counters.lost + counters.queue_full;
        prop_assert_eq!(counters.entered + counters.duplicated, counters.left + gone);
        prop_assert_eq!(arrivals.len() as u64, counters.left);
        let conditions = link.direction.conditions().clone();
        let slowest = time_of(1_400 * 8, conditions.rate_bps.unwrap()) * 2;
        let longest = conditions.queue + slowest + conditions.delay + conditions.jitter;
        for (number, at) in &arrivals {
            let took = *at - sent[*number as usize];
            prop_assert!(took >= conditions.delay.saturating_sub(conditions.jitter));
            // Without reordering one may be held back by one before it, which was under the same bound.
            prop_assert!(took <= longest, "{took:?} > {longest:?}");
        }
        prop_assert!(arrivals.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        if !conditions.reorder {
            prop_assert!(arrivals.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        }
        // No window of time carries more than the rate, but for the jitter, which bunches.
        if conditions.jitter.is_zero() && conditions.duplicate == 0.0 {
            for (first, pair) in arrivals.windows(2).enumerate() {
                let bits = packets[arrivals[first + 1].0 as usize].1 as u128 * 8;
                prop_assert!(pair[1].1 - pair[0].1 >= time_of(bits, conditions.rate_bps.unwrap()));
            }
        }
    }

    #[test]
    fn equal_seeds_make_equal_networks(description in description(), seed: u64) {
        let run = || {
            let mut link = Link::seeded(&description, seed);
            for number in 0..300 {
                link.send(MS * number, number, 64 + (number as usize * 37) % 1_300);
            }
            link.arrivals()
        };
        prop_assert_eq!(run(), run());
    }
}
