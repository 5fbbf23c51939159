//! One peer's sound, from its packets to its share of the mix.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::analysis::{self, LastSecond};
use super::gain::SmoothGain;
use super::level::{self, Meter, SILENCE_DBFS, VoiceDetector};
use super::playback::Playback;
use super::player::Player;
use super::{BLOCK, Block, lock};
use crate::rtp::jitter_buffer::{JitterBuffer, JitterBufferConfig};
use crate::rtp::packet::RtpPacket;
use crate::rtp::playout::Playout;
use crate::rtp::red;

/// Twice as loud is as loud as a peer can be made.
const MAX_VOLUME: f32 = 2.0;

/// One peer's sound; dropping it takes the peer out of the mix.
#[derive(Debug)]
pub struct RemoteAudio {
    peer: Arc<Peer>,
    playback: Arc<Playback>,
}

/// What has been received and heard of one peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RemoteAudioStats {
    /// Packets that came, good or not.
    pub packets: u64,
    /// Their payload.
    pub bytes: u64,
    /// Packets that never came.
    pub packets_lost: u64,
    /// Packets that came too late to be played.
    pub packets_late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets thrown away to catch up with the sender.
    pub packets_discarded: u64,
    /// Samples made up in place of lost or late packets.
    pub concealed_samples: u64,
    /// Lost packets that were recovered from a later one (RFC 2198, or Opus' in-band FEC).
    pub fec_recovered: u64,
    /// Samples of the peer's own sound that were mixed, made-up ones left out.
    pub samples_played: u64,
    /// How often a pitch period was left out or played twice to keep the delay.
    pub stretches: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter_ms: f64,
    /// How long what was played last waited before it was mixed, beyond what the fastest packets took.
    pub delay_ms: f64,
    /// How long it is to wait.
    pub target_delay_ms: f64,
    /// Level of the last second in dBFS, 0 for a full-scale square wave, -127 for silence.
    pub dbfs: f32,
    /// Strongest frequency of the last second, where it is not silent.
    pub tone_hz: Option<f32>,
}

impl RemoteAudio {
    pub(crate) fn new(peer: Arc<Peer>, playback: Arc<Playback>) -> Self {
        Self { peer, playback }
    }

    /// Takes a packet from the network; never waits for anything longer than arithmetic.
    pub fn push(&self, packet: RtpPacket, arrived: Instant) {
        lock(&self.peer.jitter).insert(&packet, arrived);
    }

    /// Takes a packet that carries earlier ones too (RFC 2198).
    pub fn push_redundant(&self, packet: RtpPacket, arrived: Instant) {
        let mut jitter = lock(&self.peer.jitter);
        let blocks = red::unpack(&packet.payload).unwrap_or_default();
        // Without a block there is nothing to play either: an empty payload is counted as invalid.
        let payload = blocks.last().map(|own| own.payload.clone()).unwrap_or_default();
        jitter.insert(&RtpPacket { payload, ..packet.clone() }, arrived);
        for (block, back) in blocks.into_iter().rev().zip(0_u16..).skip(1) {
            jitter.insert_copy(&RtpPacket {
                sequence_number: packet.sequence_number.wrapping_sub(back),
                timestamp: packet.timestamp.wrapping_sub(block.offset),
                payload: block.payload,
                ..packet.clone()
            });
        }
    }

    /// Makes this peer softer or louder: 0 is silent, 1 as it came, 2 the loudest.
    pub fn set_volume(&self, volume: f32) {
        let volume = if volume.is_finite() { volume.clamp(0.0, MAX_VOLUME) } else { 1.0 };
        self.peer.volume.store(volume.to_bits(), Relaxed);
    }

    /// How loud this peer is now, 0 to 1, for a meter; the volume set here does not count.
    pub fn level(&self) -> f32 {
        f32::from_bits(self.peer.level.load(Relaxed))
    }

    /// Whether this peer speaks now.
    pub fn is_speaking(&self) -> bool {
        self.peer.speaking.load(Relaxed)
    }

    /// What has been received and heard; analyses the last second, which takes about a millisecond.
    pub fn stats(&self) -> RemoteAudioStats {
        let (dbfs, tone_hz) = self.describe();
        RemoteAudioStats { dbfs, tone_hz, ..self.counters() }
    }

    /// Level in dBFS and strongest frequency of the last second; see [`RemoteAudio::stats`] for the cost.
    pub fn describe(&self) -> (f32, Option<f32>) {
        // Only the copy is made under the lock that the mixer needs.
        let second = lock(&self.peer.voice).last_second.snapshot();
        analysis::describe(&second)
    }

