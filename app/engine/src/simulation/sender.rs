//! The sending side: a modelled encoder, everything behind it real.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parlor_media::rtp::{bundle, h264};
use parlor_media::video::codec::VideoCodec;
use parlor_media::video::encoder::{VideoEncoder, VideoEncoderConfig};
use parlor_media::video::small::{self, Smaller};
use parlor_media::{I420, Layer, MediaPacket, PacketizedFrame, VideoFrame};
use parlor_session::adaptation::{AdaptationConfig, Decision, LegSignals, Share, Signals, Size, Sound, evaluate};
use rtc::interceptor::{Attribute, BandwidthEstimator, Packet, RTPHeaderExtension, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc::shared::marshal::MarshalSize;

use super::busy::Busy;
use super::hard_film::HardFilm;
use super::{FAST, Feedback, LEG, MS, PACKET_BYTES, RTP_BYTES, What};
use crate::interceptors::estimator::Estimator;
use crate::interceptors::feedback::{FeedbackGaps, Unreported};
use crate::interceptors::pacer::Pacer;
use crate::interceptors::stage::tests::{header, rtcp_packet, rtp_packet};
use crate::interceptors::stage::{Belt, Stage};
use crate::interceptors::{LinkQuality, PacerGauge};
use crate::media_bridge::{LegQueue, Next, Picture, outbound};
use crate::peer_driver::configuration::TRANSPORT_CC_URI;
use crate::policy::EnginePolicy;

const SOUND_SSRC: u32 = 1;
const PICTURE_SSRC: u32 = 2;
const REPAIR_SSRC: u32 = 3;
/// What the header of a test's packet lacks of [`RTP_BYTES`].
const EXTENSION_BYTES: usize = RTP_BYTES - 12;
/// What the NACK responder keeps.
const HISTORY: usize = 512;

pub(super) struct Sender {
    busy: [Busy; 2],
    estimator: Estimator,
    gaps: FeedbackGaps,
    pub(super) quality: Arc<LinkQuality>,
    pacer: Pacer,
    gauge: Arc<PacerGauge>,
    decision: Decision,
    pub(super) leg: LegQueue,
    /// What the encoder makes; it follows its target within a few hundred milliseconds.
    encoder_bps: f64,
    key_wanted: bool,
    key_made: Instant,
    frame: u32,
    /// Sounds that wait for the network's thread, by when they were made.
    sounds: VecDeque<u128>,
    /// Packets of the picture, by sequence number: the frame, and the size.
    pub(super) packets: Vec<(u32, usize)>,
    /// The frames that were let through.
    pub(super) frames: BTreeMap<u32, Let>,
    /// The real encoder and something hard to encode, instead of a modelled one.
    film: Option<(HardFilm, VideoEncoder)>,
    smaller: Smaller,
    /// Whether somebody else is there for whom everything is sent at full speed.
    pub(super) has_company: bool,
    /// What the microphone gives.
    pub(super) voice: Voice,
    begin: Instant,
}

/// What the microphone gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    Speaks,
    /// The sound is next to nothing.
    Quiet,
    /// Nothing is sent.
    Muted,
}

/// A frame that was let through.
pub(super) struct Let {
    pub(super) packets: usize,
    pub(super) key: bool,
    /// Since the beginning.
    pub(super) captured_ms: u128,
}

impl Sender {
    pub(super) fn new(begin: Instant, busy: [Busy; 2]) -> Self {
        let policy = EnginePolicy::default();
        let quality = Arc::new(LinkQuality::default());
        let gauge = Arc::new(PacerGauge::default());
        let mut pacer = Pacer::new(policy.pacer, policy.estimator.start_bps, gauge.clone(), quality.clone());
        let rtp_header_extensions = vec![RTPHeaderExtension { uri: TRANSPORT_CC_URI.to_owned(), id: 3 }];
        let mime_type = "audio/opus".to_owned();
        pacer.bind_local(&StreamInfo { ssrc: SOUND_SSRC, mime_type, rtp_header_extensions, ..Default::default() });
        let unreported = Arc::new(Unreported::default());
        let mut leg = LegQueue::default();
        leg.open();
        Self {
            busy,
            estimator: Estimator::new(policy.estimator, quality.clone(), unreported.clone()),
            gaps: FeedbackGaps::new(unreported),
            quality,
            pacer,
            gauge,
            decision: Decision {
                encoder_target_bps: 600_000,
                size: Size::Usual,
                sound_bps: 32_000,
                legs: BTreeMap::new(),
            },
            leg,
            encoder_bps: 600_000.0,
            key_wanted: true,
            key_made: begin - Duration::from_secs(1),
            frame: 0,
            sounds: VecDeque::new(),
            packets: Vec::new(),
            frames: BTreeMap::new(),
            film: None,
            smaller: Smaller::default(),
            has_company: true,
            voice: Voice::Speaks,
            begin,
        }
    }

