//! Moves the target: from one look at the link after the other to what may be sent; what is remembered of the link is [`limit`]'s. Pure.

mod limit;

use std::ops::Range;
use std::time::{Duration, Instant};

use rtc::interceptor::Usage;

use limit::{Limit, Room};

use super::air::Air;
use crate::policy::EstimatorPolicy;

/// Between two changes of the target, so that each is seen before the next.
const CHANGE_INTERVAL: Duration = Duration::from_millis(200);
/// Between two cuts for loss: one round of feedback and repair on a slow link.
const LOSS_CUT_INTERVAL: Duration = Duration::from_secs(1);
/// Less than this share of the target sent: what arrives says nothing about the link.
const LIMITED_SHARE: f64 = 0.8;

/// Queueing beyond this is too much for a call, whatever else: it takes a third of the queue of an ordinary bottleneck.
const QUEUE_HIGH: Duration = Duration::from_millis(100);
/// With so much queueing, loss is from a full queue, and what is sent beyond the link's speed makes it longer; nothing more is tried.
pub(super) const QUEUE_SOME: Duration = Duration::from_millis(40);
/// What comes waits: with twice as much sent as the link carries the queue grows by this in as long a time.
const QUEUE_BEGINS: Duration = Duration::from_millis(60);
/// More than the measure of a link's speed is off.
const TOO_MUCH: f64 = 1.08;
/// Until a cut for a queue has had its effect: it is made so that the queue drains in a second.
const DRAIN: Duration = Duration::from_millis(1_000);
/// The least that is left meanwhile, as a share of what the link carries.
const DRAIN_LEAST: f64 = 0.6;
/// Between two reports on what came.
const FEEDBACK: Duration = Duration::from_millis(100);
/// Cuts without effect after which the queue is taken for someone else's, or for a longer path.
const FUTILE_CUTS: u32 = 3;
/// How far the estimate may be from what arrives: to half as much again, and a small picture. Beside sound alone that is where a
/// picture is tried again.
const REACH_FACTOR: f64 = 1.5;
/// See [`REACH_FACTOR`]. With less, a picture that stopped beside a quiet sound never came back: 105 kbps were too few on a link of 300.
const REACH_MORE_BPS: f64 = 140_000.0;
/// The least that is within reach: a muted microphone sends next to nothing, and a picture is tried again from four fifths of its floor on, beside
/// what sound would take.
const REACH_MIN_BPS: f64 = 165_000.0;
/// How far it may be from what a link carried that was busy a moment ago: that much a measure may be too low. With half as much again
/// 300 kbit/s were overrun by a second of sound.
const REACH_BUSY: f64 = 1.2;
/// Up to this share of the last known limit the estimate grows quickly, then with care.
const NEAR_SHARE: f64 = 0.92;
/// A limit that was passed by so much without a queue is none any more. What a busy machine measures is off by a fifth.
const LIMIT_PASSED: f64 = 1.35;

/// A limit that so much more has passed without a queue is probably none.
const LIMIT_PASSING: f64 = 1.05;
/// No queue.
const QUEUE_NONE: Duration = Duration::from_millis(15);

/// Pace over what the link is known to carry: what is made in a while keeps to it, but one frame is larger than the other.
const PACE_SHARE: f64 = 1.2;
/// So much of a link whose queue is short is used while that is remembered: no queue evens out what one picture has more than the next.
const SHORT_SHARE: f64 = 0.9;
/// Where it is full again all the same, this much less,
const SHORT_LESS: f64 = 0.95;
/// down to this share.
const SHORT_LEAST: f64 = 0.75;
/// Where packets are lost on the air, as much is used of a link with any queue: each repair would wait in that queue, and the pictures after it for the
/// repair. For so long after it was full; the queue is empty half of that time.
const ROOM_FOR_REPAIRS: Room = Room { lasts: Duration::from_secs(4), share: SHORT_SHARE };
/// What a link carries, over what it did when it was last met, where it is taken for the same: it is measured no better.
const SAME: Range<f64> = 0.75..1.33;
/// A busy link that carries less than this share of the target was not known when the target was chosen; one that carries less than
/// this share of what is sent has just become narrower.
const OVERRUN_SHARE: f64 = 0.5;

