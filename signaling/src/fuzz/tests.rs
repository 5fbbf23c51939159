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
fn what_waits_for_random_clients_is_bounded_and_reaches_who_reads() {
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let bytes = proptest::collection::vec(any::<u8>(), 0..3_000);
    let outcome = runner.run(&bytes, |bytes| {
        fuzz_outboxes(&bytes);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn the_random_clients_do_meet_and_do_all_that_can_be_refused() {
    let both = [
        "AlreadyJoined",
        "ExpectedHello",
        "GoingAway",
        "InvalidName",
        "InvalidPassword",
        "InvalidRoom",
        "Malformed",
        "NotJoined",
        "NotModerator",
        "PasswordRequired",
        "PasswordWrong",
        "Removed",
        "Replaced",
        "RoomFull",
        "RoomLocked",
        "SelfSignal",
        "UnknownPeer",
        "UnsupportedVersion",
    ];
    // There are only invitations to as many rooms as there may be.
    let open = ["TooManyRooms"];
    let invited = ["AccessExpired", "AccessInvalid", "AccessRequired", "AccessWrongRoom"];
    for (is_invited, more) in [(false, &open[..]), (true, &invited)] {
        let mut model = Model::new(is_invited);
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
        let mut bytes = vec![0; 120_000];
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
        let (learnt, gone) = model.learnt;
        assert!(signals > 100 && full > 200, "{signals} signals, {full} full rooms");
        assert!(learnt > 10 && gone > 3, "{learnt} times a server learnt, {gone} had to go then ({is_invited})");
        let expected: BTreeSet<_> = both.iter().chain(more).map(ToString::to_string).collect();
        assert_eq!(codes, expected);
    }
}

#[test]
fn random_clients_at_servers_that_come_and_go_agree_in_the_end() {
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let bytes = proptest::collection::vec(any::<u8>(), 0..3_000);
    let outcome = runner.run(&bytes, |bytes| {
        fuzz_servers(&bytes);
        Ok(())
    });
    outcome.unwrap();
}
