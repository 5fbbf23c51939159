//! What the fuzzer knows already: each committed input, and some thousand seeded changes of it, through each parser of
//! outside bytes. `cargo xtask fuzz` goes on from here for as long as one likes.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Changed inputs for each target; the whole takes seconds.
const CHANGES: u64 = 3_000;
/// Longer inputs say nothing new to these parsers, and take long.
const BYTES_MAX: usize = 4_096;

#[test]
fn wire_and_control_messages() {
    replay("wire", parlor_proto::fuzz::fuzz_wire);
}

#[test]
fn a_hub_among_hostile_clients() {
    replay("hub", parlor_signaling::fuzz::fuzz_hub);
}

#[test]
fn servers_that_share_rooms_come_and_go() {
    replay("servers", parlor_signaling::fuzz::fuzz_servers);
}

#[test]
fn outboxes_of_clients_that_read_and_of_some_that_do_not() {
    replay("outboxes", parlor_signaling::fuzz::fuzz_outboxes);
}

#[test]
fn websocket_frames() {
    replay("websocket", parlor_signaling::fuzz::fuzz_websocket);
}

#[test]
fn h264_payloads() {
    replay("depacketize", parlor_media::fuzz::fuzz_depacketize);
}

#[test]
fn the_frame_buffer() {
    replay("frame_buffer", parlor_media::fuzz::fuzz_frame_buffer);
}

#[test]
fn the_jitter_buffer() {
    replay("jitter_buffer", parlor_media::rtp::jitter_buffer::fuzz_jitter_buffer);
}

#[test]
fn redundant_sound() {
    replay("red", parlor_media::fuzz::fuzz_red);
}

#[test]
fn y4m_files() {
    replay("y4m", parlor_media::fuzz::fuzz_y4m);
}

#[test]
fn wav_files() {
    replay("wav", parlor_media::audio::wav::fuzz_wav);
}

#[test]
fn every_target_of_the_fuzzer_is_replayed_here() {
    let here = include_str!("fuzz_corpus.rs");
    for entry in std::fs::read_dir(fuzz_folder().join("fuzz_targets")).unwrap() {
        let target = entry.unwrap().path();
        let name = target.file_stem().unwrap().to_string_lossy();
        assert!(here.contains(&format!("replay(\"{name}\"")), "{name} is missing");
    }
}

fn replay(target: &str, parse: impl Fn(&[u8])) {
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "the corpus of {target} is empty");
    for input in &corpus {
        run(target, &parse, input);
    }
    let mut random = Random(0x7061_726c_6f72);
    for _ in 0..CHANGES {
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(8) {
            change(&mut input, &corpus, &mut random);
        }
        input.truncate(BYTES_MAX);
        run(target, &parse, &input);
    }
}

/// Parses one input; where that panics, keeps it where `cargo fuzz` would.
fn run(target: &str, parse: impl Fn(&[u8]), input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| parse(input))) {
        let folder = fuzz_folder().join("artifacts").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("found-by-replay");
        std::fs::write(&file, input).unwrap();
        eprintln!("the input of {} bytes is in {}", input.len(), file.display());
        std::panic::resume_unwind(panic);
    }
}

/// The committed inputs, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = fuzz_folder().join("corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// One of the changes that have found most bugs in parsers.
fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'\n'];
    let at = random.below(input.len() + 1);
    match random.below(7) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = EDGES[random.below(EDGES.len())],
        2 => input.insert(at, EDGES[random.below(EDGES.len())]),
        3 => input.truncate(at),
        4 => {
            let end = (at + random.below(16)).min(input.len());
            input.drain(at..end);
        }
        5 => {
            let end = (at + random.below(64)).min(input.len());
            let part = input[at..end].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, part);
        }
        _ => {
            let other = &corpus[random.below(corpus.len())];
            input.truncate(at);
            input.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
    }
}

/// SplitMix64: the same numbers in each run and on each machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = (bits ^ (bits >> 31)) >> 1;
        usize::try_from(bits).unwrap_or(0) % end.max(1)
    }
}