/// When more than this share is lost, what arrives is what the link carries: no cause but a full link loses so much.
const LOSS_OVERWHELMING: f64 = 0.5;

/// What the delays say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// The queue grows.
    Over,
    /// Nothing queues.
    Normal,
    /// A queue drains.
    Under,
}

impl From<Usage> for Signal {
    fn from(usage: Usage) -> Self {
        match usage {
            Usage::Over => Self::Over,
            Usage::Normal => Self::Normal,
            Usage::Under => Self::Under,
        }
    }
}

/// One look at the link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    pub(super) signal: Signal,
    /// Average share of lost packets.
    pub(super) loss: f64,
    /// What arrives, where the window says enough.
    pub(super) received_bps: Option<f64>,
    /// What was sent in the same window.
    pub(super) offered_bps: Option<f64>,
    /// How long packets wait on the way.
    pub(super) queue: Duration,
    /// The same of the last moment only: jitter, or a queue that has just begun.
    pub(super) newest: Duration,
    /// The same of what comes just now.
    pub(super) latest: Duration,
    /// What the link carries of what comes now, where it was busy.
    pub(super) capacity_bps: Option<f64>,
    /// The same with what lies below RTP.
    pub(super) link_bps: Option<f64>,
    /// What it is remembered by: what it would carry of what was sent of late, or at least that.
    pub(super) lasting_bps: Option<f64>,
    /// What passed where nearly everything was lost.
    pub(super) flood_passed_bps: Option<f64>,
    /// Whether a queue is full that loses packets before it is long.
    pub(super) is_short_queue_full: bool,
    /// Whether packets are lost where none wait.
    pub(super) is_lossy: bool,
}

impl Observation {
    fn is_queue_full(self, loss_high: f64) -> bool {
        let is_ours = self.loss > loss_high || self.is_too_much();
        self.queue >= QUEUE_HIGH || (is_ours && self.queue >= QUEUE_SOME)
    }

    /// Whether more is sent than the link passes on.
    fn is_too_much(self) -> bool {
        self.offered_bps.zip(self.capacity_bps).is_some_and(|(offered, capacity)| offered > TOO_MUCH * capacity)
    }

    /// Whether a link that carries far less than it is given has just been met: to wait until a queue stands there would be
    /// a second of lost sound. On a wide link the first packets that waited tell; on a narrow one they are so few that they measure nothing.
    fn is_overrun(self, target_bps: f64, wide_bps: f64) -> bool {
        let Some(capacity) = self.capacity_bps else { return false };
        let is_unknown = self.newest >= QUEUE_HIGH && capacity < OVERRUN_SHARE * target_bps;
        // What was offered before a cut is no reason for another.
        let offered_bps = self.offered_bps.map_or(0.0, |offered| offered.min(target_bps));
        let has_shrunk = self.latest >= QUEUE_BEGINS && capacity < OVERRUN_SHARE * offered_bps;
        is_unknown || (has_shrunk && capacity >= wide_bps)
    }
}

/// A cut for a queue, while its effect is awaited.
#[derive(Clone, Copy, Debug)]
struct Draining {
    until: Instant,
    /// The longest queue of this row of cuts.
    queue: Duration,
    cuts: u32,
}

/// Moves the target; pure.
pub(super) struct RateControl {
    policy: EstimatorPolicy,
    pub(super) target_bps: f64,
    changed_at: Option<Instant>,
    loss_cut_at: Option<Instant>,
    limit: Option<Limit>,
    draining: Option<Draining>,
    air: Air,
    /// As last seen.
    is_lossy: bool,
}

impl RateControl {
    pub(super) fn new(policy: EstimatorPolicy) -> Self {
        Self {
            policy,
            target_bps: policy.start_bps,
            changed_at: None,
            loss_cut_at: None,
            limit: None,
            draining: None,
            air: Air::default(),
            is_lossy: false,
        }
    }