    /// What has been received, without what it sounded like: that stands as silence. Costs next to nothing.
    pub fn counters(&self) -> RemoteAudioStats {
        let stretches = lock(&self.peer.voice).player.as_ref().map_or(0, Player::stretched);
        let jitter = lock(&self.peer.jitter);
        let counted = jitter.stats();
        RemoteAudioStats {
            packets: counted.packets,
            bytes: counted.bytes,
            packets_lost: counted.lost,
            packets_late: counted.late,
            duplicates: counted.duplicates,
            packets_discarded: counted.discarded,
            concealed_samples: counted.concealed_samples,
            fec_recovered: counted.fec_recovered,
            samples_played: self.peer.samples_played.load(Relaxed),
            stretches,
            jitter_ms: jitter.jitter().as_secs_f64() * 1000.0,
            delay_ms: f64::from(self.peer.delay_us.load(Relaxed)) / 1000.0,
            target_delay_ms: jitter.target_delay().as_secs_f64() * 1000.0,
            dbfs: SILENCE_DBFS,
            tone_hz: None,
        }
    }
}

impl Drop for RemoteAudio {
    fn drop(&mut self) {
        self.peer.leaving.store(true, Relaxed);
        self.playback.wake();
    }
}

/// What the mixer and the holder of a [`RemoteAudio`] share.
#[derive(Debug)]
pub(crate) struct Peer {
    jitter: Mutex<JitterBuffer>,
    /// Locked by the mixer, and for a copy of the last second by whoever asks for it.
    voice: Mutex<Voice>,
    playout: Arc<Playout>,
    volume: AtomicU32,
    level: AtomicU32,
    speaking: AtomicBool,
    leaving: AtomicBool,
    samples_played: AtomicU64,
    delay_us: AtomicU32,
}

#[derive(Debug)]
struct Voice {
    /// `None` where no decoder could be made, for want of memory.
    player: Option<Player>,
    gain: SmoothGain,
    meter: Meter,
    detector: VoiceDetector,
    last_second: LastSecond,
}

/// When a block is mixed and when it is heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MixTime {
    /// On an even clock: 10 ms later for every block.
    pub(crate) mixed: Instant,
    /// When its first sample leaves the speaker.
    pub(crate) heard: Instant,
}

impl Peer {
    pub(crate) fn new(playout: Arc<Playout>) -> Self {
        let player = Player::new().inspect_err(|error| tracing::error!(%error, "no decoder for a peer's sound")).ok();
        Self {
            jitter: Mutex::new(JitterBuffer::new(JitterBufferConfig::default())),
            voice: Mutex::new(Voice {
                player,
                gain: SmoothGain::new(0.0),
                meter: Meter::default(),
                detector: VoiceDetector::default(),
                last_second: LastSecond::default(),
            }),
            playout,
            volume: AtomicU32::new(1.0_f32.to_bits()),
            level: AtomicU32::new(0),
            speaking: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            samples_played: AtomicU64::new(0),
            delay_us: AtomicU32::new(0),
        }
    }

    /// Adds the peer's next 10 ms to the mix; false once it has left and faded out.
    pub(crate) fn mix_into(&self, time: MixTime, mix: &mut Block) -> bool {
        let mut voice = lock(&self.voice);
        let voice = &mut *voice;
        let Some(player) = &mut voice.player else { return !self.leaving.load(Relaxed) };
        lock(&self.jitter).set_extra_delay(self.playout.audio_extra_delay());
        let mut block = [0.0; BLOCK];
        let played = player.pull(&self.jitter, time.mixed, &mut block);
        if let Some(rtp_timestamp) = played.rtp_timestamp {
            self.playout.audio_played(rtp_timestamp, time.heard);
            self.samples_played.fetch_add(BLOCK as u64, Relaxed);
            let delay = lock(&self.jitter).current_delay(time.mixed);
            self.delay_us.store(u32::try_from(delay.as_micros()).unwrap_or(u32::MAX), Relaxed);
        }
        let level = if played.rtp_timestamp.is_some() { level::dbfs(&block) } else { SILENCE_DBFS };
        self.level.store(voice.meter.update(level).to_bits(), Relaxed);
        self.speaking.store(voice.detector.update(level), Relaxed);
        voice.last_second.push(&block);
        let leaving = self.leaving.load(Relaxed);
        let volume = if leaving { 0.0 } else { f32::from_bits(self.volume.load(Relaxed)) };
        voice.gain.apply(volume, &mut block);
        mix.iter_mut().zip(block).for_each(|(sum, sample)| *sum += sample);
        !leaving
    }
}
