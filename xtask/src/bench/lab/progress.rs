//! How far it is: a bar on a terminal, lines where there is none.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Counts estimated seconds, so that long runs count for more.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    /// Estimated seconds of the runs that are done, and what they really took.
    done: f64,
    took: f64,
    total: f64,
    now: String,
}

impl Progress {
    pub(super) fn new(total_seconds: f64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total_seconds.ceil() as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} % {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        Self { bar, done: 0.0, took: 0.0, total: total_seconds, now: String::new() }
    }

    /// A run begins.
    pub(super) fn start(&mut self, what: String) {
        let left = words(self.seconds_left());
        match &self.bar {
            Some(bar) => bar.set_message(format!("{left} left · {what}")),
            None => eprintln!("{:>3.0} % {left} left · {what}", self.share() * 100.0),
        }
        self.now = what;
    }

    /// It is over.
    pub(super) fn finish(&mut self, estimate_seconds: f64, took_seconds: f64, remark: &str) {
        self.done += estimate_seconds;
        self.took += took_seconds;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done as u64);
        }
        if !remark.is_empty() {
            self.say(&format!("{}: {remark}", self.now));
        }
    }

    /// There is more to do.
    pub(super) fn extend(&mut self, seconds: f64) {
        self.total = (self.total + seconds).max(self.done);
        if let Some(bar) = &self.bar {
            bar.set_length(self.total.ceil() as u64);
        }
    }

    /// A line above the bar.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    pub(super) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// What runs take beside what was estimated, as seen so far.
    pub(super) fn pace(&self) -> f64 {
        if self.done > 0.0 { self.took / self.done } else { 1.0 }
    }

    fn seconds_left(&self) -> f64 {
        (self.total - self.done).max(0.0) * self.pace()
    }

    fn share(&self) -> f64 {
        if self.total > 0.0 { self.done / self.total } else { 1.0 }
    }
}

/// `40 s`, `12 min`, `2 h 05 min`.
pub(super) fn words(seconds: f64) -> String {
    let (seconds, minutes) = (seconds.round() as u64, (seconds / 60.0).round() as u64);
    match minutes {
        _ if seconds < 90 => format!("{seconds} s"),
        minutes if minutes < 60 => format!("{minutes} min"),
        minutes => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_as_one_would() {
        assert_eq!(
            [0.4, 89.0, 90.0, 3_540.0, 3_600.0, 7_500.0].map(words),
            ["0 s", "89 s", "2 min", "59 min", "1 h 00 min", "2 h 05 min"]
        );
    }

    #[test]
    fn the_time_left_learns_from_the_runs_so_far() {
        let mut progress = Progress::new(100.0);
        assert_eq!(progress.seconds_left(), 100.0);
        progress.finish(20.0, 30.0, "");
        assert_eq!((progress.seconds_left(), progress.share()), (120.0, 0.2));
        progress.extend(20.0);
        assert_eq!(progress.seconds_left(), 150.0);
    }
}
