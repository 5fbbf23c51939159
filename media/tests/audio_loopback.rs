//! Sound from one end to the other without a device: encoded, packed as RTP, buffered, decoded, mixed, measured.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use parlor_media::audio::{AudioSink, AudioSource, LocalAudio, LocalAudioConfig, RemoteAudio, RemoteAudioStats};
use parlor_media::{EncodedAudio, MediaClock, Playout, PlayoutConfig, RtpPacket};

/// Frames of 20 ms until a test gives up: 20 s.
const PATIENCE: usize = 1000;

#[test]
fn a_tone_is_heard_at_its_pitch_and_loudness() {
    let mut line = Line::new(AudioSource::Tone { frequency_hz: 440.0 });
    let stats = line.run_until(|stats| stats.dbfs > -15.5);
    assert!((stats.tone_hz.unwrap() - 440.0).abs() < 2.0, "{stats:?}");
    assert!((stats.dbfs + 15.05).abs() < 0.5, "{stats:?}");
    assert_eq!(stats.packets_lost, 0);
    assert!(line.remote.is_speaking() && line.remote.level() > 0.5);
}

#[test]
fn while_muted_nothing_is_sent_and_the_meter_goes_on() {
    let mut line = Line::new(AudioSource::Tone { frequency_hz: 440.0 });
    line.run_until(|stats| stats.dbfs > -15.5);
    let concealed = line.remote.stats().concealed_samples;
    line.sender.set_muted(true);
    // The frames under way still come, the last of them fading out, then none for a second of captured sound.
    let mut last = None;
    let mut quiet_since = line.sender.stats();
    loop {
        match line.frames.recv_timeout(Duration::from_millis(10)) {
            Ok(frame) => {
                last = Some(frame.rtp_timestamp);
                line.push(frame);
                quiet_since = line.sender.stats();
            }
            Err(_) if line.sender.stats().blocks_captured - quiet_since.blocks_captured >= 100 => break,
            Err(_) => {}
        }
    }
    assert!(line.sender.is_speaking() && line.sender.level() > 0.5);
    line.sender.set_muted(false);
    let first = line.next_frame();
    let jump = first.rtp_timestamp.wrapping_sub(last.unwrap());
    assert!((47_000..480_000).contains(&jump), "the time line jumped by {jump} samples");
    line.push(first);
    let stats = line.run_until(|stats| stats.dbfs > -15.5);
    assert!(stats.concealed_samples - concealed < 24_000, "a mute is not a loss: {stats:?}");
}

#[test]
fn the_time_line_steps_evenly_and_sequence_and_level_are_told() {
    let line = Line::new(AudioSource::Tone { frequency_hz: 440.0 });
    let frames: Vec<EncodedAudio> = (0..50).map(|_| line.next_frame()).collect();
    let steps: Vec<u32> =
        frames.windows(2).map(|pair| pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp)).collect();
    // Where this machine stands still for long, the time line jumps over it.
    assert!(steps.iter().all(|step| (960..480_000).contains(step)), "{steps:?}");
    assert!(steps.iter().filter(|step| **step != 960).count() <= 3, "{steps:?}");
    let last = &frames[49];
    assert!(last.voice && last.level_dbov == 15 && last.duration == Duration::from_millis(20));
    let captured = line.clock.rtp_timestamp(last.captured_at, 48_000);
    assert!((captured.wrapping_sub(last.rtp_timestamp) as i32).abs() < 9600);
}

#[test]
fn lost_packets_are_counted_and_made_up() {
    let mut line = Line::new(AudioSource::Tone { frequency_hz: 440.0 });
    line.sender.set_packet_loss(0.1);
    for n in 0..200 {
        let frame = line.next_frame();
        if n % 10 == 5 {
            line.sequence_number = line.sequence_number.wrapping_add(1);
        } else {
            line.push(frame);
        }
    }
    let stats = line.run_until(|stats| stats.packets_lost >= 19);
    let made_up = stats.concealed_samples / 960 + stats.fec_recovered;
    assert!(made_up >= 15, "{stats:?}");
    assert!((stats.tone_hz.unwrap() - 440.0).abs() < 5.0, "{stats:?}");
}

