//! The jitter buffer on made-up networks.

use super::*;

/// Opus packets of 20 ms: CELT at 48 kHz, SILK without and with a copy of the frame before.
const PLAIN: [u8; 4] = [31 << 3, 1, 2, 3];
const WITH_FEC: [u8; 4] = [9 << 3, 0b0100_0000, 2, 3];

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

/// A sender, a network and a player that asks every 10 ms.
struct Line {
    buffer: JitterBuffer,
    now: Instant,
    payload: &'static [u8],
    ssrc: u32,
    offset: i64,
    /// What is on its way, by when it arrives.
    under_way: Vec<(Instant, RtpPacket)>,
    /// Decoded and not played yet, in samples.
    pending: i64,
    played: Vec<i64>,
    pauses: u32,
    start: Instant,
    elapsed: i64,
}

impl Line {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            buffer: JitterBuffer::new(JitterBufferConfig::default()),
            now,
            payload: &PLAIN,
            ssrc: 1,
            offset: 0,
            under_way: Vec::new(),
            pending: 0,
            played: Vec::new(),
            pauses: 0,
            start: now,
            elapsed: 0,
        }
    }

    fn send(&mut self, n: i64) {
        self.send_late(n, 0);
    }

    fn send_late(&mut self, n: i64, delay_ms: u64) {
        let packet = RtpPacket {
            sequence_number: n as u16,
            timestamp: (n * 960 + self.offset) as u32,
            marker: false,
            payload_type: 111,
            ssrc: self.ssrc,
            payload: Bytes::from_static(self.payload),
        };
        if delay_ms == 0 {
            self.buffer.insert(&packet, self.now);
        } else {
            self.under_way.push((self.now + ms(delay_ms), packet));
        }
    }

    /// The packet as a copy in the one inserted last.
    fn send_copy(&mut self, n: i64) {
        self.buffer.insert_copy(&RtpPacket {
            sequence_number: n as u16,
            timestamp: (n * 960 + self.offset) as u32,
            marker: false,
            payload_type: 111,
            ssrc: self.ssrc,
            payload: Bytes::from_static(self.payload),
        });
    }

    fn run(&mut self, milliseconds: i64) {
        self.run_samples(milliseconds * 48);
    }

    fn run_samples(&mut self, samples: i64) {
        let end = self.elapsed + samples;
        while self.elapsed + 480 <= end {
            self.step(480);
        }
        let rest = end - self.elapsed;
        self.elapsed += rest;
        self.pending -= rest;
        self.now = self.start + duration(self.elapsed);
    }

    fn step(&mut self, samples: i64) {
        self.under_way.sort_by_key(|(at, _)| *at);
        while self.under_way.first().is_some_and(|(at, _)| *at <= self.now) {
            let (at, packet) = self.under_way.remove(0);
            self.buffer.insert(&packet, at);
        }
        while self.pending < samples {
            let at = self.now + duration(self.pending);
            let adjustment = self.buffer.adjustment(at);
            let count = match self.buffer.next(at) {
                Next::Play { timestamp, samples, .. } => {
                    let time = i64::from(timestamp.wrapping_sub(self.offset as u32));
                    self.played.push(time / 960);
                    match adjustment {
                        Adjustment::Keep => i64::from(samples),
                        Adjustment::Shorten => i64::from(samples) - 300,
                        Adjustment::Lengthen => i64::from(samples) + 300,
                    }
                }
                Next::Recover { samples, .. } | Next::Conceal { samples } => i64::from(samples),
                Next::Pause { samples } => {
                    self.pauses += 1;
                    i64::from(samples)
                }
            };
            self.pending += count;
        }
        self.pending -= samples;
        self.elapsed += samples;
        self.now = self.start + duration(self.elapsed);
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A generator of its own, so that a seed means the same for ever (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }
}
