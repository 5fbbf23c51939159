//! Sender and receiver reports (RFC 3550 §6.4): ours say when pictures and sounds were captured, theirs give
//! round-trip time, loss, and the same mapping of theirs.
//!
//! The stack's own sender reports map the last RTP time to the moment its packet entered the stack, by which
//! picture and sound drift apart, and it reads no report blocks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use parlor_media::MediaClock;
use rtc::interceptor::{AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;

use super::stage::{Belt, Stage};

/// Between sender reports: often enough to sound and look together after a second.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// From the first packet to the first report.
const FIRST_REPORT_DELAY: Duration = Duration::from_millis(20);
/// A longer round trip is a damaged report.
const RTT_MAX: Duration = Duration::from_secs(10);
/// Nobody waits for a repair on a slower path; the frame buffer takes no more into account either.
const REPAIR_RTT_MAX: Duration = Duration::from_secs(1);
/// Reception blocks read from one report; RFC 3550 allows 31.
const BLOCKS_MAX: usize = 31;

/// Hears the other side's sender reports: SSRC, NTP time (Q32.32), RTP time. Must not block.
pub(crate) trait ReportSink: Send + Sync + 'static {
    /// One report.
    fn sender_report(&self, ssrc: u32, ntp_time: u64, rtp_timestamp: u32);
}

/// When the last frame of each stream was captured; written by the writer task, read by [`Reports`].
#[derive(Default)]
pub(crate) struct CaptureTimes(Mutex<BTreeMap<u32, (Instant, u32)>>);

impl CaptureTimes {
    /// Notes that `rtp_timestamp` of stream `ssrc` is what was captured at `captured_at`.
    pub(crate) fn set(&self, ssrc: u32, captured_at: Instant, rtp_timestamp: u32) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.insert(ssrc, (captured_at, rtp_timestamp));
    }

    fn get(&self, ssrc: u32) -> Option<(Instant, u32)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&ssrc).copied()
    }
}

/// What is known about the way to the other side; written in the chain, read by anyone.
#[derive(Default)]
pub(crate) struct LinkQuality {
    rtt_us: AtomicU64,
    /// As ICE measures it, which goes on while we send nothing that could be reported on.
    path_rtt_us: AtomicU64,
    /// By stream kind: share lost since the report before, in 1/256.
    audio_loss: AtomicU64,
    video_loss: AtomicU64,
    target_bps: AtomicU64,
    is_full: AtomicBool,
    pace_bps: AtomicU64,
    /// Taken by the pacer, from the packet that the estimator has just seen.
    newest_age_us: AtomicU64,
}

impl LinkQuality {
    /// The newest round-trip time.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        match self.rtt_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us)),
        }
    }

    /// The same where reports tell it, otherwise that of the path: what a repair takes at least.
    pub(crate) fn repair_rtt(&self) -> Option<Duration> {
        let path_us = Some(self.path_rtt_us.load(Ordering::Relaxed)).filter(|us| *us > 0);
        self.rtt().or(path_us.map(Duration::from_micros)).map(|rtt| rtt.min(REPAIR_RTT_MAX))
    }

    /// The path's own round-trip time, from the connectivity checks.
    pub(crate) fn note_path_rtt(&self, rtt: Duration) {
        self.path_rtt_us.store(micros(rtt), Ordering::Relaxed);
    }

    /// The share of our sound that was lost on the way, 0 to 1.
    pub(crate) fn audio_loss(&self) -> f64 {
        self.audio_loss.load(Ordering::Relaxed) as f64 / 256.0
    }

    /// The share of our picture's packets that was lost and not repaired, 0 to 1.
    pub(crate) fn video_loss(&self) -> f64 {
        self.video_loss.load(Ordering::Relaxed) as f64 / 256.0
    }

    /// What the connection carries, in bits per second; 0 before the first feedback.
    pub(crate) fn target_bps(&self) -> u64 {
        self.target_bps.load(Ordering::Relaxed)
    }

    pub(crate) fn set_target_bps(&self, bps: f64) {
        self.target_bps.store(bps as u64, Ordering::Relaxed);
    }

    /// The most that may leave in a moment, where the link was met.
    pub(crate) fn pace_bps(&self) -> Option<f64> {
        Some(self.pace_bps.load(Ordering::Relaxed)).filter(|bps| *bps > 0).map(|bps| bps as f64)
    }

    pub(crate) fn set_pace_bps(&self, bps: Option<f64>) {
        self.pace_bps.store(bps.unwrap_or_default() as u64, Ordering::Relaxed);
    }

    /// Whether the connection was found to carry no more than it gets, not long ago.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// How long ago that left which came last by the newest report; each is told once, to the pacer.
    pub(crate) fn take_newest_age(&self) -> Option<Duration> {
        Some(self.newest_age_us.swap(0, Ordering::Relaxed)).filter(|us| *us > 0).map(Duration::from_micros)
    }

    pub(crate) fn set_newest_age(&self, age: Duration) {
        self.newest_age_us.store(micros(age), Ordering::Relaxed);
    }

    fn set_rtt(&self, rtt: Duration) {
        self.rtt_us.store(micros(rtt), Ordering::Relaxed);
    }
}

