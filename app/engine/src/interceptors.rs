//! Our own part of the packet chain inside a peer connection.
//!
//! The stack walks a list ordered by distance from the wire; each [`Stage`] here is one place in it.
//! Stages are pure: packets and instants go in, packets come out, nothing is awaited. What they learn leaves
//! through small shared values ([`PacerGauge`], [`LinkQuality`]) and callbacks that only set flags.

pub(crate) mod estimator;
pub(crate) mod feedback;
pub(crate) mod key_frame;
pub(crate) mod nack;
mod opening;
pub(crate) mod pacer;
pub(crate) mod pictures;
mod repairs;
pub(crate) mod reports;
pub(crate) mod rtx;
pub(crate) mod stage;

use std::sync::Arc;

use parlor_media::MediaClock;
use rtc::interceptor::{
    CongestionControlBuilder, NackResponderBuilder, ReceiverReportBuilder, Registry, Slot, TwccReceiverBuilder,
    TwccSenderBuilder,
};

pub(crate) use pacer::PacerGauge;
pub(crate) use reports::{CaptureTimes, LinkQuality, ReportSink};

use crate::policy::EnginePolicy;
use stage::Staged;

/// Packets kept for retransmission a stream: two seconds of 2.5 Mbps. A power of two.
const NACK_HISTORY_PACKETS: u16 = 512;

/// Sees feedback before the congestion control does.
const FEEDBACK_SLOT: usize = 500;
/// Unwraps retransmissions after loss recovery and before the NACK generator.
const RTX_SLOT: usize = 6_500;
/// Ends redundant packets once the transport feedback has counted them, before reception statistics.
const REDUNDANT_SLOT: usize = 9_500;
/// Hears key-frame requests; nothing pins it.
const KEY_FRAME_SLOT: usize = 20_000;
/// Next to the application: what it holds, everybody before it has seen.
const OPENING_SLOT: usize = 21_000;
/// First on the way out, so that everybody sees the packets of a picture and nobody its envelope.
const PICTURES_SLOT: usize = 22_000;

/// What one connection's chain is built from.
pub(crate) struct ChainParts {
    pub(crate) clock: MediaClock,
    pub(crate) capture_times: Arc<CaptureTimes>,
    pub(crate) quality: Arc<LinkQuality>,
    pub(crate) gauge: Arc<PacerGauge>,
    pub(crate) report_sink: Arc<dyn ReportSink>,
    pub(crate) key_frame_requested: Arc<dyn Fn() + Send + Sync>,
    pub(crate) video_ssrc: u32,
    pub(crate) pictures: Arc<pictures::Handover>,
}

/// Builds the chain of one connection.
pub(crate) fn chain(parts: ChainParts, policy: &EnginePolicy) -> Registry {
    let unreported = Arc::new(feedback::Unreported::default());
    let estimator = estimator::Estimator::new(policy.estimator, parts.quality.clone(), unreported.clone());
    Registry::new()
        .with(Slot::from(FEEDBACK_SLOT), Staged::new(feedback::FeedbackGaps::new(unreported)))
        .with(Slot::CongestionControl, repairs::WithRepairs(CongestionControlBuilder::new(estimator).build()))
        .with(Slot::TwccSender, repairs::WithRepairs(TwccSenderBuilder::new().build()))
        .with(
            Slot::Pacer,
            Staged::new(pacer::Pacer::new(
                policy.pacer,
                policy.estimator.start_bps,
                parts.gauge,
                parts.quality.clone(),
            )),
        )
        .with(Slot::NackResponder, NackResponderBuilder::new().with_size(NACK_HISTORY_PACKETS).build())
        .with(Slot::from(RTX_SLOT), Staged::new(rtx::RtxUnwrap::default()))
        .with(Slot::NackGenerator, Staged::new(nack::NackGenerator::new(parts.quality.clone(), parts.video_ssrc)))
        .with(Slot::TwccReceiver, TwccReceiverBuilder::new().build())
        .with(Slot::from(REDUNDANT_SLOT), Staged::new(rtx::RedundantEnd))
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
        .with(
            Slot::SenderReport,
            Staged::new(reports::Reports::new(parts.clock, parts.capture_times, parts.quality, parts.report_sink)),
        )
        .with(
            Slot::from(KEY_FRAME_SLOT),
            Staged::new(key_frame::KeyFrameRequests::new(parts.video_ssrc, parts.key_frame_requested)),
        )
        .with(Slot::from(OPENING_SLOT), Staged::new(opening::Opening::default()))
        .with(Slot::from(PICTURES_SLOT), Staged::new(pictures::Pictures::new(parts.video_ssrc, parts.pictures)))
}
