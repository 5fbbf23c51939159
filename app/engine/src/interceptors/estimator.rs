//! How much a connection carries: delay and loss in, a target out.
//!
//! Filtering and overuse detection are the stack's (the GCC draft, draft-ietf-rmcat-gcc-02). The control of the rate is ours,
//! because the stack's falls to a share of what happens to be sent (with the camera off that is next to nothing),
//! climbs back at 8 % a second, and takes every loss for congestion.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::interceptor::{BandwidthEstimator, OveruseDetector, PacketReport, RateCalculator, SlopeEstimator, Usage};

use super::reports::LinkQuality;
use crate::policy::EstimatorPolicy;

/// Between two changes of the target, so that each is seen before the next.
const CHANGE_INTERVAL: Duration = Duration::from_millis(200);
/// Between two cuts for loss: one round of feedback and repair on a slow link.
const LOSS_CUT_INTERVAL: Duration = Duration::from_secs(1);
/// How much of a new loss sample enters the average.
const LOSS_WEIGHT: f64 = 0.1;
/// Less than this share of the target sent: what arrives says nothing about the link.
const LIMITED_SHARE: f64 = 0.8;
/// Less than this share of what was sent has arrived in time: the link holds it back.
const HELD_BACK_SHARE: f64 = 0.9;

/// When more than this share is lost, what arrives is what the link carries: no cause but a full link loses so much.
const LOSS_OVERWHELMING: f64 = 0.5;

/// What the delays say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
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
struct Observation {
    signal: Signal,
    /// Average share of lost packets.
    loss: f64,
    /// What arrives, where the window says enough.
    received_bps: Option<f64>,
    /// What was sent in the same window.
    offered_bps: Option<f64>,
}

/// Moves the target; pure.
struct RateControl {
    policy: EstimatorPolicy,
    target_bps: f64,
    changed_at: Option<Instant>,
    loss_cut_at: Option<Instant>,
    /// The rate at which the link was last full, and when.
    limit: Option<(f64, Instant)>,
}

impl RateControl {
    fn new(policy: EstimatorPolicy) -> Self {
        Self { policy, target_bps: policy.start_bps, changed_at: None, loss_cut_at: None, limit: None }
    }

    fn update(&mut self, now: Instant, seen: Observation) -> f64 {
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

    fn set(&mut self, now: Instant, bps: f64) {
        self.target_bps = bps.clamp(self.policy.min_bps, self.policy.max_bps);
        self.changed_at = Some(now);
    }

    fn cut_for_delay(&mut self, now: Instant, seen: Observation) {
        let Some(received) = seen.received_bps else { return };
        let offered = seen.offered_bps.unwrap_or(received);
        let is_limited = offered < LIMITED_SHARE * self.target_bps;
        let is_held_back = received < HELD_BACK_SHARE * offered;
        if is_limited && !is_held_back {
            // Jitter on a link that is not full: be careful, but don't take what is sent for what it carries.
            self.set(now, self.target_bps * self.policy.decrease_factor.max(0.9));
            return;
        }
        self.limit = Some((received, now));
        self.set(now, (received * self.policy.decrease_factor).min(self.target_bps));
    }

    fn cut_for_loss(&mut self, now: Instant, seen: Observation) {
        let waited = self.loss_cut_at.is_none_or(|at| now.saturating_duration_since(at) >= LOSS_CUT_INTERVAL);
        if seen.loss <= self.policy.loss_high || !waited {
            return;
        }
        let is_severe = seen.loss >= self.policy.loss_severe || seen.signal == Signal::Over;
        let floor = if is_severe { self.policy.min_bps } else { self.policy.loss_floor_bps };
        self.loss_cut_at = Some(now);
        let cut = (self.target_bps * (1.0 - 0.5 * seen.loss)).max(floor.min(self.target_bps));
        match seen.received_bps.filter(|_| seen.loss > LOSS_OVERWHELMING) {
            Some(received) => {
                self.limit = Some((received, now));
                self.set(now, cut.min(received));
            }
            None => self.set(now, cut),
        }
    }

    fn grow(&mut self, now: Instant, elapsed: Duration, seen: Observation) {
        // What was never sent was never tried: stay within reach of what arrives.
        let reach = seen.received_bps.map_or(self.target_bps, |received| 2.0 * received + 200_000.0);
        if seen.loss > self.policy.loss_high / 2.0 || self.target_bps >= reach {
            return;
        }
        let seconds = elapsed.as_secs_f64().min(1.0);
        let memory = self.policy.limit_memory;
        let limit = self.limit.filter(|(_, at)| now.saturating_duration_since(*at) < memory);
        let is_near = limit.is_some_and(|(limit, _)| self.target_bps > 0.85 * limit);
        let grown = if is_near {
            self.target_bps + self.policy.approach_bps_per_second * seconds
        } else {
            self.target_bps * self.policy.growth_per_second.powf(seconds)
        };
        self.set(now, grown.min(reach));
    }
}

/// The estimator of one connection.
pub(crate) struct Estimator {
    slope: SlopeEstimator,
    detector: OveruseDetector,
    received: RateCalculator,
    offered: RateCalculator,
    loss: f64,
    control: RateControl,
    quality: Arc<LinkQuality>,
}

impl Estimator {
    pub(crate) fn new(policy: EstimatorPolicy, quality: Arc<LinkQuality>) -> Self {
        quality.set_target_bps(policy.start_bps);
        Self {
            slope: SlopeEstimator::new(),
            detector: OveruseDetector::new(),
            received: RateCalculator::default(),
            offered: RateCalculator::default(),
            loss: 0.0,
            control: RateControl::new(policy),
            quality,
        }
    }
}

impl BandwidthEstimator for Estimator {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        if reports.is_empty() {
            return;
        }
        let mut usage = self.detector.usage();
        for report in reports {
            self.offered.add(now, report.size);
            if report.arrived {
                self.received.add(now, report.size);
            }
            if let Some(trend) = self.slope.accumulate(report) {
                usage = self.detector.update(trend.at, trend.estimate_ms);
            }
        }
        let lost = reports.iter().filter(|report| !report.arrived).count();
        let sample = lost as f64 / reports.len() as f64;
        self.loss += LOSS_WEIGHT * (sample - self.loss);
        let seen = Observation {
            signal: usage.into(),
            loss: self.loss,
            received_bps: self.received.rate_bits_per_second(now),
            offered_bps: self.offered.rate_bits_per_second(now),
        };
        self.quality.set_target_bps(self.control.update(now, seen));
    }

