//! How much a connection carries: delay and loss in, a target out.
//!
//! Filtering and overuse detection are the stack's (the GCC draft, draft-ietf-rmcat-gcc-02). The control of the rate is ours,
//! because the stack's falls to a share of what happens to be sent (with the camera off that is next to nothing),
//! climbs back at 8 % a second, and takes every loss for congestion.
//!
//! A queue that is full no longer grows, and a gradient sees nothing of it: so the delay itself is looked at too
//! ([`queue`]). It also tells loss from a full queue, which is ours to end, from loss on the air, which is not. Of a queue too short for that it tells
//! how long packets waited behind which others were lost ([`tail`]); where no queue tells, a cut does ([`air`]). Where next to nothing comes, that is what the link carries ([`flood`]). What it carries of
//! another mix of packets is told by what lies below RTP ([`mix`]).

mod air;
mod control;
mod flood;
mod meter;
mod mix;
mod queue;
mod tail;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::interceptor::{BandwidthEstimator, OveruseDetector, PacketReport, SlopeEstimator};

use control::{Observation, RateControl};
use meter::Meter;
use mix::Mix;

use super::feedback::Unreported;
use super::reports::LinkQuality;
use crate::policy::EstimatorPolicy;

/// How much of a new loss sample enters the average.
const LOSS_WEIGHT: f64 = 0.1;

/// Packets are overtaken by less: the other end's clock has begun anew, since its 24 bits of 64 ms are full each twelve days
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
const CLOCK_BACK: Duration = Duration::from_secs(10);

/// The estimator of one connection.
pub(crate) struct Estimator {
    slope: SlopeEstimator,
    detector: OveruseDetector,
    received: Meter,
    offered: Meter,
    /// What their clock and ours are counted from.
    epoch: Option<Instant>,
    queue: queue::StandingQueue,
    flood: flood::Flood,
    tail: tail::Tail,
    mix: Mix,
    loss: f64,
    /// Departure and arrival of the last packet that came.
    last: Option<(Instant, Duration)>,
    control: RateControl,
    /// When the last report came.
    reported_at: Option<Instant>,
    quality: Arc<LinkQuality>,
    unreported: Arc<Unreported>,
}

impl Estimator {
    pub(crate) fn new(policy: EstimatorPolicy, quality: Arc<LinkQuality>, unreported: Arc<Unreported>) -> Self {
        quality.set_target_bps(policy.start_bps);
        Self {
            slope: SlopeEstimator::new(),
            detector: OveruseDetector::new(),
            received: Meter::default(),
            offered: Meter::default(),
            epoch: None,
            queue: queue::StandingQueue::default(),
            flood: flood::Flood::default(),
            tail: tail::Tail::default(),
            mix: Mix::default(),
            loss: 0.0,
            last: None,
            control: RateControl::new(policy),
            reported_at: None,
            quality,
            unreported,
        }
    }

    /// The other end's clock is another one.
    fn begin_anew(&mut self) {
        (self.slope, self.detector) = (SlopeEstimator::new(), OveruseDetector::new());
        (self.received, self.queue) = (Meter::default(), queue::StandingQueue::default());
        self.tail = tail::Tail::default();
    }

    /// The delay of now is one without a queue.
    fn accept_path(&mut self) {
        self.queue.accept();
        self.tail = tail::Tail::default();
    }

    /// A packet on which feedback was lost: it most likely had the fate of the others.
    fn assume(&mut self, now: Instant, report: &PacketReport) {
        let Some((departure, arrival)) = self.last else { return };
        let bytes = report.size as f64 * (1.0 - self.loss);
        self.received.add(now, arrival + report.departure.saturating_duration_since(departure), bytes as usize);
    }
}

