//! One direction of a link: packets and instants go in, packets and instants come out. Pure.
//!
//! ```text
//!  packet ─► blackout? ─► bottleneck: queue, rate ─► wire: loss, damage, delay, jitter, copies ─► packet
//! ```
//!
//! What is lost on the wire has used its share of the rate before, as on a radio link behind a modem. Call
//! [`Direction::handle_packet`] and [`Direction::poll_packet`] with times that do not go back; one that does counts as the last.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::conditions::{Change, Conditions};
use crate::random::Random;

/// IPv4 and UDP headers, which a rate limit counts too.
pub const HEADER_BYTES: usize = 28;
/// Packets held at most, waiting and on their way; full: the arriving one is dropped and counted as `overflowed`.
pub const PACKETS_MAX: usize = 16_384;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// What can travel.
pub trait Payload: Clone {
    /// Bytes of UDP payload.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Turns one bit; `bit` is below eight times the length.
    fn flip(&mut self, bit: usize);
}

impl Payload for Vec<u8> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn flip(&mut self, bit: usize) {
        self[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Counted since the start, in packets where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Came in.
    pub entered: u64,
    /// Bytes of these, with headers.
    pub entered_bytes: u64,
    /// Went out, copies included.
    pub left: u64,
    /// Bytes of these, with headers.
    pub left_bytes: u64,
    /// Came or left the bottleneck in a blackout.
    pub blacked_out: u64,
    /// Would have waited for the rate limit too long.
    pub queue_full: u64,
    /// Lost by chance on the wire.
    pub lost: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Damaged.
    pub corrupted: u64,
    /// Came when [`PACKETS_MAX`] were held.
    pub overflowed: u64,
}

/// Chance, a generator for each kind of trouble.
struct Dice {
    loss: Random,
    burst: Random,
    gilbert_elliott: Random,
    jitter: Random,
    duplicate: Random,
    corrupt: Random,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Self {
            loss: Random::of(seed, "loss"),
            burst: Random::of(seed, "burst"),
            gilbert_elliott: Random::of(seed, "gilbert-elliott"),
            jitter: Random::of(seed, "jitter"),
            duplicate: Random::of(seed, "duplicate"),
            corrupt: Random::of(seed, "corrupt"),
        }
    }
}

/// The state of one direction.
pub struct Direction<P> {
    conditions: Conditions,
    /// Changes to come.
    steps: BTreeMap<(Instant, u64), Change>,
    /// The latest time heard of.
    now: Option<Instant>,
    /// Waiting for the rate limit; the first is being sent.
    queue: VecDeque<P>,
    /// Bits in `queue` behind the first.
    waiting_bits: u128,
    /// When the first in `queue` is sent.
    sent_at: Option<Instant>,
    /// By arrival, then by order.
    on_wire: BTreeMap<(Instant, u64), P>,
    last_arrival: Option<Instant>,
    is_bad: bool,
    burst_left: u32,
    dice: Dice,
    number: u64,
    counters: Counters,
}

fn bits(payload: &impl Payload) -> u128 {
    (payload.len() as u128 + HEADER_BYTES as u128) * 8
}