    pub(super) fn update(&mut self, now: Instant, mut seen: Observation) -> f64 {
        self.air.look(now, seen.loss, seen.offered_bps);
        self.is_lossy = seen.is_lossy;
        if seen.loss < self.policy.loss_severe {
            seen.loss = self.air.ours(seen.loss);
        }
        if let Some(limit) = &mut self.limit {
            limit.correct(seen);
        }
        if self.end_flood(now, seen) || self.drain(now, seen) {
            return self.target_bps;
        }
        self.cut_for_loss(now, seen);
        let elapsed = self.changed_at.map(|at| now.saturating_duration_since(at));
        if elapsed.is_some_and(|elapsed| elapsed < CHANGE_INTERVAL) {
            return self.target_bps;
        }
        match seen.signal {
            Signal::Over => self.cut_for_delay(now, seen),
            Signal::Normal => self.grow(now, elapsed.unwrap_or(CHANGE_INTERVAL), seen),
            Signal::Under => {}
        }
        self.target_bps
    }

    /// A link that left nothing beside sound is one still; another may have become narrower.
    fn guess(&self, bps: f64, now: Instant, seen: Observation) -> Limit {
        let before = self.limit.filter(Limit::is_barely_sound).and_then(|limit| limit.link_bps);
        Limit::guess(bps, now, seen.link_bps.or(before))
    }

    /// The link is full and carries so much; gives what was known of its short queue.
    fn meet(&mut self, now: Instant, seen: Observation, carried_bps: f64) -> Option<Room> {
        let same = self.limit.filter(|limit| SAME.contains(&(carried_bps / limit.bps)));
        let short = same.and_then(|limit| limit.short);
        // Beside a part of it what arrives is no measure: each time the limit would be lower.
        let is_part = short.is_some() || self.used_of_limit(now).is_some();
        let is_known = is_part && seen.capacity_bps.is_none();
        self.limit = same.filter(|_| is_known).or(Some(Limit { short, ..Limit::met(seen, carried_bps, now) }));
        short
    }

    fn set(&mut self, now: Instant, bps: f64) {
        self.target_bps = bps.clamp(self.policy.min_bps, self.policy.max_bps);
        self.changed_at = Some(now);
    }

    /// Sends less than passes, at once, so that the full queue behind a flood drains; whether there is a flood.
    fn end_flood(&mut self, now: Instant, seen: Observation) -> bool {
        let Some(passed) = seen.flood_passed_bps.filter(|passed| *passed < self.target_bps) else { return false };
        self.limit = Some(self.guess(passed, now, seen));
        self.draining = Some(Draining { until: now + DRAIN, queue: seen.queue.max(QUEUE_HIGH), cuts: 1 });
        self.set(now, passed * DRAIN_LEAST);
        true
    }

    /// Ends a queue that stands; whether it is being ended. A link that carries half of what it did when it was last cut for is not waited for.
    fn drain(&mut self, now: Instant, seen: Observation) -> bool {
        let wide_bps = 2.0 * self.policy.loss_floor_bps;
        let is_overrun = seen.is_overrun(self.target_bps, wide_bps);
        let is_awaited = self.draining.is_some_and(|draining| now < draining.until);
        if !is_overrun && is_awaited {
            return true;
        }
        if !is_overrun && self.cut_for_short_queue(now, seen) {
            return true;
        }
        if !is_overrun && !seen.is_queue_full(self.policy.loss_high) {
            self.draining = None;
            return false;
        }
        let Some(carried) = self.carried_bps(seen) else { return false };
        let is_wide = carried >= wide_bps;
        let begun = if is_wide { seen.newest.max(seen.latest) } else { seen.newest };
        let queue = if is_overrun { begun } else { seen.queue };
        self.await_draining(now, queue, !is_awaited);
        let is_short = self.meet(now, seen, carried).is_some();
        // So that the queue is gone after a second, but not at the price of all that is sent; on a narrow link, not of the picture.
        let (standing, least) =
            if is_overrun && is_wide { (queue + on_its_way(seen, queue), 0.65) } else { (queue, DRAIN_LEAST) };
        let is_room_needed = is_short || (self.needs_room_for_repairs() && seen.capacity_bps.is_some());
        let most = if is_room_needed { self.policy.decrease_factor } else { 0.95 };
        let factor = (1.0 - standing.as_secs_f64() / DRAIN.as_secs_f64()).clamp(least, most);
        self.set(now, (carried * factor).min(self.target_bps));
        true
    }

