//! Several sounds in one packet (RFC 6716 §3.2): on a narrow link the headers of 50 packets a second take more than speech does.
//!
//! The frames stay as they were encoded, so that a connection can have its sounds joined while others get them one by one. Pure.

use bytes::Bytes;
use opus::Repacketizer;

use crate::audio::opus_packet::{MAX_BYTES, samples};
use crate::frame::EncodedAudio;

/// How many sounds of 20 ms make a packet at most: 60 ms, which browsers play as well as one.
pub const SOUNDS_MAX: usize = 3;

/// The configuration in the first byte of an Opus packet: mode, bandwidth, frame size and channels (RFC 6716 §3.1). Only frames of
/// one can share a packet.
const CONFIGURATION: u8 = 0b1111_1100;

/// Whether `next` can stand behind `before` in a packet: nothing was left out in between, and it was encoded alike.
pub fn follows(before: &EncodedAudio, next: &EncodedAudio) -> bool {
    let configuration = |sound: &EncodedAudio| sound.payload.first().map(|toc| toc & CONFIGURATION);
    let end = samples(&before.payload).map(|samples| before.rtp_timestamp.wrapping_add(samples));
    end == Some(next.rtp_timestamp) && configuration(before) == configuration(next)
}

/// One packet of sounds that [follow](follows) each other, with the time of the first and the level of the loudest; `None` where they
/// cannot be joined.
pub fn join(sounds: &[EncodedAudio]) -> Option<EncodedAudio> {
    let (first, rest) = sounds.split_first()?;
    if rest.is_empty() {
        return Some(first.clone());
    }
    let payloads: Vec<&[u8]> = sounds.iter().map(|sound| &sound.payload[..]).collect();
    let mut packet = vec![0; MAX_BYTES];
    let length = Repacketizer::new().ok()?.combine(&payloads, &mut packet).ok()?;
    packet.truncate(length);
    Some(EncodedAudio {
        payload: Bytes::from(packet),
        captured_at: first.captured_at,
        rtp_timestamp: first.rtp_timestamp,
        duration: sounds.iter().map(|sound| sound.duration).sum(),
        level_dbov: sounds.iter().map(|sound| sound.level_dbov).min().unwrap_or(first.level_dbov),
        voice: sounds.iter().any(|sound| sound.voice),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::audio::opus::{Decoder, Encoder};
    use crate::audio::opus_packet::MAX_SAMPLES;
    use crate::audio::speech;

    const FRAME: Duration = Duration::from_millis(20);

    /// Speech in packets of 20 ms at 12 kbit/s.
    fn sounds(count: usize) -> Vec<EncodedAudio> {
        let (mut encoder, begin) = (Encoder::new(FRAME, 12_000).unwrap(), Instant::now());
        let speech = speech::near_end();
        let frames = speech[9_600..].chunks_exact(960).take(count).zip(0_u32..);
        let encoded = frames.map(|(frame, number)| EncodedAudio {
            payload: encoder.encode(frame).unwrap().unwrap().into(),
            captured_at: begin + FRAME * number,
            rtp_timestamp: number * 960,
            duration: FRAME,
            level_dbov: 50 - number as u8,
            voice: number == 1,
        });
        encoded.collect()
    }

    fn decoded(decoder: &mut Decoder, packet: &[u8]) -> Vec<f32> {
        let mut out = [0.0; MAX_SAMPLES as usize];
        let length = decoder.decode(packet, &mut out).unwrap();
        out[..length].to_vec()
    }

    #[test]
    fn three_sounds_in_a_packet_are_the_same_sound_in_fewer_bytes_of_headers() {
        let sounds = sounds(3);
        let joined = join(&sounds).unwrap();
        assert_eq!((joined.rtp_timestamp, joined.duration), (0, FRAME * 3));
        assert_eq!((joined.level_dbov, joined.voice), (48, true), "as loud as the loudest");
        assert_eq!(samples(&joined.payload), Some(2_880));
        let apart: usize = sounds.iter().map(|sound| sound.payload.len()).sum();
        assert!(joined.payload.len() <= apart + 2, "{} for {apart}", joined.payload.len());
        let (mut one, mut other) = (Decoder::new().unwrap(), Decoder::new().unwrap());
        let expected: Vec<f32> = sounds.iter().flat_map(|sound| decoded(&mut one, &sound.payload)).collect();
        assert_eq!(decoded(&mut other, &joined.payload), expected);
    }

    #[test]
    fn a_pause_or_another_configuration_ends_a_packet() {
        let sounds = sounds(3);
        assert!(follows(&sounds[0], &sounds[1]));
        assert!(!follows(&sounds[0], &sounds[2]), "something was left out");
        assert!(!follows(&sounds[1], &sounds[0]));
        let mut other = sounds[1].clone();
        other.payload = [&[other.payload[0] ^ 0b1000_0000], &other.payload[1..]].concat().into();
        assert!(!follows(&sounds[0], &other));
        assert!(join(&[sounds[0].clone(), other]).is_none());
        assert!(join(&[]).is_none());
    }

    #[test]
    fn a_sound_alone_stays_as_it_is() {
        let sound = sounds(1).remove(0);
        assert_eq!(join(std::slice::from_ref(&sound)).unwrap().payload.as_ptr(), sound.payload.as_ptr());
    }
}