impl BandwidthEstimator for Estimator {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        if reports.is_empty() {
            return;
        }
        self.reported_at = Some(now);
        let mut usage = self.detector.usage();
        let (mut known, mut lost) = (0_u32, 0_u32);
        for report in reports {
            let epoch = *self.epoch.get_or_insert(report.departure);
            self.offered.add(now, report.departure.saturating_duration_since(epoch), report.size);
            self.mix.add(report.departure, report.size);
            if !report.arrived && report.is_twcc && self.unreported.contains(report.twcc_sequence_number) {
                self.assume(now, report);
                self.flood.add_unknown();
                self.queue.add_unknown();
                self.tail.add_unknown();
                continue;
            }
            known += 1;
            lost += u32::from(!report.arrived);
            self.flood.add(report.departure, report.size, report.arrived);
            if let Some(arrival) = report.arrival {
                if self.last.is_some_and(|(_, last)| arrival + CLOCK_BACK < last) {
                    self.begin_anew();
                }
                self.last = Some((report.departure, arrival));
                self.received.add(now, arrival, report.size);
                let waited = self.queue.add(report.departure, arrival, report.size);
                self.tail.add(report.departure, arrival, waited, report.size);
            } else if report.arrived {
                self.tail.add_unknown();
            } else {
                self.tail.add_lost(report.departure);
            }
            if let Some(trend) = self.slope.accumulate(report) {
                usage = self.detector.update(trend.at, trend.estimate_ms);
            }
        }
        if let Some(newest) = reports.iter().filter(|report| report.arrived).map(|report| report.departure).max() {
            self.quality.set_newest_age(now.saturating_duration_since(newest));
        }
        self.unreported.clear();
        if known > 0 {
            let sample = f64::from(lost) / f64::from(known);
            self.loss += LOSS_WEIGHT * (sample - self.loss);
        }
        if let Some(since) = self.queue.note_still(now, lost == 0) {
            self.accept_path();
            self.control.deny_queue(since);
        }
        let queue = self.queue.standing();
        let is_short_queue_full = self.tail.is_full(queue >= control::QUEUE_SOME);
        let measured = |counted| {
            let of_short = || self.tail.capacity_bps(counted).filter(|_| is_short_queue_full);
            self.queue.capacity_bps(counted).or_else(of_short)
        };
        let (capacity_bps, link_bps) = (measured(mix::of_rtp), measured(mix::whole));
        let of_late = link_bps.map(|link| self.mix.rtp_bps(link));
        let seen = Observation {
            signal: usage.into(),
            loss: self.loss,
            received_bps: self.received.rate_bps(now),
            offered_bps: self.offered.rate_bps(now),
            queue,
            newest: self.queue.newest(),
            latest: self.queue.latest(),
            capacity_bps,
            link_bps,
            lasting_bps: capacity_bps.zip(of_late).map(|(now, of_late)| now.max(of_late)),
            flood_passed_bps: self.flood.passed_bps(),
            is_short_queue_full,
            is_lossy: self.tail.loses_at_random(),
        };
        if self.control.is_draining_futile(seen) {
            self.accept_path();
            self.control.end_draining();
        }
        let cut_before = self.control.draining_until();
        let target_bps = self.control.update(now, seen);
        // What is lost on the air is sent again, and the encoder has to leave that room.
        self.quality.set_target_bps(target_bps * (1.0 - self.control.air_share()));
        self.quality.set_full(self.control.is_full(now));
        self.quality.set_pace_bps(self.control.pace_bps(now));
        if self.control.draining_until().is_some_and(|until| cut_before != Some(until)) {
            // What was lost before the cut is no reason for another.
            (self.loss, self.flood) = (0.0, flood::Flood::default());
            self.tail.forget_losses(now);
        }
        tracing::trace!(target_bps = self.control.target_bps, ?seen, "estimate");
    }

    fn target_bitrate(&self) -> f64 {
        self.control.target_bps
    }

    /// Where nothing is sent, since the microphone is muted and the link has no room for a picture, nothing is learnt of the link either.
    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.reported_at = None;
            self.quality.set_target_bps(self.control.forget());
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.reported_at.and_then(|at| self.control.forgets_at(at))
    }
}

#[cfg(test)]
mod tests;