/// At least one, since 0 stands for "not known".
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1)
}

struct LocalStream {
    clock_rate: u32,
    is_audio: bool,
    packets: u32,
    octets: u32,
}

/// The stage.
pub(crate) struct Reports {
    clock: MediaClock,
    capture_times: Arc<CaptureTimes>,
    quality: Arc<LinkQuality>,
    sink: Arc<dyn ReportSink>,
    streams: BTreeMap<u32, LocalStream>,
    next_report_at: Option<Instant>,
}

impl Reports {
    pub(crate) fn new(
        clock: MediaClock,
        capture_times: Arc<CaptureTimes>,
        quality: Arc<LinkQuality>,
        sink: Arc<dyn ReportSink>,
    ) -> Self {
        Self { clock, capture_times, quality, sink, streams: BTreeMap::new(), next_report_at: None }
    }

    fn report(&self, ssrc: u32, stream: &LocalStream, now: Instant) -> Option<SenderReport> {
        let (captured_at, rtp_timestamp) = self.capture_times.get(ssrc)?;
        let elapsed = now.saturating_duration_since(captured_at).as_secs_f64() * f64::from(stream.clock_rate);
        Some(SenderReport {
            ssrc,
            ntp_time: self.clock.ntp(now),
            // RTP time wraps, and so does this.
            rtp_time: rtp_timestamp.wrapping_add(elapsed as u64 as u32),
            packet_count: stream.packets,
            octet_count: stream.octets,
            ..SenderReport::default()
        })
    }

    fn read_blocks(&self, now: Instant, blocks: &[ReceptionReport]) {
        for block in blocks.iter().take(BLOCKS_MAX) {
            let Some(stream) = self.streams.get(&block.ssrc) else { continue };
            let loss = if stream.is_audio { &self.quality.audio_loss } else { &self.quality.video_loss };
            loss.store(u64::from(block.fraction_lost), Ordering::Relaxed);
            if let Some(rtt) = self.round_trip(now, block) {
                self.quality.set_rtt(rtt);
            }
        }
    }

    /// RFC 3550 §6.4.1: arrival − last report − delay at the receiver, in 1/65536 s.
    fn round_trip(&self, now: Instant, block: &ReceptionReport) -> Option<Duration> {
        if block.last_sender_report == 0 {
            return None;
        }
        let middle = (self.clock.ntp(now) >> 16) as u32;
        let ticks = middle.wrapping_sub(block.last_sender_report).wrapping_sub(block.delay);
        let rtt = Duration::from_secs_f64(f64::from(ticks) / 65_536.0);
        (rtt <= RTT_MAX).then_some(rtt)
    }

    fn read(&self, now: Instant, packet: &dyn rtc::rtcp::Packet) {
        let any = packet.as_any();
        if let Some(report) = any.downcast_ref::<SenderReport>() {
            self.sink.sender_report(report.ssrc, report.ntp_time, report.rtp_time);
            self.read_blocks(now, &report.reports);
        } else if let Some(report) = any.downcast_ref::<ReceiverReport>() {
            self.read_blocks(now, &report.reports);
        }
    }
}

