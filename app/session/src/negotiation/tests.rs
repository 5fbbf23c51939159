use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

/// One machine, and what it asked for last.
struct Machine {
    negotiation: Negotiation,
    now: Instant,
}

fn polite() -> Machine {
    machine(true)
}

fn impolite() -> Machine {
    machine(false)
}

#[allow(clippy::disallowed_methods)]
fn machine(polite: bool) -> Machine {
    Machine { negotiation: Negotiation::new(polite, TIMEOUT, TIMEOUT), now: Instant::now() }
}

fn remote(sdp: &str) -> RemoteDescription {
    RemoteDescription { sdp: sdp.into(), streams: Vec::new() }
}

fn local(sdp: &str) -> LocalDescription {
    LocalDescription { sdp: sdp.into(), streams: Vec::new() }
}

impl Machine {
    /// Everything it wants, in short: what, and of which description.
    fn steps(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.negotiation.poll_step())
            .map(|step| match step {
                Step::CreateOffer { operation, ice_restart } => format!("create {} {ice_restart}", operation.0),
                Step::AcceptOffer { operation, description } => format!("accept {} {}", operation.0, description.sdp),
                Step::AcceptAnswer { operation, description } => format!("apply {} {}", operation.0, description.sdp),
                Step::Rollback { operation } => format!("rollback {}", operation.0),
                Step::SendOffer => "send offer".into(),
                Step::SendAnswer(local) => format!("send {}", local.sdp),
                Step::Unanswered => "unanswered".into(),
                Step::Failed(error) => format!("failed: {error}"),
            })
            .collect()
    }

    fn want(&mut self) -> Vec<String> {
        self.negotiation.want_offer(false, self.now);
        self.steps()
    }

    fn offer(&mut self, sdp: &str) -> Vec<String> {
        self.negotiation.handle_offer(remote(sdp), self.now);
        self.steps()
    }

    fn answer(&mut self, sdp: &str) -> Vec<String> {
        self.negotiation.handle_answer(remote(sdp), self.now);
        self.steps()
    }

    fn described(&mut self, operation: u64, sdp: &str) -> Vec<String> {
        self.negotiation.handle_description(OperationId(operation), local(sdp), self.now);
        self.steps()
    }

    fn done(&mut self, operation: u64) -> Vec<String> {
        self.negotiation.handle_done(OperationId(operation), self.now);
        self.steps()
    }

    fn wait(&mut self, wait: Duration) -> Vec<String> {
        self.now += wait;
        self.negotiation.handle_timeout(self.now);
        self.steps()
    }

    /// An offer of ours, sent.
    fn offered(mut self) -> Self {
        self.want();
        self.described(1, "ours");
        self.negotiation.offer_sent(self.now);
        self
    }
}

#[test]
fn an_offer_is_created_sent_answered_and_applied() {
    let mut machine = impolite();
    assert_eq!(machine.want(), ["create 1 false"]);
    assert_eq!(machine.described(1, "offer"), ["send offer"]);
    assert_eq!(machine.negotiation.local_offer(), Some(&local("offer")));
    assert_eq!(machine.answer("answer"), ["apply 2 answer"]);
    assert!(!machine.negotiation.takes_candidates());
    assert_eq!(machine.done(2), [""; 0]);
    assert!(machine.negotiation.is_stable() && machine.negotiation.takes_candidates());
}

#[test]
fn an_offer_is_accepted_and_answered() {
    let mut machine = polite();
    assert_eq!(machine.offer("theirs"), ["accept 1 theirs"]);
    assert_eq!(machine.described(1, "answer"), ["send answer"]);
    assert!(machine.negotiation.takes_candidates());
}

#[test]
fn the_impolite_end_ignores_a_crossing_offer_in_every_state_before_the_answer() {
    let mut machine = impolite();
    machine.want();
    assert!(!machine.negotiation.handle_offer(remote("theirs"), machine.now));
    machine.described(1, "ours");
    assert!(!machine.negotiation.handle_offer(remote("theirs"), machine.now));
    assert_eq!(machine.answer("answer"), ["apply 2 answer"]);
    assert_eq!(machine.done(2), [""; 0]);
}

#[test]
fn the_polite_end_rolls_back_and_accepts() {
    let mut machine = polite().offered();
    assert_eq!(machine.offer("theirs"), ["rollback 2"]);
    assert_eq!(machine.done(2), ["accept 3 theirs"]);
    assert_eq!(machine.described(3, "answer"), ["send answer"]);
    assert!(machine.negotiation.is_stable());
}

