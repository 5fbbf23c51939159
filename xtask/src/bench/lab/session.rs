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

    /// Forgets the kept runs of so many rounds.
    pub(super) fn forget(&self, rounds: usize) -> anyhow::Result<()> {
        plan::rounds(&self.contenders(), rounds).iter().try_for_each(|slot| self.store.forget(&self.wanted(*slot)))
    }

    /// Measures, and gives how many runs were planned.
    ///
    /// # Errors
    /// Where nothing can be kept. A run that fails is a result.
    pub(super) fn measure(&mut self, rounds: usize, budget: Option<Duration>) -> anyhow::Result<usize> {
        let contenders = self.contenders();
        let slots = plan::rounds(&contenders, rounds);
        let planned = slots.len();
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
                if self.take(slot) {
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

    fn run(&mut self, slot: Slot, progress: &mut Progress) -> anyhow::Result<()> {
        let chosen = self.chosen[slot.scenario];
        let wanted = self.wanted(slot);
        let contender = (chosen.group.word)(slot.contender);
        progress.start(format!("{}: {}, {contender}, {}", chosen.group.name, chosen.scenario.name, slot.repeat + 1));
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
