//! Microphones and speakers for real: PulseAudio with null sinks, through cpal.

#[path = "support/sound_server.rs"]
mod sound_server;

#[path = "support/likeness.rs"]
mod likeness;

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use parlor_media::audio::{
    AudioDeviceError, AudioSink, AudioSource, LocalAudio, LocalAudioConfig, RemoteAudio, microphones, speakers,
};
use parlor_media::{MediaClock, Playout, PlayoutConfig, RtpPacket, SourceStatus};

use sound_server::{Recorder, SoundServer, await_until, in_own_sound_world};

#[test]
fn microphones_and_speakers_are_listed() {
    in_own_sound_world(|folder| {
        let server = SoundServer::start(folder);
        let names = |devices: &[parlor_media::audio::AudioDeviceInfo]| -> Vec<(String, bool)> {
            devices.iter().map(|device| (device.name.clone(), device.is_default)).collect()
        };
        let speakers = speakers().unwrap();
        assert_eq!(names(&speakers), [("mic_feed".to_owned(), false), ("spk".to_owned(), true)]);
        assert_eq!(speakers[1].id, "pulseaudio:spk");
        // What records a speaker is listed as such, and never the default.
        assert!(
            microphones().unwrap().iter().all(|device| device.name.ends_with("(what is played)") && !device.is_default)
        );
        server.plug_in_microphone("mic_feed", "headset");
        let first = microphones().unwrap().remove(0);
        assert_eq!((first.id.as_str(), first.is_default), ("pulseaudio:headset", true));
    });
}

#[test]
fn what_is_said_into_a_microphone_is_heard_from_a_speaker() {
    in_own_sound_world(|folder| {
        let server = SoundServer::start(folder);
        let call = Call::new();
        call.sender.set_source(AudioSource::Device("mic_feed.monitor".to_owned()));
        call.receiver.set_sink(AudioSink::Device("pulseaudio:spk".to_owned()));
        await_live(&call.sender, &call.receiver);
        let _player = server.play(&tone(folder, 440.0), "mic_feed");
        assert_heard(&mut server.record("spk"), 440.0);
        await_until("the sender's meter moves", || call.sender.level() > 0.5 && call.sender.is_speaking());
        let (sent, heard) = (call.sender.stats(), call.remote.stats());
        println!("{sent:?}\n{:?}\n{heard:?}", call.receiver.stats());
        assert!(heard.concealed_samples < 24_000, "{heard:?}");
    });
}

#[test]
fn speech_comes_through_as_it_was_spoken() {
    in_own_sound_world(|folder| {
        let server = SoundServer::start(folder);
        let call = Call::new();
        call.sender.set_source(AudioSource::Device("mic_feed.monitor".to_owned()));
        call.receiver.set_sink(AudioSink::Device("spk".to_owned()));
        await_live(&call.sender, &call.receiver);
        let speech = speech(folder);
        let (mut said, mut heard) = (server.record("mic_feed"), server.record("spk"));
        // Both recorders run before anything is said.
        let (mut played, mut recorded) = (said.read(9600), heard.read(9600));
        let _player = server.play(&speech, "mic_feed");
        for _ in 0..10 {
            played.extend(said.read(48_000));
            recorded.extend(heard.read(48_000));
        }
        recorded.extend(heard.read(24_000));
        let likeness = likeness::compare(&played, &recorded);
        println!("{likeness:?}\n{:?}\n{:?}", call.sender.stats(), call.remote.stats());
        assert!(likeness.windows >= 8 && likeness.median >= 0.9, "{likeness:?}");
        assert_eq!(likeness.silent, 0, "{likeness:?}");
        // Both devices, the codec and the jitter buffer; far more is a queue that nobody empties.
        assert!(likeness.latencies_ms.iter().all(|latency| *latency < 500), "{likeness:?}");
    });
}

#[test]
fn what_the_speaker_plays_is_not_sent_back_from_the_microphone() {
    in_own_sound_world(|folder| {
        let server = SoundServer::start(folder);
        let there = Call::new();
        there.sender.set_source(AudioSource::File(speech(folder)));
        there.receiver.set_sink(AudioSink::Device("spk".to_owned()));
        // The one who listens has a microphone that hears the speaker and nothing else.
        there.receiver.set_source(AudioSource::Device("spk.monitor".to_owned()));
        let back = Arc::new(there.sender.add_peer(Arc::new(Playout::new(PlayoutConfig::default()))));
        connect(&there.receiver, &back);
        let mut clean_in_a_row = 0;
        let levels = || (there.remote.stats().dbfs, back.stats().dbfs);
        await_until("the echo is there", || {
            let (heard, echo) = levels();
            heard > -30.0 && echo > heard - 10.0
        });
        there.receiver.set_processing(true);
        await_until("the echo is gone, for two seconds of speech", || {
            let (heard, echo) = levels();
            clean_in_a_row = if heard < -30.0 || echo < heard - 35.0 { clean_in_a_row + 1 } else { 0 };
            clean_in_a_row >= 150
        });
        drop(server);
    });
}

