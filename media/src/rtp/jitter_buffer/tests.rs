//! The jitter buffer on made-up networks.

mod delay;
mod loss;
mod order;
mod pauses;

use super::*;

/// Opus packets of 20 ms: CELT at 48 kHz, SILK without and with a copy of the frame before.
const PLAIN: [u8; 4] = [31 << 3, 1, 2, 3];
const WITH_FEC: [u8; 4] = [9 << 3, 0b0100_0000, 2, 3];

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

    /// How long what is heard now was held, what is decoded and not heard yet left out.
    fn delay(&self) -> Duration {
        self.buffer.current_delay(self.now + duration(self.pending))
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
                        Adjustment::Shorten { by } => i64::from(samples) - by.min(480) as i64,
                        Adjustment::Lengthen { by } => i64::from(samples) + by.clamp(120, 480) as i64,
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