    /// Awaits the effect of a cut for a queue, another one than before or the same.
    fn await_draining(&mut self, now: Instant, queue: Duration, is_another: bool) {
        let (first, cuts) = self.draining.map_or((queue, 0), |draining| (draining.queue.max(queue), draining.cuts));
        self.draining = Some(Draining { until: now + DRAIN, queue: first, cuts: cuts + u32::from(is_another) });
    }

    /// Whether cuts do nothing to the queue: then it is not ours, or the path is longer than it was.
    pub(super) fn is_draining_futile(&self, seen: Observation) -> bool {
        self.draining.is_some_and(|draining| {
            let stands = seen.queue >= QUEUE_SOME && seen.queue.as_secs_f64() > 0.8 * draining.queue.as_secs_f64();
            stands && draining.cuts >= FUTILE_CUTS
        })
    }

    fn cut_for_delay(&mut self, now: Instant, seen: Observation) {
        let Some(carried) = self.carried_bps(seen) else { return };
        if self.is_limited(seen) {
            // Jitter on a link that is not full: be careful, but don't take what is sent for what it carries.
            self.set(now, self.target_bps * self.policy.decrease_factor.max(0.9));
            return;
        }
        self.meet(now, seen, carried);
        self.set(now, (carried * self.policy.decrease_factor).min(self.target_bps));
    }

    /// Where a short queue is full, sends less than its link carries, and for longer each time; whether it is.
    fn cut_for_short_queue(&mut self, now: Instant, seen: Observation) -> bool {
        // What arrives says nothing while reports get lost: much of it is assumed. And beside others' traffic in the same queue, sound alone would
        // be taken for the link.
        let arrives = seen.received_bps.filter(|received| *received < self.target_bps);
        let Some(carried) = seen.capacity_bps.or(arrives).filter(|_| seen.is_short_queue_full) else { return false };
        if self.is_limited(seen) && carried < self.policy.loss_floor_bps {
            return false;
        }
        self.await_draining(now, seen.queue, seen.queue >= QUEUE_SOME);
        let short = match self.meet(now, seen, carried) {
            None => Room { lasts: self.policy.limit_memory, share: SHORT_SHARE },
            Some(before) => Room {
                lasts: (before.lasts * 2).min(self.policy.limit_forgotten),
                share: (before.share * SHORT_LESS).max(SHORT_LEAST),
            },
        };
        self.limit = self.limit.map(|limit| Limit { short: Some(short), at: now, ..limit });
        let less = carried * self.policy.decrease_factor.min(short.share);
        self.set(now, less.max(self.policy.loss_floor_bps).min(self.target_bps));
        true
    }

    fn cut_for_loss(&mut self, now: Instant, seen: Observation) {
        let waited = self.loss_cut_at.is_none_or(|at| now.saturating_duration_since(at) >= LOSS_CUT_INTERVAL);
        if seen.loss <= self.policy.loss_high || !waited {
            return;
        }
        self.air.note_cut(now, seen.loss + self.air.share());
        let is_severe = seen.loss >= self.policy.loss_severe || seen.signal == Signal::Over;
        let floor = if is_severe { self.policy.min_bps } else { self.policy.loss_floor_bps };
        self.loss_cut_at = Some(now);
        let cut = (self.target_bps * (1.0 - 0.5 * seen.loss)).max(floor.min(self.target_bps));
        match seen.received_bps.filter(|_| seen.loss > LOSS_OVERWHELMING && !self.is_limited(seen)) {
            Some(received) => {
                self.limit = Some(self.guess(received, now, seen));
                self.set(now, cut.min(received));
            }
            None => self.set(now, cut),
        }
    }