    /// A film that cannot be compressed away, through the real encoder.
    pub(super) fn play_hard_film(&mut self) {
        let (codec, bitrate_bps) = (VideoCodec::H264, self.decision.encoder_target_bps);
        let encoder = VideoEncoder::new(VideoEncoderConfig { codec, bitrate_bps, frame_rate_hz: 30.0 });
        self.film = Some((HardFilm::new(), encoder.unwrap()));
    }

    pub(super) fn share(&self) -> Option<Share> {
        self.decision.legs.get(&LEG).map(|leg| leg.share)
    }

    /// A millisecond; gives what leaves: size, when it was made, what it is.
    pub(super) fn step(
        &mut self,
        now: Instant,
        ms: u128,
        stands_still: bool,
        feedback: &mut VecDeque<Feedback>,
    ) -> Vec<(usize, u128, What)> {
        if ms.is_multiple_of(20) && self.voice != Voice::Muted {
            self.sounds.push_back(ms);
        }
        if [0, 33, 67].contains(&(ms % 100)) && !stands_still {
            self.encode(now);
        }
        // All are asked: each goes by its own clock.
        if self.busy.each_mut().map(|busy| busy.is_busy(ms)).contains(&true) || stands_still {
            return Vec::new();
        }
        let mut belt = Belt::default();
        feedback.drain(..).for_each(|feedback| self.hear(now, feedback, &mut belt));
        if ms.is_multiple_of(10) {
            self.adapt(now);
        }
        let is_narrow = self.decision.legs.get(&LEG).is_some_and(|leg| leg.sound != Sound::Full);
        let together = if is_narrow { bundle::SOUNDS_MAX } else { 1 };
        let made: Vec<u128> = self.sounds.drain(..self.sounds.len() / together * together).step_by(together).collect();
        // 20 ms of it each.
        let sound_bps = if self.voice == Voice::Quiet { 8_000 } else { self.decision.sound_bps };
        let sound = vec![0; sound_bps as usize / 400 * together + EXTENSION_BYTES];
        for _ in &made {
            self.write(rtp_packet(now, SOUND_SSRC, 0, &sound), &mut belt);
        }
        self.write_pictures(now, &mut belt);
        self.pacer.handle_timeout(now, &mut belt);
        self.estimator.handle_timeout(now);
        let mut made = made.into_iter();
        belt.write.iter().map(|packet| self.left(packet, &mut made, ms)).collect()
    }

    fn left(&self, packet: &TaggedPacket, sounds: &mut impl Iterator<Item = u128>, ms: u128) -> (usize, u128, What) {
        let Packet::Rtp(rtp) = &packet.message.packet else { panic!("only RTP is sent here") };
        let size = rtp.marshal_size();
        match rtp.header.ssrc {
            SOUND_SSRC => (size, sounds.next().unwrap_or(ms), What::Sound),
            PICTURE_SSRC => (size, ms, What::Picture(usize::from(header(packet).sequence_number))),
            _ => (size, ms, What::Repair(usize::from(u16::from_be_bytes([rtp.payload[0], rtp.payload[1]])))),
        }
    }

    fn hear(&mut self, now: Instant, feedback: Feedback, belt: &mut Belt) {
        match feedback {
            Feedback::Report { mut skipped, reports } => {
                self.gaps.note(reports[0].twcc_sequence_number, reports.len() as u16);
                skipped.extend(reports);
                self.estimator.on_reports(now, &skipped);
                let bits_per_second = self.estimator.target_bitrate();
                let mut packet = rtcp_packet(now, TransportLayerCc::default());
                packet.message.add(Attribute::TargetBitrateChanged { bits_per_second });
                self.pacer.handle_read(packet, belt);
            }
            Feedback::Nack(missing) => {
                let oldest = self.packets.len().saturating_sub(HISTORY);
                for number in missing.into_iter().filter(|number| *number >= oldest) {
                    let mut payload = vec![0; self.packets[number].1 + EXTENSION_BYTES + 2];
                    payload[..2].copy_from_slice(&(number as u16).to_be_bytes());
                    let mut packet = rtp_packet(now, REPAIR_SSRC, 0, &payload);
                    packet.message.add(Attribute::Retransmission);
                    self.write(packet, belt);
                }
            }
            Feedback::KeyFrame => self.key_wanted |= self.leg.peer_asks(now),
        }
    }

    fn write(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        self.pacer.handle_write(packet, belt);
    }