impl Stage for Reports {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            packets.iter().for_each(|rtcp| self.read(packet.now, rtcp.as_ref()));
        }
        belt.read.push_back(packet);
    }

    fn handle_write(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        if let Packet::Rtp(rtp) = &packet.message.packet
            && let Some(stream) = self.streams.get_mut(&rtp.header.ssrc)
        {
            stream.packets = stream.packets.wrapping_add(1);
            stream.octets = stream.octets.wrapping_add(u32::try_from(rtp.payload.len()).unwrap_or(0));
            self.next_report_at.get_or_insert(packet.now + FIRST_REPORT_DELAY);
        }
        belt.write.push_back(packet);
    }

    fn handle_timeout(&mut self, now: Instant, belt: &mut Belt) {
        if self.next_report_at.is_none_or(|at| now < at) {
            return;
        }
        self.next_report_at = Some(now + REPORT_INTERVAL);
        for (ssrc, stream) in self.streams.iter().filter(|(_, stream)| stream.packets > 0) {
            let Some(report) = self.report(*ssrc, stream, now) else { continue };
            let message = AttributedPacket::new(Packet::Rtcp(vec![Box::new(report)]));
            belt.write.push_back(TaggedPacket { now, transport: Default::default(), message });
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_report_at
    }

    fn bind_local(&mut self, info: &StreamInfo) {
        let is_audio = info.mime_type.to_ascii_lowercase().starts_with("audio/");
        let stream = LocalStream { clock_rate: info.clock_rate, is_audio, packets: 0, octets: 0 };
        self.streams.entry(info.ssrc).or_insert(stream);
    }

    fn unbind_local(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::tests::{rtcp_packet, rtp_packet, video_stream};
    use super::*;

    struct Heard(Mutex<Vec<(u32, u64, u32)>>);
    impl ReportSink for Heard {
        fn sender_report(&self, ssrc: u32, ntp_time: u64, rtp_timestamp: u32) {
            self.0.lock().unwrap().push((ssrc, ntp_time, rtp_timestamp));
        }
    }

    struct Bench {
        stage: Reports,
        clock: MediaClock,
        heard: Arc<Heard>,
        start: Instant,
    }

    fn bench() -> Bench {
        let start = Instant::now();
        let clock = MediaClock::start(start, Duration::from_secs(1_760_000_000));
        let heard = Arc::new(Heard(Mutex::default()));
        let mut stage = Reports::new(clock, Arc::default(), Arc::default(), heard.clone());
        stage.bind_local(&video_stream(7, 8));
        Bench { stage, clock, heard, start }
    }

    fn sent_reports(belt: &Belt) -> Vec<SenderReport> {
        let rtcp = belt.write.iter().filter_map(|packet| match &packet.message.packet {
            Packet::Rtcp(packets) => Some(packets),
            _ => None,
        });
        rtcp.flatten().filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>().cloned()).collect()
    }

    #[test]
    fn our_reports_say_when_the_picture_was_captured() {
        let Bench { mut stage, clock, start, .. } = bench();
        let mut belt = Belt::default();
        // Captured 30 ms before it entered the stack.
        let captured_at = start + Duration::from_millis(970);
        stage.capture_times.set(7, captured_at, u32::MAX - 10);
        stage.handle_write(rtp_packet(start + Duration::from_secs(1), 7, 0, b"abcd"), &mut belt);
        belt.write.clear();
        let at = stage.poll_timeout().unwrap();
        assert!(at > start + Duration::from_secs(1));
        stage.handle_timeout(at, &mut belt);
        let reports = sent_reports(&belt);
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].ntp_time, clock.ntp(at));
        // 50 ms after capture: 4,500 ticks of 90 kHz, wrapped.
        assert_eq!(reports[0].rtp_time.wrapping_sub(u32::MAX - 10), 4_500);
        assert_eq!((reports[0].packet_count, reports[0].octet_count), (1, 4));
        assert_eq!(stage.poll_timeout(), Some(at + REPORT_INTERVAL));
    }

    #[test]
    fn nothing_is_reported_before_something_was_sent() {
        let Bench { mut stage, start, .. } = bench();
        let mut belt = Belt::default();
        assert_eq!(stage.poll_timeout(), None);
        stage.handle_timeout(start, &mut belt);
        assert!(belt.write.is_empty());
    }

    #[test]
    fn round_trip_time_and_loss_are_read_from_their_reports() {
        let Bench { mut stage, clock, start, .. } = bench();
        let mut belt = Belt::default();
        let block = |fraction_lost| ReceptionReport {
            ssrc: 7,
            fraction_lost,
            last_sender_report: (clock.ntp(start) >> 16) as u32,
            // They kept it for half a second.
            delay: 32_768,
            ..ReceptionReport::default()
        };
        let report = ReceiverReport { ssrc: 1, reports: vec![block(64)], ..ReceiverReport::default() };
        stage.handle_read(rtcp_packet(start + Duration::from_millis(620), report), &mut belt);
        let rtt = stage.quality.rtt().unwrap().as_millis();
        assert!((119..=121).contains(&rtt), "{rtt}");
        assert!((stage.quality.video_loss() - 0.25).abs() < 0.001);
        assert_eq!(stage.quality.audio_loss(), 0.0);
        // A report that claims to have kept it longer than it was away says nothing.
        let report = ReceiverReport { ssrc: 1, reports: vec![block(0)], ..ReceiverReport::default() };
        stage.handle_read(rtcp_packet(start + Duration::from_millis(400), report), &mut belt);
        assert_eq!(stage.quality.rtt().unwrap().as_millis(), rtt);
        assert_eq!(stage.quality.video_loss(), 0.0);
    }

    #[test]
    fn their_mapping_is_handed_on() {
        let Bench { mut stage, heard, start, .. } = bench();
        let mut belt = Belt::default();
        let report = SenderReport { ssrc: 5, ntp_time: 6, rtp_time: 7, ..SenderReport::default() };
        stage.handle_read(rtcp_packet(start, report), &mut belt);
        assert_eq!(*heard.0.lock().unwrap(), [(5, 6, 7)]);
    }
}