    fn grow(&mut self, now: Instant, elapsed: Duration, seen: Observation) {
        // What was never sent was never tried: stay within reach of what arrives.
        let reach = seen
            .received_bps
            .map_or(self.target_bps, |received| (REACH_FACTOR * received + REACH_MORE_BPS).max(REACH_MIN_BPS));
        // What queued a moment ago showed how much passes. Jitter looks like it, and then shows only how little was sent.
        let reach = seen.lasting_bps.map_or(reach, |lasting| reach.min((REACH_BUSY * lasting).max(REACH_MIN_BPS)));
        if self.is_held_by_loss(seen) || seen.queue >= QUEUE_SOME || self.target_bps >= reach {
            return;
        }
        let seconds = elapsed.as_secs_f64().min(1.0);
        self.forget_limit(now, seen);
        let limit = self.limit.map(|limit| limit.bps);
        let near = limit.filter(|limit| self.target_bps >= NEAR_SHARE * limit);
        let is_limited = self.is_limited(seen);
        let is_fresh = self.is_limit_younger(now, self.policy.limit_memory);
        let is_retried_late = self.limit.as_ref().is_some_and(Limit::is_barely_sound) && is_limited;
        let is_too_soon = is_fresh || (is_retried_late && self.is_limit_younger(now, self.policy.limit_forgotten));
        let is_passing = seen.newest < QUEUE_NONE
            && near.zip(seen.received_bps).is_some_and(|(limit, received)| received > LIMIT_PASSING * limit);
        let grown = match near {
            Some(_) if is_passing => self.target_bps * self.policy.retry_per_second.powf(seconds),
            Some(_) if is_too_soon => self.target_bps + self.approach_bps_per_second() * seconds,
            Some(_) if !is_limited || is_retried_late => self.target_bps * self.policy.retry_per_second.powf(seconds),
            Some(_) => self.target_bps * self.policy.growth_per_second.powf(seconds),
            None => {
                let grown = self.target_bps * self.policy.growth_per_second.powf(seconds);
                limit.map_or(grown, |limit| grown.min(NEAR_SHARE * limit))
            }
        };
        // Little being sent is no proof that more would pass.
        let is_unproved = is_too_soon && is_limited;
        let cap = near.filter(|_| is_unproved).map_or(reach, |limit| limit.max(self.target_bps).min(reach));
        let cap = self.used_of_limit(now).map_or(cap, |used| cap.min(used.max(self.target_bps)));
        self.set(now, grown.min(cap));
    }

    /// What is used of a link that was full, where that is not all.
    fn used_of_limit(&self, now: Instant) -> Option<f64> {
        let limit = self.limit?;
        let rooms = [limit.short, self.needs_room_for_repairs().then_some(ROOM_FOR_REPAIRS)];
        let rooms = rooms.into_iter().flatten().filter(|room| self.is_limit_younger(now, room.lasts));
        rooms.map(|room| room.share * limit.bps).reduce(f64::min)
    }

    /// On a narrow link the picture needs all there is.
    fn needs_room_for_repairs(&self) -> bool {
        self.is_lossy && self.limit.is_some_and(|limit| limit.bps >= self.policy.loss_floor_bps)
    }

    /// Whether so much is lost that nothing more is tried. What loss alone does not press the estimate below, it does not keep it below
    /// either: where a delay was once taken for a queue, loss at random would hold the estimate down for good.
    fn is_held_by_loss(&self, seen: Observation) -> bool {
        let is_low = self.target_bps < self.policy.loss_floor_bps && seen.loss < self.policy.loss_severe;
        seen.loss > self.policy.loss_high / 2.0 && !is_low
    }

