//! Asks for lost packets (RFC 4585 §6.2.1), as soon and as often as the way to the other side makes sense.
//!
//! The stack's own generator asks in fixed steps: on a quick path too seldom to repair a picture before its time when the
//! requests and the repairs get lost too, on a slow one several times before the first answer can be there. Here each
//! packet has a time of its own: a moment after it was missed, then once a round trip, until it comes or nobody waits for
//! it any more. Where much is lost it is asked for twice a round trip: half of the requests come to nothing there, and a
//! repair that comes twice costs less than a picture that stands still.
//!
//! Sounds are asked for where the answer can be there before their time: on quick paths. Those that came as copies with a later one
//! (RFC 2198) are not.
//!
//! All that keeps to a share of what may be sent ([`budget`]).

mod budget;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_media::rtp::red;
use rtc::interceptor::{AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};

use budget::Budget;

use super::reports::LinkQuality;
use super::stage::{Belt, Stage};
use crate::peer_driver::configuration::TRANSPORT_CC_URI;

/// From the packet after it to the first request: what is only out of order comes within this.
const GRACE: Duration = Duration::from_millis(5);
/// The least between two requests for a packet; on a quick path the machines at both ends take their time too.
const REPEAT_MIN: Duration = Duration::from_millis(10);
/// So many requests at one pace, the next at half of it, then a third: the answer may be queueing on a link that is full.
const TRIES_AT_A_PACE: u32 = 10;
/// Before the round trip is known.
const RTT_UNKNOWN: Duration = Duration::from_millis(40);
/// From this share of packets lost on, waiting for one answer before the next request is a luxury.
const LOSS_HIGH: f64 = 0.1;
/// How much one packet enters the share.
const LOSS_WEIGHT: f64 = 1.0 / 128.0;
/// How long a packet is asked for, beside five round trips: a little longer than the frame buffer waits for it.
const AGE_MAX: Duration = Duration::from_millis(350);
/// How long a sound is asked for: the jitter buffer holds none for much longer, nor should it.
const SOUND_AGE_MAX: Duration = Duration::from_millis(120);
/// The sounds of that time, and two more: what is farther behind the newest is over.
const SOUND_BEHIND_MAX: i64 = 8;
/// On a slower path the answer comes after the time of the sound.
const SOUND_RTT_MAX: Duration = Duration::from_millis(60);
/// Packets missed at a time; of more the oldest are given up. The other side keeps as many.
const MISSING_MAX: usize = 512;
/// What a control packet takes below: the tag and the index of SRTCP (RFC 7714 §17), headers of UDP and IPv4.
const BELOW_RTCP_BYTES: usize = 16 + 4 + 8 + 20;
/// Farther ahead is another stream, or a time too long to repair.
const AHEAD_MAX: i64 = MISSING_MAX as i64 + 1;
/// Farther behind is another stream (RFC 3550 §A.1 has as much for a sender that began anew).
const BEHIND_MAX: i64 = 3_000;

/// The stage.
pub(crate) struct NackGenerator {
    quality: Arc<LinkQuality>,
    sender_ssrc: u32,
    streams: BTreeMap<u32, Stream>,
    budget: Budget,
    /// What we send and they report on.
    reported: BTreeSet<u32>,
}

/// What one stream misses. Numbers are extended, so that they do not wrap.
#[derive(Default)]
struct Stream {
    is_sound: bool,
    /// Of sound: the payload type of packets with copies of others, once it was bound by one.
    red_payload_type: Option<u8>,
    /// And of those without.
    plain_payload_type: Option<u8>,
    highest: Option<i64>,
    /// Bounded by [`MISSING_MAX`].
    missing: BTreeMap<i64, Missing>,
    /// The share of packets that did not come in their turn.
    loss: f64,
}

#[derive(Clone, Copy)]
struct Missing {
    since: Instant,
    /// When to ask, or to give up.
    due: Instant,
    /// How often it was asked for.
    tries: u32,
}

impl Stream {
    fn note(&mut self, sequence_number: u16, now: Instant) {
        let Some(highest) = self.highest else {
            self.highest = Some(1 << 32 | i64::from(sequence_number));
            return;
        };
        // The casts are the point: the distance modulo 2^16, as a signed number.
        let ahead = i64::from(sequence_number.wrapping_sub(highest as u16) as i16);
        if (-BEHIND_MAX..=0).contains(&ahead) {
            self.missing.remove(&(highest + ahead));
            return;
        }
        if (1..=AHEAD_MAX).contains(&ahead) {
            let missed = (highest + 1)..(highest + ahead);
            self.missing.extend(missed.map(|number| (number, Missing { since: now, due: now + GRACE, tries: 0 })));
            (1..ahead).for_each(|_| self.loss += LOSS_WEIGHT * (1.0 - self.loss));
            self.loss -= LOSS_WEIGHT * self.loss;
            while self.missing.len() > MISSING_MAX {
                self.missing.pop_first();
            }
        } else {
            self.missing.clear();
        }
        self.highest = Some(highest + ahead);
    }

    /// Whether packets of this type carry copies of those before.
    fn has_copies(&self, payload_type: u8) -> bool {
        self.plain_payload_type.map_or(self.red_payload_type == Some(payload_type), |plain| plain != payload_type)
    }