    fn target_bitrate(&self) -> f64 {
        self.control.target_bps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(signal: Signal, loss: f64, received_bps: f64, offered_bps: f64) -> Observation {
        Observation { signal, loss, received_bps: Some(received_bps), offered_bps: Some(offered_bps) }
    }

    /// Feeds the same observation every 100 ms.
    fn feed(control: &mut RateControl, now: &mut Instant, span: Duration, seen: impl Fn(f64) -> Observation) -> f64 {
        let end = *now + span;
        while *now < end {
            *now += Duration::from_millis(100);
            control.update(*now, seen(control.target_bps));
        }
        control.target_bps
    }

    fn control() -> (RateControl, Instant) {
        (RateControl::new(EstimatorPolicy::default()), Instant::now())
    }

    #[test]
    fn a_link_that_loses_most_is_taken_for_what_arrives_at_once() {
        let (now, policy) = (Instant::now(), EstimatorPolicy::default());
        let mut control = RateControl::new(policy);
        assert_eq!(control.update(now, seen(Signal::Normal, 0.7, 110_000.0, 900_000.0)), 110_000.0);
        let mut control = RateControl::new(policy);
        assert!(
            control.update(now, seen(Signal::Normal, 0.3, 500_000.0, 900_000.0)) > 800_000.0,
            "radio loses so much"
        );
    }

    #[test]
    fn a_full_link_is_met_at_once_and_approached_with_care() {
        let (mut control, mut now) = control();
        now += Duration::from_secs(1);
        let target = control.update(now, seen(Signal::Over, 0.0, 600_000.0, 1_000_000.0));
        assert!((target - 510_000.0).abs() < 1.0, "{target}");
        let normal = |target| seen(Signal::Normal, 0.0, target, target);
        let target = feed(&mut control, &mut now, Duration::from_secs(3), normal);
        assert!((580_000.0..700_000.0).contains(&target), "{target}");
    }

    #[test]
    fn a_link_that_grew_is_found_in_seconds() {
        let (mut control, mut now) = control();
        now += Duration::from_secs(1);
        control.update(now, seen(Signal::Over, 0.0, 100_000.0, 1_000_000.0));
        let normal = |target| seen(Signal::Normal, 0.0, target, target);
        let memory = EstimatorPolicy::default().limit_memory;
        feed(&mut control, &mut now, memory, normal);
        let target = feed(&mut control, &mut now, Duration::from_secs(4), normal);
        assert!(target > 1_900_000.0, "{target}");
    }

    #[test]
    fn with_the_camera_off_jitter_does_not_throw_the_estimate_away() {
        let (mut control, mut now) = control();
        now += Duration::from_secs(1);
        control.update(now, seen(Signal::Over, 0.0, 50_000.0, 50_000.0));
        assert!(control.target_bps >= 850_000.0);
        let idle = |_| seen(Signal::Normal, 0.0, 50_000.0, 50_000.0);
        let target = feed(&mut control, &mut now, Duration::from_secs(10), idle);
        assert!((850_000.0..=1_000_000.0).contains(&target), "nothing is claimed that was not tried: {target}");
    }

    #[test]
    fn random_loss_leaves_a_picture() {
        let (mut control, mut now) = control();
        let lossy = |target| seen(Signal::Normal, 0.15, 0.85 * target, target);
        let target = feed(&mut control, &mut now, Duration::from_secs(60), lossy);
        assert!((target - 250_000.0).abs() < 1.0, "{target}");
    }

    #[test]
    fn loss_of_a_third_leaves_the_voice() {
        let (mut control, mut now) = control();
        let lossy = |target| seen(Signal::Normal, 0.4, 0.6 * target, target);
        let target = feed(&mut control, &mut now, Duration::from_secs(60), lossy);
        assert!((target - EstimatorPolicy::default().min_bps).abs() < 1.0, "{target}");
    }

    #[test]
    fn a_few_per_cent_of_loss_change_nothing() {
        let (mut control, mut now) = control();
        let lossy = |target| seen(Signal::Normal, 0.07, 0.93 * target, target);
        assert_eq!(feed(&mut control, &mut now, Duration::from_secs(20), lossy), 1_000_000.0);
    }

    #[test]
    fn the_estimate_keeps_to_its_bounds() {
        let policy = EstimatorPolicy::default();
        let (mut control, mut now) = control();
        let normal = |target| seen(Signal::Normal, 0.0, target, target);
        assert_eq!(feed(&mut control, &mut now, Duration::from_secs(30), normal), policy.max_bps);
        let over = |_| seen(Signal::Over, 0.0, 1_000.0, 2_000_000.0);
        assert_eq!(feed(&mut control, &mut now, Duration::from_secs(3), over), policy.min_bps);
    }
}
