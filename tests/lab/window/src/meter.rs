//! How often the window paints, and what it costs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use parlor_lab_cost::threads::Threads;

/// The thread that measures; it is no part of the window.
pub(crate) const THREAD: &str = "lab-measures";
/// What opening a window leads to is over: devices are listed, a call is connected.
const SETTLE: Duration = Duration::from_secs(6);
/// Threads whose names begin so are the lab's own.
const NOT_THE_WINDOWS: &str = "lab-";
/// Threads of the software renderer: what a graphics card does where there is one.
const RENDERER: &str = "llvmpipe-";

/// Told of each painting.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    paints: u64,
    /// Of the paintings since the measurement began.
    seconds: Vec<f32>,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) paints: u64,
    pub(crate) cpu: Duration,
    /// The part of it that a graphics card would take over.
    pub(crate) renderer: Duration,
    took: Duration,
    seconds: Vec<f32>,
}

impl Meter {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The window paints; `previous` is what it took the time before.
    pub(crate) fn painted(&self, previous: Option<f32>) {
        let mut seen = self.seen();
        seen.paints += 1;
        seen.seconds.extend(previous);
    }

    /// Measures for `span`, once all is quiet.
    pub(crate) fn measure(&self, span: Duration) -> anyhow::Result<Measured> {
        std::thread::sleep(SETTLE);
        let before = {
            let mut seen = self.seen();
            ensure!(seen.paints > 0, "the window was never painted");
            seen.seconds.clear();
            seen.paints
        };
        let (start, threads) = (Instant::now(), Threads::now()?);
        std::thread::sleep(span);
        let used = Threads::now()?.since(&threads);
        let took = start.elapsed();
        let seen = self.seen();
        let sum = |wanted: fn(&str) -> bool| used.iter().filter(|(name, _)| wanted(name)).map(|(_, time)| *time).sum();
        Ok(Measured {
            paints: seen.paints - before,
            cpu: sum(|name| !name.starts_with(NOT_THE_WINDOWS)),
            renderer: sum(|name| name.starts_with(RENDERER)),
            took,
            seconds: seen.seconds.clone(),
        })
    }
}

impl Measured {
    pub(crate) fn paints_per_second(&self) -> f64 {
        self.paints as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn cpu_cores(&self) -> f64 {
        self.cpu.as_secs_f64() / self.took.as_secs_f64()
    }

    /// Not a number where nothing was painted.
    pub(crate) fn p99_ms(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f32::total_cmp);
        let at = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
        sorted.get(at).map_or(f64::NAN, |seconds| f64::from(*seconds) * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_nine_of_a_hundred_are_no_longer() {
        let seconds = (1..=200).rev().map(|ms| ms as f32 / 1e3).collect();
        assert!((Measured { seconds, ..Measured::default() }.p99_ms() - 198.0).abs() < 0.01);
        assert!((Measured { seconds: vec![0.004], ..Measured::default() }.p99_ms() - 4.0).abs() < 0.01);
        assert!(Measured::default().p99_ms().is_nan());
    }

    #[test]
    fn rates_are_by_the_time_that_passed() {
        let measured = Measured {
            paints: 60,
            cpu: Duration::from_millis(500),
            took: Duration::from_secs(2),
            ..Measured::default()
        };
        assert!((measured.paints_per_second() - 30.0).abs() < 1e-9 && (measured.cpu_cores() - 0.25).abs() < 1e-9);
    }
}