    /// The packet numbered `newest` carried so many of those before it.
    fn note_copies(&mut self, newest: u16, copies: usize) {
        let Some(highest) = self.highest.filter(|highest| *highest as u16 == newest) else { return };
        (highest.saturating_sub(copies as i64)..highest).for_each(|number| _ = self.missing.remove(&number));
    }

    /// What to ask for now. What is missed for too long is given up.
    fn due(&mut self, now: Instant, rtt: Duration) -> Vec<u16> {
        let (age_max, behind_max) = match self.is_sound {
            false => (AGE_MAX + rtt * 5, i64::MAX),
            true if rtt <= SOUND_RTT_MAX => (SOUND_AGE_MAX, SOUND_BEHIND_MAX),
            true => (Duration::ZERO, 0),
        };
        let oldest = self.highest.unwrap_or_default().saturating_sub(behind_max);
        self.missing
            .retain(|number, missing| *number >= oldest && now.saturating_duration_since(missing.since) <= age_max);
        // A quarter more, since the next answer may take a little longer than the last.
        let answer = rtt + rtt / 4;
        let repeat = if self.loss >= LOSS_HIGH { answer / 2 } else { answer }.max(REPEAT_MIN);
        let due = self.missing.iter_mut().filter(|(_, missing)| missing.due <= now);
        // The cast is the point: on the wire it wraps.
        due.map(|(number, missing)| {
            missing.due = now + repeat * (1 + missing.tries / TRIES_AT_A_PACE);
            missing.tries += 1;
            *number as u16
        })
        .collect()
    }
}

impl NackGenerator {
    /// `sender_ssrc` is one of ours, or any number that no stream has.
    pub(crate) fn new(quality: Arc<LinkQuality>, sender_ssrc: u32) -> Self {
        Self { quality, sender_ssrc, streams: BTreeMap::new(), budget: Budget::default(), reported: BTreeSet::new() }
    }
}

impl Stage for NackGenerator {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        if let Packet::Rtp(rtp) = &packet.message.packet
            && let Some(stream) = self.streams.get_mut(&rtp.header.ssrc)
        {
            stream.note(rtp.header.sequence_number, packet.now);
            if stream.has_copies(rtp.header.payload_type) {
                let copies = red::unpack(&rtp.payload).map_or(0, |blocks| blocks.len() - 1);
                stream.note_copies(rtp.header.sequence_number, copies);
            }
        }
        self.budget.note_received(&packet.message.packet);
        belt.read.push_back(packet);
    }

    fn handle_write(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        if let Packet::Rtp(rtp) = &packet.message.packet
            && self.reported.contains(&rtp.header.ssrc)
        {
            self.budget.note_sent(packet.now);
        }
        belt.write.push_back(packet);
    }

    fn handle_timeout(&mut self, now: Instant, belt: &mut Belt) {
        if !self.budget.is_open(now) {
            return;
        }
        let rtt = self.quality.repair_rtt().unwrap_or(RTT_UNKNOWN);
        let mut requests: Vec<Box<dyn rtc::rtcp::Packet>> = Vec::new();
        for (&media_ssrc, stream) in &mut self.streams {
            let numbers = stream.due(now, rtt);
            if !numbers.is_empty() {
                let nacks = nack_pairs_from_sequence_numbers(&numbers);
                requests.push(Box::new(TransportLayerNack { sender_ssrc: self.sender_ssrc, media_ssrc, nacks }));
            }
        }
        if !requests.is_empty() {
            let bytes = requests.iter().map(|request| request.marshal_size()).sum::<usize>() + BELOW_RTCP_BYTES;
            self.budget.spend(now, bytes, self.quality.target_bps(), rtt);
            let message = AttributedPacket::new(Packet::Rtcp(requests));
            belt.write.push_back(TaggedPacket { now, transport: Default::default(), message });
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let due = self.streams.values().flat_map(|stream| stream.missing.values()).map(|missing| missing.due).min()?;
        Some(self.budget.open_at().map_or(due, |open| open.max(due)))
    }

    fn bind_local(&mut self, info: &StreamInfo) {
        if info.rtp_header_extensions.iter().any(|extension| extension.uri == TRANSPORT_CC_URI) {
            self.reported.insert(info.ssrc);
        }
    }

    fn unbind_local(&mut self, info: &StreamInfo) {
        self.reported.remove(&info.ssrc);
    }

    fn bind_remote(&mut self, info: &StreamInfo) {
        let mime_type = info.mime_type.to_ascii_lowercase();
        let is_sound = mime_type.starts_with("audio/");
        let is_agreed =
            info.rtcp_feedback.iter().any(|feedback| feedback.typ == "nack" && feedback.parameter.is_empty());
        // Browsers answer requests for sounds, since our description says that we make them, though theirs does not.
        if is_agreed || is_sound {
            // The stack binds it again with the first packet after each description: what came before counts, and what is missing since.
            let stream = self.streams.entry(info.ssrc).or_default();
            stream.is_sound = is_sound;
            match mime_type.as_str() {
                "audio/red" => stream.red_payload_type = Some(info.payload_type),
                _ => stream.plain_payload_type = is_sound.then_some(info.payload_type),
            }
        }
    }

    fn unbind_remote(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
