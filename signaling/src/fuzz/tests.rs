//! The model with random bytes in place of a fuzzer's.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

/// The same in every run, so that what fails today fails tomorrow.
const SEED: [u8; 32] = *b"parlor hub property test, seed 1";

#[test]
fn random_clients_always_see_the_true_roster_and_the_right_codes() {
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let bytes = proptest::collection::vec(any::<u8>(), 0..3_000);
    let outcome = runner.run(&bytes, |bytes| {
        fuzz_hub(&bytes);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn the_random_clients_do_meet() {
    let mut model = Model::new();
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
    let mut bytes = vec![0; 30_000];
    rng.fill_bytes(&mut bytes);
    let mut bytes = Bytes(bytes.iter());
    let (mut codes, mut signals, mut full) = (BTreeSet::new(), 0, 0);
    while let Some(step) = bytes.0.next() {
        model.step(*step, &mut bytes);
        model.check();
        codes.extend(model.errors.iter().flatten().map(|code| format!("{code:?}")));
        signals += model.signals.len();
        full += model.hub.rooms().filter(|room| model.hub.roster(room).len() == CAPACITY).count();
    }
    assert!(signals > 100 && full > 500, "{signals} signals, {full} full rooms");
    let codes: Vec<_> = codes.iter().map(String::as_str).collect();
    assert_eq!(
        codes,
        [
            "AlreadyJoined",
            "ExpectedHello",
            "GoingAway",
            "InvalidName",
            "InvalidRoom",
            "Malformed",
            "NotJoined",
            "Replaced",
            "RoomFull",
            "SelfSignal",
            "TooManyRooms",
            "UnknownPeer",
            "UnsupportedVersion",
        ]
    );
}