/// How long so many bits take, rounded up to a nanosecond.
fn time_of(bits: u128, rate_bps: u64) -> Duration {
    let nanos = (bits * NANOS_PER_SECOND).div_ceil(u128::from(rate_bps.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl<P: Payload> Direction<P> {
    /// A perfect link until something else is said.
    pub fn new(seed: u64) -> Self {
        Self {
            conditions: Conditions::default(),
            steps: BTreeMap::new(),
            now: None,
            queue: VecDeque::new(),
            waiting_bits: 0,
            sent_at: None,
            on_wire: BTreeMap::new(),
            last_arrival: None,
            is_bad: false,
            burst_left: 0,
            dice: Dice::new(seed),
            number: 0,
            counters: Counters::default(),
        }
    }

    /// What happens to packets now.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Changes the conditions at a time, at once where that is past. Of two changes at one time the one given first is first.
    pub fn schedule(&mut self, at: Instant, change: Change) {
        let number = self.take_number();
        self.steps.insert((at, number), change);
    }

    /// Takes a packet that came now.
    pub fn handle_packet(&mut self, now: Instant, packet: P) {
        let now = self.advance(now);
        self.counters.entered += 1;
        self.counters.entered_bytes += packet.len() as u64 + HEADER_BYTES as u64;
        if self.conditions.blackout {
            self.counters.blacked_out += 1;
        } else if self.queue.len() + self.on_wire.len() >= PACKETS_MAX {
            self.counters.overflowed += 1;
        } else if let Some(rate_bps) = self.conditions.rate_bps {
            self.enqueue(now, packet, rate_bps);
        } else {
            self.put_on_wire(now, packet);
        }
    }

    /// When something happens next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let first = |(at, _): &(Instant, u64)| *at;
        let arrival = self.on_wire.keys().next().map(first);
        let step = self.steps.keys().next().map(first);
        [arrival, step, self.sent_at].into_iter().flatten().min()
    }

    /// The next packet that has arrived, and when it did.
    pub fn poll_packet(&mut self, now: Instant) -> Option<(Instant, P)> {
        let now = self.advance(now);
        let first = self.on_wire.first_entry()?;
        let arrival = first.key().0;
        if arrival > now {
            return None;
        }
        let packet = first.remove();
        self.counters.left += 1;
        self.counters.left_bytes += packet.len() as u64 + HEADER_BYTES as u64;
        Some((arrival, packet))
    }

    /// Lets steps and the bottleneck happen up to a time, in their order; a step comes before what is sent at the same time.
    fn advance(&mut self, now: Instant) -> Instant {
        let now = self.now.map_or(now, |last| last.max(now));
        loop {
            let step = self.steps.keys().next().map(|(at, _)| *at).filter(|at| *at <= now);
            let sent = self.sent_at.filter(|at| *at <= now);
            match (step, sent) {
                (Some(step), sent) if sent.is_none_or(|sent| step <= sent) => self.take_step(step),
                (_, Some(sent)) => self.finish_sending(sent),
                (Some(_), None) | (None, None) => break,
            }
        }
        self.now = Some(now);
        now
    }

    fn take_step(&mut self, at: Instant) {
        // A step that was given too late happens when it was given.
        let at = self.now.map_or(at, |now| now.max(at));
        let Some((_, change)) = self.steps.pop_first() else { return };
        change.apply(&mut self.conditions);
        self.now = Some(at);
        if self.conditions.rate_bps.is_none() {
            self.sent_at = None;
            self.waiting_bits = 0;
            for packet in std::mem::take(&mut self.queue) {
                self.put_on_wire(at, packet);
            }
        }
    }

    fn enqueue(&mut self, now: Instant, packet: P, rate_bps: u64) {
        let Some(sent_at) = self.sent_at else {
            self.sent_at = Some(now + time_of(bits(&packet), rate_bps));
            self.queue.push_back(packet);
            return;
        };
        let wait = sent_at.saturating_duration_since(now) + time_of(self.waiting_bits, rate_bps);
        if wait > self.conditions.queue {
            self.counters.queue_full += 1;
            return;
        }
        self.waiting_bits += bits(&packet);
        self.queue.push_back(packet);
    }

    /// The first of the queue is sent, and the next begins, at the rate of now.
    fn finish_sending(&mut self, at: Instant) {
        let sent = self.queue.pop_front();
        self.sent_at = None;
        if let (Some(next), Some(rate_bps)) = (self.queue.front(), self.conditions.rate_bps) {
            self.waiting_bits -= bits(next);
            self.sent_at = Some(at + time_of(bits(next), rate_bps));
        }
        if let Some(packet) = sent {
            self.put_on_wire(at, packet);
        }
    }

    fn put_on_wire(&mut self, at: Instant, mut packet: P) {
        if self.conditions.blackout {
            self.counters.blacked_out += 1;
            return;
        }
        if self.is_lost() {
            self.counters.lost += 1;
            return;
        }
        if self.dice.corrupt.happens(self.conditions.corrupt) && !packet.is_empty() {
            // Below the length, so the cast keeps its value.
            packet.flip((self.dice.corrupt.next() % (packet.len() as u64 * 8)) as usize);
            self.counters.corrupted += 1;
        }
        let is_doubled = self.dice.duplicate.happens(self.conditions.duplicate);
        if is_doubled {
            self.counters.duplicated += 1;
            self.deliver(at, packet.clone());
        }
        self.deliver(at, packet);
    }

    fn deliver(&mut self, at: Instant, packet: P) {
        let mut arrival = at + self.delay();
        if !self.conditions.reorder {
            arrival = self.last_arrival.map_or(arrival, |last| last.max(arrival));
        }
        self.last_arrival = Some(self.last_arrival.map_or(arrival, |last| last.max(arrival)));
        let number = self.take_number();
        self.on_wire.insert((arrival, number), packet);
    }

    fn delay(&mut self) -> Duration {
        let Conditions { delay, jitter, .. } = self.conditions;
        if jitter.is_zero() {
            return delay;
        }
        (delay + jitter.mul_f64(2.0 * self.dice.jitter.share())).saturating_sub(jitter)
    }

    /// Each model goes on whatever the others say, so that they don't depend on each other.
    fn is_lost(&mut self) -> bool {
        let at_random = self.dice.loss.happens(self.conditions.loss);
        let in_burst = self.is_in_burst();
        let in_bad_time = self.is_in_bad_time();
        at_random || in_burst || in_bad_time
    }

    fn is_in_burst(&mut self) -> bool {
        let Some(bursts) = self.conditions.bursts else {
            self.burst_left = 0;
            return false;
        };
        if self.burst_left == 0 && self.dice.burst.happens(bursts.start_chance()) {
            self.burst_left = bursts.length;
        }
        let is_lost = self.burst_left > 0;
        self.burst_left = self.burst_left.saturating_sub(1);
        is_lost
    }

    fn is_in_bad_time(&mut self) -> bool {
        let Some(model) = self.conditions.gilbert_elliott else {
            self.is_bad = false;
            return false;
        };
        let chance = if self.is_bad { model.to_good } else { model.to_bad };
        self.is_bad ^= self.dice.gilbert_elliott.happens(chance);
        self.dice.gilbert_elliott.happens(if self.is_bad { model.loss_bad } else { model.loss_good })
    }

    fn take_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}

#[cfg(test)]
mod tests;
