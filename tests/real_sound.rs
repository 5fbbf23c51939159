//! Speech goes through a real sound server: from one peer's microphone, through a call, out of the other one's speaker.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

#[path = "../media/tests/support/likeness.rs"]
mod likeness;

use std::process::Command;

use parlor_tests::peer::{number, parlor};
use parlor_tests::sound::SoundServer;
use parlor_tests::{Peer, Server};
use serde_json::Value;

use likeness::compare;

const SPEECH: &str = "The quick brown fox jumps over the lazy dog. One, two, three, four, five, six. \
    A call is good when nobody thinks about it. Please say the names of all the rivers that you know.";
const SAMPLE_RATE: usize = 48_000;

#[test]
fn speech_comes_out_of_the_other_peers_speaker_as_it_went_into_the_microphone() {
    let sound = SoundServer::start();
    let [speech, word] = [("speech.wav", SPEECH), ("word.wav", "Ready")].map(|(file, text)| sound.speech(file, text));
    let devices = devices(&sound);
    let microphone = device(&devices, "microphones", &sound.microphone());
    let speaker = device(&devices, "speakers", sound.speaker());
    let server = Server::start();
    let link = server.link("sound");
    let speaks = ["--audio", &microphone, "--speaker", "none", "--audio-processing", "off"];
    let mut ana = Peer::join_among(&sound, &link, "Ana", &speaks);
    let mut bo = Peer::join_among(&sound, &link, "Bo", &["--audio", "none", "--speaker", &speaker]);
    ana.connected_with("Bo");
    bo.connected_with("Ana");

    // One word first: once that was heard and is over, everything is open from end to end.
    bo.wait("peer_media", |event| event["microphone"] == "on");
    sound.say(&word);
    bo.stats_of("Ana", |ana| number(ana, "audio_dbfs") > -50.0);
    bo.stats_of("Ana", |ana| number(ana, "audio_dbfs") < -80.0);

    let (into, out) = (sound.record_microphone(), sound.record_speaker());
    while !(into.has_begun() && out.has_begun()) {
        bo.stats_of("Ana", |_| true);
    }
    sound.say(&speech);
    bo.stats_of("Ana", |ana| number(ana, "audio_dbfs") < -80.0);
    let (into, out) = (into.finish(), out.finish());
    for peer in [&ana, &bo] {
        assert_eq!(peer.events("error").count(), 0, "{}", peer.told());
    }
    ana.leave();
    bo.leave();

    let likeness = compare(&into, &out);
    println!("{:?} ms from microphone to speaker", likeness.latencies_ms);
    assert!(likeness.windows >= 12, "{likeness:?}");
    assert_eq!(likeness.silent, 0, "{likeness:?}");
    assert!(likeness.median >= 0.9, "{likeness:?}");
}

#[test]
fn the_measure_tells_a_copy_from_another_sound_and_from_a_gap() {
    let speech = babble(1, 8 * SAMPLE_RATE);
    let late: Vec<f32> = std::iter::repeat_n(0.0, 4_321).chain(speech.iter().map(|sample| sample / 2.0)).collect();
    let copy = compare(&speech, &late);
    assert!(copy.median > 0.98 && copy.silent == 0 && copy.windows >= 12, "{copy:?}");
    let other = compare(&speech, &babble(2, 8 * SAMPLE_RATE));
    assert!(other.median < 0.9, "{other:?}");
    let mut gap = late;
    gap[3 * SAMPLE_RATE..4 * SAMPLE_RATE].fill(0.0);
    assert!(compare(&speech, &gap).silent >= 1);
}

#[test]
fn the_measure_follows_a_sound_that_is_later_at_once_and_caught_up_with() {
    let speech = babble(1, 8 * SAMPLE_RATE);
    let pause = SAMPLE_RATE * 3 / 20;
    let mut shifted = speech[..3 * SAMPLE_RATE].to_vec();
    shifted.extend(std::iter::repeat_n(0.0, pause));
    shifted.extend(&speech[3 * SAMPLE_RATE..5 * SAMPLE_RATE]);
    shifted.extend(&speech[5 * SAMPLE_RATE + pause..]);
    let followed = compare(&speech, &shifted);
    let latest = followed.latencies_ms.iter().max();
    assert!(followed.median > 0.98 && latest.is_some_and(|latest| latest.abs_diff(150) < 5), "{followed:?}");
    assert!(followed.latencies_ms.last().is_some_and(|last| *last < 5), "{followed:?}");
}

/// Noise that swells and fades at random, as speech does.
fn babble(seed: u64, samples: usize) -> Vec<f32> {
    let mut state = seed;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let mut loudness = 0.0;
    let mut sample = |index: usize| {
        if index.is_multiple_of(SAMPLE_RATE / 20) {
            loudness = random().powi(2);
        }
        ((random() - 0.5) * 0.6 * loudness) as f32
    };
    (0..samples).map(&mut sample).collect()
}

fn devices(sound: &SoundServer) -> Value {
    let (mut command, _settings): (Command, _) = parlor();
    sound.apply(&mut command);
    let output = command.args(["devices", "--json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The flag's value for a device of the sound server.
fn device(devices: &Value, kind: &str, name: &str) -> String {
    let listed = devices[kind].as_array().unwrap();
    let is_it = |device: &&Value| device["id"].as_str().is_some_and(|id| id.contains(name));
    let device = listed.iter().find(is_it).unwrap_or_else(|| panic!("{name} is not among {devices}"));
    format!("device:{}", device["id"].as_str().unwrap())
}