#[test]
fn a_file_is_played_by_one_and_recorded_by_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (played, recorded) = (folder.path().join("played.wav"), folder.path().join("recorded.wav"));
    write_tone(&played, 700.0);
    let mut line = Line::new(AudioSource::File(played));
    line.receiver.set_sink(AudioSink::File(recorded.clone()));
    assert!(line.receiver.sink_status().is_live() && line.sender.source_status().is_live());
    line.run_until(|stats| stats.dbfs > -14.0 && stats.samples_played > 96_000);
    drop(line);
    let mut reader = hound::WavReader::open(recorded).unwrap();
    let sound: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    assert!(sound.len() > 48_000);
    let crossings = sound[sound.len() - 24_000..].windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    assert!((665..=735).contains(&crossings), "{crossings} zero crossings in half a second");
}

#[test]
fn a_file_that_is_none_is_a_sentence() {
    let line = Line::new(AudioSource::File("/nowhere/at/all.wav".into()));
    let status = format!("{:?}", line.sender.source_status());
    assert!(status.contains("Unreadable"), "{status}");
}

#[test]
fn a_peer_that_is_dropped_leaves_the_mix_and_everything_ends() {
    let line = Line::new(AudioSource::Tone { frequency_hz: 440.0 });
    let Line { sender, receiver, remote, .. } = line;
    drop(receiver);
    drop(remote);
    drop(sender);
}

/// A sender and a receiver, and the packets between them.
struct Line {
    clock: MediaClock,
    sender: LocalAudio,
    receiver: LocalAudio,
    remote: RemoteAudio,
    frames: Receiver<EncodedAudio>,
    sequence_number: u16,
}

impl Line {
    fn new(source: AudioSource) -> Self {
        let clock = MediaClock::system();
        let sender = LocalAudio::new(LocalAudioConfig::default(), clock);
        let receiver = LocalAudio::new(LocalAudioConfig::default(), clock);
        let remote = receiver.add_peer(Arc::new(Playout::new(PlayoutConfig::default())));
        let (to_line, frames) = sync_channel(PATIENCE);
        sender.start_encoding(Box::new(move |frame| drop(to_line.try_send(frame))));
        sender.set_source(source);
        // Near the end, so that it wraps.
        Self { clock, sender, receiver, remote, frames, sequence_number: 65_500 }
    }

    fn next_frame(&self) -> EncodedAudio {
        self.frames.recv_timeout(Duration::from_secs(20)).expect("the encoder should give frames")
    }

    fn push(&mut self, frame: EncodedAudio) {
        let packet = RtpPacket {
            sequence_number: self.sequence_number,
            timestamp: frame.rtp_timestamp,
            marker: false,
            payload_type: 111,
            ssrc: 1,
            payload: frame.payload,
        };
        self.sequence_number = self.sequence_number.wrapping_add(1);
        self.remote.push(packet, Instant::now());
    }

    fn run_until(&mut self, heard: impl Fn(&RemoteAudioStats) -> bool) -> RemoteAudioStats {
        for _ in 0..PATIENCE {
            let frame = self.next_frame();
            self.push(frame);
            let stats = self.remote.stats();
            if heard(&stats) {
                return stats;
            }
        }
        panic!("not heard in 20 s: {:?}", self.remote.stats());
    }
}

fn write_tone(path: &std::path::Path, hz: f32) {
    let sample_format = hound::SampleFormat::Int;
    let spec = hound::WavSpec { channels: 2, sample_rate: 44_100, bits_per_sample: 16, sample_format };
    let mut writer = hound::WavWriter::create(path, spec).expect("a file in the test's folder");
    // A whole number of periods, so that the loop has no click.
    for n in 0..44_100 {
        let sample = 10_000.0 * (std::f32::consts::TAU * hz * n as f32 / 44_100.0).sin();
        writer.write_sample(sample as i16).expect("room on the disk");
        writer.write_sample(sample as i16).expect("room on the disk");
    }
    writer.finalize().expect("room on the disk");
}
