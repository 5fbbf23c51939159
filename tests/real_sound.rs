//! Speech goes through a real sound server: from one peer's microphone, through a call, out of the other one's speaker.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use parlor_tests::peer::{number, parlor};
use parlor_tests::sound::SoundServer;
use parlor_tests::{Peer, Server};
use serde_json::Value;

const SPEECH: &str = "The quick brown fox jumps over the lazy dog. One, two, three, four, five, six. \
    A call is good when nobody thinks about it. Please say the names of all the rivers that you know.";
const SAMPLE_RATE: usize = 48_000;
/// Ten milliseconds: what the energy is summed over.
const STEP: usize = SAMPLE_RATE / 100;
/// Half a second: what is compared at a time.
const WINDOW: usize = SAMPLE_RATE / 2;
/// Forty milliseconds: by how much each window may be shifted against the one before. The jitter buffer stretches time a
/// little, the more the busier the machine is.
const SHIFT: usize = SAMPLE_RATE / 25;
/// One millisecond: how finely shifts are tried.
const FINE: usize = SAMPLE_RATE / 1_000;
/// The longest way from microphone to speaker that is looked for.
const LATENCY: usize = 2 * SAMPLE_RATE;
/// Quieter than this, the source is silent.
const SPOKEN_DBFS: f64 = -40.0;
/// Quieter than this, what came out is.
const SILENT_DBFS: f64 = -55.0;

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
    let late: Vec<i16> = std::iter::repeat_n(0, 4_321).chain(speech.iter().map(|sample| sample / 2)).collect();
    let copy = compare(&speech, &late);
    assert!(copy.median > 0.98 && copy.silent == 0 && copy.windows >= 12, "{copy:?}");
    let other = compare(&speech, &babble(2, 8 * SAMPLE_RATE));
    assert!(other.median < 0.9, "{other:?}");
    let mut gap = late;
    gap[3 * SAMPLE_RATE..4 * SAMPLE_RATE].fill(0);
    assert!(compare(&speech, &gap).silent >= 1);
}

/// How alike what went in and what came out are.
#[derive(Debug)]
struct Likeness {
    /// From what went in to what came out, for each window.
    latencies_ms: Vec<usize>,
    /// Half seconds in which somebody spoke.
    windows: usize,
    /// Of these, how many came out silent.
    silent: usize,
    /// The median, over the windows, of the correlation of the energy envelopes.
    median: f64,
}

fn compare(into: &[i16], out: &[i16]) -> Likeness {
    let starts = (0..into.len().saturating_sub(WINDOW)).step_by(WINDOW);
    let spoken: Vec<usize> = starts.filter(|start| dbfs(&into[*start..start + WINDOW]) > SPOKEN_DBFS).collect();
    let mut latency = latency(into, out, spoken.first().copied().unwrap_or(0));
    let mut likeness = Likeness { latencies_ms: Vec::new(), windows: spoken.len(), silent: 0, median: 0.0 };
    let mut correlations = Vec::new();
    for start in spoken {
        let source = envelope(&into[start..start + WINDOW]);
        let shifted = (latency.saturating_sub(SHIFT)..=latency + SHIFT).step_by(FINE);
        let heard = shifted.filter_map(|shift| Some((shift, out.get(start + shift..start + shift + WINDOW)?)));
        let best = heard.clone().map(|(shift, heard)| (correlation(&source, &envelope(heard)), shift));
        let (best, at) = best.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, latency));
        let loudest = heard.map(|(_, heard)| dbfs(heard)).fold(f64::MIN, f64::max);
        likeness.silent += usize::from(loudest < SILENT_DBFS);
        likeness.latencies_ms.push(at / FINE);
        correlations.push(best);
        latency = at;
    }
    correlations.sort_by(f64::total_cmp);
    likeness.median = correlations.get(correlations.len() / 2).copied().unwrap_or(0.0);
    likeness
}

/// By how many samples what came out follows what went in, the first seconds from `start` compared.
fn latency(into: &[i16], out: &[i16], start: usize) -> usize {
    let end = (start + 3 * SAMPLE_RATE).min(into.len());
    let (into, out) = (&into[start.min(end)..end], out.get(start..).unwrap_or_default());
    let (into, out) = (envelope(into), envelope(out));
    let score = |shift: usize| -> f64 { into.iter().zip(out.iter().skip(shift)).map(|(a, b)| a * b).sum() };
    let best = (0..LATENCY / STEP).max_by(|a, b| score(*a).total_cmp(&score(*b)));
    best.unwrap_or(0) * STEP
}

/// The energy of each ten milliseconds.
fn envelope(samples: &[i16]) -> Vec<f64> {
    let energy = |step: &[i16]| step.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    samples.chunks_exact(STEP).map(energy).collect()
}

/// Pearson's correlation.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum =
        |pairs: &dyn Fn(f64, f64) -> f64| -> f64 { a.iter().zip(b).map(|(a, b)| pairs(a - mean_a, b - mean_b)).sum() };
    let scale = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    if scale > 0.0 { sum(&|a, b| a * b) / scale } else { 0.0 }
}

fn dbfs(samples: &[i16]) -> f64 {
    let power = samples.iter().map(|sample| (f64::from(*sample) / 32_768.0).powi(2)).sum::<f64>();
    10.0 * (power / samples.len() as f64).max(1e-12).log10()
}

/// Noise that swells and fades at random, as speech does.
fn babble(seed: u64, samples: usize) -> Vec<i16> {
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
        ((random() - 0.5) * 20_000.0 * loudness) as i16
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