#[test]
fn the_default_devices_are_used_and_the_test_sound_is_heard() {
    in_own_sound_world(|folder| {
        let server = SoundServer::start(folder);
        server.plug_in_microphone("mic_feed", "headset");
        let call = Call::new();
        call.sender.set_source(AudioSource::DefaultDevice);
        call.receiver.set_sink(AudioSink::DefaultDevice);
        await_live(&call.sender, &call.receiver);
        let mut recorder = server.record("spk");
        // It runs before the sound, which comes once and is short: wherever a tenth of a second of it lies counts.
        let mut heard = recorder.read(9600);
        call.receiver.play_test_sound();
        await_until("the second note is heard", || {
            heard.drain(..4800);
            heard.extend(recorder.read(4800));
            heard.windows(4800).step_by(480).any(|part| tone_of(part).is_some_and(|hz| (hz - 784.0).abs() < 20.0))
        });
        drop(recorder);
        let _player = server.play(&tone(folder, 440.0), "mic_feed");
        assert_heard(&mut server.record("spk"), 440.0);
    });
}

#[test]
fn an_unplugged_microphone_is_replaced_and_comes_back() {
    in_own_sound_world(|folder| {
        let server = SoundServer::start(folder);
        server.plug_in_microphone("mic_feed", "builtin");
        let usb = server.plug_in("usb");
        let call = Call::new();
        call.sender.set_source(AudioSource::Device("usb.monitor".to_owned()));
        call.receiver.set_sink(AudioSink::Device("spk".to_owned()));
        await_live(&call.sender, &call.receiver);
        let changes = Arc::new(Mutex::new(0));
        let count = changes.clone();
        call.sender.on_status(Arc::new(move || *count.lock().unwrap() += 1));
        let _low = server.play(&tone(folder, 440.0), "mic_feed");
        let high = server.play(&tone(folder, 880.0), "usb");
        assert_heard(&mut server.record("spk"), 880.0);
        drop(high);
        server.unplug(&usb);
        assert_heard(&mut server.record("spk"), 440.0);
        await_until("another microphone stands in", || {
            let label = label(&call.sender);
            !label.is_empty() && !label.contains("usb")
        });
        server.plug_in("usb");
        await_until("the microphone is back", || label(&call.sender).contains("usb"));
        let _high = server.play(&tone(folder, 880.0), "usb");
        assert_heard(&mut server.record("spk"), 880.0);
        assert!(*changes.lock().unwrap() >= 2);
    });
}

#[test]
fn an_unplugged_speaker_is_replaced_and_comes_back() {
    in_own_sound_world(|folder| {
        let server = SoundServer::start(folder);
        let usb = server.plug_in("usb");
        let call = Call::new();
        call.sender.set_source(AudioSource::Tone { frequency_hz: 500.0 });
        call.receiver.set_sink(AudioSink::Device("usb".to_owned()));
        assert_heard(&mut server.record("usb"), 500.0);
        server.unplug(&usb);
        assert_heard(&mut server.record("spk"), 500.0);
        // PulseAudio itself moves the sound at once; that the device is gone is seen at the next look.
        let plays_on =
            |name: &str| matches!(call.receiver.sink_status(), SourceStatus::Live { label } if label == name);
        await_until("the default speaker stands in", || plays_on("spk") || plays_on("mic_feed"));
        server.plug_in("usb");
        assert_heard(&mut server.record("usb"), 500.0);
        await_until("the speaker is back", || plays_on("usb"));
    });
}

#[test]
fn a_crash_of_the_sound_server_is_told_and_survived() {
    in_own_sound_world(|folder| {
        let server = SoundServer::start(folder);
        let call = Call::new();
        call.sender.set_source(AudioSource::Device("mic_feed.monitor".to_owned()));
        call.receiver.set_sink(AudioSink::DefaultDevice);
        await_live(&call.sender, &call.receiver);
        let folder = server.crash();
        await_until("both say that there is no sound server", || {
            let gone = SourceStatus::Failed(AudioDeviceError::NoSoundServer);
            call.sender.source_status() == gone && call.receiver.sink_status() == gone
        });
        let server = SoundServer::start(&folder);
        await_live(&call.sender, &call.receiver);
        let _player = server.play(&tone(&folder, 440.0), "mic_feed");
        assert_heard(&mut server.record("spk"), 440.0);
    });
}