    fn is_limit_younger(&self, now: Instant, than: Duration) -> bool {
        self.limit.is_some_and(|limit| now.saturating_duration_since(limit.at) < than)
    }

    /// A limit that is very old, or was passed, is none. While little is sent nothing is learnt of it, and it does not age: what is
    /// tried then begins with care.
    fn forget_limit(&mut self, now: Instant, seen: Observation) {
        let is_passed = |limit: &Limit| !self.is_limited(seen) && self.target_bps > LIMIT_PASSED * limit.bps;
        let is_known = self.is_limit_younger(now, self.policy.limit_forgotten) || self.is_limited(seen);
        self.limit = self.limit.filter(|limit| is_known && !is_passed(limit));
        if let Some(limit) = &mut self.limit {
            limit.passed_bps = limit.passed_bps.max(seen.received_bps.unwrap_or_default());
        }
    }

    /// When what is known of the link is too old, after a last report, and so little that nothing is sent.
    pub(super) fn forgets_at(&self, reported_at: Instant) -> Option<Instant> {
        (self.target_bps < REACH_MIN_BPS).then(|| reported_at + self.policy.limit_forgotten)
    }

    /// Forgets the link; gives what is tried next.
    pub(super) fn forget(&mut self) -> f64 {
        (self.limit, self.draining) = (None, None);
        self.target_bps = self.target_bps.max(REACH_MIN_BPS);
        self.target_bps
    }

    /// What is lost on the air, whatever is sent.
    pub(super) fn air_share(&self) -> f64 {
        self.air.share()
    }

    /// Until when the effect of the last cut for a queue is awaited.
    pub(super) fn draining_until(&self) -> Option<Instant> {
        self.draining.map(|draining| draining.until)
    }

    /// The queue was not ours.
    pub(super) fn end_draining(&mut self) {
        self.draining = None;
    }

    /// There was none since then: what was met is no limit.
    pub(super) fn deny_queue(&mut self, since: Instant) {
        self.end_draining();
        self.limit = self.limit.filter(|limit| limit.at < since);
    }

    /// Whether the link was full not long ago.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.is_limit_younger(now, self.policy.limit_memory)
    }

    /// In proportion to the rate, so that a narrow link is not overrun while the queue is looked at.
    fn approach_bps_per_second(&self) -> f64 {
        (self.target_bps * self.policy.approach_per_second).min(self.policy.approach_bps_per_second)
    }

    /// The most that may leave in a moment: faster than the link it would only wait there, and sound behind it. None while the
    /// link was not met.
    pub(super) fn pace_bps(&self, now: Instant) -> Option<f64> {
        if self.draining.is_some_and(|draining| now < draining.until) {
            return Some(self.target_bps);
        }
        self.limit.map(|limit| match limit.short {
            Some(_) => limit.passed_bps.max(self.target_bps),
            None if self.needs_room_for_repairs() => {
                self.target_bps.clamp(limit.passed_bps, PACE_SHARE * limit.passed_bps)
            }
            None => PACE_SHARE * limit.passed_bps,
        })
    }

    /// What is known of the link: its speed where it was busy, else what arrives of enough.
    fn carried_bps(&self, seen: Observation) -> Option<f64> {
        let arrives = if self.is_limited(seen) { Some(self.target_bps) } else { seen.received_bps };
        seen.capacity_bps.or(arrives)
    }

    fn is_limited(&self, seen: Observation) -> bool {
        seen.offered_bps.is_some_and(|offered| offered < LIMITED_SHARE * self.target_bps)
    }
}

/// By how much a queue grows until a cut comes to its end: what was seen has waited in it, and for its feedback.
fn on_its_way(seen: Observation, queue: Duration) -> Duration {
    let (Some(offered), Some(capacity)) = (seen.offered_bps, seen.capacity_bps) else { return Duration::ZERO };
    let excess = (offered / capacity.max(1.0) - 1.0).clamp(0.0, 1.0);
    (queue + FEEDBACK).mul_f64(excess)
}

#[cfg(test)]
mod tests;