    fn write_pictures(&mut self, now: Instant, belt: &mut Belt) {
        while let Some(next) = outbound::next(&mut self.leg, &self.gauge) {
            let Next::Video(frame) = next else { continue };
            let captured_ms = frame.captured_at.duration_since(self.begin).as_millis();
            self.frames.insert(frame.rtp_timestamp, Let { packets: frame.packets.len(), key: frame.key, captured_ms });
            for packet in &frame.packets {
                let (number, size) = (self.packets.len() as u16, packet.payload.len());
                self.packets.push((frame.rtp_timestamp, size));
                let mut payload = packet.payload.to_vec();
                payload.resize(size + EXTENSION_BYTES, 0);
                let mut packet = rtp_packet(now, PICTURE_SSRC, number, &payload);
                if let Packet::Rtp(rtp) = &mut packet.message.packet {
                    rtp.header.timestamp = frame.rtp_timestamp;
                }
                self.write(packet, belt);
            }
        }
    }

    fn adapt(&mut self, now: Instant) {
        let target = u32::try_from(self.quality.target_bps()).unwrap();
        let previous = |leg| self.decision.legs.get(&leg).copied();
        let legs = [(LEG, target), (FAST, 2_000_000)].into_iter().take(1 + usize::from(self.has_company));
        let legs =
            legs.map(|(leg, target)| (leg, LegSignals { target_bitrate_bps: Some(target), previous: previous(leg) }));
        self.decision = evaluate(&Signals { legs: legs.collect() }, &AdaptationConfig::default(), now);
        self.leg.set_picture(match self.decision.legs[&LEG].share {
            Share::All => Picture::Full,
            Share::Fraction { keep_permille } => Picture::Fraction { keep_permille },
            Share::SoundOnly => Picture::Suspended,
        });
    }

    fn encode(&mut self, now: Instant) {
        let made = if self.film.is_some() { self.encode_film(now) } else { self.model(now) };
        self.frame += 1;
        if let Some(frame) = made {
            self.leg.push_video(&Arc::new(frame));
        }
        self.key_wanted |= self.leg.key_frame_due(now);
    }

    fn encode_film(&mut self, now: Instant) -> Option<PacketizedFrame> {
        let (film, encoder) = self.film.as_mut()?;
        let (width, height) = (HardFilm::WIDTH as u32, HardFilm::HEIGHT as u32);
        let mut planes = I420::black(width, height);
        planes.y = film.luma(self.frame as usize);
        let mut picture = VideoFrame { width, height, planes: planes.into(), captured_at: now };
        let is_small = self.decision.size == Size::Small;
        if is_small {
            picture = self.smaller.take(&picture)?;
        }
        encoder.set_frame_rate_hz(if is_small { small::FRAME_RATE_HZ } else { 30.0 });
        let key = self.key_wanted && now - self.key_made >= MS * 500;
        encoder.set_bitrate_bps(self.decision.encoder_target_bps);
        let encoded = encoder.encode(&picture, key).unwrap()?;
        if encoded.key {
            (self.key_wanted, self.key_made) = (false, now);
        }
        Some(h264::packetize(&encoded, self.frame, PACKET_BYTES))
    }

    /// What an ordinary film becomes, about.
    fn model(&mut self, now: Instant) -> Option<PacketizedFrame> {
        let third = if self.decision.size == Size::Small { 3 } else { 1 };
        if !self.frame.is_multiple_of(third) {
            return None;
        }
        // The content has a limit of its own.
        let wanted = f64::from(self.decision.encoder_target_bps).min(800_000.0);
        self.encoder_bps += 0.15 * (wanted - self.encoder_bps);
        let discardable = self.frame / third % 2 == 1;
        let key = self.key_wanted && !discardable && now - self.key_made >= MS * 500;
        let average = self.encoder_bps / 8.0 / 30.0 * f64::from(third);
        let factor = match (key, discardable) {
            (true, _) => 8.0,
            (false, true) => 2.0 / 3.0,
            (false, false) => 4.0 / 3.0,
        };
        let bytes = (average * factor) as usize;
        if key {
            (self.key_wanted, self.key_made) = (false, now);
        }
        let packets = bytes.div_ceil(PACKET_BYTES).max(1);
        let packet = |index| {
            let mut payload = vec![0; bytes / packets];
            // A sequence parameter set.
            payload[0] = if key && index == 0 { 0x67 } else { 0 };
            MediaPacket { payload: Bytes::from(payload), marker: index + 1 == packets }
        };
        Some(PacketizedFrame {
            packets: (0..packets).map(packet).collect(),
            rtp_timestamp: self.frame,
            captured_at: now,
            layer: Layer(0),
            temporal_id: u8::from(discardable),
            key,
            discardable,
            bytes,
        })
    }
}
