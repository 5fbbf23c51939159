//! One session of runs: what is there already is taken, the rest is run, in turn, until it is done, the budget is spent or ctrl-C.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::launch::{End, Launcher};
use super::plan::{self, Candidate, Slot};
use super::progress::Progress;
use super::run::{Chosen, Outcome, Run};
use super::scenarios::Contender;
use super::store::Store;
use super::summary;
use crate::bench::machine;

/// Runs that belong together.
pub(super) struct Session<'a> {
    chosen: &'a [Chosen],
    launcher: Launcher,
    store: Store,
    runs: Vec<Run>,
    reused: usize,
}

impl<'a> Session<'a> {
    pub(super) fn new(chosen: &'a [Chosen], launcher: Launcher, store: Store) -> Self {
        Self { chosen, launcher, store, runs: Vec::new(), reused: 0 }
    }

    /// All attempts, those from before included.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// How many of them were there already.
    pub(super) fn reused(&self) -> usize {
        self.reused
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.launcher.stop.load(Ordering::Relaxed)
    }

    /// Forgets the kept runs, of all rounds that there are.
    pub(super) fn forget(&self) -> anyhow::Result<()> {
        let contenders = self.contenders();
        for round in 0.. {
            let slots = (0..contenders.len()).flat_map(|at| plan::turn(&contenders, at, round));
            let kept: Vec<Value> = slots.map(|slot| self.wanted(slot)).filter(|one| self.store.has(one)).collect();
            if kept.is_empty() {
                break;
            }
            kept.iter().try_for_each(|wanted| self.store.forget(wanted))?;
        }
        Ok(())
    }

    /// Measures, and gives how many runs were planned.
    ///
    /// # Errors
    /// Where nothing can be kept. A run that fails is a result.
    pub(super) fn measure(&mut self, rounds: usize, budget: Option<Duration>) -> anyhow::Result<usize> {
        let contenders = self.contenders();
        let slots = plan::rounds(&contenders, rounds);
        let mut planned = slots.len();
        let mut to_do = Vec::new();
        for slot in slots {
            if !self.take(slot) {
                to_do.push(slot);
            }
        }
        if self.reused > 0 {
            let folder = self.store.folder().display();
            eprintln!(
                "{} runs of the same programs and options are there already ({folder}); --fresh makes them anew.",
                self.reused
            );
        }
        let estimated: f64 = to_do.iter().map(|slot| self.estimate(*slot)).sum();
        let budget_s = budget.map(|budget| budget.as_secs_f64());
        let mut progress = Progress::new(budget_s.map_or(estimated, |budget_s| estimated.min(budget_s)));
        let started = Instant::now();
        let left = |progress: &Progress| {
            budget_s.map_or(f64::INFINITY, |budget_s| (budget_s - started.elapsed().as_secs_f64()) / progress.pace())
        };
        for slot in to_do {
            if self.is_hopeless(slot) {
                progress.extend(-self.estimate(slot));
                progress.say(&format!("left out, since it failed twice: {}", self.words(slot)));
                planned -= 1;
                continue;
            }
            if self.is_stopped() || self.estimate(slot) > left(&progress) {
                break;
            }
            self.run(slot, &mut progress)?;
        }
        let repeats = if budget.is_some() { self.repeat(rounds, &mut progress, left)? } else { 0 };
        progress.close();
        Ok(planned + repeats)
    }

    /// Spends what is left of the budget where the intervals are widest.
    fn repeat(
        &mut self,
        rounds: usize,
        progress: &mut Progress,
        left: impl Fn(&Progress) -> f64,
    ) -> anyhow::Result<usize> {
        let contenders = self.contenders();
        let mut repeats = vec![rounds; self.chosen.len()];
        let mut added = 0;
        while !self.is_stopped() {
            let candidates: Vec<Candidate> = (0..self.chosen.len()).map(|at| self.candidate(at, repeats[at])).collect();
            let Some(next) = plan::widest(&candidates, left(progress)) else { break };
            let slots = plan::turn(&contenders, next.scenario, next.repeats);
            repeats[next.scenario] += 1;
            added += slots.len();
            for slot in slots {
                if self.take(slot) || self.is_hopeless(slot) {
                    continue;
                }
                if self.is_stopped() {
                    return Ok(added);
                }
                progress.extend(self.estimate(slot));
                self.run(slot, progress)?;
            }
        }
        Ok(added)
    }