#[test]
fn the_polite_end_takes_an_offer_back_before_anybody_saw_it() {
    let mut machine = polite();
    machine.want();
    assert_eq!(machine.offer("theirs"), [""; 0]);
    assert_eq!(machine.described(1, "ours"), ["rollback 2"]);
    assert_eq!(machine.done(2), ["accept 3 theirs"]);
}

#[test]
fn offers_wait_while_an_operation_is_in_flight_and_the_latest_counts() {
    let mut machine = polite();
    machine.offer("first");
    assert_eq!(machine.offer("second"), [""; 0]);
    assert_eq!(machine.offer("third"), [""; 0]);
    // The answer to the first would be taken for one to the third.
    assert_eq!(machine.described(1, "answer"), ["accept 2 third"]);
    assert_eq!(machine.want(), [""; 0]);
    assert_eq!(machine.described(2, "answer"), ["send answer", "create 3 false"]);
}

#[test]
fn a_rollback_in_flight_goes_on_with_the_latest_offer() {
    let mut machine = polite().offered();
    machine.offer("first");
    machine.offer("second");
    assert_eq!(machine.done(2), ["accept 3 second"]);
}

#[test]
fn stale_answers_and_unknown_operations_change_nothing() {
    let mut machine = polite();
    assert_eq!(machine.answer("stale"), [""; 0]);
    machine.want();
    assert_eq!(machine.answer("stale"), [""; 0]);
    assert_eq!(machine.described(9, "other"), [""; 0]);
    assert_eq!(machine.done(9), [""; 0]);
    machine.negotiation.handle_failed(OperationId(9), "late".into());
    assert_eq!(machine.described(1, "ours"), ["send offer"]);
    assert_eq!(machine.done(1), [""; 0]);
}

#[test]
fn an_unanswered_offer_is_reported_after_its_time_and_made_again() {
    let mut machine = impolite();
    machine.want();
    machine.described(1, "ours");
    assert_eq!(machine.negotiation.poll_timeout(), None, "it has not been sent");
    machine.negotiation.offer_sent(machine.now);
    assert_eq!(machine.wait(TIMEOUT - Duration::from_millis(1)), [""; 0]);
    assert_eq!(machine.wait(Duration::from_millis(1)), ["unanswered"]);
    assert_eq!(machine.negotiation.poll_timeout(), None);
    machine.negotiation.offer_again(true, machine.now);
    assert_eq!(machine.steps(), ["rollback 2"]);
    assert_eq!(machine.done(2), ["create 3 true"]);
}

#[test]
fn their_offer_during_our_second_try_comes_first() {
    let mut machine = impolite().offered();
    machine.negotiation.offer_again(true, machine.now);
    machine.steps();
    assert!(machine.negotiation.handle_offer(remote("theirs"), machine.now));
    assert_eq!(machine.done(2), ["accept 3 theirs"]);
}

#[test]
fn operations_that_never_complete_end_the_transport_with_a_sentence() {
    let late = ["failed: setting it up took too long"];
    let mut creating = impolite();
    creating.want();
    assert_eq!(creating.wait(TIMEOUT), late);
    let mut accepting = polite();
    accepting.offer("theirs");
    assert_eq!(accepting.wait(TIMEOUT), late);
    let mut applying = impolite().offered();
    applying.answer("answer");
    assert_eq!(applying.wait(TIMEOUT), late);
    let mut rolling_back = polite().offered();
    rolling_back.offer("theirs");
    assert_eq!(rolling_back.wait(TIMEOUT), late);
    assert_eq!(rolling_back.offer("later"), [""; 0]);
    assert_eq!(rolling_back.negotiation.poll_timeout(), None);
}

#[test]
fn a_refused_operation_ends_the_transport_with_the_reason() {
    let mut machine = polite();
    machine.offer("nonsense");
    machine.negotiation.handle_failed(OperationId(1), "no m-lines".into());
    assert_eq!(machine.steps(), ["failed: no m-lines"]);
    assert_eq!(machine.described(1, "late"), [""; 0]);
}

#[test]
fn an_answer_of_the_wrong_kind_from_the_shell_is_an_error_not_a_panic() {
    let mut machine = impolite();
    machine.want();
    assert_eq!(machine.done(1), ["failed: the connection gave no description"]);
    let mut machine = impolite().offered();
    machine.answer("answer");
    assert_eq!(machine.described(2, "x"), ["failed: the connection answered something else than it was asked"]);
}

#[test]
fn a_wish_for_an_ice_restart_is_not_lost_among_others() {
    let mut machine = polite();
    machine.offer("theirs");
    machine.negotiation.want_offer(true, machine.now);
    machine.negotiation.want_offer(false, machine.now);
    assert_eq!(machine.described(1, "answer"), ["send answer", "create 2 true"]);
}