#[test]
fn without_a_sound_server_a_call_goes_on_and_says_why_it_is_silent() {
    in_own_sound_world(|_folder| {
        let gone = AudioDeviceError::NoSoundServer;
        assert_eq!(microphones(), Err(gone.clone()));
        assert_eq!(speakers(), Err(gone.clone()));
        let call = Call::new();
        call.receiver.set_source(AudioSource::DefaultDevice);
        call.receiver.set_sink(AudioSink::DefaultDevice);
        call.sender.set_source(AudioSource::Tone { frequency_hz: 440.0 });
        await_until("both failed", || {
            let failed = SourceStatus::Failed(gone.clone());
            call.receiver.source_status() == failed && call.receiver.sink_status() == failed
        });
        await_until("the tone is measured all the same", || {
            call.remote.stats().tone_hz.is_some_and(|hz| (hz - 440.0).abs() < 2.0)
        });
    });
}

#[test]
fn a_device_that_is_not_there_is_waited_for() {
    in_own_sound_world(|folder| {
        let server = SoundServer::start(folder);
        let call = Call::new();
        call.sender.set_source(AudioSource::Device("late.monitor".to_owned()));
        let missing = SourceStatus::Failed(AudioDeviceError::NoDevice { kind: "microphone" });
        await_until("it is missing", || call.sender.source_status() == missing);
        call.receiver.set_source(AudioSource::DefaultDevice);
        await_until("a monitor is no microphone", || call.receiver.source_status() == missing);
        server.plug_in("late");
        await_until("it is there", || call.sender.source_status().is_live());
    });
}

/// Two people on one machine, their packets handed over at once.
struct Call {
    sender: LocalAudio,
    receiver: LocalAudio,
    remote: Arc<RemoteAudio>,
}

impl Call {
    fn new() -> Self {
        let clock = MediaClock::system();
        let config = LocalAudioConfig { processing: false, ..LocalAudioConfig::default() };
        let (sender, receiver) = (LocalAudio::new(config.clone(), clock), LocalAudio::new(config, clock));
        let remote = Arc::new(receiver.add_peer(Arc::new(Playout::new(PlayoutConfig::default()))));
        connect(&sender, &remote);
        Self { sender, receiver, remote }
    }
}

/// Hands every packet over at once.
fn connect(from: &LocalAudio, to: &Arc<RemoteAudio>) {
    let (to, mut sequence_number) = (to.clone(), 0_u16);
    from.start_encoding(Box::new(move |frame| {
        let packet = RtpPacket {
            sequence_number,
            timestamp: frame.rtp_timestamp,
            marker: false,
            payload_type: 111,
            ssrc: 1,
            payload: frame.payload,
        };
        sequence_number = sequence_number.wrapping_add(1);
        to.push(packet, Instant::now());
    }));
}

fn await_live(sender: &LocalAudio, receiver: &LocalAudio) {
    await_until("the microphone is open", || sender.source_status().is_live());
    await_until("the speaker is open", || receiver.sink_status().is_live());
}

fn label(sender: &LocalAudio) -> String {
    match sender.source_status() {
        SourceStatus::Live { label } => label,
        SourceStatus::Off | SourceStatus::Opening | SourceStatus::Failed(_) => String::new(),
    }
}

/// Waits until a fifth of a second in a row is this tone and nothing else.
fn assert_heard(recorder: &mut Recorder, hz: f32) {
    await_until(&format!("{hz} Hz is heard"), || {
        tone_of(&recorder.read(9600)).is_some_and(|heard| (heard - hz).abs() < 8.0)
    });
}

/// The pitch of a steady tone, by its zero crossings; none where it is soft or interrupted.
fn tone_of(sound: &[f32]) -> Option<f32> {
    let loud = |part: &[f32]| part.iter().any(|sample| sample.abs() > 0.02);
    if !sound.chunks(480).all(loud) {
        return None;
    }
    let crossings = sound.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count();
    Some(crossings as f32 * 48_000.0 / 2.0 / sound.len() as f32)
}

/// A few sentences in a WAV file.
fn speech(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("speech.wav");
    let text = "The quick brown fox jumps over the lazy dog. One two three four five six seven. \
                Please call me again tomorrow at noon, when everybody is here.";
    let status = Command::new("espeak-ng").arg("-w").arg(&path).arg(text).status();
    assert!(status.is_ok_and(|status| status.success()), "espeak-ng should be installed (apt: espeak-ng)");
    path
}

/// A minute of a tone in a WAV file.
fn tone(folder: &Path, hz: f32) -> std::path::PathBuf {
    let path = folder.join(format!("{hz}.wav"));
    let sample_format = hound::SampleFormat::Int;
    let spec = hound::WavSpec { channels: 1, sample_rate: 48_000, bits_per_sample: 16, sample_format };
    let mut writer = hound::WavWriter::create(&path, spec).expect("a file in the test's folder");
    for n in 0..60 * 48_000 {
        let sample = 8000.0 * (std::f64::consts::TAU * f64::from(hz) * f64::from(n) / 48_000.0).sin();
        writer.write_sample(sample as i16).expect("room on the disk");
    }
    writer.finalize().expect("room on the disk");
    path
}