    fn candidate(&self, scenario: usize, repeats: usize) -> Candidate {
        let Chosen { group, scenario: of, contenders, .. } = self.chosen[scenario];
        let width = summary::width(&self.runs, group, of.name, contenders);
        Candidate { scenario, width, seconds: self.chosen[scenario].turn_seconds(), repeats }
    }

    /// Takes what is there of a slot; whether that settles it.
    fn take(&mut self, slot: Slot) -> bool {
        let attempts = self.store.attempts(&self.wanted(slot));
        let is_settled = attempts.iter().any(Run::is_settled);
        self.reused += attempts.len();
        self.runs.extend(attempts);
        is_settled
    }

    /// Whether it failed in two rounds and succeeded in none, and takes longest of all: a room that is too large for the machine.
    fn is_hopeless(&self, slot: Slot) -> bool {
        let earlier = (0..slot.repeat).map(|repeat| self.wanted(Slot { repeat, ..slot }));
        let outcomes: Vec<Outcome> =
            earlier.flat_map(|wanted| self.store.attempts(&wanted)).map(|run| run.outcome).collect();
        let failed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Failed(_))).count();
        failed >= 2 && !outcomes.contains(&Outcome::Valid)
    }

    fn words(&self, slot: Slot) -> String {
        let Chosen { group, scenario, .. } = self.chosen[slot.scenario];
        format!("{}: {}, {}, {}", group.name, scenario.name, (group.word)(slot.contender), slot.repeat + 1)
    }

    fn run(&mut self, slot: Slot, progress: &mut Progress) -> anyhow::Result<()> {
        let chosen = self.chosen[slot.scenario];
        let wanted = self.wanted(slot);
        progress.start(self.words(slot));
        let (load, started) = (machine::load(), Instant::now());
        let log = self.store.log(&wanted);
        let end = self.launcher.run(&chosen, &wanted, &log)?;
        let result = match end {
            End::Printed(result) => Ok(result),
            End::Failed(why) => Err(why),
            End::Stopped => return Ok(()),
        };
        let took_s = started.elapsed().as_secs_f64();
        let mut run = Run::finished(&wanted, slot.repeat, result);
        let about: [(&str, Value); 3] =
            [("took_seconds", json!(took_s)), ("load_before", load), ("load_after", machine::load())];
        for (key, value) in about {
            run.whole[key] = value;
        }
        self.store.keep(&run)?;
        let remark = match &run.outcome {
            Outcome::Valid => String::new(),
            Outcome::Invalid(why) => format!("invalid: {why}"),
            Outcome::Failed(why) => format!("failed: {why} ({})", log.display()),
        };
        progress.finish(chosen.estimate_seconds(), took_s, &remark);
        self.runs.push(run);
        Ok(())
    }

    fn wanted(&self, slot: Slot) -> Value {
        self.chosen[slot.scenario].wanted(slot.contender, slot.repeat)
    }

    fn estimate(&self, slot: Slot) -> f64 {
        self.chosen[slot.scenario].estimate_seconds()
    }

    fn contenders(&self) -> Vec<&'static [Contender]> {
        self.chosen.iter().map(|chosen| chosen.contenders).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::bench::lab::choose;

    /// In place of the program that measures the window: notes that it ran, and does what is to be tried.
    fn program(folder: &Path, does: &str) {
        let path = folder.join("parlor-lab-window");
        let noted = folder.join("ran");
        std::fs::write(&path, format!("#!/bin/sh\necho \"$$ $1\" >> '{}'\n{does}\n", noted.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Answers as a run does.
    const MEASURES: &str = r#"echo "${1%\}}, \"valid\": true, \"figures\": {\"cpu_cores\": [0.5]}}""#;

    fn ran(folder: &Path) -> Vec<String> {
        let noted = std::fs::read_to_string(folder.join("ran")).unwrap_or_default();
        noted.lines().map(str::to_owned).collect()
    }

    fn session<'a>(folder: &Path, chosen: &'a [Chosen], stop: &Arc<AtomicBool>) -> Session<'a> {
        let launcher = Launcher { programs: folder.into(), chromium: "chromium".into(), stop: Arc::clone(stop) };
        Session::new(chosen, launcher, Store::open(&folder.join("runs"), &BTreeMap::new()).unwrap())
    }

    #[test]
    fn what_is_done_is_not_done_again_and_what_is_forgotten_is() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), MEASURES);
        let (chosen, stop) = (choose(&["window:idle"], false).unwrap(), Arc::default());
        let mut first = session(folder.path(), &chosen, &stop);
        assert_eq!(first.measure(1, None).unwrap(), 2);
        assert_eq!((first.runs().len(), first.reused(), ran(folder.path()).len()), (2, 0, 2));
        assert!(first.runs().iter().all(|run| run.outcome == Outcome::Valid && run.figures["cpu_cores"] == [0.5]));
        let mut again = session(folder.path(), &chosen, &stop);
        again.measure(2, None).unwrap();
        assert_eq!((again.runs().len(), again.reused(), ran(folder.path()).len()), (4, 2, 4), "only the second round");
        let mut anew = session(folder.path(), &chosen, &stop);
        anew.forget().unwrap();
        anew.measure(1, None).unwrap();
        assert_eq!((anew.runs().len(), anew.reused(), ran(folder.path()).len()), (2, 0, 6));
        let mut later = session(folder.path(), &chosen, &stop);
        later.measure(2, None).unwrap();
        assert_eq!((later.reused(), ran(folder.path()).len()), (2, 8), "of the second round nothing was left");
    }

    #[test]
    fn one_run_that_fails_does_not_end_the_others() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), &format!("case \"$1\" in *lobby*) echo 'no display' >&2; exit 3;; esac\n{MEASURES}"));
        let (chosen, stop) = (choose(&["window:idle"], false).unwrap(), Arc::default());
        let mut session = session(folder.path(), &chosen, &stop);
        session.measure(1, None).unwrap();
        let outcomes: Vec<_> = session.runs().iter().map(|run| run.outcome.clone()).collect();
        let failed = Outcome::Failed("it ended with exit status: 3: no display".to_owned());
        assert_eq!(outcomes, [failed, Outcome::Valid]);
        assert_eq!(session.measure(4, None).unwrap(), 6);
        assert_eq!(ran(folder.path()).len(), 6, "what failed in two rounds is not begun in the others");
    }

    #[test]
    fn an_invalid_run_is_tried_once_more_in_each_session() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), &MEASURES.replace("true", "false"));
        let (chosen, stop) = (choose(&["window:idle lobby"], false).unwrap(), Arc::default());
        for sessions in 1..=3 {
            let mut session = session(folder.path(), &chosen, &stop);
            session.measure(1, None).unwrap();
            assert_eq!((session.runs().len(), ran(folder.path()).len()), (sessions, sessions), "all attempts are told");
        }
    }

    #[test]
    fn a_budget_pays_for_a_round_and_for_what_is_uncertain() {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), MEASURES);
        let (chosen, stop) = (choose(&["window"], false).unwrap(), Arc::default());
        let mut session = session(folder.path(), &chosen, &stop);
        let planned = session.measure(1, Some(Duration::from_secs(3_600))).unwrap();
        // After two equal runs the interval has no width.
        assert_eq!((planned, session.runs().len()), (2 * chosen.len(), 2 * chosen.len()));
        let nothing = session_of_a_second(folder.path(), &chosen);
        assert_eq!(nothing, 0, "what does not fit is not begun");
    }

    fn session_of_a_second(folder: &Path, chosen: &[Chosen]) -> usize {
        let mut session = session(folder, chosen, &Arc::default());
        session.forget().unwrap();
        session.measure(1, Some(Duration::from_secs(1))).unwrap();
        session.runs().len()
    }

    #[test]
    fn an_interrupted_run_is_as_if_it_had_not_begun_and_leaves_nothing_running() {
        let folder = tempfile::tempdir().unwrap();
        // It and what it started both ignore the polite word.
        program(folder.path(), "trap '' INT\nsleep 600 &\necho \"$! child\" >> \"${0%/*}/ran\"\nsleep 600");
        let (chosen, stop) = (choose(&["window:idle"], false).unwrap(), Arc::default());
        let mut session = session(folder.path(), &chosen, &stop);
        let both = std::thread::scope(|scope| {
            scope.spawn(|| {
                while ran(folder.path()).len() < 2 {
                    std::thread::yield_now();
                }
                stop.store(true, Ordering::Relaxed);
            });
            session.measure(1, None).unwrap();
            ran(folder.path())
        });
        assert!(session.is_stopped() && session.runs().is_empty());
        assert_eq!(both.len(), 2, "the second scenario was not begun: {both:?}");
        // The kernel takes its time over what was killed.
        let patience = Instant::now() + Duration::from_secs(60);
        for process in both.iter().filter_map(|line| line.split(' ').next()) {
            while is_running(process) {
                assert!(Instant::now() < patience, "{process} still runs");
                std::thread::yield_now();
            }
        }
    }

    /// One whose parent is gone too may wait for somebody to collect it.
    fn is_running(process: &str) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }
}
